/* A device that keeps its blocks encrypted: the standard's vectors, a model beside it, a device below that is slow,
 * fails or is closed, owners that change what they have given. SPDX-License-Identifier: MIT */
#include <sys/mman.h>

#include <xenkit/fake.h>
#include <xenkit/xts.h>

#include "tests/c/block/pair.h"

static struct world w;
static struct slow disk;
static struct xk_blkdev *top;
static uint8_t key[64];

static uint64_t seed = 88172645463325252u;
static unsigned roll(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 11) % n;
}

static const xk_alloc *alloc(void) { return xk_fake_alloc(w.fake); }

static void open_disk(void)
{
    world_open_fake(&w);
    memset(&disk, 0, sizeof(disk));
    disk.dev.ops = &slow_ops;
    EQ(xk_block_memory(alloc(), PAIR_SECTORS, &disk.below), 0);
    disk.dev.info = disk.below->info;
    disk.dev.info.features |= XK_BLK_CAN_FLUSH;
    for (int i = 0; i < 64; i++)
        key[i] = (uint8_t)(i * 7 + 1);
}

static void open_xts(struct xk_xts_options o)
{
    o.key = o.key ? o.key : key;
    o.key_bytes = o.key_bytes ? o.key_bytes : 64;
    EQ(xk_block_xts(alloc(), &disk.dev, &o, &top), 0);
}

static void close_disk(void)
{
    xk_blk_close(top);
    top = NULL;
    world_close(&w); /* which looks for what was not given back */
}

static int do_it(struct xk_blkdev *d, int op, uint64_t sector, void *buf, size_t n)
{
    struct ask a;
    int r = ask_put(d, &a, op, sector, buf, n);

    if (r < 0)
        return r;
    xk_blk_kick(d);
    EQ(a.done, 1);
    return a.err;
}

/* --- the cipher --- */

