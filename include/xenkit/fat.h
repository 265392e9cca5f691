/* xenkit/fat.h - FAT12, FAT16 and FAT32 with long names, on a file, an image, or a disk. Format: Microsoft's "FAT32
 * File System Specification" 1.03; with what Linux' vfat, dosfstools and mtools made of it.
 *
 * Paths are UTF-8, parts divided by "/", found whatever their letters' case is. Calls wait for the medium, and are
 * atomic to each other: any number of files may be open, also several times.
 *
 * What a cut of the power leaves: all that a sync was told of is there. What was done since then is there, or not, or
 * in part, and no file has another one's data. The next mount that may write puts right what was left half done (lost
 * clusters, tails, names of a rename that is there twice); until then other programs may find that. To this end
 * clusters are chained before a directory names them, and given back after it does not, with syncs between.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_FAT_H
#define XENKIT_FAT_H

#include <xenkit/file.h>

XK_API_BEGIN

enum {
    XK_FAT_NAME_MAX = 255 * 3 + 1, /* bytes of a name, with its end */
    XK_FAT_PATH_MAX = 4096
};
#define XK_FAT_SIZE_MAX UINT32_MAX /* bytes of a file */

enum xk_fat_attribute {
    XK_FAT_READONLY = 1,
    XK_FAT_HIDDEN = 2,
    XK_FAT_SYSTEM = 4,
    XK_FAT_DIRECTORY = 16,
    XK_FAT_ARCHIVE = 32
};

/* --- making one --- */

/* xk_fat_format (file, spec) - an empty file system on all of (file), whose size is (bytes) where that is not 0. What
 * was there is lost. (type): 12, 16, 32, or 0: what fits. (cluster): bytes, a power of two from the sector's size to
 * 64 KiB; 0: what fits. (sector): bytes, 512 .. 4096; 0: 512. (label): up to 11 letters of ASCII, or NULL. (id):
 * random, by the caller. XK_ERANGE: no such type has so many clusters; XK_EINVAL; XK_ENOSPC: too small. */
struct xk_fat_spec {
    uint64_t bytes;
    uint32_t sector, cluster, id;
    int type;
    const char *label;
    int64_t time; /* of now, seconds after 1970 */
};
XK_MUSTCHECK int xk_fat_format(struct xk_file *file, const struct xk_fat_spec *spec);

/* --- having one --- */

struct xk_fat;
struct xk_fat_options {
    int readonly;
    int64_t (*now)(void *arg); /* seconds after 1970, for files' times; NULL: 1980 */
    void *arg;
    /* What was put right at the mount, in a sentence each; NULL allowed. */
    void (*told)(void *arg, const char *text);
};

/* xk_fat_mount (alloc, file, options, out) - the file system on (file), which belongs to it from now on, also when this
 * fails. (options) NULL: all zeroes. If it was not unmounted it is looked at as a whole first, and what a cut of the
 * power leaves is put right. XK_EPROTO: it is none, or is damaged otherwise: then it may be mounted to be read. */
XK_MUSTCHECK int xk_fat_mount(const xk_alloc *alloc, struct xk_file *file, const struct xk_fat_options *options,
                              struct xk_fat **out);

/* xk_fat_unmount (fat) - all is on the medium, and it is marked as sound; files that are still open fail from then on,
 * and are to be closed nevertheless. What went wrong, if anything; (fat) is gone in any case. NULL allowed. */
int xk_fat_unmount(struct xk_fat *fat);

/* xk_fat_sync (fat) - all that was done is on the medium when it returns 0. */
XK_MUSTCHECK int xk_fat_sync(struct xk_fat *fat);

struct xk_fat_info {
    int type; /* 12, 16, 32 */
    uint32_t sector, cluster;
    uint32_t clusters, free;
    uint32_t id;
    char label[12];
};
/* xk_fat_get_info (fat, out) - the first time it may count the free clusters. */
XK_MUSTCHECK int xk_fat_get_info(struct xk_fat *fat, struct xk_fat_info *out);

/* --- names --- */

struct xk_fat_stat {
    char name[XK_FAT_NAME_MAX]; /* of the last part; "" of the root */
    char short_name[13];
    unsigned attributes; /* enum xk_fat_attribute */
    uint32_t size;
    int64_t modified, created; /* seconds after 1970; 0: not known */
};

XK_MUSTCHECK int xk_fat_stat(struct xk_fat *fat, const char *path, struct xk_fat_stat *out);

