/* Writes and reads a disk for some seconds, past the cache, in mixed sizes, and checks every byte: disk_check DEVICE
 * SECONDS [REGION-MIB [PROCESSES]]. Four processes with a quarter each, so that requests are under way side by side; of
 * more of them each request is small, and so there are many. Ends with a line of figures; status 1 when anything was
 * wrong. SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SECTOR = 512, MOST = 256 * 1024, FEW = 4, MANY = 64 };

static unsigned processes = FEW;

struct figures {
    uint64_t reads, writes, syncs, wrong, errors;
};

static uint64_t seed;
static uint64_t roll(uint64_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed >> 33) % n;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What stands in a sector: its number and which writing of it this was, over and over. */
static void fill(uint8_t *buf, uint64_t sector, uint32_t n, const uint32_t *generation)
{
    for (uint32_t i = 0; i < n; i++)
        for (unsigned k = 0; k < SECTOR; k += 16) {
            uint64_t word[2] = {sector + i, generation[sector + i] * 0x9e3779b97f4a7c15u + k};
            memcpy(buf + (size_t)i * SECTOR + k, word, 16);
        }
}

static void once(int fd, uint64_t from, uint64_t sectors, uint8_t *buf, uint8_t *want, uint32_t *generation,
                 struct figures *f)
{
    static const uint32_t sizes[] = {1, 1, 8, 8, 8, 16, 64, 88, 96, 256, 512};
    uint32_t n = sizes[roll(processes > FEW ? 5 : sizeof(sizes) / sizeof(*sizes))];
    uint64_t at = from + roll(sectors - n);
    int write = roll(2) == 0;
    ssize_t r;

    if (roll(50) == 0) {
        f->errors += fsync(fd) != 0;
        f->syncs++;
    }
    for (uint32_t i = 0; write && i < n; i++)
        generation[at + i]++;
    fill(want, at, n, generation);
    if (write) {
        memcpy(buf, want, (size_t)n * SECTOR);
        r = pwrite(fd, buf, (size_t)n * SECTOR, (off_t)(at * SECTOR));
        f->writes++;
    } else {
        r = pread(fd, buf, (size_t)n * SECTOR, (off_t)(at * SECTOR));
        f->reads++;
    }
    if (r != (ssize_t)(n * SECTOR)) {
        if (f->errors++ < 3)
            fprintf(stderr, "%s %u sectors at %llu: %s\n", write ? "write" : "read", n, (unsigned long long)at,
                    r < 0 ? strerror(errno) : "short");
    } else if (!write && memcmp(buf, want, (size_t)n * SECTOR)) {
        if (f->wrong++ < 3)
            fprintf(stderr, "wrong: %u sectors at %llu\n", n, (unsigned long long)at);
    }
}

static void work(const char *path, uint64_t from, uint64_t sectors, uint32_t *generation, double until,
                 struct figures *f)
{
    int fd = open(path, O_RDWR | O_DIRECT);
    uint8_t *buf = aligned_alloc(4096, MOST), *want = malloc(MOST);

    if (fd < 0 || !buf || !want) {
        perror(path);
        f->errors++;
        return;
    }
    for (uint64_t at = from; at < from + sectors; at += MOST / SECTOR) { /* all of it is ours from here on */
        uint32_t n = (uint32_t)(from + sectors - at < MOST / SECTOR ? from + sectors - at : MOST / SECTOR);
        fill(buf, at, n, generation);
        f->errors += pwrite(fd, buf, (size_t)n * SECTOR, (off_t)(at * SECTOR)) != (ssize_t)(n * SECTOR);
    }
    while (now() < until && f->errors + f->wrong < 10)
        once(fd, from, sectors, buf, want, generation, f);
    f->errors += fsync(fd) != 0;
}

int main(int argc, char **argv)
{
    double until = now() + (argc > 2 ? atof(argv[2]) : 5);
    uint64_t sectors = (argc > 3 ? strtoull(argv[3], NULL, 10) : 8) * 2048, each;
    uint32_t *generation = mmap(NULL, sectors * 4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct figures *f = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), all = {0};

    if (argc < 2 || generation == MAP_FAILED || f == MAP_FAILED) {
        fprintf(stderr, "disk_check DEVICE SECONDS [REGION-MIB [PROCESSES]]\n");
        return 2;
    }
    if (argc > 4 && atoi(argv[4]) > 0 && atoi(argv[4]) <= MANY)
        processes = (unsigned)atoi(argv[4]);
    each = sectors / processes;
    for (unsigned i = 0; i < processes; i++) {
        if (fork())
            continue;
        seed = i * 77 + 1;
        work(argv[1], i * each, each, generation, until, &f[i]);
        _exit(0);
    }
    for (unsigned i = 0; i < processes; i++) {
        int status;
        wait(&status);
        all.errors += status != 0;
    }
    for (unsigned i = 0; i < processes; i++) {
        all.reads += f[i].reads;
        all.writes += f[i].writes;
        all.syncs += f[i].syncs;
        all.wrong += f[i].wrong;
        all.errors += f[i].errors;
    }
    printf("reads=%llu writes=%llu syncs=%llu wrong=%llu errors=%llu\n", (unsigned long long)all.reads,
           (unsigned long long)all.writes, (unsigned long long)all.syncs, (unsigned long long)all.wrong,
           (unsigned long long)all.errors);
    return all.wrong || all.errors;
}
