// A walk along pointers in random order over eight megabytes: nothing but load latency.
#include "runtime.h"

enum { N = 1 << 20 };
static struct link { struct link *next; } links[N];
static uint32_t order[N];

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 1), seed = 41, sum = 0;
    for (uint32_t i = 0; i < N; i++) order[i] = i;
    for (uint32_t i = N - 1; i > 0; i--) {
        uint32_t j = (uint32_t)((random_next(&seed) >> 11) % i), t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
    for (uint32_t i = 0; i < N; i++) links[order[i]].next = &links[order[(i + 1) % N]];
    struct link *at = links;
    for (uint64_t r = 0; r < count; r++) {
        for (int i = 0; i < N / 2; i++) at = at->next;
        sum = mix(sum, (uint64_t)(at - links));
    }
    // Two half rounds along one cycle come back to the start.
    return report("chase", sum, count % 2 || at == links);
}
