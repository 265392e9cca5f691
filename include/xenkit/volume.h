/* xenkit/volume.h - a block device divided into a few files of fixed room, for what needs files and no file system,
 * such as a database with its log (db.h).
 *
 * On the device: two copies of a header, in turn, each with a number and a checksum; then the rooms. A file's size is
 * durable when its sync returns, as its contents are: they are flushed first, then the header is written. A power cut
 * leaves the sizes of the last sync, and of what was written since then each sector as it was, as it was to be, or
 * torn.
 *
 * Calls wait for the disk while the loop runs (xk_blk_do): they may not be made from within a call-back of the loop.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_VOLUME_H
#define XENKIT_VOLUME_H

#include <xenkit/blkdev.h>
#include <xenkit/file.h>

XK_API_BEGIN

enum { XK_VOLUME_FILES = 8, XK_VOLUME_BLOCK = 4096 /* bytes: rooms begin and end there */ };

/* xk_volume_format (dev, loop, shares, count) - divides (dev) into (count) files, 1 .. XK_VOLUME_FILES, whose rooms are
 * to each other as (shares), and which are empty. What was there is lost. XK_ENOSPC: less than a block would be left
 * for one; XK_EROFS; what the disk says. */
XK_MUSTCHECK int xk_volume_format(struct xk_blkdev *dev, struct xk_loop *loop, const unsigned *shares, unsigned count);

/* xk_volume_is_blank (dev, loop) - 1: its first 64 KiB are zero, so that formatting loses nothing; 0; or XK_E... */
int xk_volume_is_blank(struct xk_blkdev *dev, struct xk_loop *loop);

/* xk_volume_open (alloc, dev, loop, files, count) - its files, (count) as it was formatted with. (dev) stays the
 * caller's and must outlive them; the volume ends with the last of its files that is closed. Writing beyond a file's
 * room is XK_ENOSPC. XK_EPROTO: no volume, damaged, or of another number of files. */
XK_MUSTCHECK int xk_volume_open(const xk_alloc *alloc, struct xk_blkdev *dev, struct xk_loop *loop,
                                struct xk_file **files, unsigned count);

XK_API_END

#endif
