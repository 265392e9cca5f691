/* FAT: each kind made, used and judged by fsck.fat and mtools; names; limits. SPDX-License-Identifier: MIT */
#define FRAIL_ROOM (40 << 20)
#include "tests/c/fs/fats.h" /* first */

static struct frail p;

static const struct kind {
    int type;
    size_t bytes;
    uint32_t sector, cluster;
} kinds[] = {{12, 360 << 10, 512, 0},  {12, 4 << 20, 512, 2048}, {12, 2 << 20, 1024, 0},
             {16, 16 << 20, 512, 0},   {16, 20 << 20, 4096, 0},  {16, 36 << 20, 2048, 0},
             {32, 36 << 20, 512, 512}, {32, 40 << 20, 4096, 0},  {32, 38 << 20, 1024, 1024}};
enum { KINDS = sizeof(kinds) / sizeof(*kinds) };

static uint8_t data[1 << 20];
static void fill(void)
{
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)roll(256);
}

static int is_clean(const char *name)
{
    char command[200];

    snprintf(command, sizeof(command), "fsck.fat -nv %s", name);
    return shell(command) == 0;
}

TEST(each_kind_is_made_as_fsck_likes_it)
{
    if (!have("fsck.fat"))
        exit(TAP_SKIP);
    enter();
    for (int i = 0; i < KINDS; i++) {
        struct xk_fat_info info;
        struct xk_fat *f;
        format(&p, kinds[i].type, kinds[i].bytes, kinds[i].sector, kinds[i].cluster);
        write_image(&p, "empty.img");
        OK(is_clean("empty.img"));
        f = mount(&p);
        EQ(xk_fat_get_info(f, &info), 0);
        EQ(info.type, kinds[i].type);
        EQ(info.sector, kinds[i].sector);
        EQ(info.id, 0x12345678);
        STREQ(info.label, "TEST");
        EQ(info.free, info.clusters - (info.type == 32));
        EQ(xk_fat_unmount(f), 0);
        EQ(p.logged, 0);
    }
    leave();
}

static const char *const files[] = {
    "/readme.txt",
    "/UPPER.TXT",
    "/Mixed Case Name.text",
    "/dir/a",
    "/dir/sub/another file with a long name, longer than one sector of slots holds.html",
    "/dir/sub/b.tar.gz",
    "/dir/\xc3\xa4\xc3\xb6\xc3\xbc \xe6\x97\xa5\xe6\x9c\xac.txt",
    "/dir/.hidden",
    "/dir/+[];=,"};
enum { FILES = sizeof(files) / sizeof(*files) };
static size_t size_for(int i, size_t most) { return i == 0 ? 0 : i == 1 ? 1 : (size_t)i * 7919 % most; }

/* Some files in all kinds: fsck.fat finds nothing, mtools reads each, names and bytes. */
TEST(mtools_reads_what_is_written)
{
    if (!have("fsck.fat") || !have("mcopy"))
        exit(TAP_SKIP);
    enter();
    fill();
    for (int i = 0; i < KINDS; i++) {
        struct xk_fat *f;
        char command[800];
        int at = 0;
        format(&p, kinds[i].type, kinds[i].bytes, kinds[i].sector, kinds[i].cluster);
        f = mount(&p);
        EQ(xk_fat_mkdir(f, "/dir"), 0);
        EQ(xk_fat_mkdir(f, "dir/sub/"), 0);
        for (int k = 0; k < FILES; k++)
            write_all(f, files[k], data + k, size_for(k, 60000));
        for (int k = 0; k < FILES; k++)
            has(f, files[k], data + k, size_for(k, 60000));
        EQ(xk_fat_unmount(f), 0);
        write_image(&p, "full.img");
        OK(is_clean("full.img"));
        if (kinds[i].type == 32 && kinds[i].sector > 512)
            continue; /* mtools 4.0.32 reads no FAT32 with so few clusters, mkfs.fat's either */
        at += snprintf(command, sizeof(command),
                       "rm -rf out; mkdir out; export MTOOLS_SKIP_CHECK=1; "
                       "LC_ALL=C.UTF-8 mcopy -s -n -p -m -i full.img ::/ out");
        EQ(shell(command), 0);
        for (int k = 0; k < FILES; k++) {
            char path[300];
            static uint8_t buf[100000];
            int fd;
            if (strchr(files[k], '\xe6'))
                continue; /* mtools knows no such letters here */
            snprintf(path, sizeof(path), "%s/out%s", folder, files[k]);
            fd = open(path, O_RDONLY);
            if (fd < 0)
                TAP_FAIL("kind %d: mtools gives no %s", i, files[k]);
            EQ(read(fd, buf, sizeof(buf)), size_for(k, 60000));
            MEMEQ(buf, data + k, size_for(k, 60000));
            close(fd);
        }
    }
    leave();
}

