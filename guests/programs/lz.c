// A byte compressor with a hash of three-byte strings, and its inverse: unpredictable branches
// and short copies.
#include "runtime.h"

enum { SIZE = 65536, WINDOW = 8192 };
static uint8_t text[SIZE], packed[SIZE * 2], again[SIZE];
static int32_t heads[4096];

static void make_text(uint64_t seed) {
    static const char *const WORDS[] = {"the ", "hart ", "retires ", "an ", "instruction ", "and ", "traps ",
                                        "when ", "memory ", "is ", "not ", "there", ". ", "Then ", "page ", "fault "};
    size_t at = 0;
    while (at < SIZE - 16) {
        uint64_t r = random_next(&seed);
        for (const char *w = WORDS[r & 15]; *w; w++) text[at++] = (uint8_t)*w;
        if ((r >> 8 & 31) == 0) text[at++] = (uint8_t)(r >> 16);
    }
    while (at < SIZE) text[at++] = ' ';
}

static uint32_t hash(const uint8_t *p) { return ((p[0] | p[1] << 8 | p[2] << 16) * 2654435761u) >> 20; }

// Tokens: 0..127 = that many plus one literal bytes follow; 128 + n = copy n + 3 bytes from the
// 16-bit distance that follows.
static size_t pack(void) {
    size_t out = 0, literal = 0, at = 0;
    for (int i = 0; i < 4096; i++) heads[i] = -1;
    while (at <= SIZE) {
        size_t length = 0, from = 0;
        if (at + 3 <= SIZE) {
            uint32_t h = hash(text + at);
            if (heads[h] >= 0 && (size_t)heads[h] < at && at - (size_t)heads[h] < WINDOW) {
                from = (size_t)heads[h];
                while (length < 130 && at + length < SIZE && text[from + length] == text[at + length]) length++;
            }
            heads[h] = (int32_t)at;
        }
        if (length >= 4 || at == SIZE || at - literal == 128) {
            if (at > literal) {
                packed[out++] = (uint8_t)(at - literal - 1);
                memcpy(packed + out, text + literal, at - literal);
                out += at - literal;
            }
            if (at == SIZE) break;
            if (length >= 4) {
                packed[out++] = (uint8_t)(128 + length - 3);
                packed[out++] = (uint8_t)(at - from);
                packed[out++] = (uint8_t)((at - from) >> 8);
                at += length;
            }
            literal = at;
        } else {
            at++;
        }
    }
    return out;
}

static size_t unpack(size_t n) {
    size_t out = 0;
    for (size_t at = 0; at < n;) {
        unsigned token = packed[at++];
        if (token < 128) {
            memcpy(again + out, packed + at, token + 1);
            out += token + 1, at += token + 1;
        } else {
            size_t distance = packed[at] | packed[at + 1] << 8;
            at += 2;
            for (unsigned i = 0; i < token - 125; i++, out++) again[out] = again[out - distance];
        }
    }
    return out;
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 20), sum = 0;
    int right = 1;
    for (uint64_t r = 0; r < count; r++) {
        make_text(5 + r % 8);
        size_t n = pack();
        right &= unpack(n) == SIZE && memcmp(text, again, SIZE) == 0 && n < SIZE * 2 / 3;
        sum = mix(sum, n);
        for (size_t i = 0; i < n; i += 97) sum = mix(sum, packed[i]);
    }
    return report("lz", sum, right);
}
