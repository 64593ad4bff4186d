// A processor that never was: 8 registers of 16 bits, flags, 64 KiB of memory, and a switch with a
// case for every operation and every kind of operand.
#include "runtime.h"

enum operation { MOV, ADD, ADC, SUB, SBC, AND, OR, XOR, CMP, MUL, SHL, SHR, SAR, ROL, ROR, OPERATIONS };
// The second operand: a register, a constant, memory at a register, memory at a register and a constant.
enum kind { REGISTER, CONSTANT, MEMORY, INDEXED };
enum other { PUT = OPERATIONS * 4, PUT_INDEXED, PUT_BYTE, GET_BYTE, PUSH, POP, INC, DEC, NEG, NOT, SWAP, JMP, JZ, JNZ, JC, JNC, JN, JNN, CALL, RET, LOOP, HALT };

static uint8_t memory[65536];
static uint16_t r[8], at;
static int zero, carry, negative;
static uint64_t executed;

static uint16_t word(uint16_t a) { return (uint16_t)(memory[a] | memory[(uint16_t)(a + 1)] << 8); }
static void put_word(uint16_t a, uint16_t v) { memory[a] = (uint8_t)v, memory[(uint16_t)(a + 1)] = (uint8_t)(v >> 8); }
static uint16_t fetch(void) {
    uint16_t v = word(at);
    at = (uint16_t)(at + 2);
    return v;
}
static uint16_t flags(uint32_t v) {
    zero = (uint16_t)v == 0, negative = v >> 15 & 1;
    return (uint16_t)v;
}
static uint16_t sum_flags(uint32_t v) {
    carry = v >> 16 & 1;
    return flags(v);
}

#define FOUR(OP, WORK)                                                                             \
    case OP * 4 + REGISTER: { uint32_t b = r[y]; WORK; break; }                                    \
    case OP * 4 + CONSTANT: { uint32_t b = fetch(); WORK; break; }                                 \
    case OP * 4 + MEMORY: { uint32_t b = word(r[y]); WORK; break; }                                \
    case OP * 4 + INDEXED: { uint32_t b = word((uint16_t)(r[y] + fetch())); WORK; break; }
#define JUMP(OP, WHEN) case OP: { uint16_t to = fetch(); if (WHEN) at = to; break; }

static void run(uint64_t limit) {
    for (; executed < limit; executed++) {
        uint8_t code = memory[at], registers = memory[(uint16_t)(at + 1)];
        unsigned x = registers & 7, y = registers >> 3 & 7;
        uint32_t a = r[x];
        at = (uint16_t)(at + 2);
        switch (code) {
            FOUR(MOV, r[x] = (uint16_t)b)
            FOUR(ADD, r[x] = sum_flags(a + b))
            FOUR(ADC, r[x] = sum_flags(a + b + (uint32_t)carry))
            FOUR(SUB, r[x] = sum_flags(a - b))
            FOUR(SBC, r[x] = sum_flags(a - b - (uint32_t)carry))
            FOUR(AND, r[x] = flags(a & b))
            FOUR(OR, r[x] = flags(a | b))
            FOUR(XOR, r[x] = flags(a ^ b))
            FOUR(CMP, sum_flags(a - b))
            FOUR(MUL, r[x] = sum_flags(a * b))
            FOUR(SHL, b &= 15; r[x] = sum_flags(a << b))
            FOUR(SHR, b &= 15; carry = b ? a >> (b - 1) & 1 : 0; r[x] = flags(a >> b))
            FOUR(SAR, b &= 15; r[x] = flags((uint32_t)((int16_t)a >> b)))
            FOUR(ROL, b &= 15; r[x] = flags((a << b | a >> (16 - b)) & 0xffff))
            FOUR(ROR, b &= 15; r[x] = flags((a >> b | a << (16 - b)) & 0xffff))
        case PUT: put_word(r[y], (uint16_t)a); break;
        case PUT_INDEXED: put_word((uint16_t)(r[y] + fetch()), (uint16_t)a); break;
        case PUT_BYTE: memory[r[y]] = (uint8_t)a; break;
        case GET_BYTE: r[x] = flags(memory[r[y]]); break;
        case PUSH: r[7] = (uint16_t)(r[7] - 2), put_word(r[7], (uint16_t)a); break;
        case POP: r[x] = word(r[7]), r[7] = (uint16_t)(r[7] + 2); break;
        case INC: r[x] = flags(a + 1); break;
        case DEC: r[x] = flags(a - 1); break;
        case NEG: r[x] = flags(-a & 0xffff); break;
        case NOT: r[x] = flags(~a & 0xffff); break;
        case SWAP: r[x] = r[y], r[y] = (uint16_t)a; break;
            JUMP(JMP, 1)
            JUMP(JZ, zero)
            JUMP(JNZ, !zero)
            JUMP(JC, carry)
            JUMP(JNC, !carry)
            JUMP(JN, negative)
            JUMP(JNN, !negative)
        case CALL: {
            uint16_t to = fetch();
            r[7] = (uint16_t)(r[7] - 2);
            put_word(r[7], at);
            at = to;
            break;
        }
        case RET: at = word(r[7]), r[7] = (uint16_t)(r[7] + 2); break;
        case LOOP: {
            uint16_t to = fetch();
            if (r[x] = (uint16_t)(a - 1), r[x]) at = to;
            break;
        }
        case HALT: return;
        default: at = 0xfffe; return;
        }
    }
}

