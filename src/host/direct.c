/* What Linux wants of requests to a file that was opened with O_DIRECT. A file of its own, as <linux/stat.h> and
 * <sys/stat.h> do not go together. SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <xenkit/host.h>

/* 0: it does not say (before Linux 6.1). */
static int from_statx(int handle)
{
    struct statx s;

    memset(&s, 0, sizeof(s));
    if (syscall(SYS_statx, handle, "", AT_EMPTY_PATH, STATX_DIOALIGN, &s) < 0 || !(s.stx_mask & STATX_DIOALIGN))
        return 0;
    return (int)s.stx_dio_offset_align;
}

int xk_host_direct_align(int handle)
{
    int align = from_statx(handle);

    if (align == 0 && ioctl(handle, BLKSSZGET, &align) < 0)
        align = 0;
    return align >= 512 && align <= 4096 && !(align & (align - 1)) ? align : 512;
}
