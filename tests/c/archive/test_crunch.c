/* Images made and read: contents, order, alignment, times; what stock tools say. SPDX-License-Identifier: MIT */
#include "tests/c/archive/images.h" /* first */

enum { MANY = 40, MOST = 300000 };

static char text[MOST], noise[MOST];
static struct file files[MANY];
static char paths[MANY][40];

/* Files of all sizes that may matter, by turns text and noise, in the order of their paths. */
static void fill(void)
{
    static const size_t sizes[] = {0, 1, 2, 15, 16, 17, 31, 32, 33, 100, 4095, 4096, 4097, 32768, 65536, 100000, MOST};

    for (size_t i = 0; i < MOST; i++) {
        text[i] = "the quick brown fox\n"[i * i % 97 % 20];
        noise[i] = (char)roll(256);
    }
    for (int i = 0; i < MANY; i++) {
        snprintf(paths[i], sizeof(paths[i]), "d%d/%s%02d.%s", i / 8, i % 3 ? "x" : "\xc3\xbc", i,
                 i & 1 ? "html" : "bin");
        files[i].size = sizes[(size_t)i % (sizeof(sizes) / sizeof(*sizes))];
        files[i].data = i & 1 ? text : noise;
        files[i].path = paths[i];
        files[i].time = i % 5 ? 1700000000 + i : 0;
    }
    for (int i = 1; i < MANY; i++)
        for (int k = i; k > 0 && strcmp(files[k].path, files[k - 1].path) < 0; k--) {
            struct file f = files[k];
            files[k] = files[k - 1];
            files[k - 1] = f;
        }
}

static void compare(const struct xk_crunch_file *f, const struct file *want)
{
    static uint8_t buf[MOST];
    static const size_t pieces[] = {1, 7, 4096, MOST};
    struct xk_crunch_stream *s;

    EQ(f->path_len, strlen(want->path));
    MEMEQ(f->path, want->path, f->path_len);
    EQ(f->size, want->size);
    EQ(f->time, want->time);
    memset(buf, 0x55, sizeof(buf));
    EQ(xk_crunch_read(NULL, f, buf), 0);
    MEMEQ(buf, want->data, want->size);
    for (int i = want->size > 5000; i < 4; i++) {
        size_t at = 0;
        int r;
        EQ(xk_crunch_stream_open(&frail, f, &s), 0);
        while ((r = xk_crunch_stream_read(s, buf, pieces[i])) > 0) {
            OK((size_t)r <= pieces[i]);
            MEMEQ(buf, (const char *)want->data + at, r);
            at += (size_t)r;
        }
        EQ(r, 0);
        EQ(at, want->size);
        EQ(xk_crunch_stream_read(s, buf, 10), 0);
        xk_crunch_stream_close(s);
        EQ(held, 0);
    }
}

TEST(what_goes_in_comes_out)
{
    struct xk_buf b;

    fill();
    for (uint32_t align = 0; align <= 4096; align += 4096) {
        struct xk_crunch_file f;
        struct xk_crunch *c;
        uint8_t *p;
        size_t n;
        make(files, MANY, align, &b);
        n = xk_buf_len(&b);
        p = guarded(xk_buf_head(&b), n);
        c = open_image(p, n);
        EQ(xk_crunch_count(c), MANY);
        for (unsigned i = 0; i < MANY; i++) {
            xk_crunch_get(c, i, &f);
            compare(&f, &files[i]);
            EQ(xk_crunch_find(c, files[i].path, strlen(files[i].path), &f), i);
            compare(&f, &files[i]);
            EQ(xk_crunch_seek(c, files[i].path, strlen(files[i].path)), i);
            if (files[i].data == noise || files[i].size > 90 || files[i].size < 2)
                EQ(f.method, files[i].data == text && files[i].size > 90 ? XK_CRUNCH_DEFLATED : XK_CRUNCH_STORED);
            OK(f.method == XK_CRUNCH_STORED || f.stored_size <= f.size - f.size / 16);
            if (f.method == XK_CRUNCH_STORED && f.size && align)
                EQ((f.data - p) % 4096, 0);
        }
        xk_crunch_close(c);
        unguard(p, n);
        xk_buf_fini(&b);
    }
}

