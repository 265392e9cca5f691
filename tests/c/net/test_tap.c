/* A device behind a descriptor: the other end is a packet socket in this test's hands. SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <sys/socket.h>

#include <xenkit/world.h>
#include <xenkit/tap.h>

#include "tests/c/tap.h"

#include "tests/c/net/frames.h"

enum { HEADER = 12 };

static struct xk_platform *platform;
static struct xk_loop *loop;
static struct xk_netdev *dev;
enum { QUEUES = 3, FLOWS = 40 };
static int far_end, ended, rooms, far[XK_TAP_QUEUES];
static struct xk_packet got[64];
static uint8_t bytes[64][XK_PACKET_MAX];
static unsigned count;

static void on_frames(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    (void)d;
    for (unsigned i = 0; i < n && count < 64; i++) {
        memcpy(bytes[count], p[i].data, p[i].len);
        got[count++] = p[i];
    }
}

static void on_room(struct xk_netdev *d) { (void)d, rooms++; }
static void on_ended(void *arg) { (void)arg, ended++; }

static void open_queues(uint16_t header, unsigned n)
{
    struct xk_tap_config c = {.mac = {2, 0, 0, 0, 0, 1}, .header = header, .ended = on_ended};
    int pair[2], near[XK_TAP_QUEUES];

    for (unsigned i = 0; i < n; i++) {
        OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
        near[i] = pair[0];
        far[i] = pair[1];
    }
    far_end = far[0];
    EQ(xk_open(NULL, "tap", &platform), 0);
    EQ(xk_loop_create(NULL, platform, &loop), 0);
    EQ(xk_tap_open(NULL, loop, near, n, &c, &dev), 0);
    dev->receive = on_frames;
    dev->room = on_room;
}

static void open_tap(uint16_t header) { open_queues(header, 1); }

static void close_tap(void)
{
    xk_net_close(dev);
    for (int i = 0; i < XK_TAP_QUEUES; i++)
        if (far[i])
            close(far[i]);
    xk_loop_destroy(loop);
    xk_platform_close(platform);
}

static void run(void)
{
    for (int i = 0; i < 5; i++)
        xk_loop_run_once(loop, XK_NOW);
}

/* A frame with this header before it. */
static void feed(uint8_t flags, uint8_t gso, uint16_t gso_size, const void *frame, size_t n)
{
    static uint8_t all[HEADER + XK_PACKET_MAX];

    memset(all, 0, HEADER);
    all[0] = flags;
    all[1] = gso;
    memcpy(all + 4, &gso_size, 2);
    memcpy(all + HEADER, frame, n);
    EQ(send(far_end, all, HEADER + n, 0), (ssize_t)(HEADER + n));
}

TEST(headers_say_what_a_frame_is)
{
    static uint8_t frame[XK_PACKET_MAX];
    uint32_t n = frame_tcp(frame, 4, 20000, 1);
    struct xk_tap_stats s;

    open_tap(HEADER);
    feed(0, 0, 0, frame, 60);
    feed(1, 0, 0, frame, 60);
    feed(2, 0, 0, frame, 60);
    feed(1, 1, 1448, frame, n);
    feed(1, 4, 1428, frame, n);
    run();
    EQ(count, 5);
    EQ(got[0].flags, 0);
    EQ(got[1].flags, XK_PACKET_CSUM_BLANK);
    EQ(got[2].flags, XK_PACKET_CSUM_VALID);
    EQ(got[3].gso, XK_GSO_TCP4);
    EQ(got[3].gso_size, 1448);
    EQ(got[3].len, n);
    MEMEQ(bytes[3], frame, n);
    EQ(got[4].gso, XK_GSO_TCP6);
    feed(0, 3, 1448, frame, 60);       /* UDP's large packets were not asked for */
    feed(1, 1, 10, frame, n);          /* pieces that small are none */
    feed(0, 0, 0, frame, 13);          /* no frame */
    EQ(send(far_end, frame, 5, 0), 5); /* not even a header */
    feed(0, 0, 0, frame, 14);
    run();
    EQ(count, 6);
    EQ(got[5].len, 14);
    xk_tap_stats(dev, &s);
    EQ(s.bad, 4);
    EQ(s.packets[0], 6);
    EQ(ended, 0);
    close_tap();
}

