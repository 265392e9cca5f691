/* What a back end does, from the two states. The toolstack, too, writes a back end's state: Closing, when the device is
 * to go; then the front end closes, and only then do we. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include <xenkit/err.h>

#include "xenbus/device.h"

static struct xk__decision decided(enum xk__step step, enum xk_xenbus_state next, int err)
{
    return (struct xk__decision){step, next, err};
}

static struct xk__decision say(const struct xk_xenbus *d, enum xk_xenbus_state state)
{
    return d->me == state ? decided(XK__NOTHING, 0, 0) : decided(XK__SAY, state, 0);
}

static int online(const struct xk_xenbus *d)
{
    const char *text = d->value[XK__V_ONLINE].text;
    return !text || strcmp(text, "0") != 0;
}

/* Whether the front end's link leads here. A toolstack that moves a device lets it lead to another back end, while the
 * front end's state still says what it is to the one before. */
static int linked(const struct xk_xenbus *d)
{
    const char *link = d->value[XK__V_PEER_LINK].text;
    char home[40];
    int n;

    if (!link || strcmp(link, d->path) == 0)
        return 1;
    n = snprintf(home, sizeof(home), "/local/domain/%u/", xk_platform_domid(xk_loop_platform(d->loop)));
    return strncmp(link, home, (size_t)n) == 0 && strcmp(link + n, d->path) == 0;
}

static struct xk__decision front_is_elsewhere(struct xk_xenbus *d)
{
    if (d->in_use)
        return decided(XK__CLOSE, XK_XENBUS_CLOSED, XK_EGONE);
    return d->me == XK_XENBUS_INITIALISING && online(d) ? decided(XK__OFFER, XK_XENBUS_INIT_WAIT, 0)
                                                        : decided(XK__NOTHING, 0, 0);
}

/* The front end is there, and not connected. */
static struct xk__decision front_begins(struct xk_xenbus *d)
{
    if (d->in_use) /* it began anew: a crash, another kernel */
        return decided(XK__CLOSE, XK_XENBUS_INITIALISING, XK_EGONE);
    if (d->me == XK_XENBUS_INIT_WAIT)
        return decided(XK__NOTHING, 0, 0);
    return online(d) ? decided(XK__OFFER, XK_XENBUS_INIT_WAIT, 0) : say(d, XK_XENBUS_CLOSED);
}

static struct xk__decision front_is_ready(struct xk_xenbus *d)
{
    if (d->in_use)
        return decided(XK__NOTHING, 0, 0);
    if (d->me == XK_XENBUS_CONNECTED || d->me == XK_XENBUS_INITIALISED)
        return decided(XK__CONNECT_AGAIN, XK_XENBUS_CONNECTED, 0);
    if (d->me == XK_XENBUS_INIT_WAIT)
        return decided(XK__CONNECT, XK_XENBUS_CONNECTED, 0);
    /* It is connected to nobody who is alive, and we had not offered anything yet. */
    return d->me == XK_XENBUS_INITIALISING ? decided(XK__OFFER, XK_XENBUS_INIT_WAIT, 0) : decided(XK__NOTHING, 0, 0);
}

struct xk__decision xk__xenbus_back_decides(struct xk_xenbus *d)
{
    if (d->retired)
        return d->in_use ? decided(XK__CLOSE, XK_XENBUS_CLOSED, 0) : say(d, XK_XENBUS_CLOSED);
    if (!linked(d))
        return front_is_elsewhere(d);
    switch (d->other) {
    case XK_XENBUS_INITIALISING:
    case XK_XENBUS_INIT_WAIT:
        return front_begins(d);
    case XK_XENBUS_INITIALISED:
    case XK_XENBUS_CONNECTED:
        return front_is_ready(d);
    case XK_XENBUS_CLOSING:
        return d->in_use ? decided(XK__CLOSE, XK_XENBUS_CLOSING, 0) : say(d, XK_XENBUS_CLOSING);
    case XK_XENBUS_CLOSED:
        return d->in_use ? decided(XK__CLOSE, XK_XENBUS_CLOSED, 0) : say(d, XK_XENBUS_CLOSED);
    default: /* its folder is gone, or not there yet */
        if (d->in_use)
            return decided(XK__CLOSE, XK_XENBUS_CLOSED, XK_EGONE);
        return d->me == XK_XENBUS_CLOSING ? say(d, XK_XENBUS_CLOSED) : decided(XK__NOTHING, 0, 0);
    }
}
