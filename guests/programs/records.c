// Records, enumerations, string comparison and many small calls: the profile of old systems code.
#include "runtime.h"

enum colour { RED, GREEN, BLUE, BLACK, WHITE };
struct record {
    struct record *link;
    enum colour colour, shade;
    int number;
    char name[31];
};

static struct record first, second;
static int global_number, flag;
static char mark_one, mark_two;
static int numbers[50], grid[50][50];

__attribute__((noinline)) static enum colour compare_marks(char a, char b) {
    if (a != b) return RED;
    mark_one = a;
    return GREEN;
}

__attribute__((noinline)) static int compare_names(const char *a, const char *b) {
    int at = 2;
    char mark = 'A';
    while (at <= 2)
        if (compare_marks(a[at], b[at + 1]) == RED) mark = 'A', at++;
        else at += 3;
    if (mark >= 'W' && mark < 'Z') at = 7;
    if (strcmp(a, b) > 0) {
        global_number = at + 7;
        return 1;
    }
    return 0;
}

__attribute__((noinline)) static void shade_of(enum colour from, enum colour *to) {
    *to = from;
    if (from != BLUE) *to = BLACK;
    switch (from) {
    case RED: *to = RED; break;
    case GREEN: *to = global_number > 100 ? RED : BLACK; break;
    case BLUE: *to = GREEN; break;
    case WHITE: *to = BLUE; break;
    case BLACK: break;
    }
}

__attribute__((noinline)) static void add_with_two(int a, int b, int *sum) { *sum = b + a + 2; }

__attribute__((noinline)) static void fill(int *row, int (*table)[50], int a, int b) {
    int at = a + 5;
    row[at] = b;
    row[at + 1] = row[at];
    row[at + 30] = at;
    for (int i = at; i <= at + 1; i++) table[at][i] = at;
    table[at][at - 1]++;
    table[at + 20][at] = row[at];
    global_number = 5;
}

__attribute__((noinline)) static void link_records(struct record *from) {
    struct record *next = from->link;
    *next = *from;
    from->number = 5;
    next->number = from->number;
    next->link = from->link;
    if (next->colour == RED) {
        next->number = 6;
        shade_of(from->shade, &next->shade);
        add_with_two(next->number, 10, &next->number);
    } else {
        *from = *next;
    }
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 200000), sum = 0;
    char left[31], right[31];
    int one = 0, two = 0, three = 0;
    first.link = &second;
    first.colour = RED;
    first.shade = BLUE;
    first.number = 40;
    memcpy(first.name, "a record with a rather long na", 31);
    memcpy(left, "a text with a common first par", 31);
    memcpy(right, "a text with another second par", 31);
    for (uint64_t i = 1; i <= count; i++) {
        mark_one = 'A';
        mark_two = 'B';
        one = 2;
        two = 3;
        flag = !compare_names(left, right);
        while (one < two) {
            three = 5 * one - two;
            add_with_two(one, two, &three);
            one++;
        }
        fill(numbers, grid, one, three);
        link_records(&first);
        for (char mark = 'A'; mark <= mark_two; mark++)
            if (compare_marks(mark, 'C') == GREEN) shade_of(RED, &first.shade);
        two = two * one;
        one = two / three;
        two = 7 * (two - three) - one;
        sum = mix(sum, (uint64_t)(one + two + flag + second.number));
        left[i % 29] ^= (char)(i & 1);
    }
    return report("records", sum, count == 0 || (second.number == 18 && three == 7));
}
