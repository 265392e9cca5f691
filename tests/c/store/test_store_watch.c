/* Watches. SPDX-License-Identifier: MIT */
#include "tests/c/store/kit.h"

static struct xk_store_server *server;
static struct kit dom0, other, guest;

static void setup(void)
{
    server = xk_store_server_create(NULL, NULL, NULL, NULL);
    kit_open(&dom0, server, 0);
    kit_open(&other, server, 0);
    kit_open(&guest, server, 5);
    EQ(kit_mkdir(&dom0, "/local/domain/5"), 0);
    EQ(kit_do(&dom0, XK_STORE_SET_PERMS, "/local/domain/5", "n5", NULL), 0);
}

static void done(void)
{
    SOUND(&dom0);
    xk_store_server_destroy(server);
}

TEST(a_new_watch_fires_at_once)
{
    setup();
    EQ(kit_watch(&dom0, "/not/there", "tok"), 0);
    EVENT(&dom0, "/not/there", "tok");
    NO_EVENT(&dom0);
    done();
}

TEST(the_reply_comes_before_the_first_event)
{
    uint8_t bytes[64];
    struct xk_store_header h;
    const uint8_t *p;
    size_t n = kit_packet(bytes, XK_STORE_WATCH, 1, 0, "/a\0t", 5);

    setup();
    EQ(xk_store_conn_input(dom0.conn, bytes, n), (long)n);
    OK(xk_store_conn_output(dom0.conn, &p) > 19);
    EQ(xk_store_header_get(&h, p), 0);
    EQ(h.type, XK_STORE_WATCH);
    EQ(xk_store_header_get(&h, p + 19), 0);
    EQ(h.type, XK_STORE_WATCH_EVENT);
    xk_store_conn_sent(dom0.conn, xk_store_conn_output(dom0.conn, &p));
    done();
}

TEST(a_watch_sees_its_path_and_all_below)
{
    setup();
    EQ(kit_watch(&dom0, "/a", "t"), 0);
    EVENT(&dom0, "/a", "t");
    EQ(kit_write(&other, "/a", "1"), 0);
    EVENT(&dom0, "/a", "t");
    EQ(kit_write(&other, "/a/b/c", "1"), 0);
    EVENT(&dom0, "/a/b/c", "t");
    EQ(kit_write(&other, "/ab", "1"), 0);
    EQ(kit_write(&other, "/b/a", "1"), 0);
    NO_EVENT(&dom0);
    EQ(kit_mkdir(&other, "/a/d"), 0);
    EVENT(&dom0, "/a/d", "t");
    EQ(kit_mkdir(&other, "/a/d"), 0); /* nothing happens */
    EQ(kit_rm(&other, "/a/none"), 0);
    NO_EVENT(&dom0);
    EQ(kit_do(&other, XK_STORE_SET_PERMS, "/a/d", "r0", NULL), 0);
    EVENT(&dom0, "/a/d", "t");
    EQ(kit_rm(&other, "/a/d"), 0);
    EVENT(&dom0, "/a/d", "t");
    NO_EVENT(&dom0);
    done();
}

TEST(a_watch_on_the_root_sees_everything)
{
    setup();
    EQ(kit_watch(&dom0, "/", "t"), 0);
    EVENT(&dom0, "/", "t");
    EQ(kit_write(&other, "/x/y", "1"), 0);
    EVENT(&dom0, "/x/y", "t");
    EQ(kit_write(&other, "/", "1"), 0);
    EVENT(&dom0, "/", "t");
    done();
}

TEST(recursive_removal_reports_the_watched_path)
{
    setup();
    EQ(kit_write(&dom0, "/a/b/c", "1"), 0);
    EQ(kit_watch(&dom0, "/a/b/c", "deep"), 0);
    EQ(kit_watch(&dom0, "/a/b/none", "missing"), 0);
    EQ(kit_watch(&dom0, "/a", "top"), 0);
    dom0.nevents = 0;
    EQ(kit_rm(&other, "/a"), 0);
    EVENT(&dom0, "/a/b/c", "deep");
    EVENT(&dom0, "/a", "top");
    NO_EVENT(&dom0); /* what did not exist was not removed */
    done();
}

