/* The server against a model that is too simple to be wrong, under random requests of three domains; and the same kind
 * of workload under an allocator that fails. SPDX-License-Identifier: MIT */
#include "tests/c/store/kit.h"

/* --- the model: an array of nodes, copied whole by every transaction -----------------------------------------------
 */

enum { MODEL_NODES = 256 };

struct model_node {
    char path[40], value[8];
    unsigned owner;
    char def;  /* n r w b for everybody */
    int other; /* one exception, or -1 */
    char other_letter;
};
struct model {
    struct model_node v[MODEL_NODES];
    int n;
};

static struct model_node *m_find(struct model *m, const char *path)
{
    for (int i = 0; i < m->n; i++)
        if (strcmp(m->v[i].path, path) == 0)
            return &m->v[i];
    return NULL;
}

static int m_may(const struct model_node *n, unsigned dom, char what)
{
    char c = n->def;
    if (dom == 0 || n->owner == dom)
        return 1;
    if (n->other == (int)dom)
        c = n->other_letter;
    return what != 'o' && (c == 'b' || c == what);
}

static void m_parent(const char *path, char *out)
{
    char *slash;
    memmove(out, path, strlen(path) + 1);
    slash = strrchr(out, '/');
    slash[slash == out ? 1 : 0] = 0;
}

/* 0 and the node, or the error that the server gives. */
static int m_look(struct model *m, unsigned dom, const char *path, char what, struct model_node **out)
{
    char up[40];

    *out = m_find(m, path);
    if (*out)
        return m_may(*out, dom, what) ? 0 : XK_EACCES;
    strcpy(up, path);
    do
        m_parent(up, up);
    while (!m_find(m, up));
    return m_may(m_find(m, up), dom, what) ? XK_ENOENT : XK_EACCES;
}

static void m_create(struct model *m, unsigned dom, const char *path)
{
    char up[40];
    struct model_node *n;

    if (m_find(m, path))
        return;
    m_parent(path, up);
    m_create(m, dom, up);
    n = &m->v[m->n++];
    *n = *m_find(m, up);
    strcpy(n->path, path);
    n->value[0] = 0;
    if (dom)
        n->owner = dom;
}

static int m_write(struct model *m, unsigned dom, const char *path, const char *value)
{
    struct model_node *n;
    int rc = m_look(m, dom, path, 'w', &n);
    if (rc == XK_ENOENT)
        m_create(m, dom, path);
    else if (rc)
        return rc;
    if (value)
        strcpy(m_find(m, path)->value, value);
    return 0;
}

static int m_rm(struct model *m, unsigned dom, const char *path)
{
    struct model_node *n;
    char up[40];
    size_t len = strlen(path);
    int rc = m_look(m, dom, path, 'w', &n);

    m_parent(path, up);
    if (rc == XK_ENOENT)
        return m_find(m, up) ? 0 : XK_ENOENT;
    if (rc)
        return rc;
    for (int i = 0; i < m->n;)
        if (strncmp(m->v[i].path, path, len) == 0 && (m->v[i].path[len] == '/' || !m->v[i].path[len]))
            m->v[i] = m->v[--m->n];
        else
            i++;
    return 0;
}

/* --- random requests ---------------------------------------------------------------------------------------------- */

static uint32_t seed = 12345;
static unsigned rnd(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return (seed >> 3) % n;
}

static void random_path(char *out)
{
    unsigned depth = 1 + rnd(3);
    out[0] = 0;
    while (depth--)
        sprintf(out + strlen(out), "/%c", 'a' + (char)rnd(4));
}

/* A server that may put things off, and is tidied up now and then. */
static void later(void *arg) { (void)arg; }
static const struct xk_store_server_ops putting_off = {.version = XK_STORE_SERVER_OPS_VERSION, .later = later};

struct session {
    struct kit kit;
    unsigned dom;
    struct model mine; /* of the open transaction */
    int changes;       /* commits of others since it began */
};

static void compare_all(struct kit *k, struct model *m)
{
    for (int i = 0; i < m->n; i++) {
        char perms[32];
        if (i) /* "tool" is in the root's list but not in the model */
            VALUE(k, m->v[i].path, m->v[i].value);
        EQ(kit_do(k, XK_STORE_GET_PERMS, m->v[i].path, NULL), 0);
        snprintf(perms, sizeof(perms), "%c%u", m->v[i].def, m->v[i].owner);
        STREQ((char *)k->reply, perms);
        EQ(k->len > strlen(perms) + 1, m->v[i].other >= 0);
    }
}

