/* The journal: a state and the changes since give what was acknowledged, wherever it is cut off.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include <xenkit/store_state.h>

#include "store/server.h"
#include "tests/c/store/kit.h"

enum { DOMAINS = 3, JOURNAL = 1 << 20 };

static uint8_t snapshot[1 << 18], journal[JOURNAL];
static size_t snapshot_bytes, journal_bytes;
static struct kit kits[DOMAINS + 1]; /* 0 is the control domain's, a socket; the others are rings */

static int keep(void *arg, const void *bytes, size_t n)
{
    (void)arg;
    OK(snapshot_bytes + n <= sizeof(snapshot));
    memcpy(snapshot + snapshot_bytes, bytes, n);
    snapshot_bytes += n;
    return 0;
}

static int describe(void *arg, struct xk_store_conn *c, struct xk_store_link *link)
{
    (void)arg;
    *link = (struct xk_store_link){.kind = XK_STORE_LINK_RING, .domid = xk_store_conn_domid(c), .port = 5, .fd = -1};
    return link->domid ? 0 : XK_ENOENT;
}

static struct xk_store_conn *adopt(void *arg, const struct xk_store_link *link)
{
    struct kit *k = &kits[link->domid];

    OK(link->domid <= DOMAINS);
    k->server = arg;
    k->nevents = 0;
    k->tx = 0;
    return k->conn = xk_store_conn_open(arg, link->domid, 0, k);
}

static void closed(void *arg, struct xk_store_conn *c)
{
    (void)arg;
    kits[xk_store_conn_domid(c)].conn = NULL;
    xk_store_conn_close(c);
}

/* What has to be written is written. */
static void flush(struct xk_store_server *s)
{
    const uint8_t *p;
    size_t n = xk_store_journal_pending(s, &p);

    OK(journal_bytes + n <= sizeof(journal));
    if (n)
        memcpy(journal + journal_bytes, p, n);
    journal_bytes += n;
    xk_store_journal_written(s, n);
}

static void begin(struct xk_store_server *s)
{
    struct xk_store_saver saver = {.write = keep, .link = describe, .listener = -1, .events = -1};

    snapshot_bytes = journal_bytes = 0;
    EQ(xk_store_server_save(s, &saver), 0);
    xk_store_journal_start(s, JOURNAL);
}

/* A server of the snapshot and the first (n) bytes of the journal; kits[1...] speak to it afterwards. */
static struct xk_store_server *recover(size_t n)
{
    struct xk_store_server *s = xk_store_server_create(NULL, NULL, NULL, NULL);
    struct xk_store_loader loader = {.conn = adopt, .closed = closed, .arg = s};
    struct xk_diag diag = {0};
    size_t used;

    for (int i = 0; i <= DOMAINS; i++)
        kits[i].conn = NULL;
    if (xk_store_server_load(s, snapshot, snapshot_bytes, &loader, &diag) ||
        xk_store_server_replay(s, journal, n, &loader, &used, &diag))
        TAP_FAIL("%s", diag.text);
    OK(used <= n);
    kit_open(&kits[0], s, 0);
    return s;
}

static const xk_alloc *server_alloc; /* of the server that begins; NULL: the C library's */

static struct xk_store_server *world(void)
{
    struct xk_store_server *s = xk_store_server_create(server_alloc, NULL, NULL, NULL);

    memset(kits, 0, sizeof(kits));
    kit_open(&kits[0], s, 0);
    begin(s);
    for (unsigned i = 1; i <= DOMAINS; i++) {
        struct xk_store_link link = {.kind = XK_STORE_LINK_RING, .domid = i, .port = 5, .fd = -1};
        char id[8], home[32], owner[8];
        snprintf(id, sizeof(id), "%u", i);
        snprintf(home, sizeof(home), "/local/domain/%u", i);
        snprintf(owner, sizeof(owner), "n%u", i);
        kit_open(&kits[i], s, i);
        EQ(xk_store_journal_conn(kits[i].conn, &link), 0);
        EQ(kit_do(&kits[0], XK_STORE_INTRODUCE, id, "1", "5", NULL), 0);
        EQ(kit_write(&kits[0], home, ""), 0);
        EQ(kit_do(&kits[0], XK_STORE_SET_PERMS, home, owner, NULL), 0);
    }
    return s;
}

