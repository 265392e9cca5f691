/* CONTROL: commands for the administrator; their texts are for people. Upstream's logfile makes no sense here, and is
 * unknown: XK_EINVAL. SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "store/server.h"

/* The reply text, built where it is sent from; it is cut where the packet ends. */
struct text {
    char *p;
    size_t n;
};

static void say(struct text *t, const char *fmt, ...) XK_PRINTF(2, 3);

static void say(struct text *t, const char *fmt, ...)
{
    va_list ap;
    size_t room = XK_STORE_PAYLOAD_MAX - t->n;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(t->p + t->n, room, fmt, ap);
    va_end(ap);
    if (n > 0)
        t->n += (size_t)n < room ? (size_t)n : room - 1;
}

static struct text start(struct xk__req *r)
{
    struct text t = {(char *)xk__conn_payload(r->c), 0};
    t.p[0] = '\0';
    return t;
}

static int finish(struct xk__req *r, const struct text *t)
{
    xk__reply(r, t->n + 1);
    return 0;
}

static bool is(struct xk__path p, const char *word) { return p.n == strlen(word) && memcmp(p.s, word, p.n) == 0; }

/* --- commands ----------------------------------------------------------------------------------------------------- */

struct count {
    struct xk_store_server *s;
    int64_t nodes;
};

static int count_node(void *arg, const struct xk__node *n, struct xk__path path, uint32_t hash)
{
    struct count *c = arg;

    (void)path;
    (void)hash;
    c->nodes++;
    return xk__deltas_add(c->s, &c->s->deltas, xk__node_perms(n), xk__node_size(n), 1);
}

/* Order and balance of the tree, then every account against what a walk finds. */
static const char *check_all(struct xk_store_server *s)
{
    static const char *const tops[] = {"/", "@introduceDomain", "@releaseDomain"};
    struct count c = {s, 3};
    const char *bad = xk__tree_check(&s->tree, s->top);

    if (bad)
        return bad;
    for (int i = 0; i < 3; i++) {
        struct xk__path p = {tops[i], strlen(tops[i])};
        const struct xk__node *n = xk__tree_find(s->top, p);
        if (!n)
            return "a node that is always there is missing";
        if (xk__deltas_add(s, &s->deltas, xk__node_perms(n), xk__node_size(n), 1) ||
            (i == 0 && xk__tree_walk(&s->tree, n, s->walk, 0, count_node, &c)))
            return "no memory for the check";
    }
    if (c.nodes != s->nodes)
        return "the number of nodes is wrong";
    for (uint32_t i = 0; i < s->deltas.n; i++) {
        const struct xk__dom *d = xk__dom_find(s, s->deltas.v[i].domid);
        if (!d || d->owned != s->deltas.v[i].owned || d->refs != s->deltas.v[i].refs ||
            d->bytes != s->deltas.v[i].bytes)
            return "the account of a domain is wrong";
    }
    return NULL;
}

static int do_check(struct xk__req *r, size_t at)
{
    const char *bad = check_all(r->s);

    (void)at;
    xk__plan_clear(r->s);
    return bad ? xk__reply_text(r, bad, strlen(bad) + 1) : xk__reply_ok(r);
}

static int do_log(struct xk__req *r, size_t at)
{
    (void)at;
    return xk__reply_ok(r); /* accepted for the sake of scripts: the engine writes no log */
}

static int do_print(struct xk__req *r, size_t at)
{
    struct xk__path line;

    if (xk__req_string(r, &at, &line))
        return XK_EINVAL;
    if (r->s->ops && r->s->ops->log)
        r->s->ops->log(r->s->arg, line.s, line.n);
    return xk__reply_ok(r);
}

static int do_memreport(struct xk__req *r, size_t at)
{
    struct text t = start(r);
    struct xk_store_stats st;
    const struct xk_store_server *s = r->s;

    (void)at;
    xk_store_server_stats(s, &st);
    say(&t, "memory        %10llu bytes\n", (unsigned long long)st.memory);
    say(&t, "nodes         %10u (%u with those that transactions hold)\n", st.nodes, st.nodes_held);
    say(&t, "watches       %10u\n", st.watches);
    say(&t, "transactions  %10u\n", st.transactions);
    say(&t, "connections   %10u\n", st.connections);
    say(&t, "domains       %10u\n", st.domains);
    say(&t, "events        %10llu queued, %llu merged, %llu dropped\n", (unsigned long long)st.events_queued,
        (unsigned long long)st.events_merged, (unsigned long long)st.events_dropped);
    say(&t, "commits       %10llu, conflicts %llu\n", (unsigned long long)st.commits, (unsigned long long)st.conflicts);
    return finish(r, &t);
}

