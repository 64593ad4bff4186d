// Arithmetic on integers of many 64-bit limbs: multiplication with high halves, modular powers
// after Montgomery.
#include "runtime.h"

enum { LIMBS = 16 };
typedef unsigned __int128 wide;

static uint64_t modulus[LIMBS], inverse;

static int at_least(const uint64_t *a, const uint64_t *b) {
    for (int i = LIMBS - 1; i >= 0; i--)
        if (a[i] != b[i]) return a[i] > b[i];
    return 1;
}

static void subtract(uint64_t *a, const uint64_t *b) {
    uint64_t borrow = 0;
    for (int i = 0; i < LIMBS; i++) {
        wide d = (wide)a[i] - b[i] - borrow;
        a[i] = (uint64_t)d;
        borrow = (uint64_t)(d >> 64) & 1;
    }
}

// out = a * b / 2^(64 * LIMBS) modulo the modulus.
static void multiply(uint64_t *out, const uint64_t *a, const uint64_t *b) {
    uint64_t t[LIMBS + 2] = {0};
    for (int i = 0; i < LIMBS; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < LIMBS; j++) {
            wide x = (wide)a[j] * b[i] + t[j] + carry;
            t[j] = (uint64_t)x;
            carry = (uint64_t)(x >> 64);
        }
        wide x = (wide)t[LIMBS] + carry;
        t[LIMBS] = (uint64_t)x;
        t[LIMBS + 1] = (uint64_t)(x >> 64);
        uint64_t factor = t[0] * inverse;
        carry = (uint64_t)(((wide)factor * modulus[0] + t[0]) >> 64);
        for (int j = 1; j < LIMBS; j++) {
            x = (wide)factor * modulus[j] + t[j] + carry;
            t[j - 1] = (uint64_t)x;
            carry = (uint64_t)(x >> 64);
        }
        x = (wide)t[LIMBS] + carry;
        t[LIMBS - 1] = (uint64_t)x;
        t[LIMBS] = t[LIMBS + 1] + (uint64_t)(x >> 64);
    }
    if (t[LIMBS] || at_least(t, modulus)) subtract(t, modulus);
    memcpy(out, t, LIMBS * 8);
}

// a = 2a modulo the modulus.
static void twice(uint64_t *a) {
    uint64_t top = a[LIMBS - 1] >> 63;
    for (int i = LIMBS - 1; i > 0; i--) a[i] = a[i] << 1 | a[i - 1] >> 63;
    a[0] <<= 1;
    if (top || at_least(a, modulus)) subtract(a, modulus);
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 6), sum = 0;
    // 2^1024 - 105: odd is all the method asks for; Fermat's test says the same on both engines.
    for (int i = 0; i < LIMBS; i++) modulus[i] = ~0ull;
    modulus[0] -= 104;
    inverse = 1;
    for (int i = 0; i < 6; i++) inverse *= 2 - modulus[0] * inverse;
    inverse = -inverse;

    uint64_t one[LIMBS] = {1};
    for (int i = 0; i < 64 * LIMBS; i++) twice(one);
    int right = one[0] == 105 && one[1] == 0;

    uint64_t x[LIMBS], y[LIMBS], seed = 11;
    for (uint64_t r = 0; r < count; r++) {
        for (int i = 0; i < LIMBS; i++) x[i] = random_next(&seed);
        x[LIMBS - 1] >>= 1;
        memcpy(y, one, sizeof y);
        for (int bit = 64 * LIMBS - 1; bit >= 0; bit--) {
            multiply(y, y, y);
            if (modulus[bit / 64] >> bit % 64 & 1) multiply(y, y, x);
        }
        for (int i = 0; i < LIMBS; i++) sum = mix(sum, y[i]);
    }
    return report("bigint", sum, right);
}
