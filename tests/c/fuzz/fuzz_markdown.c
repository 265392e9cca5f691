/* Markdown: any text gives HTML or a diagnosis, within bounds. SPDX-License-Identifier: MIT */
#include <xenkit/markup.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct xk_headings headings;
    struct xk_diag diag = {0};
    struct xk_buf out;

    xk_buf_init(&out, NULL, 4 << 20);
    xk_headings_init(&headings, NULL);
    (void)!xk_markdown_html(NULL, (const char *)data, size, 0, &out, &headings, &diag);
    xk_headings_fini(&headings);
    xk_buf_fini(&out);
    return 0;
}
