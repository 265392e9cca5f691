/* The state as a stream: what is loaded says the same as what was saved, to each client. SPDX-License-Identifier: MIT
 */
#include <stdlib.h>

#include <xenkit/store_state.h>

#include "tests/c/store/kit.h"

/* --- saving into memory, loading with kits as transports ---------------------------------------------------------- */

static uint8_t stream[1 << 20];
static size_t stream_bytes;
static size_t stream_room = sizeof(stream);

static int to_stream(void *arg, const void *bytes, size_t n)
{
    (void)arg;
    if (stream_bytes + n > stream_room)
        return XK_ENOSPC;
    memcpy(stream + stream_bytes, bytes, n);
    stream_bytes += n;
    return 0;
}

/* Kit k of kits[] is a ring of its domain, or a socket when that is 0. */
static struct kit kits[4];
static const char *unread;

static int describe(void *arg, struct xk_store_conn *c, struct xk_store_link *link)
{
    (void)arg;
    for (int i = 0; i < 4; i++) {
        if (kits[i].conn != c)
            continue;
        *link = (struct xk_store_link){.domid = xk_store_conn_domid(c), .port = 10u + (unsigned)i, .fd = 100 + i};
        link->kind = link->domid ? XK_STORE_LINK_RING : XK_STORE_LINK_SOCKET;
        if (unread && !link->domid) {
            link->unread = unread;
            link->unread_bytes = strlen(unread);
        }
        return 0;
    }
    return XK_ENOENT;
}

static char got_unread[64];

static struct xk_store_conn *adopt(void *arg, const struct xk_store_link *link)
{
    struct xk_store_server *s = arg;
    unsigned i = link->kind == XK_STORE_LINK_RING ? link->port - 10 : (unsigned)link->fd - 100;

    OK(i < 4);
    if (link->unread_bytes)
        snprintf(got_unread, sizeof(got_unread), "%.*s", (int)link->unread_bytes, (const char *)link->unread);
    kits[i].server = s;
    kits[i].conn = xk_store_conn_open(s, link->domid, link->privileged, &kits[i]);
    return kits[i].conn;
}

static int save(struct xk_store_server *s, unsigned flags)
{
    struct xk_store_saver saver = {.write = to_stream, .link = describe, .flags = flags, .listener = 7, .events = 8};

    stream_bytes = 0;
    return xk_store_server_save(s, &saver);
}

static struct xk_store_server *load(void)
{
    struct xk_store_server *s = xk_store_server_create(NULL, NULL, NULL, NULL);
    struct xk_store_loader loader = {.conn = adopt, .arg = s};
    struct xk_diag diag = {0};

    EQ(xk_store_server_load(s, stream, stream_bytes, &loader, &diag), 0);
    STREQ(diag.text, "");
    EQ(loader.listener, 7);
    EQ(loader.events, 8);
    EQ(loader.used, stream_bytes);
    return s;
}

/* Hands (s) over to a new server; the old one is gone afterwards. */
static struct xk_store_server *hand_over(struct xk_store_server *s, unsigned flags)
{
    EQ(save(s, flags), 0);
    xk_store_server_destroy(s);
    for (int i = 0; i < 4; i++)
        kits[i].conn = NULL;
    return load();
}

static struct xk_store_server *world_with(const struct xk_store_server_ops *ops)
{
    struct xk_store_server *s = xk_store_server_create(NULL, ops, NULL, NULL);

    memset(kits, 0, sizeof(kits));
    unread = NULL;
    kit_open(&kits[0], s, 0);
    for (unsigned i = 1; i < 4; i++) {
        char id[8], home[32], owner[8];
        snprintf(id, sizeof(id), "%u", i);
        snprintf(home, sizeof(home), "/local/domain/%u", i);
        snprintf(owner, sizeof(owner), "n%u", i);
        EQ(kit_do(&kits[0], XK_STORE_INTRODUCE, id, "1", "5", NULL), 0);
        EQ(kit_write(&kits[0], home, ""), 0);
        EQ(kit_do(&kits[0], XK_STORE_SET_PERMS, home, owner, NULL), 0);
        kit_open(&kits[i], s, i);
    }
    return s;
}

