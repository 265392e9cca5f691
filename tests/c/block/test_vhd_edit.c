/* Chains of VHDs that are changed: coalesced, given another parent, checked; cut at each point, judged by libvhdi.
 * SPDX-License-Identifier: MIT */
#include "tests/c/block/vhds.h" /* first */

#include "tests/c/frail.h"

/* --- three files in memory: a base, its child, the child's child --- */

enum { BASE, CHILD, GRAND, FILES };
static const char *const names[FILES] = {"base.vhd", "child.vhd", "grand.vhd"};
static struct frail disk[FILES];

static struct xk_blkdev *open_level(int top, int base, unsigned features)
{
    struct xk_file *chain[FILES];
    struct xk_blkdev *dev;
    unsigned n = 0;

    for (int i = top; i >= 0; i--)
        if (i != CHILD || base != BASE || top == CHILD)
            chain[n++] = &disk[i].file;
    EQ(xk_block_vhd(NULL, chain, n, features, &dev), 0);
    return dev;
}

/* The grandchild over whichever parent it names. */
static struct xk_blkdev *open_grand(void)
{
    struct xk_vhd_info info;

    EQ(xk_vhd_read_info(&disk[GRAND].file, &info), 0);
    OK(info.parent_uuid[0] == BASE + 1 || info.parent_uuid[0] == CHILD + 1);
    STREQ(info.parent_name, names[info.parent_uuid[0] - 1]);
    return open_level(GRAND, info.parent_uuid[0] - 1, XK_BLK_READONLY);
}

static void make(enum xk_vhd_type base)
{
    for (int i = 0; i < FILES; i++) {
        struct xk_vhd_spec s = {.type = i ? XK_VHD_DIFFERENCING : base,
                                .size = SECTORS * XK_SECTOR,
                                .block_size = BLOCK,
                                .parent_name = i ? names[i - 1] : NULL,
                                .batmap = batmaps && (i || base != XK_VHD_FIXED)};
        struct xk_blkdev *dev;
        frail_new(&disk[i]);
        uuid_of(s.uuid, i);
        uuid_of(s.parent_uuid, i - 1);
        EQ(xk_vhd_create(&disk[i].file, &s), 0);
        memcpy(model[i], i ? model[i - 1] : model[FILES], sizeof(model[0]));
        dev = open_level(i, i - 1, 0);
        churn(dev, model[i], 30);
        xk_blk_close(dev);
    }
}

/* 0: the child is in its parent; or what stopped it. */
static int coalesce_child(void)
{
    struct xk_blkdev *top = open_level(CHILD, BASE, XK_BLK_READONLY), *parent = open_level(BASE, 0, 0);
    uint64_t at = 0;
    int r;

    do
        r = xk_vhd_coalesce(top, parent, &at, 100);
    while (r > 0);
    if (r == 0)
        EQ(at, SECTORS);
    xk_blk_close(top);
    xk_blk_close(parent);
    return r;
}

static int give_grand_to_base(void)
{
    struct xk_vhd_spec s = {.parent_name = names[BASE]};

    uuid_of(s.parent_uuid, BASE);
    return xk_vhd_set_parent(&disk[GRAND].file, &s);
}

static void grand_reads_the_same(void)
{
    struct xk_blkdev *dev = open_grand();

    all_is(dev, model[GRAND]);
    xk_blk_close(dev);
}

TEST(a_child_is_coalesced_and_left_out)
{
    for (int base = XK_VHD_FIXED; base <= XK_VHD_DYNAMIC; base++) {
        struct xk_blkdev *dev;
        make((enum xk_vhd_type)base);
        EQ(coalesce_child(), 0);
        grand_reads_the_same();
        EQ(give_grand_to_base(), 0);
        grand_reads_the_same();
        dev = open_level(BASE, 0, XK_BLK_READONLY);
        all_is(dev, model[CHILD]);
        xk_blk_close(dev);
        dev = open_level(GRAND, BASE, 0); /* and goes on */
        churn(dev, model[GRAND], 50);
        xk_blk_close(dev);
        grand_reads_the_same();
        EQ(xk_vhd_check(&disk[GRAND].file, NULL, NULL), 0);
        EQ(xk_vhd_check(&disk[BASE].file, NULL, NULL), 0);
    }
}

