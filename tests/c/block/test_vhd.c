/* VHDs: data against a model through chains, judged by qemu-img and libvhdi; damage; cuts of the power.
 * SPDX-License-Identifier: MIT */
#include "tests/c/tap.h" /* first */

#include <fcntl.h>
#include <unistd.h>

#include <xenkit/fake.h>

#include "block/vhd.h"

enum { SECTORS = 1500, BLOCK = 65536, LEVELS = 4 };

static uint64_t seed = 11;
static unsigned roll(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

static int told;
static void on_done(struct xk_blk_request *r, int err)
{
    (void)r;
    told = err;
}

static int ask(struct xk_blkdev *dev, int op, unsigned flags, uint64_t sector, void *buf, size_t bytes)
{
    struct xk_piece v[2] = {{buf, bytes > XK_SECTOR ? XK_SECTOR : bytes},
                            {(uint8_t *)buf + XK_SECTOR, bytes - XK_SECTOR}};
    struct xk_blk_request r = {.done = on_done,
                               .sector = sector,
                               .sectors = bytes / XK_SECTOR,
                               .piece = v,
                               .pieces = op > XK_BLK_WRITE   ? 0
                                         : bytes > XK_SECTOR ? 2
                                                             : 1,
                               .op = (uint8_t)op,
                               .flags = (uint8_t)flags};
    int err = xk_blk_submit(dev, &r);

    told = 1;
    if (err < 0)
        return err;
    xk_blk_kick(dev);
    return told;
}

/* --- files in a folder of their own ------------------------------------------------------------------------------- */

static char folder[] = "/tmp/xk-vhd-XXXXXX", path[LEVELS][64];

static void enter(void)
{
    OK(mkdtemp(folder) != NULL);
    for (int i = 0; i < LEVELS; i++)
        snprintf(path[i], sizeof(path[i]), "%s/level%d.vhd", folder, i);
}

static void leave(void)
{
    char command[64];

    snprintf(command, sizeof(command), "rm -r %s", folder);
    EQ(system(command), 0);
}

static struct xk_file *open_file(const char *name)
{
    struct xk_file *f;
    int fd = open(name, O_RDWR | O_CREAT, 0600);

    OK(fd >= 0);
    EQ(xk_file_from_handle(NULL, fd, &f), 0);
    return f;
}

static void uuid_of(uint8_t uuid[16], int level) { memset(uuid, level + 1, 16); }

/* Level 0 is the base. (type): the base's. */
static void create(int level, enum xk_vhd_type type, uint64_t size)
{
    struct xk_vhd_spec s = {.type = level ? XK_VHD_DIFFERENCING : type, .size = size, .block_size = BLOCK, .time = 99};
    struct xk_file *f = open_file(path[level]);
    char name[32];

    uuid_of(s.uuid, level);
    if (level) {
        uuid_of(s.parent_uuid, level - 1);
        snprintf(name, sizeof(name), "level%d.vhd", level - 1);
        s.parent_name = name;
    }
    EQ(xk_vhd_create(f, &s), 0);
    xk_file_close(f);
}

static struct xk_blkdev *open_chain(int top, unsigned features)
{
    struct xk_file *chain[LEVELS];
    struct xk_blkdev *dev;

    for (int i = 0; i <= top; i++)
        chain[i] = open_file(path[top - i]);
    EQ(xk_block_vhd(NULL, chain, (unsigned)top + 1, features, &dev), 0);
    return dev;
}

/* --- data --------------------------------------------------------------------------------------------------------- */

static uint8_t model[LEVELS][SECTORS * XK_SECTOR];

static void churn(struct xk_blkdev *dev, uint8_t *m, int rounds)
{
    static uint8_t buf[64 * XK_SECTOR];

    for (int i = 0; i < rounds; i++) {
        uint32_t n = 1 + roll(roll(2) ? 8 : 64), at = roll(SECTORS - n);
        if (roll(3) == 0) {
            for (size_t k = 0; k < n * XK_SECTOR; k++)
                buf[k] = (uint8_t)roll(256);
            memcpy(m + at * XK_SECTOR, buf, n * XK_SECTOR);
            EQ(ask(dev, XK_BLK_WRITE, roll(10) ? 0 : XK_BLK_FUA, at, buf, n * XK_SECTOR), 0);
        } else {
            EQ(ask(dev, XK_BLK_READ, 0, at, buf, n * XK_SECTOR), 0);
            MEMEQ(buf, m + at * XK_SECTOR, n * XK_SECTOR);
        }
    }
    EQ(ask(dev, XK_BLK_FLUSH, 0, 0, NULL, 0), 0);
}

static void all_is(struct xk_blkdev *dev, const uint8_t *m)
{
    static uint8_t buf[SECTORS * XK_SECTOR];

    EQ(dev->info.sectors, SECTORS);
    EQ(ask(dev, XK_BLK_READ, 0, 0, buf, sizeof(buf)), 0);
    MEMEQ(buf, m, sizeof(buf));
}

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

/* --- judges ------------------------------------------------------------------------------------------------------- */

static void write_raw(int level)
{
    char name[80];
    int fd;

    snprintf(name, sizeof(name), "%s.raw", path[level]);
    fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    EQ(write(fd, model[level], sizeof(model[0])), sizeof(model[0]));
    close(fd);
}

static int shell(const char *text)
{
    char command[1000];

    snprintf(command, sizeof(command), "cd %s && { %s; } > judge.log 2>&1 || { cat judge.log; false; }", folder, text);
    return system(command);
}

static void need(const char *what)
{
    char command[100];

    snprintf(command, sizeof(command), "%s > /dev/null 2>&1", what);
    if (system(command) != 0) {
        printf("# not here: %s\n", what);
        exit(TAP_SKIP);
    }
}

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

/* --- power -------------------------------------------------------------------------------------------------------- */

enum { ROOM = 4 << 20, LOG = 8192 };

/* A file whose writes since the last sync are there or not, sector by sector, each as one of them left it. */
struct frail {
    struct xk_file file; /* first */
    uint8_t *now, *durable;
    size_t size, durable_size;
    struct {
        uint32_t sector;
        uint8_t data[XK_SECTOR];
    } * log;
    unsigned logged;
    long ops, cut;
};

static int frail_read(struct xk_file *f, void *buf, size_t n, uint64_t at)
{
    struct frail *p = (struct frail *)f;

    if (at >= p->size)
        return 0;
    n = n < p->size - at ? n : p->size - (size_t)at;
    memcpy(buf, p->now + at, n);
    return (int)n;
}

static int frail_write(struct xk_file *f, const void *buf, size_t n, uint64_t at)
{
    struct frail *p = (struct frail *)f;

    OK(at + n <= ROOM);
    if (p->cut && p->ops >= p->cut)
        return XK_EIO;
    p->ops++;
    memcpy(p->now + at, buf, n);
    p->size = p->size > at + n ? p->size : (size_t)at + n;
    for (uint64_t s = at / XK_SECTOR; s * XK_SECTOR < at + n; s++) {
        OK(p->logged < LOG);
        p->log[p->logged].sector = (uint32_t)s;
        memcpy(p->log[p->logged++].data, p->now + s * XK_SECTOR, XK_SECTOR);
    }
    return (int)n;
}

static int frail_sync(struct xk_file *f)
{
    struct frail *p = (struct frail *)f;

    if (p->cut && p->ops >= p->cut)
        return XK_EIO;
    p->ops++;
    memcpy(p->durable, p->now, ROOM);
    p->durable_size = p->size;
    p->logged = 0;
    return 0;
}

static int64_t frail_size(struct xk_file *f) { return (int64_t)((struct frail *)f)->size; }
static int frail_truncate(struct xk_file *f, uint64_t size)
{
    (void)f;
    (void)size;
    return XK_ENOSYS;
}
static void frail_close(struct xk_file *f) { (void)f; }
static const struct xk_file_ops frail_ops = {.version = XK_FILE_VERSION,
                                             .read = frail_read,
                                             .write = frail_write,
                                             .sync = frail_sync,
                                             .size = frail_size,
                                             .truncate = frail_truncate,
                                             .close = frail_close};

static void frail_cut(struct frail *p)
{
    for (unsigned i = 0; i < p->logged; i++) {
        unsigned k = roll(p->logged);
        size_t at = p->log[k].sector * (size_t)XK_SECTOR;
        memcpy(p->durable + at, p->log[k].data, XK_SECTOR);
        p->durable_size = p->durable_size > at + XK_SECTOR ? p->durable_size : at + XK_SECTOR;
    }
    memcpy(p->now, p->durable, ROOM);
    p->size = p->durable_size;
    p->logged = 0;
    p->cut = p->ops = 0;
}

/* Each sector holds its number and a generation. After a cut it has the one of the last flush, or a later one. */
static void power_of(int differs)
{
    static uint32_t flushed[SECTORS], newest[SECTORS];
    struct frail p = {.file = {&frail_ops}};
    struct xk_vhd_spec s = {.type = differs ? XK_VHD_DIFFERENCING : XK_VHD_DYNAMIC,
                            .size = SECTORS * XK_SECTOR,
                            .block_size = BLOCK,
                            .parent_name = "base"};

    p.now = calloc(1, ROOM);
    p.durable = calloc(1, ROOM);
    p.log = calloc(LOG, sizeof(*p.log));
    for (int life = 0; life < 400; life++) {
        struct xk_file *chain[2] = {&p.file, NULL};
        uint32_t word[XK_SECTOR / 4] = {0};
        struct xk_blkdev *dev;
        if (life % 8 == 0) { /* a new image, over a parent whose sectors are of generation 1 */
            memset(p.now, 0, ROOM);
            p.size = 0;
            p.logged = 0;
            EQ(xk_vhd_create(&p.file, &s), 0);
            for (int i = 0; i < SECTORS; i++)
                flushed[i] = newest[i] = differs ? 1 : 0;
        }
        EQ(xk_file_memory(NULL, 4 << 20, &chain[1]), 0);
        for (uint32_t i = 0; i < SECTORS; i++) {
            word[0] = i, word[1] = 1;
            EQ(xk_file_write(chain[1], word, sizeof(word), i * XK_SECTOR), sizeof(word));
        }
        if (!differs)
            xk_file_close(chain[1]);
        EQ(xk_block_vhd(NULL, chain, differs ? 2 : 1, 0, &dev), 0);
        for (uint32_t i = 0; i < SECTORS; i++) { /* how the last life left it */
            EQ(ask(dev, XK_BLK_READ, 0, i, word, sizeof(word)), 0);
            if (word[1] < flushed[i] || word[1] > newest[i] || (word[1] && word[0] != i))
                TAP_FAIL("life %d: sector %u has %u of %u, flushed %u, newest %u", life, i, word[1], word[0],
                         flushed[i], newest[i]);
            flushed[i] = newest[i] = word[1];
        }
        EQ(ask(dev, XK_BLK_FLUSH, 0, 0, NULL, 0), 0); /* what was read stays */
        p.ops = 0;
        p.cut = 1 + roll(60);
        for (int err = 0; err == 0;) {
            uint32_t at = roll(SECTORS), fill = ++word[2];
            if (roll(12) == 0) {
                err = ask(dev, XK_BLK_FLUSH, 0, 0, NULL, 0);
                for (int i = 0; i < SECTORS && err == 0; i++)
                    flushed[i] = newest[i];
                continue;
            }
            word[0] = at, word[1] = newest[at] + 1, word[2] = fill;
            newest[at]++;
            err = ask(dev, XK_BLK_WRITE, 0, at, word, sizeof(word));
        }
        xk_blk_close(dev);
        frail_cut(&p);
    }
    free(p.now);
    free(p.durable);
    free(p.log);
}

TEST(a_dynamic_image_survives_400_power_cuts) { power_of(0); }
TEST(a_differencing_image_survives_400_power_cuts) { power_of(1); }
