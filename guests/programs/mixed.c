// Linked lists, small integer matrices, a text state machine and a checksum over it all: the
// mixture embedded processors are compared by.
#include "runtime.h"

static uint16_t crc16(uint16_t crc, uint16_t value) {
    for (int i = 0; i < 16; i++) {
        int bit = (crc ^ value) & 1;
        crc >>= 1;
        value >>= 1;
        if (bit) crc ^= 0xa001;
    }
    return crc;
}

// --- Linked lists: search, reverse, merge sort by a key function.
struct node {
    struct node *next;
    int16_t key, index;
};
static struct node nodes[64];

static struct node *make_list(uint64_t seed) {
    for (int i = 0; i < 64; i++) {
        nodes[i].key = (int16_t)(random_next(&seed) & 0x7fff);
        nodes[i].index = (int16_t)i;
        nodes[i].next = i < 63 ? &nodes[i + 1] : 0;
    }
    return nodes;
}

static struct node *find(struct node *list, int16_t key) {
    while (list && (list->key & 0xff) != key) list = list->next;
    return list;
}

static struct node *reverse(struct node *list) {
    struct node *done = 0;
    while (list) {
        struct node *next = list->next;
        list->next = done;
        done = list;
        list = next;
    }
    return done;
}

static long by_key(const struct node *a, const struct node *b) { return a->key - b->key; }
static long by_index(const struct node *a, const struct node *b) { return a->index - b->index; }

static struct node *merge_sort(struct node *list, long (*order)(const struct node *, const struct node *)) {
    for (int width = 1;; width *= 2) {
        struct node *rest = list, **tail = &list;
        int merges = 0;
        list = 0;
        while (rest) {
            struct node *left = rest, *right = rest;
            int lefts = 0, rights = width;
            merges++;
            while (lefts < width && right) lefts++, right = right->next;
            while (lefts || (rights && right)) {
                struct node *take;
                if (lefts && (!rights || !right || order(left, right) <= 0)) take = left, left = left->next, lefts--;
                else take = right, right = right->next, rights--;
                *tail = take;
                tail = &take->next;
            }
            rest = right;
        }
        *tail = 0;
        if (merges <= 1) return list;
    }
}

static uint16_t lists(uint16_t crc, uint64_t seed) {
    struct node *list = make_list(seed);
    int found = 0;
    for (int16_t key = 0; key < 64; key++) {
        struct node *hit = find(list, key);
        found += hit ? hit->index : 1;
        list = reverse(list);
    }
    crc = crc16(crc, (uint16_t)found);
    list = merge_sort(list, by_key);
    for (struct node *n = list; n; n = n->next) crc = crc16(crc, (uint16_t)n->key);
    list = merge_sort(list, by_index);
    return crc16(crc, (uint16_t)list->key);
}

// --- Matrices of 16-bit integers.
enum { N = 16 };
static int16_t a[N][N], b[N][N];
static int32_t c[N][N];

static uint16_t matrices(uint16_t crc, uint64_t seed) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = (int16_t)(random_next(&seed) & 0xff);
            b[i][j] = (int16_t)(a[i][j] - 128);
        }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            int32_t sum = 0;
            for (int k = 0; k < N; k++) sum += a[i][k] * b[k][j];
            c[i][j] = sum;
        }
    int32_t previous = 0, rises = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            int32_t now = c[i][j] >> 2 & 0x7fff;
            rises += now > previous ? 10 : 1;
            previous = now;
        }
    return crc16(crc, (uint16_t)rises);
}

// --- A state machine that classifies numbers in text.
enum state { START, SIGN, INTEGER, POINT, FRACTION, EXPONENT, POWER, INVALID, STATES };

static enum state step(enum state now, char ch) {
    int digit = ch >= '0' && ch <= '9';
    switch (now) {
    case START: return digit ? INTEGER : ch == '+' || ch == '-' ? SIGN : ch == '.' ? POINT : INVALID;
    case SIGN: return digit ? INTEGER : ch == '.' ? POINT : INVALID;
    case INTEGER: return digit ? INTEGER : ch == '.' ? FRACTION : ch == 'e' ? EXPONENT : INVALID;
    case POINT: return digit ? FRACTION : INVALID;
    case FRACTION: return digit ? FRACTION : ch == 'e' ? EXPONENT : INVALID;
    case EXPONENT: return digit || ch == '-' ? POWER : INVALID;
    case POWER: return digit ? POWER : INVALID;
    default: return INVALID;
    }
}

static const char *const WORDS[8] = {"5012", "-874", "+122", "35.54400", ".1234500", "-110.700", "5.500e+3", "T0.3e-1F"};

static uint16_t state_machine(uint16_t crc, uint64_t seed) {
    static char text[400];
    uint16_t ends[STATES] = {0};
    int length = 0;
    while (length < 380) {
        for (const char *w = WORDS[random_next(&seed) & 7]; *w; w++) text[length++] = *w;
        text[length++] = ',';
    }
    text[length] = 0;
    for (int round = 0; round < 2; round++) {
        enum state now = START;
        for (const char *p = text; *p; p++)
            if (*p == ',') ends[now]++, now = START;
            else now = step(now, *p);
        for (int i = 0; i < length; i += 7)
            if (text[i] != ',') text[i] ^= 1;
    }
    for (int i = 0; i < STATES; i++) crc = crc16(crc, ends[i]);
    return crc;
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 300), sum = 0;
    uint16_t first = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t seed = 1 + i % 16;
        uint16_t crc = state_machine(matrices(lists(0, seed), seed), seed);
        if (i == 0) first = crc;
        sum = mix(sum, crc);
    }
    return report("mixed", sum, count == 0 || first == 0xb682);
}
