/* A device as a file: bytes at any place against a model, whatever the device's own sectors are.
 * SPDX-License-Identifier: MIT */
#include "tests/c/tap.h" /* first */

#include <xenkit/blkdev.h>
#include <xenkit/file.h>

enum { BYTES = 256 << 10 };

static uint64_t seed = 3;
static unsigned roll(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

static void sectors_of(uint32_t logical)
{
    static uint8_t model[BYTES], buf[BYTES];
    struct xk_blkdev *dev;
    struct xk_file *f;

    EQ(xk_block_memory(NULL, BYTES / XK_SECTOR, &dev), 0);
    dev->info.logical = logical; /* requests that do not begin and end there are refused from now on */
    EQ(xk_file_over_blk(NULL, dev, NULL, &f), 0);
    memset(model, 0, sizeof(model));
    for (int i = 0; i < 2000; i++) {
        size_t at = roll(BYTES), n = 1 + roll(roll(2) ? 600 : 20000);
        n = n < BYTES - at ? n : BYTES - at;
        if (roll(2)) {
            for (size_t k = 0; k < n; k++)
                buf[k] = model[at + k] = (uint8_t)roll(256);
            EQ(xk_file_write(f, buf, n, at), n);
        } else {
            EQ(xk_file_read(f, buf, n, at), n);
            MEMEQ(buf, model + at, n);
        }
    }
    EQ(xk_file_read(f, buf, 100, BYTES - 10), 10);
    EQ(xk_file_read(f, buf, 100, BYTES), 0);
    EQ(xk_file_write(f, buf, 11, BYTES - 10), XK_ENOSPC);
    EQ(xk_file_size(f), BYTES);
    EQ(xk_file_sync(f), 0);
    xk_file_close(f);
    xk_blk_close(dev);
}

TEST(sectors_of_512_bytes) { sectors_of(512); }
TEST(sectors_of_4096_bytes) { sectors_of(4096); }
