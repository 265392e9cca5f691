/* Reads and writes of several pieces, for files of any kind. SPDX-License-Identifier: MIT */
#include <limits.h>

#include <xenkit/file.h>

/* 0, or XK_EINVAL: more than one call may take. */
static int check(const struct xk_piece *v, unsigned n)
{
    size_t all = 0;

    if (n > XK_PIECES_MAX)
        return XK_EINVAL;
    for (unsigned i = 0; i < n; i++) {
        if (v[i].len > INT_MAX - all)
            return XK_EINVAL;
        all += v[i].len;
    }
    return 0;
}

static int each(struct xk_file *f, const struct xk_piece *v, unsigned n, uint64_t at, int writing)
{
    int done = 0, r = 0;

    for (unsigned i = 0; i < n && r >= 0; i++) {
        r = writing ? f->ops->write(f, v[i].base, v[i].len, at + (uint64_t)done)
                    : f->ops->read(f, v[i].base, v[i].len, at + (uint64_t)done);
        if (r >= 0)
            done += r;
        if (r >= 0 && (size_t)r < v[i].len)
            break;
    }
    return r < 0 ? r : done;
}

int xk_file_readv(struct xk_file *f, const struct xk_piece *v, unsigned n, uint64_t at)
{
    int r = check(v, n);

    if (r < 0)
        return r;
    return f->ops->readv ? f->ops->readv(f, v, n, at) : each(f, v, n, at, 0);
}

int xk_file_readv_now(struct xk_file *f, const struct xk_piece *v, unsigned n, uint64_t at)
{
    int r = check(v, n);

    if (r < 0)
        return r;
    return f->ops->readv_now ? f->ops->readv_now(f, v, n, at) : XK_EAGAIN;
}

int xk_file_writev(struct xk_file *f, const struct xk_piece *v, unsigned n, uint64_t at)
{
    int r = check(v, n);

    if (r < 0)
        return r;
    return f->ops->writev ? f->ops->writev(f, v, n, at) : each(f, v, n, at, 1);
}
