/* Arbitrary bytes as a LUKS header. The first byte says whether what follows is the beginning of a file, or changes of
 * an image that a passphrase opens: two bytes say where, one says what. A header that is believed leads nowhere out of
 * the file or into anything else; opening it ends; what it opens answers requests; a slot that is removed takes nothing
 * else with it; all memory returns. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "crypt/luks.h"
#include "tests/c/fuzz/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = (4096 + 64) * XK_SECTOR, FEW = 2000 /* iterations that are worth the time */ };

static size_t held;

static void *counting(void *ctx, void *p, size_t old, size_t size)
{
    (void)ctx;
    held += size - (p ? old : 0);
    if (size)
        return realloc(p, size);
    free(p);
    return NULL;
}

static const xk_alloc alloc = {counting, NULL};

/* --- the file --- */

static uint8_t image[ROOM], bytes[ROOM], after[ROOM];

static struct xk_file *file_of(const uint8_t *p, size_t n)
{
    struct xk_file *file;

    must(xk_file_memory(&alloc, ROOM, &file) == 0);
    must(n == 0 || xk_file_write(file, p, n, 0) == (int)n);
    return file;
}

static void make_image(void)
{
    struct xk_luks_spec s = {.key_bytes = 32, .iterations = 1000, .digest_iterations = 1000};
    struct xk_file *file = file_of(image, ROOM);
    uint64_t first;

    must(xk_luks_create(file, &s, "p", 1, &first) == 0 && first * XK_SECTOR < ROOM);
    must(xk_file_read(file, image, ROOM, 0) == ROOM);
    xk_file_close(file);
}

static size_t lay_out(const uint8_t *data, size_t size, uint8_t how)
{
    if (!(how & 1)) {
        memset(bytes, 0, ROOM);
        memcpy(bytes, data, size);
        return how & 2 ? size : ROOM;
    }
    memcpy(bytes, image, ROOM);
    for (; size >= 3; data += 3, size -= 3)
        bytes[(data[0] | (size_t)data[1] << 8) % (how & 2 ? LUKS_HEADER : 65536)] = data[2];
    return ROOM;
}

/* --- what is done with it --- */

static int answer;
static void on_done(struct xk_blk_request *r, int err)
{
    (void)r;
    must(answer == 1);
    answer = err;
}

static void use(const struct xk_luks *l, struct xk_file *file)
{
    static uint8_t buf[64 * XK_SECTOR];
    struct xk_blkdev *below, *dev;
    struct xk_piece v = {buf, 0};
    struct xk_blk_request r = {.done = on_done, .piece = &v, .pieces = 1};

    must(xk_block_file(&alloc, file, 0, &below) == 0);
    if (xk_block_luks(&alloc, l, below, 0, &dev) < 0)
        return;
    r.sectors = dev->info.sectors < 64 ? dev->info.sectors : 64;
    v.len = (size_t)r.sectors * XK_SECTOR;
    memset(buf, 'x', sizeof(buf));
    for (int op = XK_BLK_WRITE; op >= XK_BLK_READ; op--) {
        r.op = (uint8_t)op;
        answer = 1;
        must(xk_blk_submit(dev, &r) == 0);
        xk_blk_kick(dev);
        must(answer == 0);
    }
    for (size_t i = 0; i < v.len; i++)
        must(buf[i] == 'x');
    xk_blk_close(dev);
}

static int is_cheap(const struct xk_luks_info *i)
{
    uint64_t all = i->iterations;

    for (int k = 0; k < XK_LUKS_SLOTS; k++)
        all += i->slot[k].active ? i->slot[k].iterations : 0;
    return all < FEW + FEW;
}

static void try_open(size_t n)
{
    struct xk_file *file = file_of(bytes, n);
    struct xk_luks *l;
    int r, steps = 0;

    must(xk_luks_open(&alloc, file, "p", 1, NULL, &l) == 0);
    do
        r = xk_luks_step(l, 500);
    while (r > 0 && ++steps < 1000);
    must(r <= 0);
    if (r == 0)
        use(l, file);
    else
        xk_file_close(file);
    xk_luks_close(l);
}

static void try_remove(size_t n, unsigned slot)
{
    struct xk_file *file = file_of(bytes, n);
    struct xk_luks_info was, is;
    uint64_t from, end;

    must(xk_luks_read_info(file, &was, NULL) == 0);
    if (xk_luks_remove(file, slot, NULL) == 0) {
        must(xk_luks_read_info(file, &is, NULL) == 0 && was.slot[slot].active && !is.slot[slot].active);
        must(is.first == was.first && xk_file_size(file) == (int64_t)n);
        must(xk_file_read(file, after, n, 0) == (int)n);
        from = was.slot[slot].first * XK_SECTOR;
        end = from + luks_slot_sectors(was.key_bytes) * XK_SECTOR;
        for (uint64_t i = 0; i < n; i++)
            must(after[i] == bytes[i] || (i >= from && i < end) ||
                 (i >= LUKS_SLOT_AT + slot * LUKS_SLOT && i < LUKS_SLOT_AT + (slot + 1) * LUKS_SLOT));
    }
    xk_file_close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct xk_luks_info i;
    struct xk_diag d = {0};
    struct xk_file *file;
    size_t n;
    int r;

    if (size < 1 || size > 65536)
        return 0;
    if (image[0] == 0)
        make_image();
    held = 0;
    n = lay_out(data + 1, size - 1, data[0]);
    file = file_of(bytes, n);
    r = xk_luks_read_info(file, &i, &d);
    must((r < 0) == (d.text[0] != 0));
    xk_file_close(file);
    if (r == 0) {
        must(i.first * XK_SECTOR <= n && (i.key_bytes == 32 || i.key_bytes == 64));
        if (is_cheap(&i))
            try_open(n);
        try_remove(n, data[0] >> 2 & 7);
    }
    must(held == 0);
    return 0;
}