TEST(relative_watches_report_relative_paths)
{
    setup();
    EQ(kit_watch(&guest, "device", "t"), 0);
    EVENT(&guest, "device", "t");
    EQ(kit_watch(&guest, "/local/domain/5/device", "abs"), 0);
    EVENT(&guest, "/local/domain/5/device", "abs");
    EQ(kit_write(&guest, "device/vif/0", "1"), 0);
    EVENT(&guest, "device/vif/0", "t");
    EVENT(&guest, "/local/domain/5/device/vif/0", "abs");
    EQ(kit_rm(&dom0, "/local/domain/5/device/vif"), 0);
    EVENT(&guest, "device/vif", "t");
    EQ(kit_do(&guest, XK_STORE_UNWATCH, "device", "t", NULL), 0);
    done();
}

TEST(unwatch_needs_path_and_token)
{
    setup();
    EQ(kit_watch(&dom0, "/a", "t"), 0);
    EVENT(&dom0, "/a", "t");
    EQ(kit_do(&dom0, XK_STORE_UNWATCH, "/a", "u", NULL), XK_ENOENT);
    EQ(kit_do(&dom0, XK_STORE_UNWATCH, "/b", "t", NULL), XK_ENOENT);
    EQ(kit_do(&other, XK_STORE_UNWATCH, "/a", "t", NULL), XK_ENOENT);
    EQ(kit_do(&dom0, XK_STORE_UNWATCH, "/a", NULL), XK_EINVAL);
    EQ(kit_do(&dom0, XK_STORE_UNWATCH, "/a", "t", "more", NULL), XK_EINVAL);
    EQ(kit_do(&dom0, XK_STORE_UNWATCH, "/a", "t", NULL), 0);
    EQ(kit_write(&other, "/a", "1"), 0);
    NO_EVENT(&dom0);
    done();
}

TEST(the_same_watch_twice_is_eexist)
{
    setup();
    EQ(kit_watch(&dom0, "/a", "t"), 0);
    EQ(kit_watch(&dom0, "/a", "t"), XK_EEXIST);
    EQ(kit_watch(&dom0, "/a", "u"), 0);
    EQ(kit_watch(&other, "/a", "t"), 0);
    EQ(kit_do(&dom0, XK_STORE_WATCH, "/a", NULL), XK_EINVAL);
    EQ(kit_do(&dom0, XK_STORE_WATCH, "/a/", "t", NULL), XK_EINVAL);
    done();
}

TEST(the_tx_id_of_a_watch_is_ignored)
{
    setup();
    dom0.tx = 4711;
    EQ(kit_watch(&dom0, "/a", "t"), 0);
    EVENT(&dom0, "/a", "t");
    EQ(kit_do(&dom0, XK_STORE_UNWATCH, "/a", "t", NULL), 0);
    EQ(kit_read(&dom0, "/"), XK_ENOENT); /* which it is not elsewhere */
    dom0.tx = 0;
    done();
}

TEST(events_of_a_transaction_come_after_the_commit)
{
    setup();
    EQ(kit_watch(&dom0, "/a", "t"), 0);
    dom0.nevents = 0;
    EQ(kit_begin(&other), 0);
    EQ(kit_write(&other, "/a/x", "1"), 0);
    EQ(kit_write(&other, "/a/x", "2"), 0);
    EQ(kit_write(&other, "/a/gone", "2"), 0);
    EQ(kit_rm(&other, "/a/gone"), 0);
    NO_EVENT(&dom0);
    EQ(kit_end(&other, "T"), 0);
    EVENT(&dom0, "/a/x", "t");
    NO_EVENT(&dom0);
    EQ(kit_begin(&other), 0);
    EQ(kit_write(&other, "/a/x", "3"), 0);
    EQ(kit_end(&other, "F"), 0);
    NO_EVENT(&dom0);
    EQ(kit_begin(&other), 0);
    EQ(kit_rm(&other, "/a"), 0);
    EQ(kit_end(&other, "T"), 0);
    EVENT(&dom0, "/a", "t");
    NO_EVENT(&dom0);
    done();
}

