/* The URI parser, resolution, decoding and the helpers that read single fields. The pieces of a URI must lie in order
 * within it, and what is resolved must parse again. SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <xenkit/http.h>
#include <xenkit/uri.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void in_bounds(struct xk_uri_part p, size_t n)
{
    if (p.off > n || p.len > n - p.off)
        abort();
}

static void parse(const char *s, size_t n)
{
    struct xk_uri u;

    if (xk_uri_parse(&u, s, n, NULL) < 0)
        return;
    in_bounds(u.scheme, n);
    in_bounds(u.authority, n);
    in_bounds(u.userinfo, n);
    in_bounds(u.host, n);
    in_bounds(u.port, n);
    in_bounds(u.path, n);
    in_bounds(u.query, n);
    in_bounds(u.fragment, n);
}

static void resolve(const char *s, size_t n)
{
    static const char base[] = "http://u@a:1/b/c/d;p?q";
    struct xk_buf out;
    struct xk_uri u;

    xk_buf_init(&out, NULL, 1 << 18);
    if (xk_uri_resolve(&out, base, sizeof(base) - 1, s, n, NULL) == 0 &&
        (xk_uri_parse(&u, (char *)xk_buf_head(&out), xk_buf_len(&out), NULL) < 0 || !(u.has & XK_URI_SCHEME)))
        abort();
    xk_buf_take(&out, xk_buf_len(&out));
    if (xk_uri_resolve(&out, s, n, "../x//y?z", 9, NULL) == 0 &&
        xk_uri_parse(&u, (char *)xk_buf_head(&out), xk_buf_len(&out), NULL) < 0)
        abort();
    xk_buf_fini(&out);
}

static void fields(const char *s, size_t n)
{
    struct xk_uri_query it = {s, n};
    const char *name, *value;
    size_t nn, nv;
    uint64_t first, last;
    int64_t t;

    while (xk_uri_query_next(&it, &name, &nn, &value, &nv))
        if (name < s || name + nn > s + n || value < s || value + nv > s + n)
            abort();
    if (xk_http_range_parse(s, n, 1000, &first, &last) == 1 && (first > last || last >= 1000))
        abort();
    (void)xk_uri_host_check(s, n, NULL);
    if (xk_http_date_parse(s, n, &t) == 0 && n != XK_HTTP_DATE - 1)
        abort();
    (void)xk_http_media_type(s, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *s = (const char *)data;
    char *copy;
    int r;

    parse(s, size);
    resolve(s, size);
    fields(s, size);
    copy = malloc(size ? size : 1);
    if (!copy)
        return 0;
    r = xk_http_path(copy, s, size);
    if (r == 0 || r > (int)size || (r > 0 && copy[0] != '/'))
        abort();
    if (xk_uri_decode(copy, s, size) > (int)size)
        abort();
    if (xk_uri_form_decode(copy, s, size) > size)
        abort();
    if (size)
        memcpy(copy, s, size);
    if (xk_uri_remove_dots(copy, size) > size)
        abort();
    free(copy);
    return 0;
}
