/* Accounts of memory, credit for changes beside transactions, events that nobody fetches, and why something was
 * refused. SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "tests/c/store/kit.h"

static uint64_t clock_ns = 1000000000;
static char said[256];

static uint64_t now(void *arg)
{
    (void)arg;
    return clock_ns;
}

static void take_log(void *arg, const char *text, size_t n)
{
    (void)arg;
    snprintf(said, sizeof(said), "%.*s", (int)n, text);
}

static const struct xk_store_server_ops ops = {.version = XK_STORE_SERVER_OPS_VERSION, .now = now, .log = take_log};

static struct kit zero, guest, other;

static struct xk_store_server *world(void)
{
    struct xk_store_server *s = xk_store_server_create(NULL, &ops, NULL, NULL);

    said[0] = '\0';
    kit_open(&zero, s, 0);
    for (int i = 5; i <= 6; i++) {
        char id[4], home[32], owner[4];
        snprintf(id, sizeof(id), "%d", i);
        snprintf(home, sizeof(home), "/local/domain/%d", i);
        snprintf(owner, sizeof(owner), "n%d", i);
        EQ(kit_do(&zero, XK_STORE_INTRODUCE, id, "1", "1", NULL), 0);
        EQ(kit_write(&zero, home, ""), 0);
        EQ(kit_do(&zero, XK_STORE_SET_PERMS, home, owner, NULL), 0);
    }
    kit_open(&guest, s, 5);
    kit_open(&other, s, 6);
    return s;
}

/* "memory  N of M bytes" of CONTROL quota 5 */
static long memory_of(const char *domid)
{
    const char *at;

    EQ(kit_do(&zero, XK_STORE_CONTROL, "quota", domid, NULL), 0);
    at = strstr((char *)zero.reply, "memory ");
    OK(at != NULL);
    return strtol(at + 7, NULL, 10);
}

/* --- memory (XSA-326) --- */

TEST(xsa_326_all_that_a_guest_holds_is_on_its_account)
{
    struct xk_store_server *s = world();
    long before = memory_of("5"), now_has;
    char value[1001];

    memset(value, 'x', 1000);
    value[1000] = '\0';
    EQ(kit_write(&guest, "a", value), 0);
    now_has = memory_of("5");
    OK(now_has - before >= 1000 && now_has - before < 1200);
    EQ(kit_write(&guest, "a", ""), 0);
    EQ(memory_of("5"), now_has - 1000);
    EQ(kit_rm(&guest, "a"), 0);
    EQ(memory_of("5"), before);
    EQ(kit_watch(&guest, "b", "t"), 0);
    kit_fetch(&guest);
    OK(memory_of("5") > before);
    EQ(kit_do(&guest, XK_STORE_UNWATCH, "b", "t", NULL), 0);
    EQ(memory_of("5"), before);
    EQ(kit_begin(&guest), 0);
    EQ(kit_write(&guest, "c", value), 0);
    now_has = memory_of("5");
    OK(now_has - before >= 1000);
    EQ(kit_end(&guest, "F"), 0);
    EQ(memory_of("5"), before);
    SOUND(&zero);
    xk_store_server_destroy(s);
}

TEST(xsa_326_beyond_the_quota_requests_fail_and_nothing_else)
{
    struct xk_store_server *s = world();
    char value[2001], path[8];
    int i, rc = 0;

    memset(value, 'x', 2000);
    value[2000] = '\0';
    EQ(kit_do(&zero, XK_STORE_CONTROL, "quota", "set", "memory", "100000", NULL), 0);
    EQ(kit_do(&zero, XK_STORE_CONTROL, "quota", "set", "memory-soft", "50000", NULL), 0);
    for (i = 0; i < 100 && rc == 0; i++) {
        snprintf(path, sizeof(path), "n%d", i);
        rc = kit_write(&guest, path, value);
        OK(memory_of("5") <= 100000);
        OK((memory_of("5") > 54000) <= (said[0] != '\0'));
    }
    EQ(rc, XK_ENOMEM);
    OK(i > 35 && i < 50);
    OK(strstr(said, "domain 5") && strstr(said, "soft quota of 50000"));
    EQ(kit_do(&zero, XK_STORE_CONTROL, "why", "5", NULL), 0);
    OK(strstr((char *)zero.reply, ": quota memory: 100000 bytes") != NULL);
    EQ(kit_write(&other, "x", value), 0);
    EQ(kit_write(&guest, "n0", "short"), 0);
    EQ(kit_rm(&guest, "n1"), 0);
    EQ(kit_write(&guest, "n1", value), 0);
    SOUND(&zero);
    xk_store_server_destroy(s);
}