TEST(removal_in_a_transaction_reports_watched_paths)
{
    setup();
    EQ(kit_write(&dom0, "/a/b/c", "1"), 0);
    EQ(kit_watch(&dom0, "/a/b/c", "deep"), 0);
    dom0.nevents = 0;
    EQ(kit_begin(&other), 0);
    EQ(kit_rm(&other, "/a"), 0);
    EQ(kit_write(&dom0, "/z", "the tree moved on"), 0);
    EQ(kit_end(&other, "T"), 0);
    EVENT(&dom0, "/a/b/c", "deep");
    NO_EVENT(&dom0);
    done();
}

TEST(no_event_for_what_cannot_be_read)
{
    setup();
    EQ(kit_watch(&guest, "/secret", "t"), 0);
    EVENT(&guest, "/secret", "t"); /* the first one is about the watch */
    EQ(kit_write(&dom0, "/secret/x", "1"), 0);
    EQ(kit_write(&dom0, "/secret", "1"), 0);
    NO_EVENT(&guest);
    EQ(kit_do(&dom0, XK_STORE_SET_PERMS, "/secret", "n0", "r5", NULL), 0);
    EVENT(&guest, "/secret", "t"); /* it can be read now */
    EQ(kit_write(&dom0, "/secret/x", "2"), 0);
    EVENT(&guest, "/secret/x", "t"); /* its parent can be read */
    EQ(kit_write(&dom0, "/secret/x/y", "2"), 0);
    NO_EVENT(&guest);
    EQ(kit_do(&dom0, XK_STORE_SET_PERMS, "/secret", "n0", NULL), 0);
    EVENT(&guest, "/secret", "t"); /* who loses the right is told (old permissions) */
    EQ(kit_write(&dom0, "/secret", "3"), 0);
    NO_EVENT(&guest);
    EQ(kit_begin(&dom0), 0);
    EQ(kit_write(&dom0, "/secret", "4"), 0);
    EQ(kit_end(&dom0, "T"), 0);
    NO_EVENT(&guest);
    done();
}

TEST(deletion_of_a_readable_node_is_seen)
{
    setup();
    EQ(kit_write(&dom0, "/dir/n", "1"), 0);
    EQ(kit_do(&dom0, XK_STORE_SET_PERMS, "/dir/n", "n0", "r5", NULL), 0);
    EQ(kit_watch(&guest, "/dir/n", "t"), 0);
    guest.nevents = 0;
    EQ(kit_rm(&dom0, "/dir"), 0);
    EVENT(&guest, "/dir/n", "t");
    done();
}

TEST(deletion_of_what_a_readable_directory_lists_is_seen)
{
    setup();
    EQ(kit_write(&dom0, "/top/dir/n", "1"), 0);
    EQ(kit_do(&dom0, XK_STORE_SET_PERMS, "/top/dir", "n0", "r5", NULL), 0);
    EQ(kit_write(&dom0, "/top/dir/n/n", "1"), 0);
    EQ(kit_do(&dom0, XK_STORE_SET_PERMS, "/top/dir/n", "n0", NULL), 0);
    EQ(kit_do(&dom0, XK_STORE_SET_PERMS, "/top/dir/n/n", "n0", NULL), 0);
    EQ(kit_watch(&guest, "/top/dir/n", "t"), 0);
    EQ(kit_watch(&guest, "/top/dir/n/n", "t"), 0);
    guest.nevents = 0;
    EQ(kit_rm(&dom0, "/top"), 0);
    EVENT(&guest, "/top/dir/n", "t");
    NO_EVENT(&guest); /* neither it nor its directory could be read */
    done();
}