TEST(each_alignment)
{
    static const char path[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fill();
    for (uint32_t align = 1; align <= XK_CRUNCH_ALIGN_MAX; align *= 2)
        for (unsigned k = 0; k<40; k += align> 64 ? 13 : 1) {
            struct file some[2] = {{"A", noise, k % 7, k}, {k ? path + 40 - k : "b", noise, 50, 0}};
            struct xk_crunch_file f;
            struct xk_crunch *c;
            struct xk_buf b;
            make(some, 2, align, &b);
            c = open_image(xk_buf_head(&b), xk_buf_len(&b));
            xk_crunch_get(c, 1, &f);
            EQ((f.data - xk_buf_head(&b)) % align, 0);
            OK(f.data - xk_buf_head(&b) < 200 + 2 * (int)align);
            xk_crunch_close(c);
            xk_buf_fini(&b);
        }
}

TEST(what_saves_little_is_stored)
{
    static char mixed[4400];
    static const struct {
        size_t zeroes;
        int method;
    } rows[] = {{0, 0}, {150, 0}, {400, 8}};

    fill();
    memcpy(mixed, noise, 4000);
    for (int i = 0; i < 3; i++) {
        struct file one = {"a", mixed, 4000 + rows[i].zeroes, 0};
        struct xk_crunch_file f;
        struct xk_crunch *c;
        struct xk_buf b;
        make(&one, 1, 0, &b);
        c = open_image(xk_buf_head(&b), xk_buf_len(&b));
        xk_crunch_get(c, 0, &f);
        EQ(f.method, rows[i].method);
        xk_crunch_close(c);
        xk_buf_fini(&b);
    }
}

static int drop(void *arg, const void *data, size_t n)
{
    (void)data;
    *(size_t *)arg += n;
    return 0;
}

TEST(a_writer_keeps_the_directory_only)
{
    size_t put = 0, begun;
    struct xk_crunch_spec spec = {.put = drop, .arg = &put};
    struct xk_crunch_writer *w;
    char path[20];

    fill();
    EQ(xk_crunch_writer_new(&frail, &spec, &w), 0);
    begun = held;
    for (int i = 0; i < 60; i++) {
        snprintf(path, sizeof(path), "%02d", i);
        EQ(xk_crunch_add(w, path, 2, i & 1 ? text : noise, 100000, 0, NULL), 0);
    }
    OK(held < begun + 300000 && put > 3000000);
    xk_crunch_writer_close(w);
    EQ(held, 0);
}

TEST(nothing_else_is_found)
{
    static const struct file some[] = {{"a", "1", 1, 0}, {"a-b", "2", 1, 0}, {"a/b", "3", 1, 0}, {"b", "4", 1, 0}};
    static const char *const not [] = {"", "A", "a/", "a/b/", "a/c", "a-", "c", "0", "a\0b"};
    struct xk_crunch_file f;
    struct xk_crunch *c;
    struct xk_buf b;

    make(some, 4, 0, &b);
    c = open_image(xk_buf_head(&b), xk_buf_len(&b));
    for (unsigned i = 0; i < sizeof(not ) / sizeof(*not ); i++)
        EQ(xk_crunch_find(c, not [i], i == 8 ? 3 : strlen(not [i]), &f), XK_ENOENT);
    EQ(xk_crunch_seek(c, "a/", 2), 2);
    EQ(xk_crunch_seek(c, "", 0), 0);
    EQ(xk_crunch_seek(c, "zz", 2), 4);
    xk_crunch_close(c);
    xk_buf_fini(&b);
    make(NULL, 0, 0, &b);
    EQ(xk_buf_len(&b), ZIP_END_SIZE);
    c = open_image(xk_buf_head(&b), xk_buf_len(&b));
    EQ(xk_crunch_count(c), 0);
    EQ(xk_crunch_find(c, "a", 1, &f), XK_ENOENT);
    xk_crunch_close(c);
    xk_buf_fini(&b);
}

TEST(the_same_makes_the_same_bytes)
{
    struct xk_buf a, b;

    fill();
    make(files, MANY, 4096, &a);
    make(files, MANY, 4096, &b);
    EQ(xk_buf_len(&a), xk_buf_len(&b));
    MEMEQ(xk_buf_head(&a), xk_buf_head(&b), xk_buf_len(&a));
    xk_buf_fini(&a);
    xk_buf_fini(&b);
}

TEST(parts_tags_and_types)
{
    static const struct file some[] = {{"a.html", "0123456789", 10, 0}, {"b", text, 20000, 0}};
    char etag[XK_CRUNCH_ETAG];
    struct xk_crunch_file f;
    struct xk_crunch *c;
    struct xk_buf b;

    fill();
    make(some, 2, 0, &b);
    c = open_image(xk_buf_head(&b), xk_buf_len(&b));
    EQ(xk_crunch_find(c, "a.html", 6, &f), 0);
    STREQ(xk_crunch_type(&f), "text/html; charset=utf-8");
    xk_crunch_etag(&f, etag);
    STREQ(etag, "\"a684c7c6-a\"");
    MEMEQ(xk_crunch_bytes(&f, 3, 7), "3456789", 7);
    OK(xk_crunch_bytes(&f, 10, 0) != NULL);
    OK(xk_crunch_bytes(&f, 3, 8) == NULL);
    OK(xk_crunch_bytes(&f, 11, 0) == NULL);
    OK(xk_crunch_bytes(&f, 5, UINT32_MAX) == NULL);
    EQ(xk_crunch_find(c, "b", 1, &f), 1);
    OK(xk_crunch_bytes(&f, 0, 1) == NULL);
    xk_crunch_close(c);
    xk_buf_fini(&b);
}

TEST(times)
{
    static const struct {
        int64_t time;
        uint32_t dos; /* year - 1980, month, day; hour, minute, second / 2 */
    } known[] = {
        {315532800, 0u << 25 | 1 << 21 | 1 << 16},
        {-5, 0u << 25 | 1 << 21 | 1 << 16},
        {951782399, 20u << 25 | 2 << 21 | 28 << 16 | 23 << 11 | 59 << 5 | 29},
        {951782400, 20u << 25 | 2 << 21 | 29 << 16},
        {951868800, 20u << 25 | 3 << 21 | 1 << 16},
        {1735689599, 44u << 25 | 12 << 21 | 31 << 16 | 23 << 11 | 59 << 5 | 29},
        {4102444800, 120u << 25 | 1 << 21 | 1 << 16},
        {4354819198, 127u << 25 | 12 << 21 | 31 << 16 | 23 << 11 | 59 << 5 | 29},
        {INT64_MAX, 127u << 25 | 12 << 21 | 31 << 16 | 23 << 11 | 59 << 5 | 29},
    };

    for (unsigned i = 0; i < sizeof(known) / sizeof(*known); i++)
        EQ(zip_dos_time(known[i].time), known[i].dos);
    for (int64_t t = ZIP_NO_TIME + 2; t < 4354819200; t += 86398)
        EQ(zip_time(zip_dos_time(t)), t);
    EQ(zip_time(0), 0);
    EQ(zip_time(1 << 21 | 1 << 16), 0);
    EQ(zip_time(UINT32_MAX), 0);
    EQ(zip_time(1 << 21 | 1 << 16 | 24 << 11), 0);
}

TEST(paths_that_lead_astray_are_not_taken)
{
    static const struct {
        const char *path, *words;
    } wrong[] = {{"", "empty"},
                 {"/etc/passwd", "slash"},
                 {"../x", ". or .."},
                 {"a/../x", ". or .."},
                 {"a/..", ". or .."},
                 {"./a", ". or .."},
                 {"a//b", "empty part"},
                 {"a/", "empty part"},
                 {"a\\..\\b", "backslash"},
                 {"C:x", "drive"},
                 {"a\nb", "control"},
                 {"a\x7f", "control"},
                 {"\xff", "UTF-8"},
                 {"a\xc3", "UTF-8"},
                 {"\xc0\xaf", "UTF-8"},
                 {"\xed\xa0\x80", "UTF-8"}};
    static char deep[XK_CRUNCH_PATH_MAX + 1];
    struct xk_crunch_spec spec = {.put = put_buf};
    struct xk_crunch_writer *w;
    struct xk_diag d = {0};
    struct xk_buf b;

    xk_buf_init(&b, NULL, 1 << 20);
    spec.arg = &b;
    EQ(xk_crunch_writer_new(NULL, &spec, &w), 0);
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        d.text[0] = '\0';
        d.err = 0;
        EQ(xk_crunch_add(w, wrong[i].path, strlen(wrong[i].path), "x", 1, 0, &d), XK_EINVAL);
        if (!strstr(d.text, wrong[i].words))
            TAP_FAIL("%s: %s", wrong[i].path, d.text);
    }
    EQ(xk_crunch_add(w, "a\0b", 3, "x", 1, 0, NULL), XK_EINVAL);
    memset(deep, 'a', sizeof(deep));
    EQ(xk_crunch_add(w, deep, sizeof(deep), "x", 1, 0, NULL), XK_EINVAL);
    EQ(xk_crunch_add(w, deep, sizeof(deep) - 1, "x", 1, 0, NULL), 0);
    EQ(xk_crunch_add(w, "..a", 3, "x", 1, 0, NULL), XK_EINVAL); /* it comes too late */
    EQ(xk_crunch_add(w, "b..", 3, "x", 1, 0, NULL), 0);
    EQ(xk_crunch_add(w, "b..", 3, "x", 1, 0, NULL), XK_EINVAL);
    EQ(xk_crunch_finish(w), 0);
    EQ(xk_crunch_add(w, "c", 1, "x", 1, 0, NULL), XK_ECLOSED);
    EQ(xk_crunch_finish(w), XK_ECLOSED);
    xk_crunch_writer_close(w);
    xk_crunch_close(open_image(xk_buf_head(&b), xk_buf_len(&b)));
    xk_buf_fini(&b);
}