static void load_image(const char *name)
{
    char path[100];
    int fd;

    frail_new(&p);
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_RDONLY);
    OK(fd >= 0);
    p.size = p.durable_size = (size_t)read(fd, p.now, ROOM);
    memcpy(p.durable, p.now, p.size);
    close(fd);
}

static int names_seen;
static int see(void *arg, const struct xk_fat_stat *e)
{
    (void)arg;
    names_seen++;
    OK(e->name[0] && e->short_name[0]);
    return 0;
}

/* What mkfs.fat and mtools made is read and written. */
TEST(images_of_mkfs_and_mtools_are_read_and_written)
{
    static const char *const made[] = {"-F 12 -C mk.img 1440", "-F 12 -S 1024 -C mk.img 4096", "-F 16 -C mk.img 20480",
                                       "-F 16 -f 1 -C mk.img 20480", "-F 32 -s 1 -C mk.img 38912"};

    if (!have("fsck.fat") || !have("mcopy"))
        exit(TAP_SKIP);
    enter();
    fill();
    for (unsigned i = 0; i < sizeof(made) / sizeof(*made); i++) {
        char command[1000];
        struct xk_fat *f;
        snprintf(command, sizeof(command),
                 "rm -f mk.img; mkfs.fat -n JUDGE %s && head -c 70000 /dev/urandom > big && "
                 "mmd -i mk.img ::/docs && mcopy -i mk.img big '::/docs/a Long name.bin' && mcopy -i mk.img big ::/BIG",
                 made[i]);
        EQ(shell(command), 0);
        load_image("mk.img");
        f = mount(&p);
        {
            struct xk_fat_stat st;
            struct xk_fat_info info;
            struct xk_file *file;
            EQ(xk_fat_get_info(f, &info), 0);
            STREQ(info.label, "JUDGE");
            EQ(xk_fat_stat(f, "/DOCS/A LONG NAME.BIN", &st), 0);
            STREQ(st.name, "a Long name.bin");
            EQ(st.size, 70000);
            EQ(xk_fat_open(f, "/docs/a long name.bin", XK_FAT_WRITE, &file), 0);
            EQ(xk_file_read(file, data, 70000, 0), 70000);
            xk_file_close(file);
            has(f, "/big", data, 70000);
            names_seen = 0;
            EQ(xk_fat_list(f, "/", see, NULL), 0);
            EQ(names_seen, 2);
            EQ(xk_fat_remove(f, "/big"), 0);
            write_all(f, "/docs/ours, beside.bin", data + 5, 90000);
            EQ(xk_fat_rename(f, "/docs/a long name.bin", "/moved.bin"), 0);
        }
        EQ(xk_fat_unmount(f), 0);
        write_image(&p, "mk.img");
        OK(is_clean("mk.img"));
        EQ(shell("mcopy -n -i mk.img ::/moved.bin got && cmp got big"), 0);
    }
    leave();
}

/* --- names -------------------------------------------------------------------------------------------------------- */

TEST(names_are_found_whatever_their_case)
{
    struct xk_fat_stat st;
    struct xk_fat *f;

    format(&p, 16, 16 << 20, 512, 0);
    f = mount(&p);
    write_all(f,
              "/Gr\xc3\xbc\xc3\x9f"
              "e.TXT",
              "x", 1);
    EQ(xk_fat_stat(f,
                   "gr\xc3\x9c\xc3\x9f"
                   "e.txt",
                   &st),
       0);
    STREQ(st.name, "Gr\xc3\xbc\xc3\x9f"
                   "e.TXT");
    STREQ(st.short_name, "GR__E~1.TXT");
    write_all(f, "/\xd0\xb6\xd0\xb8\xd0\xb7\xd0\xbd\xd1\x8c", "y", 1);
    EQ(xk_fat_stat(f, "/\xd0\x96\xd0\x98\xd0\x97\xd0\x9d\xd0\xac", &st), 0);
    write_all(f, "/lower.txt", "z", 1);
    EQ(xk_fat_stat(f, "/LOWER.TXT", &st), 0);
    STREQ(st.name, "lower.txt");
    STREQ(st.short_name, "LOWER.TXT");
    EQ(xk_fat_stat(f, "/", &st), 0);
    EQ(st.attributes, XK_FAT_DIRECTORY);
    EQ(xk_fat_rename(f, "/lower.txt", "/LOWER.txt"), 0);
    EQ(xk_fat_stat(f, "/lower.TXT", &st), 0);
    STREQ(st.name, "LOWER.txt");
    EQ(xk_fat_unmount(f), 0);
}

