/* The sandbox: a list of the system calls that a domain program needs once it runs, and what happens to all others.
 *
 * The base allows no way to get a descriptor but to be given one (recvmsg) or to accept a connection on one that was
 * given. sendmsg is not in it: descriptors cannot be passed on. mmap and mprotect may not make anything executable.
 * Arguments are looked at where a call could do more than its name says: see fill.
 * libseccomp writes the filter; the domain program, which has no libseccomp, installs it. SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sys/ioctl.h>

#include <xen/xen.h>

#include <xen/sys/evtchn.h>
#include <xen/sys/gntalloc.h>
#include <xen/sys/gntdev.h>
#include <xen/sys/privcmd.h>

#include <xenkit/host.h>

#include "platform/linux/sys.h"

static const int base[] = {
    SCMP_SYS(read),          SCMP_SYS(write),          SCMP_SYS(readv),
    SCMP_SYS(writev),        SCMP_SYS(close),          SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),       SCMP_SYS(getpeername),    SCMP_SYS(getsockname),
    SCMP_SYS(poll),          SCMP_SYS(epoll_wait),     SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),  SCMP_SYS(epoll_ctl),      SCMP_SYS(munmap),
    SCMP_SYS(mremap),        SCMP_SYS(madvise),        SCMP_SYS(brk),
    SCMP_SYS(futex),         SCMP_SYS(clock_gettime),  SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),     SCMP_SYS(gettimeofday),   SCMP_SYS(time),
    SCMP_SYS(getrandom),     SCMP_SYS(exit),           SCMP_SYS(exit_group),
    SCMP_SYS(rt_sigreturn),  SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction),
    SCMP_SYS(sigaltstack),   SCMP_SYS(getpid),         SCMP_SYS(gettid),
    SCMP_SYS(getuid),        SCMP_SYS(geteuid),        SCMP_SYS(getgid),
    SCMP_SYS(getegid),       SCMP_SYS(sched_yield),    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(fstat),         SCMP_SYS(lseek),          SCMP_SYS(restart_syscall),
    SCMP_SYS(uname),         SCMP_SYS(sysinfo),        SCMP_SYS(timer_create),
    SCMP_SYS(timer_settime), SCMP_SYS(timer_delete),   SCMP_SYS(set_robust_list),
};
static const int accept_calls[] = {SCMP_SYS(accept4)};
static const int datagram_calls[] = {SCMP_SYS(recvmmsg)}; /* and sendmmsg: fill_sockets */
static const int file_calls[] = {SCMP_SYS(pread64),   SCMP_SYS(pwrite64), SCMP_SYS(preadv),
                                 SCMP_SYS(preadv2),   SCMP_SYS(pwritev),  SCMP_SYS(fsync),
                                 SCMP_SYS(fdatasync), SCMP_SYS(fstatfs),  SCMP_SYS(ftruncate)};
/* Calls that libraries try and do without: they find nothing. newfstatat among them, although glibc's fstat is made of
 * it: with AT_EMPTY_PATH it takes a path all the same, so that allowing it would tell of every file. The floors below
 * say SYS_fstat (xk__sys_fstat). */
static const int absent[] = {SCMP_SYS(open),   SCMP_SYS(openat), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
                             SCMP_SYS(access), SCMP_SYS(stat),   SCMP_SYS(lstat),    SCMP_SYS(newfstatat)};

static int allow(scmp_filter_ctx ctx, const int *calls, size_t n)
{
    int r = 0;

    for (size_t i = 0; i < n && r == 0; i++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
    return r;
}

#define ALLOW(ctx, list) allow(ctx, list, sizeof(list) / sizeof(*(list)))

/* What a socket may be asked: its type, whether it listens, its error. Not SO_PEERPIDFD, which makes a descriptor. */
static int fill_getsockopt(scmp_filter_ctx ctx)
{
    static const int options[] = {SO_TYPE, SO_ACCEPTCONN, SO_ERROR};
    int r = 0;

    for (size_t i = 0; i < sizeof(options) / sizeof(*options) && r == 0; i++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(getsockopt), 2, SCMP_A1(SCMP_CMP_EQ, SOL_SOCKET),
                             SCMP_A2(SCMP_CMP_EQ, (scmp_datum_t)options[i]));
    return r;
}

/* A TCP listener that is shut down for reading is a plain socket again, and MSG_FASTOPEN would connect that to
 * anywhere; so neither is allowed, nor an address with sendto. */
static int fill_sockets(scmp_filter_ctx ctx, unsigned flags)
{
    int r = fill_getsockopt(ctx);

    if (r == 0)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(shutdown), 1, SCMP_A1(SCMP_CMP_EQ, SHUT_WR));
    if (r == 0) /* Linux runs the filter only for calls whose arguments count, and of these this is the frequent one */
        r = seccomp_syscall_priority(ctx, SCMP_SYS(sendto), UINT8_MAX);
    if (r == 0)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(sendto), 2, SCMP_A3(SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, 0),
                             SCMP_A4(SCMP_CMP_EQ, 0));
    if (r == 0 && flags & XK_SANDBOX_DATAGRAM)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(sendmmsg), 1, SCMP_A3(SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, 0));
    /* TCP_NODELAY alone. */
    if (r == 0)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(setsockopt), 2, SCMP_A1(SCMP_CMP_EQ, IPPROTO_TCP),
                             SCMP_A2(SCMP_CMP_EQ, TCP_NODELAY));
    return r;
}

