// A small Lisp: reader, evaluator, closures and built-in functions called by pointer.
#include "runtime.h"

// A value is a number (lowest bit set), nil (zero) or a pointer to a cell.
typedef uint64_t value;
enum tag { PAIR, SYMBOL, BUILT_IN, CLOSURE };
struct cell {
    enum tag tag;
    value a, b, c;
    value (*call)(value arguments);
    const char *name;
    size_t length;
};

enum { CELLS = 400000 };
static struct cell cells[CELLS];
static size_t used;
static value symbols, globals, QUOTE, IF, LAMBDA, DEFINE, LET, COND, TRUE;
static int wrong;

static struct cell *as_cell(value v) { return (struct cell *)v; }
static int is_number(value v) { return v & 1; }
static int64_t number(value v) { return (int64_t)v >> 1; }
static value make_number(int64_t n) { return (uint64_t)n << 1 | 1; }

static value make(enum tag tag, value a, value b, value c) {
    if (used == CELLS) put_text("out of cells\n"), stop(3);
    struct cell *cell = &cells[used++];
    cell->tag = tag, cell->a = a, cell->b = b, cell->c = c;
    return (value)cell;
}
static value cons(value a, value b) { return make(PAIR, a, b, 0); }
static int is_pair(value v) { return v && !is_number(v) && as_cell(v)->tag == PAIR; }
static value head(value v) { return is_pair(v) ? as_cell(v)->a : (wrong = 1, 0); }
static value tail(value v) { return is_pair(v) ? as_cell(v)->b : (wrong = 1, 0); }

static value symbol(const char *name, size_t length) {
    for (value s = symbols; s; s = as_cell(s)->b) {
        struct cell *cell = as_cell(as_cell(s)->a);
        if (cell->length == length && memcmp(cell->name, name, length) == 0) return as_cell(s)->a;
    }
    value v = make(SYMBOL, 0, 0, 0);
    as_cell(v)->name = name, as_cell(v)->length = length;
    symbols = cons(v, symbols);
    return v;
}

static const char *text;
static value read_value(void) {
    while (*text == ' ' || *text == '\n') text++;
    if (*text == '\'') return text++, cons(QUOTE, cons(read_value(), 0));
    if (*text == '(') {
        value list = 0, *end = &list;
        for (text++;;) {
            while (*text == ' ' || *text == '\n') text++;
            if (*text == ')') return text++, list;
            if (!*text) return wrong = 1, 0;
            *end = cons(read_value(), 0);
            end = &as_cell(*end)->b;
        }
    }
    if ((*text >= '0' && *text <= '9') || (*text == '-' && text[1] >= '0' && text[1] <= '9')) {
        int64_t n = 0, sign = *text == '-' ? (text++, -1) : 1;
        while (*text >= '0' && *text <= '9') n = n * 10 + (*text++ - '0');
        return make_number(sign * n);
    }
    const char *start = text;
    while (*text && *text != ' ' && *text != '\n' && *text != '(' && *text != ')') text++;
    return symbol(start, (size_t)(text - start));
}

// An environment is a list of pairs of symbol and value.
static value look_up(value name, value env) {
    for (; env; env = as_cell(env)->b)
        if (as_cell(as_cell(env)->a)->a == name) return as_cell(as_cell(env)->a)->b;
    for (env = globals; env; env = as_cell(env)->b)
        if (as_cell(as_cell(env)->a)->a == name) return as_cell(as_cell(env)->a)->b;
    return wrong = 1, 0;
}

static value evaluate(value v, value env);

static value apply(value f, value arguments, value *body, value *env) {
    if (!f || is_number(f)) return wrong = 1, 0;
    struct cell *cell = as_cell(f);
    if (cell->tag == BUILT_IN) return cell->call(arguments);
    if (cell->tag != CLOSURE) return wrong = 1, 0;
    value scope = cell->c;
    for (value p = cell->a; p; p = tail(p), arguments = tail(arguments)) scope = cons(cons(head(p), head(arguments)), scope);
    *body = cell->b, *env = scope;
    return 0;
}

static value evaluate(value v, value env) {
    for (;;) {
        if (!v || is_number(v) || wrong) return v;
        if (as_cell(v)->tag == SYMBOL) return look_up(v, env);
        if (as_cell(v)->tag != PAIR) return v;
        value first = as_cell(v)->a, rest = as_cell(v)->b;
        if (first == QUOTE) return head(rest);
        if (first == IF) {
            v = evaluate(head(rest), env) ? head(tail(rest)) : tail(tail(rest)) ? head(tail(tail(rest))) : 0;
            continue;
        }
        if (first == COND) {
            value clause = rest;
            while (clause && !evaluate(head(head(clause)), env)) clause = tail(clause);
            if (!clause) return 0;
            v = head(tail(head(clause)));
            continue;
        }
        if (first == LAMBDA) return make(CLOSURE, head(rest), head(tail(rest)), env);
        if (first == LET) {
            value scope = env;
            for (value l = head(rest); l; l = tail(l)) scope = cons(cons(head(head(l)), evaluate(head(tail(head(l))), scope)), scope);
            env = scope, v = head(tail(rest));
            continue;
        }
        if (first == DEFINE) {
            value bound = cons(head(rest), 0);
            globals = cons(bound, globals);
            as_cell(bound)->b = evaluate(head(tail(rest)), env);
            return head(rest);
        }
        value f = evaluate(first, env), arguments = 0, *end = &arguments;
        for (; rest; rest = tail(rest)) {
            *end = cons(evaluate(head(rest), env), 0);
            end = &as_cell(*end)->b;
        }
        value body = 0, scope = 0, result = apply(f, arguments, &body, &scope);
        if (!body) return result;
        v = body, env = scope;
    }
}

