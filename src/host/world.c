/* xk_open: private worlds and joining. A private world is a hypervisor thread and one more that is its domain 0: it
 * wires each new domain to the store that it also serves. Handles are wrapped only in book-keeping: which world they
 * keep alive. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <xenkit/hosted.h>
#include <xenkit/hypervisor.h>
#include <xenkit/store_service.h>
#include <xenkit/world.h>
#include <xenkit/xen.h>

#include "base/list.h"
#include "platform/hosted/control.h"
#include "platform/linux/sys.h"

struct private_world {
    struct xk_list link;
    struct xk_hypervisor *hyp;
    struct xk_platform *dom0;
    struct xk_loop *loop;
    struct xk_store_service *store;
    struct xk_port_watch toolstack;
    xk_port toolstack_port;
    pthread_t thread;
    int stop[2]; /* a byte ends the thread */
    struct xk_fd_watch stop_watch;
    int stopping;
    int members;
};

struct member {
    struct xk_list link;
    struct xk_platform *platform;
    struct private_world *world;
    const struct xk_platform_ops *ops; /* the platform's own */
    struct xk_platform_ops mine;       /* the same but for close */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* over members of all private worlds */
static struct xk_list members = {&members, &members};

/* --- domain 0 of a private world --- */

static void build(struct private_world *w, struct xk_domain_info *info)
{
    xk_port port = xk_hosted_evtchn_for(w->dom0, info->domid, 0);

    if (port < 0 || xk_hosted_built(w->dom0, info->domid, 0, port, 0, -1) < 0)
        xk_domain_destroy(w->dom0, info->domid);
    else if (xk_store_service_introduce(w->store, info->domid, port) < 0)
        xk_domain_destroy(w->dom0, info->domid);
}

static void on_toolstack(struct xk_port_watch *watch)
{
    struct private_world *w = XK_CONTAINER(watch, struct private_world, toolstack);
    struct xk_domain_info info;
    xk_domid after = 0;

    while (xk_domain_next(w->dom0, after, &info) == 0) {
        after = info.domid;
        if (info.state == XK_DOMAIN_BUILDING)
            build(w, &info);
    }
}

static void on_stop(struct xk_fd_watch *watch, unsigned events)
{
    (void)events;
    XK_CONTAINER(watch, struct private_world, stop_watch)->stopping = 1;
}

static void *run(void *arg)
{
    struct private_world *w = arg;

    while (!w->stopping && xk_loop_run_once(w->loop, XK_FOREVER) >= 0)
        ;
    return NULL;
}

static void world_free(struct private_world *w)
{
    xk_store_service_destroy(w->store);
    xk_loop_destroy(w->loop);
    xk_platform_close(w->dom0);
    xk_hypervisor_stop(w->hyp);
    for (int i = 0; i < 2; i++)
        if (w->stop[i] >= 0)
            close(w->stop[i]);
    xk_free(NULL, w, sizeof(*w));
}

/* All signals are for the embedder's threads: one that it blocks, to read it, would end the process here. */
static int start_thread(struct private_world *w)
{
    sigset_t all, old;
    int e;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    e = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return e ? XK_ENOMEM : 0;
}

static int set_up(struct private_world *w)
{
    int control, r = xk_hypervisor_start(NULL, NULL, &w->hyp, &control);

    if (r == 0)
        r = xk_hosted_attach(control, NULL, &w->dom0);
    if (r == 0)
        r = xk_loop_create(NULL, w->dom0, &w->loop);
    if (r == 0)
        r = xk_store_service_create(NULL, w->loop, NULL, &w->store);
    if (r == 0)
        r = w->toolstack_port = xk_evtchn_bind_virq(w->dom0, XK_VIRQ_TOOLSTACK);
    if (r < 0)
        return r;
    xk_store_service_trust(w->store, 1);
    w->toolstack.fn = on_toolstack;
    w->stop_watch.fn = on_stop;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, w->stop) < 0)
        return xk__sys_err(errno);
    r = xk_port_watch_start(w->loop, &w->toolstack, w->toolstack_port);
    if (r == 0)
        r = xk_fd_watch_start(w->loop, &w->stop_watch, w->stop[1], XK_READABLE);
    return r == 0 ? start_thread(w) : r;
}

