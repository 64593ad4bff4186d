//! The instruction table: the only place that knows encodings.
//!
//! A row is a bit pattern as the manual prints it (dots are operand bits), the mnemonic, and a
//! typed variant. The decoder, the encoder, the disassembler and the random generator are all
//! made from it. A row of the wrong width, a row whose dots are not its operands' fields, and two
//! rows that overlap fail the build.

use crate::operands::*;
use crate::registers::{F, RegisterSet, X};

/// One line of the table.
#[derive(Clone, Copy)]
pub struct Row {
    /// The mnemonic, as the manual and GNU as spell it.
    pub mnemonic: &'static str,
    /// Which instruction it is.
    pub op: Op,
    /// The bits that are fixed.
    pub mask: u32,
    /// The values of the fixed bits; 0 elsewhere.
    pub bits: u32,
    /// The row's decoder; `None` if an operand field holds a reserved value.
    pub decode: fn(u32) -> Option<Insn>,
}

/// Reads a pattern: `(mask, bits)` of its fixed positions.
const fn parse(pattern: &str) -> (u32, u32) {
    let text = pattern.as_bytes();
    let (mut mask, mut bits, mut width, mut i) = (0u32, 0u32, 0, 0);
    while i < text.len() {
        let (fixed, value) = match text[i] {
            b' ' => {
                i += 1;
                continue;
            }
            b'0' => (1, 0),
            b'1' => (1, 1),
            b'.' => (0, 0),
            _ => panic!("a pattern holds 0, 1, dot and space"),
        };
        mask = mask << 1 | fixed;
        bits = bits << 1 | value;
        width += 1;
        i += 1;
    }
    assert!(width == 32, "a pattern is 32 bits wide");
    (mask, bits)
}

macro_rules! instructions {
    ($($pattern:literal $mnemonic:literal $name:ident($operands:ty),)*) => {
        /// A decoded instruction with its operands. Compressed instructions decode to the
        /// instruction that they stand for.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Insn {
            $(#[doc = concat!("`", $mnemonic, "`")] $name($operands),)*
        }

        /// An instruction without its operands.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Op {
            $(#[doc = concat!("`", $mnemonic, "`")] $name,)*
        }

        impl Insn {
            /// Which instruction this is.
            #[inline]
            pub const fn op(&self) -> Op {
                match self { $(Insn::$name(_) => Op::$name,)* }
            }

            /// The 32-bit word of this instruction.
            pub fn encode(self) -> u32 {
                match self {
                    $(Insn::$name(operands) => Op::$name.row().bits | operands.encode(),)*
                }
            }

            /// The registers that it writes, without `x0`; fflags and memory are not registers.
            pub fn defs(self) -> RegisterSet {
                match self {
                    $(Insn::$name(operands) => operands.defs(),)*
                }
            }

            /// The registers that it reads, without `x0`.
            pub fn uses(self) -> RegisterSet {
                match self {
                    $(Insn::$name(operands) => operands.uses(),)*
                }
            }

            /// The same instruction with other registers: each goes through `x` or `f`.
            #[must_use]
            pub fn map_registers(
                self,
                x: impl FnMut(X) -> X,
                f: impl FnMut(F) -> F,
            ) -> Insn {
                match self { $(Insn::$name(o) => Insn::$name(o.map_registers(x, f)),)* }
            }

            /// Its rounding mode, if it has the field.
            pub fn rm(self) -> Option<Rm> {
                match self { $(Insn::$name(operands) => operands.rm(),)* }
            }

            /// Where a branch or jal at `pc` goes (a branch, if taken); `None` for all others.
            pub fn direct_target(self, pc: u64) -> Option<u64> {
                let displacement = match self {
                    $(Insn::$name(operands) => operands.displacement(),)*
                }?;
                Some(pc.wrapping_add_signed(displacement))
            }
        }

        impl Op {
            /// Every instruction, in the order of the table.
            pub const ALL: &[Op] = &[$(Op::$name,)*];

            /// Whether it goes to the execution environment, or belongs to one: what a user-mode
            /// engine leaves to others.
            pub const fn is_system(self) -> bool {
                matches!(self, Op::Ecall | Op::Ebreak | Op::FenceI) || self.is_privileged()
            }

            /// Whether it is privileged, or enabled and disabled by privileged registers.
            pub const fn is_privileged(self) -> bool {
                self as u8 >= Op::Sret as u8 && self as u8 <= Op::CboZero as u8
            }

            /// This instruction's row.
            pub const fn row(self) -> &'static Row {
                &ROWS[self as usize]
            }
        }

        /// The table.
        pub static ROWS: [Row; [$(Op::$name),*].len()] = [
            $({
                const PARSED: (u32, u32) = parse($pattern);
                const { assert!(PARSED.0 == !<$operands as Operands>::FIELDS, $mnemonic) };
                Row {
                    mnemonic: $mnemonic,
                    op: Op::$name,
                    mask: PARSED.0,
                    bits: PARSED.1,
                    decode: |word| Some(Insn::$name(<$operands>::decode(word)?)),
                }
            },)*
        ];

        const _: () = {
            let rows = [$((parse($pattern)),)*];
            let mut i = 0;
            while i < rows.len() {
                let mut j = 0;
                while j < i {
                    let ((m1, b1), (m2, b2)) = (rows[i], rows[j]);
                    assert!((b1 ^ b2) & m1 & m2 != 0, "two rows of the table overlap");
                    j += 1;
                }
                i += 1;
            }
        };

        /// Calls `$body!` with every variant's name and operand type: the way for an engine to
        /// make one handler a row without listing the rows again.
        #[macro_export]
        macro_rules! for_each_instruction {
            ($body:ident) => { $body! { $($name $operands),* } };
        }
    };
}

