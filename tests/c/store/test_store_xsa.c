/* Xen's security advisories about xenstored as invariants of this one. Where each is tested:
 *
 *   38, 86, 155   ring indices, one fetch       here; ring/test_pipe.c; fuzz_store_ring.c; host/test_hostile_memory.c
 *   72            replies that are too long     test_store_tree.c: directory_part_..., directory_of_exactly_...
 *   115           watches tell only what may    here; test_store_watch.c: no_event_for_what_cannot_be_read,
 *                 be read                       special_watches_need_permission
 *   206           conflicts as a weapon         test_store_quota.c: xsa_206_...
 *   322, 417      the next of a number          here; test_store_domain.c: the_dead_leave_nothing_...;
 *                 inherits nothing              test_store_txn.c: permissions_for_a_domain_that_died_...;
 *                                               after a crash: test_store_journal.c: xsa_322_...
 *   323, 324      paths, events too long        here; test_store_tree.c: paths_have_a_longest_length
 *   325           a bad guest is ignored,       here
 *                 its end is not
 *   330, 352      owners                        test_store_domain.c: only_the_control_domain_changes_owners,
 *                                               a_commit_changes_no_owner
 *   353           the root's permissions        test_store_domain.c: errors_do_not_tell_what_exists
 *   326           memory: unread replies        test_store_wire.c: unfetched_replies_stop_the_input
 *                 events                        test_store_watch.c: a_full_queue_...; test_store_quota.c: xsa_326_...
 *                 nodes, transactions, watches  here; test_store_quota.c: xsa_326_...
 *                 after a crash                 test_store_journal.c: xsa_326_...
 *   414, 415, 416 nothing half done, no orphan, test_store_model.c, test_store_journal.c: every_allocation_may_fail;
 *                 nothing left over             test_store_state.c: loading_fails_cleanly_without_memory
 *   418           no recursion                  here; test_store_tree.c: depth_costs_no_stack
 *   419           guests that work together     here
 *   420           numbers                       here
 *   421           nodes by transactions         here; test_store_domain.c: nodes_quota, nodes_quota_at_the_commit
 *   425           soft reset, twice             here; test_store_domain.c: introducing_again_resets_the_connection
 *   481           no request ends the store     here; fuzz_store_packet.c
 *   483           quotas of the next            test_store_domain.c: an_open_connection_of_the_dead_..., soak_...
 *   484           the ignored come back         here
 *
 * SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdbool.h>

#include <xenkit/store_state.h>

/* The ring's code is compiled in here once more, so that each of its loads from the guest's page is seen. */
#define XK_SHARED_HOOK
#include "base/shared.h"
#include "ring/pipe.c"
#include "store/service_ring.c"

#include "tests/c/store/kit.h"
#include "tests/c/store/ring.h"

static void (*on_load)(const volatile void *p, size_t n);

void xk__shared_hook(const volatile void *p, size_t n)
{
    if (on_load)
        on_load(p, n);
}

/* --- the engine's world ------------------------------------------------------------------------------------------- */

static struct xk_store_server *server;
static struct kit zero, five, six;

static void give_home(unsigned domid)
{
    char id[8], home[32], owner[8];

    snprintf(id, sizeof(id), "%u", domid);
    snprintf(home, sizeof(home), "/local/domain/%u", domid);
    snprintf(owner, sizeof(owner), "n%u", domid);
    EQ(kit_do(&zero, XK_STORE_INTRODUCE, id, "1", "1", NULL), 0);
    EQ(kit_write(&zero, home, ""), 0);
    EQ(kit_do(&zero, XK_STORE_SET_PERMS, home, owner, NULL), 0);
}

static void setup(void)
{
    server = xk_store_server_create(NULL, NULL, NULL, NULL);
    kit_open(&zero, server, 0);
    give_home(5);
    give_home(6);
    kit_open(&five, server, 5);
    kit_open(&six, server, 6);
}

static void done(void)
{
    SOUND(&zero);
    xk_store_server_destroy(server);
}

