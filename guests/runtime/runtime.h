// What a guest program may ask of its surroundings: text out, a repeat count in, memory, an end.
//
// There is no C library: the same few functions over raw Linux system calls serve the riscv64
// guest and the native build it is compared with, so both run the same code from end to end.
#ifndef RUNTIME_H
#define RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// A raw Linux system call; errors are returned as -errno.
long system_call(long number, long a, long b, long c, long d, long e, long f);
// Ends the process with this exit code.
__attribute__((noreturn)) void stop(int code);

void put_text(const char *text);
void put_decimal(uint64_t value);
void put_hex(uint64_t value, int digits);

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);

// The repeat count: the first argument, or `small` (a demo's worth) when there is none.
uint64_t repeats(int argc, char **argv, uint64_t small);
// Prints "name checksum" and the verdict of the program's own check; returns the exit code.
int report(const char *name, uint64_t checksum, int right);

// One step of a 64-bit xorshift generator: the same numbers on every machine.
static inline uint64_t random_next(uint64_t *state) {
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

// Folds a value into a checksum, order mattering.
static inline uint64_t mix(uint64_t sum, uint64_t value) {
    sum = (sum ^ value) * 0x9e3779b97f4a7c15u;
    return sum ^ sum >> 29;
}

// A double's bits, so that floating-point results are compared exactly.
static inline uint64_t bits_of(double x) {
    uint64_t bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    return bits;
}

// Elementary functions by series and reduction, the same operations on every machine.
double sine(double x);
double cosine(double x);
double arctangent(double x);
double exponential(double x);
double logarithm(double x);

#ifdef __cplusplus
}
#endif
#endif
