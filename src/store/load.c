/* Reading the stream into a server. The bytes may be anything: every length is checked before it is used, a tree is
 * only built downwards, and what makes no sense ends the loading with the place of the record. SPDX-License-Identifier:
 * MIT
 */
#include <stdio.h>
#include <string.h>

#include "store/record.h"

enum { FIRST_NODES = 2 };
static const struct xk__path first_nodes[FIRST_NODES] = {{"/tool", 5}, {"/tool/xenstored", 15}};

struct load {
    struct xk_store_server *s;
    struct xk_store_loader *loader;
    struct xk_wire w;       /* of the record at hand */
    const char *what;       /* what is wrong with it */
    bool seen[FIRST_NODES]; /* of the first nodes */
};

static int bad(struct load *l, const char *what)
{
    l->what = what;
    return XK_EPROTO;
}

static uint64_t get64(struct xk_wire *w)
{
    uint64_t low = xk_wire_le32(w);

    return low | (uint64_t)xk_wire_le32(w) << 32;
}

/* A string of (n) bytes, the last of which is a NUL and no other. */
static int get_string(struct load *l, size_t n, struct xk__path *out)
{
    const uint8_t *p = xk_wire_get(&l->w, n);

    if (!p || n == 0 || p[n - 1] || memchr(p, 0, n - 1))
        return bad(l, "a string without its NUL, or with another inside");
    out->s = (const char *)p;
    out->n = n - 1;
    return 0;
}

static struct xk_store_conn *find_conn(const struct load *l, uint32_t id)
{
    XK_LIST_EACH(e, &l->s->conns)
    {
        struct xk_store_conn *c = XK_CONTAINER(e, struct xk_store_conn, link);
        if (c->kept && c->id == id)
            return c;
    }
    return NULL;
}

/* --- the server and its domains ----------------------------------------------------------------------------------- */

static int get_quotas(struct load *l, uint32_t *features, uint32_t *quota)
{
    uint32_t n;

    *features = xk_wire_le32(&l->w) & XK__FEATURES;
    n = xk_wire_le32(&l->w);
    if (n > 1000)
        return bad(l, "more quotas than there can be");
    for (uint32_t q = 0; q < n; q++) { /* later versions may have more of them */
        uint32_t v = xk_wire_le32(&l->w);
        if (q < XK__Q_COUNT)
            quota[q] = v;
    }
    return 0;
}

static int load_global(struct load *l)
{
    int listener = (int)xk_wire_le32(&l->w), events = (int)xk_wire_le32(&l->w);

    if (l->loader) {
        l->loader->listener = listener;
        l->loader->events = events;
    }
    return 0;
}

static int load_server(struct load *l)
{
    uint64_t gen = get64(&l->w);

    if (gen > l->s->tree.gen && gen < UINT64_C(1) << (XK__GEN_BITS - 1))
        l->s->tree.gen = gen; /* no node gets a generation that somebody has seen on another */
    return get_quotas(l, &l->s->features, l->s->quota);
}

static int load_domain(struct load *l)
{
    unsigned domid = xk_wire_le16(&l->w), flags = xk_wire_le16(&l->w);
    struct xk__dom *d = l->w.err ? NULL : xk__dom_get(l->s, domid);
    uint32_t target;

    if (!d)
        return l->w.err ? 0 : XK_ENOMEM;
    d->introduced = flags & XK__DOMAIN_INTRODUCED;
    d->shutdown = flags & XK__DOMAIN_SHUTDOWN;
    target = xk_wire_le32(&l->w);
    d->target = target < XK__NO_TARGET ? (int32_t)target : -1;
    if (!d->introduced)
        xk__dom_untarget(l->s, domid); /* it died: the next of its number is another one */
    l->s->targets |= d->target >= 0;
    return get_quotas(l, &d->features, d->quota);
}

/* --- connections and watches -------------------------------------------------------------------------------------- */

