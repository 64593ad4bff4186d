//! One instruction: what it does to the hart and to memory, as the unprivileged manual says.
//!
//! One line an instruction, in the order of the table; what is longer has a function in the file
//! of its chapter.

use crate::{a, f, m, zb, zicsr};
use frontend::*;
use hart::csr::Clock;
use hart::softfloat::{self, F32, F64};
use hart::{Cause, HartState, Memory, Trap};

/// Where execution goes on. The instruction has retired.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flow {
    /// To the instruction after this one.
    Next,
    /// To an address that depends only on the instruction and its pc.
    Jump(u64),
    /// To an address out of a register.
    Indirect(u64),
    /// To the instruction after this one, once stale code is dropped.
    FenceI,
}

/// Executes `insn`, which lies at `pc`; the instruction after it lies at `next`. `hart.pc` and
/// `hart.instret` are left alone. After a trap the hart is as it was.
#[inline(always)]
pub(crate) fn execute<M: Memory>(
    insn: &Insn,
    pc: u64,
    next: u64,
    hart: &mut HartState,
    mem: &M,
    clock: &Clock,
) -> Result<Flow, Trap> {
    match *insn {
        // RV32I and RV64I.
        Insn::Lui(U { rd, imm }) => hart.set(rd, sext(imm)),
        Insn::Auipc(U { rd, imm }) => hart.set(rd, pc.wrapping_add(sext(imm))),
        Insn::Jal(J { rd, imm }) => {
            hart.set(rd, next);
            return Ok(Flow::Jump(pc.wrapping_add(sext(imm))));
        }
        Insn::Jalr(I { rd, rs1, imm }) => {
            // The target is read first: rd may be rs1.
            let target = hart.x(rs1).wrapping_add(sext(imm)) & !1;
            hart.set(rd, next);
            return Ok(Flow::Indirect(target));
        }
        Insn::Beq(ref o) => return branch(hart.x(o.rs1) == hart.x(o.rs2), pc, o),
        Insn::Bne(ref o) => return branch(hart.x(o.rs1) != hart.x(o.rs2), pc, o),
        Insn::Blt(ref o) => return branch((hart.x(o.rs1) as i64) < hart.x(o.rs2) as i64, pc, o),
        Insn::Bge(ref o) => return branch(hart.x(o.rs1) as i64 >= hart.x(o.rs2) as i64, pc, o),
        Insn::Bltu(ref o) => return branch(hart.x(o.rs1) < hart.x(o.rs2), pc, o),
        Insn::Bgeu(ref o) => return branch(hart.x(o.rs1) >= hart.x(o.rs2), pc, o),
        Insn::Lb(ref o) => hart.set(o.rd, mem.load::<u8>(address(hart, o))? as i8 as u64),
        Insn::Lh(ref o) => hart.set(o.rd, mem.load::<u16>(address(hart, o))? as i16 as u64),
        Insn::Lw(ref o) => hart.set(o.rd, mem.load::<u32>(address(hart, o))? as i32 as u64),
        Insn::Ld(ref o) => hart.set(o.rd, mem.load::<u64>(address(hart, o))?),
        Insn::Lbu(ref o) => hart.set(o.rd, u64::from(mem.load::<u8>(address(hart, o))?)),
        Insn::Lhu(ref o) => hart.set(o.rd, u64::from(mem.load::<u16>(address(hart, o))?)),
        Insn::Lwu(ref o) => hart.set(o.rd, u64::from(mem.load::<u32>(address(hart, o))?)),
        Insn::Sb(S { rs1, rs2, imm }) => mem.store(offset(hart, rs1, imm), hart.x(rs2) as u8)?,
        Insn::Sh(S { rs1, rs2, imm }) => mem.store(offset(hart, rs1, imm), hart.x(rs2) as u16)?,
        Insn::Sw(S { rs1, rs2, imm }) => mem.store(offset(hart, rs1, imm), hart.x(rs2) as u32)?,
        Insn::Sd(S { rs1, rs2, imm }) => mem.store(offset(hart, rs1, imm), hart.x(rs2))?,
        Insn::Addi(I { rd, rs1, imm }) => hart.set(rd, hart.x(rs1).wrapping_add(sext(imm))),
        Insn::Slti(I { rd, rs1, imm }) => {
            hart.set(rd, u64::from((hart.x(rs1) as i64) < i64::from(imm)));
        }
        Insn::Sltiu(I { rd, rs1, imm }) => hart.set(rd, u64::from(hart.x(rs1) < sext(imm))),
        Insn::Xori(I { rd, rs1, imm }) => hart.set(rd, hart.x(rs1) ^ sext(imm)),
        Insn::Ori(I { rd, rs1, imm }) => hart.set(rd, hart.x(rs1) | sext(imm)),
        Insn::Andi(I { rd, rs1, imm }) => hart.set(rd, hart.x(rs1) & sext(imm)),
        Insn::Slli(Sh6 { rd, rs1, shamt }) => hart.set(rd, hart.x(rs1) << (shamt & 63)),
        Insn::Srli(Sh6 { rd, rs1, shamt }) => hart.set(rd, hart.x(rs1) >> (shamt & 63)),
        Insn::Srai(Sh6 { rd, rs1, shamt }) => {
            hart.set(rd, (hart.x(rs1) as i64 >> (shamt & 63)) as u64);
        }
        Insn::Add(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1).wrapping_add(hart.x(rs2))),
        Insn::Sub(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1).wrapping_sub(hart.x(rs2))),
        Insn::Sll(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1) << (hart.x(rs2) & 63)),
        Insn::Slt(R { rd, rs1, rs2 }) => {
            hart.set(rd, u64::from((hart.x(rs1) as i64) < hart.x(rs2) as i64));
        }
        Insn::Sltu(R { rd, rs1, rs2 }) => hart.set(rd, u64::from(hart.x(rs1) < hart.x(rs2))),
        Insn::Xor(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1) ^ hart.x(rs2)),
        Insn::Srl(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1) >> (hart.x(rs2) & 63)),
        Insn::Sra(R { rd, rs1, rs2 }) => {
            hart.set(rd, (hart.x(rs1) as i64 >> (hart.x(rs2) & 63)) as u64);
        }
        Insn::Or(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1) | hart.x(rs2)),
        Insn::And(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1) & hart.x(rs2)),
        Insn::Addiw(I { rd, rs1, imm }) => hart.set(rd, sext(w(hart, rs1).wrapping_add(imm))),
        Insn::Slliw(Sh5 { rd, rs1, shamt }) => hart.set(rd, sext(w(hart, rs1) << (shamt & 31))),
        Insn::Srliw(Sh5 { rd, rs1, shamt }) => {
            hart.set(rd, sext((w(hart, rs1) as u32 >> (shamt & 31)) as i32));
        }
        Insn::Sraiw(Sh5 { rd, rs1, shamt }) => hart.set(rd, sext(w(hart, rs1) >> (shamt & 31))),
        Insn::Addw(R { rd, rs1, rs2 }) => {
            hart.set(rd, sext(w(hart, rs1).wrapping_add(w(hart, rs2))));
        }
        Insn::Subw(R { rd, rs1, rs2 }) => {
            hart.set(rd, sext(w(hart, rs1).wrapping_sub(w(hart, rs2))));
        }
        Insn::Sllw(R { rd, rs1, rs2 }) => hart.set(rd, sext(w(hart, rs1) << (w(hart, rs2) & 31))),
        Insn::Srlw(R { rd, rs1, rs2 }) => {
            hart.set(
                rd,
                sext((w(hart, rs1) as u32 >> (w(hart, rs2) & 31)) as i32),
            );
        }
        Insn::Sraw(R { rd, rs1, rs2 }) => hart.set(rd, sext(w(hart, rs1) >> (w(hart, rs2) & 31))),
        // Every kind of fence is as strong as the strongest.
        Insn::Fence(_) => std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst),
        Insn::Ecall(_) => return Err(Trap::new(Cause::EcallFromU, 0)),
        Insn::Ebreak(_) => return Err(Trap::new(Cause::Breakpoint, 0)),
        // Zifencei.
        Insn::FenceI(_) => return Ok(Flow::FenceI),
        // Zicsr.
        Insn::Csrrw(o) => zicsr::csrrw(hart, clock, insn, o.csr, o.rd, hart.x(o.rs1))?,
        Insn::Csrrs(o) => {
            let mask = (o.rs1 != X::ZERO).then_some(hart.x(o.rs1));
            zicsr::csrrs(hart, clock, insn, o.csr, o.rd, mask)?;
        }
        Insn::Csrrc(o) => {
            let mask = (o.rs1 != X::ZERO).then_some(hart.x(o.rs1));
            zicsr::csrrc(hart, clock, insn, o.csr, o.rd, mask)?;
        }
        Insn::Csrrwi(o) => zicsr::csrrw(hart, clock, insn, o.csr, o.rd, u64::from(o.uimm))?,
        Insn::Csrrsi(o) => {
            let mask = (o.uimm != 0).then_some(u64::from(o.uimm));
            zicsr::csrrs(hart, clock, insn, o.csr, o.rd, mask)?;
        }
        Insn::Csrrci(o) => {
            let mask = (o.uimm != 0).then_some(u64::from(o.uimm));
            zicsr::csrrc(hart, clock, insn, o.csr, o.rd, mask)?;
        }
        // M.
        Insn::Mul(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1).wrapping_mul(hart.x(rs2))),
        Insn::Mulh(R { rd, rs1, rs2 }) => hart.set(rd, m::mulh(hart.x(rs1), hart.x(rs2))),
        Insn::Mulhsu(R { rd, rs1, rs2 }) => hart.set(rd, m::mulhsu(hart.x(rs1), hart.x(rs2))),
        Insn::Mulhu(R { rd, rs1, rs2 }) => hart.set(rd, m::mulhu(hart.x(rs1), hart.x(rs2))),
        Insn::Div(R { rd, rs1, rs2 }) => hart.set(rd, m::div(hart.x(rs1), hart.x(rs2))),
        Insn::Divu(R { rd, rs1, rs2 }) => hart.set(rd, m::divu(hart.x(rs1), hart.x(rs2))),
        Insn::Rem(R { rd, rs1, rs2 }) => hart.set(rd, m::rem(hart.x(rs1), hart.x(rs2))),
        Insn::Remu(R { rd, rs1, rs2 }) => hart.set(rd, m::remu(hart.x(rs1), hart.x(rs2))),
        Insn::Mulw(R { rd, rs1, rs2 }) => {
            hart.set(rd, sext(w(hart, rs1).wrapping_mul(w(hart, rs2))));
        }
        Insn::Divw(R { rd, rs1, rs2 }) => hart.set(rd, m::divw(w(hart, rs1), w(hart, rs2))),
        Insn::Divuw(R { rd, rs1, rs2 }) => hart.set(rd, m::divuw(w(hart, rs1), w(hart, rs2))),
        Insn::Remw(R { rd, rs1, rs2 }) => hart.set(rd, m::remw(w(hart, rs1), w(hart, rs2))),
        Insn::Remuw(R { rd, rs1, rs2 }) => hart.set(rd, m::remuw(w(hart, rs1), w(hart, rs2))),
        // A.
        Insn::LrW(o) => a::lr::<u32, M>(hart, mem, o)?,
        Insn::ScW(o) => a::sc::<u32, M>(hart, mem, o)?,
        Insn::AmoswapW(o) => a::amo::<u32, M>(hart, mem, o, |_, new| new)?,
        Insn::AmoaddW(o) => a::amo::<u32, M>(hart, mem, o, u32::wrapping_add)?,
        Insn::AmoxorW(o) => a::amo::<u32, M>(hart, mem, o, |a, b| a ^ b)?,
        Insn::AmoandW(o) => a::amo::<u32, M>(hart, mem, o, |a, b| a & b)?,
        Insn::AmoorW(o) => a::amo::<u32, M>(hart, mem, o, |a, b| a | b)?,
        Insn::AmominW(o) => a::amo::<u32, M>(hart, mem, o, |a, b| (a as i32).min(b as i32) as u32)?,
        Insn::AmomaxW(o) => a::amo::<u32, M>(hart, mem, o, |a, b| (a as i32).max(b as i32) as u32)?,
        Insn::AmominuW(o) => a::amo::<u32, M>(hart, mem, o, u32::min)?,
        Insn::AmomaxuW(o) => a::amo::<u32, M>(hart, mem, o, u32::max)?,
        Insn::LrD(o) => a::lr::<u64, M>(hart, mem, o)?,
        Insn::ScD(o) => a::sc::<u64, M>(hart, mem, o)?,
        Insn::AmoswapD(o) => a::amo::<u64, M>(hart, mem, o, |_, new| new)?,
        Insn::AmoaddD(o) => a::amo::<u64, M>(hart, mem, o, u64::wrapping_add)?,
        Insn::AmoxorD(o) => a::amo::<u64, M>(hart, mem, o, |a, b| a ^ b)?,
        Insn::AmoandD(o) => a::amo::<u64, M>(hart, mem, o, |a, b| a & b)?,
        Insn::AmoorD(o) => a::amo::<u64, M>(hart, mem, o, |a, b| a | b)?,
        Insn::AmominD(o) => a::amo::<u64, M>(hart, mem, o, |a, b| (a as i64).min(b as i64) as u64)?,
        Insn::AmomaxD(o) => a::amo::<u64, M>(hart, mem, o, |a, b| (a as i64).max(b as i64) as u64)?,
        Insn::AmominuD(o) => a::amo::<u64, M>(hart, mem, o, u64::min)?,
        Insn::AmomaxuD(o) => a::amo::<u64, M>(hart, mem, o, u64::max)?,
        // F.
        Insn::Flw(Fl { rd, rs1, imm }) => {
            let single = mem.load::<u32>(offset(hart, rs1, imm))?;
            hart.set_f(rd, softfloat::nan_box(u64::from(single)));
        }
        Insn::Fsw(Fs { rs1, rs2, imm }) => mem.store(offset(hart, rs1, imm), hart.f(rs2) as u32)?,
        Insn::FmaddS(o) => f::fmadd::<F32>(hart, insn, o)?,
        Insn::FmsubS(o) => f::fmsub::<F32>(hart, insn, o)?,
        Insn::FnmsubS(o) => f::fnmsub::<F32>(hart, insn, o)?,
        Insn::FnmaddS(o) => f::fnmadd::<F32>(hart, insn, o)?,
        Insn::FaddS(o) => f::rounded::<F32>(hart, insn, o, softfloat::add::<F32>)?,
        Insn::FsubS(o) => f::rounded::<F32>(hart, insn, o, softfloat::sub::<F32>)?,
        Insn::FmulS(o) => f::rounded::<F32>(hart, insn, o, softfloat::mul::<F32>)?,
        Insn::FdivS(o) => f::rounded::<F32>(hart, insn, o, softfloat::div::<F32>)?,
        Insn::FsqrtS(o) => f::fsqrt::<F32>(hart, insn, o)?,
        Insn::FsgnjS(o) => f::sign::<F32>(hart, o, |_, b| b),
        Insn::FsgnjnS(o) => f::sign::<F32>(hart, o, |_, b| !b),
        Insn::FsgnjxS(o) => f::sign::<F32>(hart, o, |a, b| a ^ b),
        Insn::FminS(o) => f::extremum::<F32>(hart, o, softfloat::min::<F32>),
        Insn::FmaxS(o) => f::extremum::<F32>(hart, o, softfloat::max::<F32>),
        Insn::FeqS(o) => f::compare::<F32>(hart, o, softfloat::eq::<F32>),
        Insn::FltS(o) => f::compare::<F32>(hart, o, softfloat::lt::<F32>),
        Insn::FleS(o) => f::compare::<F32>(hart, o, softfloat::le::<F32>),
        Insn::FclassS(o) => f::fclass::<F32>(hart, o),
        Insn::FcvtWS(o) => f::to_integer::<F32, _>(hart, insn, o, softfloat::to_i32::<F32>)?,
        Insn::FcvtWuS(o) => f::to_integer::<F32, _>(hart, insn, o, softfloat::to_u32::<F32>)?,
        Insn::FcvtLS(o) => f::to_integer::<F32, _>(hart, insn, o, softfloat::to_i64::<F32>)?,
        Insn::FcvtLuS(o) => f::to_integer::<F32, _>(hart, insn, o, softfloat::to_u64::<F32>)?,
        Insn::FcvtSW(o) => f::from_integer::<F32, _>(hart, insn, o, softfloat::from_i32::<F32>)?,
        Insn::FcvtSWu(o) => f::from_integer::<F32, _>(hart, insn, o, softfloat::from_u32::<F32>)?,
        Insn::FcvtSL(o) => f::from_integer::<F32, _>(hart, insn, o, softfloat::from_i64::<F32>)?,
        Insn::FcvtSLu(o) => f::from_integer::<F32, _>(hart, insn, o, softfloat::from_u64::<F32>)?,
        // The low half as it is, whether or not it is properly boxed.
        Insn::FmvXW(FmvX { rd, rs1 }) => hart.set(rd, sext(hart.f(rs1) as i32)),
        Insn::FmvWX(XmvF { rd, rs1 }) => {
            hart.set_f(rd, softfloat::nan_box(u64::from(hart.x(rs1) as u32)));
        }
        // D.
        Insn::Fld(Fl { rd, rs1, imm }) => hart.set_f(rd, mem.load::<u64>(offset(hart, rs1, imm))?),
        Insn::Fsd(Fs { rs1, rs2, imm }) => mem.store(offset(hart, rs1, imm), hart.f(rs2))?,
        Insn::FmaddD(o) => f::fmadd::<F64>(hart, insn, o)?,
        Insn::FmsubD(o) => f::fmsub::<F64>(hart, insn, o)?,
        Insn::FnmsubD(o) => f::fnmsub::<F64>(hart, insn, o)?,
        Insn::FnmaddD(o) => f::fnmadd::<F64>(hart, insn, o)?,
        Insn::FaddD(o) => f::rounded::<F64>(hart, insn, o, softfloat::add::<F64>)?,
        Insn::FsubD(o) => f::rounded::<F64>(hart, insn, o, softfloat::sub::<F64>)?,
        Insn::FmulD(o) => f::rounded::<F64>(hart, insn, o, softfloat::mul::<F64>)?,
        Insn::FdivD(o) => f::rounded::<F64>(hart, insn, o, softfloat::div::<F64>)?,
        Insn::FsqrtD(o) => f::fsqrt::<F64>(hart, insn, o)?,
        Insn::FsgnjD(o) => f::sign::<F64>(hart, o, |_, b| b),
        Insn::FsgnjnD(o) => f::sign::<F64>(hart, o, |_, b| !b),
        Insn::FsgnjxD(o) => f::sign::<F64>(hart, o, |a, b| a ^ b),
        Insn::FminD(o) => f::extremum::<F64>(hart, o, softfloat::min::<F64>),
        Insn::FmaxD(o) => f::extremum::<F64>(hart, o, softfloat::max::<F64>),
        Insn::FeqD(o) => f::compare::<F64>(hart, o, softfloat::eq::<F64>),
        Insn::FltD(o) => f::compare::<F64>(hart, o, softfloat::lt::<F64>),
        Insn::FleD(o) => f::compare::<F64>(hart, o, softfloat::le::<F64>),
        Insn::FclassD(o) => f::fclass::<F64>(hart, o),
        Insn::FcvtWD(o) => f::to_integer::<F64, _>(hart, insn, o, softfloat::to_i32::<F64>)?,
        Insn::FcvtWuD(o) => f::to_integer::<F64, _>(hart, insn, o, softfloat::to_u32::<F64>)?,
        Insn::FcvtLD(o) => f::to_integer::<F64, _>(hart, insn, o, softfloat::to_i64::<F64>)?,
        Insn::FcvtLuD(o) => f::to_integer::<F64, _>(hart, insn, o, softfloat::to_u64::<F64>)?,
        Insn::FcvtDW(o) => f::from_integer::<F64, _>(hart, insn, o, softfloat::from_i32::<F64>)?,
        Insn::FcvtDWu(o) => f::from_integer::<F64, _>(hart, insn, o, softfloat::from_u32::<F64>)?,
        Insn::FcvtDL(o) => f::from_integer::<F64, _>(hart, insn, o, softfloat::from_i64::<F64>)?,
        Insn::FcvtDLu(o) => f::from_integer::<F64, _>(hart, insn, o, softfloat::from_u64::<F64>)?,
        Insn::FmvXD(FmvX { rd, rs1 }) => hart.set(rd, hart.f(rs1)),
        Insn::FmvDX(XmvF { rd, rs1 }) => hart.set_f(rd, hart.x(rs1)),
        Insn::FcvtSD(o) => f::fcvt_s_d(hart, insn, o)?,
        Insn::FcvtDS(o) => f::fcvt_d_s(hart, insn, o)?,
        // Zba.
        Insn::AddUw(R { rd, rs1, rs2 }) => hart.set(rd, zb::add_uw(hart.x(rs1), hart.x(rs2), 0)),
        Insn::Sh1add(R { rd, rs1, rs2 }) => hart.set(rd, zb::shadd(hart.x(rs1), hart.x(rs2), 1)),
        Insn::Sh2add(R { rd, rs1, rs2 }) => hart.set(rd, zb::shadd(hart.x(rs1), hart.x(rs2), 2)),
        Insn::Sh3add(R { rd, rs1, rs2 }) => hart.set(rd, zb::shadd(hart.x(rs1), hart.x(rs2), 3)),
        Insn::Sh1addUw(R { rd, rs1, rs2 }) => hart.set(rd, zb::add_uw(hart.x(rs1), hart.x(rs2), 1)),
        Insn::Sh2addUw(R { rd, rs1, rs2 }) => hart.set(rd, zb::add_uw(hart.x(rs1), hart.x(rs2), 2)),
        Insn::Sh3addUw(R { rd, rs1, rs2 }) => hart.set(rd, zb::add_uw(hart.x(rs1), hart.x(rs2), 3)),
        Insn::SlliUw(Sh6 { rd, rs1, shamt }) => {
            hart.set(rd, u64::from(hart.x(rs1) as u32) << (shamt & 63));
        }
        // Zbb.
        Insn::Andn(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1) & !hart.x(rs2)),
        Insn::Orn(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1) | !hart.x(rs2)),
        Insn::Xnor(R { rd, rs1, rs2 }) => hart.set(rd, !(hart.x(rs1) ^ hart.x(rs2))),
        Insn::Clz(R1 { rd, rs1 }) => hart.set(rd, u64::from(hart.x(rs1).leading_zeros())),
        Insn::Ctz(R1 { rd, rs1 }) => hart.set(rd, u64::from(hart.x(rs1).trailing_zeros())),
        Insn::Cpop(R1 { rd, rs1 }) => hart.set(rd, u64::from(hart.x(rs1).count_ones())),
        Insn::SextB(R1 { rd, rs1 }) => hart.set(rd, hart.x(rs1) as i8 as u64),
        Insn::SextH(R1 { rd, rs1 }) => hart.set(rd, hart.x(rs1) as i16 as u64),
        Insn::Clzw(R1 { rd, rs1 }) => hart.set(rd, u64::from(w(hart, rs1).leading_zeros())),
        Insn::Ctzw(R1 { rd, rs1 }) => hart.set(rd, u64::from(w(hart, rs1).trailing_zeros())),
        Insn::Cpopw(R1 { rd, rs1 }) => hart.set(rd, u64::from(w(hart, rs1).count_ones())),
        Insn::ZextH(R1 { rd, rs1 }) => hart.set(rd, u64::from(hart.x(rs1) as u16)),
        Insn::Min(R { rd, rs1, rs2 }) => {
            hart.set(rd, (hart.x(rs1) as i64).min(hart.x(rs2) as i64) as u64);
        }
        Insn::Minu(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1).min(hart.x(rs2))),
        Insn::Max(R { rd, rs1, rs2 }) => {
            hart.set(rd, (hart.x(rs1) as i64).max(hart.x(rs2) as i64) as u64);
        }
        Insn::Maxu(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1).max(hart.x(rs2))),
        Insn::Rol(R { rd, rs1, rs2 }) => {
            hart.set(rd, hart.x(rs1).rotate_left(hart.x(rs2) as u32 & 63));
        }
        Insn::Ror(R { rd, rs1, rs2 }) => {
            hart.set(rd, hart.x(rs1).rotate_right(hart.x(rs2) as u32 & 63));
        }
        Insn::Rori(Sh6 { rd, rs1, shamt }) => {
            hart.set(rd, hart.x(rs1).rotate_right(u32::from(shamt & 63)));
        }
        Insn::Rolw(R { rd, rs1, rs2 }) => {
            hart.set(rd, sext(w(hart, rs1).rotate_left(hart.x(rs2) as u32 & 31)));
        }
        Insn::Rorw(R { rd, rs1, rs2 }) => {
            hart.set(rd, sext(w(hart, rs1).rotate_right(hart.x(rs2) as u32 & 31)));
        }
        Insn::Roriw(Sh5 { rd, rs1, shamt }) => {
            hart.set(rd, sext(w(hart, rs1).rotate_right(u32::from(shamt & 31))));
        }
        Insn::OrcB(R1 { rd, rs1 }) => hart.set(rd, zb::orc_b(hart.x(rs1))),
        Insn::Rev8(R1 { rd, rs1 }) => hart.set(rd, hart.x(rs1).swap_bytes()),
        // Zbs.
        Insn::Bclr(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1) & !(1 << (hart.x(rs2) & 63))),
        Insn::Bext(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1) >> (hart.x(rs2) & 63) & 1),
        Insn::Binv(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1) ^ 1 << (hart.x(rs2) & 63)),
        Insn::Bset(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1) | 1 << (hart.x(rs2) & 63)),
        Insn::Bclri(Sh6 { rd, rs1, shamt }) => hart.set(rd, hart.x(rs1) & !(1 << (shamt & 63))),
        Insn::Bexti(Sh6 { rd, rs1, shamt }) => hart.set(rd, hart.x(rs1) >> (shamt & 63) & 1),
        Insn::Binvi(Sh6 { rd, rs1, shamt }) => hart.set(rd, hart.x(rs1) ^ 1 << (shamt & 63)),
        Insn::Bseti(Sh6 { rd, rs1, shamt }) => hart.set(rd, hart.x(rs1) | 1 << (shamt & 63)),
    }
    Ok(Flow::Next)
}

/// Sign-extends a word to a register.
#[inline(always)]
pub(crate) fn sext(word: i32) -> u64 {
    i64::from(word) as u64
}

/// The low word of a register.
#[inline(always)]
fn w(hart: &HartState, rs: X) -> i32 {
    hart.x(rs) as i32
}

/// The address `x[rs1] + imm`.
#[inline(always)]
fn offset(hart: &HartState, rs1: X, imm: i32) -> u64 {
    hart.x(rs1).wrapping_add(sext(imm))
}

/// The address of a load.
#[inline(always)]
fn address(hart: &HartState, o: &I) -> u64 {
    offset(hart, o.rs1, o.imm)
}

#[inline(always)]
fn branch(taken: bool, pc: u64, o: &B) -> Result<Flow, Trap> {
    Ok(if taken {
        Flow::Jump(pc.wrapping_add(sext(o.imm)))
    } else {
        Flow::Next
    })
}

/// The trap of an instruction that decodes but may not execute. Those have no compressed form, so
/// the instruction's bits are its encoding.
#[cold]
pub(crate) fn illegal(insn: &Insn) -> Trap {
    Trap::new(Cause::IllegalInstruction, u64::from(insn.encode()))
}
