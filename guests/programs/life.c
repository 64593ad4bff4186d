// The game of life on a torus, one byte a cell: regular loads, a table, a branch.
#include "runtime.h"

enum { WIDTH = 128, HEIGHT = 128 };
static uint8_t cells[HEIGHT][WIDTH], next[HEIGHT][WIDTH];

static void generation(void) {
    for (int y = 0; y < HEIGHT; y++) {
        const uint8_t *above = cells[(y + HEIGHT - 1) % HEIGHT], *here = cells[y], *below = cells[(y + 1) % HEIGHT];
        for (int x = 0; x < WIDTH; x++) {
            int w = (x + WIDTH - 1) % WIDTH, e = (x + 1) % WIDTH;
            int around = above[w] + above[x] + above[e] + here[w] + here[e] + below[w] + below[x] + below[e];
            next[y][x] = around == 3 || (around == 2 && here[x]);
        }
    }
    memcpy(cells, next, sizeof cells);
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 100), seed = 13, sum = 0;
    // A glider is back in shape, one cell further, after four generations.
    cells[1][2] = cells[2][3] = cells[3][1] = cells[3][2] = cells[3][3] = 1;
    for (int i = 0; i < 4; i++) generation();
    int right = cells[2][3] && cells[3][4] && cells[4][2] && cells[4][3] && cells[4][4] && !cells[1][2];
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) cells[y][x] = (random_next(&seed) >> 20 & 3) == 0;
    for (uint64_t r = 0; r < count; r++) generation();
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) sum = mix(sum, cells[y][x]);
    return report("life", sum, right);
}
