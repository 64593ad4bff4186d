//! The table of compressed instructions, the only place that knows their encodings, and what each
//! stands for.
//!
//! A row is the 16-bit pattern as the manual prints it, the mnemonic, the typed variant, and its
//! expansion. A dot is an operand bit; the bits marked `n` are operand bits too and not all zero
//! (the manual's nzimm, rd≠0, rs2≠0): a parcel with all of them 0 is not this instruction. Two
//! rows may overlap only where the earlier is a special case of the later.

pub mod operands;

use crate::operands::*;
use crate::registers::X;
use crate::table::Insn;
use operands::*;

/// One line of the table.
#[derive(Clone, Copy)]
pub struct CompressedRow {
    /// The mnemonic, as the manual and GNU as spell it.
    pub mnemonic: &'static str,
    /// Which instruction it is.
    pub op: CompressedOp,
    /// The parcel's fixed bits.
    pub pattern: Pattern,
    /// The row's decoder, for a parcel that matches the pattern.
    pub decode: fn(u16) -> Compressed,
}

/// What a parcel must look like to be of a row.
#[derive(Clone, Copy)]
pub struct Pattern {
    /// The bits that are fixed.
    pub mask: u16,
    /// The values of the fixed bits; 0 elsewhere.
    pub bits: u16,
    /// Bits that must not all be 0; none if this is 0.
    pub nonzero: u16,
}

impl Pattern {
    const fn parse(pattern: &str) -> Pattern {
        let text = pattern.as_bytes();
        let mut p = Pattern {
            mask: 0,
            bits: 0,
            nonzero: 0,
        };
        let (mut width, mut i) = (0, 0);
        while i < text.len() {
            let (fixed, value, nonzero) = match text[i] {
                b' ' => {
                    i += 1;
                    continue;
                }
                b'0' => (1, 0, 0),
                b'1' => (1, 1, 0),
                b'.' => (0, 0, 0),
                b'n' => (0, 0, 1),
                _ => panic!("a pattern holds 0, 1, dot, n and space"),
            };
            p.mask = p.mask << 1 | fixed;
            p.bits = p.bits << 1 | value;
            p.nonzero = p.nonzero << 1 | nonzero;
            width += 1;
            i += 1;
        }
        assert!(width == 16, "a pattern is 16 bits wide");
        p
    }

    /// Whether `parcel` is of this row.
    #[inline]
    pub const fn matches(&self, parcel: u16) -> bool {
        parcel & self.mask == self.bits && (self.nonzero == 0 || parcel & self.nonzero != 0)
    }

    /// Whether `self` fixes all that `other` fixes and more, and a parcel that is not of `self`
    /// only because its `n` bits are 0 is not of `other` either: it stays reserved.
    const fn is_special_case_of(&self, other: &Pattern) -> bool {
        let fixed_zero = self.mask & !self.bits;
        self.mask != other.mask
            && self.mask & other.mask == other.mask
            && self.bits & other.mask == other.bits
            && (self.nonzero == 0
                || other.nonzero != 0 && other.nonzero & !(self.nonzero | fixed_zero) == 0)
    }

    /// Whether no parcel can match both.
    const fn is_disjoint(&self, other: &Pattern) -> bool {
        (self.bits ^ other.bits) & self.mask & other.mask != 0
            || self.forces_zero(other.nonzero)
            || other.forces_zero(self.nonzero)
    }

    const fn forces_zero(&self, field: u16) -> bool {
        field != 0 && self.mask & field == field && self.bits & field == 0
    }
}

