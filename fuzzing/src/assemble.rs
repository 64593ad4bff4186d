//! Programs to machine code.

use crate::program::{Item, Label, PLACE, Program, SCRATCH};
use frontend::compressed::Compressed;
use frontend::compressed::operands::{Cj, Cjr};
use frontend::*;

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
