// Counters, timers, wfi, LR/SC across traps, code that changes itself.
#include "machine.h"

static u64 word = 5;
#define MTIMECMP (*(volatile u64 *)0x2004000)
#define MTIME (*(volatile u64 *)0x200bff8)

PIECE(do_spin, "1: addi a0, a0, 1\nj 1b");
PIECE(do_wfi, "wfi\nnop");
PIECE(do_lr_sc, "lr.d a0, (a0)\necall");
PIECE(do_sc, "sc.d a0, a1, (a0)");

static u64 (*patched)(void);
static u32 code[2] = {0x00100513, 0x00008067}; // li a0, 1; ret

int main(void) {
    open_pmp();
    // instret counts each instruction once; what traps does not retire.
    u64 before, after;
    __asm__ volatile("csrr %0, instret\nnop\nnop\ncsrr %1, instret" : "=r"(before), "=r"(after));
    expect("instret", 0, after - before, 3);
    __asm__ volatile("csrr %0, cycle\nnop\ncsrr %1, cycle" : "=r"(before), "=r"(after));
    expect("cycle", 0, after - before, 2);
    __asm__ volatile("csrwi minstret, 0\ncsrr %0, instret" : "=r"(after));
    expect("minstret written", 0, after, 0);
    u64 time = CSR_READ("time");
    for (volatile int i = 0; i < 1000; i++)
        ;
    expect("time goes on", 0, CSR_READ("time") > time, 1);
    expect("mtime is time", 0, MTIME - CSR_READ("time") < 5, 1);

    // The machine's timer: not before its time.
    CSR_WRITE("mie", 1 << 7);
    CSR_SET("mstatus", 1 << 7); // MPIE: enabled behind mret
    u64 due = MTIME + 50;
    MTIMECMP = due;
    enter(M, (u64)do_spin, 0, 0);
    expect("mtimecmp", 0, trap.cause, 1UL << 63 | 7);
    expect("not before", 0, CSR_READ("time") >= due, 1);
    expect("not long after", 0, CSR_READ("time") - due < 5, 1);
    expect("in the loop", 0, trap.a0 > 100, 1);
    // wfi waits for it, whatever MIE says.
    CSR_CLEAR("mstatus", 1 << 7);
    MTIMECMP = due = MTIME + 1000000;
    expect("lowered", 0, CSR_READ("mip") >> 7 & 1, 0);
    __asm__ volatile("wfi");
    expect("woken", 0, CSR_READ("mip") >> 7 & 1, 1);
    expect("woken in time", 0, CSR_READ("time") - due < 5, 1);
    MTIMECMP = -1L;

    // Sstc.
    CSR_WRITE("0x30a", 1UL << 63);
    CSR_WRITE("mcounteren", 7);
    CSR_WRITE("mideleg", 0x222);
    CSR_WRITE("stvec", delegated);
    CSR_WRITE("mie", 1 << 5);
    due = CSR_READ("time") + 70;
    CSR_WRITE("0x14d", due);
    enter(U, (u64)do_spin, 0, 0);
    expect("stimecmp", 0, CSR_READ("scause"), 1UL << 63 | 5);
    expect("stimecmp: not before", 0, CSR_READ("time") >= due, 1);
    expect("stimecmp: not long after", 0, CSR_READ("time") - due < 5, 1);
    CSR_WRITE("0x14d", -1L);
    expect("STIP follows stimecmp", 0, CSR_READ("mip") & 0x20, 0);
    CSR_WRITE("0x14d", 0);
    expect("STIP at once", 0, CSR_READ("mip") & 0x20, 0x20);
    CSR_WRITE("0x14d", CSR_READ("time") + 500000);
    CSR_WRITE("sstatus", 0);
    enter(S, (u64)do_wfi, 0, 0);
    expect("wfi in S", 0, trap.epc, (u64)do_wfi + 8);
    CSR_WRITE("mie", 0);

    // A trap ends a reservation.
    enter(S, (u64)do_lr_sc, (u64)&word, 0);
    enter(S, (u64)do_sc, (u64)&word, 6);
    expect("sc behind a trap", 0, trap.a0, 1);
    expect("nothing stored", 0, word, 5);

    // fence.i is what makes new code seen.
    __asm__ volatile("fence.i");
    patched = (u64(*)(void))code;
    expect("code", 0, patched(), 1);
    for (u32 i = 2; i < 50; i++) {
        *(volatile u32 *)code = 0x00000513 | i << 20;
        __asm__ volatile("fence.i" ::: "memory");
        expect("changed code", i, patched(), i);
    }
    return failures;
}
