// String and memory functions as a C library has them, on short and long operands.
#include "runtime.h"

static char buffer[65536], other[65536];

__attribute__((noinline)) static const char *find_byte(const char *s, char c) {
    while (*s && *s != c) s++;
    return s;
}

__attribute__((noinline)) static const char *find_text(const char *in, const char *what) {
    size_t n = strlen(what);
    for (; *in; in++)
        if (*in == *what && memcmp(in, what, n) == 0) return in;
    return 0;
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 10), seed = 37, sum = 0;
    int right = 1;
    for (uint64_t r = 0; r < count; r++) {
        size_t at = 0;
        while (at < sizeof buffer - 80) {
            size_t n = 1 + (random_next(&seed) >> 30 & 63);
            memset(buffer + at, (int)('a' + n % 26), n);
            at += n;
            buffer[at++] = ' ';
        }
        memcpy(buffer + at, "needle", 7);
        memcpy(other, buffer, at + 7);
        right &= strcmp(buffer, other) == 0 && strlen(buffer) == at + 6;
        right &= find_text(other, "needle") == other + at;
        for (const char *word = buffer; *word;) {
            const char *end = find_byte(word, ' ');
            sum = mix(sum, (uint64_t)(end - word));
            word = *end ? end + 1 : end;
        }
        memmove(other + 8, other, at);
        memmove(other, other + 8, at);
        right &= memcmp(buffer, other, at) == 0;
        for (int i = 0; i < 2000; i++) {
            size_t n = i & 31;
            memcpy(other + i, buffer + 3 * i, n);
            sum += (uint64_t)(memcmp(other + i, buffer + i, n) > 0);
        }
    }
    return report("strings", sum, right);
}
