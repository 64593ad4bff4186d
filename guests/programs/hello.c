// The smallest program: what starting and ending a process costs.
#include "runtime.h"

int main(void) {
    put_text("Hello from RISC-V\n");
    return 0;
}
