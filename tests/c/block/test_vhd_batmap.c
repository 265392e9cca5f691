/* Batmaps: their layout, that they are used, what is wrong with one, what is made anew. SPDX-License-Identifier: MIT */
#include "tests/c/block/vhds.h" /* first */

#include "tests/c/frail.h"

/* Of an image of 12 blocks: the table's place; behind it, in sectors, the batmap's header, its bits, the first block of
 * one without a parent. */
enum { TABLE = 1536, MAP_HEADER = 2048, MAP = 2560, FIRST = 3072, PER = BLOCK / XK_SECTOR, ROOMY = 512 + BLOCK };

/* --- a file that counts what is read of bitmaps --- */

static struct frail disk;
static int bitmap_reads;
static uint64_t first; /* where the first block is */

static int counting_read(struct xk_file *f, void *buf, size_t n, uint64_t at)
{
    bitmap_reads += n == XK_SECTOR && at >= first && (at - first) % ROOMY == 0;
    return frail_read(f, buf, n, at);
}

static struct xk_file_ops counting;

/* Blocks 0, 1 and 3 are full, 5 and 7 have a few sectors. The file's place in (disk). */
static struct xk_file *image(enum xk_vhd_type type, int batmap)
{
    static uint8_t data[BLOCK];
    static const int full[] = {0, 1, 3};
    struct xk_vhd_spec s = {.type = type,
                            .size = SECTORS * XK_SECTOR,
                            .block_size = BLOCK,
                            .parent_name = type == XK_VHD_DIFFERENCING ? "base" : NULL,
                            .batmap = batmap};
    struct xk_file *chain[2] = {&disk.file, NULL};
    struct xk_blkdev *dev;

    first = FIRST + (type == XK_VHD_DIFFERENCING ? VHD_LOCATOR_ROOM : 0) - (batmap ? 0 : 1024);
    frail_new(&disk);
    counting = frail_ops;
    counting.read = counting_read;
    disk.file.ops = &counting;
    EQ(xk_vhd_create(&disk.file, &s), 0);
    EQ(xk_file_memory(NULL, 8, &chain[1]), 0);
    EQ(xk_block_vhd(NULL, chain, type == XK_VHD_DIFFERENCING ? 2 : 1, 0, &dev), 0);
    memset(model[0], 0, sizeof(model[0]));
    for (unsigned i = 0; i < 3; i++) {
        memset(data, 0x11 + full[i], sizeof(data));
        memcpy(model[0] + full[i] * BLOCK, data, BLOCK);
        EQ(ask(dev, XK_BLK_WRITE, 0, (uint64_t)full[i] * PER, data, BLOCK), 0);
    }
    for (int i = 5; i < 8; i += 2) {
        memset(model[0] + i * BLOCK + 8 * XK_SECTOR, i, 8 * XK_SECTOR);
        EQ(ask(dev, XK_BLK_WRITE, 0, (uint64_t)i * PER + 8, model[0] + i * BLOCK + 8 * XK_SECTOR, 8 * XK_SECTOR), 0);
    }
    xk_blk_close(dev);
    if (chain[1] && type != XK_VHD_DIFFERENCING)
        xk_file_close(chain[1]);
    return &disk.file;
}

static struct xk_blkdev *opened(unsigned features)
{
    struct xk_file *chain[2] = {&disk.file, NULL};
    struct xk_blkdev *dev;
    struct xk_vhd_info info;
    unsigned n = 1;

    EQ(xk_vhd_read_info(&disk.file, &info), 0);
    if (info.type == XK_VHD_DIFFERENCING)
        EQ(xk_file_memory(NULL, 8, &chain[n++]), 0);
    EQ(xk_block_vhd(NULL, chain, n, features, &dev), 0);
    return dev;
}

static void reads_right(void)
{
    struct xk_blkdev *dev = opened(XK_BLK_READONLY);

    all_is(dev, model[0]);
    xk_blk_close(dev);
}

/* --- what a check says --- */

static char said[4000];
static void told_text(void *arg, int bad, const char *text)
{
    (void)arg;
    snprintf(said + strlen(said), sizeof(said) - strlen(said), "%d %s\n", bad, text);
}

static int checked(void)
{
    said[0] = '\0';
    return xk_vhd_check(&disk.file, told_text, NULL);
}

static struct xk_vhd_info info_of(void)
{
    struct xk_vhd_info info;

    EQ(xk_vhd_read_info(&disk.file, &info), 0);
    return info;
}

/* --- the file is changed --- */

