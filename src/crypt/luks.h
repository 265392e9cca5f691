/* crypt/luks.h - the header of LUKS1: bytes and numbers (LUKS On-Disk Format Specification 1.2.3, figures 1 to 3).
 * SPDX-License-Identifier: MIT */
#ifndef XK_CRYPT_LUKS_H
#define XK_CRYPT_LUKS_H

#include <xenkit/luks.h>

#include "crypt/cipher.h"

enum {
    LUKS_HEADER = 592, /* bytes */
    LUKS_SLOT_AT = 208,
    LUKS_SLOT = 48, /* bytes of one */
    LUKS_DIGEST = 20,
    LUKS_SALT = 32,
    LUKS_ALIGN = 8 /* sectors: where parts begin in headers of ours, as in cryptsetup's */
};

struct luks_header {
    struct xk_luks_info info;
    uint8_t digest[LUKS_DIGEST], digest_salt[LUKS_SALT];
    uint8_t salt[XK_LUKS_SLOTS][LUKS_SALT];
};

/* Sectors of a slot's part of the header. */
uint64_t luks_slot_sectors(uint32_t key_bytes);

/* The header in (file). Nothing that it says then leads out of the file or into anything else. */
int luks_header_read(struct xk_file *file, struct luks_header *h, struct xk_diag *d);
void luks_header_write(const struct luks_header *h, uint8_t out[LUKS_HEADER]);

/* The anti-forensic splitter (2.4): a key as XK_LUKS_STRIPES stripes of its length, all of which are needed. */
int luks_split(const char *hash, const uint8_t *key, size_t bytes, uint8_t *stripes);
int luks_merge(const char *hash, const uint8_t *stripes, size_t bytes, uint8_t *key);

#endif
