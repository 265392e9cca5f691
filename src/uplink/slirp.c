/* libslirp as the gateway of a switch: what guests send to the outside comes out of sockets of this process, as of any
 * program. SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <slirp/libslirp.h>

#include "uplink/uplink.h"

enum { POLLS = 1024, FRAME = 65550, TIMERS = 4, FORWARDS = 64, FRAMES_A_TURN = 256 };

struct timer {
    SlirpTimerCb fn;
    void *arg;
    int64_t at; /* ms; 0: not started */
    int used;
};

struct forward {
    int udp;
    struct sockaddr_in host, guest;
};

struct gateway {
    Slirp *slirp;
    int fd, over;
    struct pollfd poll[POLLS];
    int polls;
    struct timer timer[TIMERS];
    SlirpConfig config;
    struct forward forward[FORWARDS];
    int forwards;
};

static int64_t now_ns(void *arg)
{
    struct timespec t;

    (void)arg;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* --- libslirp's call-backs ---------------------------------------------------------------------------------------- */

/* A switch that is too slow loses frames, as any. */
static ssize_t on_frame(const void *frame, size_t n, void *arg)
{
    struct gateway *g = arg;

    if (send(g->fd, frame, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN && errno != ENOBUFS)
        g->over = 1;
    return (ssize_t)n;
}

static void on_guest_error(const char *text, void *arg)
{
    (void)text;
    (void)arg;
}

static void *timer_new(SlirpTimerCb fn, void *fn_arg, void *arg)
{
    struct gateway *g = arg;

    for (int i = 0; i < TIMERS; i++)
        if (!g->timer[i].used) {
            g->timer[i] = (struct timer){fn, fn_arg, 0, 1};
            return &g->timer[i];
        }
    abort(); /* it has one */
}

static void timer_free(void *timer, void *arg)
{
    (void)arg;
    ((struct timer *)timer)->used = 0;
}

static void timer_mod(void *timer, int64_t at, void *arg)
{
    (void)arg;
    ((struct timer *)timer)->at = at;
}

static void on_fd(int fd, void *arg)
{
    (void)fd;
    (void)arg;
}

static void on_notify(void *arg) { (void)arg; }

static const SlirpCb callbacks = {.send_packet = on_frame,
                                  .guest_error = on_guest_error,
                                  .clock_get_ns = now_ns,
                                  .timer_new = timer_new,
                                  .timer_free = timer_free,
                                  .timer_mod = timer_mod,
                                  .register_poll_fd = on_fd,
                                  .unregister_poll_fd = on_fd,
                                  .notify = on_notify};

/* --- one turn ----------------------------------------------------------------------------------------------------- */

static int add_poll(int fd, int events, void *arg)
{
    struct gateway *g = arg;
    short wanted = (short)((events & SLIRP_POLL_IN ? POLLIN : 0) | (events & SLIRP_POLL_OUT ? POLLOUT : 0) |
                           (events & SLIRP_POLL_PRI ? POLLPRI : 0));

    if (g->polls == POLLS)
        return -1;
    g->poll[g->polls] = (struct pollfd){.fd = fd, .events = wanted};
    return g->polls++;
}

static int get_events(int i, void *arg)
{
    struct gateway *g = arg;
    int got = i < 0 ? 0 : g->poll[i].revents;

    return (got & POLLIN ? SLIRP_POLL_IN : 0) | (got & POLLOUT ? SLIRP_POLL_OUT : 0) |
           (got & POLLPRI ? SLIRP_POLL_PRI : 0) | (got & POLLERR ? SLIRP_POLL_ERR : 0) |
           (got & POLLHUP ? SLIRP_POLL_HUP : 0);
}

static void read_frames(struct gateway *g)
{
    static uint8_t frame[FRAME];
    ssize_t n = 1;

    for (int i = 0; i < FRAMES_A_TURN && n > 0; i++) {
        n = recv(g->fd, frame, sizeof(frame), MSG_DONTWAIT);
        if (n >= 14)
            slirp_input(g->slirp, frame, (int)n);
    }
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        g->over = 1;
}

static void run_timers(struct gateway *g)
{
    int64_t now = now_ns(NULL) / 1000000;

    for (struct timer *t = g->timer; t < g->timer + TIMERS; t++)
        if (t->used && t->at && t->at <= now) {
            t->at = 0;
            t->fn(t->arg);
        }
}

static uint32_t until_timers(struct gateway *g)
{
    int64_t now = now_ns(NULL) / 1000000, least = 60000;

    for (struct timer *t = g->timer; t < g->timer + TIMERS; t++)
        if (t->used && t->at && t->at - now < least)
            least = t->at > now ? t->at - now : 0;
    return (uint32_t)least;
}

static void turn(struct gateway *g)
{
    uint32_t wait = until_timers(g);
    int n;

    g->polls = 0;
    add_poll(g->fd, SLIRP_POLL_IN, g);
    slirp_pollfds_fill(g->slirp, &wait, add_poll, g);
    n = poll(g->poll, (nfds_t)g->polls, (int)wait);
    if (g->poll[0].revents)
        read_frames(g);
    slirp_pollfds_poll(g->slirp, n < 0, get_events, g);
    run_timers(g);
}

/* --- options ------------------------------------------------------------------------------------------------------ */

static int put_net(struct gateway *g, const char *text, char *error)
{
    char copy[32] = "", *slash, *end = copy;
    struct in_addr ip = {0};
    long bits = 0;
    uint32_t net;

    strncpy(copy, text, sizeof(copy) - 1);
    slash = strchr(copy, '/');
    if (slash) {
        *slash = 0;
        bits = strtol(slash + 1, &end, 10);
    }
    if (!slash || *end || bits < 8 || bits > 28 || inet_pton(AF_INET, copy, &ip) != 1)
        return uplink_fail(error, 0, "net: '%s' is not written as 10.0.2.0/24, with 8 to 28 bits", text);
    g->config.vnetmask.s_addr = htonl(~(0xffffffffu >> bits));
    g->config.vnetwork.s_addr = ip.s_addr & g->config.vnetmask.s_addr;
    net = ntohl(g->config.vnetwork.s_addr);
    g->config.vhost.s_addr = htonl(net + 2); /* as QEMU's users know it */
    g->config.vnameserver.s_addr = htonl(net + 3);
    g->config.vdhcp_start.s_addr = htonl(net + 15 < (net | ~ntohl(g->config.vnetmask.s_addr)) ? net + 15 : net + 4);
    return 0;
}

static int put_ip(struct in_addr *to, const char *key, const char *text, char *error)
{
    return inet_pton(AF_INET, text, to) == 1 ? 0 : uplink_fail(error, 0, "%s: '%s' is no address", key, text);
}

/* "10.0.0.1:80"; moves (text) behind it. */
static int read_end(char **text, struct sockaddr_in *out)
{
    char *colon = strchr(*text, ':'), *end;
    long port = colon ? strtol(colon + 1, &end, 10) : 0;

    if (!colon || port < 1 || port > 65535 || (*end && *end != ':'))
        return -1;
    *colon = 0;
    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, *text, &out->sin_addr) != 1)
        return -1;
    *text = *end ? end + 1 : end;
    return 0;
}

