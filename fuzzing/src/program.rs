//! Random programs as lists of items, which can be taken out one by one and still assemble.
//!
//! A program always ends: jumps go forward, except those of loops, whose counters only count down,
//! and returns. Registers with a purpose are left alone by everything else.

use frontend::compressed::Compressed;
use frontend::compressed::operands::{Cj, Cjr};
use frontend::*;
use hart::HartState;

/// Where the code lies.
pub const CODE: u64 = 0x1_0000;
/// Where the data lies; nothing is mapped behind it.
pub const DATA: u64 = 0x4_0000;
/// How much data there is.
pub const DATA_LENGTH: u64 = 0x4000;

/// Registers that hold addresses of data, and where: two of the eight that compressed instructions
/// reach, the stack pointer, and one next to a page boundary.
pub const BASES: [(X, u64); 4] = [
    (X::SP, DATA + 0x2000),
    (X::X8, DATA + 0x800),
    (X::X9, DATA + 0x2a00),
    (X::X4, DATA + 0xffc),
];
/// Holds an address that the program computes.
pub const POINTER: X = X::X27;
/// Holds nothing for longer than an item.
pub const SCRATCH: X = X::X31;
/// Likewise. Holds addresses of code, so that no store goes by it.
const PLACE: X = X::X26;
/// Loop counters, by depth.
pub const COUNTERS: [X; 3] = [X::X28, X::X29, X::X30];
/// Return addresses, by depth of calls.
pub const LINKS: [X; 2] = [X::RA, X::X5];
/// What instructions may write; `x0` too.
pub const FREE: [X; 20] = [
    X::X0,
    X::X3,
    X::X6,
    X::X7,
    X::X10,
    X::X11,
    X::X12,
    X::X13,
    X::X14,
    X::X15,
    X::X16,
    X::X17,
    X::X18,
    X::X19,
    X::X20,
    X::X21,
    X::X22,
    X::X23,
    X::X24,
    X::X25,
];

/// Names an item of a program, also after items before it have been taken out. Where the item
/// itself has been, it means the one behind it.
pub type Label = u32;

/// A part of a program.
#[derive(Clone, PartialEq, Debug)]
pub enum Item {
    /// An instruction that goes on to the next.
    Plain(Insn),
    /// The same, compressed.
    Short(Compressed),
    /// Bits that may be no instruction.
    Raw {
        /// The instruction's bits.
        bits: u32,
        /// Whether only the low 16 of them are there.
        short: bool,
    },
    /// A conditional branch; its displacement is filled in.
    Branch {
        /// The branch.
        insn: Insn,
        /// Where it goes.
        to: Label,
    },
    /// A jump forward.
    Jump {
        /// Where it goes.
        to: Label,
        /// Compressed, if near enough.
        short: bool,
    },
    /// A computed jump to one of four places.
    Switch {
        /// Its low two bits choose.
        on: X,
        /// Where it goes.
        to: [Label; 4],
    },
    /// Sets a loop's counter.
    Count {
        /// The counter.
        counter: X,
        /// How often the loop is run.
        times: i32,
    },
    /// The end of a loop.
    Loop {
        /// The counter.
        counter: X,
        /// The loop's first item.
        to: Label,
    },
    /// A call of a function.
    Call {
        /// The function's first item.
        to: Label,
        /// Register for the return address.
        link: X,
        /// By a register that holds the function's address.
        indirect: bool,
    },
    /// The end of a function.
    Return {
        /// Register with the return address.
        link: X,
        /// Compressed.
        short: bool,
    },
    /// Writes another instruction over a [`Item::Plain`], and a fence.i.
    Patch {
        /// The item.
        at: Label,
        /// Its new instruction.
        insn: Insn,
    },
    /// The end of the program.
    End,
}

/// A program with everything that it starts from.
#[derive(Clone, PartialEq, Debug)]
pub struct Program {
    /// The items with their names, which ascend.
    pub items: Vec<(Label, Item)>,
    /// The registers at the start; pc is [`CODE`].
    pub start: HartState,
    /// What the data holds at the start.
    pub data: Vec<u8>,
}

/// What an item becomes: an instruction, perhaps with a distance still to be filled in.
enum Piece {
    Word(Insn),
    End,
    Parcel(u16),
    Bits(u32),
    /// An instruction that names a label relative to itself.
    To(Label, fn(Insn, i32) -> Insn, Insn),
    /// c.j.
    ShortJump(Label),
    /// auipc of `rd` and addi, to the label's address.
    Address(X, Label),
}

impl Piece {
    fn length(&self) -> u64 {
        match self {
            Piece::Word(_) | Piece::End | Piece::Bits(_) | Piece::To(..) => 4,
            Piece::Parcel(_) | Piece::ShortJump(_) => 2,
            Piece::Address(..) => 8,
        }
    }
}

