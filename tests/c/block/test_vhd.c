/* VHDs: data against a model through chains, judged by qemu-img and libvhdi; damage; cuts of the power.
 * SPDX-License-Identifier: MIT */
#include "tests/c/block/vhds.h" /* first */

#include "tests/c/frail.h"

/* A chain is grown; each level is written as the top, closed and opened now and then, and stays as it is then. */
static void chain_of(enum xk_vhd_type base)
{
    enter();
    for (int top = 0; top < LEVELS; top++) {
        create(top, base, SECTORS * XK_SECTOR);
        if (top)
            memcpy(model[top], model[top - 1], sizeof(model[0]));
        for (int again = 0; again < 4; again++) {
            struct xk_blkdev *dev = open_chain(top, 0);
            OK(dev->info.features & XK_BLK_DEAR_KICK); /* which ends with a sync */
            all_is(dev, model[top]);
            churn(dev, model[top], 40);
            xk_blk_close(dev);
        }
    }
    for (int top = 0; top < LEVELS; top++) {
        struct xk_blkdev *dev = open_chain(top, XK_BLK_READONLY);
        all_is(dev, model[top]);
        EQ(ask(dev, XK_BLK_WRITE, 0, 0, model[0], XK_SECTOR), XK_EROFS);
        xk_blk_close(dev);
    }
}

TEST(data_of_a_fixed_image_and_its_children)
{
    chain_of(XK_VHD_FIXED);
    leave();
}
TEST(data_of_a_dynamic_image_and_its_children)
{
    chain_of(XK_VHD_DYNAMIC);
    leave();
}
TEST(data_of_images_with_batmaps)
{
    batmaps = 1;
    chain_of(XK_VHD_DYNAMIC);
    leave();
}

/* --- judges ------------------------------------------------------------------------------------------------------- */

static void by_qemu(enum xk_vhd_type base)
{
    need("qemu-img --version");
    chain_of(base);
    write_raw(0);
    EQ(shell("qemu-img compare -f vpc -F raw level0.vhd level0.vhd.raw"), 0);
    EQ(shell("qemu-img info -f vpc level0.vhd | grep -q '(768000 bytes)'"), 0);
    leave();
}

TEST(qemu_img_reads_a_fixed_image) { by_qemu(XK_VHD_FIXED); }
TEST(qemu_img_reads_a_dynamic_image) { by_qemu(XK_VHD_DYNAMIC); }
TEST(qemu_img_reads_an_image_with_a_batmap)
{
    batmaps = 1;
    by_qemu(XK_VHD_DYNAMIC);
}

static void of_qemu(const char *options)
{
    char command[300];
    struct xk_file *f;
    struct xk_blkdev *dev;
    struct xk_vhd_info info;

    need("qemu-img --version");
    enter();
    for (size_t i = 0; i < sizeof(model[0]); i++)
        model[0][i] = i / BLOCK % 3 == 1 ? 0 : (uint8_t)roll(256);
    write_raw(0);
    snprintf(command, sizeof(command), "qemu-img convert -f raw -O vpc -o %s,force_size=on level0.vhd.raw level0.vhd",
             options);
    EQ(shell(command), 0);
    f = open_file(path[0]);
    EQ(xk_vhd_read_info(f, &info), 0);
    EQ(info.size, sizeof(model[0]));
    STREQ(info.creator, "qem2");
    xk_file_close(f);
    dev = open_chain(0, 0);
    all_is(dev, model[0]);
    churn(dev, model[0], 100);
    xk_blk_close(dev);
    write_raw(0);
    EQ(shell("qemu-img compare -f vpc -F raw level0.vhd level0.vhd.raw"), 0);
    create(1, XK_VHD_DYNAMIC, SECTORS * XK_SECTOR); /* its child names another parent */
    {
        struct xk_file *chain[2] = {open_file(path[1]), open_file(path[0])};
        EQ(xk_block_vhd(NULL, chain, 2, 0, &dev), XK_EINVAL);
    }
    leave();
}

