// A bytecode interpreter with one switch in a loop: all dispatch goes through one jump.
#include "bytecode.h"

static uint64_t interpret(uint64_t limit) {
    uint64_t r[REGISTERS] = {0};
    const struct instruction *at = PROGRAM;
    r[LIMIT] = limit;
    for (;;) switch ((enum code)at->code) {
        case SET: r[at->a] = at->b, at++; break;
        case COPY: r[at->a] = r[at->b], at++; break;
        case ADD: r[at->a] += r[at->b], at++; break;
        case ADD_ONE: r[at->a]++, at++; break;
        case TRIPLE_AND_ONE: r[at->a] = 3 * r[at->a] + 1, at++; break;
        case HALVE: r[at->a] >>= 1, at++; break;
        case IF_ODD: at += r[at->a] & 1 ? at->jump : 1; break;
        case IF_LESS: at += r[at->a] < r[at->b] ? at->jump : 1; break;
        case JUMP: at += at->jump; break;
        case END: return r[STEPS];
        }
}

int main(int argc, char **argv) { return run(argc, argv, "bytecode_switch"); }
