/* Permissions, quotas, domains, CONTROL. SPDX-License-Identifier: MIT */
#include "tests/c/store/kit.h"

static struct xk_store_server *server;
static struct kit dom0, g5, g6;

/* What the callbacks saw. */
static struct {
    int introduced, released, resumed, introduce_result;
    unsigned domid;
    int64_t gfn;
    uint32_t port;
    char line[64];
} seen;

static int on_introduce(void *arg, unsigned domid, int64_t gfn, uint32_t port)
{
    (void)arg;
    seen.introduced++;
    seen.domid = domid;
    seen.gfn = gfn;
    seen.port = port;
    return seen.introduce_result;
}
static void on_release(void *arg, unsigned domid)
{
    (void)arg;
    seen.released++;
    seen.domid = domid;
    if (g5.conn && domid == 5) {
        xk_store_conn_close(g5.conn);
        g5.conn = NULL;
    }
}
static int on_resume(void *arg, unsigned domid)
{
    (void)arg;
    (void)domid;
    seen.resumed++;
    return 0;
}
static int on_exists(void *arg, unsigned domid)
{
    (void)arg;
    return domid < 100;
}
static void on_log(void *arg, const char *text, size_t n)
{
    (void)arg;
    snprintf(seen.line, sizeof(seen.line), "%.*s", (int)n, text);
}

static const struct xk_store_server_ops ops = {.version = XK_STORE_SERVER_OPS_VERSION,
                                               .introduce = on_introduce,
                                               .release = on_release,
                                               .resume = on_resume,
                                               .domain_exists = on_exists,
                                               .log = on_log};

#define PERMS(k, ...) kit_do(k, XK_STORE_SET_PERMS, __VA_ARGS__, NULL)

static void home(unsigned domid)
{
    char path[32], perm[16];
    snprintf(path, sizeof(path), "/local/domain/%u", domid);
    snprintf(perm, sizeof(perm), "n%u", domid);
    EQ(kit_mkdir(&dom0, path), 0);
    EQ(PERMS(&dom0, path, perm), 0);
}

static void setup(void)
{
    memset(&seen, 0, sizeof(seen));
    server = xk_store_server_create(NULL, &ops, NULL, NULL);
    kit_open(&dom0, server, 0);
    kit_open(&g5, server, 5);
    kit_open(&g6, server, 6);
    home(5);
    home(6);
}

static void done(void)
{
    SOUND(&dom0);
    xk_store_server_destroy(server);
}

/* --- permissions -------------------------------------------------------------------------------------------------- */

TEST(who_creates_owns)
{
    setup();
    EQ(PERMS(&dom0, "/local/domain/5", "r5", "b6"), 0);
    EQ(kit_write(&g6, "/local/domain/5/x/y", "1"), 0);
    EQ(kit_do(&dom0, XK_STORE_GET_PERMS, "/local/domain/5/x/y", NULL), 0);
    EQ(dom0.len, 6);
    STREQ((char *)dom0.reply, "r6"); /* inherited, but owned by the creator */
    STREQ((char *)dom0.reply + 3, "b6");
    EQ(kit_write(&dom0, "/local/domain/5/z", "1"), 0);
    EQ(kit_do(&dom0, XK_STORE_GET_PERMS, "/local/domain/5/z", NULL), 0);
    STREQ((char *)dom0.reply, "r5"); /* the control domain's nodes are their parent's owner's */
    done();
}

TEST(owner_default_and_exceptions)
{
    setup();
    EQ(kit_write(&g5, "x", "1"), 0);
    EQ(kit_read(&g6, "/local/domain/5/x"), XK_EACCES);
    EQ(PERMS(&g5, "x", "r5"), 0);
    VALUE(&g6, "/local/domain/5/x", "1");
    EQ(kit_write(&g6, "/local/domain/5/x", "2"), XK_EACCES);
    EQ(PERMS(&g5, "x", "b5", "n6"), 0);
    EQ(kit_read(&g6, "/local/domain/5/x"), XK_EACCES);
    EQ(PERMS(&g5, "x", "n5", "w6"), 0);
    EQ(kit_write(&g6, "/local/domain/5/x", "3"), 0);
    EQ(kit_read(&g6, "/local/domain/5/x"), XK_EACCES);
    VALUE(&g5, "x", "3"); /* "the owner always has full access" */
    VALUE(&dom0, "/local/domain/5/x", "3");
    EQ(kit_rm(&g6, "/local/domain/5/x"), 0);
    done();
}

