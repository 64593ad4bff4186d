// Copy, scale, add and triad over arrays larger than the caches.
#include "runtime.h"

enum { N = 1 << 19 };
static double a[N], b[N], c[N];

__attribute__((noinline)) static void copy(void) { for (int i = 0; i < N; i++) c[i] = a[i]; }
__attribute__((noinline)) static void scale(double q) { for (int i = 0; i < N; i++) b[i] = q * c[i]; }
__attribute__((noinline)) static void add(void) { for (int i = 0; i < N; i++) c[i] = a[i] + b[i]; }
__attribute__((noinline)) static void triad(double q) { for (int i = 0; i < N; i++) a[i] = b[i] + q * c[i]; }

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 2);
    double expected = 1;
    for (int i = 0; i < N; i++) a[i] = 1;
    for (uint64_t r = 0; r < count; r++) {
        copy(), scale(0.3), add(), triad(0.4);
        expected = 0.3 * expected + 0.4 * (expected + 0.3 * expected);
    }
    int right = 1;
    for (int i = 0; i < N; i++) right &= a[i] == expected;
    return report("stream", bits_of(a[N / 3]) ^ bits_of(c[N / 2]), right);
}
