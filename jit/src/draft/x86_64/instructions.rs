//! What each instruction becomes, in the order of the table. What is not here word by word is in the file
//! of its kind; what is left to the interpreter is named at the end.

use super::assembler::ins;
use super::atomic::Modify;
use super::bits::{Bit, Count};
use super::float::{Arithmetic, Compare, Sign};
use super::integer::{Alu, High, Shift};
use super::memory::Load;
use super::system::{Change, Source};
use super::{After, Condition, Drafter};
use frontend::{Insn, X};

/// Defines [`Drafter::translate`]: an arm without a value goes on to the next instruction.
macro_rules! instructions {
    (|$t:ident| $($name:ident($operands:ident) => $effect:expr,)* ; $($left:ident)*) => {
        impl Drafter {
            /// Drafts an instruction, in the order of the table.
            pub(super) fn translate(&mut self, insn: Insn) -> After {
                let $t = self;
                match insn {
                    $(Insn::$name($operands) => After::from($effect),)*
                    // Rare, or for whoever knows more of the hart's surroundings.
                    $(Insn::$left(_) => {
                        $t.interpret();
                        After::Ends
                    })*
                }
            }
        }
    };
}

impl From<()> for After {
    fn from((): ()) -> After {
        After::Next
    }
}

instructions! {
    |t|
    // RV32I and RV64I.
    Lui(o) => t.lui(o),
    Auipc(o) => t.auipc(o),
    Jal(o) => {
        // What has to be asked behind a write to sp is not asked behind a jump.
        if o.rd == X::SP {
            return t.or_interpret(false);
        }
        t.jal(o);
        After::Ends
    },
    Jalr(o) => {
        if o.rd == X::SP {
            return t.or_interpret(false);
        }
        t.jalr(o);
        After::Ends
    },
    Beq(o) => t.branch(o, Condition::Equal),
    Bne(o) => t.branch(o, Condition::NotEqual),
    Blt(o) => t.branch(o, Condition::Less),
    Bge(o) => t.branch(o, Condition::GreaterOrEqual),
    Bltu(o) => t.branch(o, Condition::Below),
    Bgeu(o) => t.branch(o, Condition::AboveOrEqual),
    Lb(o) => t.load(o, Load::Signed8),
    Lh(o) => t.load(o, Load::Signed16),
    Lw(o) => t.load(o, Load::Signed32),
    Ld(o) => t.load(o, Load::Plain64),
    Lbu(o) => t.load(o, Load::Plain8),
    Lhu(o) => t.load(o, Load::Plain16),
    Lwu(o) => t.load(o, Load::Plain32),
    Sb(o) => t.store(o, 8),
    Sh(o) => t.store(o, 16),
    Sw(o) => t.store(o, 32),
    Sd(o) => t.store(o, 64),
    Addi(o) => t.addi(o),
    Slti(o) => t.less_immediate(o, true),
    Sltiu(o) => t.less_immediate(o, false),
    Xori(o) => t.immediate(o, Alu::Xor),
    Ori(o) => t.immediate(o, Alu::Or),
    Andi(o) => t.immediate(o, Alu::And),
    Slli(o) => t.shift_immediate(o, Shift::Left),
    Srli(o) => t.shift_immediate(o, Shift::Right),
    Srai(o) => t.shift_immediate(o, Shift::Arithmetic),
    Add(o) => t.binary(o, Alu::Add, false),
    Sub(o) => t.binary(o, Alu::Sub, false),
    Sll(o) => t.shift(o, Shift::Left, false),
    Slt(o) => t.less(o, true),
    Sltu(o) => t.less(o, false),
    Xor(o) => t.binary(o, Alu::Xor, false),
    Srl(o) => t.shift(o, Shift::Right, false),
    Sra(o) => t.shift(o, Shift::Arithmetic, false),
    Or(o) => t.binary(o, Alu::Or, false),
    And(o) => t.binary(o, Alu::And, false),
    Addiw(o) => t.addiw(o),
    Slliw(o) => t.shift_word_immediate(o, Shift::Left),
    Srliw(o) => t.shift_word_immediate(o, Shift::Right),
    Sraiw(o) => t.shift_word_immediate(o, Shift::Arithmetic),
    Addw(o) => t.binary_word(o, Alu::Add),
    Subw(o) => t.binary_word(o, Alu::Sub),
    Sllw(o) => t.shift(o, Shift::Left, true),
    Srlw(o) => t.shift(o, Shift::Right, true),
    Sraw(o) => t.shift(o, Shift::Arithmetic, true),
    Fence(o) => t.fence(o),
    // M.
    Mul(o) => t.binary(o, Alu::Mul, false),
    Mulh(o) => t.mul_high(o, High::Signed),
    Mulhsu(o) => t.mul_high(o, High::Mixed),
    Mulhu(o) => t.mul_high(o, High::Unsigned),
    Div(o) => t.divide(o, true, false, false),
    Divu(o) => t.divide(o, false, false, false),
    Rem(o) => t.divide(o, true, true, false),
    Remu(o) => t.divide(o, false, true, false),
    Mulw(o) => t.binary_word(o, Alu::Mul),
    Divw(o) => t.divide(o, true, false, true),
    Divuw(o) => t.divide(o, false, false, true),
    Remw(o) => t.divide(o, true, true, true),
    Remuw(o) => t.divide(o, false, true, true),
    // Zicsr.
    Csrrw(o) => t.csr(o.rd, o.csr, Source::Register(o.rs1), Change::Write),
    Csrrs(o) => t.csr(o.rd, o.csr, Source::Register(o.rs1), Change::Set),
    Csrrc(o) => t.csr(o.rd, o.csr, Source::Register(o.rs1), Change::Clear),
    Csrrwi(o) => t.csr(o.rd, o.csr, Source::Immediate(o.uimm), Change::Write),
    Csrrsi(o) => t.csr(o.rd, o.csr, Source::Immediate(o.uimm), Change::Set),
    Csrrci(o) => t.csr(o.rd, o.csr, Source::Immediate(o.uimm), Change::Clear),
    CboZero(o) => t.cache_block(Insn::CboZero(o)),
    // A.
    LrW(o) => t.load_reserved(o, 32),
    ScW(o) => t.store_conditional(o, 32),
    AmoswapW(o) => t.modify(o, 32, Modify::Swap),
    AmoaddW(o) => t.modify(o, 32, Modify::Add),
    AmoxorW(o) => t.modify(o, 32, Modify::Xor),
    AmoandW(o) => t.modify(o, 32, Modify::And),
    AmoorW(o) => t.modify(o, 32, Modify::Or),
    AmominW(o) => t.modify(o, 32, Modify::Min),
    AmomaxW(o) => t.modify(o, 32, Modify::Max),
    AmominuW(o) => t.modify(o, 32, Modify::MinUnsigned),
    AmomaxuW(o) => t.modify(o, 32, Modify::MaxUnsigned),
    LrD(o) => t.load_reserved(o, 64),
    ScD(o) => t.store_conditional(o, 64),
    AmoswapD(o) => t.modify(o, 64, Modify::Swap),
    AmoaddD(o) => t.modify(o, 64, Modify::Add),
    AmoxorD(o) => t.modify(o, 64, Modify::Xor),
    AmoandD(o) => t.modify(o, 64, Modify::And),
    AmoorD(o) => t.modify(o, 64, Modify::Or),
    AmominD(o) => t.modify(o, 64, Modify::Min),
    AmomaxD(o) => t.modify(o, 64, Modify::Max),
    AmominuD(o) => t.modify(o, 64, Modify::MinUnsigned),
    AmomaxuD(o) => t.modify(o, 64, Modify::MaxUnsigned),
    // F.
    Flw(o) => t.load_float(o.rd, o.rs1, o.imm, 32),
    Fsw(o) => t.store_float(o.rs2, o.rs1, o.imm, 32),
    FaddS(o) => { let done = t.arithmetic(o, 32, Arithmetic::Add); t.or_interpret(done) },
    FsubS(o) => { let done = t.arithmetic(o, 32, Arithmetic::Sub); t.or_interpret(done) },
    FmulS(o) => { let done = t.arithmetic(o, 32, Arithmetic::Mul); t.or_interpret(done) },
    FdivS(o) => { let done = t.arithmetic(o, 32, Arithmetic::Div); t.or_interpret(done) },
    FsqrtS(o) => { let done = t.root(o, 32); t.or_interpret(done) },
    FsgnjS(o) => t.sign(o, 32, Sign::Take),
    FsgnjnS(o) => t.sign(o, 32, Sign::Negate),
    FsgnjxS(o) => t.sign(o, 32, Sign::Xor),
    FeqS(o) => t.compare(o, 32, Compare::Equal),
    FltS(o) => t.compare(o, 32, Compare::Less),
    FleS(o) => t.compare(o, 32, Compare::LessOrEqual),
    FcvtWS(o) => { let done = t.convert_to_integer(o, 32, true); t.or_interpret(done) },
    FcvtLS(o) => { let done = t.convert_to_integer(o, 32, false); t.or_interpret(done) },
    FcvtSW(o) => { let done = t.convert_from_integer(o, 32, true); t.or_interpret(done) },
    FcvtSL(o) => { let done = t.convert_from_integer(o, 32, false); t.or_interpret(done) },
    FmvXW(o) => t.move_to_integer(o.rd, o.rs1, 32),
    FmvWX(o) => t.move_from_integer(o.rd, o.rs1, 32),
    // D.
    Fld(o) => t.load_float(o.rd, o.rs1, o.imm, 64),
    Fsd(o) => t.store_float(o.rs2, o.rs1, o.imm, 64),
    FaddD(o) => { let done = t.arithmetic(o, 64, Arithmetic::Add); t.or_interpret(done) },
    FsubD(o) => { let done = t.arithmetic(o, 64, Arithmetic::Sub); t.or_interpret(done) },
    FmulD(o) => { let done = t.arithmetic(o, 64, Arithmetic::Mul); t.or_interpret(done) },
    FdivD(o) => { let done = t.arithmetic(o, 64, Arithmetic::Div); t.or_interpret(done) },
    FsqrtD(o) => { let done = t.root(o, 64); t.or_interpret(done) },
    FsgnjD(o) => t.sign(o, 64, Sign::Take),
    FsgnjnD(o) => t.sign(o, 64, Sign::Negate),
    FsgnjxD(o) => t.sign(o, 64, Sign::Xor),
    FeqD(o) => t.compare(o, 64, Compare::Equal),
    FltD(o) => t.compare(o, 64, Compare::Less),
    FleD(o) => t.compare(o, 64, Compare::LessOrEqual),
    FcvtWD(o) => { let done = t.convert_to_integer(o, 64, true); t.or_interpret(done) },
    FcvtLD(o) => { let done = t.convert_to_integer(o, 64, false); t.or_interpret(done) },
    FcvtDW(o) => { let done = t.convert_from_integer(o, 64, true); t.or_interpret(done) },
    FcvtDL(o) => { let done = t.convert_from_integer(o, 64, false); t.or_interpret(done) },
    FmvXD(o) => t.move_to_integer(o.rd, o.rs1, 64),
    FmvDX(o) => t.move_from_integer(o.rd, o.rs1, 64),
    FcvtSD(o) => { let done = t.narrow(o); t.or_interpret(done) },
    FcvtDS(o) => t.widen(o),
    // Zba.
    AddUw(o) => t.shift_add(o, 0, true),
    SlliUw(o) => t.shift_left_unsigned(o),
    Sh1add(o) => t.shift_add(o, 1, false),
    Sh2add(o) => t.shift_add(o, 2, false),
    Sh3add(o) => t.shift_add(o, 3, false),
    Sh1addUw(o) => t.shift_add(o, 1, true),
    Sh2addUw(o) => t.shift_add(o, 2, true),
    Sh3addUw(o) => t.shift_add(o, 3, true),
    // Zbb.
    Andn(o) => t.binary(o, Alu::And, true),
    Orn(o) => t.binary(o, Alu::Or, true),
    Xnor(o) => t.binary(o, Alu::Xor, true),
    SextB(o) => t.unary(o, |t, to, from| ins!(t.code, movsbq_rm, to, from)),
    SextH(o) => t.unary(o, |t, to, from| ins!(t.code, movswq_rm, to, from)),
    ZextH(o) => t.unary(o, |t, to, from| ins!(t.code, movzwl_rm, to, from)),
    Min(o) => t.extremum(o, true, false),
    Minu(o) => t.extremum(o, false, false),
    Max(o) => t.extremum(o, true, true),
    Maxu(o) => t.extremum(o, false, true),
    Rol(o) => t.shift(o, Shift::RotateLeft, false),
    Ror(o) => t.shift(o, Shift::RotateRight, false),
    Rori(o) => t.shift_immediate(o, Shift::RotateRight),
    Rolw(o) => t.shift(o, Shift::RotateLeft, true),
    Rorw(o) => t.shift(o, Shift::RotateRight, true),
    Roriw(o) => t.shift_word_immediate(o, Shift::RotateRight),
    Clz(o) => { let done = t.count(o, Count::Leading, false); t.or_interpret(done) },
    Ctz(o) => { let done = t.count(o, Count::Trailing, false); t.or_interpret(done) },
    Cpop(o) => { let done = t.count(o, Count::Ones, false); t.or_interpret(done) },
    Clzw(o) => { let done = t.count(o, Count::Leading, true); t.or_interpret(done) },
    Ctzw(o) => { let done = t.count(o, Count::Trailing, true); t.or_interpret(done) },
    Cpopw(o) => { let done = t.count(o, Count::Ones, true); t.or_interpret(done) },
    OrcB(o) => t.or_combine(o),
    Rev8(o) => t.unary(o, |t, to, from| {
        ins!(t.code, movq_rm, to, from);
        ins!(t.code, bswapq_o, to);
    }),
    // Zbs.
    Bclr(o) => t.bit(o, Bit::Clear),
    Bext(o) => t.bit(o, Bit::Extract),
    Binv(o) => t.bit(o, Bit::Invert),
    Bset(o) => t.bit(o, Bit::Set),
    Bclri(o) => t.bit_immediate(o, Bit::Clear),
    Bexti(o) => t.bit_immediate(o, Bit::Extract),
    Binvi(o) => t.bit_immediate(o, Bit::Invert),
    Bseti(o) => t.bit_immediate(o, Bit::Set),
    ;
    // For the engine, or for whoever knows more of the hart's surroundings.
    Ecall Ebreak FenceI Sret Mret Wfi SfenceVma CboInval CboClean CboFlush
    // Rare.
    FmaddS FmsubS FnmsubS FnmaddS FminS FmaxS FclassS FcvtWuS FcvtLuS FcvtSWu FcvtSLu
    FmaddD FmsubD FnmsubD FnmaddD FminD FmaxD FclassD FcvtWuD FcvtLuD FcvtDWu FcvtDLu
}
