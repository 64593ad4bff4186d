// Stops at a breakpoint nobody set.
#include "runtime.h"

int main(void) {
    put_text("before\n");
    __asm__ volatile("ebreak");
    return 0;
}
