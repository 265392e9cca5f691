/* Names, by c-ares (resolve.h). A channel of c-ares for each lookup: it keeps one socket a server as long as it lives,
 * so that several lookups over one would share a port. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ares.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <xenkit/resolve.h>

#include "base/list.h"

enum { SOCKETS = 16, FIRST_NUMBER = 1000 /* of ours, for c-ares: no descriptor */, EDNS = 1232, CSV = 64 };
static const xk_time MS = XK_SECOND / 1000;

struct line { /* a socket of c-ares' */
    struct xk_udp udp;
    struct xk_resolution *r;
    struct xk_ip peer;
    uint16_t port;
    const uint8_t *data; /* that came and was not taken yet */
    size_t n;
    int err;
};

struct xk_resolution {
    xk_alloc alloc;
    struct xk_loop *loop;
    struct xk_inet *s;
    struct xk_lookup *l;
    ares_channel channel;
    struct xk_timer timer;
    struct line line[SOCKETS];
    int over, err; /* of what c-ares found */
    unsigned n;
    uint32_t ttl;
    struct xk_ip found[XK_RESOLVE_ADDRESSES];
};

/* --- the end ------------------------------------------------------------------------------------------------------ */

static void drop(struct xk_resolution *r)
{
    xk_alloc alloc = r->alloc;

    r->l->r = NULL;
    r->over = 1;
    xk_timer_stop(r->loop, &r->timer);
    ares_destroy(r->channel); /* which closes its sockets */
    xk_free(&alloc, r, sizeof(*r));
}

/* After c-ares was called: it is over, or c-ares says when it wants to look again. */
static void go_on(struct xk_resolution *r)
{
    struct timeval most = {60, 0}, wait, *t;
    struct xk_ip found[XK_RESOLVE_ADDRESSES];
    struct xk_lookup *l = r->l;
    uint32_t ttl = r->ttl;
    unsigned n = r->n;
    int err = r->err;

    if (!r->over) {
        t = ares_timeout(r->channel, &most, &wait);
        xk_timer_start(r->loop, &r->timer,
                       xk_now(xk_loop_platform(r->loop)) + t->tv_sec * XK_SECOND + (t->tv_usec / 1000 + 1) * MS);
        return;
    }
    memcpy(found, r->found, sizeof(found));
    drop(r);
    l->done(l, err, found, n, ttl);
}

static void on_timer(struct xk_timer *t)
{
    struct xk_resolution *r = XK_CONTAINER(t, struct xk_resolution, timer);

    if (!r->over)
        ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    go_on(r);
}

/* --- c-ares' sockets ---------------------------------------------------------------------------------------------- */

static struct line *line_of(struct xk_resolution *r, ares_socket_t number) { return &r->line[number - FIRST_NUMBER]; }

static void on_datagram(struct xk_udp *u, struct xk_ip from, uint16_t port, struct xk_ip to, const uint8_t *data,
                        size_t n)
{
    struct line *l = XK_CONTAINER(u, struct line, udp);
    struct xk_resolution *r = l->r;

    (void)to;
    if (port != l->port || !xk_ip_equal(from, l->peer) || r->over)
        return;
    l->data = data;
    l->n = n;
    ares_process_fd(r->channel, FIRST_NUMBER + (ares_socket_t)(l - r->line), ARES_SOCKET_BAD);
    l->data = NULL;
    go_on(r);
}

static void on_failed(struct xk_udp *u, struct xk_ip to, uint16_t port, int err)
{
    struct line *l = XK_CONTAINER(u, struct line, udp);
    struct xk_resolution *r = l->r;

    if (port != l->port || !xk_ip_equal(to, l->peer) || r->over)
        return;
    l->err = err == XK_ECONNREFUSED ? ECONNREFUSED : EHOSTUNREACH;
    ares_process_fd(r->channel, FIRST_NUMBER + (ares_socket_t)(l - r->line), ARES_SOCKET_BAD);
    go_on(r);
}

static ares_socket_t ask_socket(int family, int type, int protocol, void *arg)
{
    struct xk_resolution *r = arg;
    struct line *l = r->line;

    (void)family;
    (void)protocol;
    while (l < r->line + SOCKETS && l->r)
        l++;
    if (type != SOCK_DGRAM || l == r->line + SOCKETS) {
        errno = type == SOCK_DGRAM ? EMFILE : EPROTONOSUPPORT;
        return ARES_SOCKET_BAD;
    }
    *l = (struct line){.udp = {.receive = on_datagram, .failed = on_failed}, .r = r};
    if (xk_udp_open(r->s, &l->udp, 0) < 0) {
        l->r = NULL;
        errno = EMFILE;
        return ARES_SOCKET_BAD;
    }
    return FIRST_NUMBER + (ares_socket_t)(l - r->line);
}

static int ask_close(ares_socket_t number, void *arg)
{
    struct line *l = line_of(arg, number);

    xk_udp_close(&l->udp);
    l->r = NULL;
    return 0;
}

