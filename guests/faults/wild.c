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

int main(int argc, char **argv) {
    if (argc < 3) {
        put_text("usage: wild load|store|atomic|jump|double|write|read ADDRESS-IN-HEX\n");
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
    // The same through system calls, which must answer EFAULT: write(1, at, 8), read(0, at, -1).
    case 'w': return system_call(64, 1, (long)at, 8, 0, 0, 0) == -14 ? 0 : 1;
    case 'r': return system_call(67, 0, (long)at, -1, 0, 0, 0) == -14 ? 0 : 1;
    default: return 2;
    }
    return 0;
}
