// Threads by raw clone and futex: four workers count under a lock of our own and in an atomic
// counter, and the main thread waits for each by the address the kernel clears at its end.
#include "runtime.h"

enum { CALL_EXIT = 93, CALL_FUTEX = 98, CALL_CLONE = 220 };
enum { WAIT = 0, WAKE = 1, WORKERS = 4, STACK = 16384 };
// CLONE_VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, SETTLS, PARENT_SETTID and CHILD_CLEARTID.
enum { FLAGS = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000 | 0x80000 | 0x100000 | 0x200000 };

static uint32_t lock, alive[WORKERS], rounds;
static uint64_t guarded, atomic;
static uint8_t stacks[WORKERS][STACK] __attribute__((aligned(16)));

// clone(flags, stack, parent tid, tls, child tid); the new thread calls worker(index) and exits.
long start_thread(long flags, void *stack, uint32_t *tid, uint64_t tls, uint32_t *clear, uint64_t index);
__asm__(
    "    .globl start_thread\n"
    "start_thread:\n"
    "    mv t0, a5\n"
    "    li a7, 220\n"
    "    ecall\n"
    "    bnez a0, 1f\n"
    "    mv a0, t0\n"
    "    mv s0, zero\n"
    "    call worker\n"
    "    li a0, 0\n"
    "    li a7, 93\n"
    "    ecall\n"
    "1:  ret\n");

static uint64_t thread_pointer(void) {
    uint64_t tp;
    __asm__("mv %0, tp" : "=r"(tp));
    return tp;
}

static void take(void) {
    uint32_t expected = 0;
    if (__atomic_compare_exchange_n(&lock, &expected, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return;
    while (__atomic_exchange_n(&lock, 2, __ATOMIC_ACQUIRE) != 0) system_call(CALL_FUTEX, (long)&lock, WAIT, 2, 0, 0, 0);
}

static void give(void) {
    if (__atomic_exchange_n(&lock, 0, __ATOMIC_RELEASE) == 2) system_call(CALL_FUTEX, (long)&lock, WAKE, 1, 0, 0, 0);
}

__attribute__((used)) void worker(uint64_t index) {
    if (thread_pointer() != 0x1000 + index) stop(3);
    for (uint32_t i = 0; i < rounds; i++) {
        take();
        guarded += index + 1;
        give();
        __atomic_fetch_add(&atomic, 1, __ATOMIC_RELAXED);
    }
}

int main(int argc, char **argv) {
    rounds = (uint32_t)repeats(argc, argv, 2000);
    for (uint64_t i = 0; i < WORKERS; i++) {
        long tid = start_thread(FLAGS, stacks[i] + STACK, &alive[i], 0x1000 + i, &alive[i], i);
        if (tid <= 0) stop(4);
    }
    for (int i = 0; i < WORKERS; i++) {
        uint32_t tid;
        while ((tid = __atomic_load_n(&alive[i], __ATOMIC_ACQUIRE)) != 0)
            system_call(CALL_FUTEX, (long)&alive[i], WAIT, (long)tid, 0, 0, 0);
    }
    return report("threads", guarded, guarded == 10ull * rounds && atomic == 4ull * rounds);
}
