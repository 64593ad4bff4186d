//! One hart on compiled code: enters it, and acts on why it came back.

use crate::analysis::facts;
use crate::compiler::Shared;
use crate::context::{Context, JumpSlot, SharedContext, code, jump_slot};
use crate::spent::Spent;
use crate::strays::Stray;
use crate::strips::MOST_ROUNDS;
use crate::{Exit, Jit, Poll, host};
use frontend::X;
use hart::{Cause, HartState, Trap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A hart that runs compiled code. It owns the hart's state: the engine reads and writes it here.
pub struct JitHart {
    jit: Arc<Jit>,
    context: Arc<SharedContext>,
    /// The generation that the jump cache leads into: kept alive while its code may run.
    generation: Option<Arc<Shared>>,
    /// When the jump cache was last emptied, see `Inner::epoch`.
    epoch: u64,
    /// Addresses that have no code, by their place in the jump cache: most misses repeat, and to
    /// ask the table takes locks.
    absent: Box<[Absent]>,
    /// When that was last emptied, see `Inner::published`.
    published: u64,
    /// Where compiled code was entered, and for how long.
    spent: Spent,
    /// `Inner::forks` when it was made.
    forks: u32,
}

/// An address without code; an odd one is none.
#[derive(Clone, Copy)]
struct Absent {
    pc: u64,
    /// How often compiled code has jumped there by an address that it computed.
    jumps: u32,
}

impl Absent {
    const NONE: Absent = Absent { pc: 1, jumps: 0 };
}

/// Slots for addresses without code.
const ABSENT_SLOTS: usize = 1024;

/// After so many jumps to an address without code the table is told of them.
const JUMPS_AT_ONCE: u32 = 64;

impl Drop for JitHart {
    fn drop(&mut self) {
        // One that came along in a fork is not counted, or is the one that forked: then it stays so.
        let inner = self.jit.inner();
        if inner.forks.load(Ordering::Relaxed) == self.forks {
            inner.harts.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl JitHart {
    pub(crate) fn new(jit: Arc<Jit>, context: Arc<SharedContext>) -> Self {
        let epoch = jit.inner().epoch();
        let published = jit.inner().published();
        let forks = jit.inner().forks.load(Ordering::Relaxed);
        let strays = jit.options().stray_interval();
        let mut hart = JitHart {
            jit,
            context,
            generation: None,
            epoch,
            absent: vec![Absent::NONE; ABSENT_SLOTS].into(),
            published,
            spent: Spent::new(),
            forks,
        };
        hart.context().strays = strays;
        hart.context().page_flags = hart.jit.inner().space.flag_table();
        hart.jit.inner().harts.fetch_add(1, Ordering::AcqRel);
        hart
    }

    fn context(&mut self) -> &mut Context {
        // SAFETY: the owner of the only `JitHart` is the only one who dereferences the context;
        // other threads reach its poll flag alone, which is atomic.
        unsafe { &mut *self.context.pointer() }
    }

    /// The guest-visible state.
    pub fn state(&self) -> &HartState {
        // SAFETY: as in `context`.
        unsafe { &(*self.context.pointer()).state }
    }

    /// The guest-visible state, to change between runs.
    pub fn state_mut(&mut self) -> &mut HartState {
        &mut self.context().state
    }

    /// What makes a running hart come back.
    pub fn poll(&self) -> Poll {
        Poll(self.context.clone())
    }

    /// The compiler whose code it runs.
    pub fn jit(&self) -> &Arc<Jit> {
        &self.jit
    }

    /// Runs compiled code from `state.pc` on, region after region, until something else is needed.
    /// When counting, never beyond `instret == limit`; otherwise the limit is ignored.
    pub fn run(&mut self, limit: u64) -> Exit {
        let counting = self.jit.options().counting;
        // A second hart is made by a system call of the only one, which then comes back here.
        let alone = self.jit.inner().harts.load(Ordering::Acquire) == 1;
        self.context().rounds = if alone { MOST_ROUNDS } else { 0 };
        let (mut missing, mut computed) = (0, false);
        let exit = loop {
            if counting && self.state().instret >= limit {
                break Exit::Limit;
            }
            if !self.keeps_promises() {
                break Exit::Interpret;
            }
            let Some(control) = host::float_control(self.state().frm) else {
                break Exit::Rounding;
            };
            self.context().float_control = control;
            let Some((function, entry)) = self.find(self.state().pc) else {
                if computed {
                    self.count_jump(self.state().pc);
                }
                break Exit::Missing;
            };
            computed = false;
            let code = match self.spent.is_due() {
                false => self.enter(function, entry, limit),
                true => {
                    let entered = host::ticks();
                    let code = self.enter(function, entry, limit);
                    self.spent
                        .add(function, host::ticks().saturating_sub(entered));
                    code
                }
            };
            if code == code::REPLAY {
                self.compute_again();
            }
            match code {
                code::MISSING => missing += 1,
                code::NO_TARGET => {
                    missing += 1;
                    computed = true;
                }
                code::STRAY => self.strayed(Stray::Jump),
                code::CALL => self.strayed(Stray::Call),
                code::INDIRECT_CALL => self.strayed(Stray::IndirectCall),
                code::LIMIT => break Exit::Limit,
                code::POLL => break Exit::Poll,
                code::FENCE_I => break Exit::FenceI,
                code::TRAP => break self.trap(),
                // The engine wants something, or an access may not be made.
                code::REPLAY if self.context.is_polled() => break Exit::Poll,
                code::REPLAY => break Exit::Replay,
                _ => break Exit::Interpret,
            }
            if self.context.poll().load(Ordering::Relaxed) != 0 {
                break Exit::Poll;
            }
        };
        if missing > 0 {
            self.jit.inner().count_missing(missing);
        }
        exit
    }

    /// Whether the state is as every region takes it for granted, see `Facts::outside`. If not,
    /// the interpreter runs until it is.
    fn keeps_promises(&self) -> bool {
        let x = &self.state().x;
        let reach = facts::STACK_REACH as u64;
        x[X::SP.index()].wrapping_add(reach) < memory::LIMIT + 2 * reach
            && x[3] < memory::LIMIT
            && x[X::TP.index()] < memory::LIMIT
    }

    /// After a roll-back: computes what its checkpoint does not hold.
    fn compute_again(&mut self) {
        let Some(compute) = self.jit.options().compute else {
            return;
        };
        let Some(generation) = self.generation.clone() else {
            return;
        };
        let jit = self.jit.clone();
        let left_at = self.context().left_at as usize;
        for &(pc, word) in generation.generation.recipe(left_at) {
            if let Some(decoded) = frontend::decode::decode(word) {
                compute(self.state_mut(), &jit.inner().space, pc, decoded.insn);
            }
        }
    }

    /// Nanoseconds that compiled code ran after it was entered at the region that begins at host address
    /// `function`.
    pub fn spent_on(&self, function: u64) -> u64 {
        self.spent.on(function)
    }

    /// If compiled code has run long since it was entered at the region of `pc`, or since this was last
    /// asked: where its host code begins.
    pub fn ran_long(&mut self, pc: u64) -> Option<u64> {
        let (function, _) = self.find(pc)?;
        self.spent.is_long(function).then_some(function)
    }

    /// Counts anew how long compiled code runs that is entered at a region.
    pub fn forget_spent(&mut self, function: u64) {
        self.spent.forget(function);
    }

    /// Whether there is code at `pc`.
    pub fn is_compiled(&mut self, pc: u64) -> bool {
        self.find(pc).is_some()
    }

    /// Compiled code has jumped to `pc`, where none is.
    fn count_jump(&mut self, pc: u64) {
        let absent = &mut self.absent[jump_slot(pc) % ABSENT_SLOTS];
        absent.jumps += 1;
        // The first one makes the address known.
        let told = match absent.jumps {
            1 => 1,
            JUMPS_AT_ONCE => JUMPS_AT_ONCE - 1,
            _ => return,
        };
        if told > 1 {
            absent.jumps = 1;
        }
        self.jit.inner().missed(pc, told);
    }

    /// One of many computed jumps, or calls, has left its region.
    fn strayed(&mut self, stray: Stray) {
        let (from, to) = (self.context().tval, self.state().pc);
        let interval = self.jit.options().stray_interval();
        // Not always the same of jumps that take turns.
        self.context().strays = interval + (to as u32 >> 1) % interval.div_ceil(4);
        self.jit.inner().strayed(from, to, interval, stray);
    }

    /// The code at `pc`, by the jump cache or the table.
    fn find(&mut self, pc: u64) -> Option<(u64, u64)> {
        let epoch = self.jit.inner().epoch();
        if epoch != self.epoch {
            self.epoch = epoch;
            self.context().empty_jump_cache();
        }
        let slot = self.context().jump_cache[jump_slot(pc)];
        if slot.pc == pc && slot.function != 0 {
            return Some((slot.function, slot.entry));
        }
        let published = self.jit.inner().published();
        if published != self.published {
            self.published = published;
            self.absent.fill(Absent::NONE);
        }
        let absent = &mut self.absent[jump_slot(pc) % ABSENT_SLOTS];
        if absent.pc == pc {
            return None;
        }
        let Some((descriptor, generation)) = self.jit.inner().entry(pc) else {
            *absent = Absent { pc, jumps: 0 };
            return None;
        };
        let same = self
            .generation
            .as_ref()
            .is_some_and(|own| Arc::ptr_eq(own, &generation));
        if !same {
            // The old generation's code may go as soon as no slot leads there.
            self.context().empty_jump_cache();
            self.generation = Some(generation);
        }
        self.context().jump_cache[jump_slot(pc)] =
            JumpSlot::new(pc, descriptor.function, descriptor.entry);
        Some((descriptor.function, descriptor.entry))
    }

    fn enter(&mut self, function: u64, entry: u64, limit: u64) -> u64 {
        let Some(generation) = &self.generation else {
            return code::MISSING;
        };
        let trampoline = generation.generation.trampoline;
        let counting = self.jit.options().counting;
        let context = self.context.pointer();
        // SAFETY: this hart owns the context and lends it to the code; the jump cache and the
        // table hold only entries of the generation that is kept alive here, or, after an
        // eviction that the epoch has not told yet, of one that is still kept alive here.
        unsafe {
            let state = &raw mut (*context).state;
            (*context).left = limit.wrapping_sub((*state).instret);
            let (sp, a0) = ((*state).x[X::SP.index()], (*state).x[X::A0.index()]);
            let code = host::enter(context, function, entry, sp, a0, trampoline);
            (*state).fflags |= host::raised((*context).float_control);
            if counting {
                (*state).instret = limit.wrapping_sub((*context).left);
            }
            code
        }
    }

    /// The trap that compiled code raised itself; all others are the interpreter's.
    fn trap(&mut self) -> Exit {
        Exit::Trap(Trap::new(Cause::EcallFromU, self.context().tval))
    }
}