static void one_request(struct session *x, struct model *m)
{
    struct kit *k = &x->kit;
    struct model_node *n;
    char path[40], a[16], b[16], value[8];
    int want, rc, children = 0;
    unsigned owner;
    size_t len;

    random_path(path);
    snprintf(value, sizeof(value), "%u", rnd(1000));
    switch (rnd(8)) {
    case 0:
    case 1:
        EQ(kit_write(k, path, value), m_write(m, x->dom, path, value));
        break;
    case 2:
        EQ(kit_mkdir(k, path), m_write(m, x->dom, path, NULL));
        break;
    case 3:
        if (rnd(2))
            break;
        EQ(kit_rm(k, path), m_rm(m, x->dom, path));
        break;
    case 4:
        want = m_look(m, x->dom, path, 'r', &n);
        EQ(kit_read(k, path), want);
        if (want == 0)
            STREQ((char *)k->reply, n->value);
        break;
    case 5:
        want = m_look(m, x->dom, path, 'r', &n);
        EQ(kit_do(k, XK_STORE_DIRECTORY, path, NULL), want);
        len = strlen(path);
        for (int i = 0; i < m->n; i++)
            children += strlen(m->v[i].path) == len + 2 && strncmp(m->v[i].path, path, len) == 0;
        if (want == 0)
            EQ(k->len, children * 2);
        break;
    default:
        rc = m_look(m, x->dom, path, 'o', &n);
        owner = rc == 0 && rnd(4) ? n->owner : rnd(3);
        if (rc == XK_ENOENT) { /* upstream asks for write or owner there */
            struct model_node *ignored;
            rc = m_look(m, x->dom, path, 'w', &ignored);
        } else if (rc == XK_EACCES && !n) {
            rc = m_look(m, x->dom, path, 'w', &n);
        }
        snprintf(a, sizeof(a), "%c%u", "nrwb"[rnd(4)], owner);
        snprintf(b, sizeof(b), "%c%u", "nrwb"[rnd(4)], 1 + rnd(2));
        if (rc == 0 && x->dom && owner != n->owner)
            rc = XK_EPERM;
        EQ(rnd(2) ? kit_do(k, XK_STORE_SET_PERMS, path, a, b, NULL)
                  : (b[0] = 0, kit_do(k, XK_STORE_SET_PERMS, path, a, NULL)),
           rc);
        if (rc == 0) {
            n->def = a[0];
            n->owner = owner;
            n->other = b[0] ? atoi(b + 1) : -1;
            n->other_letter = b[0];
        }
    }
}

static void random_run(uint32_t start, int steps, int *commits, int *conflicts)
{
    static struct session x[3];
    static struct model now;
    struct xk_store_server *s = xk_store_server_create(NULL, start % 2 ? &putting_off : NULL, NULL, NULL);
    struct kit admin;

    seed = start;
    memset(&now, 0, sizeof(now));
    now.n = 1;
    strcpy(now.v[0].path, "/");
    now.v[0].def = 'b';
    now.v[0].other = -1;
    kit_open(&admin, s, 0);
    EQ(kit_do(&admin, XK_STORE_SET_PERMS, "/", "b0", NULL), 0);
    for (unsigned i = 0; i < 3; i++) {
        kit_open(&x[i].kit, s, i);
        x[i].dom = i;
    }
    for (int step = 0; step < steps; step++) {
        struct session *y = &x[rnd(3)];
        int rc;
        if (rnd(5) == 0)
            xk_store_server_tidy(s);
        if (!y->kit.tx && rnd(12) == 0) {
            EQ(kit_begin(&y->kit), 0);
            y->mine = now;
            y->changes = 0;
        } else if (y->kit.tx && rnd(8) == 0) {
            int commit = rnd(4) != 0;
            rc = kit_end(&y->kit, commit ? "T" : "F");
            if (commit && rc == 0 && y->changes == 0)
                now = y->mine;
            else if (commit && y->changes == 0)
                TAP_FAIL("commit without rivals gave %d at step %d", rc, step);
            else if (commit && rc == 0) { /* merged: the model cannot merge, so it looks at what is there */
                *commits += 1;
                goto resync;
            }
            *conflicts += rc == XK_EAGAIN;
            for (int i = 0; commit && rc == 0 && i < 3; i++)
                x[i].changes++;
            continue;
        resync:
            for (int i = 0; i < 3; i++) /* keep it simple: everybody starts anew */
                if (x[i].kit.tx)
                    EQ(kit_end(&x[i].kit, "F"), 0);
            EQ(kit_do(&admin, XK_STORE_CONTROL, "check", NULL), 0);
            STREQ((char *)admin.reply, "OK");
            for (char c = 'a'; c < 'e'; c++) {
                char p[3] = {'/', c, 0};
                EQ(kit_rm(&admin, p), 0);
            }
            now.n = 1;
        } else if (y->kit.tx) {
            one_request(y, &y->mine);
        } else {
            one_request(y, &now);
            for (int i = 0; i < 3; i++)
                x[i].changes++;
        }
        if (step % 50 == 0)
            compare_all(&admin, &now);
    }
    for (int i = 0; i < 3; i++)
        if (x[i].kit.tx)
            EQ(kit_end(&x[i].kit, "F"), 0);
    compare_all(&admin, &now);
    SOUND(&admin);
    xk_store_server_destroy(s);
}

