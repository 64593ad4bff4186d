// CRC-32 bit by bit and by table: short dependent chains, one with a branch, one with a load.
#include "runtime.h"

static uint32_t table[256];
static uint8_t data[16384];

__attribute__((noinline)) static uint32_t by_bits(const uint8_t *p, size_t n) {
    uint32_t crc = ~0u;
    while (n--) {
        crc ^= *p++;
        for (int i = 0; i < 8; i++) {
            if (crc & 1) crc = crc >> 1 ^ 0xedb88320u;
            else crc >>= 1;
        }
    }
    return ~crc;
}

__attribute__((noinline)) static uint32_t by_table(const uint8_t *p, size_t n) {
    uint32_t crc = ~0u;
    while (n--) crc = table[(crc ^ *p++) & 0xff] ^ crc >> 8;
    return ~crc;
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 20), seed = 3, sum = 0;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int k = 0; k < 8; k++) crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
        table[i] = crc;
    }
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)random_next(&seed);
    int right = by_bits((const uint8_t *)"123456789", 9) == 0xcbf43926u;
    for (uint64_t r = 0; r < count; r++) {
        data[r % sizeof data]++;
        uint32_t slow = by_bits(data, sizeof data / 4);
        right &= slow == by_table(data, sizeof data / 4);
        sum = mix(sum, slow ^ (uint64_t)by_table(data, sizeof data) << 32);
    }
    return report("crc32", sum, right);
}
