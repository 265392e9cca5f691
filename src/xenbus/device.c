/* The wheel: something happened, read, decide, call the driver, write, and again if more happened meanwhile.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include <xenkit/err.h>

#include "base/list.h"
#include "xenbus/device.h"

enum { RETRY_MS = 200, DRIVER_MS = 1000, DRIVER_MOST = 6 /* doublings */ };

static char *text_new(const xk_alloc *alloc, const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    char *s = xk_new(alloc, n + m + 1);

    if (s) {
        memcpy(s, a, n);
        memcpy(s + n, b, m);
    }
    return s;
}

static void text_free(const xk_alloc *alloc, char **s)
{
    if (*s)
        xk_free(alloc, *s, strlen(*s) + 1);
    *s = NULL;
}

static enum xk_xenbus_state state_of(const char *text)
{
    return text && text[0] >= '1' && text[0] <= '6' && !text[1] ? (enum xk_xenbus_state)(text[0] - '0')
                                                                : XK_XENBUS_UNKNOWN;
}

/* Suspended; or resumed, and the driver still closes what there was before. */
static int waits(const struct xk_xenbus *d) { return !d->store || (d->closing && d->phase == XK__IDLE); }

/* --- reading ------------------------------------------------------------------------------------------------------ */

static void turn(struct xk_xenbus *d)
{
    if (waits(d))
        return;
    if (d->phase != XK__IDLE) {
        d->dirty = 1;
        return;
    }
    d->dirty = 0;
    d->err = 0;
    d->phase = XK__READ_OWN;
    xk__xenbus_read(d);
}

static void idle(struct xk_xenbus *d)
{
    d->phase = XK__IDLE;
    if (d->dirty)
        turn(d);
}

static xk_time in(const struct xk_xenbus *d, xk_time ms) { return xk_now(xk_loop_platform(d->loop)) + ms * XK_MS; }

/* The store has no room, or no memory: the same again, later. */
void xk__xenbus_store_failed(struct xk_xenbus *d, int err)
{
    d->err = err;
    d->phase = XK__IDLE;
    xk_timer_start(d->loop, &d->again, in(d, RETRY_MS));
}

static void on_again(struct xk_timer *t) { turn(XK_CONTAINER(t, struct xk_xenbus, again)); }
static void on_own(struct xk_store_watch *w, const char *path)
{
    (void)path;
    turn(XK_CONTAINER(w, struct xk_xenbus, own_watch));
}
static void on_peer(struct xk_store_watch *w, const char *path)
{
    (void)path;
    turn(XK_CONTAINER(w, struct xk_xenbus, peer_watch));
}
static void on_watched(struct xk_store_call *c, int err, const uint8_t *data, size_t n)
{
    (void)c;
    (void)err;
    (void)data;
    (void)n;
}

/* Where the other half is. 0, XK_EAGAIN: nobody has said it yet; XK_E... */
static int find_peer(struct xk_xenbus *d)
{
    const char *path = d->value[XK__V_LINK].text, *id = d->value[XK__V_LINK_ID].text;
    int r;

    if (!path || !id || !*path)
        return XK_EAGAIN;
    d->peer = (xk_domid)strtoul(id, NULL, 10);
    if (d->peer_path && strcmp(path, d->peer_path) == 0)
        return 0;
    d->moved = d->in_use && d->peer_path;
    if (d->peer_state)
        xk_store_watch_remove(d->store, &d->peer_watch, d->peer_state);
    text_free(&d->alloc, &d->peer_path);
    text_free(&d->alloc, &d->peer_state);
    d->peer_path = text_new(&d->alloc, path, "");
    d->peer_state = text_new(&d->alloc, path, "/state");
    r = d->peer_path && d->peer_state ? xk_store_watch_add(d->store, &d->peer_watch, d->peer_state, &d->peer_call)
                                      : XK_ENOMEM;
    if (r < 0) {
        text_free(&d->alloc, &d->peer_path);
        text_free(&d->alloc, &d->peer_state);
    }
    return r;
}

/* --- deciding ----------------------------------------------------------------------------------------------------- */

static void enter(struct xk_xenbus *d) { d->calling++; }

/* (d) may be gone after it. */
static void leave(struct xk_xenbus *d)
{
    if (--d->calling)
        return;
    if (d->freed)
        xk_xenbus_free(d);
    else if (d->suspending)
        xk_xenbus_suspend(d);
}

static void after_close(struct xk_xenbus *d)
{
    d->in_use = d->moved = d->up = 0;
    d->phase = XK__WRITE;
    if (d->next != XK_XENBUS_UNKNOWN) {
        d->dirty = 1;
        xk__xenbus_write(d, d->next);
        return;
    }
    d->phase = XK__GONE;
    enter(d);
    d->driver->gone(d, d->arg);
    leave(d);
}