/* What fills the parent's blocks is in its batmap then. */
TEST(a_coalesce_fills_blocks_of_the_parent)
{
    struct xk_vhd_info info;
    struct xk_blkdev *dev;

    batmaps = 1;
    make(XK_VHD_DYNAMIC);
    dev = open_level(CHILD, BASE, 0); /* the grandchild's parent is written, half of each block, and the other half */
    for (uint32_t half = 0; half < 2; half++) {
        for (uint32_t at = half * 64; at + 64 <= SECTORS; at += 128)
            EQ(ask(dev, XK_BLK_WRITE, 0, at, model[CHILD] + at * XK_SECTOR, 64 * XK_SECTOR), 0);
        EQ(xk_vhd_read_info(&disk[CHILD].file, &info), 0);
        OK(half || info.full < info.blocks);
    }
    xk_blk_close(dev);
    EQ(xk_vhd_read_info(&disk[CHILD].file, &info), 0);
    EQ(info.full, info.blocks - 1); /* the disk ends within the last one, whose bits a differencing image never has */
    EQ(coalesce_child(), 0);
    EQ(xk_vhd_read_info(&disk[BASE].file, &info), 0);
    EQ(info.full, info.blocks);
    for (int i = 0; i < FILES; i++)
        EQ(xk_vhd_check(&disk[i].file, NULL, NULL), 0);
    dev = open_level(BASE, 0, XK_BLK_READONLY);
    all_is(dev, model[CHILD]);
    xk_blk_close(dev);
}

/* --- cut at each point --- */

static void write_out(int cut)
{
    char name[100];

    for (int i = 0; i < FILES; i++) {
        int fd;
        snprintf(name, sizeof(name), "%s/%04d-%s", folder, cut, names[i]);
        fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        EQ(write(fd, disk[i].now, disk[i].size), disk[i].size);
        close(fd);
    }
}

static void libvhdi_judges(int cuts)
{
    char command[1200];

    if (system("/usr/bin/python3 -c 'import pyvhdi' > /dev/null 2>&1") != 0) {
        printf("# not here: pyvhdi\n");
        return;
    }
    snprintf(command, sizeof(command),
             "cat > judge.py << 'P'\n"
             "import pyvhdi\n"
             "want = open('want', 'rb').read()\n"
             "def opened(name, parent=None):\n"
             "    f = pyvhdi.file()\n"
             "    f.open(name)\n"
             "    if parent: f.set_parent(parent)\n"
             "    return f\n"
             "for i in range(%d):\n"
             "    names = ['%%04d-%%s' %% (i, n) for n in ('base.vhd', 'child.vhd', 'grand.vhd')]\n"
             "    base = opened(names[0])\n"
             "    grand = opened(names[2])\n"
             "    over = grand.get_parent_filename()\n"
             "    assert over in ('base.vhd', 'child.vhd'), over\n"
             "    parent = base if over == 'base.vhd' else opened(names[1], base)\n" /* it keeps no reference */
             "    grand.set_parent(parent)\n"
             "    got = b''.join(grand.read_buffer_at_offset(min(65536, len(want) - at), at)\n"
             "                   for at in range(0, len(want), 65536))\n"
             "    assert got == want, 'cut %%d' %% i\n"
             "P\n"
             "/usr/bin/python3 judge.py",
             cuts);
    EQ(shell(command), 0);
}

static struct frail kept[FILES];

static void keep(void)
{
    for (int i = 0; i < FILES; i++) {
        frail_new(&kept[i]);
        memcpy(kept[i].now, disk[i].now, ROOM);
        kept[i].size = disk[i].size;
    }
}

