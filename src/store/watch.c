/* Watches: a hash table by absolute path, so that an event looks once at each of its ancestors and never at a watch
 * elsewhere. Events are planned first (matched, and memory reserved) and delivered after the change: a change whose
 * events find no memory does not happen. A full queue does not lose the news either: the watch is marked and fires with
 * its own path as soon as there is room, which the protocol allows ("Watches may be triggered spuriously").
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "store/server.h"

/* A privileged connection has no quota, but what is queued is searched for twins, so there is an end to it too. */
enum { BUCKETS_FIRST = 16, EVENTS_PRIVILEGED = 8192, FEW = 32 };

static size_t watch_size(const struct xk__watch *w) { return sizeof(*w) + w->path_len + w->token_len; }

static struct xk__path watch_path(const struct xk__watch *w)
{
    struct xk__path p = {w->data, w->path_len};
    return p;
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

static struct xk_list *bucket_of(const struct xk_store_server *s, uint32_t hash)
{
    return &s->watches.buckets[(hash ^ hash >> 15) & (s->watches.size - 1)];
}

int xk__watches_init(struct xk_store_server *s)
{
    s->watches.size = BUCKETS_FIRST;
    s->watches.buckets = xk_resize(&s->alloc, NULL, 0, BUCKETS_FIRST * sizeof(struct xk_list));
    if (!s->watches.buckets)
        return XK_ENOMEM;
    for (uint32_t i = 0; i < BUCKETS_FIRST; i++)
        xk_list_init(&s->watches.buckets[i]);
    return 0;
}

void xk__watches_fini(struct xk_store_server *s)
{
    xk_free(&s->alloc, s->watches.buckets, s->watches.size * sizeof(struct xk_list));
    s->watches.buckets = NULL;
}

/* Doubles the table. Without memory it stays as it is: slower, but right. */
static void grow(struct xk_store_server *s)
{
    uint32_t old = s->watches.size;
    struct xk_list *from = s->watches.buckets, *to = xk_resize(&s->alloc, NULL, 0, 2 * old * sizeof(*to));

    if (!to)
        return;
    for (uint32_t i = 0; i < 2 * old; i++)
        xk_list_init(&to[i]);
    s->watches.buckets = to;
    s->watches.size = 2 * old;
    for (uint32_t i = 0; i < old; i++)
        XK_LIST_EACH_SAFE(e, &from[i])
        {
            struct xk__watch *w = XK_CONTAINER(e, struct xk__watch, bucket);
            xk_list_del(e);
            xk_list_add_tail(bucket_of(s, w->hash), e);
        }
    xk_free(&s->alloc, from, old * sizeof(*from));
}

struct xk__watch *xk__watch_find(struct xk_store_conn *c, struct xk__path path, const char *token, size_t n)
{
    uint32_t hash = xk__hash(c->server->tree.seed, path.s, path.n);

    XK_LIST_EACH(e, bucket_of(c->server, hash))
    {
        struct xk__watch *w = XK_CONTAINER(e, struct xk__watch, bucket);
        if (w->hash == hash && w->conn == c && xk__path_equal(watch_path(w), path) && w->token_len == n &&
            memcmp(w->data + w->path_len, token, n) == 0)
            return w;
    }
    return NULL;
}

int xk__watch_add(struct xk_store_conn *c, struct xk__path path, struct xk__path token, int32_t depth, size_t prefix,
                  struct xk__watch **out)
{
    struct xk_store_server *s = c->server;
    struct xk__watch *w = xk_new(&s->alloc, sizeof(*w) + path.n + token.n);

