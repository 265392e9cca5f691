/* netfront to netback between two hosted guests, each a process with a stack of its own.
 *
 *     net_bench udp|frames|echo SIZE MS
 *
 * udp: datagrams of SIZE bytes from the front end's side to the back end's, stack to stack; frames: raw frames of SIZE
 * bytes, which are large packets beyond 1514; echo: datagrams of SIZE bytes from the back end's side, sent back by the
 * other. Prints what arrived a second, bits a second, and the processor time of each side for one. The parent is domain
 * 0 and off the data path. SPDX-License-Identifier: MIT */
#include "bench.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <xenkit/inet.h>
#include <xenkit/netback.h>
#include <xenkit/netfront.h>

#include "hosted_pair.h"

enum { ALL = XK_NET_CSUM4 | XK_NET_CSUM6 | XK_NET_GSO4 | XK_NET_GSO6 | XK_NET_LARGE, BURST = 32, WINDOW = 128 };
enum { FRONT_IP = 0x0a000002, BACK_IP = 0x0a000001 };

static struct shared { /* of the processes */
    atomic_int domid[2], rings_ready, go, stop;
    struct xk_netfront_rings rings;
    uint64_t cpu_ns[2], arrived, bytes, ns;
} * shared;

static struct options {
    char mode; /* 'u', 'f', 'e' */
    uint32_t size;
    double ms;
} o;