/* The state (next) is written when the driver has closed; UNKNOWN: the folder is gone. */
static void close_driver(struct xk_xenbus *d, enum xk_xenbus_state next, int err)
{
    d->next = next;
    if (!d->in_use) {
        after_close(d);
        return;
    }
    d->phase = XK__CLOSING;
    d->closing = 1;
    d->driver->close(d, d->arg, err);
}

void xk_xenbus_closed(struct xk_xenbus *d)
{
    if (!d->closing)
        return;
    d->closing = 0;
    if (d->phase == XK__CLOSING)
        after_close(d);
    else /* it was suspended meanwhile, and perhaps resumed */
        turn(d);
}

static int asks_driver(enum xk__step step) { return step >= XK__OFFER && step <= XK__CONNECT_AGAIN; }

static int call_driver(struct xk_xenbus *d, enum xk__step step)
{
    d->why[0] = '\0';
    switch (step) {
    case XK__OFFER:
        return d->driver->offer ? d->driver->offer(d, d->arg) : 0;
    case XK__SETUP:
        return d->driver->setup(d, d->arg);
    case XK__CONNECT:
    case XK__CONNECT_AGAIN:
        return d->driver->connect(d, d->arg, step == XK__CONNECT_AGAIN);
    default:
        return 0;
    }
}

/* The driver cannot: it is told to close what it has, and asked again after a while, which gets longer. */
static void driver_failed(struct xk_xenbus *d, int err, int was_in_use)
{
    d->not_before = in(d, DRIVER_MS << d->failures);
    d->failures += d->failures < DRIVER_MOST;
    d->err = err;
    xk_buf_take(&d->puts, xk_buf_len(&d->puts));
    /* Without memory it is not told. */
    (void)xk_xenbus_put(d, "error", "%d %s%s%s", -err, xk_err_name(err), *d->why ? ": " : "", d->why);
    d->in_use = (uint8_t)was_in_use;
    close_driver(d, XK_XENBUS_CLOSED, err);
}

static void carry_out(struct xk_xenbus *d, struct xk__decision what)
{
    int was_in_use = d->in_use, r;

    if (what.step == XK__CLOSE) {
        close_driver(d, what.next, what.err);
        return;
    }
    if (what.step == XK__NOTHING || what.step == XK__CHANGED) {
        if (what.step == XK__CHANGED && d->driver->changed)
            d->driver->changed(d, d->arg);
        if (xk_buf_len(&d->puts)) {
            d->phase = XK__WRITE;
            xk__xenbus_write(d, d->me);
        } else if (!d->freed) {
            idle(d);
        }
        return;
    }
    r = call_driver(d, what.step);
    if (r == XK_EAGAIN) {
        idle(d);
        return;
    }
    if (r < 0) {
        driver_failed(d, r, was_in_use);
        return;
    }
    if (asks_driver(what.step) && what.step != XK__OFFER)
        d->in_use = 1;
    d->up |= what.step == XK__CONNECT;
    if (what.next == XK_XENBUS_CONNECTED)
        d->failures = 0;
    d->phase = XK__WRITE;
    xk__xenbus_write(d, what.next);
}

void xk__xenbus_read_done(struct xk_xenbus *d)
{
    struct xk__decision what;
    int r;

    if (d->err) {
        xk__xenbus_store_failed(d, d->err);
        return;
    }
    if (d->phase == XK__READ_OWN) {
        d->me = state_of(d->value[XK__V_STATE].text);
        if (!d->value[XK__V_STATE].text && !d->value[XK__V_LINK].text) { /* the folder is gone */
            enter(d);
            close_driver(d, XK_XENBUS_UNKNOWN, XK_EGONE);
            leave(d);
            return;
        }
        r = find_peer(d);
        if (r == XK_EAGAIN)
            idle(d);
        else if (r < 0)
            xk__xenbus_store_failed(d, r);
        if (r < 0)
            return;
        d->phase = XK__READ_PEER;
        xk__xenbus_read(d);
        return;
    }
    d->other = state_of(d->value[XK__V_PEER_STATE].text);
    what = d->decide(d);
    d->news = 0;
    if (asks_driver(what.step) && d->not_before > in(d, 0)) {
        what.step = XK__NOTHING;
        xk_timer_start(d->loop, &d->again, d->not_before);
    }
    enter(d);
    carry_out(d, what);
    leave(d);
}

