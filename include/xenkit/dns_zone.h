/* xenkit/dns_zone.h - a zone: parsed from a master file (RFC 1035 section 5), checked, and never changed again.
 *
 * A zone is immutable and reference counted: a server answers from one version while the next is loaded, then swaps.
 * The count is atomic, so that servers in several threads may share one zone; all other calls only read. The text is
 * not kept. Nothing here does I/O or blocks: $INCLUDE works only through the caller's function.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_DNS_ZONE_H
#define XENKIT_DNS_ZONE_H

#include <stddef.h>
#include <stdint.h>

#include <xenkit/alloc.h>
#include <xenkit/err.h>

XK_API_BEGIN

struct xk_dns_zone;

/* Gives the text of a file that $INCLUDE names. (*text) MUST stay valid until the load returns. Returns 0, or XK_E...
 * and the load fails with it. */
typedef int xk_dns_include_fn(void *arg, const char *path, const char **text, size_t *len);

struct xk_dns_zone_opts {
    const char *origin;         /* the apex, with or without the last dot; NULL: the owner of the first record, a SOA */
    size_t max_bytes;           /* bound on the memory while loading; 0 is 1 GiB */
    xk_dns_include_fn *include; /* NULL: $INCLUDE is refused */
    void *include_arg;
};

struct xk_dns_zone_stats {
    size_t names;      /* owner names and empty non-terminals */
    size_t rrsets;     /* of them */
    size_t records;    /* without duplicates */
    size_t duplicates; /* dropped while loading */
    size_t bytes;      /* all memory that the zone holds */
};

/* xk_dns_zone_load (alloc, origin, text, len, diag, zone) - parses and checks. Types with a text form of their own:
 * see xk_dns_type_parse; every other by RFC 3597 ("TYPE731 \# 3 abcdef"). Checked: one SOA, at the apex; NS at the
 * apex; CNAME alone at its name; all names in the zone; no NS or DNAME at a wildcard. Records below a delegation are
 * kept as glue. RRs of one set with different TTLs get the lowest (RFC 2181 section 5.2).
 * XK_EINVAL (see (diag): line, column, token, what is expected), XK_ENOMEM, XK_E2BIG past the bound. On success (*zone)
 * has one reference, the caller's. */
XK_MUSTCHECK int xk_dns_zone_load(const xk_alloc *alloc, const char *origin, const char *text, size_t len,
                                  struct xk_diag *diag, struct xk_dns_zone **zone);

/* The same with all options. */
XK_MUSTCHECK int xk_dns_zone_load_with(const xk_alloc *alloc, const struct xk_dns_zone_opts *opts, const char *text,
                                       size_t len, struct xk_diag *diag, struct xk_dns_zone **zone);

/* xk_dns_zone_ref - one more reference; returns (zone). xk_dns_zone_unref - one less, the last frees; NULL is fine. */
struct xk_dns_zone *xk_dns_zone_ref(struct xk_dns_zone *zone);
void xk_dns_zone_unref(struct xk_dns_zone *zone);

/* xk_dns_zone_apex - the apex in wire form, lower case, owned by the zone. */
const uint8_t *xk_dns_zone_apex(const struct xk_dns_zone *zone);

/* xk_dns_zone_serial - the SOA's serial number. */
uint32_t xk_dns_zone_serial(const struct xk_dns_zone *zone);

void xk_dns_zone_stats(const struct xk_dns_zone *zone, struct xk_dns_zone_stats *stats);

XK_API_END

#endif
