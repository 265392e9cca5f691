/* diff/generate.c - operations at random, from a seed. Few paths, so that things collide; now and then a scene of
 * several operations that single ones would hardly ever come to. Nothing here depends on answers, so a trace can be cut
 * down and still means the same. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diff.h"

static uint64_t next(struct generator *g)
{
    uint64_t z = g->state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static unsigned rnd(struct generator *g, unsigned n) { return (unsigned)(next(g) >> 32) % n; }
static bool one_in(struct generator *g, unsigned n) { return rnd(g, n) == 0; }

/* --- paths -------------------------------------------------------------------------------------------------------- */

static char *add_parts(struct generator *g, char *p, unsigned n)
{
    while (n--) {
        static const char *const names[] = {"a", "b", "c", "a", "b", "dd"};
        p += sprintf(p, "/%s", names[rnd(g, 6)]);
    }
    return p;
}

static void odd_path(struct generator *g, char *p)
{
    static const char *const odd[] = {"",
                                      "//",
                                      "/t/",
                                      "/t//a",
                                      "t/",
                                      "/t/a b",
                                      "/t/\x80",
                                      "@",
                                      "@foo",
                                      "@releaseDomain",
                                      "@introduceDomain",
                                      "@releaseDomain/2",
                                      "/@a",
                                      "/t/@",
                                      "a@b",
                                      "/-/_",
                                      "/t/.",
                                      "/local/domain/",
                                      "/local/domain/7/x",
                                      "/t/a/",
                                      "-",
                                      "@/"};
    unsigned n = rnd(g, sizeof(odd) / sizeof(odd[0]) + 3), len;

    if (n < sizeof(odd) / sizeof(odd[0])) {
        strcpy(p, odd[n]);
        return;
    }
    len = g->setup->path - 3 + rnd(g, 8); /* about as long as is allowed */
    strcpy(p, n & 1 ? "/t/" : "");
    n = (unsigned)strlen(p);
    memset(p + n, 'x', len - n);
    for (n += 200; n < len - 1; n += 200)
        p[n] = '/'; /* names that are so long that a directory of several is too large would be another matter */
    p[len] = 0;
}

static void random_path(struct generator *g, char *p)
{
    switch (rnd(g, 24)) {
    case 0:
        odd_path(g, p);
        break;
    case 1: {
        static const char *const high[] = {"/",  "/local", "/local/domain", "/tool", "/tool/xenstored", "/t",
                                           "/u", "/t"};
        strcpy(p, high[rnd(g, 8)]);
        break;
    }
    case 2:
    case 3:
    case 4:
    case 5:
        p += sprintf(p, "/local/domain/%u", 1 + rnd(g, DOMAINS));
        add_parts(g, p, rnd(g, 3));
        break;
    case 6:
    case 7:
    case 8:
    case 9:
    case 10:
    case 11:
        add_parts(g, p, 1 + rnd(g, 3));
        memmove(p, p + 1, strlen(p)); /* relative */
        break;
    default:
        strcpy(p, "/t");
        add_parts(g, p + 2, 1 + rnd(g, 3));
    }
}

/* --- payloads ----------------------------------------------------------------------------------------------------- */

struct payload {
    char p[XK_STORE_PAYLOAD_MAX];
    size_t n;
};

static void add(struct payload *o, const char *s)
{
    size_t n = strlen(s) + 1;

    if (o->n + n > sizeof(o->p))
        return;
    memcpy(o->p + o->n, s, n);
    o->n += n;
}

static void add_path(struct generator *g, struct payload *o)
{
    char path[XK_STORE_PAYLOAD_MAX];

    random_path(g, path);
    add(o, path);
}