TEST(no_event_for_what_is_made_below_what_can_be_read)
{
    setup();
    EQ(kit_mkdir(&dom0, "/dir"), 0);
    EQ(kit_do(&dom0, XK_STORE_SET_PERMS, "/dir", "n5", NULL), 0);
    EQ(kit_watch(&guest, "/dir", "t"), 0);
    guest.nevents = 0;
    EQ(kit_do(&dom0, XK_STORE_SET_PERMS, "/dir", "n5", "w6", NULL), 0);
    EVENT(&guest, "/dir", "t");
    kit_open(&other, server, 6);
    EQ(kit_write(&other, "/dir/a/b", "1"), 0); /* all owned by 6, and the directory of "b" is as new as "b" is */
    NO_EVENT(&guest);
    EQ(kit_write(&other, "/dir/c", "1"), 0);
    EVENT(&guest, "/dir/c", "t");
    done();
}

TEST(depth_limits_what_a_watch_sees)
{
    setup();
    EQ(kit_do(&dom0, XK_STORE_WATCH, "/a", "d0", "0", NULL), 0);
    EQ(kit_do(&dom0, XK_STORE_WATCH, "/a", "d1", "1", NULL), 0);
    EQ(kit_do(&dom0, XK_STORE_WATCH, "/", "r1", "1", NULL), 0);
    EQ(kit_do(&dom0, XK_STORE_WATCH, "/a", "bad", "-1", NULL), XK_EINVAL);
    EQ(kit_do(&dom0, XK_STORE_WATCH, "/a", "bad", "x", NULL), XK_EINVAL);
    dom0.nevents = 0;
    EQ(kit_write(&other, "/a", "1"), 0);
    EVENT(&dom0, "/a", "r1");
    EVENT(&dom0, "/a", "d0");
    EVENT(&dom0, "/a", "d1");
    EQ(kit_write(&other, "/a/b", "1"), 0);
    EVENT(&dom0, "/a/b", "d1");
    EQ(kit_write(&other, "/a/b/c", "1"), 0);
    NO_EVENT(&dom0);
    done();
}

TEST(identical_queued_events_coalesce)
{
    struct xk_store_stats st;

    setup();
    EQ(kit_watch(&dom0, "/a", "t"), 0);
    EQ(kit_watch(&dom0, "/a", "u"), 0);
    dom0.nevents = 0;
    for (int i = 0; i < 10; i++)
        EQ(kit_write(&other, "/a/x", "1"), 0);
    EQ(kit_write(&other, "/a/y", "1"), 0);
    EVENT(&dom0, "/a/x", "t");
    EVENT(&dom0, "/a/x", "u");
    EVENT(&dom0, "/a/y", "t");
    EVENT(&dom0, "/a/y", "u");
    NO_EVENT(&dom0);
    xk_store_server_stats(server, &st);
    EQ(st.events_merged, 18);
    EQ(kit_write(&other, "/a/x", "1"), 0); /* sent ones do not count */
    EVENT(&dom0, "/a/x", "t");
    done();
}

TEST(a_half_sent_event_does_not_absorb_news)
{
    const uint8_t *p;
    size_t n;

    setup();
    EQ(kit_watch(&dom0, "/a", "t"), 0);
    EQ(kit_write(&other, "/a", "1"), 0);
    n = xk_store_conn_output(dom0.conn, &p);
    xk_store_conn_sent(dom0.conn, n - 1);
    EQ(kit_write(&other, "/a", "2"), 0);
    EQ(xk_store_conn_output(dom0.conn, &p), 1 + n);
    xk_store_conn_sent(dom0.conn, 1);
    dom0.nevents = 0;
    EVENT(&dom0, "/a", "t");
    done();
}

TEST(a_full_queue_loses_events_but_no_news)
{
    struct xk_store_stats st;
    const uint8_t *p;
    char path[64];
    size_t n;

    setup();
    EQ(kit_watch(&guest, "x", "t"), 0);
    guest.nevents = 0;
    for (int i = 0; i < 1500; i++) {
        snprintf(path, sizeof(path), "/local/domain/5/x/%d", i);
        EQ(kit_write(&dom0, path, "1"), 0);
    }
    xk_store_server_stats(server, &st);
    EQ(st.events_dropped, 1500 - 1024);
    EQ(kit_write(&dom0, "/local/domain/5/x/7", "again"), 0); /* queued already: merged, not dropped */
    xk_store_server_stats(server, &st);
    EQ(st.events_dropped, 1500 - 1024);
    n = xk_store_conn_output(guest.conn, &p);
    OK(n > 1024 * 20);
    xk_store_conn_sent(guest.conn, n);
    EVENT(&guest, "x", "t"); /* the watch itself: look again */
    NO_EVENT(&guest);
    done();
}

