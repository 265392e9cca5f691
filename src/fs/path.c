/* Paths (path.h). SPDX-License-Identifier: MIT */
#include <string.h>

#include "fs/path.h"

/* The next part of a path: its length, *at behind the slashes before it. 0: there is none. */
static size_t next_part(const char **at)
{
    while (**at == '/')
        (*at)++;
    return strcspn(*at, "/");
}

int fat_path_find(struct xk_fat *f, const char *path, struct fat_place *out)
{
    size_t n = next_part(&path);
    int r = 0;

    out->parent = FAT_ROOT;
    out->root = n == 0;
    while (n) {
        const char *rest = path + n;
        size_t more = next_part(&rest);
        r = fat_name_of(path, n, &out->name);
        if (r < 0)
            return r;
        r = fat_dir_find(f, out->parent, &out->name, &out->entry);
        if (r == XK_ENOENT && more == 0)
            return 0;
        if (r < 0)
            return r;
        if (more == 0)
            break;
        if (!fat_entry_is_dir(&out->entry))
            return XK_ENOTDIR;
        out->parent = fat_entry_cluster(&out->entry);
        if (!fat_is_cluster(&f->shape, out->parent))
            return XK_EPROTO;
        path = rest;
        n = more;
    }
    return 1;
}
