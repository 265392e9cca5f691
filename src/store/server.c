/* The store server: life, dispatch, replies, and what every request needs. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "store/server.h"

/* --- life --------------------------------------------------------------------------------------------------------- */

static void *counting_resize(void *ctx, void *p, size_t old, size_t size)
{
    struct xk_store_server *s = ctx;
    void *q = s->spares.on ? xk__spare_resize(&s->spares, &s->outer, p, old, size)
                           : s->outer.resize(s->outer.ctx, p, old, size);

    if (q || size == 0)
        s->memory += size - (p ? old : 0);
    return q;
}

void xk_store_limits_default(struct xk_store_limits *l)
{
    static const struct xk_store_limits standard = {
        .nodes = 1000,
        .watches = 128,
        .transactions = 10,
        .outstanding = 20,
        .tx_nodes = 1024,
        .node_size = 2048,
        .node_permissions = 5,
        .path_max = XK_STORE_REL_PATH_MAX,
        .watch_events = 1024,
        .memory = 2560 * 1024,
        .memory_soft = 2048 * 1024,
        .features = XK__FEATURES,
    };
    *l = standard;
}

static void set_limits(struct xk_store_server *s, const struct xk_store_limits *limits)
{
    struct xk_store_limits l;

    xk_store_limits_default(&l);
    if (limits)
        l = *limits;
    s->quota[XK__Q_NODES] = l.nodes;
    s->quota[XK__Q_WATCHES] = l.watches;
    s->quota[XK__Q_TRANSACTIONS] = l.transactions;
    s->quota[XK__Q_OUTSTANDING] = l.outstanding;
    s->quota[XK__Q_TX_NODES] = l.tx_nodes;
    s->quota[XK__Q_NODE_SIZE] = l.node_size;
    s->quota[XK__Q_NODE_PERMS] = l.node_permissions;
    s->quota[XK__Q_PATH_MAX] = l.path_max;
    s->quota[XK__Q_EVENTS] = l.watch_events;
    s->quota[XK__Q_MEMORY] = l.memory;
    s->quota[XK__Q_MEMORY_SOFT] = l.memory_soft;
    s->features = l.features & XK__FEATURES;
}

/* What upstream's setup_structure makes: all owned by domain 0, nothing for others. */
static int first_nodes(struct xk_store_server *s)
{
    static const struct xk__perm owner = {0, XK__PERM_NONE};
    static const char *const parts[] = {"", "tool", "xenstored", "@introduceDomain", "@releaseDomain"};
    struct xk__perms perms = {&owner, 1};
    struct xk__path none = {"", 0};
    struct xk__node *dir, *n;

    s->top = xk__node_new(&s->tree, none, perms, NULL, 0);
    if (!s->top)
        return XK_ENOMEM;
    dir = s->top;
    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        struct xk__path name = {parts[i], strlen(parts[i])};
        n = xk__node_new(&s->tree, name, perms, NULL, 0);
        if (!n)
            return XK_ENOMEM;
        if (parts[i][0] == '@')
            dir = s->top;
        if (xk__tree_insert(&s->tree, dir, n) || xk__deltas_add(s, &s->deltas, perms, xk__node_size(n), 1)) {
            return XK_ENOMEM; /* nothing is shared yet, so that insert cannot fail */
        }
        dir = n;
    }
    if (xk__deltas_prepare(s, &s->deltas))
        return XK_ENOMEM;
    xk__deltas_book(s, &s->deltas);
    s->deltas.n = 0;
    return 0;
}

struct xk_store_server *xk_store_server_create(const xk_alloc *alloc, const struct xk_store_server_ops *ops, void *arg,
                                               const struct xk_store_limits *limits)
{
    struct xk_store_server *s;
    uint64_t now;

    if (ops && (ops->version < 1 || ops->version > XK_STORE_SERVER_OPS_VERSION))
        return NULL;
    if (!alloc)
        alloc = xk_alloc_libc();
    s = xk_new(alloc, sizeof(*s));
    if (!s)
        return NULL;
    s->outer = *alloc;
    s->spares.on = alloc == xk_alloc_libc(); /* whoever brings another one sees each block that is freed */
    s->alloc.resize = counting_resize;
    s->alloc.ctx = s;
    s->memory = sizeof(*s);
    s->ops = ops;
    s->arg = arg;
    xk_list_init(&s->conns);
    xk_list_init(&s->wake);
    set_limits(s, limits);
    now = ops && ops->now ? ops->now(arg) : 0;
    if (xk__tree_init(&s->tree, &s->alloc, 2166136261u ^ (uint32_t)now ^ (uint32_t)(now >> 32)) ||
        xk__watches_init(s) || first_nodes(s)) {
        xk_store_server_destroy(s);
        return NULL;
    }
    return s;
}

