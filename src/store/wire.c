/* The wire of xenstore: header codec and the names of operations and errors (xen/include/public/io/xs_wire.h).
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/err.h>
#include <xenkit/store_wire.h>

/* The sixteen errors of xs_wire.h, in its order: new ones are only ever appended there. */
/* clang-format off */
#define STORE_ERRORS(X)                                                                                         \
    X(EINVAL)                                                                                                   \
    X(EACCES)                                                                                                   \
    X(EEXIST)                                                                                                   \
    X(EISDIR)                                                                                                   \
    X(ENOENT) X(ENOMEM) X(ENOSPC) X(EIO) X(ENOTEMPTY) X(ENOSYS) X(EROFS) X(EBUSY) X(EAGAIN) X(EISCONN) X(E2BIG) \
        X(EPERM)
/* clang-format on */

static const struct {
    int code;
    const char *name;
} errors[] = {
#define STORE_ERROR(name) {XK_##name, #name},
    STORE_ERRORS(STORE_ERROR)
#undef STORE_ERROR
};

enum { ERROR_COUNT = sizeof(errors) / sizeof(errors[0]) };

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
}

int xk_store_header_get(struct xk_store_header *h, const void *p)
{
    const uint8_t *b = p;

    h->type = get32(b);
    h->req_id = get32(b + 4);
    h->tx_id = get32(b + 8);
    h->len = get32(b + 12);
    return h->len > XK_STORE_PAYLOAD_MAX ? XK_EPROTO : 0;
}

void xk_store_header_put(const struct xk_store_header *h, void *p)
{
    uint8_t *b = p;

    put32(b, h->type);
    put32(b + 4, h->req_id);
    put32(b + 8, h->tx_id);
    put32(b + 12, h->len);
}

const char *xk_store_op_name(uint32_t type)
{
    switch (type) {
#define OP_NAME(name, number) \
    case number:              \
        return #name;
        XK_STORE_OP_MAP(OP_NAME)
#undef OP_NAME
    default:
        return NULL;
    }
}

const char *xk_store_error_name(int err)
{
    for (int i = 0; i < ERROR_COUNT; i++)
        if (errors[i].code == err)
            return errors[i].name;
    return "EINVAL";
}

int xk_store_error_code(const char *s, size_t n)
{
    if (n && s[n - 1] == '\0')
        n--;
    for (int i = 0; i < ERROR_COUNT; i++)
        if (strlen(errors[i].name) == n && memcmp(errors[i].name, s, n) == 0)
            return errors[i].code;
    return XK_EIO;
}
