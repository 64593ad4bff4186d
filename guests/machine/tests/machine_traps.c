// Traps of every cause, with exact tval and epc, from every mode.
#include "machine.h"

PIECE(do_illegal, ".word 0xffffffff");
PIECE(do_illegal_short, ".insn 2, 0\n.insn 2, 0");
PIECE(do_ebreak, "ebreak");
PIECE(do_fld, ".option rvc\nc.fld fa0, 0(a0)\n.option norvc");
PIECE(do_fadd, "fadd.d fa0, fa0, fa0");
PIECE(do_fflags, "csrr a0, fflags");
PIECE(do_set_fflags, "csrwi fflags, 3");
PIECE(do_frm, "csrr a0, frm");
PIECE(do_set_fcsr, "csrsi fcsr, 1");
PIECE(do_absent, "csrr a0, 0x5c0");
PIECE(do_read_only, "csrw mhartid, a0");
PIECE(do_mstatus, "csrr a0, mstatus");
PIECE(do_sstatus, "csrr a0, sstatus");
PIECE(do_satp, "csrr a0, satp");
PIECE(do_mret, "mret");
PIECE(do_sret, "sret");
PIECE(do_wfi, "wfi");
PIECE(do_sfence, "sfence.vma");
PIECE(do_cycle, "csrr a0, cycle");
PIECE(do_time, "csrr a0, time");
PIECE(do_stimecmp, "csrr a0, 0x14d");
PIECE(do_cbo_zero, "cbo.zero (a0)");
PIECE(do_cbo_clean, "cbo.clean (a0)");
PIECE(do_cbo_inval, "cbo.inval (a0)");

static u64 block[24] __attribute__((aligned(64)));
#define ECALL(mode) (8 + (mode))

// The piece traps with this cause at this address.
static void check(const char *what, u64 mode, char *piece, u64 a0, u64 cause, u64 tval) {
    enter(mode, (u64)piece, a0, 5);
    expect_trap(what, mode, cause, tval);
    u64 length = piece == do_fld ? 2 : 4;
    if (cause != 1)
        expect("epc", mode, trap.epc, (u64)piece + (cause >= 8 && cause <= 11 ? length : 0));
    expect("mpp", mode, trap.status >> 11 & 3, mode);
}

