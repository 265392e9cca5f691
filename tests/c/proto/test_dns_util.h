/* What the DNS tests share: a zone from text, and replies as text, so that a test is a question and what it must give.
 * SPDX-License-Identifier: MIT */
#ifndef XK_TESTS_DNS_UTIL_H
#define XK_TESTS_DNS_UTIL_H

#include <stdint.h>
#include <sys/mman.h>

#include <xenkit/dns.h>

#include "tests/c/tap.h"

static inline struct xk_dns_zone *load_zone(const char *origin, const char *text)
{
    struct xk_diag d = {0, 0, 0, ""};
    struct xk_dns_zone *z = NULL;

    if (xk_dns_zone_load(NULL, origin, text, strlen(text), &d, &z) < 0)
        TAP_FAIL("%u:%u: %s", d.line, d.column, d.text);
    return z;
}

static inline struct xk_dns_server *serve(const char *origin, const char *text)
{
    struct xk_dns_zone *z = load_zone(origin, text);
    struct xk_dns_server *s;

    EQ(xk_dns_server_create(NULL, NULL, &s), 0);
    EQ(xk_dns_server_set_zone(s, z), 0);
    xk_dns_zone_unref(z);
    return s;
}

/* Size bytes that end at an unreadable page. */
static inline uint8_t *guarded(size_t size)
{
    size_t room = (size + 4095) & ~(size_t)4095;
    uint8_t *p = mmap(NULL, room + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    OK(p != MAP_FAILED);
    EQ(mprotect(p + room, 4096, PROT_NONE), 0);
    return p + room - size;
}

/* "NXDOMAIN aa tc" and then a line for each record: "AN name ttl TYPE data". OPT is "OPT size do". */
static inline const char *reply_text(const uint8_t *reply, size_t n)
{
    static const char *const names[] = {"QD", "AN", "NS", "AR"};
    static char out[1 << 20];
    static char data[300000];
    char name[XK_DNS_NAME_TEXT_MAX], type[16];
    struct xk_dns_msg m;
    struct xk_dns_rr rr;
    size_t len;
    int r;

    EQ(xk_dns_msg_open(&m, reply, n), 0);
    OK(m.flags & XK_DNS_QR);
    len = (size_t)sprintf(out, "%s%s%s\n", xk_dns_rcode_text(m.flags & 15), m.flags & XK_DNS_AA ? " aa" : "",
                          m.flags & XK_DNS_TC ? " tc" : "");
    while ((r = xk_dns_msg_next(&m, &rr)) == 1) {
        if (rr.section == XK_DNS_QUESTION)
            continue;
        if (rr.type == XK_DNS_OPT) {
            len += (size_t)sprintf(out + len, "OPT %u%s%s\n", rr.rclass, rr.ttl & 0x8000 ? " do" : "",
                                   rr.ttl >> 24 ? " ext" : "");
            continue;
        }
        EQ(rr.rclass, 1);
        OK(xk_dns_name_text(rr.name, name, sizeof(name)) > 0);
        OK(xk_dns_type_text(rr.type, type, sizeof(type)) > 0);
        if (xk_dns_rr_text(&m, &rr, data, sizeof(data)) < 0)
            TAP_FAIL("malformed %s at %s", type, name);
        len += (size_t)snprintf(out + len, sizeof(out) - len, "%s %s %u %s %s\n", names[rr.section], name, rr.ttl, type,
                                data);
    }
    EQ(r, 0);
    EQ(m.pos, n);
    return out;
}

static uint8_t ask_reply[65535];
static int ask_length;

/* With (udp_size) 0 over TCP without EDNS; otherwise over UDP with it. */
static inline const char *ask_with(struct xk_dns_server *s, const char *name, const char *type, unsigned udp_size,
                                   int edns_do)
{
    uint8_t query[512];
    int t = xk_dns_type_parse(type, strlen(type)), n;

    OK(t >= 0);
    n = xk_dns_query_write(query, sizeof(query), 0x1234, XK_DNS_RD, name, (unsigned)t, udp_size, edns_do);
    OK(n > 0);
    ask_length = xk_dns_answer(s, query, (size_t)n, ask_reply, sizeof(ask_reply), udp_size ? XK_DNS_UDP : XK_DNS_TCP);
    OK(ask_length >= XK_DNS_HEADER);
    EQ(ask_reply[0] << 8 | ask_reply[1], 0x1234);
    OK(ask_reply[2] & 1);
    return reply_text(ask_reply, (size_t)ask_length);
}

static inline const char *ask(struct xk_dns_server *s, const char *name, const char *type)
{
    return ask_with(s, name, type, 0, 0);
}

#endif