/* All of a store as text: nodes with permissions and values in order, watches, domains. */
static size_t describe_node(struct kit *k, const char *path, char *out, size_t room)
{
    char names[XK_STORE_PAYLOAD_MAX + 1], child[XK_STORE_ABS_PATH_MAX];
    size_t used, n;

    EQ(kit_do(k, XK_STORE_GET_PERMS, path, NULL), 0);
    used = (size_t)snprintf(out, room, "%s", path);
    for (uint32_t i = 0; i < k->len; i += (uint32_t)strlen((char *)k->reply + i) + 1)
        used += (size_t)snprintf(out + used, room - used, " %s", (char *)k->reply + i);
    EQ(kit_read(k, path), 0);
    used += (size_t)snprintf(out + used, room - used, " = %s\n", (char *)k->reply);
    EQ(kit_do(k, XK_STORE_DIRECTORY, path, NULL), 0);
    n = k->len;
    memcpy(names, k->reply, n);
    for (size_t i = 0; i < n; i += strlen(names + i) + 1) {
        snprintf(child, sizeof(child), "%s/%s", path[1] ? path : "", names + i);
        used += describe_node(k, child, out + used, room - used);
    }
    return used;
}

static void describe_all(struct xk_store_server *s, char *out, size_t room)
{
    struct kit k;
    size_t used;

    memset(&k, 0, sizeof(k));
    kit_open(&k, s, 0);
    used = describe_node(&k, "/", out, room);
    for (unsigned i = 1; i <= DOMAINS; i++) {
        char id[8];
        snprintf(id, sizeof(id), "%u", i);
        EQ(kit_do(&k, XK_STORE_IS_DOMAIN_INTRODUCED, id, NULL), 0);
        used += (size_t)snprintf(out + used, room - used, "domain %u %s\n", i, (char *)k.reply);
    }
    EQ(kit_do(&k, XK_STORE_CONTROL, "watches", NULL), 0);
    snprintf(out + used, room - used, "%s", (char *)k.reply);
    SOUND(&k);
    xk_store_conn_close(k.conn);
}

TEST(what_was_written_is_there_again)
{
    struct xk_store_server *s = world(), *t;
    static char want[65536], got[65536];

    EQ(kit_write(&kits[1], "data/a/b", "1"), 0);
    EQ(kit_mkdir(&kits[1], "dir"), 0);
    EQ(kit_do(&kits[1], XK_STORE_SET_PERMS, "data/a", "n1", "r2", NULL), 0);
    EQ(kit_watch(&kits[2], "/local/domain/1/data", "token"), 0);
    EQ(kit_write(&kits[3], "x", "1"), 0);
    EQ(kit_rm(&kits[3], "x"), 0);
    EQ(kit_write(&kits[2], "y/z", ""), 0);
    EQ(xk_store_domain_died(s, 3), 0);
    flush(s);
    describe_all(s, want, sizeof(want));
    flush(s);
    xk_store_server_destroy(s);
    t = recover(journal_bytes);
    describe_all(t, got, sizeof(got));
    STREQ(got, want);
    xk_store_server_destroy(t);
}

TEST(failed_requests_leave_no_trace)
{
    struct xk_store_server *s = world();
    size_t before;

    flush(s);
    before = journal_bytes;
    EQ(kit_write(&kits[1], "/not/mine", "1"), XK_EACCES);
    EQ(kit_rm(&kits[1], "none"), 0);
    EQ(kit_read(&kits[1], "none"), XK_ENOENT);
    EQ(kit_begin(&kits[1]), 0);
    EQ(kit_write(&kits[1], "a", "1"), 0);
    EQ(kit_end(&kits[1], "F"), 0);
    flush(s);
    EQ(journal_bytes, before);
    xk_store_server_destroy(s);
}

TEST(a_transaction_is_one_batch)
{
    struct xk_store_server *s = world(), *t;
    size_t before;

    flush(s);
    before = journal_bytes;
    EQ(kit_begin(&kits[1]), 0);
    EQ(kit_write(&kits[1], "a/b/c", "1"), 0);
    EQ(kit_write(&kits[1], "z", "2"), 0);
    EQ(kit_rm(&kits[1], "a"), 0);
    EQ(kit_write(&kits[1], "a/d", "3"), 0);
    flush(s);
    EQ(journal_bytes, before);
    EQ(kit_end(&kits[1], "T"), 0);
    flush(s);
    xk_store_server_destroy(s);
    for (size_t n = before; n <= journal_bytes; n++) { /* nothing of it, or all */
        t = recover(n);
        if (n < journal_bytes) {
            EQ(kit_read(&kits[1], "z"), XK_ENOENT);
        } else {
            VALUE(&kits[1], "z", "2");
            VALUE(&kits[1], "a/d", "3");
            EQ(kit_read(&kits[1], "a/b"), XK_ENOENT);
        }
        SOUND(&kits[0]);
        xk_store_server_destroy(t);
    }
}