TEST(only_the_control_domain_changes_owners)
{
    setup();
    EQ(kit_write(&g5, "x", "1"), 0);
    EQ(PERMS(&g5, "x", "n6"), XK_EPERM);
    EQ(PERMS(&g6, "/local/domain/5/x", "n6"), XK_EACCES);
    EQ(PERMS(&g5, "x", "b5", "b6"), 0);
    EQ(PERMS(&g6, "/local/domain/5/x", "n5"), XK_EACCES); /* may write, does not own */
    EQ(PERMS(&dom0, "/local/domain/5/x", "n6"), 0);
    EQ(kit_read(&g5, "x"), XK_EACCES);
    done();
}

TEST(malformed_permissions_are_einval)
{
    static const char *const bad[] = {"", "5", "r", "x5", "r-1", "r5x", "r65536", "r 5", "R5"};
    setup();
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        EQ(PERMS(&dom0, "/tool", bad[i]), XK_EINVAL);
    EQ(PERMS(&dom0, "/tool"), XK_EINVAL);
    EQ(PERMS(&dom0, "/none", "n0"), XK_ENOENT);
    EQ(PERMS(&dom0, "@none", "n0"), XK_ENOENT);
    EQ(PERMS(&dom0, "/tool", "n32757"), XK_EINVAL); /* DOMID_ANY owns nothing */
    done();
}

TEST(an_owner_that_does_not_exist_is_enoent)
{
    setup();
    EQ(PERMS(&dom0, "/local/domain/5", "n500"), XK_ENOENT);
    EQ(PERMS(&dom0, "/local/domain/5", "n500", "q5"), XK_EINVAL); /* spelling comes first, as upstream */
    EQ(PERMS(&dom0, "/bad//path", "n500"), XK_ENOENT);
    EQ(kit_begin(&dom0), 0);
    EQ(PERMS(&dom0, "/local/domain/5", "n500"), XK_ENOENT);
    EQ(PERMS(&dom0, "/none", "n500"), XK_ENOENT);
    EQ(kit_end(&dom0, "T"), 0);
    done();
}

TEST(errors_do_not_tell_what_exists)
{
    setup();
    EQ(kit_write(&dom0, "/secret/x", "1"), 0);
    EQ(kit_read(&g5, "/secret/x"), XK_EACCES);
    EQ(kit_read(&g5, "/secret/none"), XK_EACCES);
    EQ(kit_rm(&g5, "/secret/none"), XK_EACCES);
    EQ(kit_write(&g5, "/secret/new", "1"), XK_EACCES);
    EQ(kit_mkdir(&g5, "/secret"), XK_EACCES);
    EQ(kit_do(&g5, XK_STORE_DIRECTORY, "/", NULL), XK_EACCES);
    EQ(PERMS(&dom0, "/secret", "r0"), 0);
    EQ(kit_read(&g5, "/secret/none"), XK_ENOENT);
    EQ(kit_read(&g5, "/secret/none/none"), XK_ENOENT);
    EQ(kit_read(&g5, "/secret/x"), XK_EACCES);
    EQ(kit_rm(&g5, "/secret/none"), XK_EACCES);
    done();
}

TEST(an_entry_for_every_domain)
{
    setup();
    EQ(kit_write(&g5, "x", "1"), 0);
    EQ(PERMS(&g5, "x", "n5", "r32757"), 0);
    VALUE(&g6, "/local/domain/5/x", "1");
    EQ(PERMS(&g5, "x", "n5", "n6", "r32757"), 0);
    EQ(kit_read(&g6, "/local/domain/5/x"), XK_EACCES); /* the first that fits counts */
    done();
}

TEST(a_stubdom_has_its_targets_rights)
{
    setup();
    EQ(kit_do(&dom0, XK_STORE_INTRODUCE, "5", "1", "1", NULL), 0);
    EQ(kit_do(&dom0, XK_STORE_SET_TARGET, "6", "5", NULL), XK_ENOENT);
    EQ(kit_do(&dom0, XK_STORE_INTRODUCE, "6", "1", "1", NULL), 0);
    EQ(kit_write(&g5, "x", "1"), 0);
    EQ(kit_read(&g6, "/local/domain/5/x"), XK_EACCES);
    EQ(kit_do(&g6, XK_STORE_SET_TARGET, "6", "5", NULL), XK_EACCES);
    EQ(kit_do(&dom0, XK_STORE_SET_TARGET, "6", NULL), XK_EINVAL);
    EQ(kit_do(&dom0, XK_STORE_SET_TARGET, "6", "5", NULL), 0);
    VALUE(&g6, "/local/domain/5/x", "1");
    EQ(PERMS(&g6, "/local/domain/5/x", "b5"), 0);
    EQ(xk_store_domain_died(server, 5), 0);
    home(5);
    EQ(kit_read(&g6, "/local/domain/5"), XK_EACCES); /* the next domain 5 is another one */
    done();
}

