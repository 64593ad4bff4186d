//! Operand formats of compressed instructions: where a 16-bit parcel keeps its registers and the
//! scattered bits of its immediate.

use crate::registers::{F, X};

/// What a compressed operand format can do. Reserved values are the table's business (its `n`),
/// so every parcel decodes.
pub trait CompressedOperands: Copy + Sized {
    /// The bits of the parcel that this format reads and writes.
    const FIELDS: u16;
    /// Takes the operands out of a parcel.
    fn decode(parcel: u16) -> Self;
    /// The operands as bits of a parcel; all other bits are 0.
    fn encode(self) -> u16;
}

/// An immediate's layout: for each bit of the parcel, which bit of the immediate it holds.
#[derive(Clone, Copy)]
struct Layout {
    /// The immediate's bit plus one; 0 where the parcel's bit is not part of it.
    bit: [u8; 16],
    /// Bits to shift left and right by to sign-extend; 0 for an unsigned immediate.
    extend: u32,
}

/// Expands the manual's notation, `5:4|9:6|2|3`, into single bit numbers.
const fn bit_list(text: &str) -> ([u8; 16], usize) {
    let text = text.as_bytes();
    let (mut list, mut len, mut i) = ([0; 16], 0, 0);
    let (mut number, mut from) = (0, None);
    while i <= text.len() {
        match if i < text.len() { text[i] } else { b'|' } {
            b':' => {
                from = Some(number);
                number = 0;
            }
            b'|' => {
                let mut bit = match from {
                    Some(high) => high,
                    None => number,
                };
                while bit >= number {
                    list[len] = bit;
                    len += 1;
                    if bit == 0 {
                        break;
                    }
                    bit -= 1;
                }
                from = None;
                number = 0;
            }
            digit => {
                assert!(
                    digit.is_ascii_digit(),
                    "a layout holds digits, colons and bars"
                );
                number = number * 10 + digit - b'0';
            }
        }
        i += 1;
    }
    (list, len)
}

impl Layout {
    /// The parcel's bits `place` hold the immediate's bits `value`, both in the manual's notation.
    const fn unsigned(place: &str, value: &str) -> Self {
        let ((place, places), (value, values)) = (bit_list(place), bit_list(value));
        assert!(
            places == values,
            "a layout places each bit of the immediate"
        );
        let (mut bit, mut i) = ([0; 16], 0);
        while i < places {
            bit[place[i] as usize] = value[i] + 1;
            i += 1;
        }
        Layout { bit, extend: 0 }
    }

    /// Like `unsigned`; the immediate's highest bit is its sign.
    const fn signed(place: &str, value: &str) -> Self {
        let mut layout = Self::unsigned(place, value);
        let (mut i, mut top) = (0, 0);
        while i < 16 {
            if layout.bit[i] > top {
                top = layout.bit[i];
            }
            i += 1;
        }
        layout.extend = 32 - top as u32;
        layout
    }

    const fn fields(&self) -> u16 {
        let (mut fields, mut i) = (0, 0);
        while i < 16 {
            fields |= ((self.bit[i] != 0) as u16) << i;
            i += 1;
        }
        fields
    }

    #[inline(always)]
    fn take(&self, parcel: u16) -> i32 {
        let mut value = 0;
        for (i, &bit) in self.bit.iter().enumerate() {
            if bit != 0 {
                value |= u32::from(parcel >> i & 1) << (bit - 1);
            }
        }
        ((value << self.extend) as i32) >> self.extend
    }

    fn put(&self, value: i32) -> u16 {
        let mut parcel = 0;
        for (i, &bit) in self.bit.iter().enumerate() {
            if bit != 0 {
                parcel |= ((value >> (bit - 1) & 1) as u16) << i;
            }
        }
        parcel
    }
}

/// A register field at bit `LO`, `WIDTH` bits wide: 5 for any register, 3 for `x8` to `x15`.
trait Register<const LO: u32, const WIDTH: u32>: Sized {
    fn take(parcel: u16) -> Self;
    fn put(self) -> u16;
}
macro_rules! register_field {
    ($($ty:ty),*) => {$(
        impl<const LO: u32, const WIDTH: u32> Register<LO, WIDTH> for $ty {
            #[inline(always)]
            fn take(parcel: u16) -> Self {
                let field = (parcel >> LO & ((1 << WIDTH) - 1)) as u8;
                <$ty>::new(if WIDTH == 3 { field + 8 } else { field })
            }
            fn put(self) -> u16 {
                (u16::from(self.number()) & ((1 << WIDTH) - 1)) << LO
            }
        }
    )*};
}
register_field!(X, F);

