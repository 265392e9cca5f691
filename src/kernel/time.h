/* kernel/time.h - clocks. Under Xen by the pages that it keeps (system time by the time-stamp counter, xen.h); without
 * Xen by the counter alone, at a frequency that is told or measured. Nanoseconds. SPDX-License-Identifier: MIT */
#ifndef XK_KERNEL_TIME_H
#define XK_KERNEL_TIME_H

#include <stdint.h>

void time_init(uint64_t tsc_hz); /* without Xen: 0 measures at the first question */
uint64_t time_now(void);         /* monotonic */
uint64_t time_wall(void);        /* since 1970 */

/* The one timer: the earliest of what was asked for since it last fired. time_fired: the upcall says so. */
void time_arm(uint64_t at);
void time_fired(void);

/* Around a suspend: nothing is armed any more, and Xen's clock may be another host's. Ours does not go back. */
void time_suspend(void);
void time_resumed(void);

#endif
