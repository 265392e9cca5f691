/* The sandbox, proved by trying: each attempt is a process that installs the filter of xk_host_sandbox and then does
 * what code injected into a domain would do, by raw system calls. It must be refused (EPERM, ENOENT) or killed; and
 * what a domain program needs must still work. SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>

#include <xenkit/handle.h>
#include <xenkit/host.h>

#include "tests/c/tap.h"

#ifndef MSG_FASTOPEN
#define MSG_FASTOPEN 0x20000000
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

enum { ALL = XK_SANDBOX_ACCEPT | XK_SANDBOX_DATAGRAM | XK_SANDBOX_FILE };

/* What the domain was given, as the domain program would have it. */
static struct {
    int pair[2]; /* an event channel */
    int listener, udp, file, epoll;
    struct sockaddr_in victim; /* somebody else's listener */
    int victim_fd;
} given;

static unsigned char filter[32768];
static size_t filter_size;

static int tcp_listener(struct sockaddr_in *a)
{
    socklen_t len = sizeof(*a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    memset(a, 0, sizeof(*a));
    a->sin_family = AF_INET;
    a->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    OK(fd >= 0);
    EQ(bind(fd, (struct sockaddr *)a, sizeof(*a)), 0);
    EQ(listen(fd, 8), 0);
    EQ(getsockname(fd, (struct sockaddr *)a, &len), 0);
    return fd;
}

static void set_up(unsigned flags)
{
    struct epoll_event e = {.events = EPOLLIN};
    struct sockaddr_in a;
    ssize_t n;
    int fd;

    signal(SIGPIPE, SIG_IGN);
    EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, given.pair), 0);
    given.listener = tcp_listener(&a);
    given.victim_fd = tcp_listener(&given.victim);
    given.udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memset(&a, 0, sizeof(a));
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EQ(bind(given.udp, (struct sockaddr *)&a, sizeof(a)), 0);
    given.file = memfd_create("given", MFD_CLOEXEC);
    EQ(ftruncate(given.file, 8192), 0);
    given.epoll = epoll_create1(EPOLL_CLOEXEC);
    EQ(epoll_ctl(given.epoll, EPOLL_CTL_ADD, given.pair[0], &e), 0);
    fd = xk_host_sandbox(flags);
    OK(fd >= 0);
    n = read(fd, filter, sizeof(filter));
    OK(n > 0);
    filter_size = (size_t)n;
    close(fd);
}

struct attempt {
    const char *name;
    long nr;
    long arg[6];
};

#define P(x) ((long)(uintptr_t)(x))

/* A word of the child to the parent, without stdio. */
static void tell(const char *name, long r, int e)
{
    char text[160];
    int n = snprintf(text, sizeof(text), "# %s gave %ld, errno %d\n", name, r, e);

    (void)!write(2, text, (size_t)n);
}

/* Ends with 0 when the attempt was refused. */
static void try_sealed(const struct attempt *a)
{
    long r;

    if (xk_host_seal_in(filter, filter_size) < 0)
        _exit(9);
    errno = 0;
    r = syscall(a->nr, a->arg[0], a->arg[1], a->arg[2], a->arg[3], a->arg[4], a->arg[5]);
    if (r == -1 && (errno == EPERM || errno == ENOENT))
        _exit(0);
    tell(a->name, r, errno);
    _exit(1);
}

static int refused(const struct attempt *a)
{
    int st;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0)
        try_sealed(a);
    OK(pid > 0 && waitpid(pid, &st, 0) == pid);
    return (WIFEXITED(st) && WEXITSTATUS(st) == 0) || (WIFSIGNALED(st) && WTERMSIG(st) == SIGSYS);
}

static void all_refused(const struct attempt *list, size_t n)
{
    int bad = 0;

    for (size_t i = 0; i < n; i++)
        if (!refused(&list[i])) {
            fprintf(stderr, "# not refused: %s\n", list[i].name);
            bad++;
        }
    EQ(bad, 0);
}

#define ALL_REFUSED(list) all_refused(list, sizeof(list) / sizeof(*(list)))

