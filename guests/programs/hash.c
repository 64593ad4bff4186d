// A hash table with open addressing: insertions, look-ups and removals of random keys.
#include "runtime.h"

enum { SLOTS = 1 << 16, KEYS = 40000 };
static struct slot { uint64_t key, value; } table[SLOTS];

static size_t home(uint64_t key) { return (size_t)(key * 0x9e3779b97f4a7c15u >> 48); }

__attribute__((noinline)) static struct slot *find(uint64_t key) {
    size_t at = home(key);
    while (table[at].key && table[at].key != key) at = (at + 1) % SLOTS;
    return &table[at];
}

// Takes a key out and moves later ones back, so that no gap hides them.
__attribute__((noinline)) static void take_out(uint64_t key) {
    size_t gap = (size_t)(find(key) - table);
    if (!table[gap].key) return;
    for (size_t at = (gap + 1) % SLOTS; table[at].key; at = (at + 1) % SLOTS)
        if ((at - home(table[at].key)) % SLOTS >= (at - gap) % SLOTS) table[gap] = table[at], gap = at;
    table[gap].key = 0;
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 2), seed = 43, sum = 0;
    int right = 1;
    for (uint64_t r = 0; r < count; r++) {
        uint64_t first = seed, used = 0, replay;
        for (int i = 0; i < KEYS; i++) {
            uint64_t key = random_next(&seed);
            *find(key) = (struct slot){key, key ^ r};
        }
        replay = first;
        for (int i = 0; i < KEYS; i++) {
            uint64_t key = random_next(&replay);
            right &= find(key)->value == (key ^ r);
            sum = mix(sum, find(key + 1)->value);
        }
        replay = first;
        for (int i = 0; i < KEYS; i++) take_out(random_next(&replay));
        for (size_t i = 0; i < SLOTS; i++) used += table[i].key != 0;
        right &= used == 0;
    }
    return report("hash", sum, right);
}