// --- Its program: fills a table with random words, sorts it, and sums it up with shifts.
static uint16_t end;
static void op(int code, int x, int y) { memory[end] = (uint8_t)code, memory[end + 1] = (uint8_t)(x | y << 3), end = (uint16_t)(end + 2); }
static void op2(int code, int x, int y, int constant) { op(code, x, y), put_word(end, (uint16_t)constant), end = (uint16_t)(end + 2); }
enum { TABLE = 0x4000, WORDS = 96, STACK = 0x8000 };

static void assemble(uint16_t seed) {
    end = 0;
    op2(MOV * 4 + CONSTANT, 7, 0, STACK);
    op2(MOV * 4 + CONSTANT, 0, 0, seed);
    op2(MOV * 4 + CONSTANT, 1, 0, TABLE);
    op2(MOV * 4 + CONSTANT, 2, 0, WORDS);
    uint16_t fill = end; // the next random word: shift and exclusive or
    op(MOV * 4 + REGISTER, 3, 0), op2(SHL * 4 + CONSTANT, 3, 0, 7), op(XOR * 4 + REGISTER, 0, 3);
    op(MOV * 4 + REGISTER, 3, 0), op2(SHR * 4 + CONSTANT, 3, 0, 9), op(XOR * 4 + REGISTER, 0, 3);
    op(MOV * 4 + REGISTER, 3, 0), op2(SHL * 4 + CONSTANT, 3, 0, 8), op(XOR * 4 + REGISTER, 0, 3);
    op(PUT, 0, 1), op2(ADD * 4 + CONSTANT, 1, 0, 2), op2(LOOP, 2, 0, fill);
    op2(MOV * 4 + CONSTANT, 1, 0, TABLE + 2); // insertion sort
    uint16_t outer = end;
    op(MOV * 4 + MEMORY, 0, 1), op(MOV * 4 + REGISTER, 2, 1);
    uint16_t inner = end;
    op2(CMP * 4 + CONSTANT, 2, 0, TABLE);
    uint16_t first = end;
    op2(JZ, 0, 0, 0);
    op2(MOV * 4 + INDEXED, 3, 2, 0xfffe), op(CMP * 4 + REGISTER, 0, 3);
    uint16_t placed = end;
    op2(JNC, 0, 0, 0);
    op(PUT, 3, 2), op2(SUB * 4 + CONSTANT, 2, 0, 2), op2(JMP, 0, 0, inner);
    put_word((uint16_t)(first + 2), end), put_word((uint16_t)(placed + 2), end);
    op(PUT, 0, 2), op2(ADD * 4 + CONSTANT, 1, 0, 2), op2(CMP * 4 + CONSTANT, 1, 0, TABLE + 2 * WORDS), op2(JNZ, 0, 0, outer);
    uint16_t call = (uint16_t)(end + 2);
    op2(CALL, 0, 0, 0), op(HALT, 0, 0);
    put_word(call, end); // the sum, by a subroutine
    op(PUSH, 1, 0), op2(MOV * 4 + CONSTANT, 1, 0, TABLE), op2(MOV * 4 + CONSTANT, 2, 0, WORDS), op2(MOV * 4 + CONSTANT, 5, 0, 0);
    uint16_t next = end;
    op(MOV * 4 + MEMORY, 3, 1), op2(ROL * 4 + CONSTANT, 5, 0, 3), op(ADD * 4 + REGISTER, 5, 3), op2(ADC * 4 + CONSTANT, 5, 0, 1);
    op(GET_BYTE, 4, 1), op2(MUL * 4 + CONSTANT, 4, 0, 13), op(XOR * 4 + REGISTER, 5, 4), op2(ADD * 4 + CONSTANT, 1, 0, 2);
    op2(LOOP, 2, 0, next), op(NOT, 5, 0), op(INC, 5, 0), op(POP, 1, 0), op(RET, 0, 0);
}

int main(int argc, char **argv) {
    uint64_t count = repeats(argc, argv, 20), sum = 0;
    int right = 1;
    for (uint64_t i = 0; i < count; i++) {
        assemble((uint16_t)(i % 1000 + 1));
        at = 0, executed = 0;
        run(1000000);
        for (int w = 1; w < WORDS; w++) right &= word((uint16_t)(TABLE + 2 * w - 2)) <= word((uint16_t)(TABLE + 2 * w));
        right &= r[7] == STACK && executed > 1000;
        sum = mix(sum, r[5]);
        sum = mix(sum, executed);
    }
    return report("processor", sum, right);
}
