/* The hypervisor's half of the control protocol: one message in, one answer out. SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/hyp.h"

/* Sends an answer. Whoever does not take it is not served any more. */
static void answer(struct hyp_domain *d, struct xk__ctl *m, int fd)
{
    if (xk__fd_send(d->control, m, sizeof(*m), &fd, fd >= 0) < 0)
        hyp_domain_remove(d);
}

static void start_message(struct hyp_domain *d, struct xk__ctl *m)
{
    memset(m, 0, sizeof(*m));
    m->op = d->waiting_op;
    m->result = d->domid;
    m->arg[0] = d->domid;
    snprintf(m->u.name, sizeof(m->u.name), "%s", d->name);
    d->waiting_op = 0;
}

/* (d) is built: an answer that waited for it goes out. */
void hyp_built(struct hyp_domain *d)
{
    struct xk__ctl m;

    if (d->state == XK_DOMAIN_BUILDING)
        d->state = XK_DOMAIN_RUNNING;
    if (!d->waiting_op || d->control < 0)
        return;
    start_message(d, &m);
    answer(d, &m, -1);
}

static int take_handle(struct hyp_domain *d, struct xk__ctl *m, int *out)
{
    struct hyp_handle *e;

    if (xk_list_empty(&d->handles))
        return XK_EAGAIN;
    e = XK_CONTAINER(d->handles.next, struct hyp_handle, link);
    *out = e->fd;
    memcpy(m->u.name, e->name, sizeof(e->name));
    xk_list_del(&e->link);
    d->handle_count--;
    xk_free(&d->hyp->alloc, e, sizeof(*e));
    return 0;
}

static int hand(struct hyp_domain *target, struct xk__ctl *m, int fd)
{
    struct hyp_handle *e;

    if (fd < 0)
        return XK_EBADF;
    if (target->handle_count >= (target->lasting ? HYP_HANDLES_LASTING : HYP_HANDLES))
        return XK_EAGAIN;
    e = xk_new(&target->hyp->alloc, sizeof(*e));
    if (!e)
        return XK_ENOMEM;
    e->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (e->fd < 0) {
        xk_free(&target->hyp->alloc, e, sizeof(*e));
        return XK_EMFILE;
    }
    memcpy(e->name, m->u.name, sizeof(e->name));
    e->name[sizeof(e->name) - 1] = '\0';
    xk_list_add_tail(&target->handles, &e->link);
    target->handle_count++;
    hyp_virq_raise(target, XK_VIRQ_HANDLE);
    return 0;
}

static int may_see(struct hyp_domain *d, int32_t domid)
{
    return d->domid == 0 || d->domid == d->hyp->dom_exc_handler || domid == d->domid;
}

static int info(struct hyp_domain *d, struct xk__ctl *m)
{
    struct hyp_domain *t = NULL;
    int32_t domid = m->arg[0];

    if (m->op == XK__CTL_NEXT) {
        if (!may_see(d, -1))
            return XK_EPERM;
        for (domid = domid < 0 ? 0 : domid + 1; domid < HYP_DOMID_END && !t; domid++)
            t = hyp_find(d->hyp, domid);
    } else {
        if (!may_see(d, domid))
            return XK_EPERM;
        t = hyp_find(d->hyp, domid);
    }
    if (!t)
        return XK_ENOENT;
    hyp_domain_info(t, &m->u.info);
    return 0;
}

static int wire(struct hyp_domain *target, const int32_t wiring[4])
{
    int r = 0;

    memcpy(target->wiring, wiring, sizeof(target->wiring));
    if (wiring[1] >= 0)
        r = hyp_find(target->hyp, wiring[0]) ? hyp_arena_grant(target, (xk_domid)wiring[0], XK_GREF_STORE) : XK_EGONE;
    if (r == 0 && wiring[3] >= 0)
        r = hyp_find(target->hyp, wiring[2]) ? hyp_arena_grant(target, (xk_domid)wiring[2], XK_GREF_CONSOLE) : XK_EGONE;
    if (r == 0)
        hyp_built(target);
    return r;
}

/* The builder's requests; only domain 0 gets here. */
static int build(struct hyp_domain *d, struct xk__ctl *m, int fd)
{
    struct hyp_domain *target;

    m->u.name[sizeof(m->u.name) - 1] = '\0';
    if (m->op == XK__CTL_CREATE)
        return hyp_domain_create(d, m, fd);
    target = hyp_find(d->hyp, m->arg[0]);
    if (!target)
        return XK_ENOENT;
    switch (m->op) {
    case XK__CTL_EVT_FOR:
        return hyp_evt_alloc(target, (xk_domid)m->arg[1], NULL);
    case XK__CTL_HAND:
        return hand(target, m, fd);
    case XK__CTL_RENEW:
        return hyp_domain_renew(target, fd, m->arg[1]);
    default: /* XK__CTL_BUILT */
        return wire(target, &m->arg[1]);
    }
}