TEST(the_account_is_exact_after_anything)
{
    struct xk_store_server *s = world();
    uint32_t seed = 7;
    long before = memory_of("5");

    for (int i = 0; i < 3000; i++) {
        char path[16], value[64];
        seed = seed * 1103515245 + 12345;
        snprintf(path, sizeof(path), "p%u/q%u", seed >> 16 & 3, seed >> 20 & 3);
        memset(value, 'v', sizeof(value));
        value[seed >> 24 & 63] = '\0';
        value[63] = '\0';
        switch (seed >> 9 & 7) {
        case 0:
            kit_rm(&guest, path);
            break;
        case 1:
            path[2] = '\0';
            kit_rm(&guest, path);
            break;
        case 2:
            kit_do(&guest, XK_STORE_SET_PERMS, path, "n5", "r6", "b7", NULL);
            break;
        case 3:
            if (!guest.tx)
                kit_begin(&guest);
            else
                kit_end(&guest, seed >> 28 & 1 ? "T" : "F");
            break;
        default:
            kit_write(&guest, path, value);
        }
        if (i % 50 == 0)
            SOUND(&zero);
    }
    if (guest.tx)
        kit_end(&guest, "F");
    for (int i = 0; i < 4; i++) {
        char path[4] = {'p', (char)('0' + i), '\0'};
        kit_rm(&guest, path);
    }
    EQ(memory_of("5"), before);
    xk_store_server_destroy(s);
}

/* --- credit (XSA-206) --- */

static long try_write(struct kit *k, const char *value)
{
    char payload[32];
    uint8_t packet[64];
    size_t n = (size_t)snprintf(payload, sizeof(payload), "v") + 1;

    n += (size_t)snprintf(payload + n, sizeof(payload) - n, "%s", value);
    n = kit_packet(packet, XK_STORE_WRITE, ++k->req_id, 0, payload, n);
    return xk_store_conn_input(k->conn, packet, n);
}

TEST(xsa_206_changes_beside_a_transaction_cost_credit)
{
    struct xk_store_server *s = world();
    int served = 0;

    EQ(kit_begin(&zero), 0);
    while (served < 100 && try_write(&guest, "1") > 0) {
        kit_fetch(&guest);
        served++;
    }
    EQ(served, 11); /* a burst of ten; the one that finds none is still served */
    OK(xk_store_conn_blocked(guest.conn));
    OK(xk_store_conn_wait(guest.conn) > 0 && xk_store_conn_wait(guest.conn) <= 5000001);
    clock_ns += xk_store_conn_wait(guest.conn);
    OK(!xk_store_conn_blocked(guest.conn));
    clock_ns += 1000000000;
    for (served = 0; served < 100 && try_write(&guest, "2") > 0; served++)
        kit_fetch(&guest);
    EQ(served, 11);                     /* never more than a burst */
    EQ(kit_write(&other, "v", "x"), 0); /* nobody else pays */
    EQ(kit_end(&zero, "T"), 0);
    xk_store_server_destroy(s);
}

