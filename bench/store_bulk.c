/* Many nodes and many domains for a xenstore server over its unix socket.
 *
 *     store_bulk SOCKET PID fill COUNT          nodes of 20 bytes, 1000 in a directory, 16 requests under way
 *     store_bulk SOCKET PID clear               removes them
 *     store_bulk SOCKET PID domains COUNT [FIRST]    trees as xl makes them for a guest with a disk and a network card
 *     store_bulk SOCKET PID teardown COUNT [FIRST]   and takes them away again; FIRST: the number of the first (1)
 *
 * With XK_BENCH_GATHER the requests that are under way together are sent by one call, as a client does that many tasks
 * share; otherwise each by its own. XK_BENCH_CLIENTS=N: the domains are shared by N processes with a connection each,
 * as several toolstacks would; a transaction that conflicts is done again.
 *
 * Prints wall and server CPU time for each node or domain, and what the server's memory grew by. The trees are those of
 * libxl 4.17, counted with xenstore-ls: 75 nodes a guest, in four transactions. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "bench.h"

#include <xen/io/xs_wire.h>

enum { WINDOW = 16, ROOM = 1 << 16 };

static int fd;
static uint32_t next_id, tx;
static unsigned under_way;
static char in[ROOM];
static size_t got;
static char out[ROOM]; /* what is gathered */
static size_t to_send;
static int gather, conflict;

