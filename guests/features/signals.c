// Signals: a SIGSEGV handler that reads every register of the fault, changes one and skips the
// instruction; a handler on an alternate stack; a masked signal that waits.
#include "runtime.h"

enum { CALL_GETPID = 172, CALL_KILL = 129, CALL_SIGACTION = 134, CALL_SIGMASK = 135, CALL_ALTSTACK = 132 };
enum { SIGUSR1 = 10, SIGSEGV = 11, SA_SIGINFO = 4, SA_ONSTACK = 0x08000000 };

// The kernel's structures, as far as they are read here.
struct information { int number, error, code, pad; uint64_t address; };
struct context {
    uint64_t flags;
    void *link;
    uint64_t stack[3], mask[16];
    uint64_t registers[32] __attribute__((aligned(16))); // pc, then x1 to x31
};
struct action { void (*handler)(int, struct information *, struct context *); uint64_t flags, mask; };

static uint64_t pc_of_fault, faults, arrived;
static uint8_t alternate[16384] __attribute__((aligned(16)));
extern char faulting_instruction[];

static void on_fault(int number, struct information *info, struct context *context) {
    faults++;
    put_text("signal ");
    put_decimal((uint64_t)number);
    put_text(" code ");
    put_decimal((uint64_t)info->code);
    put_text(" at ");
    put_hex(info->address, 16);
    put_text("\n");
    pc_of_fault = context->registers[0];
    for (int i = 5; i < 32; i++) {
        if (i >= 8 && i <= 9) continue; // s0 and s1 belong to the compiler here
        put_text("x");
        put_decimal((uint64_t)i);
        put_text(" ");
        put_hex(context->registers[i], 16);
        put_text(i % 4 == 3 ? "\n" : " ");
    }
    context->registers[10] = 0x600d;
    context->registers[0] += 4;
}

static void on_user(int number, struct information *info, struct context *context) {
    uint8_t here;
    (void)number, (void)info, (void)context;
    arrived += &here >= alternate && &here < alternate + sizeof alternate ? 1 : 100;
}

static void handle(int number, void (*handler)(int, struct information *, struct context *), uint64_t flags) {
    struct action action = {handler, SA_SIGINFO | flags, 0};
    if (system_call(CALL_SIGACTION, number, (long)&action, 0, 8, 0, 0) != 0) stop(3);
}

// Fills the registers with known values, loads from an unmapped address, returns what a0 holds.
static uint64_t fault(void) {
    register uint64_t a0 __asm__("a0");
    __asm__ volatile(
        "li t0, 0x105\n li t1, 0x106\n li t2, 0x107\n"
        "li a0, 0x123450\n li a1, 0x111\n li a2, 0x112\n li a3, 0x113\n li a4, 0x114\n li a5, 0x115\n li a6, 0x116\n li a7, 0x117\n"
        "li s2, 0x118\n li s3, 0x119\n li s4, 0x11a\n li s5, 0x11b\n li s6, 0x11c\n li s7, 0x11d\n li s8, 0x11e\n li s9, 0x11f\n"
        "li s10, 0x120\n li s11, 0x121\n li t3, 0x11c\n li t4, 0x11d\n li t5, 0x11e\n li t6, -1\n"
        ".globl faulting_instruction\n .option push\n .option norvc\n"
        "faulting_instruction: ld a0, 8(a0)\n .option pop\n"
        : "=r"(a0)
        :
        : "t0", "t1", "t2", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11",
          "t3", "t4", "t5", "t6", "memory");
    return a0;
}

int main(void) {
    uint64_t stack[3] = {(uint64_t)alternate, 0, sizeof alternate}, mask = 1u << (SIGUSR1 - 1), before;
    handle(SIGSEGV, on_fault, 0);
    handle(SIGUSR1, on_user, SA_ONSTACK);
    int right = fault() == 0x600d && faults == 1 && pc_of_fault == (uint64_t)faulting_instruction;

    if (system_call(CALL_ALTSTACK, (long)stack, 0, 0, 0, 0, 0) != 0) stop(4);
    if (system_call(CALL_SIGMASK, 0, (long)&mask, 0, 8, 0, 0) != 0) stop(5);
    long self = system_call(CALL_GETPID, 0, 0, 0, 0, 0, 0);
    system_call(CALL_KILL, self, SIGUSR1, 0, 0, 0, 0);
    before = arrived;
    if (system_call(CALL_SIGMASK, 1, (long)&mask, 0, 8, 0, 0) != 0) stop(6);
    return report("signals", arrived, right && before == 0 && arrived == 1);
}