static int fails(void *arg, const void *data, size_t n)
{
    (void)data;
    (void)n;
    return --*(int *)arg < 0 ? XK_ENOSPC : 0;
}

TEST(what_fails_ends_the_writer)
{
    struct xk_crunch_spec spec = {.put = fails, .align = 3};
    struct xk_crunch_writer *w;
    int left;

    fill();
    EQ(xk_crunch_writer_new(NULL, &spec, &w), XK_EINVAL);
    spec.align = 65536;
    EQ(xk_crunch_writer_new(NULL, &spec, &w), XK_EINVAL);
    spec.align = 0;
    spec.level = 10;
    EQ(xk_crunch_writer_new(NULL, &spec, &w), XK_EINVAL);
    spec.level = 1;
    for (int i = 0; i < 6; i++) {
        left = i;
        spec.arg = &left;
        EQ(xk_crunch_writer_new(&frail, &spec, &w), 0);
        EQ(xk_crunch_add(w, "a", 1, text, 1000, 0, NULL), i < 2 ? XK_ENOSPC : 0);
        EQ(xk_crunch_add(w, "b", 1, text, 1000, 0, NULL), i < 4 ? XK_ENOSPC : 0);
        EQ(xk_crunch_finish(w), XK_ENOSPC);
        xk_crunch_writer_close(w);
        EQ(held, 0);
    }
}

