/* xenkit/xts.h - a device over another one that keeps its blocks encrypted: AES-XTS (IEEE 1619-2007), as Linux'
 * dm-crypt does it for "aes-xts-plain64". The cipher is OpenSSL's: who uses this header links libcrypto. OpenSSL's
 * configuration is not read then; a program that wants it for its own use of OpenSSL loads it before.
 *
 * A data unit is a sector of 512 bytes, whatever the device's own sectors are; its tweak is its number, little endian.
 * XTS hides contents. It does not tell when somebody changed them, put an older block back, or which blocks were
 * written.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_XTS_H
#define XENKIT_XTS_H

#include <xenkit/blkdev.h>

XK_API_BEGIN

struct xk_xts_options {
    const void *key;  /* copied: both keys of XTS, one behind the other */
    size_t key_bytes; /* 32: AES-128, 64: AES-256 */
    uint64_t first;   /* of (below): its sector that becomes sector 0 */
    uint64_t sectors; /* 0: all from there on */
    uint64_t tweak;   /* of sector 0; the next sector's is one more */
    int discard;      /* pass discards on: (below) tells then what is in use. Without it they are XK_ENOSYS */
};

/* xk_block_xts (alloc, below, options, out) - it. (below) belongs to the device from now on, even when this fails.
 *
 * What is written is encrypted into memory of the device's own, and what is read is decrypted from there into the
 * caller's: (below) sees no plaintext, the caller no ciphertext, and the device's memory holds no plaintext. It is 1
 * MiB, taken once; requests that find none of it wait in their order. A discarded sector reads as anything. XK_EINVAL:
 * such a key length, two halves of a key that are equal (FIPS 140-2 IG A.9), a part that (below) does not have or that
 * does not begin and end where its sectors do, sectors of more than 4 KiB; XK_ENOMEM. */
XK_MUSTCHECK int xk_block_xts(const xk_alloc *alloc, struct xk_blkdev *below, const struct xk_xts_options *options,
                              struct xk_blkdev **out);

/* xk_block_xts_stats (dev, out) - of a device made by xk_block_xts. */
struct xk_xts_stats {
    uint64_t encrypted, decrypted; /* sectors */
    uint64_t waited;               /* how often requests found no memory */
    uint32_t pages, most_pages;    /* of 4 KiB, in use now and at most */
};
void xk_block_xts_stats(const struct xk_blkdev *dev, struct xk_xts_stats *out);

XK_API_END

#endif