/* The length of the packet that (n) bytes begin with, 0 if they are not all of it. */
static size_t whole_packet(const uint8_t *p, size_t n)
{
    struct xk_store_header h;

    if (n < XK_STORE_HEADER_SIZE)
        return 0;
    if (xk_store_header_get(&h, p) < 0)
        return 1; /* the engine will say so */
    return n - XK_STORE_HEADER_SIZE < h.len ? 0 : XK_STORE_HEADER_SIZE + h.len;
}

static int set_target(struct load *l, unsigned domid, unsigned target)
{
    struct xk__dom *d = xk__dom_get(l->s, domid);

    if (!d)
        return XK_ENOMEM;
    d->introduced |= domid != 0;
    if (target != XK__NO_TARGET) {
        d->target = (int32_t)target;
        l->s->targets = true;
    }
    return 0;
}

static int load_conn(struct load *l)
{
    uint32_t id = xk_wire_le32(&l->w);
    struct xk_store_link link = {.kind = (enum xk_store_link_kind)xk_wire_le16(&l->w), .fd = -1};
    struct xk_store_conn *c;
    const uint8_t *in, *out;
    size_t n_in, partial, n_out;
    uint32_t a;
    int rc = 0;

    xk_wire_le16(&l->w);
    a = xk_wire_le32(&l->w);
    link.port = xk_wire_le32(&l->w);
    n_in = xk_wire_le16(&l->w);
    partial = xk_wire_le16(&l->w);
    n_out = xk_wire_le32(&l->w);
    in = xk_wire_get(&l->w, n_in);
    out = xk_wire_get(&l->w, n_out);
    if (l->w.err)
        return 0;
    if (link.kind > XK_STORE_LINK_SOCKET || id == 0 || find_conn(l, id))
        return bad(l, "a connection of an unknown kind, or with the number of another");
    if (link.kind == XK_STORE_LINK_RING) {
        link.domid = a & 0xffff;
        rc = set_target(l, link.domid, a >> 16);
    } else {
        link.fd = (int)a;
    }
    link.privileged = link.domid == 0;
    if (whole_packet(in, n_in) == 0) { /* what the engine had of a packet stays with it */
        link.unread_bytes = 0;
    } else {
        link.unread = in;
        link.unread_bytes = n_in;
    }
    c = rc || !l->loader || !l->loader->conn ? NULL : l->loader->conn(l->loader->arg, &link);
    if (!c)
        return rc;
    c->kept = true;
    c->id = id;
    if (id > l->s->next_conn)
        l->s->next_conn = id;
    if (!link.unread_bytes && n_in && xk_buf_put(&c->in, in, n_in) < 0)
        return XK_ENOMEM;
    rc = xk__conn_restore_out(c, out, n_out, partial, true);
    return rc == XK_EPROTO ? bad(l, "output that is not packets") : rc;
}

static int load_conn_more(struct load *l)
{
    struct xk_store_conn *c = find_conn(l, xk_wire_le32(&l->w));
    uint32_t flags = xk_wire_le32(&l->w), next_tx = xk_wire_le32(&l->w);
    uint32_t former_tx = xk_wire_le32(&l->w);
    struct xk__record *first;

    if (l->w.err || !c)
        return 0;
    c->next_tx = next_tx;
    c->former_tx = former_tx;
    c->privileged = flags & XK__CONN_PRIVILEGED;
    first = &c->records[c->record_head];
    if (c->record_count && first->reply && !(flags & XK__CONN_PARTIAL_REPLY) && c->partial) {
        first->reply = false; /* it was taken for a reply */
        c->replies--;
        c->events++;
    }
    return 0;
}

/* The absolute path that a client meant, in s->path. */
static int absolute(struct load *l, const struct xk_store_conn *c, struct xk__path text, struct xk__path *out)
{
    int n = 0;

    if (text.n == 0 || text.n > XK_STORE_ABS_PATH_MAX)
        return bad(l, "a path that is too long or empty");
    if (text.s[0] != '/' && text.s[0] != '@')
        n = snprintf(l->s->path, 32, "/local/domain/%u/", c->domid);
    if ((size_t)n + text.n > XK_STORE_ABS_PATH_MAX)
        return bad(l, "a path that is too long");
    memcpy(l->s->path + n, text.s, text.n);
    out->s = l->s->path;
    out->n = (size_t)n + text.n;
    return xk__path_valid(out->s, out->n) ? 0 : bad(l, "a path with bytes that none may have");
}