TEST(no_file_is_opened)
{
    static const uint64_t how[3] = {O_RDONLY, 0, 0};
    static char handle[sizeof(struct file_handle) + 128];
    static struct stat st;

    set_up(ALL);
    struct attempt list[] = {
#ifdef SYS_open
        {"open", SYS_open, {P("/etc/passwd"), O_RDONLY}},
        {"open for writing", SYS_open, {P("/tmp/xenkit-test"), O_WRONLY | O_CREAT, 0600}},
        {"creat", SYS_creat, {P("/tmp/xenkit-test"), 0600}},
        {"access", SYS_access, {P("/etc/passwd"), 0}},
        {"stat", SYS_stat, {P("/etc/passwd"), P(&st)}},
        {"lstat", SYS_lstat, {P("/etc/passwd"), P(&st)}},
        {"readlink", SYS_readlink, {P("/proc/self/exe"), P(handle), 100}},
        {"link", SYS_link, {P("/etc/passwd"), P("/tmp/xenkit-test")}},
        {"symlink", SYS_symlink, {P("/etc/passwd"), P("/tmp/xenkit-test")}},
        {"unlink", SYS_unlink, {P("/tmp/xenkit-test")}},
        {"rename", SYS_rename, {P("/tmp/xenkit-a"), P("/tmp/xenkit-b")}},
        {"mkdir", SYS_mkdir, {P("/tmp/xenkit-test"), 0700}},
        {"rmdir", SYS_rmdir, {P("/tmp/xenkit-test")}},
        {"mknod", SYS_mknod, {P("/tmp/xenkit-test"), S_IFIFO | 0600, 0}},
        {"chmod", SYS_chmod, {P("/etc/passwd"), 0644}},
        {"chown", SYS_chown, {P("/etc/passwd"), 0, 0}},
        {"getdents", SYS_getdents, {given.file, P(handle), 100}},
        {"inotify_init", SYS_inotify_init, {0}},
#endif
        {"openat", SYS_openat, {AT_FDCWD, P("/etc/passwd"), O_RDONLY}},
        {"openat of the root", SYS_openat, {AT_FDCWD, P("/"), O_PATH}},
        {"openat of a tmpfile", SYS_openat, {AT_FDCWD, P("/tmp"), O_TMPFILE | O_RDWR, 0600}},
        {"openat beside a given descriptor", SYS_openat, {given.file, P(""), O_RDWR}},
        {"openat of /proc", SYS_openat, {AT_FDCWD, P("/proc/self/mem"), O_RDWR}},
        {"openat2", SYS_openat2, {AT_FDCWD, P("/etc/passwd"), P(how), sizeof(how)}},
        {"faccessat", SYS_faccessat, {AT_FDCWD, P("/etc/passwd"), 0}},
        {"faccessat2", 439, {AT_FDCWD, P("/etc/passwd"), 0, 0}},
        {"readlinkat", SYS_readlinkat, {AT_FDCWD, P("/proc/self/exe"), P(handle), 100}},
        {"statx", SYS_statx, {AT_FDCWD, P("/etc/passwd"), 0, 0x7ff, P(handle)}},
#ifdef SYS_newfstatat
        {"newfstatat", SYS_newfstatat, {AT_FDCWD, P("/etc/passwd"), P(&st), 0}},
        {"newfstatat with a path and AT_EMPTY_PATH", SYS_newfstatat, {0, P("/etc/passwd"), P(&st), AT_EMPTY_PATH}},
#endif
        {"statfs", SYS_statfs, {P("/"), P(handle)}},
        {"linkat", SYS_linkat, {given.file, P(""), AT_FDCWD, P("/tmp/xenkit-test"), AT_EMPTY_PATH}},
        {"symlinkat", SYS_symlinkat, {P("/etc"), AT_FDCWD, P("/tmp/xenkit-test")}},
        {"unlinkat", SYS_unlinkat, {AT_FDCWD, P("/tmp/xenkit-test"), 0}},
        {"renameat2", SYS_renameat2, {AT_FDCWD, P("/tmp/xenkit-a"), AT_FDCWD, P("/tmp/xenkit-b"), 0}},
        {"mkdirat", SYS_mkdirat, {AT_FDCWD, P("/tmp/xenkit-test"), 0700}},
        {"mknodat", SYS_mknodat, {AT_FDCWD, P("/tmp/xenkit-test"), S_IFIFO | 0600, 0}},
        {"fchmod", SYS_fchmod, {given.file, 0777}},
        {"fchmodat", SYS_fchmodat, {AT_FDCWD, P("/etc/passwd"), 0644}},
        {"fchownat", SYS_fchownat, {AT_FDCWD, P("/etc/passwd"), 0, 0, 0}},
        {"truncate", SYS_truncate, {P("/tmp/xenkit-test"), 0}},
        {"chdir", SYS_chdir, {P("/")}},
        {"fchdir", SYS_fchdir, {given.file}},
        {"chroot", SYS_chroot, {P("/")}},
        {"getcwd", SYS_getcwd, {P(handle), 100}},
        {"getdents64", SYS_getdents64, {given.file, P(handle), 100}},
        {"name_to_handle_at", SYS_name_to_handle_at, {AT_FDCWD, P("/etc/passwd"), P(handle), P(&st), 0}},
        {"open_by_handle_at", SYS_open_by_handle_at, {AT_FDCWD, P(handle), O_RDONLY}},
        {"mount", SYS_mount, {P("none"), P("/mnt"), P("tmpfs"), 0, 0}},
        {"umount2", SYS_umount2, {P("/mnt"), 0}},
        {"pivot_root", SYS_pivot_root, {P("/"), P("/")}},
        {"open_tree", 428, {AT_FDCWD, P("/"), 0}},
        {"move_mount", 429, {AT_FDCWD, P("/"), AT_FDCWD, P("/mnt"), 0}},
        {"fsopen", 430, {P("tmpfs"), 0}},
        {"fspick", 433, {AT_FDCWD, P("/"), 0}},
        {"fsmount", 432, {0, 0, 0}},
        {"fanotify_init", SYS_fanotify_init, {0, 0}},
        {"inotify_init1", SYS_inotify_init1, {0}},
        {"inotify_add_watch", SYS_inotify_add_watch, {given.file, P("/etc"), 1}},
        {"mq_open", SYS_mq_open, {P("xenkit"), O_CREAT | O_RDWR, 0600, 0}},
        {"quotactl", SYS_quotactl, {0, 0, 0, 0}},
        {"setxattr", SYS_setxattr, {P("/etc/passwd"), P("user.x"), P("x"), 1, 0}},
        {"getxattr", SYS_getxattr, {P("/etc/passwd"), P("user.x"), P(handle), 1}},
        {"utimensat", SYS_utimensat, {AT_FDCWD, P("/etc/passwd"), 0, 0}},
        {"swapon", SYS_swapon, {P("/etc/passwd"), 0}},
        {"acct", SYS_acct, {0}},
    };
    ALL_REFUSED(list);
}

