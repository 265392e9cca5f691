/* Accept-Encoding (RFC 9110 section 12.5.3): whether an answer may be coded, and better is. What cannot be understood
 * is as if it were not there: an answer that is not coded is always right. SPDX-License-Identifier: MIT */
#include <string.h>

#include "proto/http/chars.h"
#include <xenkit/http.h>

enum { WHOLE = 1000, UNSAID = -1 };

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static struct xk_http_str trim(struct xk_http_str s)
{
    while (s.n && is_blank(*s.p)) {
        s.p++;
        s.n--;
    }
    while (s.n && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

/* Up to (stop), which is taken away from (rest), too. */
static struct xk_http_str cut(struct xk_http_str *rest, char stop)
{
    const char *at = rest->n ? memchr(rest->p, stop, rest->n) : NULL;
    struct xk_http_str part = {rest->p, at ? (size_t)(at - rest->p) : rest->n};
    size_t gone = part.n + (at != NULL);

    rest->p += gone;
    rest->n -= gone;
    return trim(part);
}

static bool is(struct xk_http_str s, const char *word)
{
    size_t n = strlen(word);

    return s.n == n && xk__ieq(s.p, word, n);
}

/* A weight (section 12.4.2) in thousandths; UNSAID: malformed. */
static int weight(struct xk_http_str s)
{
    int q, unit = 100;

    if (s.n < 1 || s.n > 5 || (s.p[0] != '0' && s.p[0] != '1') || (s.n > 1 && s.p[1] != '.'))
        return UNSAID;
    q = (s.p[0] - '0') * WHOLE;
    for (size_t i = 2; i < s.n; i++, unit /= 10) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return UNSAID;
        q += (s.p[i] - '0') * unit;
    }
    return q > WHOLE ? UNSAID : q;
}

/* The next coding of a list and its weight. */
static bool next(struct xk_http_str *list, struct xk_http_str *name, int *q)
{
    while (list->n) {
        struct xk_http_str item = cut(list, ','), more;
        *name = cut(&item, ';');
        *q = WHOLE;
        while (item.n && *q != UNSAID) {
            more = cut(&item, ';');
            *q = more.n > 2 && xk__lower(more.p[0]) == 'q' && more.p[1] == '='
                     ? weight((struct xk_http_str){more.p + 2, more.n - 2})
                     : UNSAID;
        }
        if (name->n && *q != UNSAID)
            return true;
    }
    return false;
}

bool xk_http_accepts(const struct xk_http_msg *m, const char *coding)
{
    int named = UNSAID, any = UNSAID, identity = UNSAID, q;
    struct xk_http_str list, name;

    for (int i = -1; (i = xk_http_msg_find(m, "accept-encoding", (unsigned)(i + 1), &list)) >= 0;)
        while (next(&list, &name, &q)) {
            if (is(name, "*"))
                any = q;
            else if (is(name, "identity"))
                identity = q;
            else if (is(name, coding) || (is(name, "x-gzip") && strcmp(coding, "gzip") == 0))
                named = q;
        }
    q = named != UNSAID ? named : any;
    return q > 0 && q >= identity;
}