int main(void) {
    open_pmp();
    u64 modes[] = {M, S, U};
    for (u64 i = 0; i < 3; i++) {
        u64 mode = modes[i];
        check("illegal", mode, do_illegal, 0, 2, 0xffffffff);
        check("illegal, 16 bits", mode, do_illegal_short, 0, 2, 0);
        check("ebreak", mode, do_ebreak, 0, 3, 0);
        check("lr misaligned", mode, do_lr, (u64)block + 4, 4, (u64)block + 4);
        check("amo misaligned", mode, do_amo, (u64)block + 4, 6, (u64)block + 4);
        check("load from nowhere", mode, do_load, 0x18, 5, 0x18);
        check("store to nowhere", mode, do_store, 0x40000000, 7, 0x40000000);
        check("load past RAM's addresses", mode, do_load, 0x00ffffffffffff00, 5, 0x00ffffffffffff00);
        check("amo on a device", mode, do_amo, 0x10000000, 7, 0x10000000);
        check("misaligned device", mode, do_load, 0x2004001, 5, 0x2004001);
        check("jump to nowhere", mode, do_jump, 0x40000000, 1, 0x40000000);
        check("jump to a device", mode, do_jump, 0x10000000, 1, 0x10000000);
        CSR_CLEAR("mstatus", 3 << 13);
        check("c.fld, FS off", mode, do_fld, (u64)block, 2, 0x2108);
        check("fadd.d, FS off", mode, do_fadd, 0, 2, 0x02a57553 | 7 << 12);
        check("fflags, FS off", mode, do_fflags, 0, 2, 0x00102573);
        // Compiled while FS is on, they trap as soon as it is off again.
        for (u64 round = 0; round < 12; round++) {
            u64 off = round % 6 == 5;
            if (off)
                CSR_CLEAR("mstatus", 3 << 13);
            else
                CSR_SET("mstatus", 1 << 13);
            check("fflags", mode, do_fflags, 0, off ? 2 : ECALL(mode), off ? 0x00102573 : 0);
            check("set fflags", mode, do_set_fflags, 0, off ? 2 : ECALL(mode), off ? 0x0011d073 : 0);
            check("frm", mode, do_frm, 0, off ? 2 : ECALL(mode), off ? 0x00202573 : 0);
            check("set fcsr", mode, do_set_fcsr, 0, off ? 2 : ECALL(mode), off ? 0x0030e073 : 0);
        }
        CSR_SET("mstatus", 1 << 13);
        expect("FS is dirty or off", mode, CSR_READ("mstatus") >> 13 & 3, 3);
        expect("SD", mode, CSR_READ("mstatus") >> 63, 1);
        check("c.fld", mode, do_fld, (u64)block, ECALL(mode), 0);
        check("absent register", mode, do_absent, 0, 2, 0x5c002573);
        check("read-only register", mode, do_read_only, 0, 2, 0xf1451073);
        u64 satp = mode == U, machine = mode != M;
        check("mstatus", mode, do_mstatus, 0, machine ? 2 : ECALL(mode), machine ? 0x30002573 : 0);
        check("sstatus", mode, do_sstatus, 0, satp ? 2 : ECALL(mode), satp ? 0x10002573 : 0);
        check("satp", mode, do_satp, 0, satp ? 2 : ECALL(mode), satp ? 0x18002573 : 0);
        check("sfence.vma", mode, do_sfence, 0, satp ? 2 : ECALL(mode), satp ? 0x12000073 : 0);
    }
    CSR_SET("mstatus", 1 << 20 | 1 << 21 | 1 << 22);
    check("satp, TVM", S, do_satp, 0, 2, 0x18002573);
    check("sfence.vma, TVM", S, do_sfence, 0, 2, 0x12000073);
    check("sret, TSR", S, do_sret, 0, 2, 0x10200073);
    check("wfi, TW", S, do_wfi, 0, 2, 0x10500073);
    check("satp in M, TVM", M, do_satp, 0, ECALL(M), 0);
    CSR_CLEAR("mstatus", 1 << 20 | 1 << 21 | 1 << 22);
    check("wfi in U", U, do_wfi, 0, 2, 0x10500073);
    check("sret in U", U, do_sret, 0, 2, 0x10200073);
    check("mret in S", S, do_mret, 0, 2, 0x30200073);
    // Counters: mcounteren for S, scounteren too for U.
    for (u64 enabled = 0; enabled < 4; enabled++) {
        CSR_WRITE("mcounteren", enabled & 1 ? 7 : 0);
        CSR_WRITE("scounteren", enabled & 2 ? 7 : 0);
        u64 s = enabled & 1, u = enabled == 3;
        check("cycle", S, do_cycle, 0, s ? ECALL(S) : 2, s ? 0 : 0xc0002573);
        check("time", U, do_time, 0, u ? ECALL(U) : 2, u ? 0 : 0xc0102573);
        check("cycle in M", M, do_cycle, 0, ECALL(M), 0);
    }
    CSR_WRITE("mcounteren", 7);
    CSR_WRITE("0x30a", 0);
    check("stimecmp without STCE", S, do_stimecmp, 0, 2, 0x14d02573);
    CSR_WRITE("0x30a", 1UL << 63);
    check("stimecmp", S, do_stimecmp, 0, ECALL(S), 0);
    CSR_WRITE("mcounteren", 5);
    check("stimecmp without TM", S, do_stimecmp, 0, 2, 0x14d02573);
    // Cache-block operations: menvcfg for S, senvcfg too for U.
    CSR_WRITE("0x30a", 0);
    block[8] = 1, block[15] = 2, block[16] = 3, block[7] = 4;
    check("cbo.zero, off", S, do_cbo_zero, (u64)&block[9], 2, 0x45200f);
    check("cbo.clean, off", S, do_cbo_clean, (u64)&block[9], 2, 0x15200f);
    check("cbo.inval, off", S, do_cbo_inval, (u64)&block[9], 2, 0x5200f);
    CSR_WRITE("0x30a", 0xf0);
    check("cbo.zero, off for U", U, do_cbo_zero, (u64)&block[9], 2, 0x45200f);
    expect("nothing was zeroed", 0, block[8], 1);
    check("cbo.zero", S, do_cbo_zero, (u64)&block[9], ECALL(S), 0);
    expect("zeroed", 8, block[8] | block[15], 0);
    expect("not zeroed", 16, block[16] * 8 + block[7], 28);
    CSR_WRITE("0x10a", 0xf0);
    check("cbo.clean in U", U, do_cbo_clean, (u64)&block[9], ECALL(U), 0);
    check("cbo.clean on a device", M, do_cbo_clean, 0x10000000, 7, 0x10000000);
    check("cbo.inval in U", U, do_cbo_inval, (u64)&block[9], ECALL(U), 0);
    check("cbo.zero nowhere", U, do_cbo_zero, 0x1008, 7, 0x1008);
    check("cbo.clean nowhere", U, do_cbo_clean, 0x1008, 7, 0x1008);
    return failures;
}
