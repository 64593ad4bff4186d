// A register machine's program, shared by the two ways to dispatch it: it adds up the Collatz
// steps of the numbers 1 to n.
#include "runtime.h"

enum code { SET, COPY, ADD, ADD_ONE, TRIPLE_AND_ONE, HALVE, IF_ODD, IF_LESS, JUMP, END };
struct instruction {
    uint8_t code, a, b;
    int8_t jump;
};
enum { ONE, I, LIMIT, X, STEPS, REGISTERS };

static const struct instruction PROGRAM[] = {
    {SET, ONE, 1, 0},
    {SET, I, 1, 0},
    {SET, STEPS, 0, 0},
    {IF_LESS, I, LIMIT, 2},    // 3: while i < limit
    {END, 0, 0, 0},            // 4
    {COPY, X, I, 0},           // 5
    {IF_LESS, ONE, X, 3},      // 6: while 1 < x
    {ADD_ONE, I, 0, 0},        // 7
    {JUMP, 0, 0, -5},          // 8
    {IF_ODD, X, 0, 4},         // 9
    {HALVE, X, 0, 0},          // 10
    {ADD_ONE, STEPS, 0, 0},    // 11
    {JUMP, 0, 0, -6},          // 12
    {TRIPLE_AND_ONE, X, 0, 0}, // 13
    {ADD_ONE, STEPS, 0, 0},    // 14
    {JUMP, 0, 0, -9},          // 15
};

static uint64_t interpret(uint64_t limit);

static int run(int argc, char **argv, const char *name) {
    uint64_t count = repeats(argc, argv, 10), sum = 0;
    // 1, 7, 2, 5, 8, 16, 3, 19 steps for the numbers 2 to 9.
    int right = interpret(10) == 61;
    for (uint64_t r = 0; r < count; r++) sum = mix(sum, interpret(1000 + r % 4));
    return report(name, sum, right);
}