static struct xk_store_server *world(void) { return world_with(NULL); }

/* --- tests -------------------------------------------------------------------------------------------------------- */

TEST(nodes_permissions_and_accounts)
{
    struct xk_store_server *s = world();
    struct xk_store_stats before, after;

    EQ(kit_write(&kits[1], "data/a", "one"), 0);
    EQ(kit_call(&kits[1], XK_STORE_WRITE, "data/b\0x\0y", 10), 0);
    EQ(kit_do(&kits[1], XK_STORE_SET_PERMS, "data/a", "n1", "r2", "b3", NULL), 0);
    EQ(kit_do(&kits[0], XK_STORE_SET_PERMS, "@releaseDomain", "n0", "r3", NULL), 0);
    xk_store_server_stats(s, &before);
    s = hand_over(s, 0);
    xk_store_server_stats(s, &after);
    EQ(after.nodes, before.nodes);
    VALUE(&kits[1], "data/a", "one");
    EQ(kit_read(&kits[1], "data/b"), 0);
    EQ(kits[1].len, 3);
    EQ(memcmp(kits[1].reply, "x\0y", 3), 0);
    VALUE(&kits[2], "/local/domain/1/data/a", "one");
    EQ(kit_read(&kits[2], "/local/domain/1/data/b"), XK_EACCES);
    EQ(kit_write(&kits[3], "/local/domain/1/data/a", "three"), 0);
    EQ(kit_do(&kits[3], XK_STORE_GET_PERMS, "@releaseDomain", NULL), 0);
    SOUND(&kits[0]);
    EQ(xk_store_domain_died(s, 1), 0);
    EQ(kit_read(&kits[0], "/local/domain/1"), XK_ENOENT);
    SOUND(&kits[0]);
    xk_store_server_destroy(s);
}

TEST(what_every_server_begins_with_may_be_gone)
{
    struct xk_store_server *s = world();

    EQ(kit_rm(&kits[0], "/tool"), 0);
    s = hand_over(s, 0);
    EQ(kit_read(&kits[0], "/tool"), XK_ENOENT);
    SOUND(&kits[0]);
    xk_store_server_destroy(s);
}

TEST(the_same_bytes_again)
{
    struct xk_store_server *s = world();
    static uint8_t first[1 << 16];
    size_t n, differ = 0;

    EQ(kit_watch(&kits[1], "data", "t"), 0);
    EQ(kit_do(&kits[2], XK_STORE_WATCH, "/local", "deep", "2", NULL), 0);
    EQ(kit_begin(&kits[3]), 0);
    EQ(kit_write(&kits[3], "x/y", "z"), 0);
    EQ(save(s, 0), 0);
    n = stream_bytes;
    OK(n < sizeof(first));
    memcpy(first, stream, n);
    s = hand_over(s, 0);
    EQ(save(s, 0), 0);
    EQ(stream_bytes, n);
    for (size_t i = 0; i < n; i++)
        differ += first[i] != stream[i];
    OK(differ <= 8); /* the generation count goes on */
    xk_store_server_destroy(s);
}

TEST(watches_go_on)
{
    struct xk_store_server *s = world();

    EQ(kit_watch(&kits[1], "data", "mine"), 0);
    EQ(kit_do(&kits[1], XK_STORE_WATCH, "/local/domain/1", "flat", "1", NULL), 0);
    EQ(kit_watch(&kits[0], "@releaseDomain", "gone"), 0);
    for (int i = 0; i < 2; i++)
        kit_fetch(&kits[i]);
    kits[0].nevents = kits[1].nevents = 0;
    s = hand_over(s, 0);
    NO_EVENT(&kits[1]);
    EQ(kit_write(&kits[1], "data/sub", "1"), 0);
    EVENT(&kits[1], "data/sub", "mine");
    NO_EVENT(&kits[1]);
    EQ(kit_write(&kits[1], "direct", "1"), 0);
    EVENT(&kits[1], "/local/domain/1/direct", "flat");
    NO_EVENT(&kits[1]);
    EQ(xk_store_domain_died(s, 2), 0);
    EVENT(&kits[0], "@releaseDomain", "gone");
    EQ(kit_do(&kits[1], XK_STORE_UNWATCH, "data", "mine", NULL), 0);
    xk_store_server_destroy(s);
}