TEST(introduce_and_release_fire_special_watches)
{
    setup();
    EQ(kit_watch(&other, "@introduceDomain", "i"), 0);
    EQ(kit_watch(&other, "@releaseDomain", "r"), 0);
    EQ(kit_do(&other, XK_STORE_WATCH, "@introduceDomain", "id", "1", NULL), 0);
    EQ(kit_do(&other, XK_STORE_WATCH, "@releaseDomain/6", "r6", NULL), 0);
    EQ(kit_do(&other, XK_STORE_WATCH, "@releaseDomain/7", "r7", NULL), 0);
    EVENT(&other, "@introduceDomain", "i");
    other.nevents = 0;
    EQ(kit_do(&dom0, XK_STORE_INTRODUCE, "6", "-3", "9", NULL), 0);
    EVENT(&other, "@introduceDomain", "i");
    EVENT(&other, "@introduceDomain/6", "id");
    NO_EVENT(&other);
    EQ(kit_do(&dom0, XK_STORE_INTRODUCE, "6", "-3", "9", NULL), 0);
    NO_EVENT(&other); /* again: no news */
    EQ(kit_do(&dom0, XK_STORE_RELEASE, "6", NULL), 0);
    EVENT(&other, "@releaseDomain", "r");
    EVENT(&other, "@releaseDomain/6", "r6");
    NO_EVENT(&other);
    done();
}

TEST(special_watches_need_permission)
{
    setup();
    EQ(kit_watch(&guest, "@releaseDomain", "r"), 0);
    EVENT(&guest, "@releaseDomain", "r");
    EQ(xk_store_domain_introduce(server, 8), 0);
    EQ(xk_store_domain_died(server, 8), 0);
    NO_EVENT(&guest);
    EQ(kit_do(&guest, XK_STORE_SET_PERMS, "@releaseDomain", "n0", "r5", NULL), XK_EACCES);
    EQ(kit_do(&dom0, XK_STORE_SET_PERMS, "@releaseDomain", "n0", "r5", NULL), 0);
    guest.nevents = 0;
    EQ(xk_store_domain_introduce(server, 8), 0);
    EQ(xk_store_domain_died(server, 8), 0);
    EVENT(&guest, "@releaseDomain", "r");
    done();
}

TEST(special_events_do_not_coalesce)
{
    setup();
    EQ(kit_watch(&other, "@releaseDomain", "r"), 0);
    kit_fetch(&other);
    other.nevents = 0;
    for (unsigned i = 10; i < 13; i++) {
        EQ(xk_store_domain_introduce(server, i), 0);
        EQ(xk_store_domain_died(server, i), 0);
    }
    kit_fetch(&other);
    EQ(other.nevents, 3);
    done();
}

TEST(reset_watches_drops_watches_and_transactions)
{
    struct xk_store_stats st;

    setup();
    EQ(kit_watch(&guest, "a", "t"), 0);
    guest.nevents = 0;
    EQ(kit_begin(&guest), 0);
    EQ(kit_write(&guest, "a", "1"), 0);
    EQ(kit_do(&guest, XK_STORE_RESET_WATCHES, "", NULL), 0); /* even from inside one */
    EQ(kit_end(&guest, "T"), XK_ENOENT);
    EQ(kit_write(&guest, "a", "2"), 0);
    NO_EVENT(&guest);
    xk_store_server_stats(server, &st);
    EQ(st.watches, 0);
    EQ(st.transactions, 0);
    done();
}

TEST(watches_end_with_the_connection)
{
    struct xk_store_stats st;

    setup();
    EQ(kit_watch(&other, "/a", "t"), 0);
    EQ(kit_begin(&other), 0);
    EQ(kit_write(&other, "/a", "never"), 0);
    xk_store_conn_close(other.conn);
    EQ(kit_write(&dom0, "/a", "1"), 0);
    xk_store_server_stats(server, &st);
    EQ(st.watches, 0);
    EQ(st.transactions, 0);
    EQ(st.connections, 2);
    done();
}