TEST(what_is_sent_says_what_it_is)
{
    static uint8_t frame[XK_PACKET_MAX], out[HEADER + XK_PACKET_MAX];
    struct xk_packet p = {frame, 0, XK_PACKET_CSUM_BLANK, XK_GSO_TCP4, 1448};
    uint16_t v;

    open_tap(HEADER);
    p.len = frame_tcp(frame, 4, 20000, 1);
    EQ(xk_net_send(dev, &p), 0);
    EQ(recv(far_end, out, sizeof(out), 0), (ssize_t)(HEADER + p.len));
    EQ(out[0], 1);
    EQ(out[1], 1);
    memcpy(&v, out + 2, 2);
    EQ(v, 54); /* of the headers */
    memcpy(&v, out + 4, 2);
    EQ(v, 1448);
    memcpy(&v, out + 6, 2);
    EQ(v, 34);
    memcpy(&v, out + 8, 2);
    EQ(v, 16);
    MEMEQ(out + HEADER, frame, p.len);
    p = (struct xk_packet){frame, 100, XK_PACKET_CSUM_VALID, 0, 0};
    EQ(xk_net_send(dev, &p), 0);
    EQ(recv(far_end, out, sizeof(out), 0), HEADER + 100);
    EQ(out[0], 2);
    frame[12] = 0x12; /* blank, and of no protocol that has a checksum */
    p.flags = XK_PACKET_CSUM_BLANK;
    EQ(xk_net_send(dev, &p), XK_EINVAL);
    close_tap();
}

/* A socket has no header: all is done before. */
TEST(a_socket_gets_whole_frames_of_its_size)
{
    static uint8_t frame[XK_PACKET_MAX], out[XK_PACKET_MAX];
    struct xk_packet p = {frame, 0, XK_PACKET_CSUM_BLANK, XK_GSO_TCP4, 1448};
    struct xk_packet_heads h;
    ssize_t n;
    int frames = 0;

    open_tap(0);
    p.len = frame_tcp(frame, 4, 20000, 1);
    EQ(xk_net_send(dev, &p), 0);
    while ((n = recv(far_end, out, sizeof(out), 0)) > 0) {
        frames++;
        OK(n <= 1514);
        EQ(xk_packet_heads(out, (uint32_t)n, &h), 0);
        OK(xk_packet_check(out, &h));
    }
    EQ(frames, 14);
    close_tap();
}

TEST(a_full_way_says_when_there_is_room)
{
    static uint8_t frame[1500], out[2000];
    struct xk_packet p = {frame, sizeof(frame), XK_PACKET_CSUM_VALID, 0, 0};
    struct xk_tap_stats s;
    int sent = 0;

    open_tap(0);
    while (xk_net_send(dev, &p) == 0)
        sent++;
    OK(sent > 10);
    EQ(xk_net_send(dev, &p), XK_EAGAIN);
    run();
    EQ(rooms, 0);
    for (int i = 0; i < sent; i++)
        EQ(recv(far_end, out, sizeof(out), 0), 1500);
    run();
    EQ(rooms, 1);
    EQ(xk_net_send(dev, &p), 0);
    xk_tap_stats(dev, &s);
    EQ(s.full, 2);
    close_tap();
}

TEST(the_end_is_told_once)
{
    static uint8_t frame[100];
    struct xk_packet p = {frame, sizeof(frame), XK_PACKET_CSUM_VALID, 0, 0};

    open_tap(0);
    EQ(send(far_end, frame, 100, 0), 100);
    close(far_end);
    far[0] = open("/dev/null", O_RDONLY);
    run();
    EQ(count, 1); /* what came before it is there */
    EQ(ended, 1);
    EQ(xk_net_send(dev, &p), XK_EGONE);
    run();
    EQ(ended, 1);
    close_tap();
}

/* --- queues ------------------------------------------------------------------------------------------------------- */

/* Frame (i) of a flow; the sequence number is (i). */
static struct xk_packet of_flow(uint8_t *frame, unsigned flow, uint32_t i)
{
    uint32_t n = frame_tcp(frame, 4, 100, 1);