/* A reply of which three bytes are out, an event behind it; half a request on the way in. */
TEST(no_byte_is_lost_or_sent_twice)
{
    struct xk_store_server *s = world();
    uint8_t packet[256], got[512];
    const uint8_t *p;
    size_t n, total;

    EQ(kit_watch(&kits[1], "data", "t"), 0);
    kit_fetch(&kits[1]);
    EQ(kit_write(&kits[1], "data/v", "value"), 0);
    kit_fetch(&kits[1]);
    n = kit_packet(packet, XK_STORE_READ, 77, 0, "data/v", 7);
    EQ(xk_store_conn_input(kits[1].conn, packet, n), (long)n);
    EQ(kit_write(&kits[0], "/local/domain/1/data/w", "1"), 0);
    total = xk_store_conn_output(kits[1].conn, &p);
    memcpy(got, p, 3);
    xk_store_conn_sent(kits[1].conn, 3);
    n = kit_packet(packet, XK_STORE_READ, 78, 0, "data/v", 7);
    EQ(xk_store_conn_input(kits[1].conn, packet, 18), 18);
    for (int i = 0; i < 3; i++)
        s = hand_over(s, 0);
    EQ(xk_store_conn_output(kits[1].conn, &p), total - 3);
    memcpy(got + 3, p, total - 3);
    EQ(memcmp(got + XK_STORE_HEADER_SIZE, "value", 5), 0);
    EQ(got[XK_STORE_HEADER_SIZE + 5], XK_STORE_WATCH_EVENT);
    STREQ((char *)got + 2 * XK_STORE_HEADER_SIZE + 5, "data/w");
    xk_store_conn_sent(kits[1].conn, total - 3);
    EQ(xk_store_conn_input(kits[1].conn, packet + 18, n - 18), (long)n - 18);
    kits[1].req_id = 78;
    EQ(kit_fetch(&kits[1]), 1);
    STREQ((char *)kits[1].reply, "value");
    SOUND(&kits[0]);
    xk_store_server_destroy(s);
}

TEST(what_the_transport_holds_comes_along)
{
    struct xk_store_server *s = world();

    unread = "0123456789abcdef and more that is no request";
    got_unread[0] = '\0';
    s = hand_over(s, 0);
    STREQ(got_unread, unread);
    unread = NULL;
    xk_store_server_destroy(s);
}

TEST(a_transaction_commits_in_the_new_server)
{
    struct xk_store_server *s = world();

    EQ(kit_write(&kits[1], "data/gone", "x"), 0);
    EQ(kit_begin(&kits[1]), 0);
    EQ(kit_write(&kits[1], "data/new/deep", "1"), 0);
    EQ(kit_rm(&kits[1], "data/gone"), 0);
    EQ(kit_read(&kits[1], "data/none"), XK_ENOENT);
    EQ(kit_write(&kits[0], "/unrelated", "1"), 0);
    s = hand_over(s, 0);
    VALUE(&kits[1], "data/new/deep", "1");
    EQ(kit_read(&kits[1], "data/gone"), XK_ENOENT);
    EQ(kit_read(&kits[0], "/local/domain/1/data/new"), XK_ENOENT);
    EQ(kit_write(&kits[1], "data/later", "2"), 0);
    EQ(kit_end(&kits[1], "T"), 0);
    VALUE(&kits[0], "/local/domain/1/data/new/deep", "1");
    VALUE(&kits[0], "/local/domain/1/data/later", "2");
    EQ(kit_read(&kits[0], "/local/domain/1/data/gone"), XK_ENOENT);
    SOUND(&kits[0]);
    xk_store_server_destroy(s);
}