TEST(many_watches_are_found)
{
    char path[32];

    setup();
    for (int i = 0; i < 1000; i++) {
        snprintf(path, sizeof(path), "/w/%d", i);
        EQ(kit_watch(&dom0, path, "t"), 0);
        dom0.nevents = 0;
    }
    for (int i = 0; i < 1000; i++) {
        snprintf(path, sizeof(path), "/w/%d", i);
        EQ(kit_write(&other, path, "1"), 0);
        EVENT(&dom0, path, "t");
        NO_EVENT(&dom0);
    }
    done();
}

/* path NUL token NUL generation NUL value */
static const char *value_event(struct kit *k, const char *path, const char *token, char *generation, size_t *n)
{
    const uint8_t *p;
    struct xk_store_header h;
    const char *at;
    static char value[XK_STORE_PAYLOAD_MAX + 1];

    OK(xk_store_conn_output(k->conn, &p) >= XK_STORE_HEADER_SIZE);
    EQ(xk_store_header_get(&h, p), 0);
    EQ(h.type, XK_STORE_WATCH_EVENT);
    at = (const char *)p + XK_STORE_HEADER_SIZE;
    STREQ(at, path);
    at += strlen(at) + 1;
    STREQ(at, token);
    at += strlen(at) + 1;
    strcpy(generation, at);
    at += strlen(at) + 1;
    *n = h.len - (size_t)(at - (const char *)p - XK_STORE_HEADER_SIZE);
    memcpy(value, at, *n);
    value[*n] = '\0';
    xk_store_conn_sent(k->conn, XK_STORE_HEADER_SIZE + h.len);
    return value;
}

/* --- few watches and many are looked for in different ways -------------------------------------------------------- */

static uint32_t seed;