TEST(a_flipped_bit_ends_it)
{
    struct xk_store_server *s = world(), *t;
    size_t middle;

    EQ(kit_write(&kits[1], "first", "1"), 0);
    flush(s);
    middle = journal_bytes;
    EQ(kit_write(&kits[1], "second", "1"), 0);
    flush(s);
    xk_store_server_destroy(s);
    journal[middle + 40] ^= 4;
    t = recover(journal_bytes);
    VALUE(&kits[1], "first", "1");
    EQ(kit_read(&kits[1], "second"), XK_ENOENT);
    xk_store_server_destroy(t);
}

/* --- rings after a crash ------------------------------------------------------------------------------------------ */

TEST(half_a_request_and_half_a_reply)
{
    struct xk_store_server *s = world(), *t;
    uint8_t packet[256];
    const uint8_t *p;
    size_t n, total;

    EQ(kit_write(&kits[1], "v", "value"), 0);
    n = kit_packet(packet, XK_STORE_READ, 7, 0, "v", 2);
    EQ(xk_store_conn_input(kits[1].conn, packet, n), (long)n);
    total = xk_store_conn_output(kits[1].conn, &p);
    EQ(xk_store_conn_input(kits[1].conn, packet, 10), 10);
    EQ(xk_store_journal_ring(kits[1].conn, 1000, 2000), 0); /* 4 bytes of the reply go out after it was noted */
    flush(s);
    xk_store_server_destroy(s);
    t = recover(journal_bytes);
    EQ(xk_store_conn_recover(kits[1].conn, 1, 950, 2004), 1000); /* it was noted, but not shown */
    EQ(xk_store_conn_output(kits[1].conn, &p), total - 4);
    EQ(memcmp(p + XK_STORE_HEADER_SIZE - 4, "value", 5), 0);
    xk_store_conn_sent(kits[1].conn, total - 4);
    kits[1].req_id = 7;
    EQ(xk_store_conn_input(kits[1].conn, packet + 10, n - 10), (long)n - 10);
    EQ(kit_fetch(&kits[1]), 1);
    STREQ((char *)kits[1].reply, "value");
    xk_store_server_destroy(t);
    /* The ring went on after the note: nothing of it is of use. */
    t = recover(journal_bytes);
    EQ(xk_store_conn_recover(kits[1].conn, 1, 1020, 2000 + (uint32_t)total + 30), 1020);
    EQ(xk_store_conn_output(kits[1].conn, &p), 0);
    VALUE(&kits[1], "v", "value");
    xk_store_server_destroy(t);
}

TEST(lost_transactions_conflict_and_watches_fire)
{
    struct xk_store_server *s = world(), *t;
    uint32_t tx;

    EQ(kit_watch(&kits[1], "data", "t"), 0);
    EQ(kit_begin(&kits[1]), 0);
    tx = kits[1].tx;
    flush(s);
    xk_store_server_destroy(s);
    t = recover(journal_bytes);
    EQ(xk_store_conn_recover(kits[1].conn, 1, 7, 0), 7);
    EVENT(&kits[1], "data", "t");
    kits[1].tx = tx;
    EQ(kit_write(&kits[1], "data/v", "1"), 0);
    VALUE(&kits[1], "data/v", "1");
    EQ(kit_end(&kits[1], "T"), XK_EAGAIN);
    EQ(kit_read(&kits[1], "data/v"), XK_ENOENT);
    EQ(kit_begin(&kits[1]), 0);
    OK(kits[1].tx > tx);
    EQ(kit_end(&kits[1], "T"), 0);
    kits[1].tx = 5 << 20;
    EQ(kit_read(&kits[1], "data/v"), XK_ENOENT); /* of no former life */
    xk_store_server_destroy(t);
}

