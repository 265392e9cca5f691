/* Domains: their numbers, their processes, their end. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/hyp.h"

struct hyp_domain *hyp_find(struct hyp *h, int32_t domid)
{
    struct hyp_domain *d = domid >= 0 && domid < HYP_DOMID_END ? h->domains[domid] : NULL;

    return d && !d->gone ? d : NULL;
}

struct hyp_domain *hyp_peer(struct hyp *h, int32_t domid)
{
    struct hyp_domain *d = hyp_find(h, domid);

    return d && d->control >= 0 ? d : NULL;
}

int hyp_may_hold(struct hyp_domain *d, unsigned n)
{
    struct hyp *h = d->hyp;

    return d->domid == 0 || (d->held + n <= h->held_share && h->held + n <= h->held_max) ? 0 : XK_EMFILE;
}

void hyp_hold(struct hyp_domain *d, int *slot, int fd)
{
    *slot = fd;
    d->held++;
    d->hyp->held++;
}

int hyp_take(struct hyp_domain *d, int *slot)
{
    int fd = *slot;

    if (fd < 0)
        return -1;
    *slot = -1;
    d->held--;
    d->hyp->held--;
    return fd;
}

void hyp_shut(struct hyp_domain *d, int *slot)
{
    int fd = hyp_take(d, slot);

    if (fd >= 0)
        close(fd);
}

/* An answer takes some 800 bytes of the socket's buffer, so that few wait there with their descriptors: a domain that
 * asks on and on without reading is ended soon, before it has filled the count of descriptors in flight that the kernel
 * keeps for all processes of a user. */
