/* Bodies: by length, by chunks (RFC 9112 section 7.1), to the end of the connection. Chunk framing is read strictly,
 * CRLF and nothing else, and what it costs beside the data is bounded: extensions and trailers are read over and
 * counted. SPDX-License-Identifier: MIT */
#include <string.h>

#include "proto/http/chars.h"
#include "proto/http/gate.h"

enum { SIZE, DATA, DATA_CR, DATA_LF, TRAILER, END };
enum { SIZE_DIGITS = 16 };

struct in {
    const char *p;
    size_t n, at;
    uint8_t *reason;
    struct xk_diag *d;
};

static int refuse(struct in *in, enum xk_http_refusal why, const char *more)
{
    return xk__http_refuse(in->reason, in->d, why, 0, 0, more);
}

/* The next whole line, of at most (max) bytes with its CRLF: its length without them, or XK_EAGAIN, or XK_EPROTO. */
static int next_line(struct xk_http_body *b, struct in *in, size_t max, const char **line)
{
    size_t left = in->n - in->at;
    const char *s = in->p + in->at, *lf = NULL;

    if (b->scanned < left)
        lf = memchr(s + b->scanned, '\n', left - b->scanned);
    if ((lf ? (size_t)(lf - s) + 1 : left) > max)
        return refuse(in, XK_HTTP_BAD_CHUNK, "extensions or trailers are too long");
    if (!lf) {
        b->scanned = (uint32_t)left;
        return XK_EAGAIN;
    }
    if (lf == s || lf[-1] != '\r')
        return refuse(in, XK_HTTP_BAD_CHUNK, "a line ends with LF alone");
    b->scanned = 0;
    in->at += (size_t)(lf - s) + 1;
    *line = s;
    return (int)(lf - s) - 1;
}

static size_t allowance(const struct xk_http_body *b, const struct xk_http_limits *limits)
{
    return limits->chunk_ext > b->extra ? limits->chunk_ext - b->extra : 0;
}

/* chunk-size [ chunk-ext ] CRLF */
static int size_line(struct xk_http_body *b, const struct xk_http_limits *limits, struct in *in)
{
    const char *s;
    uint64_t size = 0;
    size_t i = 0, n, end;
    int r = next_line(b, in, SIZE_DIGITS + 2 + allowance(b, limits), &s);

    if (r < 0)
        return r;
    n = (size_t)r;
    for (; i < n && xk__is(s[i], XK__HEX); i++) {
        if (i == SIZE_DIGITS)
            return refuse(in, XK_HTTP_BAD_CHUNK, "the size has too many digits");
        size = size << 4 | (unsigned)xk__hex(s[i]);
    }
    if (i == 0)
        return refuse(in, XK_HTTP_BAD_CHUNK, "a size in hex digits is wanted");
    b->extra += (uint32_t)(n - i);
    if (b->extra > limits->chunk_ext)
        return refuse(in, XK_HTTP_BAD_CHUNK, "extensions or trailers are too long");
    for (end = i; end < n && (s[end] == ' ' || s[end] == '\t'); end++)
        continue;
    if (i < n && (end == n || s[end] != ';'))
        return refuse(in, XK_HTTP_BAD_CHUNK, "only ; may follow the size");
    if (i + xk__http_value_span(s + i, n - i) < n)
        return refuse(in, XK_HTTP_BAD_CHUNK, "control byte in an extension");
    if (size > limits->body - b->total)
        return refuse(in, XK_HTTP_BAD_BODY_SIZE, "");
    b->left = size;
    b->step = size ? DATA : TRAILER;
    return 0;
}

/* The trailer section is checked as fields are and dropped: nothing in xenkit would use it (section 7.1.2). */
static int trailer_line(struct xk_http_body *b, const struct xk_http_limits *limits, struct in *in)
{
    const char *s;
    size_t i = 0, n;
    int r = next_line(b, in, 2 + allowance(b, limits), &s);

    if (r < 0)
        return r;
    n = (size_t)r;
    if (n == 0) {
        b->step = END;
        return 0;
    }
    b->extra += (uint32_t)n + 2;
    while (i < n && xk__is(s[i], XK__TOKEN))
        i++;
    if (i == 0 || i == n || s[i] != ':' || i + xk__http_value_span(s + i, n - i) < n)
        return refuse(in, XK_HTTP_BAD_CHUNK, "malformed trailer field");
    return 0;
}

static int expect_byte(struct xk_http_body *b, struct in *in, char want, uint8_t next)
{
    if (in->at == in->n)
        return XK_EAGAIN;
    if (in->p[in->at] != want)
        return refuse(in, XK_HTTP_BAD_CHUNK, "no CRLF after the data");
    in->at++;
    b->step = next;
    return 0;
}

/* Some of the (left) bytes of data. */
static int take(struct xk_http_body *b, struct in *in, size_t *len)
{
    size_t n = in->n - in->at;

    if (n == 0)
        return XK_EAGAIN;
    if (n > b->left)
        n = (size_t)b->left;
    b->left -= n;
    b->total += n;
    *len = n;
    return 1;
}

static int chunked(struct xk_http_body *b, const struct xk_http_limits *limits, struct in *in, size_t *len)
{
    int r = 0;

    while (r == 0) {
        switch (b->step) {
        case SIZE:
            r = size_line(b, limits, in);
            break;
        case DATA:
            r = take(b, in, len);
            if (b->left == 0)
                b->step = DATA_CR;
            break;
        case DATA_CR:
            r = expect_byte(b, in, '\r', DATA_LF);
            break;
        case DATA_LF:
            r = expect_byte(b, in, '\n', SIZE);
            break;
        case TRAILER:
            r = trailer_line(b, limits, in);
            break;
        default:
            return 0;
        }
    }
    return r;
}

int xk__http_body_next(struct xk_http_body *b, const struct xk_http_limits *limits, const char *p, size_t n,
                       size_t *used, size_t *len, uint8_t *reason, struct xk_diag *d)
{
    struct in in = {p, n, 0, reason, d};
    int r = 0;

    *len = 0;
    if (b->kind == XK_HTTP_CHUNKED) {
        r = chunked(b, limits, &in, len);
    } else if (b->kind == XK_HTTP_LENGTH && b->left) {
        r = take(b, &in, len);
    } else if (b->kind == XK_HTTP_TO_CLOSE) {
        b->left = UINT64_MAX;
        r = take(b, &in, len);
        if (b->total > limits->body)
            r = refuse(&in, XK_HTTP_BAD_BODY_SIZE, "");
    }
    *used = in.at;
    return r;
}

bool xk__http_body_ended(const struct xk_http_body *b)
{
    if (b->kind == XK_HTTP_CHUNKED)
        return b->step == END;
    return b->kind == XK_HTTP_NO_BODY || (b->kind == XK_HTTP_LENGTH && b->left == 0);
}