/* XSA-115: an event needs the permission to read at the time of the event, whatever it was when the watch was set. */
TEST(xsa_115_permission_counts_when_the_event_happens)
{
    setup();
    EQ(kit_write(&five, "x", "1"), 0);
    EQ(kit_do(&five, XK_STORE_SET_PERMS, "x", "r5", NULL), 0);
    EQ(kit_watch(&six, "/local/domain/5/x", "t"), 0);
    kit_fetch(&six);
    six.nevents = 0;
    EQ(kit_write(&five, "x", "2"), 0);
    EVENT(&six, "/local/domain/5/x", "t");
    EQ(kit_do(&five, XK_STORE_SET_PERMS, "x", "n5", NULL), 0);
    EVENT(&six, "/local/domain/5/x", "t"); /* it could read before: that it cannot any more is told */
    EQ(kit_write(&five, "x", "3"), 0);
    EQ(kit_begin(&five), 0);
    EQ(kit_write(&five, "x", "4"), 0);
    EQ(kit_write(&five, "x/y", "4"), 0);
    EQ(kit_end(&five, "T"), 0);
    EQ(kit_rm(&five, "x"), 0);
    NO_EVENT(&six);
    done();
}

/* XSA-322, XSA-417: neither open transactions nor stub domains carry rights over to the next domain of a number. */
TEST(xsa_322_nothing_passes_to_the_next_of_a_number)
{
    struct kit next;

    setup();
    EQ(kit_do(&zero, XK_STORE_SET_TARGET, "6", "5", NULL), 0);
    EQ(kit_write(&zero, "/x", "1"), 0);
    EQ(kit_begin(&zero), 0);
    EQ(kit_do(&zero, XK_STORE_SET_PERMS, "/x", "n0", "b5", NULL), 0);
    EQ(xk_store_domain_died(server, 5), 0);
    EQ(kit_end(&zero, "T"), XK_EAGAIN);
    xk_store_conn_close(five.conn);
    give_home(5);
    kit_open(&next, server, 5);
    EQ(kit_read(&next, "/x"), XK_EACCES);
    EQ(kit_write(&next, "secret", "1"), 0);
    EQ(kit_read(&six, "/local/domain/5/secret"), XK_EACCES);
    done();
}

/* XSA-324: a watch whose events cannot be sent, because path and token do not fit into a packet, harms nobody. */
TEST(xsa_324_events_that_do_not_fit)
{
    static char path[2049], token[3001];

    setup();
    memset(token, 't', 3000);
    memset(path, 'p', 2040);
    for (int i = 0; i < 2; i++) {
        char text[XK_STORE_PAYLOAD_MAX];
        size_t n = (size_t)snprintf(text, sizeof(text), "%s", i ? "@releaseDomain" : "/local/domain/5") + 1;
        memcpy(text + n, token, 3001);
        EQ(kit_call(&five, XK_STORE_WATCH, text, n + 3001), 0);
    }
    kit_fetch(&five);
    five.nevents = 0;
    EQ(kit_write(&five, path, "1"), 0);
    EQ(kit_begin(&five), 0);
    EQ(kit_write(&five, path, "2"), 0);
    EQ(kit_end(&five, "T"), 0);
    EQ(kit_rm(&five, path), 0);
    NO_EVENT(&five);
    EQ(kit_write(&five, "short", "1"), 0);
    OK(kit_fetch(&five) == 0 && five.nevents == 1);
    done();
}

