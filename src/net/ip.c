/* Addresses as text (RFC 4291 2.2, RFC 5952). SPDX-License-Identifier: MIT */
#include <stdio.h>

#include <xenkit/err.h>
#include <xenkit/ip.h>

int xk_ip4_read(const char *text, xk_ip4 *out)
{
    xk_ip4 ip = 0;

    for (int i = 0; i < 4; i++) {
        unsigned v = 0, digits = 0;
        if (i && *text++ != '.')
            return XK_EINVAL;
        for (; *text >= '0' && *text <= '9' && digits < 3; text++, digits++)
            v = v * 10 + (unsigned)(*text - '0');
        if (digits == 0 || v > 255)
            return XK_EINVAL;
        ip = ip << 8 | v;
    }
    if (*text)
        return XK_EINVAL;
    *out = ip;
    return 0;
}

void xk_ip4_write(xk_ip4 ip, char out[XK_IP4_TEXT])
{
    snprintf(out, XK_IP4_TEXT, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* One to four digits; how many, 0: none. */
static int group(const char *text, uint16_t *out)
{
    int n = 0;

    for (*out = 0; n < 4 && hex(text[n]) >= 0; n++)
        *out = (uint16_t)(*out << 4 | hex(text[n]));
    return n;
}

/* The groups of one side of "::", up to (most) words; the last two may be an IPv4 address. How many words, or
 * XK_EINVAL; (text) is moved behind them. */
static int side(const char **text, uint16_t *word, int most)
{
    const char *p = *text;
    int n = 0;

    while (n < most) {
        xk_ip4 four;
        int digits = group(p, &word[n]);
        if (digits && p[digits] == '.') { /* it has to end there */
            if (n + 2 > most || xk_ip4_read(p, &four) < 0)
                return XK_EINVAL;
            word[n++] = (uint16_t)(four >> 16);
            word[n++] = (uint16_t)four;
            p += strlen(p);
            break;
        }
        if (digits == 0)
            return n ? XK_EINVAL : 0;
        n++;
        p += digits;
        if (*p != ':' || p[1] == ':' || n == most)
            break;
        p++;
    }
    *text = p;
    return n;
}

int xk_ip_read(const char *text, struct xk_ip *out)
{
    uint16_t head[8], tail[8];
    int n = 0, m = 0, gap = 0;
    xk_ip4 four;

    if (xk_ip4_read(text, &four) == 0) {
        *out = xk_ip_of4(four);
        return 0;
    }
    if (text[0] != ':' && (n = side(&text, head, 8)) <= 0)
        return XK_EINVAL;
    if (text[0] == ':' && text[1] == ':') {
        text += 2;
        gap = 1;
        m = *text ? side(&text, tail, 7 - n) : 0;
    }
    if (*text || m < 0 || (gap ? n + m > 7 : n != 8))
        return XK_EINVAL;
    memset(out, 0, sizeof(*out));
    for (int i = 0; i < n; i++) {
        out->b[i * 2] = (uint8_t)(head[i] >> 8);
        out->b[i * 2 + 1] = (uint8_t)head[i];
    }
    for (int i = 0; i < m; i++) {
        out->b[16 - (m - i) * 2] = (uint8_t)(tail[i] >> 8);
        out->b[17 - (m - i) * 2] = (uint8_t)tail[i];
    }
    return 0;
}

/* The first of the longest rows of zero words, of two at least: where, and how long. */
static void zeros(const uint16_t word[8], int *from, int *count)
{
    *from = 8;
    *count = 0;
    for (int i = 0, n = 0; i < 8; i++) {
        n = word[i] ? 0 : n + 1;
        if (n > 1 && n > *count) {
            *count = n;
            *from = i - n + 1;
        }
    }
}

void xk_ip_write(struct xk_ip ip, char out[XK_IP_TEXT])
{
    uint16_t word[8];
    int from, count, n = 0;

    if (xk_ip_is4(ip)) {
        xk_ip4_write(xk_ip_to4(ip), out);
        return;
    }
    for (int i = 0; i < 8; i++)
        word[i] = (uint16_t)(ip.b[i * 2] << 8 | ip.b[i * 2 + 1]);
    zeros(word, &from, &count);
    out[0] = 0;
    for (int i = 0; i < 8; i++) {
        if (i == from) {
            n += snprintf(out + n, (size_t)(XK_IP_TEXT - n), "::");
            i += count - 1;
        } else {
            n += snprintf(out + n, (size_t)(XK_IP_TEXT - n), "%s%x", n && i != from + count ? ":" : "", word[i]);
        }
    }
}

unsigned xk_ip_common(struct xk_ip a, struct xk_ip b)
{
    unsigned n = 0;

    while (n < 128 && ((a.b[n / 8] ^ b.b[n / 8]) >> (7 - n % 8) & 1) == 0)
        n++;
    return n;
}
