// Matrix product, row by column and row by row, for one floating-point type.
#include "runtime.h"

enum { N = 96 };
static REAL a[N][N], b[N][N], c[N][N], d[N][N];

__attribute__((noinline)) static void row_by_column(void) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            REAL sum = 0;
            for (int k = 0; k < N; k++) sum += a[i][k] * b[k][j];
            c[i][j] = sum;
        }
}

__attribute__((noinline)) static void row_by_row(void) {
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) d[i][j] = 0;
        for (int k = 0; k < N; k++)
            for (int j = 0; j < N; j++) d[i][j] += a[i][k] * b[k][j];
    }
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 4), seed = 17, sum = 0;
    int right = 1;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = (REAL)(random_next(&seed) & 0xffff) / 65537;
            b[i][j] = (REAL)(random_next(&seed) & 0xffff) / 65537;
        }
    for (uint64_t r = 0; r < count; r++) {
        row_by_column();
        row_by_row();
        // Both add the products in the same order, so they agree to the last bit.
        right &= memcmp(c, d, sizeof c) == 0;
        a[r % N][r / N % N] += 1;
        sum = mix(sum, bits_of((double)c[r % N][r * 7 % N]));
    }
    return report(NAME, sum, right);
}
