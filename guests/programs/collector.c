// A heap with a collector: objects of several sizes from lists of free ones, graphs that grow and
// are dropped, marking without recursion, sweeping.
#include "runtime.h"

enum { HEAP = 4 << 20, CLASSES = 5, ROOTS = 64 };
// An object: its class, the number of its fields that are references, then the fields.
struct object {
    uint8_t class, marked, free;
    uint8_t references;
    uint32_t data;
    struct object *fields[];
};
static const uint32_t SIZES[CLASSES] = {16, 24, 40, 72, 136};
static char heap[HEAP] __attribute__((aligned(16)));
static size_t heap_used;
static struct object *free_lists[CLASSES], *roots[ROOTS], *stack[HEAP / 16];
static uint64_t collections, freed, alive;

static void mark(void) {
    size_t depth = 0;
    for (int i = 0; i < ROOTS; i++)
        if (roots[i] && !roots[i]->marked) roots[i]->marked = 1, stack[depth++] = roots[i];
    while (depth) {
        struct object *o = stack[--depth];
        alive++;
        for (int i = 0; i < o->references; i++) {
            struct object *next = o->fields[i];
            if (next && !next->marked) next->marked = 1, stack[depth++] = next;
        }
    }
}

static void collect(void) {
    collections++, alive = 0;
    mark();
    for (int c = 0; c < CLASSES; c++) free_lists[c] = 0;
    for (size_t at = 0; at < heap_used;) {
        struct object *o = (struct object *)(heap + at);
        at += SIZES[o->class];
        if (o->marked) {
            o->marked = 0;
            continue;
        }
        freed += !o->free;
        // A free object keeps the list in its data, as an offset in units of eight bytes.
        o->free = 1, o->references = 0;
        o->data = free_lists[o->class] ? (uint32_t)(((char *)free_lists[o->class] - heap) / 8 + 1) : 0;
        free_lists[o->class] = o;
    }
}

static struct object *allocate(int references) {
    int class = 0;
    while (SIZES[class] < 8 + 8 * (uint32_t)references) class++;
    for (int tries = 0; tries < 2; tries++) {
        struct object *o = free_lists[class];
        if (o) {
            free_lists[class] = o->data ? (struct object *)(heap + 8 * (size_t)(o->data - 1)) : 0;
        } else if (heap_used + SIZES[class] <= HEAP) {
            o = (struct object *)(heap + heap_used);
            heap_used += SIZES[class];
        } else {
            collect();
            continue;
        }
        o->class = (uint8_t)class, o->marked = 0, o->free = 0, o->references = (uint8_t)references, o->data = 0;
        for (int i = 0; i < references; i++) o->fields[i] = 0;
        return o;
    }
    put_text("the heap is full\n");
    stop(3);
}

// A search tree in the heap: two references and a key.
static void insert(int root, uint32_t key) {
    struct object **at = &roots[root];
    while (*at) {
        if ((*at)->data == key) return;
        at = &(*at)->fields[key > (*at)->data];
    }
    // Collecting moves nothing, and what `at` is in is reached from the root.
    struct object *fresh = allocate(2);
    fresh->data = key, *at = fresh;
}

static uint64_t sum_tree(const struct object *o) {
    return o ? sum_tree(o->fields[0]) * 3 + o->data + sum_tree(o->fields[1]) * 7 : 1;
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 3), sum = 0, seed = 11;
    int right = 1;
    for (uint64_t r = 0; r < count; r++) {
        for (int i = 0; i < 4000; i++) {
            uint64_t n = random_next(&seed);
            int root = (int)(n % ROOTS);
            switch (n >> 8 & 15) {
            case 0: roots[root] = 0; break;
            case 1: case 2: { // an object that holds some of what the roots hold, each often shared
                if (root < 32) break;
                struct object *o = allocate((int)(n >> 16 & 15));
                for (int k = 0; k < o->references; k++) o->fields[k] = roots[(n >> (20 + k)) % 32 + (k & 1) * 32];
                o->data = (uint32_t)n;
                // Chains of such would keep everything alive.
                for (int k = 1; k < o->references; k += 2) o->fields[k] = 0;
                roots[root] = o;
                break;
            }
            case 3: // a list, dropped at once
                for (int k = 0; k < 20; k++) allocate(1)->fields[0] = 0;
                break;
            default: insert(root % 32, (uint32_t)(n >> 32 & 0xfff));
            }
        }
        collect();
        sum = mix(mix(sum, alive), freed);
        for (int i = 0; i < 32; i++) sum = mix(sum, sum_tree(roots[i]));
        right &= alive > 0;
    }
    return report("collector", sum, right && (count == 0 || freed > 0));
}