TEST(no_socket_and_no_other_descriptor_is_made)
{
    static struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/tmp/xenkit-test"};
    static char room[512];
    static int two[2];

    set_up(ALL);
    struct attempt list[] = {
        {"socket", SYS_socket, {AF_INET, SOCK_STREAM, 0}},
        {"socket unix", SYS_socket, {AF_UNIX, SOCK_STREAM, 0}},
        {"socket netlink", SYS_socket, {AF_NETLINK, SOCK_RAW, 0}},
        {"socket vsock", SYS_socket, {AF_VSOCK, SOCK_STREAM, 0}},
        {"socketpair", SYS_socketpair, {AF_UNIX, SOCK_STREAM, 0, P(two)}},
        {"connect", SYS_connect, {given.udp, P(&given.victim), sizeof(given.victim)}},
        {"connect by path", SYS_connect, {given.pair[0], P(&un), sizeof(un)}},
        {"bind", SYS_bind, {given.udp, P(&given.victim), sizeof(given.victim)}},
        {"listen", SYS_listen, {given.listener, 5}},
        {"accept without flags", SYS_accept, {given.listener, 0, 0}},
        {"sendmsg", SYS_sendmsg, {given.pair[0], P(room), 0}},
        {"sendto an address", SYS_sendto, {given.udp, P("x"), 1, 0, P(&given.victim), sizeof(given.victim)}},
        {"sendto to open a connection",
         SYS_sendto,
         {given.listener, P("x"), 1, MSG_FASTOPEN, P(&given.victim), sizeof(given.victim)}},
        {"sendto to open, no address", SYS_sendto, {given.listener, P("x"), 1, MSG_FASTOPEN, 0, 0}},
        {"sendmmsg to open a connection", SYS_sendmmsg, {given.listener, P(room), 1, MSG_FASTOPEN}},
        {"shutdown of a listener", SYS_shutdown, {given.listener, SHUT_RD}},
        {"shutdown of a listener, both ways", SYS_shutdown, {given.listener, SHUT_RDWR}},
        {"setsockopt SO_REUSEPORT", SYS_setsockopt, {given.udp, SOL_SOCKET, SO_REUSEPORT, P(two), 4}},
        {"setsockopt SO_ATTACH_FILTER", SYS_setsockopt, {given.udp, SOL_SOCKET, SO_ATTACH_FILTER, P(room), 16}},
        {"setsockopt TCP_FASTOPEN_CONNECT", SYS_setsockopt, {given.listener, IPPROTO_TCP, 30, P(two), 4}},
        {"setsockopt TCP_REPAIR", SYS_setsockopt, {given.listener, IPPROTO_TCP, TCP_REPAIR, P(two), 4}},
        {"getsockopt SO_PEERPIDFD", SYS_getsockopt, {given.pair[0], SOL_SOCKET, SO_PEERPIDFD, P(two), P(room)}},
        {"io_uring_setup", SYS_io_uring_setup, {4, P(room)}},
        {"io_uring_enter", SYS_io_uring_enter, {given.file, 1, 0, 0, 0, 0}},
        {"io_uring_register", SYS_io_uring_register, {given.file, 0, 0, 0}},
        {"io_setup", SYS_io_setup, {1, P(room)}},
        {"memfd_create", SYS_memfd_create, {P("x"), 0}},
        {"memfd_secret", 447, {0}},
        {"dup", SYS_dup, {given.file}},
#ifdef SYS_dup2
        {"dup2", SYS_dup2, {given.file, 1}},
        {"pipe", SYS_pipe, {P(two)}},
        {"eventfd", SYS_eventfd, {0}},
        {"signalfd", SYS_signalfd, {-1, P(room), 8}},
        {"epoll_create", SYS_epoll_create, {1}},
#endif
        {"dup3", SYS_dup3, {given.file, 1, 0}},
        {"pipe2", SYS_pipe2, {P(two), 0}},
        {"eventfd2", SYS_eventfd2, {0, 0}},
        {"timerfd_create", SYS_timerfd_create, {1, 0}},
        {"signalfd4", SYS_signalfd4, {-1, P(room), 8, 0}},
        {"epoll_create1", SYS_epoll_create1, {0}},
        {"fcntl F_DUPFD", SYS_fcntl, {given.file, F_DUPFD, 10}},
        {"fcntl F_SETFL", SYS_fcntl, {given.pair[0], F_SETFL, O_NONBLOCK | O_ASYNC}},
        {"fcntl F_SETOWN", SYS_fcntl, {given.pair[0], F_SETOWN, 1}},
        {"fcntl F_ADD_SEALS", SYS_fcntl, {given.file, F_ADD_SEALS, F_SEAL_WRITE}},
        {"fcntl F_SETLK", SYS_fcntl, {given.file, F_SETLK, P(room)}},
        {"flock", SYS_flock, {given.file, 2}},
        {"ioctl", SYS_ioctl, {given.pair[0], 0x541b, P(two)}},
        {"ioctl TIOCSTI", SYS_ioctl, {0, 0x5412, P("x")}},
        {"fallocate", SYS_fallocate, {given.file, 0, 0, 4096}},
        {"sendfile", SYS_sendfile, {given.pair[0], given.file, 0, 10}},
        {"splice", SYS_splice, {given.file, 0, given.pair[0], 0, 10, 0}},
        {"tee", SYS_tee, {given.pair[0], given.pair[1], 10, 0}},
        {"vmsplice", SYS_vmsplice, {given.pair[0], P(room), 0, 0}},
        {"copy_file_range", SYS_copy_file_range, {given.file, 0, given.file, 0, 1, 0}},
        {"shmget", SYS_shmget, {0, 4096, 01600}},
        {"shmat", SYS_shmat, {0, 0, 0}},
        {"semget", SYS_semget, {0, 1, 01600}},
        {"msgget", SYS_msgget, {0, 01600}},
        {"userfaultfd", SYS_userfaultfd, {0}},
        {"perf_event_open", SYS_perf_event_open, {P(room), 0, -1, -1, 0}},
        {"bpf", SYS_bpf, {0, P(room), 64}},
        {"pidfd_open", SYS_pidfd_open, {getpid(), 0}},
        {"pidfd_getfd", SYS_pidfd_getfd, {given.file, 1, 0}},
        {"landlock_create_ruleset", 444, {P(room), 8, 0}},
    };
    ALL_REFUSED(list);
}

