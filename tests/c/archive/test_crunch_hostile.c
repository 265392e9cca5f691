/* Images that lie, are cut, are damaged. They end at an unreadable page. SPDX-License-Identifier: MIT */
#include "tests/c/archive/images.h" /* first */

static char text[5000];
static uint8_t noise[300];

/* Three files: a (deflated), b (stored), c (stored), and room for the tests' own. */
static struct xk_buf image;
static uint8_t *end, *central[3], *local[3];

static void lay(void)
{
    struct file files[] = {
        {"a.txt", text, sizeof(text), 0}, {"b.bin", noise, sizeof(noise), 0}, {"c.bin", "abc", 3, 0}};

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = "some text "[i * i % 10];
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (uint8_t)roll(256);
    if (image.data)
        xk_buf_fini(&image);
    make(files, 3, 0, &image);
    end = xk_buf_head(&image) + xk_buf_len(&image) - ZIP_END_SIZE;
    central[0] = xk_buf_head(&image) + zip_get32(end + 16);
    for (int i = 0; i < 3; i++) {
        if (i)
            central[i] = central[i - 1] + ZIP_CENTRAL_SIZE + 5;
        local[i] = xk_buf_head(&image) + zip_get32(central[i] + 42);
    }
}

/* Whatever it is: it is opened or not, its files are in it, what is read of them is as long as it says. */
static int see(const uint8_t *bytes, size_t n, struct xk_diag *d)
{
    uint8_t *p = guarded(bytes, n), buf[6000];
    struct xk_crunch_file f;
    struct xk_crunch *c;
    int r = xk_crunch_open(&frail, p, n, &c, d);

    for (unsigned i = 0; r == 0 && i < xk_crunch_count(c); i++) {
        xk_crunch_get(c, i, &f);
        OK((const uint8_t *)f.path >= p && (const uint8_t *)f.path + f.path_len <= p + n);
        OK(f.data >= p && f.data + f.stored_size <= p + n);
        if (f.size <= sizeof(buf))
            (void)!xk_crunch_read(&frail, &f, buf);
    }
    if (r == 0)
        xk_crunch_close(c);
    EQ(held, 0);
    unguard(p, n);
    return r;
}

static void refused(const char *words)
{
    struct xk_diag d = {0};

    EQ(see(xk_buf_head(&image), xk_buf_len(&image), &d), XK_EPROTO);
    if (!strstr(d.text, words))
        TAP_FAIL("'%s' is not in: %s", words, d.text);
}

TEST(each_cut_is_seen)
{
    lay();
    for (size_t n = 0; n < xk_buf_len(&image); n++)
        EQ(see(xk_buf_head(&image), n, NULL), XK_EPROTO);
    EQ(see(xk_buf_head(&image), xk_buf_len(&image), NULL), 0);
}

TEST(each_byte_may_be_any)
{
    static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff, '/', '.'};

    lay();
    for (size_t i = 0; i < xk_buf_len(&image); i++) {
        uint8_t was = xk_buf_head(&image)[i];
        for (size_t k = 0; k < sizeof(values); k++) {
            xk_buf_head(&image)[i] = values[k];
            (void)see(xk_buf_head(&image), xk_buf_len(&image), NULL);
        }
        xk_buf_head(&image)[i] = was;
    }
    for (int round = 0; round < 20000; round++) { /* some at once, in the records */
        uint8_t *at[4], was[4];
        for (int k = 0; k < 4; k++) {
            at[k] = central[0] + roll((unsigned)(end - central[0]) + ZIP_END_SIZE);
            was[k] = *at[k];
            *at[k] = values[roll(sizeof(values))];
        }
        (void)see(xk_buf_head(&image), xk_buf_len(&image), NULL);
        for (int k = 3; k >= 0; k--)
            *at[k] = was[k];
    }
}

/* A field says something else, in the directory and, where (both), at the contents. */
static void lie16(int i, unsigned at, uint32_t v, int both, const char *words)
{
    lay();
    zip_put16(central[i] + at, v);
    if (both)
        zip_put16(local[i] + at - 2, v);
    refused(words);
}

static void lie32(int i, unsigned at, uint32_t v, int both, const char *words)
{
    lay();
    zip_put32(central[i] + at, v);
    if (both)
        zip_put32(local[i] + at - 2, v);
    refused(words);
}

