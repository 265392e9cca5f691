/* xenkit/fat_files.h - the files of one folder of Linux into a directory of a FAT file system, and back, many at a
 * time. For the host tool.
 *
 * Plain files up to 16 KiB are copied here. All else is named to (rest), to be done one by one: directories (is_dir),
 * what is larger, and what may need more than to be written: a name that is there already, one that FAT cannot have,
 * and, out of FAT, what cannot be read there. Memory: 16 KiB, into FAT 256 KiB and the names of a folder.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_FAT_FILES_H
#define XENKIT_FAT_FILES_H

#include <xenkit/fat.h>

XK_API_BEGIN

/* What failed: a file of the folder, or the folder itself (""), on Linux' side or (in_fat) on the other. */
struct xk_fat_files_failure {
    char name[XK_FAT_NAME_MAX];
    int in_fat;
};

/* Non-zero ends it, and is returned. */
typedef int xk_fat_files_rest(void *arg, const char *name, int is_dir);

/* xk_fat_files_put (fat, from, path, rest, arg, why) - from the folder (from) into the directory (path), sorted by
 * name. xk_fat_files_get (fat, path, to, rest, arg, why) - from the directory (path) into the folder (to), which are
 * both there; in the order of the medium. What is made is its owner's only (0600). 0, or XK_E..., and *why says of
 * what; what was copied until then stays. */
XK_MUSTCHECK int xk_fat_files_put(struct xk_fat *fat, const char *from, const char *path, xk_fat_files_rest *rest,
                                  void *arg, struct xk_fat_files_failure *why);
XK_MUSTCHECK int xk_fat_files_get(struct xk_fat *fat, const char *path, const char *to, xk_fat_files_rest *rest,
                                  void *arg, struct xk_fat_files_failure *why);

XK_API_END

#endif
