/* What a front end does, from the two states. SPDX-License-Identifier: MIT */
#include "xenbus/device.h"

static struct xk__decision decided(enum xk__step step, enum xk_xenbus_state next, int err)
{
    return (struct xk__decision){step, next, err};
}

static struct xk__decision say(const struct xk_xenbus *d, enum xk_xenbus_state state)
{
    return d->me == state ? decided(XK__NOTHING, 0, 0) : decided(XK__SAY, state, 0);
}

/* Connected, as far as we know: of one that says so first, its own state does not tell. */
static int is_up(const struct xk_xenbus *d) { return d->driver->first ? d->up : d->me == XK_XENBUS_CONNECTED; }

/* The back end waits for us. */
static struct xk__decision back_waits(struct xk_xenbus *d)
{
    enum xk_xenbus_state ready = d->driver->first ? XK_XENBUS_CONNECTED : XK_XENBUS_INITIALISED;

    if (!d->in_use)
        return decided(XK__SETUP, ready, 0);
    if (d->me == ready && !is_up(d)) /* it has not read yet what we said */
        return decided(XK__NOTHING, 0, 0);
    return decided(XK__CLOSE, XK_XENBUS_INITIALISING, XK_EGONE); /* it, or our state by the toolstack, began anew */
}

static struct xk__decision back_is_connected(struct xk_xenbus *d)
{
    if (!d->in_use) /* to a front end before us: it has to let go of that one first */
        return say(d, XK_XENBUS_CLOSED);
    if (is_up(d))
        return decided(d->news ? XK__CHANGED : XK__NOTHING, 0, 0);
    return decided(XK__CONNECT, XK_XENBUS_CONNECTED, 0);
}

struct xk__decision xk__xenbus_front_decides(struct xk_xenbus *d)
{
    if (d->retired)
        return d->in_use ? decided(XK__CLOSE, XK_XENBUS_CLOSED, 0) : say(d, XK_XENBUS_CLOSED);
    if (d->in_use && d->moved) /* what was set up was for another domain */
        return decided(XK__CLOSE, XK_XENBUS_INITIALISING, XK_EGONE);
    switch (d->other) {
    case XK_XENBUS_INITIALISING: /* not ready; if it was, it began anew */
        return d->in_use && is_up(d) ? decided(XK__CLOSE, XK_XENBUS_INITIALISING, XK_EGONE)
                                     : decided(XK__NOTHING, 0, 0);
    case XK_XENBUS_INIT_WAIT:
        return back_waits(d);
    case XK_XENBUS_CONNECTED:
        return back_is_connected(d);
    case XK_XENBUS_CLOSING:
        return d->in_use ? decided(XK__CLOSE, XK_XENBUS_CLOSED, 0) : say(d, XK_XENBUS_CLOSED);
    case XK_XENBUS_CLOSED: /* ready for what comes next, if anything does */
        return d->in_use ? decided(XK__CLOSE, XK_XENBUS_INITIALISING, 0) : say(d, XK_XENBUS_INITIALISING);
    case XK_XENBUS_UNKNOWN: /* its folder is gone */
        return d->in_use ? decided(XK__CLOSE, XK_XENBUS_CLOSED, XK_EGONE) : decided(XK__NOTHING, 0, 0);
    default:
        return decided(XK__NOTHING, 0, 0);
    }
}