TEST(a_fixed_image_of_qemu_img_is_read_and_written) { of_qemu("subformat=fixed"); }
TEST(a_dynamic_image_of_qemu_img_is_read_and_written) { of_qemu("subformat=dynamic"); }

/* libvhdi reads differencing images, too, each level of a chain. */
static void by_libvhdi(enum xk_vhd_type base)
{
    need("/usr/bin/python3 -c 'import pyvhdi'");
    chain_of(base);
    for (int i = 0; i < LEVELS; i++)
        write_raw(i);
    EQ(shell("cat > judge.py << 'P'\n"
             "import pyvhdi\n"
             "step, chain = 65536, []\n" /* a block: it reads wrongly across two of them */
             "for i in range(4):\n"
             "    f = pyvhdi.file()\n"
             "    f.open('level%d.vhd' % i)\n"
             "    if chain: f.set_parent(chain[-1])\n"
             "    chain.append(f)\n"
             "    size = f.get_media_size()\n"
             "    got = b''.join(f.read_buffer_at_offset(min(step, size - at), at) for at in range(0, size, step))\n"
             "    assert got == open('level%d.vhd.raw' % i, 'rb').read(), 'level %d' % i\n"
             "    if i: assert f.get_parent_filename() == 'level%d.vhd' % (i - 1), f.get_parent_filename()\n"
             "P\n"
             "/usr/bin/python3 judge.py"),
       0);
    leave();
}

TEST(libvhdi_reads_each_level_over_a_fixed_image) { by_libvhdi(XK_VHD_FIXED); }
TEST(libvhdi_reads_each_level_over_a_dynamic_image) { by_libvhdi(XK_VHD_DYNAMIC); }
TEST(libvhdi_reads_each_level_with_a_batmap)
{
    batmaps = 1;
    by_libvhdi(XK_VHD_DYNAMIC);
}

TEST(a_raw_file_may_be_a_parent_and_a_parent_smaller)
{
    struct xk_vhd_spec s = {.type = XK_VHD_DIFFERENCING, .size = SECTORS * XK_SECTOR, .parent_name = "base.raw"};
    struct xk_file *chain[2];
    struct xk_blkdev *dev;

    enter();
    uuid_of(s.uuid, 1);
    chain[0] = open_file(path[1]);
    EQ(xk_vhd_create(chain[0], &s), 0);
    chain[1] = open_file(path[0]);
    for (size_t i = 0; i < 700 * XK_SECTOR + 100; i++)
        model[0][i] = (uint8_t)roll(256);
    EQ(xk_file_write(chain[1], model[0], 700 * XK_SECTOR + 100, 0), 700 * XK_SECTOR + 100);
    memset(model[0] + 700 * XK_SECTOR, 0, 100); /* not a whole sector: it is not there */
    EQ(xk_block_vhd(NULL, chain, 2, 0, &dev), 0);
    all_is(dev, model[0]);
    churn(dev, model[0], 100);
    all_is(dev, model[0]);
    xk_blk_close(dev);
    leave();
}

/* --- what is no VHD, or damaged ----------------------------------------------------------------------------------- */

TEST(names_of_parents_are_any_unicode)
{
    static const char *const good[] = {"a", "..\\dir\\b\xc3\xa4r.vhd", "\xe6\x97\xa5\xf0\x9f\x92\xbe.vhd"};
    static const char *const wrong[] = {"", "\xff", "a\n", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe6\x97"};
    struct xk_vhd_spec s = {.type = XK_VHD_DIFFERENCING, .size = 1 << 20};
    struct xk_vhd_info info;
    struct xk_file *f;

    for (unsigned i = 0; i < 3; i++) {
        EQ(xk_file_memory(NULL, 1 << 20, &f), 0);
        s.parent_name = good[i];
        EQ(xk_vhd_create(f, &s), 0);
        EQ(xk_vhd_read_info(f, &info), 0);
        STREQ(info.parent_name, good[i]);
        xk_file_close(f);
    }
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        EQ(xk_file_memory(NULL, 1 << 20, &f), 0);
        s.parent_name = wrong[i];
        EQ(xk_vhd_create(f, &s), XK_EINVAL);
        xk_file_close(f);
    }
}

