/* LUKS1: which slot a passphrase opens, new headers, further passphrases. What takes long, PBKDF2, is done in steps, so
 * that a service may serve others meanwhile. The order in which a slot is changed is what a cut of the power may find:
 * a new one is marked as in use after its part of the header is on the medium, an old one's part is overwritten before
 * it is marked as free. SPDX-License-Identifier: MIT */
#include "crypt/luks.h"

#include <string.h>

#include <xenkit/xts.h>

enum { PLAIN_MAX = 1 << 20, LESS = 1000 /* iterations of a new slot */ };

struct xk_luks {
    xk_alloc alloc;
    struct xk_file *file; /* the caller's */
    struct luks_header header;
    struct crypt_kdf kdf;
    enum { NEXT, SLOT, DIGEST, OPEN } state;
    int slot;
    size_t n; /* bytes of pass; 0: it is gone */
    uint8_t *pass;
    uint8_t key[CRYPT_KEY_MAX]; /* of the data, once it is open; before that a candidate */
};

/* --- a slot's part of the header ---------------------------------------------------------------------------------- */

static size_t part_bytes(uint32_t key_bytes) { return (size_t)luks_slot_sectors(key_bytes) * XK_SECTOR; }

/* All sectors of a part, in place: the first one's tweak is 0. */
static int convert(const uint8_t *key, uint32_t key_bytes, uint8_t *part,
                   int (*sector)(struct crypt_xts *c, uint64_t tweak, const uint8_t *in, uint8_t *out))
{
    struct crypt_xts c;
    int r = crypt_xts_open(&c, key, key_bytes);

    for (uint64_t i = 0; i < luks_slot_sectors(key_bytes) && r == 0; i++)
        r = sector(&c, i, part + i * XK_SECTOR, part + i * XK_SECTOR);
    crypt_xts_close(&c);
    return r;
}

/* What (key), made of a passphrase, opens in a slot: goes to (out). */
static int read_part(struct xk_luks *l, const uint8_t *key, uint8_t *out)
{
    const struct xk_luks_info *i = &l->header.info;
    size_t bytes = part_bytes(i->key_bytes);
    uint8_t *part = xk_new(&l->alloc, bytes);
    int r = part ? xk_file_read(l->file, part, bytes, i->slot[l->slot].first * XK_SECTOR) : XK_ENOMEM;

    if (r >= 0)
        r = (size_t)r == bytes ? convert(key, i->key_bytes, part, crypt_xts_decrypt) : XK_EIO;
    if (r == 0)
        r = luks_merge(i->hash, part, i->key_bytes, out);
    if (part)
        crypt_cleanse(part, bytes);
    xk_free(&l->alloc, part, bytes);
    return r;
}

static int put(struct xk_file *file, const void *buf, size_t n, uint64_t at)
{
    int r = xk_file_write(file, buf, n, at);

    return r < 0 ? r : 0;
}

