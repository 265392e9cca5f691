/* The kernel's network between two processes: a veth pair, each end in a network namespace of its own, which this
 * program makes (as root, or in a user namespace) and which ends with it.
 *
 *     net_peer tcp|udp|echo SIZE MS [off]
 *
 * tcp: one stream, written SIZE bytes at a time; udp: datagrams by sendmmsg and recvmmsg; echo: datagrams that are sent
 * back by recvmmsg and sendmmsg, 128 under way. off: no segmentation, no receive offload, no checksum offload. Prints
 * as net_bench. SPDX-License-Identifier: MIT */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { BATCH = 32, WINDOW = 128, PORT = 7007, MOST = 65536 };

static struct shared {
    atomic_int met[2], ready[2], stop;
    uint64_t cpu_ns[2], arrived, bytes, ns;
} * shared;

static char mode;
static size_t size;
static double ms;
static int off;
static char data[BATCH][MOST];

static void die(const char *what)
{
    fprintf(stderr, "net_peer: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static void sh(const char *command)
{
    if (system(command) != 0)
        die(command);
}

static void no_offload(const char *name)
{
    static const uint32_t what[] = {ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO, ETHTOOL_STXCSUM, ETHTOOL_SRXCSUM};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    for (unsigned i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
        struct ethtool_value v = {what[i], 0};
        struct ifreq r;
        memset(&r, 0, sizeof(r));
        strcpy(r.ifr_name, name);
        r.ifr_data = (void *)&v;
        (void)ioctl(fd, SIOCETHTOOL, &r);
    }
    close(fd);
}

static struct sockaddr_in address(int side)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};

    a.sin_addr.s_addr = htonl(0x0a630001u + (uint32_t)side);
    return a;
}

static void wait_for(atomic_int *word)
{
    for (int i = 0; !atomic_load(word) && i < 50000; i++)
        usleep(100);
}

static int udp_socket(int side)
{
    struct sockaddr_in a = address(side), to = address(!side);
    int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 4 << 20;

    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    if (bind(fd, (void *)&a, sizeof(a)) < 0 || connect(fd, (void *)&to, sizeof(to)) < 0)
        die("socket");
    return fd;
}

static void prepare(struct mmsghdr *m, struct iovec *io, size_t n)
{
    for (int i = 0; i < BATCH; i++) {
        io[i] = (struct iovec){data[i], n};
        m[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &io[i], .msg_iovlen = 1}};
    }
}

static void count(uint64_t arrived, uint64_t bytes, uint64_t began)
{
    shared->arrived = arrived;
    shared->bytes = bytes;
    shared->ns = bench_now() - began;
}

/* (sender) sends, the other counts; with an echo it answers, and the sender counts. */
static void udp(int side, int sender)
{
    struct mmsghdr m[BATCH];
    struct iovec io[BATCH];
    int fd = udp_socket(side), flags = sender ? MSG_DONTWAIT : MSG_WAITFORONE;
    uint64_t began, cpu, arrived = 0, bytes = 0, sent = 0;
    struct timeval patience = {0, 50000};

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    atomic_store(&shared->ready[side], 1);
    wait_for(&shared->ready[!side]);
    began = bench_now();
    cpu = bench_cpu();
    while (!atomic_load(&shared->stop)) {
        int n;
        if (sender && (mode == 'u' || sent < arrived + WINDOW)) {
            prepare(m, io, size);
            n = sendmmsg(fd, m, BATCH, 0);
            sent += n > 0 ? (uint64_t)n : 0;
        }
        if (!sender || mode == 'e') {
            prepare(m, io, MOST);
            n = recvmmsg(fd, m, BATCH, flags, NULL);
            arrived += n > 0 ? (uint64_t)n : 0;
            for (int i = 0; i < n; i++) {
                bytes += m[i].msg_len;
                io[i].iov_len = m[i].msg_len;
            }
            if (!sender && mode == 'e' && n > 0)
                (void)!sendmmsg(fd, m, (unsigned)n, 0);
        }
        if (sender && bench_now() > began + (uint64_t)(ms * 1e6))
            atomic_store(&shared->stop, 1);
    }
    if (sender ? mode == 'e' : mode != 'e')
        count(arrived, bytes, began);
    shared->cpu_ns[sender] = bench_cpu() - cpu;
}