TEST(no_process_and_no_privilege)
{
    static char room[512];
    static struct iovec iov = {room, 8};
    static char *const argv[] = {(char *)(uintptr_t) "sh", NULL};
    long parent = getpid();
    void *page;

    set_up(ALL);
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    OK(page != MAP_FAILED);
    struct attempt list[] = {
        {"execve", SYS_execve, {P("/bin/sh"), P(argv), 0}},
        {"execveat", SYS_execveat, {given.file, P(""), P(argv), 0, AT_EMPTY_PATH}},
#ifdef SYS_fork
        {"fork", SYS_fork, {0}},
        {"vfork", SYS_vfork, {0}},
        {"arch_prctl", SYS_arch_prctl, {0x1001, P(room)}},
        {"modify_ldt", SYS_modify_ldt, {0, P(room), 16}},
        {"iopl", SYS_iopl, {3}},
        {"ioperm", SYS_ioperm, {0x80, 1, 1}},
        {"alarm", SYS_alarm, {1}},
#endif
        {"clone", SYS_clone, {SIGCHLD, 0, 0, 0, 0}},
        {"clone a thread", SYS_clone, {0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000, P(room + 256), 0, 0, 0}},
        {"clone3", SYS_clone3, {P(room), 64}},
        {"unshare", SYS_unshare, {0x10000000}},
        {"setns", SYS_setns, {given.file, 0}},
        {"ptrace", SYS_ptrace, {16, parent, 0, 0}},
        {"process_vm_readv", SYS_process_vm_readv, {parent, P(&iov), 1, P(&iov), 1, 0}},
        {"process_vm_writev", SYS_process_vm_writev, {parent, P(&iov), 1, P(&iov), 1, 0}},
        {"process_madvise", SYS_process_madvise, {given.file, P(&iov), 1, 4, 0}},
        {"kcmp", SYS_kcmp, {parent, parent, 0, 0, 0}},
        {"kill", SYS_kill, {parent, 0}},
        {"kill all", SYS_kill, {-1, 0}},
        {"tkill", SYS_tkill, {parent, 0}},
        {"tgkill", SYS_tgkill, {parent, parent, 0}},
        {"rt_sigqueueinfo", SYS_rt_sigqueueinfo, {parent, 0, P(room)}},
        {"rt_tgsigqueueinfo", SYS_rt_tgsigqueueinfo, {parent, parent, 0, P(room)}},
        {"pidfd_send_signal", SYS_pidfd_send_signal, {given.file, 0, 0, 0}},
        {"prctl PR_SET_DUMPABLE", SYS_prctl, {4, 1, 0, 0, 0}},
        {"prctl PR_SET_PDEATHSIG", SYS_prctl, {1, 0, 0, 0, 0}},
        {"prctl PR_SET_MM", SYS_prctl, {35, 1, 0, 0, 0}},
        {"prctl PR_SET_PTRACER", SYS_prctl, {0x59616d61, -1, 0, 0, 0}},
        {"seccomp", SYS_seccomp, {1, 0, P(room)}},
        {"seccomp with a listener", SYS_seccomp, {1, 8, P(room)}},
        {"personality", SYS_personality, {0x400000}},
        {"mmap executable", SYS_mmap, {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}},
        {"mmap a given file executable", SYS_mmap, {0, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, given.file, 0}},
        {"mprotect executable", SYS_mprotect, {P(page), 4096, PROT_READ | PROT_EXEC}},
        {"mprotect all three", SYS_mprotect, {P(page), 4096, PROT_READ | PROT_WRITE | PROT_EXEC}},
        {"pkey_mprotect", SYS_pkey_mprotect, {P(page), 4096, PROT_READ | PROT_EXEC, -1}},
        {"pkey_alloc", SYS_pkey_alloc, {0, 0}},
        {"remap_file_pages", SYS_remap_file_pages, {P(page), 4096, 0, 0, 0}},
        {"map_shadow_stack", 453, {0, 4096, 0}},
        {"mlockall", SYS_mlockall, {3}},
        {"keyctl", SYS_keyctl, {0, -3, 1}},
        {"add_key", SYS_add_key, {P("user"), P("x"), P("x"), 1, -3}},
        {"request_key", SYS_request_key, {P("user"), P("x"), 0, -3}},
        {"setuid", SYS_setuid, {0}},
        {"setgid", SYS_setgid, {0}},
        {"setresuid", SYS_setresuid, {0, 0, 0}},
        {"setgroups", SYS_setgroups, {0, 0}},
        {"setfsuid", SYS_setfsuid, {0}},
        {"capset", SYS_capset, {P(room), P(room)}},
        {"setpgid", SYS_setpgid, {0, 0}},
        {"setsid", SYS_setsid, {0}},
        {"setrlimit", SYS_setrlimit, {7, P(room)}},
        {"prlimit64 of another", SYS_prlimit64, {parent, 7, 0, P(room)}},
        {"prlimit64", SYS_prlimit64, {0, 7, P(room), 0}},
        {"setpriority", SYS_setpriority, {0, 0, 1}},
        {"sched_setscheduler", SYS_sched_setscheduler, {0, 0, P(room)}},
        {"sched_setaffinity", SYS_sched_setaffinity, {0, 8, P(room)}},
        {"ioprio_set", SYS_ioprio_set, {1, 0, 0}},
        {"mbind", SYS_mbind, {P(page), 4096, 0, 0, 0, 0}},
        {"move_pages", SYS_move_pages, {parent, 0, 0, 0, 0, 0}},
        {"setitimer", SYS_setitimer, {0, P(room), 0}},
        {"clock_settime", SYS_clock_settime, {0, P(room)}},
        {"settimeofday", SYS_settimeofday, {P(room), 0}},
        {"adjtimex", SYS_adjtimex, {P(room)}},
        {"sethostname", SYS_sethostname, {P("x"), 1}},
        {"setdomainname", SYS_setdomainname, {P("x"), 1}},
        {"reboot", SYS_reboot, {0, 0, 0, 0}},
        {"syslog", SYS_syslog, {3, P(room), 100}},
        {"init_module", SYS_init_module, {P(room), 8, P("")}},
        {"finit_module", SYS_finit_module, {given.file, P(""), 0}},
        {"kexec_load", SYS_kexec_load, {0, 0, 0, 0}},
        {"vhangup", SYS_vhangup, {0}},
        {"umask", SYS_umask, {0}},
        {"wait4", SYS_wait4, {-1, 0, 1, 0}},
        {"a call that does not exist yet", 4000, {0}},
    };
    ALL_REFUSED(list);
}