TEST(each_allocation_may_fail)
{
    static const struct file some[] = {{"a", text, 20000, 5}, {"b", noise, 200, 0}, {"c", text, 2, 0}};
    static uint8_t buf[20000];
    struct xk_buf b;
    int r = XK_ENOMEM;

    fill();
    for (fail = 1; r != 0; fail++) {
        taken = 0;
        r = try_make(&frail, some, 3, 0, &b);
        OK(r == 0 || r == XK_ENOMEM);
        if (r != 0)
            xk_buf_fini(&b);
        OK(r == 0 || held == 0);
    }
    OK(fail > 6);
    for (r = XK_ENOMEM, fail = 1; r != 0; fail++) {
        size_t before = held;
        struct xk_crunch_file f;
        struct xk_crunch *c;
        taken = 0;
        r = xk_crunch_open(&frail, xk_buf_head(&b), xk_buf_len(&b), &c, NULL);
        if (r == 0) {
            EQ(xk_crunch_find(c, "a", 1, &f), 0);
            r = xk_crunch_read(&frail, &f, buf);
            xk_crunch_close(c);
        }
        OK(r == 0 || r == XK_ENOMEM);
        EQ(held, before);
    }
    EQ(fail, 5); /* the directory; a stream, zlib's state, and once nothing */
    MEMEQ(buf, text, 20000);
    fail = 0;
    xk_buf_fini(&b);
    EQ(held, 0);
}

/* --- judged by others --------------------------------------------------------------------------------------------- */

static void lay_files(void)
{
    for (int i = 0; i < MANY; i++) {
        char name[100], command[100];
        snprintf(command, sizeof(command), "mkdir -p in/d%c", files[i].path[1]);
        EQ(shell(command), 0);
        snprintf(name, sizeof(name), "in/%s", files[i].path);
        write_file(name, files[i].data, files[i].size);
    }
}