/* xk_fat_list (fat, path, each, arg) - calls (each) for the entries of a directory, in the order of the medium, "." and
 * ".." left out, until it returns other than 0, which is returned. It may not change the file system. */
XK_MUSTCHECK int xk_fat_list(struct xk_fat *fat, const char *path, int (*each)(void *arg, const struct xk_fat_stat *e),
                             void *arg);

/* xk_fat_read_each (fat, path, buf, room, each, arg) - the same with the contents of files of up to (room) bytes, which
 * are in (buf) and (data) is that; NULL: a directory, a larger file, or one that cannot be read or has a name
 * that is none for FAT, as one with "/", or ".." (xk_fat_open and reading say why). Of two of one name each has its
 * own; xk_fat_open finds one.
 */
typedef int xk_fat_each(void *arg, const struct xk_fat_stat *e, const void *data);
XK_MUSTCHECK int xk_fat_read_each(struct xk_fat *fat, const char *path, void *buf, uint32_t room, xk_fat_each *each,
                                  void *arg);

/* XK_EEXIST, XK_ENOENT: no such parent, XK_ENOTDIR, XK_ENOSPC, XK_EINVAL: no name for FAT: empty, more than 255 units
 * of UTF-16, with one of "*:<>?\| or a control letter, or with a dot or space at its end. */
XK_MUSTCHECK int xk_fat_mkdir(struct xk_fat *fat, const char *path);

/* A file, or an empty directory. XK_ENOTEMPTY; XK_EBUSY: it is open; XK_EACCES: it is read-only. */
XK_MUSTCHECK int xk_fat_remove(struct xk_fat *fat, const char *path);

/* xk_fat_rename (fat, from, to) - (to) may be a file that is there, which is gone then. Whatever happens one of both
 * names has the contents of (from). XK_EBUSY: (to) is open; XK_EEXIST: it is a directory; XK_EINVAL: (to) is below
 * (from). */
XK_MUSTCHECK int xk_fat_rename(struct xk_fat *fat, const char *from, const char *to);

/* xk_fat_set (fat, path, attributes, modified) - READONLY, HIDDEN, SYSTEM, ARCHIVE as said; (modified) < 0: stays. */
XK_MUSTCHECK int xk_fat_set(struct xk_fat *fat, const char *path, unsigned attributes, int64_t modified);

/* --- contents --- */

enum { XK_FAT_WRITE = 1, XK_FAT_CREATE = 2 /* if it is not there */, XK_FAT_NEW = 4 /* it must not be there */ };

/* xk_fat_open (fat, path, flags, out) - a file, to be closed by xk_file_close. Its sync is that of the file system.
 * Room that it grows by is zeroes. XK_EISDIR; XK_EACCES: it is read-only and is to be written; XK_EEXIST with
 * XK_FAT_NEW; writing: XK_ENOSPC; XK_ERANGE: 4 GiB - 1 is the most. */
XK_MUSTCHECK int xk_fat_open(struct xk_fat *fat, const char *path, unsigned flags, struct xk_file **out);

/* xk_fat_add (fat, path, list, n) - new files in directory (path), as if each were opened with XK_FAT_NEW, written and
 * closed; but contents that come to lie beside each other go to the medium together. Names have no "/", contents up
 * to 1 GiB; memory stays the caller's. How many of (list), from its begin on, are there now. If not even the first is:
 * why, as xk_fat_open and writing say it; who goes on behind it calls again with the rest. */
struct xk_fat_new {
    const char *name;
    const void *data;
    uint32_t size;
};
XK_MUSTCHECK int xk_fat_add(struct xk_fat *fat, const char *path, const struct xk_fat_new *list, unsigned n);

/* --- looking at all of it --- */

enum xk_fat_finding {
    XK_FAT_LEFT, /* left by who was interrupted; nothing is lost */
    XK_FAT_BAD   /* damage */
};
/* xk_fat_check (alloc, file, repair, told, arg) - looks at the whole of it, and puts right what is LEFT where (repair).
 * (file) stays the caller's. How many findings are BAD; XK_EPROTO: it is no FAT file system. */
XK_MUSTCHECK int xk_fat_check(const xk_alloc *alloc, struct xk_file *file, int repair,
                              void (*told)(void *arg, enum xk_fat_finding what, const char *text), void *arg);

XK_API_END

#endif