/* XSA-420: numbers in packets and texts are 32 bits without a sign, or refused. */
TEST(xsa_420_numbers_without_a_sign)
{
    static const uint32_t lengths[] = {4097, 0x7fffffff, 0x80000000, 0x80000010, 0xfffffff0, 0xffffffff};
    static const char *const domids[] = {
        "-1", "65536", "4294967296", "4294967301", "+5",         "0x5",         " 5",
        "5 ", "",      "2147483648", "4294967295", "0000000005", "00000000005", "18446744073709551621"};

    setup();
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct xk_store_header h = {XK_STORE_WRITE, 1, 0, lengths[i]};
        uint8_t bytes[XK_STORE_HEADER_SIZE];
        struct xk_store_conn *c = xk_store_conn_open(server, 5, 0, NULL);
        xk_store_header_put(&h, bytes);
        EQ(xk_store_conn_input(c, bytes, 12), 12);
        EQ(xk_store_conn_input(c, bytes + 12, 4), XK_EPROTO);
        EQ(xk_store_conn_input(c, bytes, 16), XK_EPROTO);
        xk_store_conn_close(c);
    }
    for (unsigned i = 0; i < sizeof(domids) / sizeof(domids[0]); i++) {
        int fine = strcmp(domids[i], "0000000005") == 0;
        EQ(kit_do(&zero, XK_STORE_GET_DOMAIN_PATH, domids[i], NULL), fine ? 0 : XK_EINVAL);
        EQ(kit_do(&zero, XK_STORE_RELEASE, fine ? "-5" : domids[i], NULL), XK_EINVAL);
    }
    EQ(kit_do(&five, XK_STORE_DIRECTORY_PART, "/local/domain/5", "4294967295", NULL), 0);
    EQ(kit_do(&five, XK_STORE_DIRECTORY_PART, "/local/domain/5", "4294967296", NULL), XK_EINVAL);
    EQ(kit_do(&five, XK_STORE_DIRECTORY_PART, "/local/domain/5", "-1", NULL), XK_EINVAL);
    EQ(kit_do(&five, XK_STORE_WATCH, "w", "t", "2147483647", NULL), 0);
    EQ(kit_do(&five, XK_STORE_WATCH, "w", "u", "-1", NULL), XK_EINVAL);
    EQ(kit_do(&five, XK_STORE_WATCH, "w", "u", "4294967295", NULL), XK_EINVAL);
    five.tx = 0xffffffff;
    EQ(kit_read(&five, "x"), XK_ENOENT);
    done();
}

/* XSA-326: all that a guest can pile up at once stays within its account, which covers what the server really holds. */
TEST(xsa_326_everything_at_once_is_bounded)
{
    static char value[2001], name[2041], token[3001];
    struct xk_store_stats before, after;
    int tx = 0;

    setup();
    memset(value, 'v', 2000);
    memset(name, 'n', 2000);
    memset(token, 't', 1900);
    xk_store_server_stats(server, &before);
    for (int i = 0; i < 128; i++) {
        snprintf(name + 2000, sizeof(name) - 2000, "%d", i);
        kit_watch(&five, name, token);
        five.nevents = 0;
    }
    for (int i = 0; i < 1000; i++) {
        snprintf(name + 2000, sizeof(name) - 2000, "%d", i);
        kit_write(&five, name, value);
        kit_fetch(&five);
        five.nevents = 0;
    }
    for (; tx < 10 && kit_begin(&five) == 0; tx++)
        for (int i = 0; i < 1024; i++) {
            snprintf(name + 2000, sizeof(name) - 2000, "%d", i);
            if (i & 1)
                kit_read(&five, name); /* what is not there is remembered, too */
            else
                kit_write(&five, name, value);
            kit_fetch(&five);
            five.nevents = 0;
        }
    five.tx = 0;
    EQ(tx, 10);
    xk_store_server_stats(server, &after);
    printf("# %llu KiB\n", (unsigned long long)(after.memory - before.memory) >> 10);
    OK(after.memory - before.memory < 3200 * 1024);
    EQ(kit_write(&six, "x", value), 0); /* nobody else pays */
    EQ(xk_store_domain_died(server, 5), 0);
    done();
}

/* XSA-326: what open transactions keep of the past is on nobody's account, but bounded. Who has most of them open loses
 * his snapshots first. */
