/* The boot sector, read and made. Offsets are those of the specification. SPDX-License-Identifier: MIT */
#include <string.h>

#include "fs/fat.h"

enum {
    SECTOR_MIN = 512,
    SECTOR_MAX = 4096,
    CLUSTER_MAX = 65536,
    MOST_12 = 4084,
    MOST_16 = 65524,
    MOST_32 = 0x0ffffff5
};

static int is_power(uint32_t v, uint32_t least, uint32_t most) { return v >= least && v <= most && !(v & (v - 1)); }

/* --- read --- */

/* What follows from the numbers, for who reads and who makes one. XK_EPROTO: they contradict each other. */
static int work_out(struct fat_shape *s, uint64_t bytes)
{
    uint64_t data, need;

    s->root_sectors = (s->root_entries * 32 + s->sector - 1) / s->sector;
    data = s->reserved + (uint64_t)s->fats * s->fat_sectors + s->root_sectors;
    if (data >= s->sectors || s->sectors > bytes / s->sector || s->sectors > UINT32_MAX)
        return XK_EPROTO;
    s->data_sector = (uint32_t)data;
    s->clusters = (uint32_t)((s->sectors - data) / (s->cluster / s->sector));
    if (s->type == 0)
        s->type = s->clusters <= MOST_12 ? 12 : 16;
    if (s->clusters == 0 || s->clusters > (s->type == 32 ? MOST_32 : s->type == 16 ? MOST_16 : MOST_12))
        return XK_EPROTO;
    need = ((s->clusters + 2ull) * (unsigned)s->type + 7) / 8;
    return need <= (uint64_t)s->fat_sectors * s->sector ? 0 : XK_EPROTO;
}

static void read_label(const uint8_t *p, char out[12])
{
    int n = 11;

    memcpy(out, p, 11);
    while (n > 0 && (out[n - 1] == ' ' || out[n - 1] == '\0'))
        n--;
    out[n] = '\0';
    if (strcmp(out, "NO NAME") == 0)
        out[0] = '\0';
}

/* FAT32 is known by the 16-bit count of sectors that it has not, as Linux, mtools and dosfstools do. */
static void read_tail(const uint8_t *b, struct fat_shape *s)
{
    const uint8_t *ext = b + (s->type == 32 ? 64 : 36); /* drive, state, signature, id, label */

    if (s->type == 32) {
        s->root_cluster = fat_get32(b + 44);
        s->info_sector = fat_get16(b + 48);
        s->backup = fat_get16(b + 50);
        if (s->info_sector == 0 || s->info_sector >= s->reserved)
            s->info_sector = 0;
        if (s->backup >= s->reserved)
            s->backup = 0;
    }
    s->state = ext[1];
    if (ext[2] != 0x28 && ext[2] != 0x29)
        return;
    s->id = fat_get32(ext + 3);
    if (ext[2] == 0x29)
        read_label(ext + 7, s->label);
}

int fat_boot_read(struct xk_file *file, struct fat_shape *s)
{
    uint8_t b[512];
    int64_t bytes = xk_file_size(file);
    int r = bytes < 0 ? (int)bytes : xk_file_read(file, b, sizeof(b), 0);

    memset(s, 0, sizeof(*s));
    if (r < 0 || (size_t)r < sizeof(b))
        return r < 0 ? r : XK_EPROTO;
    s->sector = fat_get16(b + 11);
    s->cluster = b[13] * s->sector;
    s->reserved = fat_get16(b + 14);
    s->fats = b[16];
    s->root_entries = fat_get16(b + 17);
    s->sectors = fat_get16(b + 19) ? fat_get16(b + 19) : fat_get32(b + 32);
    s->fat_sectors = fat_get16(b + 22);
    if (s->fat_sectors == 0) {
        s->type = 32;
        s->fat_sectors = fat_get32(b + 36);
    }
    if (b[510] != 0x55 || b[511] != 0xaa || !is_power(s->sector, SECTOR_MIN, SECTOR_MAX) ||
        !is_power(s->cluster, s->sector, CLUSTER_MAX) || s->reserved == 0 || s->fats == 0 || s->fats > 4 ||
        s->fat_sectors == 0 || (s->type == 32) != (s->root_entries == 0))
        return XK_EPROTO;
    if (s->type == 32 && (fat_get16(b + 42) != 0 || b[40] & 0x80))
        return XK_EPROTO; /* of a later version; only one of the tables is in use */
    r = work_out(s, (uint64_t)bytes);
    if (r < 0)
        return r;
    read_tail(b, s);
    return s->type == 32 && !fat_is_cluster(s, s->root_cluster) ? XK_EPROTO : 0;
}

