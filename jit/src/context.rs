//! What compiled code works on: the hart's state and the few words around it. Every field offset that compiled code uses is taken here and nowhere else.

use hart::system::tlb;
use hart::{HartState, SystemMemory};
use std::cell::UnsafeCell;
use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Slots of the jump cache.
pub const JUMP_CACHE_SLOTS: usize = 16384;

/// Slots of a whole machine's hart.
pub const JUMP_SLOTS: usize = 1 << 16;

/// One slot of the jump cache: where code for a guest address begins.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct JumpSlot {
    /// The guest address; an odd one matches nothing, since bit 0 of a jump target is 0.
    pub pc: u64,
    /// The region's host code.
    pub function: u64,
    /// Which of the region's entries. Whole machines: and how far the region lies from where it lay when
    /// it was compiled, a number of whole pages.
    pub entry: u64,
    /// Whole machines: the [`Context::key`] for which that holds.
    pub key: u64,
}

impl JumpSlot {
    /// What the first slot holds while it is empty: an address that belongs to the second, and so
    /// is never looked for here. All others are zero then, which belongs to the first.
    pub const NOWHERE: JumpSlot = JumpSlot::new(2, 0, 0);

    /// A slot that leads to `function`.
    pub const fn new(pc: u64, function: u64, entry: u64) -> Self {
        JumpSlot {
            pc,
            function,
            entry,
            key: 0,
        }
    }
}

/// Which slot an address belongs to. Compiled code computes the same.
pub const fn jump_slot(pc: u64) -> usize {
    (pc >> 1) as usize & (JUMP_CACHE_SLOTS - 1)
}

/// Which slot of a whole machine's hart an address belongs to, where `spread` is the key's. Compiled
/// code computes the same.
pub const fn system_slot(pc: u64, spread: u64) -> usize {
    ((pc >> 1) ^ (spread / size_of::<JumpSlot>() as u64)) as usize % JUMP_SLOTS
}

/// Puts the slots for one address and different keys far from each other: the kernel's code is the
/// same in all address spaces, and each finds its own slots again. A number of bytes.
pub const fn spread(key: u64) -> u64 {
    // Multiplied by the golden ratio, neighbouring numbers come to lie far apart.
    let slot = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - JUMP_SLOTS.trailing_zeros());
    slot * size_of::<JumpSlot>() as u64
}

/// Operands and results of a helper called from a cold path: such calls pass nothing in registers,
/// so that the hot path needs no spills around them.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Scratch {
    /// Operands as 64-bit patterns.
    pub operands: [u64; 3],
    /// The result.
    pub result: u64,
    /// Which operation, see `helpers`.
    pub operation: u64,
    /// Whole machines: 0, or the exit code to leave with.
    pub status: u64,
}

/// All that compiled code of one hart works on.
#[repr(C)]
pub struct Context {
    /// The guest-visible state.
    pub state: HartState,
    /// Not 0: compiled code returns at the next loop header or region entry.
    pub poll: AtomicU32,
    /// The context's own address while the poll flag is 0: what compiled code has in a register
    /// anyway is quickly compared with it.
    pub calm: AtomicU64,
    /// Counting: instructions that may still retire, as of the last region boundary or access.
    pub left: u64,
    /// Host address of guest address 0.
    pub window: u64,
    /// Host stack pointer to return to when compiled code is left in the middle.
    pub host_stack: u64,
    /// An ecall's trap value; or an address in the region that `STRAY` and such come from.
    pub tval: u64,
    /// After so many computed jumps and calls out of regions compiled code returns `STRAY` and such.
    pub strays: u32,
    /// The host's floating-point control and flags while compiled code runs, see `host::float`;
    /// afterwards with the flags that it raised.
    pub float_control: u32,
    /// The same of whoever entered it.
    pub host_float_control: u32,
    /// A helper's operands.
    pub scratch: Scratch,
    /// Targets of indirect jumps.
    pub jump_cache: [JumpSlot; JUMP_CACHE_SLOTS],
    /// So many rounds a loop's free copy may run at once: 0 while the hart is not alone, see
    /// `strips.rs`.
    pub rounds: u64,
    /// The flags of guest page 0, see [`memory::UserSpace::flag_table`].
    pub page_flags: *const u8,
    /// The host instruction that `REPLAY` came from.
    pub left_at: u64,
    /// What drafts have besides the state, see `draft/data.rs`.
    pub drafts: *mut u64,
    /// The function by which compiled code enters drafts, which are then the entry; 0 if there are
    /// none.
    pub door: u64,
    /// After so many ways from drafts into compiled code the next one goes by the engine.
    pub crossings: u64,
    /// Not 0: compiled code returns when it comes to a draft.
    pub stop: u64,
    /// What the stack pointer has to be at least, and at most, for accesses through it not to fault, see
    /// `stacks.rs`.
    pub stack_low: AtomicU64,
    /// See `stack_low`.
    pub stack_high: AtomicU64,
    /// Not 0 while compiled code may run, unless the hart is alone.
    pub inside: AtomicU32,
    /// Whole machines: the entries of the translation cache that loads and stores use now.
    pub entries: *const tlb::Entry,
    /// Whole machines: where jumps lead, [`JUMP_SLOTS`] of them.
    pub jumps: *const JumpSlot,
    /// Whole machines: what slots must have for their jumps to be followed; never 0.
    pub key: u64,
    /// Whole machines: [`spread`] of that.
    pub spread: u64,
    /// Whole machines: the [`SystemMemory::code_key`] that it stands for.
    pub code_key: u64,
    /// Whole machines: the hart's memory.
    pub memory: *const SystemMemory,
    /// Whole machines: what `left` counts down to.
    pub limit: u64,
    /// Whole machines: how far the code that runs lies from where it lay when it was compiled.
    pub moved: u64,
    /// Whole machines: where the jump leads that is being made: drafts find out where they are by it.
    pub target: u64,
    /// Whole machines: not 0 while floating point is permitted.
    pub floats: u64,
}