impl Program {
    /// The machine code, to lie at `base`, a multiple of 4. At its end it jumps to `exit`; without
    /// one there is an ebreak.
    pub fn code(&self, base: u64, exit: Option<u64>) -> Vec<u8> {
        let pieces: Vec<Vec<Piece>> = self
            .items
            .iter()
            .map(|(label, item)| self.pieces(*label, item))
            .collect();
        let mut starts = Vec::with_capacity(pieces.len() + 1);
        let mut at = base;
        for item in &pieces {
            starts.push(at);
            at += item.iter().map(Piece::length).sum::<u64>();
        }
        starts.push(at);
        let address = |label| starts[self.position(label)];

        let mut code = Vec::new();
        for piece in pieces.iter().flatten() {
            let pc = base + code.len() as u64;
            let distance = |label| address(label).wrapping_sub(pc) as i32;
            match *piece {
                Piece::Word(insn) => code.extend(insn.encode().to_le_bytes()),
                Piece::End => code.extend(end(pc, exit).encode().to_le_bytes()),
                Piece::Bits(bits) => code.extend(bits.to_le_bytes()),
                Piece::Parcel(parcel) => code.extend(parcel.to_le_bytes()),
                Piece::To(label, with, insn) => {
                    code.extend(with(insn, distance(label)).encode().to_le_bytes());
                }
                Piece::ShortJump(label) => {
                    let jump = Compressed::CJ(Cj {
                        imm: distance(label),
                    });
                    code.extend(jump.encode().to_le_bytes());
                }
                Piece::Address(rd, label) => {
                    let distance = distance(label);
                    let high = distance.wrapping_add(0x800) & !0xfff;
                    let low = distance.wrapping_sub(high);
                    code.extend(Insn::Auipc(U { rd, imm: high }).encode().to_le_bytes());
                    code.extend(
                        Insn::Addi(I {
                            rd,
                            rs1: rd,
                            imm: low,
                        })
                        .encode()
                        .to_le_bytes(),
                    );
                }
            }
        }
        // Whatever runs over the end stops there.
        let pc = base + code.len() as u64;
        code.extend(end(pc, exit).encode().to_le_bytes());
        code
    }

    /// The index of the item that a label means; the number of items for the end.
    fn position(&self, label: Label) -> usize {
        self.items.partition_point(|&(own, _)| own < label)
    }

    fn pieces(&self, own: Label, item: &Item) -> Vec<Piece> {
        use Piece::*;
        match *item {
            Item::Plain(insn) => vec![Word(insn)],
            Item::Short(insn) => vec![Parcel(insn.encode())],
            Item::Raw { bits, short: false } => vec![Bits(bits)],
            Item::Raw { bits, short: true } => vec![Parcel(bits as u16)],
            Item::Branch { insn, to } => vec![To(to, branch_to, insn)],
            Item::Jump { to, short } => {
                // No item is longer than 40 bytes, c.j reaches 2 KiB.
                if short && self.position(to) - self.position(own) < 50 {
                    vec![ShortJump(to)]
                } else {
                    vec![To(
                        to,
                        jump_to,
                        Insn::Jal(J {
                            rd: X::ZERO,
                            imm: 0,
                        }),
                    )]
                }
            }
            Item::Switch { on, to } => {
                let (p, s) = (PLACE, SCRATCH);
                let mut pieces = vec![
                    Word(Insn::Andi(I {
                        rd: s,
                        rs1: on,
                        imm: 3,
                    })),
                    Word(Insn::Slli(Sh6 {
                        rd: s,
                        rs1: s,
                        shamt: 2,
                    })),
                    Word(Insn::Auipc(U { rd: p, imm: 0 })),
                    Word(Insn::Add(R {
                        rd: p,
                        rs1: p,
                        rs2: s,
                    })),
                    // The jumps begin 12 bytes behind the auipc.
                    Word(Insn::Jalr(I {
                        rd: X::ZERO,
                        rs1: p,
                        imm: 12,
                    })),
                ];
                let jump = Insn::Jal(J {
                    rd: X::ZERO,
                    imm: 0,
                });
                pieces.extend(to.map(|to| To(to, jump_to, jump)));
                pieces
            }
            Item::Count { counter, times } => {
                vec![Word(Insn::Addi(I {
                    rd: counter,
                    rs1: X::ZERO,
                    imm: times,
                }))]
            }
            Item::Loop { counter, to } => vec![
                Word(Insn::Addi(I {
                    rd: counter,
                    rs1: counter,
                    imm: -1,
                })),
                To(
                    to,
                    branch_to,
                    Insn::Blt(B {
                        rs1: X::ZERO,
                        rs2: counter,
                        imm: 0,
                    }),
                ),
            ],
            Item::Call {
                to,
                link,
                indirect: false,
            } => {
                vec![To(to, jump_to, Insn::Jal(J { rd: link, imm: 0 }))]
            }
            Item::Call {
                to,
                link: X::RA,
                indirect: true,
            } => {
                let call = Compressed::CJalr(Cjr { rs1: SCRATCH });
                vec![Address(SCRATCH, to), Parcel(call.encode())]
            }
            Item::Call {
                to,
                link,
                indirect: true,
            } => vec![
                Address(SCRATCH, to),
                Word(Insn::Jalr(I {
                    rd: link,
                    rs1: SCRATCH,
                    imm: 0,
                })),
            ],
            Item::Return { link, short: true } => {
                vec![Parcel(Compressed::CJr(Cjr { rs1: link }).encode())]
            }
            Item::Return { link, short: false } => {
                vec![Word(Insn::Jalr(I {
                    rd: X::ZERO,
                    rs1: link,
                    imm: 0,
                }))]
            }
            Item::Patch { at, insn } => {
                let there = self.items.get(self.position(at));
                if !matches!(there, Some((label, Item::Plain(_))) if *label == at) {
                    return Vec::new();
                }
                let word = insn.encode() as i32;
                let high = word.wrapping_add(0x800) & !0xfff;
                let (p, s) = (PLACE, SCRATCH);
                vec![
                    Word(Insn::Lui(U { rd: s, imm: high })),
                    Word(Insn::Addiw(I {
                        rd: s,
                        rs1: s,
                        imm: word.wrapping_sub(high),
                    })),
                    Address(p, at),
                    Word(Insn::Sw(S {
                        rs1: p,
                        rs2: s,
                        imm: 0,
                    })),
                    Word(Insn::FenceI(Fence {
                        rd: 0,
                        rs1: 0,
                        order: 0,
                    })),
                ]
            }
            Item::End => vec![End],
        }
    }

