/* What has to be true, whatever the input was. SPDX-License-Identifier: MIT */
#ifndef XK_TESTS_FUZZ_MUST_H
#define XK_TESTS_FUZZ_MUST_H

#include <stdlib.h>

static inline void must(int ok)
{
    if (!ok)
        abort();
}

#endif
