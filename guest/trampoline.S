// How an application processor gets from its start-up IPI to C++.
//
// smp.cc copies the bytes from ap_trampoline to ap_trampoline_end to a page below 1 MiB; the processor starts there in
// real mode with CS pointing to the page, and leaves it for the image above as soon as it can reach it.

#include "guest/long_mode.inc"

    .section .rodata
    .balign 16
    .global ap_trampoline
    .global ap_trampoline_end
    .code16
ap_trampoline:
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    lgdtl ap_gdt_pointer - ap_trampoline
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $0x18, $ap_start32
    .balign 4
ap_gdt_pointer:
    .word 31
    .long boot_gdt
ap_trampoline_end:

    .section .text
    .code32
ap_start32:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    enter_long_mode ap_start64

    .code64
ap_start64:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl ap_boot_stack, %esp
    movl ap_boot_index, %edi
    xorl %ebp, %ebp
    call ap_main
1:  cli
    hlt
    jmp 1b

    .section .note.GNU-stack, "", @progbits
