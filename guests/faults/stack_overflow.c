// Calls itself until the stack ends.
#include "runtime.h"

__attribute__((noinline, optimize("no-optimize-sibling-calls"))) static uint64_t deeper(volatile uint64_t *above) {
    volatile uint64_t here[32];
    here[0] = above[0] + 1;
    return here[0] ? deeper(here) + here[0] : 0;
}

int main(void) {
    volatile uint64_t first = 1;
    put_text("before\n");
    return (int)deeper(&first);
}
