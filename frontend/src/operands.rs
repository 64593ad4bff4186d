//! Operand formats: how an instruction word's fields become typed values.
//!
//! Each format of the unprivileged manual's chapter "Base Instruction Formats" is one struct
//! with a decoder and an encoder; `FIELDS` is the set of bits it owns, and the instruction table
//! is checked against it when the crate is built.

use crate::registers::{F, RegisterSet, X};

/// A rounding-mode field: 0 to 4, or 7 for the mode in `frm`. Unprivileged, "Floating-Point
/// Control and Status Register". 5 and 6 are reserved and do not decode.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Rm {
    /// Nearest, ties to even.
    Rne = 0,
    /// Towards zero.
    Rtz = 1,
    /// Down.
    Rdn = 2,
    /// Up.
    Rup = 3,
    /// Nearest, ties to maximum magnitude.
    Rmm = 4,
    /// The mode in `frm`.
    Dyn = 7,
}

impl Rm {
    /// The mode of a 3-bit field; `None` for the reserved 5 and 6.
    pub const fn from_bits(bits: u8) -> Option<Rm> {
        Some(match bits {
            0 => Rm::Rne,
            1 => Rm::Rtz,
            2 => Rm::Rdn,
            3 => Rm::Rup,
            4 => Rm::Rmm,
            7 => Rm::Dyn,
            _ => return None,
        })
    }
}

/// What an operand format can do. `decode` is `None` where a field holds a reserved value.
pub trait Operands: Copy + Sized {
    /// The bits of the word that this format reads and writes.
    const FIELDS: u32;
    /// Takes the operands out of a word.
    fn decode(word: u32) -> Option<Self>;
    /// The operands as bits of a word; all other bits are 0.
    fn encode(self) -> u32;
    /// The register that an `rd` field names.
    fn defs(self) -> RegisterSet;
    /// The registers that the other fields name.
    fn uses(self) -> RegisterSet;
    /// The same operands with other registers: each goes through `x` or `f`, by its kind.
    #[must_use]
    fn map_registers(self, x: impl FnMut(X) -> X, f: impl FnMut(F) -> F) -> Self;
    /// The rounding mode, in the formats that have one.
    fn rm(self) -> Option<Rm> {
        None
    }
    /// A jump's or branch's distance, in the formats of those.
    fn displacement(self) -> Option<i64> {
        None
    }
}

const RD: u32 = 0x1f << 7;
const RS1: u32 = 0x1f << 15;
const RS2: u32 = 0x1f << 20;
const RS3: u32 = 0x1f << 27;
const RM: u32 = 7 << 12;
const AQRL: u32 = 3 << 25;
const IMM12: u32 = 0xfff << 20;
const IMM20: u32 = 0xfffff << 12;
const IMM_S: u32 = 0x7f << 25 | 0x1f << 7;

/// Bits `lo..lo+len` of `word`.
const fn bits(word: u32, lo: u32, len: u32) -> u32 {
    word >> lo & ((1 << len) - 1)
}

/// A field of a word, as it is packed at bit `LO`.
trait Field<const LO: u32>: Sized {
    fn take(word: u32) -> Option<Self>;
    fn put(self) -> u32;
    /// The register that the field names, if that is what it does.
    fn register(self) -> RegisterSet {
        RegisterSet::EMPTY
    }
    /// The field after its register, if it names one, went through `x` or `f`.
    fn map(self, _x: &mut impl FnMut(X) -> X, _f: &mut impl FnMut(F) -> F) -> Self {
        self
    }
    /// The rounding mode, if that is what the field holds.
    fn rm(self) -> Option<Rm> {
        None
    }
}
impl<const LO: u32> Field<LO> for X {
    fn take(word: u32) -> Option<Self> {
        Some(X::new(bits(word, LO, 5) as u8))
    }
    fn put(self) -> u32 {
        u32::from(self.number()) << LO
    }
    fn register(self) -> RegisterSet {
        self.into()
    }
    fn map(self, x: &mut impl FnMut(X) -> X, _f: &mut impl FnMut(F) -> F) -> Self {
        x(self)
    }
}
impl<const LO: u32> Field<LO> for F {
    fn take(word: u32) -> Option<Self> {
        Some(F::new(bits(word, LO, 5) as u8))
    }
    fn put(self) -> u32 {
        u32::from(self.number()) << LO
    }
    fn register(self) -> RegisterSet {
        self.into()
    }
    fn map(self, _x: &mut impl FnMut(X) -> X, f: &mut impl FnMut(F) -> F) -> Self {
        f(self)
    }
}
impl<const LO: u32> Field<LO> for Rm {
    fn take(word: u32) -> Option<Self> {
        Rm::from_bits(bits(word, LO, 3) as u8)
    }
    fn put(self) -> u32 {
        (self as u32) << LO
    }
    fn rm(self) -> Option<Rm> {
        Some(self)
    }
}
impl<const LO: u32> Field<LO> for bool {
    fn take(word: u32) -> Option<Self> {
        Some(bits(word, LO, 1) == 1)
    }
    fn put(self) -> u32 {
        u32::from(self) << LO
    }
}

