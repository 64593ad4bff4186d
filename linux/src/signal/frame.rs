//! The frame that a signal handler finds on its stack, in the exact layout of riscv64 Linux.
//!
//! ```text
//!    0  siginfo_t                 128 bytes
//!  128  ucontext: flags, link     16
//!  144  stack_t                   24
//!  168  signal mask                8, and room up to 120 more
//!  304  mcontext: pc, x1 .. x31  256
//!  560  f0 .. f31, fcsr          260, zeros up to 528
//! 1088
//! ```

use super::{Action, Info};
use crate::abi::structs::{Reader, Writer};
use crate::call::{Call, Fail, SysResult};
use crate::errno::Errno;
use crate::signal::fault;
use crate::task::Task;
use hart::HartState;
use serde::{Deserialize, Serialize};

/// Bytes of a frame; a multiple of 16.
pub(crate) const SIZE: u64 = 1088;
const CONTEXT: usize = 128;
const STACK: usize = CONTEXT + 16;
const MASK: usize = CONTEXT + 40;
const REGISTERS: usize = CONTEXT + 176;
const FLOATS: usize = REGISTERS + 256;

/// What sigaltstack(2) set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct AltStack {
    pub base: u64,
    pub size: u64,
    /// Forget the stack while a handler runs on it.
    pub autodisarm: bool,
}

impl AltStack {
    pub const SS_ONSTACK: u32 = 1;
    pub const SS_DISABLE: u32 = 2;
    pub const SS_AUTODISARM: u32 = 1 << 31;

    pub fn holds(&self, sp: u64) -> bool {
        self.size > 0 && sp > self.base && sp - self.base <= self.size
    }

    /// `stack_t`, as a thread whose stack pointer is `sp` sees it.
    pub fn encode(&self, sp: u64) -> Vec<u8> {
        let mut flags = if self.autodisarm {
            AltStack::SS_AUTODISARM
        } else {
            0
        };
        flags |= match (self.size, self.holds(sp)) {
            (0, _) => AltStack::SS_DISABLE,
            (_, true) => AltStack::SS_ONSTACK,
            (_, false) => 0,
        };
        Writer::new()
            .u64(self.base)
            .u32(flags)
            .u32(0)
            .u64(self.size)
            .0
    }
}

/// Writes the frame and lets the thread go on in the handler.
pub(crate) fn push(task: &mut Task, action: &Action, info: &Info, mask: u64) -> Result<(), Errno> {
    let state = *task.cpu.state();
    let sp = state.x[2];
    let mut top = sp;
    if action.flags & Action::SA_ONSTACK != 0 && task.altstack.size > 0 && !task.altstack.holds(sp)
    {
        top = task.altstack.base.wrapping_add(task.altstack.size);
    }
    let at = top.wrapping_sub(SIZE) & !15;
    if task.altstack.holds(top) && !task.altstack.holds(at) {
        // The frame would run over the end of the alternate stack.
        return Err(Errno::EFAULT);
    }
    let frame = Writer::new()
        .bytes(&info.encode())
        .u64(0)
        .u64(0)
        .bytes(&task.altstack.encode(sp))
        .u64(mask)
        .pad_to(REGISTERS)
        .u64(state.pc);
    let frame = state.x[1..].iter().fold(frame, |out, &x| out.u64(x));
    let frame = state.f.iter().fold(frame, |out, &f| out.u64(f));
    let frame = frame
        .u32(state.frm << 5 | state.fflags)
        .pad_to(SIZE as usize);
    task.guest.write(at, &frame.0)?;
    if task.altstack.autodisarm {
        task.altstack = AltStack::default();
    }
    let trampoline = task.kernel.mm.lock().trampoline;
    let state = task.cpu.state_mut();
    state.x[1] = trampoline;
    state.x[2] = at;
    state.x[10] = info.number as u64;
    state.x[11] = at;
    state.x[12] = at + CONTEXT as u64;
    state.pc = action.handler;
    Ok(())
}

/// rt_sigreturn: everything as the frame says.
pub(crate) fn sigreturn(call: &mut Call) -> SysResult {
    let at = call.task.state().x[2];
    let Ok(frame) = call.task.guest.read_vec(at, SIZE as usize) else {
        // Linux forces SIGSEGV on whoever returns from nowhere.
        fault::force(call.task, Info::fault(super::SIGSEGV, super::SI_KERNEL, 0));
        return Err(Fail::StateSet);
    };
    let reader = Reader(&frame);
    let task = &mut *call.task;
    restore(task.cpu.state_mut(), &frame);
    task.set_mask(reader.u64(MASK));
    let flags = reader.u32(STACK + 8);
    if flags & AltStack::SS_AUTODISARM != 0 {
        let (base, size) = (reader.u64(STACK), reader.u64(STACK + 16));
        task.altstack = AltStack {
            base,
            size,
            autodisarm: true,
        };
    }
    Err(Fail::StateSet)
}

fn restore(state: &mut HartState, frame: &[u8]) {
    let reader = Reader(frame);
    state.pc = reader.u64(REGISTERS) & !1;
    for n in 1..32 {
        state.x[n] = reader.u64(REGISTERS + n * 8);
    }
    for n in 0..32 {
        state.f[n] = reader.u64(FLOATS + n * 8);
    }
    let fcsr = reader.u32(FLOATS + 256);
    state.fflags = fcsr & 31;
    state.frm = fcsr >> 5 & 7;
    state.reservation = Default::default();
}

pub(crate) fn sigaltstack(call: &mut Call) -> SysResult {
    const SMALLEST: u64 = 2048;
    let (new, old) = (call.arg(0), call.arg(1));
    let sp = call.task.state().x[2];
    let before = call.task.altstack;
    if new != 0 {
        let raw = call.read::<24>(new)?;
        let reader = Reader(&raw);
        let (base, flags, size) = (reader.u64(0), reader.u32(8), reader.u64(16));
        if before.holds(sp) {
            return Err(Errno::EPERM.into());
        }
        let mode = flags & !AltStack::SS_AUTODISARM;
        let autodisarm = flags & AltStack::SS_AUTODISARM != 0;
        call.task.altstack = match mode {
            AltStack::SS_DISABLE => AltStack::default(),
            0 | AltStack::SS_ONSTACK if size >= SMALLEST => AltStack {
                base,
                size,
                autodisarm,
            },
            0 | AltStack::SS_ONSTACK => return Err(Errno::ENOMEM.into()),
            _ => return Err(Errno::EINVAL.into()),
        };
    }
    if old != 0 {
        call.write(old, &before.encode(sp))?;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_the_kernel_s() {
        // offsetof(struct rt_sigframe, ...) of arch/riscv/include/uapi/asm/{ucontext,sigcontext}.h.
        assert_eq!((CONTEXT, MASK, REGISTERS, FLOATS), (128, 168, 304, 560));
        assert_eq!(SIZE, 128 + 960);
    }

    #[test]
    fn the_end_of_the_alternate_stack_belongs_to_it_and_its_start_does_not() {
        let stack = AltStack {
            base: 0x1000,
            size: 0x1000,
            autodisarm: false,
        };
        assert!(stack.holds(0x2000) && stack.holds(0x1001));
        assert!(!stack.holds(0x1000) && !stack.holds(0x2001));
    }
}
