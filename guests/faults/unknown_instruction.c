// Runs into an instruction that does not exist.
#include "runtime.h"

__attribute__((noinline)) static void no_such_instruction(void) { __asm__ volatile(".word 0xffffffff"); }

int main(void) {
    put_text("before\n");
    no_such_instruction();
    return 0;
}