TEST(xsa_206_the_toolstack_gets_its_turn)
{
    struct xk_store_server *s = world();
    int commits = 0, tries = 0;

    /* The guest writes as fast as it may, the toolstack needs 20 ms between reading and committing. */
    for (; tries < 50; tries++) {
        EQ(kit_begin(&zero), 0);
        kit_read(&zero, "/local/domain/5/v");
        EQ(kit_write(&zero, "/result", "1"), 0);
        for (int ms = 0; ms < 20; ms++) {
            if (try_write(&guest, "1") > 0)
                kit_fetch(&guest);
            clock_ns += 1000000;
        }
        commits += kit_end(&zero, "T") == 0;
    }
    printf("# %d of %d commits\n", commits, tries);
    OK(commits == 0); /* one write in 20 ms is within its rate: this is what xenstored would give, too */
    for (commits = tries = 0; tries < 50; tries++) {
        EQ(kit_begin(&zero), 0);
        kit_read(&zero, "/local/domain/5/v");
        for (int us = 0; us < 20; us++) {
            for (int k = 0; k < 20; k++)
                if (try_write(&guest, "1") > 0)
                    kit_fetch(&guest);
            clock_ns += 50000;
        }
        commits += kit_end(&zero, "T") == 0;
    }
    printf("# %d of %d commits that take a millisecond\n", commits, tries);
    OK(commits >= 35);
    xk_store_server_destroy(s);
}

TEST(without_transactions_nothing_is_counted)
{
    struct xk_store_server *s = world();

    for (int i = 0; i < 1000; i++)
        EQ(kit_write(&guest, "v", "1"), 0);
    EQ(kit_begin(&guest), 0); /* its own do not count */
    for (int i = 0; i < 100; i++) {
        OK(try_write(&guest, "2") > 0);
        guest.tx = 0;
        kit_fetch(&guest);
    }
    xk_store_server_destroy(s);
}

/* --- events that nobody fetches (XSA-326) --- */

TEST(xsa_326_events_expire_and_are_told_later)
{
    struct xk_store_server *s = world();
    const uint8_t *p;
    uint8_t packet[64];
    size_t n;

    EQ(kit_watch(&guest, "w", "t"), 0);
    kit_fetch(&guest);
    guest.nevents = 0;
    for (int i = 0; i < 5; i++) {
        char path[32];
        snprintf(path, sizeof(path), "/local/domain/5/w/%d", i);
        EQ(kit_write(&zero, path, ""), 0);
    }
    n = kit_packet(packet, XK_STORE_READ, 9, 0, "none", 5);
    EQ(xk_store_conn_input(guest.conn, packet, n), (long)n);
    xk_store_conn_sent(guest.conn, 3); /* of the first event */
    xk_store_conn_expire(guest.conn, clock_ns, 20);
    n = xk_store_conn_output(guest.conn, &p);
    xk_store_conn_expire(guest.conn, clock_ns + 19, 20);
    EQ(xk_store_conn_output(guest.conn, &p), n);
    xk_store_conn_expire(guest.conn, clock_ns + 20, 20);
    /* What is left: the rest of the first event, and the reply. */
    EQ(xk_store_conn_output(guest.conn, &p), (16 + 4 + 2 - 3) + 16 + 7);
    EQ(p[16 + 4 + 2 - 3], XK_STORE_ERROR);
    xk_store_conn_sent(guest.conn, (16 + 4 + 2 - 3) + 16 + 7);
    EVENT(&guest, "w", "t");
    NO_EVENT(&guest);
    SOUND(&zero);
    xk_store_server_destroy(s);
}

/* --- why --- */

TEST(why_names_path_and_reason)
{
    struct xk_store_server *s = world();

    EQ(kit_do(&zero, XK_STORE_CONTROL, "why", "5", NULL), 0);
    OK(strstr((char *)zero.reply, "nothing was refused") != NULL);
    EQ(kit_write(&guest, "/local/domain/6/x", "1"), XK_EACCES);
    EQ(kit_write(&guest, "/local/domain/6/x", "1"), XK_EACCES);
    EQ(kit_do(&zero, XK_STORE_CONTROL, "why", "5", NULL), 0);
    OK(strstr((char *)zero.reply, "2 times: WRITE EACCES /local/domain/6: it may not write here") != NULL);
    EQ(kit_do(&zero, XK_STORE_SET_QUOTA, "5", "watches", "1", NULL), 0);
    EQ(kit_watch(&guest, "a", "1"), 0);
    EQ(kit_watch(&guest, "a", "2"), XK_E2BIG);
    EQ(kit_begin(&guest), 0);
    EQ(kit_read(&guest, "b"), XK_ENOENT);
    EQ(kit_write(&zero, "/local/domain/5/b", "1"), 0);
    EQ(kit_end(&guest, "T"), XK_EAGAIN);
    EQ(kit_do(&zero, XK_STORE_CONTROL, "why", "5", NULL), 0);
    OK(strstr((char *)zero.reply, "WATCH E2BIG a: quota watches: 1, and this would be 2") != NULL);
    OK(strstr((char *)zero.reply, "TRANSACTION_END EAGAIN /local/domain/5/b: the transaction read it, and meanwhile "
                                  "somebody else created it") != NULL);
    EQ(kit_do(&guest, XK_STORE_GET_PERMS, "@unknown", NULL), XK_EACCES);
    EQ(kit_do(&guest, XK_STORE_CONTROL, "why", "5", NULL), XK_EACCES);
    xk_store_server_destroy(s);
}