/* --- made --- */

static uint32_t cluster_for(int type, uint64_t bytes, uint32_t sector)
{
    uint32_t size = sector;

    if (type == 12)
        while (bytes / size > MOST_12 - 16 && size < CLUSTER_MAX)
            size *= 2;
    if (type == 16)
        while ((bytes / size > 32768 || bytes / size > MOST_16) && size < CLUSTER_MAX)
            size *= 2;
    if (type == 32)
        size = bytes <= 260ull << 20 ? sector : bytes <= 8ull << 30 ? 4096 : bytes <= 16ull << 30 ? 8192 : 32768;
    return size < sector ? sector : size;
}

/* The table's size depends on the clusters, whose number on the table's. The data begin at a whole cluster. */
static int lay_out(struct fat_shape *s, uint64_t bytes)
{
    uint32_t per = s->cluster / s->sector, wanted = s->type == 32 ? 32 : 1;

    s->sectors = bytes / s->sector;
    if (s->sectors > UINT32_MAX)
        return XK_ERANGE;
    s->fat_sectors = 1;
    for (;;) {
        uint64_t used = wanted + (uint64_t)s->fats * s->fat_sectors + s->root_entries * 32 / s->sector, clusters, need;
        uint32_t pad = (uint32_t)(per - used % per) % per;
        s->reserved = wanted + pad;
        if (used + pad + per > s->sectors)
            return XK_ENOSPC;
        clusters = (s->sectors - used - pad) / per;
        need = ((clusters + 2) * (unsigned)s->type + 8ull * s->sector - 1) / (8ull * s->sector);
        if (need <= s->fat_sectors)
            break;
        s->fat_sectors = (uint32_t)need;
    }
    return work_out(s, bytes) < 0 ? XK_ERANGE : 0;
}

static int shape_of(const struct xk_fat_spec *spec, uint64_t bytes, struct fat_shape *s)
{
    memset(s, 0, sizeof(*s));
    s->sector = spec->sector ? spec->sector : SECTOR_MIN;
    s->type = spec->type ? spec->type : bytes < 16ull << 20 ? 12 : bytes < 512ull << 20 ? 16 : 32;
    if (!is_power(s->sector, SECTOR_MIN, SECTOR_MAX) || (s->type != 12 && s->type != 16 && s->type != 32))
        return XK_EINVAL;
    s->cluster = spec->cluster ? spec->cluster : cluster_for(s->type, bytes, s->sector);
    if (!is_power(s->cluster, s->sector, CLUSTER_MAX))
        return XK_EINVAL;
    s->fats = 2;
    s->root_entries = s->type == 32 ? 0 : s->type == 12 && bytes <= 4 << 20 ? 224 : 512;
    s->root_entries = (s->root_entries * 32 + s->sector - 1) / s->sector * s->sector / 32;
    s->id = spec->id;
    if (s->type == 32) {
        s->root_cluster = 2;
        s->info_sector = 1;
        s->backup = 6;
    }
    return lay_out(s, bytes);
}