/* It sees no such node and makes one, which is its own; meanwhile its target makes one, over which it has all rights
 * but to change who owns it. */
TEST(a_commit_changes_no_owner)
{
    for (int i = 0; i < 2; i++) {
        struct kit *by = i ? &dom0 : &g6;
        setup();
        EQ(kit_do(&dom0, XK_STORE_INTRODUCE, "5", "1", "1", NULL), 0);
        EQ(kit_do(&dom0, XK_STORE_INTRODUCE, "6", "1", "1", NULL), 0);
        EQ(kit_do(&dom0, XK_STORE_SET_TARGET, "6", "5", NULL), 0);
        EQ(kit_mkdir(&dom0, "/t"), 0);
        EQ(PERMS(&dom0, "/t", "b0"), 0);
        EQ(kit_begin(by), 0);
        EQ(kit_mkdir(&g5, "/t/a"), 0);
        EQ(kit_write(by, "/t/a", "1"), 0);
        EQ(PERMS(by, "/t/a", "w6", "b5"), 0);
        EQ(kit_end(by, "T"), i ? 0 : XK_EAGAIN);
        EQ(kit_do(&dom0, XK_STORE_GET_PERMS, "/t/a", NULL), 0);
        STREQ((char *)dom0.reply, i ? "w6" : "b5");
        EQ(kit_begin(&g6), 0);
        EQ(kit_mkdir(&g5, "/t/b"), 0);
        EQ(kit_write(&g6, "/t/b", "1"), 0); /* and nothing else: it is as if it had written there */
        EQ(kit_end(&g6, "T"), 0);
        EQ(kit_do(&dom0, XK_STORE_GET_PERMS, "/t/b", NULL), 0);
        STREQ((char *)dom0.reply, "b5");
        done();
    }
}

TEST(entries_of_unknown_domains_have_no_effect)
{
    struct kit g200;

    setup();
    EQ(kit_write(&dom0, "/x", "1"), 0);
    EQ(PERMS(&dom0, "/x", "n200"), XK_ENOENT);
    EQ(PERMS(&dom0, "/x", "n0", "r200"), 0);
    EQ(kit_do(&dom0, XK_STORE_GET_PERMS, "/x", NULL), 0);
    STREQ((char *)dom0.reply + 3, "r200");
    kit_open(&g200, server, 200);
    EQ(kit_read(&g200, "/x"), XK_EACCES);
    done();
}

TEST(the_dead_leave_nothing_to_the_next_of_their_id)
{
    struct xk_store_stats st;

    setup();
    EQ(kit_do(&dom0, XK_STORE_INTRODUCE, "5", "1", "1", NULL), 0);
    EQ(kit_write(&g5, "a/b/c", "1"), 0);
    EQ(kit_write(&dom0, "/x/y", "1"), 0);
    EQ(PERMS(&dom0, "/x", "n0", "r6", "b5"), 0);
    EQ(kit_write(&dom0, "/mine", "1"), 0);
    EQ(PERMS(&dom0, "/mine", "n5"), 0);
    EQ(kit_write(&dom0, "/mine/his", "1"), 0);
    EQ(PERMS(&dom0, "/mine/his", "n6", "r5"), 0);
    EQ(PERMS(&dom0, "@releaseDomain", "n0", "r5", "r6"), 0);
    EQ(PERMS(&dom0, "/", "r5", "b5"), 0);
    EQ(kit_watch(&dom0, "/mine", "t"), 0);
    dom0.nevents = 0;
    SOUND(&dom0);
    EQ(xk_store_domain_died(server, 5), 0);
    EQ(seen.released, 1);
    OK(g5.conn == NULL);
    EVENT(&dom0, "/mine", "t");
    EQ(kit_read(&dom0, "/mine"), XK_ENOENT);
    EQ(kit_read(&dom0, "/local/domain/5"), XK_ENOENT);
    EQ(kit_do(&dom0, XK_STORE_GET_PERMS, "/x", NULL), 0);
    EQ(dom0.len, 6);
    STREQ((char *)dom0.reply + 3, "r6");
    EQ(kit_do(&dom0, XK_STORE_GET_PERMS, "@releaseDomain", NULL), 0);
    EQ(dom0.len, 6);
    EQ(kit_do(&dom0, XK_STORE_GET_PERMS, "/", NULL), 0);
    STREQ((char *)dom0.reply, "r0");
    EQ(dom0.len, 3);
    SOUND(&dom0);
    EQ(xk_store_domain_died(server, 5), XK_ENOENT);
    EQ(xk_store_domain_died(server, 0), XK_EINVAL);
    kit_open(&g5, server, 5);
    EQ(kit_read(&g5, "/x"), XK_EACCES);
    xk_store_server_stats(server, &st);
    EQ(st.nodes + 1, st.nodes_held);
    done();
}

