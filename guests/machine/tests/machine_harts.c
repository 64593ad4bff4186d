// Several harts at once: atomics, locks, messages, interrupts from each other, and code that one writes
// and all execute. What they come to must be as if each instruction happened at one moment.
#include "machine.h"

enum { MOST = 8, ROUNDS = 20000, TOKENS = 60, VERSIONS = 60, CALLS = 400 };

extern void (*volatile others)(u64 hart);
static u64 harts;

#define MSIP(hart) (*(volatile u32 *)(0x2000000 + 4 * (hart)))
#define FENCE(from, to) __asm__ volatile("fence " #from ", " #to ::: "memory")
#define LOAD(place) (*(volatile __typeof__(place) *)&(place))
#define STORE(place, value) (*(volatile __typeof__(place) *)&(place) = (value))

static u64 add(u64 *place, u64 value) {
    u64 old;
    __asm__ volatile("amoadd.d.aqrl %0, %2, %1" : "=r"(old), "+A"(*place) : "r"(value) : "memory");
    return old;
}

static u64 arrived, opened;
// Nobody goes on before all are here.
static void meet(void) {
    u64 round = LOAD(opened);
    FENCE(rw, rw);
    if (add(&arrived, 1) + 1 == harts) {
        STORE(arrived, 0);
        FENCE(rw, rw);
        STORE(opened, round + 1);
    }
    while (LOAD(opened) == round)
        ;
    FENCE(rw, rw);
}

// One word each, and one for all beside them: they share the host's cache lines.
static u64 sums[MOST], all_sums, swapped, taken[MOST];
static u32 narrow, bits, highest;
static void atomics(u64 hart) {
    for (u64 i = 1; i <= ROUNDS; i++) {
        u64 old;
        add(&all_sums, i);
        STORE(sums[hart], LOAD(sums[hart]) + i);
        __asm__ volatile("amoadd.w zero, %1, %0" : "+A"(narrow) : "r"(3) : "memory");
        __asm__ volatile("amoxor.w zero, %1, %0" : "+A"(bits) : "r"(1 << hart) : "memory");
        __asm__ volatile("amomaxu.w zero, %1, %0" : "+A"(highest) : "r"(i + hart) : "memory");
        // What is swapped out was put there by somebody: nothing is lost and nothing doubled.
        __asm__ volatile("amoswap.d %0, %2, %1" : "=r"(old), "+A"(swapped) : "r"(i) : "memory");
        taken[hart] += old;
    }
}

// A counter by lr and sc, and one that a lock made of them protects.
static u64 counted, guarded[9];
static u32 lock;
static void reservations(void) {
    for (u64 i = 0; i < ROUNDS; i++) {
        u64 value, failed;
        __asm__ volatile("1: lr.d %0, %2\n addi %0, %0, 7\n sc.d %1, %0, %2\n bnez %1, 1b"
                         : "=&r"(value), "=&r"(failed), "+A"(counted)::"memory");
        __asm__ volatile("1: lr.w.aq %0, %1\n bnez %0, 1b\n sc.w %0, %2, %1\n bnez %0, 1b"
                         : "=&r"(value), "+A"(lock) : "r"(1) : "memory");
        // Far apart, so that they do not change together by luck.
        for (u64 n = 0; n < ARRAY(guarded); n++)
            STORE(guarded[n], LOAD(guarded[n]) + 1);
        __asm__ volatile("amoswap.w.rl zero, zero, %0" : "+A"(lock)::"memory");
    }
}

// What is written before a flag is there when the flag is seen. A token goes round.
static u64 token, message[4];
static u64 wrong[MOST];
static void messages(u64 hart) {
    for (u64 turn = hart; turn < TOKENS * harts; turn += harts) {
        while (LOAD(token) != turn)
            ;
        FENCE(r, r);
        for (u64 n = 0; n < ARRAY(message); n++) {
            wrong[hart] += LOAD(message[n]) != turn * n;
            STORE(message[n], (turn + 1) * n);
        }
        FENCE(w, w);
        STORE(token, turn + 1);
    }
}

// Of two harts that write one flag each and then read the other's, behind a fence, one sees it.
static u64 flags[2][8], seen[2];
static void fences(u64 hart) {
    for (u64 i = 0; i < TOKENS; i++) {
        meet();
        if (hart < 2) {
            STORE(flags[hart][0], i + 1);
            FENCE(rw, rw);
            seen[hart] = LOAD(flags[1 - hart][0]) == i + 1;
        }
        meet();
        if (hart == 0)
            wrong[0] += !LOAD(seen[0]) && !LOAD(seen[1]);
    }
}

