// SHA-256 of a repeated buffer (FIPS 180-4). The constants are computed, not tabulated: the
// first 32 bits of the fractional parts of the roots of the first primes.
#include "runtime.h"

static uint32_t round_constants[64], initial[8];

// The first 32 fractional bits of the `degree`-th root of n, by bisection in exact integers.
static uint32_t root_fraction(unsigned n, int degree) {
    unsigned __int128 low = 0, high = (unsigned __int128)1 << 37;
    while (high - low > 1) {
        unsigned __int128 middle = (low + high) / 2, power = middle * middle;
        int above;
        if (degree == 2) {
            above = power > (unsigned __int128)n << 64;
        } else {
            // middle^3 > n * 2^96, with both sides divided by 2^32 and the rest compared exactly.
            unsigned __int128 quotient = (power >> 32) * middle, rest = (power & 0xffffffffu) * middle;
            above = quotient + (rest >> 32) >= (unsigned __int128)n << 64;
        }
        if (above) high = middle;
        else low = middle;
    }
    return (uint32_t)low;
}

static void make_constants(void) {
    int count = 0;
    for (unsigned n = 2; count < 64; n++) {
        int prime = 1;
        for (unsigned d = 2; d * d <= n; d++) prime &= n % d != 0;
        if (!prime) continue;
        if (count < 8) initial[count] = root_fraction(n, 2);
        round_constants[count++] = root_fraction(n, 3);
    }
}

static uint32_t turn(uint32_t x, int by) { return x >> by | x << (32 - by); }

static void compress(uint32_t *state, const uint8_t *block) {
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | block[4 * i + 1] << 16 | block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t x = w[i - 15], y = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (turn(x, 7) ^ turn(x, 18) ^ x >> 3) + (turn(y, 17) ^ turn(y, 19) ^ y >> 10);
    }
    for (int i = 0; i < 8; i++) v[i] = state[i];
    for (int i = 0; i < 64; i++) {
        uint32_t e = v[4], a = v[0];
        uint32_t one = v[7] + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + (v[6] ^ (e & (v[5] ^ v[6]))) + round_constants[i] + w[i];
        uint32_t two = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & v[1]) | (v[2] & (a | v[1])));
        v[7] = v[6], v[6] = v[5], v[5] = e, v[4] = v[3] + one;
        v[3] = v[2], v[2] = v[1], v[1] = a, v[0] = one + two;
    }
    for (int i = 0; i < 8; i++) state[i] += v[i];
}

static uint8_t buffer[64 * 128];

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 60), seed = 7;
    uint32_t state[8];
    make_constants();

    // The digest of "abc" starts with ba7816bf.
    uint8_t abc[64] = {'a', 'b', 'c', 0x80};
    abc[63] = 24;
    memcpy(state, initial, sizeof state);
    compress(state, abc);
    int right = state[0] == 0xba7816bf && state[7] == 0xf20015ad;

    for (size_t i = 0; i < sizeof buffer; i++) buffer[i] = (uint8_t)random_next(&seed);
    memcpy(state, initial, sizeof state);
    for (uint64_t r = 0; r < count; r++)
        for (size_t at = 0; at < sizeof buffer; at += 64) compress(state, buffer + at);
    return report("sha256", (uint64_t)state[0] << 32 | state[1], right);
}