static int load_watch(struct load *l, bool more)
{
    struct xk_store_conn *c = find_conn(l, xk_wire_le32(&l->w));
    int32_t depth = more ? (int32_t)xk_wire_le32(&l->w) : -1;
    bool lost = more && xk_wire_le32(&l->w);
    size_t n = xk_wire_le16(&l->w), m = xk_wire_le16(&l->w);
    struct xk__path text, token, path;
    struct xk__watch *w;
    int rc;

    if (get_string(l, n, &text) || get_string(l, m, &token))
        return XK_EPROTO;
    if (!c)
        return 0;
    if (text.n + token.n + 2 > XK_STORE_PAYLOAD_MAX)
        return bad(l, "a watch whose events would not fit into a packet");
    rc = absolute(l, c, text, &path);
    if (rc)
        return rc;
    w = xk__watch_find(c, path, token.s, token.n);
    if (!w)
        rc = xk__watch_add(c, path, token, depth, path.n - text.n, &w);
    if (rc == 0) {
        w->depth = depth;
        w->lost = lost;
        c->lost |= lost;
    }
    return rc;
}

/* --- nodes -------------------------------------------------------------------------------------------------------- */

struct node {
    uint32_t conn, tx;
    unsigned access;
    struct xk__path path;
    struct xk__perms perms; /* n 0: there is none */
    const void *value;
    size_t value_bytes;
};

static unsigned letter_bits(uint8_t letter)
{
    return letter == 'r'   ? XK__PERM_READ
           : letter == 'w' ? XK__PERM_WRITE
           : letter == 'b' ? XK__PERM_READ | XK__PERM_WRITE
                           : XK__PERM_NONE;
}

static int get_perms(struct load *l, unsigned n, struct xk__perms *out)
{
    for (unsigned i = 0; i < n; i++) {
        uint8_t letter = xk_wire_u8(&l->w), flags = xk_wire_u8(&l->w);
        if (!letter || !strchr("nrwb", letter))
            return bad(l, "a permission that is none of n, r, w, b");
        l->s->perms[i].bits = (uint16_t)(letter_bits(letter) | (flags & 1 ? XK__PERM_IGNORE : 0u));
        l->s->perms[i].domid = xk_wire_le16(&l->w);
    }
    out->v = l->s->perms;
    out->n = n;
    return 0;
}

static int get_node(struct load *l, struct node *n)
{
    size_t path, perms;
    int rc;

    n->conn = xk_wire_le32(&l->w);
    n->tx = xk_wire_le32(&l->w);
    path = xk_wire_le16(&l->w);
    n->value_bytes = xk_wire_le16(&l->w);
    n->access = xk_wire_le16(&l->w);
    perms = xk_wire_le16(&l->w);
    if (perms > XK__PERMS_MAX || n->value_bytes > XK__VALUE_MAX)
        return bad(l, "a node with more permissions, or a longer value, than any can have");
    rc = get_perms(l, (unsigned)perms, &n->perms);
    if (rc == 0)
        rc = get_string(l, path, &n->path);
    n->value = xk_wire_get(&l->w, n->value_bytes);
    if (rc || l->w.err)
        return rc ? rc : bad(l, "a value that goes beyond the end of its record");
    if (n->path.n > XK_STORE_ABS_PATH_MAX || !xk__path_valid(n->path.s, n->path.n))
        return bad(l, "a path with bytes that none may have, or too long");
    return 0;
}

/* Makes the node at its path as it is said, in the tree (top); of one that is there, what (set) names: XK__TX_VALUE,
 * XK__TX_PERMS. The accounts of domains are planned. */