TEST(xsa_326_old_versions_are_bounded)
{
    static char value[2001];
    struct xk_store_stats before, now;
    uint64_t most = 0;
    uint32_t tx[10];
    char name[16];

    setup();
    EQ(kit_write(&six, "mine", "1"), 0);
    EQ(kit_write(&five, "mine", "1"), 0);
    EQ(kit_write(&five, "kept", "outside"), 0);
    xk_store_server_stats(server, &before);
    EQ(kit_begin(&six), 0);
    EQ(kit_read(&six, "mine"), 0);
    EQ(kit_begin(&zero), 0);
    EQ(kit_read(&zero, "/local/domain/6/mine"), 0);
    for (int t = 0; t < 10; t++) {
        EQ(kit_begin(&five), 0);
        EQ(kit_read(&five, "mine"), 0);
        EQ(kit_write(&five, "kept", "inside"), 0);
        tx[t] = five.tx;
        five.tx = 0;
        memset(value, 'a' + t, 2000);
        for (int i = 0; i < 950; i++) {
            snprintf(name, sizeof(name), "%d", i);
            EQ(kit_write(&five, name, value), 0);
            xk_store_server_stats(server, &now);
            most = now.memory - before.memory > most ? now.memory - before.memory : most;
        }
    }
    printf("# %llu KiB\n", (unsigned long long)most >> 10);
    OK(most < 4700 * 1024); /* two stores, and what is on accounts; twelve without a bound */
    EQ(kit_write(&six, "mine", "2"), 0);
    EQ(kit_end(&six, "T"), 0);
    EQ(kit_end(&zero, "T"), XK_EAGAIN); /* it conflicts, and not more: what it read has changed */
    zero.tx = 0;
    EQ(kit_do(&zero, XK_STORE_CONTROL, "why", "5", NULL), 0);
    OK(strstr((char *)zero.reply, "its snapshot was let go") != NULL);
    for (int t = 0; t < 10; t++) {
        five.tx = tx[t];
        EQ(kit_write(&five, "kept", "within"), 0); /* where it goes on, not where it was */
        VALUE(&five, "kept", "within");
        five.tx = 0;
        VALUE(&five, "kept", "outside");
        five.tx = tx[t];
        EQ(kit_read(&five, "mine"), 0);
        EQ(kit_write(&five, "1", "x"), 0);
        EQ(kit_write(&five, "kept", "outside"), 0);
        EQ(kit_end(&five, "T"), t < 9 ? XK_EAGAIN : 0);
    }
    done();
}

/* XSA-326: a guest that names all domains there can be in permissions does not make the server keep a record of each.
 */
TEST(xsa_326_names_in_permissions_are_forgotten)
{
    struct xk_store_stats before, after;
    char perm[4][16];

    setup();
    EQ(kit_write(&five, "x", ""), 0);
    xk_store_server_stats(server, &before);
    for (unsigned domid = 1000; domid < 30000; domid += 4) {
        for (unsigned i = 0; i < 4; i++)
            snprintf(perm[i], sizeof(perm[i]), "r%u", domid + i);
        EQ(kit_do(&five, XK_STORE_SET_PERMS, "x", "n5", perm[0], perm[1], perm[2], perm[3], NULL), 0);
    }
    EQ(kit_do(&five, XK_STORE_SET_PERMS, "x", "n5", NULL), 0);
    xk_store_server_stats(server, &after);
    EQ(after.domains, before.domains);
    OK(after.memory - before.memory < 512 * 1024); /* the tables of records stay: 256 of them at most */
    /* What was said of a domain before it exists is no mere name. */
    EQ(kit_do(&zero, XK_STORE_SET_QUOTA, "7", "nodes", "3", NULL), 0);
    EQ(kit_do(&five, XK_STORE_SET_PERMS, "x", "n5", "r7", NULL), 0);
    EQ(kit_do(&five, XK_STORE_SET_PERMS, "x", "n5", NULL), 0);
    EQ(kit_do(&zero, XK_STORE_GET_QUOTA, "7", "nodes", NULL), 0);
    STREQ((char *)zero.reply, "3");
    /* A domain that is only known by what it owns dies as any other. */
    EQ(kit_write(&zero, "/of-eight", ""), 0);
    EQ(kit_do(&zero, XK_STORE_SET_PERMS, "/of-eight", "n8", NULL), 0);
    EQ(xk_store_domain_died(server, 8), 0);
    EQ(kit_read(&zero, "/of-eight"), XK_ENOENT);
    done();
}

/* XSA-419: what one guest makes in the tree of another is on its own account, and leaves it with the tree. */
TEST(xsa_419_guests_that_work_together)
{
    char name[64];
    int made = 0;

    setup();
    EQ(kit_do(&zero, XK_STORE_SET_QUOTA, "6", "nodes", "20", NULL), 0);
    EQ(kit_do(&five, XK_STORE_SET_PERMS, "/local/domain/5", "n5", "b6", NULL), 0);
    for (int round = 0; round < 3; round++) {
        for (made = 0; made < 30; made++) {
            snprintf(name, sizeof(name), "/local/domain/5/%d", made);
            if (kit_write(&six, name, "1"))
                break;
        }
        EQ(made, 19); /* and its home */
        if (round == 0) {
            EQ(kit_do(&zero, XK_STORE_RM, "/local/domain/5/3", NULL), 0);
            EQ(kit_write(&six, "/local/domain/5/again", "1"), 0);
        }
        if (round == 1)
            for (int i = 0; i < 30; i++) {
                snprintf(name, sizeof(name), "/local/domain/5/%d", i);
                EQ(kit_rm(&zero, name), 0);
            }
        else
            EQ(xk_store_domain_died(server, 5), 0);
        SOUND(&zero);
        if (round == 1)
            continue;
        EQ(kit_read(&six, "/local/domain/5/1"), XK_EACCES);
        give_home(5);
        EQ(kit_do(&zero, XK_STORE_SET_PERMS, "/local/domain/5", "n5", "b6", NULL), 0);
    }
    done();
}

