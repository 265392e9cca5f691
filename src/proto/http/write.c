/* Composing messages. A head is small and its size is known to within a few bytes, so room is reserved once and filled
 * with plain copies. Whatever frames the message is written here and nowhere else: a caller cannot make a message with
 * two lengths, nor smuggle a line through a value. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "proto/http/chars.h"
#include "proto/http/gate.h"

#define STATUS_MAP(X)                         \
    X(100, "Continue")                        \
    X(101, "Switching Protocols")             \
    X(103, "Early Hints")                     \
    X(200, "OK")                              \
    X(201, "Created")                         \
    X(202, "Accepted")                        \
    X(203, "Non-Authoritative Information")   \
    X(204, "No Content")                      \
    X(205, "Reset Content")                   \
    X(206, "Partial Content")                 \
    X(207, "Multi-Status")                    \
    X(300, "Multiple Choices")                \
    X(301, "Moved Permanently")               \
    X(302, "Found")                           \
    X(303, "See Other")                       \
    X(304, "Not Modified")                    \
    X(307, "Temporary Redirect")              \
    X(308, "Permanent Redirect")              \
    X(400, "Bad Request")                     \
    X(401, "Unauthorized")                    \
    X(402, "Payment Required")                \
    X(403, "Forbidden")                       \
    X(404, "Not Found")                       \
    X(405, "Method Not Allowed")              \
    X(406, "Not Acceptable")                  \
    X(407, "Proxy Authentication Required")   \
    X(408, "Request Timeout")                 \
    X(409, "Conflict")                        \
    X(410, "Gone")                            \
    X(411, "Length Required")                 \
    X(412, "Precondition Failed")             \
    X(413, "Content Too Large")               \
    X(414, "URI Too Long")                    \
    X(415, "Unsupported Media Type")          \
    X(416, "Range Not Satisfiable")           \
    X(417, "Expectation Failed")              \
    X(421, "Misdirected Request")             \
    X(422, "Unprocessable Content")           \
    X(423, "Locked")                          \
    X(425, "Too Early")                       \
    X(426, "Upgrade Required")                \
    X(428, "Precondition Required")           \
    X(429, "Too Many Requests")               \
    X(431, "Request Header Fields Too Large") \
    X(451, "Unavailable For Legal Reasons")   \
    X(500, "Internal Server Error")           \
    X(501, "Not Implemented")                 \
    X(502, "Bad Gateway")                     \
    X(503, "Service Unavailable")             \
    X(504, "Gateway Timeout")                 \
    X(505, "HTTP Version Not Supported")      \
    X(507, "Insufficient Storage")

const char *xk_http_reason(unsigned status)
{
    switch (status) {
#define REASON(number, text) \
    case number:             \
        return text;
        STATUS_MAP(REASON)
#undef REASON
    default:
        return "";
    }
}

const char *xk_http_method_name(enum xk_http_method m)
{
    switch (m) {
#define NAME(name)       \
    case XK_HTTP_##name: \
        return #name;
        XK_HTTP_METHOD_MAP(NAME)
#undef NAME
    default:
        return "";
    }
}

/* --- pieces ----------------------------------------------------------------------------------------------------- */

enum { U64_DIGITS = 20, HEAD_ROOM = 256 };

struct cursor {
    char *p;
};

static void add(struct cursor *o, const void *s, size_t n)
{
    if (n)
        memcpy(o->p, s, n);
    o->p += n;
}

#define ADD(o, lit) add((o), "" lit, sizeof(lit) - 1)

static void add_u64(struct cursor *o, uint64_t v)
{
    char digits[U64_DIGITS];
    size_t at = sizeof(digits);

    do
        digits[--at] = (char)('0' + v % 10);
    while (v /= 10);
    add(o, digits + at, sizeof(digits) - at);
}

static void add_status_line(struct cursor *o, unsigned status)
{
    const char *reason;
    char *d;

    if (status == 200) { /* most are */
        ADD(o, "HTTP/1.1 200 OK\r\n");
        return;
    }
    ADD(o, "HTTP/1.1 ");
    d = o->p;
    d[0] = (char)('0' + status / 100);
    d[1] = (char)('0' + status / 10 % 10);
    d[2] = (char)('0' + status % 10);
    d[3] = ' '; /* also before an empty reason: RFC 9112 section 4 */
    o->p += 4;
    reason = xk_http_reason(status);
    add(o, reason, strlen(reason));
    ADD(o, "\r\n");
}

static int fail(struct xk_http_writer *w, int err)
{
    if (!w->err)
        w->err = err;
    return w->err;
}

static int open_head(struct xk_http_writer *w, struct xk_buf *out, size_t need, struct cursor *o)
{
    uint8_t *p = NULL;

    memset(w, 0, sizeof(*w));
    w->out = out;
    w->start = xk_buf_len(out);
    w->err = xk_buf_reserve(out, need, &p);
    o->p = (char *)p;
    return w->err;
}

