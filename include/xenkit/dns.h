/* xenkit/dns.h - DNS without I/O: names, messages, and an authoritative server as a function from query to reply.
 *
 * Whoever has a socket or a ring hands each datagram (or TCP message without its length) to xk_dns_answer and sends
 * what it gives back. A server belongs to one thread at a time; one domain or thread per core makes one each, and all
 * may share the zones (dns_zone.h). Nothing blocks. After creation only adding zones allocates.
 *
 * Names in wire form are at most 255 bytes, uncompressed, and end in the root's zero byte.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_DNS_H
#define XENKIT_DNS_H

#include <stddef.h>
#include <stdint.h>

#include <xenkit/alloc.h>
#include <xenkit/dns_zone.h>
#include <xenkit/err.h>

XK_API_BEGIN

enum {
    XK_DNS_NAME_MAX = 255,
    XK_DNS_NAME_TEXT_MAX = 1020, /* every byte as \DDD, and a NUL */
    XK_DNS_HEADER = 12,
    XK_DNS_MESSAGE_MAX = 65535
};

enum xk_dns_rr_type {
    XK_DNS_A = 1,
    XK_DNS_NS = 2,
    XK_DNS_CNAME = 5,
    XK_DNS_SOA = 6,
    XK_DNS_PTR = 12,
    XK_DNS_MX = 15,
    XK_DNS_TXT = 16,
    XK_DNS_AAAA = 28,
    XK_DNS_SRV = 33,
    XK_DNS_NAPTR = 35,
    XK_DNS_DNAME = 39,
    XK_DNS_OPT = 41,
    XK_DNS_DS = 43,
    XK_DNS_SSHFP = 44,
    XK_DNS_DNSKEY = 48,
    XK_DNS_TLSA = 52,
    XK_DNS_SVCB = 64,
    XK_DNS_HTTPS = 65,
    XK_DNS_IXFR = 251,
    XK_DNS_AXFR = 252,
    XK_DNS_ANY = 255,
    XK_DNS_CAA = 257
};

enum xk_dns_rcode {
    XK_DNS_NOERROR = 0,
    XK_DNS_FORMERR = 1,
    XK_DNS_SERVFAIL = 2,
    XK_DNS_NXDOMAIN = 3,
    XK_DNS_NOTIMP = 4,
    XK_DNS_REFUSED = 5,
    XK_DNS_YXDOMAIN = 6,
    XK_DNS_BADVERS = 16,
    XK_DNS_RCODES = 24 /* size of a table by rcode */
};

/* The bits of the header's second word. */
enum {
    XK_DNS_QR = 0x8000,
    XK_DNS_AA = 0x0400,
    XK_DNS_TC = 0x0200,
    XK_DNS_RD = 0x0100,
    XK_DNS_RA = 0x0080,
    XK_DNS_AD = 0x0020,
    XK_DNS_CD = 0x0010
};

/* --- names -------------------------------------------------------------------------------------------------------- */

/* xk_dns_name_parse (out, text, len, origin) - text with escapes to wire form. "@" is (origin); without a last dot
 * (origin) is appended, NULL standing for the root. Returns the length; XK_EINVAL on an empty or long label or name. */
XK_MUSTCHECK int xk_dns_name_parse(uint8_t out[XK_DNS_NAME_MAX], const char *text, size_t len, const uint8_t *origin);

/* xk_dns_name_text (name, out, max) - with the last dot and a NUL; returns the length without it. XK_EMSGSIZE;
 * XK_DNS_NAME_TEXT_MAX is always enough. */
int xk_dns_name_text(const uint8_t *name, char *out, size_t max);

/* xk_dns_name_equal - 1 when both are the same but for the case of ASCII letters (RFC 4343). */
int xk_dns_name_equal(const uint8_t *a, const uint8_t *b);

/* xk_dns_name_read (msg, n, pos, out) - reads the name at (*pos) of a message of (n) bytes, following pointers only
 * backwards, so that no loop can be, and moves (*pos) past it. Returns the length in wire form; XK_EPROTO. */
XK_MUSTCHECK int xk_dns_name_read(const uint8_t *msg, size_t n, size_t *pos, uint8_t out[XK_DNS_NAME_MAX]);