/* IEEE 1619-2007, annex B: the vectors of a whole sector. The plaintext is 00 01 .. ff, twice. */
static const struct {
    int number;
    const char *key;
    uint64_t unit;
    const char *text;
} vectors[] = {
    {4, "2718281828459045235360287471352631415926535897932384626433832795", 0x0,
     "27a7479befa1d476489f308cd4cfa6e2a96e4bbe3208ff25287dd3819616e89cc78cf7f5e543445f8333d8fa7f560000"
     "05279fa5d8b5e4ad40e736ddb4d35412328063fd2aab53e5ea1e0a9f332500a5df9487d07a5c92cc512c8866c7e860ce"
     "93fdf166a24912b422976146ae20ce846bb7dc9ba94a767aaef20c0d61ad02655ea92dc4c4e41a8952c651d33174be51"
     "a10c421110e6d81588ede82103a252d8a750e8768defffed9122810aaeb99f9172af82b604dc4b8e51bcb08235a6f434"
     "1332e4ca60482a4ba1a03b3e65008fc5da76b70bf1690db4eae29c5f1badd03c5ccf2a55d705ddcd86d449511ceb7ec3"
     "0bf12b1fa35b913f9f747a8afd1b130e94bff94effd01a91735ca1726acd0b197c4e5b03393697e126826fb6bbde8ecc"
     "1e08298516e2c9ed03ff3c1b7860f6de76d4cecd94c8119855ef5297ca67e9f3e7ff72b1e99785ca0a7e7720c5b36dc6"
     "d72cac9574c8cbbc2f801e23e56fd344b07f22154beba0f08ce8891e643ed995c94d9a69c9f1b5f499027a78572aeebd"
     "74d20cc39881c213ee770b1010e4bea718846977ae119f7a023ab58cca0ad752afe656bb3c17256a9f6e9bf19fdd5a38"
     "fc82bbe872c5539edb609ef4f79c203ebb140f2e583cb2ad15b4aa5b655016a8449277dbd477ef2c8d6c017db738b18d"
     "eb4a427d1923ce3ff262735779a418f20a282df920147beabe421ee5319d0568"},
    {10,
     "2718281828459045235360287471352662497757247093699959574966967627"
     "3141592653589793238462643383279502884197169399375105820974944592",
     0xff,
     "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b5d31e276f8fe4a8d66b317f9ac683f44"
     "680a86ac35adfc3345befecb4bb188fd5776926c49a3095eb108fd1098baec70aaa66999a72a82f27d848b21d4a741b0"
     "c5cd4d5fff9dac89aeba122961d03a757123e9870f8acf1000020887891429ca2a3e7a7d7df7b10355165c8b9a6d0a7d"
     "e8b062c4500dc4cd120c0f7418dae3d0b5781c34803fa75421c790dfe1de1834f280d7667b327f6c8cd7557e12ac3a0f"
     "93ec05c52e0493ef31a12d3d9260f79a289d6a379bc70c50841473d1a8cc81ec583e9645e07b8d9670655ba5bbcfecc6"
     "dc3966380ad8fecb17b6ba02469a020a84e18e8f84252070c13e9f1f289be54fbc481457778f616015e1327a02b140f1"
     "505eb309326d68378f8374595c849d84f4c333ec4423885143cb47bd71c5edae9be69a2ffeceb1bec9de244fbe15992b"
     "11b77c040f12bd8f6a975a44a0f90c29a9abc3d4d893927284c58754cce294529f8614dcd2aba991925fedc4ae74ffac"
     "6e333b93eb4aff0479da9a410e4450e0dd7ae4c6e2910900575da401fc07059f645e8b7e9bfdef33943054ff84011493"
     "c27b3429eaedb4ed5376441a77ed43851ad77f16f541dfd269d50d6a5f14fb0aab1cbb4c1550be97f7ab4066193c4caa"
     "773dad38014bd2092fa755c824bb5e54c4f36ffda9fcea70b9c6e693e148c151"},
    {14,
     "2718281828459045235360287471352662497757247093699959574966967627"
     "3141592653589793238462643383279502884197169399375105820974944592",
     0xffffffffff,
     "64497e5a831e4a932c09be3e5393376daa599548b816031d224bbf50a818ed2350eae7e96087c8a0db51ad290bd00c1a"
     "c1620857635bf246c176ab463be30b808da548081ac847b158e1264be25bb0910bbc92647108089415d45fab1b3d2604"
     "e8a8eff1ae4020cfa39936b66827b23f371b92200be90251e6d73c5f86de5fd4a950781933d79a28272b782a2ec313ef"
     "dfcc0628f43d744c2dc2ff3dcb66999b50c7ca895b0c64791eeaa5f29499fb1c026f84ce5b5c72ba1083cddb5ce45434"
     "631665c333b60b11593fb253c5179a2c8db813782a004856a1653011e93fb6d876c18366dd8683f53412c0c180f9c848"
     "592d593f8609ca736317d356e13e2bff3a9f59cd9aeb19cd482593d8c46128bb32423b37a9adfb482b99453fbe25a41b"
     "f6feb4aa0bef5ed24bf73c762978025482c13115e4015aac992e5613a3b5c2f685b84795cb6e9b2656d8c88157e52c42"
     "f978d8634c43d06fea928f2822e465aa6576e9bf419384506cc3ce3c54ac1a6f67dc66f3b30191e698380bc999b05abc"
     "e19dc0c6dcc2dd001ec535ba18deb2df1a101023108318c75dc98611a09dc48a0acdec676fabdf222f07e026f059b672"
     "b56e5cbc8e1d21bbd867dd927212054681d70ea737134cdfce93b6f82ae22423274e58a0821cc5502e2d0ab4585e94de"
     "6975be5e0b4efce51cd3e70c25a1fbbbd609d273ad5b0d59631c531f6a0a57b9"},
};

static size_t unhex(const char *s, uint8_t *out)
{
    size_t n = strlen(s) / 2;

    for (size_t i = 0; i < n; i++) {
        unsigned b;
        EQ(sscanf(s + 2 * i, "%2x", &b), 1);
        out[i] = (uint8_t)b;
    }
    return n;
}

