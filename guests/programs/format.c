// Text and numbers: a formatter with widths, signs, bases and decimals, readers for what it writes,
// and words broken into justified lines.
#include "runtime.h"
#include <stdarg.h>

static char buffer[4096];
static size_t length;
static void put(char c) { if (length < sizeof buffer - 1) buffer[length++] = c; }

struct style {
    int left, zeros, plus, space, other, width, precision, size;
};

static void pad(const struct style *s, int count, char with) {
    for (int n = s->width - count; n > 0; n--) put(with);
}

// Sign, digits and what they are filled up with.
static void put_digits(const struct style *s, const char *sign, const char *digits, int n) {
    int zeros = s->precision > n ? s->precision - n : 0, all = n + zeros + (int)strlen(sign);
    if (!s->left && !(s->zeros && s->precision < 0)) pad(s, all, ' ');
    while (*sign) put(*sign++);
    if (!s->left && s->zeros && s->precision < 0) pad(s, all, '0');
    while (zeros-- > 0) put('0');
    for (int i = 0; i < n; i++) put(digits[i]);
    if (s->left) pad(s, all, ' ');
}

static int to_digits(uint64_t v, unsigned base, int upper, char *end) {
    const char *all = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    int n = 0;
    for (; v; v /= base, n++) *--end = all[v % base];
    return n;
}

static void put_decimals(const struct style *s, double v) {
    char digits[64], *end = digits + sizeof digits;
    const char *sign = v < 0 ? "-" : s->plus ? "+" : s->space ? " " : "";
    int places = s->precision < 0 ? 6 : s->precision > 9 ? 9 : s->precision, n = 0;
    uint64_t scale = 1;
    for (int i = 0; i < places; i++) scale *= 10;
    if (v < 0) v = -v;
    uint64_t whole = (uint64_t)v, part = (uint64_t)((v - (double)whole) * (double)scale + 0.5);
    if (part >= scale) whole++, part -= scale;
    for (int i = 0; i < places; i++, part /= 10) *--end = (char)('0' + part % 10), n++;
    if (places) *--end = '.', n++;
    int more = to_digits(whole, 10, 0, end);
    if (!more) end[-1] = '0', more = 1;
    struct style plain = *s;
    plain.precision = -1;
    put_digits(&plain, sign, end - more, n + more);
}

static void put_format(const char *f, ...) {
    va_list list;
    va_start(list, f);
    for (; *f; f++) {
        if (*f != '%') {
            put(*f);
            continue;
        }
        struct style s = {.precision = -1};
        char digits[72], *end = digits + sizeof digits;
        for (int more = 1; more;) switch (*++f) {
            case '-': s.left = 1; break;
            case '0': s.zeros = 1; break;
            case '+': s.plus = 1; break;
            case ' ': s.space = 1; break;
            case '#': s.other = 1; break;
            default: more = 0;
            }
        if (*f == '*') {
            s.width = va_arg(list, int), f++;
            if (s.width < 0) s.left = 1, s.width = -s.width;
        }
        while (*f >= '0' && *f <= '9') s.width = s.width * 10 + (*f++ - '0');
        if (*f == '.') {
            s.precision = 0;
            if (*++f == '*') s.precision = va_arg(list, int), f++;
            while (*f >= '0' && *f <= '9') s.precision = s.precision * 10 + (*f++ - '0');
        }
        while (*f == 'l' || *f == 'h') s.size += *f++ == 'l' ? 1 : -1;
        switch (*f) {
        case 'd': case 'i': {
            int64_t v = s.size > 0 ? va_arg(list, long) : va_arg(list, int);
            if (s.size < -1) v = (int8_t)v;
            else if (s.size < 0) v = (int16_t)v;
            const char *sign = v < 0 ? "-" : s.plus ? "+" : s.space ? " " : "";
            int n = to_digits(v < 0 ? -(uint64_t)v : (uint64_t)v, 10, 0, end);
            if (!n && s.precision) n = 1, end[-1] = '0';
            put_digits(&s, sign, end - n, n);
            break;
        }
        case 'u': case 'x': case 'X': case 'o': case 'b': {
            uint64_t v = s.size > 0 ? va_arg(list, unsigned long) : va_arg(list, unsigned);
            unsigned base = *f == 'u' ? 10 : *f == 'o' ? 8 : *f == 'b' ? 2 : 16;
            int n = to_digits(v, base, *f == 'X', end);
            if (!n && s.precision) n = 1, end[-1] = '0';
            put_digits(&s, s.other && v && base != 10 ? base == 8 ? "0" : base == 2 ? "0b" : *f == 'X' ? "0X" : "0x" : "", end - n, n);
            break;
        }
        case 'f': put_decimals(&s, va_arg(list, double)); break;
        case 'c':
            if (!s.left) pad(&s, 1, ' ');
            put((char)va_arg(list, int));
            if (s.left) pad(&s, 1, ' ');
            break;
        case 's': {
            const char *text = va_arg(list, const char *);
            int n = 0;
            while (text[n] && n != s.precision) n++;
            if (!s.left) pad(&s, n, ' ');
            for (int i = 0; i < n; i++) put(text[i]);
            if (s.left) pad(&s, n, ' ');
            break;
        }
        case '%': put('%'); break;
        default: put('?');
        }
    }
    va_end(list);
    buffer[length] = 0;
}