TEST(sizes_have_bounds)
{
    struct xk_vhd_spec s = {.type = XK_VHD_DYNAMIC, .size = XK_VHD_SIZE_MAX + 512};
    struct xk_vhd_info info;
    struct xk_file *f;

    EQ(xk_file_memory(NULL, 16 << 20, &f), 0);
    EQ(xk_vhd_create(f, &s), XK_ERANGE);
    s.block_size = BLOCK;
    s.size = XK_VHD_SIZE_MAX;
    EQ(xk_vhd_create(f, &s), XK_ERANGE); /* too many blocks */
    s.block_size = 0;
    s.size = 100;
    EQ(xk_vhd_create(f, &s), XK_EINVAL);
    s.block_size = 3 << 20;
    s.size = 1 << 20;
    EQ(xk_vhd_create(f, &s), XK_EINVAL);
    s.block_size = 0;
    s.size = XK_VHD_SIZE_MAX;
    EQ(xk_vhd_create(f, &s), 0);
    EQ(xk_vhd_read_info(f, &info), 0);
    EQ(info.size, XK_VHD_SIZE_MAX);
    EQ(info.blocks, XK_VHD_SIZE_MAX >> 21);
    EQ(info.allocated, 0);
    EQ(xk_vhd_create(f, &s), XK_EINVAL); /* not empty */
    xk_file_close(f);
}

TEST(a_table_that_leads_astray_is_told)
{
    static const uint32_t bad[] = {0, 1, 2, 4, 5, 1000, 0x7fffffff, 0xfffffffe};
    struct xk_vhd_spec s = {.type = XK_VHD_DYNAMIC, .size = SECTORS * XK_SECTOR, .block_size = BLOCK};

    for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct xk_blkdev *dev;
        struct xk_file *f;
        uint8_t entry[4];
        int right = i == 4; /* behind the table, as a first block would be */
        EQ(xk_file_memory(NULL, 4 << 20, &f), 0);
        EQ(xk_vhd_create(f, &s), 0);
        vhd_put32(entry, bad[i]);
        EQ(xk_file_write(f, entry, 4, 1536 + 4 * 3), 4);
        if (right)
            EQ(xk_file_write(f, "end", 3, 5 * 512 + 512 + BLOCK + 512), 3);
        EQ(xk_block_vhd(NULL, &f, 1, 0, &dev), right ? 0 : XK_EPROTO);
        if (right)
            xk_blk_close(dev);
    }
}

/* One random change of a few bytes: what is opened either tells, or does as it did. */
TEST(damage_is_told_or_harmless)
{
    static uint8_t buf[300 * XK_SECTOR];
    struct xk_vhd_spec s = {.type = XK_VHD_DYNAMIC, .size = SECTORS * XK_SECTOR, .block_size = BLOCK};
    unsigned told_of = 0;

    for (int i = 0; i < 3000; i++) {
        struct xk_vhd_info info;
        struct xk_blkdev *dev;
        struct xk_file *f, *again;
        int64_t size;
        EQ(xk_file_memory(NULL, 4 << 20, &f), 0);
        EQ(xk_vhd_create(f, &s), 0);
        memset(buf, 7, BLOCK);
        size = xk_file_size(f);
        {
            uint8_t bytes[8];
            uint64_t at = roll(4) ? roll((unsigned)size) : 1536 + roll(100); /* the table has no checksum */
            for (unsigned k = 0; k < sizeof(bytes); k++)
                bytes[k] = (uint8_t)roll(256);
            EQ(xk_file_write(f, bytes, 1 + roll(8), at) > 0, 1);
            if (roll(4) == 0)
                EQ(xk_file_truncate(f, roll((unsigned)size)), 0);
        }
        again = f;
        if (xk_vhd_read_info(f, &info) == 0)
            EQ(info.size, s.size);
        if (xk_block_vhd(NULL, &again, 1, 0, &dev) < 0) {
            told_of++;
            continue;
        }
        ask(dev, XK_BLK_READ, 0, roll(1000), buf, sizeof(buf));
        ask(dev, XK_BLK_WRITE, 0, roll(1000), buf, sizeof(buf));
        xk_blk_close(dev);
    }
    OK(told_of > 500 && told_of < 3000);
}

