// Systems of linear equations by elimination with partial pivoting.
#include "runtime.h"

enum { N = 100 };
static double a[N][N], b[N], answer[N];
static int pivots[N];

static double magnitude(double x) { return x < 0 ? -x : x; }

__attribute__((noinline)) static void add_scaled(double *to, const double *from, double factor, int n) {
    for (int i = 0; i < n; i++) to[i] += factor * from[i];
}

static void factor(void) {
    for (int k = 0; k < N; k++) {
        int best = k;
        for (int i = k + 1; i < N; i++)
            if (magnitude(a[i][k]) > magnitude(a[best][k])) best = i;
        pivots[k] = best;
        for (int j = 0; j < N && best != k; j++) {
            double t = a[k][j];
            a[k][j] = a[best][j];
            a[best][j] = t;
        }
        for (int i = k + 1; i < N; i++) {
            double m = a[i][k] / a[k][k];
            a[i][k] = m;
            add_scaled(&a[i][k + 1], &a[k][k + 1], -m, N - k - 1);
        }
    }
}

static void solve(void) {
    for (int k = 0; k < N; k++) {
        double t = b[pivots[k]];
        b[pivots[k]] = b[k];
        b[k] = t;
    }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < i; j++) b[i] -= a[i][j] * b[j];
    for (int i = N - 1; i >= 0; i--) {
        for (int j = i + 1; j < N; j++) b[i] -= a[i][j] * b[j];
        b[i] /= a[i][i];
    }
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 8), seed = 23, sum = 0;
    int right = 1;
    for (uint64_t r = 0; r < count; r++) {
        for (int i = 0; i < N; i++) answer[i] = 1 + i % 7, b[i] = 0;
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                a[i][j] = (double)(random_next(&seed) & 0xffff) / 32768 - 1;
                b[i] += a[i][j] * answer[j];
            }
        factor();
        solve();
        for (int i = 0; i < N; i++) {
            right &= magnitude(b[i] - answer[i]) < 1e-6;
            sum = mix(sum, bits_of(b[i]));
        }
    }
    return report("linear", sum, right);
}
