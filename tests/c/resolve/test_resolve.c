/* Names: our stack and c-ares on one end of a cable, a name server by hand on the other. Time is virtual for the stack
 * and real for c-ares, so where its patience matters both pass. SPDX-License-Identifier: MIT */
#include <unistd.h>

#include <xenkit/resolve.h>

#include "tests/c/tap.h"

#include "tests/c/net/stacks.h"

enum { A = 0x0a000001, B = 0x0a000002, C = 0x0a000003 };
enum { A_RECORD = 1, AAAA_RECORD = 28, NXDOMAIN = 3, SERVFAIL = 2, REFUSED = 5 };

static struct xk_udp server, stranger; /* the latter at another port */
static unsigned queries, rcode, forged;
static uint16_t ports[64], ids[64];
static int silent;
static char asked[300];

/* The name of a query's question, with dots. Where its type stands. */
static size_t read_name(const uint8_t *q, size_t n)
{
    size_t at = 12, o = 0;

    while (at < n && q[at] && at + q[at] < n) {
        memcpy(asked + o, q + at + 1, q[at]);
        o += q[at];
        asked[o++] = '.';
        at += q[at] + 1u;
    }
    asked[o ? o - 1 : 0] = 0;
    return at + 1;
}

static void on_query(struct xk_udp *u, struct xk_ip from, uint16_t port, struct xk_ip to, const uint8_t *q, size_t n)
{
    uint8_t r[1400];
    size_t type_at = read_name(q, n), at = type_at + 4;
    uint16_t type = xk_packet_get16(q + type_at);

    (void)to;
    ports[queries % 64] = port;
    ids[queries++ % 64] = xk_packet_get16(q);
    if (silent)
        return;
    memset(r, 0, sizeof(r));
    memcpy(r, q, at);
    xk_packet_put16(r + 2, (uint16_t)(0x8180 | rcode));
    xk_packet_put16(r + 6, rcode == 0);
    xk_packet_put16(r + 10, 0); /* no EDNS in the answer */
    if (rcode == 0) {
        static const uint8_t four[4] = {192, 0, 2, 7}, six[16] = {0x20, 1, 0xd, 0xb8, [15] = 7};
        size_t size = type == AAAA_RECORD ? 16 : 4;
        xk_packet_put16(r + at, 0xc00c);
        xk_packet_put16(r + at + 2, type);
        xk_packet_put16(r + at + 4, 1);
        xk_packet_put32(r + at + 6, type == AAAA_RECORD ? 300 : 60);
        xk_packet_put16(r + at + 10, (uint16_t)size);
        memcpy(r + at + 12, type == AAAA_RECORD ? six : four, size);
        at += 12 + size;
    }
    if (forged) { /* of another number, and one that makes no sense, before the right one */
        r[0] ^= 1;
        EQ(xk_udp_send(u, from, port, r, at), 0);
        r[0] ^= 1;
        EQ(xk_udp_send(u, from, port, r, 13), 0);
    }
    if (stranger.s) { /* the right number, a wrong address, from elsewhere: first */
        r[at - 1] ^= 1;
        EQ(xk_udp_send(&stranger, from, port, r, at), 0);
        r[at - 1] ^= 1;
    }
    EQ(xk_udp_send(u, from, port, r, at), 0);
}

static int done, done_err;
static unsigned done_n;
static uint32_t done_ttl;
static struct xk_ip done_list[XK_RESOLVE_ADDRESSES];
static void on_done(struct xk_lookup *l, int err, const struct xk_ip *list, unsigned n, uint32_t ttl)
{
    OK(l->r == NULL);
    memcpy(done_list, list, n * sizeof(*list));
    done++;
    done_err = err;
    done_n = n;
    done_ttl = ttl;
}

static struct xk_resolve_config config;
static struct xk_lookup lookup;

static void begin(void)
{
    open_net(1);
    EQ(xk_inet_set(a, A, 24, B), 0);
    EQ(xk_inet_set(b, B, 24, 0), 0);
    server = (struct xk_udp){.receive = on_query};
    EQ(xk_udp_open(b, &server, 53), 0);
    config = (struct xk_resolve_config){.server = {xk_ip_of4(B)}, .servers = 1, .timeout = 50, .tries = 2};
    lookup = (struct xk_lookup){.done = on_done};
}

static void end(void)
{
    xk_udp_close(&server);
    close_net();
}

/* Both clocks, until it is over. */
static void wait_done(void)
{
    for (int i = 0; i < 200 && !done; i++) {
        pass(10 * XK_MS);
        if (!done)
            usleep(10000);
    }
    EQ(done, 1);
}

static void look(const char *name, int version)
{
    done = 0;
    queries = 0;
    EQ(xk_lookup_start(xk_fake_alloc(world), loop, a, &config, name, version, &lookup), 0);
    EQ(done, 0);
    wait_done();
}

static const char *text_of(unsigned i)
{
    static char text[XK_IP_TEXT];

    xk_ip_write(done_list[i], text);
    return text;
}

