// A mixture of floating-point work: array elements, elementary functions, conversions, calls.
#include "runtime.h"

static double e[4], t = 0.499975, t2 = 2.0;

__attribute__((noinline)) static void elements(double *a) {
    a[0] = (a[0] + a[1] + a[2] - a[3]) * t;
    a[1] = (a[0] + a[1] - a[2] + a[3]) * t;
    a[2] = (a[0] - a[1] + a[2] + a[3]) * t;
    a[3] = (-a[0] + a[1] + a[2] + a[3]) / t2;
}

__attribute__((noinline)) static double formula(double x, double y) {
    x = t * (x + y);
    y = t * (x + y);
    return (x + y) / t2;
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 3000), sum = 0;
    double x = 0.5, y = 0.5, z = 0.75;
    float single = 1.0f;
    e[0] = 1, e[1] = -1, e[2] = -1, e[3] = -1;
    for (uint64_t r = 0; r < count; r++) {
        for (int i = 0; i < 12; i++) elements(e);
        x = t * arctangent(t2 * sine(x) * cosine(x) / (cosine(x + y) + cosine(x - y) + 3));
        y = t * arctangent(t2 * sine(y) * cosine(y) / (cosine(x + y) + cosine(x - y) + 3));
        z = __builtin_sqrt(exponential(logarithm(z + 1) / 1.5));
        for (int i = 0; i < 10; i++) z = formula(z, x + i) * 0.25 + 0.5;
        single = single * 0.75f + (float)(int)(z * 100) / 64.0f + (float)x;
        sum = mix(sum, bits_of(x + y) ^ bits_of(z) ^ (uint64_t)(int64_t)(single * 1000) ^ bits_of(e[3]));
    }
    double error = sine(0.5) - 0.479425538604203, other = exponential(logarithm(10)) - 10;
    return report("floats", sum, error < 1e-12 && error > -1e-12 && other < 1e-9 && other > -1e-9);
}
