//! Compiled code in memory: how regions find each other, and how a fault finds its instruction.

use crate::analysis::recipes::Instructions;
use crate::context::{Context, offset};
use crate::host;
use crate::translate::Site;
use memory::{CodeRange, Fault, HostFrame};
use std::ops::Range;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

/// An entry of a region, as jumps to it need it. Never changes once compiled code can see it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Descriptor {
    /// Host address of the region's function.
    pub function: u64,
    /// Which of its entries.
    pub entry: u64,
    /// Its guest address.
    pub pc: u64,
}

/// A direct jump out of a region. Compiled code loads `target` and follows it.
#[repr(C)]
pub struct Slot {
    target: AtomicPtr<Descriptor>,
    /// The target while there is no code: a [`Descriptor`] whose function is the stub that returns
    /// to `JitHart`, and whose entry is this descriptor's own address.
    function: AtomicU64,
    entry: AtomicU64,
    pc: AtomicU64,
}

impl Slot {
    fn stub(&self) -> *mut Descriptor {
        (&raw const self.function).cast_mut().cast()
    }

    /// Where it leads to.
    pub fn pc(&self) -> u64 {
        self.pc.load(Ordering::Relaxed)
    }

    /// Makes jumps go to `descriptor`, which must stay valid as long as this is linked to it.
    pub fn link(&self, descriptor: &Descriptor) {
        self.target
            .store((&raw const *descriptor).cast_mut(), Ordering::Release);
    }

    /// Makes jumps return to `JitHart`.
    pub fn unlink(&self) {
        self.target.store(self.stub(), Ordering::Release);
    }
}

/// All slots of a generation. Compiled code names one by its distance from the first, so that the
/// code does not depend on where they are.
pub struct Slots {
    all: Box<[Slot]>,
    used: AtomicUsize,
}

impl Slots {
    /// Room for so many; it takes memory as they are used.
    pub fn new(most: usize) -> Slots {
        let all = Box::<[Slot]>::new_zeroed_slice(most);
        // SAFETY: zero is a value of each field.
        let all = unsafe { all.assume_init() };
        Slots {
            all,
            used: AtomicUsize::new(0),
        }
    }

    /// The address of the first.
    pub fn base(&self) -> u64 {
        self.all.as_ptr() as u64
    }

    /// Takes a run of slots for jumps to these addresses, which lead to the stub `missing`; where it
    /// is. Called under the compiler's lock. `None` if there are not so many left.
    pub fn take(&self, pcs: &[u64], missing: u64) -> Option<Range<usize>> {
        let first = self.used();
        let run = first..first + pcs.len();
        for (slot, &pc) in self.all.get(run.clone())?.iter().zip(pcs) {
            slot.function.store(missing, Ordering::Relaxed);
            slot.entry.store(slot.stub() as u64, Ordering::Relaxed);
            slot.pc.store(pc, Ordering::Relaxed);
            slot.unlink();
        }
        self.used.store(run.end, Ordering::Relaxed);
        Some(run)
    }

    /// How many are taken: the number of the next.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// A run that was taken.
    pub fn run(&self, run: Range<usize>) -> &[Slot] {
        &self.all[run]
    }
}

/// The addresses of the entries of all regions of a machine's generation: named by the distance from
/// the first, as slots are.
pub struct EntryTable {
    all: Box<[AtomicU64]>,
    used: AtomicUsize,
}

impl EntryTable {
    /// Room for so many; it takes memory as they are used.
    pub fn new(most: usize) -> EntryTable {
        let all = Box::<[AtomicU64]>::new_zeroed_slice(most);
        // SAFETY: zero is a value of an integer.
        let all = unsafe { all.assume_init() };
        EntryTable {
            all,
            used: AtomicUsize::new(0),
        }
    }

    /// The address of the first.
    pub fn base(&self) -> u64 {
        self.all.as_ptr() as u64
    }

    /// Adds these; whether there was room. Called under the compiler's lock.
    pub fn add(&self, pcs: &[u64]) -> bool {
        let first = self.used();
        let Some(places) = self.all.get(first..first + pcs.len()) else {
            return false;
        };
        for (place, &pc) in places.iter().zip(pcs) {
            place.store(pc, Ordering::Relaxed);
        }
        self.used.store(first + pcs.len(), Ordering::Relaxed);
        true
    }

