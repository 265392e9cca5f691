/* The hypervisor's thread: one poller over control sockets, processes, the listener and this process's own commands.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/hyp.h"

enum { BATCH = 64, STRANGERS_MAX = 64, DEFAULT_MAX_DOMAINS = 4096 };

/* What this process asks its own hypervisor: to stop, or to take (name)'s control socket in. */
struct command {
    int stop;
    char name[64];
};

/* A connection that is not yet a domain. */
static int admit(struct hyp *h, int fd, const char *name)
{
    struct hyp_domain *d;

    if (h->stranger_count >= STRANGERS_MAX) /* whoever has waited longest without a word makes room */
        hyp_domain_remove(XK_CONTAINER(h->strangers.next, struct hyp_domain, link));
    d = hyp_domain_new(h, name, fd);
    if (!d || xk__poll_add(&h->poll, fd, XK_READABLE, d) < 0) {
        close(fd);
        if (d)
            hyp_domain_free(d);
        return XK_ENOMEM;
    }
    h->stranger_count++;
    xk_list_add_tail(&h->strangers, &d->link);
    return 0;
}

static void accept_one(struct hyp *h)
{
    int fd = accept4(h->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0) {
        admit(h, fd, "guest");
    } else if ((errno == EMFILE || errno == ENFILE) && h->spare >= 0) {
        /* Left in the queue it would wake us for ever: take it and drop it. */
        close(h->spare);
        fd = accept4(h->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            close(fd);
        h->spare = fcntl(h->devnull, F_DUPFD_CLOEXEC, 0);
    }
}

static void obey(struct hyp *h)
{
    struct command c = {0};
    int fd = -1, nfds = 1, r = xk__fd_recv(h->command[1], &c, sizeof(c), &fd, &nfds, 0);

    if (r != (int)sizeof(c) || c.stop) {
        h->stopping = r != XK_EAGAIN && r != XK_EMFILE; /* EMFILE: a guest that could not be taken in */
        return;
    }
    if (nfds > 0)
        admit(h, fd, c.name);
}

static void dispatch(struct hyp *h, struct xk__poll_event *e)
{
    uintptr_t tag = (uintptr_t)e->cookie;

    if (e->fd == h->command[1]) {
        obey(h);
    } else if (e->fd == h->listener) {
        accept_one(h);
    } else if (tag & 1) {
        hyp_domain_exited((struct hyp_domain *)(tag & ~(uintptr_t)1));
    } else {
        struct hyp_domain *d = e->cookie;
        if (!d->gone && d->control == e->fd)
            hyp_request(d);
    }
}

static void sweep(struct hyp *h)
{
    XK_LIST_EACH_SAFE(l, &h->dead)
    {
        xk_list_del(l);
        hyp_domain_free(XK_CONTAINER(l, struct hyp_domain, link));
    }
}

static int any_process(struct hyp *h)
{
    for (unsigned i = 0; i < HYP_DOMID_END; i++)
        if (h->domains[i] && h->domains[i]->pid > 0)
            return 1;
    return 0;
}

static void end_all(struct hyp *h)
{
    struct xk__poll_event e[BATCH];
    xk_time give_up = xk__sys_now() + 5 * XK_SECOND;

    XK_LIST_EACH_SAFE(l, &h->strangers)
    hyp_domain_remove(XK_CONTAINER(l, struct hyp_domain, link));
    for (unsigned i = 0; i < HYP_DOMID_END; i++)
        if (h->domains[i])
            hyp_domain_remove(h->domains[i]);
    while (any_process(h) && xk__sys_now() < give_up) {
        int n = xk__poll_wait(&h->poll, give_up, e, BATCH);
        for (int i = 0; i < n; i++)
            if ((uintptr_t)e[i].cookie & 1)
                hyp_domain_exited((struct hyp_domain *)((uintptr_t)e[i].cookie & ~(uintptr_t)1));
    }
    sweep(h);
}

static void *run(void *arg)
{
    struct hyp *h = arg;
    struct xk__poll_event e[BATCH];

    while (!h->stopping) {
        int n = xk__poll_wait(&h->poll, XK_FOREVER, e, BATCH);
        for (int i = 0; i < n; i++)
            dispatch(h, &e[i]);
        sweep(h);
    }
    end_all(h);
    return NULL;
}

static void hyp_free(struct hyp *h)
{
    for (int i = 0; i < 2; i++)
        if (h->command[i] >= 0)
            close(h->command[i]);
    if (h->devnull >= 0)
        close(h->devnull);
    if (h->spare >= 0)
        close(h->spare);
    xk__poll_fini(&h->poll);
    xk_free(&h->alloc, h, sizeof(*h));
}

static int make_domain0(struct hyp *h, int *control)
{
    struct hyp_domain *d;
    int sv[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
        return xk__sys_err(errno);
    d = hyp_domain_new(h, "Domain-0", sv[0]);
    if (!d || xk__poll_add(&h->poll, sv[0], XK_READABLE, d) < 0) {
        close(sv[0]);
        close(sv[1]);
        if (d)
            hyp_domain_free(d);
        return XK_ENOMEM;
    }
    d->joined = 1;
    d->state = XK_DOMAIN_RUNNING;
    h->domains[0] = d;
    h->domain_count = 1;
    h->next_domid = 1;
    *control = sv[1];
    return 0;
}

/* Guests together may have half of this process's descriptors wait here, one alone an eighth. */
static void set_bounds(struct hyp *h)
{
    struct rlimit nofile = {1024, 1024};

    getrlimit(RLIMIT_NOFILE, &nofile);
    h->held_max = nofile.rlim_cur > 65536 ? 32768 : (unsigned)nofile.rlim_cur / 2;
    h->held_share = h->held_max / 4;
}

static int set_up(struct hyp *h, int *control)
{
    int r = xk__poll_init(&h->poll, &h->alloc);

    if (r < 0)
        return r;
    h->devnull = open("/dev/null", O_RDWR | O_CLOEXEC);
    h->spare = fcntl(h->devnull, F_DUPFD_CLOEXEC, 0);
    set_bounds(h);
    if (h->spare < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, h->command) < 0)
        return xk__sys_err(errno);
    r = xk__poll_add(&h->poll, h->command[1], XK_READABLE, h);
    if (r == 0 && h->listener >= 0)
        r = xk__poll_add(&h->poll, h->listener, XK_READABLE, h);
    return r < 0 ? r : make_domain0(h, control);
}

/* All signals are for the embedder's threads. */
static int start_thread(struct hyp *h)
{
    sigset_t all, old;
    int e;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    e = pthread_create(&h->thread, NULL, run, h);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return e ? xk__sys_err(e) : 0;
}

int xk_hypervisor_start(const xk_alloc *alloc, const struct xk_hypervisor_options *options, struct xk_hypervisor **out,
                        int *control)
{
    struct hyp *h = xk_new(alloc, sizeof(*h));
    int r;

    if (!h)
        return XK_ENOMEM;
    h->alloc = alloc ? *alloc : *xk_alloc_libc();
    h->poll.epfd = h->command[0] = h->command[1] = h->devnull = h->spare = -1;
    h->listener = options ? options->listener : -1;
    h->stderr_handle = options ? options->stderr_handle : -1;
    h->max_domains = options && options->max_domains ? options->max_domains : DEFAULT_MAX_DOMAINS;
    xk_list_init(&h->strangers);
    xk_list_init(&h->dead);
    *control = -1;
    r = set_up(h, control);
    if (r == 0)
        r = start_thread(h);
    if (r < 0) {
        if (h->domains[0]) {
            hyp_domain_remove(h->domains[0]);
            close(*control);
        }
        sweep(h);
        hyp_free(h);
        return r;
    }
    *out = (struct xk_hypervisor *)h;
    return 0;
}

int xk_hypervisor_join(struct xk_hypervisor *handle, const char *name)
{
    struct hyp *h = (struct hyp *)handle;
    struct command c = {0};
    struct xk__ctl m;
    int sv[2], r;

    if (strlen(name) >= sizeof(c.name))
        return XK_EINVAL;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
        return xk__sys_err(errno);
    snprintf(c.name, sizeof(c.name), "%s", name);
    r = xk__fd_send(h->command[0], &c, sizeof(c), &sv[0], 1);
    close(sv[0]);
    memset(&m, 0, sizeof(m));
    m.op = XK__CTL_JOIN;
    snprintf(m.u.name, sizeof(m.u.name), "%s", name);
    if (r == 0)
        r = xk__fd_send(sv[1], &m, sizeof(m), NULL, 0);
    if (r == 0)
        r = xk__fd_recv(sv[1], &m, sizeof(m), NULL, NULL, 1) == (int)sizeof(m) ? m.result : XK_EGONE;
    if (r < 0) {
        close(sv[1]);
        return r;
    }
    return sv[1];
}

void xk_hypervisor_stop(struct xk_hypervisor *handle)
{
    struct hyp *h = (struct hyp *)handle;
    struct command c = {.stop = 1};

    if (!h)
        return;
    while (xk__fd_send(h->command[0], &c, sizeof(c), NULL, 0) == XK_EAGAIN)
        usleep(1000);
    pthread_join(h->thread, NULL);
    hyp_free(h);
}
