// A program that rewrites its own code and does not say so. The manual lets a hart go on with the
// old instruction, so either value is right; anything else is not.
#include "runtime.h"

enum { CALL_MMAP = 222 };

int main(void) {
    uint32_t *code = (uint32_t *)system_call(CALL_MMAP, 0, 4096, 7, 0x22, -1, 0);
    if ((long)code < 0) stop(3);
    code[1] = 0x00008067; // jalr zero, 0(ra)
    int right = 1;
    for (uint32_t i = 0; i < 2000; i++) {
        *(volatile uint32_t *)code = 0x00100513; // addi a0, zero, 1
        __asm__ volatile("fence.i" ::: "memory");
        uint64_t got = ((uint64_t(*)(void))code)();
        right &= got == 1;
        *(volatile uint32_t *)code = 0x00200513; // addi a0, zero, 2
        __asm__ volatile("" ::: "memory");
        got = ((uint64_t(*)(void))code)();
        right &= got == 1 || got == 2;
    }
    return report("patch_silent", 0, right);
}