TEST(short_names_are_made_for_long_ones)
{
    struct xk_fat_stat st;
    struct xk_fat *f;
    char name[64];

    format(&p, 16, 16 << 20, 512, 0);
    f = mount(&p);
    EQ(xk_fat_mkdir(f, "/d"), 0);
    for (int i = 1; i <= 1200; i++) {
        snprintf(name, sizeof(name), "/d/a long name %d.html", i);
        write_all(f, name, &i, sizeof(i));
        EQ(xk_fat_stat(f, name, &st), 0);
        if (i == 1)
            STREQ(st.short_name, "ALONGN~1.HTM");
        if (i == 12)
            STREQ(st.short_name, "ALONG~12.HTM");
        if (i == 1100)
            OK(st.short_name[0] == 'A' && st.short_name[1] == 'L' && strstr(st.short_name, "~"));
        snprintf(name, sizeof(name), "/d/%s", st.short_name);
        EQ(xk_fat_stat(f, name, &st), 0);
        snprintf(name, sizeof(name), "a long name %d.html", i);
        STREQ(st.name, name);
    }
    for (int i = 1; i <= 1200; i++) {
        snprintf(name, sizeof(name), "/D/A LONG NAME %d.HTML", i);
        has(f, name, &i, sizeof(i));
    }
    EQ(xk_fat_unmount(f), 0);
    if (have("fsck.fat")) {
        enter();
        write_image(&p, "names.img");
        OK(is_clean("names.img"));
        leave();
    }
}

TEST(names_that_fat_has_not_are_refused)
{
    static const char *const wrong[] = {"/a:b", "/a*", "/a?", "/a|b", "/a<b",  "/\"",   "/a\\b",
                                        "/a.",  "/a ", "/.",  "/..",  "/a\nb", "/\xff", "/\x7f"};
    struct xk_file *file;
    struct xk_fat *f;
    char name[2000] = "/", *end = name + 1;

    format(&p, 12, 1 << 20, 512, 0);
    f = mount(&p);
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        EQ(xk_fat_open(f, wrong[i], XK_FAT_CREATE, &file), XK_EINVAL);
    for (int i = 0; i < 255; i++, end += 3)
        memcpy(end, "\xe6\x97\xa5", 4);
    write_all(f, name, "x", 1);
    memcpy(end, "y", 2);
    EQ(xk_fat_open(f, name, XK_FAT_CREATE, &file), XK_EINVAL);
    EQ(xk_fat_open(f, "/no/file", XK_FAT_CREATE, &file), XK_ENOENT);
    write_all(f, "/file", "x", 1);
    EQ(xk_fat_open(f, "/file/below", XK_FAT_CREATE, &file), XK_ENOTDIR);
    EQ(xk_fat_open(f, "/file", XK_FAT_NEW, &file), XK_EEXIST);
    EQ(xk_fat_open(f, "/none", XK_FAT_WRITE, &file), XK_ENOENT);
    EQ(xk_fat_mkdir(f, "/FILE"), XK_EEXIST);
    EQ(xk_fat_open(f, "/", 0, &file), XK_EISDIR);
    EQ(xk_fat_remove(f, "/"), XK_EBUSY);
    EQ(xk_fat_unmount(f), 0);
}

/* --- files -------------------------------------------------------------------------------------------------------- */

