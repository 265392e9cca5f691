/* OpenSSL, as far as it is used here. It reads no configuration (a sandbox would show it none): its engines, which each
 * digest looks for, would load that. A library context of its own keeps what a program that links libxenkit does with
 * OpenSSL apart from this. OpenSSL takes its memory from the C library. SPDX-License-Identifier: MIT */
#include "crypt/cipher.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <xenkit/err.h>

static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;
static OSSL_LIB_CTX *context; /* for as long as the process lives */

static void make_context(void)
{
    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL)) /* in vain where somebody has loaded it */
        context = OSSL_LIB_CTX_new();
}

static OSSL_LIB_CTX *get_context(void) { return CRYPTO_THREAD_run_once(&once, make_context) ? context : NULL; }

void crypt_cleanse(void *p, size_t n) { OPENSSL_cleanse(p, n); }

int crypt_same(const void *a, const void *b, size_t n) { return CRYPTO_memcmp(a, b, n) == 0; }

int crypt_random(void *buf, size_t n)
{
    OSSL_LIB_CTX *c = get_context();

    return !c ? XK_ENOSYS : RAND_priv_bytes_ex(c, buf, n, 256) == 1 ? 0 : XK_EAGAIN;
}

/* --- sectors ------------------------------------------------------------------------------------------------------ */

int crypt_xts_open(struct crypt_xts *c, const uint8_t *key, size_t bytes)
{
    EVP_CIPHER *cipher;
    int ok;

    *c = (struct crypt_xts){NULL, NULL};
    if ((bytes != 32 && bytes != 64) || CRYPTO_memcmp(key, key + bytes / 2, bytes / 2) == 0)
        return XK_EINVAL;
    if (!get_context())
        return XK_ENOSYS;
    cipher = EVP_CIPHER_fetch(context, bytes == 32 ? "AES-128-XTS" : "AES-256-XTS", NULL);
    c->encrypt = EVP_CIPHER_CTX_new();
    c->decrypt = EVP_CIPHER_CTX_new();
    ok = cipher && c->encrypt && c->decrypt && EVP_EncryptInit_ex2(c->encrypt, cipher, key, NULL, NULL) &&
         EVP_DecryptInit_ex2(c->decrypt, cipher, key, NULL, NULL);
    EVP_CIPHER_free(cipher); /* which the contexts keep */
    if (!ok)
        crypt_xts_close(c);
    return ok ? 0 : XK_ENOMEM;
}

void crypt_xts_close(struct crypt_xts *c)
{
    EVP_CIPHER_CTX_free(c->encrypt); /* cleanses the keys */
    EVP_CIPHER_CTX_free(c->decrypt);
    *c = (struct crypt_xts){NULL, NULL};
}

static void put_tweak(uint8_t iv[16], uint64_t tweak)
{
    for (int i = 0; i < 8; i++)
        iv[i] = (uint8_t)(tweak >> 8 * i);
    memset(iv + 8, 0, 8);
}

int crypt_xts_encrypt(struct crypt_xts *c, uint64_t tweak, const uint8_t *in, uint8_t *out)
{
    uint8_t iv[16];
    int n;

    put_tweak(iv, tweak);
    return EVP_EncryptInit_ex2(c->encrypt, NULL, NULL, iv, NULL) &&
                   EVP_EncryptUpdate(c->encrypt, out, &n, in, CRYPT_SECTOR)
               ? 0
               : XK_EIO;
}

int crypt_xts_decrypt(struct crypt_xts *c, uint64_t tweak, const uint8_t *in, uint8_t *out)
{
    uint8_t iv[16];
    int n;

    put_tweak(iv, tweak);
    return EVP_DecryptInit_ex2(c->decrypt, NULL, NULL, iv, NULL) &&
                   EVP_DecryptUpdate(c->decrypt, out, &n, in, CRYPT_SECTOR)
               ? 0
               : XK_EIO;
}

/* --- digests ------------------------------------------------------------------------------------------------------ */

size_t crypt_hash_bytes(const char *hash)
{
    return strcmp(hash, "sha1") == 0 ? 20 : strcmp(hash, "sha256") == 0 ? 32 : strcmp(hash, "sha512") == 0 ? 64 : 0;
}

static EVP_MD *fetch_hash(const char *hash)
{
    return crypt_hash_bytes(hash) ? EVP_MD_fetch(context, hash, NULL) : NULL;
}

int crypt_hash_open(struct crypt_hash *h, const char *hash)
{
    *h = (struct crypt_hash){NULL, NULL, crypt_hash_bytes(hash)};
    if (h->bytes && !get_context())
        return XK_ENOSYS;
    h->md = fetch_hash(hash);
    h->work = h->md ? EVP_MD_CTX_new() : NULL;
    if (h->work)
        return 0;
    crypt_hash_close(h);
    return crypt_hash_bytes(hash) ? XK_ENOMEM : XK_EINVAL;
}

void crypt_hash_close(struct crypt_hash *h)
{
    EVP_MD_CTX_free(h->work); /* cleanses it */
    EVP_MD_free(h->md);
}