/* --- types and rdata ---------------------------------------------------------------------------------------------- */

/* xk_dns_type_parse - the number for "AAAA" or "TYPE28", any case; XK_EINVAL. */
int xk_dns_type_parse(const char *text, size_t len);

/* xk_dns_type_text - "AAAA", or "TYPE731" where it has no name. Needs 12 bytes; returns the length or XK_EMSGSIZE. */
int xk_dns_type_text(unsigned type, char *out, size_t max);

/* xk_dns_rcode_text - "NXDOMAIN"; NULL where it has no name. */
const char *xk_dns_rcode_text(unsigned rcode);

/* xk_dns_rdata_parse (type, text, len, origin, out, max, diag) - one record's data from text to wire form, as in a
 * zone file. With (origin) NULL names must be absolute. Returns its length; XK_EINVAL with (diag), XK_EMSGSIZE. */
XK_MUSTCHECK int xk_dns_rdata_parse(unsigned type, const char *text, size_t len, const uint8_t *origin, uint8_t *out,
                                    size_t max, struct xk_diag *diag);

/* --- messages, for tools and tests -------------------------------------------------------------------------------- */

enum { XK_DNS_QUESTION, XK_DNS_ANSWER, XK_DNS_AUTHORITY, XK_DNS_ADDITIONAL };

struct xk_dns_msg {
    const uint8_t *data; /* the caller's, as long as the message is used */
    size_t len, pos;
    uint16_t id, flags, count[4]; /* by section */
    unsigned section, index;      /* of the record that comes next */
};

struct xk_dns_rr {
    unsigned section;
    uint8_t name[XK_DNS_NAME_MAX];
    uint16_t type, rclass;
    uint32_t ttl;
    size_t rdata, rdata_len; /* place in the message; zero in the question */
};

/* xk_dns_msg_open - reads the header. XK_EPROTO when (n) is too short. */
XK_MUSTCHECK int xk_dns_msg_open(struct xk_dns_msg *m, const void *data, size_t n);

/* xk_dns_msg_next - the next question or record: 1; 0 after the last; XK_EPROTO, and again on each later call. */
XK_MUSTCHECK int xk_dns_msg_next(struct xk_dns_msg *m, struct xk_dns_rr *rr);

/* xk_dns_rr_text - a record's data in presentation format, NUL-terminated; returns the length, XK_EMSGSIZE, or
 * XK_EPROTO when it is not what its type demands. */
int xk_dns_rr_text(const struct xk_dns_msg *m, const struct xk_dns_rr *rr, char *out, size_t max);

/* xk_dns_query_write (out, max, id, flags, name, type, udp_size, edns_do) - a query of class IN; with OPT when
 * (udp_size) is not 0. Returns its length, XK_EINVAL for a bad name, XK_EMSGSIZE; 300 bytes are always enough. */
XK_MUSTCHECK int xk_dns_query_write(uint8_t *out, size_t max, unsigned id, unsigned flags, const char *name,
                                    unsigned type, unsigned udp_size, int edns_do);

/* --- server ------------------------------------------------------------------------------------------------------- */

struct xk_dns_server;

struct xk_dns_server_opts {
    uint64_t seed[2];   /* secret random bits: strangers must not be able to choose colliding names */
    size_t cache_bytes; /* bound of the answer cache, allocated at creation; 0 is 4 MiB; 1 is no cache */
    unsigned udp_max;   /* largest reply over UDP; 0 is 1232 (RFC 9715) */
};

/* xk_dns_server_create - XK_ENOMEM; XK_EINVAL when udp_max is not within 512..65535. (opts) NULL takes the defaults
 * and no seed: for tests only. xk_dns_server_destroy accepts NULL. */
XK_MUSTCHECK int xk_dns_server_create(const xk_alloc *alloc, const struct xk_dns_server_opts *opts,
                                      struct xk_dns_server **server);
void xk_dns_server_destroy(struct xk_dns_server *server);

/* xk_dns_server_set_zone - adds a zone, or replaces the one with the same apex; takes a reference of its own and
 * drops all cached answers. XK_ENOMEM: nothing changed. xk_dns_server_drop_zone - by the apex in text; XK_ENOENT. */
