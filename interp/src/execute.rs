//! One instruction: what it does to the hart and to memory, as the unprivileged manual says.
//!
//! One line an instruction, in the order of the table; what is longer has a function in the file
//! of its chapter.

use crate::{a, f, m, zb, zicsr};
use frontend::*;
use hart::csr::{Change, Clock};
use hart::softfloat::{self, F32, F64};
use hart::{Cause, Effect, HartState, Memory, Trap};

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
    /// To this address, once whoever runs the hart has had a look.
    Attention(u64),
    /// To this address, once there is an interrupt.
    Wait(u64),
}

/// How to go on behind an instruction that the environment has executed; `next` is the address
/// there.
pub(crate) fn after(effect: Effect, next: u64) -> Flow {
    match effect {
        Effect::Continue(pc) if pc == next => Flow::Next,
        Effect::Continue(pc) => Flow::Indirect(pc),
        Effect::Attention(pc) => Flow::Attention(pc),
        Effect::Wait(pc) => Flow::Wait(pc),
    }
}

impl From<()> for Flow {
    #[inline(always)]
    fn from((): ()) -> Flow {
        Flow::Next
    }
}

/// Defines what each instruction does: a function of that name in [`one`], and [`execute`].
///
/// The arms see the hart, its memory, the addresses of the instruction (`pc`) and of the one after
/// it (`next`), the instruction itself, and the clock. An arm without a value goes on to the next
/// instruction.
macro_rules! instructions {
    (
        |$hart:ident, $mem:ident, $pc:ident, $next:ident, $insn:ident, $clock:ident|
        $($name:ident($operands:pat) => $effect:expr,)*
    ) => {
        /// Each instruction by itself. The caller knows which one it has.
        #[expect(non_snake_case, reason = "the names of the table")]
        pub(crate) mod one {
            use super::*;
            $(
                #[inline(always)]
                #[allow(unused_variables, reason = "no instruction needs everything")]
                pub(crate) fn $name<M: Memory>(
                    $insn: &Insn,
                    $pc: u64,
                    $next: u64,
                    $hart: &mut HartState,
                    $mem: &M,
                    $clock: &Clock,
                ) -> Result<Flow, Trap> {
                    let Insn::$name($operands) = *$insn else { unreachable!() };
                    if M::SYSTEM && const { uses_float(Op::$name) } && !$mem.may_float() {
                        return Err(illegal($insn));
                    }
                    Ok(Flow::from($effect))
                }
            )*
        }

        /// Executes `insn`, which lies at `pc`; the instruction after it lies at `next`. `hart.pc`
        /// and `hart.instret` are left alone. After a trap the hart is as it was.
        pub(crate) fn execute<M: Memory>(
            insn: &Insn,
            pc: u64,
            next: u64,
            hart: &mut HartState,
            mem: &M,
            clock: &Clock,
        ) -> Result<Flow, Trap> {
            match insn {
                $(Insn::$name(_) => one::$name(insn, pc, next, hart, mem, clock),)*
            }
        }
    };
}

