/* The kernel's generator, compiled for Linux: RFC 8439's block, output that neither repeats nor tells what came before.
 * SPDX-License-Identifier: MIT */
#include "tests/c/tap.h"

#include "kernel/entropy.c"

TEST(chacha20_block_of_rfc_8439)
{
    /* Section 2.3.2 has counter 1 and a nonce; ours is 0, so the vectors are those of A.1: key 0, nonce 0. */
    static const uint8_t first[16] = {0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90,
                                      0x40, 0x5d, 0x6a, 0xe5, 0x53, 0x86, 0xbd, 0x28};
    static const uint8_t second[16] = {0x9f, 0x07, 0xe7, 0xbe, 0x55, 0x51, 0x38, 0x7a,
                                       0x98, 0xba, 0x97, 0x7c, 0x73, 0x2d, 0x08, 0x0d};
    uint32_t out[BLOCK_WORDS];

    memset(key, 0, sizeof(key));
    block(0, out);
    MEMEQ(out, first, 16);
    block(1, out);
    MEMEQ(out, second, 16);
}

TEST(seeded_by_enough_that_is_trusted)
{
    seeded = 0;
    entropy_add("0123456789abcdef0123", 20, 0);
    EQ(entropy_seeded(), 0);
    entropy_add("short", 5, 1);
    EQ(entropy_seeded(), 0);
    entropy_add("0123456789abcdef", 16, 1);
    EQ(entropy_seeded(), 1);
}

TEST(output_does_not_repeat_and_the_key_moves_on)
{
    uint8_t a[256], b[256];
    uint32_t before[KEY_WORDS];

    entropy_add("0123456789abcdef", 16, 1);
    memcpy(before, key, sizeof(key));
    entropy_get(a, sizeof(a));
    OK(memcmp(before, key, sizeof(key)) != 0);
    entropy_get(b, sizeof(b));
    OK(memcmp(a, b, sizeof(a)) != 0);
    for (int i = 0; i + 32 <= 256; i++)
        OK(memcmp(a + i, key, 32) != 0);
}

TEST(the_same_seed_gives_the_same_after_a_resume_only_when_nothing_is_added)
{
    uint8_t a[32], b[32];
    uint32_t saved[KEY_WORDS];

    entropy_add("0123456789abcdef", 16, 1);
    memcpy(saved, key, sizeof(key));
    entropy_resumed();
    entropy_get(a, sizeof(a));
    memcpy(key, saved, sizeof(key));
    entropy_resumed();
    entropy_get(b, sizeof(b));
    OK(memcmp(a, b, sizeof(a)) != 0);
}