TEST(the_vectors_of_the_standard)
{
    uint8_t plain[XK_SECTOR], want[XK_SECTOR], got[XK_SECTOR], k[64];

    for (int i = 0; i < XK_SECTOR; i++)
        plain[i] = (uint8_t)i;
    for (size_t v = 0; v < sizeof(vectors) / sizeof(*vectors); v++) {
        size_t n = unhex(vectors[v].key, k);
        EQ(unhex(vectors[v].text, want), XK_SECTOR);
        open_disk();
        open_xts((struct xk_xts_options){.key = k, .key_bytes = n, .tweak = vectors[v].unit});
        EQ(do_it(top, XK_BLK_WRITE, 0, plain, sizeof(plain)), 0);
        EQ(do_it(&disk.dev, XK_BLK_READ, 0, got, sizeof(got)), 0);
        MEMEQ(got, want, sizeof(got));
        EQ(do_it(top, XK_BLK_READ, 0, got, sizeof(got)), 0);
        MEMEQ(got, plain, sizeof(got));
        close_disk();
    }
}

TEST(each_sector_has_its_own_number)
{
    static uint8_t a[40 * XK_SECTOR], b[40 * XK_SECTOR], plain[40 * XK_SECTOR];

    open_disk();
    open_xts((struct xk_xts_options){.first = 16, .tweak = 100});
    EQ(top->info.sectors, PAIR_SECTORS - 16);
    EQ(do_it(top, XK_BLK_WRITE, 0, plain, sizeof(plain)), 0);
    EQ(do_it(&disk.dev, XK_BLK_READ, 16, a, sizeof(a)), 0);
    for (int i = 0; i < 40; i++)
        for (int j = 0; j < i; j++)
            OK(memcmp(a + i * XK_SECTOR, a + j * XK_SECTOR, XK_SECTOR) != 0);
    for (int i = 0; i < 40; i++) /* one by one they are the same */
        EQ(do_it(top, XK_BLK_WRITE, (uint64_t)i, plain, XK_SECTOR), 0);
    EQ(do_it(&disk.dev, XK_BLK_READ, 16, b, sizeof(b)), 0);
    MEMEQ(a, b, sizeof(a));
    close_disk();
    open_disk(); /* another window on the same numbers */
    open_xts((struct xk_xts_options){.sectors = 10, .tweak = 120});
    EQ(top->info.sectors, 10);
    EQ(do_it(top, XK_BLK_WRITE, 0, plain, 10 * XK_SECTOR), 0);
    EQ(do_it(&disk.dev, XK_BLK_READ, 0, b, 10 * XK_SECTOR), 0);
    MEMEQ(b, a + 20 * XK_SECTOR, 10 * XK_SECTOR);
    EQ(do_it(top, XK_BLK_READ, 9, b, 2 * XK_SECTOR), XK_EINVAL);
    close_disk();
}

TEST(keys_and_parts_that_cannot_be)
{
    uint8_t twice[64];
    struct {
        struct xk_xts_options o;
        uint32_t logical;
    } bad[] = {
        {{.key = key, .key_bytes = 16}, 512},
        {{.key = key, .key_bytes = 48}, 512},
        {{.key = key, .key_bytes = 63}, 512},
        {{.key = twice, .key_bytes = 64}, 512},
        {{.key = twice, .key_bytes = 32}, 512},
        {{.key = key, .key_bytes = 64, .first = PAIR_SECTORS}, 512},
        {{.key = key, .key_bytes = 64, .first = 1, .sectors = PAIR_SECTORS}, 512},
        {{.key = key, .key_bytes = 64, .first = UINT64_MAX}, 512},
        {{.key = key, .key_bytes = 64, .first = 4}, 4096},
        {{.key = key, .key_bytes = 64, .sectors = 12}, 4096},
        {{.key = key, .key_bytes = 64}, 8192},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        open_disk();
        for (int k = 0; k < 64; k++)
            twice[k] = (uint8_t)(k % 16);
        disk.dev.info.logical = bad[i].logical;
        EQ(xk_block_xts(alloc(), &disk.dev, &bad[i].o, &top), XK_EINVAL);
        top = NULL; /* and the one below is closed */
        close_disk();
    }
}

TEST(each_allocation_fails_once)
{
    for (unsigned nth = 1; nth < 4; nth++) {
        struct xk_xts_options o = {.key = key, .key_bytes = 64};
        int r;
        open_disk();
        xk_fake_fail(w.fake, XK_FAKE_ALLOC, nth);
        r = xk_block_xts(alloc(), &disk.dev, &o, &top);
        xk_fake_fail(w.fake, XK_FAKE_ALLOC, 0);
        EQ(r, nth < 3 ? XK_ENOMEM : 0);
        if (r < 0)
            top = NULL;
        close_disk();
    }
}