static void close_head(struct xk_http_writer *w, const struct cursor *o)
{
    w->out->wr = (size_t)((uint8_t *)o->p - w->out->data);
}

/* --- heads ------------------------------------------------------------------------------------------------------ */

struct xk_http_answer xk_http_answer(const struct xk_http_conn *c, unsigned status)
{
    struct xk_http_answer a = {0};

    a.status = status;
    a.minor = 1;
    /* A refused message is answered without trust in anything it said. */
    if (!c || c->status)
        return a;
    a.keep_alive = xk_http_conn_keep_alive(c);
    a.head_only = c->msg.method == XK_HTTP_HEAD;
    a.minor = c->msg.minor;
    return a;
}

/* What frames the body, and with it whether the connection can go on (RFC 9112 section 6.3, 9.3). */
static void decide(struct xk_http_writer *w, const struct xk_http_answer *a)
{
    bool never = a->status < 200 || a->status == 204 || a->status == 304;

    w->framing = (uint8_t)a->framing;
    if (w->framing == XK_HTTP_CHUNKED && a->minor == 0)
        w->framing = XK_HTTP_TO_CLOSE;
    if (never)
        w->framing = XK_HTTP_NO_BODY;
    w->left = w->framing == XK_HTTP_LENGTH ? a->length : 0;
    w->bodiless = never || a->head_only;
    /* a body that ends with the connection ends it, unless there is none: HEAD */
    w->keep_alive = a->keep_alive && (w->framing != XK_HTTP_TO_CLOSE || w->bodiless);
    w->upgrade = a->status == 101;
    w->has_date = a->date.n > 0;
}

static void add_framing(struct cursor *o, const struct xk_http_writer *w, bool never)
{
    if (w->framing == XK_HTTP_CHUNKED) {
        ADD(o, "Transfer-Encoding: chunked\r\n");
    } else if (w->framing == XK_HTTP_LENGTH || (w->framing == XK_HTTP_NO_BODY && !never)) {
        ADD(o, "Content-Length: ");
        add_u64(o, w->left);
        ADD(o, "\r\n");
    }
}

static bool clean(const char *p, size_t n) { return xk__http_value_span(p, n) == n; }

int xk_http_begin(struct xk_http_writer *w, struct xk_buf *out, const struct xk_http_answer *a)
{
    bool never = a->status < 200 || a->status == 204 || a->status == 304;
    struct cursor o;

    if (open_head(w, out, HEAD_ROOM + a->date.n, &o) < 0)
        return w->err;
    if (a->status < 100 || a->status > 999 || !clean(a->date.p, a->date.n))
        return fail(w, XK_EINVAL);
    decide(w, a);
    add_status_line(&o, a->status);
    if (w->has_date) {
        ADD(&o, "Date: ");
        add(&o, a->date.p, a->date.n);
        ADD(&o, "\r\n");
    }
    add_framing(&o, w, never);
    if (a->status >= 200 && !w->keep_alive)
        ADD(&o, "Connection: close\r\n");
    else if (a->status >= 200 && a->minor == 0)
        ADD(&o, "Connection: keep-alive\r\n");
    close_head(w, &o);
    return 0;
}

/* A target or a host that could end its line early. Their grammar is the peer's to judge. */
static bool one_word(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((uint8_t)s[i] <= ' ' || (uint8_t)s[i] >= 0x7f)
            return false;
    return true;
}

int xk_http_begin_request(struct xk_http_writer *w, struct xk_buf *out, enum xk_http_method method, const char *target,
                          const char *host, enum xk_http_framing framing, uint64_t length)
{
    const char *name = xk_http_method_name(method);
    size_t nt = strlen(target), nh = strlen(host);
    struct cursor o;

    if (open_head(w, out, HEAD_ROOM + nt + nh, &o) < 0)
        return w->err;
    if (!*name || nt == 0 || !one_word(target, nt) || !one_word(host, nh) || framing == XK_HTTP_TO_CLOSE)
        return fail(w, XK_EINVAL);
    w->framing = (uint8_t)framing;
    w->left = framing == XK_HTTP_LENGTH ? length : 0;
    w->keep_alive = true;
    add(&o, name, strlen(name));
    ADD(&o, " ");
    add(&o, target, nt);
    ADD(&o, " HTTP/1.1\r\nHost: ");
    add(&o, host, nh);
    ADD(&o, "\r\n");
    add_framing(&o, w, true);
    close_head(w, &o);
    return 0;
}

/* Fields that xk_http_begin answers for. */
static bool reserved(const struct xk_http_writer *w, const char *name, size_t n)
{
    switch (n) {
    case 4:
        return w->has_date && xk__ieq(name, "date", 4);
    case 10:
        return !w->upgrade && xk__ieq(name, "connection", 10);
    case 14:
        return xk__ieq(name, "content-length", 14);
    case 17:
        return xk__ieq(name, "transfer-encoding", 17);
    default:
        return false;
    }
}