    /// The program as text: state that is not zero, disassembly, and data that is not zero.
    pub fn listing(&self) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        let start = &self.start;
        let registers = start
            .x
            .iter()
            .enumerate()
            .map(|(n, value)| (format!("x{n}"), *value));
        let registers = registers
            .chain(
                start
                    .f
                    .iter()
                    .enumerate()
                    .map(|(n, value)| (format!("f{n}"), *value)),
            )
            .chain([
                ("fflags".into(), start.fflags.into()),
                ("frm".into(), start.frm.into()),
            ]);
        for (name, value) in registers.filter(|(_, value)| *value != 0) {
            let _ = write!(text, "{name}={value:#x} ");
        }
        text.push('\n');
        let code = self.code(CODE, None);
        let mut at = 0;
        while at < code.len() {
            let byte = |n: usize| u32::from(code.get(at + n).copied().unwrap_or(0));
            let bits = byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24;
            let pc = CODE + at as u64;
            let length = usize::from(frontend::decode::length(bits as u16));
            let digits = 2 * length;
            let shown = if length == 2 { bits & 0xffff } else { bits };
            let _ = writeln!(
                text,
                "{pc:8x}: {shown:0digits$x}{:1$}{2}",
                "",
                10 - digits,
                frontend::disasm::text(bits, pc).replace('\t', " "),
            );
            at += length;
        }
        for (line, bytes) in self.data.chunks(16).enumerate() {
            if bytes.iter().any(|&byte| byte != 0) {
                let _ = writeln!(text, "{:8x}: {bytes:02x?}", DATA + 16 * line as u64);
            }
        }
        text
    }
}

/// The instruction that ends a program.
fn end(pc: u64, exit: Option<u64>) -> Insn {
    match exit {
        Some(exit) => Insn::Jal(J {
            rd: X::ZERO,
            imm: exit.wrapping_sub(pc) as i32,
        }),
        None => Insn::Ebreak(None0),
    }
}

fn branch_to(insn: Insn, imm: i32) -> Insn {
    match insn {
        Insn::Beq(o) => Insn::Beq(B { imm, ..o }),
        Insn::Bne(o) => Insn::Bne(B { imm, ..o }),
        Insn::Blt(o) => Insn::Blt(B { imm, ..o }),
        Insn::Bge(o) => Insn::Bge(B { imm, ..o }),
        Insn::Bltu(o) => Insn::Bltu(B { imm, ..o }),
        Insn::Bgeu(o) => Insn::Bgeu(B { imm, ..o }),
        other => other,
    }
}

fn jump_to(insn: Insn, imm: i32) -> Insn {
    match insn {
        Insn::Jal(o) => Insn::Jal(J { imm, ..o }),
        other => other,
    }
}
