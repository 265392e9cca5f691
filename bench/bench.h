/* What the benchmark programs share: clocks, pinning, and the CPU time of a whole process tree.
 *
 * A program prints one sample a line, "key=value" words; bench/run runs it often, takes turns between peers, and makes
 * medians. A clock alone lies on a shared machine, so each sample carries CPU time too. SPDX-License-Identifier: MIT */
#ifndef XK_BENCH_H
#define XK_BENCH_H

#include <dirent.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static inline uint64_t bench_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint64_t bench_now(void) { return bench_clock(CLOCK_MONOTONIC); }

/* CPU time of this process, all threads; getrusage tells the same in microseconds. */
static inline uint64_t bench_cpu(void) { return bench_clock(CLOCK_PROCESS_CPUTIME_ID); }

/* Where the processor does not exist or may not be used this thread stays where it is. */
static inline void bench_pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((unsigned)cpu, &set);
    (void)sched_setaffinity(0, sizeof(set), &set);
}

/* Short slices run ahead of all else on the machine where that is allowed: XK_BENCH_RT=0 forbids it. Threads and
 * children inherit it. */
static inline void bench_realtime(void)
{
    struct sched_param p = {.sched_priority = 5};
    const char *no = getenv("XK_BENCH_RT");

    if (!no || strcmp(no, "0") != 0)
        (void)sched_setscheduler(0, SCHED_RR, &p);
}

static inline void bench_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static inline int bench_compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The (permille) quantile of (n) values, which it sorts. */
static inline uint64_t bench_quantile(uint64_t *v, size_t n, unsigned permille)
{
    if (n == 0)
        return 0;
    qsort(v, n, sizeof(*v), bench_compare);
    return v[(n - 1) * permille / 1000];
}

/* Nanoseconds on a processor of all threads of (pid). schedstat counts them exactly, stat in ticks of 10 ms. */
static inline uint64_t bench_cpu_of(long pid)
{
    char path[400], dir[64];
    uint64_t sum = 0;
    struct dirent *e;
    DIR *d;

    snprintf(dir, sizeof(dir), "/proc/%ld/task", pid);
    d = opendir(dir);
    while (d && (e = readdir(d))) {
        unsigned long long ns, user, sys;
        FILE *f;
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s/schedstat", dir, e->d_name);
        f = fopen(path, "r");
        if (f && fscanf(f, "%llu", &ns) == 1) {
            sum += ns;
        } else {
            if (f)
                fclose(f);
            snprintf(path, sizeof(path), "%s/%s/stat", dir, e->d_name);
            f = fopen(path, "r");
            if (f && fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &sys) == 2)
                sum += (user + sys) * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
        }
        if (f)
            fclose(f);
    }
    if (d)
        closedir(d);
    return sum;
}

/* The sum for (pid) and all that it started: a server may be a tree of domains. */
static inline uint64_t bench_tree(long pid, uint64_t (*of)(long pid))
{
    uint64_t sum = of(pid);
    struct dirent *e;
    DIR *d = opendir("/proc");

    while (d && (e = readdir(d))) {
        char path[300];
        long parent = 0;
        FILE *f;
        if (e->d_name[0] < '0' || e->d_name[0] > '9')
            continue;
        snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
        f = fopen(path, "r");
        if (!f)
            continue;
        if (fscanf(f, "%*d (%*[^)]) %*c %ld", &parent) == 1 && parent == pid)
            sum += bench_tree(strtol(e->d_name, NULL, 10), of);
        fclose(f);
    }
    if (d)
        closedir(d);
    return sum;
}

static inline uint64_t bench_cpu_tree(long pid) { return bench_tree(pid, bench_cpu_of); }

/* Bytes in memory. */
static inline uint64_t bench_resident_of(long pid)
{
    char path[64];
    unsigned long total = 0, pages = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%ld/statm", pid);
    f = fopen(path, "r");
    if (f && fscanf(f, "%lu %lu", &total, &pages) != 2)
        pages = 0;
    if (f)
        fclose(f);
    return pages * 4096;
}

#endif