/* The CONTROL command is about all domains; SET_QUOTA about one, or new ones. The journal gets it first. */
static int quota_journal(struct xk_store_server *s, uint32_t *quota, const struct xk__dom *d, uint32_t v)
{
    uint32_t was = *quota;
    int rc;

    *quota = v;
    rc = d ? xk__journal_domain(s, d) : xk__journal_server(s);
    *quota = was;
    return rc;
}

static int quota_everywhere(struct xk_store_server *s, int q, uint32_t v, bool set)
{
    int rc = set ? 0 : quota_journal(s, &s->quota[q], NULL, v);

    if (set)
        s->quota[q] = v;
    for (int i = 0; i < 256; i++)
        for (int j = 0; s->doms[i] && j < 256 && rc == 0; j++) {
            struct xk__dom *d = s->doms[i][j];
            if (d && set)
                d->quota[q] = v;
            else if (d)
                rc = quota_journal(s, &d->quota[q], d, v);
        }
    return rc;
}

static int quota_set(struct xk__req *r, size_t at)
{
    struct xk__path name, value;
    uint32_t v;
    int q, rc;

    if (xk__req_string(r, &at, &name) || xk__req_string(r, &at, &value) ||
        xk__decimal(value.s, value.n, 0x7fffffff, &v))
        return XK_EINVAL;
    q = xk__quota_parse(name.s, name.n);
    if (q < 0)
        return q;
    rc = r->s->journal.on ? quota_everywhere(r->s, q, v, false) : 0;
    if (rc)
        return rc;
    (void)!quota_everywhere(r->s, q, v, true);
    xk__journal_keep(r->s);
    return xk__reply_ok(r);
}

static int do_quota(struct xk__req *r, size_t at)
{
    struct text t = start(r);
    struct xk__path arg;
    const struct xk__dom *d;
    unsigned domid;

    if (xk__req_string(r, &at, &arg)) {
        for (int q = 0; q < XK__Q_COUNT; q++)
            say(&t, "%-18s %8u\n", xk__quota_name((enum xk__quota)q), r->s->quota[q]);
        return finish(r, &t);
    }
    if (is(arg, "set"))
        return quota_set(r, at);
    if (xk__req_domid(arg, &domid))
        return XK_EINVAL;
    d = xk__dom_find(r->s, domid);
    if (!d)
        return XK_ENOENT;
    say(&t, "nodes        %8lld of %u\n", (long long)d->owned, d->quota[XK__Q_NODES]);
    say(&t, "watches      %8u of %u\n", d->watches, d->quota[XK__Q_WATCHES]);
    say(&t, "transactions %8u of %u\n", d->transactions, d->quota[XK__Q_TRANSACTIONS]);
    say(&t, "memory       %8lld of %u bytes\n", (long long)xk__memory_of(r->s, d), d->quota[XK__Q_MEMORY]);
    say(&t, "named in     %8lld permission entries\n", (long long)d->refs);
    return finish(r, &t);
}

static int do_why(struct xk__req *r, size_t at)
{
    struct text t = start(r);
    struct xk__path arg;
    const struct xk__dom *d;
    unsigned domid;
    uint64_t now = r->s->ops && r->s->ops->now ? r->s->ops->now(r->s->arg) : 0;

    if (xk__req_string(r, &at, &arg) || xk__req_domid(arg, &domid))
        return XK_EINVAL;
    d = xk__dom_find(r->s, domid);
    if (!d || !d->why) {
        say(&t, "nothing was refused to domain %u\n", domid);
        return finish(r, &t);
    }
    for (uint32_t i = d->why->n > XK__WHY_KEPT ? d->why->n - XK__WHY_KEPT : 0; i < d->why->n; i++) {
        const struct xk__refusal *w = &d->why->last[i % XK__WHY_KEPT];
        say(&t, "%.1f s ago, %u times: %s %s%s%s: %s\n", (double)(now - w->at) / 1e9, w->count,
            xk_store_op_name(w->type), xk_store_error_name(w->err), w->path[0] ? " " : "", w->path, w->text);
    }
    return finish(r, &t);
}

/* on <n>, off, or a path: its changes, the newest first. */
static int do_history(struct xk__req *r, size_t at)
{
    struct text t = start(r);
    struct xk__path arg, path;
    uint32_t n = 0;
    int rc;

    if (xk__req_string(r, &at, &arg))
        return XK_EINVAL;
    if (is(arg, "on") && (xk__req_string(r, &at, &arg) || xk__decimal(arg.s, arg.n, 0xffff, &n) || n == 0))
        return XK_EINVAL;
    if (n || is(arg, "off")) {
        rc = xk__history_keep(r->s, n);
        return rc ? rc : xk__reply_ok(r);
    }
    rc = xk__req_path(r, arg, false, &path);
    if (rc)
        return rc;
    if (!r->s->history.cap) {
        say(&t, "no history is kept; begin with: history on <n>\n");
        return finish(r, &t);
    }
    for (size_t len = 1; len; n++)
        t.n += len = xk__history_line(r->s, path, n, t.p + t.n, XK_STORE_PAYLOAD_MAX - t.n);
    t.p[t.n] = '\0';
    return finish(r, &t);
}