TEST(flags_add_only_what_they_name)
{
    static char room[512];

    set_up(0);
    struct attempt list[] = {
        {"accept4", SYS_accept4, {given.listener, 0, 0, 0}},
        {"sendmmsg", SYS_sendmmsg, {given.udp, P(room), 1, 0}},
        {"recvmmsg", SYS_recvmmsg, {given.udp, P(room), 1, MSG_DONTWAIT, 0}},
        {"pread64", SYS_pread64, {given.file, P(room), 1, 0}},
        {"pwrite64", SYS_pwrite64, {given.file, P(room), 1, 0}},
        {"fsync", SYS_fsync, {given.file}},
        {"fdatasync", SYS_fdatasync, {given.file}},
        {"ftruncate", SYS_ftruncate, {given.file, 0}},
        {"preadv", SYS_preadv, {given.file, P(room), 1, 0}},
        {"preadv2", SYS_preadv2, {given.file, P(room), 1, 0, 0, 0}},
        {"pwritev", SYS_pwritev, {given.file, P(room), 1, 0}},
        {"fstatfs", SYS_fstatfs, {given.file, P(room)}},
        {"fallocate", SYS_fallocate, {given.file, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 4096}},
    };
    ALL_REFUSED(list);
}

/* A ring that was made before is asked; none is made or changed. */
TEST(a_ring_for_files_is_asked_and_not_changed)
{
    static char room[512];

    set_up(ALL | XK_SANDBOX_AIO);
    struct attempt list[] = {
        {"io_uring_setup", SYS_io_uring_setup, {4, P(room)}},
        {"io_uring_register", SYS_io_uring_register, {given.file, 0, 0, 0}},
        {"io_uring_enter to wake a thread", SYS_io_uring_enter, {given.file, 1, 0, 2, 0, 0}},
        {"io_uring_enter with an argument", SYS_io_uring_enter, {given.file, 1, 0, 8, P(room), 24}},
        {"io_uring_enter by a registered ring", SYS_io_uring_enter, {0, 1, 0, 16, 0, 0}},
    };
    struct attempt plain = {"io_uring_enter", SYS_io_uring_enter, {given.file, 0, 0, 1, 0, 0}};
    ALL_REFUSED(list);
    fprintf(stderr, "# that one reaches Linux:\n");
    OK(!refused(&plain));
}