static void later(void *arg) { (void)arg; }

/* What it removed is not counted yet when the state is written. */
TEST(a_transaction_whose_removals_are_not_counted_is_handed_over)
{
    static const struct xk_store_server_ops ops = {.version = XK_STORE_SERVER_OPS_VERSION, .later = later};
    struct xk_store_server *s = world_with(&ops);

    EQ(kit_write(&kits[1], "a/b", "v"), 0);
    EQ(kit_begin(&kits[0]), 0);
    EQ(kit_rm(&kits[0], "/local/domain/1/a"), 0);
    s = hand_over(s, 0);
    EQ(kit_end(&kits[0], "T"), 0);
    EQ(kit_do(&kits[0], XK_STORE_CONTROL, "quota", "1", NULL), 0);
    OK(strstr((char *)kits[0].reply, "nodes               1 of") != NULL);
    SOUND(&kits[0]);
    xk_store_server_destroy(s);
}

/* Others' wait, too, while somebody commits: each is out of its transaction's own tree when that is written. */
TEST(several_transactions_whose_removals_wait_are_handed_over)
{
    static const struct xk_store_server_ops ops = {.version = XK_STORE_SERVER_OPS_VERSION, .later = later};
    struct xk_store_server *s = world_with(&ops);

    EQ(kit_write(&kits[1], "a/b", "v"), 0);
    EQ(kit_write(&kits[2], "a/b", "v"), 0);
    kit_open(&kits[3], s, 0);
    EQ(kit_begin(&kits[0]), 0);
    EQ(kit_begin(&kits[3]), 0);
    EQ(kit_write(&kits[2], "meanwhile", "v"), 0);
    EQ(kit_rm(&kits[0], "/local/domain/1/a"), 0);
    EQ(kit_rm(&kits[3], "/local/domain/2/a"), 0);
    s = hand_over(s, 0);
    EQ(kit_read(&kits[0], "/local/domain/1/a/b"), XK_ENOENT);
    EQ(kit_read(&kits[3], "/local/domain/2/a/b"), XK_ENOENT);
    EQ(kit_end(&kits[0], "T"), 0);
    EQ(kit_end(&kits[3], "T"), 0);
    EQ(kit_read(&kits[0], "/local/domain/1/a"), XK_ENOENT);
    EQ(kit_read(&kits[0], "/local/domain/2/a"), XK_ENOENT);
    EQ(kit_do(&kits[0], XK_STORE_CONTROL, "quota", "1", NULL), 0);
    OK(strstr((char *)kits[0].reply, "nodes               1 of") != NULL);
    EQ(kit_do(&kits[0], XK_STORE_CONTROL, "quota", "2", NULL), 0);
    OK(strstr((char *)kits[0].reply, "nodes               2 of") != NULL);
    SOUND(&kits[0]);
    xk_store_server_destroy(s);
}

TEST(a_transaction_conflicts_in_the_new_server)
{
    struct xk_store_server *s = world();

    EQ(kit_write(&kits[1], "data/v", "1"), 0);
    for (int when = 0; when < 2; when++) { /* the other write comes before, and after the hand-over */
        EQ(kit_begin(&kits[1]), 0);
        EQ(kit_read(&kits[1], "data/v"), 0);
        EQ(kit_write(&kits[1], "data/w", "2"), 0);
        if (when == 0)
            EQ(kit_write(&kits[0], "/local/domain/1/data/v", "3"), 0);
        s = hand_over(s, 0);
        if (when == 1)
            EQ(kit_write(&kits[0], "/local/domain/1/data/v", "4"), 0);
        EQ(kit_end(&kits[1], "T"), XK_EAGAIN);
        EQ(kit_read(&kits[1], "data/w"), XK_ENOENT);
    }
    SOUND(&kits[0]);
    xk_store_server_destroy(s);
}