XK_MUSTCHECK int xk_dns_server_set_zone(struct xk_dns_server *server, struct xk_dns_zone *zone);
int xk_dns_server_drop_zone(struct xk_dns_server *server, const char *apex);

/* xk_dns_server_flush - drops all cached answers. */
void xk_dns_server_flush(struct xk_dns_server *server);

/* flags of xk_dns_answer */
enum { XK_DNS_UDP = 0, XK_DNS_TCP = 1 };

/* xk_dns_answer (server, query, n, reply, max, flags) - the reply to one message, into (reply), which MUST NOT overlap
 * (query). Returns its length; 0: send nothing; XK_EMSGSIZE when (max) < 512; XK_EAGAIN when the hook asked for time:
 * ask again later with the same query. */
int xk_dns_answer(struct xk_dns_server *server, const uint8_t *query, size_t n, uint8_t *reply, size_t max,
                  unsigned flags);

struct xk_dns_stats {
    uint64_t queries;              /* messages given to xk_dns_answer */
    uint64_t rcode[XK_DNS_RCODES]; /* replies */
    uint64_t cache_hits, cache_misses;
    uint64_t dropped;      /* no reply: too short, a response, or the hook said so */
    uint64_t truncated;    /* replies with TC */
    const char *malformed; /* which field the last FORMERR was for, static; NULL: there was none */
    uint64_t hook_calls;
    uint64_t cache_stores;
    size_t cache_bytes; /* filled now */
    size_t cache_max;   /* the bound, table included */
    size_t zones;
};

void xk_dns_server_stats(const struct xk_dns_server *server, struct xk_dns_stats *stats);

/* --- dynamic answers ---------------------------------------------------------------------------------------------- */

/* When a hook wants to be called; both are fine. BEFORE: on every question that is not in the cache. AFTER: only when
 * the zones gave NXDOMAIN or REFUSED. */
enum { XK_DNS_HOOK_BEFORE = 1, XK_DNS_HOOK_AFTER = 2 };

/* What a hook returns, besides XK_EAGAIN (see xk_dns_answer); any other negative number makes SERVFAIL. */
enum {
    XK_DNS_HOOK_PASS,   /* go on as if there were no hook */
    XK_DNS_HOOK_ANSWER, /* send what was added, with AA; with nothing added NODATA, or the rcode that was set */
    XK_DNS_HOOK_DROP    /* send nothing */
};

struct xk_dns_hook; /* lives as long as the call */

struct xk_dns_hook_question {
    const char *name; /* lower case, with the last dot */
    unsigned type, stage;
    unsigned tcp; /* 1 over TCP */
};

/* A hook MUST NOT change or ask the server that calls it. An answer from a zone that passed BEFORE is cached; then the
 * hook is not asked for that name and type again until a zone is swapped or the cache is flushed. What passed AFTER is
 * cached only after xk_dns_hook_cache. */
typedef int xk_dns_hook_fn(void *arg, const struct xk_dns_hook_question *question, struct xk_dns_hook *hook);

/* xk_dns_server_set_hook (server, fn, arg, stages) - (fn) NULL takes it out. Drops all cached answers. */
void xk_dns_server_set_hook(struct xk_dns_server *server, xk_dns_hook_fn *fn, void *arg, unsigned stages);

/* xk_dns_hook_add (h, type, ttl, text, len, diag) - adds a record at the question's name; (text) is its data as in a
 * zone file, relative to the root. XK_EINVAL with (diag); XK_EMSGSIZE past 32 records or 4 KiB. */
XK_MUSTCHECK int xk_dns_hook_add(struct xk_dns_hook *h, unsigned type, uint32_t ttl, const char *text, size_t len,
                                 struct xk_diag *diag);

/* xk_dns_hook_rcode - the rcode of the answer, 0..15. xk_dns_hook_cache - the answer may be cached; never by itself. */
void xk_dns_hook_rcode(struct xk_dns_hook *h, unsigned rcode);
void xk_dns_hook_cache(struct xk_dns_hook *h);

XK_API_END

#endif