#ifdef __x86_64__
/* The same kernel has two more tables of system calls: i386's, by int 0x80, and x32's, by a bit in the number. */
static long by_int80(long nr, long a, long b, long c)
{
    long r;

    __asm__ volatile("int $0x80" : "=a"(r) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
    return r;
}

static void sealed_other_abi(int which)
{
    /* Below 4 GiB, as i386 addresses are. */
    char *path = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    long r = 0;

    if (path == MAP_FAILED || xk_host_seal_in(filter, filter_size) < 0)
        _exit(9);
    strcpy(path, "/etc/passwd");
    switch (which) {
    case 0:
        r = by_int80(5, P(path), O_RDONLY, 0); /* i386 open */
        break;
    case 1:
        r = by_int80(359, AF_INET, SOCK_STREAM, 0); /* i386 socket */
        break;
    case 2:
        r = by_int80(3, given.file, P(path), 1); /* i386 read, which is x86-64's close */
        break;
    case 3:
        r = syscall(0x40000000 + SYS_open, path, O_RDONLY);
        break;
    case 4:
        r = syscall(0x40000000 + 520, path, 0, 0); /* x32 execve */
        break;
    case 5:
        r = syscall(0x40000000 + SYS_getpid);
        break;
    }
    tell("another ABI", r, errno);
    _exit(r >= 0);
}

static int status_of(void (*child)(int which), int which)
{
    int st;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL); /* a sanitizer's handler would end with a status of its own */
        child(which);
    }
    OK(waitpid(pid, &st, 0) == pid);
    return st;
}

