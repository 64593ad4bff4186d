//! Instructions as text, spelled as GNU objdump does with `-M no-aliases`: mnemonic, tab,
//! operands; a compressed instruction keeps its own name.
//!
//! Where the text differs from objdump 2.40 on purpose (`tests/objdump.rs` holds the list):
//! the manual's `c.nop` instead of `c.addi zero`, `c.slli` and so on with shamt 0 instead of
//! `c.slli64`; what the manual reserves is `.2byte` or `.4byte` (rounding modes 5 and 6,
//! `c.addi16sp sp,0`), and what it says to ignore is ignored (reserved fields of fence and
//! fence.i, the rounding mode of exact conversions). The guess at the address that lui, auipc and
//! a following instruction make together (`# 12345 <symbol>`) needs a context that one
//! instruction does not have.

use crate::compressed::operands::*;
use crate::compressed::{self, Compressed};
use crate::operands::*;
use crate::registers::X;
use crate::table::{Insn, Op};
use crate::{csr_names, decode};

/// Gives an address a name, such as `main+0x10`.
pub type Symbols<'a> = &'a dyn Fn(u64) -> Option<String>;

/// The text of the instruction in the low bits of `parcels` (the low 16 alone for a compressed
/// one) at address `pc`. Jump targets are absolute, in hexadecimal without `0x`.
pub fn text(parcels: u32, pc: u64) -> String {
    symbolised(parcels, pc, &|_| None)
}

/// Like [`text`], with ` <name>` after each jump target that has one.
pub fn symbolised(parcels: u32, pc: u64, symbols: Symbols<'_>) -> String {
    let parcel = parcels as u16;
    if decode::length(parcel) == 4 {
        return match decode::decode(parcels) {
            Some(_) if parcels == UNIMP => "unimp".to_owned(),
            Some(decoded) => instruction(decoded.insn, pc, symbols),
            None => format!(".4byte\t{parcels:#x}"),
        };
    }
    match compressed::decode(parcel) {
        Some(insn) => compressed_text(insn, pc, symbols),
        None if parcel == 0 => "c.unimp".to_owned(),
        None => format!(".2byte\t{parcel:#x}"),
    }
}

/// What compilers emit to trap for sure: `csrrw zero,cycle,zero`, which writes a read-only CSR.
const UNIMP: u32 = 0xc000_1073;

/// The text of an instruction at `pc`, which is not compressed.
pub fn instruction(insn: Insn, pc: u64, symbols: Symbols<'_>) -> String {
    let (op, place) = (
        insn.op(),
        Place {
            op: Some(insn.op()),
            pc,
            symbols,
        },
    );
    macro_rules! arms {
        ($($name:ident $operands:ty),*) => {
            match insn { $(Insn::$name(o) => (o.suffix(), o.text(&place)),)* }
        };
    }
    let (suffix, operands) = for_each_instruction!(arms);
    if let Insn::Fence(Fence { order: 0x833, .. }) = insn {
        return "fence.tso".to_owned();
    }
    join(op.row().mnemonic, suffix, &operands)
}

fn compressed_text(insn: Compressed, pc: u64, symbols: Symbols<'_>) -> String {
    let place = Place {
        op: None,
        pc,
        symbols,
    };
    macro_rules! arms {
        ($($name:ident $operands:ty),*) => {
            match insn { $(Compressed::$name(o) => o.text(&place),)* }
        };
    }
    join(
        insn.op().row().mnemonic,
        "",
        &for_each_compressed_instruction!(arms),
    )
}

fn join(mnemonic: &str, suffix: &str, operands: &str) -> String {
    let tab = if operands.is_empty() { "" } else { "\t" };
    format!("{mnemonic}{suffix}{tab}{operands}")
}

/// Where an instruction stands, and which it is if not a compressed one.
struct Place<'a> {
    op: Option<Op>,
    pc: u64,
    symbols: Symbols<'a>,
}