TEST(lies_of_a_file)
{
    lie16(0, 8, ZIP_UTF8 | ZIP_ENCRYPTED, 1, "'a.txt' is encrypted");
    lie16(0, 8, ZIP_UTF8 | ZIP_STRONG, 1, "encrypted");
    lie16(0, 8, ZIP_UTF8 | ZIP_MASKED, 1, "encrypted");
    lie16(0, 8, ZIP_UTF8 | ZIP_PATCHED, 1, "otherwise");
    lie16(0, 10, 12, 1, "'a.txt' is compressed otherwise");
    lie16(0, 10, 0, 1, "size that cannot be");
    lie16(1, 10, 8, 0, "another method");
    lie16(1, 34, 1, 0, "another part");
    lie32(0, 16, 1, 0, "another method, CRC or size");
    lie32(0, 24, 4999, 0, "another method, CRC or size");
    lie32(1, 20, 299, 1, "size that cannot be");
    lie32(1, 24, 301, 1, "size that cannot be");
    lay(); /* more than deflate can blow up to, and as much */
    lie32(0, 24, zip_get32(central[0] + 20) * 1032 + 1, 1, "size that cannot be");
    zip_put32(central[0] + 24, zip_get32(central[0] + 20) * 1032);
    zip_put32(local[0] + 22, zip_get32(central[0] + 20) * 1032);
    EQ(see(xk_buf_head(&image), xk_buf_len(&image), NULL), 0);
    lie32(0, 24, UINT32_MAX, 1, "ZIP64");
    lie32(0, 20, UINT32_MAX, 1, "ZIP64");
    lie32(0, 42, UINT32_MAX, 0, "ZIP64");
    lie32(0, 42, UINT32_MAX - 1, 0, "not where the directory says");
    lie32(0, 42, 1, 0, "not where the directory says");
    lie32(1, 42, 0, 0, "another path at its contents");
    lay(); /* contents reach into the directory */
    zip_put32(central[2] + 20, 4);
    zip_put32(central[2] + 24, 4);
    zip_put32(local[2] + 18, 4);
    zip_put32(local[2] + 22, 4);
    refused("'c.bin' is cut off");
    lay(); /* a longer extra field moves them there */
    zip_put16(local[2] + 28, 1);
    refused("'c.bin' is cut off");
    lay(); /* and here into the next file */
    zip_put16(local[1] + 28, 20);
    refused("'c.bin' overlaps another file");
}

TEST(links_and_paths)
{
    lay();
    zip_put16(central[0] + 40, 0120777);
    refused("'a.txt' is a link");
    zip_put16(central[0] + 40, 0020666);
    refused("no plain file");
    central[0][5] = 0; /* MS-DOS has no such modes */
    EQ(see(xk_buf_head(&image), xk_buf_len(&image), NULL), 0);
    lay();
    memcpy(central[1] + ZIP_CENTRAL_SIZE, "a.txt", 5);
    memcpy(local[1] + ZIP_LOCAL_SIZE, "a.txt", 5);
    refused("'a.txt' is there twice");
    for (int i = 0; i < 4; i++) {
        static const char *const wrong[] = {"../xx", "/x.yz", "a\\b.c", "a\0b.c"};
        lay();
        memcpy(central[1] + ZIP_CENTRAL_SIZE, wrong[i], 5);
        memcpy(local[1] + ZIP_LOCAL_SIZE, wrong[i], 5);
        refused("the path of its file 2 ");
    }
    lay();
    memcpy(central[1] + ZIP_CENTRAL_SIZE, "b.xxx", 5);
    refused("'b.xxx' has another path at its contents");
    lay();
    memcpy(central[1] + ZIP_CENTRAL_SIZE, "b.xx/", 5);
    memcpy(local[1] + ZIP_LOCAL_SIZE, "b.xx/", 5);
    zip_put16(central[1] + 40, ZIP_IFDIR);
    refused("a folder with contents");
}

