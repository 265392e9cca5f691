/* store/perms.h - permission lists of nodes: the first entry names the owner and what everybody else may do, the others
 * are exceptions for single domains (docs/misc/xenstore.txt). SPDX-License-Identifier: MIT */
#ifndef XK_STORE_PERMS_H
#define XK_STORE_PERMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    XK__PERM_NONE = 0,
    XK__PERM_READ = 1,
    XK__PERM_WRITE = 2,
    XK__PERM_OWNER = 4,     /* never stored */
    XK__PERM_IGNORE = 0x80, /* entry of a domain that did not exist when it was made: shown, but without effect */
    XK__DOMID_RESERVED = 0x7ff0,
    XK__DOMID_SELF = 0x7ff0,
    XK__DOMID_ANY = 0x7ff5, /* xen.h; as entry of a list: every domain */
    XK__PERMS_MAX = 1400    /* more than 4096 bytes of payload can spell */
};

struct xk__perm {
    uint16_t domid, bits;
};

struct xk__perms {
    const struct xk__perm *v;
    unsigned n;
};

/* Who asks. (target) is the domain whose rights it has too (SET_TARGET), or -1. */
struct xk__who {
    uint16_t domid;
    bool privileged;
    int32_t target;
};

/* xk__perms_of (p, who) - the XK__PERM_... bits that (who) has. */
unsigned xk__perms_of(struct xk__perms p, const struct xk__who *who);

bool xk__perms_equal(struct xk__perms a, struct xk__perms b);

/* xk__perm_parse (s, n, p) - "r5" and the like. XK_EINVAL. */
int xk__perm_parse(const char *s, size_t n, struct xk__perm *p);

/* xk__perms_format (p, out, room) - each entry with its NUL; the bytes written or XK_E2BIG. */
long xk__perms_format(struct xk__perms p, char *out, size_t room);

/* xk__decimal (s, n, max, v) - unsigned decimal digits only. XK_EINVAL. */
int xk__decimal(const char *s, size_t n, uint32_t max, uint32_t *v);

#endif