/* --- requests --- */

TEST(what_it_can_do_is_what_the_one_below_can)
{
    uint8_t buf[8 * XK_SECTOR] = {0};
    struct xk_xts_stats s;

    open_disk();
    open_xts((struct xk_xts_options){0});
    EQ(do_it(top, XK_BLK_DISCARD, 0, NULL, sizeof(buf)), XK_ENOSYS); /* as dm-crypt: it would tell what is in use */
    EQ(do_it(top, XK_BLK_FLUSH, 0, NULL, 0), 0);
    close_disk();
    open_disk();
    open_xts((struct xk_xts_options){.discard = 1, .first = 8});
    memset(buf, 1, sizeof(buf));
    EQ(do_it(top, XK_BLK_WRITE, 0, buf, sizeof(buf)), 0);
    EQ(do_it(top, XK_BLK_DISCARD, 0, NULL, sizeof(buf)), 0);
    EQ(do_it(&disk.dev, XK_BLK_READ, 8, buf, sizeof(buf)), 0);
    for (size_t i = 0; i < sizeof(buf); i++)
        EQ(buf[i], 0);
    xk_block_xts_stats(top, &s);
    EQ(s.encrypted, 8);
    EQ(s.decrypted, 0);
    EQ(s.pages, 0);
    EQ(s.most_pages, 1);
    close_disk();
    open_disk();
    disk.dev.info.features |= XK_BLK_READONLY;
    open_xts((struct xk_xts_options){0});
    EQ(do_it(top, XK_BLK_WRITE, 0, buf, sizeof(buf)), XK_EROFS);
    EQ(do_it(top, XK_BLK_READ, 0, buf, sizeof(buf)), 0);
    close_disk();
}

TEST(a_write_is_taken_at_the_kick_and_stays_where_it_was)
{
    static uint8_t buf[64 * XK_SECTOR], was[64 * XK_SECTOR], got[64 * XK_SECTOR];
    struct ask a;

    open_disk();
    disk.hold = 1;
    open_xts((struct xk_xts_options){0});
    for (size_t i = 0; i < sizeof(buf); i++)
        was[i] = buf[i] = (uint8_t)(i * 31 >> 3);
    EQ(ask_put(top, &a, XK_BLK_WRITE, 0, buf, sizeof(buf)), 0);
    xk_blk_kick(top);
    EQ(a.done, 0);
    MEMEQ(buf, was, sizeof(buf)); /* its owner may be looking */
    for (unsigned i = 0; i < disk.held[0]->pieces; i++) {
        const uint8_t *p = disk.held[0]->piece[i].base;
        OK(p + disk.held[0]->piece[i].len <= buf || p >= buf + sizeof(buf));
        EQ((uintptr_t)p % 4096, 0); /* for O_DIRECT */
    }
    memset(buf, 0xee, sizeof(buf)); /* or change it */
    slow_go(&disk);
    EQ(a.done, 1);
    disk.hold = 0;
    EQ(do_it(top, XK_BLK_READ, 0, got, sizeof(got)), 0);
    MEMEQ(got, was, sizeof(got));
    close_disk();
}

/* An allocator that remembers where it gave memory. */
static struct {
    void *p;
    size_t n;
} given[16];

static void *tracking(void *ctx, void *p, size_t old, size_t size)
{
    const xk_alloc *libc = ctx;
    void *q = libc->resize(libc->ctx, p, old, size);
    int i = 0;

    while (i < 15 && given[i].p != p)
        i++;
    given[i].p = size ? q : NULL;
    given[i].n = size;
    return q;
}

