// Code that is remapped, switched, and written through another address while it is hot: what is
// executed is what the tables and fences say.
#include "machine.h"

enum { V = 1, R = 2, W = 4, X = 8, USER = 16, G = 32, A = 64, D = 128 };
#define CODE (V | R | X | A)
#define DATA (V | R | W | A | D)
#define ALL (V | R | W | X | A | D)

// Two address spaces, whose first pages differ.
static u64 root[2][512] __attribute__((aligned(4096)));
static u64 middle[2][512] __attribute__((aligned(4096)));
static u64 leaves[2][512] __attribute__((aligned(4096)));
static u32 page[4][1024] __attribute__((aligned(4096)));

#define PTE(pa, flags) (((u64)(pa) >> 12 << 10) | (flags))
#define VA(n) ((u64)(n) << 12)
#define FOR_U(pointer) ((u64)(pointer) + 0x40000000)
// addi a0, zero, n
#define LI(n) (0x00000513 | (u32)(n) << 20)
#define RET 0x00008067

// Calls a0 a1 times: the sum of what it returns.
PIECE(call_often, "mv s0, a0\n mv s1, a1\n li s2, 0\n"
                  "1: jalr s0\n add s2, s2, a0\n addi s1, s1, -1\n bnez s1, 1b\n mv a0, s2");
// Writes `addi a0, zero, a1` through a1's address for a1 = 200 ... 1, and calls it at a0: how
// often it returned another number.
PIECE(write_often, "mv s0, a0\n mv s1, a1\n li s2, 200\n li s3, 0\n"
                   "1: slli t0, s2, 20\n addi t0, t0, 0x513\n sw t0, 0(s1)\n fence.i\n"
                   "jalr s0\n beq a0, s2, 2f\n addi s3, s3, 1\n"
                   "2: addi s2, s2, -1\n bnez s2, 1b\n mv a0, s3");

static u64 satp(u64 space) { return 8UL << 60 | (space + 1) << 44 | (u64)root[space] >> 12; }
// As many calls as make code hot.
enum { TIMES = 300 };
static u64 calls(u64 mode, u64 va) {
    enter(mode, mode == U ? FOR_U(call_often) : (u64)call_often, va, TIMES);
    return trap.cause == 8 + mode ? trap.a0 / TIMES : 1000 + trap.cause;
}
static void fence(u64 va, u64 asid) {
    __asm__ volatile("sfence.vma %0, %1" ::"r"(va), "r"(asid) : "memory");
}
static void fence_all(void) { __asm__ volatile("sfence.vma" ::: "memory"); }

static void remap(u64 mode) {
    u64 flags = mode == U ? CODE | USER : CODE;
    for (u64 round = 0; round < 6; round++) {
        for (u64 n = 0; n < 3; n++) {
            leaves[0][1] = PTE(page[n], flags);
            if (round % 3 == 0)
                fence(VA(1), 1);
            else if (round % 3 == 1)
                __asm__ volatile("sfence.vma %0, zero" ::"r"(VA(1) + 8) : "memory");
            else
                fence_all();
            expect("remapped", mode, calls(mode, VA(1)), n + 1);
        }
    }
    // Another page's fence, another space's.
    fence(VA(9), 1);
    fence(VA(1), 2);
    expect("fenced elsewhere", mode, calls(mode, VA(1)), 3);
    leaves[0][1] = 0;
    fence(VA(1), 1);
    expect("unmapped", mode, calls(mode, VA(1)), 1012);
    leaves[0][1] = PTE(page[0], flags & ~X);
    fence(VA(1), 1);
    expect("not executable", mode, calls(mode, VA(1)), 1012);
    leaves[0][1] = PTE(page[0], flags ^ USER);
    fence(VA(1), 1);
    expect("another mode's", mode, calls(mode, VA(1)), 1012);
    leaves[0][1] = PTE(page[0], flags);
    fence(VA(1), 1);
    expect("mapped again", mode, calls(mode, VA(1)), 1);
}

static void switches(u64 mode) {
    u64 flags = mode == U ? CODE | USER : CODE;
    leaves[0][1] = PTE(page[0], flags);
    leaves[1][1] = PTE(page[1], flags);
    // The same code elsewhere.
    leaves[0][2] = PTE(page[2], flags);
    leaves[1][2] = PTE(page[2], flags);
    fence_all();
    for (u64 round = 0; round < 20; round++) {
        for (u64 space = 0; space < 2; space++) {
            CSR_WRITE("satp", satp(space));
            expect("switched", mode, calls(mode, VA(1)), space + 1);
            expect("shared", mode, calls(mode, VA(2)), 3);
        }
    }
    CSR_WRITE("satp", satp(0));
}

