/* crypt/cipher.h - what is taken of OpenSSL: AES-XTS by sectors, digests, PBKDF2 in steps, random bytes, clean memory.
 * SPDX-License-Identifier: MIT */
#ifndef XK_CRYPT_CIPHER_H
#define XK_CRYPT_CIPHER_H

#include <stddef.h>
#include <stdint.h>

enum { CRYPT_SECTOR = 512, CRYPT_KEY_MAX = 64, CRYPT_HASH_MAX = 64 };

/* --- sectors --- */

struct crypt_xts {
    void *encrypt, *decrypt;
};

/* 0; XK_EINVAL: not 32 or 64 bytes, or two equal halves; XK_ENOMEM; of this and the other two that open something
 * XK_ENOSYS: there is no OpenSSL (src/program/late_crypto.c). */
int crypt_xts_open(struct crypt_xts *c, const uint8_t *key, size_t bytes);
void crypt_xts_close(struct crypt_xts *c); /* also of zeroes */

/* One sector, which may be where it was. 0; XK_EIO: OpenSSL says no. */
int crypt_xts_encrypt(struct crypt_xts *c, uint64_t tweak, const uint8_t *in, uint8_t *out);
int crypt_xts_decrypt(struct crypt_xts *c, uint64_t tweak, const uint8_t *in, uint8_t *out);

/* --- digests --- */

/* Bytes of a digest: "sha1", "sha256", "sha512"; 0: of another name. */
size_t crypt_hash_bytes(const char *hash);

struct crypt_hash {
    void *md, *work;
    size_t bytes;
};

int crypt_hash_open(struct crypt_hash *h, const char *hash); /* 0; XK_EINVAL; XK_ENOMEM */
void crypt_hash_close(struct crypt_hash *h);
/* Of (n) bytes behind four of (count), big endian. 0; XK_EIO. */
int crypt_hash_counted(struct crypt_hash *h, uint32_t count, const uint8_t *in, size_t n, uint8_t *out);

/* --- keys from passphrases: PBKDF2 (RFC 8018, 5.2) with HMAC --- */

struct crypt_kdf {
    void *inner, *outer, *work; /* HMAC with its key in (RFC 2104, 4) */
    size_t hash_bytes, bytes, done;
    uint32_t iterations, at; /* of the block that is being made */
    uint8_t salt[32];
    uint8_t u[CRYPT_HASH_MAX], t[CRYPT_HASH_MAX], out[CRYPT_KEY_MAX];
};

/* (bytes) of a key, 1 .. CRYPT_KEY_MAX, from a passphrase and 32 bytes of salt. 0; XK_EINVAL; XK_ENOMEM. */
int crypt_kdf_open(struct crypt_kdf *k, const char *hash, const void *pass, size_t n, const uint8_t salt[32],
                   uint32_t iterations, size_t bytes);
/* About so many iterations. 1: there is more to do; 0: (out) is the key; XK_EIO. */
int crypt_kdf_step(struct crypt_kdf *k, uint32_t budget);
void crypt_kdf_close(struct crypt_kdf *k); /* also of zeroes; nothing is left in it */

/* --- and --- */

int crypt_random(void *buf, size_t n); /* 0; XK_EAGAIN: there is no entropy; XK_ENOSYS */
void crypt_cleanse(void *p, size_t n);
int crypt_same(const void *a, const void *b, size_t n); /* takes the same time whatever they are */

#endif
