//! Programs as a static Linux executable, which runs one after another and writes what each leaves
//! to its standard output: for a comparison with other emulators.
//!
//! ```text
//!  0x10000  a program's code, copied here before it runs
//!  0x38000  the driver: sets up, jumps to the program, is jumped to when it ends
//!  0x40000  the program's data
//!  0x50000  its registers at the end; behind them the driver's cursor
//! 0x100000  for each program: code, data, registers to start with
//! ```

use crate::machine::Outcome;
use crate::program::{CODE, DATA, DATA_LENGTH, Program};
use frontend::*;
use hart::{HartState, csr};

/// Where a bundled program goes when it ends.
pub const EXIT: u64 = 0x3_8000;
const STATE: u64 = 0x5_0000;
const TABLE: u64 = 0x10_0000;

/// Where things are in the page at `STATE`, and in the registers to start with.
const F_AT: i32 = 256;
const FCSR_AT: i32 = 512;
const STATE_LENGTH: u64 = 520;
const CURSOR_AT: i32 = 1024;

/// Bytes that each program writes.
const REPORT: usize = (STATE_LENGTH + DATA_LENGTH) as usize;

/// The executable.
pub fn executable(programs: &[Program]) -> Vec<u8> {
    let mut table = Vec::new();
    for program in programs {
        let mut code = program.code(CODE, Some(EXIT));
        code.resize(code.len().next_multiple_of(8), 0);
        table.extend((code.len() as u64 / 8).to_le_bytes());
        table.extend(code);
        table.extend(&program.data);
        let HartState {
            x, f, fflags, frm, ..
        } = &program.start;
        table.extend(x.iter().chain(f).flat_map(|value| value.to_le_bytes()));
        table.extend(u64::from(frm << 5 | fflags).to_le_bytes());
    }
    table.extend(0_u64.to_le_bytes());
    let (driver, entry) = driver();
    let words: Vec<u8> = driver
        .iter()
        .flat_map(|insn| insn.encode().to_le_bytes())
        .collect();
    elf(
        entry,
        &[
            Segment {
                va: CODE,
                length: 0x2_0000,
                flags: 7,
                bytes: &[],
            },
            Segment {
                va: EXIT,
                length: words.len() as u64,
                flags: 5,
                bytes: &words,
            },
            Segment {
                va: DATA,
                length: DATA_LENGTH,
                flags: 6,
                bytes: &[],
            },
            Segment {
                va: STATE,
                length: 0x1000,
                flags: 6,
                bytes: &[],
            },
            Segment {
                va: TABLE,
                length: table.len() as u64,
                flags: 4,
                bytes: &table,
            },
        ],
    )
}

/// What each program left, from what the executable wrote. x31, the driver's, pc, instret and the
/// reservation read as 0.
pub fn outcomes(written: &[u8]) -> Vec<Outcome> {
    let outcome = |report: &[u8]| {
        let word = |n: usize| {
            let bytes = report[8 * n..8 * n + 8].try_into();
            u64::from_le_bytes(bytes.unwrap_or_default())
        };
        let mut hart = HartState::default();
        for n in 0..32 {
            hart.x[n] = word(n);
            hart.f[n] = word(32 + n);
        }
        hart.fflags = word(64) as u32 & 0x1f;
        hart.frm = word(64) as u32 >> 5;
        Outcome {
            hart,
            traps: Vec::new(),
            data: report[STATE_LENGTH as usize..].to_vec(),
        }
    };
    written.chunks_exact(REPORT).map(outcome).collect()
}

