// What differs between the machines a guest program is built for: system-call numbers.
#ifndef HOST_H
#define HOST_H

#if defined(__riscv) || defined(__aarch64__)
#define CALL_WRITE 64
#define CALL_EXIT_GROUP 94
#elif defined(__x86_64__)
#define CALL_WRITE 1
#define CALL_EXIT_GROUP 231
#else
#error "guests/runtime knows riscv64, aarch64 and x86-64 Linux"
#endif

#endif
