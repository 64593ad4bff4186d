//! One hart on compiled code: enters it, and acts on why it came back.

use crate::compiler::Shared;
use crate::context::{Context, JumpSlot, SharedContext, code, jump_slot};
use crate::draft::{Drafts, Early, Space};
use crate::spent::Spent;
use crate::stacks::MOST_REFUSED;
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
    /// Host code for what is not compiled, if there is to be any.
    drafts: Option<Box<Drafts>>,
    /// Where drafts took over from compiled code last.
    lead: Option<u64>,
    /// There is no other hart.
    alone: bool,
    /// How often the stack was not what compiled code relies on.
    refused: u32,
    /// The next region that is entered is to be timed.
    timed: Option<()>,
    /// One was, and what led from it to the next is known.
    after_timed: bool,
}

/// Of so many ways from drafts into compiled code one is looked at.
const CROSSINGS: u64 = 512;

/// An address without code; an odd one is none.
#[derive(Clone, Copy)]
struct Absent {
    pc: u64,
    /// How often compiled code has jumped there by an address that it computed.
    jumps: u32,
}

/// Where the hart comes from when it looks for code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// Whoever runs it.
    Engine,
    /// Compiled code.
    Region,
    /// Compiled code, by an address that it computed.
    Jump,
    /// A draft.
    Draft,
    /// A draft, by an address that it computed.
    DraftedJump,
    /// A draft's slot, by its number.
    Slot(u64),
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
            drafts: None,
            lead: None,
            alone: false,
            refused: 0,
            timed: None,
            after_timed: false,
        };
        hart.context().strays = strays;
        hart.context().page_flags = hart.jit.inner().space.flag_table();
        hart.jit.inner().space.add_stack_user(&hart.context);
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
        self.alone = alone;
        let (mut missing, mut from) = (0, From::Engine);
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
            let pc = self.state().pc;
            let code = match self.find(pc) {
                Some((function, entry)) => {
                    if self.come_from_draft(pc, function, from) {
                        break Exit::Hot;
                    }
                    from = From::Region;
                    self.enter_region(function, entry, limit)
                }
                None => {
                    if from == From::Jump {
                        self.count_jump(pc);
                    }
                    let Some(code) = self.enter_draft(pc, from) else {
                        break match self.drafts {
                            Some(_) => Exit::Interpret,
                            None => Exit::Missing,
                        };
                    };
                    from = From::Draft;
                    code
                }
            };
            match code {
                code::REPLAY => {
                    let left_at = self.context().left_at;
                    if let Some(pc) = self.drafts.as_ref().and_then(|all| all.site(left_at)) {
                        // A draft's state is complete, but for the pc.
                        self.state_mut().pc = pc;
                        break Exit::Interpret;
                    }
                    self.compute_again();
                }
                code::DRAFT_STOP => {
                    let entry = self.context().scratch.operands[0];
                    if let Some(pc) = self.drafts.as_ref().and_then(|all| all.code_of(entry)) {
                        self.state_mut().pc = pc;
                    }
                }
                _ => {}
            }
            match code {
                code::MISSING => {
                    missing += 1;
                    from = From::Region;
                }
                code::DRAFT_STOP => from = From::Region,
                code::NO_TARGET => {
                    missing += 1;
                    from = From::Jump;
                }
                code::STRAY => self.strayed(Stray::Jump),
                code::CALL => self.strayed(Stray::Call),
                code::INDIRECT_CALL => self.strayed(Stray::IndirectCall),
                code::STACK => from = From::Region,
                code::LIMIT => break Exit::Limit,
                code::POLL => break Exit::Poll,
                code::FENCE_I => break Exit::FenceI,
                code::TRAP => break self.trap(),
                // The engine wants something, or an access may not be made.
                code::REPLAY if self.context.is_polled() => break Exit::Poll,
                code::REPLAY => break Exit::Replay,
                code::DRAFT_NEXT => from = From::DraftedJump,
                code::DRAFT_LINK => from = From::Slot(self.context().scratch.operands[0]),
                code::DRAFT_HOT => {
                    let number = self.context().scratch.operands[0];
                    if !self.hot_draft(number) {
                        break Exit::Hot;
                    }
                }
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

    /// The stack pointer is not in bounds: looks for others. Whether compiled code may go on; it does
    /// without what it cannot rely on if that happens often.
    fn find_stack(&mut self) -> bool {
        let sp = self.state().x[X::SP.index()];
        let inner = self.jit.inner();
        if inner.is_stackless() {
            return self.context.take_any_stack(sp);
        }
        let found = self.context.find_stack(&inner.space, sp);
        if !found {
            self.refused += 1;
            if self.refused >= MOST_REFUSED {
                self.refused = 0;
                self.jit.inner().do_without_stacks();
            }
        }
        found
    }

    /// Runs compiled code from a region's entry on.
    fn enter_region(&mut self, function: u64, entry: u64, limit: u64) -> u64 {
        let due = match self.drafts {
            Some(_) => self.timed.take().map(|()| CROSSINGS),
            None => self.spent.is_due(),
        };
        let Some(times) = due else {
            return self.enter(function, entry, limit);
        };
        self.context().stop = 1;
        let entered = host::ticks();
        let code = self.enter(function, entry, limit);
        let ticks = host::ticks().saturating_sub(entered);
        self.context().stop = 0;
        self.spent.add(function, ticks, times);
        code
    }

    /// The hart is about to enter the region at `pc`: if drafts led there, has them do so by themselves
    /// from now on, and now and then come back here. Whether the region has run long, so that whoever
    /// compiles may want to know what led there.
    ///
    /// Of [`CROSSINGS`] times one is taken: how long the region runs, until it comes to a draft; that is
    /// what leads to the next region.
    fn come_from_draft(&mut self, pc: u64, function: u64, from: From) -> bool {
        let Some(drafts) = &mut self.drafts else {
            return false;
        };
        match from {
            From::Slot(slot) => {
                // Its code says which address to look for.
                let age = drafts.age;
                if let Some(entry) = drafts.entry(pc, pc, &*self.jit.inner().space)
                    && drafts.age == age
                {
                    drafts.replace(pc);
                    drafts.link(slot, entry);
                }
            }
            From::DraftedJump => {
                let to_region = drafts.replace(pc);
                drafts.expect(pc, to_region);
            }
            From::Draft => {
                drafts.replace(pc);
            }
            From::Engine | From::Region | From::Jump => return false,
        }
        if self.context().crossings as i64 >= 0 {
            return false;
        }
        self.context().crossings = CROSSINGS;
        if std::mem::take(&mut self.after_timed) {
            return self.spent.is_long(function);
        }
        self.timed = Some(());
        self.after_timed = true;
        // What leads to the next region is known by then.
        self.context().crossings = 0;
        false
    }

    /// Whether the state is as every region takes it for granted, see `Facts::outside` and `stacks.rs`. If not,
    /// the interpreter runs until it is.
    fn keeps_promises(&mut self) -> bool {
        let x = &self.state().x;
        let others = x[3] < memory::LIMIT && x[X::TP.index()] < memory::LIMIT;
        others && (self.context.is_on_stack(x[X::SP.index()]) || self.find_stack())
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
        self.spent.look(function).then_some(function)
    }

    /// Counts anew how long compiled code runs that is entered at a region.
    pub fn forget_spent(&mut self, function: u64) {
        self.spent.forget(function);
    }

    /// Has what is not compiled run as drafts, which report themselves hot after so many arrivals, or
    /// at the first where `early` holds. Nothing happens where the host has none.
    pub fn use_drafts(&mut self, threshold: u64, early: Option<Early>) {
        if self.drafts.is_none() {
            let space = match self.jit.inner().space.base().is_null() {
                true => Space::Own,
                false => Space::Window,
            };
            self.drafts = Drafts::new(space).map(Box::new);
        }
        let Some(drafts) = &mut self.drafts else {
            return;
        };
        let age = drafts.age;
        drafts.clear();
        drafts.threshold = threshold;
        drafts.early = early;
        if drafts.age != age {
            self.context().empty_jump_cache();
        }
    }

    /// The drafts, if there are any.
    pub fn drafts(&self) -> Option<&Drafts> {
        self.drafts.as_deref()
    }

    /// The same, to change their countdowns.
    pub fn drafts_mut(&mut self) -> Option<&mut Drafts> {
        self.drafts.as_deref_mut()
    }

    /// Drops drafts that were made from code on these pages (numbers, not addresses).
    pub fn invalidate_drafts(&mut self, pages: &[u64]) {
        let Some(drafts) = &mut self.drafts else {
            return;
        };
        let age = drafts.age;
        drafts.invalidate(pages);
        if drafts.age != age {
            self.context().empty_jump_cache();
        }
    }

    /// In the child of a fork: gives up drafts, whose memory is the parent's, and who did not come along.
    pub fn forget_others(&mut self) {
        self.jit.inner().space.forget_stack_users();
        self.jit.inner().space.add_stack_user(&self.context);
        self.drafts = None;
        self.context().door = 0;
        self.context().empty_jump_cache();
    }

    /// Where drafts took over from compiled code last, if nobody has asked since.
    pub fn take_lead(&mut self) -> Option<u64> {
        self.lead.take()
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
        let is_draft = slot.function == self.context().door;
        if slot.pc == pc && slot.function != 0 && !is_draft {
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
            self.context.go_inside(self.alone);
            let code = host::enter(context, function, entry, sp, a0, trampoline);
            self.context.come_outside();
            (*state).fflags |= host::raised((*context).float_control);
            if counting {
                (*state).instret = limit.wrapping_sub((*context).left);
            }
            code
        }
    }

    /// Runs drafts from the block at `pc` on. `None` if there are none, or its code cannot be fetched.
    fn enter_draft(&mut self, pc: u64, from: From) -> Option<u64> {
        let drafts = self.drafts.as_mut()?;
        let age = drafts.age;
        let entry = drafts.entry(pc, pc, &*self.jit.inner().space)?;
        let (enter, door, data) = drafts.doors();
        if drafts.age != age {
            // What led here is gone.
            self.context().empty_jump_cache();
        } else {
            match from {
                From::Slot(slot) => drafts.link(slot, entry),
                From::DraftedJump => drafts.expect(pc, entry),
                From::Draft | From::Engine => {}
                From::Region | From::Jump => {
                    self.lead = Some(pc);
                    self.context().jump_cache[jump_slot(pc)] = JumpSlot::new(pc, door, entry);
                }
            }
        }
        let context = self.context.pointer();
        let trampoline = match &self.generation {
            Some(generation) => generation.generation.trampoline,
            // There are no regions to be entered from drafts, and no frames to be told apart.
            None => enter as usize,
        };
        // SAFETY: this hart owns the context and lends it to the code, which is kept alive here, like
        // its data. Drafts are entered as regions are; without a generation the function that enters
        // them is called in the trampoline's place, with the draft's address in the same register.
        unsafe {
            (*context).drafts = data;
            (*context).door = door;
            self.context.go_inside(self.alone);
            let code = match self.generation {
                Some(_) => host::enter(context, enter, entry, 0, 0, trampoline),
                None => host::enter(context, entry, 0, 0, 0, trampoline),
            };
            self.context.come_outside();
            let state = &raw mut (*context).state;
            (*state).fflags |= host::raised((*context).float_control);
            Some(code)
        }
    }

    /// The draft with that number, at `state.pc`, is hot: whether the hart simply goes on there.
    fn hot_draft(&mut self, number: u64) -> bool {
        let pc = self.state().pc;
        if self.find(pc).is_some() {
            return true;
        }
        let Some(drafts) = &mut self.drafts else {
            return false;
        };
        if !drafts.was_dropped(number) {
            return false;
        }
        let age = drafts.age;
        match drafts.entry(pc, pc, &*self.jit.inner().space) {
            Some(entry) => {
                if drafts.age == age {
                    drafts.redirect(number, entry);
                }
                true
            }
            None => false,
        }
    }

    /// The trap that compiled code raised itself; all others are the interpreter's.
    fn trap(&mut self) -> Exit {
        Exit::Trap(Trap::new(Cause::EcallFromU, self.context().tval))
    }
}