#define FIRST number(head(l))
#define SECOND number(head(tail(l)))
static value add(value l) {
    int64_t sum = 0;
    for (; l; l = tail(l)) sum += FIRST;
    return make_number(sum);
}
static value times(value l) {
    int64_t product = 1;
    for (; l; l = tail(l)) product *= FIRST;
    return make_number(product);
}
static value minus(value l) { return make_number(tail(l) ? FIRST - SECOND : -FIRST); }
static value quotient(value l) { return SECOND ? make_number(FIRST / SECOND) : 0; }
static value rest_of(value l) { return SECOND ? make_number(FIRST % SECOND) : 0; }
static value less(value l) { return FIRST < SECOND ? TRUE : 0; }
static value equal(value l) { return head(l) == head(tail(l)) ? TRUE : 0; }
static value not(value l) { return head(l) ? 0 : TRUE; }
static value car(value l) { return head(head(l)); }
static value cdr(value l) { return tail(head(l)); }
static value pair(value l) { return cons(head(l), head(tail(l))); }
static value list(value l) { return l; }
static value null(value l) { return head(l) == 0 ? TRUE : 0; }

static const struct {
    const char *name;
    value (*call)(value);
} BUILT_INS[] = {{"+", add}, {"*", times}, {"-", minus}, {"/", quotient}, {"%", rest_of}, {"<", less}, {"=", equal}, {"not", not},
                 {"car", car}, {"cdr", cdr}, {"cons", pair}, {"list", list}, {"null", null}};

static void start(void) {
    used = 0, symbols = 0, globals = 0;
    QUOTE = symbol("quote", 5), IF = symbol("if", 2), LAMBDA = symbol("lambda", 6), DEFINE = symbol("define", 6);
    LET = symbol("let", 3), COND = symbol("cond", 4), TRUE = symbol("t", 1);
    globals = cons(cons(TRUE, TRUE), globals);
    for (size_t i = 0; i < sizeof BUILT_INS / sizeof *BUILT_INS; i++) {
        value f = make(BUILT_IN, 0, 0, 0);
        as_cell(f)->call = BUILT_INS[i].call;
        globals = cons(cons(symbol(BUILT_INS[i].name, strlen(BUILT_INS[i].name)), f), globals);
    }
}

static const char PROGRAM[] =
    "(define fib (lambda (n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))))"
    "(define map (lambda (f l) (if (null l) l (cons (f (car l)) (map f (cdr l))))))"
    "(define fold (lambda (f x l) (if (null l) x (fold f (f x (car l)) (cdr l)))))"
    "(define keep (lambda (p l) (cond ((null l) l) ((p (car l)) (cons (car l) (keep p (cdr l)))) (t (keep p (cdr l))))))"
    "(define join (lambda (a b) (if (null a) b (cons (car a) (join (cdr a) b)))))"
    "(define range (lambda (a b) (if (< a b) (cons a (range (+ a 1) b)) '())))"
    "(define sort (lambda (l) (if (null l) l (let ((p (car l)) (r (cdr l)))"
    "  (join (sort (keep (lambda (x) (< x p)) r)) (cons p (sort (keep (lambda (x) (not (< x p))) r))))))))"
    "(define safe (lambda (q d l) (cond ((null l) t) ((= q (car l)) '()) ((= d (- q (car l))) '())"
    "  ((= d (- (car l) q)) '()) (t (safe q (+ d 1) (cdr l))))))"
    "(define place (lambda (n k l) (if (= k 0) 1 (fold + 0 (map (lambda (q) (if (safe q 1 l) (place n (- k 1) (cons q l)) 0)) (range 0 n))))))"
    "(define compose (lambda (f g) (lambda (x) (f (g x)))))"
    "(define twice (lambda (f) (compose f f)))"
    "(list (fib 13) (fold + 0 (map (lambda (x) (* x x)) (range 0 40)))"
    "  (car (sort (map (lambda (x) (% (* x 7919) 101)) (range 1 40)))) (place 5 5 '()) (((twice twice) (lambda (x) (+ x 3))) 1))";

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 3), sum = 0;
    static const int64_t RESULTS[] = {233, 20540, 2, 10, 13};
    for (uint64_t r = 0; r < count; r++) {
        start();
        value result = 0;
        for (text = PROGRAM; *text && !wrong;) result = evaluate(read_value(), 0);
        for (int i = 0; i < 5; i++, result = tail(result)) {
            wrong |= number(head(result)) != RESULTS[i];
            sum = mix(sum, (uint64_t)number(head(result)));
        }
        sum = mix(sum, used);
    }
    return report("lisp", sum, !wrong);
}