impl Context {
    /// Forgets all targets of indirect jumps.
    pub fn empty_jump_cache(&mut self) {
        self.jump_cache.fill(JumpSlot::new(0, 0, 0));
        self.jump_cache[0] = JumpSlot::NOWHERE;
    }
}

/// What compiled code returns.
pub mod code {
    /// No code at `state.pc` that compiled code knows of.
    pub const MISSING: u64 = 0;
    /// As `MISSING`, after a jump to a computed address.
    pub const NO_TARGET: u64 = 7;
    /// A computed jump leads to `state.pc`, out of the region: one of many that did.
    pub const STRAY: u64 = 11;
    /// A call leads to `state.pc`, out of the region: one of many that did.
    pub const CALL: u64 = 12;
    /// As `CALL`, by a register.
    pub const INDIRECT_CALL: u64 = 13;
    /// `left` does not cover the way to the next check.
    pub const LIMIT: u64 = 1;
    /// The poll flag is set.
    pub const POLL: u64 = 2;
    /// The next instruction is the interpreter's.
    pub const INTERPRET: u64 = 3;
    /// A fence.i has retired.
    pub const FENCE_I: u64 = 4;
    /// An ecall.
    pub const TRAP: u64 = 5;
    /// An access faulted: the state is that of the last checkpoint.
    pub const REPLAY: u64 = 6;
    /// Drafts: how to go on at `state.pc` has to be looked up.
    pub const DRAFT_NEXT: u64 = 14;
    /// As `DRAFT_NEXT`, and a slot can be filled in: its number is the first operand.
    pub const DRAFT_LINK: u64 = 15;
    /// Drafts: the block at `state.pc` has run often; the first operand is its number.
    pub const DRAFT_HOT: u64 = 16;
    /// Compiled code has come to a draft and shall not go on: its host address is the first operand.
    pub const DRAFT_STOP: u64 = 17;
    /// The stack pointer is not where accesses through it are known not to fault.
    pub const STACK: u64 = 18;
    /// Whole machines: go on at `state.pc`, but look anew where that leads.
    pub const CONTINUE: u64 = 8;
    /// Whole machines: whoever runs the hart shall have a look.
    pub const ATTENTION: u64 = 9;
    /// Whole machines: a wfi has retired, and nothing is pending.
    pub const WAIT: u64 = 10;
}

/// Offsets of the fields.
#[cfg_attr(
    not(target_arch = "x86_64"),
    allow(dead_code, reason = "drafts use some, and there are none there")
)]
pub mod offset {
    use super::*;

