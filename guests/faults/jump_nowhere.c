// Jumps where nothing is mapped.
#include "runtime.h"

int main(void) {
    put_text("before\n");
    ((void (*)(void))0x12344321000)();
    return 0;
}
