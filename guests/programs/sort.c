// Quicksort through a comparison function, as qsort does, and heapsort without one.
#include "runtime.h"

enum { N = 20000 };
static uint32_t a[N], b[N];

static int ascending(const void *x, const void *y) {
    uint32_t p = *(const uint32_t *)x, q = *(const uint32_t *)y;
    return p < q ? -1 : p > q;
}

static void exchange(uint32_t *x, uint32_t *y) {
    uint32_t t = *x;
    *x = *y;
    *y = t;
}

__attribute__((noinline)) static void quicksort(uint32_t *p, long n, int (*order)(const void *, const void *)) {
    while (n > 1) {
        uint32_t pivot = p[n / 2];
        long i = 0, j = n - 1;
        while (i <= j) {
            while (order(&p[i], &pivot) < 0) i++;
            while (order(&p[j], &pivot) > 0) j--;
            if (i <= j) exchange(&p[i++], &p[j--]);
        }
        if (j + 1 < n - i) {
            quicksort(p, j + 1, order);
            p += i, n -= i;
        } else {
            quicksort(p + i, n - i, order);
            n = j + 1;
        }
    }
}

static void sift(uint32_t *p, long at, long n) {
    for (long child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && p[child + 1] > p[child]) child++;
        if (p[at] >= p[child]) return;
        exchange(&p[at], &p[child]);
    }
}

__attribute__((noinline)) static void heapsort(uint32_t *p, long n) {
    for (long i = n / 2; i-- > 0;) sift(p, i, n);
    while (--n > 0) exchange(&p[0], &p[n]), sift(p, 0, n);
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 4), seed = 31, sum = 0;
    int right = 1;
    for (uint64_t r = 0; r < count; r++) {
        for (int i = 0; i < N; i++) a[i] = b[i] = (uint32_t)random_next(&seed);
        quicksort(a, N, ascending);
        heapsort(b, N);
        right &= memcmp(a, b, sizeof a) == 0;
        for (int i = 1; i < N; i++) right &= a[i - 1] <= a[i];
        sum = mix(sum, a[N / 2]);
    }
    return report("sort", sum, right);
}
