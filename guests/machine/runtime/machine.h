// What the tests of privileged behaviour share: CSRs, modes, checks that print what they found.
#pragma once

typedef unsigned long u64;
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;

enum { U = 0, S = 1, M = 3 };

// The last trap to machine mode.
struct trap {
    u64 cause, tval, epc, status, instret, a0, vectored;
};
extern volatile struct trap trap;
void enter(u64 mode, u64 pc, u64 a0, u64 a1);
extern char trapped[], delegated[];

#define CSR_READ(name) ({ u64 value_; __asm__ volatile("csrr %0, " name : "=r"(value_)); value_; })
#define CSR_WRITE(name, value) __asm__ volatile("csrw " name ", %0" ::"r"((u64)(value)) : "memory")
#define CSR_SET(name, value) __asm__ volatile("csrs " name ", %0" ::"r"((u64)(value)) : "memory")
#define CSR_CLEAR(name, value) __asm__ volatile("csrc " name ", %0" ::"r"((u64)(value)) : "memory")

#define ARRAY(array) (sizeof(array) / sizeof((array)[0]))

static int failures;

static void put(char c) { *(volatile u8 *)0x10000000 = (u8)c; }
static void print(const char *text) {
    for (; *text; text++)
        put(*text);
}
static void print_hex(u64 value) {
    print("0x");
    int digits = 1;
    while (digits < 16 && value >> (4 * digits))
        digits++;
    while (digits-- > 0)
        put("0123456789abcdef"[value >> (4 * digits) & 15]);
}

// Says what differs, and counts it.
static void expect(const char *what, u64 which, u64 found, u64 expected) {
    if (found == expected)
        return;
    failures++;
    print("FAILED: "), print(what), print(" "), print_hex(which);
    print(": "), print_hex(found), print(", expected "), print_hex(expected), print("\n");
}

// Runs a piece of code in a mode until it traps to machine mode.
static inline void expect_trap(const char *what, u64 which, u64 cause, u64 tval) {
    expect(what, which, trap.cause, cause);
    expect(what, which, trap.tval, tval);
}

// All memory for all modes.
static inline void open_pmp(void) {
    CSR_WRITE("pmpaddr0", -1L);
    CSR_WRITE("pmpcfg0", 0x1f);
}

// Code that does one thing with a0 and a1, then ecalls.
#define PIECE(name, text)                                                      \
    extern char name[];                                                        \
    __asm__(".pushsection .text\n.balign 8\n.globl " #name "\n" #name ":\n"    \
            ".option push\n.option norvc\n" text "\necall\n.option pop\n.popsection\n")

PIECE(do_nothing, "");
PIECE(do_load, "ld a0, 0(a0)");
PIECE(do_load_byte, "lbu a0, 0(a0)");
PIECE(do_store, "sd a1, 0(a0)");
PIECE(do_jump, "jr a0");
PIECE(do_amo, "amoadd.d a0, a1, (a0)");
PIECE(do_lr, "lr.d a0, (a0)");