/* <domid>: begins a tape of it; take: the next bytes of it; off: how many packets did not fit. */
static int do_record(struct xk__req *r, size_t at)
{
    struct text t = start(r);
    struct xk__path arg;
    unsigned domid;

    if (xk__req_string(r, &at, &arg))
        return XK_EINVAL;
    if (is(arg, "take")) {
        xk__reply(r, xk__tape_take(r->s, t.p, XK_STORE_PAYLOAD_MAX));
        return 0;
    }
    if (is(arg, "off")) {
        xk__tape_stop(r->s);
        say(&t, "%llu", (unsigned long long)r->s->tape.lost);
        return finish(r, &t);
    }
    if (xk__req_domid(arg, &domid))
        return XK_EINVAL;
    xk__tape_start(r->s, domid);
    return xk__reply_ok(r);
}

/* <path> [<n>]: as it was before its (n)th last change, with all below it. */
static int do_undo(struct xk__req *r, size_t at)
{
    struct xk__path arg, path;
    uint32_t n = 1;
    int rc;

    if (xk__req_string(r, &at, &arg))
        return XK_EINVAL;
    rc = xk__req_path(r, arg, false, &path);
    if (rc)
        return rc;
    if (at < r->h.len && (xk__req_string(r, &at, &arg) || xk__decimal(arg.s, arg.n, 0xffff, &n) || n == 0))
        return XK_EINVAL;
    rc = xk__history_undo(r, path, n - 1);
    return rc ? rc : xk__reply_ok(r);
}

static int do_watches(struct xk__req *r, size_t at)
{
    struct text t = start(r);

    (void)at;
    XK_LIST_EACH(e, &r->s->conns)
    {
        const struct xk_store_conn *c = XK_CONTAINER(e, struct xk_store_conn, link);
        XK_LIST_EACH(f, &c->watches)
        {
            const struct xk__watch *w = XK_CONTAINER(f, struct xk__watch, link);
            say(&t, "%u %.*s %.*s\n", c->domid, (int)w->path_len, w->data, (int)w->token_len, w->data + w->path_len);
        }
    }
    return finish(r, &t);
}

/* As xenstore-control asks a daemon: first what to run (which here is for whoever started us to know), then to start.
 */
static int do_live_update(struct xk__req *r, size_t at)
{
    struct xk__path word;
    int rc;

    if (xk__req_string(r, &at, &word))
        return XK_EINVAL;
    if (is(word, "-f") || is(word, "-c") || is(word, "-a"))
        return xk__reply_ok(r);
    if (!is(word, "-s"))
        return XK_EINVAL;
    rc = r->s->ops && r->s->ops->version >= 2 && r->s->ops->update ? r->s->ops->update(r->s->arg) : XK_ENOSYS;
    return rc < 0 ? rc : xk__reply_ok(r);
}

static int do_help(struct xk__req *r, size_t at);

static const struct {
    const char *name, *usage;
    int (*run)(struct xk__req *r, size_t at);
} commands[] = {
    {"check", "", do_check},
    {"help", "", do_help},
    {"history", "on <n>|off|<path>", do_history},
    {"live-update", "[-f <file>|-c <arguments>|-s [-t <s>] [-F]|-a]", do_live_update},
    {"log", "[on|off|+<switch>|-<switch>]", do_log},
    {"memreport", "", do_memreport},
    {"print", "<string>", do_print},
    {"quota", "[set <name> <value>|<domid>]", do_quota},
    {"record", "<domid>|take|off", do_record},
    {"undo", "<path> [<n>]", do_undo},
    {"watches", "", do_watches},
    {"why", "<domid>", do_why},
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static int do_help(struct xk__req *r, size_t at)
{
    struct text t = start(r);

    (void)at;
    for (int i = 0; i < COMMANDS; i++)
        say(&t, "%-10s %s\n", commands[i].name, commands[i].usage);
    return finish(r, &t);
}

int xk__do_control(struct xk__req *r)
{
    struct xk__path word;
    size_t at = 0;

    if (xk__req_string(r, &at, &word))
        return XK_EINVAL;
    for (int i = 0; i < COMMANDS; i++)
        if (is(word, commands[i].name))
            return commands[i].run(r, at);
    if (r->s->ops && r->s->ops->version >= 2 && r->s->ops->control) {
        long n = r->s->ops->control(r->s->arg, r->p, r->h.len, (char *)xk__conn_payload(r->c), XK_STORE_PAYLOAD_MAX);
        if (n >= 0)
            xk__reply(r, (size_t)n);
        return n < 0 ? (int)n : 0;
    }
    return XK_EINVAL;
}
