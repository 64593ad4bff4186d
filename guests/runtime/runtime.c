// Text, memory functions, arguments and the verdict line, over raw system calls.
#include "runtime.h"
#include "host.h"

void stop(int code) {
    for (;;) system_call(CALL_EXIT_GROUP, code, 0, 0, 0, 0, 0);
}

static void write_all(const char *text, size_t n) {
    while (n) {
        long done = system_call(CALL_WRITE, 1, (long)text, (long)n, 0, 0, 0);
        if (done <= 0) stop(120);
        text += done;
        n -= (size_t)done;
    }
}

void put_text(const char *text) { write_all(text, strlen(text)); }

void put_decimal(uint64_t value) {
    char digits[20];
    int at = 20;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    write_all(digits + at, (size_t)(20 - at));
}

void put_hex(uint64_t value, int digits) {
    char text[16];
    for (int i = 0; i < digits; i++) text[i] = "0123456789abcdef"[value >> 4 * (digits - 1 - i) & 15];
    write_all(text, (size_t)digits);
}

// Words that may lie over data of any type.
typedef uint64_t __attribute__((may_alias)) word;

void *memcpy(void *to, const void *from, size_t n) {
    unsigned char *t = to;
    const unsigned char *f = from;
    if (n >= 16 && (((uintptr_t)t ^ (uintptr_t)f) & 7) == 0) {
        while ((uintptr_t)t & 7) *t++ = *f++, n--;
        for (; n >= 8; n -= 8, t += 8, f += 8) *(word *)t = *(const word *)f;
    }
    while (n--) *t++ = *f++;
    return to;
}

void *memmove(void *to, const void *from, size_t n) {
    unsigned char *t = to;
    const unsigned char *f = from;
    if ((uintptr_t)t - (uintptr_t)f >= n) return memcpy(to, from, n);
    while (n--) t[n] = f[n];
    return to;
}

void *memset(void *to, int byte, size_t n) {
    unsigned char *t = to;
    if (n >= 16) {
        uint64_t pattern = (unsigned char)byte * 0x0101010101010101u;
        while ((uintptr_t)t & 7) *t++ = (unsigned char)byte, n--;
        for (; n >= 8; n -= 8, t += 8) *(word *)t = pattern;
    }
    while (n--) *t++ = (unsigned char)byte;
    return to;
}

int memcmp(const void *a, const void *b, size_t n) {
    const unsigned char *p = a, *q = b;
    for (; n; n--, p++, q++)
        if (*p != *q) return *p - *q;
    return 0;
}

size_t strlen(const char *s) {
    const char *end = s;
    while (*end) end++;
    return (size_t)(end - s);
}

int strcmp(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return (unsigned char)*a - (unsigned char)*b;
}

uint64_t repeats(int argc, char **argv, uint64_t small) {
    if (argc < 2) return small;
    uint64_t value = 0;
    for (const char *p = argv[1]; *p; p++) {
        if (*p < '0' || *p > '9') {
            put_text("the repeat count must be a decimal number\n");
            stop(2);
        }
        value = value * 10 + (uint64_t)(*p - '0');
    }
    return value;
}

int report(const char *name, uint64_t checksum, int right) {
    put_text(name);
    put_text(" ");
    put_hex(checksum, 16);
    put_text(right ? " right\n" : " WRONG\n");
    return right ? 0 : 1;
}
