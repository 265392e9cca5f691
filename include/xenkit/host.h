/* xenkit/host.h - what only the host tool does for its domains: open, bind, connect, and make sandboxes. Linux only.
 *
 * All calls return a new descriptor (close-on-exec, the caller's) or 0, or XK_E...; none keeps state. SPDX-License-
 * Identifier: MIT */
#ifndef XENKIT_HOST_H
#define XENKIT_HOST_H

#include <stddef.h>
#include <stdint.h>

#include <xenkit/err.h>

XK_API_BEGIN

/* Sockets. (address) is numeric, IPv4 or IPv6; port 0 takes a free one, and *bound receives what it became.
 * unix sockets: (path) at most 107 bytes; an existing socket that nobody serves is replaced. */
int xk_host_listen_tcp(const char *address, unsigned port, unsigned *bound);
int xk_host_bind_udp(const char *address, unsigned port, unsigned *bound);
int xk_host_connect_tcp(const char *address, unsigned port);
enum xk_host_socket { XK_HOST_STREAM, XK_HOST_SEQPACKET };
int xk_host_listen_unix(const char *path, enum xk_host_socket type);
int xk_host_connect_unix(const char *path, enum xk_host_socket type);
int xk_host_socketpair(int pair[2], enum xk_host_socket type);

/* xk_host_pass (handle, data, n, fd) - a packet to a unix socket, with the descriptor (fd) if that is not negative; who
 * receives it (xk_handle_receive) gets one of its own. XK_EAGAIN: there is no room. */
int xk_host_pass(int handle, const void *data, size_t n, int fd);

/* Files. open: mode "r", "w" (truncate), "rw" (create), "a"; "r direct", "rw direct": past the page cache, XK_EINVAL
 * where that cannot be. lock: on an open file, for all that have this descriptor, (shared) or not, XK_EBUSY.
 * memory: a sealed file in memory that holds (data). */
int xk_host_open(const char *path, const char *mode);
int xk_host_lock(int handle, int shared);
int64_t xk_host_modified(const char *path); /* seconds after 1970 */

/* xk_host_direct_align (handle) - what places and lengths of requests have to be multiples of, in bytes, in a file that
 * was opened with "direct": 512 .. 4096; 512 where Linux does not say. */
int xk_host_direct_align(int handle);
int xk_host_memory(const char *name, const void *data, size_t n);
int xk_host_mkdir(const char *path); /* 0700, with its parents; existing is fine */
int xk_host_rmdir(const char *path);
int xk_host_is_dir(const char *path); /* 1, 0, XK_E... */

/* xk_host_identity (path, out) - what file stands at (path): two numbers that no other file has. XK_ENOENT. A link is
 * not followed. */
int xk_host_identity(const char *path, uint64_t out[2]);

/* xk_host_kind (path) - what stands at (path) itself: 'f' a file, 'd' a folder, 'l' a link, 'o' something else; XK_E...
 * xk_host_real (path, buf, size) - the path from the root without links, as long as it is there. XK_ENOENT; XK_E2BIG.
 */
int xk_host_kind(const char *path);
int xk_host_real(const char *path, char *buf, size_t size);

/* xk_host_list (path, fn, arg) - calls (fn) for each name but . and .., with 1 for a directory, until it returns
 * non-zero, which is returned. */
int xk_host_list(const char *path, int (*fn)(void *arg, const char *name, int is_dir), void *arg);

/* xk_host_raise_nofile () - this process may have as many descriptors as its hard limit says (RLIMIT_NOFILE): a world
 * of a few hundred domains needs more than the usual 1024. For programs without select(). */
void xk_host_raise_nofile(void);

/* xk_host_spawn (program, argv, keep, count) - starts (program), an open descriptor, as a child with this environment,
 * standard streams and the descriptors in (keep); its number. xk_host_wait (pid) - how it ended: the exit status, 128 +
 * signal; XK_EAGAIN while it runs. */
int xk_host_spawn(int program, char *const argv[], const int *keep, int count);
int xk_host_wait(int pid);

