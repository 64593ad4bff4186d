// The first instructions of a process, and the raw system call, on each machine.
#if defined(__riscv)
    .globl _start
    .type _start, @function
_start:
    .option push
    .option norelax
    la gp, __global_pointer$
    .option pop
    ld a0, 0(sp)
    addi a1, sp, 8
    andi sp, sp, -16
    call main
    call stop
    .size _start, . - _start

    .globl system_call
    .type system_call, @function
system_call:
    mv a7, a0
    mv a0, a1
    mv a1, a2
    mv a2, a3
    mv a3, a4
    mv a4, a5
    mv a5, a6
    ecall
    ret
    .size system_call, . - system_call
#elif defined(__x86_64__)
    .globl _start
    .type _start, @function
_start:
    mov (%rsp), %rdi
    lea 8(%rsp), %rsi
    and $-16, %rsp
    xor %ebp, %ebp
    call main
    mov %eax, %edi
    call stop
    .size _start, . - _start

    .globl system_call
    .type system_call, @function
system_call:
    mov %rdi, %rax
    mov %rsi, %rdi
    mov %rdx, %rsi
    mov %rcx, %rdx
    mov %r8, %r10
    mov %r9, %r8
    mov 8(%rsp), %r9
    syscall
    ret
    .size system_call, . - system_call
#elif defined(__aarch64__)
    .globl _start
    .type _start, %function
_start:
    ldr x0, [sp]
    add x1, sp, #8
    bl main
    bl stop
    .size _start, . - _start

    .globl system_call
    .type system_call, %function
system_call:
    mov x8, x0
    mov x0, x1
    mov x1, x2
    mov x2, x3
    mov x3, x4
    mov x4, x5
    mov x5, x6
    svc #0
    ret
    .size system_call, . - system_call
#endif
    .section .note.GNU-stack, "", %progbits
