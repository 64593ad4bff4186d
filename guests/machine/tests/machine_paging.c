// Page walks of Sv39 and Sv48: permissions, A and D, superpages, SUM, MXR, MPRV, fences by page
// and address space.
#include "machine.h"

enum { V = 1, R = 2, W = 4, X = 8, USER = 16, G = 32, A = 64, D = 128 };
#define ALL (V | R | W | X | A | D)

// Tables: root3 of Sv39 (root4 of Sv48 points to it), and what lies below its first entry.
static u64 root4[512] __attribute__((aligned(4096)));
static u64 root3[512] __attribute__((aligned(4096)));
static u64 middle[512] __attribute__((aligned(4096)));
static u64 leaves[512] __attribute__((aligned(4096)));
static u64 page[3][512] __attribute__((aligned(4096)));

#define PTE(pa, flags) (((u64)(pa) >> 12 << 10) | (flags))
// Virtual addresses of page number n of `leaves`.
#define VA(n) ((u64)(n) << 12)
// Where code can be found by U: all of RAM, aliased.
#define FOR_U(pointer) ((u64)(pointer) + 0x40000000)

static u64 satp(u64 mode, u64 asid) {
    return mode << 60 | asid << 44 | (u64)(mode == 9 ? root4 : root3) >> 12;
}
static void use(u64 value) {
    CSR_WRITE("satp", value);
    __asm__ volatile("sfence.vma" ::: "memory");
}
static void map(u64 n, u64 pte) {
    leaves[n] = pte;
    __asm__ volatile("sfence.vma" ::: "memory");
}
static void go(u64 mode, char *piece, u64 a0, u64 a1) {
    enter(mode, mode == U ? FOR_U(piece) : (u64)piece, a0, a1);
}
// The access of a piece to `va` ends so: a cause, or 0 for none.
static void check(const char *what, u64 mode, char *piece, u64 va, u64 cause) {
    go(mode, piece, va, 77);
    if (cause)
        expect_trap(what, va, cause, va);
    else
        expect(what, va, trap.cause, 8 + mode);
}

static void permissions(void) {
    // Every combination of V, R, W, X, U, A, D for each access from S and U.
    for (u64 flags = 0; flags < 256; flags++) {
        if (flags & G)
            continue;
        map(1, PTE(page[0], flags));
        for (u64 mode = U; mode <= S; mode++) {
            for (u64 sum = 0; sum < 4; sum++) {
                CSR_CLEAR("mstatus", 3 << 18);
                CSR_SET("mstatus", sum << 18); // SUM, MXR
                u64 legal = flags & V && !((flags & W) && !(flags & R)) && flags & (R | X);
                u64 owned = mode == U ? flags & USER : !(flags & USER) || sum & 1;
                u64 readable = flags & R || (sum & 2 && flags & X);
                u64 load = legal && owned && flags & A && readable;
                u64 store = legal && owned && flags & A && flags & D && flags & W;
                u64 mine = mode == U ? flags & USER : !(flags & USER);
                u64 fetch = legal && mine && flags & A && flags & X;
                check("load", mode, do_load, VA(1) + 8, load ? 0 : 13);
                check("store", mode, do_store, VA(1) + 16, store ? 0 : 15);
                check("amo", mode, do_amo, VA(1) + 24, store ? 0 : 15);
                // The page holds an ecall at 64.
                go(mode, do_jump, VA(1) + 64, 0);
                expect("fetch", flags, trap.cause, fetch ? 8 + mode : 12);
                expect("fetch: tval", flags, trap.tval, fetch ? 0 : VA(1) + 64);
            }
        }
    }
    CSR_CLEAR("mstatus", 3 << 18);
}