TEST(addresses_of_both_versions)
{
    begin();
    look("www.example", XK_RESOLVE_ANY);
    EQ(done_err, 0);
    EQ(done_n, 2);
    EQ(done_ttl, 60);
    STREQ(text_of(0), "192.0.2.7"); /* there is no way to the other one */
    STREQ(text_of(1), "2001:db8::7");
    STREQ(asked, "www.example");
    look("www.example", XK_RESOLVE_IP6);
    EQ(done_n, 1);
    EQ(done_ttl, 300);
    STREQ(text_of(0), "2001:db8::7");
    look("www.example", XK_RESOLVE_IP4);
    EQ(done_n, 1);
    EQ(queries, 1);
    end();
}

TEST(what_needs_no_server_comes_from_the_loop_too)
{
    begin();
    look("192.0.2.1", XK_RESOLVE_ANY);
    EQ(done_n, 1);
    EQ(queries, 0);
    STREQ(text_of(0), "192.0.2.1");
    look("fd00::1", XK_RESOLVE_ANY);
    STREQ(text_of(0), "fd00::1");
    end();
}

TEST(each_kind_of_no_has_its_error)
{
    static const struct {
        unsigned rcode;
        int err;
    } cases[] = {{NXDOMAIN, XK_ENOENT}, {SERVFAIL, XK_ECONNREFUSED}, {REFUSED, XK_ECONNREFUSED}};

    begin();
    for (int i = 0; i < 3; i++) {
        rcode = cases[i].rcode;
        look("www.example", XK_RESOLVE_IP4);
        EQ(done_err, cases[i].err);
        EQ(done_n, 0);
    }
    rcode = 0;
    silent = 1;
    look("www.example", XK_RESOLVE_IP4);
    EQ(done_err, XK_ETIMEDOUT);
    EQ(queries, 2); /* rounds */
    silent = 0;
    xk_udp_close(&server);
    look("www.example", XK_RESOLVE_IP4);
    EQ(done_err, XK_ECONNREFUSED); /* ICMP says so */
    EQ(xk_udp_open(b, &server, 53), 0);
    end();
}

TEST(the_next_server_is_asked)
{
    begin();
    config.server[1] = config.server[0];
    config.server[0] = xk_ip_of4(C); /* nobody is there */
    config.servers = 2;
    look("www.example", XK_RESOLVE_IP4);
    EQ(done_err, 0);
    EQ(done_n, 1);
    end();
}

TEST(short_names_get_a_domain)
{
    begin();
    config.domain = "lab.example";
    look("www", XK_RESOLVE_IP4);
    EQ(done_err, 0);
    STREQ(asked, "www.lab.example");
    end();
}

TEST(a_forged_answer_is_not_taken)
{
    begin();
    forged = 1;
    look("www.example", XK_RESOLVE_IP4);
    EQ(done_err, 0);
    STREQ(text_of(0), "192.0.2.7");
    end();
}

TEST(a_stranger_is_not_heard)
{
    begin();
    stranger = (struct xk_udp){.receive = on_query};
    EQ(xk_udp_open(b, &stranger, 54), 0);
    look("www.example", XK_RESOLVE_IP4);
    EQ(done_err, 0);
    STREQ(text_of(0), "192.0.2.7");
    xk_udp_close(&stranger);
    end();
}

TEST(ports_and_numbers_are_others_each_time)
{
    unsigned same = 0;

    begin();
    for (int i = 0; i < 20; i++) {
        uint16_t port = ports[0], id = ids[0];
        look("www.example", XK_RESOLVE_IP4);
        OK(ports[0] >= 49152);
        same += (ports[0] == port) + (ids[0] == id);
    }
    OK(same <= 1);
    end();
}

TEST(one_that_is_stopped_says_nothing)
{
    struct xk_lookup many[8];

    begin();
    silent = 1;
    done = 0;
    for (int i = 0; i < 8; i++) {
        many[i] = (struct xk_lookup){.done = on_done};
        EQ(xk_lookup_start(xk_fake_alloc(world), loop, a, &config, "www.example", XK_RESOLVE_ANY, &many[i]), 0);
    }
    EQ(xk_lookup_start(xk_fake_alloc(world), loop, a, &config, "x", 0, &many[0]), XK_EINVAL); /* it is under way */
    for (int i = 0; i < 8; i++) {
        xk_lookup_stop(&many[i]);
        xk_lookup_stop(&many[i]);
    }
    pass(XK_SECOND);
    EQ(done, 0);
    end();
}

TEST(what_is_no_name_is_refused)
{
    static char longest[300];

    begin();
    memset(longest, 'a', sizeof(longest) - 1);
    EQ(xk_lookup_start(NULL, loop, a, &config, longest, 0, &lookup), XK_EINVAL);
    EQ(xk_lookup_start(NULL, loop, a, &config, "", 0, &lookup), XK_EINVAL);
    longest[200] = 0; /* one label */
    look(longest, XK_RESOLVE_IP4);
    EQ(done_err, XK_EINVAL);
    config.servers = 0;
    EQ(xk_lookup_start(NULL, loop, a, &config, "x", 0, &lookup), XK_EINVAL);
    end();
}
