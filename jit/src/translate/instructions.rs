//! Every instruction of the table, in its order. What is longer than a line has a function in the
//! file of its chapter.

use super::{Translator, float, imm, m, zb, zicsr};
use crate::graph::Step;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{AtomicRmwOp, InstBuilder, types};
use frontend::*;

impl Translator<'_, '_> {
    /// Emits one instruction that is not a node's end.
    pub(super) fn instruction(&mut self, step: &Step) {
        let wrong = self.sabotaged(step.insn.op());
        let (pc, next) = (step.pc, step.next());
        match step.insn {
            // RV32I and RV64I.
            Insn::Lui(o) => self.constant(o.rd, imm(o.imm) as u64),
            Insn::Auipc(o) => self.near(o.rd, pc.wrapping_add_signed(imm(o.imm))),
            Insn::Jal(o) => self.near(o.rd, next),
            // Node ends, see `flow.rs`.
            Insn::Jalr(_) | Insn::Ecall(_) | Insn::Ebreak(_) | Insn::FenceI(_) => {
                self.interpret(pc)
            }
            Insn::Beq(_) | Insn::Bne(_) | Insn::Blt(_) => self.interpret(pc),
            Insn::Bge(_) | Insn::Bltu(_) | Insn::Bgeu(_) => self.interpret(pc),
            Insn::Lb(o) => self.load_integer(o, 8, true),
            Insn::Lh(o) => self.load_integer(o, 16, true),
            Insn::Lw(o) => self.load_integer(o, 32, true),
            Insn::Ld(o) => self.load_integer(o, 64, true),
            Insn::Lbu(o) => self.load_integer(o, 8, false),
            Insn::Lhu(o) => self.load_integer(o, 16, false),
            Insn::Lwu(o) => self.load_integer(o, 32, false),
            Insn::Sb(o) => self.store_integer(o, 8),
            Insn::Sh(o) => self.store_integer(o, 16),
            Insn::Sw(o) => self.store_integer(o, 32),
            Insn::Sd(o) => self.store_integer(o, 64),
            Insn::Addi(o) => self.addi(o),
            Insn::Slti(o) => self.compare_imm(o, IntCC::SignedLessThan),
            Insn::Sltiu(o) => self.compare_imm(o, IntCC::UnsignedLessThan),
            Insn::Xori(o) => self.unary(o.rd, o.rs1, |b, x| b.ins().bxor_imm_s(x, imm(o.imm))),
            Insn::Ori(o) => self.unary(o.rd, o.rs1, |b, x| b.ins().bor_imm_s(x, imm(o.imm))),
            Insn::Andi(o) => self.unary(o.rd, o.rs1, |b, x| b.ins().band_imm_s(x, imm(o.imm))),
            Insn::Slli(o) => self.unary(o.rd, o.rs1, |b, x| {
                b.ins().ishl_imm_u(x, i64::from(o.shamt))
            }),
            Insn::Srli(o) => self.unary(o.rd, o.rs1, |b, x| {
                b.ins().ushr_imm_u(x, i64::from(o.shamt))
            }),
            Insn::Srai(o) => self.unary(o.rd, o.rs1, |b, x| {
                b.ins().sshr_imm_u(x, i64::from(o.shamt))
            }),
            Insn::Add(o) => self.binary(o, |b, x, y| b.ins().iadd(x, y)),
            Insn::Sub(o) => self.binary(o, |b, x, y| b.ins().isub(x, y)),
            Insn::Sll(o) => self.binary(o, |b, x, y| b.ins().ishl(x, y)),
            Insn::Slt(o) => self.compare(o, IntCC::SignedLessThan),
            Insn::Sltu(o) => self.compare(o, IntCC::UnsignedLessThan),
            Insn::Xor(o) => self.binary(o, |b, x, y| b.ins().bxor(x, y)),
            Insn::Srl(o) => self.binary(o, |b, x, y| b.ins().ushr(x, y)),
            Insn::Sra(o) => self.binary(o, |b, x, y| b.ins().sshr(x, y)),
            Insn::Or(o) => self.binary(o, |b, x, y| b.ins().bor(x, y)),
            Insn::And(o) => self.binary(o, |b, x, y| b.ins().band(x, y)),
            Insn::Addiw(o) => {
                self.word_unary(o.rd, o.rs1, |b, x| b.ins().iadd_imm_s(x, imm(o.imm)))
            }
            Insn::Slliw(o) => self.word_unary(o.rd, o.rs1, |b, x| {
                b.ins().ishl_imm_u(x, i64::from(o.shamt))
            }),
            Insn::Srliw(o) => self.word_unary(o.rd, o.rs1, |b, x| {
                b.ins().ushr_imm_u(x, i64::from(o.shamt))
            }),
            Insn::Sraiw(o) => self.word_unary(o.rd, o.rs1, |b, x| {
                b.ins().sshr_imm_u(x, i64::from(o.shamt))
            }),
            Insn::Addw(o) => self.word_binary(o, |b, x, y| b.ins().iadd(x, y)),
            Insn::Subw(o) => self.word_binary(o, |b, x, y| b.ins().isub(x, y)),
            Insn::Sllw(o) => self.word_binary(o, |b, x, y| b.ins().ishl(x, y)),
            Insn::Srlw(o) => self.word_binary(o, |b, x, y| b.ins().ushr(x, y)),
            Insn::Sraw(o) => self.word_binary(o, |b, x, y| b.ins().sshr(x, y)),
            Insn::Fence(_) => self.fence(),
            // Zicsr.
            Insn::Csrrw(o) => self.csr(
                (pc, next),
                o.rd,
                o.csr,
                zicsr::Source::Register(o.rs1),
                zicsr::Change::Write,
            ),
            Insn::Csrrs(o) => self.csr(
                (pc, next),
                o.rd,
                o.csr,
                zicsr::Source::Register(o.rs1),
                zicsr::Change::Set,
            ),
            Insn::Csrrc(o) => self.csr(
                (pc, next),
                o.rd,
                o.csr,
                zicsr::Source::Register(o.rs1),
                zicsr::Change::Clear,
            ),
            Insn::Csrrwi(o) => self.csr(
                (pc, next),
                o.rd,
                o.csr,
                zicsr::Source::Immediate(o.uimm),
                zicsr::Change::Write,
            ),
            Insn::Csrrsi(o) => self.csr(
                (pc, next),
                o.rd,
                o.csr,
                zicsr::Source::Immediate(o.uimm),
                zicsr::Change::Set,
            ),
            Insn::Csrrci(o) => self.csr(
                (pc, next),
                o.rd,
                o.csr,
                zicsr::Source::Immediate(o.uimm),
                zicsr::Change::Clear,
            ),
            // Privileged: node ends, the interpreter's.
            Insn::Sret(_) | Insn::Mret(_) | Insn::Wfi(_) | Insn::SfenceVma(_) => self.interpret(pc),
            // Zicbom and Zicboz.
            Insn::CboInval(_) | Insn::CboClean(_) | Insn::CboFlush(_) => self.interpret(pc),
            Insn::CboZero(_) => self.interpret(pc),
            // M.
            Insn::Mul(o) => self.binary(o, |b, x, y| b.ins().imul(x, y)),
            Insn::Mulh(o) => self.binary(o, |b, x, y| b.ins().smulhi(x, y)),
            Insn::Mulhsu(o) => self.binary(o, |b, x, y| m::mulhsu(b, x, y)),
            Insn::Mulhu(o) => self.binary(o, |b, x, y| b.ins().umulhi(x, y)),
            Insn::Div(o) => self.binary(o, |b, x, y| m::div(b, x, y)),
            Insn::Divu(o) => self.binary(o, |b, x, y| m::divu(b, x, y)),
            Insn::Rem(o) => self.binary(o, |b, x, y| m::rem(b, x, y)),
            Insn::Remu(o) => self.binary(o, |b, x, y| m::remu(b, x, y)),
            Insn::Mulw(o) => self.word_binary(o, |b, x, y| b.ins().imul(x, y)),
            Insn::Divw(o) => self.word_binary(o, |b, x, y| m::div(b, x, y)),
            Insn::Divuw(o) => self.word_binary(o, |b, x, y| m::divu(b, x, y)),
            Insn::Remw(o) => self.word_binary(o, |b, x, y| m::rem(b, x, y)),
            Insn::Remuw(o) => self.word_binary(o, |b, x, y| m::remu(b, x, y)),
            // A.
            Insn::LrW(o) => self.load_reserved(o, types::I32),
            Insn::ScW(o) => self.store_conditional(o, types::I32),
            Insn::AmoswapW(o) => self.amo(o, types::I32, AtomicRmwOp::Xchg),
            Insn::AmoaddW(o) => self.amo(o, types::I32, AtomicRmwOp::Add),
            Insn::AmoxorW(o) => self.amo(o, types::I32, AtomicRmwOp::Xor),
            Insn::AmoandW(o) => self.amo(o, types::I32, AtomicRmwOp::And),
            Insn::AmoorW(o) => self.amo(o, types::I32, AtomicRmwOp::Or),
            Insn::AmominW(o) => self.amo(o, types::I32, AtomicRmwOp::Smin),
            Insn::AmomaxW(o) => self.amo(o, types::I32, AtomicRmwOp::Smax),
            Insn::AmominuW(o) => self.amo(o, types::I32, AtomicRmwOp::Umin),
            Insn::AmomaxuW(o) => self.amo(o, types::I32, AtomicRmwOp::Umax),
            Insn::LrD(o) => self.load_reserved(o, types::I64),
            Insn::ScD(o) => self.store_conditional(o, types::I64),
            Insn::AmoswapD(o) => self.amo(o, types::I64, AtomicRmwOp::Xchg),
            Insn::AmoaddD(o) => self.amo(o, types::I64, AtomicRmwOp::Add),
            Insn::AmoxorD(o) => self.amo(o, types::I64, AtomicRmwOp::Xor),
            Insn::AmoandD(o) => self.amo(o, types::I64, AtomicRmwOp::And),
            Insn::AmoorD(o) => self.amo(o, types::I64, AtomicRmwOp::Or),
            Insn::AmominD(o) => self.amo(o, types::I64, AtomicRmwOp::Smin),
            Insn::AmomaxD(o) => self.amo(o, types::I64, AtomicRmwOp::Smax),
            Insn::AmominuD(o) => self.amo(o, types::I64, AtomicRmwOp::Umin),
            Insn::AmomaxuD(o) => self.amo(o, types::I64, AtomicRmwOp::Umax),
            // F.
            Insn::Flw(o) => self.load_float(o, types::F32),
            Insn::Fsw(o) => self.store_float(o, types::F32),
            Insn::FmaddS(o) => self.fused(o, types::F32, (false, false), step.insn),
            Insn::FmsubS(o) => self.fused(o, types::F32, (false, true), step.insn),
            Insn::FnmsubS(o) => self.fused(o, types::F32, (true, false), step.insn),
            Insn::FnmaddS(o) => self.fused(o, types::F32, (true, true), step.insn),
            Insn::FaddS(o) => self.arithmetic(o, types::F32, step.insn),
            Insn::FsubS(o) => self.arithmetic(o, types::F32, step.insn),
            Insn::FmulS(o) => self.arithmetic(o, types::F32, step.insn),
            Insn::FdivS(o) => self.arithmetic(o, types::F32, step.insn),
            Insn::FsqrtS(o) => self.square_root(o, types::F32, step.insn),
            Insn::FsgnjS(o) => self.sign(o, types::F32, float::Sign::Copy),
            Insn::FsgnjnS(o) => self.sign(o, types::F32, float::Sign::Negate),
            Insn::FsgnjxS(o) => self.sign(o, types::F32, float::Sign::Xor),
            Insn::FminS(o) => self.min_max(o, types::F32, FloatCC::LessThanOrEqual, step.insn),
            Insn::FmaxS(o) => self.min_max(o, types::F32, FloatCC::GreaterThanOrEqual, step.insn),
            Insn::FeqS(o) => self.float_compare(o, types::F32, FloatCC::Equal, step.insn),
            Insn::FltS(o) => self.float_compare(o, types::F32, FloatCC::LessThan, step.insn),
            Insn::FleS(o) => self.float_compare(o, types::F32, FloatCC::LessThanOrEqual, step.insn),
            Insn::FclassS(o) => self.classify(o, types::F32, step.insn),
            Insn::FcvtWS(o) => self.float_to_integer(o, types::F32, types::I32, true, step.insn),
            Insn::FcvtWuS(o) => self.float_to_integer(o, types::F32, types::I32, false, step.insn),
            Insn::FcvtLS(o) => self.float_to_integer(o, types::F32, types::I64, true, step.insn),
            Insn::FcvtLuS(o) => self.float_to_integer(o, types::F32, types::I64, false, step.insn),
            Insn::FcvtSW(o) => self.integer_to_float(o, types::F32, types::I32, true, step.insn),
            Insn::FcvtSWu(o) => self.integer_to_float(o, types::F32, types::I32, false, step.insn),
            Insn::FcvtSL(o) => self.integer_to_float(o, types::F32, types::I64, true, step.insn),
            Insn::FcvtSLu(o) => self.integer_to_float(o, types::F32, types::I64, false, step.insn),
            Insn::FmvXW(o) => self.bits_of_single(o),
            Insn::FmvWX(o) => self.single_of_bits(o),
            // D.
            Insn::Fld(o) => self.load_float(o, types::F64),
            Insn::Fsd(o) => self.store_float(o, types::F64),
            Insn::FmaddD(o) => self.fused(o, types::F64, (false, false), step.insn),
            Insn::FmsubD(o) => self.fused(o, types::F64, (false, true), step.insn),
            Insn::FnmsubD(o) => self.fused(o, types::F64, (true, false), step.insn),
            Insn::FnmaddD(o) => self.fused(o, types::F64, (true, true), step.insn),
            Insn::FaddD(o) => self.arithmetic(o, types::F64, step.insn),
            Insn::FsubD(o) => self.arithmetic(o, types::F64, step.insn),
            Insn::FmulD(o) => self.arithmetic(o, types::F64, step.insn),
            Insn::FdivD(o) => self.arithmetic(o, types::F64, step.insn),
            Insn::FsqrtD(o) => self.square_root(o, types::F64, step.insn),
            Insn::FsgnjD(o) => self.sign(o, types::F64, float::Sign::Copy),
            Insn::FsgnjnD(o) => self.sign(o, types::F64, float::Sign::Negate),
            Insn::FsgnjxD(o) => self.sign(o, types::F64, float::Sign::Xor),
            Insn::FminD(o) => self.min_max(o, types::F64, FloatCC::LessThanOrEqual, step.insn),
            Insn::FmaxD(o) => self.min_max(o, types::F64, FloatCC::GreaterThanOrEqual, step.insn),
            Insn::FeqD(o) => self.float_compare(o, types::F64, FloatCC::Equal, step.insn),
            Insn::FltD(o) => self.float_compare(o, types::F64, FloatCC::LessThan, step.insn),
            Insn::FleD(o) => self.float_compare(o, types::F64, FloatCC::LessThanOrEqual, step.insn),
            Insn::FclassD(o) => self.classify(o, types::F64, step.insn),
            Insn::FcvtWD(o) => self.float_to_integer(o, types::F64, types::I32, true, step.insn),
            Insn::FcvtWuD(o) => self.float_to_integer(o, types::F64, types::I32, false, step.insn),
            Insn::FcvtLD(o) => self.float_to_integer(o, types::F64, types::I64, true, step.insn),
            Insn::FcvtLuD(o) => self.float_to_integer(o, types::F64, types::I64, false, step.insn),
            Insn::FcvtDW(o) => self.integer_to_float(o, types::F64, types::I32, true, step.insn),
            Insn::FcvtDWu(o) => self.integer_to_float(o, types::F64, types::I32, false, step.insn),
            Insn::FcvtDL(o) => self.integer_to_float(o, types::F64, types::I64, true, step.insn),
            Insn::FcvtDLu(o) => self.integer_to_float(o, types::F64, types::I64, false, step.insn),
            Insn::FmvXD(o) => self.bits_of_double(o),
            Insn::FmvDX(o) => self.double_of_bits(o),
            Insn::FcvtSD(o) => self.narrow(o, step.insn),
            Insn::FcvtDS(o) => self.widen(o, step.insn),
            // Zba.
            Insn::AddUw(o) => self.binary(o, |b, x, y| {
                let x = zb::low(b, x);
                b.ins().iadd(x, y)
            }),
            Insn::Sh1add(o) => self.binary(o, |b, x, y| zb::shift_add(b, x, 1, y)),
            Insn::Sh2add(o) => self.binary(o, |b, x, y| zb::shift_add(b, x, 2, y)),
            Insn::Sh3add(o) => self.binary(o, |b, x, y| zb::shift_add(b, x, 3, y)),
            Insn::Sh1addUw(o) => self.binary(o, |b, x, y| {
                let x = zb::low(b, x);
                zb::shift_add(b, x, 1, y)
            }),
            Insn::Sh2addUw(o) => self.binary(o, |b, x, y| {
                let x = zb::low(b, x);
                zb::shift_add(b, x, 2, y)
            }),
            Insn::Sh3addUw(o) => self.binary(o, |b, x, y| {
                let x = zb::low(b, x);
                zb::shift_add(b, x, 3, y)
            }),
            Insn::SlliUw(o) => self.unary(o.rd, o.rs1, |b, x| zb::slli_uw(b, x, o.shamt)),
            // Zbb.
            Insn::Andn(o) => self.binary(o, |b, x, y| b.ins().band_not(x, y)),
            Insn::Orn(o) => self.binary(o, |b, x, y| b.ins().bor_not(x, y)),
            Insn::Xnor(o) => self.binary(o, |b, x, y| b.ins().bxor_not(x, y)),
            Insn::Clz(o) => self.unary(o.rd, o.rs1, |b, x| b.ins().clz(x)),
            Insn::Ctz(o) => self.unary(o.rd, o.rs1, |b, x| b.ins().ctz(x)),
            Insn::Cpop(o) => self.unary(o.rd, o.rs1, |b, x| b.ins().popcnt(x)),
            Insn::SextB(o) => self.unary(o.rd, o.rs1, |b, x| zb::extend(b, x, types::I8, true)),
            Insn::SextH(o) => self.unary(o.rd, o.rs1, |b, x| zb::extend(b, x, types::I16, true)),
            Insn::Clzw(o) => self.word_unary(o.rd, o.rs1, |b, x| b.ins().clz(x)),
            Insn::Ctzw(o) => self.word_unary(o.rd, o.rs1, |b, x| b.ins().ctz(x)),
            Insn::Cpopw(o) => self.word_unary(o.rd, o.rs1, |b, x| b.ins().popcnt(x)),
            Insn::ZextH(o) => self.unary(o.rd, o.rs1, |b, x| zb::extend(b, x, types::I16, false)),
            Insn::Min(o) => self.binary(o, |b, x, y| b.ins().smin(x, y)),
            Insn::Minu(o) => self.binary(o, |b, x, y| b.ins().umin(x, y)),
            Insn::Max(o) => self.binary(o, |b, x, y| b.ins().smax(x, y)),
            Insn::Maxu(o) => self.binary(o, |b, x, y| b.ins().umax(x, y)),
            Insn::Rol(o) => self.binary(o, |b, x, y| b.ins().rotl(x, y)),
            Insn::Ror(o) => self.binary(o, |b, x, y| b.ins().rotr(x, y)),
            Insn::Rori(o) => self.unary(o.rd, o.rs1, |b, x| {
                b.ins().rotr_imm_u(x, i64::from(o.shamt))
            }),
            Insn::Rolw(o) => self.word_binary(o, |b, x, y| b.ins().rotl(x, y)),
            Insn::Rorw(o) => self.word_binary(o, |b, x, y| b.ins().rotr(x, y)),
            Insn::Roriw(o) => self.word_unary(o.rd, o.rs1, |b, x| {
                b.ins().rotr_imm_u(x, i64::from(o.shamt))
            }),
            Insn::OrcB(o) => self.unary(o.rd, o.rs1, |b, x| zb::orc_b(b, x)),
            Insn::Rev8(o) => self.unary(o.rd, o.rs1, |b, x| b.ins().bswap(x)),
            // Zbs.
            Insn::Bclr(o) => self.binary(o, |b, x, y| {
                let bit = zb::bit(b, y);
                b.ins().band_not(x, bit)
            }),
            Insn::Bext(o) => self.binary(o, |b, x, y| {
                let low = b.ins().ushr(x, y);
                b.ins().band_imm_u(low, 1)
            }),
            Insn::Binv(o) => self.binary(o, |b, x, y| {
                let bit = zb::bit(b, y);
                b.ins().bxor(x, bit)
            }),
            Insn::Bset(o) => self.binary(o, |b, x, y| {
                let bit = zb::bit(b, y);
                b.ins().bor(x, bit)
            }),
            Insn::Bclri(o) => self.unary(o.rd, o.rs1, |b, x| {
                b.ins().band_imm_s(x, !(1i64 << o.shamt))
            }),
            Insn::Bexti(o) => self.unary(o.rd, o.rs1, |b, x| {
                let low = b.ins().ushr_imm_u(x, i64::from(o.shamt));
                b.ins().band_imm_u(low, 1)
            }),
            Insn::Binvi(o) => {
                self.unary(o.rd, o.rs1, |b, x| b.ins().bxor_imm_s(x, 1i64 << o.shamt))
            }
            Insn::Bseti(o) => self.unary(o.rd, o.rs1, |b, x| b.ins().bor_imm_s(x, 1i64 << o.shamt)),
        }
        if wrong {
            self.spoil(step);
        }
    }
}
