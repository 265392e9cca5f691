/* fs/check.h - a file system looked at as a whole. SPDX-License-Identifier: MIT */
#ifndef XK_FS_CHECK_H
#define XK_FS_CHECK_H

#include "base/utf.h"
#include "fs/dir.h"

/* (f) zeroed becomes what can be read of (file), which stays the caller's. */
int fat_begin_with(struct xk_fat *f, const xk_alloc *alloc, struct xk_file *file);

/* All is on the medium, and it is marked as sound. */
int fat_finish(struct xk_fat *f);

/* As xk_fat_check, of one that is mounted and has no file open; (repair): it is marked as being written to. */
int fat_check(struct xk_fat *f, int repair, void (*told)(void *arg, enum xk_fat_finding what, const char *text),
              void *arg);

#endif