static void die(const char *what)
{
    fprintf(stderr, "store_bulk: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void flush(void)
{
    if (to_send && send(fd, out, to_send, MSG_NOSIGNAL) != (ssize_t)to_send)
        die("send");
    to_send = 0;
}

/* The oldest answer; its text goes to (body). */
static void receive(char *body)
{
    struct xsd_sockmsg h;

    flush();
    while (got < sizeof(h) || (memcpy(&h, in, sizeof(h)), got < sizeof(h) + h.len)) {
        ssize_t n = recv(fd, in + got, sizeof(in) - got, 0);
        if (n <= 0)
            die("server closed");
        got += (size_t)n;
    }
    conflict |= h.type == XS_ERROR && strncmp(in + sizeof(h), "EAGAIN", 6) == 0;
    if (h.type == XS_ERROR && strncmp(in + sizeof(h), "ENOENT", 6) && !conflict) {
        fprintf(stderr, "store_bulk: server answers %.*s\n", (int)h.len, in + sizeof(h));
        exit(1);
    }
    if (body) {
        memcpy(body, in + sizeof(h), h.len);
        body[h.len] = '\0';
    }
    got -= sizeof(h) + h.len;
    memmove(in, in + sizeof(h) + h.len, got);
    under_way--;
}

static void drain(void)
{
    while (under_way)
        receive(NULL);
}

static void request(uint32_t type, const char *text, size_t n, const char *more, size_t m)
{
    struct xsd_sockmsg h = {type, ++next_id, tx, (uint32_t)(n + m)};
    char *to = out + to_send;

    memcpy(to, &h, sizeof(h));
    memcpy(to + sizeof(h), text, n);
    if (m)
        memcpy(to + sizeof(h) + n, more, m);
    to_send += sizeof(h) + n + m;
    if (!gather)
        flush();
    if (++under_way < WINDOW)
        return;
    if (gather)
        drain();
    else
        receive(NULL);
}

static void begin(void)
{
    char body[64];

    drain();
    conflict = 0;
    request(XS_TRANSACTION_START, "", 1, NULL, 0);
    receive(body);
    tx = (uint32_t)strtoul(body, NULL, 10);
}

/* 0: it has to be done again. */
static int commit(void)
{
    drain();
    conflict = 0;
    request(XS_TRANSACTION_END, "T", 2, NULL, 0);
    drain();
    tx = 0;
    return !conflict;
}

static void put(const char *dir, const char *name, const char *value)
{
    char path[160];
    int n = snprintf(path, sizeof(path), "%s/%s", dir, name);

    request(XS_WRITE, path, (size_t)n + 1, value, strlen(value));
}

static void perms(const char *path, const char *list, size_t n)
{
    request(XS_SET_PERMS, path, strlen(path) + 1, list, n);
}

static void rm(const char *path) { request(XS_RM, path, strlen(path) + 1, NULL, 0); }

/* --- nodes ------------------------------------------------------------------------------------------------------ */

static void fill(long count)
{
    for (long i = 0; i < count; i++) {
        char dir[48], name[32];
        snprintf(dir, sizeof(dir), "/bulk/%ld", i / 1000);
        snprintf(name, sizeof(name), "node-%ld", i);
        put(dir, name, "twenty bytes of text");
    }
    drain();
}

/* --- domains ---------------------------------------------------------------------------------------------------- */

static int device(long id, const char *kind, const char *number, int back_nodes, int front_nodes)
{
    char front[100], back[100], list[48], name[24];
    int n;

    snprintf(front, sizeof(front), "/local/domain/%ld/device/%s/%s", id, kind, number);
    snprintf(back, sizeof(back), "/local/domain/0/backend/%s/%ld/%s", kind, id, number);
    begin();
    n = snprintf(list, sizeof(list), "n%ld%cr0", id, 0);
    put(front, "backend", back);
    put(front, "backend-id", "0");
    put(front, "state", "1");
    for (int i = 0; i < front_nodes; i++) {
        snprintf(name, sizeof(name), "front-%d", i);
        put(front, name, "value");
    }
    perms(front, list, (size_t)n + 1);
    n = snprintf(list, sizeof(list), "n0%cr%ld", 0, id);
    put(back, "frontend", front);
    put(back, "state", "1");
    for (int i = 0; i < back_nodes; i++) {
        snprintf(name, sizeof(name), "back-%d", i);
        put(back, name, "value");
    }
    perms(back, list, (size_t)n + 1);
    return commit();
}

static int home_of(long id, const char *home)
{
    static const char *const home_dirs[] = {"control/shutdown",
                                            "control/feature-poweroff",
                                            "control/feature-reboot",
                                            "control/sysrq",
                                            "data",
                                            "drivers",
                                            "feature",
                                            "attr",
                                            "error"};
    char path[96], list[64], vm[64];
    int n = snprintf(list, sizeof(list), "n%ld%cr%ld", 0L, 0, id);

    snprintf(vm, sizeof(vm), "/vm/00000000-0000-4000-8000-%012ld", id);
    begin();
    rm(home);
    request(XS_MKDIR, home, strlen(home) + 1, NULL, 0);
    perms(home, list, (size_t)n + 1);
    put(vm, "uuid", "u");
    put(vm, "name", "guest");
    put(vm, "image", "kernel");
    put(vm, "start_time", "0");
    snprintf(path, sizeof(path), "/libxl/%ld", id);
    put(path, "type", "pvh");
    put(path, "dm-version", "none");
    n = snprintf(list, sizeof(list), "n%ld", id);
    for (size_t i = 0; i < sizeof(home_dirs) / sizeof(*home_dirs); i++) {
        snprintf(path, sizeof(path), "%s/%s", home, home_dirs[i]);
        request(XS_MKDIR, path, strlen(path) + 1, NULL, 0);
        perms(path, list, (size_t)n + 1);
    }
    return commit();
}

static int fields_of(const char *home)
{
    static const char *const plain[] = {"memory/static-max",
                                        "memory/target",
                                        "memory/videoram",
                                        "store/port",
                                        "store/ring-ref",
                                        "console/limit",
                                        "console/type",
                                        "console/output",
                                        "console/tty",
                                        "console/port",
                                        "console/ring-ref",
                                        "vm",
                                        "name",
                                        "domid"};

    begin();
    for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++)
        put(home, plain[i], "262144");
    return commit();
}

static void create(long id)
{
    char home[40];

    snprintf(home, sizeof(home), "/local/domain/%ld", id);
    while (!home_of(id, home))
        ;
    while (!fields_of(home))
        ;
    while (!device(id, "vbd", "51712", 12, 3))
        ;
    while (!device(id, "vif", "0", 8, 4))
        ;
}

static int remove_all(long id)
{
    char path[64];

    begin();
    snprintf(path, sizeof(path), "/local/domain/0/backend/vbd/%ld", id);
    rm(path);
    snprintf(path, sizeof(path), "/local/domain/0/backend/vif/%ld", id);
    rm(path);
    snprintf(path, sizeof(path), "/vm/00000000-0000-4000-8000-%012ld", id);
    rm(path);
    snprintf(path, sizeof(path), "/libxl/%ld", id);
    rm(path);
    snprintf(path, sizeof(path), "/local/domain/%ld", id);
    rm(path);
    return commit();
}

static void destroy(long id)
{
    while (!remove_all(id))
        ;
}

/* --- the program -------------------------------------------------------------------------------------------------- */

static void enter(const char *socket_path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", socket_path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        die(socket_path);
}

static void do_domains(int make, long first, long count)
{
    for (long i = first; i < first + count; i++)
        make ? create(i) : destroy(i);
    drain();
}

/* (clients) processes, each with its part of the domains. */
static void share(const char *socket_path, int make, long first, long count, long clients)
{
    int failed = 0, status;

    for (long i = 0; i < clients; i++) {
        long from = count * i / clients, to = count * (i + 1) / clients;
        if (fork() == 0) {
            enter(socket_path);
            do_domains(make, first + from, to - from);
            _exit(0);
        }
    }
    while (wait(&status) > 0)
        failed |= status;
    if (failed)
        exit(1);
}

int main(int argc, char **argv)
{
    long clients = getenv("XK_BENCH_CLIENTS") ? atol(getenv("XK_BENCH_CLIENTS")) : 1;
    long count = argc > 4 ? atol(argv[4]) : 1, pid = argc > 3 ? atol(argv[2]) : 0, before;
    long first = argc > 5 ? atol(argv[5]) : 1;
    uint64_t cpu, ns;

    if (argc < 4) {
        fprintf(stderr, "use: store_bulk SOCKET PID fill|clear|domains|teardown [COUNT [FIRST]]\n");
        return 2;
    }
    gather = getenv("XK_BENCH_GATHER") != NULL;
    enter(argv[1]);
    before = (long)bench_tree(pid, bench_resident_of);
    cpu = bench_cpu_tree(pid);
    ns = bench_now();
    if (strcmp(argv[3], "fill") == 0)
        fill(count);
    else if (strcmp(argv[3], "clear") == 0)
        rm("/bulk");
    else if (clients > 1)
        share(argv[1], argv[3][0] == 'd', first, count, clients);
    else
        do_domains(argv[3][0] == 'd', first, count);
    drain();
    ns = bench_now() - ns;
    cpu = bench_cpu_tree(pid) - cpu;
    printf("rate=%.0f wall_ns=%.0f cpu_ns=%.0f bytes=%.1f\n", (double)count * 1e9 / (double)ns,
           (double)ns / (double)count, (double)cpu / (double)count,
           (double)((long)bench_tree(pid, bench_resident_of) - before) / (double)count);
    return 0;
}