TEST(death_finds_what_lies_inside_and_around_the_home)
{
    setup();
    EQ(PERMS(&dom0, "/local", "n5"), 0);
    EQ(kit_write(&g5, "a/b", "1"), 0);
    EQ(kit_write(&g6, "q", "1"), 0);
    EQ(xk_store_domain_died(server, 5), 0);
    STREQ(kit_list(&dom0, "/"), "tool");
    done();
}

TEST(an_open_connection_of_the_dead_has_nothing_left)
{
    struct xk_store_stats st;

    server = xk_store_server_create(NULL, NULL, NULL, NULL); /* without a release callback that would close it */
    kit_open(&dom0, server, 0);
    kit_open(&g5, server, 5);
    home(5);
    EQ(kit_do(&dom0, XK_STORE_SET_QUOTA, "5", "nodes", "7", NULL), 0);
    EQ(PERMS(&dom0, "@releaseDomain", "r0"), 0);
    EQ(xk_store_domain_introduce(server, 5), 0);
    EQ(kit_watch(&g5, "@releaseDomain", "t"), 0);
    EQ(kit_watch(&g5, "x", "t"), 0);
    EQ(kit_begin(&g5), 0);
    g5.nevents = 0;
    EQ(kit_do(&dom0, XK_STORE_RELEASE, "5", NULL), 0);
    NO_EVENT(&g5);
    xk_store_server_stats(server, &st);
    EQ(st.watches, 0);
    EQ(st.transactions, 0);
    EQ(kit_do(&dom0, XK_STORE_GET_QUOTA, "5", "nodes", NULL), 0);
    STREQ((char *)dom0.reply, "1000");
    done();
}

TEST(soak_domain_reuse)
{
    struct xk_store_stats before, after;
    char text[32];

    setup();
    xk_store_conn_close(g5.conn);
    g5.conn = NULL;
    for (int i = 0; i < 300; i++) {
        EQ(kit_do(&dom0, XK_STORE_SET_QUOTA, "5", "nodes", "40", NULL), 0);
        EQ(kit_do(&dom0, XK_STORE_INTRODUCE, "5", "1", "1", NULL), 0);
        if (i)
            home(5);
        kit_open(&g5, server, 5);
        for (int j = 0; j < 20; j++) {
            snprintf(text, sizeof(text), "n%d", j);
            EQ(kit_write(&g5, text, "1"), 0);
            EQ(kit_watch(&g5, text, "1"), 0);
            g5.nevents = 0;
        }
        EQ(kit_begin(&g5), 0);
        EQ(kit_write(&g5, "n1", "2"), 0);
        EQ(kit_do(&dom0, XK_STORE_RELEASE, "5", NULL), 0);
        EQ(kit_do(&dom0, XK_STORE_GET_QUOTA, "5", "nodes", NULL), 0);
        STREQ((char *)dom0.reply, "1000");
        xk_store_server_stats(server, i == 10 ? &before : &after);
    }
    EQ(before.memory, after.memory);
    done();
}

/* --- domains ------------------------------------------------------------------------------------------------------ */