/* What libxenevtchn and libxengnttab ask of their devices. Not privcmd's hypercalls, which in dom0 could do anything.
 */
static int fill_xen(scmp_filter_ctx ctx)
{
    static const unsigned long asked[] = {
        IOCTL_EVTCHN_BIND_VIRQ,
        IOCTL_EVTCHN_BIND_INTERDOMAIN,
        IOCTL_EVTCHN_BIND_UNBOUND_PORT,
        IOCTL_EVTCHN_UNBIND,
        IOCTL_EVTCHN_NOTIFY,
        IOCTL_GNTDEV_MAP_GRANT_REF,
        IOCTL_GNTDEV_UNMAP_GRANT_REF,
        IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR,
        IOCTL_GNTDEV_GRANT_COPY,
        IOCTL_GNTALLOC_ALLOC_GREF,
        IOCTL_GNTALLOC_DEALLOC_GREF,
    };
    int r = 0;

    for (size_t i = 0; i < sizeof(asked) / sizeof(*asked) && r == 0; i++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, asked[i]));
    return r;
}

/* What libxencall asks: the call, and memory for its arguments that Linux keeps in place. */
static int fill_hypercall(scmp_filter_ctx ctx)
{
    static const int calls[] = {SCMP_SYS(mlock), SCMP_SYS(munlock)};
    int r = ALLOW(ctx, calls);

    return r ? r
             : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, IOCTL_PRIVCMD_HYPERCALL));
}

/* Of fallocate holes alone. */
static int fill_file(scmp_filter_ctx ctx)
{
    int r = ALLOW(ctx, file_calls);

    return r ? r
             : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fallocate), 1,
                                SCMP_A1(SCMP_CMP_EQ, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE));
}

/* Requests, and a look at their results. There is no way to make a ring, or to change what one may do. */
static int fill_aio(scmp_filter_ctx ctx)
{
    return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(io_uring_enter), 1,
                            SCMP_A3(SCMP_CMP_MASKED_EQ, ~(scmp_datum_t)IORING_ENTER_GETEVENTS, 0));
}

static int fill(scmp_filter_ctx ctx, unsigned flags)
{
    int r = ALLOW(ctx, base);

    for (size_t i = 0; i < sizeof(absent) / sizeof(*absent) && r == 0; i++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOENT), absent[i], 0);
    if (r == 0)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (r == 0)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (r == 0)
        r = fill_sockets(ctx, flags);
    if (r == 0 && flags & XK_SANDBOX_ACCEPT)
        r = ALLOW(ctx, accept_calls);
    if (r == 0 && flags & XK_SANDBOX_DATAGRAM)
        r = ALLOW(ctx, datagram_calls);
    if (r == 0 && flags & XK_SANDBOX_FILE)
        r = fill_file(ctx);
    if (r == 0 && flags & XK_SANDBOX_AIO)
        r = fill_aio(ctx);
    if (r == 0 && flags & XK_SANDBOX_XEN)
        r = fill_xen(ctx);
    if (r == 0 && flags & XK_SANDBOX_HYPERCALL)
        r = fill_hypercall(ctx);
    return r;
}

int xk_host_sandbox(unsigned flags)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int fd, r;

    if (!ctx)
        return XK_ENOMEM;
    fd = memfd_create("xenkit-sandbox", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    r = fd < 0 ? -errno : fill(ctx, flags);
    if (r == 0)
        r = seccomp_export_bpf(ctx, fd);
    seccomp_release(ctx);
    if (r < 0) {
        if (fd >= 0)
            close(fd);
        return xk__sys_err(-r);
    }
    lseek(fd, 0, SEEK_SET);
    return fd;
}