static void poke32(uint64_t at, uint32_t v)
{
    uint8_t bytes[4];

    vhd_put32(bytes, v);
    EQ(xk_file_write(&disk.file, bytes, 4, at), 4);
}

/* A byte of the bits, and a sum that is right for it; (sign): the sum takes bytes for signed. */
static void poke_bits(unsigned byte, uint8_t value, int sign)
{
    uint32_t sum = 0;

    EQ(xk_file_write(&disk.file, &value, 1, MAP + byte), 1);
    for (unsigned i = 0; i < 512; i++)
        sum += sign ? (uint32_t)(int8_t)disk.now[MAP + i] : disk.now[MAP + i];
    poke32(MAP_HEADER + 24, ~sum);
}

/* --- layout --- */

/* Written from the format's description alone. */
static const char parser[] =
    "cat > p.py << 'P'\n"
    "import struct, sys\n"
    "b = open('level0.vhd', 'rb').read()\n"
    "foot = b[-512:]\n"
    "assert foot == b[:512] and foot[28:36] == b'tap\\0\\0\\1\\0\\3', foot[28:36]\n"
    "head = struct.unpack('>Q', foot[16:24])[0]\n"
    "table, version, entries, size = struct.unpack('>QIII', b[head + 16:head + 36])\n"
    "at = (table + 4 * entries + 511) // 512 * 512\n"
    "assert b[at:at + 8] == b'tdbatmap', b[at:at + 8]\n"
    "map, secs, ver, sum_, mark = struct.unpack('>QIIIB', b[at + 8:at + 29])\n"
    "assert ver == 0x10002 and mark == 0 and secs * 4096 >= entries and map % 512 == 0\n"
    "bits = b[map:map + secs * 512]\n"
    "assert sum_ == ~sum(bits) & 0xffffffff\n"
    "assert not any(b[at + 29:at + 512])\n"
    "for i in range(secs * 4096):\n"
    "    e = struct.unpack('>I', b[table + 4 * i:table + 4 * i + 4])[0] if i < entries else 0xffffffff\n"
    "    full = e != 0xffffffff and b[512 * e:512 * e + size // 4096] == b'\\xff' * (size // 4096)\n"
    "    assert bool(bits[i // 8] & 0x80 >> i % 8) == full, i\n"
    "P\n"
    "/usr/bin/python3 p.py";

static void layout_of(enum xk_vhd_type type, uint8_t bits)
{
    int fd;

    image(type, 1);
    EQ(disk.now[MAP], bits);
    EQ(info_of().batmap, XK_VHD_BATMAP_USED);
    EQ(info_of().full, __builtin_popcount(bits));
    EQ(checked(), 0);
    enter();
    fd = open(path[0], O_WRONLY | O_CREAT, 0600);
    EQ(write(fd, disk.now, disk.size), disk.size);
    close(fd);
    need("/usr/bin/python3 -c ''");
    EQ(shell(parser), 0);
    leave();
}

TEST(layout_of_a_dynamic_image) { layout_of(XK_VHD_DYNAMIC, 0xd5); /* each block that is there is full */ }
TEST(layout_of_a_differencing_image) { layout_of(XK_VHD_DIFFERENCING, 0xd0); }

TEST(images_have_none_unless_they_are_told_to)
{
    struct xk_vhd_spec s = {.type = XK_VHD_FIXED, .size = 1 << 20, .batmap = 1};

    image(XK_VHD_DYNAMIC, 0);
    EQ(info_of().batmap, XK_VHD_BATMAP_NONE);
    frail_new(&disk);
    EQ(xk_vhd_create(&disk.file, &s), XK_EINVAL);
}

/* blktap takes one byte of its map for each eight whole blocks: the 4097th to 4103rd of a disk have no bit. */
TEST(the_last_blocks_of_some_sizes_have_no_bit)
{
    struct xk_vhd_spec s = {.type = XK_VHD_DYNAMIC, .size = 4104ull * BLOCK - 512, .block_size = BLOCK, .batmap = 1};
    uint8_t data[XK_SECTOR] = {1};
    struct xk_blkdev *dev;

    for (unsigned full = 1; full <= 2; full++, s.size += 512) {
        frail_new(&disk);
        EQ(xk_vhd_create(&disk.file, &s), 0);
        dev = opened(0);
        EQ(ask(dev, XK_BLK_WRITE, 0, 4095 * PER, data, sizeof(data)), 0);
        EQ(ask(dev, XK_BLK_WRITE, 0, 4096 * PER, data, sizeof(data)), 0);
        xk_blk_close(dev);
        EQ(info_of().full, full);
        EQ(checked(), 0);
        OK(!strstr(said, "does not say"));
    }
}