TEST(random_requests_against_a_model)
{
    int commits = 0, conflicts = 0;
    for (uint32_t start = 1; start <= 20; start++)
        random_run(start * 2654435761u, 2000, &commits, &conflicts);
    printf("# merged %d, conflicts %d\n", commits, conflicts);
    OK(commits > 10 && conflicts > 10);
}

/* A merged commit must be what the writes, done one after the other, would have given. */
TEST(merged_commits_equal_a_serial_run)
{
    for (uint32_t round = 1; round <= 400; round++) {
        struct xk_store_server *s[2];
        struct kit a[2], b[2];
        char path[40], list[2][XK_STORE_PAYLOAD_MAX];
        int rc;

        for (int i = 0; i < 2; i++) {
            s[i] = xk_store_server_create(NULL, round % 2 ? &putting_off : NULL, NULL, NULL);
            kit_open(&a[i], s[i], 0);
            kit_open(&b[i], s[i], 0);
        }
        /* side 0: a's writes in a transaction that b's interrupt; side 1: all of b's first, then a's */
        for (int phase = 0; phase < 3; phase++) {
            int swap = phase;
            for (int i = 0; i < 2; i++) {
                seed = round * 97 + (uint32_t)(i == 1 && phase ? 3 - phase : phase) * 7919;
                swap = i == 1 && phase ? 3 - phase : phase;
                if (i == 0 && phase == 1)
                    EQ(kit_begin(&a[0]), 0);
                for (int n = 0; n < 12; n++) {
                    struct kit *k = swap == 1 ? &a[i] : &b[i];
                    random_path(path);
                    rc = rnd(4) ? kit_write(k, path, path) : kit_rm(k, path);
                    OK(rc == 0 || rc == XK_ENOENT);
                }
            }
        }
        rc = kit_end(&a[0], "T");
        OK(rc == 0 || rc == XK_EAGAIN);
        for (int n = 0; rc == 0 && n < 4 + 16; n++) {
            if (n < 4)
                sprintf(path, "/%c", 'a' + n);
            else
                sprintf(path, "/%c/%c", 'a' + n % 4, 'a' + n / 4 - 1);
            strcpy(list[0], kit_list(&a[0], path));
            strcpy(list[1], kit_list(&a[1], path));
            STREQ(list[0], list[1]);
        }
        SOUND(&a[0]);
        for (int i = 0; i < 2; i++)
            xk_store_server_destroy(s[i]);
    }
}

/* --- failing allocator -------------------------------------------------------------------------------------------- */

static long allowed; /* allocations until the next one fails; < 0: none fails */
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

/* Everything that can be seen of a store, as text. */
static size_t dump(struct kit *k, const char *path, char *out)
{
    size_t n = 0;
    char child[256], names[1024];

    OK(kit_read(k, path) == 0);
    n += (size_t)sprintf(out + n, "%s=%s", path, (char *)k->reply);
    EQ(kit_do(k, XK_STORE_GET_PERMS, path, NULL), 0);
    for (uint32_t i = 0; i < k->len; i += (uint32_t)strlen((char *)k->reply + i) + 1)
        n += (size_t)sprintf(out + n, " %s", (char *)k->reply + i);
    out[n++] = '\n';
    out[n] = 0;
    strcpy(names, kit_list(k, path));
    for (char *name = names; *name;) {
        size_t len = strcspn(name, " ");
        snprintf(child, sizeof(child), "%s/%.*s", path[1] ? path : "", (int)len, name);
        n += dump(k, child, out + n);
        name += len + (name[len] == ' ');
    }
    return n;
}

