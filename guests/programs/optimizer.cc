// A compiler's middle: random functions as instructions in blocks, improved by passes until nothing
// changes, and run before and after to see that they still compute the same.
#include "plus.h"

enum Op : uint8_t { CONST, ARG, ADD, SUB, MUL, AND, OR, XOR, SHL, SHR, LESS, EQUAL, SELECT, NEG, NOT, COPY, STORE, LOAD, OPS };

struct Insn {
    Op op;
    bool dead;
    uint32_t a, b, c;
    int64_t n;
};
struct Block { uint32_t first, last; };
struct Function {
    Array<Insn> insns;
    Array<Block> blocks;
};
enum { ARGS = 4, CELLS = 16 };

static int operands(Op op) {
    switch (op) {
    case CONST: case ARG: return 0;
    case NEG: case NOT: case COPY: case LOAD: return 1;
    case SELECT: return 3;
    default: return 2;
    }
}
static bool has_effect(Op op) { return op == STORE; }

static int64_t fold(Op op, int64_t a, int64_t b, int64_t c) {
    uint64_t x = (uint64_t)a, y = (uint64_t)b;
    switch (op) {
    case ADD: return (int64_t)(x + y);
    case SUB: return (int64_t)(x - y);
    case MUL: return (int64_t)(x * y);
    case AND: return a & b;
    case OR: return a | b;
    case XOR: return a ^ b;
    case SHL: return (int64_t)(x << (y & 63));
    case SHR: return (int64_t)(x >> (y & 63));
    case LESS: return a < b;
    case EQUAL: return a == b;
    case SELECT: return a ? b : c;
    case NEG: return (int64_t)-x;
    case NOT: return ~a;
    case COPY: return a;
    default: return 0;
    }
}

static uint64_t run(const Function &f, const int64_t *arguments) {
    int64_t cells[CELLS] = {0};
    Array<int64_t> values;
    for (const Insn &i : f.insns) {
        int64_t v = 0;
        if (!i.dead) switch (i.op) {
            case CONST: v = i.n; break;
            case ARG: v = arguments[i.n]; break;
            case STORE: cells[values[i.a] & (CELLS - 1)] = values[i.b]; break;
            case LOAD: v = cells[values[i.a] & (CELLS - 1)]; break;
            default: {
                int n = operands(i.op);
                v = fold(i.op, values[i.a], n > 1 ? values[i.b] : 0, n > 2 ? values[i.c] : 0);
            }
            }
        values.push(v);
    }
    uint64_t sum = 0;
    for (int64_t v : cells) sum = mix(sum, (uint64_t)v);
    return sum;
}

static Function generate(uint64_t &seed) {
    Function f;
    for (int i = 0; i < ARGS; i++) f.insns.push(Insn{ARG, false, 0, 0, 0, i});
    for (int block = 0; block < 8; block++) {
        uint32_t first = f.insns.size;
        for (int k = 0; k < 40; k++) {
            uint64_t r = random_next(&seed);
            uint32_t size = f.insns.size;
            // Recent values are used more often.
            auto pick = [&](int shift) { uint32_t back = 1 + (uint32_t)(r >> shift) % 24; return back > size ? 0 : size - back; };
            Insn i = {Op(r % OPS), false, pick(8), pick(16), pick(24), 0};
            if (i.op == ARG) i.n = (int64_t)(r >> 40) % ARGS;
            if (i.op == CONST) {
                static const int64_t CONSTANTS[8] = {0, 1, -1, 2, 8, 64, 255, 4096};
                i.n = CONSTANTS[r >> 40 & 7];
            }
            f.insns.push(i);
        }
        f.blocks.push(Block{first, f.insns.size});
    }
    return f;
}

struct Pass {
    uint64_t changes = 0;
    virtual void on(Function &f) = 0;
};

// What can be computed now, is; neutral operands vanish, multiplications become shifts.
struct Simplify final : Pass {
    Function *f;
    bool is(uint32_t v, int64_t n) const { return f->insns[v].op == CONST && f->insns[v].n == n; }
    void become(Insn &i, Op op, uint32_t a, uint32_t b, int64_t n) { i.op = op, i.a = a, i.b = b, i.n = n, changes++; }
    void on(Function &function) override {
        f = &function;
        for (Insn &i : f->insns) {
            if (i.dead) continue;
            int count = operands(i.op);
            bool known = count > 0 && i.op != STORE && i.op != LOAD && f->insns[i.a].op == CONST;
            known = known && (count < 2 || f->insns[i.b].op == CONST) && (count < 3 || f->insns[i.c].op == CONST);
            if (known) {
                become(i, CONST, 0, 0, fold(i.op, f->insns[i.a].n, count > 1 ? f->insns[i.b].n : 0, count > 2 ? f->insns[i.c].n : 0));
                continue;
            }
            switch (i.op) {
            case ADD:
                if (is(i.b, 0)) become(i, COPY, i.a, 0, 0);
                else if (is(i.a, 0)) become(i, COPY, i.b, 0, 0);
                break;
            case SUB:
                if (is(i.b, 0)) become(i, COPY, i.a, 0, 0);
                else if (i.a == i.b) become(i, CONST, 0, 0, 0);
                else if (is(i.a, 0)) become(i, NEG, i.b, 0, 0);
                break;
            case MUL:
                if (f->insns[i.a].op == CONST && f->insns[i.b].op != CONST) { uint32_t t = i.a; i.a = i.b, i.b = t; }
                if (is(i.b, 0)) become(i, CONST, 0, 0, 0);
                else if (is(i.b, 1)) become(i, COPY, i.a, 0, 0);
                else if (is(i.b, -1)) become(i, NEG, i.a, 0, 0);
                else if (is(i.b, 2)) become(i, ADD, i.a, i.a, 0);
                break;
            case AND:
                if (is(i.b, 0) || is(i.a, 0)) become(i, CONST, 0, 0, 0);
                else if (is(i.b, -1) || i.a == i.b) become(i, COPY, i.a, 0, 0);
                break;
            case OR:
                if (is(i.b, 0) || i.a == i.b) become(i, COPY, i.a, 0, 0);
                else if (is(i.b, -1)) become(i, CONST, 0, 0, -1);
                break;
            case XOR:
                if (i.a == i.b) become(i, CONST, 0, 0, 0);
                else if (is(i.b, 0)) become(i, COPY, i.a, 0, 0);
                else if (is(i.b, -1)) become(i, NOT, i.a, 0, 0);
                break;
            case SHL: case SHR:
                if (is(i.b, 0) || is(i.b, 64)) become(i, COPY, i.a, 0, 0);
                else if (is(i.a, 0)) become(i, CONST, 0, 0, 0);
                break;
            case LESS:
                if (i.a == i.b) become(i, CONST, 0, 0, 0);
                break;
            case EQUAL:
                if (i.a == i.b) become(i, CONST, 0, 0, 1);
                break;
            case SELECT:
                if (f->insns[i.a].op == CONST) become(i, COPY, f->insns[i.a].n ? i.b : i.c, 0, 0);
                else if (i.b == i.c) become(i, COPY, i.b, 0, 0);
                break;
            case NEG: case NOT:
                if (f->insns[i.a].op == i.op) become(i, COPY, f->insns[i.a].a, 0, 0);
                break;
            default: break;
            }
        }
    }
};

