// All ways to place n queens on a board, by backtracking over bit sets.
#include "runtime.h"

static uint64_t place(unsigned columns, unsigned left, unsigned right, unsigned full) {
    if (columns == full) return 1;
    uint64_t ways = 0;
    for (unsigned free = full & ~(columns | left | right); free; free &= free - 1) {
        unsigned bit = free & -free;
        ways += place(columns | bit, (left | bit) << 1, (right | bit) >> 1, full);
    }
    return ways;
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 8), sum = 0;
    int right = place(0, 0, 0, 0xff) == 92;
    for (uint64_t r = 0; r < count; r++) sum = mix(sum, place(0, 0, 0, r % 4 == 3 ? 0x3ff : 0x1ff));
    return report("queens", sum, right);
}
