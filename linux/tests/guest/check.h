// Each failed check is a line on stderr; the program's exit code counts them.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int failures;

#define CHECK(condition)                                                                          \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno);     \
            failures++;                                                                           \
        }                                                                                         \
    } while (0)

// The call fails with this error.
#define FAILS(error, call)                                                                        \
    do {                                                                                          \
        errno = 0;                                                                                \
        long result = (long)(call);                                                               \
        int found = errno;                                                                        \
        if (result != -1 || found != (error)) {                                                   \
            fprintf(stderr, "%s:%d: %s: %ld, errno %d\n", __FILE__, __LINE__, #call, result,      \
                    found);                                                                       \
            failures++;                                                                           \
        }                                                                                         \
    } while (0)
