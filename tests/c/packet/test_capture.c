/* pcapng, judged by tcpdump; frames that have no room. SPDX-License-Identifier: MIT */
#include "tests/c/tap.h" /* first */

#include <xenkit/capture.h>

#include "tests/c/net/frames.h"

enum { ROOM = 8192 };

static uint8_t stream[4 << 20];
static size_t stream_len;

static void take_all(struct xk_capture *c)
{
    size_t n;

    while ((n = xk_capture_take(c, stream + stream_len, 777)) > 0)
        stream_len += n;
    EQ(xk_capture_waiting(c), 0);
}

/* What tcpdump says of the stream: a line a frame. */
static FILE *judge(const char *options)
{
    static char path[] = "/tmp/xk-capture-XXXXXX";
    char command[200];
    int fd;

    if (system("command -v tcpdump > /dev/null") != 0)
        exit(TAP_SKIP);
    strcpy(path, "/tmp/xk-capture-XXXXXX");
    fd = mkstemp(path);
    OK(fd >= 0);
    EQ(write(fd, stream, stream_len), stream_len);
    close(fd);
    snprintf(command, sizeof(command), "tcpdump -n -tt --nano %s -r %s 2>&1; rm -f %s", options, path, path);
    return popen(command, "r");
}

static void expect(FILE *f, const char *text)
{
    char line[500];

    do {
        if (!fgets(line, sizeof(line), f))
            TAP_FAIL("no line with '%s'", text);
        if (strstr(line, "truncated dump"))
            TAP_FAIL("%s", line);
    } while (!strstr(line, text));
}

TEST(tcpdump_reads_what_was_captured)
{
    uint8_t frame[200];
    struct xk_capture *c;
    uint32_t n = frame_tcp(frame, 4, 10, 0);
    char line[500];
    FILE *f;

    EQ(xk_capture_create(NULL, ROOM, 0, &c), 0);
    EQ(xk_capture_interface(c, "web/lan"), 0);
    EQ(xk_capture_interface(c, "db/lan"), 1);
    xk_capture_frame(c, 1, frame, n, 1700000000123456789u, 1);
    n = frame_tcp(frame, 6, 33, 0);
    xk_capture_frame(c, 0, frame, n, 1700000001000000001u, 0);
    take_all(c);
    for (int i = 0; i < 1000; i++) { /* round and round */
        xk_capture_frame(c, i & 1, frame, n, 1700000002000000000u + (uint64_t)i, i & 1);
        take_all(c);
    }
    f = judge("");
    expect(f, "1700000000.123456789 IP 10.0.0.");
    expect(f, "1700000001.000000001 IP6 ");
    for (int i = 0; i < 1000; i++) {
        char when[40];
        snprintf(when, sizeof(when), "1700000002.%09d IP6 ", i);
        expect(f, when);
    }
    OK(!fgets(line, sizeof(line), f));
    EQ(pclose(f), 0);
    xk_capture_destroy(c);
}

static uint32_t word(size_t at)
{
    uint32_t v;

    OK(at + 4 <= stream_len);
    memcpy(&v, stream + at, 4);
    return v;
}

/* Walks over the blocks; frames and the sum of the left out that are told. */
static void walk(unsigned *frames, uint64_t *left_out, unsigned *interfaces)
{
    *frames = *interfaces = 0;
    *left_out = 0;
    for (size_t at = 0, len; at < stream_len; at += len) {
        len = word(at + 4);
        EQ(len % 4, 0);
        EQ(word(at + len - 4), len);
        *interfaces += word(at) == 1;
        if (word(at) != 6)
            continue;
        OK(word(at + 8) < *interfaces); /* described before */
        (*frames)++;
        for (size_t o = at + 28 + ((word(at + 20) + 3) & ~3u); (word(o) & 0xffff) != 0;
             o += 4 + (((word(o) >> 16) + 3) & ~3u))
            if ((word(o) & 0xffff) == 4)
                *left_out += word(o + 4);
    }
}

TEST(what_has_no_room_is_counted_and_told)
{
    uint8_t frame[1514] = {0};
    struct xk_capture_stats s;
    struct xk_capture *c;
    unsigned frames, interfaces;
    uint64_t left_out;

    EQ(xk_capture_create(NULL, ROOM, 0, &c), 0);
    for (int i = 0; i < 5; i++)
        EQ(xk_capture_interface(c, "some interface with a name that is longer than sixty-three bytes, which is cut"),
           i);
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 15; i++)
            xk_capture_frame(c, (round + i) % 5, frame, (uint32_t)(60 + (round * 131 + i * 977) % 1454), 0, 0);
        take_all(c);
    }
    for (int i = 0; i < 5; i++)
        xk_capture_frame(c, i, frame, 60, 0, 0);
    take_all(c);
    walk(&frames, &left_out, &interfaces);
    xk_capture_stats(c, &s);
    EQ(interfaces, 5);
    EQ(s.frames, 3005);
    OK(left_out > 0);
    EQ(frames + left_out, s.frames);
    EQ(s.left_out, left_out);
    xk_capture_destroy(c);
}

TEST(a_frame_that_is_too_large_for_all_the_room_is_left_out)
{
    static uint8_t frame[65535];
    struct xk_capture_stats s;
    struct xk_capture *c;

    EQ(xk_capture_create(NULL, ROOM, 0, &c), 0);
    EQ(xk_capture_interface(c, "a"), 0);
    xk_capture_frame(c, 0, frame, sizeof(frame), 0, 0);
    xk_capture_frame(c, 0, frame, UINT32_MAX, 0, 0); /* no length makes it look beyond the frame's room */
    xk_capture_stats(c, &s);
    EQ(s.left_out, 2);
    xk_capture_destroy(c);
}

TEST(a_frame_is_cut_where_it_was_asked_for)
{
    uint8_t frame[200];
    struct xk_capture *c;
    uint32_t n = frame_tcp(frame, 4, 100, 0);
    FILE *f;

    EQ(xk_capture_create(NULL, ROOM, 60, &c), 0);
    EQ(xk_capture_interface(c, "a"), 0);
    xk_capture_frame(c, 0, frame, n, 5, 0);
    take_all(c);
    EQ(stream_len, 44 + 40 + 32 + 60 + 8 + 4); /* section, interface, frame */
    f = judge("");
    expect(f, "0.000000005 IP ");
    pclose(f);
    xk_capture_destroy(c);
}

TEST(bounds)
{
    struct xk_capture *c;

    EQ(xk_capture_create(NULL, 4095, 0, &c), XK_EINVAL);
    EQ(xk_capture_create(NULL, 4096, XK_CAPTURE_SNAP + 1, &c), XK_EINVAL);
    EQ(xk_capture_create(NULL, 4096, 0, &c), 0);
    for (int i = 0; i < XK_CAPTURE_INTERFACES; i++)
        EQ(xk_capture_interface(c, "x"), i);
    EQ(xk_capture_interface(c, "x"), XK_ENOSPC);
    xk_capture_destroy(c);
    xk_capture_destroy(NULL);
}