impl Place<'_> {
    fn target(&self, displacement: i32) -> String {
        let target = self.pc.wrapping_add_signed(displacement.into());
        match (self.symbols)(target) {
            Some(name) => format!("{target:x} <{name}>"),
            None => format!("{target:x}"),
        }
    }

    /// The rounding mode as the last operand. The one that as puts in when none is written is
    /// not shown: the dynamic one, but nearest-even in conversions that never round.
    fn rm(&self, rm: Rm) -> &'static str {
        let exact = matches!(self.op, Some(Op::FcvtDS | Op::FcvtDW | Op::FcvtDWu));
        match rm {
            Rm::Rne if exact => "",
            Rm::Rne => ",rne",
            Rm::Rtz => ",rtz",
            Rm::Rdn => ",rdn",
            Rm::Rup => ",rup",
            Rm::Rmm => ",rmm",
            Rm::Dyn if exact => ",dyn",
            Rm::Dyn => "",
        }
    }

    /// Whether a register and an immediate make an address: loads and jalr.
    fn is_address(&self) -> bool {
        self.op
            .is_some_and(|op| matches!(op.row().bits & 0x7f, 0b000_0011 | 0b110_0111))
    }
}

/// How an operand format is written.
trait Syntax: Sized {
    /// What follows the mnemonic.
    fn suffix(&self) -> &'static str {
        ""
    }
    /// The operands.
    fn text(self, place: &Place<'_>) -> String;
}

macro_rules! syntax {
    ($($format:ident $fields:tt, $place:pat => $text:expr;)*) => {$(
        impl Syntax for $format {
            fn text(self, $place: &Place<'_>) -> String {
                let $format $fields = self;
                $text
            }
        }
    )*};
    (suffixed: $($format:ident $fields:tt => $text:expr;)*) => {$(
        impl Syntax for $format {
            fn suffix(&self) -> &'static str {
                match (self.aq, self.rl) {
                    (false, false) => "",
                    (false, true) => ".rl",
                    (true, false) => ".aq",
                    (true, true) => ".aqrl",
                }
            }
            fn text(self, _: &Place<'_>) -> String {
                let $format $fields = self;
                $text
            }
        }
    )*};
}

syntax! { suffixed:
    Lr { rd, rs1, .. } => format!("{rd},({rs1})");
    Amo { rd, rs1, rs2, .. } => format!("{rd},{rs2},({rs1})");
}

