/* A network's control ring, from the back end's side. Each request is a function of its own; what a request points to
 * is copied before it is looked at. SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/list.h"
#include "drivers/net/control.h"

enum { ROUND = 128 /* requests in one turn of the loop */ };

typedef uint32_t handler(struct control_back *c, const uint32_t *data, uint32_t *result);

/* Copies (n) bytes of the page (ref) into (to), or back. 1: it could be done. */
static int copy(struct control_back *c, uint32_t ref, void *local, size_t n, unsigned flags)
{
    struct xk_page_copy op = {local, ref, 0, (uint16_t)n, XK_EINVAL};

    return xk_page_copy(c->platform, c->front, &op, 1, flags) == 0;
}

/* --- the hash ----------------------------------------------------------------------------------------------------- */

static uint32_t set_algorithm(struct control_back *c, const uint32_t *data, uint32_t *result)
{
    (void)result;
    if (data[0] > XK_NET_HASH_TOEPLITZ)
        return CONTROL_WRONG;
    c->hash.algorithm = (uint8_t)data[0];
    return CONTROL_OK;
}

static uint32_t get_flags(struct control_back *c, const uint32_t *data, uint32_t *result)
{
    (void)data;
    if (c->hash.algorithm == XK_NET_HASH_NONE)
        return CONTROL_NOT_SUPPORTED;
    *result = XK_NET_HASH_ALL;
    return CONTROL_OK;
}

static uint32_t set_flags(struct control_back *c, const uint32_t *data, uint32_t *result)
{
    (void)result;
    if (data[0] > XK_NET_HASH_ALL || c->hash.algorithm == XK_NET_HASH_NONE)
        return CONTROL_WRONG;
    c->hash.types = (uint8_t)data[0];
    return CONTROL_OK;
}

static uint32_t set_key(struct control_back *c, const uint32_t *data, uint32_t *result)
{
    uint8_t key[XK_NET_HASH_KEY] = {0};

    (void)result;
    if (data[1] > sizeof(key))
        return CONTROL_OVERFLOW;
    if (data[1] && !copy(c, data[0], key, data[1], 0))
        return CONTROL_WRONG;
    memcpy(c->hash.key, key, sizeof(key));
    return CONTROL_OK;
}

static uint32_t get_map_size(struct control_back *c, const uint32_t *data, uint32_t *result)
{
    (void)c;
    (void)data;
    *result = XK_NET_HASH_MAP;
    return CONTROL_OK;
}

static uint32_t set_map_size(struct control_back *c, const uint32_t *data, uint32_t *result)
{
    (void)result;
    if (data[0] > XK_NET_HASH_MAP)
        return CONTROL_WRONG;
    c->hash.map_size = (uint16_t)data[0];
    memset(c->hash.map, 0, sizeof(c->hash.map));
    return CONTROL_OK;
}

static uint32_t set_map(struct control_back *c, const uint32_t *data, uint32_t *result)
{
    uint32_t map[XK_NET_HASH_MAP], n = data[1], at = data[2];

    (void)result;
    if (n > XK_NET_HASH_MAP)
        return CONTROL_OVERFLOW;
    if (at > c->hash.map_size || n > c->hash.map_size - at || (n && !copy(c, data[0], map, n * sizeof(*map), 0)))
        return CONTROL_WRONG;
    for (uint32_t i = 0; i < n; i++)
        if (map[i] >= c->queues)
            return CONTROL_WRONG;
    for (uint32_t i = 0; i < n; i++)
        c->hash.map[at + i] = (uint8_t)map[i];
    return CONTROL_OK;
}

/* --- pages that stay mapped --------------------------------------------------------------------------------------- */

static uint32_t get_grefs_size(struct control_back *c, const uint32_t *data, uint32_t *result)
{
    if (data[0] >= c->queues)
        return CONTROL_WRONG;
    *result = xk_netback_keeps(c->queue[data[0]]);
    return CONTROL_OK;
}

/* The list of a request: how many, 0: it makes no sense. */
static uint32_t read_list(struct control_back *c, const uint32_t *data)
{
    if (data[0] >= c->queues || data[2] == 0 || data[2] > CONTROL_GREFS ||
        !copy(c, data[1], c->list, data[2] * sizeof(*c->list), 0))
        return 0;
    return data[2];
}

/* Those of the list from (from) on that are to be mapped in the same way, by one call: how many, 0: they cannot be. */
static uint32_t keep_some(struct control_back *c, struct xk_netback *q, uint32_t from, uint32_t n)
{
    xk_gref refs[CONTROL_GREFS];
    int readonly = c->list[from].flags & CONTROL_GREF_READONLY;
    uint32_t some = 0;

    while (from + some < n && (c->list[from + some].flags & CONTROL_GREF_READONLY) == readonly) {
        refs[some] = c->list[from + some].ref;
        some++;
    }
    return xk_netback_keep(q, refs, some, readonly) == 0 ? some : 0;
}

