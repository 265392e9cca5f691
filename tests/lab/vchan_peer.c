/* The other end for tests/lab/test_vchan.sh, over Debian's libxenvchan (LGPL-2.1, linked dynamically; this program is
 * no part of xenkit), or behind a vchan-socket-proxy over stdin and stdout:
 *
 *   vchan_peer server|client DOMID PATH LEFT RIGHT JOB,JOB...
 *   vchan_peer pipe JOB,JOB...
 *
 * Jobs, as lib/vchan_ours.lua has them: stream:BLOCK:TOTAL both ways at once, every byte compared, then a verdict each;
 * packet:SIZE:COUNT comes and goes back whole; end-ours waits for the other's end, end-peer makes one; die ends by a
 * signal in the middle of a stream; silent says a word and then nothing. Prints "good" or what was wrong.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <libxenvchan.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xenstore.h>

enum { PERIOD = 65537, MEETING = 150, PATIENCE = 30 };

static struct libxenvchan *v; /* NULL: stdin and stdout */
static int report;            /* where to say how it went */
static unsigned char pattern[2 * PERIOD];

static void fail(const char *what)
{
    dprintf(report, "bad: %s\n", what);
    exit(1);
}

static void fill_pattern(void)
{
    unsigned long x = 1;

    for (int i = 0; i < PERIOD; i++) {
        x = (x * 1103515245 + 12345) & 0x7fffffff;
        pattern[i] = pattern[i + PERIOD] = (unsigned char)(x >> 16);
    }
}

/* some bytes, 0: not now, -1: the other has left */
static int some_in(void *buf, size_t n)
{
    ssize_t r;

    if (v)
        return libxenvchan_read(v, buf, n);
    r = read(0, buf, n);
    return r > 0 ? (int)r : r < 0 && errno == EAGAIN ? 0 : -1;
}

static int some_out(const void *buf, size_t n)
{
    ssize_t r;

    if (v)
        return libxenvchan_write(v, buf, n);
    r = write(1, buf, n);
    return r >= 0 ? (int)r : errno == EAGAIN ? 0 : -1;
}

static void wait_for(int writing)
{
    struct pollfd p[2] = {{.fd = 0, .events = POLLIN}, {.fd = 1, .events = writing ? POLLOUT : 0}};

    if (v)
        libxenvchan_wait(v);
    else
        poll(p, 2, -1);
}

static void all_in(void *buf, size_t n)
{
    for (size_t done = 0; done < n;) {
        int r = some_in((char *)buf + done, n - done);
        if (r < 0)
            fail("the other left early");
        if (r == 0)
            wait_for(0);
        done += (size_t)r;
    }
}

static void all_out(const void *buf, size_t n)
{
    for (size_t done = 0; done < n;) {
        int r = some_out((const char *)buf + done, n - done);
        if (r < 0)
            fail("the other left while it was written to");
        if (r == 0)
            wait_for(1);
        done += (size_t)r;
    }
}

/* (last): how many bytes in it dies; 0: never */
static void stream(size_t block, size_t total, size_t last)
{
    static unsigned char buf[PERIOD + 1];
    size_t in = 0, out = 0, at = 0, n;
    char verdict[4];

    while (in < total || out < total) {
        int r = 0, w = 0;
        if (out < total) { /* a block that went out in part goes on where it was */
            n = block - at < total - out ? block - at : total - out;
            w = some_out(pattern + out % PERIOD, n < PERIOD ? n : PERIOD);
            if (w < 0)
                fail("the other left while it was written to");
            out += (size_t)w;
            at = (at + (size_t)w) % block;
        }
        if (in < total) {
            n = block < total - in ? block : total - in;
            r = some_in(buf, n < PERIOD ? n : PERIOD);
            if (r < 0)
                fail("the other left within a stream");
            if (memcmp(buf, pattern + in % PERIOD, (size_t)r))
                fail("what came is not what was sent");
            in += (size_t)r;
        }
        if (last && in >= last)
            raise(SIGKILL);
        if (r == 0 && w == 0)
            wait_for(out < total);
    }
    all_out("good", 4);
    all_in(verdict, 4);
    if (memcmp(verdict, "good", 4))
        fail("the other has read something else");
}

static void packets(size_t size, int count)
{
    static char buf[PERIOD];

    v->blocking = 1;
    for (int i = 0; i < count; i++) {
        if (libxenvchan_recv(v, buf, size) != (int)size)
            fail("recv");
        if (libxenvchan_send(v, buf, size) != (int)size)
            fail("send");
    }
    v->blocking = 0;
}

static void expect_end(void)
{
    char words[10];
    int r;

    all_in(words, 10);
    if (memcmp(words, "last words", 10))
        fail("the last words are others");
    while ((r = some_in(words, 1)) == 0)
        wait_for(0);
    if (r > 0)
        fail("something came after the last words");
}

/* The proxy of 4.17 hangs when its input ends while it still has something to write: it writes that, and then waits for
 * an event before it looks whether it is done. So it gets time. */
static void last_words(void)
{
    all_out("last words", 10);
    if (!v)
        usleep(500000);
}

static void job(char *text)
{
    unsigned long a = 0, b = 0;

    sscanf(text, "%*[^:]:%lu:%lu", &a, &b);
    if (!strncmp(text, "stream:", 7))
        stream(a, b, 0);
    else if (!strncmp(text, "packet:", 7))
        packets(a, (int)b);
    else if (!strcmp(text, "end-ours"))
        expect_end();
    else if (!strcmp(text, "end-peer"))
        last_words();
    else if (!strcmp(text, "die"))
        stream(1000, 1u << 30, 50000);
    else if (!strcmp(text, "silent")) {
        all_out("hello", 5);
        sleep(PATIENCE);
    } else
        fail("no such job");
}

/* As vchan-socket-proxy: a watch tells when it makes sense to try again. */
static struct libxenvchan *client(int domid, const char *path)
{
    struct xs_handle *xs = xs_open(0);
    struct libxenvchan *c = NULL;
    unsigned n;

    if (!xs || !xs_watch(xs, path, "path"))
        fail("xs_watch");
    while (!c) {
        free(xs_read_watch(xs, &n));
        c = libxenvchan_client_init(NULL, domid, path);
    }
    xs_close(xs);
    return c;
}

static void open_vchan(char **arg)
{
    int domid = atoi(arg[2]);

    if (!strcmp(arg[1], "server"))
        v = libxenvchan_server_init(NULL, domid, arg[3], (size_t)atoi(arg[4]), (size_t)atoi(arg[5]));
    else
        v = client(domid, arg[3]);
    if (!v)
        fail("libxenvchan_server_init");
    while (libxenvchan_is_open(v) == 2) /* the client has not come */
        libxenvchan_wait(v);
}

int main(int argc, char **argv)
{
    if (argc != 3 && argc != 7)
        return 2;
    report = dup(argc == 7 ? 1 : 2);
    alarm(MEETING);
    signal(SIGPIPE, SIG_IGN);
    fill_pattern();
    if (argc == 7) {
        open_vchan(argv);
    } else { /* stdout is data */
        fcntl(0, F_SETFL, O_NONBLOCK);
        fcntl(1, F_SETFL, O_NONBLOCK);
    }
    alarm(PATIENCE);
    for (char *j = strtok(argv[argc - 1], ","); j; j = strtok(NULL, ","))
        job(j);
    if (v)
        libxenvchan_close(v);
    dprintf(report, "good\n");
    return 0;
}