syntax! {
    R { rd, rs1, rs2 }, _ => format!("{rd},{rs1},{rs2}");
    R1 { rd, rs1 }, _ => format!("{rd},{rs1}");
    Fr { rd, rs1, rs2, rm }, at => format!("{rd},{rs1},{rs2}{}", at.rm(rm));
    Fr4 { rd, rs1, rs2, rs3, rm }, at => format!("{rd},{rs1},{rs2},{rs3}{}", at.rm(rm));
    Fr2 { rd, rs1, rs2 }, _ => format!("{rd},{rs1},{rs2}");
    Fr1 { rd, rs1, rm }, at => format!("{rd},{rs1}{}", at.rm(rm));
    Fcmp { rd, rs1, rs2 }, _ => format!("{rd},{rs1},{rs2}");
    FtoX { rd, rs1, rm }, at => format!("{rd},{rs1}{}", at.rm(rm));
    XtoF { rd, rs1, rm }, at => format!("{rd},{rs1}{}", at.rm(rm));
    FmvX { rd, rs1 }, _ => format!("{rd},{rs1}");
    XmvF { rd, rs1 }, _ => format!("{rd},{rs1}");
    I { rd, rs1, imm }, at => if at.is_address() {
        format!("{rd},{imm}({rs1})")
    } else {
        format!("{rd},{rs1},{imm}")
    };
    Fl { rd, rs1, imm }, _ => format!("{rd},{imm}({rs1})");
    S { rs1, rs2, imm }, _ => format!("{rs2},{imm}({rs1})");
    Fs { rs1, rs2, imm }, _ => format!("{rs2},{imm}({rs1})");
    B { rs1, rs2, imm }, at => format!("{rs1},{rs2},{}", at.target(imm));
    U { rd, imm }, _ => format!("{rd},{:#x}", imm as u32 >> 12);
    J { rd, imm }, at => format!("{rd},{}", at.target(imm));
    Sh6 { rd, rs1, shamt }, _ => format!("{rd},{rs1},{shamt:#x}");
    Sh5 { rd, rs1, shamt }, _ => format!("{rd},{rs1},{shamt:#x}");
    Csr { rd, rs1, csr }, _ => format!("{rd},{},{rs1}", csr_text(csr));
    CsrI { rd, uimm, csr }, _ => format!("{rd},{},{uimm}", csr_text(csr));
    Fence { order, .. }, at => if at.op == Some(Op::FenceI) {
        String::new()
    } else {
        format!("{},{}", accesses(order >> 4 & 15), accesses(order & 15))
    };
    Vma { rs1, rs2 }, _ => format!("{rs1},{rs2}");
    Cbo { rs1 }, _ => format!("({rs1})");
    None0 {}, _ => String::new();

    Ciw { rd, imm }, _ => format!("{rd},{},{imm}", X::SP);
    Clw { rd, rs1, imm }, _ => format!("{rd},{imm}({rs1})");
    Cld { rd, rs1, imm }, _ => format!("{rd},{imm}({rs1})");
    Cfld { rd, rs1, imm }, _ => format!("{rd},{imm}({rs1})");
    Csw { rs2, rs1, imm }, _ => format!("{rs2},{imm}({rs1})");
    Csd { rs2, rs1, imm }, _ => format!("{rs2},{imm}({rs1})");
    Cfsd { rs2, rs1, imm }, _ => format!("{rs2},{imm}({rs1})");
    Cnop { imm }, _ => if imm == 0 { String::new() } else { imm.to_string() };
    Ci { rd, imm }, _ => format!("{rd},{imm}");
    Ci16 { imm }, _ => format!("{},{imm}", X::SP);
    Clui { rd, imm }, _ => format!("{rd},{:#x}", imm as u32 >> 12);
    Cshift { rd, shamt }, _ => format!("{rd},{shamt:#x}");
    Cbshift { rd, shamt }, _ => format!("{rd},{shamt:#x}");
    Cbi { rd, imm }, _ => format!("{rd},{imm}");
    Ca { rd, rs2 }, _ => format!("{rd},{rs2}");
    Cj { imm }, at => at.target(imm);
    Cb { rs1, imm }, at => format!("{rs1},{}", at.target(imm));
    Clwsp { rd, imm }, _ => format!("{rd},{imm}({})", X::SP);
    Cldsp { rd, imm }, _ => format!("{rd},{imm}({})", X::SP);
    Cfldsp { rd, imm }, _ => format!("{rd},{imm}({})", X::SP);
    Cswsp { rs2, imm }, _ => format!("{rs2},{imm}({})", X::SP);
    Csdsp { rs2, imm }, _ => format!("{rs2},{imm}({})", X::SP);
    Cfsdsp { rs2, imm }, _ => format!("{rs2},{imm}({})", X::SP);
    Cjr { rs1 }, _ => rs1.to_string();
    Cr { rd, rs2 }, _ => format!("{rd},{rs2}");
    Cnone {}, _ => String::new();
}

fn csr_text(csr: u16) -> String {
    csr_names::name(csr).map_or_else(|| format!("{csr:#x}"), |name| name.into_owned())
}

/// A fence's predecessor or successor set: device input and output, memory reads and writes.
fn accesses(set: u16) -> String {
    if set == 0 {
        return "unknown".to_owned();
    }
    [(8, 'i'), (4, 'o'), (2, 'r'), (1, 'w')]
        .into_iter()
        .filter_map(|(bit, letter)| (set & bit != 0).then_some(letter))
        .collect()
}
