/* A reply under construction: sections, compression, and what to do when it is full. It writes whole RRsets or nothing
 * of them (RFC 2181 section 9). SPDX-License-Identifier: MIT */
#ifndef XK_PROTO_DNS_REPLY_H
#define XK_PROTO_DNS_REPLY_H

#include "proto/dns/zone.h"

enum { REPLY_NAMES = 64, REPLY_SETS = 48 };

struct xk__dns_reply {
    uint8_t *p;
    size_t pos, limit;
    uint16_t count[4];
    uint8_t rcode, aa, tc;
    uint8_t partial; /* something optional was left out for want of room: not the answer for a larger limit */
    uint8_t synth;   /* made from a wildcard or DNAME, or NXDOMAIN: strangers can ask for endlessly many of these */
    unsigned names, sets;
    struct {
        uint16_t off;
        uint8_t len;
    } name[REPLY_NAMES]; /* names that a pointer may point to, with the length of their wire form */
    struct {
        const struct xk__dns_set *set;
        unsigned section;
    } set[REPLY_SETS];
};

/* (p) holds the header's place and the question, (pos) bytes. (name) is the question's name. */
void xk__dns_reply_init(struct xk__dns_reply *r, uint8_t *p, size_t pos, size_t limit,
                        const struct xk__dns_qname *name);

/* Adds all records of (set), with (ttl) in place of its own. 1, or 0: no room, and nothing was added. A set that is in
 * the reply already (same section or an earlier one, same place in the zone) counts as added when (once) is set. */
int xk__dns_reply_set(struct xk__dns_reply *r, unsigned section, const uint8_t *owner, const struct xk__dns_set *set,
                      uint32_t ttl, int once);

/* One record; as above. The offset at which a name in its data begins is left in (*at) when not NULL (CNAME only). */
int xk__dns_reply_record(struct xk__dns_reply *r, unsigned section, const uint8_t *owner, unsigned type, uint32_t ttl,
                         const uint8_t *data, unsigned len);

/* Fills the header but for ID and RD, after the OPT record if any. */
void xk__dns_reply_header(struct xk__dns_reply *r);

#endif