static void unsealed_int80(int which)
{
    (void)which;
    _exit(by_int80(20, 0, 0, 0) != getpid()); /* i386 getpid */
}

/* A kernel without the i386 ABI gives int 0x80 a general protection fault, before any filter is asked. */
TEST(other_abis_are_closed)
{
    int st = status_of(unsealed_int80, 0), none = WIFSIGNALED(st) && WTERMSIG(st) == SIGSEGV;

    OK(none || (WIFEXITED(st) && WEXITSTATUS(st) == 0));
    if (none)
        printf("# this kernel has no int 0x80\n");
    set_up(ALL);
    for (int i = 0; i < 6; i++) {
        st = status_of(sealed_other_abi, i);
        OK(WIFSIGNALED(st) && WTERMSIG(st) == (none && i < 3 ? SIGSEGV : SIGSYS));
    }
}
#endif

/* A listener that is shut down is a plain TCP socket again, and sendto with MSG_FASTOPEN connects it. */
TEST(a_listener_does_not_become_a_client)
{
    int st;
    pid_t pid;

    set_up(ALL);
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        if (xk_host_seal_in(filter, filter_size) < 0)
            _exit(9);
        syscall(SYS_shutdown, given.listener, SHUT_RDWR);
        syscall(SYS_sendto, given.listener, "stolen", 6, MSG_FASTOPEN, &given.victim, sizeof(given.victim));
        _exit(0);
    }
    OK(waitpid(pid, &st, 0) == pid);
    OK(WIFEXITED(st) && WEXITSTATUS(st) == 0);
    usleep(20000);
    EQ(accept4(given.victim_fd, NULL, NULL, SOCK_NONBLOCK), -1);
    EQ(errno, EAGAIN);
    /* and it still listens, for its other owners */
    struct sockaddr_in a;
    socklen_t len = sizeof(a);
    int c = socket(AF_INET, SOCK_STREAM, 0);
    EQ(getsockname(given.listener, (struct sockaddr *)&a, &len), 0);
    EQ(connect(c, (struct sockaddr *)&a, len), 0);
}

