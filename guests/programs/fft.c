// The fast Fourier transform, there and back.
#include "runtime.h"

enum { N = 1024, BITS = 10 };
static double re[N], im[N], original[N], cosines[N / 2], sines[N / 2];

static void transform(int direction) {
    for (unsigned i = 0; i < N; i++) {
        unsigned j = 0;
        for (int bit = 0; bit < BITS; bit++) j |= (i >> bit & 1) << (BITS - 1 - bit);
        if (j > i) {
            double t = re[i];
            re[i] = re[j], re[j] = t;
            t = im[i];
            im[i] = im[j], im[j] = t;
        }
    }
    for (int width = 1; width < N; width *= 2)
        for (int start = 0; start < N; start += 2 * width)
            for (int k = 0; k < width; k++) {
                int at = k * (N / 2 / width), low = start + k, high = low + width;
                double wr = cosines[at], wi = direction * sines[at];
                double xr = re[high] * wr - im[high] * wi, xi = re[high] * wi + im[high] * wr;
                re[high] = re[low] - xr, im[high] = im[low] - xi;
                re[low] += xr, im[low] += xi;
            }
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 30), seed = 29, sum = 0;
    int right = 1;
    for (int i = 0; i < N / 2; i++) {
        double angle = 6.283185307179586 * i / N;
        cosines[i] = cosine(angle), sines[i] = sine(angle);
    }
    for (uint64_t r = 0; r < count; r++) {
        for (int i = 0; i < N; i++) re[i] = original[i] = (double)(random_next(&seed) & 0xfff), im[i] = 0;
        transform(-1);
        sum = mix(sum, bits_of(re[r % N]) ^ bits_of(im[N / 2 + 1]));
        transform(1);
        for (int i = 0; i < N; i++) {
            double error = re[i] / N - original[i];
            right &= error < 1e-6 && error > -1e-6;
        }
    }
    return report("fft", sum, right);
}