macro_rules! compressed_instructions {
    ($($pattern:literal $mnemonic:literal $name:ident($operands:ident $fields:tt) => $expansion:expr,)*) => {
        /// A compressed instruction with its operands.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Compressed {
            $(#[doc = concat!("`", $mnemonic, "`")] $name($operands),)*
        }

        /// A compressed instruction without its operands.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum CompressedOp {
            $(#[doc = concat!("`", $mnemonic, "`")] $name,)*
        }

        impl Compressed {
            /// Which instruction this is.
            pub const fn op(&self) -> CompressedOp {
                match self { $(Compressed::$name(_) => CompressedOp::$name,)* }
            }

            /// The 16-bit parcel of this instruction.
            pub fn encode(self) -> u16 {
                match self {
                    $(Compressed::$name(o) => CompressedOp::$name.row().pattern.bits | o.encode(),)*
                }
            }

            /// The instruction that it stands for.
            #[inline]
            pub fn expand(self) -> Insn {
                use Insn::*;
                match self { $(Compressed::$name($operands $fields) => $expansion,)* }
            }
        }

        impl CompressedOp {
            /// Every compressed instruction, in the order of the table.
            pub const ALL: &[CompressedOp] = &[$(CompressedOp::$name,)*];

            /// This instruction's row.
            pub const fn row(self) -> &'static CompressedRow {
                &COMPRESSED_ROWS[self as usize]
            }
        }

        /// The table.
        pub static COMPRESSED_ROWS: [CompressedRow; [$(CompressedOp::$name),*].len()] = [
            $({
                const PATTERN: Pattern = Pattern::parse($pattern);
                const {
                    assert!(PATTERN.mask == !<$operands as CompressedOperands>::FIELDS, $mnemonic)
                };
                CompressedRow {
                    mnemonic: $mnemonic,
                    op: CompressedOp::$name,
                    pattern: PATTERN,
                    decode: |parcel| Compressed::$name(<$operands>::decode(parcel)),
                }
            },)*
        ];

        const _: () = {
            let rows = [$(Pattern::parse($pattern)),*];
            let mut i = 0;
            while i < rows.len() {
                let mut j = 0;
                while j < i {
                    assert!(
                        rows[j].is_disjoint(&rows[i]) || rows[j].is_special_case_of(&rows[i]),
                        "two rows of the table overlap"
                    );
                    j += 1;
                }
                i += 1;
            }
        };

        /// Calls `$body!` with every compressed variant's name and operand type.
        #[macro_export]
        macro_rules! for_each_compressed_instruction {
            ($body:ident) => { $body! { $($name $operands),* } };
        }
    };
}

/// Where the rows of a quadrant (bits 1:0) and funct3 (bits 15:13) begin and end in `ORDER`.
static BUCKETS: [(u8, u8); 32] = BUILT.0;
/// Rows by bucket, in the order of the table within each.
static ORDER: [u8; COMPRESSED_ROWS.len()] = BUILT.1;

const fn bucket(parcel: u16) -> usize {
    (parcel as usize & 3) << 3 | parcel as usize >> 13
}

const BUILT: ([(u8, u8); 32], [u8; COMPRESSED_ROWS.len()]) = {
    let (mut buckets, mut order) = ([(0, 0); 32], [0; COMPRESSED_ROWS.len()]);
    let (mut key, mut len) = (0, 0);
    while key < 32 {
        let (start, mut row) = (len, 0);
        while row < COMPRESSED_ROWS.len() {
            let Pattern { mask, bits, .. } = CompressedOp::ALL[row].row().pattern;
            assert!(
                mask & 0xe003 == 0xe003,
                "quadrant and funct3 are fixed in every row"
            );
            if bucket(bits) == key {
                order[len] = row as u8;
                len += 1;
            }
            row += 1;
        }
        buckets[key] = (start as u8, len as u8);
        key += 1;
    }
    (buckets, order)
};

/// The compressed instruction that a parcel holds; `None` if its encoding is reserved or if it
/// begins a longer instruction.
#[inline]
pub fn decode(parcel: u16) -> Option<Compressed> {
    let (start, end) = BUCKETS[bucket(parcel)];
    let row = ORDER[start as usize..end as usize]
        .iter()
        .map(|&row| &COMPRESSED_ROWS[row as usize])
        .find(|row| row.pattern.matches(parcel))?;
    Some((row.decode)(parcel))
}

const SP: X = X::SP;
const ZERO: X = X::ZERO;

