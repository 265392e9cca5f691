/* Requests on watches, transactions and domains, and the news about domains that come from outside.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "store/server.h"

/* --- watches ------------------------------------------------------------------------------------------------------ */

/* <wpath>|<token>|[<depth>|]. How many bytes of the absolute path a relative one does not have goes to (prefix). */
static int watch_args(struct xk__req *r, struct xk__path *path, struct xk__path *token, size_t *at, size_t *prefix)
{
    struct xk__path text;
    int rc;

    if (xk__req_string(r, at, &text) || xk__req_string(r, at, token))
        return XK_EINVAL;
    rc = xk__req_path(r, text, true, path);
    if (rc == 0)
        *prefix = path->n - text.n;
    return rc;
}

int xk__do_watch(struct xk__req *r)
{
    struct xk_store_server *s = r->s;
    struct xk__path path, token, text;
    struct xk__watch *w;
    unsigned strings = xk__req_strings(r);
    uint32_t depth = 0;
    size_t at = 0, prefix;
    int rc;

    if (strings < 2 || strings > 3 || (strings == 3 && !(r->c->dom->features & XK_STORE_FEATURE_WATCH_DEPTH)))
        return XK_EINVAL;
    rc = watch_args(r, &path, &token, &at, &prefix);
    if (rc == 0 && strings == 3)
        rc = xk__req_string(r, &at, &text) || xk__decimal(text.s, text.n, 0x7fffffff, &depth) ? XK_EINVAL : 0;
    if (rc)
        return rc;
    if (path.n - prefix + token.n + 2 > XK_STORE_PAYLOAD_MAX)
        return XK_E2BIG; /* no event of it would ever fit */
    if (xk__watch_find(r->c, path, token.s, token.n))
        return XK_EEXIST;
    if (xk__quota_hit(r->c, XK__Q_WATCHES, (uint64_t)r->c->dom->watches + 1))
        return XK_E2BIG;
    if (xk__memory_hit(r->c, (int64_t)(sizeof(*w) + path.n + token.n)))
        return XK_ENOMEM;
    rc = xk__watch_add(r->c, path, token, strings == 3 ? (int32_t)depth : -1, prefix, &w);
    if (rc)
        return rc;
    rc = xk__events_plan_one(s, w);
    if (rc == 0)
        rc = xk__events_reserve(s);
    if (rc == 0)
        rc = xk__journal_watch(w, false);
    if (rc) {
        xk__watch_del(w);
        return rc;
    }
    xk__journal_keep(s);
    xk__reply_ok(r);
    xk__events_done(s); /* "triggered once straight away" */
    return 0;
}

int xk__do_unwatch(struct xk__req *r)
{
    struct xk__path path, token;
    struct xk__watch *w;
    size_t at = 0, prefix;
    int rc = xk__req_strings(r) == 2 ? watch_args(r, &path, &token, &at, &prefix) : XK_EINVAL;

    if (rc)
        return rc;
    w = xk__watch_find(r->c, path, token.s, token.n);
    if (!w)
        return XK_ENOENT;
    rc = xk__journal_watch(w, true);
    if (rc)
        return rc;
    xk__journal_keep(r->s);
    xk__watch_del(w);
    return xk__reply_ok(r);
}

int xk__do_reset_watches(struct xk__req *r)
{
    if (xk__journal_reset(r->c))
        return XK_ENOMEM;
    xk__journal_keep(r->s);
    xk__conn_drop_state(r->c); /* "watches and transactions of the caller" */
    r->tx = NULL;
    return xk__reply_ok(r);
}

/* --- transactions ------------------------------------------------------------------------------------------------- */

int xk__do_tx_start(struct xk__req *r)
{
    char text[16];
    struct xk__txn *tx;
    int rc;

    if (r->tx)
        return XK_EBUSY; /* "It is not legal to send non-0 tx_id": upstream has no nested ones either */
    if (xk__quota_hit(r->c, XK__Q_TRANSACTIONS, (uint64_t)r->c->dom->transactions + 1))
        return XK_ENOSPC;
    rc = xk__txn_start(r->c, &tx);
    if (rc)
        return rc;
    r->c->promised = true;
    return xk__reply_text(r, text, (size_t)snprintf(text, sizeof(text), "%u", tx->id) + 1);
}

