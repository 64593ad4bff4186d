// Prints the arguments, the environment and the exit code it was asked for by the last argument.
#include "runtime.h"

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        put_text(argv[i]);
        put_text("\n");
    }
    for (char **e = argv + argc + 1; *e; e++) {
        put_text(*e);
        put_text("\n");
    }
    uint64_t code = 0;
    if (argc > 1)
        for (const char *p = argv[argc - 1]; *p >= '0' && *p <= '9'; p++) code = code * 10 + (uint64_t)(*p - '0');
    return (int)code;
}