/* xk_host_uplink (program, words, out, why, size) - a way out of a world's networks: starts xenkit-uplink (its path)
 * with (words), such as "slirp", which end with NULL, and waits up to five seconds for what it says. (handle) carries
 * frames (tap.h), and is to be given to a domain. A failure's message stands in (why). xk_host_uplink_end - closes what
 * is left of it here and waits for its end; who has a copy of (handle) closes that before. */
struct xk_host_uplink {
    int handles[8], line, pid; /* (line): it ends with it; -1: with the only handle */
    unsigned count;            /* handles: the queues of a tap, or one */
    unsigned header, mtu;
};
XK_MUSTCHECK int xk_host_uplink(const char *program, char *const words[], struct xk_host_uplink *out, char *why,
                                size_t size);
void xk_host_uplink_end(struct xk_host_uplink *u);

/* xk_host_enter_net (pid) - from here this process is in the network of process (pid), which this user started. One
 * thread. */
int xk_host_enter_net(int pid);

/* xk_host_borrow (pid, fd) - a copy of descriptor (fd) of process (pid), which this process may trace: a child of its
 * own. XK_ENOSYS on a Linux before 5.6, XK_ENOENT: no such process, XK_EBADF: no such descriptor there. */
XK_MUSTCHECK int xk_host_borrow(int pid, int fd);

/* The sandbox of a domain program, as a seccomp filter (BPF) in a sealed memory file, to be handed as "sandbox". What
 * is not allowed fails with EPERM (openat and friends with ENOENT). (allow) adds to what every domain may: nothing that
 * opens, connects, executes or signals. */
enum { XK_SANDBOX_ACCEPT = 1, XK_SANDBOX_DATAGRAM = 2, XK_SANDBOX_FILE = 4 };
enum { XK_SANDBOX_AIO = 32 };       /* requests to a ring of xenkit/aio.h, which it has to have made before */
enum { XK_SANDBOX_XEN = 8 };        /* grants and event channels of Linux's devices of /dev/xen; no hypercalls */
enum { XK_SANDBOX_HYPERCALL = 16 }; /* and hypercalls: in dom0 that is all power over the machine */
int xk_host_sandbox(unsigned allow);

/* xk_host_seal_in (filter, n) - installs such a filter in the calling thread: from here there is no way back. */
int xk_host_seal_in(const void *filter, size_t n);

/* Terminal: raw mode (1) or as it was (0); its size. */
int xk_host_tty_raw(int handle, int on);
int xk_host_tty_size(int handle, unsigned *columns, unsigned *rows);
int xk_host_is_tty(int handle);

/* xk_host_signals - SIGINT, SIGTERM, SIGHUP and SIGWINCH are blocked from now on and can be read from the descriptor;
 * xk_host_signal_next (handle) - the next one's number, or XK_EAGAIN. */
int xk_host_signals(void);
int xk_host_signal_next(int handle);

/* xk_host_detach (log) - goes on as a child in a session of its own with standard output in (log), a descriptor; the
 * caller's process waits until the child says xk_host_detached (ok) and exits. Standard error goes to (log), too, once
 * that was said with (ok): what fails before is read by who waits. */
int xk_host_detach(int log);
void xk_host_detached(int ok);

/* xk_host_exec (program, argv, keep, count) - this process becomes (program), an open descriptor of an executable, with
 * (argv), which ends with NULL. Of its descriptors the standard ones and (keep) stay open, and it may open as many as
 * the hard limit allows. Returns only when it fails.
 */
int xk_host_exec(int program, char *const argv[], const int *keep, int count);

/* xk_host_fork - this process twice: 0 in the child, the child's number in the parent. */
int xk_host_fork(void);

int xk_host_pid(void);
int xk_host_uid(void);
int xk_host_signal(int pid, int signal); /* 0 only asks whether it lives */
int xk_host_cpus(void);

/* xk_host_program (name, buf, size) - the path of a program of xenkit, beside this executable or in its libexec. */
int xk_host_program(const char *name, char *buf, size_t size);

XK_API_END

#endif
