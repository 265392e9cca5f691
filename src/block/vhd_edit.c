/* What is done to a chain of VHDs that nobody uses: coalescing, another parent (vhd.h). SPDX-License-Identifier: MIT */
#include <string.h>

#include "block/cursor.h"
#include "block/sync.h"
#include "block/vhd_device.h"

enum { PART = 2048 /* sectors of one write to the parent */ };

/* --- coalescing --- */

static int copy_down(struct vhd_level *l, struct xk_blkdev *parent, uint64_t sector, uint32_t n, uint64_t at,
                     uint8_t *buf)
{
    struct xk_piece p = {buf, n * (size_t)VHD_SECTOR};
    struct cursor c = {&p, 0};
    int r = cursor_read(&c, l->file, p.len, at);

    return r < 0 ? r : xk__blk_now(parent, XK_BLK_WRITE, sector, buf, p.len);
}

static int coalesce(struct vhd_level *l, struct xk_blkdev *parent, uint64_t *sector, uint32_t budget, uint8_t *buf)
{
    while (budget && *sector < l->sectors) {
        uint64_t at;
        int run = vhd_level_locate(l, *sector, PART, &at), r = 0;

        if (run >= 0 && at != VHD_NOWHERE)
            r = copy_down(l, parent, *sector, (uint32_t)run, at, buf);
        if (run < 0 || r < 0)
            return run < 0 ? run : r;
        *sector += (uint32_t)run;
        budget -= (uint32_t)run < budget ? (uint32_t)run : budget;
    }
    return *sector < l->sectors ? 1 : xk__blk_flush_now(parent);
}

int xk_vhd_coalesce(struct xk_blkdev *top, struct xk_blkdev *parent, uint64_t *sector, uint32_t budget)
{
    struct vhd_level *l = vhd_top(top);
    uint8_t *buf;
    int r;

    if (!l || *sector > l->sectors || budget == 0)
        return XK_EINVAL;
    if (l->sectors > parent->info.sectors)
        return XK_ERANGE;
    buf = xk_new(NULL, PART * VHD_SECTOR);
    if (!buf)
        return XK_ENOMEM;
    r = coalesce(l, parent, sector, budget, buf);
    xk_free(NULL, buf, PART * VHD_SECTOR);
    return r;
}

/* --- another parent --- */

static int put(struct xk_file *file, const void *data, size_t n, uint64_t at)
{
    int r = xk_file_write(file, data, n, at);

    return r < 0 ? r : 0;
}

static int put_synced(struct xk_file *file, const void *data, size_t n, uint64_t at)
{
    int r = put(file, data, n, at);

    return r < 0 ? r : xk_file_sync(file);
}

/* The new header comes behind the footer, which is written behind that first, as it is: so the file always ends with
 * one, and leads to the old header or the new. */
int xk_vhd_set_parent(struct xk_file *file, const struct xk_vhd_spec *s)
{
    uint8_t room[VHD_LOCATOR_ROOM] = {0}, header[VHD_HEADER];
    struct vhd_footer f;
    struct vhd_header h;
    uint64_t at, end;
    int r = vhd_open(file, &f, &h, &at);

    if (r == 0 && (f.type != XK_VHD_DIFFERENCING || !s->parent_name))
        r = XK_EINVAL;
    if (r < 0)
        return r;
    at = (at + 2 * VHD_SECTOR - 1) / VHD_SECTOR * VHD_SECTOR; /* behind the footer */
    memcpy(h.parent_uuid, s->parent_uuid, 16);
    h.parent_time = s->parent_time;
    memset(h.parent_name, 0, sizeof(h.parent_name));
    memset(h.locator, 0, sizeof(h.locator));
    r = vhd_name_parent(s->parent_name, &h, at, room);
    if (r < 0)
        return r;
    end = at + sizeof(room) + sizeof(header);
    vhd_header_write(&h, header);
    r = put_synced(file, f.raw, VHD_SECTOR, end);
    if (r == 0)
        r = put(file, room, sizeof(room), at);
    if (r == 0)
        r = put_synced(file, header, sizeof(header), at + sizeof(room));
    vhd_footer_lead(f.raw, at + sizeof(room));
    if (r == 0)
        r = put_synced(file, f.raw, VHD_SECTOR, end);
    return r < 0 ? r : put_synced(file, f.raw, VHD_SECTOR, 0);
}
