/* UTF-8 and UTF-16 (utf.h). SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/utf.h"

#include <xenkit/err.h>

/* The next character of UTF-8 before (end), or -1. */
static int32_t next_char(const uint8_t **p, const uint8_t *end)
{
    static const uint32_t least[4] = {0, 0x80, 0x800, 0x10000};
    const uint8_t *s = *p;
    unsigned more = s[0] < 0x80 ? 0 : s[0] >> 5 == 6 ? 1 : s[0] >> 4 == 14 ? 2 : s[0] >> 3 == 30 ? 3 : 4;
    uint32_t c;

    if (more == 4 || (size_t)(end - s) <= more)
        return -1;
    c = more == 0 ? s[0] : s[0] & (0x3fu >> more);
    for (unsigned i = 1; i <= more; i++) {
        if (s[i] >> 6 != 2)
            return -1;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) || c < 0x20)
        return -1;
    *p = s + more + 1;
    return (int32_t)c;
}

int xk__utf16_of(const char *text, uint16_t *out, size_t room)
{
    const uint8_t *p = (const uint8_t *)text, *end = p + strlen(text);
    size_t n = 0;

    while (p < end) {
        int32_t c = next_char(&p, end);
        if (c < 0)
            return XK_EINVAL;
        if (n + (c >= 0x10000 ? 2 : 1) > room)
            return XK_E2BIG;
        if (c < 0x10000) {
            out[n++] = (uint16_t)c;
            continue;
        }
        out[n++] = (uint16_t)(0xd800 + ((c - 0x10000) >> 10));
        out[n++] = (uint16_t)(0xdc00 + ((c - 0x10000) & 0x3ff));
    }
    return (int)n;
}

int xk__utf8_is(const char *text, size_t n)
{
    const uint8_t *p = (const uint8_t *)text, *end = p + n;

    while (p < end)
        if (next_char(&p, end) < 0)
            return 0;
    return 1;
}

static size_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

size_t xk__utf8_of(const uint16_t *in, size_t n, char *out)
{
    size_t bytes = 0;

    for (size_t i = 0; i < n && in[i]; i++) {
        uint32_t c = in[i];
        if (c >= 0xd800 && c < 0xdc00 && i + 1 < n && in[i + 1] >= 0xdc00 && in[i + 1] < 0xe000)
            c = 0x10000 + ((c - 0xd800) << 10) + (in[++i] - 0xdc00u);
        bytes += put_utf8(out + bytes, c < 0x20 || (c >= 0xd800 && c < 0xe000) ? '?' : c);
    }
    out[bytes] = '\0';
    return bytes;
}