static void die(const char *what)
{
    fprintf(stderr, "net_bench: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static void pin(int cpu)
{
    if (!getenv("XK_BENCH_ONE_CPU"))
        bench_pin(cpu);
    bench_realtime();
}

static int await(atomic_int *word)
{
    for (int i = 0; atomic_load(word) < 0 && i < 50000; i++)
        usleep(100);
    return atomic_load(word);
}

/* --- both ends ---------------------------------------------------------------------------------------------------- */

struct end {
    struct xk_platform *p;
    struct xk_loop *loop;
    struct xk_netdev *dev;
    struct xk_inet *inet;
    struct xk_udp udp;
    uint64_t arrived, bytes;
    int sender;
};

static void on_datagram(struct xk_udp *u, struct xk_ip from, uint16_t port, struct xk_ip to, const uint8_t *data,
                        size_t n)
{
    struct end *e = (struct end *)((char *)u - offsetof(struct end, udp));

    (void)to;
    e->arrived++;
    e->bytes += n;
    if (o.mode == 'e')
        (void)xk_udp_send(u, from, port, data, n);
}

static void on_frames(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    struct end *e = d->user;

    e->arrived += n;
    for (unsigned i = 0; i < n; i++)
        e->bytes += p[i].len;
}

static void take_up(struct end *e, xk_ip4 ip)
{
    if (o.mode == 'f') {
        e->dev->user = e;
        e->dev->receive = on_frames;
        return;
    }
    e->udp.receive = on_datagram;
    if (xk_inet_open(NULL, e->loop, e->dev, &e->inet) < 0 || xk_inet_set(e->inet, ip, 24, 0) < 0 ||
        xk_udp_open(e->inet, &e->udp, 7) < 0)
        die("the stack");
}

/* Until it is time: sends as much as there is room for, or answers. */
static void run(struct end *e, xk_ip4 to)
{
    static uint8_t frame[XK_PACKET_MAX] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0};
    struct xk_packet p = {frame, o.size, XK_PACKET_CSUM_VALID, XK_GSO_NONE, 0};
    uint64_t cpu = 0, began = 0, sent = 0, first = 0, first_bytes = 0;

    if (o.size > 1514) {
        p.gso = XK_GSO_TCP4;
        p.gso_size = 1448;
    }
    while (!atomic_load(&shared->stop)) {
        if (!cpu && atomic_load(&shared->go) == 1) {
            cpu = bench_cpu();
            began = bench_now();
            first = e->arrived;
            first_bytes = e->bytes;
        }
        if (e->sender && o.mode == 'f') {
            for (int i = 0; i < BURST && xk_net_send(e->dev, &p) == 0; i++)
                ;
            xk_net_kick(e->dev);
        } else if (e->sender && (o.mode == 'u' || sent < e->arrived + WINDOW)) {
            for (int i = 0; i < BURST; i++)
                sent += xk_udp_send(&e->udp, xk_ip_of4(to), 7, frame, o.size) == 0;
        }
        xk_loop_run_once(e->loop, e->sender ? XK_NOW : xk_now(e->p) + 50 * XK_MS);
        if (e->sender && cpu && bench_now() > began + (uint64_t)(o.ms * 1e6))
            atomic_store(&shared->stop, 1);
    }
    if (e->sender ? o.mode == 'e' : o.mode != 'e') { /* who counts */
        shared->arrived = e->arrived - first;
        shared->bytes = e->bytes - first_bytes;
        shared->ns = bench_now() - began;
    }
    shared->cpu_ns[e->sender] = bench_cpu() - cpu;
}

/* An echo's datagrams are what comes back: they are counted, not answered. */
static void on_echo(struct xk_udp *u, struct xk_ip from, uint16_t port, struct xk_ip to, const uint8_t *data, size_t n)
{
    struct end *e = (struct end *)((char *)u - offsetof(struct end, udp));

    (void)from;
    (void)port;
    (void)to;
    (void)data;
    e->arrived++;
    e->bytes += n;
}

static void start(void)
{
    usleep(30000); /* both have met */
    atomic_store(&shared->go, 1);
}

static void serve(const struct hosted_pair *pair)
{
    struct end e = {.p = hosted_pair_join(pair, 0), .sender = o.mode == 'e'};
    struct xk_netback_config c = {.features = ALL, .mac = {2, 0, 0, 0, 0, 2}};
    struct xk_netback *back;

    if (!e.p || xk_cpus(e.p) < 1 || xk_loop_create(NULL, e.p, &e.loop) < 0)
        die("the back end");
    pin(0);
    xk_loop_set_spin(e.loop, XK_SPIN_WAKE);
    atomic_store(&shared->domid[0], xk_platform_domid(e.p));
    await(&shared->rings_ready);
    c.front = (xk_domid)await(&shared->domid[1]);
    c.tx = shared->rings.tx;
    c.rx = shared->rings.rx;
    c.tx_port = shared->rings.tx_port;
    c.rx_port = shared->rings.rx_port;
    if (xk_netback_open(NULL, e.loop, &c, &back) < 0)
        die("the rings");
    e.dev = xk_netback_device(back);
    e.dev->info.mac[5] = 1; /* the far side of the cable, so to speak */
    take_up(&e, BACK_IP);
    if (e.sender) {
        e.udp.receive = on_echo;
        start();
    }
    run(&e, FRONT_IP);
    if (getenv("XK_BENCH_VERBOSE")) {
        struct xk_netback_stats s;
        xk_netback_stats(back, &s);
        fprintf(stderr, "back: from %llu to %llu copies %llu notified %llu events %llu delayed %llu full %llu\n",
                (unsigned long long)s.packets[0], (unsigned long long)s.packets[1], (unsigned long long)s.copies,
                (unsigned long long)s.notified, (unsigned long long)s.events, (unsigned long long)s.delayed,
                (unsigned long long)s.full);
    }
}

static void drive(const struct hosted_pair *pair)
{
    struct end e = {.p = hosted_pair_join(pair, 1), .sender = o.mode != 'e'};
    struct xk_netfront_config c = {.features = ALL, .mac = {2, 0, 0, 0, 0, 2}};
    struct xk_netfront *front;

    if (!e.p || xk_cpus(e.p) < 1 || xk_loop_create(NULL, e.p, &e.loop) < 0)
        die("the front end");
    pin(1);
    xk_loop_set_spin(e.loop, XK_SPIN_WAKE);
    atomic_store(&shared->domid[1], xk_platform_domid(e.p));
    c.back = (xk_domid)await(&shared->domid[0]);
    if (xk_netfront_create(NULL, e.loop, &c, &front) < 0)
        die("the rings");
    xk_netfront_rings(front, &shared->rings);
    e.dev = xk_netfront_device(front);
    xk_netfront_connect(front);
    take_up(&e, FRONT_IP);
    atomic_store(&shared->rings_ready, 1);
    if (e.sender)
        start();
    run(&e, BACK_IP);
}

int main(int argc, char **argv)
{
    struct hosted_pair pair;
    pid_t side[2];
    double n;

    if (argc < 4) {
        fprintf(stderr, "use: net_bench udp|frames|echo SIZE MS\n");
        return 2;
    }
    o = (struct options){argv[1][0], (uint32_t)atoi(argv[2]), atof(argv[3])};
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (o.size > XK_PACKET_MAX || shared == MAP_FAILED || hosted_pair_prepare(&pair) < 0)
        die("set-up");
    atomic_store(&shared->domid[0], -1);
    atomic_store(&shared->domid[1], -1);
    atomic_store(&shared->rings_ready, -1);
    for (int i = 0; i < 2; i++) {
        side[i] = fork();
        if (side[i] == 0) {
            i == 0 ? serve(&pair) : drive(&pair);
            _exit(0);
        }
    }
    if (hosted_pair_attend(&pair) < 0)
        die("the world");
    for (int i = 0; i < 2; i++) {
        int status;
        waitpid(side[i], &status, 0);
        if (status)
            return 1;
    }
    n = (double)shared->arrived;
    printf("rate=%.0f bits=%.0f cpu_ns=%.0f sender_ns=%.0f receiver_ns=%.0f\n", n / (double)shared->ns * 1e9,
           (double)shared->bytes * 8 / (double)shared->ns * 1e9, (double)(shared->cpu_ns[0] + shared->cpu_ns[1]) / n,
           (double)shared->cpu_ns[1] / n, (double)shared->cpu_ns[0] / n);
    return 0;
}
