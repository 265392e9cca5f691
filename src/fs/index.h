/* fs/index.h - where in a directory a name is, in memory, for those directories that were used last.
 * SPDX-License-Identifier: MIT */
#ifndef XK_FS_INDEX_H
#define XK_FS_INDEX_H

#include "fs/dir.h"

/* Directory (first) has one from now on. XK_ENOMEM. */
int fat_index_of(struct xk_fat *f, uint32_t first, struct fat_index **out);

/* The entry with this name, long or short. XK_ENOENT. */
int fat_index_find(struct xk_fat *f, struct fat_index *ix, const struct fat_name *name, struct fat_entry *e);

/* What became of a directory that may have one. */
void fat_index_add(struct xk_fat *f, uint32_t first, const struct fat_entry *e);
void fat_index_remove(struct xk_fat *f, uint32_t first, const struct fat_entry *e);
void fat_index_drop(struct xk_fat *f, uint32_t first);
void fat_index_drop_all(struct xk_fat *f);

#endif