static uint32_t add_grefs(struct control_back *c, const uint32_t *data, uint32_t *result)
{
    uint32_t n = read_list(c, data), kept = 0, some;
    struct xk_netback *q;

    (void)result;
    if (n == 0)
        return CONTROL_WRONG;
    q = c->queue[data[0]];
    for (; kept < n && (some = keep_some(c, q, kept, n)) > 0; kept += some)
        ;
    if (kept == n)
        return CONTROL_OK;
    while (kept-- > 0) /* all or none */
        (void)xk_netback_let_go(q, c->list[kept].ref);
    return CONTROL_WRONG;
}

static uint32_t del_grefs(struct control_back *c, const uint32_t *data, uint32_t *result)
{
    uint32_t n = read_list(c, data), gone = 0;

    for (uint32_t i = 0; i < n; i++) {
        int r = xk_netback_let_go(c->queue[data[0]], c->list[i].ref);
        c->list[i].status = r < 0 ? CONTROL_WRONG : CONTROL_OK;
        gone += r == 0;
    }
    *result = gone;
    return n && copy(c, data[1], c->list, n * sizeof(*c->list), XK_COPY_TO) ? CONTROL_OK : CONTROL_WRONG;
}

/* --- the ring ----------------------------------------------------------------------------------------------------- */

static int serve(struct control_back *c, const struct control_request *q)
{
    static handler *const table[] = {NULL,    get_flags,     set_flags,      set_key,   get_map_size, set_map_size,
                                     set_map, set_algorithm, get_grefs_size, add_grefs, del_grefs};
    union control_slot slot = {.answer = {q->id, q->type, CONTROL_NOT_SUPPORTED, 0}};

    if (q->type < sizeof(table) / sizeof(*table) && table[q->type])
        slot.answer.status = table[q->type](c, q->data, &slot.answer.data);
    c->requests++;
    c->refused += slot.answer.status != CONTROL_OK;
    return xk_ring_back_settle(&c->ring, &slot, sizeof(slot), NULL, 1);
}

/* A guest that asks without end is served in turn with the others. */
static void work(struct control_back *c)
{
    union control_slot slot;
    int notify = 0, r = 0;

    for (int n = 0; n < ROUND && (r = xk_ring_back_take(&c->ring, &slot, 1)) > 0; n++)
        notify |= serve(c, &slot.request);
    if (notify)
        xk_evtchn_notify(c->platform, c->watch.port);
    if (r == XK_EAGAIN)
        r = xk_ring_back_rearm(&c->ring);
    if (r > 0)
        xk_defer_start(c->loop, &c->more);
    if (r < 0) { /* nothing it says counts any more */
        xk_port_watch_stop(c->loop, &c->watch);
        c->broken(c->arg, XK_EPEER);
    }
}

static void on_event(struct xk_port_watch *w) { work(XK_CONTAINER(w, struct control_back, watch)); }
static void on_more(struct xk_defer *d) { work(XK_CONTAINER(d, struct control_back, more)); }

int control_back_open(struct control_back *c, xk_gref ref, xk_port port)
{
    int r;

    c->platform = xk_loop_platform(c->loop);
    c->watch = (struct xk_port_watch){.fn = on_event};
    c->more = (struct xk_defer){.fn = on_more};
    memset(&c->hash, 0, sizeof(c->hash));
    r = xk_page_map(c->platform, c->front, &ref, 1, 0, NULL, &c->page);
    if (r < 0) {
        c->page = NULL;
        return r;
    }
    r = c->watch.port = xk_evtchn_bind(c->platform, c->front, port);
    if (r >= 0)
        r = xk_ring_back_take_up(&c->ring, c->page, XK_PAGE_SIZE, sizeof(union control_slot));
    if (r == 1)
        xk_evtchn_notify(c->platform, c->watch.port);
    if (r >= 0)
        r = xk_port_watch_start(c->loop, &c->watch, c->watch.port);
    if (r < 0) {
        control_back_close(c);
        return r;
    }
    for (unsigned i = 0; i < c->queues; i++)
        xk_netback_hash(c->queue[i], &c->hash);
    return 0;
}

void control_back_close(struct control_back *c)
{
    if (!c->page)
        return;
    xk_defer_stop(c->loop, &c->more);
    if (c->watch.started)
        xk_port_watch_stop(c->loop, &c->watch);
    if (c->watch.port > 0)
        xk_evtchn_unbind(c->platform, c->watch.port);
    xk_page_unmap(c->platform, c->page, 1);
    c->page = NULL;
}