// Software interrupts: each waits for one from the hart before, then sends one to the next.
static u64 interrupted[MOST];
static void interrupts(u64 hart) {
    for (u64 i = 0; i < TOKENS; i++) {
        if (hart != 0 || i > 0) {
            // With interrupts off wfi returns when there is one.
            while (!(CSR_READ("mip") & 8))
                __asm__ volatile("wfi");
            MSIP(hart) = 0;
            while (CSR_READ("mip") & 8)
                ;
        }
        interrupted[hart]++;
        MSIP((hart + 1) % harts) = 1;
    }
    if (hart == 0) {
        while (!(CSR_READ("mip") & 8))
            __asm__ volatile("wfi");
        MSIP(0) = 0;
    }
}

// A page of code, which harts also keep their notes on.
static u32 code[1024] __attribute__((aligned(4096)));
static u64 version, acknowledged;
static u64 called(u64 times) {
    u64 sum = 0;
    for (u64 i = 0; i < times; i++) {
        register u64 a0 __asm__("a0") = i;
        __asm__ volatile("jalr %1" : "=r"(a0) : "r"(code) : "ra", "memory");
        sum += a0;
    }
    return sum;
}

// One after the other rewrites it, tells the others by an interrupt, and waits until all have executed
// fence.i. Before and after, all call it and write beside it.
static void rewritten(u64 hart) {
    volatile u32 *note = &code[512 + 16 * hart];
    for (u64 v = 1; v <= VERSIONS; v++) {
        meet();
        if (v % harts == hart) {
            code[0] = 0x00000513 | (u32)v << 20; // addi a0, zero, v
            code[1] = 0x00008067;                // ret
            FENCE(w, w);
            STORE(version, v);
            FENCE(rw, rw);
            for (u64 other = 0; other < harts; other++)
                if (other != hart)
                    MSIP(other) = 1;
            __asm__ volatile("fence.i" ::: "memory");
            while (LOAD(acknowledged) != harts - 1)
                (*note)++;
            STORE(acknowledged, 0);
        } else {
            while (!(CSR_READ("mip") & 8))
                (*note)++;
            MSIP(hart) = 0;
            FENCE(rw, rw);
            __asm__ volatile("fence.i" ::: "memory");
            add(&acknowledged, 1);
        }
        wrong[hart] += called(CALLS) != v * CALLS;
        (*note)++;
        wrong[hart] += called(3) != v * 3;
    }
}

// The same by flags in memory alone, and with no instruction of the writer's but stores and a fence.
static void flagged(u64 hart) {
    for (u64 v = 1; v <= VERSIONS; v++) {
        meet();
        if (v % harts == hart) {
            code[0] = 0x00000513 | (u32)(1000 + v) << 20;
            FENCE(rw, rw);
            STORE(version, 1000 + v);
        } else {
            while (LOAD(version) != 1000 + v)
                ;
            FENCE(rw, rw);
        }
        __asm__ volatile("fence.i" ::: "memory");
        wrong[hart] += called(CALLS) != (1000 + v) * CALLS;
    }
}

static void work(u64 hart) {
    meet();
    atomics(hart);
    meet();
    reservations();
    meet();
    messages(hart);
    meet();
    if (harts > 1)
        fences(hart);
    meet();
    interrupts(hart);
    meet();
    rewritten(hart);
    meet();
    flagged(hart);
    meet();
}

static void other(u64 hart) {
    MSIP(hart) = 0;
    while (CSR_READ("mip") & 8)
        ;
    work(hart);
    CSR_WRITE("mie", 0);
    for (;;)
        __asm__ volatile("wfi");
}

u64 main(void) {
    // The software interrupt of a hart that does not exist reads as 0.
    for (harts = 1; harts < MOST; harts++) {
        MSIP(harts) = 1;
        if (!MSIP(harts))
            break;
        MSIP(harts) = 0;
    }
    CSR_WRITE("mie", 8);
    others = other;
    FENCE(rw, rw);
    for (u64 hart = 1; hart < harts; hart++)
        MSIP(hart) = 1;
    work(0);

    const u64 sum = (u64)ROUNDS * (ROUNDS + 1) / 2;
    expect("amoadd.d", harts, all_sums, sum * harts);
    expect("amoadd.w", harts, narrow, 3 * ROUNDS * harts);
    expect("amoxor.w", harts, bits, 0);
    expect("amomaxu.w", harts, highest, ROUNDS + harts - 1);
    expect("lr, sc", harts, counted, 7 * ROUNDS * harts);
    for (u64 n = 0; n < ARRAY(guarded); n++)
        expect("behind a lock", n, guarded[n], ROUNDS * harts);
    expect("token", harts, token, TOKENS * harts);
    for (u64 hart = 0; hart < harts; hart++) {
        expect("stores beside others'", hart, sums[hart], sum);
        swapped += taken[hart];
        expect("interrupts", hart, interrupted[hart], TOKENS);
        expect("wrong messages or code", hart, wrong[hart], 0);
    }
    expect("amoswap.d", harts, swapped, sum * harts);
    return failures;
}
