/* kernel/grant.h - the grant table, version 1: pages that the program shares, and peers' pages that it maps.
 * SPDX-License-Identifier: MIT */
#ifndef XK_KERNEL_GRANT_H
#define XK_KERNEL_GRANT_H

#include <stdint.h>

void grant_init(void);

/* Allocates (count) pages, grants each to (peer) and maps them into the program, one after the other. */
int grant_share(uint16_t peer, uint32_t count, int readonly, uint32_t *refs, uint64_t *addr);
int grant_unshare(uint64_t addr, uint32_t count);

/* Maps (count) pages of (peer). (status): 0 or -errno each. Nothing stays mapped unless all succeed. */
int grant_map(uint16_t peer, const uint32_t *refs, uint32_t count, int readonly, int32_t *status, uint64_t *addr);
int grant_unmap(uint64_t addr, uint32_t count);

/* Around a suspend: Xen's table starts empty in the resumed domain. When the suspend was (cancelled) the table is as it
 * was, with peers' marks in it, and must not be touched. */
int grant_suspend(void); /* -ENOMEM: no room to keep it in */
void grant_resume(int cancelled);

unsigned grant_count(void);     /* shared */
unsigned grant_map_count(void); /* mapped */

#endif
