// Fibonacci numbers by naive recursion: calls and returns.
#include "runtime.h"

__attribute__((noinline, optimize("no-optimize-sibling-calls", "no-ipa-cp"))) static uint64_t fib(unsigned n) {
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 1), sum = 0;
    int right = fib(20) == 6765;
    for (uint64_t r = 0; r < count; r++) sum = mix(sum, fib((unsigned)(25 + r % 2)));
    return report("fib", sum, right);
}
