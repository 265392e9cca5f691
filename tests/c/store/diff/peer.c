/* diff/peer.c - xenstored in a process of its own, under the preload library: its start, its end, and the bytes of its
 * rings and sockets. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "diff.h"

/* struct xenstore_domain_interface of io/xs_wire.h */
enum { RING = 1024, REQ = 0, RSP = 1024, REQ_CONS = 2048, REQ_PROD = 2052, RSP_CONS = 2056, RSP_PROD = 2060 };
enum { ERROR_WORD = 2072, PATIENCE = 500 /* hundredths of a second until it hangs */ };

/* --- life --------------------------------------------------------------------------------------------------------- */

static char *option(const char *text, unsigned value)
{
    char *s = grow(NULL, 48);

    snprintf(s, 48, "%s%u", text, value);
    return s;
}

_Noreturn static void become(const struct peer *p, const struct setup *s)
{
    char pid_file[80], log[80];
    const char *argv[] = {s->xenstored, "-N",
                          "-F",         pid_file,
                          "-w",         "watch-event=0",
                          "-Q",         "memory=0",
                          "-Q",         option("transaction-nodes=", s->tx_nodes),
                          "-E",         option("", s->nodes),
                          "-W",         option("", s->watches),
                          "-t",         option("", s->transactions),
                          "-A",         option("", s->perms),
                          "-M",         option("", s->path),
                          "-S",         option("", s->size),
                          NULL};
    int fd;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(pid_file, sizeof(pid_file), "%s/pid", p->dir);
    snprintf(log, sizeof(log), "%s/log", p->dir);
    fd = open(log, O_WRONLY | O_CREAT, 0600);
    dup2(fd, 1);
    dup2(fd, 2);
    fcntl(p->memory_fd, F_SETFD, 0);
    setenv(DIFF_FD_NAME, option("", (unsigned)p->memory_fd), 1);
    setenv("XENSTORED_RUNDIR", p->dir, 1);
    setenv("XENSTORED_ROOTDIR", p->dir, 1);
    if (s->libraries)
        setenv("LD_LIBRARY_PATH", s->libraries, 1);
    setenv("LD_PRELOAD", s->shim, 1);
    execv(s->xenstored, (char *const *)(uintptr_t)argv);
    _exit(127);
}

void peer_start(struct peer *p, const struct setup *s)
{
    const char *tmp = getenv("TMPDIR");

    memset(p, 0, sizeof(*p));
    for (int i = 0; i < CONNS; i++)
        p->fd[i] = -1;
    snprintf(p->dir, sizeof(p->dir), "%s/xkdiff.XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    if (!mkdtemp(p->dir))
        die("mkdtemp: %s", strerror(errno));
    p->memory_fd = memfd_create("xkdiff", MFD_CLOEXEC);
    if (p->memory_fd < 0 || ftruncate(p->memory_fd, PAGES * PAGE) < 0)
        die("memfd: %s", strerror(errno));
    p->memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, p->memory_fd, 0);
    if (p->memory == MAP_FAILED)
        die("mmap: %s", strerror(errno));
    p->control = (struct diff_control *)(void *)(p->memory + PAGE_CONTROL * PAGE);
    fflush(NULL);
    p->pid = fork();
    if (p->pid < 0)
        die("fork: %s", strerror(errno));
    if (p->pid == 0)
        become(p, s);
    if (!peer_settle(p))
        die("xenstored does not start; its last words are in %s/log", p->dir);
}

void peer_stop(struct peer *p)
{
    static const char *const files[] = {"pid", "log", "socket"};
    char path[96];

    if (p->pid > 0) {
        kill(p->pid, SIGKILL);
        waitpid(p->pid, NULL, 0);
    }
    for (int i = 0; i < CONNS; i++) {
        if (p->fd[i] >= 0)
            close(p->fd[i]);
        free(p->to[i].p);
        free(p->from[i].p);
    }
    munmap(p->memory, PAGES * PAGE);
    close(p->memory_fd);
    for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", p->dir, files[i]);
        unlink(path);
    }
    rmdir(p->dir);
}

void peer_open(struct peer *p, unsigned conn)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    snprintf(a.sun_path, sizeof(a.sun_path), "%s/socket", p->dir);
    p->fd[conn] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p->fd[conn] < 0 || connect(p->fd[conn], (struct sockaddr *)&a, sizeof(a)) < 0)
        die("connect: %s", strerror(errno));
    fcntl(p->fd[conn], F_SETFL, O_NONBLOCK);
    p->closed[conn] = false;
    p->to[conn].n = p->from[conn].n = 0;
    peer_settle(p); /* it accepts one at a time, and keeps no queue */
}

