# Where a machine's program begins, and how it gets into other modes and back.
.section .text.start, "ax"
.globl _start
_start:
    # Hart 0 alone runs the test, and may give the others something to do.
    bnez a0, park
    la sp, stack_top
    la t0, trapped
    csrw mtvec, t0
    csrw mie, zero
    call main
    # main returns the number of failed checks.
    beqz a0, passed
    slli a0, a0, 16
    li t0, 0x3333
    or a0, a0, t0
    j finish
passed:
    li a0, 0x5555
finish:
    li t0, 0x100000
    sw a0, 0(t0)
1:  wfi
    j 1b

# Other harts wait for a software interrupt, which they do not take, and for a place to go on at: with
# their number in a0 and a page of stack.
park:
    csrwi mie, 8
    la t0, others
1:  wfi
    ld t1, 0(t0)
    beqz t1, 1b
    la sp, stack_top
    slli t2, a0, 12
    add sp, sp, t2
    jr t1

# void enter(u64 mode, u64 pc, u64 a0, u64 a1): goes to pc in a mode, with interrupts of that mode
# as mstatus has them; returns at the next trap to machine mode, described in `trap`.
.globl enter
enter:
    la t0, saved
    sd ra, 0(t0)
    sd sp, 8(t0)
    sd s0, 16(t0)
    sd s1, 24(t0)
    sd s2, 32(t0)
    sd s3, 40(t0)
    sd s4, 48(t0)
    sd s5, 56(t0)
    sd s6, 64(t0)
    sd s7, 72(t0)
    sd s8, 80(t0)
    sd s9, 88(t0)
    sd s10, 96(t0)
    sd s11, 104(t0)
    sd gp, 112(t0)
    sd tp, 120(t0)
    li t1, 3 << 11
    csrc mstatus, t1
    slli t1, a0, 11
    csrs mstatus, t1
    csrw mepc, a1
    mv a0, a2
    mv a1, a3
    mret

# Every trap to machine mode ends here; vectored ones come by the table behind it.
.balign 256
.globl trapped
trapped:
    j 1f
    .rept 15
    j vectored
    .endr
1:  csrw mscratch, t0
    la t0, trap
    sd zero, 48(t0)
2:  sd a0, 40(t0)
    csrr a0, mcause
    sd a0, 0(t0)
    csrr a0, mtval
    sd a0, 8(t0)
    csrr a0, mepc
    sd a0, 16(t0)
    csrr a0, mstatus
    sd a0, 24(t0)
    csrr a0, instret
    sd a0, 32(t0)
    la t0, saved
    ld ra, 0(t0)
    ld sp, 8(t0)
    ld s0, 16(t0)
    ld s1, 24(t0)
    ld s2, 32(t0)
    ld s3, 40(t0)
    ld s4, 48(t0)
    ld s5, 56(t0)
    ld s6, 64(t0)
    ld s7, 72(t0)
    ld s8, 80(t0)
    ld s9, 88(t0)
    ld s10, 96(t0)
    ld s11, 104(t0)
    ld gp, 112(t0)
    ld tp, 120(t0)
    ret
vectored:
    csrw mscratch, t0
    la t0, trap
    sd a0, 40(t0)
    li a0, 1
    sd a0, 48(t0)
    ld a0, 40(t0)
    j 2b

# Traps delegated to supervisor mode: the same facts, then on to machine mode.
.balign 256
.globl delegated
delegated:
    j 1f
    .rept 15
    j 3f
    .endr
1:  csrw sscratch, zero
    j 2f
3:  csrwi sscratch, 1
2:  ecall

.bss
.balign 8
saved: .skip 128
.globl others
others: .skip 8
.globl trap
trap: .skip 56
