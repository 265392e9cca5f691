/* FAT when the power goes, a write fails, or memory is short. SPDX-License-Identifier: MIT */
#include "tests/c/fs/fats.h" /* first */

#include <limits.h>

enum { FILES = 20, BLOCK = 512, BLOCKS = 40, NAMES = 12, PATH = 140, DIRS = 5 };

/* Each block of a file says whose it is, so that it is seen when a file has another one's. */
static struct {
    int is, touched; /* since the last sync that came back */
    int must;        /* it was there at that sync, and was not removed since */
    unsigned id;
    char path[PATH];
    char was[NAMES][PATH]; /* its names since then */
    int names;
    size_t size;                   /* bytes */
    unsigned char is_zero[BLOCKS]; /* blocks that were never written */
} file[FILES];
static unsigned ids;

static void stamp(uint32_t *block, unsigned id, unsigned number)
{
    for (unsigned i = 0; i < BLOCK / 4; i += 2) {
        block[i] = 0x80000000u | id;
        block[i + 1] = number;
    }
}

/* Whether a block is this file's (number)th, or zeroes, in part or as a whole: as it was when the power went. */
static int may_be(const uint32_t *block, unsigned id, unsigned number, int strictly)
{
    for (unsigned i = 0; i < BLOCK / 4; i += 2) {
        int ours = block[i] == (0x80000000u | id) && block[i + 1] == number, zero = block[i] == 0 && block[i + 1] == 0;
        if (!ours && (strictly || !zero))
            return 0;
    }
    return 1;
}

static struct frail p;

/* The file by one of the names it had. */
static int open_any(struct xk_fat *f, int i, struct xk_file **h)
{
    int r = xk_fat_open(f, file[i].path, 0, h);

    for (int n = 0; n < file[i].names && r == XK_ENOENT; n++) {
        r = xk_fat_open(f, file[i].was[n], 0, h);
        if (r == 0)
            memcpy(file[i].path, file[i].was[n], PATH);
    }
    return r;
}

/* What is there after a cut, where the last one stands: (file) becomes it. */
static void look(struct xk_fat *f, int life)
{
    for (int i = 0; i < FILES; i++) {
        uint32_t block[BLOCK / 4];
        struct xk_file *h;
        int r;
        if (!file[i].is)
            continue;
        r = open_any(f, i, &h);
        if (r < 0 && !file[i].must) {
            file[i].is = 0;
            continue;
        }
        if (r < 0)
            TAP_FAIL("life %d: %s is gone: %s", life, file[i].path, xk_err_name(r));
        if (!file[i].touched)
            EQ(xk_file_size(h), file[i].size);
        file[i].size = (size_t)xk_file_size(h);
        for (unsigned n = 0; n * BLOCK < (size_t)xk_file_size(h); n++) {
            EQ(xk_file_read(h, block, BLOCK, n * BLOCK), BLOCK);
            if (!may_be(block, file[i].id, n, !file[i].touched && !file[i].is_zero[n]))
                TAP_FAIL("life %d: %s (%s) has in block %u %08x %u, its id is %u", life, file[i].path,
                         file[i].touched ? "touched" : "synced", n, block[0], block[1], file[i].id);
            file[i].is_zero[n] = (unsigned char)!may_be(block, file[i].id, n, 1);
        }
        xk_file_close(h);
    }
}

struct names {
    char name[64][PATH];
    int is_dir[64], count;
};

static int see(void *arg, const struct xk_fat_stat *e)
{
    struct names *n = arg;

    if (strchr(e->name, '~'))
        TAP_FAIL("%s: half of a name", e->name);
    if (n->count < 64) {
        snprintf(n->name[n->count], PATH, "%.130s", e->name);
        n->is_dir[n->count++] = (e->attributes & XK_FAT_DIRECTORY) != 0;
    }
    return 0;
}

/* All is taken away now and then, so that lives do not pile up. */
static void empty(struct xk_fat *f, const char *dir, int take)
{
    struct names n = {.count = 0};

    EQ(xk_fat_list(f, dir, see, &n), 0);
    for (int i = 0; i < n.count; i++) {
        char path[2 * PATH];
        snprintf(path, sizeof(path), "%s/%s", dir, n.name[i]);
        if (n.is_dir[i])
            empty(f, path, take);
        if (take)
            EQ(xk_fat_remove(f, path), 0);
    }
}