    xk_packet_put16(frame + 34, (uint16_t)(2000 + flow));
    xk_packet_put32(frame + 38, i);
    return (struct xk_packet){frame, n, XK_PACKET_CSUM_VALID, 0, 0};
}

TEST(a_flow_keeps_its_queue_and_its_order)
{
    static uint8_t frame[200], out[400];
    unsigned home[FLOWS], seen[FLOWS] = {0}, all = 0;
    struct xk_tap_stats s;
    ssize_t n;

    open_queues(HEADER, QUEUES);
    for (uint32_t i = 0; i < 6; i++)
        for (unsigned flow = 0; flow < FLOWS; flow++) {
            struct xk_packet p = of_flow(frame, flow, i);
            EQ(xk_net_send(dev, &p), 0);
        }
    xk_tap_stats(dev, &s);
    for (unsigned q = 0; q < QUEUES; q++) {
        unsigned here = 0;
        while ((n = recv(far[q], out, sizeof(out), 0)) > 0) {
            unsigned flow = xk_packet_get16(out + HEADER + 34) - 2000u;
            if (seen[flow] == 0)
                home[flow] = q;
            EQ(home[flow], q);
            EQ(xk_packet_get32(out + HEADER + 38), seen[flow]++);
            here++;
        }
        OK(here > 6 * FLOWS / QUEUES / 3); /* all have some */
        EQ(s.out[q], here);
        all += here;
    }
    EQ(all, 6 * FLOWS);
    EQ(s.packets[1], all);
    close_tap();
}

TEST(all_queues_are_read_and_the_end_of_one_is_the_end)
{
    static uint8_t frame[200];
    struct xk_tap_stats s;

    open_queues(0, QUEUES);
    for (unsigned q = 0; q < QUEUES; q++)
        for (unsigned i = 0; i <= q; i++) {
            struct xk_packet p = of_flow(frame, q, i);
            EQ(send(far[q], p.data, p.len, 0), (ssize_t)p.len);
        }
    run();
    EQ(count, 1 + 2 + 3);
    xk_tap_stats(dev, &s);
    for (unsigned q = 0; q < QUEUES; q++)
        EQ(s.in[q], q + 1);
    close(far[1]);
    run();
    EQ(ended, 1);
    EQ(send(far[2], frame, 60, 0), 60);
    run();
    EQ(count, 6); /* none is read any more */
    EQ(ended, 1);
    close_tap();
}

TEST(a_full_queue_stands_for_itself)
{
    static uint8_t frame[200], out[400];
    unsigned other = 0, sent = 0;
    struct xk_packet p;

    open_queues(0, QUEUES);
    p = of_flow(frame, 0, 0);
    while (xk_net_send(dev, &p) == 0)
        sent++;
    OK(sent > 10);
    for (unsigned flow = 1; flow < FLOWS; flow++) {
        p = of_flow(frame, flow, 0);
        other += xk_net_send(dev, &p) == 0;
    }
    OK(other > FLOWS / 2 && other < FLOWS - 1); /* those of the other queues */
    run();
    EQ(rooms, 0);
    for (unsigned q = 0; q < QUEUES; q++)
        while (recv(far[q], out, sizeof(out), 0) > 0)
            ;
    run();
    EQ(rooms, 1);
    p = of_flow(frame, 0, 0);
    EQ(xk_net_send(dev, &p), 0);
    close_tap();
}

TEST(a_config_that_makes_no_sense)
{
    struct xk_tap_config c = {.header = 11};
    int none[XK_TAP_QUEUES + 1] = {0};

    open_tap(0);
    EQ(xk_tap_open(NULL, loop, none, 1, &c, &dev), XK_EINVAL);
    c.header = HEADER;
    EQ(xk_tap_open(NULL, loop, none, 0, &c, &dev), XK_EINVAL);
    EQ(xk_tap_open(NULL, loop, none, XK_TAP_QUEUES + 1, &c, &dev), XK_EINVAL);
    none[1] = -1; /* what cannot be watched: none is, and none is closed */
    OK(xk_tap_open(NULL, loop, none, 2, &c, &dev) < 0);
    OK(fcntl(0, F_GETFD) >= 0);
    xk_loop_destroy(loop);
    xk_platform_close(platform);
}
