/* Into and out of the kernel: the PVH entry (32 bit, paging off), system calls, exceptions and upcalls, the first step
 * into ring 3. One processor; the kernel runs with interrupts off except where it idles. SPDX-License-Identifier: MIT */

#define XEN_ELFNOTE_PHYS32_ENTRY 18

        .section .note.Xen, "a", @note
        .balign 4
        .long 4, 4, XEN_ELFNOTE_PHYS32_ENTRY
        .asciz "Xen"
        .long pvh_start

/* --- boot: ebx is the physical address of struct hvm_start_info --- */

        .section .text.entry, "ax", @progbits
        .code32
        .globl pvh_start
pvh_start:
        cld
        rdtsc
        movl    %eax, boot_tsc
        movl    %edx, boot_tsc + 4
        movl    %ebx, boot_info
        /* identity map of the first GiB by 2 MiB pages, all rights; vm.c makes it strict */
        movl    $boot_pdpt + 7, boot_pml4         /* the program lives below the same entry */
        movl    $boot_pd + 3, boot_pdpt
        movl    $boot_pd, %edi
        movl    $0x83, %eax
        movl    $512, %ecx
1:      movl    %eax, (%edi)
        addl    $0x200000, %eax
        addl    $8, %edi
        loop    1b
        movl    %cr4, %eax
        orl     $0x620, %eax                    /* PAE, OSFXSR, OSXMMEXCPT */
        movl    %eax, %cr4
        movl    $boot_pml4, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx               /* EFER: SCE, LME, NXE */
        rdmsr
        orl     $0x901, %eax
        wrmsr
        movl    $0x80010033, %eax               /* PG, WP, NE, ET, MP, PE; no EM, no TS */
        movl    %eax, %cr0
        lgdt    gdt_pointer
        ljmp    $0x08, $long_mode

        .code64
long_mode:
        movl    $0x10, %eax
        movl    %eax, %ss
        movl    %eax, %ds
        movl    %eax, %es
        xorl    %eax, %eax
        movl    %eax, %fs
        movl    %eax, %gs
        leaq    kernel_stack_top(%rip), %rsp
        movl    boot_info(%rip), %edi
        movq    boot_tsc(%rip), %rsi
        call    kernel_main
        ud2

/* --- system calls: rcx has rip, r11 rflags; struct frame of trap.h is built as a trap would --- */

        .globl syscall_entry
syscall_entry:
        movq    %rsp, user_rsp(%rip)
        leaq    kernel_stack_top(%rip), %rsp
        pushq   $0x1b                           /* ss */
        pushq   user_rsp(%rip)
        pushq   %r11
        pushq   $0x23                           /* cs */
        pushq   %rcx
        pushq   $0                              /* error code */
        pushq   $256                            /* vector: a system call */
        pushq   %rax
        pushq   %rbx
        pushq   %rcx
        pushq   %rdx
        pushq   %rsi
        pushq   %rdi
        pushq   %rbp
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rsp, %rdi
        call    syscall_dispatch
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %r11
        popq    %r10
        popq    %r9
        popq    %r8
        popq    %rbp
        popq    %rdi
        popq    %rsi
        popq    %rdx
        popq    %rcx
        popq    %rbx
        popq    %rax
        addq    $16, %rsp
        popq    %rcx
        addq    $8, %rsp
        popq    %r11
        popq    %rsp                            /* the program's code ends far below the sign bit: sysret is safe */
        sysretq

/* --- exceptions and the upcall --- */

        .macro  trap_without_error vector
        .balign 16
        pushq   $0
        pushq   $\vector
        jmp     trap_common
        .endm
        .macro  trap_with_error vector
        .balign 16
        pushq   $\vector
        jmp     trap_common
        .endm

        .balign 16
        .globl trap_stubs
trap_stubs:                                     /* 16 bytes each, vectors 0 .. 32 */
        .irp v, 0, 1, 2, 3, 4, 5, 6, 7
        trap_without_error \v
        .endr
        trap_with_error 8
        trap_without_error 9
        .irp v, 10, 11, 12, 13, 14
        trap_with_error \v
        .endr
        trap_without_error 15
        trap_without_error 16
        trap_with_error 17
        .irp v, 18, 19, 20
        trap_without_error \v
        .endr
        trap_with_error 21
        .irp v, 22, 23, 24, 25, 26, 27, 28
        trap_without_error \v
        .endr
        trap_with_error 29
        trap_with_error 30
        trap_without_error 31
        trap_without_error 32

        .balign 16
trap_common:
        cld
        pushq   %rax
        pushq   %rbx
        pushq   %rcx
        pushq   %rdx
        pushq   %rsi
        pushq   %rdi
        pushq   %rbp
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rsp, %rdi
        call    trap_dispatch
        .globl trap_return
trap_return:
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %r11
        popq    %r10
        popq    %r9
        popq    %r8
        popq    %rbp
        popq    %rdi
        popq    %rsi
        popq    %rdx
        popq    %rcx
        popq    %rbx
        popq    %rax
        addq    $16, %rsp
        iretq

/* void idle_wait(void): until an interrupt. An upcall that comes before the hlt is executed goes on behind it (trap.c):
 * sti holds interrupts off until then on a real processor, but a hypervisor may lose that in between. */
        .globl idle_wait, idle_hlt
idle_wait:
        sti
idle_hlt:
        hlt
        cli
        ret

/* void enter_user(uint64_t rip, uint64_t rsp): ring 3, interrupts on, registers clear */
        .globl enter_user
enter_user:
        pushq   $0x1b
        pushq   %rsi
        pushq   $0x202
        pushq   $0x23
        pushq   %rdi
        xorl    %eax, %eax
        xorl    %ebx, %ebx
        xorl    %ecx, %ecx
        xorl    %edx, %edx
        xorl    %esi, %esi
        xorl    %edi, %edi
        xorl    %ebp, %ebp
        xorl    %r8d, %r8d
        xorl    %r9d, %r9d
        xorl    %r10d, %r10d
        xorl    %r11d, %r11d
        xorl    %r12d, %r12d
        xorl    %r13d, %r13d
        xorl    %r14d, %r14d
        xorl    %r15d, %r15d
        iretq

/* --- tables and space --- */

        .data
        .balign 8
        .globl gdt
gdt:    .quad   0
        .quad   0x00af9a000000ffff              /* 08 kernel code */
        .quad   0x00cf92000000ffff              /* 10 kernel data */
        .quad   0x00cff2000000ffff              /* 18 user data; sysret wants it before the code */
        .quad   0x00affa000000ffff              /* 20 user code */
        .quad   0, 0                            /* 28 the TSS, filled by trap.c */
gdt_pointer:
        .word   . - gdt - 1
        .quad   gdt

        .bss
        .balign 16
        .globl double_fault_stack_top
        .skip   2048
double_fault_stack_top:
boot_info: .skip 8
boot_tsc: .skip 8
user_rsp: .skip 8
        .section .note.GNU-stack, "", @progbits
