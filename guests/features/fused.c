// Fused multiply-add, conversions with each rounding mode and the exception flags.
#include "runtime.h"

static uint64_t flags(void) {
    uint64_t value;
    __asm__ volatile("frflags %0" : "=r"(value)::"memory");
    return value;
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 2000), seed = 53, sum = 0;
    double total = 0;
    for (uint64_t r = 0; r < count; r++) {
        double a = (double)(int64_t)random_next(&seed) / 1e18, b = (double)(random_next(&seed) >> 20) / 1e12;
        total = __builtin_fma(a, b, total);
        long near, down, up, zero, away;
        __asm__ volatile("fcvt.l.d %0, %1, rne" : "=r"(near) : "f"(total));
        __asm__ volatile("fcvt.l.d %0, %1, rdn" : "=r"(down) : "f"(total));
        __asm__ volatile("fcvt.l.d %0, %1, rup" : "=r"(up) : "f"(total));
        __asm__ volatile("fcvt.l.d %0, %1, rtz" : "=r"(zero) : "f"(total));
        __asm__ volatile("fcvt.l.d %0, %1, rmm" : "=r"(away) : "f"(total));
        sum = mix(sum, (uint64_t)near ^ (uint64_t)down << 8 ^ (uint64_t)up << 16 ^ (uint64_t)zero << 24 ^ (uint64_t)away << 32);
        sum = mix(sum, flags());
        if (r % 64 == 63) __asm__ volatile("fsflags zero" ::: "memory");
    }
    volatile double none = 0;
    double quotient = 1 / none;
    __asm__ volatile("" ::"f"(quotient) : "memory"); // the flags are read after the division
    int right = (flags() & 8) != 0 && quotient > 1e300;
    return report("fused", sum, right);
}