/* XSA-421: however many transactions create nodes side by side, what is committed is within the quota. */
TEST(xsa_421_transactions_side_by_side)
{
    char name[32];
    uint32_t tx[10];
    int committed = 0;

    setup();
    EQ(kit_do(&zero, XK_STORE_SET_QUOTA, "5", "nodes", "50", NULL), 0);
    for (int t = 0; t < 10; t++) {
        EQ(kit_begin(&five), 0);
        tx[t] = five.tx;
        for (int i = 0; i < 30; i++) {
            snprintf(name, sizeof(name), "t%d/%d", t, i);
            EQ(kit_write(&five, name, "1"), 0);
        }
    }
    for (int t = 0; t < 10; t++) {
        five.tx = tx[t];
        committed += kit_end(&five, "T") == 0;
        SOUND(&zero);
    }
    EQ(committed, 1);
    for (int i = 0; i < 100; i++) { /* nor does what is aborted count */
        EQ(kit_begin(&five), 0);
        EQ(kit_write(&five, "u/v/w", "1"), 0);
        EQ(kit_end(&five, "F"), 0);
    }
    EQ(kit_write(&five, "u/v/w", "1"), 0);
    done();
}

/* XSA-425: to be reset again and again, at any moment, frees everything once. */
TEST(xsa_425_reset_is_idempotent)
{
    struct xk_store_stats before, after;
    uint8_t half[20] = {XK_STORE_WRITE};

    setup();
    EQ(kit_watch(&five, "w", "t"), 0);
    EQ(kit_do(&five, XK_STORE_RESET_WATCHES, "", NULL), 0);
    kit_fetch(&five);
    five.nevents = 0;
    for (int i = 0; i < 20; i++) {
        if (i == 1)
            xk_store_server_stats(server, &before);
        EQ(kit_watch(&five, "w", "t"), 0);
        EQ(kit_begin(&five), 0);
        EQ(kit_write(&five, "w/x", "1"), 0);
        EQ(kit_do(&five, XK_STORE_RESET_WATCHES, "", NULL), 0); /* inside the transaction that it ends */
        EQ(kit_end(&five, "T"), XK_ENOENT);
        EQ(kit_do(&five, XK_STORE_RESET_WATCHES, "", NULL), 0);
        EQ(kit_watch(&five, "w", "t"), 0);
        EQ(kit_begin(&five), 0);
        EQ(xk_store_conn_input(five.conn, half, 1 + (size_t)i % 19), 1 + i % 19);
        for (int k = 0; k < 3; k++)
            xk_store_conn_reset(five.conn);
        five.tx = 0;
        EQ(kit_do(&zero, XK_STORE_INTRODUCE, "5", "1", "1", NULL), 0);
        five.nevents = 0;
    }
    xk_store_server_stats(server, &after);
    EQ(after.memory, before.memory);
    EQ(after.watches, 0);
    EQ(after.transactions, 0);
    done();
}

