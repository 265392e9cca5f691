/* The table is written by hand, each byte once, so that it can be held against the RFCs. SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "proto/http/chars.h"

#define TARGET (XK__PATH | XK__QUERY)
#define SUB (XK__VALUE | TARGET | XK__REG | XK__PCHAR)
#define SUBTOKEN (SUB | XK__TOKEN)
#define ALPHA (SUBTOKEN | XK__UNRESERVED)

const uint8_t xk__http_chars[256] = {
    ['\t'] = XK__VALUE,
    [' '] = XK__VALUE,
    ['!'] = SUBTOKEN,
    ['"'] = XK__VALUE,
    ['#'] = XK__VALUE | XK__TOKEN,
    ['$'] = SUBTOKEN,
    ['%'] = XK__VALUE | XK__TOKEN | TARGET,
    ['&' ... '\''] = SUBTOKEN,
    ['(' ... ')'] = SUB,
    ['*' ... '+'] = SUBTOKEN,
    [','] = SUB,
    ['-' ... '.'] = ALPHA,
    ['/'] = XK__VALUE | TARGET,
    ['0' ... '9'] = ALPHA | XK__HEX,
    [':'] = XK__VALUE | TARGET | XK__PCHAR,
    [';'] = SUB,
    ['<'] = XK__VALUE,
    ['='] = SUB,
    ['>'] = XK__VALUE,
    ['?'] = XK__VALUE | XK__QUERY,
    ['@'] = XK__VALUE | TARGET | XK__PCHAR,
    ['A' ... 'F'] = ALPHA | XK__HEX,
    ['G' ... 'Z'] = ALPHA,
    ['['] = XK__VALUE | TARGET,
    ['\\'] = XK__VALUE | XK__QUERY,
    [']'] = XK__VALUE | TARGET,
    ['^'] = XK__VALUE | XK__TOKEN | TARGET,
    ['_'] = ALPHA,
    ['`'] = XK__VALUE | XK__TOKEN | XK__QUERY,
    ['a' ... 'f'] = ALPHA | XK__HEX,
    ['g' ... 'z'] = ALPHA,
    ['{'] = XK__VALUE | XK__QUERY,
    ['|'] = XK__VALUE | XK__TOKEN | TARGET,
    ['}'] = XK__VALUE | XK__QUERY,
    ['~'] = ALPHA,
    [0x80 ... 0xff] = XK__VALUE,
};

/* Eight bytes at once: a byte below 0x20 or equal to 0x7f sets its high bit. A borrow can make a false alarm only above
 * a true one, so a word without an alarm is clean; a word with one is looked at byte by byte (it may be a tab). */
static inline uint64_t alarm(const char *p)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    uint64_t w, del;

    memcpy(&w, p, 8);
    del = w ^ (ones * 0x7f);
    return (((w - ones * 0x20) & ~w) | ((del - ones) & ~del)) & high;
}

static size_t span_by_byte(const char *p, size_t i, size_t n)
{
    while (i < n && xk__is(p[i], XK__VALUE))
        i++;
    return i;
}

size_t xk__http_value_span(const char *p, size_t n)
{
    size_t i = 0, end;

    if (n < 8)
        return span_by_byte(p, 0, n);
    for (; i + 8 <= n; i += 8)
        if (alarm(p + i)) {
            end = span_by_byte(p, i, i + 8);
            if (end < i + 8)
                return end;
        }
    if (i < n && alarm(p + n - 8)) /* the last word overlaps the one before */
        return span_by_byte(p, i, n);
    return n;
}