/// The methods of [`Operands`] that go through all fields of a format.
macro_rules! fields {
    ($($field:ident : $ty:ty = $lo:literal),*) => {
        fn defs(self) -> RegisterSet {
            RegisterSet::EMPTY
                $(.union(fields!(@def $field <$ty as Field<$lo>>::register(self.$field))))*
        }
        fn uses(self) -> RegisterSet {
            RegisterSet::EMPTY
                $(.union(fields!(@use $field <$ty as Field<$lo>>::register(self.$field))))*
        }
        #[allow(clippy::needless_update, reason = "not every format has more fields")]
        fn map_registers(
            self,
            mut x: impl FnMut(X) -> X,
            mut f: impl FnMut(F) -> F,
        ) -> Self {
            Self {
                $($field: <$ty as Field<$lo>>::map(self.$field, &mut x, &mut f),)*
                ..self
            }
        }
        fn rm(self) -> Option<Rm> {
            None $(.or(<$ty as Field<$lo>>::rm(self.$field)))*
        }
    };
    (@def rd $register:expr) => { $register };
    (@def $other:ident $register:expr) => { RegisterSet::EMPTY };
    (@use rd $register:expr) => { RegisterSet::EMPTY };
    (@use $other:ident $register:expr) => { $register };
}

/// Declares formats whose fields are contiguous: name, doc, fields with type and lowest bit.
macro_rules! formats {
    ($($(#[$doc:meta])* $name:ident = $mask:expr; { $($field:ident : $ty:ty = $lo:literal),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[expect(missing_docs, reason = "fields carry the manual's names")]
        pub struct $name { $(pub $field: $ty),* }
        impl Operands for $name {
            const FIELDS: u32 = $mask;
            #[inline(always)]
            fn decode(word: u32) -> Option<Self> {
                Some($name { $($field: <$ty as Field<$lo>>::take(word)?),* })
            }
            fn encode(self) -> u32 {
                0 $(| <$ty as Field<$lo>>::put(self.$field))*
            }
            fields! { $($field: $ty = $lo),* }
        }
    )*};
}

formats! {
    /// Register-register.
    R = RD | RS1 | RS2; { rd: X = 7, rs1: X = 15, rs2: X = 20 }
    /// One source register (clz, rev8 and the like).
    R1 = RD | RS1; { rd: X = 7, rs1: X = 15 }
    /// Fences of address translation: virtual address and address space, x0 for all.
    Vma = RS1 | RS2; { rs1: X = 15, rs2: X = 20 }
    /// Operations on the cache block at an address.
    Cbo = RS1; { rs1: X = 15 }
    /// Load-reserved.
    Lr = RD | RS1 | AQRL; { rd: X = 7, rs1: X = 15, aq: bool = 26, rl: bool = 25 }
    /// Store-conditional and read-modify-write.
    Amo = RD | RS1 | RS2 | AQRL; { rd: X = 7, rs1: X = 15, rs2: X = 20, aq: bool = 26, rl: bool = 25 }
    /// Floating point, two sources, rounded.
    Fr = RD | RS1 | RS2 | RM; { rd: F = 7, rs1: F = 15, rs2: F = 20, rm: Rm = 12 }
    /// Floating point, three sources, rounded.
    Fr4 = RD | RS1 | RS2 | RS3 | RM; { rd: F = 7, rs1: F = 15, rs2: F = 20, rs3: F = 27, rm: Rm = 12 }
    /// Floating point, two sources, not rounded (sign injection, min, max).
    Fr2 = RD | RS1 | RS2; { rd: F = 7, rs1: F = 15, rs2: F = 20 }
    /// Floating point, one source, rounded (square root, change of format).
    Fr1 = RD | RS1 | RM; { rd: F = 7, rs1: F = 15, rm: Rm = 12 }
    /// Floating-point comparison.
    Fcmp = RD | RS1 | RS2; { rd: X = 7, rs1: F = 15, rs2: F = 20 }
    /// Floating point to integer, rounded.
    FtoX = RD | RS1 | RM; { rd: X = 7, rs1: F = 15, rm: Rm = 12 }
    /// Integer to floating point, rounded.
    XtoF = RD | RS1 | RM; { rd: F = 7, rs1: X = 15, rm: Rm = 12 }
    /// Bits or class of a floating-point register, to an integer register.
    FmvX = RD | RS1; { rd: X = 7, rs1: F = 15 }
    /// Bits of an integer register, to a floating-point register.
    XmvF = RD | RS1; { rd: F = 7, rs1: X = 15 }
}

/// Declares a format with an immediate whose bits are packed by `take` and `put`.
macro_rules! immediates {
    ($($(#[$doc:meta])* $name:ident = $mask:expr; { $($field:ident : $ty:ty = $lo:literal),* };
       $imm:ident : $immty:ty, |$word:ident| $take:expr, |$value:ident| $put:expr
       $(, $displacement:ident)?;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[expect(missing_docs, reason = "fields carry the manual's names")]
        pub struct $name { $(pub $field: $ty,)* pub $imm: $immty }
        impl Operands for $name {
            const FIELDS: u32 = $mask;
            #[inline(always)]
            fn decode($word: u32) -> Option<Self> {
                Some($name { $($field: <$ty as Field<$lo>>::take($word)?,)* $imm: $take })
            }
            fn encode(self) -> u32 {
                let $value = self.$imm;
                ($put) $(| <$ty as Field<$lo>>::put(self.$field))*
            }
            fields! { $($field: $ty = $lo),* }
            $(fn $displacement(self) -> Option<i64> {
                Some(self.$imm.into())
            })?
        }
    )*};
}

/// The S format's immediate: bits 31:25 and 11:7, sign-extended.
const fn s_take(w: u32) -> i32 {
    (w as i32 >> 25 << 5) | bits(w, 7, 5) as i32
}
const fn s_put(v: i32) -> u32 {
    (v as u32 >> 5 & 0x7f) << 25 | (v as u32 & 0x1f) << 7
}
/// The B format's immediate: imm[12|10:5] in 31:25, imm[4:1|11] in 11:7, sign-extended.
const fn b_take(w: u32) -> i32 {
    (w as i32 >> 31 << 12) | (bits(w, 7, 1) << 11 | bits(w, 25, 6) << 5 | bits(w, 8, 4) << 1) as i32
}
const fn b_put(v: i32) -> u32 {
    let v = v as u32;
    (v >> 12 & 1) << 31 | (v >> 5 & 0x3f) << 25 | (v >> 1 & 0xf) << 8 | (v >> 11 & 1) << 7
}
/// The J format's immediate: imm[20|10:1|11|19:12] in 31:12, sign-extended.
const fn j_take(w: u32) -> i32 {
    (w as i32 >> 31 << 20)
        | (bits(w, 12, 8) << 12 | bits(w, 20, 1) << 11 | bits(w, 21, 10) << 1) as i32
}
const fn j_put(v: i32) -> u32 {
    let v = v as u32;
    (v >> 20 & 1) << 31 | (v >> 1 & 0x3ff) << 21 | (v >> 11 & 1) << 20 | (v >> 12 & 0xff) << 12
}

immediates! {
    /// Register-immediate, loads, jalr; imm is -2048 to 2047.
    I = RD | RS1 | IMM12; { rd: X = 7, rs1: X = 15 };
        imm: i32, |w| w as i32 >> 20, |v| (v as u32) << 20;
    /// Floating-point loads.
    Fl = RD | RS1 | IMM12; { rd: F = 7, rs1: X = 15 };
        imm: i32, |w| w as i32 >> 20, |v| (v as u32) << 20;
    /// Stores; imm is -2048 to 2047.
    S = RS1 | RS2 | IMM_S; { rs1: X = 15, rs2: X = 20 };
        imm: i32, |w| s_take(w), |v| s_put(v);
    /// Floating-point stores.
    Fs = RS1 | RS2 | IMM_S; { rs1: X = 15, rs2: F = 20 };
        imm: i32, |w| s_take(w), |v| s_put(v);
    /// Conditional branches; imm is even, -4096 to 4094, relative to the branch.
    B = RS1 | RS2 | IMM_S; { rs1: X = 15, rs2: X = 20 };
        imm: i32, |w| b_take(w), |v| b_put(v), displacement;
    /// lui and auipc; imm is the value added, its low 12 bits 0.
    U = RD | IMM20; { rd: X = 7 };
        imm: i32, |w| (w & IMM20) as i32, |v| v as u32 & IMM20;
    /// jal; imm is even, -2^20 to 2^20 - 2, relative to the jump.
    J = RD | IMM20; { rd: X = 7 };
        imm: i32, |w| j_take(w), |v| j_put(v), displacement;
    /// Shifts and single-bit operations by a constant 0 to 63.
    Sh6 = RD | RS1 | 0x3f << 20; { rd: X = 7, rs1: X = 15 };
        shamt: u8, |w| bits(w, 20, 6) as u8, |v| u32::from(v & 63) << 20;
    /// Word shifts by a constant 0 to 31.
    Sh5 = RD | RS1 | 0x1f << 20; { rd: X = 7, rs1: X = 15 };
        shamt: u8, |w| bits(w, 20, 5) as u8, |v| u32::from(v & 31) << 20;
    /// Control and status registers, register operand.
    Csr = RD | RS1 | IMM12; { rd: X = 7, rs1: X = 15 };
        csr: u16, |w| (w >> 20) as u16, |v| u32::from(v) << 20;
}

/// Control and status registers, 5-bit immediate operand.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "fields carry the manual's names")]
pub struct CsrI {
    pub rd: X,
    pub uimm: u8,
    pub csr: u16,
}
impl Operands for CsrI {
    const FIELDS: u32 = RD | RS1 | IMM12;
    fn decode(w: u32) -> Option<Self> {
        let rd = X::new(bits(w, 7, 5) as u8);
        Some(CsrI {
            rd,
            uimm: bits(w, 15, 5) as u8,
            csr: (w >> 20) as u16,
        })
    }
    fn encode(self) -> u32 {
        u32::from(self.csr) << 20
            | u32::from(self.uimm & 31) << 15
            | u32::from(self.rd.number()) << 7
    }
    fn defs(self) -> RegisterSet {
        self.rd.into()
    }
    fn uses(self) -> RegisterSet {
        RegisterSet::EMPTY
    }
    fn map_registers(self, mut x: impl FnMut(X) -> X, _: impl FnMut(F) -> F) -> Self {
        CsrI {
            rd: x(self.rd),
            ..self
        }
    }
}

/// fence and fence.i; `order` is bits 31:20: fm, pred and succ. rd and rs1 are reserved and
/// ignored, so they are numbers, not registers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "fields carry the manual's names")]
pub struct Fence {
    pub rd: u8,
    pub rs1: u8,
    pub order: u16,
}
impl Operands for Fence {
    const FIELDS: u32 = RD | RS1 | IMM12;
    fn decode(w: u32) -> Option<Self> {
        let (rd, rs1) = (bits(w, 7, 5) as u8, bits(w, 15, 5) as u8);
        Some(Fence {
            rd,
            rs1,
            order: (w >> 20) as u16,
        })
    }
    fn encode(self) -> u32 {
        u32::from(self.order) << 20 | u32::from(self.rs1 & 31) << 15 | u32::from(self.rd & 31) << 7
    }
    fn defs(self) -> RegisterSet {
        RegisterSet::EMPTY
    }
    fn uses(self) -> RegisterSet {
        RegisterSet::EMPTY
    }
    fn map_registers(self, _: impl FnMut(X) -> X, _: impl FnMut(F) -> F) -> Self {
        self
    }
}

/// No operands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct None0;
impl Operands for None0 {
    const FIELDS: u32 = 0;
    fn decode(_: u32) -> Option<Self> {
        Some(None0)
    }
    fn encode(self) -> u32 {
        0
    }
    fn defs(self) -> RegisterSet {
        RegisterSet::EMPTY
    }
    fn uses(self) -> RegisterSet {
        RegisterSet::EMPTY
    }
    fn map_registers(self, _: impl FnMut(X) -> X, _: impl FnMut(F) -> F) -> Self {
        self
    }
}