TEST(a_transaction_is_handed_over_beside_what_others_changed)
{
    struct xk_store_server *s = world();
    struct kit *a = &kits[0];

    EQ(kit_write(a, "/d/x", "old"), 0);
    EQ(kit_do(a, XK_STORE_SET_PERMS, "/d", "b0", NULL), 0);
    EQ(kit_begin(a), 0);
    EQ(kit_do(a, XK_STORE_SET_PERMS, "/d/x", "n0", "r1", NULL), 0);
    EQ(kit_write(a, "/both/mine", "1"), 0);
    a->tx = 0;
    EQ(kit_write(a, "/both/theirs", "1"), 0);
    EQ(kit_write(a, "/d/x", "new"), 0);
    a->tx = 1;
    s = hand_over(s, 0);
    EQ(kit_end(a, "T"), 0);
    VALUE(a, "/d/x", "new");
    EQ(kit_do(a, XK_STORE_GET_PERMS, "/d/x", NULL), 0);
    STREQ((char *)a->reply + 3, "r1");
    STREQ(kit_list(a, "/both"), "mine theirs");
    SOUND(a);
    xk_store_server_destroy(s);
}

TEST(a_transaction_that_made_what_others_made_relies_on_theirs)
{
    struct xk_store_server *s = world();
    struct kit *a = &kits[0];
    uint32_t id;

    EQ(kit_begin(a), 0);
    EQ(kit_write(a, "/both", "1"), 0);
    a->tx = 0;
    EQ(kit_write(a, "/both", "2"), 0);
    EQ(kit_do(a, XK_STORE_SET_PERMS, "/both", "b0", NULL), 0);
    a->tx = 1;
    s = hand_over(s, 0);
    VALUE(a, "/both", "1");
    a->tx = 0;
    EQ(kit_rm(a, "/both"), 0);
    a->tx = 1;
    EQ(kit_end(a, "T"), XK_EAGAIN);
    EQ(kit_mkdir(a, "/d"), 0);
    EQ(kit_begin(a), 0);
    id = a->tx;
    EQ(kit_rm(a, "/d"), 0);
    EQ(kit_mkdir(a, "/d/x"), 0);
    a->tx = 0;
    EQ(kit_write(a, "/d/x", "1"), 0);
    a->tx = id;
    s = hand_over(s, 0);
    a->tx = 0;
    EQ(kit_write(a, "/elsewhere", "1"), 0);
    a->tx = id;
    EQ(kit_end(a, "T"), 0);
    VALUE(a, "/d/x", ""); /* but what it removed with all below was theirs, too */
    SOUND(a);
    xk_store_server_destroy(s);
}

TEST(a_transaction_whose_directory_is_gone_is_handed_over)
{
    struct xk_store_server *s = world();
    struct kit *a = &kits[0];

    EQ(kit_write(a, "/d/x", "1"), 0);
    EQ(kit_begin(a), 0);
    EQ(kit_write(a, "/d/y/z", "1"), 0);
    a->tx = 0;
    EQ(kit_rm(a, "/d"), 0);
    a->tx = 1;
    s = hand_over(s, 0);
    EQ(kit_end(a, "T"), XK_EAGAIN);
    SOUND(a);
    xk_store_server_destroy(s);
}

TEST(quotas_targets_and_states_of_domains)
{
    struct xk_store_server *s = world();

    EQ(kit_do(&kits[0], XK_STORE_SET_QUOTA, "1", "nodes", "3", NULL), 0);
    EQ(kit_do(&kits[0], XK_STORE_SET_TARGET, "2", "3", NULL), 0);
    EQ(xk_store_domain_shutdown(s, 3), 0);
    EQ(kit_watch(&kits[0], "@releaseDomain", "r"), 0);
    kit_fetch(&kits[0]);
    kits[0].nevents = 0;
    s = hand_over(s, 0);
    EQ(kit_write(&kits[1], "a", ""), 0);
    EQ(kit_write(&kits[1], "b", ""), 0);
    EQ(kit_write(&kits[1], "c", ""), XK_ENOSPC);
    EQ(kit_write(&kits[2], "/local/domain/3/for-its-target", ""), 0);
    EQ(xk_store_domain_shutdown(s, 3), 0);
    NO_EVENT(&kits[0]); /* it was told before */
    EQ(kit_do(&kits[0], XK_STORE_IS_DOMAIN_INTRODUCED, "2", NULL), 0);
    STREQ((char *)kits[0].reply, "T");
    xk_store_server_destroy(s);
}