void xk_store_server_destroy(struct xk_store_server *s)
{
    xk_alloc outer;

    if (!s)
        return;
    s->ops = NULL;
    s->journal.on = false;
    xk_store_server_tidy(s);
    while (!xk_list_empty(&s->conns))
        xk_store_conn_close(XK_CONTAINER(s->conns.next, struct xk_store_conn, link));
    xk__history_fini(s);
    xk__tape_stop(s);
    xk__node_drop(&s->tree, s->top);
    xk__watches_fini(s);
    xk__tree_fini(&s->tree);
    xk__doms_free(s);
    xk__deltas_free(s, &s->deltas);
    xk_free(&s->alloc, s->matches, s->match_cap * sizeof(*s->matches));
    xk_buf_fini(&s->journal.buf);
    outer = s->outer;
    xk__spare_free(&s->spares, &outer);
    xk_free(&outer, s, sizeof(*s));
}

void xk_store_server_stats(const struct xk_store_server *s, struct xk_store_stats *out)
{
    *out = s->stats;
    out->memory = s->memory;
    out->nodes = (uint32_t)s->nodes;
    out->nodes_held = s->tree.held;
    out->watches = s->watches.count;
    out->transactions = s->ntxns;
    out->connections = s->nconns;
    out->domains = s->ndoms;
}

/* --- replies ------------------------------------------------------------------------------------------------------ */

void xk__reply(struct xk__req *r, size_t n)
{
    struct xk_store_header h = r->h;

    h.len = (uint32_t)n;
    xk__conn_packet(r->c, &h, 0, true);
}

int xk__reply_text(struct xk__req *r, const char *text, size_t n)
{
    memcpy(xk__conn_payload(r->c), text, n);
    xk__reply(r, n);
    return 0;
}

int xk__reply_ok(struct xk__req *r) { return xk__reply_text(r, "OK", 3); }

static void reply_error(struct xk__req *r, int err)
{
    const char *name = xk_store_error_name(err);

    r->h.type = XK_STORE_ERROR; /* "only req_id and tx_id copied from the request" */
    r->s->stats.errors++;
    xk__reply_text(r, name, strlen(name) + 1);
}

/* --- payloads ----------------------------------------------------------------------------------------------------- */

int xk__req_string(const struct xk__req *r, size_t *at, struct xk__path *out)
{
    const char *p = r->p + *at, *end = *at < r->h.len ? memchr(p, 0, r->h.len - *at) : NULL;

    if (!end)
        return XK_EINVAL;
    out->s = p;
    out->n = (size_t)(end - p);
    *at += out->n + 1;
    return 0;
}

unsigned xk__req_strings(const struct xk__req *r)
{
    struct xk__path ignored;
    size_t at = 0;
    unsigned n = 0;

    while (xk__req_string(r, &at, &ignored) == 0)
        n++;
    return n;
}

int xk__req_single(const struct xk__req *r, struct xk__path *out)
{
    size_t at = 0;
    int rc = xk__req_string(r, &at, out);

    return rc < 0 || at != r->h.len ? XK_EINVAL : 0;
}

int xk__req_domid(struct xk__path text, unsigned *domid)
{
    uint32_t v = 0;
    int rc = xk__decimal(text.s, text.n, 0xffff, &v);

    *domid = v;
    return rc;
}

/* The bytes of "/local/domain/<domid>/" at the start of (p): the path quota does not count them, as they are not the
 * guest's choice. */
static size_t home_prefix(struct xk__path p)
{
    static const char home[] = "/local/domain/";
    size_t n = sizeof(home) - 1, digits = n;

    if (p.n <= n || memcmp(p.s, home, n))
        return 0;
    while (digits < p.n && digits < n + 5 && p.s[digits] >= '0' && p.s[digits] <= '9')
        digits++;
    return digits > n && digits < p.n && p.s[digits] == '/' ? digits + 1 : 0;
}