int xk__do_tx_end(struct xk__req *r)
{
    struct xk__path text;
    int rc = 0;

    if (xk__req_single(r, &text) || text.n != 1 || (text.s[0] != 'T' && text.s[0] != 'F'))
        return XK_EINVAL;
    if (!r->tx)
        return XK_ENOENT;
    if (text.s[0] == 'T')
        rc = xk__txn_commit(r->tx);
    xk__txn_end(r->tx);
    r->tx = NULL;
    return rc ? rc : xk__reply_ok(r);
}

/* --- domains ------------------------------------------------------------------------------------------------------ */

static int single_domid(struct xk__req *r, unsigned *domid)
{
    struct xk__path text;
    return xk__req_single(r, &text) ? XK_EINVAL : xk__req_domid(text, domid);
}

int xk__do_domain_path(struct xk__req *r)
{
    char text[32];
    unsigned domid;

    if (single_domid(r, &domid))
        return XK_EINVAL;
    return xk__reply_text(r, text, (size_t)snprintf(text, sizeof(text), "/local/domain/%u", domid) + 1);
}

int xk__do_is_introduced(struct xk__req *r)
{
    const struct xk__dom *d;
    unsigned domid;

    if (single_domid(r, &domid))
        return XK_EINVAL;
    d = xk__dom_find(r->s, domid);
    return xk__reply_text(r, domid == 0 || domid == XK__DOMID_SELF || (d && d->introduced) ? "T" : "F", 2);
}

/* Signed decimal, as xenstore.txt has it for the frame number. */
static int parse_signed(struct xk__path text, int64_t *v)
{
    bool minus = text.n && text.s[0] == '-';
    uint64_t sum = 0;

    if (minus) {
        text.s++;
        text.n--;
    }
    if (text.n == 0 || text.n > 18)
        return XK_EINVAL;
    for (size_t i = 0; i < text.n; i++) {
        if (text.s[i] < '0' || text.s[i] > '9')
            return XK_EINVAL;
        sum = sum * 10 + (uint64_t)(text.s[i] - '0');
    }
    *v = minus ? -(int64_t)sum : (int64_t)sum;
    return 0;
}

/* What became of a domain goes into the journal, or it becomes again what it was. */
static int keep_domain(struct xk_store_server *s, struct xk__dom *d, const struct xk__dom *was)
{
    int rc = xk__journal_domain(s, d);

    if (rc) {
        *d = *was;
        return rc;
    }
    xk__journal_keep(s);
    return 0;
}

static void reset_conns(struct xk_store_server *s, unsigned domid)
{
    XK_LIST_EACH(e, &s->conns)
    {
        struct xk_store_conn *c = XK_CONTAINER(e, struct xk_store_conn, link);
        if (c->domid == domid && !c->privileged)
            xk_store_conn_reset(c);
    }
}

static int plan_introduce(struct xk_store_server *s, unsigned domid, char *room, struct xk__dom **d)
{
    int rc;

    *d = xk__dom_get(s, domid);
    if (!*d)
        return XK_ENOMEM;
    rc = xk__events_plan_special(s, "@introduceDomain", domid, room, true);
    return rc ? rc : xk__events_reserve(s);
}

int xk__do_introduce(struct xk__req *r)
{
    struct xk_store_server *s = r->s;
    struct xk__path a, b, c;
    struct xk__dom *d;
    char room[32];
    unsigned domid;
    uint32_t port;
    int64_t gfn;
    size_t at = 0;
    bool again, down;
    int rc = 0;

    if (xk__req_string(r, &at, &a) || xk__req_string(r, &at, &b) || xk__req_string(r, &at, &c) ||
        xk__req_domid(a, &domid) || parse_signed(b, &gfn) || xk__decimal(c.s, c.n, 0x7fffffff, &port) || port == 0 ||
        domid == 0 || domid >= XK__DOMID_RESERVED)
        return XK_EINVAL;
    d = xk__dom_find(s, domid);
    if (!d || !d->introduced)
        rc = plan_introduce(s, domid, room, &d);
    if (rc)
        return rc;
    again = d->introduced;
    down = d->shutdown;
    d->introduced = true;        /* now, as it keeps the record alive whatever the callback closes */
    d->shutdown = down && again; /* to be told of its next shutdown, a domain that is known needs RESUME */
    rc = xk__journal_domain(s, d);
    if (rc == 0 && again)
        reset_conns(s, domid); /* upstream: INTRODUCE again makes the event channel anew and resets the connection */
    if (rc == 0 && s->ops && s->ops->introduce)
        rc = s->ops->introduce(s->arg, domid, gfn, port);
    if (rc < 0 && !again) {
        d->introduced = false;
        d->shutdown = down;
        xk__dom_tidy(s, d);
        return rc;
    }
    xk__journal_keep(s); /* also what a failed second try has closed */
    if (rc < 0)
        return rc;
    xk__events_done(s);
    return xk__reply_ok(r);
}

