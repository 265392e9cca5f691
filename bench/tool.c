/* Small things that bench/run, a Lua script without any module, cannot do itself.
 *
 *     bench_tool around PID COMMAND...     runs COMMAND, then tells the CPU time of PID's tree meanwhile
 *     bench_tool run COMMAND...            how long it takes, and its CPU time
 *     bench_tool first COMMAND...          from fork to COMMAND's first line, which is printed too
 *     bench_tool wait unix|tcp|dns WHERE MS   until a server answers there
 *     bench_tool port                      a port that is free now
 *     bench_tool make DIR N FOLDERS [IMAGE CLUSTER]   so many folders in DIR with N files up to 8 KB each, and nothing
 *                                          else; or also reads what they would take of a file system with such clusters
 *
 * SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "bench.h"

static int around(long pid, char **command)
{
    uint64_t cpu = bench_cpu_tree(pid), t = bench_now();
    pid_t child = fork();
    int status = 1;

    if (child == 0) {
        execvp(command[0], command);
        _exit(127);
    }
    waitpid(child, &status, 0);
    printf("\nwall_ns=%llu cpu=%llu\n", (unsigned long long)(bench_now() - t),
           (unsigned long long)(bench_cpu_tree(pid) - cpu));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* Its processor time is that of all it started and waited for. */
static int run(char **command)
{
    uint64_t t = bench_now(), took;
    struct rusage use;
    int status = 1;
    pid_t child = fork();

    if (child == 0) {
        execvp(command[0], command);
        _exit(127);
    }
    waitpid(child, &status, 0);
    took = bench_now() - t;
    getrusage(RUSAGE_CHILDREN, &use);
    printf("\nns=%llu cpu_ns=%llu\n", (unsigned long long)took,
           (unsigned long long)((use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000000ll +
                                (use.ru_utime.tv_usec + use.ru_stime.tv_usec) * 1000ll));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int first(char **command)
{
    char line[200];
    uint64_t t, took;
    int p[2], got = 0;
    pid_t child;
    FILE *f;

    if (pipe(p) < 0)
        return 1;
    t = bench_now();
    child = fork();
    if (child == 0) {
        dup2(p[1], 1);
        close(p[0]);
        close(p[1]);
        execvp(command[0], command);
        _exit(127);
    }
    close(p[1]);
    f = fdopen(p[0], "r");
    got = f && fgets(line, sizeof(line), f) != NULL;
    took = bench_now() - t;
    for (int i = 0; i < 200 && waitpid(child, NULL, WNOHANG) == 0; i++) {
        if (i == 100)
            kill(child, SIGTERM);
        if (i == 199) {
            kill(child, SIGKILL);
            waitpid(child, NULL, 0);
        }
        usleep(10000);
    }
    if (!got)
        return 1;
    printf("%sns=%llu\n", line, (unsigned long long)took);
    return 0;
}

static int answers(const char *kind, const char *where)
{
    static const uint8_t query[] = {1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 1}; /* SOA of the root */
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int local = strcmp(kind, "unix") == 0, dns = strcmp(kind, "dns") == 0, ok;
    int fd = socket(local ? AF_UNIX : AF_INET, dns ? SOCK_DGRAM : SOCK_STREAM, 0);
    struct timeval soon = {0, 200000};
    char reply[512];

    snprintf(un.sun_path, sizeof(un.sun_path), "%s", where);
    in.sin_port = htons((uint16_t)atoi(where));
    ok = connect(fd, local ? (struct sockaddr *)&un : (struct sockaddr *)&in, local ? sizeof(un) : sizeof(in)) == 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
    if (ok && dns)
        ok = send(fd, query, sizeof(query), 0) > 0 && recv(fd, reply, sizeof(reply), 0) > 0;
    close(fd);
    return ok;
}

static int wait_for(const char *kind, const char *where, uint64_t ms)
{
    uint64_t end = bench_now() + ms * 1000000u;

    while (!answers(kind, where)) {
        if (bench_now() > end)
            return 1;
        usleep(20000);
    }
    return 0;
}

static int port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(fd, (struct sockaddr *)&a, n) < 0 || getsockname(fd, (struct sockaddr *)&a, &n) < 0)
        return 1;
    printf("%d\n", ntohs(a.sin_port));
    return 0;
}

static struct {
    int file; /* -1: none */
    size_t cluster;
    off_t at;
    size_t left; /* of what was read last */
} image = {.file = -1};

/* The clusters of a file, 32 KiB at a time, one behind the other. */
static int read_for(size_t size)
{
    static char window[32768];
    size_t want = (size + image.cluster - 1) / image.cluster * image.cluster;

    for (; want > image.left; image.at += (off_t)image.left) {
        ssize_t n = pread(image.file, window, sizeof(window), image.at);
        want -= image.left;
        image.left = n > 0 ? (size_t)n : 0;
        if (n <= 0)
            return 1;
    }
    image.left -= want;
    return 0;
}

static int make_files(const char *in, int n)
{
    static char zeroes[8192];
    int dir = mkdir(in, 0700) < 0 ? -1 : open(in, O_RDONLY | O_DIRECTORY), bad = dir < 0;

    for (int i = 1; i <= n && !bad; i++) {
        char name[32];
        size_t size = (size_t)i * 7 % 8000;
        int fd;
        if (image.file >= 0 && read_for(size))
            return 1;
        snprintf(name, sizeof(name), "file%d.txt", i);
        fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
        bad = fd < 0 || (size && write(fd, zeroes, size) != (ssize_t)size);
        close(fd);
    }
    close(dir);
    return bad;
}

static int make_folders(const char *in, int n, int folders)
{
    char path[200];
    int bad = mkdir(in, 0700) < 0;

    for (int i = 0; i < folders && !bad; i++) {
        snprintf(path, sizeof(path), "%s/d%d", in, i);
        bad = make_files(path, n);
    }
    return bad;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (strcmp(verb, "around") == 0 && argc > 3)
        return around(strtol(argv[2], NULL, 10), argv + 3);
    if (strcmp(verb, "run") == 0 && argc > 2)
        return run(argv + 2);
    if (strcmp(verb, "first") == 0 && argc > 2)
        return first(argv + 2);
    if (strcmp(verb, "wait") == 0 && argc == 5)
        return wait_for(argv[2], argv[3], strtoull(argv[4], NULL, 10));
    if (strcmp(verb, "port") == 0)
        return port();
    if (strcmp(verb, "make") == 0 && argc == 7 && atoi(argv[6]) > 0) {
        image.cluster = (size_t)atoi(argv[6]);
        image.file = open(argv[5], O_RDONLY);
        if (image.file < 0)
            return 1;
    }
    if (strcmp(verb, "make") == 0 && (argc == 5 || argc == 7))
        return make_folders(argv[2], atoi(argv[3]), atoi(argv[4]));
    fprintf(stderr, "use: bench_tool around PID COMMAND... | run COMMAND... | first COMMAND... | wait unix|tcp|dns "
                    "WHERE MS | port | make DIR N FOLDERS [IMAGE CLUSTER]\n");
    return 2;
}