/* A connection that has had more transactions than fit between two epochs. */
TEST(lost_transactions_with_high_numbers_conflict_too)
{
    struct xk_store_server *s = world(), *t;
    uint32_t tx;

    kits[1].conn->next_tx = 7 << 20;
    xk_store_journal_stop(s);
    begin(s);
    EQ(kit_begin(&kits[1]), 0);
    tx = kits[1].tx;
    flush(s);
    xk_store_server_destroy(s);
    t = recover(journal_bytes);
    EQ(xk_store_conn_recover(kits[1].conn, 2, 7, 0), 7);
    EQ(kit_begin(&kits[1]), 0);
    OK(kits[1].tx > tx);
    kits[1].tx = tx;
    EQ(kit_write(&kits[1], "x", "1"), 0);
    EQ(kit_end(&kits[1], "T"), XK_EAGAIN);
    xk_store_server_destroy(t);
}

/* XSA-322, after a crash: a stub domain whose target died has no rights over the next domain of that number. */
TEST(xsa_322_a_target_that_died_is_none_after_a_crash)
{
    struct xk_store_server *s = world(), *t;

    EQ(kit_do(&kits[0], XK_STORE_SET_TARGET, "2", "1", NULL), 0);
    EQ(kit_read(&kits[2], "/local/domain/1"), 0);
    EQ(xk_store_domain_died(s, 1), 0);
    flush(s);
    xk_store_server_destroy(s);
    t = recover(journal_bytes);
    EQ(kit_do(&kits[0], XK_STORE_INTRODUCE, "1", "1", "5", NULL), 0);
    EQ(kit_write(&kits[0], "/local/domain/1", "the next one's"), 0);
    EQ(kit_do(&kits[0], XK_STORE_SET_PERMS, "/local/domain/1", "n1", NULL), 0);
    EQ(kit_read(&kits[2], "/local/domain/1"), XK_EACCES);
    xk_store_server_destroy(t);
}

/* XSA-326, after a crash: numbers of transactions that may have been lost are not a way past the quota. */
TEST(xsa_326_lost_transactions_count)
{
    struct xk_store_server *s = world(), *t;
    struct xk_store_stats st;
    int rc = 0;

    flush(s);
    xk_store_server_destroy(s);
    t = recover(journal_bytes);
    EQ(xk_store_conn_recover(kits[1].conn, 3, 7, 0), 7);
    for (uint32_t id = 1; id < 100; id++) {
        kits[1].tx = id;
        rc = kit_write(&kits[1], "x", "1");
        EQ(rc, id <= 10 ? 0 : XK_ENOSPC);
    }
    xk_store_server_stats(t, &st);
    EQ(st.transactions, 10);
    for (uint32_t id = 1; id <= 10; id++) {
        kits[1].tx = id;
        EQ(kit_end(&kits[1], "T"), XK_EAGAIN);
    }
    SOUND(&kits[0]);
    xk_store_server_destroy(t);
}

/* --- at random ---------------------------------------------------------------------------------------------------- */

static uint64_t state;

static unsigned random_below(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)((state >> 16) % n);
}

static void random_step(struct xk_store_server *s)
{
    static const char *const names[] = {"a", "a/b", "a/b/c", "d", "d/e", "f/g/h"};
    struct kit *k = &kits[1 + random_below(DOMAINS)];
    const char *path = names[random_below(6)];
    char value[16], who[8], other[8];

    if (!k->conn)
        return;
    snprintf(value, sizeof(value), "%u", random_below(1000));
    snprintf(who, sizeof(who), "n%u", xk_store_conn_domid(k->conn));
    snprintf(other, sizeof(other), "r%u", 1 + random_below(DOMAINS));
    switch (random_below(12)) {
    case 0:
        kit_rm(k, path);
        break;
    case 1:
        kit_mkdir(k, path);
        break;
    case 2:
        kit_do(k, XK_STORE_SET_PERMS, path, who, other, NULL);
        break;
    case 3:
        if (!k->tx)
            kit_begin(k);
        break;
    case 4:
        if (k->tx)
            kit_end(k, random_below(3) ? "T" : "F");
        break;
    case 5:
    case 6:
        if (!k->tx)
            kit_do(k, random_below(3) ? XK_STORE_WATCH : XK_STORE_UNWATCH, path, "t", NULL);
        break;
    case 7:
        if (random_below(20) == 0) {
            k->tx = 0;
            kit_do(k, XK_STORE_RESET_WATCHES, "", NULL);
        }
        break;
    default:
        kit_write(k, path, value);
    }
    k->nevents = 0;
    (void)s;
}