// Uses of a copy become uses of the original.
struct Forward final : Pass {
    void on(Function &f) override {
        auto original = [&](uint32_t &v) {
            while (f.insns[v].op == COPY && !f.insns[v].dead) v = f.insns[v].a, changes++;
        };
        for (Insn &i : f.insns) {
            int count = i.dead ? 0 : operands(i.op);
            if (count > 0) original(i.a);
            if (count > 1) original(i.b);
            if (count > 2) original(i.c);
        }
    }
};

struct Key {
    Op op;
    uint32_t a, b, c;
    int64_t n;
    bool operator==(const Key &k) const { return op == k.op && a == k.a && b == k.b && c == k.c && n == k.n; }
};
static uint64_t hash_of(const Key &k) { return mix(mix(mix(mix(k.op, k.a), k.b), k.c), (uint64_t)k.n); }

// What was computed before is not computed again; a load holds until the next store.
struct Share final : Pass {
    void on(Function &f) override {
        Table<Key, uint32_t> seen;
        int64_t stores = 0;
        for (uint32_t at = 0; at < f.insns.size; at++) {
            Insn &i = f.insns[at];
            if (i.dead || i.op == COPY) continue;
            if (i.op == STORE) {
                stores++;
                continue;
            }
            int count = operands(i.op);
            Key key = {i.op, count > 0 ? i.a : 0, count > 1 ? i.b : 0, count > 2 ? i.c : 0, i.op == LOAD ? stores : i.n};
            bool swaps = i.op == ADD || i.op == MUL || i.op == AND || i.op == OR || i.op == XOR || i.op == EQUAL;
            if (swaps && key.a > key.b) key.a = i.b, key.b = i.a;
            if (uint32_t *place = seen.find(key)) i.op = COPY, i.a = *place, changes++;
            else seen[key] = at;
        }
    }
};

// What nobody needs goes, from the end to the beginning.
struct Sweep final : Pass {
    void on(Function &f) override {
        Array<uint8_t> used;
        for (uint32_t i = 0; i < f.insns.size; i++) used.push(0);
        for (uint32_t at = f.insns.size; at-- > 0;) {
            Insn &i = f.insns[at];
            if (i.dead) continue;
            if (!used[at] && !has_effect(i.op)) {
                i.dead = true, changes++;
                continue;
            }
            int count = operands(i.op);
            if (count > 0) used[i.a] = 1;
            if (count > 1) used[i.b] = 1;
            if (count > 2) used[i.c] = 1;
        }
    }
};

// In a block, a store is dropped if the next one goes to the same place with no load between.
struct Overwrite final : Pass {
    void on(Function &f) override {
        for (const Block &block : f.blocks) {
            Insn *last = nullptr;
            for (uint32_t at = block.first; at < block.last; at++) {
                Insn &i = f.insns[at];
                if (i.dead || (i.op != STORE && i.op != LOAD)) continue;
                if (i.op == STORE && last && last->a == i.a) last->dead = true, changes++;
                last = i.op == STORE ? &i : nullptr;
            }
        }
    }
};

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 4), sum = 0, seed = 2024;
    int right = 1;
    for (uint64_t r = 0; r < count; r++) {
        arena_used = 0;
        Function f = generate(seed);
        Pass *passes[] = {make<Simplify>(), make<Forward>(), make<Share>(), make<Forward>(), make<Overwrite>(), make<Sweep>()};
        int64_t arguments[2][ARGS] = {{1, -5, 77, 1 << 20}, {(int64_t)seed, 3, 0, -1}};
        uint64_t before[2] = {run(f, arguments[0]), run(f, arguments[1])};
        for (int round = 0; round < 10; round++) {
            uint64_t changes = 0;
            for (Pass *pass : passes) pass->changes = 0, pass->on(f), changes += pass->changes;
            sum = mix(sum, changes);
            if (!changes) break;
        }
        uint32_t alive = 0;
        for (const Insn &i : f.insns) alive += !i.dead;
        right &= before[0] == run(f, arguments[0]) && before[1] == run(f, arguments[1]) && alive < f.insns.size * 2 / 3;
        sum = mix(mix(sum, before[0]), alive);
    }
    return report("optimizer", sum, right);
}