static bool token(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!xk__is(s[i], XK__TOKEN))
            return false;
    return n > 0;
}

int xk_http_put(struct xk_http_writer *w, const char *name, const char *value, size_t n)
{
    size_t len = strlen(name);
    struct cursor o;
    uint8_t *p;
    int r;

    if (w->err)
        return w->err;
    if (!token(name, len) || reserved(w, name, len) || !clean(value, n))
        return fail(w, XK_EINVAL);
    if (n > SIZE_MAX / 2)
        return fail(w, XK_EMSGSIZE);
    r = xk_buf_reserve(w->out, len + n + 4, &p);
    if (r < 0)
        return fail(w, r);
    o.p = (char *)p;
    add(&o, name, len);
    ADD(&o, ": ");
    add(&o, value, n);
    ADD(&o, "\r\n");
    close_head(w, &o);
    return 0;
}

int xk_http_end(struct xk_http_writer *w)
{
    if (!w->err)
        fail(w, xk_buf_put(w->out, "\r\n", 2));
    if (w->err)
        w->out->wr = w->out->rd + w->start;
    return w->err;
}

/* --- bodies ----------------------------------------------------------------------------------------------------- */

int xk_http_took(struct xk_http_writer *w, uint64_t n)
{
    if (w->err || w->bodiless || n == 0)
        return w->err;
    if (w->framing == XK_HTTP_CHUNKED || w->framing == XK_HTTP_NO_BODY)
        return fail(w, XK_EINVAL);
    if (w->framing == XK_HTTP_LENGTH) {
        if (n > w->left)
            return fail(w, XK_EINVAL);
        w->left -= n;
    }
    return 0;
}

int xk_http_put_body(struct xk_http_writer *w, const void *data, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    char size[18];
    struct cursor o;
    uint8_t *p;
    int r, at = 16;

    if (w->err || w->bodiless || n == 0) /* an empty chunk would be the last one */
        return w->err;
    if (w->framing != XK_HTTP_CHUNKED) {
        if (w->framing == XK_HTTP_NO_BODY || (w->framing == XK_HTTP_LENGTH && n > w->left))
            return fail(w, XK_EINVAL);
        r = xk_buf_put(w->out, data, n);
        return r < 0 ? r : xk_http_took(w, n);
    }
    if (n > SIZE_MAX / 2)
        return XK_EMSGSIZE;
    r = xk_buf_reserve(w->out, n + sizeof(size) + 2, &p);
    if (r < 0)
        return r;
    size[16] = '\r';
    size[17] = '\n';
    for (size_t v = n; v; v >>= 4)
        size[--at] = digits[v & 15];
    o.p = (char *)p;
    add(&o, size + at, sizeof(size) - (size_t)at);
    add(&o, data, n);
    ADD(&o, "\r\n");
    close_head(w, &o);
    return 0;
}

int xk_http_end_body(struct xk_http_writer *w)
{
    if (w->err || w->bodiless)
        return w->err;
    if (w->framing == XK_HTTP_CHUNKED)
        return xk_buf_put(w->out, "0\r\n\r\n", 5);
    return w->left ? XK_EINVAL : 0;
}

/* --- whole responses -------------------------------------------------------------------------------------------- */

int xk_http_whole(struct xk_buf *out, const struct xk_http_answer *a, const char *type, const void *body, size_t n)
{
    struct xk_http_answer b = *a;
    struct xk_http_writer w;
    int r;

    b.framing = XK_HTTP_LENGTH;
    b.length = n;
    xk_http_begin(&w, out, &b);
    if (type && !(w.bodiless && w.framing == XK_HTTP_NO_BODY))
        xk_http_put(&w, "Content-Type", type, strlen(type));
    r = xk_http_end(&w);
    if (r == 0 && w.framing == XK_HTTP_LENGTH)
        r = xk_http_put_body(&w, body, n);
    if (r < 0)
        out->wr = out->rd + w.start;
    return r;
}

int xk_http_error(struct xk_buf *out, const struct xk_http_answer *a, const struct xk_diag *d)
{
    const char *reason = xk_http_reason(a->status);
    char text[320];
    int n;

    if (!d || !d->err)
        n = snprintf(text, sizeof(text), "%u %s\n", a->status, reason);
    else if (d->line)
        n = snprintf(text, sizeof(text), "%u %s\nline %u: %s\n", a->status, reason, d->line, d->text);
    else
        n = snprintf(text, sizeof(text), "%u %s\n%s\n", a->status, reason, d->text);
    return xk_http_whole(out, a, "text/plain; charset=utf-8", text, (size_t)n);
}