int xk__req_path(const struct xk__req *r, struct xk__path text, bool special, struct xk__path *out)
{
    struct xk_store_server *s = r->s;
    size_t n = 0;
    char digits[8];

    if (text.n == 0 || (text.s[0] == '@' && !special))
        return XK_EINVAL;
    if (text.s[0] != '/' && text.s[0] != '@') {
        unsigned domid = r->c->domid;
        if (text.n > XK_STORE_REL_PATH_MAX)
            return XK_EINVAL;
        memcpy(s->path, "/local/domain/", 14);
        do
            digits[n++] = (char)('0' + domid % 10);
        while ((domid /= 10));
        for (size_t i = 0; i < n; i++)
            s->path[14 + i] = digits[n - 1 - i];
        s->path[14 + n] = '/';
        memcpy(s->path + 15 + n, text.s, text.n);
        text.s = s->path;
        text.n += 15 + n;
    }
    if (text.n > XK_STORE_ABS_PATH_MAX || !xk__path_valid(text.s, text.n) ||
        xk__quota_hit(r->c, XK__Q_PATH_MAX, text.n - home_prefix(text)))
        return XK_EINVAL;
    *out = text;
    return 0;
}

/* --- changes ------------------------------------------------------------------------------------------------------ */

int xk__change_begin(struct xk__req *r)
{
    int rc;

    if (r->tx)
        return xk__deltas_reserve(r->s, &r->tx->deltas, r->s->deltas.n);
    rc = xk__deltas_prepare(r->s, &r->s->deltas);
    return rc ? rc : xk__events_reserve(r->s);
}

void xk__change_done(struct xk__req *r)
{
    if (r->tx) {
        xk__deltas_merge(&r->tx->deltas, &r->s->deltas);
        return;
    }
    xk__deltas_book(r->s, &r->s->deltas);
    xk__credit_spend(r->c);
    xk__history_note(r->s, r->c->domid, r->h.type);
    xk__journal_keep(r->s);
    xk__events_done(r->s);
}

void xk__plan_clear(struct xk_store_server *s)
{
    xk__events_cancel(s);
    s->deltas.n = 0;
}

/* --- dispatch ----------------------------------------------------------------------------------------------------- */

enum { NO_TX = 1, PRIVILEGED = 2, KEEPS_GONE = 4 /* sees itself to what is not removed yet */ };

static const struct {
    xk__handler *run;
    unsigned flags;
} table[XK_STORE_OP_COUNT] = {
    [XK_STORE_CONTROL] = {xk__do_control, PRIVILEGED},
    [XK_STORE_DIRECTORY] = {xk__do_directory, 0},
    [XK_STORE_READ] = {xk__do_read, 0},
    [XK_STORE_GET_PERMS] = {xk__do_get_perms, 0},
    [XK_STORE_WATCH] = {xk__do_watch, NO_TX},
    [XK_STORE_UNWATCH] = {xk__do_unwatch, NO_TX},
    [XK_STORE_TRANSACTION_START] = {xk__do_tx_start, 0},
    [XK_STORE_TRANSACTION_END] = {xk__do_tx_end, KEEPS_GONE},
    [XK_STORE_INTRODUCE] = {xk__do_introduce, PRIVILEGED},
    [XK_STORE_RELEASE] = {xk__do_release, PRIVILEGED},
    [XK_STORE_GET_DOMAIN_PATH] = {xk__do_domain_path, 0},
    [XK_STORE_WRITE] = {xk__do_write, 0},
    [XK_STORE_MKDIR] = {xk__do_mkdir, 0},
    [XK_STORE_RM] = {xk__do_rm, KEEPS_GONE},
    [XK_STORE_SET_PERMS] = {xk__do_set_perms, 0},
    [XK_STORE_IS_DOMAIN_INTRODUCED] = {xk__do_is_introduced, PRIVILEGED},
    [XK_STORE_RESUME] = {xk__do_resume, PRIVILEGED},
    [XK_STORE_SET_TARGET] = {xk__do_set_target, PRIVILEGED},
    [XK_STORE_RESET_WATCHES] = {xk__do_reset_watches, 0},
    [XK_STORE_DIRECTORY_PART] = {xk__do_directory_part, 0},
    [XK_STORE_GET_FEATURE] = {xk__do_get_feature, 0},
    [XK_STORE_SET_FEATURE] = {xk__do_set_feature, PRIVILEGED},
    [XK_STORE_GET_QUOTA] = {xk__do_get_quota, PRIVILEGED},
    [XK_STORE_SET_QUOTA] = {xk__do_set_quota, PRIVILEGED},
};