static int put_forward(struct gateway *g, const char *text, char *error)
{
    struct forward f = {0};
    char copy[80], *at = copy + 4;

    if (g->forwards == FORWARDS)
        return uplink_fail(error, 0, "forward: at most %d", FORWARDS);
    copy[0] = 0;
    strncat(copy, text, sizeof(copy) - 1);
    f.udp = strncmp(copy, "udp:", 4) == 0;
    if ((!f.udp && strncmp(copy, "tcp:", 4)) || read_end(&at, &f.host) < 0 || read_end(&at, &f.guest) < 0 || *at)
        return uplink_fail(error, 0, "forward: '%s' is not written as udp:127.0.0.1:5353:10.0.2.15:53", text);
    g->forward[g->forwards++] = f;
    return 0;
}

static int put_option(struct gateway *g, const char *option, char *error)
{
    const char *value = strchr(option, '=');
    size_t n = value ? (size_t)(value++ - option) : 0;

#define IS(key) (n == sizeof(key) - 1 && memcmp(option, key, n) == 0)
    if (IS("net"))
        return put_net(g, value, error);
    if (IS("gateway"))
        return put_ip(&g->config.vhost, "gateway", value, error);
    if (IS("dns"))
        return put_ip(&g->config.vnameserver, "dns", value, error);
    if (IS("forward"))
        return put_forward(g, value, error);
    if (IS("host")) {
        g->config.disable_host_loopback = strcmp(value, "yes") != 0;
        return 0;
    }
    if (IS("dhcp")) {
        g->config.disable_dhcp = strcmp(value, "no") == 0;
        return 0;
    }
    return uplink_fail(error, 0, "slirp has no option '%.*s'; net, gateway, dns, dhcp, host and forward are known",
                       (int)(value ? n : strlen(option)), option);
#undef IS
}

static void set_defaults(struct gateway *g)
{
    g->config.version = SLIRP_CONFIG_VERSION_MAX;
    g->config.in_enabled = 1;
    g->config.in6_enabled = 1;
    inet_pton(AF_INET6, "fec0::", &g->config.vprefix_addr6);
    g->config.vprefix_len = 64;
    inet_pton(AF_INET6, "fec0::2", &g->config.vhost6);
    inet_pton(AF_INET6, "fec0::3", &g->config.vnameserver6);
    g->config.disable_host_loopback = 1;
}

static int open_forwards(struct gateway *g, char *error)
{
    for (int i = 0; i < g->forwards; i++) {
        const struct forward *f = &g->forward[i];
        if (slirp_add_hostfwd(g->slirp, f->udp, f->host.sin_addr, ntohs(f->host.sin_port), f->guest.sin_addr,
                              ntohs(f->guest.sin_port)) < 0)
            return uplink_fail(error, errno, "forward: port %d of %s", ntohs(f->host.sin_port),
                               inet_ntoa(f->host.sin_addr));
    }
    return 0;
}

int slirp_serve(int fd, char *const options[], void (*ready)(int fd), char *error)
{
    static struct gateway g;

    g.fd = fd;
    set_defaults(&g);
    if (put_net(&g, "10.0.2.0/24", error) < 0)
        return -1;
    for (; *options; options++)
        if (put_option(&g, *options, error) < 0)
            return -1;
    g.slirp = slirp_new(&g.config, &callbacks, &g);
    if (!g.slirp)
        return uplink_fail(error, 0, "libslirp does not take these addresses together");
    if (open_forwards(&g, error) < 0 || seal_slirp(error) < 0)
        return -1;
    ready(fd);
    while (!g.over)
        turn(&g);
    slirp_cleanup(g.slirp);
    return 0;
}
