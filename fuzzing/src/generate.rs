//! Makes random programs.

use crate::program::*;
use frontend::generate::{Bias, Random};
use frontend::*;
use hart::HartState;

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
    let mut bias = Bias {
        x: subset(&FREE, &mut random),
        f: subset(&(0..32).map(F::new).collect::<Vec<_>>(), &mut random),
        dynamic_rounding: true,
    };
    if random.one_in(16) {
        bias.x.push(X::X3);
    }
    let float = random.below(4);
    let mut maker = Maker {
        random,
        bias,
        content,
        float,
        items: Vec::new(),
        calls: Vec::new(),
    };
    // From what fits into a block or two to what makes large regions.
    let size = content.size * maker.random.choose(&[1, 3, 8, 8, 8, 20]) as usize / 8;
    maker.body(0, 0, size.max(1));
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
    start.set(X::X3, DATA);
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

pub(crate) struct Maker {
    pub random: Random,
    pub bias: Bias,
    pub content: Content,
    /// How much of the arithmetic is floating point: this many fourths.
    pub float: u64,
    pub items: Vec<(Label, Item)>,
    /// Calls whose function is still to be made: index of the item, depth of the function.
    calls: Vec<(usize, usize)>,
}

impl Maker {
    pub fn push(&mut self, item: Item) {
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
            let frame = self.frame();
            for &by in &frame {
                self.move_sp(-by);
            }
            self.body(loops, depth + 1, size);
            for &by in &frame {
                self.move_sp(by);
            }
            let short = self.random.one_in(2);
            self.push(Item::Return {
                link: LINKS[depth],
                short,
            });
        }
    }

    /// By how much a function moves the stack pointer, in pieces: not at all, by a usual frame, or, seldom,
    /// to where accesses through it fault.
    fn frame(&mut self) -> Vec<i32> {
        let pieces = match self.random.below(16) {
            0 => 3,
            1..=10 => 1,
            _ => 0,
        };
        let piece = |random: &mut Random| match random.one_in(4) {
            true => 2032,
            false => 16 * random.below(12) as i32,
        };
        (0..pieces).map(|_| piece(&mut self.random)).collect()
    }

    fn move_sp(&mut self, imm: i32) {
        let (rd, rs1) = (X::SP, X::SP);
        self.push(Item::Plain(Insn::Addi(I { rd, rs1, imm })));
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
