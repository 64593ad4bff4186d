//! Makes random programs.

use crate::program::*;
use frontend::compressed::{Compressed, CompressedOp};
use frontend::generate::{Bias, Random, compressed};
use frontend::*;
use hart::HartState;
use hart::csr;

/// What random programs contain.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    /// Instructions that trap here and there: wild accesses, misaligned atomics, illegal
    /// instructions, reserved rounding modes, ecall.
    pub traps: bool,
    /// Reads of the counters, which differ between emulators.
    pub counters: bool,
    /// Code that rewrites itself.
    pub patches: bool,
    /// Items, about.
    pub size: usize,
    /// Instructions to leave out.
    pub without: &'static [Op],
}

impl Content {
    /// Everything.
    pub const ALL: Content = Content {
        traps: true,
        counters: true,
        patches: true,
        size: 120,
        without: &[],
    };
    /// What behaves alike on every implementation without the operating system's help. ctzw: QEMU
    /// before 8.0 counts on beyond the word.
    pub const PORTABLE: Content = Content {
        traps: false,
        counters: false,
        patches: false,
        size: 120,
        without: &[Op::Ctzw],
    };
}

/// The program of a seed.
pub fn program(content: Content, seed: u64) -> Program {
    let mut random = Random::new(seed);
    let bias = Bias {
        x: subset(&FREE, &mut random),
        f: subset(&(0..32).map(F::new).collect::<Vec<_>>(), &mut random),
        dynamic_rounding: true,
    };
    let float = random.below(4);
    let mut maker = Maker {
        random,
        bias,
        content,
        float,
        items: Vec::new(),
        calls: Vec::new(),
    };
    maker.body(0, 0, content.size);
    maker.push(Item::End);
    maker.functions();
    let (items, mut random) = (maker.items, maker.random);
    Program {
        items,
        start: start(&mut random),
        data: random_data(&mut random),
    }
}

/// At least four of the elements.
fn subset<T: Copy>(from: &[T], random: &mut Random) -> Vec<T> {
    let count = 4 + random.below(from.len() as u64 - 3);
    (0..count).map(|_| random.choose(from)).collect()
}

fn start(random: &mut Random) -> HartState {
    let mut start = HartState {
        pc: CODE,
        ..HartState::default()
    };
    for x in FREE {
        let value = random.integer();
        start.set(x, value);
    }
    for (base, address) in BASES {
        start.set(base, address);
    }
    start.set(POINTER, DATA + 0x1000);
    for f in &mut start.f {
        *f = random.float();
    }
    start.fflags = if random.one_in(2) {
        random.below(32) as u32
    } else {
        0
    };
    start.frm = random.below(5) as u32;
    start
}

/// Data as programs start with.
pub fn random_data(random: &mut Random) -> Vec<u8> {
    let word = |random: &mut Random| match random.below(4) {
        0 => 0,
        1 => random.integer(),
        2 => random.float(),
        _ => random.bits(),
    };
    (0..DATA_LENGTH / 8)
        .flat_map(|_| word(random).to_le_bytes())
        .collect()
}

struct Maker {
    random: Random,
    bias: Bias,
    content: Content,
    /// How much of the arithmetic is floating point: this many fourths.
    float: u64,
    items: Vec<(Label, Item)>,
    /// Calls whose function is still to be made: index of the item, depth of the function.
    calls: Vec<(usize, usize)>,
}

impl Maker {
    fn push(&mut self, item: Item) {
        self.items.push((self.items.len() as Label, item));
    }

    /// The name of the item to be pushed next.
    fn here(&self) -> Label {
        self.items.len() as Label
    }

    /// About `size` items in `loops` loops and `calls` calls.
    fn body(&mut self, loops: usize, calls: usize, size: usize) {
        let end = self.items.len() + size;
        // Jumps forward whose place to go is not yet known.
        let mut open: Vec<(usize, usize)> = Vec::new();
        while self.items.len() < end {
            open.retain(|&(index, place)| {
                let reached = self.items.len() >= place;
                if reached {
                    let here = self.items.len() as Label;
                    aim(&mut self.items[index].1, here);
                }
                !reached
            });
            match self.random.below(40) {
                0..=1 if loops < COUNTERS.len() && end - self.items.len() > 8 => {
                    let size = self.random.below((end - self.items.len()) as u64 / 2) as usize;
                    self.looped(loops, calls, size.max(2));
                }
                2 if calls < LINKS.len() => {
                    let indirect = self.random.one_in(2);
                    self.calls.push((self.items.len(), calls));
                    self.push(Item::Call {
                        to: 0,
                        link: LINKS[calls],
                        indirect,
                    });
                }
                3..=6 => {
                    let place = self.items.len() + 2 + self.random.below(12) as usize;
                    open.push((self.items.len(), place));
                    let branch = self.forward();
                    self.push(branch);
                }
                _ => self.straight(loops + calls),
            }
        }
        for (index, _) in open {
            let here = self.here();
            aim(&mut self.items[index].1, here);
        }
    }

    fn looped(&mut self, loops: usize, calls: usize, size: usize) {
        let counter = COUNTERS[loops];
        let times = 1 + self.random.below(9) as i32;
        self.push(Item::Count { counter, times });
        let to = self.here();
        self.body(loops + 1, calls, size);
        self.push(Item::Loop { counter, to });
    }

