/* block/vhd_device.h - into a device that is a VHD. SPDX-License-Identifier: MIT */
#ifndef XK_BLOCK_VHD_DEVICE_H
#define XK_BLOCK_VHD_DEVICE_H

#include "block/vhd_level.h"

/* The image that is written; NULL: (dev) is no VHD. */
struct vhd_level *vhd_top(struct xk_blkdev *dev);

#endif