static void as_kept(void)
{
    for (int i = 0; i < FILES; i++) {
        frail_new(&disk[i]);
        memcpy(disk[i].now, kept[i].now, ROOM);
        memcpy(disk[i].durable, kept[i].now, ROOM);
        disk[i].size = disk[i].durable_size = kept[i].size;
    }
}

/* The base's writes come first, then the grandchild's; after so many of them the power goes. 0: it was done before. */
static int coalesce_until(int cut)
{
    int r;

    disk[BASE].cut = cut;
    r = coalesce_child();
    if (r == 0) {
        long left = cut - disk[BASE].ops;
        disk[GRAND].cut = left > 0 ? left : 1;
        r = give_grand_to_base();
    }
    for (int i = 0; i < FILES; i++)
        frail_cut(&disk[i]);
    return r;
}

static void write_want(void)
{
    char name[64];
    int fd;

    snprintf(name, sizeof(name), "%s/want", folder);
    fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    EQ(write(fd, model[GRAND], sizeof(model[0])), sizeof(model[0]));
    close(fd);
}

/* Whatever the cut left of batmaps, none lies. */
static int bits_seen, batmaps_wrong;

static void batmaps_are_true(void)
{
    struct xk_vhd_info info;

    for (int i = 0; i < FILES; i++) {
        EQ(xk_vhd_check(&disk[i].file, NULL, NULL), 0);
        EQ(xk_vhd_read_info(&disk[i].file, &info), 0);
        OK(info.batmap != XK_VHD_BATMAP_NONE);
        bits_seen += (int)info.full;
        batmaps_wrong += info.batmap == XK_VHD_BATMAP_WRONG;
    }
}

static void cut_anywhere(void)
{
    int cuts = 0, parents[FILES] = {0};

    enter();
    for (int round = 0, rounds = tap_rounds(8); round < rounds; round++) {
        int cut, r = 1;
        make(XK_VHD_DYNAMIC);
        keep();
        for (cut = 0; r != 0; cut++) {
            struct xk_vhd_info info;
            as_kept();
            r = coalesce_until(1 + cut);
            write_out(cut);
            grand_reads_the_same();
            if (batmaps)
                batmaps_are_true();
            EQ(xk_vhd_read_info(&disk[GRAND].file, &info), 0);
            parents[info.parent_uuid[0] - 1]++;
            if (r != 0 && roll(4) == 0) { /* and is done again after it */
                EQ(coalesce_child(), 0);
                EQ(give_grand_to_base(), 0);
                grand_reads_the_same();
            }
        }
        write_want();
        libvhdi_judges(cut);
        cuts += cut;
    }
    printf("# %d cuts: %d left the grandchild over the child, %d over the base\n", cuts, parents[CHILD], parents[BASE]);
    OK(cuts > tap_rounds(100) && parents[BASE] > tap_rounds(10) && parents[CHILD] > tap_rounds(50));
    leave();
}

TEST(a_coalesce_may_be_cut_anywhere) { cut_anywhere(); }
TEST(a_coalesce_of_images_with_batmaps_may_be_cut_anywhere)
{
    batmaps = 1;
    cut_anywhere();
    printf("# %d bits, %d wrong batmaps\n", bits_seen, batmaps_wrong);
    OK(bits_seen > tap_rounds(1000));
}

/* --- copies --- */

