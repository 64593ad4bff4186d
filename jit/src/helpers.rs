//! What compiled code calls: floating-point operations whose result the host's arithmetic does not
//! prove right, done by soft float; and in whole machines what the translation cache does not know,
//! and control and status registers.

use crate::context::{Context, code};
use crate::host;
use crate::translate::Checkpoint;
use frontend::{Insn, Op, Rm, decode};
use hart::csr::{Change, Clock};
use hart::softfloat::{self as soft, F32, F64, Format, Round};
use hart::{CsrAccess, Effect, Memory, SystemMemory};
use memory::Access;

/// A helper.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Helper {
    /// [`float`]
    Float,
    /// [`translate`]
    Translate,
    /// [`csr`]
    Csr,
    /// [`privileged`]
    Privileged,
    /// [`host::collect_flags`]
    Flags,
}

impl Helper {
    /// All of them, by number.
    pub const ALL: [Helper; 5] = [
        Helper::Float,
        Helper::Translate,
        Helper::Csr,
        Helper::Privileged,
        Helper::Flags,
    ];

    /// Its name in the module.
    pub fn name(self) -> &'static str {
        match self {
            Helper::Float => "float",
            Helper::Translate => "translate",
            Helper::Csr => "csr",
            Helper::Privileged => "privileged",
            Helper::Flags => "flags",
        }
    }

    /// The function.
    pub fn function(self) -> extern "C" fn(*mut Context) {
        match self {
            Helper::Float => float,
            Helper::Translate => translate,
            Helper::Csr => csr,
            Helper::Privileged => privileged,
            Helper::Flags => host::collect_flags,
        }
    }

    /// Whether only whole machines call it.
    pub fn is_system(self) -> bool {
        match self {
            Helper::Float | Helper::Flags => false,
            Helper::Translate | Helper::Csr | Helper::Privileged => true,
        }
    }

    /// Whether it changes no register, so that its thunk need not save any.
    pub fn preserves_all(self) -> bool {
        self == Helper::Flags
    }
}

/// Does the operation that `scratch.operation` names, see [`pack`], on the operands beside it. A single's
/// operand has its bits in the low half, the upper is anything; an integer operand is the
/// register. Compiled code has made sure that the rounding mode is valid.
pub extern "C" fn float(context: *mut Context) {
    // SAFETY: the thunk passes the context that `JitHart::run` entered compiled code with; nobody
    // else accesses it meanwhile.
    let context = unsafe { &mut *context };
    let (op, rm) = unpack(context.scratch.operation as u32, context.state.frm);
    let Some(op) = op else {
        return;
    };
    let operands = context.scratch.operands;
    let flags = &mut context.state.fflags;
    if let Some(result) = compute(op, operands, rm, flags) {
        context.scratch.result = result;
    }
}

/// An instruction's number and rounding mode as `scratch.operation` holds them.
pub fn pack(insn: Insn) -> u32 {
    insn.op() as u32 | (insn.rm().unwrap_or(Rm::Rne) as u32) << 8
}

fn unpack(operation: u32, frm: u32) -> (Option<Op>, Round) {
    let rm = Rm::from_bits((operation >> 8) as u8).and_then(|rm| Round::select(rm, frm));
    (
        Op::ALL.get(operation as usize & 0xff).copied(),
        rm.unwrap_or(Round::Rne),
    )
}

fn single(bits: u64) -> u64 {
    bits & 0xffff_ffff
}

/// A word in a register is sign-extended.
fn word(value: i32) -> u64 {
    i64::from(value) as u64
}