/* After each step the pending bytes are noted with a picture of the store; then each is recovered and compared. */
TEST(any_history_any_end)
{
    enum { STEPS = 120 };
    static char pictures[STEPS][16384], got[16384];
    size_t ends[STEPS];

    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct xk_store_server *s = world();
        state = seed * 0x9e3779b97f4a7c15u;
        flush(s);
        for (int i = 0; i < STEPS; i++) {
            random_step(s);
            flush(s);
            ends[i] = journal_bytes;
            describe_all(s, pictures[i], sizeof(pictures[i]));
        }
        xk_store_server_destroy(s);
        for (int i = 0; i < STEPS; i += 1 + (int)random_below(10)) {
            size_t next = i + 1 < STEPS ? ends[i + 1] : ends[i] + 1;
            s = recover(ends[i] + random_below((unsigned)(next > ends[i] ? next - ends[i] : 1)));
            describe_all(s, got, sizeof(got));
            if (strcmp(got, pictures[i]))
                TAP_FAIL("seed %llu step %d:\n%s\nis to be\n%s", (unsigned long long)seed, i, got, pictures[i]);
            xk_store_server_destroy(s);
        }
    }
}

/* --- every allocation may fail ------------------------------------------------------------------------------------ */

static long allowed = -1; /* allocations until the next one fails; < 0: none fails */
static size_t held;

static void *failing_resize(void *ctx, void *p, size_t old, size_t size)
{
    void *q;

    (void)ctx;
    if (size > old && allowed >= 0 && allowed-- == 0)
        return NULL;
    held += size - (p ? old : 0);
    if (size == 0) {
        free(p);
        return NULL;
    }
    q = realloc(p, size);
    OK(q != NULL);
    return q;
}

static const xk_alloc failing = {failing_resize, NULL};

enum { DIES = 100, SHUTS_DOWN, INTRODUCED, RING_NOTE, EXPIRES, SAVES };

static const struct line {
    int who; /* which kit; the transaction that it has open is used */
    uint32_t type;
    const char *a, *b, *c;
} script[] = {
    {1, XK_STORE_WATCH, "data", "w1", NULL},
    {2, XK_STORE_WATCH, "/local/domain/1", "deep", "3"},
    {3, XK_STORE_WATCH, "@releaseDomain", "rel", NULL},
    {1, XK_STORE_WRITE, "data/a/b/c", "value", NULL},
    {1, XK_STORE_WRITE, "data/a/b/c", "a longer value than before", NULL},
    {1, XK_STORE_MKDIR, "data/dir", NULL, NULL},
    {1, XK_STORE_SET_PERMS, "data/a", "r1", "b2"},
    {2, XK_STORE_WRITE, "/local/domain/1/data/a/of-2", "1", NULL},
    {0, XK_STORE_SET_PERMS, "/tool", "r0", "b3"},
    {0, XK_STORE_SET_PERMS, "@releaseDomain", "n0", "r3"},
    {3, XK_STORE_WRITE, "/tool/of-3/x", "1", NULL},
    {0, XK_STORE_WRITE, "/named", "1", NULL},
    {0, XK_STORE_SET_PERMS, "/named", "n0", "r3"},
    {1, RING_NOTE, NULL, NULL, NULL},
    {1, XK_STORE_TRANSACTION_START, "", NULL, NULL},
    {1, XK_STORE_WRITE, "data/t1", "1", NULL},
    {1, XK_STORE_WRITE, "data/t2/deep", "1", NULL},
    {1, XK_STORE_RM, "data/a/b", NULL, NULL},
    {1, XK_STORE_READ, "data/a", NULL, NULL},
    {1, XK_STORE_SET_PERMS, "data/t1", "b1", "r7"},
    {1, SAVES, NULL, NULL, NULL},
    {1, XK_STORE_TRANSACTION_END, "T", NULL, NULL},
    {1, XK_STORE_TRANSACTION_START, "", NULL, NULL},
    {1, XK_STORE_WRITE, "data/m1/x", "1", NULL},
    {1, XK_STORE_RM, "data/t2", NULL, NULL},
    {0, XK_STORE_WRITE, "/elsewhere/x", "moves the tree on", NULL},
    {1, XK_STORE_TRANSACTION_END, "T", NULL, NULL},
    {0, XK_STORE_SET_QUOTA, "nodes", "500", NULL},
    {0, XK_STORE_SET_QUOTA, "2", "nodes", "300"},
    {0, XK_STORE_SET_QUOTA, "9", "watches", "3"},
    {0, XK_STORE_CONTROL, "quota", "set\0watches", "77"},
    {0, XK_STORE_SET_FEATURE, "9", "2", NULL},
    {0, XK_STORE_SET_TARGET, "2", "3", NULL},
    {3, SHUTS_DOWN, NULL, NULL, NULL},
    {0, XK_STORE_RESUME, "3", NULL, NULL},
    {9, INTRODUCED, NULL, NULL, NULL},
    {0, XK_STORE_INTRODUCE, "8", "1", "5"},
    {0, XK_STORE_INTRODUCE, "2", "1", "6"},
    {2, XK_STORE_WATCH, "again", "w", NULL},
    {1, EXPIRES, NULL, NULL, NULL},
    {1, XK_STORE_UNWATCH, "data", "w1", NULL},
    {2, XK_STORE_RESET_WATCHES, "", NULL, NULL},
    {3, DIES, NULL, NULL, NULL},
    {0, XK_STORE_RELEASE, "2", NULL, NULL},
    {0, XK_STORE_RM, "/local", NULL, NULL},
};
enum { LINES = sizeof(script) / sizeof(script[0]) };

