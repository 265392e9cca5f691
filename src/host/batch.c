/* Files in batches (batch.h). By io_uring a file is opened to a place of the ring's own table, which costs less than a
 * descriptor, read and closed.
 *
 * Whether a ring is quicker than plain calls depends on what a system call costs here: it is where one takes 1.7 us,
 * and not where it takes less than 1. So the first few whole batches are read in either way in turns and timed, all
 * others in the way that was quicker.
 *
 * What does not go well by the ring is done anew by plain calls, which say why, or do it after all: then there is
 * something that this Linux cannot do by a ring, and it is not used any more. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <unistd.h>

#include <xenkit/alloc.h>

#include "host/batch.h"
#include "platform/linux/sys.h"

enum { TRIALS = 3 /* of either way */, STEPS = 3, ENTRIES = 128 };
enum { UNTRIED, READY, NEVER };
enum { PLAIN, RING, WAYS };

struct xk__batch {
    int state;
    struct io_uring ring;
    unsigned trials[WAYS];
    xk_time best[WAYS]; /* of a whole batch */
};

struct xk__batch *xk__batch_new(void) { return xk_new(NULL, sizeof(struct xk__batch)); }

static void drop_ring(struct xk__batch *b)
{
    if (b->state == READY)
        io_uring_queue_exit(&b->ring);
    b->state = NEVER;
}

void xk__batch_free(struct xk__batch *b)
{
    if (b)
        drop_ring(b);
    xk_free(NULL, b, sizeof(*b));
}

/* --- plain calls -------------------------------------------------------------------------------------------------- */

static int read_plainly(int dir, const struct xk__batch_file *f)
{
    int fd = openat(dir, f->name, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return xk__sys_err(errno);
    do
        n = read(fd, f->data, f->size); /* a regular file gives all it has */
    while (n < 0 && errno == EINTR);
    n = n < 0 ? xk__sys_err(errno) : n;
    close(fd);
    return (int)n;
}

/* --- the ring ----------------------------------------------------------------------------------------------------- */

static int ready(struct xk__batch *b)
{
    struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};

    if (b->state == UNTRIED) {
        b->state = NEVER;
        if (io_uring_queue_init_params(ENTRIES, &b->ring, &p) == 0) {
            b->state = READY;
            if (io_uring_register_files_sparse(&b->ring, XK__BATCH_MAX) < 0)
                drop_ring(b);
        }
    }
    return b->state == READY;
}

static void mark(struct io_uring_sqe *e, unsigned file, unsigned step, unsigned flags)
{
    e->flags |= (uint8_t)flags;
    e->user_data = file * STEPS + step;
}

/* Opened, read, closed: the later ones wait, the last one whatever became of the second. */
static void ask_read(struct xk__batch *b, int dir, const struct xk__batch_file *f, unsigned i)
{
    struct io_uring_sqe *e = io_uring_get_sqe(&b->ring);

    io_uring_prep_openat_direct(e, dir, f->name, O_RDONLY, 0, i);
    mark(e, i, 0, IOSQE_IO_LINK);
    e = io_uring_get_sqe(&b->ring);
    io_uring_prep_read(e, (int)i, f->data, f->size, 0);
    mark(e, i, 1, IOSQE_FIXED_FILE | IOSQE_IO_HARDLINK);
    e = io_uring_get_sqe(&b->ring);
    io_uring_prep_close_direct(e, i);
    mark(e, i, 2, 0);
}

/* What was asked for is done: (steps) answers, of which result[file][step] has those that came. */
static int run(struct xk__batch *b, unsigned steps, int result[][STEPS])
{
    while (steps) {
        struct io_uring_cqe *c;
        unsigned head, n = 0;
        int r = io_uring_submit_and_wait(&b->ring, steps);
        if (r < 0 && r != -EINTR && r != -EAGAIN && r != -EBUSY)
            return r;
        io_uring_for_each_cqe(&b->ring, head, c)
        {
            result[c->user_data / STEPS][c->user_data % STEPS] = c->res;
            n++;
        }
        io_uring_cq_advance(&b->ring, n);
        steps -= n < steps ? n : steps;
    }
    return 0;
}

/* --- batches ------------------------------------------------------------------------------------------------------ */

static int way_for(struct xk__batch *b, unsigned n)
{
    const unsigned *t = b->trials;
    int way = t[PLAIN] < TRIALS || t[RING] < TRIALS ? t[RING] < t[PLAIN] : b->best[RING] < b->best[PLAIN];

    if (n < XK__BATCH_MAX && t[RING] < TRIALS)
        return PLAIN; /* nothing is learned of a part, and a few files are not worth a ring */
    return way == RING && ready(b) ? RING : PLAIN;
}

/* A batch took so long. */
static void learn(struct xk__batch *b, int way, unsigned n, xk_time took)
{
    if (n < XK__BATCH_MAX || b->trials[way] >= TRIALS)
        return;
    if (b->trials[way]++ == 0 || took < b->best[way])
        b->best[way] = took;
}

static void read_in_a_way(struct xk__batch *b, int dir, struct xk__batch_file *list, unsigned n, int way)
{
    int result[XK__BATCH_MAX][STEPS], r = -ENOSYS;

    for (unsigned i = 0; i < n; i++)
        result[i][1] = list[i].result = -ENOSYS;
    if (way == RING) {
        for (unsigned i = 0; i < n; i++)
            ask_read(b, dir, &list[i], i);
        r = run(b, n * STEPS, result);
        if (r < 0)
            drop_ring(b);
    }
    for (unsigned i = 0; i < n; i++) {
        list[i].result = result[i][1] >= 0 ? result[i][1] : read_plainly(dir, &list[i]);
        if (way == RING && result[i][1] < 0 && list[i].result >= 0)
            drop_ring(b);
    }
}

void xk__batch_read(struct xk__batch *b, int dir, struct xk__batch_file *list, unsigned n)
{
    int way = way_for(b, n);
    xk_time began = xk__sys_now();

    read_in_a_way(b, dir, list, n, way);
    learn(b, way, n, xk__sys_now() - began);
}
