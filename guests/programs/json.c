// A recursive-descent parser over generated JSON text: calls, switches, character classes.
#include "runtime.h"

static char text[32768];
static size_t length;
static const char *at;
static uint64_t sum;
static int wrong;

static void put(char c) { text[length++] = c; }
static void put_all(const char *s) { while (*s) put(*s++); }
static void put_number(uint64_t n) {
    if (n >= 10) put_number(n / 10);
    put((char)('0' + n % 10));
}

static void generate(uint64_t *seed, int depth) {
    uint64_t r = random_next(seed);
    switch (depth > 5 ? 3 + r % 5 : r % 8) {
    case 0: case 1: case 2:
        put('{');
        for (int i = 0, n = 3 + (int)(r >> 8 & 3); i < n; i++) {
            if (i) put_all(", ");
            put_all("\"key");
            put_number(r >> 16 & 255);
            put_all("\": ");
            generate(seed, depth + 1);
        }
        put('}');
        break;
    case 3: case 4:
        if (depth > 5) { put_all("null"); break; }
        put('[');
        for (int i = 0, n = 2 + (int)(r >> 8 & 7); i < n; i++) {
            if (i) put(',');
            generate(seed, depth + 1);
        }
        put(']');
        break;
    case 5: put_all(r & 256 ? "true" : "false"); break;
    case 6: put_all("\"a \\\"quoted\\\" string\\n\""); break;
    default:
        if (r & 256) put('-');
        put_number(r >> 20 & 0xffff);
        if (r & 512) put('.'), put_number(r >> 40 & 0xff);
        if (r & 1024) put_all("e-3");
    }
}

static void skip_space(void) { while (*at == ' ' || *at == '\n' || *at == '\t') at++; }

static void parse_string(void) {
    uint32_t h = 2166136261u;
    for (at++; *at != '"'; at++) {
        if (*at == 0) { wrong = 1; return; }
        if (*at == '\\') at++;
        h = (h ^ (uint8_t)*at) * 16777619u;
    }
    at++;
    sum = mix(sum, h);
}

static void parse_number(void) {
    double value = 0, scale = 1;
    int negative = *at == '-';
    if (negative) at++;
    while (*at >= '0' && *at <= '9') value = value * 10 + (*at++ - '0');
    if (*at == '.')
        for (at++; *at >= '0' && *at <= '9'; at++) value += (*at - '0') * (scale /= 10);
    if (*at == 'e') {
        int power = 0;
        for (at += 2; *at >= '0' && *at <= '9'; at++) power = power * 10 + (*at - '0');
        while (power--) value /= 10;
    }
    sum = mix(sum, bits_of(negative ? -value : value));
}

static void parse_word(const char *word, uint64_t value) {
    while (*word) if (*at++ != *word++) wrong = 1;
    sum = mix(sum, value);
}

static void parse_value(void) {
    skip_space();
    switch (*at) {
    case '{':
        for (at++; !wrong && *at != '}';) {
            skip_space();
            parse_string();
            skip_space();
            if (*at++ != ':') wrong = 1;
            parse_value();
            skip_space();
            if (*at == ',') at++;
            else if (*at != '}') wrong = 1;
        }
        at++;
        break;
    case '[':
        for (at++; !wrong && *at != ']';) {
            parse_value();
            skip_space();
            if (*at == ',') at++;
            else if (*at != ']') wrong = 1;
        }
        at++;
        break;
    case '"': parse_string(); break;
    case 't': parse_word("true", 1); break;
    case 'f': parse_word("false", 2); break;
    case 'n': parse_word("null", 3); break;
    default: parse_number();
    }
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 100), seed = 21;
    put('[');
    while (length < sizeof text / 4) {
        if (length > 1) put(',');
        generate(&seed, 2);
    }
    put(']');
    for (uint64_t r = 0; r < count; r++) {
        at = text;
        parse_value();
        wrong |= at != text + length;
    }
    return report("json", sum, !wrong);
}
