// The Mandelbrot set: a short loop of multiplications with an exit that depends on a comparison.
#include "runtime.h"

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 64), sum = 0, inside = 0;
    // `count` rows of a picture 64 points wide.
    for (uint64_t row = 0; row < count; row++)
        for (int column = 0; column < 64; column++) {
            double cx = column / 32.0 - 1.5, cy = (double)(row % 64) / 32.0 - 1, x = 0, y = 0;
            unsigned n = 0;
            while (n < 500 && x * x + y * y < 4) {
                double next = x * x - y * y + cx;
                y = 2 * x * y + cy;
                x = next;
                n++;
            }
            inside += n == 500;
            sum = mix(sum, n);
        }
    return report("mandelbrot", sum, count != 64 || (inside > 1400 && inside < 1700));
}
