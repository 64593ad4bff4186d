// Touches memory that is not its own: the first argument chooses how, the second is the address.
#include "runtime.h"

static uint64_t number(const char *p) {
    uint64_t value = 0;
    for (; *p; p++) value = value << 4 | (uint64_t)(*p <= '9' ? *p - '0' : *p - 'a' + 10);
    return value;
}

__attribute__((noinline)) static uint64_t wild_load(volatile uint64_t *at) { return *at; }
__attribute__((noinline)) static void wild_store(volatile uint64_t *at) { *at = 0x6261642076616c75; }
__attribute__((noinline)) static void wild_atomic(uint64_t *at) { __atomic_fetch_add(at, 1, __ATOMIC_RELAXED); }
__attribute__((noinline)) static void wild_jump(uint64_t at) { ((void (*)(void))at)(); }
__attribute__((noinline)) static void wild_double(volatile double *at) { *at = *at + 1; }

// System calls that read or write at a pointer, or take a length that overflows: each has to
// answer with an error. Returns how many do not.
static int wild_calls(long at) {
    long page = at & -4096;
    const struct call { long number, a, b, c, d; } CALLS[] = {
        {64, 1, at, 8, 0},            // write
        {66, 1, at, 1, 0},            // writev
        {56, -100, at, 0, 0},         // openat
        {78, -100, at, at, 8},        // readlinkat
        {79, -100, at, at, 0},        // newfstatat
        {278, at, 64, 0, 0},          // getrandom
        {160, at, 0, 0, 0},           // uname
        {101, at, 0, 0, 0},           // nanosleep
        {113, 0, at, 0, 0},           // clock_gettime
        {98, at, 0, 0, 0},            // futex: wait
        {135, 0, at, 0, 8},           // rt_sigprocmask
        {134, 10, at, 0, 8},          // rt_sigaction
        {132, at, 0, 0, 0},           // sigaltstack
        {17, at, 4096, 0, 0},         // getcwd
        {59, at, 0, 0, 0},            // pipe2
        {221, at, at, at, 0},         // execve
        {222, page, -4096, 3, 0x22},  // mmap of nearly everything
        {215, page, -4096, 0, 0},     // munmap
        {226, page, -4096, 7, 0},     // mprotect
        {216, page, -4096, -4096, 1}, // mremap
    };
    int wrong = 0;
    for (size_t i = 0; i < sizeof CALLS / sizeof *CALLS; i++) {
        const struct call *c = &CALLS[i];
        long result = system_call(c->number, c->a, c->b, c->c, c->d, -1, 0);
        if (result < -4095 || result >= 0) {
            put_text("succeeds: system call ");
            put_decimal((uint64_t)c->number);
            put_text("\n");
            wrong++;
        }
    }
    return wrong;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        put_text("usage: wild load|store|atomic|jump|double|calls ADDRESS-IN-HEX\n");
        return 2;
    }
    uint64_t at = number(argv[2]);
    put_text("before\n");
    switch (argv[1][0]) {
    case 'l': wild_load((uint64_t *)at); break;
    case 's': wild_store((uint64_t *)at); break;
    case 'a': wild_atomic((uint64_t *)at); break;
    case 'j': wild_jump(at); break;
    case 'd': wild_double((double *)at); break;
    case 'c': return wild_calls((long)at);
    default: return 2;
    }
    return 0;
}
