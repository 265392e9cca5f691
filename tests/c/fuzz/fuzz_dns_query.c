/* Any bytes as a query: the reply must be well formed, within its room, and the same from the cache as made afresh. The
 * same bytes as a message: reading ends, and every record has a text or is refused. SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <xenkit/dns.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char zone[] =
    "$ORIGIN example.\n$TTL 60\n@ SOA ns1 host 1 2 3 4 5\n@ NS ns1\n@ MX 10 mail\nns1 A 192.0.2.1\n"
    "mail AAAA ::1\nwww CNAME web\nweb A 192.0.2.3\nloop CNAME loop\n*.w A 1.1.1.1\n"
    "*.c CNAME x.c\nsub NS ns.sub\nns.sub A 1.1.1.1\ndn DNAME dn2\n*.dn2 TXT x\nlong DNAME long.long\n"
    "h HTTPS 1 web alpn=h2\n_s._tcp SRV 0 0 1 web\nbig TXT (\n" /* more than 1232 bytes */
#define S "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789 "
    S S S S S S S S S S S S S S ")\n";

static struct xk_dns_server *server(size_t cache)
{
    const struct xk_dns_server_opts opts = {{1, 2}, cache, 0};
    struct xk_dns_server *s;
    struct xk_dns_zone *z;

    if (xk_dns_zone_load(NULL, NULL, zone, strlen(zone), NULL, &z) < 0 || xk_dns_server_create(NULL, &opts, &s) < 0 ||
        xk_dns_server_set_zone(s, z) < 0)
        abort();
    xk_dns_zone_unref(z);
    return s;
}

static int read_all(const uint8_t *p, size_t n)
{
    static char text[300000];
    struct xk_dns_msg m;
    struct xk_dns_rr rr;
    int r = xk_dns_msg_open(&m, p, n);

    if (r < 0)
        return r;
    while ((r = xk_dns_msg_next(&m, &rr)) == 1)
        if (rr.section != XK_DNS_QUESTION && xk_dns_rr_text(&m, &rr, text, sizeof(text)) < 0 && rr.type != XK_DNS_OPT)
            return XK_EPROTO;
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct xk_dns_server *cached, *plain;
    uint8_t a[2048], b[2048];
    unsigned flags;
    size_t room;
    int an, bn;

    if (!cached) {
        cached = server(16384);
        plain = server(1);
    }
    if (size < 1)
        return 0;
    flags = data[0] & 1;
    room = 512 + (size_t)(data[0] >> 1) * 12;
    read_all(data + 1, size - 1);
    for (int i = 0; i < 3; i++) {
        an = xk_dns_answer(cached, data + 1, size - 1, a, room, flags);
        bn = xk_dns_answer(plain, data + 1, size - 1, b, room, flags);
        if (an != bn || an < 0 || (size_t)an > room || memcmp(a, b, (size_t)an) != 0 || (an && read_all(a, (size_t)an)))
            abort();
    }
    return 0;
}
