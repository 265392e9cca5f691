/* Times and paths of ZIP files (zip.h). SPDX-License-Identifier: MIT */
#include <string.h>

#include "archive/zip.h"
#include "base/utf.h"

/* --- times --- */

/* Days from 1970-01-01 to the first day of a year and month (1 .. 12), years from 1970 on. */
static int64_t days_to(int64_t year, unsigned month)
{
    static const uint16_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t y = year - (month <= 2), leaps = y / 4 - y / 100 + y / 400;

    return (year - 1970) * 365 + before[month - 1] + leaps - (1969 / 4 - 1969 / 100 + 1969 / 400);
}

uint32_t zip_dos_time(int64_t seconds)
{
    int64_t last = days_to(2108, 1) * 86400 - 2, day, year;
    unsigned month = 12, s;

    seconds = seconds < ZIP_NO_TIME ? ZIP_NO_TIME : seconds > last ? last : seconds;
    day = seconds / 86400;
    s = (unsigned)(seconds % 86400);
    year = 1970 + day / 365;
    while (days_to(year, 1) > day)
        year--;
    while (days_to(year, month) > day)
        month--;
    day -= days_to(year, month);
    return (uint32_t)((year - 1980) << 25 | month << 21 | (day + 1) << 16) | s / 3600 << 11 | s / 60 % 60 << 5 |
           s % 60 / 2;
}

int64_t zip_time(uint32_t dos)
{
    unsigned month = dos >> 21 & 15, day = dos >> 16 & 31, hour = dos >> 11 & 31, minute = dos >> 5 & 63;
    int64_t t;

    if (month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || (dos & 31) > 29)
        return 0;
    t = (days_to(1980 + (dos >> 25), month) + day - 1) * 86400 + hour * 3600 + minute * 60 + (dos & 31) * 2;
    return t == ZIP_NO_TIME ? 0 : t;
}

/* --- paths --- */

static const char *part_fault(const char *p, size_t n)
{
    if (n == 0)
        return "has an empty part";
    if (p[0] == '.' && (n == 1 || (n == 2 && p[1] == '.')))
        return "has a part that is . or ..";
    return NULL;
}

const char *zip_path_fault(const char *path, size_t n)
{
    size_t from = 0;

    if (n == 0)
        return "is empty";
    if (n > XK_CRUNCH_PATH_MAX)
        return "is longer than 1024 bytes";
    if (!xk__utf8_is(path, n) || memchr(path, 0x7f, n))
        return "is not UTF-8, or has control letters";
    if (memchr(path, '\\', n))
        return "has a backslash";
    if (path[0] == '/')
        return "begins with a slash";
    if (n > 1 && path[1] == ':' && ((path[0] | 32) >= 'a' && (path[0] | 32) <= 'z'))
        return "begins with a drive";
    for (size_t i = 0; i <= n; i++) {
        const char *fault = i == n || path[i] == '/' ? part_fault(path + from, i - from) : NULL;
        if (fault)
            return fault;
        if (i < n && path[i] == '/')
            from = i + 1;
    }
    return NULL;
}

int zip_path_compare(const char *a, size_t an, const char *b, size_t bn)
{
    int r = memcmp(a, b, an < bn ? an : bn);

    return r ? r : an < bn ? -1 : an > bn;
}
