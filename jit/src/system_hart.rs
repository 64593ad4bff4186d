//! One hart of a whole machine on compiled code: enters it, and acts on why it came back.

use crate::context::{Context, JUMP_SLOTS, JumpSlot, SharedContext, code, spread, system_slot};
use crate::draft::Drafts;
use crate::{SystemJit, host};
use frontend::X;
use hart::{Cause, HartState, Memory, SystemMemory, Trap};
use rustc_hash::FxHashMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Instructions between two looks at the poll flag, which compiled code does not see, while nobody else
/// waits for them.
const SLICE: u64 = 1 << 20;

/// Why [`SystemHart::run`] returned. The state is exact in every case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SystemExit {
    /// No compiled code begins at `pc`, or none that may be entered now.
    Missing,
    /// The draft of the block at `pc`, not yet executed, has been arrived at as often as its countdown
    /// said. It reports that again until told otherwise.
    Hot,
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
    /// was rolled back to before it. Interpret for a while, whatever is hot on the way.
    Replay,
    /// A wfi has retired, and nothing is pending.
    Wait,
    /// The instruction at `pc` trapped.
    Trap(Trap),
}

/// Slots for addresses without code.
const ABSENT_SLOTS: usize = 1 << 14;

/// An address that no code was found at.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Absent {
    pc: u64,
    /// For which [`Context::key`] that holds. None is 0.
    key: u64,
    /// [`SystemJit::published`] at that time.
    published: u64,
}

/// Keys that are remembered at most.
const MOST_KEYS: usize = 1 << 10;

/// A hart's state, where compiled code works on it, and what it knows of the code.
pub struct SystemHart {
    context: Arc<SharedContext>,
    /// Where jumps lead; empty until compiled code is first looked for.
    jumps: Box<[JumpSlot]>,
    /// Addresses without code, by their slot: most misses repeat.
    absent: Box<[Absent]>,
    /// [`SystemJit::number`] of whose code `jumps` is about.
    compiler: u64,
    /// [`SystemJit::epoch`] up to which `jumps` is rid of what was dropped.
    epoch: u64,
    /// The keys of jump slots, for those of [`SystemMemory::code_key`]: others whenever all code was
    /// dropped.
    keys: FxHashMap<u64, u64>,
    /// The last key given away.
    last_key: u64,
    /// See [`SystemHart::set_slice`].
    slice: u64,
    /// [`Drafts::cleared`] of those that `jumps` leads to.
    cleared: u64,
}

/// What a hart enters.
enum Chosen {
    /// A function, by an entry.
    Code(u64, u64),
    /// Nothing: the instruction is the interpreter's.
    Nothing,
    /// A draft that is hot.
    Hot,
    /// It has to look around first.
    Again,
}

/// Where the hart comes from when it looks for code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// Whoever runs it, or compiled code.
    Elsewhere,
    /// A draft's slot, by its number.
    Slot(u64),
    /// A draft that is hot, by its number.
    Hot(u64),
}