static void copied(enum xk_vhd_type type, int sparse)
{
    struct xk_vhd_spec s = {.type = type, .size = SECTORS * XK_SECTOR, .block_size = BLOCK};
    struct xk_blkdev *from, *to;
    struct xk_file *file, *again;
    uint64_t at = 0;
    int r;

    memset(model[0], 0, sizeof(model[0]));
    for (int i = 0; i < 20; i++)
        model[0][roll(sizeof(model[0]) / 4)] = (uint8_t)(1 + roll(255)); /* the rest is never in the file */
    EQ(xk_block_memory(NULL, SECTORS, &from), 0);
    EQ(ask(from, XK_BLK_WRITE, 0, 0, model[0], sizeof(model[0])), 0);
    EQ(xk_file_memory(NULL, ROOM, &file), 0);
    EQ(xk_vhd_create(file, &s), 0);
    again = file;
    EQ(xk_block_vhd(NULL, &again, 1, XK_VHD_LAZY, &to), 0);
    do
        r = xk_blk_copy(from, to, &at, 64, sparse);
    while (r > 0);
    EQ(r, 0);
    all_is(to, model[0]);
    if (sparse && type == XK_VHD_DYNAMIC)
        OK(xk_file_size(file) < 8 * BLOCK);
    at = 0;
    do /* and back */
        r = xk_blk_copy(to, from, &at, 4096, 0);
    while (r > 0);
    EQ(r, 0);
    all_is(from, model[0]);
    xk_blk_close(from);
    xk_blk_close(to);
}

TEST(an_image_is_copied_into_another)
{
    for (int sparse = 0; sparse < 2; sparse++) {
        copied(XK_VHD_FIXED, sparse);
        copied(XK_VHD_DYNAMIC, sparse);
    }
}

TEST(a_copy_needs_room)
{
    struct xk_blkdev *small, *large;
    uint64_t at = 0;

    EQ(xk_block_memory(NULL, 10, &small), 0);
    EQ(xk_block_memory(NULL, 11, &large), 0);
    EQ(xk_blk_copy(large, small, &at, 1, 0), XK_ERANGE);
    EQ(xk_vhd_coalesce(large, small, &at, 1), XK_EINVAL);
    xk_blk_close(small);
    xk_blk_close(large);
}

/* --- checked --- */

static char said[1000];
static void told_text(void *arg, int bad, const char *text)
{
    (void)arg;
    snprintf(said + strlen(said), sizeof(said) - strlen(said), "%d %s\n", bad, text);
}

static int check_with(uint64_t at, uint32_t word)
{
    struct xk_vhd_spec s = {.type = XK_VHD_DYNAMIC, .size = SECTORS * XK_SECTOR, .block_size = BLOCK};
    struct xk_file *file;
    struct xk_blkdev *dev;
    struct xk_file *again;
    uint8_t bytes[4];
    int r;

    frail_new(&disk[0]);
    file = again = &disk[0].file;
    EQ(xk_vhd_create(file, &s), 0);
    EQ(xk_block_vhd(NULL, &again, 1, 0, &dev), 0);
    EQ(ask(dev, XK_BLK_WRITE, 0, 0, model[0], 200 * XK_SECTOR), 0); /* blocks 0 and 1 */
    xk_blk_close(dev);
    vhd_put32(bytes, word);
    if (at)
        EQ(xk_file_write(file, bytes, 4, at), 4);
    said[0] = '\0';
    r = xk_vhd_check(file, told_text, NULL);
    return r;
}

TEST(what_is_wrong_is_said)
{
    enum { TABLE = 1536, FIRST = 4 /* sectors */ };

    EQ(check_with(0, 0), 0);
    OK(strstr(said, "2 of 12 blocks are in the file"));
    EQ(check_with(TABLE + 4, FIRST), 1);
    OK(strstr(said, "1 blocks 0 and 1 overlap") || strstr(said, "1 blocks 1 and 0 overlap"));
    EQ(check_with(TABLE, 1), 1);
    OK(strstr(said, "1 block 0 begins at byte 512, within the table"));
    EQ(check_with(TABLE + 8, 1000), 1);
    OK(strstr(said, "1 block 2 ends at byte 578048, beyond the file's data"));
    EQ(check_with(20, 77), 0);
    OK(strstr(said, "0 the footer's copy at the beginning is another"));
    EQ(check_with(disk[0].size - 500, 77), 0);
    OK(strstr(said, "0 the footer at its end is lost"));
}
