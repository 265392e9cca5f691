/* kernel/entropy.h - unpredictable bytes: ChaCha20 (RFC 8439) keyed by what RDRAND and the toolstack gave, rekeyed from
 * its own output at each request, so that what was given out cannot be found again. SPDX-License-Identifier: MIT */
#ifndef XK_KERNEL_ENTROPY_H
#define XK_KERNEL_ENTROPY_H

#include <stddef.h>
#include <stdint.h>

void entropy_init(void);
void entropy_resumed(void); /* a saved domain may be restored twice: what it knew is no secret from its twin */
void entropy_add(const void *bytes, size_t n, int trusted); /* trusted, n >= 16: seeded from now on */
int entropy_seeded(void);

/* At most 256 bytes a call. Not seeded: bytes that differ from start to start, but can be guessed. */
void entropy_get(void *out, size_t n);

#endif
