/* kernel/error.h - error numbers, Linux's, as the program expects them. SPDX-License-Identifier: MIT */
#ifndef XK_KERNEL_ERROR_H
#define XK_KERNEL_ERROR_H

enum {
    EPERM = 1,
    ENOENT = 2,
    EIO = 5,
    EBADF = 9,
    EAGAIN = 11,
    ENOMEM = 12,
    EACCES = 13,
    EFAULT = 14,
    EBUSY = 16,
    EEXIST = 17,
    ENODEV = 19,
    EINVAL = 22,
    EMFILE = 24,
    ENOTTY = 25,
    ENOSPC = 28,
    ESPIPE = 29,
    ENOSYS = 38,
    ETIMEDOUT = 110,
    EGONE = 1002 /* XK_EGONE */
};

#endif