static int write_blocks(struct xk_file *h, int i, unsigned at, unsigned n)
{
    uint32_t block[BLOCK / 4];
    int r = 0;

    for (unsigned k = at; k < at + n && r >= 0; k++) {
        stamp(block, file[i].id, k);
        r = xk_file_write(h, block, BLOCK, k * BLOCK);
        file[i].is_zero[k] = 0;
    }
    for (size_t k = file[i].size / BLOCK; k < at; k++)
        file[i].is_zero[k] = 1;
    if (file[i].size < (at + n) * BLOCK)
        file[i].size = (at + n) * BLOCK;
    return r < 0 ? r : 0;
}

/* A name that is new, in a directory that is there then. */
static int new_path(struct xk_fat *f, char out[PATH])
{
    static const char *const form[] = {
        "F", "a long name of ",
        "a name that a sector of a directory has no more than two of, as it is so very long, the name of "};
    char dir[16] = "", name[120];
    unsigned d = roll(DIRS);
    int r = 0;

    if (d)
        snprintf(dir, sizeof(dir), "/d%u", d);
    if (d)
        r = xk_fat_mkdir(f, dir);
    snprintf(name, sizeof(name), "%s%u", form[roll(3)], ++ids);
    snprintf(out, PATH, "%s/%s", dir, name);
    return r == XK_EEXIST ? 0 : r;
}

static int remove_dir(struct xk_fat *f)
{
    char dir[16];
    int r;

    snprintf(dir, sizeof(dir), "/d%u", 1 + roll(DIRS - 1));
    r = xk_fat_remove(f, dir);
    return r == XK_ENOTEMPTY || r == XK_ENOENT ? 0 : r;
}

static int rename_one(struct xk_fat *f, int i)
{
    char to[PATH];
    int r = new_path(f, to);

    if (r < 0)
        return r;
    if (file[i].names == NAMES)
        return 0;
    memcpy(file[i].was[file[i].names++], file[i].path, PATH);
    memcpy(file[i].was[file[i].names++ % NAMES], to, PATH);
    file[i].names = file[i].names > NAMES ? NAMES : file[i].names;
    r = xk_fat_rename(f, file[i].path, to);
    if (r == 0)
        memcpy(file[i].path, to, PATH);
    return r;
}

/* Up to three that are not there, as one. */
static int add_some(struct xk_fat *f)
{
    static uint32_t block[3][4 * BLOCK / 4];
    struct xk_fat_new list[3];
    char dir[PATH] = "";
    unsigned n = 0;

    for (int i = 0; i < FILES && n < 3; i++) {
        unsigned blocks = roll(5);
        if (file[i].is)
            continue;
        if (n == 0) {
            int r = new_path(f, file[i].path);
            if (r < 0)
                return r;
            memcpy(dir, file[i].path, (size_t)(strrchr(file[i].path, '/') - file[i].path));
        } else {
            snprintf(file[i].path, PATH, "%.20s/some of them %u", dir, ++ids);
        }
        file[i].id = ids;
        file[i].is = file[i].touched = 1;
        file[i].names = file[i].must = 0;
        file[i].size = blocks * BLOCK;
        memset(file[i].is_zero, 0, sizeof(file[i].is_zero));
        for (unsigned k = 0; k < blocks; k++)
            stamp(block[n] + k * BLOCK / 4, file[i].id, k);
        list[n] = (struct xk_fat_new){strrchr(file[i].path, '/') + 1, block[n], blocks * BLOCK};
        n++;
    }
    return n ? xk_fat_add(f, dir, list, n) : 0;
}