instructions! {
    // RV32I and RV64I.
    ".................... ..... 0110111" "lui" Lui(U),
    ".................... ..... 0010111" "auipc" Auipc(U),
    ".................... ..... 1101111" "jal" Jal(J),
    "............ ..... 000 ..... 1100111" "jalr" Jalr(I),
    "....... ..... ..... 000 ..... 1100011" "beq" Beq(B),
    "....... ..... ..... 001 ..... 1100011" "bne" Bne(B),
    "....... ..... ..... 100 ..... 1100011" "blt" Blt(B),
    "....... ..... ..... 101 ..... 1100011" "bge" Bge(B),
    "....... ..... ..... 110 ..... 1100011" "bltu" Bltu(B),
    "....... ..... ..... 111 ..... 1100011" "bgeu" Bgeu(B),
    "............ ..... 000 ..... 0000011" "lb" Lb(I),
    "............ ..... 001 ..... 0000011" "lh" Lh(I),
    "............ ..... 010 ..... 0000011" "lw" Lw(I),
    "............ ..... 011 ..... 0000011" "ld" Ld(I),
    "............ ..... 100 ..... 0000011" "lbu" Lbu(I),
    "............ ..... 101 ..... 0000011" "lhu" Lhu(I),
    "............ ..... 110 ..... 0000011" "lwu" Lwu(I),
    "....... ..... ..... 000 ..... 0100011" "sb" Sb(S),
    "....... ..... ..... 001 ..... 0100011" "sh" Sh(S),
    "....... ..... ..... 010 ..... 0100011" "sw" Sw(S),
    "....... ..... ..... 011 ..... 0100011" "sd" Sd(S),
    "............ ..... 000 ..... 0010011" "addi" Addi(I),
    "............ ..... 010 ..... 0010011" "slti" Slti(I),
    "............ ..... 011 ..... 0010011" "sltiu" Sltiu(I),
    "............ ..... 100 ..... 0010011" "xori" Xori(I),
    "............ ..... 110 ..... 0010011" "ori" Ori(I),
    "............ ..... 111 ..... 0010011" "andi" Andi(I),
    "000000 ...... ..... 001 ..... 0010011" "slli" Slli(Sh6),
    "000000 ...... ..... 101 ..... 0010011" "srli" Srli(Sh6),
    "010000 ...... ..... 101 ..... 0010011" "srai" Srai(Sh6),
    "0000000 ..... ..... 000 ..... 0110011" "add" Add(R),
    "0100000 ..... ..... 000 ..... 0110011" "sub" Sub(R),
    "0000000 ..... ..... 001 ..... 0110011" "sll" Sll(R),
    "0000000 ..... ..... 010 ..... 0110011" "slt" Slt(R),
    "0000000 ..... ..... 011 ..... 0110011" "sltu" Sltu(R),
    "0000000 ..... ..... 100 ..... 0110011" "xor" Xor(R),
    "0000000 ..... ..... 101 ..... 0110011" "srl" Srl(R),
    "0100000 ..... ..... 101 ..... 0110011" "sra" Sra(R),
    "0000000 ..... ..... 110 ..... 0110011" "or" Or(R),
    "0000000 ..... ..... 111 ..... 0110011" "and" And(R),
    "............ ..... 000 ..... 0011011" "addiw" Addiw(I),
    "0000000 ..... ..... 001 ..... 0011011" "slliw" Slliw(Sh5),
    "0000000 ..... ..... 101 ..... 0011011" "srliw" Srliw(Sh5),
    "0100000 ..... ..... 101 ..... 0011011" "sraiw" Sraiw(Sh5),
    "0000000 ..... ..... 000 ..... 0111011" "addw" Addw(R),
    "0100000 ..... ..... 000 ..... 0111011" "subw" Subw(R),
    "0000000 ..... ..... 001 ..... 0111011" "sllw" Sllw(R),
    "0000000 ..... ..... 101 ..... 0111011" "srlw" Srlw(R),
    "0100000 ..... ..... 101 ..... 0111011" "sraw" Sraw(R),
    "............ ..... 000 ..... 0001111" "fence" Fence(Fence),
    "000000000000 00000 000 00000 1110011" "ecall" Ecall(None0),
    "000000000001 00000 000 00000 1110011" "ebreak" Ebreak(None0),
    // Zifencei: fence.i ignores its operand fields.
    "............ ..... 001 ..... 0001111" "fence.i" FenceI(Fence),
    // Zicsr.
    "............ ..... 001 ..... 1110011" "csrrw" Csrrw(Csr),
    "............ ..... 010 ..... 1110011" "csrrs" Csrrs(Csr),
    "............ ..... 011 ..... 1110011" "csrrc" Csrrc(Csr),
    "............ ..... 101 ..... 1110011" "csrrwi" Csrrwi(CsrI),
    "............ ..... 110 ..... 1110011" "csrrsi" Csrrsi(CsrI),
    "............ ..... 111 ..... 1110011" "csrrci" Csrrci(CsrI),
    // Privileged: trap returns, waiting, address translation.
    "0001000 00010 00000 000 00000 1110011" "sret" Sret(None0),
    "0011000 00010 00000 000 00000 1110011" "mret" Mret(None0),
    "0001000 00101 00000 000 00000 1110011" "wfi" Wfi(None0),
    "0001001 ..... ..... 000 00000 1110011" "sfence.vma" SfenceVma(Vma),
    // Zicbom and Zicboz.
    "000000000000 ..... 010 00000 0001111" "cbo.inval" CboInval(Cbo),
    "000000000001 ..... 010 00000 0001111" "cbo.clean" CboClean(Cbo),
    "000000000010 ..... 010 00000 0001111" "cbo.flush" CboFlush(Cbo),
    "000000000100 ..... 010 00000 0001111" "cbo.zero" CboZero(Cbo),
    // M.
    "0000001 ..... ..... 000 ..... 0110011" "mul" Mul(R),
    "0000001 ..... ..... 001 ..... 0110011" "mulh" Mulh(R),
    "0000001 ..... ..... 010 ..... 0110011" "mulhsu" Mulhsu(R),
    "0000001 ..... ..... 011 ..... 0110011" "mulhu" Mulhu(R),
    "0000001 ..... ..... 100 ..... 0110011" "div" Div(R),
    "0000001 ..... ..... 101 ..... 0110011" "divu" Divu(R),
    "0000001 ..... ..... 110 ..... 0110011" "rem" Rem(R),
    "0000001 ..... ..... 111 ..... 0110011" "remu" Remu(R),
    "0000001 ..... ..... 000 ..... 0111011" "mulw" Mulw(R),
    "0000001 ..... ..... 100 ..... 0111011" "divw" Divw(R),
    "0000001 ..... ..... 101 ..... 0111011" "divuw" Divuw(R),
    "0000001 ..... ..... 110 ..... 0111011" "remw" Remw(R),
    "0000001 ..... ..... 111 ..... 0111011" "remuw" Remuw(R),
    // A.
    "00010 .. 00000 ..... 010 ..... 0101111" "lr.w" LrW(Lr),
    "00011 .. ..... ..... 010 ..... 0101111" "sc.w" ScW(Amo),
    "00001 .. ..... ..... 010 ..... 0101111" "amoswap.w" AmoswapW(Amo),
    "00000 .. ..... ..... 010 ..... 0101111" "amoadd.w" AmoaddW(Amo),
    "00100 .. ..... ..... 010 ..... 0101111" "amoxor.w" AmoxorW(Amo),
    "01100 .. ..... ..... 010 ..... 0101111" "amoand.w" AmoandW(Amo),
    "01000 .. ..... ..... 010 ..... 0101111" "amoor.w" AmoorW(Amo),
    "10000 .. ..... ..... 010 ..... 0101111" "amomin.w" AmominW(Amo),
    "10100 .. ..... ..... 010 ..... 0101111" "amomax.w" AmomaxW(Amo),
    "11000 .. ..... ..... 010 ..... 0101111" "amominu.w" AmominuW(Amo),
    "11100 .. ..... ..... 010 ..... 0101111" "amomaxu.w" AmomaxuW(Amo),
    "00010 .. 00000 ..... 011 ..... 0101111" "lr.d" LrD(Lr),
    "00011 .. ..... ..... 011 ..... 0101111" "sc.d" ScD(Amo),
    "00001 .. ..... ..... 011 ..... 0101111" "amoswap.d" AmoswapD(Amo),
    "00000 .. ..... ..... 011 ..... 0101111" "amoadd.d" AmoaddD(Amo),
    "00100 .. ..... ..... 011 ..... 0101111" "amoxor.d" AmoxorD(Amo),
    "01100 .. ..... ..... 011 ..... 0101111" "amoand.d" AmoandD(Amo),
    "01000 .. ..... ..... 011 ..... 0101111" "amoor.d" AmoorD(Amo),
    "10000 .. ..... ..... 011 ..... 0101111" "amomin.d" AmominD(Amo),
    "10100 .. ..... ..... 011 ..... 0101111" "amomax.d" AmomaxD(Amo),
    "11000 .. ..... ..... 011 ..... 0101111" "amominu.d" AmominuD(Amo),
    "11100 .. ..... ..... 011 ..... 0101111" "amomaxu.d" AmomaxuD(Amo),
    // F.
    "............ ..... 010 ..... 0000111" "flw" Flw(Fl),
    "....... ..... ..... 010 ..... 0100111" "fsw" Fsw(Fs),
    "..... 00 ..... ..... ... ..... 1000011" "fmadd.s" FmaddS(Fr4),
    "..... 00 ..... ..... ... ..... 1000111" "fmsub.s" FmsubS(Fr4),
    "..... 00 ..... ..... ... ..... 1001011" "fnmsub.s" FnmsubS(Fr4),
    "..... 00 ..... ..... ... ..... 1001111" "fnmadd.s" FnmaddS(Fr4),
    "0000000 ..... ..... ... ..... 1010011" "fadd.s" FaddS(Fr),
    "0000100 ..... ..... ... ..... 1010011" "fsub.s" FsubS(Fr),
    "0001000 ..... ..... ... ..... 1010011" "fmul.s" FmulS(Fr),
    "0001100 ..... ..... ... ..... 1010011" "fdiv.s" FdivS(Fr),
    "0101100 00000 ..... ... ..... 1010011" "fsqrt.s" FsqrtS(Fr1),
    "0010000 ..... ..... 000 ..... 1010011" "fsgnj.s" FsgnjS(Fr2),
    "0010000 ..... ..... 001 ..... 1010011" "fsgnjn.s" FsgnjnS(Fr2),
    "0010000 ..... ..... 010 ..... 1010011" "fsgnjx.s" FsgnjxS(Fr2),
    "0010100 ..... ..... 000 ..... 1010011" "fmin.s" FminS(Fr2),
    "0010100 ..... ..... 001 ..... 1010011" "fmax.s" FmaxS(Fr2),
    "1010000 ..... ..... 010 ..... 1010011" "feq.s" FeqS(Fcmp),
    "1010000 ..... ..... 001 ..... 1010011" "flt.s" FltS(Fcmp),
    "1010000 ..... ..... 000 ..... 1010011" "fle.s" FleS(Fcmp),
    "1110000 00000 ..... 001 ..... 1010011" "fclass.s" FclassS(FmvX),
    "1100000 00000 ..... ... ..... 1010011" "fcvt.w.s" FcvtWS(FtoX),
    "1100000 00001 ..... ... ..... 1010011" "fcvt.wu.s" FcvtWuS(FtoX),
    "1100000 00010 ..... ... ..... 1010011" "fcvt.l.s" FcvtLS(FtoX),
    "1100000 00011 ..... ... ..... 1010011" "fcvt.lu.s" FcvtLuS(FtoX),
    "1101000 00000 ..... ... ..... 1010011" "fcvt.s.w" FcvtSW(XtoF),
    "1101000 00001 ..... ... ..... 1010011" "fcvt.s.wu" FcvtSWu(XtoF),
    "1101000 00010 ..... ... ..... 1010011" "fcvt.s.l" FcvtSL(XtoF),
    "1101000 00011 ..... ... ..... 1010011" "fcvt.s.lu" FcvtSLu(XtoF),
    "1110000 00000 ..... 000 ..... 1010011" "fmv.x.w" FmvXW(FmvX),
    "1111000 00000 ..... 000 ..... 1010011" "fmv.w.x" FmvWX(XmvF),
    // D.
    "............ ..... 011 ..... 0000111" "fld" Fld(Fl),
    "....... ..... ..... 011 ..... 0100111" "fsd" Fsd(Fs),
    "..... 01 ..... ..... ... ..... 1000011" "fmadd.d" FmaddD(Fr4),
    "..... 01 ..... ..... ... ..... 1000111" "fmsub.d" FmsubD(Fr4),
    "..... 01 ..... ..... ... ..... 1001011" "fnmsub.d" FnmsubD(Fr4),
    "..... 01 ..... ..... ... ..... 1001111" "fnmadd.d" FnmaddD(Fr4),
    "0000001 ..... ..... ... ..... 1010011" "fadd.d" FaddD(Fr),
    "0000101 ..... ..... ... ..... 1010011" "fsub.d" FsubD(Fr),
    "0001001 ..... ..... ... ..... 1010011" "fmul.d" FmulD(Fr),
    "0001101 ..... ..... ... ..... 1010011" "fdiv.d" FdivD(Fr),
    "0101101 00000 ..... ... ..... 1010011" "fsqrt.d" FsqrtD(Fr1),
    "0010001 ..... ..... 000 ..... 1010011" "fsgnj.d" FsgnjD(Fr2),
    "0010001 ..... ..... 001 ..... 1010011" "fsgnjn.d" FsgnjnD(Fr2),
    "0010001 ..... ..... 010 ..... 1010011" "fsgnjx.d" FsgnjxD(Fr2),
    "0010101 ..... ..... 000 ..... 1010011" "fmin.d" FminD(Fr2),
    "0010101 ..... ..... 001 ..... 1010011" "fmax.d" FmaxD(Fr2),
    "1010001 ..... ..... 010 ..... 1010011" "feq.d" FeqD(Fcmp),
    "1010001 ..... ..... 001 ..... 1010011" "flt.d" FltD(Fcmp),
    "1010001 ..... ..... 000 ..... 1010011" "fle.d" FleD(Fcmp),
    "1110001 00000 ..... 001 ..... 1010011" "fclass.d" FclassD(FmvX),
    "1100001 00000 ..... ... ..... 1010011" "fcvt.w.d" FcvtWD(FtoX),
    "1100001 00001 ..... ... ..... 1010011" "fcvt.wu.d" FcvtWuD(FtoX),
    "1100001 00010 ..... ... ..... 1010011" "fcvt.l.d" FcvtLD(FtoX),
    "1100001 00011 ..... ... ..... 1010011" "fcvt.lu.d" FcvtLuD(FtoX),
    "1101001 00000 ..... ... ..... 1010011" "fcvt.d.w" FcvtDW(XtoF),
    "1101001 00001 ..... ... ..... 1010011" "fcvt.d.wu" FcvtDWu(XtoF),
    "1101001 00010 ..... ... ..... 1010011" "fcvt.d.l" FcvtDL(XtoF),
    "1101001 00011 ..... ... ..... 1010011" "fcvt.d.lu" FcvtDLu(XtoF),
    "1110001 00000 ..... 000 ..... 1010011" "fmv.x.d" FmvXD(FmvX),
    "1111001 00000 ..... 000 ..... 1010011" "fmv.d.x" FmvDX(XmvF),
    "0100000 00001 ..... ... ..... 1010011" "fcvt.s.d" FcvtSD(Fr1),
    "0100001 00000 ..... ... ..... 1010011" "fcvt.d.s" FcvtDS(Fr1),
    // Zba.
    "0000100 ..... ..... 000 ..... 0111011" "add.uw" AddUw(R),
    "0010000 ..... ..... 010 ..... 0110011" "sh1add" Sh1add(R),
    "0010000 ..... ..... 100 ..... 0110011" "sh2add" Sh2add(R),
    "0010000 ..... ..... 110 ..... 0110011" "sh3add" Sh3add(R),
    "0010000 ..... ..... 010 ..... 0111011" "sh1add.uw" Sh1addUw(R),
    "0010000 ..... ..... 100 ..... 0111011" "sh2add.uw" Sh2addUw(R),
    "0010000 ..... ..... 110 ..... 0111011" "sh3add.uw" Sh3addUw(R),
    "000010 ...... ..... 001 ..... 0011011" "slli.uw" SlliUw(Sh6),
    // Zbb.
    "0100000 ..... ..... 111 ..... 0110011" "andn" Andn(R),
    "0100000 ..... ..... 110 ..... 0110011" "orn" Orn(R),
    "0100000 ..... ..... 100 ..... 0110011" "xnor" Xnor(R),
    "0110000 00000 ..... 001 ..... 0010011" "clz" Clz(R1),
    "0110000 00001 ..... 001 ..... 0010011" "ctz" Ctz(R1),
    "0110000 00010 ..... 001 ..... 0010011" "cpop" Cpop(R1),
    "0110000 00100 ..... 001 ..... 0010011" "sext.b" SextB(R1),
    "0110000 00101 ..... 001 ..... 0010011" "sext.h" SextH(R1),
    "0110000 00000 ..... 001 ..... 0011011" "clzw" Clzw(R1),
    "0110000 00001 ..... 001 ..... 0011011" "ctzw" Ctzw(R1),
    "0110000 00010 ..... 001 ..... 0011011" "cpopw" Cpopw(R1),
    "0000100 00000 ..... 100 ..... 0111011" "zext.h" ZextH(R1),
    "0000101 ..... ..... 100 ..... 0110011" "min" Min(R),
    "0000101 ..... ..... 101 ..... 0110011" "minu" Minu(R),
    "0000101 ..... ..... 110 ..... 0110011" "max" Max(R),
    "0000101 ..... ..... 111 ..... 0110011" "maxu" Maxu(R),
    "0110000 ..... ..... 001 ..... 0110011" "rol" Rol(R),
    "0110000 ..... ..... 101 ..... 0110011" "ror" Ror(R),
    "011000 ...... ..... 101 ..... 0010011" "rori" Rori(Sh6),
    "0110000 ..... ..... 001 ..... 0111011" "rolw" Rolw(R),
    "0110000 ..... ..... 101 ..... 0111011" "rorw" Rorw(R),
    "0110000 ..... ..... 101 ..... 0011011" "roriw" Roriw(Sh5),
    "0010100 00111 ..... 101 ..... 0010011" "orc.b" OrcB(R1),
    "0110101 11000 ..... 101 ..... 0010011" "rev8" Rev8(R1),
    // Zbs.
    "0100100 ..... ..... 001 ..... 0110011" "bclr" Bclr(R),
    "0100100 ..... ..... 101 ..... 0110011" "bext" Bext(R),
    "0110100 ..... ..... 001 ..... 0110011" "binv" Binv(R),
    "0010100 ..... ..... 001 ..... 0110011" "bset" Bset(R),
    "010010 ...... ..... 001 ..... 0010011" "bclri" Bclri(Sh6),
    "010010 ...... ..... 101 ..... 0010011" "bexti" Bexti(Sh6),
    "011010 ...... ..... 001 ..... 0010011" "binvi" Binvi(Sh6),
    "001010 ...... ..... 001 ..... 0010011" "bseti" Bseti(Sh6),
}