TEST(guests_may_not_manage)
{
    setup();
    EQ(kit_do(&g5, XK_STORE_INTRODUCE, "7", "1", "1", NULL), XK_EACCES);
    EQ(kit_do(&g5, XK_STORE_RELEASE, "6", NULL), XK_EACCES);
    EQ(kit_do(&g5, XK_STORE_RESUME, "6", NULL), XK_EACCES);
    EQ(kit_do(&g5, XK_STORE_IS_DOMAIN_INTRODUCED, "6", NULL), XK_EACCES);
    EQ(kit_do(&g5, XK_STORE_SET_FEATURE, "6", "0", NULL), XK_EACCES);
    EQ(kit_do(&g5, XK_STORE_GET_QUOTA, "nodes", NULL), XK_EACCES);
    EQ(kit_do(&g5, XK_STORE_SET_QUOTA, "nodes", "1", NULL), XK_EACCES);
    EQ(kit_do(&g5, XK_STORE_CONTROL, "help", NULL), XK_EACCES);
    EQ(kit_do(&g5, XK_STORE_GET_FEATURE, "6", NULL), XK_EACCES);
    EQ(seen.introduced, 0);
    done();
}

TEST(introduce_checks_its_arguments)
{
    setup();
    EQ(kit_do(&dom0, XK_STORE_INTRODUCE, "7", "1", NULL), XK_EINVAL);
    EQ(kit_do(&dom0, XK_STORE_INTRODUCE, "x", "1", "1", NULL), XK_EINVAL);
    EQ(kit_do(&dom0, XK_STORE_INTRODUCE, "0", "1", "1", NULL), XK_EINVAL);
    EQ(kit_do(&dom0, XK_STORE_INTRODUCE, "32752", "1", "1", NULL), XK_EINVAL);
    EQ(kit_do(&dom0, XK_STORE_INTRODUCE, "7", "1", "0", NULL), XK_EINVAL);
    EQ(kit_do(&dom0, XK_STORE_INTRODUCE, "7", "", "1", NULL), XK_EINVAL);
    EQ(seen.introduced, 0);
    EQ(kit_do(&dom0, XK_STORE_INTRODUCE, "7", "-42", "3", NULL), 0);
    EQ(seen.domid, 7);
    EQ(seen.gfn, -42);
    EQ(seen.port, 3);
    done();
}

TEST(a_failed_introduce_introduces_nothing)
{
    setup();
    seen.introduce_result = XK_EBUSY;
    EQ(kit_watch(&dom0, "@introduceDomain", "t"), 0);
    dom0.nevents = 0;
    EQ(kit_do(&dom0, XK_STORE_INTRODUCE, "7", "1", "1", NULL), XK_EBUSY);
    NO_EVENT(&dom0);
    EQ(kit_do(&dom0, XK_STORE_IS_DOMAIN_INTRODUCED, "7", NULL), 0);
    STREQ((char *)dom0.reply, "F");
    done();
}

TEST(introducing_again_resets_the_connection)
{
    struct xk_store_stats st;
    uint8_t half[8] = {2};

    setup();
    EQ(kit_do(&dom0, XK_STORE_INTRODUCE, "5", "1", "1", NULL), 0);
    EQ(kit_watch(&g5, "x", "t"), 0);
    EQ(kit_begin(&g5), 0);
    EQ(xk_store_conn_input(g5.conn, half, 8), 8);
    EQ(kit_do(&dom0, XK_STORE_INTRODUCE, "5", "1", "2", NULL), 0);
    EQ(seen.introduced, 2);
    xk_store_server_stats(server, &st);
    EQ(st.watches, 0);
    EQ(st.transactions, 0);
    g5.tx = 0;
    g5.nevents = 0;
    EQ(kit_write(&g5, "x", "1"), 0); /* and the half packet is gone */
    NO_EVENT(&g5);
    done();
}

TEST(introducing_again_is_no_resume)
{
    setup();
    EQ(kit_do(&dom0, XK_STORE_INTRODUCE, "5", "1", "1", NULL), 0);
    EQ(xk_store_domain_shutdown(server, 5), 0);
    EQ(kit_watch(&dom0, "@releaseDomain", "t"), 0);
    dom0.nevents = 0;
    EQ(kit_do(&dom0, XK_STORE_INTRODUCE, "5", "1", "1", NULL), 0);
    EQ(xk_store_domain_shutdown(server, 5), 0);
    NO_EVENT(&dom0);
    done();
}

