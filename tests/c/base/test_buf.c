/* SPDX-License-Identifier: MIT */
#include <xenkit/buf.h>

#include "tests/c/tap.h"

TEST(grows_to_its_bound_and_not_beyond)
{
    struct xk_buf b;
    uint8_t block[100] = {1}, *p;

    xk_buf_init(&b, NULL, 250);
    EQ(xk_buf_put(&b, block, 100), 0);
    EQ(xk_buf_put(&b, block, 100), 0);
    EQ(xk_buf_put(&b, block, 51), XK_EMSGSIZE);
    EQ(xk_buf_put(&b, block, 50), 0);
    EQ(xk_buf_len(&b), 250);
    xk_buf_take(&b, 249);
    EQ(xk_buf_reserve(&b, 249, &p), 0);
    EQ(xk_buf_reserve(&b, (size_t)-1, &p), XK_EMSGSIZE);
    xk_buf_fini(&b);
    EQ(xk_buf_len(&b), 0);
}

TEST(content_survives_sliding)
{
    struct xk_buf b;
    unsigned put = 0, got = 0;

    xk_buf_init(&b, NULL, 64);
    for (int round = 0; round < 1000; round++) {
        uint8_t v[7];
        for (int i = 0; i < 7; i++)
            v[i] = (uint8_t)put++;
        if (xk_buf_put(&b, v, 7) < 0)
            put -= 7;
        for (int i = 0; i < 5 && xk_buf_len(&b); i++, xk_buf_take(&b, 1))
            EQ(*xk_buf_head(&b), (uint8_t)got++);
    }
    OK(got > 4000);
    xk_buf_fini(&b);
}

TEST(printf_leaves_no_nul)
{
    struct xk_buf b;

    xk_buf_init(&b, NULL, 16);
    EQ(xk_buf_printf(&b, "%d-%s", 42, "x"), 0);
    EQ(xk_buf_len(&b), 4);
    MEMEQ(xk_buf_head(&b), "42-x", 4);
    EQ(xk_buf_printf(&b, "%s", "this is far too long for it"), XK_EMSGSIZE);
    EQ(xk_buf_len(&b), 4);
    xk_buf_fini(&b);
}

static void *fail_resize(void *ctx, void *p, size_t old, size_t size)
{
    (void)ctx, (void)p, (void)old, (void)size;
    return NULL;
}

TEST(out_of_memory_changes_nothing)
{
    const xk_alloc none = {fail_resize, NULL};
    struct xk_buf b;

    xk_buf_init(&b, &none, 1000);
    EQ(xk_buf_put(&b, "x", 1), XK_ENOMEM);
    EQ(xk_buf_len(&b), 0);
    xk_buf_fini(&b);
}

TEST(cursor_error_is_sticky)
{
    uint8_t bytes[7] = {0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde};
    struct xk_wire w = xk_wire_read(bytes, sizeof(bytes));

    EQ(xk_wire_be32(&w), 0x12345678);
    EQ(xk_wire_be32(&w), 0);
    EQ(w.err, XK_EPROTO);
    EQ(xk_wire_u8(&w), 0);
    EQ(xk_wire_left(&w), 3);
}

TEST(cursor_round_trip)
{
    uint8_t bytes[13];
    struct xk_wire w = xk_wire_write(bytes, sizeof(bytes)), r = xk_wire_read(bytes, sizeof(bytes));

    xk_wire_put_u8(&w, 1);
    xk_wire_put_be16(&w, 0x0203);
    xk_wire_put_le16(&w, 0x0504);
    xk_wire_put_be32(&w, 0x06070809);
    xk_wire_put_le32(&w, 0x0d0c0b0a);
    EQ(w.err, 0);
    for (int i = 0; i < 13; i++)
        EQ(bytes[i], i + 1);
    EQ(xk_wire_u8(&r), 1);
    EQ(xk_wire_be16(&r), 0x0203);
    EQ(xk_wire_le16(&r), 0x0504);
    EQ(xk_wire_be32(&r), 0x06070809);
    EQ(xk_wire_le32(&r), 0x0d0c0b0a);
    xk_wire_put_u8(&w, 1);
    EQ(w.err, XK_EMSGSIZE);
}