static int set_node(struct load *l, struct xk__node **top, const struct node *n, unsigned set)
{
    struct xk_store_server *s = l->s;
    struct xk__node **slot, *made, *old = xk__tree_find(*top, n->path);
    struct xk__path up = xk__path_parent(n->path);
    struct xk__perms perms = old && !(set & XK__TX_PERMS) ? xk__node_perms(old) : n->perms;
    size_t bytes = old && !(set & XK__TX_VALUE) ? old->value_len : n->value_bytes;
    int rc = old ? xk__deltas_add(s, &s->deltas, xk__node_perms(old), xk__node_size(old), -1) : 0;

    if (!old && (n->path.s[0] == '@' || !xk__tree_find(*top, up)))
        return bad(l, "a node without the directory that it is in");
    if (rc == 0)
        rc = xk__deltas_add(s, &s->deltas, perms, xk__node_bytes(xk__path_last(n->path).n, perms.n, bytes), 1);
    if (rc == 0)
        rc = xk__deltas_prepare(s, &s->deltas);
    if (rc)
        return rc;
    if (old) {
        rc = xk__tree_own(&s->tree, top, n->path, &slot);
        if (rc == 0 && set & XK__TX_VALUE)
            rc = xk__tree_set_value(&s->tree, slot, n->value, n->value_bytes);
        if (rc == 0 && set & XK__TX_PERMS)
            rc = xk__tree_set_perms(&s->tree, slot, n->perms);
        return rc;
    }
    made = xk__node_new(&s->tree, xk__path_last(n->path), n->perms, n->value, n->value_bytes);
    rc = made ? xk__tree_own(&s->tree, top, up, &slot) : XK_ENOMEM;
    if (rc == 0)
        rc = xk__tree_insert(&s->tree, *slot, made);
    if (rc)
        xk__node_drop(&s->tree, made);
    return rc;
}

static int remove_node(struct load *l, struct xk__node **top, struct xk__path path)
{
    struct xk_store_server *s = l->s;
    struct xk__node *old = xk__tree_find(*top, path);
    int rc;

    if (!old || path.n == 1 || path.s[0] == '@')
        return 0;
    rc = xk__subtract(s, old);
    return rc ? rc : xk__tree_remove(&s->tree, top, path);
}

static int load_node(struct load *l)
{
    struct node n;
    int rc = get_node(l, &n);

    if (rc || n.conn) /* of a transaction, in upstream's form: it is stale, and needs no contents */
        return rc;
    if (n.perms.n == 0)
        return bad(l, "a node without an owner");
    for (unsigned i = 0; i < FIRST_NODES; i++)
        l->seen[i] |= xk__path_equal(n.path, first_nodes[i]);
    rc = set_node(l, &l->s->top, &n, XK__TX_VALUE | XK__TX_PERMS);
    if (rc == 0)
        xk__deltas_book(l->s, &l->s->deltas);
    l->s->deltas.n = 0;
    return rc;
}

/* --- transactions ------------------------------------------------------------------------------------------------- */

/* They stand before the nodes in the stream, but begin on the tree that these make: so until the end of the stream they
 * wait, stale, and their records are read in a second turn. */
static int load_tx(struct load *l)
{
    struct xk_store_conn *c = find_conn(l, xk_wire_le32(&l->w));
    uint32_t id = xk_wire_le32(&l->w);
    struct xk__txn *tx;
    int rc;

    if (l->w.err || !c)
        return 0;
    if (id == 0 || xk__txn_find(c, id))
        return bad(l, "a transaction with the number of another");
    rc = xk__txn_start(c, &tx);
    if (rc == 0) {
        tx->id = id;
        tx->stale = XK__STALE_BEFORE;
    }
    return rc;
}

static int load_tx_more(struct load *l)
{
    struct xk_store_conn *c = find_conn(l, xk_wire_le32(&l->w));
    uint32_t id = xk_wire_le32(&l->w), flags = xk_wire_le32(&l->w), n = xk_wire_le32(&l->w);
    struct xk__txn *tx = c ? xk__txn_find(c, id) : NULL;

    if (l->w.err || !tx)
        return 0;
    if (n > XK__RECORD_MAX / 12)
        return bad(l, "more accounts than there can be");
    tx->stale = flags & XK__TX_STALE ? XK__STALE_BEFORE : 0;
    tx->failed = flags & XK__TX_FAILED;
    xk_wire_get(&l->w, (size_t)n * 20); /* accounts, against a tree that is no more: they are made anew */
    /* From now on it stands on the tree as it was handed over. */
    xk__node_drop(&l->s->tree, tx->base);
    xk__node_drop(&l->s->tree, tx->top);
    tx->base = xk__node_ref(l->s->top);
    tx->top = xk__node_ref(l->s->top);
    return 0;
}

