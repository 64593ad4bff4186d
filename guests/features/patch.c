// A program that rewrites its own code and says so with fence.i: each call must see the
// instruction written last.
#include "runtime.h"

enum { CALL_MMAP = 222 };

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 200), sum = 0;
    // One page, readable, writable and executable; private and anonymous.
    uint32_t *code = (uint32_t *)system_call(CALL_MMAP, 0, 4096, 7, 0x22, -1, 0);
    if ((long)code < 0) stop(3);
    code[1] = 0x00008067; // jalr zero, 0(ra)
    for (uint64_t i = 0; i < count; i++) {
        *(volatile uint32_t *)code = 0x00000513 | (uint32_t)(i & 0x7ff) << 20; // addi a0, zero, i
        __asm__ volatile("fence.i" ::: "memory");
        uint64_t got = ((uint64_t(*)(void))code)();
        if (got != (i & 0x7ff)) return report("patch", i, 0);
        sum = mix(sum, got);
    }
    return report("patch", sum, 1);
}