/* --- use --- */

TEST(bitmaps_of_full_blocks_are_not_looked_at)
{
    uint8_t none[XK_SECTOR] = {0}, buf[8 * XK_SECTOR];
    struct xk_blkdev *dev;

    for (int batmap = 0; batmap < 2; batmap++) {
        image(XK_VHD_DIFFERENCING, batmap);
        dev = opened(XK_BLK_READONLY);
        bitmap_reads = 0;
        for (int again = 0; again < 4; again++)
            for (int i = 0; i < 4; i++) {
                EQ(ask(dev, XK_BLK_READ, 0, (uint64_t)i * PER + 8, buf, sizeof(buf)), 0);
                MEMEQ(buf, model[0] + i * BLOCK + 8 * XK_SECTOR, sizeof(buf));
            }
        EQ(bitmap_reads, batmap ? 0 : 3);
        xk_blk_close(dev);
    }
    EQ(xk_file_write(&disk.file, none, XK_SECTOR, first), XK_SECTOR); /* block 0's, which lies from now on */
    reads_right();
    EQ(checked(), 1);
}

TEST(without_one_they_are_looked_at_once)
{
    uint8_t buf[XK_SECTOR];
    struct xk_blkdev *dev;

    image(XK_VHD_DIFFERENCING, 0);
    dev = opened(XK_BLK_READONLY);
    bitmap_reads = 0;
    for (int again = 0; again < 9; again++)
        for (int i = 0; i < 2; i++)
            EQ(ask(dev, XK_BLK_READ, 0, (uint64_t)i * PER + 8, buf, sizeof(buf)), 0);
    EQ(bitmap_reads, 2);
    xk_blk_close(dev);
}

/* Reading alone writes nothing, though it learns. */
TEST(what_is_only_read_is_not_written)
{
    struct xk_blkdev *dev;

    image(XK_VHD_DIFFERENCING, 1);
    poke_bits(0, 0x80, 0);
    disk.ops = 0;
    dev = opened(0);
    all_is(dev, model[0]);
    xk_blk_close(dev);
    EQ(disk.ops, 0);
    EQ(info_of().full, 1);
    dev = opened(0); /* a block that gets full is a reason to, and takes along what was learned */
    all_is(dev, model[0]);
    EQ(ask(dev, XK_BLK_WRITE, 0, 7 * PER, model[0] + BLOCK, BLOCK), 0);
    xk_blk_close(dev);
    EQ(info_of().full, 4);
    EQ(checked(), 0);
}

/* --- what is wrong --- */

static const struct wrong {
    uint64_t at;
    uint32_t value;
    int sum; /* is put right */
    int anew;
    const char *says;
} wrongs[] = {
    {MAP_HEADER + 20, 0x00010003, 0, 0, "its version is not known"},
    {MAP_HEADER + 20, 0x00020001, 0, 0, "its version is not known"},
    {MAP_HEADER + 16, 0, 0, 0, "it has fewer bits than the table has blocks"},
    {MAP_HEADER + 16, 0xffffffff, 0, 0, "where its bits should be"},
    {MAP_HEADER + 16, 2, 0, 0, "where its bits should be"}, /* a block is there */
    {MAP_HEADER + 12, MAP + 1, 0, 0, "where its bits should be"},
    {MAP_HEADER + 12, 0, 0, 0, "where its bits should be"},
    {MAP_HEADER + 12, 512, 0, 0, "where its bits should be"},
    {MAP_HEADER + 12, TABLE, 0, 0, "where its bits should be"},
    {MAP_HEADER + 12, MAP_HEADER, 0, 0, "where its bits should be"},
    {MAP_HEADER + 12, FIRST + ROOMY - 512, 0, 0, "where its bits should be"},
    {MAP_HEADER + 12, 3 << 20, 0, 0, "where its bits should be"},
    {MAP_HEADER + 8, 0x7fffffff, 0, 0, "where its bits should be"},
    {MAP_HEADER + 24, 77, 0, 1, "its checksum is wrong"},
    {MAP, 0xffffffff, 0, 1, "its checksum is wrong"},
    {MAP, 0xf5000000, 1, 1, "it says of a block that is not in the file"}, /* block 2 */
    {MAP, 0xd5000001, 1, 1, "it says of a block that is not in the file"}, /* there is none of this number */
};