int xk_store_domain_introduce(struct xk_store_server *s, unsigned domid)
{
    struct xk__dom *d = xk__dom_find(s, domid);
    char room[32];
    int rc;

    if (domid == 0 || domid >= XK__DOMID_RESERVED)
        return XK_EINVAL;
    if (d && d->introduced)
        return XK_EEXIST;
    rc = plan_introduce(s, domid, room, &d);
    if (rc == 0) {
        d->introduced = true;
        rc = xk__journal_domain(s, d);
        d->introduced = rc == 0;
    }
    if (rc) {
        xk__plan_clear(s);
        xk__journal_drop(s);
        return rc;
    }
    xk__journal_keep(s);
    xk__events_done(s);
    xk__conn_wake(s);
    return 0;
}

static int introduced(struct xk__req *r, struct xk__dom **d)
{
    unsigned domid;

    if (single_domid(r, &domid) || domid == 0)
        return XK_EINVAL;
    *d = xk__dom_find(r->s, domid);
    return *d && (*d)->introduced ? 0 : XK_ENOENT;
}

int xk__do_release(struct xk__req *r)
{
    struct xk__dom *d;
    int rc = introduced(r, &d);

    if (rc == 0)
        rc = xk__domain_gone(r->s, d);
    return rc ? rc : xk__reply_ok(r);
}

int xk__do_resume(struct xk__req *r)
{
    struct xk__dom *d;
    bool down;
    int rc = introduced(r, &d);

    if (rc)
        return rc;
    down = d->shutdown;
    d->shutdown = false;
    rc = xk__journal_domain(r->s, d);
    if (rc == 0 && r->s->ops && r->s->ops->resume)
        rc = r->s->ops->resume(r->s->arg, d->domid);
    if (rc < 0) {
        d->shutdown = down;
        return rc;
    }
    xk__journal_keep(r->s);
    return xk__reply_ok(r);
}

int xk__do_set_target(struct xk__req *r)
{
    struct xk__path a, b;
    struct xk__dom *d, *t, was;
    unsigned domid, target;
    size_t at = 0;
    int rc;

    if (xk__req_string(r, &at, &a) || xk__req_string(r, &at, &b) || xk__req_domid(a, &domid) ||
        xk__req_domid(b, &target))
        return XK_EINVAL;
    d = xk__dom_find(r->s, domid);
    t = xk__dom_find(r->s, target);
    if (!d || !d->introduced || !t || !t->introduced)
        return XK_ENOENT;
    was = *d;
    d->target = (int32_t)target;
    rc = keep_domain(r->s, d, &was);
    if (rc)
        return rc;
    r->s->targets = true;
    return xk__reply_ok(r);
}

int xk_store_domain_next(const struct xk_store_server *s, int after)
{
    for (int domid = after + 1; domid < XK__DOMID_RESERVED; domid++) {
        const struct xk__dom *d = xk__dom_find(s, (unsigned)domid);
        if (!s->doms[domid >> 8])
            domid |= 0xff;
        else if (d && (d->introduced || d->owned || d->refs || d->conns))
            return domid;
    }
    return -1;
}

uint32_t xk_store_domain_features(const struct xk_store_server *s, unsigned domid)
{
    const struct xk__dom *d = xk__dom_find(s, domid);
    return d ? d->features : s->features;
}

int xk__do_get_feature(struct xk__req *r)
{
    struct xk__path text;
    char out[16];
    unsigned strings = xk__req_strings(r), domid = r->c->domid;
    size_t at = 0;

    if (strings && !r->c->privileged)
        return XK_EACCES;
    if (strings > 1 || (strings && (xk__req_string(r, &at, &text) || xk__req_domid(text, &domid))))
        return XK_EINVAL;
    return xk__reply_text(r, out, (size_t)snprintf(out, sizeof(out), "%u", xk_store_domain_features(r->s, domid)) + 1);
}