/* --- power ------------------------------------------------------------------------------------------------------- */

/* Each sector holds its number and a generation. After a cut it has the one of the last flush, or a later one; after
 * the end of the program alone that of the last answer, or a later one. */
static struct {
    uint32_t flushed, answered, newest;
} sector[SECTORS];

static struct xk_blkdev *open_frail(struct frail *p, int differs)
{
    struct xk_file *chain[2] = {&p->file, NULL};
    uint32_t word[XK_SECTOR / 4] = {0};
    struct xk_blkdev *dev;

    EQ(xk_file_memory(NULL, 4 << 20, &chain[1]), 0);
    for (uint32_t i = 0; i < SECTORS; i++) { /* the parent's are of generation 1 */
        word[0] = i, word[1] = 1;
        EQ(xk_file_write(chain[1], word, sizeof(word), i * XK_SECTOR), sizeof(word));
    }
    if (!differs)
        xk_file_close(chain[1]);
    EQ(xk_block_vhd(NULL, chain, differs ? 2 : 1, 0, &dev), 0);
    return dev;
}

/* Some writes that are kicked together. */
static int write_some(struct xk_blkdev *dev)
{
    enum { MOST = 8 };
    static uint32_t word[MOST][XK_SECTOR / 4];
    struct xk_blk_request r[MOST];
    struct xk_piece v[MOST];
    int err[MOST], n = 1 + (int)roll(MOST), failed = 0;

    for (int i = 0; i < n; i++) {
        uint32_t at = i && roll(2) ? (uint32_t)r[i - 1].sector + 1 : roll(SECTORS);
        if (at == SECTORS)
            at = 0;
        word[i][0] = at, word[i][1] = ++sector[at].newest;
        v[i] = (struct xk_piece){word[i], XK_SECTOR};
        r[i] = (struct xk_blk_request){.done = on_done_at,
                                       .arg = &err[i],
                                       .sector = at,
                                       .sectors = 1,
                                       .piece = &v[i],
                                       .pieces = 1,
                                       .op = XK_BLK_WRITE};
        EQ(xk_blk_submit(dev, &r[i]), 0);
    }
    xk_blk_kick(dev);
    for (int i = 0; i < n; i++) {
        if (err[i] == 0)
            sector[r[i].sector].answered = word[i][1];
        failed |= err[i];
    }
    return failed;
}

/* All sectors of a block, so that it is full. */
static int write_block(struct xk_blkdev *dev)
{
    enum { PER = BLOCK / XK_SECTOR };
    static uint32_t word[PER][XK_SECTOR / 4];
    uint32_t at = roll(SECTORS / PER) * PER;
    int err;

    for (uint32_t i = 0; i < PER; i++)
        word[i][0] = at + i, word[i][1] = ++sector[at + i].newest;
    err = ask(dev, XK_BLK_WRITE, 0, at, word, sizeof(word));
    for (uint32_t i = 0; i < PER && err == 0; i++)
        sector[at + i].answered = word[i][1];
    return err;
}

/* What a cut left of a batmap: every bit is true; it may lack some, or its checksum may be wrong. */
static int batmaps_used, batmaps_wrong, bits_seen;

static void batmap_is_true(struct xk_file *file)
{
    struct xk_vhd_info info;

    EQ(xk_vhd_check(file, NULL, NULL), 0);
    EQ(xk_vhd_read_info(file, &info), 0);
    OK(info.batmap != XK_VHD_BATMAP_NONE);
    batmaps_used += info.batmap == XK_VHD_BATMAP_USED;
    batmaps_wrong += info.batmap == XK_VHD_BATMAP_WRONG;
    bits_seen += (int)info.full;
}