TEST(lies_of_the_end)
{
    static const struct {
        unsigned at, v;
        const char *words;
    } lies[] = {{4, 1, "several parts"},   {6, 1, "several parts"},   {8, 2, "several parts"},
                {20, 1, "behind its end"}, {12, 0, "does not count"}, {16, 0, "does not count"}};

    for (unsigned i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
        lay();
        zip_put16(end + lies[i].at, lies[i].v);
        refused(lies[i].words);
    }
    lay();
    zip_put32(end + 8, 0xffffffff);
    refused("ZIP64");
    lay();
    zip_put32(end + 12, 0xfffffffe);
    refused("behind its end");
    lay();
    zip_put32(end + 8, 0x00020002);
    refused("more than its files");
    lay();
    central[2][0] = 'Q';
    refused("damaged at file 3");
    lay();
    zip_put16(central[2] + 32, 1);
    refused("cut off at file 3");
    lay();
    zip_put32(end + 8, 0x04000400);
    refused("too short for its files");
    lay();
    OK(xk_buf_put(&image, "x", 1) == 0);
    refused("behind its end");
}

TEST(an_order_of_ones_own)
{
    enum { N = 500 };
    static char paths[N][8];
    static struct file files[N];
    uint8_t *first, *at, one[ZIP_CENTRAL_SIZE + 4];
    struct xk_crunch_file f;
    struct xk_crunch *c;

    for (int i = 0; i < N; i++) {
        snprintf(paths[i], sizeof(paths[i]), "f%03d", i);
        files[i] = (struct file){paths[i], paths[i], 4, 0};
    }
    make(files, N, 0, &image);
    at = xk_buf_head(&image) + xk_buf_len(&image) - ZIP_END_SIZE;
    first = xk_buf_head(&image) + zip_get32(at + 16);
    for (int round = 0; round < 4; round++) {
        for (unsigned i = N - 1; i > 0; i--) { /* the records shuffled */
            uint8_t *a = first + i * sizeof(one), *b = first + roll(i + 1) * sizeof(one);
            memcpy(one, a, sizeof(one));
            memmove(a, b, sizeof(one));
            memcpy(b, one, sizeof(one));
        }
        c = open_image(xk_buf_head(&image), xk_buf_len(&image));
        for (int i = 0; i < N; i++) {
            EQ(xk_crunch_find(c, paths[i], 4, &f), i);
            MEMEQ(xk_crunch_bytes(&f, 0, 4), paths[i], 4);
        }
        xk_crunch_close(c);
    }
}

/* --- damage ------------------------------------------------------------------------------------------------------- */

static void damaged(int i, struct xk_crunch_file change, int is)
{
    uint8_t buf[6000];
    struct xk_crunch_stream *s;
    struct xk_crunch_file f;
    struct xk_crunch *c = open_image(xk_buf_head(&image), xk_buf_len(&image));
    int r;

    xk_crunch_get(c, (unsigned)i, &f);
    f.size += change.size;
    f.stored_size += change.stored_size;
    EQ(xk_crunch_read(NULL, &f, buf), is ? XK_EPROTO : 0);
    EQ(xk_crunch_stream_open(NULL, &f, &s), 0);
    while ((r = xk_crunch_stream_read(s, buf, 100)) > 0)
        ;
    EQ(r, is ? XK_EPROTO : 0);
    EQ(xk_crunch_stream_read(s, buf, 100), is ? XK_EPROTO : 0);
    xk_crunch_stream_close(s);
    xk_crunch_close(c);
}

TEST(damage_is_seen)
{
    lay();
    for (int i = 0; i < 3; i++)
        damaged(i, (struct xk_crunch_file){0}, 0);
    damaged(0, (struct xk_crunch_file){.size = 1}, 1);
    damaged(0, (struct xk_crunch_file){.size = (uint32_t)-1}, 1);
    damaged(0, (struct xk_crunch_file){.stored_size = 1}, 1);
    damaged(0, (struct xk_crunch_file){.stored_size = (uint32_t)-1}, 1);
    local[1][ZIP_LOCAL_SIZE + 5 + 100] ^= 1;
    damaged(1, (struct xk_crunch_file){0}, 1);
    for (uint32_t i = 0; i < zip_get32(central[0] + 20); i++) {
        lay();
        local[0][ZIP_LOCAL_SIZE + 5 + i] ^= (uint8_t)(1 << i % 8);
        damaged(0, (struct xk_crunch_file){0}, 1);
    }
    lay();
    zip_put32(central[2] + 16, 0);
    zip_put32(local[2] + 14, 0);
    damaged(2, (struct xk_crunch_file){0}, 1);
}
