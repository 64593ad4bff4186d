// The sieve of Eratosthenes: strided byte stores over two megabytes.
#include "runtime.h"

enum { N = 2000000 };
static uint8_t composite[N + 1];

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 1), sum = 0;
    int right = 1;
    for (uint64_t r = 0; r < count; r++) {
        unsigned primes = 0;
        memset(composite, 0, sizeof composite);
        for (size_t i = 2; i <= N; i++) {
            if (composite[i]) continue;
            primes++;
            for (size_t j = i * i; j <= N; j += i) composite[j] = 1;
        }
        right &= primes == 148933;
        sum = mix(sum, primes + r);
    }
    return report("sieve", sum, right);
}