TEST(release_resume_and_is_introduced)
{
    setup();
    EQ(kit_do(&dom0, XK_STORE_RELEASE, "5", NULL), XK_ENOENT);
    EQ(kit_do(&dom0, XK_STORE_RESUME, "5", NULL), XK_ENOENT);
    EQ(kit_do(&dom0, XK_STORE_RELEASE, "0", NULL), XK_EINVAL);
    EQ(kit_do(&dom0, XK_STORE_RELEASE, "5x", NULL), XK_EINVAL);
    EQ(kit_do(&dom0, XK_STORE_INTRODUCE, "5", "1", "1", NULL), 0);
    EQ(kit_do(&dom0, XK_STORE_IS_DOMAIN_INTRODUCED, "5", NULL), 0);
    STREQ((char *)dom0.reply, "T");
    EQ(kit_watch(&dom0, "@releaseDomain", "t"), 0);
    dom0.nevents = 0;
    EQ(xk_store_domain_shutdown(server, 5), 0);
    EVENT(&dom0, "@releaseDomain", "t");
    EQ(xk_store_domain_shutdown(server, 5), 0);
    NO_EVENT(&dom0); /* once until RESUME */
    EQ(kit_do(&dom0, XK_STORE_RESUME, "5", NULL), 0);
    EQ(seen.resumed, 1);
    EQ(xk_store_domain_shutdown(server, 5), 0);
    EVENT(&dom0, "@releaseDomain", "t");
    EQ(kit_do(&dom0, XK_STORE_RELEASE, "5", NULL), 0);
    EQ(seen.released, 1);
    EVENT(&dom0, "@releaseDomain", "t");
    EQ(kit_do(&dom0, XK_STORE_IS_DOMAIN_INTRODUCED, "5", NULL), 0);
    STREQ((char *)dom0.reply, "F");
    EQ(kit_do(&dom0, XK_STORE_IS_DOMAIN_INTRODUCED, "32752", NULL), 0);
    STREQ((char *)dom0.reply, "T"); /* DOMID_SELF */
    done();
}

static struct kit stub;
static void close_stub(void *arg, unsigned domid)
{
    (void)arg;
    (void)domid;
    xk_store_conn_close(stub.conn);
}

TEST(a_callback_may_close_the_connection_that_asked)
{
    static const struct xk_store_server_ops closing = {.version = 1, .release = close_stub};
    struct xk_store_stats st;
    uint8_t bytes[64];
    size_t n = kit_packet(bytes, XK_STORE_RELEASE, 1, 0, "9", 2);

    server = xk_store_server_create(NULL, &closing, NULL, NULL);
    kit_open(&dom0, server, 0);
    memset(&stub, 0, sizeof(stub));
    stub.conn = xk_store_conn_open(server, 9, 1, NULL);
    EQ(xk_store_domain_introduce(server, 9), 0);
    EQ(xk_store_conn_input(stub.conn, bytes, n), XK_ECLOSED);
    xk_store_server_stats(server, &st);
    EQ(st.connections, 1);
    done();
}

TEST(features)
{
    setup();
    EQ(kit_do(&g5, XK_STORE_GET_FEATURE, NULL), 0);
    STREQ((char *)g5.reply, "15");
    EQ(kit_do(&dom0, XK_STORE_SET_FEATURE, "5", "2", NULL), 0);
    EQ(kit_do(&dom0, XK_STORE_GET_FEATURE, "5", NULL), 0);
    STREQ((char *)dom0.reply, "2");
    EQ(xk_store_domain_features(server, 5), 2);
    EQ(kit_do(&g5, XK_STORE_WATCH, "x", "t", "1", NULL), XK_EINVAL); /* no watch depth for it */
    EQ(kit_do(&dom0, XK_STORE_SET_FEATURE, "5", "16", NULL), XK_EINVAL);
    EQ(kit_do(&dom0, XK_STORE_INTRODUCE, "5", "1", "1", NULL), 0);
    EQ(kit_do(&dom0, XK_STORE_SET_FEATURE, "5", "2", NULL), XK_EBUSY);
    done();
}

/* --- quotas ------------------------------------------------------------------------------------------------------- */

