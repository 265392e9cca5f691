/* archive/zip.h - the records of a ZIP file, its times and its paths, for who reads and who writes one. Offsets are
 * those of APPNOTE.TXT, sections 4.3.7 (local header), 4.3.12 (directory), 4.3.16 (end). SPDX-License-Identifier: MIT
 */
#ifndef XK_ARCHIVE_ZIP_H
#define XK_ARCHIVE_ZIP_H

#include <xenkit/crunch.h>

enum { ZIP_LOCAL = 0x04034b50, ZIP_CENTRAL = 0x02014b50, ZIP_END = 0x06054b50 };
enum { ZIP_LOCAL_SIZE = 30, ZIP_CENTRAL_SIZE = 46, ZIP_END_SIZE = 22 };

/* Flags, section 4.4.4. */
enum { ZIP_ENCRYPTED = 1, ZIP_DESCRIPTOR = 8, ZIP_PATCHED = 32, ZIP_STRONG = 64, ZIP_UTF8 = 2048, ZIP_MASKED = 8192 };

/* Extra fields: Info-ZIP's extended times (proginfo/extrafld.txt), and room for alignment as Android's tools leave it.
 */
enum { ZIP_EXTRA_TIME = 0x5455, ZIP_EXTRA_ALIGN = 0xd935 };

enum { ZIP_UNIX = 3, ZIP_IFMT = 0170000, ZIP_IFREG = 0100000, ZIP_IFDIR = 0040000 };

static inline uint16_t zip_get16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static inline uint32_t zip_get32(const uint8_t *p) { return zip_get16(p) | (uint32_t)zip_get16(p + 2) << 16; }
static inline void zip_put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}
static inline void zip_put32(uint8_t *p, uint32_t v)
{
    zip_put16(p, v);
    zip_put16(p + 2, v >> 16);
}

/* MS-DOS' date above its time, as UTC, of 1980 .. 2107; of other years the nearest. zip_time: 0 for what is no time. */
uint32_t zip_dos_time(int64_t seconds);
int64_t zip_time(uint32_t dos);
#define ZIP_NO_TIME 315532800 /* 1980-01-01 */

/* What is wrong with a path: words to go behind it; NULL: nothing. */
const char *zip_path_fault(const char *path, size_t n);

/* As memcmp, the shorter one first. */
int zip_path_compare(const char *a, size_t an, const char *b, size_t bn);

#endif