    /// The functions that are called, each for one or more calls of its depth.
    fn functions(&mut self) {
        while let Some((index, depth)) = self.calls.pop() {
            let function = self.here();
            aim(&mut self.items[index].1, function);
            let mut shared = self.calls.clone();
            shared.retain(|&(index, other)| {
                let share = other == depth && self.random.one_in(2);
                if share {
                    aim(&mut self.items[index].1, function);
                }
                !share
            });
            self.calls = shared;
            // Its own loops would count with its caller's counters; the last counter is its own.
            let size = 2 + self.random.below(self.content.size as u64 / 4) as usize;
            let loops = COUNTERS.len() - usize::from(depth == 0 && self.random.one_in(2));
            self.body(loops, depth + 1, size);
            let short = self.random.one_in(2);
            self.push(Item::Return {
                link: LINKS[depth],
                short,
            });
        }
    }

    /// A branch, jump or switch to be aimed.
    fn forward(&mut self) -> Item {
        let x = |maker: &mut Maker| {
            let pool = &maker.bias.x;
            pool[maker.random.below(pool.len() as u64) as usize]
        };
        match self.random.below(10) {
            0 => Item::Jump {
                to: 0,
                short: self.random.one_in(2),
            },
            1 => Item::Switch {
                on: x(self),
                to: [self.here() + 1; 4],
            },
            _ => {
                let (rs1, rs2, imm) = (x(self), x(self), 0);
                let make = self.random.choose(&[
                    Insn::Beq as fn(B) -> Insn,
                    Insn::Bne,
                    Insn::Blt,
                    Insn::Bge,
                    Insn::Bltu,
                    Insn::Bgeu,
                ]);
                Item::Branch {
                    insn: make(B { rs1, rs2, imm }),
                    to: 0,
                }
            }
        }
    }

    /// Something that goes on to what follows, so many loops and calls deep.
    fn straight(&mut self, depth: usize) {
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

    /// Reads and writes fflags, frm, fcsr; frm stays valid.
    fn csr(&mut self) {
        let (rd, rs1) = (
            self.random.choose(&self.bias.x),
            self.random.choose(&self.bias.x),
        );
        let mode = self.random.below(5) as u8;
        let insn = match self.random.below(if self.content.counters { 9 } else { 7 }) {
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
            7 => Insn::Csrrs(Csr {
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

/// Sets where an item goes.
fn aim(item: &mut Item, place: Label) {
    match item {
        Item::Branch { to, .. } | Item::Jump { to, .. } | Item::Call { to, .. } => *to = place,
        // Some of the four stay on the item behind the switch.
        Item::Switch { to, .. } => to[1..].fill(place),
        _ => (),
    }
}

/// Whether an instruction only computes on registers.
fn is_computation(op: Op) -> bool {
    let (lui, sraw) = (Op::Lui, Op::Sraw);
    let base = op >= lui && op <= sraw && !is_control_or_access(op);
    let m = op >= Op::Mul && op <= Op::Remuw;
    let float = op >= Op::FmaddS && op <= Op::FcvtDS && !matches!(op, Op::Fld | Op::Fsd);
    base || m || float || op >= Op::AddUw || op == Op::Fence
}

fn is_control_or_access(op: Op) -> bool {
    op >= Op::Jal && op <= Op::Sd
}

/// An access with another base register; near: to one of a few places.
fn based(insn: Insn, rs1: X, near: bool) -> Insn {
    let offset = |imm: i32| if near { imm & 0x38 } else { imm };
    match insn {
        Insn::Lb(o) => Insn::Lb(I {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Lh(o) => Insn::Lh(I {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Lw(o) => Insn::Lw(I {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Ld(o) => Insn::Ld(I {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Lbu(o) => Insn::Lbu(I {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Lhu(o) => Insn::Lhu(I {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Lwu(o) => Insn::Lwu(I {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Sb(o) => Insn::Sb(S {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Sh(o) => Insn::Sh(S {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Sw(o) => Insn::Sw(S {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Sd(o) => Insn::Sd(S {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Flw(o) => Insn::Flw(Fl {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Fld(o) => Insn::Fld(Fl {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Fsw(o) => Insn::Fsw(Fs {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        Insn::Fsd(o) => Insn::Fsd(Fs {
            rs1,
            imm: offset(o.imm),
            ..o
        }),
        atomic => {
            // Atomics: rs1 is bits 19:15, of which the table knows.
            let word = atomic.encode() & !(31 << 15) | u32::from(rs1.number()) << 15;
            (atomic.op().row().decode)(word).unwrap_or(atomic)
        }
    }
}

/// Whether a compressed instruction may stand anywhere: it writes only what is free, and accesses
/// only what is there.
fn is_harmless(insn: Compressed) -> bool {
    let expanded = insn.expand();
    let op = expanded.op();
    let access = op >= Op::Lb && op <= Op::Sd || matches!(op, Op::Fld | Op::Fsd);
    let free = |x: X| FREE.contains(&x);
    let writes = expanded.defs().xs().all(free);
    let base = !access
        || BASES.iter().any(|&(x, _)| expanded.uses().contains_x(x)) && {
            // The base is rs1; what a store stores may be anything.
            let rs1 = X::new((expanded.encode() >> 15) as u8);
            BASES.iter().any(|&(x, _)| x == rs1)
        };
    writes && base && (access || is_computation(op))
}