int xk__do_set_feature(struct xk__req *r)
{
    struct xk__path a, b;
    struct xk__dom *d, was;
    unsigned domid;
    uint32_t v;
    size_t at = 0;
    int rc;

    if (xk__req_strings(r) != 2 || xk__req_string(r, &at, &a) || xk__req_string(r, &at, &b) ||
        xk__req_domid(a, &domid) || xk__decimal(b.s, b.n, 0xffffffffu, &v))
        return XK_EINVAL;
    d = xk__dom_find(r->s, domid);
    if (d && d->introduced)
        return XK_EBUSY;
    if (v & ~r->s->features)
        return XK_EINVAL; /* "a bit for a feature not being supported ... will be denied" */
    d = xk__dom_get(r->s, domid);
    if (!d)
        return XK_ENOMEM;
    was = *d;
    d->features = v;
    rc = keep_domain(r->s, d, &was);
    return rc ? rc : xk__reply_ok(r);
}

/* --- quotas ------------------------------------------------------------------------------------------------------- */

/* [<domid>|]<quota>|: the table and the index that are meant. To (set) a quota gives a domain its record: that may be
 * before it is introduced. */
static int quota_args(struct xk__req *r, unsigned strings, size_t *at, bool set, uint32_t **table)
{
    struct xk__path text;
    struct xk__dom *d;
    unsigned domid;

    *table = r->s->quota;
    if (xk__req_string(r, at, &text))
        return XK_EINVAL;
    if (strings == 2) {
        if (xk__req_domid(text, &domid))
            return XK_EINVAL;
        d = set ? xk__dom_get(r->s, domid) : xk__dom_find(r->s, domid);
        if (!d && set)
            return XK_ENOMEM;
        *table = d ? d->quota : r->s->quota;
        if (xk__req_string(r, at, &text))
            return XK_EINVAL;
    }
    return xk__quota_parse(text.s, text.n);
}

int xk__do_get_quota(struct xk__req *r)
{
    char text[256];
    unsigned strings = xk__req_strings(r);
    uint32_t *table;
    size_t at = 0, n = 0;
    int q;

    if (strings > 2)
        return XK_EINVAL;
    if (strings == 0) {
        for (int i = 0; i < XK__Q_COUNT; i++)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? " " : "", xk__quota_name((enum xk__quota)i));
        return xk__reply_text(r, text, n + 1);
    }
    q = quota_args(r, strings, &at, false, &table);
    if (q < 0)
        return q;
    return xk__reply_text(r, text, (size_t)snprintf(text, sizeof(text), "%u", table[q]) + 1);
}

static struct xk__dom *quota_owner(uint32_t *table) { return XK_CONTAINER(table, struct xk__dom, quota); }

int xk__do_set_quota(struct xk__req *r)
{
    struct xk__path text;
    unsigned strings = xk__req_strings(r);
    uint32_t *table, v, was;
    size_t at = 0;
    int q, rc;

    if (strings < 2 || strings > 3)
        return XK_EINVAL;
    q = quota_args(r, strings - 1, &at, true, &table);
    if (q < 0)
        return q;
    if (xk__req_string(r, &at, &text) || xk__decimal(text.s, text.n, 0x7fffffff, &v))
        return XK_EINVAL;
    was = table[q];
    table[q] = v;
    rc = strings == 3 ? xk__journal_domain(r->s, quota_owner(table)) : xk__journal_server(r->s);
    if (rc) {
        table[q] = was;
        return rc;
    }
    xk__journal_keep(r->s);
    return xk__reply_ok(r);
}

int xk_store_server_quota(struct xk_store_server *s, unsigned domid, const char *name, uint32_t value)
{
    int q = xk__quota_parse(name, strlen(name));
    struct xk__dom *d, was;

    if (q < 0 || domid >= XK__DOMID_RESERVED || value > 0x7fffffff)
        return XK_EINVAL;
    d = xk__dom_get(s, domid);
    if (!d)
        return XK_ENOMEM;
    was = *d;
    d->quota[q] = value;
    return keep_domain(s, d, &was);
}