static int write_part(struct xk_file *file, const struct xk_luks_info *i, unsigned slot, const uint8_t *key,
                      const uint8_t *master)
{
    size_t bytes = part_bytes(i->key_bytes);
    uint8_t *part = xk_new(NULL, bytes);
    int r = part ? luks_split(i->hash, master, i->key_bytes, part) : XK_ENOMEM;

    if (r == 0)
        r = convert(key, i->key_bytes, part, crypt_xts_encrypt);
    if (r == 0)
        r = put(file, part, bytes, i->slot[slot].first * XK_SECTOR);
    if (part)
        crypt_cleanse(part, bytes);
    xk_free(NULL, part, bytes);
    return r;
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static void forget_pass(struct xk_luks *l)
{
    if (l->pass)
        crypt_cleanse(l->pass, l->n);
    xk_free(&l->alloc, l->pass, l->n);
    l->pass = NULL;
    l->n = 0;
}

int xk_luks_open(const xk_alloc *alloc, struct xk_file *file, const void *pass, size_t n, struct xk_diag *d,
                 struct xk_luks **out)
{
    struct xk_luks *l;
    int r;

    if (n == 0 || n > XK_LUKS_PASSPHRASE_MAX)
        return xk_diag_set(d, XK_EINVAL, 0, 0, "a passphrase has 1 to %d bytes", XK_LUKS_PASSPHRASE_MAX);
    l = xk_new(alloc, sizeof(*l));
    if (!l)
        return xk_diag_set(d, XK_ENOMEM, 0, 0, "out of memory");
    l->alloc = alloc ? *alloc : *xk_alloc_libc();
    l->file = file;
    l->slot = -1;
    r = luks_header_read(file, &l->header, d);
    l->pass = r == 0 ? xk_new(alloc, n) : NULL;
    if (r == 0 && !l->pass)
        r = xk_diag_set(d, XK_ENOMEM, 0, 0, "out of memory");
    if (r < 0) {
        xk_luks_close(l);
        return r;
    }
    memcpy(l->pass, pass, n);
    l->n = n;
    *out = l;
    return 0;
}

void xk_luks_close(struct xk_luks *l)
{
    xk_alloc alloc;

    if (!l)
        return;
    alloc = l->alloc;
    forget_pass(l);
    crypt_kdf_close(&l->kdf);
    crypt_cleanse(l, sizeof(*l));
    xk_free(&alloc, l, sizeof(*l));
}

static int begin_next(struct xk_luks *l)
{
    const struct xk_luks_info *i = &l->header.info;

    while (++l->slot < XK_LUKS_SLOTS && !i->slot[l->slot].active)
        ;
    if (l->slot == XK_LUKS_SLOTS)
        return XK_EACCES;
    l->state = SLOT;
    return crypt_kdf_open(&l->kdf, i->hash, l->pass, l->n, l->header.salt[l->slot], i->slot[l->slot].iterations,
                          i->key_bytes);
}

/* The passphrase has become a key: what it opens is to be the key of the data, as its digest will tell. */
static int begin_digest(struct xk_luks *l)
{
    const struct xk_luks_info *i = &l->header.info;
    int r = read_part(l, l->kdf.out, l->key);

    crypt_kdf_close(&l->kdf);
    if (r == XK_EINVAL) { /* two equal halves: no passphrase makes those but by the worst of luck */
        l->state = NEXT;
        return 0;
    }
    l->state = DIGEST;
    return r < 0 ? r
                 : crypt_kdf_open(&l->kdf, i->hash, l->key, i->key_bytes, l->header.digest_salt, i->iterations,
                                  LUKS_DIGEST);
}

static void end_digest(struct xk_luks *l)
{
    int right = crypt_same(l->kdf.out, l->header.digest, LUKS_DIGEST);

    crypt_kdf_close(&l->kdf);
    l->state = right ? OPEN : NEXT;
    if (right)
        forget_pass(l);
}

int xk_luks_step(struct xk_luks *l, uint32_t iterations)
{
    int r = 0;

    if (l->state == OPEN)
        return 0;
    if (!l->pass)
        return XK_EACCES;
    if (l->state == NEXT)
        r = begin_next(l);
    if (r == 0)
        r = crypt_kdf_step(&l->kdf, iterations);
    if (r == 0 && l->state == SLOT)
        r = begin_digest(l);
    else if (r == 0)
        end_digest(l);
    if (r < 0)
        forget_pass(l);
    return r < 0 ? r : l->state != OPEN;
}

int xk_luks_slot(const struct xk_luks *l) { return l->state == OPEN ? l->slot : XK_EAGAIN; }

int xk_block_luks(const xk_alloc *alloc, const struct xk_luks *l, struct xk_blkdev *below, int discard,
                  struct xk_blkdev **out)
{
    struct xk_xts_options o = {
        .key = l->key, .key_bytes = l->header.info.key_bytes, .first = l->header.info.first, .discard = discard};

    if (l->state != OPEN) {
        xk_blk_close(below);
        return XK_EAGAIN;
    }
    return xk_block_xts(alloc, below, &o, out);
}

/* --- making, passphrases ------------------------------------------------------------------------------------------ */

/* A key of a passphrase, or of the key the digest, all at once. */
static int derive(const struct xk_luks_info *i, const void *pass, size_t n, const uint8_t *salt, uint32_t iterations,
                  size_t bytes, uint8_t *out)
{
    struct crypt_kdf k;
    int r = crypt_kdf_open(&k, i->hash, pass, n, salt, iterations, bytes);

    if (r < 0)
        return r;
    do
        r = crypt_kdf_step(&k, UINT32_MAX);
    while (r > 0);
    if (r == 0)
        memcpy(out, k.out, bytes);
    crypt_kdf_close(&k);
    return r;
}

/* A slot's part, then (after a sync) it is in use. */
static int fill_slot(struct xk_file *file, struct luks_header *h, unsigned slot, const void *pass, size_t n,
                     uint32_t iterations, const uint8_t *master)
{
    struct xk_luks_info *i = &h->info;
    uint8_t key[CRYPT_KEY_MAX];
    int r = crypt_random(h->salt[slot], LUKS_SALT);

    if (r == 0)
        r = derive(i, pass, n, h->salt[slot], iterations, i->key_bytes, key);
    if (r == 0)
        r = write_part(file, i, slot, key, master);
    crypt_cleanse(key, sizeof(key));
    if (r == 0)
        r = xk_file_sync(file);
    i->slot[slot].active = 1;
    i->slot[slot].iterations = iterations;
    return r;
}

/* RFC 9562, 5.4. */
static int new_uuid(char out[41])
{
    static const char hex[] = "0123456789abcdef";
    uint8_t b[16];
    int r = crypt_random(b, sizeof(b));

    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        *out++ = hex[b[i] >> 4];
        *out++ = hex[b[i] & 15];
    }
    *out = 0;
    return r;
}

