// Elementary functions by argument reduction and series: equal operations give equal bits on
// every machine with IEEE 754 arithmetic. Accurate to about 1e-14, which is all a benchmark asks.
#include "runtime.h"

static const double PI_HALF = 1.5707963267948966;
static const double LN2 = 0.6931471805599453;

static double sine_near_zero(double x) {
    double square = x * x, term = x, sum = x;
    for (int n = 2; n < 18; n += 2) {
        term *= -square / (double)(n * (n + 1));
        sum += term;
    }
    return sum;
}

static double cosine_near_zero(double x) {
    double square = x * x, term = 1, sum = 1;
    for (int n = 1; n < 18; n += 2) {
        term *= -square / (double)(n * (n + 1));
        sum += term;
    }
    return sum;
}

double sine(double x) {
    long quarter = (long)(x / PI_HALF + (x < 0 ? -0.5 : 0.5));
    double rest = x - (double)quarter * PI_HALF;
    double value = quarter & 1 ? cosine_near_zero(rest) : sine_near_zero(rest);
    return quarter & 2 ? -value : value;
}

double cosine(double x) { return sine(x + PI_HALF); }

double arctangent(double x) {
    if (x < 0) return -arctangent(-x);
    if (x > 1) return PI_HALF - arctangent(1 / x);
    // Twice atan(x) = 2 atan(x / (1 + sqrt(1 + x^2))), so that the series meets small arguments.
    x = x / (1 + __builtin_sqrt(1 + x * x));
    x = x / (1 + __builtin_sqrt(1 + x * x));
    double square = x * x, power = x, sum = 0;
    for (int n = 1; n < 24; n += 2) {
        sum += power / (double)n;
        power *= -square;
    }
    return 4 * sum;
}

double exponential(double x) {
    long whole = (long)(x / LN2 + (x < 0 ? -0.5 : 0.5));
    double rest = x - (double)whole * LN2, term = 1, sum = 1;
    for (int n = 1; n < 16; n++) {
        term *= rest / (double)n;
        sum += term;
    }
    uint64_t scale = (uint64_t)(1023 + whole) << 52;
    double factor;
    __builtin_memcpy(&factor, &scale, sizeof factor);
    return sum * factor;
}

double logarithm(double x) {
    uint64_t bits = bits_of(x);
    long exponent = (long)(bits >> 52 & 0x7ff) - 1023;
    bits = (bits & 0xfffffffffffffu) | 1023ul << 52;
    double mantissa;
    __builtin_memcpy(&mantissa, &bits, sizeof mantissa);
    double t = (mantissa - 1) / (mantissa + 1), square = t * t, power = t, sum = 0;
    for (int n = 1; n < 40; n += 2) {
        sum += power / (double)n;
        power *= square;
    }
    return (double)exponent * LN2 + 2 * sum;
}
