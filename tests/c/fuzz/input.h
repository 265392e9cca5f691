/* An input as a row of small numbers, which end in zeroes; words of a shared page. SPDX-License-Identifier: MIT */
#ifndef XK_TESTS_FUZZ_INPUT_H
#define XK_TESTS_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tests/c/fuzz/must.h"

struct input {
    const uint8_t *p;
    size_t n;
};

static inline uint32_t take(struct input *in, size_t bytes)
{
    uint32_t v = 0;

    for (size_t i = 0; i < bytes && in->n; i++, in->p++, in->n--)
        v |= (uint32_t)*in->p << (8 * i);
    return v;
}

static inline void set_word(uint8_t *page, unsigned word, uint32_t v) { memcpy(page + word * 4, &v, 4); }
static inline uint32_t get_word(const uint8_t *page, unsigned word)
{
    uint32_t v;
    memcpy(&v, page + word * 4, 4);
    return v;
}

#endif
