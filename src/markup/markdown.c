/* Markdown through libcmark. The document is rendered one top-level block at a time, so that a heading's opening tag,
 * which is then always at the start of its block, can be given an id without looking for it in the output.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include <cmark.h>

#include <xenkit/markup.h>

enum { TEXT_MAX = 4 << 20, HEADINGS_MAX = 4096, SUFFIX = 24 };

/* --- headings --- */

void xk_headings_init(struct xk_headings *h, const xk_alloc *alloc)
{
    memset(h, 0, sizeof(*h));
    h->alloc = alloc ? *alloc : *xk_alloc_libc();
    xk_buf_init(&h->text, alloc, TEXT_MAX);
}

void xk_headings_fini(struct xk_headings *h)
{
    xk_free(&h->alloc, h->list, h->cap * sizeof(*h->list));
    xk_buf_fini(&h->text);
    h->list = NULL;
    h->count = h->cap = 0;
}

static const char *words(const struct xk_headings *h, size_t off) { return (const char *)h->text.data + off; }

const char *xk_headings_text(const struct xk_headings *h, size_t i, size_t *n)
{
    *n = i < h->count ? h->list[i].text_len : 0;
    return i < h->count ? words(h, h->list[i].text_off) : NULL;
}

const char *xk_headings_id(const struct xk_headings *h, size_t i, size_t *n)
{
    *n = i < h->count ? h->list[i].id_len : 0;
    return i < h->count ? words(h, h->list[i].id_off) : NULL;
}

static struct xk_heading *new_heading(struct xk_headings *h)
{
    if (h->count == h->cap) {
        size_t cap = h->cap ? h->cap * 2 : 16;
        void *p = xk_resize(&h->alloc, h->list, h->cap * sizeof(*h->list), cap * sizeof(*h->list));
        if (!p)
            return NULL;
        h->list = p;
        h->cap = cap;
    }
    memset(&h->list[h->count], 0, sizeof(*h->list));
    return &h->list[h->count];
}

/* What a reader sees of a heading, without its markup. */
static int put_text(struct xk_buf *out, cmark_node *heading)
{
    cmark_iter *it = cmark_iter_new(heading);
    cmark_event_type e;
    int r = 0;

    while (r == 0 && (e = cmark_iter_next(it)) != CMARK_EVENT_DONE) {
        cmark_node *node = cmark_iter_get_node(it);
        cmark_node_type type = cmark_node_get_type(node);
        const char *s = NULL;

        if (e != CMARK_EVENT_ENTER)
            continue;
        if (type == CMARK_NODE_TEXT || type == CMARK_NODE_CODE)
            s = cmark_node_get_literal(node);
        else if (type == CMARK_NODE_SOFTBREAK || type == CMARK_NODE_LINEBREAK)
            s = " ";
        if (s)
            r = xk_buf_put(out, s, strlen(s));
    }
    cmark_iter_free(it);
    return r;
}

/* Letters and digits, small; blanks and dashes become one dash; bytes of UTF-8 stay; all else goes. */
static size_t slug(char *to, const char *s, size_t n)
{
    size_t len = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 'A' && c <= 'Z')
            to[len++] = (char)(c + 32);
        else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c >= 0x80 || c == '_')
            to[len++] = (char)c;
        else if ((c == ' ' || c == '-') && len && to[len - 1] != '-')
            to[len++] = '-';
    }
    while (len && to[len - 1] == '-')
        len--;
    if (len == 0) {
        memcpy(to, "section", 7);
        len = 7;
    }
    return len;
}

static int taken(const struct xk_headings *h, const char *id, size_t n)
{
    for (size_t i = 0; i < h->count; i++)
        if (h->list[i].id_len == n && memcmp(words(h, h->list[i].id_off), id, n) == 0)
            return 1;
    return 0;
}

/* How many headings before had this text: the number to try first. */
static unsigned twins(const struct xk_headings *h, const char *text, size_t n)
{
    unsigned count = 0;

    for (size_t i = 0; i < h->count; i++)
        count += h->list[i].text_len == n && memcmp(words(h, h->list[i].text_off), text, n) == 0;
    return count;
}