static int lay_out(struct luks_header *h, const struct xk_luks_spec *s)
{
    struct xk_luks_info *i = &h->info;
    const char *hash = s->hash ? s->hash : "sha256";
    uint64_t n, at = LUKS_ALIGN;

    memset(h, 0, sizeof(*h));
    i->key_bytes = s->key_bytes ? s->key_bytes : 64;
    i->iterations = s->digest_iterations;
    if (crypt_hash_bytes(hash) == 0 || (i->key_bytes != 32 && i->key_bytes != 64) || s->iterations < LESS ||
        s->iterations > XK_LUKS_ITERATIONS_MAX || i->iterations < LESS || i->iterations > XK_LUKS_ITERATIONS_MAX)
        return XK_EINVAL;
    strcpy(i->cipher, "aes");
    strcpy(i->mode, "xts-plain64");
    strcpy(i->hash, hash);
    n = (luks_slot_sectors(i->key_bytes) + LUKS_ALIGN - 1) / LUKS_ALIGN * LUKS_ALIGN;
    for (unsigned k = 0; k < XK_LUKS_SLOTS; k++, at += n)
        i->slot[k].first = at;
    i->first = (at + PLAIN_MAX / XK_SECTOR - 1) / (PLAIN_MAX / XK_SECTOR) * (PLAIN_MAX / XK_SECTOR);
    return new_uuid(i->uuid);
}

/* A key whose halves differ. */
static int new_key(uint8_t *key, size_t bytes)
{
    int r;

    do
        r = crypt_random(key, bytes);
    while (r == 0 && crypt_same(key, key + bytes / 2, bytes / 2));
    return r;
}

int xk_luks_create(struct xk_file *file, const struct xk_luks_spec *spec, const void *pass, size_t n, uint64_t *first)
{
    struct luks_header h;
    uint8_t master[CRYPT_KEY_MAX], raw[LUKS_HEADER];
    int r = n == 0 || n > XK_LUKS_PASSPHRASE_MAX ? XK_EINVAL : lay_out(&h, spec);

    if (r == 0)
        r = new_key(master, h.info.key_bytes);
    if (r == 0)
        r = crypt_random(h.digest_salt, LUKS_SALT);
    if (r == 0)
        r = derive(&h.info, master, h.info.key_bytes, h.digest_salt, h.info.iterations, LUKS_DIGEST, h.digest);
    if (r == 0)
        r = fill_slot(file, &h, 0, pass, n, spec->iterations, master);
    crypt_cleanse(master, sizeof(master));
    if (r < 0)
        return r;
    luks_header_write(&h, raw);
    *first = h.info.first;
    r = put(file, raw, sizeof(raw), 0);
    return r < 0 ? r : xk_file_sync(file);
}