/// The driver, which lies at [`EXIT`], and its entry point.
fn driver() -> (Vec<Insn>, u64) {
    let x = X::new;
    let li = |rd, imm| {
        Insn::Addi(I {
            rd,
            rs1: X::ZERO,
            imm,
        })
    };
    let add = |rd, imm| Insn::Addi(I { rd, rs1: rd, imm });
    let lui = |rd, va: u64| Insn::Lui(U { rd, imm: va as i32 });
    let ld = |rd, rs1, imm| Insn::Ld(I { rd, rs1, imm });
    let sd = |rs2, rs1, imm| Insn::Sd(S { rs1, rs2, imm });
    let bnez = |rs1, imm| {
        Insn::Bne(B {
            rs1,
            rs2: X::ZERO,
            imm,
        })
    };
    let (base, cursor, count, to, word) = (x(31), x(6), x(7), x(28), x(29));
    let ecall = Insn::Ecall(None0);
    // Eight bytes at a time from the cursor to `to`, `count` times.
    let copy = |code: &mut Vec<Insn>| {
        code.extend([
            ld(word, cursor, 0),
            sd(word, to, 0),
            add(cursor, 8),
            add(to, 8),
            add(count, -1),
            bnez(count, -20),
        ]);
    };
    let write = |code: &mut Vec<Insn>, va: u64, length: u64| {
        code.extend([
            li(X::A0, 1),
            lui(x(11), va),
            lui(x(12), (length + 0x800) & !0xfff),
        ]);
        code.extend([
            add(x(12), (length as i32) << 20 >> 20),
            li(X::A7, 64),
            ecall,
        ]);
    };

    // A program has ended: save its registers, report.
    let mut code = vec![lui(base, STATE)];
    code.extend((1..31).map(|n| sd(x(n), base, 8 * i32::from(n))));
    code.extend((0..32).map(|n| {
        Insn::Fsd(Fs {
            rs1: base,
            rs2: F::new(n),
            imm: F_AT + 8 * i32::from(n),
        })
    }));
    code.push(Insn::Csrrs(Csr {
        rd: x(1),
        rs1: X::ZERO,
        csr: csr::FCSR,
    }));
    code.push(sd(x(1), base, FCSR_AT));
    write(&mut code, STATE, STATE_LENGTH);
    write(&mut code, DATA, DATA_LENGTH);
    code.extend([lui(base, STATE), ld(cursor, base, CURSOR_AT)]);
    // It begins: the cursor is at a program of the table.
    let entry_jump = code.len();
    code.extend([
        ld(count, cursor, 0),
        bnez(count, 16),
        li(X::A0, 0),
        li(X::A7, 93),
        ecall,
    ]);
    code.extend([add(cursor, 8), lui(to, CODE)]);
    copy(&mut code);
    code.extend([
        lui(to, DATA),
        li(count, 1),
        Insn::Slli(Sh6 {
            rd: count,
            rs1: count,
            shamt: 11,
        }),
    ]);
    copy(&mut code);
    // Now the cursor is at the registers; the next program is behind them.
    code.extend([
        lui(base, STATE),
        Insn::Addi(I {
            rd: word,
            rs1: cursor,
            imm: 520,
        }),
    ]);
    code.push(sd(word, base, CURSOR_AT));
    code.push(Insn::FenceI(Fence {
        rd: 0,
        rs1: 0,
        order: 0,
    }));
    code.push(Insn::Addi(I {
        rd: base,
        rs1: cursor,
        imm: 0,
    }));
    code.push(ld(x(1), base, FCSR_AT));
    code.push(Insn::Csrrw(Csr {
        rd: X::ZERO,
        rs1: x(1),
        csr: csr::FCSR,
    }));
    code.extend((0..32).map(|n| {
        Insn::Fld(Fl {
            rd: F::new(n),
            rs1: base,
            imm: F_AT + 8 * i32::from(n),
        })
    }));
    code.extend((1..32).map(|n| ld(x(n), base, 8 * i32::from(n))));
    let here = EXIT + 4 * code.len() as u64;
    code.push(Insn::Jal(J {
        rd: X::ZERO,
        imm: CODE.wrapping_sub(here) as i32,
    }));

    let entry = EXIT + 4 * code.len() as u64;
    code.push(lui(cursor, TABLE));
    let back = 4 * (entry_jump as i32 - code.len() as i32);
    code.push(Insn::Jal(J {
        rd: X::ZERO,
        imm: back,
    }));
    (code, entry)
}

struct Segment<'a> {
    va: u64,
    length: u64,
    /// ELF's: 4 read, 2 write, 1 execute.
    flags: u32,
    bytes: &'a [u8],
}

/// A static executable for riscv64 Linux.
fn elf(entry: u64, segments: &[Segment<'_>]) -> Vec<u8> {
    const HEADER: u64 = 64;
    const PROGRAM_HEADER: u64 = 56;
    const PAGE: u64 = 0x1000;
    let mut file = Vec::new();
    // 64 bits, little endian, version 1, System V.
    file.extend(*b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    // EXEC, EM_RISCV, version 1.
    file.extend([2, 0, 243, 0, 1, 0, 0, 0]);
    for value in [entry, HEADER, 0] {
        file.extend(value.to_le_bytes());
    }
    // Flags: compressed instructions, double-precision floats in registers.
    file.extend(5_u32.to_le_bytes());
    for value in [
        HEADER as u16,
        PROGRAM_HEADER as u16,
        segments.len() as u16,
        64,
        0,
        0,
    ] {
        file.extend(value.to_le_bytes());
    }
    let mut offset = PAGE;
    for Segment {
        va,
        length,
        flags,
        bytes,
    } in segments
    {
        file.extend(1_u32.to_le_bytes());
        file.extend(flags.to_le_bytes());
        for value in [offset, *va, *va, bytes.len() as u64, *length, PAGE] {
            file.extend(value.to_le_bytes());
        }
        offset += (bytes.len() as u64).next_multiple_of(PAGE);
    }
    for Segment { bytes, .. } in segments {
        file.resize(file.len().next_multiple_of(PAGE as usize), 0);
        file.extend(*bytes);
    }
    file
}