compressed_instructions! {
    // Quadrant 0.
    "000 nnnnnnnn ... 00" "c.addi4spn" CAddi4spn(Ciw { rd, imm }) => Addi(I { rd, rs1: SP, imm }),
    "001 ... ... .. ... 00" "c.fld" CFld(Cfld { rd, rs1, imm }) => Fld(Fl { rd, rs1, imm }),
    "010 ... ... .. ... 00" "c.lw" CLw(Clw { rd, rs1, imm }) => Lw(I { rd, rs1, imm }),
    "011 ... ... .. ... 00" "c.ld" CLd(Cld { rd, rs1, imm }) => Ld(I { rd, rs1, imm }),
    "101 ... ... .. ... 00" "c.fsd" CFsd(Cfsd { rs2, rs1, imm }) => Fsd(Fs { rs1, rs2, imm }),
    "110 ... ... .. ... 00" "c.sw" CSw(Csw { rs2, rs1, imm }) => Sw(S { rs1, rs2, imm }),
    "111 ... ... .. ... 00" "c.sd" CSd(Csd { rs2, rs1, imm }) => Sd(S { rs1, rs2, imm }),
    // Quadrant 1.
    "000 . 00000 ..... 01" "c.nop" CNop(Cnop { imm }) => Addi(I { rd: ZERO, rs1: ZERO, imm }),
    "000 . nnnnn ..... 01" "c.addi" CAddi(Ci { rd, imm }) => Addi(I { rd, rs1: rd, imm }),
    "001 . nnnnn ..... 01" "c.addiw" CAddiw(Ci { rd, imm }) => Addiw(I { rd, rs1: rd, imm }),
    "010 . ..... ..... 01" "c.li" CLi(Ci { rd, imm }) => Addi(I { rd, rs1: ZERO, imm }),
    "011 n 00010 nnnnn 01" "c.addi16sp" CAddi16sp(Ci16 { imm }) => Addi(I { rd: SP, rs1: SP, imm }),
    "011 n ..... nnnnn 01" "c.lui" CLui(Clui { rd, imm }) => Lui(U { rd, imm }),
    "100 . 00 ... ..... 01" "c.srli" CSrli(Cbshift { rd, shamt }) => Srli(shift(rd, shamt)),
    "100 . 01 ... ..... 01" "c.srai" CSrai(Cbshift { rd, shamt }) => Srai(shift(rd, shamt)),
    "100 . 10 ... ..... 01" "c.andi" CAndi(Cbi { rd, imm }) => Andi(I { rd, rs1: rd, imm }),
    "100 0 11 ... 00 ... 01" "c.sub" CSub(Ca { rd, rs2 }) => Sub(R { rd, rs1: rd, rs2 }),
    "100 0 11 ... 01 ... 01" "c.xor" CXor(Ca { rd, rs2 }) => Xor(R { rd, rs1: rd, rs2 }),
    "100 0 11 ... 10 ... 01" "c.or" COr(Ca { rd, rs2 }) => Or(R { rd, rs1: rd, rs2 }),
    "100 0 11 ... 11 ... 01" "c.and" CAnd(Ca { rd, rs2 }) => And(R { rd, rs1: rd, rs2 }),
    "100 1 11 ... 00 ... 01" "c.subw" CSubw(Ca { rd, rs2 }) => Subw(R { rd, rs1: rd, rs2 }),
    "100 1 11 ... 01 ... 01" "c.addw" CAddw(Ca { rd, rs2 }) => Addw(R { rd, rs1: rd, rs2 }),
    "101 ........... 01" "c.j" CJ(Cj { imm }) => Jal(J { rd: ZERO, imm }),
    "110 ... ... ..... 01" "c.beqz" CBeqz(Cb { rs1, imm }) => Beq(B { rs1, rs2: ZERO, imm }),
    "111 ... ... ..... 01" "c.bnez" CBnez(Cb { rs1, imm }) => Bne(B { rs1, rs2: ZERO, imm }),
    // Quadrant 2.
    "000 . ..... ..... 10" "c.slli" CSlli(Cshift { rd, shamt }) => Slli(shift(rd, shamt)),
    "001 . ..... ..... 10" "c.fldsp" CFldsp(Cfldsp { rd, imm }) => Fld(Fl { rd, rs1: SP, imm }),
    "010 . nnnnn ..... 10" "c.lwsp" CLwsp(Clwsp { rd, imm }) => Lw(I { rd, rs1: SP, imm }),
    "011 . nnnnn ..... 10" "c.ldsp" CLdsp(Cldsp { rd, imm }) => Ld(I { rd, rs1: SP, imm }),
    "100 0 nnnnn 00000 10" "c.jr" CJr(Cjr { rs1 }) => Jalr(I { rd: ZERO, rs1, imm: 0 }),
    "100 0 ..... nnnnn 10" "c.mv" CMv(Cr { rd, rs2 }) => Add(R { rd, rs1: ZERO, rs2 }),
    "100 1 00000 00000 10" "c.ebreak" CEbreak(Cnone {}) => Ebreak(None0),
    "100 1 nnnnn 00000 10" "c.jalr" CJalr(Cjr { rs1 }) => Jalr(I { rd: X::RA, rs1, imm: 0 }),
    "100 1 ..... nnnnn 10" "c.add" CAdd(Cr { rd, rs2 }) => Add(R { rd, rs1: rd, rs2 }),
    "101 ...... ..... 10" "c.fsdsp" CFsdsp(Cfsdsp { rs2, imm }) => Fsd(Fs { rs1: SP, rs2, imm }),
    "110 ...... ..... 10" "c.swsp" CSwsp(Cswsp { rs2, imm }) => Sw(S { rs1: SP, rs2, imm }),
    "111 ...... ..... 10" "c.sdsp" CSdsp(Csdsp { rs2, imm }) => Sd(S { rs1: SP, rs2, imm }),
}

/// A shift of a register in place.
fn shift(rd: X, shamt: i32) -> Sh6 {
    Sh6 {
        rd,
        rs1: rd,
        shamt: shamt as u8,
    }
}