/* A change of a transaction on the tree as it was handed over: as in a merge, what others have set stays where the
 * transaction did not set it. */
static int repeat(struct load *l, struct xk__txn *tx, const struct node *n)
{
    int rc = 0;

    if (n->access & XK__TX_REMOVED || n->perms.n == 0)
        rc = remove_node(l, &tx->top, n->path);
    return rc || n->perms.n == 0 ? rc : set_node(l, &tx->top, n, n->access);
}

static int load_entry(struct load *l)
{
    struct node n;
    struct xk_store_conn *c;
    struct xk__txn *tx;
    struct xk__entry *e;
    bool failed;
    int rc = get_node(l, &n);

    c = rc ? NULL : find_conn(l, n.conn);
    tx = c ? xk__txn_find(c, n.tx) : NULL;
    if (!tx)
        return rc;
    failed = tx->failed;
    rc = xk__txn_touch(tx, n.path, &e);
    if (rc) {
        tx->failed = failed || rc == XK_ENOSPC;
        return rc == XK_ENOSPC ? 0 : rc;
    }
    e->flags = (uint16_t)n.access;
    if (!(n.access & XK__TX_CHANGE))
        return 0;
    if (tx->stale && !xk__tree_find(tx->top, xk__path_parent(n.path)))
        return 0; /* it cannot be committed anyway; what can be seen of its own changes is */
    if (n.access & XK__TX_CREATED && !(n.access & XK__TX_REMOVED) && xk__tree_find(tx->top, n.path))
        /* others have made it, too: it relies on what they made from now on */
        e->flags = (uint16_t)((n.access & ~(unsigned)XK__TX_CREATED) |
                              (n.access & (XK__TX_VALUE | XK__TX_PERMS) ? 0 : XK__TX_READ));
    rc = repeat(l, tx, &n);
    if (rc == 0)
        rc = xk__deltas_reserve(l->s, &tx->deltas, l->s->deltas.n);
    if (rc == 0)
        xk__deltas_merge(&tx->deltas, &l->s->deltas);
    l->s->deltas.n = 0;
    return rc;
}

/* --- the changes of a journal ------------------------------------------------------------------------------------- */

/* Removes a node of the tree that all see, with all below it. */
static int forget(struct load *l, struct xk__path path)
{
    int rc = remove_node(l, &l->s->top, path);

    if (rc == 0)
        rc = xk__deltas_prepare(l->s, &l->s->deltas);
    if (rc == 0)
        xk__deltas_book(l->s, &l->s->deltas);
    l->s->deltas.n = 0;
    return rc;
}

/* A new server has nodes that the state may be without. */
static int forget_unseen(struct load *l)
{
    int rc = 0;

    for (unsigned i = FIRST_NODES; i-- > 0 && rc == 0;)
        if (!l->seen[i])
            rc = forget(l, first_nodes[i]);
    return rc;
}

static int load_remove(struct load *l)
{
    struct xk__path path;
    int rc = get_string(l, xk_wire_left(&l->w), &path);

    if (rc == 0 && (path.n > XK_STORE_ABS_PATH_MAX || !xk__path_valid(path.s, path.n)))
        rc = bad(l, "a path with bytes that none may have, or too long");
    return rc ? rc : forget(l, path);
}

static int load_unwatch(struct load *l)
{
    struct xk_store_conn *c = find_conn(l, xk_wire_le32(&l->w));
    size_t n = xk_wire_le16(&l->w), m = xk_wire_le16(&l->w);
    struct xk__path text, token, path;
    struct xk__watch *w;
    int rc;

    if (get_string(l, n, &text) || get_string(l, m, &token))
        return XK_EPROTO;
    rc = c ? absolute(l, c, text, &path) : 0;
    w = c && rc == 0 ? xk__watch_find(c, path, token.s, token.n) : NULL;
    if (w)
        xk__watch_del(w);
    return rc;
}