/* Eleven letters, capitals, blanks behind. */
static int make_label(const char *label, uint8_t out[11])
{
    size_t n = label ? strlen(label) : 0;

    if (n > 11)
        return XK_EINVAL;
    memset(out, ' ', 11);
    if (n == 0)
        memcpy(out, "NO NAME", 7);
    for (size_t i = 0; i < n; i++) {
        char c = label[i];
        if (c < ' ' || c > '~' || strchr("\"*+,./:;<=>?[\\]|", c))
            return XK_EINVAL;
        out[i] = (uint8_t)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    return 0;
}

static void make_boot(const struct fat_shape *s, const uint8_t label[11], uint8_t *b)
{
    uint8_t *ext = b + (s->type == 32 ? 64 : 36);

    memcpy(b, s->type == 32 ? "\xeb\x58\x90xenkit  " : "\xeb\x3c\x90xenkit  ", 11);
    fat_put16(b + 11, s->sector);
    b[13] = (uint8_t)(s->cluster / s->sector);
    fat_put16(b + 14, s->reserved);
    b[16] = (uint8_t)s->fats;
    fat_put16(b + 17, s->root_entries);
    if (s->sectors < 65536 && s->type != 32)
        fat_put16(b + 19, (uint32_t)s->sectors);
    else
        fat_put32(b + 32, (uint32_t)s->sectors);
    b[21] = 0xf8;
    fat_put16(b + 22, s->type == 32 ? 0 : s->fat_sectors);
    fat_put16(b + 24, 63); /* sectors and heads of a disk that has none */
    fat_put16(b + 26, 255);
    if (s->type == 32) {
        fat_put32(b + 36, s->fat_sectors);
        fat_put32(b + 44, s->root_cluster);
        fat_put16(b + 48, s->info_sector);
        fat_put16(b + 50, s->backup);
    }
    ext[0] = 0x80;
    ext[2] = 0x29;
    fat_put32(ext + 3, s->id);
    memcpy(ext + 7, label, 11);
    memcpy(ext + 18, s->type == 12 ? "FAT12   " : s->type == 16 ? "FAT16   " : "FAT32   ", 8);
    memcpy(ext + 26, "\xeb\xfe", 2); /* it does not boot: a jump to itself */
    b[510] = 0x55;
    b[511] = 0xaa;
}

static int put(struct xk_file *file, const void *data, size_t n, uint64_t at)
{
    int r = xk_file_write(file, data, n, at);

    return r < 0 ? r : 0;
}

static int put_zeroes(struct xk_file *file, uint64_t at, uint64_t end)
{
    static const uint8_t none[32768];
    int r = 0;

    for (; at < end && r == 0; at += sizeof(none))
        r = put(file, none, end - at < sizeof(none) ? (size_t)(end - at) : sizeof(none), at);
    return r;
}

static int put_table_and_root(struct xk_file *file, const struct fat_shape *s, const uint8_t label[11], int64_t time)
{
    static const uint8_t begin12[] = {0xf8, 0xff, 0xff}, begin16[] = {0xf8, 0xff, 0xff, 0xff},
                         begin32[] = {0xf8, 0xff, 0xff, 0x0f, 0xff, 0xff, 0xff, 0x0f, 0xff, 0xff, 0xff, 0x0f};
    uint64_t root = s->root_cluster ? fat_cluster_at(s, s->root_cluster)
                                    : (s->reserved + (uint64_t)s->fats * s->fat_sectors) * s->sector;
    uint8_t entry[32] = {0};
    int r = 0;

    for (uint32_t i = 0; i < s->fats && r == 0; i++) {
        uint64_t at = (s->reserved + (uint64_t)i * s->fat_sectors) * s->sector;
        r = s->type == 12   ? put(file, begin12, sizeof(begin12), at)
            : s->type == 16 ? put(file, begin16, sizeof(begin16), at)
                            : put(file, begin32, sizeof(begin32), at);
    }
    if (r < 0 || memcmp(label, "NO NAME", 7) == 0)
        return r;
    memcpy(entry, label, 11);
    entry[11] = 8; /* the volume's label */
    fat_put32(entry + 22, fat_date_time(time));
    return put(file, entry, sizeof(entry), root);
}

static int put_info(struct xk_file *file, const struct fat_shape *s, uint32_t sector)
{
    uint8_t b[SECTOR_MAX] = {0};

    memcpy(b, "RRaA", 4);
    memcpy(b + 484, "rrAa", 4);
    fat_put32(b + 488, s->clusters - 1);
    fat_put32(b + 492, 3);
    b[510] = 0x55;
    b[511] = 0xaa;
    return put(file, b, s->sector, (uint64_t)sector * s->sector);
}

int xk_fat_format(struct xk_file *file, const struct xk_fat_spec *spec)
{
    uint8_t boot[SECTOR_MAX] = {0}, label[11];
    int64_t bytes = spec->bytes ? (int64_t)spec->bytes : xk_file_size(file);
    struct fat_shape s;
    int r = bytes < 0 ? (int)bytes : make_label(spec->label, label);

    if (r == 0)
        r = shape_of(spec, (uint64_t)bytes, &s);
    if (r < 0)
        return r;
    make_boot(&s, label, boot);
    r = put_zeroes(file, 0, (uint64_t)s.data_sector * s.sector + (s.type == 32 ? s.cluster : 0));
    if (r == 0)
        r = put_table_and_root(file, &s, label, spec->time);
    if (r == 0 && s.type == 32)
        r = put_info(file, &s, s.info_sector);
    if (r == 0 && s.type == 32)
        r = put_info(file, &s, s.backup + s.info_sector);
    if (r == 0 && s.type == 32)
        r = put(file, boot, s.sector, (uint64_t)s.backup * s.sector);
    if (r == 0 && (uint64_t)bytes > (uint64_t)xk_file_size(file)) /* a file that is made for it */
        r = xk_file_truncate(file, (uint64_t)bytes);
    if (r == 0)
        r = xk_file_sync(file);
    if (r == 0)
        r = put(file, boot, s.sector, 0); /* last: until then it is none */
    return r < 0 ? r : xk_file_sync(file);
}
