// Interrupt handlers: count, end the interrupt, return.  All work is done by the main loop that was woken.

    .set LAPIC_EOI, 0xfee000b0

    .macro counting_handler name, counter
    .global \name
\name:
    pushq %rax
    incq \counter
    movl $LAPIC_EOI, %eax
    movl $0, (%rax)
    popq %rax
    iretq
    .endm

    .section .text
    .code64
    counting_handler control_interrupt, control_interrupts
    counting_handler config_interrupt, config_interrupts
    counting_handler timer_interrupt, timer_interrupts

    // One handler and one counter for each queue pair; 32 bytes apart.
    .macro handler_row name, counters
    .balign 32
    .global \name
\name:
    .set pair, 0
    .rept 16
    .balign 32
    pushq %rax
    incq \counters + 8 * pair
    movl $LAPIC_EOI, %eax
    movl $0, (%rax)
    popq %rax
    iretq
    .set pair, pair + 1
    .endr
    .endm

    handler_row rx_interrupt_handlers, rx_interrupts
    handler_row tx_interrupt_handlers, tx_interrupts

    // Application processors share no counter.
    .global ap_timer_interrupt
ap_timer_interrupt:
    pushq %rax
    movl $LAPIC_EOI, %eax
    movl $0, (%rax)
    popq %rax
    iretq

    .global spurious_interrupt
spurious_interrupt:
    incq spurious_interrupts
    iretq

    // Exceptions are fatal; each stub tells its vector and the frame to a function that prints them.
    .macro exception vector, has_code
    .if \has_code == 0
    pushq $0
    .endif
    pushq $\vector
    jmp exception_common
    .balign 16
    .endm

    .balign 16
    .global exception_stubs
exception_stubs:
    .set vector, 0
    .rept 32
    .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21
    exception vector, 1
    .else
    exception vector, 0
    .endif
    .set vector, vector + 1
    .endr

exception_common:
    movq %rsp, %rdi
    movq %cr2, %rsi
    andq $-16, %rsp
    call report_exception

    .section .note.GNU-stack, "", @progbits
