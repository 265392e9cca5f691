/* Permission lists: check, parse, format. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include <xenkit/err.h>

#include "store/perms.h"

static bool names(struct xk__perm p, const struct xk__who *who)
{
    return p.domid == who->domid || (who->target >= 0 && p.domid == (uint16_t)who->target);
}

unsigned xk__perms_of(struct xk__perms p, const struct xk__who *who)
{
    if (who->privileged || names(p.v[0], who))
        return XK__PERM_READ | XK__PERM_WRITE | XK__PERM_OWNER;
    for (unsigned i = 1; i < p.n; i++)
        if (!(p.v[i].bits & XK__PERM_IGNORE) && (p.v[i].domid == XK__DOMID_ANY || names(p.v[i], who)))
            return p.v[i].bits & (XK__PERM_READ | XK__PERM_WRITE);
    return p.v[0].bits & (XK__PERM_READ | XK__PERM_WRITE);
}

bool xk__perms_equal(struct xk__perms a, struct xk__perms b)
{
    return a.n == b.n && memcmp(a.v, b.v, a.n * sizeof(*a.v)) == 0;
}

int xk__decimal(const char *s, size_t n, uint32_t max, uint32_t *v)
{
    uint64_t sum = 0;

    if (n == 0 || n > 10)
        return XK_EINVAL;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return XK_EINVAL;
        sum = sum * 10 + (uint64_t)(s[i] - '0');
    }
    if (sum > max)
        return XK_EINVAL;
    *v = (uint32_t)sum;
    return 0;
}

int xk__perm_parse(const char *s, size_t n, struct xk__perm *p)
{
    uint32_t domid = 0;
    int rc;

    if (n < 2)
        return XK_EINVAL;
    switch (s[0]) {
    case 'n':
        p->bits = XK__PERM_NONE;
        break;
    case 'r':
        p->bits = XK__PERM_READ;
        break;
    case 'w':
        p->bits = XK__PERM_WRITE;
        break;
    case 'b':
        p->bits = XK__PERM_READ | XK__PERM_WRITE;
        break;
    default:
        return XK_EINVAL;
    }
    rc = xk__decimal(s + 1, n - 1, 0xffff, &domid);
    p->domid = (uint16_t)domid;
    return rc < 0 ? rc : 0;
}

long xk__perms_format(struct xk__perms p, char *out, size_t room)
{
    static const char letter[4] = {'n', 'r', 'w', 'b'};
    size_t used = 0;

    for (unsigned i = 0; i < p.n; i++) {
        char text[16];
        int n = snprintf(text, sizeof(text), "%c%u", letter[p.v[i].bits & 3], p.v[i].domid);
        if (used + (size_t)n + 1 > room)
            return XK_E2BIG;
        memcpy(out + used, text, (size_t)n + 1);
        used += (size_t)n + 1;
    }
    return (long)used;
}