void xk__xenbus_write_done(struct xk_xenbus *d, int err)
{
    if (err && err != XK_ENOENT) {
        xk__xenbus_store_failed(d, err);
        return;
    }
    d->dirty |= err == XK_ENOENT; /* the folder went meanwhile */
    idle(d);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

void xk_xenbus_retire(struct xk_xenbus *d)
{
    d->retired = 1;
    turn(d);
}

void xk_xenbus_update(struct xk_xenbus *d)
{
    if (waits(d))
        return;
    if (d->phase == XK__IDLE) {
        d->phase = XK__WRITE;
        xk__xenbus_write(d, d->me);
    } else {
        d->dirty = 1; /* with what is written next */
    }
}

/* Nothing of the store is used or awaited any more, nor is known what it said. To remove a watch is to write, which may
 * find the client broken and so end all calls: ours are none by then. */
static void let_go(struct xk_xenbus *d)
{
    xk_store_call_cancel(d->store, &d->own_call);
    xk_store_call_cancel(d->store, &d->peer_call);
    xk__xenbus_nodes_fini(d);
    xk_store_watch_remove(d->store, &d->own_watch, d->path);
    if (d->peer_state)
        xk_store_watch_remove(d->store, &d->peer_watch, d->peer_state);
    xk_timer_stop(d->loop, &d->again);
    text_free(&d->alloc, &d->peer_path);
    text_free(&d->alloc, &d->peer_state);
    d->me = d->other = XK_XENBUS_UNKNOWN;
    d->moved = d->up = d->dirty = d->news = d->failures = 0;
    d->not_before = 0;
    d->err = 0;
    if (d->phase != XK__GONE) /* for good */
        d->phase = XK__IDLE;
    d->store = NULL;
}

void xk_xenbus_suspend(struct xk_xenbus *d)
{
    int closes = d->in_use && !d->closing;

    if (!d->store)
        return;
    d->suspending = d->calling > 0;
    if (d->suspending)
        return;
    let_go(d);
    d->in_use = 0;
    if (!closes)
        return;
    d->closing = 1;
    enter(d);
    d->driver->close(d, d->arg, 0);
    leave(d);
}

int xk_xenbus_resume(struct xk_xenbus *d, struct xk_store *store)
{
    int r;

    if (d->store)
        return XK_EBUSY;
    d->store = store;
    r = xk__xenbus_nodes_init(d);
    if (r == 0)
        r = xk_store_watch_add(store, &d->own_watch, d->path, &d->own_call); /* which fires at once */
    if (r < 0)
        let_go(d);
    return r;
}

void xk_xenbus_free(struct xk_xenbus *d)
{
    xk_alloc alloc = d->alloc;

    if (d->calling) {
        d->freed = 1;
        return;
    }
    if (d->store)
        let_go(d);
    text_free(&alloc, &d->path);
    xk_free(&alloc, d, sizeof(*d));
}

static int device_new(const xk_alloc *alloc, struct xk_loop *loop, struct xk_store *store, const char *path,
                      const struct xk_xenbus_driver *driver, void *arg, int back, struct xk_xenbus **out)
{
    struct xk_xenbus *d = xk_new(alloc, sizeof(*d));
    int r;

    if (!d)
        return XK_ENOMEM;
    d->alloc = alloc ? *alloc : *xk_alloc_libc();
    d->loop = loop;
    d->driver = driver;
    d->arg = arg;
    d->link_name = back ? "frontend" : "backend";
    d->link_id = back ? "frontend-id" : "backend-id";
    d->peer_link = back ? "backend" : "frontend";
    d->decide = back ? xk__xenbus_back_decides : xk__xenbus_front_decides;
    d->own_watch.fn = on_own;
    d->peer_watch.fn = on_peer;
    d->own_call.fn = d->peer_call.fn = on_watched;
    d->again.fn = on_again;
    d->path = text_new(&d->alloc, path, "");
    r = d->path ? xk_xenbus_resume(d, store) : XK_ENOMEM;
    if (r < 0) {
        xk_xenbus_free(d);
        return r;
    }
    *out = d;
    return 0;
}

int xk_xenbus_front(const xk_alloc *alloc, struct xk_loop *loop, struct xk_store *store, const char *path,
                    const struct xk_xenbus_driver *driver, void *arg, struct xk_xenbus **out)
{
    return device_new(alloc, loop, store, path, driver, arg, 0, out);
}

int xk_xenbus_back(const xk_alloc *alloc, struct xk_loop *loop, struct xk_store *store, const char *path,
                   const struct xk_xenbus_driver *driver, void *arg, struct xk_xenbus **out)
{
    return device_new(alloc, loop, store, path, driver, arg, 1, out);
}

xk_domid xk_xenbus_peer(const struct xk_xenbus *d) { return d->peer; }
const char *xk_xenbus_path(const struct xk_xenbus *d) { return d->path; }
enum xk_xenbus_state xk_xenbus_state_of(const struct xk_xenbus *d, int peer) { return peer ? d->other : d->me; }
int xk_xenbus_error(const struct xk_xenbus *d) { return d->err; }
