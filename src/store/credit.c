/* Who changes nodes while others have transactions open may make these fail, and with a loop of writes could keep a
 * toolstack from ever committing (XSA-206). So that costs credit: a domain has BURST changes, and gets RATE a second
 * back; without credit its requests wait. Nothing is counted while nobody else has a transaction.
 * SPDX-License-Identifier: MIT */
#include "store/server.h"

enum { RATE = 200, BURST = 10, ONE = 1000000 };
#define SECOND 1000000000ull

static uint64_t now_of(const struct xk_store_server *s) { return s->ops && s->ops->now ? s->ops->now(s->arg) : 0; }

static int64_t credit_at(const struct xk__dom *d, uint64_t now)
{
    uint64_t gone = now - d->credit_at;
    int64_t more = gone > SECOND ? (int64_t)RATE * ONE : (int64_t)(gone * RATE / 1000);

    return d->credit + more > (int64_t)BURST * ONE ? (int64_t)BURST * ONE : d->credit + more;
}

void xk__credit_spend(struct xk_store_conn *c)
{
    struct xk__dom *d = c->dom;
    uint64_t now;

    if (c->privileged || c->server->ntxns <= d->transactions)
        return;
    now = now_of(c->server);
    if (now == 0)
        return;
    d->credit = d->credit_at ? credit_at(d, now) - ONE : (int64_t)(BURST - 1) * ONE;
    d->credit_at = now;
}

uint64_t xk__credit_wait(const struct xk_store_conn *c)
{
    const struct xk__dom *d = c->dom;
    int64_t credit;

    if (d->credit >= 0 || c->privileged)
        return 0;
    credit = credit_at(d, now_of(c->server));
    return credit >= 0 ? 0 : (uint64_t)(-credit) * 1000 / RATE + 1;
}