static int load_end_of(struct load *l, bool closed)
{
    struct xk_store_conn *c = find_conn(l, xk_wire_le32(&l->w));

    if (!c)
        return 0;
    xk__conn_drop_state(c);
    if (closed && l->loader && l->loader->closed)
        l->loader->closed(l->loader->arg, c);
    return 0;
}

/* Takes the place of what the connection had. */
static int load_ring(struct load *l)
{
    struct xk_store_conn *c = find_conn(l, xk_wire_le32(&l->w));
    uint32_t consumed = xk_wire_le32(&l->w), produced = xk_wire_le32(&l->w);
    size_t in = xk_wire_le32(&l->w), out = xk_wire_le32(&l->w), partial = xk_wire_le32(&l->w);
    bool reply = xk_wire_le32(&l->w);
    const uint8_t *p = xk_wire_get(&l->w, in), *q = xk_wire_get(&l->w, out);
    int rc;

    if (l->w.err || !c)
        return 0;
    if (in > XK_STORE_PACKET_MAX || whole_packet(p, in))
        return bad(l, "more of a request than its beginning");
    c->noted = true;
    c->consumed = consumed;
    c->produced = produced;
    xk_buf_take(&c->in, xk_buf_len(&c->in));
    c->sent += xk_buf_len(&c->out);
    xk_buf_take(&c->out, xk_buf_len(&c->out));
    c->record_head = c->record_count = c->replies = c->events = 0;
    rc = in ? xk_buf_put(&c->in, p, in) : 0;
    if (rc == 0)
        rc = xk__conn_restore_out(c, q, out, partial, reply);
    return rc == XK_EPROTO ? bad(l, "output that is not packets") : rc;
}

/* --- the stream --------------------------------------------------------------------------------------------------- */

static int first_turn(struct load *l, uint32_t type)
{
    switch (type) {
    case XK__REC_GLOBAL:
        return load_global(l);
    case XK__REC_SERVER:
        return load_server(l);
    case XK__REC_DOMAIN:
        return load_domain(l);
    case XK__REC_CONN:
        return load_conn(l);
    case XK__REC_CONN_MORE:
        return load_conn_more(l);
    case XK__REC_WATCH:
        return load_watch(l, false);
    case XK__REC_WATCH_MORE:
        return load_watch(l, true);
    case XK__REC_TX:
        return load_tx(l);
    case XK__REC_NODE:
        return load_node(l);
    default:
        l->w.pos = l->w.end; /* a later version's, or for the second turn */
        return 0;
    }
}

static int change(struct load *l, uint32_t type)
{
    switch (type) {
    case XK__REC_REMOVE:
        return load_remove(l);
    case XK__REC_UNWATCH:
        return load_unwatch(l);
    case XK__REC_RESET:
    case XK__REC_CLOSED:
        return load_end_of(l, type == XK__REC_CLOSED);
    case XK__REC_RING:
        return load_ring(l);
    default:
        return first_turn(l, type);
    }
}

static int second_turn(struct load *l, uint32_t type)
{
    if (type == XK__REC_TX_MORE)
        return load_tx_more(l);
    return type == XK__REC_ENTRY ? load_entry(l) : 0;
}

/* One record at (bytes): how many bytes it takes. Its type goes to (type). */
static long one(struct load *l, const uint8_t *bytes, size_t n, int (*run)(struct load *l, uint32_t type),
                uint32_t *type)
{
    struct xk_wire head = xk_wire_read(bytes, n);
    size_t body;
    int rc;

    *type = xk_wire_le32(&head);
    body = xk_wire_le32(&head);
    if (head.err || body > XK__BODY_MAX || (body + 7) / 8 * 8 > n - 8)
        return bad(l, "a record that goes beyond the end");
    l->w = xk_wire_read(bytes + 8, body);
    rc = run(l, *type);
    if (rc == 0 && l->w.err)
        rc = bad(l, "a record that is too short for what it announces");
    return rc ? rc : (long)(8 + (body + 7) / 8 * 8);
}

