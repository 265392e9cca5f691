/* LUKS1's header as bytes. All that it says comes from the file, and is looked at before it is used.
 * SPDX-License-Identifier: MIT */
#include "crypt/luks.h"

#include <string.h>

enum { VERSION = 1, VERSION_2 = 2, TEXT = 32, UUID = 40, AT_CIPHER = 8, AT_MODE = 40, AT_HASH = 72, AT_FIRST = 104 };
#define ACTIVE 0x00ac71f3u
#define FREE 0x0000deadu

static const uint8_t magic[6] = {'L', 'U', 'K', 'S', 0xba, 0xbe};

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

uint64_t luks_slot_sectors(uint32_t key_bytes)
{
    return ((uint64_t)key_bytes * XK_LUKS_STRIPES + XK_SECTOR - 1) / XK_SECTOR;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* A text that ends within its field, of printable letters. */
static int get_text(const uint8_t *p, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = (char)p[i];
        if (p[i] == 0)
            return 0;
        if (p[i] < ' ' || p[i] > '~')
            return XK_EPROTO;
    }
    return XK_EPROTO;
}

static int get_names(const uint8_t *raw, struct xk_luks_info *i, struct xk_diag *d)
{
    if (get_text(raw + AT_CIPHER, TEXT, i->cipher) < 0 || get_text(raw + AT_MODE, TEXT, i->mode) < 0 ||
        get_text(raw + AT_HASH, TEXT, i->hash) < 0 || get_text(raw + 168, UUID, i->uuid) < 0)
        return xk_diag_set(d, XK_EPROTO, 0, 0, "its LUKS header is damaged: a name in it is no text");
    if (strcmp(i->cipher, "aes") != 0 || strcmp(i->mode, "xts-plain64") != 0)
        return xk_diag_set(d, XK_ENOSYS, 0, 0, "its cipher is %s-%s; known is aes-xts-plain64", i->cipher, i->mode);
    if (crypt_hash_bytes(i->hash) == 0)
        return xk_diag_set(d, XK_ENOSYS, 0, 0, "its hash is %s; known are sha1, sha256 and sha512", i->hash);
    return 0;
}

static int check_iterations(uint32_t n, const char *what, struct xk_diag *d)
{
    if (n == 0)
        return xk_diag_set(d, XK_EPROTO, 0, 0, "its LUKS header is damaged: %s has no iterations", what);
    if (n > XK_LUKS_ITERATIONS_MAX)
        return xk_diag_set(d, XK_ERANGE, 0, 0, "its LUKS header wants %lu iterations for %s; at most %d are done",
                           (unsigned long)n, what, XK_LUKS_ITERATIONS_MAX);
    return 0;
}

static int damaged(struct xk_diag *d, unsigned slot, const char *what)
{
    return xk_diag_set(d, XK_EPROTO, 0, 0, "its LUKS header is damaged: key slot %u %s", slot, what);
}

static int get_slot(const uint8_t *raw, struct luks_header *h, unsigned k, struct xk_diag *d)
{
    const uint8_t *p = raw + LUKS_SLOT_AT + k * LUKS_SLOT;
    uint32_t state = get32(p);
    struct xk_luks_info *i = &h->info;
    uint64_t n = luks_slot_sectors(i->key_bytes);

    if (state != ACTIVE && state != FREE)
        return damaged(d, k, "is neither in use nor free");
    i->slot[k].active = state == ACTIVE;
    i->slot[k].iterations = get32(p + 4);
    memcpy(h->salt[k], p + 8, LUKS_SALT);
    i->slot[k].first = get32(p + 40);
    if (get32(p + 44) != XK_LUKS_STRIPES)
        return damaged(d, k, "has not 4000 stripes");
    if (i->slot[k].first * XK_SECTOR < LUKS_HEADER || i->slot[k].first + n > i->first)
        return damaged(d, k, "is not between the header and the data");
    for (unsigned j = 0; j < k; j++)
        if (i->slot[k].first < i->slot[j].first + n && i->slot[j].first < i->slot[k].first + n)
            return damaged(d, k, "lies on another one");
    return i->slot[k].active ? check_iterations(i->slot[k].iterations, "a key slot", d) : 0;
}

static int get_numbers(const uint8_t *raw, uint64_t sectors, struct luks_header *h, struct xk_diag *d)
{
    struct xk_luks_info *i = &h->info;

    i->first = get32(raw + AT_FIRST);
    i->key_bytes = get32(raw + 108);
    memcpy(h->digest, raw + 112, LUKS_DIGEST);
    memcpy(h->digest_salt, raw + 132, LUKS_SALT);
    i->iterations = get32(raw + 164);
    if (i->key_bytes != 32 && i->key_bytes != 64)
        return xk_diag_set(d, XK_EPROTO, 0, 0, "its LUKS header is damaged: XTS has no keys of %lu bytes",
                           (unsigned long)i->key_bytes);
    if (i->first == 0)
        return xk_diag_set(d, XK_ENOSYS, 0, 0, "its LUKS header is detached: the data are in another file");
    if (i->first > sectors)
        return xk_diag_set(d, XK_EPROTO, 0, 0,
                           "its LUKS header is damaged, or it was cut: the data begin behind its end");
    return check_iterations(i->iterations, "the digest", d);
}