void peer_close(struct peer *p, unsigned conn)
{
    if (p->fd[conn] >= 0)
        close(p->fd[conn]);
    p->fd[conn] = -1;
}

/* --- bytes -------------------------------------------------------------------------------------------------------- */

static uint8_t *page_of(const struct peer *p, unsigned conn)
{
    return p->memory + (PAGE_RINGS + domid_of(conn) - 1) * PAGE;
}

static uint32_t load(const uint8_t *page, unsigned at)
{
    return __atomic_load_n((const uint32_t *)(const void *)(page + at), __ATOMIC_ACQUIRE);
}

static void store(uint8_t *page, unsigned at, uint32_t v)
{
    __atomic_store_n((uint32_t *)(void *)(page + at), v, __ATOMIC_RELEASE);
}

void peer_new_ring(struct peer *p, unsigned domid)
{
    memset(page_of(p, ring_of(domid)), 0, PAGE);
    p->to[ring_of(domid)].n = p->from[ring_of(domid)].n = 0;
}

unsigned peer_ring_error(const struct peer *p, unsigned domid) { return load(page_of(p, ring_of(domid)), ERROR_WORD); }

static void ring_put(struct peer *p, unsigned conn)
{
    uint8_t *page = page_of(p, conn);
    uint32_t prod = load(page, REQ_PROD), room = RING - (prod - load(page, REQ_CONS));
    size_t n = p->to[conn].n < room ? p->to[conn].n : room;

    for (size_t i = 0; i < n; i++)
        page[REQ + (prod + i) % RING] = p->to[conn].p[i];
    store(page, REQ_PROD, prod + (uint32_t)n);
    bytes_drop(&p->to[conn], n);
}

/* True if there may be more to come: it was full, so that xenstored could not write all. */
static bool ring_get(struct peer *p, unsigned conn)
{
    uint8_t *page = page_of(p, conn);
    uint32_t cons = load(page, RSP_CONS), n = load(page, RSP_PROD) - cons;

    if (n > RING)
        die("xenstored's index of ring %u is off", conn);
    for (uint32_t i = 0; i < n; i++)
        bytes_add(&p->from[conn], page + RSP + (cons + i) % RING, 1);
    store(page, RSP_CONS, cons + n);
    return n == RING || load(page, REQ_CONS) != load(page, REQ_PROD);
}

static void socket_put(struct peer *p, unsigned conn)
{
    ssize_t n;

    if (p->to[conn].n == 0)
        return;
    n = send(p->fd[conn], p->to[conn].p, p->to[conn].n, MSG_NOSIGNAL);
    if (n > 0)
        bytes_drop(&p->to[conn], (size_t)n);
    else if (errno != EAGAIN)
        p->to[conn].n = 0;
}

static void socket_get(struct peer *p, unsigned conn)
{
    uint8_t room[16384];
    ssize_t n;

    while ((n = recv(p->fd[conn], room, sizeof(room), 0)) > 0)
        bytes_add(&p->from[conn], room, (size_t)n);
    if (n == 0 || errno == ECONNRESET)
        p->closed[conn] = true;
}

/* --- the lock step ------------------------------------------------------------------------------------------------ */

static bool wait_idle(struct peer *p)
{
    struct diff_control *c = p->control;
    const struct timespec slice = {0, 10000000};
    uint32_t work = __atomic_add_fetch(&c->work, 1, __ATOMIC_ACQ_REL), done;

    syscall(SYS_futex, &c->work, FUTEX_WAKE, 1, NULL, NULL, 0);
    for (int i = 0; i < PATIENCE;) {
        done = __atomic_load_n(&c->done, __ATOMIC_ACQUIRE);
        if (done == work)
            return true;
        if (syscall(SYS_futex, &c->done, FUTEX_WAIT, done, &slice, NULL, 0) < 0 && errno == ETIMEDOUT) {
            i++;
            if (waitpid(p->pid, NULL, WNOHANG) == p->pid) {
                p->pid = -1;
                return false;
            }
        }
    }
    return false;
}

bool peer_settle(struct peer *p)
{
    bool again = true;

    while (again) {
        for (unsigned i = 0; i < CONNS; i++)
            if (is_ring(i))
                ring_put(p, i);
            else if (p->fd[i] >= 0)
                socket_put(p, i);
        if (!wait_idle(p))
            return false;
        again = p->control->full;
        for (unsigned i = 0; i < CONNS; i++) {
            if (is_ring(i))
                again |=
                    p->control->domain[domid_of(i)].exists && peer_ring_error(p, domid_of(i)) == 0 && ring_get(p, i);
            else if (p->fd[i] >= 0)
                socket_get(p, i);
            again |= p->to[i].n > 0 && !p->closed[i] && (!is_ring(i) || peer_ring_error(p, domid_of(i)) == 0);
        }
    }
    return true;
}
