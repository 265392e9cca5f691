/* fs/path.h - from a path to a directory and an entry. SPDX-License-Identifier: MIT */
#ifndef XK_FS_PATH_H
#define XK_FS_PATH_H

#include "fs/dir.h"

struct fat_place {
    uint32_t parent; /* directory */
    struct fat_name name;
    struct fat_entry entry; /* when it is there */
    int root;               /* it is the root, which has neither */
};

/* 1: it is there; 0: its parent is, it is not; XK_ENOENT, XK_ENOTDIR: not even that; XK_EINVAL. */
int fat_path_find(struct xk_fat *f, const char *path, struct fat_place *out);

#endif
