// A bytecode interpreter that jumps from each instruction straight to the next one's label.
#include "bytecode.h"

static uint64_t interpret(uint64_t limit) {
    static const void *const LABELS[] = {&&set, &&copy, &&add, &&add_one, &&triple, &&halve, &&if_odd, &&if_less, &&jump, &&end};
    uint64_t r[REGISTERS] = {0};
    const struct instruction *at = PROGRAM;
    r[LIMIT] = limit;
#define NEXT goto *LABELS[at->code]
    NEXT;
set: r[at->a] = at->b, at++; NEXT;
copy: r[at->a] = r[at->b], at++; NEXT;
add: r[at->a] += r[at->b], at++; NEXT;
add_one: r[at->a]++, at++; NEXT;
triple: r[at->a] = 3 * r[at->a] + 1, at++; NEXT;
halve: r[at->a] >>= 1, at++; NEXT;
if_odd: at += r[at->a] & 1 ? at->jump : 1; NEXT;
if_less: at += r[at->a] < r[at->b] ? at->jump : 1; NEXT;
jump: at += at->jump; NEXT;
end: return r[STEPS];
}

int main(int argc, char **argv) { return run(argc, argv, "bytecode_goto"); }
