/* Markdown: what comes out, what is kept out, headings. The engine's own rules are CommonMark's and tested there.
 * SPDX-License-Identifier: MIT */
#include <xenkit/markup.h>

#include "tests/c/tap.h"

static char html[65536];
static struct xk_headings headings;

static int render(const char *text, size_t n, unsigned options)
{
    struct xk_buf out;
    struct xk_diag d = {0};
    int r;

    xk_buf_init(&out, NULL, sizeof(html) - 1);
    xk_headings_fini(&headings);
    xk_headings_init(&headings, NULL);
    r = xk_markdown_html(NULL, text, n, options, &out, &headings, &d);
    EQ(d.err, r);
    memcpy(html, out.data ? (char *)xk_buf_head(&out) : "", xk_buf_len(&out));
    html[xk_buf_len(&out)] = 0;
    xk_buf_fini(&out);
    return r;
}

static const char *md(const char *text, unsigned options)
{
    EQ(render(text, strlen(text), options), 0);
    return html;
}

static const char *id(size_t i)
{
    static char text[256];
    size_t n;
    const char *s = xk_headings_id(&headings, i, &n);

    if (!s)
        return NULL;
    memcpy(text, s, n);
    text[n] = 0;
    return text;
}

static const char *title(size_t i)
{
    static char text[256];
    size_t n;
    const char *s = xk_headings_text(&headings, i, &n);

    if (!s)
        return NULL;
    memcpy(text, s, n);
    text[n] = 0;
    return text;
}

TEST(blocks)
{
    STREQ(md("", 0), "");
    STREQ(md("Hello *you*.", 0), "<p>Hello <em>you</em>.</p>\n");
    STREQ(md("- a\n- b\n\n> c\n", 0), "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n<blockquote>\n<p>c</p>\n</blockquote>\n");
    STREQ(md("```lua\nx < 1\n```\n", 0), "<pre><code class=\"language-lua\">x &lt; 1\n</code></pre>\n");
    STREQ(md("a\n\nb", 0), "<p>a</p>\n<p>b</p>\n");
}

TEST(safe_by_default)
{
    STREQ(md("<script>alert(1)</script>\n", 0), "<!-- raw HTML omitted -->\n");
    OK(strstr(md("a <b onclick=x>b</b>", 0), "onclick") == NULL);
    STREQ(md("[x](javascript:alert(1))", 0), "<p><a href=\"\">x</a></p>\n");
    STREQ(md("<b>x</b>", XK_MARKDOWN_UNSAFE), "<p><b>x</b></p>\n");
    STREQ(md("# a\"b<c>&d", 0), "<h1 id=\"abd\">a&quot;b<!-- raw HTML omitted -->&amp;d</h1>\n");
}

TEST(heading_ids)
{
    STREQ(md("# Hello, World!\n\ntext\n\n## `code` and *more*\n", 0),
          "<h1 id=\"hello-world\">Hello, World!</h1>\n<p>text</p>\n"
          "<h2 id=\"code-and-more\"><code>code</code> and <em>more</em></h2>\n");
    EQ(headings.count, 2);
    STREQ(title(0), "Hello, World!");
    STREQ(title(1), "code and more");
    EQ(headings.list[0].level, 1);
    EQ(headings.list[1].level, 2);
    OK(title(2) == NULL);
    STREQ(md("# A\n", XK_MARKDOWN_NO_IDS), "<h1>A</h1>\n");
    EQ(headings.count, 1);
    md("two\nlines\n=====\n", 0);
    STREQ(title(0), "two lines");
    STREQ(id(0), "two-lines");
    md("# \xc3\x9c"
       "ber\n# ?!\n#\n",
       0);
    STREQ(id(0), "\xc3\x9c"
                 "ber");
    STREQ(id(1), "section");
    STREQ(id(2), "section-1");
}

TEST(ids_are_unique)
{
    md("# a\n# a\n# a 1\n# a\n# a-1\n", 0);
    EQ(headings.count, 5);
    for (size_t i = 0; i < 5; i++) {
        char one[256];
        snprintf(one, sizeof(one), "%s", id(i));
        for (size_t j = 0; j < i; j++)
            OK(strcmp(one, id(j)) != 0);
    }
}

TEST(nested_headings_have_none)
{
    STREQ(md("> # quoted\n", 0), "<blockquote>\n<h1>quoted</h1>\n</blockquote>\n");
    EQ(headings.count, 0);
}

TEST(any_bytes)
{
    EQ(render("a\0b\xff", 4, 0), 0);
    STREQ(html, "<p>a\xef\xbf\xbd"
                "b\xef\xbf\xbd</p>\n");
}

TEST(bounds)
{
    struct xk_buf out;
    struct xk_diag d = {0};

    xk_buf_init(&out, NULL, 20);
    EQ(xk_buf_put(&out, "x", 1), 0);
    EQ(xk_markdown_html(NULL, "a\n\nbbbbbbbbbbbbbbbbbb", 21, 0, &out, NULL, &d), XK_EMSGSIZE);
    EQ(xk_buf_len(&out), 1); /* all or nothing */
    EQ(d.err, XK_EMSGSIZE);
    d.err = 0;
    EQ(xk_markdown_html(NULL, "", XK_MARKDOWN_MAX + 1u, 0, &out, NULL, &d), XK_E2BIG);
    xk_buf_fini(&out);
}