static const struct line {
    char who; /* 0 dom0, 5 the guest */
    uint32_t type;
    const char *a, *b, *c;
} script[] = {
    {0, XK_STORE_MKDIR, "/local/domain/5/device", NULL, NULL},
    {0, XK_STORE_SET_PERMS, "/local/domain/5", "n5", "r6"},
    {0, XK_STORE_INTRODUCE, "5", "100", "7"},
    {0, XK_STORE_WATCH, "/local", "w0", NULL},
    {0, XK_STORE_WATCH, "@releaseDomain", "rel", NULL},
    {5, XK_STORE_WATCH, "data", "w5", NULL},
    {5, XK_STORE_WRITE, "data/a/b/c", "value", NULL},
    {5, XK_STORE_WRITE, "data/a/b/c", "a longer value than before", NULL},
    {5, XK_STORE_SET_PERMS, "data/a", "r5", "b6"},
    {5, XK_STORE_TRANSACTION_START, "", NULL, NULL},
    {5, XK_STORE_WRITE, "data/t1", "1", NULL},
    {5, XK_STORE_WRITE, "data/t2/deep", "1", NULL},
    {5, XK_STORE_RM, "data/a/b", NULL, NULL},
    {5, XK_STORE_READ, "data/a", NULL, NULL},
    {5, XK_STORE_SET_PERMS, "data/t1", "b5", "r7"},
    {5, XK_STORE_TRANSACTION_END, "T", NULL, NULL},
    {5, XK_STORE_TRANSACTION_START, "", NULL, NULL},
    {5, XK_STORE_WRITE, "data/m1/x", "1", NULL},
    {5, XK_STORE_RM, "data/t2", NULL, NULL},
    {0, XK_STORE_WRITE, "/elsewhere/x", "moves the tree on", NULL},
    {5, XK_STORE_TRANSACTION_END, "T", NULL, NULL},
    {0, XK_STORE_RM, "/local/domain/5/data/a", NULL, NULL},
    {0, XK_STORE_TRANSACTION_START, "", NULL, NULL},
    {0, XK_STORE_RM, "/local/domain/5/data", NULL, NULL},
    {0, XK_STORE_RM, "/elsewhere/x", NULL, NULL},
    {0, XK_STORE_TRANSACTION_END, "T", NULL, NULL},
    {0, XK_STORE_SET_PERMS, "/elsewhere", "n0", "r5"},
    {5, XK_STORE_UNWATCH, "data", "w5", NULL},
    {0, XK_STORE_RELEASE, "5", NULL, NULL},
    {0, XK_STORE_RM, "/local", NULL, NULL},
};

/* Runs one line. Transactions that end with ENOMEM are gone, so their lines are skipped from then on. */
static int run_line(struct kit *k, const struct line *l)
{
    int rc;

    if (l->type == XK_STORE_TRANSACTION_START) {
        rc = kit_begin(k);
    } else if (l->type == XK_STORE_TRANSACTION_END) {
        rc = kit_end(k, l->a);
    } else if (l->type == XK_STORE_WRITE) {
        rc = kit_write(k, l->a, l->b);
    } else {
        rc = kit_do(k, l->type, l->a, l->b, l->c, NULL);
    }
    return rc;
}