/* --- live figures --- */

TEST(figures_are_a_subtree_that_nobody_writes)
{
    struct xk_store_server *s = world();

    EQ(kit_write(&guest, "a", "1"), 0);
    EQ(kit_watch(&guest, "a", "t"), 0);
    kit_fetch(&guest);
    OK(strstr(kit_list(&zero, "/tool/xenstored/stats"), "0 5 6") != NULL);
    OK(strstr(kit_list(&zero, "/tool/xenstored/stats/5"), "ops refused nodes memory watches") != NULL);
    VALUE(&zero, "/tool/xenstored/stats/5/nodes", "2");
    VALUE(&zero, "/tool/xenstored/stats/5/watches", "1");
    EQ(kit_read(&zero, "/tool/xenstored/stats/5/memory"), 0);
    EQ(strtol((char *)zero.reply, NULL, 10), memory_of("5"));
    EQ(kit_read(&guest, "/tool/xenstored/stats/5/summary"), 0);
    OK(strstr((char *)guest.reply, "nodes=2 ") && strstr((char *)guest.reply, " replies=0 "));
    STREQ(kit_list(&guest, "/tool/xenstored/stats"), "5");
    EQ(kit_read(&guest, "/tool/xenstored/stats/6/nodes"), XK_EACCES);
    EQ(kit_read(&zero, "/tool/xenstored/stats/7/nodes"), XK_ENOENT);
    EQ(kit_read(&zero, "/tool/xenstored/stats/5/none"), XK_ENOENT);
    EQ(kit_read(&zero, "/tool/xenstored/stats/x"), XK_ENOENT);
    EQ(kit_write(&zero, "/tool/xenstored/stats/5/nodes", "1"), XK_EROFS);
    EQ(kit_mkdir(&zero, "/tool/xenstored/stats"), XK_EROFS);
    EQ(kit_write(&zero, "/tool/xenstored/statsx", "1"), 0);
    xk_store_server_destroy(s);
}

/* --- the tape --- */

TEST(a_tape_has_requests_and_answers)
{
    struct xk_store_server *s = world();
    uint32_t size;

    EQ(kit_do(&zero, XK_STORE_CONTROL, "record", "5", NULL), 0);
    EQ(kit_write(&other, "not/on/it", "1"), 0);
    EQ(kit_write(&guest, "a", "1"), 0);
    EQ(kit_do(&zero, XK_STORE_CONTROL, "record", "take", NULL), 0);
    EQ(zero.len, 16 + 16 + 3 + 16 + 16 + 3);
    memcpy(&size, zero.reply, 4);
    EQ(size, 16 + 3);
    EQ(zero.reply[4], 0);
    EQ(memcmp(zero.reply + 32, "a\0001", 3), 0);
    EQ(zero.reply[32 + 3 + 4], 1);
    EQ(memcmp(zero.reply + 32 + 3 + 32, "OK", 3), 0);
    for (int i = 0; i < 40000; i++)
        EQ(kit_write(&guest, "a", "1"), 0);
    EQ(kit_do(&zero, XK_STORE_CONTROL, "record", "off", NULL), 0);
    OK(strtol((char *)zero.reply, NULL, 10) > 10000); /* more than a MiB is not kept, and is counted */
    EQ(kit_do(&zero, XK_STORE_CONTROL, "record", "take", NULL), 0);
    EQ(zero.len, 0);
    xk_store_server_destroy(s);
}