/* XSA-481: every operation with every bad path: an error, and the store goes on. */
TEST(xsa_481_no_request_ends_the_store)
{
    static const char *const paths[] = {"/local/domain/",
                                        "/",
                                        "//",
                                        "/local//domain",
                                        "",
                                        "@",
                                        "@/",
                                        "@releaseDomain/",
                                        "@releaseDomain/5",
                                        "/local/domain/5/",
                                        "a/",
                                        "/local/domain/5\n",
                                        "/\x80",
                                        "@introduceDomain",
                                        "/tool/",
                                        "local/",
                                        "/local/domain/99999999999/x"};
    static char big[XK_STORE_PAYLOAD_MAX];

    setup();
    memset(big, 'a', sizeof(big));
    for (uint32_t type = 0; type < 40; type++)
        for (unsigned i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
            for (int who = 0; who < 2; who++) {
                struct kit *k = who ? &zero : &five;
                size_t n = strlen(paths[i]);
                memcpy(big, paths[i], n);
                big[n] = '\0';
                k->tx = 0;
                (void)!kit_call(k, type, big, n);
                (void)!kit_call(k, type, big, n + 1);
                (void)!kit_call(k, type, big, n + 3);
                (void)!kit_call(k, type, big, 0);
                (void)!kit_call(k, type, big, sizeof(big));
                (void)!kit_do(k, type, paths[i], "", NULL);
                (void)!kit_do(k, type, paths[i], paths[i], paths[i], NULL);
                k->tx = 1 + i;
                (void)!kit_do(k, type, paths[i], paths[(i + 1) % 17], NULL);
                k->tx = 0;
                kit_fetch(&zero);
                kit_fetch(&five);
                zero.nevents = five.nevents = 0;
                memset(big, 'a', n + 1);
            }
    done();
}

/* --- XSA-418: a path as deep as there can be, on a small stack ---------------------------------------------------- */

static uint8_t stream[1 << 22];
static size_t stream_bytes;

static int to_stream(void *arg, const void *bytes, size_t n)
{
    (void)arg;
    OK(stream_bytes + n <= sizeof(stream));
    memcpy(stream + stream_bytes, bytes, n);
    stream_bytes += n;
    return 0;
}

static void *deep(void *arg)
{
    static char path[XK_STORE_ABS_PATH_MAX + 1], up[XK_STORE_ABS_PATH_MAX + 1];
    struct xk_store_saver saver = {.write = to_stream, .listener = -1, .events = -1};
    struct xk_store_server *again;
    const uint8_t *p;
    size_t n, used;

    (void)arg;
    setup();
    n = (size_t)snprintf(path, sizeof(path), "/local/domain/5");
    for (int i = 0; i < 900; i++, n += 2)
        memcpy(path + n, "/a", 3);
    EQ(xk_store_server_save(server, &saver), 0);
    xk_store_journal_start(server, 1 << 24);
    EQ(kit_watch(&zero, "/", "root"), 0);
    EQ(kit_watch(&five, path, "deep"), 0);
    EQ(kit_write(&five, path, "bottom"), 0);
    VALUE(&five, path, "bottom");
    EQ(kit_do(&five, XK_STORE_SET_PERMS, path, "r5", "b6", NULL), 0);
    EQ(kit_begin(&five), 0);
    EQ(kit_write(&five, path, "other"), 0);
    memcpy(up, path, n - 1800 + 2);
    EQ(kit_rm(&five, up), 0);
    EQ(kit_write(&five, path, "once more"), 0);
    EQ(kit_write(&zero, "/elsewhere", "so that it merges"), 0);
    EQ(kit_end(&five, "T"), 0);
    SOUND(&zero);
    stream_bytes = 0;
    EQ(xk_store_server_save(server, &saver), 0);
    used = xk_store_journal_pending(server, &p);
    again = xk_store_server_create(NULL, NULL, NULL, NULL);
    EQ(xk_store_server_load(again, stream, stream_bytes, NULL, NULL), 0);
    EQ(xk_store_server_replay(again, p, used, NULL, &n, NULL), 0);
    EQ(n, used);
    zero.nevents = five.nevents = 0;
    EQ(kit_rm(&zero, up), 0);
    EQ(kit_write(&five, path, "to die"), 0);
    EQ(xk_store_domain_died(server, 5), 0);
    EQ(kit_read(&zero, "/local/domain/5"), XK_ENOENT);
    done();
    memset(&zero, 0, sizeof(zero));
    kit_open(&zero, again, 0);
    VALUE(&zero, path, "once more");
    SOUND(&zero);
    EQ(xk_store_domain_died(again, 5), 0);
    SOUND(&zero);
    xk_store_server_destroy(again);
    return NULL;
}

/* XSA-418: the depth of a path costs no stack, whatever is done with it. */
TEST(xsa_418_no_recursion)
{
    pthread_attr_t attr;
    pthread_t thread;

    EQ(pthread_attr_init(&attr), 0);
    EQ(pthread_attr_setstacksize(&attr, 64 * 1024), 0);
    EQ(pthread_create(&thread, &attr, deep, NULL), 0);
    EQ(pthread_join(thread, NULL), 0);
}

/* --- rings -------------------------------------------------------------------------------------------------------- */

static struct ring_world world;

static void ring_setup(void)
{
    ring_world(&world, 1);
    ring_service(&world, NULL);
    ring_introduce_all(&world);
}

static void ring_done(void)
{
    OK(ring_text(&world, 0, XK_STORE_CONTROL, "check") == 0);
    STREQ(world.guest[0].reply, "OK");
    ring_end(&world);
}

static void knock(unsigned domid)
{
    xk_evtchn_notify(world.guest[domid].p, world.guest[domid].page.port);
    ring_round(&world);
}

/* XSA-38, XSA-86: an index that no honest guest can have written, whichever it is and wherever it points to: the guest
 * is ignored and may read why. XSA-325: what it had, and its end, are not touched by that; nor is anybody else. */
TEST(xsa_038_325_bad_indices)
{
    static const uint32_t lies[] = {1025, 1500, 4096, 0x7fffffff, 0x80000000, 0xfffffc00, 0xffffffff};

    for (int which = 0; which < 2; which++)
        for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
            struct ring_guest *g = &world.guest[2];
            if (which == 1 && lies[i] >= 0xfffffc00) /* so much may well wait in it */
                continue;
            ring_setup();
            OK(ring_write(&world, 2, "x", "1") == 0);
            OK(ring_text(&world, 2, XK_STORE_WATCH, "/local/domain/2\0t") == 0);
            OK(ring_text(&world, 0, XK_STORE_WATCH, "@releaseDomain\0gone") == 0);
            if (which == 0) {
                ring_set(g, RING_REQ_PROD, ring_get(g, RING_REQ_CONS) + lies[i]);
            } else {
                ring_set(g, RING_RSP_CONS, ring_get(g, RING_RSP_PROD) + lies[i]);
                OK(ring_write(&world, 0, "/local/domain/2/y", "an event") == 0);
            }
            knock(2);
            EQ(ring_get(g, RING_ERROR_WORD), XK_STORE_RING_INDEX);
            OK(ring_path(&world, 3, XK_STORE_READ, "/local/domain/3") == 0);
            OK(ring_path(&world, 0, XK_STORE_READ, "/local/domain/2/x") == 0);
            for (int n = 0; n < 3; n++)
                knock(2);
            world.guest[0].events = 0;
            OK(ring_text(&world, 0, XK_STORE_RELEASE, "2") == 0);
            OK(ring_path(&world, 0, XK_STORE_READ, "/local/domain/2") == XK_ENOENT);
            OK(world.guest[0].events > 0);
            ring_done();
        }
}