static int nowhere(void *arg, const void *bytes, size_t n)
{
    (void)arg;
    (void)bytes;
    (void)n;
    return 0;
}

static int run_line(struct xk_store_server *s, const struct line *l)
{
    struct xk_store_saver saver = {.write = nowhere, .link = describe, .listener = -1, .events = -1};
    struct kit *k = &kits[l->who <= DOMAINS ? l->who : 0];
    char three[64];
    size_t n = 0;

    switch (l->type) {
    case DIES:
        return xk_store_domain_died(s, (unsigned)l->who);
    case SHUTS_DOWN:
        return xk_store_domain_shutdown(s, (unsigned)l->who);
    case INTRODUCED:
        return xk_store_domain_introduce(s, (unsigned)l->who);
    case RING_NOTE:
        return xk_store_journal_ring(k->conn, 1, 2);
    case EXPIRES:
        xk_store_conn_expire(k->conn, 1, 20);
        return 0;
    case SAVES:
        return xk_store_server_save(s, &saver);
    case XK_STORE_TRANSACTION_START:
        return kit_begin(k);
    case XK_STORE_TRANSACTION_END:
        return kit_end(k, l->a);
    case XK_STORE_WRITE:
        return kit_write(k, l->a, l->b);
    case XK_STORE_CONTROL:
        memcpy(three, "quota\0set\0watches\00077", n = 21);
        return kit_call(k, l->type, three, n);
    default:
        return kit_do(k, l->type, l->a, l->b, l->c, NULL);
    }
}

/* What describe_all says, and the accounts and quotas. */
static void picture(struct xk_store_server *s, char *out, size_t room)
{
    static const char *const who[] = {"1", "2", "3", "9"}; /* 9 is not introduced */
    struct kit k;
    size_t used;

    describe_all(s, out, room);
    used = strlen(out);
    memset(&k, 0, sizeof(k));
    kit_open(&k, s, 0);
    for (unsigned i = 0; i < 4; i++) {
        const char *memory, *text = (char *)k.reply;
        EQ(kit_do(&k, XK_STORE_GET_FEATURE, who[i], NULL), 0);
        used += (size_t)snprintf(out + used, room - used, "%s: features %s\n", who[i], text);
        EQ(kit_do(&k, XK_STORE_GET_QUOTA, who[i], "watches", NULL), 0);
        used += (size_t)snprintf(out + used, room - used, "%s: watches %s\n", who[i], text);
        if (i == 3 || kit_do(&k, XK_STORE_CONTROL, "quota", who[i], NULL))
            continue;
        memory = strstr(text, "transactions");
        used += (size_t)snprintf(out + used, room - used, "%.*s%s", (int)(memory - text), text, strstr(text, "named"));
    }
    EQ(kit_do(&k, XK_STORE_CONTROL, "quota", NULL), 0);
    snprintf(out + used, room - used, "%s", (char *)k.reply);
    xk_store_conn_close(k.conn);
}

static void forget_events(void)
{
    for (int i = 0; i <= DOMAINS; i++)
        if (kits[i].conn) {
            kit_fetch(&kits[i]);
            kits[i].nevents = 0;
        }
}

