//! One hart of a whole machine on compiled code: enters it, and acts on why it came back.

use crate::context::{Context, JumpSlot, SharedContext, code, jump_slot};
use crate::{SystemJit, host};
use frontend::X;
use hart::{Cause, HartState, Memory, SystemMemory, Trap};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Instructions between two looks at the poll flag, which compiled code does not see.
const SLICE: u64 = 1 << 20;

/// Why [`SystemHart::run`] returned. The state is exact in every case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SystemExit {
    /// No compiled code begins at `pc`, or none that may be entered now.
    Missing,
    /// The limit is too near for the code at `pc`: interpret until it is reached.
    Limit,
    /// The poll flag is set.
    Poll,
    /// Interpret the one instruction at `pc`, then go on.
    Interpret,
    /// The host has no rounding mode like frm's: interpret for a while.
    Rounding,
    /// A fence.i has retired.
    FenceI,
    /// Interrupts, or the time of the next one, may have changed.
    Attention,
    /// An access is the interpreter's: it traps, or reaches a device, or lies on two pages. The hart
    /// was rolled back to before it. Interpret, whatever is hot on the way, until so many instructions
    /// have retired.
    Replay(u64),
    /// The instruction at `pc` trapped.
    Trap(Trap),
}

/// A hart's state, where compiled code works on it, and what it knows of the code.
pub struct SystemHart {
    context: Arc<SharedContext>,
    /// When the jump cache was last emptied, see [`SystemJit::epoch`].
    epoch: u64,
    /// Times that compiled code returned to look for code that was missing.
    missing: u64,
}

impl Default for SystemHart {
    fn default() -> Self {
        SystemHart {
            context: SharedContext::new(0),
            epoch: 0,
            missing: 0,
        }
    }
}

impl Deref for SystemHart {
    type Target = HartState;

    fn deref(&self) -> &HartState {
        // SAFETY: the context is this hart's own; compiled code has it during `run` only, which
        // borrows `self` mutably.
        unsafe { &(*self.context.pointer()).state }
    }
}

impl DerefMut for SystemHart {
    fn deref_mut(&mut self) -> &mut HartState {
        &mut self.context().state
    }
}

impl SystemHart {
    fn context(&mut self) -> &mut Context {
        // SAFETY: as in `deref`.
        unsafe { &mut *self.context.pointer() }
    }

    /// Times that compiled code returned to look for code that was missing.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Runs compiled code from `pc` on, region after region, until something else is needed; never
    /// beyond `instret == limit`.
    pub fn run(
        &mut self,
        jit: &mut SystemJit,
        memory: &SystemMemory,
        limit: u64,
        poll: &AtomicU32,
    ) -> SystemExit {
        if self.epoch != jit.epoch() {
            self.epoch = jit.epoch();
            self.context().empty_jump_cache();
        }
        loop {
            if self.instret >= limit {
                return SystemExit::Limit;
            }
            if poll.load(Ordering::Relaxed) != 0 {
                return SystemExit::Poll;
            }
            let context = self.context();
            context.key = memory.code_key();
            context.entries = memory.entries();
            context.memory = memory;
            // While floating point is off, nobody asks how it rounds.
            let frm = if memory.may_float() {
                context.state.frm
            } else {
                0
            };
            let Some(control) = host::float_control(frm) else {
                return SystemExit::Rounding;
            };
            context.float_control = control;
            let Some((function, entry)) = self.find(jit, memory) else {
                return SystemExit::Missing;
            };
            // Half of the range is more than any run retires.
            let slice = limit.min(self.instret.saturating_add(SLICE));
            match self.enter(jit, function, entry, slice) {
                code::MISSING | code::NO_TARGET => self.missing += 1,
                code::LIMIT if slice < limit => {}
                code::LIMIT => return SystemExit::Limit,
                code::CONTINUE => {}
                code::FENCE_I => return SystemExit::FenceI,
                code::TRAP => {
                    let trap = Trap::new(Cause::EcallFromU, self.context().tval);
                    return SystemExit::Trap(trap);
                }
                code::ATTENTION => return SystemExit::Attention,
                code::REPLAY => return SystemExit::Replay(self.context().resume),
                _ => return SystemExit::Interpret,
            }
        }
    }

    /// The code at `pc`, by the jump cache or the table.
    fn find(&mut self, jit: &mut SystemJit, memory: &SystemMemory) -> Option<(u64, u64)> {
        let context = self.context();
        let (pc, key) = (context.state.pc, context.key);
        let slot = &mut context.jump_cache[jump_slot(pc)];
        if slot.pc != pc || slot.key != key {
            let descriptor = jit.find(pc, memory)?;
            *slot = JumpSlot {
                key,
                ..JumpSlot::new(pc, descriptor.function, descriptor.entry)
            };
        }
        Some((slot.function, slot.entry))
    }

    fn enter(&mut self, jit: &SystemJit, function: u64, entry: u64, limit: u64) -> u64 {
        let Some(generation) = jit.generation() else {
            return code::MISSING;
        };
        let trampoline = generation.generation.trampoline;
        let context = self.context.pointer();
        // SAFETY: this hart owns the context and lends it to the code. The jump cache holds entries of
        // code that `jit` keeps: it was emptied when any was dropped. `memory` and `entries` were set
        // from a reference that `run`'s caller keeps.
        unsafe {
            let state = &raw mut (*context).state;
            (*context).limit = limit;
            (*context).left = limit.wrapping_sub((*state).instret);
            let (sp, a0) = ((*state).x[X::SP.index()], (*state).x[X::A0.index()]);
            let code = host::enter(context, function, entry, sp, a0, trampoline);
            (*state).fflags |= host::raised((*context).float_control);
            (*state).instret = limit.wrapping_sub((*context).left);
            code
        }
    }
}