/* XSA-484: who was ignored and is introduced again begins anew; if his page is as it was, he is ignored again. All that
 * can be said of him meanwhile is answered. */
TEST(xsa_484_the_ignored_come_back)
{
    struct ring_guest *g = &world.guest[2];

    ring_setup();
    for (int round = 0; round < 10; round++) {
        uint32_t prod = ring_get(g, RING_REQ_PROD);
        OK(ring_text(&world, 2, XK_STORE_WATCH, "/local/domain/2\0t") == 0);
        ring_set(g, RING_REQ_PROD, prod + 5000);
        knock(2);
        EQ(ring_get(g, RING_ERROR_WORD), XK_STORE_RING_INDEX);
        for (int i = 0; i < 5; i++)
            OK(ring_write(&world, 0, "/local/domain/2/x", "an event for it") == 0);
        xk_fake_advance(world.fake, 30 * XK_SECOND);
        ring_round(&world);
        OK(ring_text(&world, 0, XK_STORE_IS_DOMAIN_INTRODUCED, "2") == 0);
        if (round & 1)
            OK(ring_text(&world, 0, XK_STORE_RESUME, "2") == 0);
        if (round & 2) {
            OK(ring_introduce(&world, 2) == 0);
            ring_round(&world);
            EQ(ring_get(g, RING_ERROR_WORD), XK_STORE_RING_INDEX);
            knock(2);
        }
        if (round & 4)
            OK(ring_text(&world, 0, XK_STORE_RELEASE, "2") == 0);
        for (unsigned at = RING_REQ_CONS; at <= RING_RSP_PROD; at += 4)
            ring_set(g, at, 0);
        g->in_bytes = 0;
        OK(ring_introduce(&world, 2) == 0);
        EQ(ring_get(g, RING_ERROR_WORD), XK_STORE_RING_OK);
        OK(ring_path(&world, 0, XK_STORE_MKDIR, "/local/domain/2") == 0);
        OK(ring_text(&world, 0, XK_STORE_SET_PERMS, "/local/domain/2\0n2") == 0);
        OK(ring_write(&world, 2, "mine", "again") == 0);
    }
    ring_done();
}