TEST(a_file_may_be_open_twice_and_is_not_removed_then)
{
    struct xk_file *a, *b;
    struct xk_fat *f;
    uint8_t buf[10];

    format(&p, 16, 16 << 20, 512, 0);
    f = mount(&p);
    EQ(xk_fat_open(f, "/one", XK_FAT_CREATE, &a), 0);
    EQ(xk_fat_open(f, "/ONE", 0, &b), 0);
    EQ(xk_file_write(a, "hello", 5, 100000), 5);
    EQ(xk_file_size(b), 100005);
    EQ(xk_file_read(b, buf, 10, 99995), 10);
    MEMEQ(buf, "\0\0\0\0\0hello", 10);
    EQ(xk_file_write(b, "x", 1, 0), XK_EROFS);
    EQ(xk_fat_remove(f, "/one"), XK_EBUSY);
    write_all(f, "/two", "2", 1);
    EQ(xk_fat_rename(f, "/two", "/one"), XK_EBUSY);
    EQ(xk_fat_rename(f, "/one", "/three"), 0);
    EQ(xk_file_write(a, "y", 1, 0), 1);
    EQ(xk_file_truncate(a, 3), 0);
    EQ(xk_file_truncate(a, 6), 0);
    EQ(xk_file_read(b, buf, 10, 0), 6);
    MEMEQ(buf, "y\0\0\0\0\0", 6);
    EQ(xk_file_write(a, "z", 1, XK_FAT_SIZE_MAX), XK_ERANGE);
    xk_file_close(a);
    EQ(xk_fat_unmount(f), 0);
    EQ(xk_file_read(b, buf, 10, 0), XK_ECLOSED); /* it outlives the mount */
    xk_file_close(b);
}

TEST(directories_are_moved_but_not_below_themselves)
{
    struct xk_fat_stat st;
    struct xk_fat *f;

    format(&p, 32, 36 << 20, 512, 0);
    f = mount(&p);
    EQ(xk_fat_mkdir(f, "/a"), 0);
    EQ(xk_fat_mkdir(f, "/a/b"), 0);
    EQ(xk_fat_mkdir(f, "/c"), 0);
    write_all(f, "/a/b/file", "x", 1);
    EQ(xk_fat_rename(f, "/a", "/a/b/a"), XK_EINVAL);
    EQ(xk_fat_rename(f, "/a", "/c"), XK_EEXIST);
    EQ(xk_fat_rename(f, "/a/b", "/c/deep"), 0);
    has(f, "/c/deep/file", "x", 1);
    EQ(xk_fat_stat(f, "/a/b", &st), XK_ENOENT);
    EQ(xk_fat_remove(f, "/c"), XK_ENOTEMPTY);
    EQ(xk_fat_remove(f, "/a"), 0);
    EQ(xk_fat_rename(f, "/c/deep", "/deep"), 0);
    EQ(xk_fat_remove(f, "/c"), 0);
    EQ(xk_fat_set(f, "/deep/file", XK_FAT_READONLY | XK_FAT_HIDDEN, 1000000000), 0);
    EQ(xk_fat_stat(f, "/deep/file", &st), 0);
    EQ(st.attributes, XK_FAT_READONLY | XK_FAT_HIDDEN);
    EQ(st.modified, 1000000000);
    EQ(st.created, 1700000000);
    EQ(xk_fat_remove(f, "/deep/file"), XK_EACCES);
    EQ(xk_fat_unmount(f), 0);
    enter();
    write_image(&p, "dirs.img");
    OK(!have("fsck.fat") || is_clean("dirs.img"));
    leave();
}

/* Full, it says so, and all that was there stays; what is removed can be used again. */
TEST(a_full_one_says_so)
{
    struct xk_fat_info info;
    struct xk_file *file;
    struct xk_fat *f;
    char name[32];
    int n = 0, r = 0;

    fill();
    format(&p, 12, 360 << 10, 512, 0);
    f = mount(&p);
    for (int round = 0; round < 5; round++) {
        for (n = 0, r = 0; r >= 0; n++) {
            snprintf(name, sizeof(name), "/f%d", n);
            EQ(xk_fat_open(f, name, XK_FAT_NEW, &file), 0);
            r = xk_file_write(file, data + n, 30000, 0);
            xk_file_close(file);
        }
        EQ(r, XK_ENOSPC);
        for (int i = 0; i < n - 1; i++) {
            snprintf(name, sizeof(name), "/f%d", i);
            has(f, name, data + i, 30000);
        }
        for (int i = 0; i < n; i++) {
            snprintf(name, sizeof(name), "/f%d", i);
            EQ(xk_fat_remove(f, name), 0);
        }
    }
    EQ(n, 12);
    EQ(xk_fat_sync(f), 0);
    EQ(xk_fat_get_info(f, &info), 0);
    EQ(info.free, info.clusters);
    for (n = 0; (r = xk_fat_open(f, (snprintf(name, sizeof(name), "/%d", n), name), XK_FAT_NEW, &file)) == 0; n++)
        xk_file_close(file);
    EQ(r, XK_ENOSPC);
    EQ(n, 224 - 1); /* the root of such a small one, with its label */
    EQ(xk_fat_unmount(f), 0);
}