/* Without the line, with it, and after a crash: what a failed line leaves is nothing. 1: it needed fewer allocations.
 */
static int fail_once(int target, long nth)
{
    static char before[32768], after[32768], again[32768];
    struct xk_store_server *s, *t;
    int rc, done;

    allowed = -1;
    held = 0;
    server_alloc = &failing;
    s = world();
    for (int i = 0; i < target; i++) {
        EQ(run_line(s, &script[i]), 0);
        forget_events();
        if (i % 3 == 0)
            flush(s);
    }
    if (nth & 1) { /* every other time with a journal that has no buffer yet, so that its growing fails, too */
        flush(s);
        xk_store_journal_stop(s);
        xk_store_journal_start(s, JOURNAL);
    }
    picture(s, before, sizeof(before));
    allowed = nth / 2;
    rc = run_line(s, &script[target]);
    done = allowed >= 0;
    allowed = -1;
    forget_events();
    if (done ? rc : rc && rc != XK_ENOMEM)
        TAP_FAIL("line %d, allocation %ld: %d", target, nth, rc);
    picture(s, after, sizeof(after));
    if (rc && strcmp(after, before))
        TAP_FAIL("line %d, allocation %ld failed and left this:\n%s\nbefore it was:\n%s", target, nth, after, before);
    flush(s);
    t = recover(journal_bytes);
    picture(t, again, sizeof(again));
    if (strcmp(again, after))
        TAP_FAIL("line %d, allocation %ld: the journal has this:\n%s\nand the store:\n%s", target, nth, again, after);
    xk_store_server_destroy(t);
    xk_store_server_destroy(s);
    server_alloc = NULL;
    EQ(held, 0);
    return done;
}

TEST(every_allocation_may_fail)
{
    long failures = 0;

    for (int target = 0; target < LINES; target++)
        for (long nth = 0; !fail_once(target, nth) || !fail_once(target, nth + 1); nth += 2)
            failures += 2;
    printf("# %ld failed allocations\n", failures);
    OK(failures > 250);
}

TEST(recovery_fails_cleanly_without_memory)
{
    struct xk_store_server *s = world();
    long failures = 0;
    int rc = XK_ENOMEM;

    for (int i = 0; i < 40; i++) {
        EQ(run_line(s, &script[i]), 0);
        forget_events();
    }
    flush(s);
    xk_store_server_destroy(s);
    for (long nth = 0; rc; nth++) {
        struct xk_store_loader loader = {.conn = adopt, .closed = closed};
        size_t used = 0;
        allowed = -1;
        held = 0;
        memset(kits, 0, sizeof(kits));
        s = xk_store_server_create(&failing, NULL, NULL, NULL);
        loader.arg = s;
        allowed = nth;
        rc = xk_store_server_load(s, snapshot, snapshot_bytes, &loader, NULL);
        if (rc == 0)
            rc = xk_store_server_replay(s, journal, journal_bytes, &loader, &used, NULL);
        OK(rc == 0 || rc == XK_ENOMEM);
        if (rc == 0 && allowed < 0)
            rc = XK_ENOMEM; /* a transport that found no memory does without its client */
        failures += rc != 0;
        allowed = -1;
        xk_store_server_destroy(s);
        EQ(held, 0);
        OK(nth < 10000);
    }
    printf("# %ld failed allocations\n", failures);
    OK(failures > 50);
}

/* For the fuzz target's corpus: XK_CORPUS=DIR build/tests/test_store_journal corpus. Each file has nine bytes that the
 * target reads, and what stands in the batches of one step, without their heads. */
TEST(corpus)
{
    const char *dir = getenv("XK_CORPUS");
    struct xk_store_server *s = world();
    const uint8_t *p;

    for (int i = 0; i < LINES; i++) {
        char path[512];
        size_t n;
        FILE *f;
        flush(s);
        EQ(run_line(s, &script[i]), 0);
        forget_events();
        n = xk_store_journal_pending(s, &p);
        if (!dir || n <= 16)
            continue;
        snprintf(path, sizeof(path), "%s/line%02d", dir, i);
        f = fopen(path, "wb");
        OK(f != NULL);
        EQ(fwrite("\0\0\0\0\0\0\0\0\0", 1, 9, f), 9);
        EQ(fwrite(p + 16, 1, n - 16, f), n - 16);
        fclose(f);
    }
    xk_store_server_destroy(s);
}