static int alive(struct hyp_domain *d, struct xk__ctl *m)
{
    struct hyp_domain *t = hyp_find(d->hyp, m->arg[0]);

    m->arg[1] = t ? (int32_t)t->born : 0;
    return !t || t->control < 0 || t->state == XK_DOMAIN_SHUTDOWN ? XK_EGONE : 0;
}

static int serve(struct hyp_domain *d, struct xk__ctl *m, int fd, int *out)
{
    switch (m->op) {
    case XK__CTL_WIRING:
        memcpy(m->arg, d->wiring, sizeof(d->wiring));
        return 0;
    case XK__CTL_ARENA:
        return hyp_arena(d, (xk_domid)m->arg[0], m->arg[1] != 0, m->arg[2], out);
    case XK__CTL_ALIVE:
        return alive(d, m);
    case XK__CTL_EVT_ALLOC:
        return hyp_evt_alloc(d, (xk_domid)m->arg[0], out);
    case XK__CTL_EVT_BIND:
        return hyp_evt_bind(d, (xk_domid)m->arg[0], m->arg[1], out);
    case XK__CTL_EVT_VIRQ:
        return hyp_evt_virq(d, (unsigned)m->arg[0], out);
    case XK__CTL_EVT_CLOSE:
        return hyp_evt_close(d, m->arg[0]);
    case XK__CTL_EVT_FETCH:
        return hyp_evt_fetch(d, m->arg[0], out);
    case XK__CTL_HANDLE:
        return take_handle(d, m, out);
    case XK__CTL_INFO:
    case XK__CTL_NEXT:
        return info(d, m);
    case XK__CTL_DOMCTL:
        return hyp_domctl(d, m);
    case XK__CTL_CREATE:
    case XK__CTL_EVT_FOR:
    case XK__CTL_HAND:
    case XK__CTL_RENEW:
    case XK__CTL_BUILT:
        return d->domid == 0 ? build(d, m, fd) : XK_EPERM;
    default:
        return XK_ENOSYS;
    }
}

/* A guest that came by path says its name; it becomes a domain and waits for domain 0 to build it. */
static int join(struct hyp_domain *d, struct xk__ctl *m)
{
    int r;

    m->u.name[sizeof(m->u.name) - 1] = '\0';
    if (d->joined || m->op != XK__CTL_JOIN)
        return XK_EPERM;
    r = hyp_domain_enter(d->hyp, d);
    if (r < 0)
        return r;
    d->joined = 1;
    d->hyp->stranger_count--;
    xk_list_del(&d->link);
    snprintf(d->name, sizeof(d->name), "%s", m->u.name[0] ? m->u.name : "guest");
    d->waiting_op = XK__CTL_JOIN;
    hyp_virq_raise(hyp_find(d->hyp, 0), XK_VIRQ_TOOLSTACK);
    return 0;
}

void hyp_request(struct hyp_domain *d)
{
    struct xk__ctl m = {0};
    int fds[1] = {-1}, nfds = 1, out = -1, r = xk__fd_recv(d->control, &m, sizeof(m), fds, &nfds, 0);

    if (r == XK_EAGAIN)
        return;
    if (r == XK_EMFILE && d->joined) { /* our own want, not its fault */
        m.result = r;
        answer(d, &m, -1);
        return;
    }
    if (r != (int)sizeof(m)) {
        if (nfds > 0)
            close(fds[0]);
        hyp_domain_hung_up(d);
        return;
    }
    if (!d->joined) {
        m.result = join(d, &m);
        if (m.result < 0) {
            answer(d, &m, -1);
            hyp_domain_remove(d);
        }
    } else if (m.op == XK__CTL_START && d->state == XK_DOMAIN_BUILDING && d->domid != 0) {
        d->waiting_op = XK__CTL_START;
    } else if (m.op == XK__CTL_START) {
        d->waiting_op = XK__CTL_START;
        start_message(d, &m);
        answer(d, &m, -1);
    } else {
        m.result = serve(d, &m, nfds > 0 ? fds[0] : -1, &out);
        if (!d->gone)
            answer(d, &m, m.result >= 0 ? out : -1);
    }
    if (out >= 0)
        close(out);
    if (nfds > 0)
        close(fds[0]);
}