static void all_as_it_should(struct xk_blkdev *dev, int life, int cut)
{
    for (uint32_t i = 0; i < SECTORS; i++) {
        uint32_t word[XK_SECTOR / 4], least = cut ? sector[i].flushed : sector[i].answered;
        EQ(ask(dev, XK_BLK_READ, 0, i, word, sizeof(word)), 0);
        if (word[1] < least || word[1] > sector[i].newest || (word[1] && word[0] != i))
            TAP_FAIL("life %d: sector %u has %u of %u, should have %u to %u", life, i, word[1], word[0], least,
                     sector[i].newest);
        sector[i].flushed = sector[i].answered = sector[i].newest = word[1];
    }
    EQ(ask(dev, XK_BLK_FLUSH, 0, 0, NULL, 0), 0); /* what was read stays */
}

static void power_of(int differs)
{
    struct frail p = {.now = NULL};
    struct xk_vhd_spec s = {.type = differs ? XK_VHD_DIFFERENCING : XK_VHD_DYNAMIC,
                            .size = SECTORS * XK_SECTOR,
                            .block_size = BLOCK,
                            .parent_name = "base",
                            .batmap = batmaps};
    struct vhd_footer f;
    int cut = 1;

    for (int life = 0; life < 400; life++) {
        struct xk_blkdev *dev;
        if (life % 8 == 0) {
            frail_new(&p);
            EQ(xk_vhd_create(&p.file, &s), 0);
            for (int i = 0; i < SECTORS; i++)
                sector[i].flushed = sector[i].answered = sector[i].newest = differs;
        }
        if (batmaps)
            batmap_is_true(&p.file);
        dev = open_frail(&p, differs);
        all_as_it_should(dev, life, cut);
        p.ops = 0;
        p.cut = 1 + roll(60);
        for (int err = 0; err == 0;) {
            if (roll(12)) {
                err = batmaps && roll(4) == 0 ? write_block(dev) : write_some(dev);
                continue;
            }
            err = ask(dev, XK_BLK_FLUSH, 0, 0, NULL, 0);
            for (int i = 0; i < SECTORS && err == 0; i++)
                sector[i].flushed = sector[i].newest;
        }
        if (roll(2))
            p.cut = 0; /* what is done at the end is done */
        xk_blk_close(dev);
        cut = roll(3) > 0;
        if (cut)
            frail_cut(&p);
        EQ(vhd_footer_read(p.now + p.size - VHD_SECTOR, &f), 0); /* other programs know no other place for it */
        p.cut = p.ops = 0;
    }
    frail_free(&p);
}

TEST(a_dynamic_image_survives_400_power_cuts) { power_of(0); }
TEST(a_differencing_image_survives_400_power_cuts) { power_of(1); }
TEST(a_dynamic_image_s_batmap_survives_400_power_cuts)
{
    batmaps = 1;
    power_of(0);
    printf("# %d batmaps with %d bits, %d wrong ones\n", batmaps_used, bits_seen, batmaps_wrong);
    OK(batmaps_used > 100 && batmaps_wrong > 10 && bits_seen > 100);
}
TEST(a_differencing_image_s_batmap_survives_400_power_cuts)
{
    batmaps = 1;
    power_of(1);
    printf("# %d batmaps with %d bits, %d wrong ones\n", batmaps_used, bits_seen, batmaps_wrong);
    OK(batmaps_used > 100 && batmaps_wrong > 10 && bits_seen > 100);
}

/* All that a kick's writes make pending has one sync; the footer moves for the 1st, 2nd, 4th and 8th block. */
TEST(a_kick_is_synced_once)
{
    struct frail p = {.now = NULL};
    struct xk_vhd_spec s = {
        .type = XK_VHD_DIFFERENCING, .size = SECTORS * XK_SECTOR, .block_size = BLOCK, .parent_name = "base"};
    struct xk_blkdev *dev;
    long before;

    frail_new(&p);
    EQ(xk_vhd_create(&p.file, &s), 0);
    dev = open_frail(&p, 1);
    before = p.syncs;
    {
        static uint8_t data[20][8 * XK_SECTOR];
        struct xk_blk_request r[20];
        struct xk_piece v[20];
        int err[20];
        for (int i = 0; i < 20; i++) {
            v[i] = (struct xk_piece){data[i], sizeof(data[i])};
            r[i] = (struct xk_blk_request){.done = on_done_at,
                                           .arg = &err[i],
                                           .sector = i * 72, /* in nearly as many blocks */
                                           .sectors = 8,
                                           .piece = &v[i],
                                           .pieces = 1,
                                           .op = XK_BLK_WRITE};
            EQ(xk_blk_submit(dev, &r[i]), 0);
        }
        xk_blk_kick(dev);
        for (int i = 0; i < 20; i++)
            EQ(err[i], 0);
    }
    EQ(p.syncs - before, 1 + 4);
    xk_blk_close(dev);
    frail_free(&p);
}

