// The way in: PVH note, 32-bit entry, page tables, 64-bit mode, first C++ call.
//
// The loader starts pvh_entry as the PVH boot protocol says: 32-bit protected mode, flat segments, paging and
// interrupts off, EBX pointing to hvm_start_info.  The first 4 GiB are mapped to themselves with 2 MiB pages;
// device memory above is added later by paging.cc.

#include "guest/long_mode.inc"

    .section .note.pvh, "a", @note
    .balign 4
    .long 4                     // name size
    .long 8                     // descriptor size
    .long 18                    // XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad pvh_entry

    .section .noinit, "aw", @nobits
    .balign 4096
    .global boot_pml4
boot_pml4:  .skip 4096
    .global boot_pdpt
boot_pdpt:  .skip 4096
boot_pd:    .skip 4 * 4096
boot_stack: .skip 16384
boot_stack_top:

    .section .rodata
    .balign 8
    .global boot_gdt
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff    // 0x08: 64-bit code
    .quad 0x00cf93000000ffff    // 0x10: data
    .quad 0x00cf9b000000ffff    // 0x18: 32-bit code, for the application processors' way up
boot_gdt_end:
    .global boot_gdt_pointer
boot_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .quad boot_gdt

    .section .text
    .code32
    .global pvh_entry
pvh_entry:
    cli
    cld
    movl $boot_stack_top, %esp
    movl %ebx, %ebp

    // A loader may leave old contents behind after a reset, so the state of the program is cleared here.
    xorl %eax, %eax
    movl $bss_start, %edi
    movl $bss_end, %ecx
    subl %edi, %ecx
    shrl $2, %ecx
    rep stosl
    movl $boot_pml4, %edi
    movl $2048, %ecx            // the PML4 and the PDPT behind it
    rep stosl

    movl $boot_pdpt + 3, boot_pml4
    movl $boot_pd + 3, %eax
    movl $boot_pdpt, %edi
    movl $4, %ecx
1:  movl %eax, (%edi)
    addl $4096, %eax
    addl $8, %edi
    decl %ecx
    jnz 1b

    movl $0x83, %eax            // present, writable, 2 MiB
    movl $boot_pd, %edi
    movl $2048, %ecx
2:  movl %eax, (%edi)
    movl $0, 4(%edi)
    addl $0x200000, %eax
    addl $8, %edi
    decl %ecx
    jnz 2b

    lgdt boot_gdt_pointer
    enter_long_mode start64

    .code64
start64:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl $boot_stack_top, %esp
    movl %ebp, %edi
    xorl %ebp, %ebp
    call guest_main
3:  cli
    hlt
    jmp 3b

    .section .note.GNU-stack, "", @progbits
