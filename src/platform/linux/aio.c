/* io_uring, by liburing. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <liburing.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <xenkit/aio.h>

#include "platform/linux/sys.h"

enum { ENTRIES_MAX = 4096, REAP = 256 /* before others have their turn */ };

struct xk_aio {
    struct io_uring ring;
    xk_alloc alloc;
    unsigned under_way; /* as many as there are entries, so that no result is ever without room */
    int event;          /* an eventfd, signalled while (armed): a ring that defers its work does not wake its poller */
    int armed;
};

/* liburing.so.2.3 forgot to export its two functions for this. */
static int reg(const struct io_uring *ring, unsigned op, const void *arg, unsigned n)
{
    return syscall(SYS_io_uring_register, ring->ring_fd, op, arg, n) < 0 ? -errno : 0;
}

/* What a domain may do with descriptors that it has, and nothing else; no flag makes another descriptor or identity. */
static int restrict_it(struct io_uring *ring, int event)
{
    struct io_uring_restriction r[] = {
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READV},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITEV},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READ},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITE},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FSYNC},
        {.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = 0},
    };
    int e = reg(ring, IORING_REGISTER_EVENTFD, &event, 1);

    if (e == 0)
        e = reg(ring, IORING_REGISTER_RESTRICTIONS, r, sizeof(r) / sizeof(*r));
    return e < 0 ? e : reg(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

/* The best that this Linux has: results are worked out when we ask, not by interrupting us (6.1, 5.19). */
static int set_up(struct io_uring *ring, unsigned entries, int event)
{
    static const unsigned flags[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        0,
    };
    int e = 0;

    for (unsigned i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
        e = io_uring_queue_init(entries, ring, IORING_SETUP_R_DISABLED | flags[i]);
        if (e != -EINVAL)
            break;
    }
    if (e < 0)
        return e;
    e = restrict_it(ring, event);
    if (e < 0)
        io_uring_queue_exit(ring);
    return e;
}

int xk_aio_create(const xk_alloc *alloc, unsigned entries, struct xk_aio **out)
{
    struct xk_aio *a;
    int e;

    *out = NULL;
    if (entries < 1 || entries > ENTRIES_MAX)
        return XK_EINVAL;
    a = xk_new(alloc, sizeof(*a));
    if (!a)
        return XK_ENOMEM;
    a->alloc = alloc ? *alloc : *xk_alloc_libc();
    a->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    e = a->event < 0 ? -errno : set_up(&a->ring, entries, a->event);
    if (e < 0) {
        if (a->event >= 0)
            close(a->event);
        xk_free(alloc, a, sizeof(*a));
        return e == -EINVAL ? XK_ENOSYS : xk__sys_err(-e);
    }
    io_uring_cq_eventfd_toggle(&a->ring, false);
    *out = a;
    return 0;
}

void xk_aio_destroy(struct xk_aio *a)
{
    xk_alloc alloc;

    if (!a)
        return;
    while (a->under_way && xk_aio_wait(a) >= 0)
        ;
    alloc = a->alloc;
    io_uring_queue_exit(&a->ring);
    close(a->event);
    xk_free(&alloc, a, sizeof(*a));
}

/* An entry of the ring, for (file). XK_EAGAIN: there is no room; XK_E... of the file. */
static int entry(struct xk_aio *a, struct xk_file *file, int *fd, struct io_uring_sqe **out)
{
    *fd = xk_file_handle(file);
    if (*fd < 0)
        return *fd;
    *out = a->under_way < a->ring.sq.ring_entries ? io_uring_get_sqe(&a->ring) : NULL;
    if (!*out)
        return XK_EAGAIN;
    a->under_way++;
    return 0;
}

/* (plain) for one piece, (vectored) for several. */
static int move(struct xk_aio *a, struct xk_aio_op *op, struct xk_file *file, const struct xk_piece *v, unsigned n,
                uint64_t at, int plain, int vectored)
{
    int one = n == 1 && v->len <= UINT32_MAX, fd, r;
    struct io_uring_sqe *e;

    r = entry(a, file, &fd, &e);
    if (r < 0)
        return r;
    io_uring_prep_rw(one ? plain : vectored, e, fd, one ? v->base : (const void *)v, one ? (unsigned)v->len : n, at);
    io_uring_sqe_set_data(e, op);
    return 0;
}

int xk_aio_read(struct xk_aio *a, struct xk_aio_op *op, struct xk_file *file, const struct xk_piece *v, unsigned n,
                uint64_t at)
{
    return move(a, op, file, v, n, at, IORING_OP_READ, IORING_OP_READV);
}

int xk_aio_write(struct xk_aio *a, struct xk_aio_op *op, struct xk_file *file, const struct xk_piece *v, unsigned n,
                 uint64_t at)
{
    return move(a, op, file, v, n, at, IORING_OP_WRITE, IORING_OP_WRITEV);
}

int xk_aio_sync(struct xk_aio *a, struct xk_aio_op *op, struct xk_file *file)
{
    struct io_uring_sqe *e;
    int fd, r = entry(a, file, &fd, &e);

    if (r < 0)
        return r;
    io_uring_prep_fsync(e, fd, IORING_FSYNC_DATASYNC);
    io_uring_sqe_set_data(e, op);
    return 0;
}

unsigned xk_aio_submit(struct xk_aio *a)
{
    while (io_uring_sq_ready(&a->ring) && io_uring_submit(&a->ring) == -EINTR)
        ;
    return io_uring_sq_ready(&a->ring);
}

static void finish(struct xk_aio *a, struct io_uring_cqe *c)
{
    struct xk_aio_op *op = io_uring_cqe_get_data(c);
    int result = c->res;

    io_uring_cqe_seen(&a->ring, c);
    a->under_way--;
    op->done(op, result < 0 ? xk__sys_err(-result) : result);
}

static void unarm(struct xk_aio *a)
{
    if (a->armed)
        io_uring_cq_eventfd_toggle(&a->ring, false);
    a->armed = 0;
}

/* Whether something has ended, or Linux would like to see to that. No system call. */
static int is_some(const struct xk_aio *a)
{
    return io_uring_cq_ready(&a->ring) ||
           (__atomic_load_n(a->ring.sq.kflags, __ATOMIC_RELAXED) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW));
}