int main(void) {
    open_pmp();
    root4[0] = PTE(root3, V);
    root3[0] = PTE(middle, V);
    root3[2] = PTE(0x80000000, ALL | G);
    root3[3] = PTE(0x80000000, ALL | USER);
    middle[0] = PTE(leaves, V);
    page[0][8] = 0x00000073; // ecall
    // Unsupported modes change nothing.
    CSR_WRITE("satp", 1);
    CSR_WRITE("satp", 10UL << 60 | 5);
    expect("Sv57", 0, CSR_READ("satp"), 1);
    CSR_WRITE("satp", 1UL << 60 | 5);
    expect("reserved mode", 0, CSR_READ("satp"), 1);
    use(satp(8, 0xffff));
    expect("16 bits of ASID", 0, CSR_READ("satp") >> 44 & 0xffff, 0xffff);

    use(satp(8, 1));
    permissions();
    use(satp(9, 1));
    map(1, PTE(page[0], ALL));
    check("Sv48", S, do_load, VA(1), 0);
    check("Sv48: not canonical", S, do_load, 1UL << 47, 13);
    use(satp(8, 1));
    check("Sv39: not canonical", S, do_load, 1UL << 38, 13);
    check("Sv39: not canonical, jump", S, do_jump, 1UL << 40, 12);
    check("unmapped", S, do_store, 0x40000000, 15);

    // Reserved bits, pointers with A, D or U, superpages that are not aligned.
    map(1, PTE(page[0], ALL) | 1UL << 54);
    check("reserved bit", S, do_load, VA(1), 13);
    map(1, PTE(page[0], ALL) | 1UL << 63);
    check("N without Svnapot", S, do_load, VA(1), 13);
    map(1, PTE(page[0], ALL) | 1UL << 61);
    check("PBMT without Svpbmt", S, do_load, VA(1), 13);
    map(1, PTE(page[0], V));
    check("pointer in the last table", S, do_load, VA(1), 13);
    middle[1] = PTE(0x80000000, ALL);
    middle[2] = PTE(0x80001000, ALL);
    middle[3] = PTE(leaves, V | A);
    __asm__ volatile("sfence.vma" ::: "memory");
    go(S, do_load, 0x200000 + ((u64)&page[0][8] - 0x80000000), 0);
    expect("2 MiB page", 0, trap.a0, 0x73);
    check("2 MiB page, misaligned", S, do_load, 0x400000, 13);
    check("pointer with A", S, do_load, 0x600000, 13);
    // A table where there is no RAM.
    middle[4] = PTE(0x40000000, V);
    __asm__ volatile("sfence.vma" ::: "memory");
    check("table nowhere: load", S, do_load, 0x800000, 5);
    check("table nowhere: store", S, do_store, 0x800000, 7);
    check("table nowhere: jump", S, do_jump, 0x800000, 1);

    // Accesses that cross pages: all or nothing, and the part that faults is told.
    page[0][511] = 0x1122334455667788, page[1][0] = 0x99aabbccddeeff00;
    map(1, PTE(page[0], ALL));
    map(2, PTE(page[1], ALL));
    go(S, do_load, VA(2) - 4, 0);
    expect("load across", 0, trap.a0, 0xddeeff0011223344);
    map(2, 0);
    go(S, do_load, VA(2) - 4, 0);
    expect_trap("load across, second unmapped", 0, 13, VA(2));
    go(S, do_store, VA(2) - 4, 0);
    expect_trap("store across, second unmapped", 0, 15, VA(2));
    expect("nothing stored", 0, page[0][511], 0x1122334455667788);
    map(1, 0);
    map(2, PTE(page[1], ALL));
    go(S, do_store, VA(2) - 4, 0);
    expect_trap("store across, first unmapped", 0, 15, VA(2) - 4);
    // An instruction across pages.
    map(1, PTE(page[0], ALL));
    *(u16 *)((u8 *)page[0] + 4094) = 0x0073;
    *(u16 *)page[1] = 0;
    __asm__ volatile("fence.i");
    go(S, do_jump, VA(2) - 2, 0);
    expect("instruction across", 0, trap.cause, 9);
    map(2, 0);
    go(S, do_jump, VA(2) - 2, 0);
    expect_trap("instruction across, second unmapped", 0, 12, VA(2));
    expect("its epc", 0, trap.epc, VA(2) - 2);

    // MPRV: loads of M as by MPP, fetches not.
    page[0][0] = 42;
    map(1, PTE(page[0], ALL));
    map(2, PTE(page[1], ALL | USER));
    u64 value;
    CSR_CLEAR("mstatus", 3 << 11);
    CSR_SET("mstatus", S << 11 | 1 << 17);
    __asm__ volatile("ld %0, 0(%1)" : "=r"(value) : "r"(VA(1)) : "memory");
    CSR_CLEAR("mstatus", 1 << 17);
    expect("MPRV", 0, value, 42);

    // Svadu: A and D are updated if menvcfg.ADUE.
    CSR_WRITE("0x30a", 1UL << 61);
    map(1, PTE(page[0], V | R | W));
    check("Svadu: load", S, do_load, VA(1), 0);
    expect("A", 0, leaves[1] & (A | D), A);
    check("Svadu: store", S, do_store, VA(1), 0);
    expect("D", 0, leaves[1] & (A | D), A | D);
    map(1, PTE(page[0], V | R));
    check("Svadu: store to read-only", S, do_store, VA(1), 15);
    expect("nothing updated", 0, leaves[1] & (A | D), 0);
    CSR_WRITE("0x30a", 0);

    // What is not fenced may be seen or not; what is fenced must be.
    page[0][0] = 1, page[1][0] = 2, page[2][0] = 3;
    map(1, PTE(page[0], ALL));
    map(2, PTE(page[0], ALL));
    check("before", S, do_load, VA(1), 0);
    check("before", S, do_load, VA(2), 0);
    leaves[1] = PTE(page[1], ALL);
    __asm__ volatile("sfence.vma %0, zero" ::"r"(VA(1)) : "memory");
    go(S, do_load, VA(1), 0);
    expect("fence of a page", 0, trap.a0, 2);
    leaves[1] = PTE(page[2], ALL);
    __asm__ volatile("sfence.vma %0, %1" ::"r"(VA(1)), "r"(1) : "memory");
    go(S, do_load, VA(1), 0);
    expect("fence of a page of one space", 0, trap.a0, 3);
    leaves[1] = PTE(page[0], ALL);
    __asm__ volatile("sfence.vma zero, %0" ::"r"(1) : "memory");
    go(S, do_load, VA(1), 0);
    expect("fence of one space", 0, trap.a0, 1);
    // Two address spaces with tables of their own.
    CSR_WRITE("satp", satp(9, 2));
    go(S, do_load, VA(1), 0);
    expect("another space", 0, trap.a0, 1);
    leaves[1] = PTE(page[1], ALL);
    __asm__ volatile("sfence.vma %0, zero" ::"r"(VA(1)) : "memory");
    go(S, do_load, VA(1), 0);
    expect("another space, fenced", 0, trap.a0, 2);
    CSR_WRITE("satp", satp(8, 1));
    go(S, do_load, VA(1), 0);
    expect("the first space, fenced with it", 0, trap.a0, 2);
    // A superpage is one translation: a fence for any of its addresses is for all.
    go(S, do_load, 0x200000 + ((u64)&page[0][0] - 0x80000000), 0);
    expect("superpage", 0, trap.a0, 1);
    middle[1] = 0;
    __asm__ volatile("sfence.vma %0, zero" ::"r"(0x200000L) : "memory");
    check("superpage, fenced elsewhere", S, do_load, 0x200000 + ((u64)&page[0][0] - 0x80000000), 13);
    // satp off: addresses are physical again at once.
    use(0);
    go(S, do_load, (u64)&page[2][0], 0);
    expect("bare", 0, trap.a0, 3);
    return failures;
}