/* --- random use, against a model ------------------------------------------------------------------------------------
 */

enum { MODEL = 24, BIG = 40000 };
static struct {
    int is;
    char path[40];
    size_t size;
    uint8_t bytes[BIG];
} model[MODEL];

static void model_is(struct xk_fat *f)
{
    for (int i = 0; i < MODEL; i++)
        if (model[i].is)
            has(f, model[i].path, model[i].bytes, model[i].size);
}

static unsigned files_made;

static void use(struct xk_fat *f, int i)
{
    struct xk_file *file;
    int r, k = (int)roll(MODEL);

    if (!model[i].is || roll(8) == 0) {
        if (model[i].is)
            EQ(xk_fat_remove(f, model[i].path), 0);
        model[i].is = 0;
        snprintf(model[i].path, sizeof(model[i].path), "%s/file %u%s", roll(2) ? "/d" : "", ++files_made,
                 roll(2) ? " with more" : "");
        model[i].size = 0;
    }
    EQ(xk_fat_open(f, model[i].path, model[i].is ? XK_FAT_WRITE : XK_FAT_NEW, &file), 0);
    model[i].is = 1;
    for (int n = (int)roll(4); n > 0; n--) {
        size_t at = roll(BIG - 5000), len = 1 + roll(5000), size = model[i].size;
        if (roll(4) == 0) {
            r = xk_file_truncate(file, at);
            EQ(r, 0);
            if (at > size)
                memset(model[i].bytes + size, 0, at - size);
            model[i].size = at;
            continue;
        }
        r = xk_file_write(file, data + at, len, at);
        EQ(r, len);
        if (at > size)
            memset(model[i].bytes + size, 0, at - size);
        memcpy(model[i].bytes + at, data + at, len);
        model[i].size = at + len > size ? at + len : size;
    }
    xk_file_close(file);
    if (roll(5) == 0) { /* over another one, or to a new name */
        char to[40];
        snprintf(to, sizeof(to), "%s/renamed %d", roll(2) ? "/d" : "", roll(100));
        for (int m = 0; m < MODEL; m++)
            if (model[m].is && strcmp(model[m].path, to) == 0)
                return;
        if (k != i && model[k].is && roll(2)) {
            snprintf(to, sizeof(to), "%s", model[k].path);
            model[k].is = 0;
        }
        EQ(xk_fat_rename(f, model[i].path, to), 0);
        snprintf(model[i].path, sizeof(model[i].path), "%s", to);
    }
}

TEST(random_use_is_as_a_model_has_it)
{
    enter();
    fill();
    for (int i = 0; i < KINDS; i++) {
        struct xk_fat *f;
        memset(model, 0, sizeof(model));
        format(&p, kinds[i].type, kinds[i].bytes < 3 << 20 ? 3 << 20 : kinds[i].bytes, kinds[i].sector,
               kinds[i].cluster);
        f = mount(&p);
        EQ(xk_fat_mkdir(f, "/d"), 0);
        for (int round = 0; round < 400; round++) {
            use(f, (int)roll(MODEL));
            if (round % 50 == 49) {
                EQ(roll(2) ? xk_fat_sync(f) : 0, 0);
                model_is(f);
            }
            if (round % 100 == 99) {
                EQ(xk_fat_unmount(f), 0);
                write_image(&p, "used.img");
                OK(!have("fsck.fat") || is_clean("used.img"));
                EQ(xk_fat_check(NULL, &p.file, 0, put_errors, NULL), 0);
                f = mount(&p);
                model_is(f);
            }
        }
        EQ(xk_fat_unmount(f), 0);
    }
    leave();
}