    /// `x[n]`.
    pub const fn x(n: usize) -> i32 {
        (offset_of!(Context, state) + offset_of!(HartState, x) + 8 * n) as i32
    }
    /// `f[n]`.
    pub const fn f(n: usize) -> i32 {
        (offset_of!(Context, state) + offset_of!(HartState, f) + 8 * n) as i32
    }
    pub const PC: i32 = (offset_of!(Context, state) + offset_of!(HartState, pc)) as i32;
    pub const FFLAGS: i32 = (offset_of!(Context, state) + offset_of!(HartState, fflags)) as i32;
    pub const FRM: i32 = (offset_of!(Context, state) + offset_of!(HartState, frm)) as i32;
    const RESERVATION: usize = offset_of!(Context, state) + offset_of!(HartState, reservation);
    pub const RESERVED_ADDRESS: i32 = (RESERVATION + offset_of!(hart::Reservation, address)) as i32;
    pub const RESERVED_VALUE: i32 = (RESERVATION + offset_of!(hart::Reservation, value)) as i32;
    pub const RESERVED_WIDTH: i32 = (RESERVATION + offset_of!(hart::Reservation, width)) as i32;
    pub const POLL: i32 = offset_of!(Context, poll) as i32;
    pub const CALM: i32 = offset_of!(Context, calm) as i32;
    pub const LEFT: i32 = offset_of!(Context, left) as i32;
    pub const WINDOW: i32 = offset_of!(Context, window) as i32;
    pub const ROUNDS: i32 = offset_of!(Context, rounds) as i32;
    pub const PAGE_FLAGS: i32 = offset_of!(Context, page_flags) as i32;
    pub const DRAFTS: i32 = offset_of!(Context, drafts) as i32;
    pub const DOOR: i32 = offset_of!(Context, door) as i32;
    pub const CROSSINGS: i32 = offset_of!(Context, crossings) as i32;
    pub const STOP: i32 = offset_of!(Context, stop) as i32;
    pub const STACK_LOW: i32 = offset_of!(Context, stack_low) as i32;
    pub const STACK_HIGH: i32 = offset_of!(Context, stack_high) as i32;
    pub const HOST_STACK: i32 = offset_of!(Context, host_stack) as i32;
    pub const STRAYS: i32 = offset_of!(Context, strays) as i32;
    pub const TVAL: i32 = offset_of!(Context, tval) as i32;
    pub const FLOAT_CONTROL: i32 = offset_of!(Context, float_control) as i32;
    pub const HOST_FLOAT_CONTROL: i32 = offset_of!(Context, host_float_control) as i32;
    pub const SCRATCH: i32 = offset_of!(Context, scratch) as i32;
    pub const OPERATION: i32 = SCRATCH + offset_of!(Scratch, operation) as i32;
    pub const ENTRIES: i32 = offset_of!(Context, entries) as i32;
    pub const JUMPS: usize = offset_of!(Context, jumps);
    pub const KEY: usize = offset_of!(Context, key);
    pub const SPREAD: usize = offset_of!(Context, spread);
    pub const TARGET: i32 = offset_of!(Context, target) as i32;
    pub const FLOATS: i32 = offset_of!(Context, floats) as i32;
    pub const MOVED: i32 = offset_of!(Context, moved) as i32;
    pub const STATUS: i32 = SCRATCH + offset_of!(Scratch, status) as i32;
    pub const RESULT: i32 = SCRATCH + offset_of!(Scratch, result) as i32;
    pub const JUMP_CACHE: i32 = offset_of!(Context, jump_cache) as i32;
}

/// A context at a fixed address, shared with those who may set its poll flag.
#[repr(transparent)]
pub struct SharedContext(UnsafeCell<Context>);

// SAFETY: only the owning `JitHart` touches the fields other than `poll`, which is atomic.
unsafe impl Sync for SharedContext {}
// SAFETY: a context is plain data; the pointers in it are set anew whenever compiled code is entered,
// but for the flags of pages, which live as long as the compiler that the hart holds.
unsafe impl Send for SharedContext {}

impl SharedContext {
    /// A context of a hart that has not run yet.
    pub fn new(window: u64) -> Arc<Self> {
        let shared = SharedContext::system();
        // SAFETY: nobody else has it yet.
        let context = unsafe { &mut *shared.pointer() };
        context.jump_cache[0] = JumpSlot::NOWHERE;
        context.window = window;
        context.stack_low = AtomicU64::new(u64::MAX);
        shared.calm_down();
        shared
    }

    /// Takes a poll back. One that comes meanwhile may be lost as a flag, but ends compiled code.
    pub fn calm_down(&self) {
        let context = self.pointer();
        // SAFETY: both are atomic and live as long as `self`.
        let (poll, calm) = unsafe { (&(*context).poll, &(*context).calm) };
        calm.store(context as u64, Ordering::SeqCst);
        poll.store(0, Ordering::SeqCst);
    }

    /// Has compiled code come back soon.
    pub fn ask_back(&self) {
        self.poll().store(1, Ordering::SeqCst);
        // SAFETY: it is atomic and lives as long as `self`.
        let calm = unsafe { &(*self.pointer()).calm };
        calm.store(0, Ordering::SeqCst);
    }

    /// Whether compiled code that asks comes back.
    pub fn is_polled(&self) -> bool {
        let context = self.pointer();
        // SAFETY: as in `calm_down`.
        let (poll, calm) = unsafe { (&(*context).poll, &(*context).calm) };
        poll.load(Ordering::Relaxed) != 0 || calm.load(Ordering::Relaxed) != context as u64
    }

    /// A context of a whole machine's hart, all zeros: such has a jump cache of its own. It takes
    /// memory as it is used.
    pub fn system() -> Arc<Self> {
        // SAFETY: zero is a valid value of every field.
        unsafe { Arc::<SharedContext>::new_zeroed().assume_init() }
    }

    /// The context; dereferencing is up to the owner.
    pub fn pointer(&self) -> *mut Context {
        self.0.get()
    }

    /// The poll flag.
    pub fn poll(&self) -> &AtomicU32 {
        // SAFETY: the flag is atomic and lives as long as `self`.
        unsafe { &(*self.0.get()).poll }
    }
}

/// Sets a hart's poll flag from another thread.
#[derive(Clone)]
pub struct Poll(pub(crate) Arc<SharedContext>);

impl Poll {
    /// Makes compiled code (and whoever watches the flag) return soon.
    pub fn set(&self) {
        self.0.ask_back();
    }

    /// Takes that back.
    pub fn clear(&self) {
        self.0.calm_down();
    }

    /// The flag itself.
    pub fn flag(&self) -> &AtomicU32 {
        self.0.poll()
    }
}