/* More than fits in the list of what is pending, the first of each block: it is committed in the middle. */
TEST(a_kick_of_many_new_blocks_keeps_each_of_them)
{
    enum { MANY = 80, PER = BLOCK / XK_SECTOR };
    static uint8_t data[MANY][8 * XK_SECTOR], got[8 * XK_SECTOR];
    struct xk_vhd_spec s = {
        .type = XK_VHD_DIFFERENCING, .size = MANY * BLOCK, .block_size = BLOCK, .parent_name = "base"};
    struct xk_blk_request r[MANY];
    struct xk_piece v[MANY];
    struct xk_blkdev *dev;
    struct xk_file *chain[2];
    int err[MANY];

    enter();
    chain[0] = open_file(path[0]);
    EQ(xk_vhd_create(chain[0], &s), 0);
    EQ(xk_file_memory(NULL, 1, &chain[1]), 0);
    EQ(xk_block_vhd(NULL, chain, 2, 0, &dev), 0);
    for (int i = 0; i < MANY; i++) {
        memset(data[i], i + 1, sizeof(data[i]));
        v[i] = (struct xk_piece){data[i], sizeof(data[i])};
        r[i] = (struct xk_blk_request){.done = on_done_at,
                                       .arg = &err[i],
                                       .sector = (uint64_t)i * PER,
                                       .sectors = 8,
                                       .piece = &v[i],
                                       .pieces = 1,
                                       .op = XK_BLK_WRITE};
        EQ(xk_blk_submit(dev, &r[i]), 0);
    }
    xk_blk_kick(dev);
    for (int i = 0; i < MANY; i++) {
        EQ(err[i], 0);
        EQ(ask(dev, XK_BLK_READ, 0, (uint64_t)i * PER, got, sizeof(got)), 0);
        MEMEQ(got, data[i], sizeof(got));
    }
    xk_blk_close(dev);
    leave();
}

/* Lost room: the writes of the kick fail, and those after it go on as if they had not been. */
TEST(a_sync_that_fails_fails_the_whole_kick)
{
    struct frail p = {.now = NULL};
    struct xk_vhd_spec s = {.type = XK_VHD_DYNAMIC, .size = SECTORS * XK_SECTOR, .block_size = BLOCK};
    struct xk_blkdev *dev;

    for (long cut = 1, failed = 1; failed; cut++) {
        uint32_t word[XK_SECTOR / 4];
        frail_new(&p);
        EQ(xk_vhd_create(&p.file, &s), 0);
        memset(sector, 0, sizeof(sector));
        dev = open_frail(&p, 0);
        EQ(write_some(dev), 0);
        p.ops = 0;
        p.cut = cut;
        failed = write_some(dev) != 0;
        p.cut = 0;
        for (int i = 0; i < 3; i++)
            (void)!write_some(dev);               /* after a sync that failed none succeeds */
        for (int again = 0; again < 2; again++) { /* while it is open, and by who opens it next */
            for (uint32_t i = 0; i < SECTORS; i++) {
                EQ(ask(dev, XK_BLK_READ, 0, i, word, sizeof(word)), 0);
                OK(word[1] >= sector[i].answered && word[1] <= sector[i].newest);
            }
            xk_blk_close(dev);
            dev = open_frail(&p, 0);
        }
        xk_blk_close(dev);
    }
    frail_free(&p);
}