    /// How many there are: the number of the next.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// One region's host code.
#[derive(Debug)]
pub struct Code {
    /// Where it is, as executed.
    pub range: Range<usize>,
    /// The guest instructions that it came from.
    pub sites: Vec<Site>,
    /// What their checkpoints have to have computed again.
    pub recipes: Vec<Instructions>,
    /// Offsets of host instructions that access guest memory, ascending, and the site of each.
    pub accesses: Vec<(u32, u32)>,
}

impl Code {
    /// The guest instruction of a faulting host instruction.
    fn site(&self, pc: usize) -> Option<&Site> {
        let offset = u32::try_from(pc.checked_sub(self.range.start)?).ok()?;
        let index = self
            .accesses
            .binary_search_by_key(&offset, |&(at, _)| at)
            .ok()?;
        self.sites.get(self.accesses[index].1 as usize)
    }
}

/// Most regions in a generation.
const CODES: usize = 1 << 16;

/// Code that is dropped at once: functions cannot be freed one by one.
pub struct Generation {
    /// Called by the host's ABI to enter a region.
    pub trampoline: usize,
    /// Where unlinked slots lead.
    pub missing: u64,
    /// By ascending address. Appended to under the compiler's lock, read by the fault handler.
    codes: Box<[AtomicPtr<Code>]>,
    count: AtomicUsize,
    range: Option<CodeRange>,
    /// Whether instructions are counted.
    counting: bool,
    /// The memory itself; freed last.
    _arena: std::sync::Arc<host::Arena>,
}

impl Generation {
    /// An empty one, in `arena`. Its faults are handled from now on.
    pub fn new(
        arena: std::sync::Arc<host::Arena>,
        trampoline: usize,
        missing: u64,
        counting: bool,
    ) -> Box<Generation> {
        let codes = (0..CODES)
            .map(|_| AtomicPtr::new(std::ptr::null_mut()))
            .collect();
        let executable = arena.executable();
        let mut generation = Box::new(Generation {
            trampoline,
            missing,
            codes,
            count: AtomicUsize::new(0),
            range: None,
            counting,
            _arena: arena,
        });
        let data = &raw const *generation as usize;
        generation.range = memory::register_code(executable, on_fault, data);
        generation
    }

    /// Whether faults will be handled; else no code of it may run.
    pub fn is_registered(&self) -> bool {
        self.range.is_some()
    }

    /// Adds code, which lies behind all that was added before. Whether there was room.
    pub fn add(&self, code: Code) -> bool {
        let count = self.count.load(Ordering::Relaxed);
        let Some(place) = self.codes.get(count) else {
            return false;
        };
        place.store(Box::into_raw(Box::new(code)), Ordering::Release);
        self.count.store(count + 1, Ordering::Release);
        true
    }

    /// What has to be computed again after a roll-back from a host instruction.
    pub fn recipe(&self, pc: usize) -> &[(u64, u32)] {
        let recipe = self.code_at(pc).and_then(|code| {
            let site = code.site(pc)?;
            code.recipes.get(site.checkpoint.recipe as usize)
        });
        recipe.map_or(&[], |recipe| recipe)
    }

    /// The code that a host instruction belongs to. Safe in a signal handler.
    fn code_at(&self, pc: usize) -> Option<&Code> {
        let count = self.count.load(Ordering::Acquire);
        let code = |index: usize| {
            // SAFETY: places below `count` hold code that lives as long as the generation.
            unsafe { &*self.codes[index].load(Ordering::Acquire) }
        };
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = (low + high) / 2;
            if code(middle).range.end <= pc {
                low = middle + 1
            } else {
                high = middle
            }
        }
        (low < count && code(low).range.contains(&pc)).then(|| code(low))
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        // First its faults are no longer handled, then what the handler reads may go.
        self.range = None;
        for code in &self.codes[..*self.count.get_mut()] {
            // SAFETY: `add` made it from a box, and nobody else frees it.
            drop(unsafe { Box::from_raw(code.load(Ordering::Relaxed)) });
        }
    }
}

/// Rolls the hart whose access faulted, or whose code trapped, back to its checkpoint. Runs in the signal handler.
fn on_fault(frame: &mut HostFrame<'_>, _: Option<Fault>, data: usize) -> bool {
    // SAFETY: `data` is the generation that registered the range, and it unregisters before it
    // goes.
    let generation = unsafe { &*(data as *const Generation) };
    let Some(site) = generation
        .code_at(frame.pc())
        .and_then(|code| code.site(frame.pc()))
    else {
        return false;
    };
    // SAFETY: the thread is stopped in a region's code, whose frame is the first of those between
    // it and `enter`, which keeps the context of the hart that the thread runs.
    let context = unsafe {
        let mut frame = frame.register(host::FRAME_REGISTER) as *const u64;
        for _ in 1..host::FRAMES {
            frame = *frame as *const u64;
        }
        &mut *(*frame.byte_offset(host::CONTEXT_IN_FRAME as isize) as *mut Context)
    };
    context.state.pc = site.checkpoint.pc;
    context.left_at = frame.pc() as u64;
    if generation.counting {
        context.left = context
            .left
            .wrapping_sub(u64::from(site.checkpoint.retired));
    }
    frame.set_register(host::CONTEXT_REGISTER, &raw mut *context as u64);
    frame.set_pc(host::leave as *const () as usize);
    true
}

/// Offsets of the fields that the host's entry code keeps its floating-point control in.
#[cfg_attr(
    target_arch = "aarch64",
    expect(dead_code, reason = "that host needs none")
)]
pub const FLOAT_CONTROL: usize = offset::FLOAT_CONTROL as usize;
#[cfg_attr(
    target_arch = "aarch64",
    expect(dead_code, reason = "that host needs none")
)]
pub const HOST_FLOAT_CONTROL: usize = offset::HOST_FLOAT_CONTROL as usize;
/// Offset of the field that the host's entry code keeps the stack pointer in.
pub const HOST_STACK: usize = offset::HOST_STACK as usize;
