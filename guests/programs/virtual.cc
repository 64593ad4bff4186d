// Virtual calls over a mixed collection of shapes.
#include "runtime.h"

struct Shape {
    virtual int64_t area() const = 0;
    virtual void grow(int64_t by) = 0;
    virtual int kind() const { return 0; }
};

struct Square : Shape {
    int64_t side = 1;
    int64_t area() const override { return side * side; }
    void grow(int64_t by) override { side = (side + by) & 1023; }
};

struct Box : Shape {
    int64_t width = 1, height = 2;
    int64_t area() const override { return width * height; }
    void grow(int64_t by) override { width = (width + by) & 511, height ^= by; }
    int kind() const override { return 1; }
};

struct Ring : Shape {
    int64_t outer = 3, inner = 1;
    int64_t area() const override { return 3 * (outer * outer - inner * inner); }
    void grow(int64_t by) override { outer = (outer + by) & 255; }
    int kind() const override { return 2; }
};

struct Rhombus final : Square {
    int64_t area() const override { return side * side / 2; }
    int kind() const override { return 3; }
};

enum { N = 64 };
static Square squares[N / 4];
static Box boxes[N / 4];
static Ring rings[N / 4];
static Rhombus rhombi[N / 4];
static Shape *shapes[N];

// The table's entry for a pure virtual function; nothing may call it.
extern "C" void __cxa_pure_virtual() { stop(121); }

// Static constructors, run by hand: there is no C library to do it.
extern "C" void (*__init_array_start[])();
extern "C" void (*__init_array_end[])();

int main(int argc, char **argv) {
    for (auto f = __init_array_start; f != __init_array_end; f++) (*f)();
    uint64_t count = repeats(argc, argv, 5000), seed = 47, sum = 0;
    int kinds = 0;
    for (int i = 0; i < N; i++)
        switch (i & 3) {
        case 0: shapes[i] = &squares[i / 4]; break;
        case 1: shapes[i] = &boxes[i / 4]; break;
        case 2: shapes[i] = &rings[i / 4]; break;
        default: shapes[i] = &rhombi[i / 4];
        }
    for (int i = N - 1; i > 0; i--) {
        int j = (int)((random_next(&seed) >> 20) % (uint64_t)(i + 1));
        Shape *t = shapes[i];
        shapes[i] = shapes[j];
        shapes[j] = t;
    }
    for (uint64_t r = 0; r < count; r++)
        for (Shape *shape : shapes) {
            shape->grow((int64_t)(r & 7));
            sum += (uint64_t)(shape->area() + shape->kind());
        }
    for (Shape *shape : shapes) kinds += shape->kind();
    return report("virtual", mix(0, sum), kinds == N / 4 * 6);
}
