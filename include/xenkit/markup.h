/* xenkit/markup.h - Markdown (CommonMark) to HTML.
 *
 * Safe by default: raw HTML and links such as "javascript:" do not come through, so the text may be anybody's. Headings
 * that stand at the top level get an id made from their text, unique within the document, and are listed, so that a
 * page can have a title and a table of contents (the first 4096 of them). Bad UTF-8 becomes U+FFFD; no input is an
 * error but one that is too long.
 *
 * Nothing here blocks or keeps state. SPDX-License-Identifier: MIT */
#ifndef XENKIT_MARKUP_H
#define XENKIT_MARKUP_H

#include <stddef.h>
#include <stdint.h>

#include <xenkit/alloc.h>
#include <xenkit/buf.h>
#include <xenkit/err.h>

XK_API_BEGIN

enum { XK_MARKDOWN_MAX = 16 << 20 }; /* longer texts are XK_E2BIG */

enum xk_markdown_option {
    XK_MARKDOWN_UNSAFE = 1, /* raw HTML and any link pass: only for texts of one's own */
    XK_MARKDOWN_SMART = 2,  /* curly quotes, dashes, an ellipsis */
    XK_MARKDOWN_NO_IDS = 4, /* headings without ids; they are listed all the same */
};

/* Where a heading's words stand in xk_headings.text: neither is escaped, the id needs no escaping in an attribute. */
struct xk_heading {
    uint32_t level; /* 1 .. 6 */
    uint32_t text_off, text_len;
    uint32_t id_off, id_len;
};

struct xk_headings {
    xk_alloc alloc;
    struct xk_heading *list;
    size_t count, cap;
    struct xk_buf text;
};

void xk_headings_init(struct xk_headings *h, const xk_alloc *alloc);
void xk_headings_fini(struct xk_headings *h);

/* xk_headings_text, xk_headings_id (h, i, n) - the words of heading (i), (n) bytes without a NUL; NULL past the end.
 * The first heading, which is a page's title, is number 0. */
const char *xk_headings_text(const struct xk_headings *h, size_t i, size_t *n);
const char *xk_headings_id(const struct xk_headings *h, size_t i, size_t *n);

/* xk_markdown_html (alloc, text, n, options, out, headings, d) - appends the HTML of (text) to (out), all or nothing,
 * and the headings to (headings), which may be NULL. Errors: XK_E2BIG, XK_EMSGSIZE when (out) is full, XK_ENOMEM; (d)
 * may be NULL. (alloc) pays for the work; the engine below, libcmark, has no way to fail and ends the program when
 * there is no memory at all, which is why the text has a bound. */
XK_MUSTCHECK int xk_markdown_html(const xk_alloc *alloc, const char *text, size_t n, unsigned options,
                                  struct xk_buf *out, struct xk_headings *headings, struct xk_diag *d);

XK_API_END

#endif