/* A result that is worked out while the descriptor is armed would make it readable once more. */
int xk_aio_reap(struct xk_aio *a)
{
    struct io_uring_cqe *c;
    int n = 0;

    if (a->under_way == 0 || !is_some(a))
        return 0;
    unarm(a);
    while (n < REAP && io_uring_peek_cqe(&a->ring, &c) == 0) {
        finish(a, c);
        n++;
    }
    return n;
}

int xk_aio_arm(struct xk_aio *a)
{
    while (a->under_way && !a->armed) {
        a->armed = 1;
        io_uring_cq_eventfd_toggle(&a->ring, true);
        atomic_thread_fence(memory_order_seq_cst); /* pairs with Linux' after it put a result there */
        if (xk_aio_reap(a) > 0)
            return 1;
    }
    return 0;
}

int xk_aio_woken(struct xk_aio *a)
{
    uint64_t count;

    (void)!read(a->event, &count, sizeof(count));
    return xk_aio_reap(a);
}

unsigned xk_aio_under_way(const struct xk_aio *a) { return a->under_way; }

int xk_aio_wait(struct xk_aio *a)
{
    int e;

    if (a->under_way == 0)
        return 0;
    do
        e = io_uring_submit_and_wait(&a->ring, 1);
    while (e == -EINTR);
    return e < 0 && e != -EAGAIN && e != -EBUSY ? xk__sys_err(-e) : xk_aio_reap(a);
}

int xk_aio_handle(const struct xk_aio *a) { return a->event; }