static int ask_connect(ares_socket_t number, const struct sockaddr *to, ares_socklen_t n, void *arg)
{
    struct line *l = line_of(arg, number);
    struct sockaddr_in four;
    struct sockaddr_in6 six;

    if (to->sa_family == AF_INET && n >= sizeof(four)) {
        memcpy(&four, to, sizeof(four));
        l->peer = xk_ip_of4(ntohl(four.sin_addr.s_addr));
        l->port = ntohs(four.sin_port);
    } else if (to->sa_family == AF_INET6 && n >= sizeof(six)) {
        memcpy(&six, to, sizeof(six));
        memcpy(l->peer.b, &six.sin6_addr, 16);
        l->port = ntohs(six.sin6_port);
    }
    return 0;
}

static void put_address(const struct line *l, struct sockaddr *from, ares_socklen_t *n)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(l->port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(l->port)};
    ares_socklen_t size = xk_ip_is4(l->peer) ? sizeof(four) : sizeof(six);

    if (!from || *n < size)
        return;
    four.sin_addr.s_addr = htonl(xk_ip_to4(l->peer));
    memcpy(&six.sin6_addr, l->peer.b, 16);
    if (xk_ip_is4(l->peer))
        memcpy(from, &four, size);
    else
        memcpy(from, &six, size);
    *n = size;
}

static ares_ssize_t ask_receive(ares_socket_t number, void *to, size_t size, int flags, struct sockaddr *from,
                                ares_socklen_t *from_size, void *arg)
{
    struct line *l = line_of(arg, number);
    size_t n = l->n < size ? l->n : size;

    (void)flags;
    errno = l->err ? l->err : EAGAIN;
    l->err = 0;
    if (!l->data)
        return -1;
    memcpy(to, l->data, n);
    l->data = NULL;
    put_address(l, from, from_size);
    return (ares_ssize_t)n;
}

static ares_ssize_t ask_send(ares_socket_t number, const struct iovec *v, int count, void *arg)
{
    struct line *l = line_of(arg, number);
    uint8_t query[512];
    size_t n = 0;
    int r;

    for (int i = 0; i < count && n + v[i].iov_len <= sizeof(query); i++) {
        memcpy(query + n, v[i].iov_base, v[i].iov_len);
        n += v[i].iov_len;
    }
    r = xk_udp_send(&l->udp, l->peer, l->port, query, n);
    if (r == 0)
        return (ares_ssize_t)n;
    errno = r == XK_EAGAIN ? ENOBUFS : EHOSTUNREACH; /* the next server, or the next round */
    return -1;
}

static const struct ares_socket_functions functions = {ask_socket, ask_close, ask_connect, ask_receive, ask_send};

/* --- what it found ------------------------------------------------------------------------------------------------ */

static int error_of(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return 0;
    case ARES_ENODATA:
    case ARES_ENOTFOUND:
        return XK_ENOENT;
    case ARES_ETIMEOUT:
        return XK_ETIMEDOUT;
    case ARES_ECONNREFUSED:
    case ARES_EREFUSED:
    case ARES_ESERVFAIL:
    case ARES_ENOTIMP:
        return XK_ECONNREFUSED;
    case ARES_EBADNAME:
    case ARES_EBADSTR:
    case ARES_EBADFAMILY:
        return XK_EINVAL;
    case ARES_ENOMEM:
        return XK_ENOMEM;
    default:
        return XK_EPROTO;
    }
}

static int has(const struct xk_resolution *r, struct xk_ip ip) /* c-ares lists some once a kind of socket */
{
    unsigned i = 0;

    while (i < r->n && !xk_ip_equal(r->found[i], ip))
        i++;
    return i < r->n;
}

/* Those that there is a way to come first, of these IPv6's (RFC 6724's rules 1 and 6, as far as a host with one network
 * needs them). */
static void put_found(struct xk_resolution *r, const struct xk_ip *ip, int reachable,
                      const struct ares_addrinfo_node *a)
{
    for (; a && r->n < XK_RESOLVE_ADDRESSES; a = a->ai_next) {
        struct sockaddr_in four;
        struct xk_ip found = {{0}};
        if (a->ai_family == AF_INET6)
            memcpy(found.b, (const uint8_t *)a->ai_addr + offsetof(struct sockaddr_in6, sin6_addr), 16);
        if (a->ai_family == AF_INET) {
            memcpy(&four, a->ai_addr, sizeof(four));
            found = xk_ip_of4(ntohl(four.sin_addr.s_addr));
        }
        if (xk_ip_is4(found) != xk_ip_is4(*ip) || xk_inet_has_way(r->s, found) != reachable || has(r, found))
            continue;
        r->ttl = (uint32_t)a->ai_ttl < r->ttl ? (uint32_t)a->ai_ttl : r->ttl;
        r->found[r->n++] = found;
    }
}

