// Jumps to data, which is not executable.
#include "runtime.h"

static uint32_t data[2] = {0x00000513, 0x00008067};

int main(void) {
    put_text("before\n");
    data[1] += 0;
    ((void (*)(void))data)();
    return 0;
}