TEST(nodes_quota)
{
    char name[16];

    setup(); /* owns its home already */
    for (int i = 1; i < 1000; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        EQ(kit_write(&g5, name, "1"), 0);
    }
    EQ(kit_write(&g5, "more", "1"), XK_ENOSPC);
    EQ(kit_mkdir(&g5, "more/and/more"), XK_ENOSPC);
    EQ(kit_write(&g5, "n1", "still"), 0);
    EQ(kit_begin(&g5), 0);
    EQ(kit_rm(&g5, "n1"), 0);
    EQ(kit_write(&g5, "instead", "1"), 0);
    EQ(kit_write(&g5, "more", "1"), XK_ENOSPC);
    EQ(kit_end(&g5, "T"), 0);
    EQ(kit_write(&dom0, "/local/domain/5/more", "1"), 0); /* the control domain has no quota */
    EQ(kit_rm(&g5, "n2"), 0);
    EQ(kit_rm(&g5, "n3"), 0);
    EQ(kit_write(&g5, "more2", "1"), 0);
    done();
}

TEST(nodes_quota_at_the_commit)
{
    setup();
    EQ(kit_do(&dom0, XK_STORE_SET_QUOTA, "5", "nodes", "3", NULL), 0);
    EQ(kit_begin(&g5), 0);
    EQ(kit_write(&g5, "a", "1"), 0);
    EQ(kit_write(&g5, "b", "1"), 0);
    {
        uint32_t tx = g5.tx;
        g5.tx = 0;
        EQ(kit_write(&g5, "c", "1"), 0);
        g5.tx = tx;
    }
    EQ(kit_end(&g5, "T"), XK_ENOSPC);
    EQ(kit_read(&g5, "a"), XK_ENOENT);
    done();
}

TEST(other_quotas)
{
    char big[2100], text[16];
    uint32_t first;

    setup();
    memset(big, 'v', sizeof(big));
    big[2044] = 0;
    EQ(kit_write(&g5, "x", big), 0); /* with its one permission 2048 bytes */
    big[2044] = 'v';
    big[2045] = 0;
    EQ(kit_write(&g5, "x", big), XK_ENOSPC);
    EQ(kit_write(&g5, "y", big), XK_ENOSPC);
    EQ(kit_write(&dom0, "/y", big), 0);
    EQ(PERMS(&g5, "x", "n5", "r6", "r7", "r8", "r9"), XK_ENOSPC); /* too big with these */
    EQ(kit_write(&g5, "x", ""), 0);
    EQ(PERMS(&g5, "x", "n5", "r6", "r7", "r8", "r9"), 0);
    EQ(PERMS(&g5, "x", "n5", "r6", "r7", "r8", "r9", "r10"), XK_ENOSPC);
    for (int i = 0; i < 128; i++) {
        snprintf(text, sizeof(text), "w%d", i);
        EQ(kit_watch(&g5, text, "t"), 0);
        g5.nevents = 0;
    }
    EQ(kit_watch(&g5, "one-more", "t"), XK_E2BIG);
    EQ(kit_begin(&g5), 0);
    first = g5.tx;
    for (int i = 1; i < 10; i++)
        EQ(kit_begin(&g5), 0);
    EQ(kit_begin(&g5), XK_ENOSPC);
    g5.tx = first;
    EQ(kit_end(&g5, "F"), 0);
    EQ(kit_begin(&g5), 0);
    done();
}

TEST(transaction_nodes_quota)
{
    char text[16];

    setup();
    EQ(kit_do(&dom0, XK_STORE_SET_QUOTA, "5", "transaction-nodes", "10", NULL), 0);
    EQ(kit_begin(&g5), 0);
    for (int i = 0; i < 10; i++) {
        snprintf(text, sizeof(text), "n%d", i);
        EQ(kit_write(&g5, text, "t"), 0);
    }
    EQ(kit_write(&g5, "n3", "t"), 0);
    EQ(kit_write(&g5, "n10", "t"), XK_ENOSPC);
    EQ(kit_end(&g5, "T"), XK_ENOMEM);
    EQ(kit_read(&g5, "n1"), XK_ENOENT);
    done();
}