/* Sizes that are near the limit of a node are left out: what counts is told differently, see README.md. */
static void add_value(struct generator *g, struct payload *o, bool guest)
{
    unsigned n;

    switch (rnd(g, 16)) {
    case 0:
        return;
    case 1:
        add(o, "with");
        add(o, "zeros");
        return;
    case 2:
        n = 1 + rnd(g, one_in(g, 4) ? 2000 : 300);
        break;
    case 3:
        if (guest && one_in(g, 6)) {
            n = g->setup->size + 1 + rnd(g, 200);
            break;
        }
        /* fall through */
    default:
        o->n += (size_t)sprintf(o->p + o->n, "%u", g->value++);
        return;
    }
    if (o->n + n > sizeof(o->p))
        n = (unsigned)(sizeof(o->p) - o->n);
    memset(o->p + o->n, 'v', n);
    o->n += n;
}

static void add_perms(struct generator *g, struct payload *o, unsigned conn)
{
    static const char *const odd[] = {"", "r", "q1", "r1x", "R1", "1", "r 1", "r-", "b99999999999999"};
    unsigned n = 1 + rnd(g, 3), domid = domid_of(conn);
    char text[32];

    if (one_in(g, 25))
        n = rnd(g, g->setup->perms + 3);
    for (unsigned i = 0; i < n; i++) {
        unsigned who = i == 0 && !one_in(g, 8) && domid ? domid : rnd(g, DOMAINS + 1);
        if (one_in(g, 40))
            who = (unsigned[]){9, 32757, 65535, 32752}[rnd(g, 4)];
        snprintf(text, sizeof(text), "%c%u", "nrwbbr"[rnd(g, 6)], who);
        add(o, one_in(g, 60) ? odd[rnd(g, sizeof(odd) / sizeof(odd[0]))] : text);
    }
}

static void add_watch(struct generator *g, struct payload *o)
{
    static const char *const specials[] = {"@introduceDomain", "@releaseDomain", "@releaseDomain", "@foo",
                                           "@releaseDomain/2"};
    static const char *const tokens[] = {"w1", "w2", "w1", "", "a token/of-any bytes\x7f"};

    if (one_in(g, 5))
        add(o, specials[rnd(g, 5)]);
    else
        add_path(g, o);
    add(o, tokens[rnd(g, 5)]);
}

static void add_number(struct generator *g, struct payload *o, bool loose)
{
    static const char *const odd[] = {"", "x", "1x", " 2", "-1", "+1", "0x1", "65536", "4294967297", "00001"};
    char text[16];

    if (loose && one_in(g, 5)) {
        add(o, odd[rnd(g, sizeof(odd) / sizeof(odd[0]))]);
        return;
    }
    snprintf(text, sizeof(text), "%u",
             one_in(g, 10) ? (unsigned[]){0, 9, 32752, 32767, 65535}[rnd(g, 5)] : 1 + rnd(g, DOMAINS));
    add(o, text);
}