/* --- many at once ------------------------------------------------------------------------------------------------- */

enum { MANY = 150 };
static struct xk_fat_new many[MANY];
static char many_name[MANY][64];
static uint8_t many_data[MANY * 40 + 6000];

static void prepare_many(void)
{
    for (unsigned i = 0; i < sizeof(many_data); i++)
        many_data[i] = (uint8_t)(i * 7 + i / 251);
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(many_name[i], sizeof(many_name[i]), i % 3 ? "file%u.txt" : "A file whose number is %u", i);
        many[i] = (struct xk_fat_new){many_name[i], many_data + i * 40, i * 37 % 5 == 0 ? 0 : i * 37 % 6000};
    }
}

static void add_all(struct xk_fat *f, const char *dir, const struct xk_fat_new *list, unsigned n)
{
    EQ(xk_fat_add(f, dir, list, n), n);
    for (unsigned i = 0; i < n; i++) {
        char path[200];
        snprintf(path, sizeof(path), "%s/%s", dir, list[i].name);
        has(f, path, list[i].data, list[i].size);
    }
}

TEST(many_files_are_added_at_once)
{
    static const struct {
        int type;
        uint32_t sector, cluster;
    } shapes[] = {{12, 512, 0}, {16, 512, 512}, {32, 512, 512}, {12, 4096, 8192}};

    prepare_many();
    enter();
    for (unsigned k = 0; k < sizeof(shapes) / sizeof(*shapes); k++) {

        format(&p, shapes[k].type, 4 << 20, shapes[k].sector, shapes[k].cluster);
        struct xk_fat *f = mount(&p);
        EQ(xk_fat_mkdir(f, "/dir"), 0);
        for (int i = 0; i < 40; i++) { /* holes, so that chains are in parts */
            char path[32];
            snprintf(path, sizeof(path), "/hole%d", i);
            write_all(f, path, many_data, 700);
        }
        EQ(xk_fat_sync(f), 0);
        for (int i = 0; i < 40; i += 2) {
            char path[32];
            snprintf(path, sizeof(path), "/hole%d", i);
            EQ(xk_fat_remove(f, path), 0);
        }
        EQ(xk_fat_sync(f), 0);
        add_all(f, "/dir", many, MANY);
        EQ(xk_fat_unmount(f), 0);
        EQ(xk_fat_check(NULL, &p.file, 0, put_errors, &p), 0);
        write_image(&p, "many.img");
        if (have("fsck.fat"))
            EQ(shell("fsck.fat -n many.img"), 0);
    }
    leave();
}

static unsigned vectors;
static int count_writev(struct xk_file *file, const struct xk_piece *v, unsigned n, uint64_t at)
{
    vectors += n > 0;
    for (unsigned i = 0; i < n; at += v[i++].len) {
        int r = xk_file_write(file, v[i].base, v[i].len, at);
        if (r < 0)
            return r;
    }
    return 0;
}

TEST(contents_beside_each_other_are_written_as_one)
{
    format(&p, 16, 4 << 20, 512, 512);
    struct xk_fat *f = mount(&p);
    struct xk_file_ops counted = *p.file.ops;
    struct xk_fat_new list[20];
    char name[20][16];

    prepare_many();
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name[i], sizeof(name[i]), "F%u", i);
        list[i] = (struct xk_fat_new){name[i], many_data, 100 + i * 70};
    }
    counted.writev = count_writev;
    p.file.ops = &counted;
    EQ(xk_fat_add(f, "/", list, 20), 20);
    EQ(vectors, 1);
    EQ(xk_fat_unmount(f), 0);
    EQ(xk_fat_check(NULL, &p.file, 0, put_errors, &p), 0);
}