/* One thing done to one file. */
static int do_one(struct xk_fat *f)
{
    int i = (int)roll(FILES), r, what = (int)roll(10);
    struct xk_file *h;

    if (roll(15) == 0)
        return remove_dir(f);
    if (roll(12) == 0)
        return add_some(f);
    file[i].touched = 1;
    if (!file[i].is) {
        r = new_path(f, file[i].path);
        file[i].id = ids;
        file[i].size = 0;
        file[i].names = file[i].must = 0;
        file[i].is = 1;
        if (r == 0)
            r = xk_fat_open(f, file[i].path, XK_FAT_NEW, &h);
    } else if (what == 0) {
        file[i].is = 0; /* it may be there or not: nobody looks */
        return xk_fat_remove(f, file[i].path);
    } else if (what == 1) {
        return rename_one(f, i);
    } else {
        r = xk_fat_open(f, file[i].path, XK_FAT_WRITE, &h);
    }
    if (r < 0)
        return r;
    if (what == 2) {
        size_t blocks = roll((unsigned)(file[i].size / BLOCK) + 1);
        r = xk_file_truncate(h, blocks * BLOCK);
        file[i].size = blocks * BLOCK;
    } else {
        r = write_blocks(h, i, roll(BLOCKS - 8), 1 + roll(8));
    }
    xk_file_close(h);
    return r;
}

static void settle(void)
{
    for (int i = 0; i < FILES; i++) {
        file[i].touched = file[i].names = 0;
        file[i].must = file[i].is;
    }
}

static int live(struct xk_fat *f)
{
    for (;;) {
        int r = do_one(f);
        if (r < 0 && r != XK_ENOSPC)
            return r;
        if (roll(12))
            continue;
        r = xk_fat_sync(f);
        if (r < 0)
            return r;
        settle();
    }
}

/* Lives of some dozen writes each, ended by the power (or by an error alone), then a mount that puts it right. */
static void lives(int type, size_t bytes, uint32_t cluster, int count)
{
    int judge = have("fsck.fat"), left = 0;

    count = tap_rounds(count);
    enter();
    format(&p, type, bytes, 512, cluster);
    memset(file, 0, sizeof(file));
    for (int life = 0; life < count; life++) {
        struct xk_fat *f = mount(&p);
        EQ(xk_fat_check(NULL, &p.file, 0, put_errors, NULL), 0);
        look(f, life);
        empty(f, "", life % 7 == 6);
        if (life % 7 == 6)
            memset(file, 0, sizeof(file));
        settle();
        if (judge) { /* put right, it is as fsck.fat likes it */
            EQ(xk_fat_unmount(f), 0);
            write_image(&p, "cut.img");
            EQ(shell("fsck.fat -nv cut.img"), 0);
            f = mount(&p);
        } else {
            EQ(xk_fat_sync(f), 0);
        }
        p.ops = 0;
        p.cut = 1 + roll(life % 3 ? 150 : 30);
        live(f);
        xk_fat_unmount(f);
        if (roll(5))
            frail_cut(&p);
        p.cut = 0;
        left += xk_fat_check(NULL, &p.file, 0, NULL, NULL) == 0;
    }
    printf("# %d of %d were left without damage that needs a repair\n", left, count);
    leave();
}

TEST(fat12_survives_500_cuts) { lives(12, 1 << 20, 0, 500); }
TEST(fat16_survives_500_cuts) { lives(16, 4 << 20, 512, 500); }
TEST(fat32_survives_500_cuts) { lives(32, 4 << 20, 1024, 500); }
TEST(clusters_of_many_sectors_survive_200_cuts) { lives(12, 4 << 20, 8192, 200); }

/* --- directories that grow ---------------------------------------------------------------------------------------- */

static void write_stamped(struct xk_fat *f, const char *path, unsigned clusters)
{
    struct xk_file *h;
    uint32_t block[BLOCK / 4];

    stamp(block, 0x41424344, 0x45464748); /* letters, as names have them */
    EQ(xk_fat_open(f, path, XK_FAT_NEW, &h), 0);
    for (unsigned i = 0; i < clusters; i++)
        EQ(xk_file_write(h, block, BLOCK, i * BLOCK), BLOCK);
    xk_file_close(h);
}

