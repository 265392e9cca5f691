/* Why a request was refused: which path, which limit, whom it conflicted with. The wire has room for one word only; the
 * rest is kept for whoever asks with CONTROL why. The last few of each domain, alike ones as one.
 * SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "store/server.h"

void xk__why(struct xk_store_server *s, struct xk__path path, const char *fmt, ...)
{
    struct xk__refusal *w = &s->whyfor;
    size_t n = path.n < XK__WHY_PATH - 1 ? path.n : XK__WHY_PATH - 1;
    va_list ap;

    memcpy(w->path, path.s, n);
    w->path[n] = '\0';
    va_start(ap, fmt);
    vsnprintf(w->text, sizeof(w->text), fmt, ap);
    va_end(ap);
}

static bool worth_it(int err)
{
    return err == XK_EAGAIN || err == XK_EACCES || err == XK_EPERM || err == XK_ENOSPC || err == XK_E2BIG ||
           err == XK_ENOMEM;
}

void xk__why_keep(struct xk_store_conn *c, uint32_t type, int err)
{
    struct xk_store_server *s = c->server;
    struct xk__dom *d = c->dom;
    struct xk__refusal *w;

    if (!worth_it(err))
        return;
    d->refused++;
    if (!s->whyfor.text[0])
        return;
    if (!d->why)
        d->why = xk_new(&s->alloc, sizeof(*d->why));
    if (!d->why)
        return; /* then nobody will know */
    w = &d->why->last[(d->why->n + XK__WHY_KEPT - 1) % XK__WHY_KEPT];
    if (d->why->n == 0 || w->err != err || w->type != type || strcmp(w->path, s->whyfor.path) ||
        strcmp(w->text, s->whyfor.text)) {
        w = &d->why->last[d->why->n++ % XK__WHY_KEPT];
        *w = s->whyfor;
        w->count = 0;
    }
    w->err = err;
    w->type = type;
    w->count++;
    w->at = s->ops && s->ops->now ? s->ops->now(s->arg) : 0;
}
