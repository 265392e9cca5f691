/* Arbitrary bytes as a VHD. The first byte says whether its checksums are put right, how much room is before its last
 * sector, and whether there is a batmap; 16 bytes are requests; the rest is the file. What is opened must answer all
 * requests, read what was written unless a check found damage, and stay what it is when it is looked at, given another
 * parent and opened again; all memory returns. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "block/vhd.h"
#include "tests/c/fuzz/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 8 << 20, REQUESTS = 4, MOST = 300 /* sectors */ };

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

static void put_right(uint8_t *p, size_t n, size_t at)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += i >= at && i < at + 4 ? 0 : p[i];
    vhd_put32(p + at, ~sum);
}

/* Behind the table of the header at (header), with as much room for bits as there is. */
static void put_batmap_right(uint8_t *bytes, size_t n, uint64_t header)
{
    uint64_t at = vhd_get64(bytes + header + 16) + (vhd_get32(bytes + header + 28) * 4ull + 511) / 512 * 512, map;
    uint32_t sum = 0;

    if (at > n || n - at < 2 * (uint64_t)VHD_SECTOR)
        return;
    memcpy(bytes + at, "tdbatmap", 8);
    map = vhd_get64(bytes + at + 8);
    for (uint64_t i = map; i < map + 512 && i < n; i++)
        sum += vhd_get32(bytes + at + 20) == 0x00010001 ? (uint32_t)(int8_t)bytes[i] : bytes[i];
    vhd_put32(bytes + at + 24, ~sum);
}

static void put_all_right(uint8_t *bytes, size_t n, int batmap)
{
    uint64_t header = vhd_get64(bytes + n - VHD_SECTOR + 16);

    memcpy(bytes, "conectix", 8);
    put_right(bytes, VHD_SECTOR, 64);
    memcpy(bytes + n - VHD_SECTOR, "conectix", 8);
    put_right(bytes + n - VHD_SECTOR, VHD_SECTOR, 64);
    if (header <= n - VHD_HEADER - VHD_SECTOR) {
        memcpy(bytes + header, "cxsparse", 8);
        put_right(bytes + header, VHD_HEADER, 36);
        if (batmap)
            put_batmap_right(bytes, n, header);
    }
}

static uint8_t bytes[ROOM];

static size_t lay_out(const uint8_t *data, size_t size, uint8_t how)
{
    size_t pad = (how >> 1 & 15) * (size_t)(VHD_BLOCK_MIN + VHD_SECTOR);

    memset(bytes, 0, sizeof(bytes));
    memcpy(bytes, data, size);
    if (size < 4 * VHD_SECTOR)
        return size;
    memmove(bytes + size - VHD_SECTOR + pad, bytes + size - VHD_SECTOR, VHD_SECTOR);
    if (pad)
        memset(bytes + size - VHD_SECTOR, 0, VHD_SECTOR);
    if (how & 1)
        put_all_right(bytes, size + pad, how & 32);
    return size + pad;
}

static struct xk_file *file_of(const void *p, size_t n)
{
    struct xk_file *file;

    must(xk_file_memory(&alloc, ROOM, &file) == 0);
    must(n == 0 || xk_file_write(file, p, n, 0) == (int)n);
    return file;
}

/* --- requests --- */

static int answer;
static void on_done(struct xk_blk_request *r, int err)
{
    (void)r;
    must(answer == 1);
    answer = err;
}

static uint8_t buf[MOST * VHD_SECTOR], again[MOST * VHD_SECTOR];

static int ask(struct xk_blkdev *dev, int op, uint64_t sector, uint8_t *p, uint32_t n)
{
    struct xk_piece v[2] = {{p, VHD_SECTOR}, {p + VHD_SECTOR, (n - 1) * (size_t)VHD_SECTOR}};
    struct xk_blk_request r = {.done = on_done,
                               .sector = sector,
                               .sectors = n,
                               .piece = v,
                               .pieces = (uint16_t)(n == 0   ? 0
                                                    : n == 1 ? 1
                                                             : 2),
                               .op = (uint8_t)op};
    int err = xk_blk_submit(dev, &r);

    if (err < 0)
        return err;
    answer = 1;
    xk_blk_kick(dev);
    must(answer <= 0);
    return answer;
}