instructions! {
    |hart, mem, pc, next, insn, clock|
    // RV32I and RV64I.
    Lui(U { rd, imm }) => hart.set(rd, sext(imm)),
    Auipc(U { rd, imm }) => hart.set(rd, pc.wrapping_add(sext(imm))),
    Jal(J { rd, imm }) => {
        hart.set(rd, next);
        Flow::Jump(pc.wrapping_add(sext(imm)))
    },
    Jalr(I { rd, rs1, imm }) => {
        // The target is read first: rd may be rs1.
        let target = hart.x(rs1).wrapping_add(sext(imm)) & !1;
        hart.set(rd, next);
        Flow::Indirect(target)
    },
    Beq(ref o) => branch(hart.x(o.rs1) == hart.x(o.rs2), pc, o),
    Bne(ref o) => branch(hart.x(o.rs1) != hart.x(o.rs2), pc, o),
    Blt(ref o) => branch((hart.x(o.rs1) as i64) < hart.x(o.rs2) as i64, pc, o),
    Bge(ref o) => branch(hart.x(o.rs1) as i64 >= hart.x(o.rs2) as i64, pc, o),
    Bltu(ref o) => branch(hart.x(o.rs1) < hart.x(o.rs2), pc, o),
    Bgeu(ref o) => branch(hart.x(o.rs1) >= hart.x(o.rs2), pc, o),
    Lb(ref o) => hart.set(o.rd, mem.load::<u8>(address(hart, o))? as i8 as u64),
    Lh(ref o) => hart.set(o.rd, mem.load::<u16>(address(hart, o))? as i16 as u64),
    Lw(ref o) => hart.set(o.rd, mem.load::<u32>(address(hart, o))? as i32 as u64),
    Ld(ref o) => hart.set(o.rd, mem.load::<u64>(address(hart, o))?),
    Lbu(ref o) => hart.set(o.rd, u64::from(mem.load::<u8>(address(hart, o))?)),
    Lhu(ref o) => hart.set(o.rd, u64::from(mem.load::<u16>(address(hart, o))?)),
    Lwu(ref o) => hart.set(o.rd, u64::from(mem.load::<u32>(address(hart, o))?)),
    Sb(S { rs1, rs2, imm }) => mem.store(offset(hart, rs1, imm), hart.x(rs2) as u8)?,
    Sh(S { rs1, rs2, imm }) => mem.store(offset(hart, rs1, imm), hart.x(rs2) as u16)?,
    Sw(S { rs1, rs2, imm }) => mem.store(offset(hart, rs1, imm), hart.x(rs2) as u32)?,
    Sd(S { rs1, rs2, imm }) => mem.store(offset(hart, rs1, imm), hart.x(rs2))?,
    Addi(I { rd, rs1, imm }) => hart.set(rd, hart.x(rs1).wrapping_add(sext(imm))),
    Slti(I { rd, rs1, imm }) => hart.set(rd, u64::from((hart.x(rs1) as i64) < i64::from(imm))),
    Sltiu(I { rd, rs1, imm }) => hart.set(rd, u64::from(hart.x(rs1) < sext(imm))),
    Xori(I { rd, rs1, imm }) => hart.set(rd, hart.x(rs1) ^ sext(imm)),
    Ori(I { rd, rs1, imm }) => hart.set(rd, hart.x(rs1) | sext(imm)),
    Andi(I { rd, rs1, imm }) => hart.set(rd, hart.x(rs1) & sext(imm)),
    Slli(Sh6 { rd, rs1, shamt }) => hart.set(rd, hart.x(rs1) << (shamt & 63)),
    Srli(Sh6 { rd, rs1, shamt }) => hart.set(rd, hart.x(rs1) >> (shamt & 63)),
    Srai(Sh6 { rd, rs1, shamt }) => hart.set(rd, (hart.x(rs1) as i64 >> (shamt & 63)) as u64),
    Add(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1).wrapping_add(hart.x(rs2))),
    Sub(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1).wrapping_sub(hart.x(rs2))),
    Sll(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1) << (hart.x(rs2) & 63)),
    Slt(R { rd, rs1, rs2 }) => hart.set(rd, u64::from((hart.x(rs1) as i64) < hart.x(rs2) as i64)),
    Sltu(R { rd, rs1, rs2 }) => hart.set(rd, u64::from(hart.x(rs1) < hart.x(rs2))),
    Xor(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1) ^ hart.x(rs2)),
    Srl(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1) >> (hart.x(rs2) & 63)),
    Sra(R { rd, rs1, rs2 }) => hart.set(rd, (hart.x(rs1) as i64 >> (hart.x(rs2) & 63)) as u64),
    Or(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1) | hart.x(rs2)),
    And(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1) & hart.x(rs2)),
    Addiw(I { rd, rs1, imm }) => hart.set(rd, sext(w(hart, rs1).wrapping_add(imm))),
    Slliw(Sh5 { rd, rs1, shamt }) => hart.set(rd, sext(w(hart, rs1) << (shamt & 31))),
    Srliw(Sh5 { rd, rs1, shamt }) =>
        hart.set(rd, sext((w(hart, rs1) as u32 >> (shamt & 31)) as i32)),
    Sraiw(Sh5 { rd, rs1, shamt }) => hart.set(rd, sext(w(hart, rs1) >> (shamt & 31))),
    Addw(R { rd, rs1, rs2 }) => hart.set(rd, sext(w(hart, rs1).wrapping_add(w(hart, rs2)))),
    Subw(R { rd, rs1, rs2 }) => hart.set(rd, sext(w(hart, rs1).wrapping_sub(w(hart, rs2)))),
    Sllw(R { rd, rs1, rs2 }) => hart.set(rd, sext(w(hart, rs1) << (w(hart, rs2) & 31))),
    Srlw(R { rd, rs1, rs2 }) =>
        hart.set(rd, sext((w(hart, rs1) as u32 >> (w(hart, rs2) & 31)) as i32)),
    Sraw(R { rd, rs1, rs2 }) => hart.set(rd, sext(w(hart, rs1) >> (w(hart, rs2) & 31))),
    // Every kind of fence is as strong as the strongest.
    Fence(_) => std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst),
    Ecall(_) => trap(Cause::EcallFromU)?,
    Ebreak(_) => trap(Cause::Breakpoint)?,
    // Zifencei.
    FenceI(_) => Flow::FenceI,
    // Zicsr.
    Csrrw(o) => {
        let change = Some(Change::Write(hart.x(o.rs1)));
        zicsr::csr(hart, mem, clock, insn, next, o.csr, o.rd, o.rd != X::ZERO, change)?
    },
    Csrrs(o) => {
        let change = (o.rs1 != X::ZERO).then_some(Change::Set(hart.x(o.rs1)));
        zicsr::csr(hart, mem, clock, insn, next, o.csr, o.rd, true, change)?
    },
    Csrrc(o) => {
        let change = (o.rs1 != X::ZERO).then_some(Change::Clear(hart.x(o.rs1)));
        zicsr::csr(hart, mem, clock, insn, next, o.csr, o.rd, true, change)?
    },
    Csrrwi(o) => {
        let change = Some(Change::Write(u64::from(o.uimm)));
        zicsr::csr(hart, mem, clock, insn, next, o.csr, o.rd, o.rd != X::ZERO, change)?
    },
    Csrrsi(o) => {
        let change = (o.uimm != 0).then_some(Change::Set(u64::from(o.uimm)));
        zicsr::csr(hart, mem, clock, insn, next, o.csr, o.rd, true, change)?
    },
    Csrrci(o) => {
        let change = (o.uimm != 0).then_some(Change::Clear(u64::from(o.uimm)));
        zicsr::csr(hart, mem, clock, insn, next, o.csr, o.rd, true, change)?
    },
    // Privileged, Zicbom and Zicboz: the environment's.
    Sret(_) => privileged(hart, mem, insn, next)?,
    Mret(_) => privileged(hart, mem, insn, next)?,
    Wfi(_) => privileged(hart, mem, insn, next)?,
    SfenceVma(_) => privileged(hart, mem, insn, next)?,
    CboInval(_) => privileged(hart, mem, insn, next)?,
    CboClean(_) => privileged(hart, mem, insn, next)?,
    CboFlush(_) => privileged(hart, mem, insn, next)?,
    CboZero(_) => privileged(hart, mem, insn, next)?,
    // M.
    Mul(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1).wrapping_mul(hart.x(rs2))),
    Mulh(R { rd, rs1, rs2 }) => hart.set(rd, m::mulh(hart.x(rs1), hart.x(rs2))),
    Mulhsu(R { rd, rs1, rs2 }) => hart.set(rd, m::mulhsu(hart.x(rs1), hart.x(rs2))),
    Mulhu(R { rd, rs1, rs2 }) => hart.set(rd, m::mulhu(hart.x(rs1), hart.x(rs2))),
    Div(R { rd, rs1, rs2 }) => hart.set(rd, m::div(hart.x(rs1), hart.x(rs2))),
    Divu(R { rd, rs1, rs2 }) => hart.set(rd, m::divu(hart.x(rs1), hart.x(rs2))),
    Rem(R { rd, rs1, rs2 }) => hart.set(rd, m::rem(hart.x(rs1), hart.x(rs2))),
    Remu(R { rd, rs1, rs2 }) => hart.set(rd, m::remu(hart.x(rs1), hart.x(rs2))),
    Mulw(R { rd, rs1, rs2 }) => hart.set(rd, sext(w(hart, rs1).wrapping_mul(w(hart, rs2)))),
    Divw(R { rd, rs1, rs2 }) => hart.set(rd, m::divw(w(hart, rs1), w(hart, rs2))),
    Divuw(R { rd, rs1, rs2 }) => hart.set(rd, m::divuw(w(hart, rs1), w(hart, rs2))),
    Remw(R { rd, rs1, rs2 }) => hart.set(rd, m::remw(w(hart, rs1), w(hart, rs2))),
    Remuw(R { rd, rs1, rs2 }) => hart.set(rd, m::remuw(w(hart, rs1), w(hart, rs2))),
    // A.
    LrW(o) => a::lr::<u32, M>(hart, mem, o)?,
    ScW(o) => a::sc::<u32, M>(hart, mem, o)?,
    AmoswapW(o) => a::amo::<u32, M>(hart, mem, o, |_, new| new)?,
    AmoaddW(o) => a::amo::<u32, M>(hart, mem, o, u32::wrapping_add)?,
    AmoxorW(o) => a::amo::<u32, M>(hart, mem, o, |a, b| a ^ b)?,
    AmoandW(o) => a::amo::<u32, M>(hart, mem, o, |a, b| a & b)?,
    AmoorW(o) => a::amo::<u32, M>(hart, mem, o, |a, b| a | b)?,
    AmominW(o) => a::amo::<u32, M>(hart, mem, o, |a, b| (a as i32).min(b as i32) as u32)?,
    AmomaxW(o) => a::amo::<u32, M>(hart, mem, o, |a, b| (a as i32).max(b as i32) as u32)?,
    AmominuW(o) => a::amo::<u32, M>(hart, mem, o, u32::min)?,
    AmomaxuW(o) => a::amo::<u32, M>(hart, mem, o, u32::max)?,
    LrD(o) => a::lr::<u64, M>(hart, mem, o)?,
    ScD(o) => a::sc::<u64, M>(hart, mem, o)?,
    AmoswapD(o) => a::amo::<u64, M>(hart, mem, o, |_, new| new)?,
    AmoaddD(o) => a::amo::<u64, M>(hart, mem, o, u64::wrapping_add)?,
    AmoxorD(o) => a::amo::<u64, M>(hart, mem, o, |a, b| a ^ b)?,
    AmoandD(o) => a::amo::<u64, M>(hart, mem, o, |a, b| a & b)?,
    AmoorD(o) => a::amo::<u64, M>(hart, mem, o, |a, b| a | b)?,
    AmominD(o) => a::amo::<u64, M>(hart, mem, o, |a, b| (a as i64).min(b as i64) as u64)?,
    AmomaxD(o) => a::amo::<u64, M>(hart, mem, o, |a, b| (a as i64).max(b as i64) as u64)?,
    AmominuD(o) => a::amo::<u64, M>(hart, mem, o, u64::min)?,
    AmomaxuD(o) => a::amo::<u64, M>(hart, mem, o, u64::max)?,
    // F.
    Flw(Fl { rd, rs1, imm }) => {
        let single = mem.load::<u32>(offset(hart, rs1, imm))?;
        hart.set_f(rd, softfloat::nan_box(u64::from(single)));
    },
    Fsw(Fs { rs1, rs2, imm }) => mem.store(offset(hart, rs1, imm), hart.f(rs2) as u32)?,
    FmaddS(o) => f::fmadd::<F32>(hart, insn, o)?,
    FmsubS(o) => f::fmsub::<F32>(hart, insn, o)?,
    FnmsubS(o) => f::fnmsub::<F32>(hart, insn, o)?,
    FnmaddS(o) => f::fnmadd::<F32>(hart, insn, o)?,
    FaddS(o) => f::rounded::<F32>(hart, insn, o, softfloat::add::<F32>)?,
    FsubS(o) => f::rounded::<F32>(hart, insn, o, softfloat::sub::<F32>)?,
    FmulS(o) => f::rounded::<F32>(hart, insn, o, softfloat::mul::<F32>)?,
    FdivS(o) => f::rounded::<F32>(hart, insn, o, softfloat::div::<F32>)?,
    FsqrtS(o) => f::fsqrt::<F32>(hart, insn, o)?,
    FsgnjS(o) => f::sign::<F32>(hart, o, |_, b| b),
    FsgnjnS(o) => f::sign::<F32>(hart, o, |_, b| !b),
    FsgnjxS(o) => f::sign::<F32>(hart, o, |a, b| a ^ b),
    FminS(o) => f::extremum::<F32>(hart, o, softfloat::min::<F32>),
    FmaxS(o) => f::extremum::<F32>(hart, o, softfloat::max::<F32>),
    FeqS(o) => f::compare::<F32>(hart, o, softfloat::eq::<F32>),
    FltS(o) => f::compare::<F32>(hart, o, softfloat::lt::<F32>),
    FleS(o) => f::compare::<F32>(hart, o, softfloat::le::<F32>),
    FclassS(o) => f::fclass::<F32>(hart, o),
    FcvtWS(o) => f::to_integer::<F32, _>(hart, insn, o, softfloat::to_i32::<F32>)?,
    FcvtWuS(o) => f::to_integer::<F32, _>(hart, insn, o, softfloat::to_u32::<F32>)?,
    FcvtLS(o) => f::to_integer::<F32, _>(hart, insn, o, softfloat::to_i64::<F32>)?,
    FcvtLuS(o) => f::to_integer::<F32, _>(hart, insn, o, softfloat::to_u64::<F32>)?,
    FcvtSW(o) => f::from_integer::<F32, _>(hart, insn, o, softfloat::from_i32::<F32>)?,
    FcvtSWu(o) => f::from_integer::<F32, _>(hart, insn, o, softfloat::from_u32::<F32>)?,
    FcvtSL(o) => f::from_integer::<F32, _>(hart, insn, o, softfloat::from_i64::<F32>)?,
    FcvtSLu(o) => f::from_integer::<F32, _>(hart, insn, o, softfloat::from_u64::<F32>)?,
    // The low half as it is, whether or not it is properly boxed.
    FmvXW(FmvX { rd, rs1 }) => hart.set(rd, sext(hart.f(rs1) as i32)),
    FmvWX(XmvF { rd, rs1 }) => hart.set_f(rd, softfloat::nan_box(u64::from(hart.x(rs1) as u32))),
    // D.
    Fld(Fl { rd, rs1, imm }) => hart.set_f(rd, mem.load::<u64>(offset(hart, rs1, imm))?),
    Fsd(Fs { rs1, rs2, imm }) => mem.store(offset(hart, rs1, imm), hart.f(rs2))?,
    FmaddD(o) => f::fmadd::<F64>(hart, insn, o)?,
    FmsubD(o) => f::fmsub::<F64>(hart, insn, o)?,
    FnmsubD(o) => f::fnmsub::<F64>(hart, insn, o)?,
    FnmaddD(o) => f::fnmadd::<F64>(hart, insn, o)?,
    FaddD(o) => f::rounded::<F64>(hart, insn, o, softfloat::add::<F64>)?,
    FsubD(o) => f::rounded::<F64>(hart, insn, o, softfloat::sub::<F64>)?,
    FmulD(o) => f::rounded::<F64>(hart, insn, o, softfloat::mul::<F64>)?,
    FdivD(o) => f::rounded::<F64>(hart, insn, o, softfloat::div::<F64>)?,
    FsqrtD(o) => f::fsqrt::<F64>(hart, insn, o)?,
    FsgnjD(o) => f::sign::<F64>(hart, o, |_, b| b),
    FsgnjnD(o) => f::sign::<F64>(hart, o, |_, b| !b),
    FsgnjxD(o) => f::sign::<F64>(hart, o, |a, b| a ^ b),
    FminD(o) => f::extremum::<F64>(hart, o, softfloat::min::<F64>),
    FmaxD(o) => f::extremum::<F64>(hart, o, softfloat::max::<F64>),
    FeqD(o) => f::compare::<F64>(hart, o, softfloat::eq::<F64>),
    FltD(o) => f::compare::<F64>(hart, o, softfloat::lt::<F64>),
    FleD(o) => f::compare::<F64>(hart, o, softfloat::le::<F64>),
    FclassD(o) => f::fclass::<F64>(hart, o),
    FcvtWD(o) => f::to_integer::<F64, _>(hart, insn, o, softfloat::to_i32::<F64>)?,
    FcvtWuD(o) => f::to_integer::<F64, _>(hart, insn, o, softfloat::to_u32::<F64>)?,
    FcvtLD(o) => f::to_integer::<F64, _>(hart, insn, o, softfloat::to_i64::<F64>)?,
    FcvtLuD(o) => f::to_integer::<F64, _>(hart, insn, o, softfloat::to_u64::<F64>)?,
    FcvtDW(o) => f::from_integer::<F64, _>(hart, insn, o, softfloat::from_i32::<F64>)?,
    FcvtDWu(o) => f::from_integer::<F64, _>(hart, insn, o, softfloat::from_u32::<F64>)?,
    FcvtDL(o) => f::from_integer::<F64, _>(hart, insn, o, softfloat::from_i64::<F64>)?,
    FcvtDLu(o) => f::from_integer::<F64, _>(hart, insn, o, softfloat::from_u64::<F64>)?,
    FmvXD(FmvX { rd, rs1 }) => hart.set(rd, hart.f(rs1)),
    FmvDX(XmvF { rd, rs1 }) => hart.set_f(rd, hart.x(rs1)),
    FcvtSD(o) => f::fcvt_s_d(hart, insn, o)?,
    FcvtDS(o) => f::fcvt_d_s(hart, insn, o)?,
    // Zba.
    AddUw(R { rd, rs1, rs2 }) => hart.set(rd, zb::add_uw(hart.x(rs1), hart.x(rs2), 0)),
    Sh1add(R { rd, rs1, rs2 }) => hart.set(rd, zb::shadd(hart.x(rs1), hart.x(rs2), 1)),
    Sh2add(R { rd, rs1, rs2 }) => hart.set(rd, zb::shadd(hart.x(rs1), hart.x(rs2), 2)),
    Sh3add(R { rd, rs1, rs2 }) => hart.set(rd, zb::shadd(hart.x(rs1), hart.x(rs2), 3)),
    Sh1addUw(R { rd, rs1, rs2 }) => hart.set(rd, zb::add_uw(hart.x(rs1), hart.x(rs2), 1)),
    Sh2addUw(R { rd, rs1, rs2 }) => hart.set(rd, zb::add_uw(hart.x(rs1), hart.x(rs2), 2)),
    Sh3addUw(R { rd, rs1, rs2 }) => hart.set(rd, zb::add_uw(hart.x(rs1), hart.x(rs2), 3)),
    SlliUw(Sh6 { rd, rs1, shamt }) => hart.set(rd, u64::from(hart.x(rs1) as u32) << (shamt & 63)),
    // Zbb.
    Andn(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1) & !hart.x(rs2)),
    Orn(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1) | !hart.x(rs2)),
    Xnor(R { rd, rs1, rs2 }) => hart.set(rd, !(hart.x(rs1) ^ hart.x(rs2))),
    Clz(R1 { rd, rs1 }) => hart.set(rd, u64::from(hart.x(rs1).leading_zeros())),
    Ctz(R1 { rd, rs1 }) => hart.set(rd, u64::from(hart.x(rs1).trailing_zeros())),
    Cpop(R1 { rd, rs1 }) => hart.set(rd, u64::from(hart.x(rs1).count_ones())),
    SextB(R1 { rd, rs1 }) => hart.set(rd, hart.x(rs1) as i8 as u64),
    SextH(R1 { rd, rs1 }) => hart.set(rd, hart.x(rs1) as i16 as u64),
    Clzw(R1 { rd, rs1 }) => hart.set(rd, u64::from(w(hart, rs1).leading_zeros())),
    Ctzw(R1 { rd, rs1 }) => hart.set(rd, u64::from(w(hart, rs1).trailing_zeros())),
    Cpopw(R1 { rd, rs1 }) => hart.set(rd, u64::from(w(hart, rs1).count_ones())),
    ZextH(R1 { rd, rs1 }) => hart.set(rd, u64::from(hart.x(rs1) as u16)),
    Min(R { rd, rs1, rs2 }) => hart.set(rd, (hart.x(rs1) as i64).min(hart.x(rs2) as i64) as u64),
    Minu(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1).min(hart.x(rs2))),
    Max(R { rd, rs1, rs2 }) => hart.set(rd, (hart.x(rs1) as i64).max(hart.x(rs2) as i64) as u64),
    Maxu(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1).max(hart.x(rs2))),
    Rol(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1).rotate_left(hart.x(rs2) as u32 & 63)),
    Ror(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1).rotate_right(hart.x(rs2) as u32 & 63)),
    Rori(Sh6 { rd, rs1, shamt }) => hart.set(rd, hart.x(rs1).rotate_right(u32::from(shamt & 63))),
    Rolw(R { rd, rs1, rs2 }) =>
        hart.set(rd, sext(w(hart, rs1).rotate_left(hart.x(rs2) as u32 & 31))),
    Rorw(R { rd, rs1, rs2 }) =>
        hart.set(rd, sext(w(hart, rs1).rotate_right(hart.x(rs2) as u32 & 31))),
    Roriw(Sh5 { rd, rs1, shamt }) =>
        hart.set(rd, sext(w(hart, rs1).rotate_right(u32::from(shamt & 31)))),
    OrcB(R1 { rd, rs1 }) => hart.set(rd, zb::orc_b(hart.x(rs1))),
    Rev8(R1 { rd, rs1 }) => hart.set(rd, hart.x(rs1).swap_bytes()),
    // Zbs.
    Bclr(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1) & !(1 << (hart.x(rs2) & 63))),
    Bext(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1) >> (hart.x(rs2) & 63) & 1),
    Binv(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1) ^ 1 << (hart.x(rs2) & 63)),
    Bset(R { rd, rs1, rs2 }) => hart.set(rd, hart.x(rs1) | 1 << (hart.x(rs2) & 63)),
    Bclri(Sh6 { rd, rs1, shamt }) => hart.set(rd, hart.x(rs1) & !(1 << (shamt & 63))),
    Bexti(Sh6 { rd, rs1, shamt }) => hart.set(rd, hart.x(rs1) >> (shamt & 63) & 1),
    Binvi(Sh6 { rd, rs1, shamt }) => hart.set(rd, hart.x(rs1) ^ 1 << (shamt & 63)),
    Bseti(Sh6 { rd, rs1, shamt }) => hart.set(rd, hart.x(rs1) | 1 << (shamt & 63)),
}