TEST(memory_of_its_own_holds_no_plaintext)
{
    static uint8_t buf[600 * XK_SECTOR];
    const xk_alloc track = {tracking, (void *)(uintptr_t)xk_alloc_libc()};
    struct xk_xts_options o = {.key = key, .key_bytes = 64};
    int looked = 0;

    open_disk();
    EQ(xk_block_xts(&track, &disk.dev, &o, &top), 0);
    memset(buf, 'P', sizeof(buf));
    EQ(do_it(top, XK_BLK_WRITE, 3, buf, sizeof(buf)), 0);
    EQ(do_it(top, XK_BLK_READ, 3, buf, sizeof(buf)), 0);
    for (size_t i = 0; i < sizeof(buf); i++)
        EQ(buf[i], 'P');
    for (int i = 0; i < 15; i++)
        if (given[i].p) {
            OK(memmem(given[i].p, given[i].n, "PPPPPPPP", 8) == NULL);
            OK(memmem(given[i].p, given[i].n, key, 16) == NULL);
            looked++;
        }
    EQ(looked, 2);
    close_disk();
}

/* More than its memory holds, answered in another order; the first come first. */
TEST(requests_wait_in_order_for_memory)
{
    enum { N = 40 };
    static struct ask a[N], after;
    static uint8_t buf[N][256 * XK_SECTOR], small[XK_SECTOR];
    struct xk_xts_stats s;
    uint64_t last = 0;

    open_disk();
    disk.hold = 1;
    open_xts((struct xk_xts_options){0});
    for (unsigned i = 0; i < N; i++) {
        memset(buf[i], (int)i, sizeof(buf[i]));
        EQ(ask_put(top, &a[i], XK_BLK_WRITE, i * 100, buf[i], 90 * XK_SECTOR), 0);
    }
    EQ(ask_put(top, &after, XK_BLK_READ, 4000, small, sizeof(small)), 0);
    xk_blk_kick(top);
    OK(disk.n > 10 && disk.n < N);
    xk_block_xts_stats(top, &s);
    OK(s.pages <= 256 && s.pages > 200 && s.waited > 0);
    while (disk.n) { /* one at a time: what follows is never before its turn */
        struct xk_blk_request *r = disk.held[0];
        memmove(disk.held, disk.held + 1, (size_t)--disk.n * sizeof(*disk.held));
        OK(r->sector >= last);
        last = r->sector;
        slow_pass(&disk, r);
    }
    EQ(last, 4000);
    EQ(after.done, 1);
    disk.hold = 0;
    for (unsigned i = 0; i < N; i++) {
        EQ(a[i].done, 1);
        EQ(a[i].err, 0);
        memset(buf[i], 0xff, sizeof(buf[i]));
        EQ(do_it(top, XK_BLK_READ, i * 100, buf[i], 90 * XK_SECTOR), 0);
        for (size_t k = 0; k < 90 * XK_SECTOR; k++)
            EQ(buf[i][k], (uint8_t)i);
    }
    xk_block_xts_stats(top, &s);
    EQ(s.pages, 0);
    OK(s.most_pages <= 256);
    close_disk();
}