#define NEED(cond)                  \
    do {                            \
        if (!(cond)) {              \
            tell(#cond, -1, errno); \
            _exit(1);               \
        }                           \
    } while (0)

static void need_base(void)
{
    struct iovec iov[2] = {{(void *)(uintptr_t) "ab", 2}, {(void *)(uintptr_t) "cd", 2}};
    struct timespec t, nap = {0, 1000000};
    struct epoll_event e;
    char buf[64];
    int word = 0;
    void *p;

    NEED(write(given.pair[1], "x", 1) == 1);
    NEED(epoll_wait(given.epoll, &e, 1, 1000) == 1);
    NEED(read(given.pair[0], buf, sizeof(buf)) == 1);
    NEED(send(given.pair[1], "yz", 2, MSG_DONTWAIT | MSG_NOSIGNAL) == 2);
    NEED(recv(given.pair[0], buf, sizeof(buf), MSG_DONTWAIT) == 2);
    NEED(writev(given.pair[1], iov, 2) == 4);
    NEED(xk_handle_read(given.pair[0], buf, sizeof(buf)) == 4);
    NEED(epoll_ctl(given.epoll, EPOLL_CTL_DEL, given.pair[0], NULL) == 0);
    NEED((p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED);
    memset(p, 1, 1 << 20);
    NEED(mprotect(p, 4096, PROT_READ) == 0);
    NEED(munmap(p, 1 << 20) == 0);
    NEED(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, given.file, 0) != MAP_FAILED);
    NEED((p = malloc(1 << 22)) != NULL);
    free(p);
    NEED(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    NEED(nanosleep(&nap, NULL) == 0);
    NEED(syscall(SYS_getrandom, buf, sizeof(buf), 1) == (long)sizeof(buf));
    NEED(syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) == 0);
    NEED(xk_handle_kind(given.file) == XK_HANDLE_FILE);
    NEED(xk_handle_kind(given.listener) == XK_HANDLE_LISTENER);
    NEED(xk_handle_kind(given.udp) == XK_HANDLE_DATAGRAM);
    NEED(xk_handle_kind(given.pair[0]) == XK_HANDLE_STREAM);
    NEED(xk_handle_shutdown_write(given.pair[1]) == 0);
    NEED(read(given.pair[0], buf, sizeof(buf)) == 0);
}

static void need_flags(void)
{
    struct sockaddr_in a;
    socklen_t len = sizeof(a);
    struct xk_datagram d;
    char buf[16] = "ping", name[64];
    int fd, on = 1;

    NEED((fd = xk_handle_accept(given.listener)) >= 0);
    NEED(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
    xk_handle_peer_name(fd, name, sizeof(name));
    NEED(strncmp(name, "127.0.0.1:", 10) == 0);
    NEED(xk_handle_write(fd, "hello", 5) == 5);
    xk_handle_close(fd);
    NEED(pwrite(given.file, "data", 4, 100) == 4);
    NEED(pread(given.file, buf + 8, 4, 100) == 4);
    NEED(memcmp(buf + 8, "data", 4) == 0);
    NEED(fdatasync(given.file) == 0);
    NEED(ftruncate(given.file, 8192) == 0);
    NEED(lseek(given.file, 0, SEEK_END) == 8192);
    NEED(getsockname(given.udp, (struct sockaddr *)&a, &len) == 0);
    memset(&d, 0, sizeof(d));
    d.data = (void *)buf;
    d.len = 4;
    memcpy(d.peer, &a, sizeof(a)); /* to ourselves */
    d.peer_len = sizeof(a);
    NEED(xk_handle_send_many(given.udp, &d, 1) == 1);
    memset(buf, 0, sizeof(buf));
    d.len = sizeof(buf);
    NEED(xk_handle_recv_many(given.udp, &d, 1) == 1);
    NEED(d.len == 4 && memcmp(buf, "ping", 4) == 0);
}

TEST(what_a_domain_needs_works)
{
    struct sockaddr_in a;
    socklen_t len = sizeof(a);
    char buf[8] = "";
    pid_t pid;
    int st, c;

    set_up(ALL);
    c = socket(AF_INET, SOCK_STREAM, 0);
    EQ(getsockname(given.listener, (struct sockaddr *)&a, &len), 0);
    EQ(connect(c, (struct sockaddr *)&a, len), 0);
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        if (xk_host_seal_in(filter, filter_size) < 0)
            _exit(9);
        need_base();
        need_flags();
        _exit(0);
    }
    OK(waitpid(pid, &st, 0) == pid);
    OK(WIFEXITED(st) && WEXITSTATUS(st) == 0);
    EQ(read(c, buf, sizeof(buf)), 5);
    MEMEQ(buf, "hello", 5);
}

TEST(a_broken_filter_is_refused)
{
    EQ(xk_host_seal_in("", 0), XK_EINVAL);
    EQ(xk_host_seal_in("1234567", 7), XK_EINVAL);
}
