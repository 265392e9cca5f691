/* diff/ours.c - our engine in this process, with what its owner does for it: connections of domains come and go by the
 * callbacks, news of the hypervisor are passed on, and its state is handed over to a new one now and then.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include <xenkit/err.h>
#include <xenkit/store_state.h>

#include "diff.h"

static int introduce(void *arg, unsigned domid, int64_t gfn, uint32_t port)
{
    struct ours *o = arg;

    (void)gfn, (void)port;
    if (domid > DOMAINS || !o->control->domain[domid].exists)
        return XK_EINVAL; /* there is nothing to map */
    o->introduced[domid] = true;
    if (!o->conn[ring_of(domid)])
        ours_open(o, ring_of(domid));
    return 0;
}

static void release(void *arg, unsigned domid)
{
    struct ours *o = arg;

    o->introduced[domid] = false;
    ours_close(o, ring_of(domid));
}

static int domain_exists(void *arg, unsigned domid)
{
    const struct ours *o = arg;
    return domid == 0 || (domid <= DOMAINS && o->control->domain[domid].exists);
}

/* As fast as xenstored's: what depends on time must not be in the way. Nothing expires, as all is fetched at once. */
static uint64_t now(void *arg) { return ((struct ours *)arg)->time += UINT64_C(100000000000); }

/* What is put off is done when answers were fetched, as by the service. */
static void later(void *arg) { (void)arg; }

static const struct xk_store_server_ops ops = {.version = XK_STORE_SERVER_OPS_VERSION,
                                               .later = later,
                                               .now = now,
                                               .introduce = introduce,
                                               .release = release,
                                               .domain_exists = domain_exists};

static struct xk_store_server *new_server(struct ours *o)
{
    struct xk_store_server *server = xk_store_server_create(NULL, &ops, o, &o->limits);

    if (!server)
        die("our server does not start");
    return server;
}

void ours_start(struct ours *o, const struct setup *s, struct diff_control *control)
{
    struct xk_store_limits *l = &o->limits;

    memset(o, 0, sizeof(*o));
    o->control = control;
    xk_store_limits_default(l);
    l->nodes = s->nodes;
    l->watches = s->watches + 1; /* xenstored refuses when there are more than that already */
    l->transactions = s->transactions + 1;
    l->node_permissions = s->perms;
    l->path_max = s->path;
    l->tx_nodes = s->tx_nodes;
    l->node_size = s->size;
    l->memory = l->memory_soft = 0;
    l->features = 0; /* 4.17 knows no depth of watches and no entries for all domains */
    o->server = new_server(o);
}

void ours_stop(struct ours *o)
{
    for (unsigned i = 0; i < CONNS; i++) {
        ours_close(o, i);
        free(o->from[i].p);
    }
    xk_store_server_destroy(o->server);
    free(o->state.p);
}

void ours_open(struct ours *o, unsigned conn)
{
    o->conn[conn] = xk_store_conn_open(o->server, domid_of(conn), !is_ring(conn), NULL);
    o->closed[conn] = false;
    o->from[conn].n = 0;
    if (!o->conn[conn])
        die("our server takes no connection");
}

void ours_close(struct ours *o, unsigned conn)
{
    xk_store_conn_close(o->conn[conn]);
    o->conn[conn] = NULL;
}

void ours_fetch(struct ours *o)
{
    for (unsigned i = 0; i < CONNS; i++) {
        const uint8_t *p;
        size_t n;
        while (o->conn[i] && (n = xk_store_conn_output(o->conn[i], &p)) > 0) {
            bytes_add(&o->from[i], p, n);
            xk_store_conn_sent(o->conn[i], n);
        }
    }
    xk_store_server_tidy(o->server);
}

void ours_send(struct ours *o, unsigned conn, const void *p, size_t n)
{
    size_t at = 0;

    while (at < n && o->conn[conn]) {
        long used = xk_store_conn_input(o->conn[conn], (const uint8_t *)p + at, n - at);
        if (used == XK_EPROTO) {
            o->closed[conn] = true;
            if (is_ring(conn))
                xk_store_conn_reset(o->conn[conn]); /* it stays, and is ignored */
            else
                ours_close(o, conn);
        }
        if (used < 0)
            return;
        if (used == 0 && !xk_store_conn_blocked(o->conn[conn]))
            die("our server neither takes input nor says why");
        at += (size_t)used;
        if (at < n)
            ours_fetch(o);
    }
}

void ours_virq(struct ours *o)
{
    for (unsigned d = 1; d <= DOMAINS; d++) {
        const struct diff_domain *now = &o->control->domain[d];
        if (!now->exists || (now->dying && o->introduced[d])) {
            int rc = xk_store_domain_died(o->server, d);
            if (rc < 0 && rc != XK_ENOENT)
                die("xk_store_domain_died: %d", rc);
        } else if (now->shutdown) {
            int rc = xk_store_domain_shutdown(o->server, d);
            if (rc < 0 && rc != XK_ENOENT)
                die("xk_store_domain_shutdown: %d", rc);
        }
    }
}

/* --- handing over to a new server ----------------------------------------------------------------------------------
 */

static int save_bytes(void *arg, const void *bytes, size_t n)
{
    bytes_add(arg, bytes, n);
    return 0;
}

/* The number of a connection goes where the descriptor of a socket would. */
static int save_link(void *arg, struct xk_store_conn *c, struct xk_store_link *link)
{
    struct bytes *b = arg;
    struct ours *o = (struct ours *)((char *)b - offsetof(struct ours, state));

    for (unsigned i = 0; i < CONNS; i++)
        if (o->conn[i] == c) {
            link->kind = is_ring(i) ? XK_STORE_LINK_RING : XK_STORE_LINK_SOCKET;
            link->domid = domid_of(i);
            link->privileged = !is_ring(i);
            link->fd = (int)i;
            return 0;
        }
    return XK_ENOENT;
}

static struct xk_store_conn *load_link(void *arg, const struct xk_store_link *link)
{
    struct ours *o = arg;
    unsigned i = link->kind == XK_STORE_LINK_RING ? ring_of(link->domid) : (unsigned)link->fd;

    o->conn[i] = xk_store_conn_open(o->server, domid_of(i), !is_ring(i), NULL);
    return o->conn[i];
}

/* Our side only: nobody must notice. What is wrong with the state, or NULL. */
const char *ours_update(struct ours *o)
{
    struct xk_store_saver saver = {
        .write = save_bytes, .link = save_link, .arg = &o->state, .listener = -1, .events = -1};
    struct xk_store_loader loader = {.conn = load_link, .arg = o};
    static struct xk_diag diag;
    int rc;

    memset(&diag, 0, sizeof(diag));
    o->state.n = 0;
    rc = xk_store_server_save(o->server, &saver);
    if (rc < 0)
        die("our server's state cannot be saved: %d", rc);
    xk_store_server_destroy(o->server);
    memset(o->conn, 0, sizeof(o->conn));
    o->server = new_server(o);
    rc = xk_store_server_load(o->server, o->state.p, o->state.n, &loader, &diag);
    return rc < 0 ? diag.text : NULL;
}