int luks_header_read(struct xk_file *file, struct luks_header *h, struct xk_diag *d)
{
    uint8_t raw[LUKS_HEADER];
    int64_t bytes = xk_file_size(file);
    int r = bytes < 0 ? (int)bytes : xk_file_read(file, raw, sizeof(raw), 0);

    memset(h, 0, sizeof(*h));
    if (r < 0)
        return xk_diag_set(d, r, 0, 0, "%s", xk_err_text(r));
    if (r < LUKS_HEADER || memcmp(raw, magic, sizeof(magic)) != 0)
        return xk_diag_set(d, XK_EPROTO, 0, 0, "it has no LUKS header");
    r = raw[6] << 8 | raw[7];
    if (r == VERSION_2)
        return xk_diag_set(
            d, XK_ENOSYS, 0, 0,
            "its header is LUKS2, which is not known here; `cryptsetup convert --type luks1` makes LUKS1 "
            "of it when its key slots use PBKDF2 and its sectors have 512 bytes");
    if (r != VERSION)
        return xk_diag_set(d, XK_ENOSYS, 0, 0, "its header is LUKS%d; known is LUKS1", r);
    r = get_names(raw, &h->info, d);
    if (r == 0)
        r = get_numbers(raw, (uint64_t)bytes / XK_SECTOR, h, d);
    for (unsigned k = 0; k < XK_LUKS_SLOTS && r == 0; k++)
        r = get_slot(raw, h, k, d);
    return r;
}

int xk_luks_read_info(struct xk_file *file, struct xk_luks_info *out, struct xk_diag *d)
{
    struct luks_header h;
    int r = luks_header_read(file, &h, d);

    *out = h.info;
    return r;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

void luks_header_write(const struct luks_header *h, uint8_t out[LUKS_HEADER])
{
    const struct xk_luks_info *i = &h->info;

    memset(out, 0, LUKS_HEADER);
    memcpy(out, magic, sizeof(magic));
    out[7] = VERSION;
    memcpy(out + AT_CIPHER, i->cipher, TEXT);
    memcpy(out + AT_MODE, i->mode, TEXT);
    memcpy(out + AT_HASH, i->hash, TEXT);
    put32(out + AT_FIRST, (uint32_t)i->first);
    put32(out + 108, i->key_bytes);
    memcpy(out + 112, h->digest, LUKS_DIGEST);
    memcpy(out + 132, h->digest_salt, LUKS_SALT);
    put32(out + 164, i->iterations);
    memcpy(out + 168, i->uuid, UUID);
    for (unsigned k = 0; k < XK_LUKS_SLOTS; k++) {
        uint8_t *p = out + LUKS_SLOT_AT + k * LUKS_SLOT;
        put32(p, i->slot[k].active ? ACTIVE : FREE);
        put32(p + 4, i->slot[k].iterations);
        memcpy(p + 8, h->salt[k], LUKS_SALT);
        put32(p + 40, (uint32_t)i->slot[k].first);
        put32(p + 44, XK_LUKS_STRIPES);
    }
}

/* --- stripes ------------------------------------------------------------------------------------------------------ */

/* Each piece of a digest's length becomes the digest of its number and itself. */
static int diffuse(struct crypt_hash *h, uint8_t *p, size_t bytes)
{
    uint8_t out[CRYPT_HASH_MAX];
    int r = 0;

    for (size_t at = 0; at < bytes && r == 0; at += h->bytes) {
        size_t n = bytes - at < h->bytes ? bytes - at : h->bytes;
        r = crypt_hash_counted(h, (uint32_t)(at / h->bytes), p + at, n, out);
        if (r == 0)
            memcpy(p + at, out, n);
    }
    crypt_cleanse(out, sizeof(out));
    return r;
}

/* What all stripes but the last amount to. */
static int gather(const char *hash, const uint8_t *stripes, size_t bytes, uint8_t *sum)
{
    struct crypt_hash h;
    int r = crypt_hash_open(&h, hash);

    if (r < 0)
        return r;
    memset(sum, 0, bytes);
    for (unsigned k = 0; k < XK_LUKS_STRIPES - 1 && r == 0; k++) {
        for (size_t i = 0; i < bytes; i++)
            sum[i] ^= stripes[k * bytes + i];
        r = diffuse(&h, sum, bytes);
    }
    crypt_hash_close(&h);
    return r;
}

int luks_split(const char *hash, const uint8_t *key, size_t bytes, uint8_t *stripes)
{
    uint8_t sum[CRYPT_KEY_MAX];
    int r = crypt_random(stripes, (XK_LUKS_STRIPES - 1) * bytes);

    if (r == 0)
        r = gather(hash, stripes, bytes, sum);
    for (size_t i = 0; i < bytes && r == 0; i++)
        stripes[(XK_LUKS_STRIPES - 1) * bytes + i] = sum[i] ^ key[i];
    crypt_cleanse(sum, sizeof(sum));
    return r;
}

int luks_merge(const char *hash, const uint8_t *stripes, size_t bytes, uint8_t *key)
{
    int r = gather(hash, stripes, bytes, key);

    for (size_t i = 0; i < bytes && r == 0; i++)
        key[i] ^= stripes[(XK_LUKS_STRIPES - 1) * bytes + i];
    return r;
}
