/* A connection fed with anything: whole, and in two pieces cut where the first byte's low bits say; its highest bit
 * makes it a client's connection, which reads responses. Both ways must tell the same story; no path may leave the
 * root. The bodies pass through the chunk reader. SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <xenkit/http.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was said, in one number. */
struct story {
    uint64_t hash;
    bool over;
    bool in_body;
};

static void tell(struct story *s, const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++)
        s->hash = (s->hash ^ b[i]) * 0x100000001b3u;
}

static void check_path(struct xk_http_str p)
{
    for (size_t i = 0; i < p.n; i++) {
        if ((uint8_t)p.p[i] < 0x20 || p.p[i] == '\\')
            abort();
        if (p.p[i] != '/')
            continue;
        if (i + 1 < p.n && p.p[i + 1] == '/')
            abort();
        if (p.n - i >= 2 && p.p[i + 1] == '.' && (p.n - i == 2 || p.p[i + 2] == '/'))
            abort();
        if (p.n - i >= 3 && p.p[i + 1] == '.' && p.p[i + 2] == '.' && (p.n - i == 3 || p.p[i + 3] == '/'))
            abort();
    }
}

static void message(struct story *s, const struct xk_http_msg *m)
{
    struct xk_http_str name, value;

    check_path(m->path);
    tell(s, m->path.p, m->path.n);
    tell(s, m->query.p, m->query.n);
    tell(s, m->host.p, m->host.n);
    tell(s, &m->framing, 1);
    for (unsigned i = 0; xk_http_msg_at(m, i, &name, &value) == 0; i++) {
        tell(s, name.p, name.n);
        tell(s, value.p, value.n);
    }
}

static void take(struct xk_http_conn *c, struct story *s)
{
    const struct xk_http_msg *m;
    struct xk_http_str piece;
    int r;

    while (!s->over) {
        r = s->in_body ? xk_http_conn_body(c, &piece, NULL) : xk_http_conn_next(c, &m, NULL);
        if (r == XK_EAGAIN)
            return;
        if (r == 1 && s->in_body) {
            tell(s, piece.p, piece.n);
        } else if (r == 1) {
            message(s, m);
            s->in_body = true;
        } else if (r == 0) {
            xk_http_conn_done(c);
            s->in_body = false;
        } else {
            tell(s, &r, sizeof(r));
            tell(s, &c->status, sizeof(c->status));
            s->over = true;
        }
    }
}

static struct story run(const uint8_t *data, size_t size, size_t cut, bool client)
{
    struct xk_http_conn c;
    struct story s = {0xcbf29ce484222325u, false, false};
    size_t at = 0;

    if (client)
        xk_http_conn_init_client(&c, NULL, NULL, NULL);
    else
        xk_http_conn_init(&c, NULL, NULL, NULL);
    while (at < size && !s.over) {
        size_t want = at < cut ? cut - at : size - at;
        int r = xk_http_conn_feed(&c, data + at, want);
        if (r < 0 && r != XK_ECLOSED)
            abort(); /* all is taken after every feed, so there is always room */
        at += r > 0 ? (size_t)r : want;
        take(&c, &s);
    }
    xk_http_conn_fini(&c);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct story a, b;
    size_t cut;

    if (size == 0)
        return 0;
    cut = data[0] & 0x7f;
    a = run(data + 1, size - 1, 0, data[0] & 0x80);
    b = run(data + 1, size - 1, cut < size ? cut : size / 2, data[0] & 0x80);
    if (a.hash != b.hash || a.over != b.over || a.in_body != b.in_body)
        abort();
    return 0;
}
