/* libxenvchan (LGPL, linked dynamically, of the package libxen-dev) as a transport of pair.h. To be run with
 * shim/vchan_shim.c preloaded where there is no Xen; then the two sides are two processes on that shim's shared memory.
 * SPDX-License-Identifier: MIT */
#include <libxenvchan.h>
#include <stdlib.h>
#include <unistd.h>

#include "pair.h"

#define STORE_PATH "/local/domain/0/data/xenkit-bench"

static void *open_side(struct pair *p, int side)
{
    struct libxenvchan *v = NULL;

    if (side == 0) {
        v = libxenvchan_server_init(NULL, 0, STORE_PATH, p->ring, p->ring);
        atomic_store(&p->word[0], v ? 1 : 0);
    } else {
        for (int i = 0; atomic_load(&p->word[0]) < 0 && i < 5000; i++)
            usleep(1000);
        v = libxenvchan_client_init(NULL, 0, STORE_PATH);
    }
    if (v)
        v->blocking = 1;
    return v;
}

static int stream_send(void *end, const void *buf, size_t n)
{
    for (size_t done = 0; done < n;) {
        int r = libxenvchan_write(end, (const char *)buf + done, n - done);
        if (r <= 0)
            return -1;
        done += (size_t)r;
    }
    return 0;
}

static int stream_recv(void *end, void *buf, size_t n)
{
    for (size_t done = 0; done < n;) {
        int r = libxenvchan_read(end, (char *)buf + done, n - done);
        if (r <= 0)
            return -1;
        done += (size_t)r;
    }
    return 0;
}

static void close_side(void *end) { libxenvchan_close(end); }

int main(int argc, char **argv)
{
    const struct pair_transport list[] = {{"libxenvchan", NULL, NULL, open_side, stream_send, stream_recv, close_side},
                                          {.name = NULL}};

    return pair_main(argc, argv, list);
}