/* What a client would not send: too little, too much, without the final NUL. */
static void spoil(struct generator *g, struct payload *o)
{
    switch (rnd(g, 5)) {
    case 0:
        o->n = 0;
        break;
    case 1:
        o->n -= o->n > 0;
        break;
    case 2:
        add(o, "more");
        break;
    case 3:
        o->n = o->n ? rnd(g, o->n < 2000 ? (unsigned)o->n : 2000) : 0;
        break;
    default:
        if (o->n)
            o->p[rnd(g, (unsigned)o->n)] = 0;
    }
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

static uint32_t random_type(struct generator *g)
{
    static const uint8_t often[] = {
        XK_STORE_WRITE,     XK_STORE_WRITE,     XK_STORE_WRITE,     XK_STORE_WRITE,     XK_STORE_WRITE,
        XK_STORE_WRITE,     XK_STORE_READ,      XK_STORE_READ,      XK_STORE_READ,      XK_STORE_MKDIR,
        XK_STORE_MKDIR,     XK_STORE_MKDIR,     XK_STORE_RM,        XK_STORE_RM,        XK_STORE_RM,
        XK_STORE_DIRECTORY, XK_STORE_DIRECTORY, XK_STORE_GET_PERMS, XK_STORE_GET_PERMS, XK_STORE_SET_PERMS,
        XK_STORE_SET_PERMS, XK_STORE_SET_PERMS, XK_STORE_SET_PERMS, XK_STORE_WATCH,     XK_STORE_WATCH,
        XK_STORE_WATCH,     XK_STORE_UNWATCH,   XK_STORE_UNWATCH,   XK_STORE_WATCH,     XK_STORE_DIRECTORY_PART};
    static const uint8_t seldom[] = {XK_STORE_GET_DOMAIN_PATH, XK_STORE_IS_DOMAIN_INTRODUCED,
                                     XK_STORE_INTRODUCE,       XK_STORE_INTRODUCE,
                                     XK_STORE_INTRODUCE,       XK_STORE_RELEASE,
                                     XK_STORE_RESUME,          XK_STORE_SET_TARGET,
                                     XK_STORE_CONTROL};
    static const uint8_t rare[] = {
        XK_STORE_RESET_WATCHES, XK_STORE_WATCH_EVENT, XK_STORE_ERROR,    20, 27, 255, XK_STORE_GET_FEATURE,
        XK_STORE_GET_QUOTA,     XK_STORE_SET_FEATURE, XK_STORE_SET_QUOTA};

    if (one_in(g, 250))
        return rare[rnd(g, sizeof(rare))];
    return one_in(g, 18) ? seldom[rnd(g, sizeof(seldom))] : often[rnd(g, sizeof(often))];
}

static void fill(struct generator *g, struct payload *o, uint32_t type, unsigned conn)
{
    switch (type) {
    case XK_STORE_WRITE:
        add_path(g, o);
        add_value(g, o, is_ring(conn));
        break;
    case XK_STORE_SET_PERMS:
        add_path(g, o);
        add_perms(g, o, conn);
        break;
    case XK_STORE_WATCH:
    case XK_STORE_UNWATCH:
        add_watch(g, o);
        break;
    case XK_STORE_DIRECTORY_PART:
        add_path(g, o);
        add(o, one_in(g, 10) ? "1000000" : one_in(g, 20) ? "x" : "0");
        break;
    case XK_STORE_INTRODUCE:
        add_number(g, o, false);
        add(o, one_in(g, 4) ? "-1" : "12345");
        add(o, one_in(g, 20) ? "0" : "17");
        break;
    case XK_STORE_SET_TARGET:
        add(o, one_in(g, 4) ? "9" : "4");
        add(o, one_in(g, 4) ? "9" : "3");
        break;
    case XK_STORE_CONTROL:
        add(o, one_in(g, 2) ? "no-such-command" : "");
        break;
    case XK_STORE_RELEASE:
    case XK_STORE_RESUME:
    case XK_STORE_GET_DOMAIN_PATH:
    case XK_STORE_IS_DOMAIN_INTRODUCED:
        add_number(g, o, type != XK_STORE_RELEASE && type != XK_STORE_RESUME);
        break;
    case XK_STORE_RESET_WATCHES:
        add(o, "");
        break;
    case XK_STORE_TRANSACTION_START:
    case XK_STORE_TRANSACTION_END:
        break;
    default:
        add_path(g, o);
    }
}

static unsigned random_conn(struct generator *g) { return one_in(g, 3) ? rnd(g, SOCKETS) : SOCKETS + rnd(g, DOMAINS); }

/* Domain 0's operations mostly come from domain 0. */
static struct op *request(struct generator *g, unsigned conn, unsigned slot)
{
    struct payload o = {.n = 0};
    uint32_t type = random_type(g);
    struct op *op;

    if (type == XK_STORE_INTRODUCE || type == XK_STORE_RELEASE || type == XK_STORE_RESUME ||
        type == XK_STORE_SET_TARGET)
        conn = one_in(g, 10) ? conn : rnd(g, SOCKETS);
    fill(g, &o, type, conn);
    if (one_in(g, 60) && type != XK_STORE_INTRODUCE && type != XK_STORE_RELEASE && type != XK_STORE_SET_TARGET &&
        type != XK_STORE_RESUME)
        spoil(g, &o);
    op = trace_add(&g->queue, conn, slot, type, o.p, o.n);
    if (one_in(g, 50))
        op->cut = (uint16_t)(1 + rnd(g, 40));
    return op;
}

static void start(struct generator *g, unsigned conn, unsigned slot)
{
    trace_add(&g->queue, conn, slot, XK_STORE_TRANSACTION_START, "", 1);
}

static void end(struct generator *g, unsigned conn, unsigned slot)
{
    const char *how = one_in(g, 40) ? "X" : one_in(g, 5) ? "F" : "T";
    trace_add(&g->queue, conn, slot, XK_STORE_TRANSACTION_END, how, 2);
}

/* --- scenes ------------------------------------------------------------------------------------------------------- */

static void say2(struct generator *g, unsigned conn, unsigned slot, uint32_t type, const char *a, const char *b)
{
    struct payload o = {.n = 0};

    add(&o, a);
    if (b)
        add(&o, b);
    trace_add(&g->queue, conn, slot, type, o.p, o.n);
}

static void introduce(struct generator *g, unsigned domid)
{
    struct payload o = {.n = 0};
    char number[8];

    snprintf(number, sizeof(number), "%u", domid);
    add(&o, number);
    add(&o, "4711");
    add(&o, "23");
    trace_add(&g->queue, 0, 0, XK_STORE_INTRODUCE, o.p, o.n);
}

/* What a toolstack makes for a domain, in a transaction or without. */
static void make_home(struct generator *g, unsigned domid)
{
    char path[32], perms[8];

    snprintf(path, sizeof(path), "/local/domain/%u", domid);
    snprintf(perms, sizeof(perms), "n%u", domid);
    trace_add(&g->queue, 0, domid, OP_CREATE, "", 0);
    say2(g, 0, 0, XK_STORE_MKDIR, path, NULL);
    say2(g, 0, 0, XK_STORE_SET_PERMS, path, perms);
    introduce(g, domid);
}

static void common_ground(struct generator *g)
{
    say2(g, 0, 0, XK_STORE_MKDIR, "/t", NULL);
    say2(g, 0, 0, XK_STORE_SET_PERMS, "/t", "b0");
}

static void domain_scene(struct generator *g)
{
    static const uint32_t ends[] = {OP_SHUTDOWN, OP_SHUTDOWN, OP_DYING, OP_GONE, OP_GONE};
    unsigned domid = 1 + rnd(g, DOMAINS);

    trace_add(&g->queue, 0, domid, ends[rnd(g, 5)], "", 0);
    for (unsigned i = rnd(g, 10); i; i--)
        request(g, random_conn(g), 0);
    if (one_in(g, 2)) {
        trace_add(&g->queue, 0, domid, OP_GONE, "", 0);
        make_home(g, domid);
    } else if (one_in(g, 2)) {
        trace_add(&g->queue, 0, domid, OP_CREATE, "", 0);
    }
}

static void socket_scene(struct generator *g)
{
    unsigned conn = rnd(g, SOCKETS);

    trace_add(&g->queue, one_in(g, 4) ? random_conn(g) : conn, 0, one_in(g, 2) ? OP_OVERSIZE : OP_CLOSE, "", 0);
    for (unsigned i = rnd(g, 5); i; i--)
        request(g, random_conn(g), 0);
    for (conn = 0; conn < SOCKETS; conn++)
        trace_add(&g->queue, conn, 0, OP_OPEN, "", 0);
}

/* More than is allowed of something: watches, transactions, nodes, nodes in a transaction. */
static void quota_scene(struct generator *g)
{
    unsigned conn = random_conn(g), what = rnd(g, 4), n, slot = 1 + rnd(g, 3);
    char path[64];

    n = what == 0 ? g->setup->watches : what == 1 ? SLOTS : what == 2 ? g->setup->nodes : g->setup->tx_nodes;
    if (n > 200)
        n = 40;
    if (what == 3)
        start(g, conn, slot);
    for (unsigned i = 0; i < n + 3; i++) {
        snprintf(path, sizeof(path), "%s/n%u", one_in(g, 3) ? "/t/a" : "q", i);
        if (what == 0)
            say2(g, conn, 0, XK_STORE_WATCH, path, "q");
        else if (what == 1 && i < SLOTS)
            start(g, conn, i + 1);
        else if (what == 2)
            say2(g, conn, one_in(g, 10) ? slot : 0, XK_STORE_WRITE, path, "v");
        else
            say2(g, conn, slot, one_in(g, 2) ? XK_STORE_READ : XK_STORE_MKDIR, path, NULL);
        if (one_in(g, 20))
            request(g, random_conn(g), 0);
    }
    for (unsigned i = 0; i < SLOTS; i++)
        if (what == 1 || i + 1 == slot)
            end(g, conn, i + 1);
    if (what == 0 && one_in(g, 2))
        say2(g, conn, 0, XK_STORE_RESET_WATCHES, "", NULL);
    if (what == 2) {
        say2(g, conn, 0, XK_STORE_RM, "q", NULL);
        say2(g, 0, 0, XK_STORE_RM, "/t/a", NULL);
    }
}

/* A directory whose list does not fit into one reply. */
static void wide_scene(struct generator *g)
{
    char path[128];

    for (unsigned i = 0; i < 90; i++) {
        snprintf(path, sizeof(path), "/u/a-name-that-is-rather-long-so-that-few-of-them-do-%u", i * 7919 % 1000);
        say2(g, 0, 0, XK_STORE_MKDIR, path, NULL);
    }
    say2(g, 0, 0, XK_STORE_DIRECTORY, "/u", NULL);
    say2(g, 0, 0, XK_STORE_DIRECTORY_PART, "/u", "0");
    for (unsigned i = rnd(g, 30); i; i--)
        request(g, random_conn(g), 0);
    say2(g, 0, 0, XK_STORE_RM, "/u", NULL);
}

/* Several at once, replies fetched in the end only. */
static void burst(struct generator *g)
{
    unsigned conn = random_conn(g), n = one_in(g, 4) ? 25 + rnd(g, 10) : 2 + rnd(g, 6);

    while (n--) {
        struct op *op = request(g, conn, 0);
        op->more = n > 0 && op->conn == conn;
    }
}

/* A transaction with rivals: the requests of others in between are the point. */
static void txn_scene(struct generator *g)
{
    unsigned conn = random_conn(g), slot = 1 + rnd(g, 3), rivals = rnd(g, 4);

    start(g, conn, slot);
    for (unsigned i = 1 + rnd(g, 8); i; i--) {
        request(g, conn, slot);
        if (rivals && one_in(g, 4))
            request(g, random_conn(g), one_in(g, 3) ? 1 + rnd(g, 3) : 0);
    }
    end(g, conn, slot);
}

/* --- the stream of operations ------------------------------------------------------------------------------------- */

void generate_start(struct generator *g, uint64_t seed, const struct setup *s)
{
    memset(g, 0, sizeof(*g));
    g->state = seed;
    g->setup = s;
    common_ground(g);
    for (unsigned i = 1; i <= DOMAINS; i++)
        make_home(g, i);
}

static void more(struct generator *g)
{
    unsigned conn = random_conn(g), r = rnd(g, 400);

    if (r < 2)
        domain_scene(g);
    else if (r == 2)
        socket_scene(g);
    else if (r == 3)
        quota_scene(g);
    else if (r == 4 && one_in(g, 6) && g->setup->path > 100)
        wide_scene(g);
    else if (r == 5)
        trace_add(&g->queue, 0, 0, OP_UPDATE, "", 0);
    else if (r < 8)
        make_home(g, 1 + rnd(g, DOMAINS));
    else if (r < 11)
        common_ground(g);
    else if (r < 18)
        burst(g);
    else if (r < 55)
        txn_scene(g);
    else if (r < 70)
        start(g, conn, 1 + rnd(g, 3));
    else if (r < 85)
        end(g, conn, 1 + rnd(g, 3));
    else
        request(g, conn, one_in(g, 4) ? 1 + rnd(g, 3) : one_in(g, 100) ? NO_SUCH_TX : 0);
}

const struct op *generate(struct generator *g)
{
    if (g->next == g->queue.n) {
        trace_free(&g->queue);
        g->next = 0;
        while (g->queue.n == 0)
            more(g);
    }
    return &g->queue.v[g->next++];
}

void generate_end(struct generator *g) { trace_free(&g->queue); }