static long fail_everything(const struct xk_store_server_ops *ops)
{
    static char before[16384], after[16384];
    enum { LINES = sizeof(script) / sizeof(script[0]) };
    long failures = 0;

    for (int target = 0; target < LINES; target++)
        for (long nth = 0;; nth++) {
            struct xk_store_server *s;
            struct kit dom0, g5, probe;
            struct kit *k;
            struct xk_store_stats st[2];
            int rc;

            allowed = -1;
            held = 0;
            s = xk_store_server_create(&failing, ops, NULL, NULL);
            kit_open(&dom0, s, 0);
            kit_open(&probe, s, 0);
            kit_open(&g5, s, 5);
            for (int i = 0; i < target; i++) {
                k = script[i].who ? &g5 : &dom0;
                EQ(run_line(k, &script[i]), 0);
                dom0.nevents = g5.nevents = 0;
            }
            k = script[target].who ? &g5 : &dom0;
            dump(&probe, "/", before);
            xk_store_server_stats(s, &st[0]);
            allowed = nth;
            rc = run_line(k, &script[target]);
            xk_store_server_tidy(s);
            if (allowed >= 0) { /* it needed fewer than nth: this line is done */
                EQ(rc, 0);
                xk_store_server_destroy(s);
                EQ(held, 0);
                break;
            }
            allowed = -1;
            failures++;
            kit_fetch(&dom0);
            kit_fetch(&g5);
            if (rc) {
                EQ(rc, XK_ENOMEM);
                dump(&probe, "/", after);
                STREQ(after, before);
                xk_store_server_stats(s, &st[1]);
                EQ(st[1].nodes, st[0].nodes);
                EQ(st[1].watches, st[0].watches);
                EQ(st[1].events_queued, st[0].events_queued);
                if (script[target].type != XK_STORE_TRANSACTION_END) {
                    EQ(st[1].transactions, st[0].transactions);
                    EQ(run_line(k, &script[target]), 0); /* the same request succeeds now */
                }
            }
            SOUND(&probe);
            xk_store_server_destroy(s);
            EQ(held, 0);
        }
    printf("# %ld failed allocations\n", failures);
    return failures;
}

TEST(every_allocation_may_fail) { OK(fail_everything(NULL) > 60); }

TEST(every_allocation_may_fail_where_some_are_put_off) { OK(fail_everything(&putting_off) > 60); }

/* A watcher that fetches nothing: all its queues have to grow now and then, and each time that fails once. */
TEST(no_change_without_its_events)
{
    struct xk_store_server *s;
    struct kit writer, lazy;
    struct xk_store_stats st;
    char path[32];
    long failures = 0;

    allowed = -1;
    s = xk_store_server_create(&failing, NULL, NULL, NULL);
    kit_open(&writer, s, 0);
    kit_open(&lazy, s, 0);
    for (int i = 0; i < 20; i++) {
        snprintf(path, sizeof(path), "w%d", i);
        EQ(kit_watch(&lazy, "/q", path), 0);
        lazy.nevents = 0;
    }
    for (int i = 0; i < 40; i++)
        for (long nth = 0;; nth++) {
            int rc;
            snprintf(path, sizeof(path), "/q/%d", i);
            allowed = nth;
            rc = kit_write(&writer, path, "v");
            allowed = -1;
            xk_store_server_stats(s, &st);
            EQ(st.events_queued, 20 + 20 * (i + (rc == 0)));
            if (rc == 0) {
                VALUE(&writer, path, "v");
                break;
            }
            EQ(rc, XK_ENOMEM);
            EQ(kit_read(&writer, path), XK_ENOENT);
            failures++;
        }
    OK(failures > 40);
    SOUND(&writer);
    xk_store_server_destroy(s);
}

TEST(creation_and_opening_may_fail)
{
    for (long nth = 0;; nth++) {
        struct xk_store_server *s;
        struct xk_store_conn *c = NULL;

        allowed = nth;
        held = 0;
        s = xk_store_server_create(&failing, NULL, NULL, NULL);
        if (s)
            c = xk_store_conn_open(s, 9, 0, NULL);
        xk_store_conn_close(c);
        xk_store_server_destroy(s);
        EQ(held, 0);
        if (c)
            break;
    }
}

TEST(a_partial_packet_waits_for_memory)
{
    struct xk_store_server *s;
    struct kit k;
    uint8_t bytes[64];
    size_t n = kit_packet(bytes, XK_STORE_WRITE, 1, 0, "/a\0v", 4);

    allowed = -1;
    s = xk_store_server_create(&failing, NULL, NULL, NULL);
    kit_open(&k, s, 0);
    allowed = 0;
    EQ(xk_store_conn_input(k.conn, bytes, 10), 0);
    allowed = -1;
    EQ(xk_store_conn_input(k.conn, bytes, 10), 10);
    EQ(xk_store_conn_input(k.conn, bytes + 10, n - 10), (long)n - 10);
    k.req_id = 1;
    EQ(kit_fetch(&k), 1);
    VALUE(&k, "/a", "v");
    xk_store_server_destroy(s);
}
