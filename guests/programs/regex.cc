// Regular expressions: parsed to a tree of objects, matched by trying, and as states of a machine
// made when they are first reached; both have to agree.
#include "plus.h"

struct Set {
    uint64_t bits[2] = {0, 0};
    void add(unsigned c) { bits[c >> 6 & 1] |= 1ul << (c & 63); }
    bool has(unsigned c) const { return c < 128 && (bits[c >> 6] >> (c & 63) & 1); }
};

// What follows a part of the pattern: called with the place reached.
struct Rest {
    virtual bool go(const char *at) const = 0;
};
struct Program;
struct Node {
    virtual bool match(const char *at, const char *end, const Rest &rest) const = 0;
    virtual void compile(Program &program) const = 0;
};

struct Step {
    enum Kind : uint8_t { TAKE, SPLIT, JUMP, DONE } kind;
    uint32_t a, b;
    Set set;
};
struct Program {
    Array<Step> steps;
    uint32_t add(Step::Kind kind, uint32_t a = 0, uint32_t b = 0) {
        steps.push(Step{kind, a, b, Set()});
        return steps.size - 1;
    }
};

struct Take final : Node {
    Set set;
    explicit Take(Set set) : set(set) {}
    bool match(const char *at, const char *end, const Rest &rest) const override { return at != end && set.has((unsigned char)*at) && rest.go(at + 1); }
    void compile(Program &p) const override { p.steps[p.add(Step::TAKE)].set = set; }
};
struct Both final : Node {
    const Node *a, *b;
    Both(const Node *a, const Node *b) : a(a), b(b) {}
    struct Second final : Rest {
        const Node *b;
        const char *end;
        const Rest &rest;
        Second(const Node *b, const char *end, const Rest &rest) : b(b), end(end), rest(rest) {}
        bool go(const char *at) const override { return b->match(at, end, rest); }
    };
    bool match(const char *at, const char *end, const Rest &rest) const override { return a->match(at, end, Second(b, end, rest)); }
    void compile(Program &p) const override { a->compile(p), b->compile(p); }
};
struct Either final : Node {
    const Node *a, *b;
    Either(const Node *a, const Node *b) : a(a), b(b) {}
    bool match(const char *at, const char *end, const Rest &rest) const override { return a->match(at, end, rest) || b->match(at, end, rest); }
    void compile(Program &p) const override {
        uint32_t split = p.add(Step::SPLIT, p.steps.size + 1);
        a->compile(p);
        uint32_t jump = p.add(Step::JUMP);
        p.steps[split].b = p.steps.size;
        b->compile(p);
        p.steps[jump].a = p.steps.size;
    }
};
// A part that may be left out, or comes again and again.
struct Many final : Node {
    const Node *part;
    bool again;
    Many(const Node *part, bool again) : part(part), again(again) {}
    struct More final : Rest {
        const Many *many;
        const char *from, *end;
        const Rest &rest;
        More(const Many *many, const char *from, const char *end, const Rest &rest) : many(many), from(from), end(end), rest(rest) {}
        bool go(const char *at) const override { return at != from && many->match(at, end, rest); }
    };
    bool match(const char *at, const char *end, const Rest &rest) const override {
        bool taken = again ? part->match(at, end, More(this, at, end, rest)) : part->match(at, end, rest);
        return taken || rest.go(at);
    }
    void compile(Program &p) const override {
        uint32_t split = p.add(Step::SPLIT, p.steps.size + 1);
        part->compile(p);
        if (again) p.add(Step::JUMP, split);
        p.steps[split].b = p.steps.size;
    }
};

struct Parser {
    const char *at;
    const Node *either() {
        const Node *left = sequence();
        while (*at == '|') at++, left = make<Either>(left, sequence());
        return left;
    }
    const Node *sequence() {
        const Node *left = repeated();
        while (*at && *at != '|' && *at != ')') left = make<Both>(left, repeated());
        return left;
    }
    const Node *repeated() {
        const Node *part = atom();
        for (;; at++) {
            if (*at == '*') part = make<Many>(part, true);
            else if (*at == '+') part = make<Both>(part, make<Many>(part, true));
            else if (*at == '?') part = make<Many>(part, false);
            else return part;
        }
    }
    const Node *atom() {
        Set set;
        char c = *at++;
        switch (c) {
        case '(': {
            const Node *inner = either();
            at++;
            return inner;
        }
        case '.':
            for (unsigned i = 1; i < 128; i++) set.add(i);
            break;
        case '[': {
            bool all_but = *at == '^';
            Set named;
            for (at += all_but; *at != ']'; at++) {
                unsigned last = (unsigned char)(at[1] == '-' ? at[2] : *at);
                for (unsigned i = (unsigned char)*at; i <= last; i++) named.add(i);
                if (at[1] == '-') at += 2;
            }
            at++;
            for (unsigned i = 1; i < 128; i++)
                if (named.has(i) != all_but) set.add(i);
            break;
        }
        case '\\': c = *at++; [[fallthrough]];
        default: set.add((unsigned char)c);
        }
        return make<Take>(set);
    }
};