/* Pieces of any number of sectors, as a ring of a guest gives them. */
TEST(pieces_of_any_size_at_the_end_of_memory)
{
    long page = sysconf(_SC_PAGESIZE);
    size_t room = 600 * XK_SECTOR;
    uint8_t *p = mmap(NULL, room + (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t *end = p + room;

    OK(p != MAP_FAILED && mprotect(end, (size_t)page, PROT_NONE) == 0);
    open_disk();
    open_xts((struct xk_xts_options){0});
    for (unsigned round = 0; round < 200; round++) {
        struct ask a;
        uint8_t *at = end;
        size_t sectors = 0;
        memset(&a, 0, sizeof(a));
        a.r = (struct xk_blk_request){.done = ask_done, .piece = a.piece, .pieces = 8, .sector = roll(1000)};
        for (int i = 8; i-- > 0;) {
            size_t n = 1 + roll(70);
            at -= n * XK_SECTOR;
            a.piece[i] = (struct xk_piece){at, n * XK_SECTOR};
            sectors += n;
        }
        for (size_t i = 0; i < sectors * XK_SECTOR; i++)
            at[i] = (uint8_t)(i * 13 + round + (i >> 9));
        a.r.sectors = sectors;
        for (int op = XK_BLK_WRITE; op >= XK_BLK_READ; op--) {
            a.r.op = (uint8_t)op;
            a.done = 0;
            EQ(xk_blk_submit(top, &a.r), 0);
            xk_blk_kick(top);
            EQ(a.done, 1);
            EQ(a.err, 0);
            if (op == XK_BLK_WRITE)
                memset(at, 0, sectors * XK_SECTOR);
        }
        for (size_t i = 0; i < sectors * XK_SECTOR; i++)
            EQ(at[i], (uint8_t)(i * 13 + round + (i >> 9)));
    }
    close_disk();
}

/* --- a model --- */

enum { MODEL = 1024, AT_ONCE = 12 };

/* Each sector has one of these contents: what was written to it last, and what was to be, by requests that failed. */
static uint8_t model[MODEL][256];

static struct {
    struct ask a;
    uint8_t buf[600 * XK_SECTOR], fill;
} op[AT_ONCE];

static int overlaps(const struct xk_blk_request *a, const struct xk_blk_request *b)
{
    return a->sector < b->sector + b->sectors && b->sector < a->sector + a->sectors;
}

static void judge(unsigned k)
{
    const struct xk_blk_request *r = &op[k].a.r;

    for (uint64_t i = 0; i < r->sectors; i++) {
        unsigned s = (unsigned)(r->sector + i);
        uint8_t got = r->op == XK_BLK_WRITE ? op[k].fill : op[k].buf[i * XK_SECTOR];
        if (r->op == XK_BLK_READ && op[k].a.err)
            continue;
        if (r->op == XK_BLK_READ)
            OK(model[s][got]);
        for (int b = 1; b < XK_SECTOR; b++)
            EQ(op[k].buf[i * XK_SECTOR + (size_t)b], got);
        if (op[k].a.err == 0)
            memset(model[s], 0, sizeof(model[s]));
        model[s][got] = 1;
    }
}

static void model_run(unsigned rounds, const struct xk_blk_fault *fault)
{
    struct xk_blkdev *below = &disk.dev;
    struct xk_xts_options o = {.key = key, .key_bytes = 32, .first = 64};
    static uint8_t zero[MODEL * XK_SECTOR];
    unsigned failed = 0;

    open_disk();
    EQ(xk_block_fault(alloc(), below, fault, &below), 0);
    EQ(xk_block_xts(alloc(), below, &o, &top), 0);
    memset(model, 0, sizeof(model));
    for (int i = 0; i < MODEL; i++)
        model[i][0] = 1;
    while (do_it(top, XK_BLK_WRITE, 0, zero, sizeof(zero)) < 0)
        ;
    disk.hold = 1;
    for (unsigned round = 0; round < rounds; round++) {
        unsigned n = 1 + roll(AT_ONCE);
        for (unsigned k = 0; k < n; k++) {
            uint64_t sectors = 1 + (roll(4) ? roll(20) : roll(500)), at = roll((unsigned)(MODEL - sectors + 1));
            int clash = 0, what = roll(2) ? XK_BLK_WRITE : XK_BLK_READ;
            struct xk_blk_request mine = {.sector = at, .sectors = sectors};
            for (unsigned j = 0; j < k; j++)
                clash |= overlaps(&op[j].a.r, &mine);
            if (clash) {
                n = k;
                break;
            }
            op[k].fill = (uint8_t)roll(250);
            memset(op[k].buf, op[k].fill, sizeof(op[k].buf));
            EQ(ask_put(top, &op[k].a, what, at, op[k].buf, sectors * XK_SECTOR), 0);
        }
        xk_blk_kick(top);
        while (disk.n)
            slow_go(&disk);
        for (unsigned k = 0; k < n; k++) {
            EQ(op[k].a.done, 1);
            failed += op[k].a.err != 0;
            judge(k);
        }
    }
    EQ(failed > 0, fault->one_in < 1000000);
    disk.hold = 0;
    close_disk();
}

TEST(random_requests_against_a_model) { model_run(3000, &(struct xk_blk_fault){.one_in = 100000000}); }
TEST(random_requests_while_the_device_below_fails) { model_run(3000, &(struct xk_blk_fault){.one_in = 20}); }

TEST(an_error_of_a_part_is_the_requests)
{
    static uint8_t buf[2000 * XK_SECTOR];
    struct xk_blk_fault f = {.first = 900, .sectors = 1, .err = XK_ENOSPC};
    struct xk_blkdev *below = &disk.dev;
    struct xk_xts_options o = {.key = key, .key_bytes = 64};
    struct xk_xts_stats s;

    open_disk();
    EQ(xk_block_fault(alloc(), below, &f, &below), 0);
    EQ(xk_block_xts(alloc(), below, &o, &top), 0);
    EQ(do_it(top, XK_BLK_WRITE, 0, buf, sizeof(buf)), XK_ENOSPC);
    EQ(do_it(top, XK_BLK_READ, 0, buf, sizeof(buf)), XK_ENOSPC);
    EQ(do_it(top, XK_BLK_READ, 0, buf, 900 * XK_SECTOR), 0);
    xk_block_xts_stats(top, &s);
    EQ(s.pages, 0);
    close_disk();
}

TEST(one_that_is_larger_than_all_its_memory)
{
    static uint8_t buf[PAIR_SECTORS * XK_SECTOR];
    struct xk_xts_stats s;

    for (int hold = 0; hold < 2; hold++) {
        struct ask a;
        open_disk();
        open_xts((struct xk_xts_options){0});
        disk.hold = hold;
        for (int what = XK_BLK_WRITE; what >= XK_BLK_READ; what--) {
            memset(buf, what == XK_BLK_WRITE ? 0x77 : 0, sizeof(buf));
            EQ(ask_put(top, &a, what, 0, buf, sizeof(buf)), 0);
            xk_blk_kick(top);
            EQ(a.done, !hold);
            while (disk.n)
                slow_go(&disk);
            EQ(a.done, 1);
            EQ(a.err, 0);
        }
        for (size_t i = 0; i < sizeof(buf); i++)
            EQ(buf[i], 0x77);
        xk_block_xts_stats(top, &s);
        EQ(s.most_pages, 256);
        disk.hold = 0;
        close_disk();
    }
}

/* --- its end --- */

TEST(what_waits_and_what_is_below_ends_with_it)
{
    static struct ask a[100];
    static uint8_t buf[100 * XK_SECTOR];

    open_disk();
    disk.hold = 1;
    open_xts((struct xk_xts_options){0});
    for (unsigned i = 0; i < 100; i++)
        EQ(ask_put(top, &a[i], i % 2 ? XK_BLK_READ : XK_BLK_WRITE, i, buf, sizeof(buf)), 0);
    xk_blk_kick(top);
    xk_blk_kick(top);
    for (unsigned i = 0; i < 100; i++)
        EQ(a[i].done, 0);
    disk.hold = 0;
    xk_blk_close(top); /* those below stay there, as this device keeps them */
    top = NULL;
    for (unsigned i = 60; i < 100; i++) {
        EQ(a[i].done, 1);
        EQ(a[i].err, XK_ECANCELED);
    }
    world_close(&w);
}

static void close_it(struct xk_blk_request *r, int err)
{
    ask_done(r, err);
    xk_blk_close(top);
}

static void again(struct xk_blk_request *r, int err)
{
    struct ask *a = (struct ask *)r;

    EQ(err, 0);
    if (++a->done < 1000) {
        r->sector = (uint64_t)a->done;
        EQ(xk_blk_submit(top, r), 0);
        xk_blk_kick(top);
    }
}

TEST(it_may_be_closed_from_an_answer_of_its_kick)
{
    static uint8_t buf[300 * XK_SECTOR];
    struct ask a, b;

    open_disk();
    open_xts((struct xk_xts_options){0});
    EQ(ask_put(top, &a, XK_BLK_READ, 0, buf, sizeof(buf)), 0);
    a.r.done = close_it;
    EQ(ask_put(top, &b, XK_BLK_READ, 2000, buf, sizeof(buf)), 0);
    xk_blk_kick(top);
    EQ(a.done + b.done, 2);
    EQ(a.err, 0);
    top = NULL;
    world_close(&w);
}

TEST(it_may_be_used_from_an_answer)
{
    static uint8_t buf[300 * XK_SECTOR];
    struct ask a;

    open_disk();
    open_xts((struct xk_xts_options){0});
    EQ(ask_put(top, &a, XK_BLK_WRITE, 0, buf, sizeof(buf)), 0);
    a.r.done = again;
    xk_blk_kick(top);
    EQ(a.done, 1000);
    close_disk();
}
