// The smallest program as a static position-independent one: it has to run wherever it is put.
#include "runtime.h"

int main(void) {
    put_text("Hello from anywhere\n");
    return 0;
}