/* The bytes of one slot, alone: no other can be hurt by that. */
static int write_slot(struct xk_file *file, const struct luks_header *h, unsigned slot)
{
    uint8_t raw[LUKS_HEADER];
    size_t at = LUKS_SLOT_AT + slot * LUKS_SLOT;
    int r;

    luks_header_write(h, raw);
    r = put(file, raw + at, LUKS_SLOT, at);
    return r < 0 ? r : xk_file_sync(file);
}

int xk_luks_add(const struct xk_luks *l, struct xk_file *file, const void *pass, size_t n, uint32_t iterations)
{
    struct luks_header h;
    unsigned slot = 0;
    int r;

    if (l->state != OPEN)
        return XK_EAGAIN;
    if (n == 0 || n > XK_LUKS_PASSPHRASE_MAX || iterations < LESS || iterations > XK_LUKS_ITERATIONS_MAX)
        return XK_EINVAL;
    r = luks_header_read(file, &h, NULL);
    if (r < 0)
        return r;
    if (h.info.key_bytes != l->header.info.key_bytes || memcmp(h.digest, l->header.digest, LUKS_DIGEST) != 0)
        return XK_EPROTO;
    while (slot < XK_LUKS_SLOTS && h.info.slot[slot].active)
        slot++;
    if (slot == XK_LUKS_SLOTS)
        return XK_ENOSPC;
    r = fill_slot(file, &h, slot, pass, n, iterations, l->key);
    if (r == 0)
        r = write_slot(file, &h, slot);
    return r < 0 ? r : (int)slot;
}

static int overwrite(struct xk_file *file, const struct xk_luks_info *i, unsigned slot)
{
    uint8_t noise[4096];
    uint64_t at = i->slot[slot].first * XK_SECTOR, end = at + part_bytes(i->key_bytes);
    int r = 0;

    while (at < end && r == 0) {
        size_t n = end - at < sizeof(noise) ? (size_t)(end - at) : sizeof(noise);
        r = crypt_random(noise, n);
        if (r == 0)
            r = put(file, noise, n, at);
        at += n;
    }
    return r < 0 ? r : xk_file_sync(file);
}

int xk_luks_remove(struct xk_file *file, unsigned slot, struct xk_diag *d)
{
    struct luks_header h;
    unsigned others = 0;
    int r = luks_header_read(file, &h, d);

    if (r < 0)
        return r;
    for (unsigned k = 0; k < XK_LUKS_SLOTS; k++)
        others += k != slot && h.info.slot[k].active;
    if (slot >= XK_LUKS_SLOTS || !h.info.slot[slot].active)
        return xk_diag_set(d, XK_ENOENT, 0, 0, "key slot %u is not in use", slot);
    if (others == 0)
        return xk_diag_set(d, XK_EBUSY, 0, 0, "key slot %u is the last one: nothing would open without it", slot);
    r = overwrite(file, &h.info, slot);
    h.info.slot[slot].active = 0;
    h.info.slot[slot].iterations = 0;
    memset(h.salt[slot], 0, LUKS_SALT);
    if (r == 0)
        r = write_slot(file, &h, slot);
    return r < 0 ? xk_diag_set(d, r, 0, 0, "%s", xk_err_text(r)) : 0;
}

int xk_luks_try(const char *hash, uint32_t key_bytes, uint32_t iterations)
{
    struct xk_luks_info i = {.key_bytes = key_bytes};
    uint8_t salt[LUKS_SALT] = {0}, out[CRYPT_KEY_MAX];

    if (crypt_hash_bytes(hash) == 0 || (key_bytes != 32 && key_bytes != 64))
        return XK_EINVAL;
    strcpy(i.hash, hash);
    return derive(&i, "passphrase", 10, salt, iterations, key_bytes, out);
}