static unsigned rnd(unsigned n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

static void random_path(char *out)
{
    static const char *const names[] = {"a", "ab", "b", "aba"}; /* one begins as the other */
    unsigned depth = 1 + rnd(4);

    out[0] = 0;
    while (depth--)
        sprintf(out + strlen(out), "/%s", names[rnd(4)]);
}

/* A server with three clients: who changes, and two who watch, one of them a guest. */
struct side {
    struct xk_store_server *server;
    struct kit writer, watcher[2], crowd;
};

static void side_open(struct side *x, int crowd)
{
    char path[32];

    x->server = xk_store_server_create(NULL, NULL, NULL, NULL);
    kit_open(&x->writer, x->server, 0);
    kit_open(&x->watcher[0], x->server, 0);
    kit_open(&x->watcher[1], x->server, 5);
    kit_open(&x->crowd, x->server, 0);
    for (int i = 0; i < crowd; i++) {
        snprintf(path, sizeof(path), "/elsewhere/%d", i);
        EQ(kit_watch(&x->crowd, path, "t"), 0);
        x->crowd.nevents = 0;
    }
}

/* The same for (x), whatever (seed) was before. */
static void random_change(struct side *x, uint32_t at)
{
    char path[32], entry[8];
    int many, rc;

    seed = at;
    many = rnd(3) ? 0 : 1 + (int)rnd(4);
    if (many)
        EQ(kit_begin(&x->writer), 0);
    for (int i = 0; i <= many; i++) {
        random_path(path);
        snprintf(entry, sizeof(entry), "%c0", "nrwb"[rnd(4)]);
        switch (rnd(4)) {
        case 0:
            rc = kit_rm(&x->writer, path);
            break;
        case 1:
            rc = kit_do(&x->writer, XK_STORE_SET_PERMS, path, entry, NULL);
            break;
        default:
            rc = kit_write(&x->writer, path, "v");
        }
        OK(rc == 0 || rc == XK_ENOENT);
    }
    if (many)
        EQ(kit_end(&x->writer, "T"), 0);
}

static int by_text(const void *a, const void *b) { return memcmp(a, b, sizeof(struct kit_event)); }

static unsigned sorted_events(struct kit *k)
{
    kit_fetch(k);
    qsort(k->events, k->nevents, sizeof(k->events[0]), by_text);
    return k->nevents;
}

TEST(few_watches_see_what_they_see_among_many)
{
    static struct side x[2];
    unsigned events = 0;

    side_open(&x[0], 0);
    side_open(&x[1], 100);
    for (uint32_t step = 0; step < 6000; step++) {
        if (step % 100 == 0)
            for (int i = 0; i < 2; i++)
                for (int k = 0; k < 2; k++) {
                    char path[32];
                    seed = step + 17 * (uint32_t)k;
                    EQ(kit_call(&x[i].watcher[k], XK_STORE_RESET_WATCHES, "", 1), 0);
                    for (int n = 0; n < 10; n++) {
                        int rc = (random_path(path), kit_watch(&x[i].watcher[k], step % 300 || n ? path : "/", "t"));
                        OK(rc == 0 || rc == XK_EEXIST);
                    }
                    kit_fetch(&x[i].watcher[k]);
                    x[i].watcher[k].nevents = 0;
                }
        for (int i = 0; i < 2; i++) {
            random_change(&x[i], step * 2654435761u);
            for (int k = 0; k < 2; k++)
                sorted_events(&x[i].watcher[k]);
        }
        for (int k = 0; k < 2; k++) {
            struct kit *a = &x[0].watcher[k], *b = &x[1].watcher[k];
            EQ(a->nevents, b->nevents);
            for (unsigned i = 0; i < a->nevents; i++)
                STREQ(a->events[i].path, b->events[i].path);
            events += a->nevents;
            a->nevents = b->nevents = 0;
        }
        NO_EVENT(&x[1].crowd);
    }
    printf("# %u events\n", events);
    OK(events > 5000);
    for (int i = 0; i < 2; i++) {
        SOUND(&x[i].writer);
        xk_store_server_destroy(x[i].server);
    }
}

TEST(events_carry_value_and_generation_for_who_asks)
{
    struct xk_store_server *s = xk_store_server_create(NULL, NULL, NULL, NULL);
    struct kit zero, reader;
    char one[32], two[32], big[3001];
    size_t n;

    kit_open(&zero, s, 0);
    kit_open(&reader, s, 5);
    EQ(kit_write(&zero, "/open", "1"), 0);
    EQ(kit_do(&zero, XK_STORE_SET_PERMS, "/open", "n0", "r5", NULL), 0);
    EQ(kit_watch(&reader, "/open", "xk-value:t"), 0);
    reader.nevents = 0;
    EQ(kit_write(&zero, "/open", "two"), 0);
    EQ(kit_write(&zero, "/open", "three"), 0); /* not merged: each has its value */
    STREQ(value_event(&reader, "/open", "xk-value:t", one, &n), "two");
    STREQ(value_event(&reader, "/open", "xk-value:t", two, &n), "three");
    OK(strtoull(two, NULL, 10) > strtoull(one, NULL, 10));
    EQ(kit_write(&zero, "/open/secret", "x"), 0); /* inherits */
    STREQ(value_event(&reader, "/open/secret", "xk-value:t", one, &n), "x");
    EQ(kit_do(&zero, XK_STORE_SET_PERMS, "/open/secret", "n0", NULL), 0);
    STREQ(value_event(&reader, "/open/secret", "xk-value:t", one, &n), "");
    STREQ(one, ""); /* it sees that something happened, and no more */
    EQ(kit_rm(&zero, "/open/secret"), 0);
    STREQ(value_event(&reader, "/open/secret", "xk-value:t", one, &n), "");
    memset(big, 'x', 3000);
    big[3000] = '\0';
    EQ(kit_write(&zero, "/open", big), 0);
    value_event(&reader, "/open", "xk-value:t", one, &n);
    EQ(n, 3000);
    EQ(kit_watch(&reader, "/open", "plain"), 0);
    kit_fetch(&reader);
    reader.nevents = 0;
    EQ(kit_write(&zero, "/open", "4"), 0);
    kit_fetch(&reader);
    EQ(reader.nevents, 2);
    SOUND(&zero);
    xk_store_server_destroy(s);
}
