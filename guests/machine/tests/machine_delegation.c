// Which mode takes which exception and interrupt: delegation, stacks of enables, vectors,
// priorities.
#include "machine.h"

PIECE(do_illegal, ".word 0xffffffff");
PIECE(do_ebreak, "ebreak");
PIECE(do_nops, "nop\nnop\nnop\nnop");
PIECE(do_enable, "csrsi sstatus, 2\nnop");
PIECE(do_sret, "sret");
PIECE(do_software, "csrw sip, 2\nnop");

static u64 word;

int main(void) {
    open_pmp();
    CSR_WRITE("stvec", delegated);
    // Exceptions: from U and S to S if delegated; never from M.
    struct { char *piece; u64 a0, cause, tval; } cases[] = {
        {do_illegal, 0, 2, 0xffffffff},
        {do_ebreak, 0, 3, 0},
        {do_lr, (u64)&word + 4, 4, (u64)&word + 4},
        {do_load, 8, 5, 8},
        {do_amo, (u64)&word + 4, 6, (u64)&word + 4},
        {do_store, 16, 7, 16},
        {do_jump, 0x40000000, 1, 0x40000000},
    };
    for (u64 i = 0; i < ARRAY(cases); i++) {
        for (u64 mode = U; mode <= M; mode++) {
            if (mode == 2)
                continue;
            for (u64 on = 0; on < 2; on++) {
                CSR_WRITE("medeleg", on << cases[i].cause);
                CSR_WRITE("sstatus", 2 & ~on << 1 ? 2 : 0);
                CSR_WRITE("scause", 99);
                enter(mode, (u64)cases[i].piece, cases[i].a0, 0);
                if (on && mode != M) {
                    // By way of `delegated`, which ecalls.
                    expect("ecall of the handler", i, trap.cause, 9);
                    expect("scause", i, CSR_READ("scause"), cases[i].cause);
                    expect("stval", i, CSR_READ("stval"), cases[i].tval);
                    expect("SPP", i, CSR_READ("sstatus") >> 8 & 1, mode == S);
                    expect("SIE", i, CSR_READ("sstatus") >> 1 & 1, 0);
                    expect("handler's mode", i, trap.status >> 11 & 3, S);
                } else {
                    expect("mcause", i, trap.cause, cases[i].cause);
                    expect("mtval", i, trap.tval, cases[i].tval);
                    expect("scause", i, CSR_READ("scause"), 99);
                }
            }
        }
    }
    // Ecalls.
    CSR_WRITE("medeleg", 1 << 8);
    enter(U, (u64)do_nothing, 0, 0);
    expect("scause of ecall from U", 0, CSR_READ("scause"), 8);
    expect("sepc of ecall from U", 0, CSR_READ("sepc"), (u64)do_nothing);
    CSR_WRITE("medeleg", -1L);
    expect("ecall from M is not delegable", 0, CSR_READ("medeleg") >> 11 & 1, 0);
    CSR_WRITE("medeleg", 0);

    // Interrupts: software, timer and external of both modes, one after the other by priority.
    CSR_WRITE("mideleg", 0);
    CSR_WRITE("mie", 0xaaa);
    *(volatile u32 *)0x2000000 = 1; // MSIP of hart 0
    CSR_WRITE("mip", 0x222);
    expect("mip", 0, CSR_READ("mip"), 0x22a);
    u64 priority[] = {3, 9, 1, 5};
    for (u64 i = 0; i < ARRAY(priority); i++) {
        enter(U, (u64)do_nops, 0, 0);
        expect("interrupt", i, trap.cause, 1UL << 63 | priority[i]);
        expect("epc of interrupt", i, trap.epc, (u64)do_nops);
        expect("tval of interrupt", i, trap.tval, 0);
        CSR_CLEAR("mie", 1 << priority[i]);
    }
    enter(U, (u64)do_nops, 0, 0);
    expect("none left", 0, trap.cause, 8);
    *(volatile u32 *)0x2000000 = 0;

    // Delegated ones: not in M, in S by SIE, always in U.
    CSR_WRITE("mideleg", 0x222);
    CSR_WRITE("mie", 0x222);
    CSR_WRITE("mip", 0x002);
    CSR_WRITE("sstatus", 0);
    CSR_SET("mstatus", 8);
    enter(S, (u64)do_nops, 0, 0);
    expect("SIE off", 0, trap.cause, 9);
    expect("SIE off", 1, trap.epc, (u64)do_nops + 16);
    enter(S, (u64)do_enable, 0, 0);
    expect("SIE on", 0, CSR_READ("scause"), 1UL << 63 | 1);
    expect("SIE on: right behind csrsi", 0, CSR_READ("sepc"), (u64)do_enable + 4);
    expect("SPIE", 0, CSR_READ("sstatus") >> 5 & 1, 1);
    expect("SPP", 0, CSR_READ("sstatus") >> 8 & 1, 1);
    CSR_WRITE("sstatus", 0);
    enter(U, (u64)do_nops, 0, 0);
    expect("in U", 0, CSR_READ("sepc"), (u64)do_nops);
    // sret that enables them: taken at its target.
    CSR_WRITE("sstatus", 1 << 8 | 1 << 5);
    CSR_WRITE("sepc", do_nops);
    CSR_WRITE("scause", 0);
    enter(S, (u64)do_sret, 0, 0);
    expect("behind sret", 0, CSR_READ("scause"), 1UL << 63 | 1);
    expect("behind sret: sepc", 0, CSR_READ("sepc"), (u64)do_nops);
    // Software raised by S itself.
    CSR_WRITE("mip", 0);
    CSR_WRITE("sstatus", 2);
    enter(S, (u64)do_software, 0, 0);
    expect("own software interrupt", 0, CSR_READ("sepc"), (u64)do_software + 4);
    CSR_WRITE("mip", 0);

    // Vectors.
    CSR_WRITE("mideleg", 0);
    CSR_WRITE("mie", 2);
    CSR_WRITE("mip", 2);
    CSR_WRITE("mtvec", (u64)trapped | 1);
    enter(U, (u64)do_nops, 0, 0);
    expect("vectored interrupt", 0, trap.vectored, 1);
    CSR_WRITE("mip", 0);
    enter(U, (u64)do_illegal, 0, 0);
    expect("exceptions are not vectored", 0, trap.vectored, 0);
    CSR_WRITE("mtvec", trapped);
    CSR_WRITE("mideleg", 2);
    CSR_WRITE("stvec", (u64)delegated | 1);
    CSR_WRITE("mip", 2);
    enter(U, (u64)do_nops, 0, 0);
    expect("vectored in S", 0, CSR_READ("sscratch"), 1);
    return failures;
}