static int sound;

static void requests(struct xk_blkdev *dev, const uint8_t *what)
{
    for (int i = 0; i < REQUESTS; i++, what += 4) {
        uint64_t sector = (what[1] | (uint64_t)what[2] << 8) * dev->info.sectors >> 16;
        uint32_t n = 1 + what[3];
        if (n > dev->info.sectors - sector)
            n = (uint32_t)(dev->info.sectors - sector);
        memset(buf, what[0], n * (size_t)VHD_SECTOR);
        if (what[0] & 1) {
            if (ask(dev, XK_BLK_WRITE, sector, buf, n) == 0 && ask(dev, XK_BLK_READ, sector, again, n) == 0 && sound)
                must(memcmp(buf, again, n * (size_t)VHD_SECTOR) == 0);
        } else {
            (void)!ask(dev, XK_BLK_READ, sector, buf, n);
        }
        (void)!ask(dev, XK_BLK_FLUSH, 0, buf, 0);
    }
}

static void stays_open(struct xk_file *file) { (void)file; }

/* Takes the file. How many sectors it has; 0: it is none. What was sound before stays so: no bit of a batmap lies. */
static uint64_t use_open(struct xk_file *file, const uint8_t *what);
static uint64_t use(struct xk_file *file, const uint8_t *what)
{
    const struct xk_file_ops *ops = file->ops;
    struct xk_file_ops open = *ops;
    uint64_t sectors;

    open.close = stays_open;
    file->ops = &open;
    sectors = use_open(file, what);
    if (sectors && sound)
        must(xk_vhd_check(file, NULL, NULL) == 0);
    file->ops = ops;
    xk_file_close(file);
    return sectors;
}

static uint64_t use_open(struct xk_file *file, const uint8_t *what)
{
    struct xk_vhd_info info;
    struct xk_file *chain[2] = {file, NULL};
    struct xk_blkdev *dev;
    unsigned n = 1;
    uint64_t sectors, at = 0;

    if (xk_vhd_read_info(file, &info) == 0 && info.type == XK_VHD_DIFFERENCING)
        chain[n++] = file_of("parent's", 8);
    if (xk_block_vhd(&alloc, chain, n, what ? 0 : XK_BLK_READONLY, &dev) < 0)
        return 0;
    must(dev->info.sectors == info.size / VHD_SECTOR);
    sectors = dev->info.sectors;
    if (what)
        requests(dev, what);
    if (sectors <= 8192) {
        struct xk_blkdev *copy;
        int r;
        must(xk_block_memory(&alloc, sectors, &copy) == 0);
        do
            r = xk_blk_copy(dev, copy, &at, 4096, 1);
        while (r > 0);
        xk_blk_close(copy);
    }
    xk_blk_close(dev);
    return sectors;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct xk_vhd_spec s = {.parent_name = "p"};
    struct xk_file *file;
    uint64_t sectors;
    size_t n;

    if (size < 17 || size > 1 << 20)
        return 0;
    n = lay_out(data + 17, size - 17, data[0]);
    held = 0;
    file = file_of(bytes, n);
    sound = xk_vhd_check(file, NULL, NULL) == 0;
    xk_file_close(file);
    sectors = use(file_of(bytes, n), data + 1);
    must(held == 0);
    file = file_of(bytes, n);
    if (xk_vhd_mend_batmap(file) == 0)
        must(!sound || xk_vhd_check(file, NULL, NULL) == 0);
    if (xk_vhd_set_parent(file, &s) == 0) {
        struct xk_vhd_info info;
        must(xk_vhd_read_info(file, &info) == 0 && strcmp(info.parent_name, "p") == 0);
        must(use(file, NULL) != 0 || sectors == 0);
    } else {
        xk_file_close(file);
    }
    must(held == 0);
    return 0;
}
