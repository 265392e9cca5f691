/* drivers/console/proto.h - struct xencons_interface of xen/io/console.h, by offsets. SPDX-License-Identifier: MIT */
#ifndef XK_DRIVERS_CONSOLE_PROTO_H
#define XK_DRIVERS_CONSOLE_PROTO_H

#include <stdint.h>

enum { CON_IN = 0, CON_IN_SIZE = 1024, CON_OUT = 1024, CON_OUT_SIZE = 2048 };
enum { CON_IN_CONS = 3072, CON_IN_PROD = 3076, CON_OUT_CONS = 3080, CON_OUT_PROD = 3084 };

static inline volatile uint32_t *console_word(void *page, unsigned at)
{
    return (volatile uint32_t *)(void *)((uint8_t *)page + at);
}

#endif
