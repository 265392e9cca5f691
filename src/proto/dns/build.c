/* Builds a zone. While it grows, a node holds a list of records in which the same types stand together; at the end all
 * is packed into one block (zone.h), and the growing arrays go. The hash table is made once and handed over.
 * SPDX-License-Identifier: MIT */
#include "proto/dns/build.h"
#include "proto/dns/rdata.h"

enum {
    FIRST_SLOTS = 64,
    NODE_RECORDS_MAX = 4096, /* at one name; a list that is walked must be short */
    SET_BYTES_MAX = 65000,   /* a set must fit into a message, RFC 2181 section 9 */
    NONE = -1
};

struct node {
    uint32_t hash, name, parent; /* name: offset into names */
    int32_t first;               /* record, or NONE */
    uint32_t out, stop, wild;    /* filled by the packer */
    uint16_t records;
    uint8_t len, flags;
};

struct record {
    int32_t next;
    uint32_t data, ttl, line;
    uint16_t column, type, len;
};

static struct node *node_at(const struct xk__dns_build *b, uint32_t i) { return (struct node *)b->nodes.p + i; }
static struct record *record_at(const struct xk__dns_build *b, int32_t i) { return (struct record *)b->records.p + i; }
static const uint8_t *name_of(const struct xk__dns_build *b, const struct node *n)
{
    return (const uint8_t *)b->names.p + n->name;
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static int no_memory(struct xk__dns_build *b)
{
    return xk_diag_set(b->diag, XK_ENOMEM, 0, 0, "out of memory while loading the zone");
}

static int charge(struct xk__dns_build *b, size_t old, size_t size)
{
    if (size - old > b->max_bytes - b->bytes)
        return xk_diag_set(b->diag, XK_E2BIG, 0, 0, "the zone needs more than the %zu bytes it is allowed",
                           b->max_bytes);
    b->bytes += size - old;
    return 0;
}

/* Room for (more) items; gives the place of the first. */
static int grow(struct xk__dns_build *b, struct xk__dns_vec *v, size_t more, void **place)
{
    size_t cap = v->cap ? v->cap : 1024;
    void *p;
    int r;

    while (cap < v->n + more)
        cap *= 2;
    if (cap > v->cap) {
        r = charge(b, v->cap * v->item, cap * v->item);
        if (r < 0)
            return r;
        p = xk_resize(&b->alloc, v->p, v->cap * v->item, cap * v->item);
        if (!p) {
            b->bytes -= (cap - v->cap) * v->item;
            return no_memory(b);
        }
        v->p = p;
        v->cap = cap;
    }
    *place = (char *)v->p + v->n * v->item;
    v->n += more;
    return 0;
}

static size_t slots_size(const struct xk__dns_build *b) { return ((size_t)b->mask + 1) * sizeof(*b->slots); }

static void slot_put(struct xk__dns_slot *slots, uint32_t mask, uint32_t hash, uint32_t node)
{
    uint32_t at = hash & mask;

    while (slots[at].node)
        at = (at + 1) & mask;
    slots[at].hash = hash;
    slots[at].node = node;
}

/* Keeps the table at most two thirds full. */
static int slots_grow(struct xk__dns_build *b)
{
    size_t have = b->slots ? (size_t)b->mask + 1 : 0, want = have ? have * 2 : FIRST_SLOTS;
    struct xk__dns_slot *slots;
    int r;

    if (have && (b->nodes.n + 1) * 3 <= have * 2)
        return 0;
    if (want > 0x40000000)
        return xk_diag_set(b->diag, XK_E2BIG, 0, 0, "the zone has too many names");
    r = charge(b, have * sizeof(*slots), want * sizeof(*slots));
    if (r < 0)
        return r;
    slots = xk_new(&b->alloc, want * sizeof(*slots));
    if (!slots) {
        b->bytes -= (want - have) * sizeof(*slots);
        return no_memory(b);
    }
    for (size_t i = 0; i < have; i++)
        if (b->slots[i].node)
            slot_put(slots, (uint32_t)want - 1, b->slots[i].hash, b->slots[i].node);
    if (have)
        xk_free(&b->alloc, b->slots, slots_size(b));
    b->slots = slots;
    b->mask = (uint32_t)want - 1;
    return 0;
}

void xk__dns_build_init(struct xk__dns_build *b, const xk_alloc *alloc, size_t max_bytes, struct xk_diag *diag)
{
    memset(b, 0, sizeof(*b));
    b->alloc = alloc ? *alloc : *xk_alloc_libc();
    b->diag = diag;
    b->max_bytes = max_bytes ? max_bytes : (size_t)1 << 30;
    if (b->max_bytes > (size_t)2 << 30)
        b->max_bytes = (size_t)2 << 30; /* offsets have 32 bits */
    b->nodes.item = sizeof(struct node);
    b->records.item = sizeof(struct record);
    b->names.item = 1;
}

static void vec_free(struct xk__dns_build *b, struct xk__dns_vec *v)
{
    xk_free(&b->alloc, v->p, v->cap * v->item);
    v->p = NULL;
    v->n = v->cap = 0;
}

void xk__dns_build_fini(struct xk__dns_build *b)
{
    vec_free(b, &b->nodes);
    vec_free(b, &b->records);
    vec_free(b, &b->names);
    xk_free(&b->alloc, b->data, b->data_cap);
    if (b->slots)
        xk_free(&b->alloc, b->slots, slots_size(b));
    b->data = NULL;
    b->slots = NULL;
}

/* --- names -------------------------------------------------------------------------------------------------------- */

static uint32_t find(const struct xk__dns_build *b, const struct xk__dns_qname *q, unsigned i)
{
    uint32_t h = q->hash[i], at = h & b->mask;
    unsigned len = q->len - q->off[i];

    for (; b->slots[at].node; at = (at + 1) & b->mask) {
        const struct node *n = node_at(b, b->slots[at].node - 1);
        if (n->hash == h && n->len == len && memcmp(name_of(b, n), q->name + q->off[i], len) == 0)
            return b->slots[at].node;
    }
    return 0;
}

/* A new node for the suffix at label (i), whose text is at (name) in names. */
static int new_node(struct xk__dns_build *b, const struct xk__dns_qname *q, unsigned i, uint32_t parent, uint32_t name)
{
    struct node *n;
    void *p;
    int r = slots_grow(b);

    if (r >= 0)
        r = grow(b, &b->nodes, 1, &p);
    if (r < 0)
        return r;
    n = p;
    memset(n, 0, sizeof(*n));
    n->hash = q->hash[i];
    n->name = name;
    n->parent = parent;
    n->first = NONE;
    n->len = (uint8_t)(q->len - q->off[i]);
    slot_put(b->slots, b->mask, n->hash, (uint32_t)b->nodes.n);
    return 0;
}

static int store_name(struct xk__dns_build *b, const struct xk__dns_qname *q, uint32_t *at)
{
    void *p = NULL;
    int r = grow(b, &b->names, q->len, &p);

    if (r < 0)
        return r;
    memcpy(p, q->name, q->len);
    *at = (uint32_t)(b->names.n - q->len);
    return 0;
}

int xk__dns_build_apex(struct xk__dns_build *b, const uint8_t *name)
{
    struct xk__dns_qname q;
    uint32_t at;
    int r;

    xk__dns_qname_init(&q, name);
    r = store_name(b, &q, &at);
    if (r < 0)
        return r;
    b->apex_labels = q.labels;
    b->have_apex = 1;
    return new_node(b, &q, 0, 0, at);
}

int xk__dns_build_node(struct xk__dns_build *b, const uint8_t *name, uint32_t *index)
{
    const struct node *apex = node_at(b, 0);
    struct xk__dns_qname q;
    uint32_t at, parent = 0;
    unsigned i = 0;
    int r;

    xk__dns_qname_init(&q, name);
    if (q.labels < b->apex_labels || q.len < apex->len ||
        memcmp(q.name + q.off[q.labels - b->apex_labels], name_of(b, apex), apex->len) != 0)
        return XK_ENOENT;
    while (!(parent = find(b, &q, i)))
        i++;
    if (i) {
        r = store_name(b, &q, &at);
        if (r < 0)
            return r;
        while (i--) { /* ancestors share the text of the longest name */
            r = new_node(b, &q, i, parent - 1, at + q.off[i]);
            if (r < 0)
                return r;
            parent = (uint32_t)b->nodes.n;
        }
    }
    *index = parent - 1;
    return 0;
}

/* --- records ------------------------------------------------------------------------------------------------------ */

static int bad(struct xk__dns_build *b, struct xk__dns_place at, const struct node *n, const char *text)
{
    char name[XK_DNS_NAME_TEXT_MAX];

    xk_dns_name_text(name_of(b, n), name, sizeof(name));
    return xk_diag_set(b->diag, XK_EINVAL, at.line, at.column, "'%.80s': %s", name, text);
}

/* RFC 2181 section 10.1, RFC 4035 section 2.5: what may stand beside a CNAME. */
static int beside_cname(unsigned type) { return type == 46 || type == 47 || type == 25; }

static int check_place(struct xk__dns_build *b, const struct node *n, unsigned type, struct xk__dns_place at)
{
    const uint8_t *name = name_of(b, n);
    int32_t i;

    if (type == XK_DNS_SOA && n != node_at(b, 0))
        return bad(b, at, n, "a SOA below the apex; expected it only at the zone's own name");
    if ((type == XK_DNS_NS || type == XK_DNS_DNAME) && name[0] == 1 && name[1] == '*')
        return bad(b, at, n, "NS or DNAME at a wildcard has no meaning (RFC 4592 section 4); expected another type");
    if (type == XK_DNS_CNAME)
        for (i = n->first; i != NONE; i = record_at(b, i)->next)
            if (record_at(b, i)->type != XK_DNS_CNAME && !beside_cname(record_at(b, i)->type))
                return bad(b, at, n, "a CNAME beside other records; expected it alone at its name");
    if ((n->flags & DNS_NODE_CNAME) && type != XK_DNS_CNAME && !beside_cname(type))
        return bad(b, at, n, "this name has a CNAME already; expected no other records");
    return 0;
}

/* The last record of the type at the node, or of all when there is none of the type; (bytes): of the set on the wire.
 * XK_EEXIST: the record is there already. */
static int find_place(struct xk__dns_build *b, const struct node *n, unsigned type, const uint8_t *data, size_t len,
                      int32_t *after, size_t *bytes)
{
    int found = 0;

    *after = NONE;
    *bytes = 0;
    for (int32_t i = n->first; i != NONE; i = record_at(b, i)->next) {
        const struct record *r = record_at(b, i);
        if (r->type != type) {
            if (found)
                break;
            *after = i;
            continue;
        }
        if (xk__dns_rdata_same(type, b->data + r->data, r->len, data, len))
            return XK_EEXIST;
        found = 1;
        *after = i;
        *bytes += 12u + r->len;
    }
    return found;
}

static int store_data(struct xk__dns_build *b, const uint8_t *data, size_t len, uint32_t *at)
{
    struct xk__dns_vec v = {b->data, b->data_n, b->data_cap, 1};
    void *p;
    int r = grow(b, &v, len, &p);

    if (r < 0)
        return r;
    if (len)
        memcpy(p, data, len);
    *at = (uint32_t)b->data_n;
    b->data = v.p;
    b->data_n = v.n;
    b->data_cap = v.cap;
    return 0;
}

static int append(struct xk__dns_build *b, struct node *n, int32_t after, const struct record *what)
{
    struct record *rec;
    int32_t index;
    void *p;
    int r = grow(b, &b->records, 1, &p);

    if (r < 0)
        return r;
    rec = p;
    *rec = *what;
    index = (int32_t)b->records.n - 1;
    if (after == NONE) {
        rec->next = n->first;
        n->first = index;
    } else {
        rec->next = record_at(b, after)->next;
        record_at(b, after)->next = index;
    }
    n->records++;
    n->flags |= what->type == XK_DNS_CNAME   ? DNS_NODE_CNAME
                : what->type == XK_DNS_DNAME ? DNS_NODE_DNAME
                : what->type == XK_DNS_NS    ? DNS_NODE_NS
                                             : 0;
    return 0;
}

int xk__dns_build_add(struct xk__dns_build *b, uint32_t node, unsigned type, uint32_t ttl, const uint8_t *data,
                      size_t len, struct xk__dns_place at)
{
    struct node *n = node_at(b, node);
    struct record rec = {NONE, 0, ttl, at.line, (uint16_t)at.column, (uint16_t)type, (uint16_t)len};
    int32_t after;
    size_t bytes;
    int r, found = find_place(b, n, type, data, len, &after, &bytes);

    if (found == XK_EEXIST) {
        b->duplicates++;
        return 0;
    }
    r = check_place(b, n, type, at);
    if (r < 0)
        return r;
    if (found && (type == XK_DNS_SOA || type == XK_DNS_CNAME || type == XK_DNS_DNAME))
        return bad(b, at, n, "a second record of a type of which a name has one (SOA, CNAME, DNAME); expected one");
    if (bytes + 12 + len > SET_BYTES_MAX)
        return bad(b, at, n, "the records of this type do not fit into one message; expected fewer");
    if (n->records == NODE_RECORDS_MAX)
        return bad(b, at, n, "more than 4096 records at one name; expected fewer");
    r = store_data(b, data, len, &rec.data);
    if (r >= 0)
        r = append(b, n, after, &rec);
    if (r < 0)
        return r;
    b->count++;
    b->rrsets += !found;
    return 0;
}

/* --- packing ------------------------------------------------------------------------------------------------------ */

/* The end of the set that begins at record (i); its size in the block, its number of records, its lowest TTL. */
static int32_t measure_set(const struct xk__dns_build *b, int32_t i, struct xk__dns_set *s)
{
    memset(s, 0, sizeof(*s));
    s->type = record_at(b, i)->type;
    s->ttl = record_at(b, i)->ttl;
    s->size = sizeof(*s);
    for (; i != NONE && record_at(b, i)->type == s->type; i = record_at(b, i)->next) {
        const struct record *r = record_at(b, i);
        s->size += 2u + r->len;
        s->count++;
        if (r->ttl < s->ttl)
            s->ttl = r->ttl;
    }
    s->size = (uint32_t)xk__dns_round4(s->size);
    return i;
}

/* Gives every node its place, and finds where authority ends. Parents stand before their children. */
static size_t lay_out(struct xk__dns_build *b)
{
    size_t at = 4; /* 0 is no node */

    for (uint32_t i = 0; i < b->nodes.n; i++) {
        struct node *n = node_at(b, i), *up = node_at(b, n->parent);
        const uint8_t *name = name_of(b, n);
        struct xk__dns_set s;

        n->out = (uint32_t)at;
        if (i > 0) {
            n->stop = up->stop                       ? up->stop
                      : (up->flags & DNS_NODE_DNAME) ? up->out
                      : (n->flags & DNS_NODE_NS)     ? n->out
                                                     : 0;
            if (name[0] == 1 && name[1] == '*')
                up->wild = n->out;
        }
        at += xk__dns_round4(sizeof(struct xk__dns_node) + n->len);
        for (int32_t r = n->first; r != NONE; at += s.size)
            r = measure_set(b, r, &s);
    }
    return at;
}

static void pack_node(const struct xk__dns_build *b, const struct node *n, uint8_t *block)
{
    struct xk__dns_node head = {n->stop, n->wild, 0, n->flags, n->len};
    uint8_t *p = block + n->out;

    memcpy(p + sizeof(head), name_of(b, n), n->len);
    p += xk__dns_round4(sizeof(head) + n->len);
    for (int32_t r = n->first; r != NONE;) {
        struct xk__dns_set s;
        int32_t end = measure_set(b, r, &s);
        uint8_t *to = p + sizeof(s);

        memcpy(p, &s, sizeof(s));
        for (; r != end; r = record_at(b, r)->next) {
            const struct record *rec = record_at(b, r);
            memcpy(to, &rec->len, 2);
            if (rec->len)
                memcpy(to + 2, b->data + rec->data, rec->len);
            to += 2u + rec->len;
        }
        p += s.size;
        head.sets++;
    }
    memcpy(block + n->out, &head, sizeof(head));
}

static const struct record *first_of(const struct xk__dns_build *b, unsigned type)
{
    for (int32_t i = node_at(b, 0)->first; i != NONE; i = record_at(b, i)->next)
        if (record_at(b, i)->type == type)
            return record_at(b, i);
    return NULL;
}

static void describe(struct xk__dns_build *b, struct xk_dns_zone *z)
{
    const struct record *soa = first_of(b, XK_DNS_SOA);
    const uint8_t *minimum = b->data + soa->data + soa->len - 4;
    uint32_t v = (uint32_t)minimum[0] << 24 | (uint32_t)minimum[1] << 16 | (uint32_t)minimum[2] << 8 | minimum[3];

    z->apex = node_at(b, 0)->out;
    z->apex_hash = node_at(b, 0)->hash;
    z->labels = b->apex_labels;
    z->negative_ttl = v < soa->ttl ? v : soa->ttl;
    z->stats.names = b->nodes.n;
    z->stats.rrsets = b->rrsets;
    z->stats.records = b->count;
    z->stats.duplicates = b->duplicates;
    z->stats.bytes = sizeof(*z) + z->block_size + ((size_t)z->mask + 1) * sizeof(*z->slots);
}

int xk__dns_build_finish(struct xk__dns_build *b, struct xk__dns_place at, struct xk_dns_zone **zone)
{
    const struct record *soa = b->have_apex ? first_of(b, XK_DNS_SOA) : NULL;
    struct xk_dns_zone *z;
    size_t size;

    if (!soa)
        return xk_diag_set(b->diag, XK_EINVAL, at.line, at.column,
                           "the zone ends without a SOA; expected one at the apex");
    if (!first_of(b, XK_DNS_NS))
        return bad(b, (struct xk__dns_place){soa->line, soa->column}, node_at(b, 0),
                   "the zone has no NS at its apex; expected at least one");
    size = lay_out(b);
    z = xk_new(&b->alloc, sizeof(*z));
    if (!z)
        return no_memory(b);
    z->block = xk_new(&b->alloc, size);
    if (!z->block) {
        xk_free(&b->alloc, z, sizeof(*z));
        return no_memory(b);
    }
    for (uint32_t i = 0; i < b->nodes.n; i++)
        pack_node(b, node_at(b, i), z->block);
    for (size_t i = 0; i <= b->mask; i++)
        if (b->slots[i].node)
            b->slots[i].node = node_at(b, b->slots[i].node - 1)->out;
    z->alloc = b->alloc;
    z->block_size = size;
    z->slots = b->slots;
    z->mask = b->mask;
    b->slots = NULL;
    atomic_init(&z->refs, 1);
    describe(b, z);
    *zone = z;
    return 0;
}
