// AES-128 in counter mode (FIPS 197), byte tables computed at start.
#include "runtime.h"

static uint8_t sbox[256], keys[11][16];

static uint8_t times_two(uint8_t x) { return (uint8_t)(x << 1 ^ (x & 0x80 ? 0x1b : 0)); }

static void make_sbox(void) {
    uint8_t p = 1, q = 1;
    do {
        p ^= times_two(p);
        q ^= (uint8_t)(q << 1), q ^= (uint8_t)(q << 2), q ^= (uint8_t)(q << 4);
        if (q & 0x80) q ^= 9;
        uint8_t x = q;
        for (int i = 1; i < 5; i++) x ^= (uint8_t)(q << i | q >> (8 - i));
        sbox[p] = x ^ 0x63;
    } while (p != 1);
    sbox[0] = 0x63;
}

static void expand_key(const uint8_t *key) {
    uint8_t round = 1;
    memcpy(keys[0], key, 16);
    for (int r = 1; r < 11; r++) {
        for (int i = 0; i < 4; i++) keys[r][i] = keys[r - 1][i] ^ sbox[keys[r - 1][12 + (i + 1) % 4]];
        keys[r][0] ^= round;
        round = times_two(round);
        for (int i = 4; i < 16; i++) keys[r][i] = keys[r - 1][i] ^ keys[r][i - 4];
    }
}

static void encrypt(const uint8_t *in, uint8_t *out) {
    uint8_t s[16], t[16];
    for (int i = 0; i < 16; i++) s[i] = in[i] ^ keys[0][i];
    for (int r = 1;; r++) {
        for (int i = 0; i < 16; i++) t[i] = sbox[s[(i + 4 * (i & 3)) & 15]];
        if (r == 10) break;
        for (int c = 0; c < 16; c += 4) {
            uint8_t all = t[c] ^ t[c + 1] ^ t[c + 2] ^ t[c + 3];
            for (int i = 0; i < 4; i++)
                s[c + i] = t[c + i] ^ all ^ times_two(t[c + i] ^ t[c + ((i + 1) & 3)]) ^ keys[r][c + i];
        }
    }
    for (int i = 0; i < 16; i++) out[i] = t[i] ^ keys[10][i];
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 20), sum = 0;
    uint8_t key[16], block[16], out[16];
    make_sbox();
    // FIPS 197, appendix C.1.
    for (int i = 0; i < 16; i++) key[i] = (uint8_t)i, block[i] = (uint8_t)(i * 17);
    expand_key(key);
    encrypt(block, out);
    int right = out[0] == 0x69 && out[1] == 0xc4 && out[15] == 0x5a;

    static uint8_t text[4096];
    for (uint64_t r = 0, counter = 0; r < count; r++)
        for (size_t at = 0; at < sizeof text; at += 16, counter++) {
            memcpy(block, &counter, 8);
            encrypt(block, out);
            for (int i = 0; i < 16; i++) text[at + i] ^= out[i];
        }
    for (size_t i = 0; i < sizeof text; i++) sum = mix(sum, text[i]);
    return report("aes", sum, right);
}