static int world_new(struct private_world **out)
{
    struct private_world *w = xk_new(NULL, sizeof(*w));
    int r;

    if (!w)
        return XK_ENOMEM;
    w->stop[0] = w->stop[1] = -1;
    r = set_up(w);
    if (r < 0) {
        world_free(w);
        return r;
    }
    *out = w;
    return 0;
}

static void world_end(struct private_world *w)
{
    send(w->stop[0], "", 1, MSG_NOSIGNAL);
    pthread_join(w->thread, NULL);
    world_free(w);
}

/* --- members --- */

static void close_member(struct xk_platform *p)
{
    struct member *m = NULL;
    int last;

    pthread_mutex_lock(&lock);
    XK_LIST_EACH(l, &members)
    if (XK_CONTAINER(l, struct member, link)->platform == p)
        m = XK_CONTAINER(l, struct member, link);
    xk_list_del(&m->link);
    last = --m->world->members == 0;
    pthread_mutex_unlock(&lock);
    p->ops = m->ops;
    p->ops->close(p);
    if (last)
        world_end(m->world);
    xk_free(NULL, m, sizeof(*m));
}

static int join(struct private_world *w, const char *name, struct xk_platform **out)
{
    struct member *m = xk_new(NULL, sizeof(*m));
    int r;

    if (!m)
        return XK_ENOMEM;
    r = xk_hypervisor_join(w->hyp, name);
    if (r >= 0)
        r = xk_hosted_attach(r, NULL, &m->platform);
    if (r < 0) {
        xk_free(NULL, m, sizeof(*m));
        return r;
    }
    m->world = w;
    m->ops = m->platform->ops;
    m->mine = *m->ops;
    m->mine.close = close_member;
    m->platform->ops = &m->mine;
    pthread_mutex_lock(&lock);
    w->members++;
    xk_list_add_tail(&members, &m->link);
    pthread_mutex_unlock(&lock);
    *out = m->platform;
    return 0;
}

int xk_open_peer(struct xk_platform *p, const char *name, struct xk_platform **out)
{
    struct private_world *w = NULL;

    pthread_mutex_lock(&lock);
    XK_LIST_EACH(l, &members)
    if (XK_CONTAINER(l, struct member, link)->platform == p)
        w = XK_CONTAINER(l, struct member, link)->world;
    pthread_mutex_unlock(&lock);
    return w ? join(w, name, out) : XK_ENOSYS;
}

static int open_private(const char *name, struct xk_platform **out)
{
    struct private_world *w;
    int r = world_new(&w);

    if (r < 0)
        return r;
    r = join(w, name, out);
    if (r < 0)
        world_end(w);
    return r;
}

/* --- joining a running world --- */

static int connect_to(const char *world)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct stat st;
    int fd, n;

    if (stat(world, &st) < 0)
        return xk__sys_err(errno);
    n = snprintf(a.sun_path, sizeof(a.sun_path), "%s%s", world, S_ISDIR(st.st_mode) ? "/join" : "");
    if (n < 0 || (size_t)n >= sizeof(a.sun_path))
        return XK_EINVAL;
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return xk__sys_err(errno);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
        int r = xk__sys_err(errno);
        close(fd);
        return r;
    }
    return fd;
}

static int open_running(const char *world, const char *name, struct xk_platform **out)
{
    struct xk__ctl m;
    int fd = connect_to(world), r;

    if (fd < 0)
        return fd;
    memset(&m, 0, sizeof(m));
    m.op = XK__CTL_JOIN;
    snprintf(m.u.name, sizeof(m.u.name), "%s", name);
    r = xk__fd_send(fd, &m, sizeof(m), NULL, 0);
    if (r == 0)
        r = xk__fd_recv(fd, &m, sizeof(m), NULL, NULL, 1) == (int)sizeof(m) ? m.result : XK_EGONE;
    if (r < 0) {
        close(fd);
        return r;
    }
    return xk_hosted_attach(fd, NULL, out);
}

/* NULL is what XENKIT_PLATFORM says: "xen", or a private world. */
static int is_xen(const char *world)
{
    const char *chosen = getenv("XENKIT_PLATFORM");

    return world ? strcmp(world, "xen:") == 0 : chosen && strcmp(chosen, "xen") == 0;
}

int xk_open(const char *world, const char *name, struct xk_platform **out)
{
    if (!name || !*name || strlen(name) > 63)
        return XK_EINVAL;
    if (is_xen(world))
        return xk_xen_attach(NULL, out);
    return world ? open_running(world, name, out) : open_private(name, out);
}