// Sets of steps, each a state; a state's followers are found when they are first needed.
struct Machine {
    const Program &program;
    struct State {
        Array<uint32_t> steps;
        bool done;
        int32_t next[128];
    };
    Array<State *> states;
    Table<uint64_t, uint32_t> known;
    Array<uint32_t> marks;
    uint32_t mark = 0;
    explicit Machine(const Program &program) : program(program) {
        for (uint32_t i = 0; i < program.steps.size; i++) marks.push(0);
    }
    void follow(Array<uint32_t> &list, uint32_t step) {
        if (marks[step] == mark) return;
        marks[step] = mark;
        const Step &s = program.steps[step];
        switch (s.kind) {
        case Step::JUMP: follow(list, s.a); break;
        case Step::SPLIT: follow(list, s.a), follow(list, s.b); break;
        default: list.push(step);
        }
    }
    int32_t state(const Array<uint32_t> &list) {
        uint64_t key = mix(0x5bd1e995, list.size);
        sort(list.items, list.size, [](uint32_t a, uint32_t b) { return a < b; });
        for (uint32_t step : list) key = mix(key, step);
        uint32_t &place = known[key];
        if (!place) {
            State *fresh = make<State>();
            fresh->steps = list, fresh->done = false;
            for (int32_t &next : fresh->next) next = -1;
            for (uint32_t step : list) fresh->done |= program.steps[step].kind == Step::DONE;
            states.push(fresh);
            place = states.size;
        }
        return (int32_t)place - 1;
    }
    int32_t first() {
        Array<uint32_t> list;
        mark++;
        follow(list, 0);
        return state(list);
    }
    int32_t after(int32_t from, unsigned c) {
        Array<uint32_t> list;
        mark++;
        for (uint32_t step : states[(size_t)from]->steps) {
            const Step &s = program.steps[step];
            if (s.kind == Step::TAKE && s.set.has(c)) follow(list, step + 1);
        }
        return states[(size_t)from]->next[c] = state(list);
    }
    bool match(const char *at, const char *end) {
        int32_t now = first();
        for (; at != end; at++) {
            unsigned c = (unsigned char)*at & 127;
            int32_t next = states[(size_t)now]->next[c];
            now = next >= 0 ? next : after(now, c);
            if (states[(size_t)now]->steps.empty()) return false;
        }
        return states[(size_t)now]->done;
    }
};

struct AtEnd final : Rest {
    const char *end;
    explicit AtEnd(const char *end) : end(end) {}
    bool go(const char *at) const override { return at == end; }
};

static const char *const PATTERNS[] = {
    "[a-z]+@[a-z]+\\.(com|org|net)", "-?[0-9]+(\\.[0-9]+)?(e[+-]?[0-9]+)?", "(a|b)*abb", "[^:]*:[0-9]+:.*(load|store)",
    "[0-9][0-9]?:[0-9][0-9](:[0-9][0-9])?", "(x+y?)+z|.*trap.*"};
static const char *const PIECES[] = {"hart", "@", "mail", ".com", "12", ":", "07", "e+", "3", ".", "-", "abb", "ab", "xxy", "z", "load", "trap", ".org"};

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 3), sum = 0, seed = 5;
    int right = 1, found = 0;
    for (uint64_t r = 0; r < count; r++) {
        arena_used = 0;
        for (const char *pattern : PATTERNS) {
            Parser parser = {pattern};
            const Node *tree = parser.either();
            Program program;
            tree->compile(program);
            program.add(Step::DONE);
            Machine machine(program);
            for (int i = 0; i < 60; i++) {
                char text[80];
                size_t n = 0;
                for (uint64_t k = random_next(&seed), pieces = 1 + (k >> 50) % 7; pieces--; k /= 18)
                    for (const char *p = PIECES[k % 18]; *p; p++) text[n++] = *p;
                bool tried = tree->match(text, text + n, AtEnd(text + n)), ran = machine.match(text, text + n);
                right &= tried == ran;
                found += ran;
                sum = mix(sum, ran);
            }
            sum = mix(sum, machine.states.size);
        }
    }
    return report("regex", sum, right && (count == 0 || found > 0));
}