/* A transaction that was lost in a crash is there again, for as long as its client needs to learn that it conflicts. */
static int find_tx(struct xk__req *r)
{
    struct xk_store_conn *c = r->c;
    int rc;

    r->tx = xk__txn_find(c, r->h.tx_id);
    if (r->tx)
        return 0;
    if (r->h.tx_id > c->former_tx)
        return XK_ENOENT;
    if (xk__quota_hit(c, XK__Q_TRANSACTIONS, (uint64_t)c->dom->transactions + 1))
        return XK_ENOSPC; /* it never had so many, so most of these numbers are made up */
    rc = xk__txn_start(c, &r->tx);
    if (rc)
        return rc;
    r->tx->id = r->h.tx_id;
    r->tx->stale = XK__STALE_BEFORE;
    return 0;
}

static int run(struct xk__req *r)
{
    unsigned flags;

    if (r->h.type >= XK_STORE_OP_COUNT || !table[r->h.type].run)
        return XK_ENOSYS;
    flags = table[r->h.type].flags;
    r->s->stats.requests[r->h.type]++;
    if (flags & PRIVILEGED && !r->c->privileged)
        return XK_EACCES;
    if (r->h.tx_id && !(flags & NO_TX)) {
        int rc = find_tx(r);
        if (rc)
            return rc;
        r->top = &r->tx->top;
        if (!(flags & KEEPS_GONE))
            rc = xk__gone_remove(r->tx);
        if (rc)
            return rc;
    }
    if (r->s->permit >> r->h.type & 1 && r->h.type != XK_STORE_CONTROL) {
        int rc = r->s->ops->permit(r->s->arg, r->c->domid, r->h.type, r->p, r->h.len);
        if (rc < 0) {
            struct xk__path none = {"", 0};
            xk__why(r->s, none, "the policy refused it");
            return rc;
        }
    }
    return table[r->h.type].run(r);
}

void xk_store_server_hooks(struct xk_store_server *s, uint32_t permit, uint32_t audit)
{
    bool known = s->ops && s->ops->version >= 2;

    s->permit = known && s->ops->permit ? permit : 0;
    s->audit = known && s->ops->audit ? audit : 0;
}

/* What a limit or a policy refuses does not know of which path: it is the first string of the request. */
static void complete_why(const struct xk__req *r)
{
    static const uint32_t with_path = 1u << XK_STORE_DIRECTORY | 1u << XK_STORE_READ | 1u << XK_STORE_GET_PERMS |
                                      1u << XK_STORE_WATCH | 1u << XK_STORE_WRITE | 1u << XK_STORE_MKDIR |
                                      1u << XK_STORE_RM | 1u << XK_STORE_SET_PERMS;
    struct xk__refusal *w = &r->s->whyfor;

    if (w->text[0] && !w->path[0] && r->h.type < 32 && with_path >> r->h.type & 1)
        snprintf(w->path, sizeof(w->path), "%.*s", (int)strnlen(r->p, r->h.len), r->p);
}

void xk__execute(struct xk_store_conn *c, const struct xk_store_header *h, const uint8_t *payload)
{
    struct xk_store_server *s = c->server;
    struct xk__req r = {s, c, NULL, &s->top, *h, (const char *)payload, xk__conn_who(c)};
    size_t before = s->memory - c->out.cap - c->record_cap * sizeof(*c->records);
    int rc;

    s->whyfor.text[0] = '\0';
    c->dom->ops++;
    if (s->tape.on)
        xk__tape_packet(c, false, h, payload);
    rc = run(&r);
    if (r.tx) { /* what the request took is its transaction's: entries of the log, copies of nodes */
        int64_t more = (int64_t)(s->memory - c->out.cap - c->record_cap * sizeof(*c->records)) - (int64_t)before;
        xk__txn_charge(r.tx, more);
    }

    if (r.s->nmatches || r.s->deltas.n)
        xk__plan_clear(r.s);
    xk__journal_drop(r.s); /* what did not happen */
    if (h->type < XK_STORE_OP_COUNT && s->audit >> h->type & 1)
        s->ops->audit(s->arg, c->domid, h->type, r.p, h->len, rc);
    if (rc < 0) {
        complete_why(&r);
        xk__why_keep(c, h->type, rc);
        reply_error(&r, rc);
    }
    xk__snapshots_bound(s);
}