int crypt_hash_counted(struct crypt_hash *h, uint32_t count, const uint8_t *in, size_t n, uint8_t *out)
{
    uint8_t head[4] = {(uint8_t)(count >> 24), (uint8_t)(count >> 16), (uint8_t)(count >> 8), (uint8_t)count};

    return EVP_DigestInit_ex2(h->work, h->md, NULL) && EVP_DigestUpdate(h->work, head, 4) &&
                   EVP_DigestUpdate(h->work, in, n) && EVP_DigestFinal_ex(h->work, out, NULL)
               ? 0
               : XK_EIO;
}

/* --- PBKDF2 ------------------------------------------------------------------------------------------------------- */

/* A digest that has taken a block of the key with (pad) in. */
static int put_key(EVP_MD_CTX *c, EVP_MD *md, const uint8_t *key, size_t n, uint8_t pad)
{
    uint8_t block[128];
    size_t size = (size_t)EVP_MD_get_block_size(md);
    int ok;

    memset(block, pad, size);
    for (size_t i = 0; i < n; i++)
        block[i] ^= key[i];
    ok = EVP_DigestInit_ex2(c, md, NULL) && EVP_DigestUpdate(c, block, size);
    OPENSSL_cleanse(block, sizeof(block));
    return ok;
}

/* HMAC of up to two pieces of text. */
static int mac(struct crypt_kdf *k, const void *a, size_t n, const void *b, size_t m, uint8_t *out)
{
    return EVP_MD_CTX_copy_ex(k->work, k->inner) && EVP_DigestUpdate(k->work, a, n) &&
           (m == 0 || EVP_DigestUpdate(k->work, b, m)) && EVP_DigestFinal_ex(k->work, out, NULL) &&
           EVP_MD_CTX_copy_ex(k->work, k->outer) && EVP_DigestUpdate(k->work, out, k->hash_bytes) &&
           EVP_DigestFinal_ex(k->work, out, NULL);
}

static int set_up(struct crypt_kdf *k, EVP_MD *md, const void *pass, size_t n)
{
    uint8_t hashed[CRYPT_HASH_MAX];
    int ok;

    k->inner = EVP_MD_CTX_new();
    k->outer = EVP_MD_CTX_new();
    k->work = EVP_MD_CTX_new();
    if (!k->inner || !k->outer || !k->work)
        return 0;
    if (n > (size_t)EVP_MD_get_block_size(md)) { /* RFC 2104, 2: a long key is hashed first */
        if (!EVP_DigestInit_ex2(k->work, md, NULL) || !EVP_DigestUpdate(k->work, pass, n) ||
            !EVP_DigestFinal_ex(k->work, hashed, NULL))
            return 0;
        pass = hashed;
        n = k->hash_bytes;
    }
    ok = put_key(k->inner, md, pass, n, 0x36) && put_key(k->outer, md, pass, n, 0x5c);
    OPENSSL_cleanse(hashed, sizeof(hashed));
    return ok;
}

int crypt_kdf_open(struct crypt_kdf *k, const char *hash, const void *pass, size_t n, const uint8_t salt[32],
                   uint32_t iterations, size_t bytes)
{
    EVP_MD *md;
    int ok;

    memset(k, 0, sizeof(*k));
    k->hash_bytes = crypt_hash_bytes(hash);
    if (k->hash_bytes == 0 || iterations == 0 || bytes == 0 || bytes > CRYPT_KEY_MAX)
        return XK_EINVAL;
    if (!get_context())
        return XK_ENOSYS;
    k->bytes = bytes;
    k->iterations = iterations;
    memcpy(k->salt, salt, sizeof(k->salt));
    md = fetch_hash(hash);
    ok = md && set_up(k, md, pass, n);
    EVP_MD_free(md);
    if (!ok)
        crypt_kdf_close(k);
    return ok ? 0 : XK_ENOMEM;
}

/* The first iteration of the next block of the key. */
static int begin_block(struct crypt_kdf *k)
{
    uint8_t number[4] = {0, 0, 0, (uint8_t)(k->done / k->hash_bytes + 1)};

    if (!mac(k, k->salt, sizeof(k->salt), number, sizeof(number), k->u))
        return 0;
    memcpy(k->t, k->u, k->hash_bytes);
    k->at = 1;
    return 1;
}

static int iterate(struct crypt_kdf *k)
{
    if (!mac(k, k->u, k->hash_bytes, NULL, 0, k->u))
        return 0;
    for (size_t i = 0; i < k->hash_bytes; i++)
        k->t[i] ^= k->u[i];
    k->at++;
    return 1;
}

int crypt_kdf_step(struct crypt_kdf *k, uint32_t budget)
{
    while (k->done < k->bytes) {
        size_t left = k->bytes - k->done;
        if (budget-- == 0)
            return 1;
        if (!(k->at == 0 ? begin_block(k) : iterate(k)))
            return XK_EIO;
        if (k->at < k->iterations)
            continue;
        memcpy(k->out + k->done, k->t, left < k->hash_bytes ? left : k->hash_bytes);
        k->done += left < k->hash_bytes ? left : k->hash_bytes;
        k->at = 0;
    }
    return 0;
}

void crypt_kdf_close(struct crypt_kdf *k)
{
    EVP_MD_CTX_free(k->inner); /* cleansed by OpenSSL */
    EVP_MD_CTX_free(k->outer);
    EVP_MD_CTX_free(k->work);
    OPENSSL_cleanse(k, sizeof(*k));
}
