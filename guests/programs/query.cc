// A query engine: expressions and operators are objects, a row goes through them by virtual calls.
#include "plus.h"

struct Row { int64_t at[8]; };

struct Expression {
    virtual int64_t value(const Row &row) const = 0;
};
struct Column final : Expression {
    int i;
    explicit Column(int i) : i(i) {}
    int64_t value(const Row &row) const override { return row.at[i]; }
};
struct Constant final : Expression {
    int64_t n;
    explicit Constant(int64_t n) : n(n) {}
    int64_t value(const Row &) const override { return n; }
};
struct Add { static int64_t of(int64_t a, int64_t b) { return a + b; } };
struct Multiply { static int64_t of(int64_t a, int64_t b) { return a * b; } };
struct Remainder { static int64_t of(int64_t a, int64_t b) { return b ? a % b : 0; } };
struct Less { static int64_t of(int64_t a, int64_t b) { return a < b; } };
struct Equal { static int64_t of(int64_t a, int64_t b) { return a == b; } };
struct And { static int64_t of(int64_t a, int64_t b) { return a && b; } };
struct Or { static int64_t of(int64_t a, int64_t b) { return a || b; } };
template <class Operation> struct Binary final : Expression {
    const Expression *a, *b;
    Binary(const Expression *a, const Expression *b) : a(a), b(b) {}
    int64_t value(const Row &row) const override { return Operation::of(a->value(row), b->value(row)); }
};
typedef const Expression *E;
static E column(int i) { return make<Column>(i); }
static E constant(int64_t n) { return make<Constant>(n); }
template <class Operation> static E binary(E a, E b) { return make<Binary<Operation>>(a, b); }

// An operator hands out rows one by one.
struct Operator {
    virtual void open() = 0;
    virtual bool next(Row &row) = 0;
};
struct Scan final : Operator {
    const Array<Row> *table;
    uint32_t at = 0;
    explicit Scan(const Array<Row> *table) : table(table) {}
    void open() override { at = 0; }
    bool next(Row &row) override {
        if (at == table->size) return false;
        row = (*table)[at++];
        return true;
    }
};
struct Filter final : Operator {
    Operator *from;
    E wanted;
    Filter(Operator *from, E wanted) : from(from), wanted(wanted) {}
    void open() override { from->open(); }
    bool next(Row &row) override {
        while (from->next(row))
            if (wanted->value(row)) return true;
        return false;
    }
};
struct Project final : Operator {
    Operator *from;
    Array<E> columns;
    Project(Operator *from, Array<E> columns) : from(from), columns(columns) {}
    void open() override { from->open(); }
    bool next(Row &row) override {
        Row in;
        if (!from->next(in)) return false;
        for (uint32_t i = 0; i < columns.size; i++) row.at[i] = columns[i]->value(in);
        return true;
    }
};
// Joins by equal keys: the right side is kept in lists by key.
struct Join final : Operator {
    struct Link { Row row; Link *next; };
    Operator *left, *right;
    E left_key, right_key;
    int width;
    Table<uint64_t, Link *> kept;
    Row current;
    Link *matching = nullptr;
    Join(Operator *l, Operator *r, E lk, E rk, int width) : left(l), right(r), left_key(lk), right_key(rk), width(width) {}
    void open() override {
        left->open(), right->open();
        kept = Table<uint64_t, Link *>();
        matching = nullptr;
        Row row;
        while (right->next(row)) {
            Link *&list = kept[(uint64_t)right_key->value(row)];
            Link *link = make<Link>();
            link->row = row, link->next = list, list = link;
        }
    }
    bool next(Row &row) override {
        while (!matching) {
            if (!left->next(current)) return false;
            Link **list = kept.find((uint64_t)left_key->value(current));
            matching = list ? *list : nullptr;
        }
        row = current;
        for (int i = width; i < 8; i++) row.at[i] = matching->row.at[i - width];
        matching = matching->next;
        return true;
    }
};
struct Aggregate {
    virtual void start(int64_t &state) const { state = 0; }
    virtual void take(int64_t &state, const Row &row) const = 0;
};
struct Count final : Aggregate {
    void take(int64_t &state, const Row &) const override { state++; }
};
struct Sum final : Aggregate {
    E what;
    explicit Sum(E what) : what(what) {}
    void take(int64_t &state, const Row &row) const override { state += what->value(row); }
};
struct Largest final : Aggregate {
    E what;
    explicit Largest(E what) : what(what) {}
    void start(int64_t &state) const override { state = INT64_MIN; }
    void take(int64_t &state, const Row &row) const override {
        int64_t v = what->value(row);
        if (v > state) state = v;
    }
};
struct Grouped final : Operator {
    Operator *from;
    E key;
    Array<const Aggregate *> what;
    Array<Row> rows;
    uint32_t at = 0;
    Grouped(Operator *from, E key, Array<const Aggregate *> what) : from(from), key(key), what(what) {}
    void open() override {
        from->open();
        rows = Array<Row>(), at = 0;
        Table<uint64_t, uint32_t> places;
        Row row;
        while (from->next(row)) {
            uint32_t &place = places[(uint64_t)key->value(row)];
            if (!place) {
                Row fresh = Row();
                fresh.at[0] = key->value(row);
                for (uint32_t i = 0; i < what.size; i++) what[i]->start(fresh.at[i + 1]);
                rows.push(fresh);
                place = rows.size;
            }
            for (uint32_t i = 0; i < what.size; i++) what[i]->take(rows[place - 1].at[i + 1], row);
        }
    }
    bool next(Row &row) override {
        if (at == rows.size) return false;
        row = rows[at++];
        return true;
    }
};
struct Sorted final : Operator {
    Operator *from;
    E key;
    Array<Row> rows;
    uint32_t at = 0;
    Sorted(Operator *from, E key) : from(from), key(key) {}
    void open() override {
        from->open();
        rows.clear(), at = 0;
        Row row;
        while (from->next(row)) rows.push(row);
        E by = key;
        sort(rows.begin(), rows.size, [by](const Row &a, const Row &b) {
            int64_t x = by->value(a), y = by->value(b);
            return x != y ? x < y : a.at[0] < b.at[0];
        });
    }
    bool next(Row &row) override {
        if (at == rows.size) return false;
        row = rows[at++];
        return true;
    }
};

