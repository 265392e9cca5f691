/* Copies between the kernel and the program. SPDX-License-Identifier: MIT */
#include "kernel/user.h"

#include "kernel/area.h"
#include "kernel/error.h"
#include "platform/stub/abi.h"
#include "kernel/table.h"
#include "kernel/x86.h"

int user_present(uint64_t addr, size_t n, int write)
{
    if (n == 0)
        return 0;
    if (addr < XK__STUB_PROGRAM || n > XK__STUB_USER_END || addr > XK__STUB_USER_END - n)
        return -EFAULT;
    for (uint64_t va = addr & ~(uint64_t)(PAGE - 1); va < addr + n; va += PAGE)
        if (area_touch(va, write) < 0)
            return -EFAULT;
    return 0;
}

int user_read(void *dst, uint64_t src, size_t n)
{
    if (user_present(src, n, 0) < 0)
        return -EFAULT;
    table_user_begin();
    copy(dst, (const void *)src, n);
    table_user_end();
    return 0;
}

int user_write(uint64_t dst, const void *src, size_t n)
{
    if (user_present(dst, n, 1) < 0)
        return -EFAULT;
    table_user_begin();
    copy((void *)dst, src, n);
    table_user_end();
    return 0;
}