TEST(upstreams_records_alone)
{
    struct xk_store_server *s = world();

    EQ(kit_write(&kits[1], "data/v", "1"), 0);
    EQ(kit_watch(&kits[1], "data", "t"), 0);
    kit_fetch(&kits[1]);
    kits[1].nevents = 0;
    EQ(kit_begin(&kits[2]), 0);
    EQ(kit_write(&kits[2], "x", "y"), 0);
    s = hand_over(s, XK_STORE_SAVE_PLAIN);
    VALUE(&kits[1], "data/v", "1");
    EQ(kit_write(&kits[1], "data/v", "2"), 0);
    EVENT(&kits[1], "data/v", "t");
    EQ(kit_end(&kits[2], "T"), XK_EAGAIN);
    EQ(kit_do(&kits[0], XK_STORE_IS_DOMAIN_INTRODUCED, "2", NULL), 0);
    STREQ((char *)kits[0].reply, "T");
    SOUND(&kits[0]);
    xk_store_server_destroy(s);
}

TEST(a_writer_that_fails_stops_it)
{
    struct xk_store_server *s = world();

    stream_room = 100;
    EQ(save(s, 0), XK_ENOSPC);
    stream_room = sizeof(stream);
    EQ(save(s, 0), 0);
    SOUND(&kits[0]);
    xk_store_server_destroy(s);
}

TEST(a_broken_stream_names_the_place)
{
    struct xk_store_server *s = world(), *t;
    struct xk_diag diag;

    EQ(save(s, 0), 0);
    xk_store_server_destroy(s);
    for (size_t n = 0; n < stream_bytes; n += 5) {
        memset(&diag, 0, sizeof(diag));
        t = xk_store_server_create(NULL, NULL, NULL, NULL);
        EQ(xk_store_server_load(t, stream, n, NULL, &diag), XK_EPROTO);
        OK(strstr(diag.text, n < 16 ? "16 bytes" : "at byte") != NULL);
        xk_store_server_destroy(t);
    }
}

/* --- every allocation may fail ------------------------------------------------------------------------------------ */

static long allowed;
static size_t held;

static void *failing_resize(void *ctx, void *p, size_t old, size_t size)
{
    void *q;

    (void)ctx;
    if (size == 0) {
        held -= p ? old : 0;
        free(p);
        return NULL;
    }
    if (size > old && allowed >= 0 && allowed-- == 0)
        return NULL;
    q = realloc(p, size);
    if (q)
        held += size - (p ? old : 0);
    return q;
}

static const xk_alloc failing = {failing_resize, NULL};

/* The copies that a removal takes are on its domain's account, also when a save has it carried out. */
TEST(a_save_charges_who_removes)
{
    static const struct xk_store_server_ops ops = {.version = XK_STORE_SERVER_OPS_VERSION, .later = later};
    struct xk_store_server *s = world_with(&ops);
    long memory[2];

    kit_open(&kits[1], s, 0);
    EQ(kit_write(&kits[0], "/a/b/c", "v"), 0);
    EQ(kit_begin(&kits[0]), 0);
    EQ(kit_rm(&kits[0], "/a/b"), 0);
    for (int i = 0; i < 2; i++) {
        EQ(kit_do(&kits[1], XK_STORE_CONTROL, "quota", "0", NULL), 0);
        memory[i] = strtol(strstr((char *)kits[1].reply, "memory") + 6, NULL, 10);
        EQ(save(s, 0), 0);
    }
    OK(memory[1] > memory[0] + 100);
    EQ(kit_end(&kits[0], "F"), 0);
    SOUND(&kits[0]);
    xk_store_server_destroy(s);
}

