# gcc: preprocess, compile, assemble, link; the program then runs.
cat > part.h <<'END'
#pragma once
struct item { const char *name; double value; };
double total(const struct item *items, int n);
END
cat > part.c <<'END'
#include "part.h"
double total(const struct item *items, int n) { double sum = 0; for (int i = 0; i < n; i++) sum += items[i].value; return sum; }
END
cat > main.c <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <pthread.h>
#include <errno.h>
#include "part.h"
static int order(const void *a, const void *b) { return strcmp(((const struct item *)a)->name, ((const struct item *)b)->name); }
static void *thread(void *p) { *(int *)p *= 6; return p; }
int main(int argc, char **argv) {
    struct item items[] = {{"pear", 1.5}, {"apple", 2.25}, {"fig", sqrt(16.0)}};
    qsort(items, 3, sizeof *items, order);
    for (int i = 0; i < 3; i++) printf("%s %.3f\n", items[i].name, items[i].value);
    pthread_t t; int n = 7; pthread_create(&t, 0, thread, &n); pthread_join(t, 0);
    char *s = malloc(100000); memset(s, 'x', 99999); s[99999] = 0;
    FILE *f = fopen("missing", "r");
    printf("%d %zu %f %s %s\n", n, strlen(s), total(items, 3), argv[argc - 1], f ? "?" : strerror(errno));
    return argc + 20;
}
END
gcc -O2 -Wall -c part.c && gcc -O0 -g -c main.c && gcc main.o part.o -o program -lm -pthread && ./program one two; echo "status $?"
gcc -O1 -static main.c part.c -o static -lm && ./static three; echo "status $?"; gcc -E -P part.h | head -n 3; ar rcs lib.a part.o && gcc main.c -L. -l:lib.a -lm -o other && ./other; echo "status $?"
printf 'int main(void) { return missing; }\n' > bad.c; gcc bad.c 2>&1 | grep -c error; gcc -shared -fPIC part.c -o libpart.so && gcc main.c -L. -lpart -Wl,-rpath,. -lm -o dynamic && ./dynamic x; echo "status $?"; ./missing; echo "status $?"
