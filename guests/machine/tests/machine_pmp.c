// Physical memory protection: each way of matching, edges, locks, page tables, and M with MPRV.
#include "machine.h"

static u64 area[1024] __attribute__((aligned(4096)));
static u64 root[512] __attribute__((aligned(4096)));

#define NAPOT(pa, size) (((u64)(pa) >> 2) | (((u64)(size) >> 3) - 1))
enum { PR = 1, PW = 2, PX = 4, TOR = 8, NA4 = 16, NAPOT_ = 24, LOCK = 128 };

static void check(const char *what, u64 mode, char *piece, void *at, u64 cause) {
    enter(mode, (u64)piece, (u64)at, 0x73);
    if (cause)
        expect_trap(what, (u64)at, cause, (u64)at);
    else
        expect(what, (u64)at, trap.cause, 8 + mode);
}

int main(void) {
    // Nothing permitted: M may, S and U may not even fetch.
    enter(S, (u64)do_nothing, 0, 0);
    expect_trap("no entry", 0, 1, (u64)do_nothing);
    // Entry 15 permits everything, entries before it take from that.
    CSR_WRITE("pmpaddr15", -1L);
    CSR_WRITE("pmpcfg2", (u64)(PR | PW | PX | NAPOT_) << 56);
    check("all", U, do_load, area, 0);
    // 64 bytes read-only.
    CSR_WRITE("pmpaddr0", NAPOT(&area[8], 64));
    CSR_WRITE("pmpcfg0", PR | NAPOT_);
    check("below", S, do_store, &area[7], 0);
    check("first", S, do_store, &area[8], 7);
    check("first, load", S, do_load, &area[8], 0);
    check("last", U, do_store, &area[15], 7);
    check("amo", U, do_amo, &area[15], 7);
    check("above", U, do_store, &area[16], 0);
    check("jump", S, do_jump, &area[8], 1);
    check("M is free", M, do_store, &area[8], 0);
    // Across the edge: none of it.
    check("store across", S, do_store, (u8 *)&area[7] + 4, 7);
    check("load across", S, do_load, (u8 *)&area[15] + 4, 5);
    // 4 bytes, and a range.
    CSR_WRITE("pmpaddr0", (u64)&area[20] >> 2);
    CSR_WRITE("pmpcfg0", NA4);
    check("NA4", S, do_load_byte, (u8 *)&area[20] + 3, 5);
    check("NA4, behind", S, do_load_byte, (u8 *)&area[20] + 4, 0);
    CSR_WRITE("pmpaddr0", (u64)&area[30] >> 2);
    CSR_WRITE("pmpaddr1", (u64)&area[32] >> 2);
    CSR_WRITE("pmpcfg0", TOR << 8);
    check("TOR, below", S, do_load, &area[29], 0);
    check("TOR, first", S, do_load, &area[30], 5);
    check("TOR, last", S, do_load, &area[31], 5);
    check("TOR, behind", S, do_load, &area[32], 0);
    // The first entry that matches decides.
    CSR_WRITE("pmpaddr2", NAPOT(&area[0], 4096));
    CSR_WRITE("pmpcfg0", (u64)(PR | NAPOT_) << 16 | (PR | PW | PX | TOR) << 8);
    check("first entry", S, do_store, &area[30], 0);
    check("second entry", S, do_store, &area[33], 7);
    // W without R is reserved.
    CSR_WRITE("pmpcfg0", PW | NAPOT_);
    expect("W without R", 0, CSR_READ("pmpcfg0") & PW, 0);
    // A page table that S may not read: an access fault of the access.
    root[2] = 0x80000000UL >> 12 << 10 | 0xcf;
    CSR_WRITE("pmpaddr0", NAPOT(root, 4096));
    CSR_WRITE("pmpcfg0", NAPOT_);
    CSR_WRITE("satp", 8UL << 60 | (u64)root >> 12);
    __asm__ volatile("sfence.vma");
    enter(S, (u64)do_nothing, 0, 0);
    expect_trap("table", 0, 1, (u64)do_nothing);
    CSR_WRITE("pmpcfg0", PR | NAPOT_);
    enter(S, (u64)do_nothing, 0, 0);
    expect("readable table", 0, trap.cause, 9);
    CSR_WRITE("satp", 0);
    // MPRV: M as S.
    CSR_WRITE("pmpaddr0", NAPOT(&area[8], 64));
    CSR_WRITE("pmpcfg0", NAPOT_);
    extern char mprv_load[];
    enter(M, (u64)mprv_load, (u64)&area[8], 1 << 17 | S << 11);
    expect_trap("MPRV", 0, 5, (u64)&area[8]);
    CSR_CLEAR("mstatus", 1 << 17);
    // Locked: M too, and nothing changes it.
    CSR_WRITE("pmpcfg0", LOCK | PR | NAPOT_);
    check("locked", M, do_store, &area[8], 7);
    check("locked, load", M, do_load, &area[8], 0);
    CSR_WRITE("pmpcfg0", 0);
    CSR_WRITE("pmpaddr0", 0);
    check("still locked", M, do_store, &area[15], 7);
    expect("locked cfg", 0, CSR_READ("pmpcfg0") & 0xff, LOCK | PR | NAPOT_);
    return failures;
}

__asm__(".text\n.globl mprv_load\nmprv_load: csrs mstatus, a1\nld a0, 0(a0)\necall");