static void written(u64 mode) {
    u64 user = mode == U ? USER : 0;
    // Written here, by its physical address.
    leaves[0][1] = PTE(page[0], CODE | user);
    fence_all();
    for (u64 n = 1; n < 20; n++) {
        page[0][0] = LI(n);
        __asm__ volatile("fence.i" ::: "memory");
        expect("written by M", mode, calls(mode, VA(1)), n);
    }
    // Written by the mode itself, by another virtual address of the page, and by the same.
    leaves[0][2] = PTE(page[0], DATA | user);
    leaves[0][1] = PTE(page[0], ALL | user);
    fence_all();
    for (u64 alias = 1; alias <= 2; alias++) {
        enter(mode, mode == U ? FOR_U(write_often) : (u64)write_often, VA(1), VA(alias));
        expect("written: ends", alias, trap.cause, 8 + mode);
        expect("written: wrong results", alias, trap.a0, 0);
    }
    page[0][0] = LI(1);
    __asm__ volatile("fence.i" ::: "memory");
}

// An instruction of four bytes whose second half lies on another page.
static void across(u64 mode) {
    u64 flags = mode == U ? CODE | USER : CODE;
    u16 *first = (u16 *)page[3];
    first[2047] = (u16)LI(0);
    for (u64 n = 0; n < 3; n++) {
        u16 *second = (u16 *)page[n];
        second[0] = (u16)(LI(n + 5) >> 16);
        second[1] = (u16)RET, second[2] = (u16)(RET >> 16);
    }
    __asm__ volatile("fence.i" ::: "memory");
    leaves[0][3] = PTE(page[3], flags);
    for (u64 round = 0; round < 9; round++) {
        leaves[0][4] = PTE(page[round % 3], flags);
        fence(VA(4), 1);
        expect("across pages", mode, calls(mode, VA(4) - 2), round % 3 + 5);
    }
    leaves[0][4] = 0;
    fence(VA(4), 1);
    expect("across pages, second unmapped", mode, calls(mode, VA(4) - 2), 1012);
    expect("across pages: tval", mode, trap.tval, VA(4));
}

// Code that depends on its address, at several of them; and one page beside several others.
static void moved(u64 mode) {
    u64 flags = mode == U ? CODE | USER : CODE;
    u32 *code = page[3];
    code[0] = 0x00000517; // auipc a0, 0
    code[1] = 0x004002ef; // jal t0, 4
    code[2] = 0x00550533; // add a0, a0, t0
    code[3] = RET;
    code[16] = 0x0000206f; // jal zero, 8192
    for (u64 n = 0; n < 3; n++)
        page[n][16] = LI(n + 9), page[n][17] = RET;
    __asm__ volatile("fence.i" ::: "memory");
    for (u64 round = 0; round < 4; round++) {
        for (u64 n = 10; n < 20; n += 3) {
            leaves[0][n] = PTE(page[3], flags);
            leaves[0][n + 2] = PTE(page[n % 4 % 3], flags);
            fence(VA(n), 1), fence(VA(n + 2), 1);
            expect("moved", mode, calls(mode, VA(n)), 2 * VA(n) + 8);
            expect("moved, beside another", mode, calls(mode, VA(n) + 64), n % 4 % 3 + 9);
        }
    }
}

int main(void) {
    open_pmp();
    for (u64 space = 0; space < 2; space++) {
        root[space][0] = PTE(middle[space], V);
        root[space][2] = PTE(0x80000000, ALL | G);
        root[space][3] = PTE(0x80000000, ALL | USER);
        middle[space][0] = PTE(leaves[space], V);
    }
    CSR_WRITE("satp", satp(0));
    fence_all();
    for (u64 mode = U; mode <= S; mode++) {
        for (u64 n = 0; n < 4; n++)
            page[n][0] = LI(n + 1), page[n][1] = RET;
        __asm__ volatile("fence.i" ::: "memory");
        remap(mode);
        switches(mode);
        written(mode);
        across(mode);
        moved(mode);
    }
    return failures;
}
