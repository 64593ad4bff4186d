// The largest singular value of an infinite matrix by power iteration: integer to double
// conversions and divisions.
#include "runtime.h"

enum { N = 100 };
static double u[N], v[N], half[N];

static double element(int i, int j) { return 1.0 / ((i + j) * (i + j + 1) / 2 + i + 1); }

__attribute__((noinline)) static void times(const double *in, double *out, int transposed) {
    for (int i = 0; i < N; i++) {
        double sum = 0;
        for (int j = 0; j < N; j++) sum += (transposed ? element(j, i) : element(i, j)) * in[j];
        out[i] = sum;
    }
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 20);
    double uv = 0, vv = 0;
    for (int i = 0; i < N; i++) u[i] = 1;
    for (uint64_t r = 0; r < count; r++) {
        times(u, half, 0), times(half, v, 1);
        times(v, half, 0), times(half, u, 1);
        // Keep the numbers in range: the vector's length does not matter.
        double scale = 1 / u[0];
        for (int i = 0; i < N; i++) u[i] *= scale, v[i] *= scale;
    }
    times(u, half, 0), times(half, v, 1);
    for (int i = 0; i < N; i++) uv += u[i] * v[i], vv += u[i] * u[i];
    double norm = __builtin_sqrt(uv / vv);
    return report("spectral", bits_of(norm), norm > 1.27421 && norm < 1.27423);
}