static void bound_answers(int control)
{
    int bytes = 4096;

    setsockopt(control, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

struct hyp_domain *hyp_domain_new(struct hyp *h, const char *name, int control)
{
    struct hyp_domain *d = xk_new(&h->alloc, sizeof(*d));

    if (!d)
        return NULL;
    d->hyp = h;
    d->control = control;
    bound_answers(control);
    d->pidfd = -1;
    d->state = XK_DOMAIN_BUILDING;
    d->wiring[1] = d->wiring[3] = -1;
    snprintf(d->name, sizeof(d->name), "%s", name);
    for (int i = 0; i < HYP_VIRQS; i++)
        d->virqs[i] = -1;
    xk_list_init(&d->link);
    xk_list_init(&d->arenas);
    xk_list_init(&d->handles);
    return d;
}

/* Gives (d) the next free number and a place in the table. Numbers go up and only come again after a full turn. */
int hyp_domain_enter(struct hyp *h, struct hyp_domain *d)
{
    if (h->domain_count >= h->max_domains)
        return XK_ENOSPC;
    while (h->domains[h->next_domid])
        h->next_domid = h->next_domid + 1 < HYP_DOMID_END ? h->next_domid + 1 : 1;
    d->domid = h->next_domid;
    h->next_domid = d->domid + 1 < HYP_DOMID_END ? d->domid + 1 : 1;
    d->born = ++h->births;
    h->domains[d->domid] = d;
    h->domain_count++;
    return 0;
}

static void drop_handles(struct hyp_domain *d)
{
    XK_LIST_EACH_SAFE(l, &d->handles)
    {
        struct hyp_handle *e = XK_CONTAINER(l, struct hyp_handle, link);
        close(e->fd);
        xk_list_del(l);
        xk_free(&d->hyp->alloc, e, sizeof(*e));
    }
    d->handle_count = 0;
}

static void close_control(struct hyp_domain *d)
{
    if (d->control < 0)
        return;
    xk__poll_del(&d->hyp->poll, d->control);
    close(d->control);
    d->control = -1;
}

/* Releases all that (d) holds; its entry stays until it is removed. Peers see their sockets end. A stranger has no
 * number yet (the field says 0, which is another's) and holds nothing but its socket. */
static void release(struct hyp_domain *d)
{
    if (d->joined) {
        hyp_evt_fini(d);
        hyp_arena_fini(d);
        drop_handles(d);
        if (d->domid && d->hyp->dom_exc_handler == d->domid)
            d->hyp->dom_exc_handler = 0; /* nobody inherits the office with the number */
    }
    close_control(d);
}

/* By the pidfd: a number might be another process's, where the embedder reaps children that are not its own. */
static int signal_process(struct hyp_domain *d, int sig)
{
    return syscall(SYS_pidfd_send_signal, d->pidfd, sig, NULL, 0) < 0 ? xk__sys_err(errno) : 0;
}

static void tell_end(struct hyp *h)
{
    hyp_virq_raise(hyp_find(h, h->dom_exc_handler), XK_VIRQ_DOM_EXC);
    hyp_virq_raise(hyp_find(h, 0), XK_VIRQ_TOOLSTACK);
}

void hyp_domain_remove(struct hyp_domain *d)
{
    struct hyp *h = d->hyp;

    if (d->gone)
        return;
    release(d);
    d->gone = 1;
    if (!d->joined)
        h->stranger_count--;
    if (d->pid > 0) /* its process goes on until the signal arrives; then the entry can go */
        signal_process(d, SIGKILL);
    if (h->domains[d->domid] == d && d->pid <= 0) {
        h->domains[d->domid] = NULL;
        h->domain_count--;
    }
    xk_list_del(&d->link);
    if (d->pid <= 0)
        xk_list_add_tail(&h->dead, &d->link);
    tell_end(h);
}

/* The other end of the control socket is closed, or what came is no message. A process that ends closes it before its
 * pidfd says so: its last words are still to come (hyp_domain_exited), and one that closed it and goes on is made to.
 */
void hyp_domain_hung_up(struct hyp_domain *d)
{
    if (d->pid <= 0) {
        hyp_domain_remove(d);
        return;
    }
    close_control(d);
    signal_process(d, SIGKILL);
}

void hyp_domain_free(struct hyp_domain *d)
{
    if (d->pidfd >= 0)
        close(d->pidfd);
    xk_free(&d->hyp->alloc, d, sizeof(*d));
}

/* The process ended: keep the entry with its last words until domain 0 destroys it, or let it go if it did. Where the
 * embedder ignores SIGCHLD or waits for all children, nobody knows how it ended, but it did. */
void hyp_domain_exited(struct hyp_domain *d)
{
    int st = 255 << 8;
    pid_t r = waitpid(d->pid, &st, WNOHANG);

    if (r == 0 || (r < 0 && errno != ECHILD))
        return;
    xk__poll_del(&d->hyp->poll, d->pidfd);
    d->pid = 0;
    d->exit_code = WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
    if (d->gone) {
        d->hyp->domains[d->domid] = NULL;
        d->hyp->domain_count--;
        xk_list_add_tail(&d->hyp->dead, &d->link);
        tell_end(d->hyp);
        return;
    }
    /* What it shared stays until the entry goes, so that whoever serves its console can still read its last words. */
    if (d->control >= 0) {
        xk__poll_del(&d->hyp->poll, d->control);
        close(d->control);
        d->control = -1;
    }
    if (d->state != XK_DOMAIN_SHUTDOWN)
        d->reason = d->exit_code == 0 ? XK_POWEROFF : XK_CRASH;
    d->state = XK_DOMAIN_SHUTDOWN;
    tell_end(d->hyp);
}

/* The child between vfork and exec: descriptors, limits, and nothing that allocates. */
static void child(struct hyp *h, int program, int control, unsigned memory_mib, const char *name)
{
    char *argv[] = {(char *)(uintptr_t) "xenkit-domain", (char *)(uintptr_t)name, NULL}, *envp[] = {NULL};
    /* All of them above 10 first: the embedder may have closed any of 0 to 3, and one of these may lie there. */
    int keep = fcntl(program, F_DUPFD, 10), null = fcntl(h->devnull, F_DUPFD, 10), ctl = fcntl(control, F_DUPFD, 10);
    int err = fcntl(h->stderr_handle >= 0 ? h->stderr_handle : h->devnull, F_DUPFD, 10);
    struct rlimit nofile, core = {0, 0};
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid(); /* the terminal's Ctrl-C is for domain 0 alone */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &core);
    if (getrlimit(RLIMIT_NOFILE, &nofile) == 0) {
        nofile.rlim_cur = nofile.rlim_max;
        setrlimit(RLIMIT_NOFILE, &nofile);
    }
    if (memory_mib) {
        struct rlimit data = {(rlim_t)memory_mib << 20, (rlim_t)memory_mib << 20};
        setrlimit(RLIMIT_DATA, &data);
    }
    if (keep < 0 || null < 0 || ctl < 0 || err < 0 || chdir("/") < 0)
        _exit(126);
    if (dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(err, 2) < 0 || dup2(ctl, 3) < 0)
        _exit(126);
    syscall(SYS_close_range, 4u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */);
    syscall(SYS_execveat, keep, "", argv, envp, 0x1000 /* AT_EMPTY_PATH */);
    _exit(127);
}

static int spawn(struct hyp_domain *d, int program, int control, unsigned memory_mib)
{
    pid_t pid = vfork();
    int r;

    if (pid == 0)
        child(d->hyp, program, control, memory_mib, d->name);
    if (pid < 0)
        return xk__sys_err(errno);
    d->pid = pid;
    d->pidfd = (int)syscall(SYS_pidfd_open, pid, 0); /* close-on-exec from the start */
    r = d->pidfd < 0 ? xk__sys_err(errno)
                     : xk__poll_add(&d->hyp->poll, d->pidfd, XK_READABLE, (void *)((uintptr_t)d | 1));
    if (r < 0) { /* nobody would hear of its end, and its entry would stay for ever */
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        d->pid = 0;
    }
    return r;
}

int hyp_domain_create(struct hyp_domain *caller, struct xk__ctl *m, int fd)
{
    struct hyp *h = caller->hyp;
    struct hyp_domain *d;
    int sv[2], r;

    if (fd < 0 || m->arg[0] < 0 || m->u.name[0] == '\0')
        return XK_EINVAL;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
        return xk__sys_err(errno);
    d = hyp_domain_new(h, m->u.name, sv[0]);
    if (!d) {
        close(sv[0]);
        close(sv[1]);
        return XK_ENOMEM;
    }
    d->joined = 1;
    d->lasting = m->arg[1] == 1;
    r = hyp_domain_enter(h, d);
    if (r == 0)
        r = xk__poll_add(&h->poll, sv[0], XK_READABLE, d);
    if (r == 0)
        r = spawn(d, fd, sv[1], (unsigned)m->arg[0]);
    close(sv[1]);
    if (r < 0) {
        if (d->domid && h->domains[d->domid] == d)
            hyp_domain_remove(d);
        else {
            close(sv[0]);
            hyp_domain_free(d);
        }
        return r;
    }
    hyp_virq_raise(hyp_find(h, 0), XK_VIRQ_TOOLSTACK);
    return d->domid;
}

/* Another process for a domain whose last one has ended. */
int hyp_domain_renew(struct hyp_domain *d, int program, int memory_mib)
{
    int sv[2], r;

    if (program < 0 || memory_mib < 0 || !d->lasting)
        return XK_EINVAL;
    if (d->pid > 0 || d->state != XK_DOMAIN_SHUTDOWN)
        return XK_EBUSY;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
        return xk__sys_err(errno);
    hyp_evt_fini(d);
    hyp_arena_renew(d);
    drop_handles(d);
    if (d->pidfd >= 0)
        close(d->pidfd);
    d->pidfd = -1;
    d->control = sv[0];
    d->waiting_op = 0;
    d->wiring[1] = d->wiring[3] = -1;
    bound_answers(d->control);
    r = xk__poll_add(&d->hyp->poll, sv[0], XK_READABLE, d);
    if (r == 0) {
        d->state = XK_DOMAIN_BUILDING;
        d->reason = XK_POWEROFF;
        d->exit_code = 0;
        r = spawn(d, program, sv[1], (unsigned)memory_mib);
    }
    close(sv[1]);
    if (r < 0) {
        close_control(d);
        d->state = XK_DOMAIN_SHUTDOWN;
    }
    return r;
}

static int pause_process(struct hyp_domain *d, int stop)
{
    int r;

    if (d->pid <= 0)
        return d->state == XK_DOMAIN_SHUTDOWN ? XK_EINVAL : XK_ENOSYS; /* a guest that joined is its own master */
    r = signal_process(d, stop ? SIGSTOP : SIGCONT);
    if (r < 0)
        return r;
    if (d->state == XK_DOMAIN_RUNNING || d->state == XK_DOMAIN_PAUSED)
        d->state = stop ? XK_DOMAIN_PAUSED : XK_DOMAIN_RUNNING;
    return 0;
}

static int say_shutdown(struct hyp_domain *d, int reason)
{
    if (reason < XK_POWEROFF || reason > XK_CRASH)
        return XK_EINVAL;
    if (d->state == XK_DOMAIN_SHUTDOWN) /* last words are said once; repeating them would keep domain 0 busy */
        return d->reason == reason ? 0 : XK_EINVAL;
    d->reason = (uint8_t)reason;
    d->state = XK_DOMAIN_SHUTDOWN;
    tell_end(d->hyp);
    return 0;
}

int hyp_domctl(struct hyp_domain *caller, struct xk__ctl *m)
{
    struct hyp_domain *d = hyp_find(caller->hyp, m->arg[0]);
    int verb = m->arg[1];

    if (caller->domid != 0 && !(d == caller && verb == XK_DOMCTL_SHUTDOWN))
        return XK_EPERM;
    if (!d)
        return XK_ENOENT;
    if (d->domid == 0 && verb != XK_DOMCTL_SET_VIRQ_HANDLER && verb != XK_DOMCTL_SHUTDOWN)
        return XK_EINVAL;
    switch (verb) {
    case XK_DOMCTL_PAUSE:
    case XK_DOMCTL_UNPAUSE:
        return pause_process(d, verb == XK_DOMCTL_PAUSE);
    case XK_DOMCTL_DESTROY:
        hyp_domain_remove(d);
        return 0;
    case XK_DOMCTL_SHUTDOWN:
        return say_shutdown(d, m->arg[2]);
    case XK_DOMCTL_SET_VIRQ_HANDLER:
        if (m->arg[2] != XK_VIRQ_DOM_EXC)
            return XK_EINVAL;
        caller->hyp->dom_exc_handler = d->domid;
        return 0;
    default:
        return XK_ENOSYS;
    }
}

/* Processor time and resident memory of a process, from /proc; zero where it cannot be read. */
static void measure(int pid, struct xk_domain_info *out)
{
    char path[48], text[512];
    unsigned long long user = 0, system = 0, resident = 0;
    int fd, n;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? 0 : (int)read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        close(fd);
    if (n > 0) {
        char *at;
        text[n] = '\0';
        at = strrchr(text, ')'); /* the name may hold anything, also blanks */
        if (at)
            sscanf(at + 1,
                   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %*u %*u %llu", &user,
                   &system, &resident);
    }
    out->cpu_ns = (user + system) * (1000000000ull / (unsigned long long)sysconf(_SC_CLK_TCK));
    out->mem_bytes = resident * (unsigned long long)sysconf(_SC_PAGESIZE);
}

void hyp_domain_info(struct hyp_domain *d, struct xk_domain_info *out)
{
    memset(out, 0, sizeof(*out));
    out->domid = d->domid;
    out->state = d->state;
    out->reason = d->reason;
    out->exit_code = d->exit_code;
    out->pid = d->pid;
    out->ports = d->ports_used;
    XK_LIST_EACH(l, &d->arenas)
    out->peers++;
    snprintf(out->name, sizeof(out->name), "%s", d->name);
    if (d->pid > 0)
        measure(d->pid, out);
    else if (d->domid == 0)
        measure(getpid(), out);
}