TEST(what_stands_in_the_way_of_many_is_told)
{

    format(&p, 12, 1 << 20, 512, 512);
    struct xk_fat *f = mount(&p);
    struct xk_fat_new list[5] = {
        {"one", "1", 1}, {"two", "2", 1}, {"THERE", "3", 1}, {"four", "4", 1}, {"four", "5", 1}};

    write_all(f, "/there", "old", 3);
    EQ(xk_fat_mkdir(f, "/sub"), 0);
    EQ(xk_fat_add(f, "/", list, 5), 2);
    has(f, "/there", "old", 3);
    EQ(xk_fat_add(f, "/", list + 2, 3), XK_EEXIST);
    EQ(xk_fat_add(f, "/", list + 3, 2), 1); /* the second finds the first */
    has(f, "/four", "4", 1);
    list[0].name = "a:b";
    EQ(xk_fat_add(f, "/", list, 1), XK_EINVAL);
    list[0].name = "sub/x";
    EQ(xk_fat_add(f, "/", list, 1), XK_EINVAL);
    list[0].name = "SUB";
    EQ(xk_fat_add(f, "/", list, 1), XK_EISDIR);
    EQ(xk_fat_add(f, "/nothing", list, 1), XK_ENOENT);
    EQ(xk_fat_add(f, "/there", list, 1), XK_ENOTDIR);
    EQ(xk_fat_add(f, "/", list, 0), 0);
    EQ(xk_fat_unmount(f), 0);
    EQ(xk_fat_check(NULL, &p.file, 0, put_errors, &p), 0);
}

TEST(many_that_do_not_fit_or_cannot_be_written_leave_nothing_lost)
{
    static uint8_t large[300000];
    struct xk_fat_new list[5] = {
        {"a", large, 100}, {"b", large, 300000}, {"c", large, 300000}, {"d", large, 300000}, {"e", large, 300000}};
    struct xk_fat_info before, after;

    format(&p, 12, 1 << 20, 512, 512);
    struct xk_fat *f = mount(&p);

    EQ(xk_fat_get_info(f, &before), 0);
    EQ(xk_fat_add(f, "/", list, 5), 4);
    EQ(xk_fat_add(f, "/", list + 4, 1), XK_ENOSPC);
    for (int i = 0; i < 4; i++)
        EQ(xk_fat_remove(f, list[i].name), 0);
    EQ(xk_fat_add(f, "/", list, 4), 4); /* what was not yet given back on the medium is used */
    for (int i = 0; i < 4; i++)
        EQ(xk_fat_remove(f, list[i].name), 0);
    EQ(xk_fat_sync(f), 0);
    p.cut = p.ops; /* no write goes any more */
    EQ(xk_fat_add(f, "/", list, 3), XK_EIO);
    p.cut = 0;
    EQ(xk_fat_sync(f), 0);
    EQ(xk_fat_get_info(f, &after), 0);
    EQ(after.free, before.free);
    EQ(xk_fat_unmount(f), 0);
    EQ(xk_fat_check(NULL, &p.file, 0, put_errors, &p), 0);
}

/* --- a listing with contents -------------------------------------------------------------------------------------- */

enum { EACH_ROOM = 4000 };
static uint8_t each_buf[EACH_ROOM];
static struct seen {
    unsigned files, dirs, without;
} seen;

static int see_each(void *arg, const struct xk_fat_stat *e, const void *contents)
{
    unsigned i = 0;

    (void)arg;
    while (i < MANY && strcmp(e->name, many[i].name))
        i++;
    if (e->attributes & XK_FAT_DIRECTORY) {
        seen.dirs++;
        OK(!contents);
    } else if (i < MANY) {
        seen.files++;
        EQ(e->size, many[i].size);
        EQ(contents == each_buf, many[i].size <= EACH_ROOM);
        if (contents)
            MEMEQ(contents, many[i].data, many[i].size);
    }
    seen.without += !contents;
    return 0;
}

