/* fs/name.h - names: UTF-16 as FAT has them, the short names of 8 and 3 letters beside them. SPDX-License-Identifier:
 * MIT */
#ifndef XK_FS_NAME_H
#define XK_FS_NAME_H

#include <stddef.h>
#include <stdint.h>

enum { FAT_NAME_UNITS = 255, FAT_SHORT = 11, FAT_LOWER_BASE = 8, FAT_LOWER_EXT = 16 };

struct fat_name {
    uint16_t unit[FAT_NAME_UNITS];
    unsigned n;
};

/* (text), up to (bytes) of it. XK_EINVAL: FAT has no such name. */
int fat_name_of(const char *text, size_t bytes, struct fat_name *out);

/* The capital of a letter. */
uint16_t fat_name_fold(uint16_t unit);

/* Whether they are the same but for the case of letters. */
int fat_name_same(const struct fat_name *a, const struct fat_name *b);

/* The short name as it is said, with the case of its letters as the byte (lower) has it. */
void fat_name_of_short(const uint8_t raw[FAT_SHORT], uint8_t lower, struct fat_name *out);

/* 1: the name needs no long one: (raw) and (lower) say all of it. 0: (raw) is what a short name for it begins with. */
int fat_name_to_short(const struct fat_name *name, uint8_t raw[FAT_SHORT], uint8_t *lower);

/* (raw) with "~number" at the end of its base. */
void fat_name_number(const uint8_t raw[FAT_SHORT], unsigned number, uint8_t out[FAT_SHORT]);

/* What the parts of a long name say of the short one. */
uint8_t fat_name_sum(const uint8_t raw[FAT_SHORT]);

#endif
