/* The wire codec against Xen's own header, and the incremental parser. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdint.h>

#include <xen/io/xs_wire.h>

#include "tests/c/store/kit.h"

TEST(numbers_are_those_of_xs_wire_h)
{
    EQ(XK_STORE_CONTROL, XS_CONTROL);
    EQ(XK_STORE_READ, XS_READ);
    EQ(XK_STORE_WRITE, XS_WRITE);
    EQ(XK_STORE_WATCH_EVENT, XS_WATCH_EVENT);
    EQ(XK_STORE_ERROR, XS_ERROR);
    EQ(XK_STORE_SET_TARGET, XS_SET_TARGET);
    EQ(XK_STORE_RESET_WATCHES, XS_RESET_WATCHES);
    EQ(XK_STORE_DIRECTORY_PART, XS_DIRECTORY_PART);
    EQ(XK_STORE_PAYLOAD_MAX, XENSTORE_PAYLOAD_MAX);
    EQ(XK_STORE_ABS_PATH_MAX, XENSTORE_ABS_PATH_MAX);
    EQ(XK_STORE_REL_PATH_MAX, XENSTORE_REL_PATH_MAX);
    EQ(XK_STORE_HEADER_SIZE, sizeof(struct xsd_sockmsg));
    STREQ(xk_store_op_name(XK_STORE_READ), "READ");
    OK(xk_store_op_name(20) == NULL);
    OK(xk_store_op_name(27) == NULL);
}

TEST(header_layout_is_that_of_xs_wire_h)
{
    struct xsd_sockmsg m = {XS_WRITE, 0x01020304, 0xa0b0c0d0, 4096};
    struct xk_store_header h;
    uint8_t out[16];

    EQ(xk_store_header_get(&h, &m), 0);
    EQ(h.type, XS_WRITE);
    EQ(h.req_id, 0x01020304);
    EQ(h.tx_id, 0xa0b0c0d0);
    EQ(h.len, 4096);
    xk_store_header_put(&h, out);
    MEMEQ(out, &m, 16);
    m.len = 4097;
    EQ(xk_store_header_get(&h, &m), XK_EPROTO);
}

TEST(errors_are_those_of_xs_wire_h)
{
    for (size_t i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]); i++) {
        const char *s = xsd_errors[i].errstring;
        EQ(xk_store_error_code(s, strlen(s)), -xsd_errors[i].errnum);
        EQ(xk_store_error_code(s, strlen(s) + 1), -xsd_errors[i].errnum);
        STREQ(xk_store_error_name(-xsd_errors[i].errnum), s);
    }
    STREQ(xk_store_error_name(XK_EPEER), "EINVAL");
    EQ(xk_store_error_code("EWHAT", 5), XK_EIO);
    EQ(xk_store_error_code("", 0), XK_EIO);
}

TEST(input_may_be_cut_anywhere)
{
    struct xk_store_server *s = xk_store_server_create(NULL, NULL, NULL, NULL);
    struct kit k;
    uint8_t bytes[256];
    size_t n;

    kit_open(&k, s, 0);
    for (size_t step = 1; step < 60; step++) {
        int replies = 0;
        k.req_id = 7;
        n = kit_packet(bytes, XK_STORE_WRITE, 7, 0, "/a\0value", 8);
        n += kit_packet(bytes + n, XK_STORE_READ, 7, 0, "/a", 3);
        for (size_t at = 0; at < n;) {
            size_t m = n - at < step ? n - at : step;
            const uint8_t *p;
            size_t got;
            EQ(xk_store_conn_input(k.conn, bytes + at, m), (long)m);
            at += m;
            got = xk_store_conn_output(k.conn, &p);
            if (at < n) {
                replies += got > 0;
                xk_store_conn_sent(k.conn, got);
            } else {
                OK(got >= 21);
                MEMEQ(p + got - 5, "value", 5);
                xk_store_conn_sent(k.conn, got);
            }
        }
        (void)replies;
    }
    xk_store_server_destroy(s);
}

TEST(long_payload_kills_the_connection)
{
    struct xk_store_server *s = xk_store_server_create(NULL, NULL, NULL, NULL);
    struct xk_store_header h = {XK_STORE_READ, 1, 0, 4097};
    struct kit a, b;
    uint8_t bytes[16];

    kit_open(&a, s, 0);
    kit_open(&b, s, 3);
    xk_store_header_put(&h, bytes);
    EQ(xk_store_conn_input(a.conn, bytes, 16), XK_EPROTO);
    EQ(xk_store_conn_input(a.conn, bytes, 16), XK_EPROTO);
    EQ(xk_store_conn_input(b.conn, bytes, 9), 9);
    EQ(xk_store_conn_input(b.conn, bytes + 9, 7), XK_EPROTO);
    xk_store_conn_close(a.conn);
    kit_open(&a, s, 0);
    EQ(kit_write(&a, "/x", "1"), 0);
    xk_store_server_destroy(s);
}

TEST(unknown_types_are_enosys)
{
    struct xk_store_server *s = xk_store_server_create(NULL, NULL, NULL, NULL);
    static const uint32_t types[] = {15, 16, 20, 27, 1000, 0xffff, 0xffffffff};
    struct kit k;

    kit_open(&k, s, 0);
    for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        EQ(kit_do(&k, types[i], "/", NULL), XK_ENOSYS);
    k.tx = 9;
    EQ(kit_do(&k, 20, "/", NULL), XK_ENOSYS);
    xk_store_server_destroy(s);
}

static int wakeups;
static void count_wakeup(void *arg, struct xk_store_conn *c)
{
    (void)arg;
    (void)c;
    wakeups++;
}

TEST(wakeup_is_called_once_until_drained)
{
    static const struct xk_store_server_ops ops = {.version = 1, .wakeup = count_wakeup};
    struct xk_store_server *s = xk_store_server_create(NULL, &ops, NULL, NULL);
    struct kit a, b;
    uint8_t bytes[64];
    const uint8_t *p;
    size_t n = kit_packet(bytes, XK_STORE_WRITE, 1, 0, "/a\0x", 4), len;

    kit_open(&a, s, 0);
    kit_open(&b, s, 0);
    EQ(kit_watch(&b, "/a", "t"), 0);
    wakeups = 0;
    EQ(xk_store_conn_input(a.conn, bytes, n), (long)n);
    EQ(wakeups, 2); /* the reply for a, the event for b */
    EQ(xk_store_conn_input(a.conn, bytes, n), (long)n);
    EQ(wakeups, 2);
    len = xk_store_conn_output(a.conn, &p);
    EQ(len, 2 * 19);
    xk_store_conn_sent(a.conn, 5);
    EQ(xk_store_conn_input(a.conn, bytes, n), (long)n);
    EQ(wakeups, 2); /* not drained yet */
    xk_store_conn_sent(a.conn, xk_store_conn_output(a.conn, &p));
    EQ(xk_store_conn_input(a.conn, bytes, n), (long)n);
    EQ(wakeups, 3);
    xk_store_server_destroy(s);
}

TEST(unfetched_replies_stop_the_input)
{
    struct xk_store_server *s = xk_store_server_create(NULL, NULL, NULL, NULL);
    struct kit k;
    uint8_t bytes[4096];
    const uint8_t *p;
    size_t n = 0, one;
    long used;

    kit_open(&k, s, 5);
    for (int i = 0; i < 30; i++)
        n += kit_packet(bytes + n, XK_STORE_GET_DOMAIN_PATH, (uint32_t)i, 0, "5", 2);
    one = n / 30;
    used = xk_store_conn_input(k.conn, bytes, n);
    EQ(used, 20 * (long)one); /* "outstanding" */
    EQ(xk_store_conn_blocked(k.conn), 1);
    EQ(xk_store_conn_input(k.conn, bytes + used, n - (size_t)used), 0);
    xk_store_conn_sent(k.conn, xk_store_conn_output(k.conn, &p));
    EQ(xk_store_conn_blocked(k.conn), 0);
    EQ(xk_store_conn_input(k.conn, bytes + used, n - (size_t)used), 10 * (long)one);
    xk_store_server_destroy(s);
}
