/* kernel/evtchn.h - event channels of the two-level ABI, and idling until one fires.
 *
 * A port that fires is masked and noted as ready until the program takes it; it fires again once the program unmasks
 * it. What fires meanwhile is one more event, never a lost one. SPDX-License-Identifier: MIT */
#ifndef XK_KERNEL_EVTCHN_H
#define XK_KERNEL_EVTCHN_H

#include <stdint.h>

void evtchn_init(void);   /* binds the timer; again after a resume, when all ports are gone */
void evtchn_upcall(void); /* from the interrupt */

/* For the program: ports it was given only, -EINVAL for others. */
int evtchn_alloc(uint16_t peer);
int evtchn_bind(uint16_t peer, uint32_t remote);
int evtchn_bind_virq(uint32_t virq);
int evtchn_close(uint32_t port);
int evtchn_send(uint32_t port);
int evtchn_unmask(uint32_t port);
int evtchn_peer(uint32_t port);
void evtchn_own(uint32_t port); /* the program's from now on, but not to be closed: a ring that Xen's builder made */
unsigned evtchn_count(void);

void evtchn_notify(uint32_t port); /* the kernel's own */

/* Up to (max) ports that are ready; waits until (deadline) for the first. 0: none came. */
int evtchn_wait(uint64_t deadline, int32_t *ports, int max);

/* Idles until something happens, (at) at the latest. Takes no port. */
void evtchn_sleep(uint64_t at);

uint64_t evtchn_upcalls(void);

#endif