TEST(what_is_wrong_is_told_and_not_used)
{
    for (unsigned i = 0; i < sizeof(wrongs) / sizeof(*wrongs); i++) {
        const struct wrong *w = &wrongs[i];
        struct xk_blkdev *dev;
        image(XK_VHD_DYNAMIC, 1);
        poke32(w->at, w->value);
        if (w->sum)
            poke_bits(0, (uint8_t)(w->value >> 24), 0);
        EQ(info_of().batmap, XK_VHD_BATMAP_WRONG);
        EQ(info_of().full, 0);
        EQ(checked(), 0);
        if (!strstr(said, w->says) || !strstr(said, "0 the batmap at byte 2048 is not used"))
            TAP_FAIL("%u: %s", i, said);
        EQ(strstr(said, "it is made anew when") != NULL, w->anew);
        reads_right();
        EQ(info_of().batmap, XK_VHD_BATMAP_WRONG);
        EQ(xk_vhd_mend_batmap(&disk.file), w->anew ? 0 : XK_EINVAL);
        EQ(info_of().full, w->anew ? 5 : 0);
        poke32(w->at, w->value);
        if (w->sum)
            poke_bits(0, (uint8_t)(w->value >> 24), 0);
        dev = opened(0);
        EQ(ask(dev, XK_BLK_WRITE, 0, 2 * PER, model[0], XK_SECTOR), 0);
        memcpy(model[0] + 2 * BLOCK, model[0], XK_SECTOR);
        all_is(dev, model[0]);
        xk_blk_close(dev);
        EQ(info_of().batmap, w->anew ? XK_VHD_BATMAP_USED : XK_VHD_BATMAP_WRONG);
        EQ(info_of().full, w->anew ? 6 : 0); /* the new one, and what was learned by reading */
        EQ(checked(), 0);
        reads_right();
    }
}

/* What looks like a header and is within a block is data of whoever writes the disk. */
TEST(a_block_s_bytes_are_no_batmap)
{
    uint8_t header[512];

    image(XK_VHD_DYNAMIC, 1);
    memcpy(header, disk.now + MAP_HEADER, 512);
    image(XK_VHD_DYNAMIC, 0);
    EQ(xk_file_write(&disk.file, header, 512, MAP_HEADER), 512); /* where the first block's bitmap is */
    EQ(info_of().batmap, XK_VHD_BATMAP_NONE);
    EQ(checked(), 0);
    OK(!strstr(said, "batmap"));
}

/* The file says of a block that it is full, and says so well; it is not. */
TEST(a_bit_that_lies_is_damage_until_it_is_made_anew)
{
    image(XK_VHD_DIFFERENCING, 1);
    poke_bits(0, 0xd0 | 0x04, 0);
    EQ(checked(), 1);
    OK(strstr(said, "1 the batmap says that block 5 is full, its bitmap at byte 203264 lacks 120 sectors"));
    EQ(xk_vhd_mend_batmap(&disk.file), 0);
    EQ(disk.now[MAP], 0xd0);
    EQ(checked(), 0);
    OK(!strstr(said, "batmap"));
    reads_right();
}

TEST(a_bit_that_lacks_is_noted)
{
    image(XK_VHD_DYNAMIC, 1);
    poke_bits(0, 0x80, 0);
    EQ(checked(), 0);
    OK(strstr(said, "0 the batmap does not say so of 4 blocks that are full"));
    reads_right();
    EQ(xk_vhd_mend_batmap(&disk.file), 0);
    EQ(info_of().full, 5);
    image(XK_VHD_DYNAMIC, 0);
    EQ(xk_vhd_mend_batmap(&disk.file), XK_EINVAL);
}

/* When the power is cut while it is made anew, no bit lies, whichever sectors came to the disk. */
TEST(making_anew_may_be_cut_anywhere)
{
    for (int cut = 1, r = -1; r < 0; cut++)
        for (int i = 0; i < 20; i++) {
            image(XK_VHD_DIFFERENCING, 1);
            poke_bits(0, 0xd5, 0);
            EQ(xk_file_sync(&disk.file), 0);
            disk.ops = 0;
            disk.cut = cut;
            r = xk_vhd_mend_batmap(&disk.file);
            frail_cut(&disk);
            if (cut > 3) { /* what lied is gone once the first sync is done */
                EQ(checked(), 0);
                reads_right();
            }
        }
}

/* --- blktap's own --- */