static void tcp(int side, int sender)
{
    struct sockaddr_in a = address(0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    uint64_t began, cpu, bytes = 0;

    if (!sender) {
        int listener = fd, one = 1;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (bind(fd, (void *)&a, sizeof(a)) < 0 || listen(fd, 1) < 0)
            die("listen");
        atomic_store(&shared->ready[side], 1);
        fd = accept(listener, NULL, NULL);
    } else {
        wait_for(&shared->ready[!side]);
        if (connect(fd, (void *)&a, sizeof(a)) < 0)
            die("connect");
    }
    began = bench_now();
    cpu = bench_cpu();
    for (;;) {
        ssize_t n = sender ? send(fd, data, size, MSG_NOSIGNAL) : recv(fd, data, sizeof(data), 0);
        if (n <= 0)
            break;
        bytes += (uint64_t)n;
        if (sender && bench_now() > began + (uint64_t)(ms * 1e6))
            break;
    }
    if (!sender)
        count(bytes / 1460, bytes, began);
    shared->cpu_ns[sender] = bench_cpu() - cpu;
    close(fd);
}

static void side_main(int side, int sender)
{
    bench_pin(side);
    if (mode == 't')
        tcp(side, sender);
    else
        udp(side, sender);
    _exit(0);
}

/* The first side makes the pair, and gives one end to the second. */
static void set_up(int side, pid_t other)
{
    char command[256];

    if (unshare(CLONE_NEWNET) < 0)
        die("a network namespace");
    if (side == 1) {
        atomic_store(&shared->met[1], 1);
        wait_for(&shared->met[0]);
    } else {
        wait_for(&shared->met[1]);
        snprintf(command, sizeof(command), "ip link add xkb0 type veth peer name xkb1 && ip link set xkb1 netns %d",
                 other);
        sh(command);
    }
    snprintf(command, sizeof(command), "ip link set xkb%d up && ip addr add 10.99.0.%d/24 dev xkb%d", side, side + 1,
             side);
    if (side == 0)
        atomic_store(&shared->met[0], 1);
    sh(command);
    if (off)
        no_offload(side ? "xkb1" : "xkb0");
    usleep(100000); /* both are up */
}

int main(int argc, char **argv)
{
    pid_t child;
    int status, server = 0;
    double n;

    if (argc < 4) {
        fprintf(stderr, "use: net_peer tcp|udp|echo SIZE MS [off]\n");
        return 2;
    }
    mode = argv[1][0];
    size = (size_t)atoi(argv[2]);
    ms = atof(argv[3]);
    off = argc > 4;
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (size > MOST || shared == MAP_FAILED)
        die("set-up");
    if (geteuid() != 0 && unshare(CLONE_NEWUSER) < 0)
        die("needs root, or user namespaces");
    child = fork();
    if (child == 0) {
        set_up(1, 0);
        side_main(1, 1);
    }
    set_up(server, child);
    if (fork() == 0)
        side_main(0, 0);
    while (wait(&status) > 0)
        if (status)
            return 1;
    n = (double)shared->arrived;
    printf("rate=%.0f bits=%.0f cpu_ns=%.0f sender_ns=%.0f receiver_ns=%.0f\n", n / (double)shared->ns * 1e9,
           (double)shared->bytes * 8 / (double)shared->ns * 1e9, (double)(shared->cpu_ns[0] + shared->cpu_ns[1]) / n,
           (double)shared->cpu_ns[1] / n, (double)shared->cpu_ns[0] / n);
    return 0;
}
