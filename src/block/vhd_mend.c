/* A batmap made anew (vhd.h). SPDX-License-Identifier: MIT */
#include "block/vhd_level.h"

/* First none is full, in the file, too: so a cut leaves no bit of before beside one of now. */
static int mend(struct vhd_level *l)
{
    int r = vhd_batmap_reset(l);

    l->cached = VHD_NONE;
    l->batmap.quiet = 1;
    for (uint32_t i = 0; i < l->blocks && r == 0; i++) {
        if (l->table[i] == VHD_NONE)
            continue;
        r = vhd_level_load_bitmap(l, i);
        if (r == 0 && vhd_level_is_full(l))
            vhd_batmap_set(&l->batmap, i);
    }
    if (r == 0)
        r = vhd_batmap_write(l);
    return r < 0 ? r : xk_file_sync(l->file);
}

int xk_vhd_mend_batmap(struct xk_file *file)
{
    struct vhd_level l = {.file = file};
    struct vhd_footer f;
    struct vhd_header h;
    int r = vhd_level_open(NULL, &l, &f, &h);

    if (r == 0)
        r = f.type == XK_VHD_FIXED ? XK_EINVAL : mend(&l);
    vhd_level_free(NULL, &l);
    return r;
}