/* Its first version takes bytes for signed ones; what it keeps in the header for others stays. */
TEST(the_first_version_and_what_is_others_stay)
{
    struct xk_blkdev *dev;
    uint8_t mark[2] = {7, 1}, hash[64];

    memset(hash, 0xab, sizeof(hash));
    image(XK_VHD_DIFFERENCING, 1);
    poke32(MAP_HEADER + 20, 0x00010001);
    EQ(info_of().batmap, XK_VHD_BATMAP_WRONG);
    poke_bits(0, 0xd0, 1);
    EQ(xk_file_write(&disk.file, mark, 2, MAP_HEADER + 28), 2);
    EQ(xk_file_write(&disk.file, hash, 64, MAP_HEADER + 30), 64);
    EQ(info_of().batmap, XK_VHD_BATMAP_USED);
    EQ(info_of().full, 3);
    dev = opened(0);
    EQ(ask(dev, XK_BLK_WRITE, 0, 5 * PER, model[0] + BLOCK, BLOCK), 0);
    xk_blk_close(dev);
    EQ(info_of().batmap, XK_VHD_BATMAP_USED);
    EQ(info_of().full, 4);
    EQ(vhd_get32(disk.now + MAP_HEADER + 20), 0x00010001);
    EQ(vhd_get32(disk.now + MAP_HEADER + 24), ~(0xffffffd4u));
    MEMEQ(disk.now + MAP_HEADER + 28, mark, 2);
    MEMEQ(disk.now + MAP_HEADER + 30, hash, 64);
    EQ(checked(), 0);
    OK(strstr(said, "0 the batmap has the hash of a key"));
}

/* --- what fails, what is cut --- */

/* Written, kicked together. The first error. */
static int kick(struct xk_blkdev *dev, const uint32_t (*part)[2], unsigned n, uint8_t *data)
{
    struct xk_blk_request r[8];
    struct xk_piece v[8];
    int err[8], first_err = 0;

    for (unsigned i = 0; i < n; i++) {
        v[i] = (struct xk_piece){data + part[i][0] * XK_SECTOR, part[i][1] * XK_SECTOR};
        r[i] = (struct xk_blk_request){.done = on_done_at,
                                       .arg = &err[i],
                                       .sector = part[i][0],
                                       .sectors = part[i][1],
                                       .piece = &v[i],
                                       .pieces = 1,
                                       .op = XK_BLK_WRITE};
        EQ(xk_blk_submit(dev, &r[i]), 0);
    }
    xk_blk_kick(dev);
    for (unsigned i = 0; i < n; i++)
        first_err = first_err ? first_err : err[i];
    return first_err;
}

/* Bits are written behind the entries of their blocks. */
static const struct xk_file_ops *below;
static int watched;

static int watching_write(struct xk_file *f, const void *buf, size_t n, uint64_t at)
{
    const uint8_t *bits = buf;

    if (at == MAP + 512) /* of a table of 200 blocks */
        for (unsigned i = 0; i < 200; i++) {
            uint8_t entry[4];
            EQ(xk_file_read(f, entry, 4, TABLE + i * 4ull), 4);
            OK(!(bits[i / 8] & 0x80 >> i % 8) || vhd_get32(entry) != VHD_NONE);
            watched += (bits[i / 8] & 0x80 >> i % 8) != 0;
        }
    return below->write(f, buf, n, at);
}

/* More than is pending at most; the last but one is read while it has no entry and its bitmap is there. */
TEST(nothing_is_learned_of_a_block_without_an_entry)
{
    enum { MANY = 180 };
    static uint8_t data[XK_SECTOR];
    struct xk_vhd_spec s = {.type = XK_VHD_DYNAMIC, .size = 200 * BLOCK, .block_size = BLOCK, .batmap = 1};
    struct xk_blk_request r[2 * MANY];
    struct xk_piece v = {data, sizeof(data)};
    struct xk_file_ops ops;
    struct xk_blkdev *dev;
    struct xk_file *file;
    int err[2 * MANY];

    EQ(xk_file_memory(NULL, 16 << 20, &file), 0);
    below = file->ops;
    ops = *below;
    ops.write = watching_write;
    file->ops = &ops;
    EQ(xk_vhd_create(file, &s), 0);
    EQ(xk_block_vhd(NULL, &file, 1, 0, &dev), 0);
    for (int i = 0; i < 2 * MANY; i++) {
        int block = i % 2 == 0 ? i / 2 : i / 2 - 1;
        r[i] = (struct xk_blk_request){.done = on_done_at,
                                       .arg = &err[i],
                                       .sector = block < 0 ? 0 : (uint64_t)block * PER,
                                       .sectors = 1,
                                       .piece = &v,
                                       .pieces = 1,
                                       .op = i % 2 == 0 ? XK_BLK_WRITE : XK_BLK_READ};
        EQ(xk_blk_submit(dev, &r[i]), 0);
    }
    xk_blk_kick(dev);
    xk_blk_close(dev);
    OK(watched > 300);
}

