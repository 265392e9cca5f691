/* Names and texts of the error codes, from the one list in err.h. SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>

#include <xenkit/err.h>

const char *xk_err_name(int err)
{
    switch (err) {
#define NAME(name, value, text) \
    case value:                 \
        return "XK_" #name;
        XK_ERR_MAP(NAME)
#undef NAME
    default:
        return err >= 0 ? "XK_OK" : "XK_EUNKNOWN";
    }
}

const char *xk_err_text(int err)
{
    switch (err) {
#define TEXT(name, value, text) \
    case value:                 \
        return text;
        XK_ERR_MAP(TEXT)
#undef TEXT
    default:
        return err >= 0 ? "success" : "unknown error";
    }
}

int xk_diag_set(struct xk_diag *d, int err, unsigned line, unsigned column, const char *fmt, ...)
{
    va_list ap;

    if (!d || d->err)
        return err;
    d->err = err;
    d->line = line;
    d->column = column;
    va_start(ap, fmt);
    vsnprintf(d->text, sizeof(d->text), fmt, ap);
    va_end(ap);
    return err;
}