TEST(contents_come_with_a_listing)
{
    struct xk_file *file, *stays = NULL;

    prepare_many();
    many[1].size = EACH_ROOM;
    many[2].size = EACH_ROOM + 1;
    for (int type = 12; type <= 16; type += 4) {
        unsigned larger = 0;
        format(&p, type, type == 12 ? 2 << 20 : 4 << 20, 512, 512);
        struct xk_fat *f = mount(&p);
        EQ(xk_fat_mkdir(f, "/dir"), 0);
        EQ(xk_fat_mkdir(f, "/dir/below"), 0);
        for (int i = 0; i < MANY; i++) { /* two grow in turns: chains in parts */
            char path[100];
            uint32_t half = many[i].size / 2;
            snprintf(path, sizeof(path), "/dir/%s", many[i].name);
            write_all(f, path, many[i].data, half);
            write_all(f, "/between", many_data, (size_t)i * 30);
            EQ(xk_fat_open(f, path, XK_FAT_WRITE, &file), 0);
            EQ(xk_file_write(file, (const uint8_t *)many[i].data + half, many[i].size - half, half),
               many[i].size - half);
            if (i == 7)
                stays = file; /* nothing of it is synced */
            else
                xk_file_close(file);
            larger += many[i].size > EACH_ROOM;
        }
        seen = (struct seen){.files = 0};
        EQ(xk_fat_read_each(f, "/dir", each_buf, EACH_ROOM, see_each, NULL), 0);
        EQ(seen.files, MANY);
        EQ(seen.dirs, 1);
        EQ(seen.without, larger + 1);
        EQ(xk_fat_read_each(f, "/nothing", each_buf, EACH_ROOM, see_each, NULL), XK_ENOENT);
        EQ(xk_fat_read_each(f, "/between", each_buf, EACH_ROOM, see_each, NULL), XK_ENOTDIR);
        xk_file_close(stays);
        EQ(xk_fat_unmount(f), 0);
    }
}

/* The entry in the root, which has one sector here at least. */
static uint8_t *entry_at(const char *short_name)
{
    for (size_t at = 0; at + 32 <= p.size; at += 32)
        if (memcmp(p.now + at, short_name, 11) == 0)
            return p.now + at;
    return NULL;
}

TEST(contents_that_cannot_be_read_do_not_come_with_a_listing)
{
    static const struct {
        uint16_t first;
        uint32_t size;
    } bad[] = {{0, 100}, {1, 100}, {0xffff, 100}, {0, 0} /* sound */};
    struct xk_file *file;

    prepare_many();
    for (unsigned i = 0; i <= sizeof(bad) / sizeof(*bad); i++) {
        format(&p, 16, 4 << 20, 512, 512);
        struct xk_fat *f = mount(&p);
        write_all(f, "/SHORT.TXT", many_data, 700);
        EQ(xk_fat_unmount(f), 0);
        uint8_t *raw = entry_at("SHORT   TXT");
        OK(raw != NULL);
        if (i == 0) { /* a chain of two clusters */
            raw[28] = 1025 & 0xff;
            raw[29] = 1025 >> 8;
        } else {
            memcpy(raw + 26, &bad[i - 1].first, 2);
            memcpy(raw + 28, &bad[i - 1].size, 4);
        }
        f = mount(&p);
        seen = (struct seen){.files = 0};
        EQ(xk_fat_read_each(f, "/", each_buf, EACH_ROOM, see_each, NULL), 0);
        EQ(seen.without, i == sizeof(bad) / sizeof(*bad) ? 0 : 1);
        if (seen.without) {
            EQ(xk_fat_open(f, "/SHORT.TXT", 0, &file), 0);
            EQ(xk_file_read(file, each_buf, EACH_ROOM, 0), XK_EPROTO);
            xk_file_close(file);
        }
        EQ(xk_fat_unmount(f), 0);
    }
}

TEST(rings_and_names_that_none_has_do_not_come_with_a_listing)
{
    static uint8_t buf[60000];
    struct xk_file *file;

    prepare_many();
    for (int i = 0; i < 3; i++) {
        format(&p, 12, 40 << 10, 512, 512);
        struct xk_fat *f = mount(&p);
        write_all(f, "/SHORT.TXT", many_data, 300);
        EQ(xk_fat_unmount(f), 0);
        uint8_t *raw = entry_at("SHORT   TXT"), *table = p.now + 512;
        OK(raw != NULL);
        EQ(raw[26], 2);
        if (i == 0) { /* cluster 2 leads to itself, and is longer than all there is */
            table[3] = 2;
            table[4] &= 0xf0;
            raw[28] = 50000 & 0xff;
            raw[29] = 50000 >> 8;
        } else if (i == 1) {
            raw[2] = '*';
        }
        f = mount(&p);
        seen = (struct seen){.files = 0};
        EQ(xk_fat_read_each(f, "/", buf, sizeof(buf), see_each, NULL), 0);
        EQ(seen.without, i < 2);
        if (i == 0) {
            EQ(xk_fat_open(f, "/SHORT.TXT", 0, &file), 0);
            EQ(xk_file_read(file, buf, sizeof(buf), 0), XK_EPROTO);
            xk_file_close(file);
        }
        EQ(xk_fat_unmount(f), 0);
    }
}