    if (!w)
        return XK_ENOMEM;
    if (s->watches.count >= s->watches.size)
        grow(s);
    w->conn = c;
    w->depth = depth;
    w->prefix = (uint16_t)prefix;
    w->path_len = (uint16_t)path.n;
    w->token_len = (uint16_t)token.n;
    memcpy(w->data, path.s, path.n);
    memcpy(w->data + path.n, token.s, token.n);
    w->hash = xk__hash(s->tree.seed, path.s, path.n);
    xk_list_add_tail(&c->watches, &w->link);
    xk_list_add_tail(bucket_of(s, w->hash), &w->bucket);
    s->watches.count++;
    c->dom->watches++;
    c->dom->other += (int64_t)watch_size(w);
    *out = w;
    return 0;
}

void xk__watch_del(struct xk__watch *w)
{
    struct xk_store_server *s = w->conn->server;

    xk__events_forget(s, NULL, w);
    xk_list_del(&w->link);
    xk_list_del(&w->bucket);
    s->watches.count--;
    w->conn->dom->watches--;
    w->conn->dom->other -= (int64_t)watch_size(w);
    xk_free(&s->alloc, w, watch_size(w));
}

/* A client that begins a token with this word gets more with each event: behind the token's NUL the node's generation
 * in decimal with its NUL, nothing before the NUL when there is no such node or it may not read it, and its value. So
 * it need not ask again, and knows whether it has seen that before. */
static const char with_value[] = XK_STORE_TOKEN_VALUE;

static bool wants_value(const struct xk__watch *w)
{
    size_t n = sizeof(with_value) - 1;
    return w->token_len >= n && memcmp(w->data + w->path_len, with_value, n) == 0;
}

/* --- planning ----------------------------------------------------------------------------------------------------- */

static int add_match(struct xk_store_server *s, struct xk__watch *w, const char *path, size_t n)
{
    struct xk__match *v;
    uint32_t cap = s->match_cap ? s->match_cap * 2 : 16;

    if (s->nmatches == s->match_cap) {
        v = xk_resize(&s->alloc, s->matches, s->match_cap * sizeof(*v), cap * sizeof(*v));
        if (!v)
            return XK_ENOMEM;
        s->matches = v;
        s->match_cap = cap;
    }
    s->matches[s->nmatches].watch = w;
    s->matches[s->nmatches].path = path;
    s->matches[s->nmatches++].len = (uint32_t)n;
    return 0;
}

/* "Applications should not rely on being sent a notification for paths that they cannot read" (xenstore.txt); sending
 * it all the same was XSA-115. */
static bool permitted(const struct xk__watch *w, const struct xk__perms *v, unsigned n)
{
    struct xk__who who = xk__conn_who(w->conn);

    for (unsigned i = 0; i < n; i++)
        if (v[i].n && xk__perms_of(v[i], &who) & XK__PERM_READ)
            return true;
    return w->conn->privileged;
}

static bool deep_enough(const struct xk__watch *w, struct xk__path path, enum xk__fire kind)
{
    switch (kind) {
    case XK__FIRE_EXACT:
        return true;
    case XK__FIRE_SPECIAL:
        return w->depth < 0;
    case XK__FIRE_SPECIAL_DOM:
        return w->path_len == path.n || w->depth > 0;
    default:
        return w->depth < 0 || xk__path_below(path, watch_path(w)) <= w->depth;
    }
}

/* The watches at the first (len) bytes of (path). */
static int plan_at(struct xk_store_server *s, struct xk__path path, size_t len, uint32_t hash, enum xk__fire kind,
                   const struct xk__perms *v, unsigned n)
{
    XK_LIST_EACH(e, bucket_of(s, hash))
    {
        struct xk__watch *w = XK_CONTAINER(e, struct xk__watch, bucket);
        if (w->hash != hash || w->path_len != len || memcmp(w->data, path.s, len) || !deep_enough(w, path, kind) ||
            !permitted(w, v, n))
            continue;
        if (add_match(s, w, path.s, path.n))
            return XK_ENOMEM;
    }
    return 0;
}

int xk__events_plan(struct xk_store_server *s, struct xk__path path, enum xk__fire kind, const struct xk__perms *v,
                    unsigned n)
{
    uint32_t hash = s->tree.seed;
    int rc = 0;

    if (s->watches.count == 0)
        return 0;
    if (kind == XK__FIRE_EXACT || kind == XK__FIRE_SPECIAL)
        return plan_at(s, path, path.n, xk__hash(hash, path.s, path.n), kind, v, n);
    if (path.s[0] == '/' && path.n > 1)
        rc = plan_at(s, path, 1, xk__hash(hash, "/", 1), kind, v, n);
    for (size_t i = 0; i < path.n && rc == 0; i++) {
        if (i && path.s[i] == '/')
            rc = plan_at(s, path, i, hash, kind, v, n);
        hash = xk__hash(hash, path.s + i, 1);
    }
    return rc ? rc : plan_at(s, path, path.n, hash, kind, v, n);
}

/* (w) is on the very node (node), at (path), which is about to be removed. */
static int plan_gone(struct xk_store_server *s, struct xk__watch *w, const struct xk__node *node, struct xk__path path)
{
    struct xk__perms v[2] = {xk__node_perms(node), {NULL, 0}};
    const struct xk__node *up = xk__tree_find(s->top, xk__path_parent(path));

    if (up) /* its directory stands yet; not when it comes back with all of it (history.c) */
        v[1] = xk__node_perms(up);
    if (!permitted(w, v, 2))
        return 0;
    return add_match(s, w, w->data, w->path_len); /* the walk's buffer is gone by then, the watch's own path is not */
}

static int plan_removed(void *arg, const struct xk__node *node, struct xk__path path, uint32_t hash)
{
    struct xk_store_server *s = arg;

    XK_LIST_EACH(e, bucket_of(s, hash))
    {
        struct xk__watch *w = XK_CONTAINER(e, struct xk__watch, bucket);
        if (w->hash == hash && xk__path_equal(watch_path(w), path) && plan_gone(s, w, node, path))
            return XK_ENOMEM;
    }
    return 0;
}

static bool lies_below(const struct xk__watch *w, struct xk__path path)
{
    return w->path_len > path.n + 1u && w->data[path.n] == '/' && memcmp(w->data, path.s, path.n) == 0;
}

/* Then all of them are looked at, and all buckets, in place of the nodes that go. */
static bool few(const struct xk_store_server *s) { return s->watches.count <= FEW && s->watches.size <= 2 * FEW; }

/* All below (from), at (path), by the watches: where there are few. */
static int plan_few(struct xk_store_server *s, const struct xk__node *from, struct xk__path path)
{
    for (uint32_t i = 0; i < s->watches.size; i++)
        XK_LIST_EACH(e, &s->watches.buckets[i])
        {
            struct xk__watch *w = XK_CONTAINER(e, struct xk__watch, bucket);
            const struct xk__node *node = NULL;
            if (lies_below(w, path))
                node = xk__tree_below(from, (struct xk__path){w->data + path.n + 1, w->path_len - path.n - 1u});
            if (node && plan_gone(s, w, node, watch_path(w)))
                return XK_ENOMEM;
        }
    return 0;
}

int xk__events_plan_below(struct xk_store_server *s, const struct xk__node *from, char *path, size_t len)
{
    if (s->watches.count == 0 || !from->kids)
        return 0;
    if (few(s))
        return plan_few(s, from, (struct xk__path){path, len});
    return xk__tree_walk(&s->tree, from, path, len, plan_removed, s);
}

bool xk__watched_below(const struct xk_store_server *s, struct xk__path path)
{
    if (!few(s))
        return s->watches.count > 0;
    for (uint32_t i = 0; i < s->watches.size; i++)
        XK_LIST_EACH(e, &s->watches.buckets[i])
    if (lies_below(XK_CONTAINER(e, struct xk__watch, bucket), path))
        return true;
    return false;
}

static bool any_at(const struct xk_store_server *s, uint32_t hash)
{
    XK_LIST_EACH(e, bucket_of(s, hash))
    if (XK_CONTAINER(e, struct xk__watch, bucket)->hash == hash)
        return true;
    return false;
}

bool xk__watched(const struct xk_store_server *s, struct xk__path path)
{
    uint32_t hash = s->tree.seed;

    if (path.s[0] == '/' && any_at(s, xk__hash(hash, "/", 1)))
        return true;
    for (size_t i = 0; i < path.n; i++) {
        if (i && path.s[i] == '/' && any_at(s, hash))
            return true;
        hash = xk__hash(hash, path.s + i, 1);
    }
    return any_at(s, hash);
}

int xk__events_plan_special(struct xk_store_server *s, const char *name, unsigned domid, char *room, bool plain)
{
    struct xk__path p = {name, strlen(name)};
    struct xk__node *n = xk__tree_find(s->top, p);
    struct xk__perms perms = {NULL, 0};
    int rc = 0;

    if (n)
        perms = xk__node_perms(n);
    if (plain)
        rc = xk__events_plan(s, p, XK__FIRE_SPECIAL, &perms, 1);
    if (rc)
        return rc;
    p.n = (size_t)snprintf(room, 32, "%s/%u", name, domid);
    p.s = room;
    return xk__events_plan(s, p, XK__FIRE_SPECIAL_DOM, &perms, 1);
}

int xk__events_plan_one(struct xk_store_server *s, struct xk__watch *w)
{
    return add_match(s, w, w->data, w->path_len);
}

/* --- reserving and delivering ------------------------------------------------------------------------------------- */

static size_t event_size(const struct xk__match *m)
{
    return XK_STORE_HEADER_SIZE + (m->len - m->watch->prefix) + 1 + m->watch->token_len + 1u;
}

/* The room to reserve: what the value will be is not known yet. */
static size_t event_room(const struct xk__match *m)
{
    return wants_value(m->watch) && event_size(m) <= XK_STORE_PACKET_MAX ? XK_STORE_PACKET_MAX : event_size(m);
}

static uint32_t event_hash(const struct xk__match *m)
{
    const struct xk__watch *w = m->watch;
    return xk__hash(xk__hash(w->prefix, m->path, m->len), w->data + w->path_len, w->token_len);
}

/* An identical event that was not begun to be sent yet will tell the same news. Special ones all count (upstream). */
static bool queued(const struct xk__match *m, uint32_t hash)
{
    const struct xk__watch *w = m->watch;
    const struct xk_store_conn *c = w->conn;
    size_t size = event_size(m), n = m->len - w->prefix;

    if (m->path[0] == '@' || c->events == 0 || wants_value(w))
        return false;
    for (uint32_t i = 0; i < c->record_count; i++) {
        const struct xk__record *r = &c->records[c->record_head + i];
        const uint8_t *p;
        if (r->hash != hash || r->reply || r->len != size || r->at < c->sent)
            continue;
        p = xk_buf_head(&c->out) + (r->at - c->sent) + XK_STORE_HEADER_SIZE;
        if (memcmp(p, m->path + w->prefix, n) == 0 && memcmp(p + n + 1, w->data + w->path_len, w->token_len) == 0)
            return true;
    }
    return false;
}

/* Decides about one match: merged with a queued one, dropped for want of room, or to be sent. */
static void admit(struct xk_store_server *s, struct xk__match *m)
{
    struct xk_store_conn *c = m->watch->conn;
    size_t size = event_room(m);

    if (size > XK_STORE_PACKET_MAX) {
        s->stats.events_dropped++; /* path and token together exceed a packet: upstream drops these too */
        m->watch = NULL;
        return;
    }
    if (queued(m, event_hash(m))) {
        s->stats.events_merged++;
        m->watch = NULL;
        return;
    }
    if (xk__quota_hit(c, XK__Q_EVENTS, (uint64_t)c->events + c->batch_events + 1) ||
        c->events + c->batch_events >= EVENTS_PRIVILEGED || c->batch_bytes + size > xk__conn_event_room(c)) {
        s->stats.events_dropped++;
        m->watch->lost = c->lost = true;
        m->watch = NULL;
        return;
    }
    c->batch_bytes += (uint32_t)size;
    c->batch_events++;
}

int xk__events_reserve(struct xk_store_server *s)
{
    for (uint32_t i = 0; i < s->nmatches; i++)
        if (s->matches[i].watch)
            admit(s, &s->matches[i]);
    for (uint32_t i = 0; i < s->nmatches; i++) {
        struct xk_store_conn *c = s->matches[i].watch ? s->matches[i].watch->conn : NULL;
        if (c && xk__conn_reserve(c, c->batch_bytes, c->batch_events))
            return XK_ENOMEM;
    }
    return 0;
}

/* Generation and value behind an event of (used) bytes; a value that does not fit is left to be asked for, and the
 * generation as well. The bytes. */
static size_t put_value(struct xk_store_server *s, const struct xk__match *m, uint8_t *p, size_t used)
{
    struct xk__path path = {m->path, m->len};
    const struct xk__node *n = xk__tree_find(s->top, path);
    struct xk__who who = xk__conn_who(m->watch->conn);
    char *out = (char *)p + used;
    size_t digits;

    out[0] = '\0';
    if (used + 1 > XK_STORE_PAYLOAD_MAX)
        return 0;
    if (!n || !(xk__perms_of(xk__node_perms(n), &who) & XK__PERM_READ) ||
        used + 22 + n->value_len > XK_STORE_PAYLOAD_MAX)
        return 1;
    digits = (size_t)snprintf(out, 22, "%llu", (unsigned long long)n->gen) + 1;
    memcpy(out + digits, xk__node_value(n), n->value_len);
    return digits + n->value_len;
}

static void deliver(struct xk_store_server *s, const struct xk__match *m)
{
    const struct xk__watch *w = m->watch;
    struct xk_store_header h = {XK_STORE_WATCH_EVENT, 0, 0, 0};
    size_t n = m->len - w->prefix;
    uint32_t hash = event_hash(m);
    uint8_t *p = xk__conn_payload(w->conn);

    if (queued(m, hash)) {
        s->stats.events_merged++;
        return;
    }
    memcpy(p, m->path + w->prefix, n);
    p[n] = 0;
    memcpy(p + n + 1, w->data + w->path_len, w->token_len);
    p[n + 1 + w->token_len] = 0;
    h.len = (uint32_t)(n + w->token_len + 2);
    if (wants_value(w))
        h.len += (uint32_t)put_value(s, m, p, h.len);
    xk__conn_packet(w->conn, &h, hash, false);
    s->stats.events_queued++;
}

void xk__events_done(struct xk_store_server *s)
{
    for (uint32_t i = 0; i < s->nmatches; i++)
        if (s->matches[i].watch)
            deliver(s, &s->matches[i]);
    xk__events_cancel(s);
}

void xk__events_cancel(struct xk_store_server *s)
{
    for (uint32_t i = 0; i < s->nmatches; i++)
        if (s->matches[i].watch)
            s->matches[i].watch->conn->batch_bytes = s->matches[i].watch->conn->batch_events = 0;
    s->nmatches = 0;
}

void xk__events_forget(struct xk_store_server *s, struct xk_store_conn *c, struct xk__watch *w)
{
    for (uint32_t i = 0; i < s->nmatches; i++)
        if (s->matches[i].watch && (s->matches[i].watch == w || s->matches[i].watch->conn == c)) {
            s->matches[i].watch->conn->batch_bytes = s->matches[i].watch->conn->batch_events = 0;
            s->matches[i].watch = NULL;
        }
}
