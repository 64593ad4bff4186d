// Packing with Huffman codes made for each block: strings that came before, code lengths, canonical
// codes, bits; and unpacking all of it again.
#include "runtime.h"

enum { SIZE = 32768, WINDOW = 8192, SHORTEST = 3, LONGEST = 66, SYMBOLS = 256 + LONGEST - SHORTEST + 2, END = 256, WAYS = 28, LIMIT = 15 };
static uint8_t text[SIZE], packed[2 * SIZE], again[SIZE + LONGEST];
static uint16_t tokens[SIZE + 1], distances[SIZE + 1];
static int32_t heads[4096], links[SIZE];

struct code {
    uint16_t symbols, bits[SYMBOLS];
    uint8_t lengths[SYMBOLS];
};

static void make_text(uint64_t seed) {
    static const char *const PARTS[] = {"<item id=\"", "\">", "</item>\n", "<name>", "</name>", "value", "hypervisor", "  ", "true", "false", ", ", "0x"};
    size_t at = 0;
    while (at < SIZE - 32) {
        uint64_t r = random_next(&seed);
        for (const char *p = PARTS[r % 12]; *p; p++) text[at++] = (uint8_t)*p;
        for (unsigned n = r >> 8 & 3; n--; r >>= 4) text[at++] = (uint8_t)("0123456789abcdef"[r >> 16 & 15]);
    }
    while (at < SIZE) text[at++] = '\n';
}

// --- Bits, the lowest first.
static uint64_t pool;
static unsigned pooled;
static size_t place;
static void put(unsigned value, unsigned n) {
    pool |= (uint64_t)value << pooled;
    for (pooled += n; pooled >= 8; pooled -= 8, pool >>= 8) packed[place++] = (uint8_t)pool;
}
static unsigned get(unsigned n) {
    while (pooled < n) pool |= (uint64_t)packed[place++] << pooled, pooled += 8;
    unsigned value = (unsigned)(pool & ((1ul << n) - 1));
    pool >>= n, pooled -= n;
    return value;
}

// --- Code lengths from counts: the two rarest are joined until one is left.
static uint32_t weights[2 * SYMBOLS];
static uint16_t parents[2 * SYMBOLS], heap[SYMBOLS], waiting;
static void sink(unsigned at) {
    uint16_t node = heap[at];
    for (unsigned down; (down = 2 * at + 1) < waiting; at = down) {
        if (down + 1 < waiting && weights[heap[down + 1]] < weights[heap[down]]) down++;
        if (weights[node] <= weights[heap[down]]) break;
        heap[at] = heap[down];
    }
    heap[at] = node;
}
static uint16_t take_rarest(void) {
    uint16_t node = heap[0];
    heap[0] = heap[--waiting];
    sink(0);
    return node;
}
static void find_lengths(struct code *c, const uint32_t *counts) {
    for (unsigned flat = 0;; flat++) { // counts are made more alike until no code is too long
        unsigned nodes = c->symbols, longest = 0;
        waiting = 0;
        for (uint16_t s = 0; s < c->symbols; s++) {
            c->lengths[s] = 0;
            if (counts[s]) weights[s] = (counts[s] >> flat) + 1, heap[waiting++] = s;
        }
        if (waiting == 1) {
            c->lengths[heap[0]] = 1;
            return;
        }
        for (unsigned i = waiting / 2; i-- > 0;) sink(i);
        while (waiting > 1) {
            uint16_t a = take_rarest(), b = take_rarest();
            weights[nodes] = weights[a] + weights[b];
            parents[a] = parents[b] = (uint16_t)nodes;
            heap[waiting++] = (uint16_t)nodes++;
            for (unsigned at = waiting - 1u; at && weights[heap[at]] < weights[heap[(at - 1) / 2]]; at = (at - 1) / 2) {
                uint16_t t = heap[at];
                heap[at] = heap[(at - 1) / 2], heap[(at - 1) / 2] = t;
            }
        }
        for (uint16_t s = 0; s < c->symbols; s++) {
            if (!counts[s]) continue;
            unsigned length = 0;
            for (unsigned n = s; n != nodes - 1; n = parents[n]) length++;
            c->lengths[s] = (uint8_t)length;
            if (length > longest) longest = length;
        }
        if (longest <= LIMIT) return;
    }
}

// Codes of one length follow each other; bits are turned round, as they are written lowest first.
static void find_codes(struct code *c) {
    unsigned next = 0;
    for (unsigned length = 1; length <= LIMIT; length++, next <<= 1)
        for (unsigned s = 0; s < c->symbols; s++) {
            if (c->lengths[s] != length) continue;
            unsigned turned = 0;
            for (unsigned i = 0; i < length; i++) turned |= (next >> i & 1) << (length - 1 - i);
            c->bits[s] = (uint16_t)turned;
            next++;
        }
}

static void put_lengths(const struct code *c) {
    for (unsigned s = 0; s < c->symbols;) {
        unsigned run = 1;
        while (s + run < c->symbols && run < 18 && c->lengths[s + run] == c->lengths[s]) run++;
        if (run > 2) put(1, 1), put(c->lengths[s], 4), put(run - 3, 4), s += run;
        else put(0, 1), put(c->lengths[s++], 4);
    }
}
static void get_lengths(struct code *c) {
    for (unsigned s = 0; s < c->symbols;) {
        unsigned repeated = get(1), length = get(4), run = repeated ? get(4) + 3 : 1;
        while (run-- && s < c->symbols) c->lengths[s++] = (uint8_t)length;
    }
}