/// Declares formats: register fields with lowest bit and width, then perhaps an immediate.
macro_rules! formats {
    ($($(#[$doc:meta])* $name:ident {
        $($field:ident : $ty:ty = $lo:literal / $width:literal),*
    } $($imm:ident = $layout:expr)?;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[allow(missing_docs, reason = "fields carry the manual's names")]
        pub struct $name { $(pub $field: $ty,)* $(pub $imm: i32)? }
        impl $name {
            $(const LAYOUT: Layout = { let $imm = $layout; $imm };)?
        }
        impl CompressedOperands for $name {
            const FIELDS: u16 = 0 $(| ((1 << $width) - 1) << $lo)*
                $(| { let $imm = Self::LAYOUT; $imm.fields() })?;
            #[inline(always)]
            fn decode(_parcel: u16) -> Self {
                $name {
                    $($field: <$ty as Register<$lo, $width>>::take(_parcel),)*
                    $($imm: Self::LAYOUT.take(_parcel))?
                }
            }
            fn encode(self) -> u16 {
                0 $(| <$ty as Register<$lo, $width>>::put(self.$field))*
                    $(| Self::LAYOUT.put(self.$imm))?
            }
        }
    )*};
}

const WORD: Layout = Layout::unsigned("12:10|6|5", "5:3|2|6");
const DOUBLE: Layout = Layout::unsigned("12:10|6:5", "5:3|7:6");
const WORD_SP: Layout = Layout::unsigned("12|6:2", "5|4:2|7:6");
const DOUBLE_SP: Layout = Layout::unsigned("12|6:2", "5|4:3|8:6");
const SIGNED6: Layout = Layout::signed("12|6:2", "5|4:0");
const SHIFT: Layout = Layout::unsigned("12|6:2", "5|4:0");

formats! {
    /// c.addi4spn.
    Ciw { rd: X = 2/3 } imm = Layout::unsigned("12:5", "5:4|9:6|2|3");
    /// c.lw.
    Clw { rd: X = 2/3, rs1: X = 7/3 } imm = WORD;
    /// c.ld.
    Cld { rd: X = 2/3, rs1: X = 7/3 } imm = DOUBLE;
    /// c.fld.
    Cfld { rd: F = 2/3, rs1: X = 7/3 } imm = DOUBLE;
    /// c.sw.
    Csw { rs2: X = 2/3, rs1: X = 7/3 } imm = WORD;
    /// c.sd.
    Csd { rs2: X = 2/3, rs1: X = 7/3 } imm = DOUBLE;
    /// c.fsd.
    Cfsd { rs2: F = 2/3, rs1: X = 7/3 } imm = DOUBLE;
    /// c.nop, whose immediate is a hint.
    Cnop { } imm = SIGNED6;
    /// A register and a 6-bit signed immediate.
    Ci { rd: X = 7/5 } imm = SIGNED6;
    /// c.addi16sp.
    Ci16 { } imm = Layout::signed("12|6:2", "9|4|6|8:7|5");
    /// c.lui; the immediate is the value loaded, its low 12 bits 0.
    Clui { rd: X = 7/5 } imm = Layout::signed("12|6:2", "17|16:12");
    /// c.slli.
    Cshift { rd: X = 7/5 } shamt = SHIFT;
    /// c.srli and c.srai.
    Cbshift { rd: X = 7/3 } shamt = SHIFT;
    /// c.andi.
    Cbi { rd: X = 7/3 } imm = SIGNED6;
    /// Register-register arithmetic on the eight popular registers.
    Ca { rd: X = 7/3, rs2: X = 2/3 };
    /// c.j.
    Cj { } imm = Layout::signed("12:2", "11|4|9:8|10|6|7|3:1|5");
    /// c.beqz and c.bnez.
    Cb { rs1: X = 7/3 } imm = Layout::signed("12:10|6:2", "8|4:3|7:6|2:1|5");
    /// c.lwsp.
    Clwsp { rd: X = 7/5 } imm = WORD_SP;
    /// c.ldsp.
    Cldsp { rd: X = 7/5 } imm = DOUBLE_SP;
    /// c.fldsp.
    Cfldsp { rd: F = 7/5 } imm = DOUBLE_SP;
    /// c.swsp.
    Cswsp { rs2: X = 2/5 } imm = Layout::unsigned("12:7", "5:2|7:6");
    /// c.sdsp.
    Csdsp { rs2: X = 2/5 } imm = Layout::unsigned("12:7", "5:3|8:6");
    /// c.fsdsp.
    Cfsdsp { rs2: F = 2/5 } imm = Layout::unsigned("12:7", "5:3|8:6");
    /// c.jr and c.jalr.
    Cjr { rs1: X = 7/5 };
    /// c.mv and c.add.
    Cr { rd: X = 7/5, rs2: X = 2/5 };
    /// No operands.
    Cnone { };
}