/// Has the environment execute an instruction.
fn privileged<M: Memory>(
    hart: &mut HartState,
    mem: &M,
    insn: &Insn,
    next: u64,
) -> Result<Flow, Trap> {
    let effect = mem.privileged(hart, insn, next)?;
    Ok(after(effect.ok_or_else(|| illegal(insn))?, next))
}

/// Whether an instruction is of F or D, which can be switched off.
const fn uses_float(op: Op) -> bool {
    op as u8 >= Op::Flw as u8 && op as u8 <= Op::FcvtDS as u8
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

/// Executes an instruction that lies at `pc` and only computes: it accesses no memory and no CSR, and
/// does not change where execution goes on. Neither is what it does counted.
pub fn compute<M: Memory>(hart: &mut HartState, mem: &M, pc: u64, insn: Insn) {
    // Such an instruction has no use for the next address, and no way to trap.
    let done = execute(&insn, pc, pc, hart, mem, &Clock::Virtual);
    debug_assert_eq!(done, Ok(Flow::Next), "{insn:?} does more than compute");
}

#[inline(always)]
fn branch(taken: bool, pc: u64, o: &B) -> Flow {
    if taken {
        Flow::Jump(pc.wrapping_add(sext(o.imm)))
    } else {
        Flow::Next
    }
}

fn trap(cause: Cause) -> Result<(), Trap> {
    Err(Trap::new(cause, 0))
}

/// The trap of an instruction that decodes but may not execute. Those have no compressed form, so
/// the instruction's bits are its encoding; but for floating-point loads and stores that are
/// switched off, where whoever takes the trap reads them again.
#[cold]
pub(crate) fn illegal(insn: &Insn) -> Trap {
    Trap::new(Cause::IllegalInstruction, u64::from(insn.encode()))
}
