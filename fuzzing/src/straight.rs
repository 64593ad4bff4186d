//! The parts of random programs that go on to what follows them.

use crate::generate::Maker;
use crate::kind::{based, is_computation, is_harmless};
use crate::program::*;
use frontend::compressed::CompressedOp;
use frontend::generate::compressed;
use frontend::*;
use hart::csr;

impl Maker {
    /// Something that goes on to what follows, so many loops and calls deep.
    pub fn straight(&mut self, depth: usize) {
        match self.random.below(32) {
            0..=7 => self.access(),
            8..=13 => self.short(),
            14 => self.pointer(7),
            15 => self.atomic(),
            16 => self.csr(),
            17 if self.content.traps => self.trap(),
            // Every execution makes an engine compile anew.
            18 if self.content.patches && depth < 2 && self.random.one_in(4) => self.patch(),
            _ => {
                let insn = self.computation();
                self.push(Item::Plain(insn));
            }
        }
    }

    /// An instruction on registers alone.
    fn computation(&mut self) -> Insn {
        loop {
            let op = self.random.choose(Op::ALL);
            let float = op >= Op::FmaddS && op <= Op::FcvtDS;
            let wanted = is_computation(op) && !self.content.without.contains(&op);
            if wanted && float == (self.random.below(4) < self.float) {
                return self.bias.instruction(op, &mut self.random);
            }
        }
    }

    /// A load or store within the data, of any alignment.
    fn access(&mut self) {
        const OPS: [Op; 15] = [
            Op::Lb,
            Op::Lh,
            Op::Lw,
            Op::Ld,
            Op::Lbu,
            Op::Lhu,
            Op::Lwu,
            Op::Sb,
            Op::Sh,
            Op::Sw,
            Op::Sd,
            Op::Flw,
            Op::Fsw,
            Op::Fld,
            Op::Fsd,
        ];
        let op = self.random.choose(&OPS);
        let base = match self.random.below(6) {
            0 | 1 => POINTER,
            n => BASES[n as usize - 2].0,
        };
        let insn = self.bias.instruction(op, &mut self.random);
        // Programs that reuse a few places read what they have written.
        let near = self.random.one_in(2);
        self.push(Item::Plain(based(insn, base, near)));
    }

    /// Points POINTER somewhere, at most `mask` bytes off a multiple of 8.
    fn pointer(&mut self, mask: i32) {
        let x = self.random.choose(&FREE);
        let spread = self.random.choose(&[0x7c0, 0x78, 0x700, 0x40]) | mask;
        self.push(Item::Plain(Insn::Andi(I {
            rd: SCRATCH,
            rs1: x,
            imm: spread,
        })));
        let base = self.random.choose(&BASES).0;
        // One of the bases is not aligned itself.
        let base = if mask == 0 && base == X::X4 {
            X::X8
        } else {
            base
        };
        self.push(Item::Plain(Insn::Add(R {
            rd: POINTER,
            rs1: base,
            rs2: SCRATCH,
        })));
    }

    /// An atomic instruction, or lr and sc with something between.
    fn atomic(&mut self) {
        self.pointer(0);
        let ops = &Op::ALL[Op::LrW as usize..=Op::AmomaxuD as usize];
        let op = self.random.choose(ops);
        let insn = self.bias.instruction(op, &mut self.random);
        self.push(Item::Plain(based(insn, POINTER, false)));
        let sc = match op {
            Op::LrW => Op::ScW,
            Op::LrD => Op::ScD,
            _ => return,
        };
        for _ in 0..self.random.below(4) {
            match self.random.below(4) {
                0 => self.access(),
                _ => {
                    let insn = self.computation();
                    self.push(Item::Plain(insn));
                }
            }
        }
        let insn = self.bias.instruction(sc, &mut self.random);
        self.push(Item::Plain(based(insn, POINTER, false)));
    }

    /// Reads and writes fflags, frm, fcsr; frm stays valid. Often between equal operations, which
    /// then raise the same flags before and after.
    fn csr(&mut self) {
        let beside = self.random.one_in(2).then(|| self.computation());
        let repeat = |maker: &mut Self| {
            if let Some(insn) = beside {
                maker.push(Item::Plain(insn));
            }
        };
        repeat(self);
        self.access_csr();
        repeat(self);
    }