static size_t put_number(char *to, unsigned v)
{
    char digits[10];
    size_t at = sizeof(digits), n = 1;

    to[0] = '-';
    do
        digits[--at] = (char)('0' + v % 10);
    while (v /= 10);
    for (; at < sizeof(digits); at++)
        to[n++] = digits[at];
    return n;
}

/* Text and id of (node) are appended to h->text; (h) is as before on an error, but for unused text. */
static int add_heading(struct xk_headings *h, cmark_node *node)
{
    struct xk_heading *e = new_heading(h);
    size_t at = h->text.wr, n, stem, len;
    unsigned number;
    uint8_t *p;
    char *id;
    int r;

    if (!e)
        return XK_ENOMEM;
    e->level = (uint32_t)cmark_node_get_heading_level(node);
    r = put_text(&h->text, node);
    n = h->text.wr - at;
    if (r == 0)
        r = xk_buf_reserve(&h->text, (n < 7 ? 7 : n) + SUFFIX, &p);
    if (r < 0)
        return r;
    id = (char *)p;
    len = stem = slug(id, words(h, at), n);
    number = twins(h, words(h, at), n);
    if (number)
        len = stem + put_number(id + stem, number);
    while (taken(h, id, len))
        len = stem + put_number(id + stem, ++number);
    e->text_off = (uint32_t)at;
    e->text_len = (uint32_t)n;
    e->id_off = (uint32_t)h->text.wr;
    e->id_len = (uint32_t)len;
    xk_buf_wrote(&h->text, len);
    h->count++;
    return 0;
}

/* --- the document --- */

/* (html) is "<hN>...": the id goes in before the ">". */
static int put_heading(struct xk_buf *out, const struct xk_headings *h, const char *html)
{
    size_t n;
    const char *id = xk_headings_id(h, h->count - 1, &n);
    int r = xk_buf_put(out, html, 3);

    if (r == 0)
        r = xk_buf_put(out, " id=\"", 5);
    if (r == 0)
        r = xk_buf_put(out, id, n);
    if (r == 0)
        r = xk_buf_put(out, "\"", 1);
    return r < 0 ? r : xk_buf_put(out, html + 3, strlen(html + 3));
}

static int put_block(struct xk_buf *out, cmark_node *node, int flags, unsigned options, struct xk_headings *h)
{
    int heading = cmark_node_get_type(node) == CMARK_NODE_HEADING && h->count < HEADINGS_MAX;
    int r = heading ? add_heading(h, node) : 0;
    char *html;

    if (r < 0)
        return r;
    html = cmark_render_html(node, flags);
    if (heading && !(options & XK_MARKDOWN_NO_IDS))
        r = put_heading(out, h, html);
    else
        r = xk_buf_put(out, html, strlen(html));
    cmark_get_default_mem_allocator()->free(html);
    return r;
}

int xk_markdown_html(const xk_alloc *alloc, const char *text, size_t n, unsigned options, struct xk_buf *out,
                     struct xk_headings *headings, struct xk_diag *d)
{
    int flags = CMARK_OPT_VALIDATE_UTF8 | (options & XK_MARKDOWN_UNSAFE ? CMARK_OPT_UNSAFE : 0) |
                (options & XK_MARKDOWN_SMART ? CMARK_OPT_SMART : 0);
    size_t before = xk_buf_len(out);
    struct xk_headings own;
    cmark_node *doc;
    int r = 0;

    if (n > XK_MARKDOWN_MAX)
        return xk_diag_set(d, XK_E2BIG, 0, 0, "the text is longer than %u bytes", (unsigned)XK_MARKDOWN_MAX);
    xk_headings_init(&own, alloc);
    doc = cmark_parse_document(text, n, flags);
    for (cmark_node *node = cmark_node_first_child(doc); node && r == 0; node = cmark_node_next(node))
        r = put_block(out, node, flags, options, headings ? headings : &own);
    cmark_node_free(doc);
    xk_headings_fini(&own);
    if (r == 0)
        return 0;
    out->wr = out->rd + before;
    return xk_diag_set(d, r, 0, 0, "markdown: %s", xk_err_text(r));
}