/// The result: bits of a float, or the integer register. `None` for instructions that compiled code
/// never asks for.
fn compute(op: Op, operands: [u64; 3], rm: Round, flags: &mut u32) -> Option<u64> {
    let [a, b, c] = operands;
    let (sa, sb, sc) = (single(a), single(b), single(c));
    let negate32 = soft::negate::<F32>;
    let negate64 = soft::negate::<F64>;
    Some(match op {
        Op::FmaddS => soft::fma::<F32>(sa, sb, sc, rm, flags),
        Op::FmsubS => soft::fma::<F32>(sa, sb, negate32(sc), rm, flags),
        Op::FnmsubS => soft::fma::<F32>(negate32(sa), sb, sc, rm, flags),
        Op::FnmaddS => soft::fma::<F32>(negate32(sa), sb, negate32(sc), rm, flags),
        Op::FaddS => soft::add::<F32>(sa, sb, rm, flags),
        Op::FsubS => soft::sub::<F32>(sa, sb, rm, flags),
        Op::FmulS => soft::mul::<F32>(sa, sb, rm, flags),
        Op::FdivS => soft::div::<F32>(sa, sb, rm, flags),
        Op::FsqrtS => soft::sqrt::<F32>(sa, rm, flags),
        Op::FminS => soft::min::<F32>(sa, sb, flags),
        Op::FmaxS => soft::max::<F32>(sa, sb, flags),
        Op::FeqS => soft::eq::<F32>(sa, sb, flags).into(),
        Op::FltS => soft::lt::<F32>(sa, sb, flags).into(),
        Op::FleS => soft::le::<F32>(sa, sb, flags).into(),
        Op::FclassS => soft::classify::<F32>(sa),
        Op::FcvtDS => soft::f32_to_f64(sa, flags),
        Op::FmaddD => soft::fma::<F64>(a, b, c, rm, flags),
        Op::FmsubD => soft::fma::<F64>(a, b, negate64(c), rm, flags),
        Op::FnmsubD => soft::fma::<F64>(negate64(a), b, c, rm, flags),
        Op::FnmaddD => soft::fma::<F64>(negate64(a), b, negate64(c), rm, flags),
        Op::FaddD => soft::add::<F64>(a, b, rm, flags),
        Op::FsubD => soft::sub::<F64>(a, b, rm, flags),
        Op::FmulD => soft::mul::<F64>(a, b, rm, flags),
        Op::FdivD => soft::div::<F64>(a, b, rm, flags),
        Op::FsqrtD => soft::sqrt::<F64>(a, rm, flags),
        Op::FminD => soft::min::<F64>(a, b, flags),
        Op::FmaxD => soft::max::<F64>(a, b, flags),
        Op::FeqD => soft::eq::<F64>(a, b, flags).into(),
        Op::FltD => soft::lt::<F64>(a, b, flags).into(),
        Op::FleD => soft::le::<F64>(a, b, flags).into(),
        Op::FclassD => soft::classify::<F64>(a),
        Op::FcvtSD => soft::f64_to_f32(a, rm, flags),
        op => {
            return convert::<F32>(op, sa, a, rm, flags)
                .or_else(|| convert::<F64>(op, a, a, rm, flags));
        }
    })
}

/// Conversions between integers and format `F`: `float` and `integer` are the operand as either.
fn convert<F: Format>(op: Op, float: u64, integer: u64, rm: Round, flags: &mut u32) -> Option<u64> {
    let wide = F::SIGN >> 63 == 1;
    Some(match (op, wide) {
        (Op::FcvtWS, false) | (Op::FcvtWD, true) => word(soft::to_i32::<F>(float, rm, flags)),
        (Op::FcvtWuS, false) | (Op::FcvtWuD, true) => {
            word(soft::to_u32::<F>(float, rm, flags) as i32)
        }
        (Op::FcvtLS, false) | (Op::FcvtLD, true) => soft::to_i64::<F>(float, rm, flags) as u64,
        (Op::FcvtLuS, false) | (Op::FcvtLuD, true) => soft::to_u64::<F>(float, rm, flags),
        (Op::FcvtSW, false) | (Op::FcvtDW, true) => soft::from_i32::<F>(integer as i32, rm, flags),
        (Op::FcvtSWu, false) | (Op::FcvtDWu, true) => {
            soft::from_u32::<F>(integer as u32, rm, flags)
        }
        (Op::FcvtSL, false) | (Op::FcvtDL, true) => soft::from_i64::<F>(integer as i64, rm, flags),
        (Op::FcvtSLu, false) | (Op::FcvtDLu, true) => soft::from_u64::<F>(integer, rm, flags),
        _ => return None,
    })
}

/// An access to memory, for [`translate`]. A number in compiled code, so that the code refers to
/// nothing in this process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccessSite {
    /// How many bytes.
    pub bytes: u32,
    /// Whether they are written.
    pub store: bool,
    /// Where it rolls back to.
    pub checkpoint: Checkpoint,
}

impl AccessSite {
    /// Bits of an address, which is canonical or physical.
    const ADDRESS: u32 = 49;
    /// Bits of the count of retired instructions.
    const RETIRED: u32 = 12;

    /// As `scratch.operation` holds it, if it has room:
    ///
    /// ```text
    /// 63            15 14       3 2      1 0
    /// [ pc, halved    | retired  | size   | store ]
    /// ```
    pub fn pack(&self) -> Option<u64> {
        let Checkpoint {
            pc,
            retired,
            recipe,
        } = self.checkpoint;
        let shift = 64 - Self::ADDRESS;
        let halved = ((pc as i64) >> 1) as u64;
        let high = halved << shift;
        let size = self.bytes.trailing_zeros();
        let fits = ((high as i64) >> shift) as u64 == halved
            && pc % 2 == 0
            && retired >> Self::RETIRED == 0
            && recipe == 0
            && self.bytes == 1 << size
            && size < 4;
        let low = u64::from(retired) << 3 | u64::from(size) << 1 | u64::from(self.store);
        fits.then_some(high | low)
    }

    /// What [`AccessSite::pack`] was asked for.
    pub fn unpack(word: u64) -> AccessSite {
        let low = word as u32 & 0x7fff;
        let halved = (word as i64) >> (64 - Self::ADDRESS);
        AccessSite {
            bytes: 1 << (low >> 1 & 3),
            store: low & 1 != 0,
            checkpoint: Checkpoint {
                pc: (halved as u64) << 1,
                retired: low >> 3,
                recipe: 0,
            },
        }
    }
}