template <class T> static Array<T> listed(T a, T b, T c) {
    Array<T> list;
    list.push(a), list.push(b), list.push(c);
    return list;
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 3), sum = 0, seed = 17;
    int right = 1;
    for (uint64_t r = 0; r < count; r++) {
        arena_used = 0;
        // Orders: number, customer, article, amount. Articles: number, kind, price.
        Array<Row> orders, articles;
        int64_t total = 0, counted = 0;
        for (int64_t i = 0; i < 200; i++) articles.push(Row{{i, (int64_t)(random_next(&seed) % 7), (int64_t)(random_next(&seed) % 100), 0, 0, 0, 0, 0}});
        for (int64_t i = 0; i < 4000; i++) {
            uint64_t n = random_next(&seed);
            Row row = {{i, (int64_t)(n % 50), (int64_t)(n >> 8) % 200, (int64_t)(n >> 20 & 15), 0, 0, 0, 0}};
            orders.push(row);
            if (row.at[3] < 12 || row.at[1] == 7) total += row.at[3] * articles[(size_t)row.at[2]].at[2], counted++;
        }
        E few = binary<Or>(binary<Less>(column(3), constant(12)), binary<Equal>(column(1), constant(7)));
        Operator *chosen = make<Filter>(make<Scan>(&orders), few);
        Operator *joined = make<Join>(chosen, make<Scan>(&articles), column(2), column(0), 4);
        // Customer, kind, worth.
        Operator *worth = make<Project>(joined, listed<E>(column(1), column(5), binary<Multiply>(column(3), column(6))));
        E key = binary<Add>(binary<Multiply>(column(0), constant(8)), column(1));
        const Aggregate *number = make<Count>(), *all = make<Sum>(column(2)), *top = make<Largest>(column(2));
        Operator *grouped = make<Grouped>(worth, key, listed(number, all, top));
        E order = binary<Remainder>(binary<Add>(binary<Multiply>(column(2), constant(1000)), column(1)), constant(997));
        Operator *plan = make<Sorted>(grouped, binary<And>(column(1), order)->value(Row{{0, 1, 1, 0, 0, 0, 0, 0}}) ? order : column(0));
        Row row;
        for (plan->open(); plan->next(row);) {
            counted -= row.at[1], total -= row.at[2];
            sum = mix(mix(sum, (uint64_t)row.at[0]), (uint64_t)row.at[3]);
        }
        right &= counted == 0 && total == 0;
    }
    return report("query", sum, right);
}