TEST(get_and_set_quota)
{
    setup();
    EQ(kit_do(&dom0, XK_STORE_GET_QUOTA, NULL), 0);
    OK(strstr((char *)dom0.reply, "nodes watches transactions") == (char *)dom0.reply);
    EQ(kit_do(&dom0, XK_STORE_GET_QUOTA, "nodes", NULL), 0);
    STREQ((char *)dom0.reply, "1000");
    EQ(kit_do(&dom0, XK_STORE_SET_QUOTA, "nodes", "7", NULL), 0);
    EQ(kit_do(&dom0, XK_STORE_GET_QUOTA, "5", "nodes", NULL), 0);
    STREQ((char *)dom0.reply, "1000"); /* the global ones are for new domains */
    EQ(kit_do(&dom0, XK_STORE_GET_QUOTA, "99", "nodes", NULL), 0);
    STREQ((char *)dom0.reply, "7");
    EQ(kit_do(&dom0, XK_STORE_SET_QUOTA, "5", "nodes", "0", NULL), 0);
    EQ(kit_do(&dom0, XK_STORE_SET_QUOTA, "what", "1", NULL), XK_EINVAL);
    EQ(kit_do(&dom0, XK_STORE_SET_QUOTA, "nodes", "-1", NULL), XK_EINVAL);
    EQ(kit_do(&dom0, XK_STORE_SET_QUOTA, "5", "nodes", "1", "1", NULL), XK_EINVAL);
    EQ(kit_do(&dom0, XK_STORE_GET_QUOTA, "permissions", NULL), 0);
    STREQ((char *)dom0.reply, "5");
    done();
}

/* --- CONTROL ------------------------------------------------------------------------------------------------------ */

TEST(control_commands_answer)
{
    setup();
    EQ(kit_do(&dom0, XK_STORE_CONTROL, "help", NULL), 0);
    OK(strstr((char *)dom0.reply, "memreport") != NULL);
    EQ(kit_do(&dom0, XK_STORE_CONTROL, "log", "on", NULL), 0);
    STREQ((char *)dom0.reply, "OK");
    EQ(kit_do(&dom0, XK_STORE_CONTROL, "print", "hello", NULL), 0);
    STREQ(seen.line, "hello");
    EQ(kit_do(&dom0, XK_STORE_CONTROL, "memreport", NULL), 0);
    OK(strstr((char *)dom0.reply, "nodes") != NULL);
    EQ(kit_do(&dom0, XK_STORE_CONTROL, "quota", NULL), 0);
    OK(strstr((char *)dom0.reply, "1000") != NULL);
    EQ(kit_do(&dom0, XK_STORE_CONTROL, "quota", "5", NULL), 0);
    OK(strstr((char *)dom0.reply, "1 of 1000") != NULL);
    EQ(kit_do(&dom0, XK_STORE_CONTROL, "quota", "77", NULL), XK_ENOENT);
    EQ(kit_do(&dom0, XK_STORE_CONTROL, "quota", "set", "watches", "1", NULL), 0);
    EQ(kit_watch(&g5, "a", "t"), 0);
    EQ(kit_watch(&g5, "b", "t"), XK_E2BIG);
    EQ(kit_do(&dom0, XK_STORE_CONTROL, "watches", NULL), 0);
    STREQ((char *)dom0.reply, "5 /local/domain/5/a t\n");
    EQ(kit_do(&dom0, XK_STORE_CONTROL, "live-update", "-s", NULL), XK_ENOSYS);
    EQ(kit_call(&dom0, XK_STORE_CONTROL, NULL, 0), XK_EINVAL);
    done();
}

TEST(control_output_is_cut_at_a_packet)
{
    char path[64];

    setup();
    for (int i = 0; i < 400; i++) {
        snprintf(path, sizeof(path), "/some/longer/path/to/watch/%d", i);
        EQ(kit_watch(&dom0, path, "token"), 0);
        dom0.nevents = 0;
    }
    EQ(kit_do(&dom0, XK_STORE_CONTROL, "watches", NULL), 0);
    EQ(dom0.len, 4096);
    done();
}

/* Else a guest could have a record made of each domain that there can be. */
TEST(one_that_is_named_and_not_leaves_nothing)
{
    struct xk_store_stats before, after;
    char who[16];

    setup();
    EQ(kit_mkdir(&dom0, "/local/domain/5"), 0);
    EQ(kit_do(&dom0, XK_STORE_SET_PERMS, "/local/domain/5", "n5", NULL), 0);
    xk_store_server_stats(server, &before);
    for (int i = 0; i < 200; i++) {
        EQ(kit_begin(&g5), 0);
        EQ(kit_mkdir(&g5, "t"), 0);
        snprintf(who, sizeof(who), "r%d", 1000 + i);
        EQ(kit_do(&g5, XK_STORE_SET_PERMS, "t", "n5", who, NULL), 0);
        EQ(kit_rm(&g5, "t"), 0);
        EQ(kit_end(&g5, "T"), 0);
    }
    xk_store_server_stats(server, &after);
    EQ(after.domains, before.domains);
    done();
}