/// Finds the host address of an access that the translation cache does not have. The operand is its
/// address, the operation its site. If the interpreter has to make it, the hart is rolled back to the
/// checkpoint, and compiled code is left.
pub extern "C" fn translate(context: *mut Context) {
    // SAFETY: as in `float`.
    let hart = unsafe { &mut *context };
    // SAFETY: `SystemHart::run` has set it to a reference that it holds while compiled code runs.
    let memory = unsafe { &*hart.memory };
    let site = AccessSite::unpack(hart.scratch.operation);
    let access = if site.store {
        Access::Store
    } else {
        Access::Load
    };
    let [va, ..] = hart.scratch.operands;
    if let Some(host) = memory.host_address(va, site.bytes.into(), access) {
        hart.scratch.result = host;
        return;
    }
    hart.state.pc = site.checkpoint.pc.wrapping_add(hart.moved);
    hart.left = hart.left.wrapping_sub(site.checkpoint.retired.into());
    // SAFETY: the thunk called from compiled code that `SystemHart::run` has entered with this
    // context. Nothing here is to be dropped, and there is nothing else in between.
    unsafe { host::leave(context) }
}

/// Finds the host address of a draft's access that the translation cache does not have: at `va`, of so
/// many bytes, twice, and one more if they are written. 0 if the interpreter has to make it.
#[cfg_attr(
    not(target_arch = "x86_64"),
    allow(dead_code, reason = "there are no drafts")
)]
pub extern "C" fn draft_address(context: *mut Context, va: u64, access: u64) -> u64 {
    // SAFETY: drafts pass the context that `SystemHart::run` entered them with, and it has set the
    // memory to a reference that it holds meanwhile.
    let memory = unsafe { &*(*context).memory };
    let kind = match access & 1 {
        0 => Access::Load,
        _ => Access::Store,
    };
    memory.host_address(va, access >> 1, kind).unwrap_or(0)
}

/// An access to a control and status register.
pub struct Csr {
    /// Which one.
    pub csr: u16,
    /// Whether it is read.
    pub reads: bool,
    /// 0 if it is not changed; 1 writes, 2 sets and 3 clears bits.
    pub change: u8,
}

impl Csr {
    /// As `scratch.operation` holds it.
    pub fn pack(&self) -> u64 {
        u64::from(self.change) << 24 | u64::from(self.reads) << 16 | u64::from(self.csr)
    }

    fn unpack(word: u64) -> Csr {
        Csr {
            csr: word as u16,
            reads: word >> 16 & 1 != 0,
            change: (word >> 24) as u8,
        }
    }
}

/// Accesses a control and status register. Operands are what it is changed by and `left` before the
/// instruction; the result is the old value. The status says whether compiled code may go on.
pub extern "C" fn csr(context: *mut Context) {
    // SAFETY: as in `float`.
    let context = unsafe { &mut *context };
    // SAFETY: as in `translate`.
    let memory = unsafe { &*context.memory };
    let [operand, left, _] = context.scratch.operands;
    let Csr { csr, reads, change } = Csr::unpack(context.scratch.operation);
    let change = match change {
        1 => Some(Change::Write(operand)),
        2 => Some(Change::Set(operand)),
        3 => Some(Change::Clear(operand)),
        _ => None,
    };
    let access = CsrAccess { csr, reads, change };
    context.state.instret = context.limit.wrapping_sub(left);
    let done = memory.csr(&mut context.state, access, &Clock::Virtual, 0);
    context.scratch.status = match done {
        // Nothing has happened: the interpreter raises the trap.
        None => code::INTERPRET,
        Some((old, effect)) => {
            context.scratch.result = old;
            resumed(context, memory, effect)
        }
    };
}

/// Executes a privileged instruction, or one on a cache block: the operation. The state is complete
/// but for the count, and the operand is the address behind it. The status says whether compiled
/// code may go on at the pc.
pub extern "C" fn privileged(context: *mut Context) {
    // SAFETY: as in `float`.
    let context = unsafe { &mut *context };
    // SAFETY: as in `translate`.
    let memory = unsafe { &*context.memory };
    let [next, ..] = context.scratch.operands;
    context.state.instret = context.limit.wrapping_sub(context.left);
    let decoded = decode::decode(context.scratch.operation as u32);
    let done = decoded.map(|d| Memory::privileged(memory, &mut context.state, &d.insn, next));
    context.scratch.status = match done {
        Some(Ok(Some(effect))) => {
            let (Effect::Continue(pc) | Effect::Attention(pc) | Effect::Wait(pc)) = effect;
            context.state.pc = pc;
            context.left = context.left.wrapping_sub(1);
            resumed(context, memory, effect)
        }
        // Nothing has happened: the interpreter raises the trap.
        _ => code::INTERPRET,
    };
}

/// After an instruction that may have changed how memory is seen: 0 if compiled code may go on, else
/// the exit code.
fn resumed(context: &mut Context, memory: &SystemMemory, effect: Effect) -> u64 {
    context.entries = memory.entries();
    match effect {
        Effect::Continue(_) if memory.code_key() == context.code_key => 0,
        Effect::Continue(_) => code::CONTINUE,
        Effect::Attention(_) => code::ATTENTION,
        Effect::Wait(_) => code::WAIT,
    }
}
