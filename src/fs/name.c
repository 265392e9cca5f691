/* Names (name.h). SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/err.h>

#include "base/utf.h"
#include "fs/name.h"

/* Code page 437, the upper half. */
static const uint16_t cp437[128] = {
    0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8, 0x00ef, 0x00ee,
    0x00ec, 0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb, 0x00f9, 0x00ff, 0x00d6,
    0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192, 0x00e1, 0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1, 0x00aa,
    0x00ba, 0x00bf, 0x2310, 0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb, 0x2591, 0x2592, 0x2593, 0x2502,
    0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557, 0x255d, 0x255c, 0x255b, 0x2510, 0x2514,
    0x2534, 0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550,
    0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256b, 0x256a, 0x2518, 0x250c,
    0x2588, 0x2584, 0x258c, 0x2590, 0x2580, 0x03b1, 0x00df, 0x0393, 0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4,
    0x03a6, 0x0398, 0x03a9, 0x03b4, 0x221e, 0x03c6, 0x03b5, 0x2229, 0x2261, 0x00b1, 0x2265, 0x2264, 0x2320,
    0x2321, 0x00f7, 0x2248, 0x00b0, 0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, 0x00a0};

/* The capital of a letter: Latin, Greek, Cyrillic, Armenian, full width; others are only like themselves. */
uint16_t fat_name_fold(uint16_t c)
{
    if (c >= 'a' && c <= 'z')
        return (uint16_t)(c - 32);
    if (c < 0x80)
        return c;
    if ((c >= 0xe0 && c <= 0xfe && c != 0xf7) || (c >= 0x3b1 && c <= 0x3c9 && c != 0x3c2) ||
        (c >= 0x430 && c <= 0x44f) || (c >= 0xff41 && c <= 0xff5a))
        return (uint16_t)(c - 32);
    if (c == 0xff)
        return 0x178;
    if (c >= 0x450 && c <= 0x45f)
        return (uint16_t)(c - 80);
    if (c >= 0x561 && c <= 0x586)
        return (uint16_t)(c - 48);
    if (((c >= 0x100 && c <= 0x137) || (c >= 0x14a && c <= 0x177) || (c >= 0x460 && c <= 0x481) ||
         (c >= 0x48a && c <= 0x4bf) || (c >= 0x4d0 && c <= 0x52f) || (c >= 0x1e00 && c <= 0x1e95) ||
         (c >= 0x1ea0 && c <= 0x1eff)) &&
        c != 0x131)
        return (uint16_t)(c & ~1);
    if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e))
        return (uint16_t)(c - !(c & 1));
    return c;
}

int fat_name_of(const char *text, size_t bytes, struct fat_name *out)
{
    char part[FAT_NAME_UNITS * 4 + 1];
    int n;

    if (bytes == 0 || bytes >= sizeof(part))
        return XK_EINVAL;
    memcpy(part, text, bytes);
    part[bytes] = '\0';
    n = xk__utf16_of(part, out->unit, FAT_NAME_UNITS);
    if (n <= 0 || part[bytes - 1] == '.' || part[bytes - 1] == ' ' || strpbrk(part, "\"*/:<>?\\|\x7f"))
        return XK_EINVAL;
    out->n = (unsigned)n;
    return 0;
}

int fat_name_same(const struct fat_name *a, const struct fat_name *b)
{
    if (a->n != b->n)
        return 0;
    for (unsigned i = 0; i < a->n; i++)
        if (fat_name_fold(a->unit[i]) != fat_name_fold(b->unit[i]))
            return 0;
    return 1;
}

static uint16_t said(uint8_t c, int lower)
{
    if (c >= 0x80)
        return cp437[c - 0x80];
    return lower && c >= 'A' && c <= 'Z' ? c + 32 : c < 0x20 ? '?' : c;
}

void fat_name_of_short(const uint8_t raw[FAT_SHORT], uint8_t lower, struct fat_name *out)
{
    unsigned base = 8, ext = 3;

    while (base > 0 && raw[base - 1] == ' ')
        base--;
    while (ext > 0 && raw[8 + ext - 1] == ' ')
        ext--;
    out->n = 0;
    for (unsigned i = 0; i < base; i++)
        out->unit[out->n++] = said(i == 0 && raw[0] == 0x05 ? 0xe5 : raw[i], lower & FAT_LOWER_BASE);
    if (ext)
        out->unit[out->n++] = '.';
    for (unsigned i = 0; i < ext; i++)
        out->unit[out->n++] = said(raw[8 + i], lower & FAT_LOWER_EXT);
}

static int is_short_letter(uint16_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (c < 0x80 && c > ' ' && strchr("$%'-_@~`!(){}^#&", c) != NULL);
}

/* Letters (from) .. (to) into (room) places. 1: all went, and are of one case; *low: which. */
static int part_to_short(const struct fat_name *name, unsigned from, unsigned to, uint8_t *out, unsigned room, int *low)
{
    int whole = to - from <= room, upper = 0, lower = 0;
    unsigned n = 0;

    for (unsigned i = from; i < to; i++) {
        uint16_t c = name->unit[i];
        lower |= c >= 'a' && c <= 'z';
        upper |= c >= 'A' && c <= 'Z';
        if (!is_short_letter(c))
            whole = 0;
        if (c == ' ' || c == '.')
            continue;
        if (n < room)
            out[n++] = is_short_letter(c) ? (uint8_t)fat_name_fold(c) : '_';
    }
    *low = lower;
    return whole && !(lower && upper);
}

int fat_name_to_short(const struct fat_name *name, uint8_t raw[FAT_SHORT], uint8_t *lower)
{
    unsigned dot = name->n, begin = 0;
    int low_base, low_ext = 0, whole;

    for (unsigned i = 1; i < name->n; i++)
        if (name->unit[i] == '.')
            dot = i;
    while (begin < name->n && name->unit[begin] == '.')
        begin++;
    if (dot <= begin)
        dot = name->n;
    memset(raw, ' ', FAT_SHORT);
    whole = part_to_short(name, begin, dot, raw, 8, &low_base) && begin == 0;
    if (dot < name->n)
        whole = part_to_short(name, dot + 1, name->n, raw + 8, 3, &low_ext) && whole;
    if (raw[0] == ' ')
        raw[0] = '_';
    *lower = (uint8_t)((low_base ? FAT_LOWER_BASE : 0) | (low_ext ? FAT_LOWER_EXT : 0));
    if (!whole)
        *lower = 0;
    return whole;
}

static unsigned base_length(const uint8_t raw[FAT_SHORT])
{
    unsigned n = 8;

    while (n > 0 && raw[n - 1] == ' ')
        n--;
    return n;
}

void fat_name_number(const uint8_t raw[FAT_SHORT], unsigned number, uint8_t out[FAT_SHORT])
{
    uint8_t digits[8];
    unsigned n = 0, keep = base_length(raw);

    for (; number; number /= 10)
        digits[n++] = (uint8_t)('0' + number % 10);
    if (keep > 7 - n)
        keep = 7 - n;
    memcpy(out, raw, FAT_SHORT);
    memset(out + keep, ' ', 8 - keep);
    out[keep] = '~';
    while (n)
        out[++keep] = digits[--n];
}

uint8_t fat_name_sum(const uint8_t raw[FAT_SHORT])
{
    uint8_t sum = 0;

    for (int i = 0; i < FAT_SHORT; i++)
        sum = (uint8_t)((sum >> 1 | sum << 7) + raw[i]);
    return sum;
}