static int turn(struct load *l, const uint8_t *bytes, size_t n, int (*run)(struct load *l, uint32_t type), size_t *used,
                struct xk_diag *diag)
{
    size_t at = 16;
    uint32_t type = 1;

    while (type != XK__REC_END) {
        long step = one(l, bytes + at, n - at, run, &type);
        if (step < 0)
            return xk_diag_set(diag, (int)step, 0, 0, "record %#x at byte %zu: %s", (unsigned)type, at,
                               l->what ? l->what : xk_err_text((int)step));
        at += (size_t)step;
    }
    *used = at;
    return 0;
}

int xk_store_server_load(struct xk_store_server *s, const void *bytes, size_t n, struct xk_store_loader *loader,
                         struct xk_diag *diag)
{
    static const uint8_t want[16] = "xenstore\0\0\0\1\0\0\0";
    struct load l = {.s = s, .loader = loader};
    size_t used = 0;
    int rc;

    if (loader)
        loader->listener = loader->events = -1;
    if (n < sizeof(want) || memcmp(bytes, want, sizeof(want)))
        return xk_diag_set(diag, XK_EPROTO, 0, 0,
                           "this is no migration stream of version 1, little endian: its first 16 bytes are others");
    rc = turn(&l, bytes, n, first_turn, &used, diag);
    if (rc == 0)
        rc = forget_unseen(&l);
    if (rc == 0)
        rc = turn(&l, bytes, n, second_turn, &used, diag);
    s->deltas.n = 0;
    if (rc == 0 && loader)
        loader->used = used;
    return rc;
}

/* The batch at (p): its length with all that belongs to it, 0 when it is not whole. */
static size_t whole_batch(const uint8_t *p, size_t n)
{
    struct xk_wire w = xk_wire_read(p, n);
    uint32_t type = xk_wire_le32(&w), body = xk_wire_le32(&w), crc = xk_wire_le32(&w);

    xk_wire_le32(&w);
    if (w.err || type != XK__REC_BATCH || body < 8 || body > XK__BODY_MAX || body % 8 || body - 8 > xk_wire_left(&w))
        return 0;
    return xk__crc32(p + 16, body - 8) == crc ? body + 8 : 0;
}

int xk_store_server_replay(struct xk_store_server *s, const void *bytes, size_t n, struct xk_store_loader *loader,
                           size_t *used, struct xk_diag *diag)
{
    struct load l = {.s = s, .loader = loader};
    const uint8_t *p = bytes;
    size_t size;
    uint32_t type;

    for (*used = 0; (size = whole_batch(p + *used, n - *used)); *used += size)
        for (size_t at = 16; at < size;) {
            long step = one(&l, p + *used + at, size - at, change, &type);
            if (step < 0)
                return xk_diag_set(diag, (int)step, 0, 0, "record %#x at byte %zu of the journal: %s", (unsigned)type,
                                   *used + at, l.what ? l.what : xk_err_text((int)step));
            at += (size_t)step;
        }
    return 0;
}

/* --- after a crash ------------------------------------------------------------------------------------------------ */

uint32_t xk_store_conn_recover(struct xk_store_conn *c, uint32_t epoch, uint32_t consumed, uint32_t produced)
{
    if (c->noted && (int32_t)(c->consumed - consumed) >= 0)
        consumed = c->consumed;
    else /* the rest of that request was consumed, too, and it was carried out */
        xk_buf_take(&c->in, xk_buf_len(&c->in));
    xk_store_conn_sent(c, c->noted ? produced - c->produced : SIZE_MAX);
    if (c->next_tx < epoch << 20)
        c->next_tx = epoch << 20;
    else
        c->next_tx += 1 << 20; /* a million transactions a connection since the state that was loaded */
    c->former_tx = c->next_tx;
    XK_LIST_EACH(e, &c->watches)
    {
        XK_CONTAINER(e, struct xk__watch, link)->lost = true;
        c->lost = true;
    }
    xk_store_conn_sent(c, 0); /* fires them */
    return consumed;
}
