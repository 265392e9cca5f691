/* SPDX-License-Identifier: MIT */
#include "kernel/entropy.h"

#include "kernel/x86.h"

enum { KEY_WORDS = 8, BLOCK_WORDS = 16, RDRAND_TRIES = 16 };

static uint32_t key[KEY_WORDS];
static int seeded;

int entropy_seeded(void) { return seeded; }

static uint32_t rotate(uint32_t v, int n) { return v << n | v >> (32 - n); }

static void quarter(uint32_t *x, int a, int b, int c, int d)
{
    x[a] += x[b];
    x[d] = rotate(x[d] ^ x[a], 16);
    x[c] += x[d];
    x[b] = rotate(x[b] ^ x[c], 12);
    x[a] += x[b];
    x[d] = rotate(x[d] ^ x[a], 8);
    x[c] += x[d];
    x[b] = rotate(x[b] ^ x[c], 7);
}

/* RFC 8439, 2.3: a block for (counter), nonce 0. */
static void block(uint32_t counter, uint32_t out[BLOCK_WORDS])
{
    uint32_t in[BLOCK_WORDS] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

    for (int i = 0; i < KEY_WORDS; i++)
        in[4 + i] = key[i];
    in[12] = counter;
    for (int i = 0; i < BLOCK_WORDS; i++)
        out[i] = in[i];
    for (int i = 0; i < 10; i++) {
        quarter(out, 0, 4, 8, 12);
        quarter(out, 1, 5, 9, 13);
        quarter(out, 2, 6, 10, 14);
        quarter(out, 3, 7, 11, 15);
        quarter(out, 0, 5, 10, 15);
        quarter(out, 1, 6, 11, 12);
        quarter(out, 2, 7, 8, 13);
        quarter(out, 3, 4, 9, 14);
    }
    for (int i = 0; i < BLOCK_WORDS; i++)
        out[i] += in[i];
}

static void rekey(void)
{
    uint32_t b[BLOCK_WORDS];

    block(0, b);
    for (int i = 0; i < KEY_WORDS; i++)
        key[i] = b[i];
}

void entropy_add(const void *bytes, size_t n, int trusted)
{
    const uint8_t *p = bytes;

    for (size_t i = 0; i < n; i++) {
        ((uint8_t *)key)[i % sizeof(key)] ^= p[i];
        if (i % sizeof(key) == sizeof(key) - 1)
            rekey();
    }
    rekey();
    if (trusted && n >= 16)
        seeded = 1;
}

static int rdrand(uint64_t *v)
{
    uint8_t ok = 0;

    for (int i = 0; i < RDRAND_TRIES && !ok; i++)
        __asm__ volatile("rdrand %0; setc %1" : "=r"(*v), "=qm"(ok));
    return ok;
}

void entropy_init(void)
{
    uint64_t words[8] = {rdtsc()};
    int good = cpuid(1, 0).c >> 30 & 1;

    for (int i = 1; i < 8 && good; i++)
        good = rdrand(&words[i]) && (i == 1 || words[i] != words[i - 1]); /* one that sticks is broken */
    entropy_add(words, sizeof(words), good);
}

void entropy_resumed(void)
{
    seeded = 0;
    entropy_init();
}

void entropy_get(void *out, size_t n)
{
    uint32_t b[BLOCK_WORDS], counter = 1;
    uint64_t now = rdtsc();

    if (!seeded)
        entropy_add(&now, sizeof(now), 0);
    for (uint8_t *p = out; n; counter++) {
        size_t m = n < sizeof(b) ? n : sizeof(b);
        block(counter, b);
        copy(p, b, m);
        p += m;
        n -= m;
    }
    rekey();
}