/* The directory gets one cluster more, and the power goes after (cut) writes. What is there then has no other names. */
static void grow_until(int cut)
{
    struct xk_fat *f = mount(&p);
    struct names n = {.count = 0};
    char path[PATH];
    int r = 0;

    EQ(xk_fat_sync(f), 0);
    p.ops = 0;
    p.cut = cut;
    for (int i = 0; i < 3 && r >= 0; i++) {
        struct xk_file *h;
        snprintf(path, sizeof(path),
                 "/dir/N%d with a name that is so long that two of them need a whole sector, or so it is to be", i);
        r = xk_fat_open(f, path, XK_FAT_NEW, &h);
        if (r == 0)
            xk_file_close(h);
    }
    if (r >= 0)
        (void)!xk_fat_sync(f);
    xk_fat_unmount(f);
    frail_cut(&p);
    p.cut = 0;
    f = mount(&p);
    EQ(xk_fat_list(f, "/dir", see, &n), 0);
    for (int i = 0; i < n.count; i++)
        if (n.name[i][0] != 'N')
            TAP_FAIL("a name of nobody: %s", n.name[i]);
    EQ(xk_fat_unmount(f), 0);
}

/* Clusters that were a file's become the directory's: its contents are no names. */
TEST(a_directory_grows_by_zeroes)
{
    for (int round = 0, n = tap_rounds(400); round < n; round++) {
        struct xk_fat *f;
        format(&p, 16, 4 << 20, 512, 512);
        f = mount(&p);
        EQ(xk_fat_mkdir(f, "/dir"), 0);
        for (int i = 0; i < 14; i++) { /* it is full then, to the last slot */
            char path[16];
            snprintf(path, sizeof(path), "/dir/N%d", i);
            write_all(f, path, "", 0);
        }
        write_stamped(f, "/old", 20);
        EQ(xk_fat_remove(f, "/old"), 0);
        EQ(xk_fat_unmount(f), 0);
        grow_until(1 + (int)roll(12));
    }
}

/* The entry of cluster 341 is in two sectors of FAT12's table. Half of it leads into a file. */
TEST(half_an_entry_leads_nowhere)
{
    for (int round = 0, n = tap_rounds(400); round < n; round++) {
        struct xk_fat *f;
        format(&p, 12, 1 << 20, 512, 512);
        f = mount(&p);
        write_stamped(f, "/a", 339);
        EQ(xk_fat_mkdir(f, "/dir"), 0);
        write_stamped(f, "/b", 0x181 - 342);
        write_stamped(f, "/c", 1);
        write_stamped(f, "/d", 0x20);
        EQ(xk_fat_remove(f, "/c"), 0);
        EQ(xk_fat_unmount(f), 0);
        grow_until(1 + (int)roll(12));
    }
}

/* --- errors and memory ----------------------------------------------------------------------------------------------
 */

static long left;
static void *short_of(void *ctx, void *q, size_t old, size_t size)
{
    (void)ctx;
    (void)old;
    if (size && left-- <= 0)
        return NULL;
    if (size)
        return realloc(q, size);
    free(q);
    return NULL;
}

/* Each allocation fails once. What was there stays, and the next mount finds nothing wrong. */
TEST(memory_that_fails_harms_nothing)
{
    static const xk_alloc alloc = {short_of, NULL};
    struct xk_fat_options o = {.now = now};
    int failed = 1;

    for (long n = 0; failed; n++) {
        struct xk_fat *f;
        struct xk_file *h;
        left = LONG_MAX;
        format(&p, 32, 4 << 20, 512, 512);
        f = mount(&p);
        write_all(f, "/there", "it is", 5);
        EQ(xk_fat_unmount(f), 0);
        left = n;
        failed = xk_fat_mount(&alloc, &p.file, &o, &f) < 0;
        if (!failed) {
            failed = xk_fat_mkdir(f, "/dir") < 0;
            failed |= xk_fat_open(f, "/dir/a name that is long", XK_FAT_NEW, &h) < 0;
            if (!failed) {
                uint32_t block[BLOCK / 4] = {0};
                for (int i = 0; i < 40; i += 2)
                    failed |= xk_file_write(h, block, BLOCK, (uint64_t)i * BLOCK) < 0;
                xk_file_close(h);
            }
            failed |= xk_fat_rename(f, "/dir/a name that is long", "/other") < 0;
            failed |= xk_fat_sync(f) < 0;
            left = failed && n % 2 ? 0 : LONG_MAX;
            (void)!xk_fat_unmount(f);
        }
        left = LONG_MAX;
        EQ(xk_fat_check(NULL, &p.file, 0, put_errors, NULL), 0);
        f = mount(&p);
        has(f, "/there", "it is", 5);
        EQ(xk_fat_unmount(f), 0);
    }
}