/* What a transaction removes is out of its tree before that is saved; a state without transactions leaves it alone. */
TEST(removals_that_wait_without_memory)
{
    static const struct xk_store_server_ops ops = {.version = XK_STORE_SERVER_OPS_VERSION, .later = later};
    long failures[2] = {0};

    for (unsigned flags = 0; flags <= XK_STORE_SAVE_NO_TRANSACTIONS; flags += XK_STORE_SAVE_NO_TRANSACTIONS)
        for (long n = 0, more = 1; more; n++) {
            struct xk_store_stats before, after;
            struct xk_store_server *s;
            allowed = -1;
            held = 0;
            memset(kits, 0, sizeof(kits));
            s = xk_store_server_create(&failing, &ops, NULL, NULL);
            kit_open(&kits[0], s, 0);
            EQ(kit_write(&kits[0], "/a/b/c", "v"), 0);
            EQ(kit_begin(&kits[0]), 0);
            EQ(kit_rm(&kits[0], "/a/b"), 0);
            xk_store_server_stats(s, &before);
            allowed = n;
            EQ(save(s, flags), allowed < 0 ? XK_ENOMEM : 0);
            more = allowed < 0;
            failures[flags / XK_STORE_SAVE_NO_TRANSACTIONS] += more;
            allowed = -1;
            xk_store_server_stats(s, &after);
            if (flags)
                EQ(after.nodes_held, before.nodes_held);
            EQ(kit_read(&kits[0], "/a/b/c"), XK_ENOENT);
            EQ(kit_end(&kits[0], "T"), 0);
            SOUND(&kits[0]);
            xk_store_server_destroy(s);
            EQ(held, 0);
        }
    OK(failures[1] > 0 && failures[0] > failures[1]);
}

TEST(loading_fails_cleanly_without_memory)
{
    struct xk_store_server *s = world();
    long failures = 0;
    int rc = XK_ENOMEM;

    EQ(kit_watch(&kits[1], "data", "t"), 0);
    EQ(kit_begin(&kits[2]), 0);
    EQ(kit_write(&kits[2], "a/b/c", "y"), 0);
    EQ(save(s, 0), 0);
    xk_store_server_destroy(s);
    for (long n = 0; rc != 0; n++) {
        struct xk_store_loader loader = {.conn = adopt};
        memset(kits, 0, sizeof(kits));
        allowed = -1;
        held = 0;
        s = xk_store_server_create(&failing, NULL, NULL, NULL);
        loader.arg = s;
        allowed = n;
        rc = xk_store_server_load(s, stream, stream_bytes, &loader, NULL);
        OK(rc == 0 || rc == XK_ENOMEM);
        if (rc == 0 && !(kits[0].conn && kits[1].conn && kits[2].conn && kits[3].conn))
            rc = XK_ENOMEM; /* a transport that finds no memory does without its client */
        failures += rc != 0;
        allowed = -1;
        xk_store_server_destroy(s);
        EQ(held, 0);
        OK(n < 10000);
    }
    printf("# %ld failed allocations\n", failures);
    OK(failures > 25);
}

/* For the fuzz target's corpus: XK_CORPUS=FILE build/tests/test_store_state corpus */
TEST(corpus)
{
    const char *path = getenv("XK_CORPUS");
    struct xk_store_server *s = world();
    FILE *f;

    EQ(kit_watch(&kits[1], "data", "t"), 0);
    EQ(kit_begin(&kits[2]), 0);
    EQ(kit_write(&kits[2], "a/b", "y"), 0);
    EQ(save(s, getenv("XK_PLAIN") ? XK_STORE_SAVE_PLAIN : 0), 0);
    xk_store_server_destroy(s);
    f = path ? fopen(path, "wb") : NULL;
    if (f) {
        EQ(fwrite(stream, 1, stream_bytes, f), stream_bytes);
        fclose(f);
    }
}
