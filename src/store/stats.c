/* Live figures of each domain as a subtree that nobody writes: /tool/xenstored/stats/<domid>/<name>. It is not in the
 * tree: a READ or DIRECTORY of it is answered from the accounts, at no cost for anybody else. Privileged clients see
 * all, a domain sees its own. Changing it gives EROFS. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "store/server.h"

static const char root[] = "/tool/xenstored/stats";
enum { ROOT = sizeof(root) - 1 };

enum figure { OPS, REFUSED, NODES, MEMORY, WATCHES, TRANSACTIONS, CONNECTIONS, EVENTS, REPLIES, CREDIT, SUMMARY };
static const char *const names[] = {"ops",         "refused", "nodes",   "memory", "watches", "transactions",
                                    "connections", "events",  "replies", "credit", "summary"};
enum { FIGURES = sizeof(names) / sizeof(names[0]) };

bool xk__stats_path(struct xk__path path)
{
    return path.n >= ROOT && memcmp(path.s, root, ROOT) == 0 && (path.n == ROOT || path.s[ROOT] == '/');
}

/* What waits in the connections of a domain. */
static void waiting(const struct xk_store_server *s, const struct xk__dom *d, long long *events, long long *replies)
{
    *events = *replies = 0;
    XK_LIST_EACH(e, &s->conns)
    {
        const struct xk_store_conn *c = XK_CONTAINER(e, struct xk_store_conn, link);
        if (c->dom != d)
            continue;
        *events += c->events;
        *replies += c->replies;
    }
}

static void fill(const struct xk_store_server *s, const struct xk__dom *d, long long v[SUMMARY])
{
    v[OPS] = (long long)d->ops;
    v[REFUSED] = (long long)d->refused;
    v[NODES] = d->owned;
    v[MEMORY] = xk__memory_of(s, d);
    v[WATCHES] = d->watches;
    v[TRANSACTIONS] = d->transactions;
    v[CONNECTIONS] = d->conns;
    v[CREDIT] = d->credit / 1000000;
    waiting(s, d, &v[EVENTS], &v[REPLIES]);
}

/* <domid>[/<name>] behind the root: the domain, and which figure, or FIGURES for its directory. */
static int parse(struct xk__req *r, struct xk__path path, const struct xk__dom **d, int *figure)
{
    struct xk__path rest = {path.s + ROOT + 1, path.n - ROOT - 1}, part;
    unsigned domid;

    *figure = FIGURES;
    xk__path_next(&rest, &part);
    if (xk__req_domid(part, &domid))
        return XK_ENOENT;
    if (!r->c->privileged && domid != r->c->domid)
        return XK_EACCES;
    *d = xk__dom_find(r->s, domid);
    if (!*d)
        return XK_ENOENT;
    if (!rest.s)
        return 0;
    for (*figure = 0; *figure < FIGURES; ++*figure)
        if (strlen(names[*figure]) == rest.n && memcmp(names[*figure], rest.s, rest.n) == 0)
            return 0;
    return XK_ENOENT;
}

int xk__stats_read(struct xk__req *r, struct xk__path path)
{
    const struct xk__dom *d;
    long long v[SUMMARY];
    char text[400];
    int figure, n = 0, rc = path.n == ROOT ? 0 : parse(r, path, &d, &figure);

    if (rc || path.n == ROOT || figure == FIGURES)
        return rc ? rc : xk__reply_text(r, "", 0);
    fill(r->s, d, v);
    if (figure != SUMMARY)
        return xk__reply_text(r, text, (size_t)snprintf(text, sizeof(text), "%lld", v[figure]));
    for (int i = 0; i < SUMMARY; i++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%s=%lld", i ? " " : "", names[i], v[i]);
    return xk__reply_text(r, text, (size_t)n);
}

int xk__stats_list(struct xk__req *r, struct xk__path path)
{
    char *out = (char *)xk__conn_payload(r->c);
    const struct xk__dom *d;
    size_t n = 0;
    int figure, rc = path.n == ROOT ? 0 : parse(r, path, &d, &figure);

    if (rc)
        return rc;
    if (path.n == ROOT) {
        for (int i = 0; i < 256; i++)
            for (int j = 0; r->s->doms[i] && j < 256; j++) {
                if (!r->s->doms[i][j] || (!r->c->privileged && r->s->doms[i][j]->domid != r->c->domid))
                    continue;
                if (n + 8 > XK_STORE_PAYLOAD_MAX)
                    return XK_E2BIG;
                n += (size_t)sprintf(out + n, "%u", r->s->doms[i][j]->domid) + 1;
            }
    } else {
        for (int i = 0; i < FIGURES && figure == FIGURES; i++)
            n += (size_t)sprintf(out + n, "%s", names[i]) + 1;
    }
    xk__reply(r, n);
    return 0;
}