// --- Distances go into classes with extra bits: 1, 2, 3-4, 5-8 and so on by halves.
static unsigned class_of(unsigned distance, unsigned *extra, unsigned *rest) {
    unsigned d = distance - 1;
    if (d < 4) return *extra = 0, *rest = 0, d;
    unsigned top = 31 - (unsigned)__builtin_clz(d);
    *extra = top - 1, *rest = d & ((1u << (top - 1)) - 1);
    return 2 * top + (d >> (top - 1) & 1);
}
static unsigned distance_of(unsigned class) {
    if (class < 4) return class + 1;
    unsigned extra = class / 2 - 1, base = (2 | (class & 1)) << extra;
    return base + get(extra) + 1;
}

static size_t find_strings(void) {
    size_t count = 0;
    for (int i = 0; i < 4096; i++) heads[i] = -1;
    for (size_t at = 0; at < SIZE;) {
        unsigned best = 0, from = 0, tries = 16;
        if (at + SHORTEST <= SIZE) {
            uint32_t h = (text[at] | text[at + 1] << 8 | text[at + 2] << 16) * 2654435761u >> 20;
            for (int32_t p = heads[h]; p >= 0 && at - (size_t)p <= WINDOW && tries--; p = links[p]) {
                unsigned n = 0;
                while (n < LONGEST && at + n < SIZE && text[(size_t)p + n] == text[at + n]) n++;
                if (n > best) best = n, from = (unsigned)p;
            }
        }
        unsigned step = best >= SHORTEST ? best : 1;
        distances[count] = (uint16_t)(best >= SHORTEST ? at - from : 0);
        tokens[count++] = best >= SHORTEST ? (uint16_t)(END + 1 + best - SHORTEST) : text[at];
        for (; step--; at++) {
            if (at + SHORTEST > SIZE) continue;
            uint32_t h = (text[at] | text[at + 1] << 8 | text[at + 2] << 16) * 2654435761u >> 20;
            links[at] = heads[h], heads[h] = (int32_t)at;
        }
    }
    tokens[count++] = END;
    return count;
}

static struct code letters = {.symbols = SYMBOLS}, ways = {.symbols = WAYS};

static size_t pack(void) {
    uint32_t counts[SYMBOLS] = {0}, way_counts[WAYS] = {1};
    unsigned extra, rest;
    size_t n = find_strings();
    for (size_t i = 0; i < n; i++) {
        counts[tokens[i]]++;
        if (tokens[i] > END) way_counts[class_of(distances[i], &extra, &rest)]++;
    }
    find_lengths(&letters, counts), find_codes(&letters);
    find_lengths(&ways, way_counts), find_codes(&ways);
    pool = 0, pooled = 0, place = 0;
    put_lengths(&letters), put_lengths(&ways);
    for (size_t i = 0; i < n; i++) {
        put(letters.bits[tokens[i]], letters.lengths[tokens[i]]);
        if (tokens[i] <= END) continue;
        unsigned class = class_of(distances[i], &extra, &rest);
        put(ways.bits[class], ways.lengths[class]);
        put(rest, extra);
    }
    put(0, 7);
    return place;
}

// A symbol for every value of the next bits.
static uint16_t letter_table[1 << LIMIT], way_table[1 << LIMIT];
static void fill(const struct code *c, uint16_t *table) {
    for (unsigned s = 0; s < c->symbols; s++)
        if (c->lengths[s])
            for (unsigned v = c->bits[s]; v < 1 << LIMIT; v += 1u << c->lengths[s]) table[v] = (uint16_t)s;
}
static unsigned decode(const struct code *c, const uint16_t *table) {
    while (pooled < LIMIT) pool |= (uint64_t)packed[place++] << pooled, pooled += 8;
    unsigned s = table[pool & ((1 << LIMIT) - 1)];
    pool >>= c->lengths[s], pooled -= c->lengths[s];
    return s;
}

static size_t unpack(void) {
    size_t out = 0;
    pool = 0, pooled = 0, place = 0;
    get_lengths(&letters), get_lengths(&ways);
    find_codes(&letters), find_codes(&ways);
    fill(&letters, letter_table), fill(&ways, way_table);
    while (out < SIZE + 1) {
        unsigned s = decode(&letters, letter_table);
        if (s < END) again[out++] = (uint8_t)s;
        else if (s == END) break;
        else {
            unsigned distance = distance_of(decode(&ways, way_table)), n = s - END - 1 + SHORTEST;
            if (distance > out || out + n > SIZE) return 0;
            for (; n--; out++) again[out] = again[out - distance];
        }
    }
    return out;
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 3), sum = 0;
    int right = 1;
    for (uint64_t r = 0; r < count; r++) {
        make_text(r % 16 + 3);
        size_t n = pack();
        right &= n < SIZE / 2 && unpack() == SIZE && memcmp(text, again, SIZE) == 0;
        sum = mix(sum, n);
        for (size_t i = 0; i < n; i += 61) sum = mix(sum, packed[i]);
    }
    return report("deflate", sum, right);
}