impl Default for SystemHart {
    fn default() -> Self {
        SystemHart {
            context: SharedContext::system(),
            jumps: Box::default(),
            absent: Box::default(),
            compiler: 0,
            epoch: 0,
            keys: FxHashMap::default(),
            last_key: 0,
            slice: SLICE,
            cleared: 0,
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

    /// How many instructions it may execute between two looks at the poll flag; a million if not told.
    pub fn set_slice(&mut self, slice: Option<u64>) {
        self.slice = slice.unwrap_or(SLICE);
    }

    /// Runs compiled code from `pc` on, region after region, and what is not compiled as drafts if there
    /// are any, until something else is needed; never beyond `instret == limit`.
    pub fn run(
        &mut self,
        jit: &mut SystemJit,
        mut drafts: Option<&mut Drafts>,
        memory: &SystemMemory,
        limit: u64,
        poll: &AtomicU32,
    ) -> SystemExit {
        let mut from = From::Elsewhere;
        loop {
            if self.instret >= limit {
                return SystemExit::Limit;
            }
            if poll.load(Ordering::Relaxed) != 0 {
                return SystemExit::Poll;
            }
            self.look_around(jit, drafts.as_deref_mut(), memory);
            let context = self.context();
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
            let region = self.find(jit, memory);
            let (function, entry) = match (&mut drafts, region) {
                (None, None) => return SystemExit::Missing,
                (None, Some(region)) => region,
                (Some(drafts), region) => match self.choose(drafts, region, memory, from) {
                    Chosen::Code(function, entry) => (function, entry),
                    Chosen::Nothing => return SystemExit::Interpret,
                    Chosen::Hot => return SystemExit::Hot,
                    Chosen::Again => {
                        from = From::Elsewhere;
                        continue;
                    }
                },
            };
            from = From::Elsewhere;
            // Half of the range is more than any run retires.
            let slice = limit.min(self.instret.saturating_add(self.slice));
            match self.enter(jit, function, entry, slice) {
                code::MISSING | code::CONTINUE | code::DRAFT_NEXT => {}
                code::DRAFT_LINK => from = From::Slot(self.context().scratch.operands[0]),
                code::DRAFT_HOT => from = From::Hot(self.context().scratch.operands[0]),
                code::LIMIT if slice < limit => {}
                code::LIMIT => return SystemExit::Limit,
                code::FENCE_I => return SystemExit::FenceI,
                code::TRAP => {
                    let trap = Trap::new(Cause::EcallFromU, self.context().tval);
                    return SystemExit::Trap(trap);
                }
                code::WAIT => return SystemExit::Wait,
                code::ATTENTION => return SystemExit::Attention,
                code::REPLAY => return SystemExit::Replay,
                _ => return SystemExit::Interpret,
            }
        }
    }

    /// What is to be entered at `pc`: the region, if one was found, else the draft. Has drafts that led
    /// here do so by themselves from now on.
    fn choose(
        &mut self,
        drafts: &mut Drafts,
        region: Option<(u64, u64)>,
        memory: &SystemMemory,
        from: From,
    ) -> Chosen {
        let pc = self.pc;
        let Some(page) = memory.code_page_of(pc) else {
            return region.map_or(Chosen::Nothing, |(f, entry)| Chosen::Code(f, entry));
        };
        let code = Drafts::code(pc, page);
        if let Some((function, entry)) = region {
            let cleared = drafts.cleared;
            match from {
                From::Elsewhere => {}
                From::Slot(slot) => {
                    // The draft's head says which address to look for.
                    if let Some(entry) = drafts.entry(pc, code, memory)
                        && drafts.cleared == cleared
                    {
                        drafts.replace(code);
                        drafts.link(slot, entry);
                    }
                }
                From::Hot(_) => {
                    drafts.replace(code);
                }
            }
            return Chosen::Code(function, entry);
        }
        if let From::Hot(number) = from
            && !drafts.was_dropped(number)
        {
            return Chosen::Hot;
        }
        let cleared = drafts.cleared;
        let Some(entry) = drafts.entry(pc, code, memory) else {
            return Chosen::Nothing;
        };
        if drafts.cleared != cleared {
            // No slot leads anywhere any more.
            return Chosen::Again;
        }
        match from {
            From::Elsewhere => {}
            From::Slot(slot) => drafts.link(slot, entry),
            From::Hot(number) => drafts.redirect(number, entry),
        }
        let context = self.context();
        context.target = pc;
        let (key, door) = (context.key, context.door);
        let place = system_slot(pc, context.spread);
        self.jumps[place] = JumpSlot {
            key,
            ..JumpSlot::new(pc, door, entry)
        };
        Chosen::Code(door, entry)
    }

    /// There may be code at `pc` that could not be entered before.
    pub fn look_again(&mut self) {
        let place = system_slot(self.pc, self.context().spread) % ABSENT_SLOTS;
        if let Some(absent) = self.absent.get_mut(place) {
            *absent = Absent::default();
        }
    }

    /// Brings the context up to date: how memory is seen, and which jump slots hold.
    fn look_around(&mut self, jit: &SystemJit, drafts: Option<&mut Drafts>, memory: &SystemMemory) {
        if self.jumps.is_empty() {
            // SAFETY: zero is a valid value of every field. What no code is looked up for takes no
            // memory.
            self.jumps = unsafe { Box::new_zeroed_slice(JUMP_SLOTS).assume_init() };
            self.absent = vec![Absent::default(); ABSENT_SLOTS].into();
            self.context().jumps = self.jumps.as_ptr();
        }
        let code_key = memory.code_key();
        let mut dropped = self.keys.len() > MOST_KEYS;
        if self.epoch != jit.epoch() {
            let same = self.compiler == jit.number();
            match jit.dropped_since(self.epoch).filter(|_| same) {
                // Looking through all slots takes as long as finding some hundred of them again.
                Some(functions) => {
                    for slot in &mut self.jumps {
                        if slot.key != 0 && functions.contains(&slot.function) {
                            slot.key = 0;
                        }
                    }
                }
                None => dropped = true,
            }
            (self.compiler, self.epoch) = (jit.number(), jit.epoch());
        }
        if let Some(drafts) = drafts {
            dropped |= drafts.cleared != self.cleared;
            self.cleared = drafts.cleared;
            let (_, door, data) = drafts.doors();
            (self.context().door, self.context().drafts) = (door, data);
        }
        if dropped {
            self.keys.clear();
        }
        if dropped || self.context().code_key != code_key {
            let last = &mut self.last_key;
            let key = *self.keys.entry(code_key).or_insert_with(|| {
                *last += 1;
                *last
            });
            let context = self.context();
            (context.code_key, context.key, context.spread) = (code_key, key, spread(key));
        }
        let context = self.context();
        context.entries = memory.entries();
        context.memory = memory;
        context.floats = memory.may_float().into();
    }

    /// The code at `pc`, by the jump cache or the table.
    fn find(&mut self, jit: &SystemJit, memory: &SystemMemory) -> Option<(u64, u64)> {
        let context = self.context();
        let (pc, key) = (context.state.pc, context.key);
        // As `fixed::dispatch` does.
        let place = system_slot(pc, context.spread);
        let slot = self.jumps[place];
        let is_draft = slot.function == self.context().door;
        if slot.pc == pc && slot.key == key && !is_draft {
            return Some((slot.function, slot.entry));
        }
        let published = jit.published();
        let here = Absent { pc, key, published };
        let absent = &mut self.absent[place % ABSENT_SLOTS];
        if *absent == here {
            return None;
        }
        let Some(descriptor) = jit.find(pc, memory) else {
            *absent = here;
            return None;
        };
        self.jumps[place] = JumpSlot {
            key,
            ..JumpSlot::new(pc, descriptor.function, descriptor.entry)
        };
        Some((descriptor.function, descriptor.entry))
    }

    fn enter(&mut self, jit: &SystemJit, function: u64, entry: u64, limit: u64) -> u64 {
        // Without a generation there are drafts alone, whose function stands in for what calls it.
        let generation = jit.generation();
        let trampoline = generation.map(|generation| generation.generation.trampoline);
        let context = self.context.pointer();
        // SAFETY: this hart owns the context and lends it to the code. Jump slots with the present key
        // lead to code that `jit` keeps: the key is another one since any was dropped. `memory`,
        // `entries` and `jumps` were set from what `run`'s caller and `self` keep.
        unsafe {
            let state = &raw mut (*context).state;
            (*context).limit = limit;
            (*context).left = limit.wrapping_sub((*state).instret);
            let (sp, a0) = ((*state).x[X::SP.index()], (*state).x[X::A0.index()]);
            let code = match trampoline {
                Some(trampoline) => host::enter(context, function, entry, sp, a0, trampoline),
                None => host::enter(context, entry, 0, 0, 0, function as usize),
            };
            (*state).fflags |= host::raised((*context).float_control);
            (*state).instret = limit.wrapping_sub((*context).left);
            code
        }
    }
}