static void on_found(void *arg, int status, int timeouts, struct ares_addrinfo *list)
{
    static const struct xk_ip four = {{[10] = 255, [11] = 255}}, six = {{0}};
    struct xk_resolution *r = arg;

    (void)timeouts;
    r->err = error_of(status);
    r->ttl = UINT32_MAX;
    if (status == ARES_SUCCESS && list)
        for (int reachable = 1; reachable >= 0; reachable--) {
            put_found(r, &six, reachable, list->nodes);
            put_found(r, &four, reachable, list->nodes);
        }
    if (r->err == 0 && r->n == 0)
        r->err = XK_ENOENT;
    r->ttl = r->ttl == UINT32_MAX ? 0 : r->ttl;
    r->over = 1;
    if (list)
        ares_freeaddrinfo(list);
}

/* --- the beginning ------------------------------------------------------------------------------------------------ */

static int put_servers(ares_channel channel, const struct xk_resolve_config *c)
{
    char csv[XK_RESOLVE_SERVERS * CSV] = "", text[XK_IP_TEXT];
    size_t n = 0;

    for (int i = 0; i < c->servers; i++) {
        xk_ip_write(c->server[i], text);
        n += (size_t)snprintf(csv + n, sizeof(csv) - n, xk_ip_is4(c->server[i]) ? "%s%s:%u" : "%s[%s]:%u", i ? "," : "",
                              text, c->port ? c->port : 53u);
    }
    return ares_set_servers_ports_csv(channel, csv);
}

static int open_channel(struct xk_resolution *r, const struct xk_resolve_config *c)
{
    char lookups[] = "b", domain[XK_RESOLVE_NAME + 1] = "", *domains[] = {domain};
    struct ares_options o = {.flags = ARES_FLAG_NOALIASES | ARES_FLAG_IGNTC | ARES_FLAG_EDNS | ARES_FLAG_STAYOPEN};
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS | ARES_OPT_LOOKUPS |
               ARES_OPT_DOMAINS | ARES_OPT_NOROTATE | ARES_OPT_EDNSPSZ;
    unsigned seed;

    o.timeout = c->timeout ? (int)c->timeout : 1000;
    o.tries = c->tries ? c->tries : 3;
    o.ndots = 1;
    o.lookups = lookups;
    o.ednspsz = EDNS;
    if (c->domain) {
        strncpy(domain, c->domain, sizeof(domain) - 1);
        o.domains = domains;
        o.ndomains = 1;
    }
    /* Without /dev/urandom its numbers come from rand(). */
    if (xk_entropy(xk_loop_platform(r->loop), &seed, sizeof(seed)) == 0)
        srand(seed);
    if (ares_init_options(&r->channel, &o, mask) != ARES_SUCCESS)
        return XK_ENOMEM;
    ares_set_socket_functions(r->channel, &functions, r);
    if (put_servers(r->channel, c) == ARES_SUCCESS)
        return 0;
    ares_destroy(r->channel);
    return XK_EINVAL;
}

/* An address as text needs nobody: c-ares 1.18 answers it, and asks the servers all the same. */
static void begin(struct xk_resolution *r, const char *name, const struct ares_addrinfo_hints *hints)
{
    if (xk_ip_read(name, &r->found[0]) < 0) {
        ares_getaddrinfo(r->channel, name, NULL, hints, on_found, r);
        return;
    }
    r->over = 1;
    r->n = hints->ai_family == AF_UNSPEC || xk_ip_is4(r->found[0]) == (hints->ai_family == AF_INET);
    r->err = r->n ? 0 : XK_ENOENT;
}

int xk_lookup_start(const xk_alloc *alloc, struct xk_loop *loop, struct xk_inet *s,
                    const struct xk_resolve_config *config, const char *name, int version, struct xk_lookup *l)
{
    struct ares_addrinfo_hints hints = {.ai_flags = ARES_AI_NOSORT};
    struct xk_resolution *r;
    int err;

    if (config->servers == 0 || config->servers > XK_RESOLVE_SERVERS || !name[0] || strlen(name) > XK_RESOLVE_NAME ||
        l->r)
        return XK_EINVAL;
    r = xk_new(alloc, sizeof(*r));
    if (!r)
        return XK_ENOMEM;
    r->alloc = alloc ? *alloc : *xk_alloc_libc();
    r->loop = loop;
    r->s = s;
    r->l = l;
    r->timer.fn = on_timer;
    err = open_channel(r, config);
    if (err < 0) {
        xk_free(alloc, r, sizeof(*r));
        return err;
    }
    l->r = r;
    hints.ai_family = version == XK_RESOLVE_IP4 ? AF_INET : version == XK_RESOLVE_IP6 ? AF_INET6 : AF_UNSPEC;
    begin(r, name, &hints);
    if (r->over)
        err = xk_timer_start(loop, &r->timer, XK_NOW); /* from within the loop, also what is known at once */
    else
        go_on(r);
    return err;
}

void xk_lookup_stop(struct xk_lookup *l)
{
    if (l->r)
        drop(l->r);
}
