/* A plain driver for the fuzz targets where the compiler has no libFuzzer: replays the corpus, then mutates it for a
 * given time. `fuzz_x [-seconds N] [-seed N] FILE_OR_DIR...`. Inputs end at an unreadable page, so that one byte read
 * too far faults. With libFuzzer (preset fuzz) this file is not linked. SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 65536, MAX_CORPUS = 4096 };

static uint8_t *arena; /* INPUT_MAX bytes, then an unreadable page */
static struct {
    uint8_t *data;
    size_t size;
} corpus[MAX_CORPUS];
static unsigned corpus_count;
static uint64_t state = 1;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void run_one(const uint8_t *data, size_t size)
{
    uint8_t *p = arena + INPUT_MAX - size;

    if (size)
        memcpy(p, data, size);
    LLVMFuzzerTestOneInput(p, size);
}

static void load_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(INPUT_MAX);
    size_t n;

    if (!f || !data || corpus_count == MAX_CORPUS) {
        free(data);
        if (f)
            fclose(f);
        return;
    }
    n = fread(data, 1, INPUT_MAX, f);
    fclose(f);
    corpus[corpus_count].data = data;
    corpus[corpus_count++].size = n;
}

static void load(const char *path)
{
    char child[4096];
    struct dirent *e;
    DIR *d = opendir(path);

    if (!d) {
        load_file(path);
        return;
    }
    while ((e = readdir(d))) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(child, sizeof(child), "%s/%s", path, e->d_name);
        load_file(child);
    }
    closedir(d);
}

static size_t mutate(uint8_t *out)
{
    size_t size = 0;
    unsigned edits = 1 + (unsigned)(next_random() % 6);

    if (corpus_count) {
        unsigned i = (unsigned)(next_random() % corpus_count);
        size = corpus[i].size;
        memcpy(out, corpus[i].data, size);
    }
    while (edits--) {
        uint64_t r = next_random();
        size_t at = size ? (size_t)(r >> 8) % size : 0;
        switch (r % 6) {
        case 0: /* flip a bit */
            if (size)
                out[at] ^= (uint8_t)(1u << (r >> 60 & 7));
            break;
        case 1: /* a byte of interest */
            if (size)
                out[at] = (uint8_t) "\0\377\177\200\n\r :.\300"[(r >> 40) % 10];
            break;
        case 2: /* cut the end */
            size = at;
            break;
        case 3: /* insert */
            if (size < INPUT_MAX - 1) {
                memmove(out + at + 1, out + at, size - at);
                out[at] = (uint8_t)(r >> 48);
                size++;
            }
            break;
        case 4: /* repeat a piece */
            if (size && size < INPUT_MAX / 2) {
                size_t n = (size_t)(r >> 40) % (size - at) + 1;
                memmove(out + size, out + at, n);
                size += n;
            }
            break;
        default: /* any byte */
            if (size)
                out[at] = (uint8_t)(r >> 32);
        }
    }
    return size;
}

int main(int argc, char **argv)
{
    static uint8_t input[INPUT_MAX * 2];
    time_t end;
    int seconds = 0;
    unsigned long runs = 0;

    arena = mmap(NULL, INPUT_MAX + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (arena == MAP_FAILED || mprotect(arena + INPUT_MAX, 4096, PROT_NONE))
        return perror("mmap"), 1;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-seconds") == 0 && i + 1 < argc)
            seconds = atoi(argv[++i]);
        else if (strcmp(argv[i], "-seed") == 0 && i + 1 < argc)
            state = strtoull(argv[++i], NULL, 10) | 1;
        else
            load(argv[i]);
    }
    for (unsigned i = 0; i < corpus_count; i++, runs++)
        run_one(corpus[i].data, corpus[i].size);
    for (end = time(NULL) + seconds; time(NULL) < end;)
        for (int i = 0; i < 256; i++, runs++) {
            size_t n = mutate(input);
            run_one(input, n > INPUT_MAX ? INPUT_MAX : n);
        }
    printf("%lu inputs, %u of them from the corpus\n", runs, corpus_count);
    return 0;
}