// Reads a number as written in a program; moves on behind it.
static int64_t read_number(const char **text) {
    const char *at = *text;
    while (*at == ' ') at++;
    int negative = *at == '-';
    if (*at == '-' || *at == '+') at++;
    unsigned base = 10;
    if (*at == '0') base = at[1] == 'x' ? (at += 2, 16) : at[1] == 'b' ? (at += 2, 2) : at[1] >= '0' && at[1] <= '7' ? (at++, 8) : 10;
    uint64_t v = 0;
    for (;; at++) {
        unsigned d = *at >= '0' && *at <= '9' ? (unsigned)(*at - '0') : *at >= 'a' && *at <= 'f' ? (unsigned)(*at - 'a' + 10) : 99;
        if (d >= base) break;
        v = v * base + d;
    }
    *text = at;
    return (int64_t)(negative ? -v : v);
}

// Breaks text into lines of one width, spaces spread over each.
static uint64_t justify(const char *text, int width, char *out) {
    uint64_t lines = 0;
    char *to = out;
    while (*text) {
        const char *words[64], *end = text;
        int sizes[64], n = 0, letters = 0;
        while (*end && n < 64) {
            while (*end == ' ') end++;
            const char *start = end;
            while (*end && *end != ' ') end++;
            int size = (int)(end - start);
            if (!size) break;
            if (n && letters + size + n > width) {
                end = start;
                break;
            }
            words[n] = start, sizes[n++] = size, letters += size;
        }
        int gaps = n - 1, spaces = *end ? width - letters : gaps;
        for (int i = 0; i < n; i++) {
            memcpy(to, words[i], (size_t)sizes[i]), to += sizes[i];
            int now = i < gaps ? spaces / (gaps - i) : 0;
            for (spaces -= now; now-- > 0;) *to++ = ' ';
        }
        *to++ = '\n';
        lines++;
        text = end;
        while (*text == ' ') text++;
    }
    *to = 0;
    return lines;
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 200), sum = 0, seed = 7;
    put_format("[%5d|%-5d|%05d|%+d|%x|%#o|%8.3f|%-4s|%.2s|%c|%#b|%%]", 42, 42, -42, 7, 255u, 8u, 3.14159, "ab", "xyz", '!', 5u);
    int right = strcmp(buffer, "[   42|42   |-0042|+7|ff|010|   3.142|ab  |xy|!|0b101|%]") == 0;
    static char lines[8192];
    for (uint64_t r = 0; r < count; r++) {
        length = 0;
        uint64_t a = random_next(&seed);
        static const char *const FORMATS[] = {"%ld %#lx %#lo %#lb ", "%+ld %#18lx %#lo %#lb ", "%-22ld %#.18lx %#lo %#lb "};
        int64_t number = (int64_t)a >> (a & 31);
        put_format(FORMATS[r % 3], number, (uint64_t)number, (uint64_t)number, (uint64_t)number);
        const char *at = buffer;
        for (int i = 0; i < 4; i++) right &= read_number(&at) == number;
        put_format("register %s holds %#x, page %5u of %-6d took %.*f ms or %9.4f s; ", r & 1 ? "sp" : "ra", (unsigned)a, (unsigned)(a >> 50),
                   (int)(a >> 33 & 0xffff), (int)(r % 7), (double)(a >> 40) / 1000.0, (double)(a >> 44) / 1e6);
        put_format("%*d %-*s %hd %hhd %i %c %X", (int)(r % 12), (int)a, (int)(a >> 8 & 7), "word", (int)a, (int)a, -1, 'a' + (int)(r % 26), (unsigned)a);
        sum = mix(sum, justify(buffer, 40 + (int)(r % 30), lines));
        for (const char *p = lines; *p; p += 3) {
            sum = mix(sum, (uint8_t)*p);
            if (!p[1] || !p[2]) break;
        }
    }
    return report("format", sum, right);
}