static unsigned loads_of_length;
static uint8_t *length_byte; /* of the request, in the service's map or the guest's: the same page */

/* The guest changes the length of its request before each look at it: 5 fits, 0x1005 is too long. */
static void lie_about_length(const volatile void *p, size_t n)
{
    size_t at = (uintptr_t)p & (XK_PAGE_SIZE - 1);

    if (at <= 12 && at + n > 13 && at < 1024) {
        length_byte[1] = loads_of_length & 1 ? 0x10 : 0;
        loads_of_length++;
    }
}

/* XSA-155: each byte of a request is fetched once; what it says afterwards does not count. */
TEST(xsa_155_one_fetch)
{
    struct ring_guest *g = &world.guest[2];
    uint8_t packet[64];
    size_t n;

    ring_setup();
    for (unsigned at = RING_REQ_CONS; at <= RING_RSP_PROD; at += 4)
        ring_set(g, at, 0);
    OK(ring_introduce(&world, 2) == 0);
    length_byte = (uint8_t *)g->page.page + 12;
    n = ring_request(packet, XK_STORE_READ, 7, 0, "none", 5);
    EQ(ring_send(g, packet, n), n);
    on_load = lie_about_length;
    knock(2);
    on_load = NULL;
    EQ(loads_of_length, 1);
    EQ(ring_get(g, RING_ERROR_WORD), XK_STORE_RING_OK);
    EQ(ring_get(g, RING_RSP_PROD), XK_STORE_HEADER_SIZE + 7);
    ring_done();
}

/* XSA-425 and soak: domains come, fill what they may, and go in every way there is, with half a request in the ring and
 * half a reply fetched; the store stays as small as it was. */
TEST(xsa_425_483_soak_of_domids)
{
    struct xk_store_stats before, after;
    char path[64];

    ring_setup();
    memset(&before, 0, sizeof(before));
    for (int i = 0; i < 120; i++) {
        struct ring_guest *g = &world.guest[3];
        for (int k = 0; k < 10; k++) {
            snprintf(path, sizeof(path), "n%d", k);
            OK(ring_write(&world, 3, path, "value") == 0);
        }
        OK(ring_text(&world, 3, XK_STORE_WATCH, "n1\0t") == 0);
        OK(ring_text(&world, 3, XK_STORE_TRANSACTION_START, "") == 0);
        OK(ring_text(&world, 0, XK_STORE_SET_QUOTA, "3\0nodes\00012") == 0);
        ring_send(g, (const uint8_t *)"\2\0\0\0\1\0\0\0", (size_t)i % 9);
        OK(ring_write(&world, 0, "/local/domain/3/n1", "event") == 0);
        knock(3);
        if (i % 3 == 0)
            OK(ring_introduce(&world, 3) == 0);
        OK(ring_text(&world, 0, XK_STORE_RELEASE, "3") == 0);
        for (unsigned at = RING_REQ_CONS; at <= RING_RSP_PROD; at += 4)
            ring_set(g, at, 0);
        g->in_bytes = 0;
        OK(ring_introduce(&world, 3) == 0);
        OK(ring_path(&world, 0, XK_STORE_MKDIR, "/local/domain/3") == 0);
        OK(ring_text(&world, 0, XK_STORE_SET_PERMS, "/local/domain/3\0n3") == 0);
        OK(ring_text(&world, 0, XK_STORE_GET_QUOTA, "3\0nodes") == 0);
        STREQ(world.guest[0].reply, "1000");
        xk_store_server_stats(xk_store_service_server(world.service), i == 20 ? &before : &after);
    }
    EQ(after.memory, before.memory);
    EQ(after.nodes_held, before.nodes_held);
    ring_done();
}