TEST(others_read_it)
{
    struct xk_buf b;

    if (!have("unzip"))
        exit(TAP_SKIP);
    enter();
    fill();
    lay_files();
    for (uint32_t align = 0; align <= 4096; align += 4096) {
        make(files, MANY, align, &b);
        write_file("i.zip", xk_buf_head(&b), xk_buf_len(&b));
        EQ(shell("rm -rf out && unzip -tq i.zip && unzip -q i.zip -d out && diff -r in out"), 0);
        EQ(shell("TZ=Asia/Tokyo unzip -qo i.zip -d out && [ $(stat -c %Y out/d0/x01.html) = 1700000001 ]"), 0);
        if (have("python3"))
            EQ(shell("python3 -c 'import zipfile; z = zipfile.ZipFile(\"i.zip\"); assert z.testzip() is None; "
                     "assert len(z.namelist()) == 40 and z.namelist() == sorted(z.namelist(), key = str.encode)'"),
               0);
        if (have("bsdtar"))
            EQ(shell("rm -rf out && mkdir out && LC_ALL=C.UTF-8 bsdtar -xf i.zip -C out && diff -r in out"), 0);
        xk_buf_fini(&b);
    }
    leave();
}

TEST(gzip_reads_what_is_deflated)
{
    uint8_t head[XK_CRUNCH_GZIP_HEAD], tail[XK_CRUNCH_GZIP_TAIL];
    struct xk_crunch_file f;
    struct xk_crunch *c;
    struct xk_buf b, z;
    int deflated = 0;

    enter();
    fill();
    make(files, MANY, 0, &b);
    c = open_image(xk_buf_head(&b), xk_buf_len(&b));
    for (unsigned i = 0; i < MANY; i++) {
        xk_crunch_get(c, i, &f);
        if (f.method == XK_CRUNCH_STORED) {
            EQ(xk_crunch_gzip(&f, head, tail), XK_EINVAL);
            continue;
        }
        EQ(xk_crunch_gzip(&f, head, tail), 0);
        xk_buf_init(&z, NULL, 1 << 20);
        OK(xk_buf_put(&z, head, sizeof(head)) == 0 && xk_buf_put(&z, f.data, f.stored_size) == 0 &&
           xk_buf_put(&z, tail, sizeof(tail)) == 0);
        write_file("f.gz", xk_buf_head(&z), xk_buf_len(&z));
        write_file("f.want", files[i].data, files[i].size);
        EQ(shell("gzip -t f.gz && gzip -dc f.gz | cmp - f.want"), 0);
        xk_buf_fini(&z);
        deflated++;
    }
    OK(deflated > 5);
    xk_crunch_close(c);
    xk_buf_fini(&b);
    leave();
}

static void read_as(const char *name, unsigned count)
{
    static uint8_t image[MANY * MOST];
    size_t n = read_file(name, image, sizeof(image));
    struct xk_crunch_file f;
    uint8_t *p = guarded(image, n);
    struct xk_crunch *c = open_image(p, n);

    EQ(xk_crunch_count(c), count);
    for (unsigned i = 0; i < count; i++) {
        struct file want = files[i];
        EQ(xk_crunch_find(c, files[i].path, strlen(files[i].path), &f), i);
        want.time = f.time;
        compare(&f, &want);
    }
    xk_crunch_close(c);
    unguard(p, n);
}

TEST(others_images_are_read)
{
    if (!have("zip") || !have("python3"))
        exit(TAP_SKIP);
    enter();
    fill();
    lay_files();
    EQ(shell("cd in && zip -qr9 ../z.zip ."), 0); /* with folders, in its own order */
    read_as("z.zip", MANY);
    EQ(shell("echo a comment | zip -qz z.zip"), 0);
    read_as("z.zip", MANY);
    EQ(shell("cd in && zip -qr - . | cat > ../d.zip"), 0); /* sizes and CRCs behind the contents */
    read_as("d.zip", MANY);
    EQ(shell("{ echo junk before it; cat z.zip; } > p.zip && zip -qA p.zip"), 0); /* it counts the junk */
    read_as("p.zip", MANY);
    EQ(shell("cd in && python3 -c 'import zipfile,sys,os; z = zipfile.ZipFile(sys.stdout.buffer, \"w\", "
             "zipfile.ZIP_DEFLATED); [z.write(os.path.join(d, f)) for d, _, fs in os.walk(\".\") for f in fs]; "
             "z.close()' | cat > ../py.zip"),
       0);
    read_as("py.zip", MANY);
    leave();
}