    fn access_csr(&mut self) {
        let (rd, rs1) = (
            self.random.choose(&self.bias.x),
            self.random.choose(&self.bias.x),
        );
        let mode = self.random.below(5) as u8;
        let insn = match self
            .random
            .below(if self.content.counters { 11 } else { 9 })
        {
            0 => Insn::Csrrw(Csr {
                rd,
                rs1,
                csr: csr::FFLAGS,
            }),
            1 => Insn::Csrrs(Csr {
                rd,
                rs1,
                csr: csr::FFLAGS,
            }),
            2 => Insn::Csrrc(Csr {
                rd,
                rs1,
                csr: csr::FFLAGS,
            }),
            3 => Insn::Csrrs(Csr {
                rd,
                rs1: X::ZERO,
                csr: csr::FCSR,
            }),
            4 => Insn::Csrrs(Csr {
                rd,
                rs1: X::ZERO,
                csr: csr::FRM,
            }),
            5 => Insn::Csrrsi(CsrI {
                rd,
                uimm: mode,
                csr: csr::FFLAGS,
            }),
            6 => Insn::Csrrwi(CsrI {
                rd,
                uimm: mode,
                csr: csr::FRM,
            }),
            7 => Insn::Csrrwi(CsrI {
                rd,
                uimm: mode,
                csr: csr::FFLAGS,
            }),
            8 => Insn::Csrrwi(CsrI {
                rd,
                uimm: mode,
                csr: csr::FCSR,
            }),
            9 => Insn::Csrrs(Csr {
                rd,
                rs1: X::ZERO,
                csr: csr::INSTRET,
            }),
            _ => Insn::Csrrs(Csr {
                rd,
                rs1: X::ZERO,
                csr: csr::CYCLE,
            }),
        };
        self.push(Item::Plain(insn));
    }

    /// A compressed instruction.
    fn short(&mut self) {
        for _ in 0..100 {
            let op = self.random.choose(CompressedOp::ALL);
            let insn = compressed(op, &mut self.random);
            if is_harmless(insn) {
                return self.push(Item::Short(insn));
            }
        }
    }

    fn trap(&mut self) {
        let item = match self.random.below(8) {
            // Not an instruction, most likely.
            0 => Item::Raw {
                bits: self.random.bits() as u32 | 3,
                short: false,
            },
            1 => Item::Raw {
                bits: 0,
                short: true,
            },
            2 => Item::Plain(Insn::Ecall(None0)),
            3 => Item::Plain(Insn::Csrrwi(CsrI {
                rd: X::ZERO,
                uimm: 5,
                csr: csr::FRM,
            })),
            4 => {
                // An atomic that is most likely misaligned.
                self.pointer(7);
                let ops = &Op::ALL[Op::LrW as usize..=Op::AmomaxuD as usize];
                let op = self.random.choose(ops);
                let insn = self.bias.instruction(op, &mut self.random);
                Item::Plain(based(insn, POINTER, false))
            }
            _ => {
                // The last bytes of the data, and the first that are not mapped.
                let distance = self.random.choose(&[DATA_LENGTH - 4, DATA_LENGTH, 0x8000]);
                let high = ((DATA + distance + 0x800) & !0xfff) as i32;
                let low = (DATA + distance) as i32 - high;
                self.push(Item::Plain(Insn::Lui(U {
                    rd: POINTER,
                    imm: high,
                })));
                self.push(Item::Plain(Insn::Addi(I {
                    rd: POINTER,
                    rs1: POINTER,
                    imm: low,
                })));
                return self.access();
            }
        };
        // Random bits may be an instruction that does what no other may.
        if let Item::Raw { bits, short: false } = item
            && frontend::decode::decode(bits).is_some()
        {
            return;
        }
        self.push(item);
    }

    /// Rewrites an item that is already there.
    fn patch(&mut self) {
        let at = self.random.below(self.items.len() as u64) as usize;
        let insn = self.computation();
        if let Some((label, Item::Plain(old))) = self.items.get(at)
            && is_computation(old.op())
        {
            self.push(Item::Patch { at: *label, insn });
        }
    }
}
