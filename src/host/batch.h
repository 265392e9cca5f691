/* host/batch.h - small files of one folder, read many at a time: with one system call for some dozen of them where
 * Linux has io_uring, lets us, and is quicker so, else with three for each. SPDX-License-Identifier: MIT */
#ifndef XK_HOST_BATCH_H
#define XK_HOST_BATCH_H

#include <stdint.h>

enum { XK__BATCH_MAX = 16 };

struct xk__batch_file {
    const char *name; /* in the folder; links are followed */
    void *data;
    uint32_t size;
    int result; /* bytes, or XK_E... */
};

struct xk__batch;

/* NULL: there is no memory. */
struct xk__batch *xk__batch_new(void);
void xk__batch_free(struct xk__batch *b);

/* Up to (size) bytes of each of (n) files, from its begin: fewer when it has no more. (dir): the folder's descriptor.
 */
void xk__batch_read(struct xk__batch *b, int dir, struct xk__batch_file *list, unsigned n);

#endif