/* The last sectors of a block count as the others do. */
TEST(a_block_is_full_with_its_last_sectors)
{
    struct xk_vhd_spec s = {.type = XK_VHD_DIFFERENCING,
                            .size = SECTORS * XK_SECTOR,
                            .block_size = BLOCK,
                            .parent_name = "base",
                            .batmap = 1};

    for (int last = 0; last < 2; last++) {
        struct xk_blkdev *dev;
        frail_new(&disk);
        EQ(xk_vhd_create(&disk.file, &s), 0);
        dev = opened(0);
        EQ(ask(dev, XK_BLK_WRITE, 0, PER + 8u * !last, model[0], BLOCK - 8 * XK_SECTOR), 0);
        xk_blk_close(dev);
        EQ(info_of().full, 0);
        dev = opened(0);
        EQ(ask(dev, XK_BLK_WRITE, 0, PER + (last ? PER - 8u : 0u), model[0], 8 * XK_SECTOR), 0);
        xk_blk_close(dev);
        EQ(info_of().full, 1);
    }
}

/* Blocks that were full when their kick failed are not there after all, and not full when they come again. */
TEST(a_block_of_a_kick_that_failed_is_not_full)
{
    static uint8_t data[SECTORS * XK_SECTOR], got[BLOCK];
    static const uint32_t part[][2] = {{0, PER}, {PER, PER}}, little[][2] = {{8, 8}, {PER + 8, 8}};
    struct xk_vhd_spec s = {
        .type = XK_VHD_DIFFERENCING, .size = sizeof(data), .block_size = BLOCK, .parent_name = "base", .batmap = 1};

    memset(data, 7, sizeof(data));
    for (int cut = 1, r = -1; r < 0; cut++) {
        struct xk_file *chain[2] = {&disk.file, NULL};
        struct xk_blkdev *dev;
        frail_new(&disk);
        EQ(xk_vhd_create(&disk.file, &s), 0);
        EQ(xk_file_memory(NULL, sizeof(data), &chain[1]), 0);
        memset(got, 5, sizeof(got));
        for (uint32_t at = 0; at + BLOCK <= sizeof(data); at += BLOCK) /* the parent's */
            EQ(xk_file_write(chain[1], got, BLOCK, at), BLOCK);
        EQ(xk_block_vhd(NULL, chain, 2, 0, &dev), 0);
        disk.ops = 0;
        disk.cut = cut;
        r = kick(dev, part, 2, data);
        disk.cut = 0;
        (void)!kick(dev, little, 2, data);
        for (int block = 0; block < 2; block++) {
            EQ(ask(dev, XK_BLK_READ, 0, (uint64_t)block * PER, got, sizeof(got)), 0);
            for (unsigned i = 0; i < sizeof(got); i++)
                if (got[i] != 5 && got[i] != 7)
                    TAP_FAIL("cut %d: byte %u of block %d is %d", cut, i, block, got[i]);
        }
        xk_blk_close(dev);
        EQ(checked(), 0);
    }
}

/* Where a locator is, there are no bits. */
TEST(bits_do_not_lie_on_a_locator)
{
    image(XK_VHD_DIFFERENCING, 1);
    poke32(MAP_HEADER + 12, FIRST);
    EQ(checked(), 0);
    OK(strstr(said, "where its bits should be"));
    poke32(MAP_HEADER + 12, FIRST + 512); /* beyond what is used of it */
    EQ(checked(), 0);
    OK(strstr(said, "its checksum is wrong") || info_of().full == 0);
}

/* A bit that a block without an entry had is gone before the block comes. */
TEST(a_bit_of_an_absent_block_is_cleared_first)
{
    struct xk_blkdev *dev;

    image(XK_VHD_DIFFERENCING, 1);
    poke_bits(0, 0xd0 | 0x20, 0);
    dev = opened(0);
    EQ(ask(dev, XK_BLK_WRITE, 0, 2 * PER, model[0], 8 * XK_SECTOR), 0);
    EQ(checked(), 0); /* as who finds it when this program is killed here */
    OK(info_of().batmap == XK_VHD_BATMAP_USED);
    xk_blk_close(dev);
}
