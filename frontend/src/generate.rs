//! Random valid instructions from the table, the same for the same seed on every host.

use crate::compressed::{Compressed, CompressedOp};
use crate::operands::Rm;
use crate::registers::{F, X};
use crate::table::{Insn, Op};

/// A small random number generator (xorshift64*), not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of this seed. Every seed is valid and near seeds give unlike sequences.
    pub fn new(seed: u64) -> Self {
        // The finaliser of splitmix64: a bijection, so that only one seed needs replacing.
        let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^= state >> 31;
        Random(if state == 0 { 1 } else { state })
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `n`; 0 if `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// Whether an event of probability 1 in `n` happens.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of the elements.
    ///
    /// # Panics
    /// If there are none.
    pub fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// An integer register's value, often a special one: small, at the edge of a width, a power
    /// of two, sign-extended 32 bits.
    pub fn integer(&mut self) -> u64 {
        let value = match self.below(8) {
            0 => return self.choose(&INTEGERS),
            1 => 1 << self.below(64),
            2 => (1u64 << self.below(64)).wrapping_sub(1),
            3 => self.below(256),
            4 => self.bits() as i32 as u64,
            5 => self.bits() & 0xffff_ffff,
            6 => self.bits() >> self.below(64),
            _ => self.bits(),
        };
        if self.one_in(4) {
            value.wrapping_neg()
        } else {
            value
        }
    }

    /// A floating-point register's bits, often special ones: zeros, infinities, NaNs, subnormals,
    /// halfway cases, singles with and without a proper NaN box.
    pub fn float(&mut self) -> u64 {
        match self.below(8) {
            0 => self.choose(&DOUBLES),
            1 => self.double(),
            2 => self
                .choose(&[1.0f64, 2.0, 0.5, 1.5, -1.0, 2.5, 3.0])
                .to_bits(),
            3 => u64::from(self.choose(&SINGLES)), // not boxed: a quiet NaN as a single
            4 => BOX | u64::from(self.choose(&SINGLES)),
            5 | 6 => BOX | u64::from(self.single()),
            _ => self.bits(),
        }
    }

    /// A double with an exponent near another's, so that sums cancel and round.
    fn double(&mut self) -> u64 {
        let (sign, fraction) = (self.bits() << 63, self.fraction(52));
        let exponent = match self.below(4) {
            0 => self.below(3),
            1 => 0x7fd + self.below(3),
            2 => 0x3ff - 64 + self.below(128),
            _ => self.below(0x800),
        };
        sign | exponent << 52 | fraction
    }

    fn single(&mut self) -> u32 {
        let (sign, fraction) = (self.bits() << 31, self.fraction(23));
        let exponent = match self.below(4) {
            0 => self.below(3),
            1 => 0xfd + self.below(3),
            2 => 0x7f - 32 + self.below(64),
            _ => self.below(0x100),
        };
        (sign | exponent << 23 | fraction) as u32
    }

    /// A fraction of `width` bits: random, or with few bits set or clear at one end.
    fn fraction(&mut self, width: u32) -> u64 {
        let all = (1 << width) - 1;
        match self.below(4) {
            0 => all & !((1u64 << self.below(u64::from(width))) - 1),
            1 => (1 << self.below(u64::from(width))) - 1,
            _ => self.bits() & all,
        }
    }
}

const BOX: u64 = 0xffff_ffff_0000_0000;

const INTEGERS: [u64; 16] = [
    0,
    1,
    2,
    u64::MAX,
    u64::MAX - 1,
    i64::MIN as u64,
    i64::MAX as u64,
    i64::MIN as u64 + 1,
    i32::MIN as i64 as u64,
    i32::MAX as u64,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff,
    0xffff_ffff_ffff_8000,
    0x80,
];

const DOUBLES: [u64; 20] = [
    0,                     // 0
    1 << 63,               // -0
    0x7ff0_0000_0000_0000, // infinities
    0xfff0_0000_0000_0000,
    0x7ff8_0000_0000_0000, // quiet NaNs, the first canonical
    0xffff_ffff_ffff_ffff,
    0x7ff0_0000_0000_0001, // signalling NaNs
    0xfff7_ffff_ffff_ffff,
    1,                     // smallest subnormal
    0x000f_ffff_ffff_ffff, // largest subnormal
    0x0010_0000_0000_0000, // smallest normal
    0x7fef_ffff_ffff_ffff, // largest finite
    0x3ff0_0000_0000_0001, // just above 1
    0x3fef_ffff_ffff_ffff, // just below 1
    0x41df_ffff_ffc0_0000, // 2^31 - 1
    0xc1e0_0000_0000_0000, // -2^31
    0x43e0_0000_0000_0000, // 2^63
    0x43f0_0000_0000_0000, // 2^64
    0x47ef_ffff_f000_0000, // halfway between the largest single and 2^128
    0x3690_0000_0000_0000, // half the smallest single
];

const SINGLES: [u32; 16] = [
    0,
    1 << 31,
    0x7f80_0000,
    0xff80_0000,
    0x7fc0_0000,
    0xffff_ffff,
    0x7f80_0001,
    0xffbf_ffff,
    1,
    0x007f_ffff,
    0x0080_0000,
    0x7f7f_ffff,
    0x3f80_0001,
    0x3f7f_ffff,
    0x4f00_0000, // 2^31
    0xdf00_0000, // -2^63
];

/// Which operands random instructions get.
#[derive(Clone, Debug)]
pub struct Bias {
    /// The integer registers to choose from; few make instructions depend on each other.
    pub x: Vec<X>,
    /// The floating-point registers to choose from.
    pub f: Vec<F>,
    /// Whether rounding modes may be dynamic.
    pub dynamic_rounding: bool,
}

impl Default for Bias {
    /// All registers, all rounding modes.
    fn default() -> Self {
        let (x, f) = ((0..32).map(X::new).collect(), (0..32).map(F::new).collect());
        Bias {
            x,
            f,
            dynamic_rounding: true,
        }
    }
}

impl Bias {
    /// A random word of this row, as the table allows it.
    ///
    /// # Panics
    /// If there is no register to choose from.
    pub fn instruction(&self, op: Op, random: &mut Random) -> Insn {
        let row = op.row();
        loop {
            // Bits first, so that every operand field of every format is covered without being
            // named here, then registers from the pool wherever the decoder finds some.
            let noise = match random.below(8) {
                0 => 0,
                1 => u64::MAX,
                2 => random.bits() & random.bits() & random.bits(),
                3 => random.bits() | random.bits() | random.bits(),
                _ => random.bits(),
            };
            let word = row.bits | noise as u32 & !row.mask;
            let Some(insn) = (row.decode)(word) else {
                continue;
            };
            let insn = insn.map_registers(
                |x| self.x[x.index() % self.x.len()],
                |f| self.f[f.index() % self.f.len()],
            );
            if insn.rm() == Some(Rm::Dyn) && !self.dynamic_rounding {
                continue;
            }
            return insn;
        }
    }

    /// A random instruction of any row, all rows alike.
    ///
    /// # Panics
    /// As [`Bias::instruction`].
    pub fn any(&self, random: &mut Random) -> Insn {
        let op = random.choose(Op::ALL);
        self.instruction(op, random)
    }
}

/// A random parcel of this compressed row, as the table allows it.
pub fn compressed(op: CompressedOp, random: &mut Random) -> Compressed {
    let row = op.row();
    loop {
        let parcel = row.pattern.bits | random.bits() as u16 & !row.pattern.mask;
        // A parcel of a special case belongs to the special case's row.
        match crate::compressed::decode(parcel) {
            Some(insn) if insn.op() == op => return insn,
            _ => {}
        }
    }
}
