//! What becomes of a host fault: which space it hit, and who goes on from there.
//!
//! Everything that `on_fault` reaches runs in a signal handler: atomics, the page lock and
//! `mprotect`, nothing else.

use crate::fault::{Access, Fault, FaultKind};
use crate::flags::PageFlags;
use crate::host::{HostFrame, recovery, signal};
use crate::space::{Core, GUARD, LIMIT, PAGE_BITS};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// Address spaces at once in a process.
pub(crate) const SPACES: usize = 64;
/// Ranges of translated code at once in a process.
const CODE_RANGES: usize = 256;

/// Deals with a fault at an instruction of a code range, or with one that the host refuses to execute
/// (then there is no fault), on the thread that took it, inside the
/// signal handler: it may read the frame, redirect it, and touch atomics, nothing else. `data` is
/// what was given to [`register_code`]. Whether the frame was redirected; if not, the fault goes
/// to whoever handled such signals before. `access` in the fault is the host's word where it gives
/// one, a guess from the page's flags elsewhere; translated code knows better.
pub type FaultHandler = fn(frame: &mut HostFrame<'_>, fault: Option<Fault>, data: usize) -> bool;

/// Installs the handler of SIGSEGV, SIGBUS and SIGILL. Idempotent; [`crate::UserSpace::reserve`] does it
/// too. Faults that are nobody's go to the handler that was installed before.
pub fn install() {
    signal::install();
}

struct SpaceSlot {
    /// Host address of guest address 0; [`NOWHERE`] while the slot is free.
    base: AtomicUsize,
    core: AtomicPtr<Core>,
}

/// No space begins there.
const NOWHERE: usize = usize::MAX;

static SPACE_SLOTS: [SpaceSlot; SPACES] = [const {
    SpaceSlot {
        base: AtomicUsize::new(NOWHERE),
        core: AtomicPtr::new(std::ptr::null_mut()),
    }
}; SPACES];

/// Makes faults in a space known as such. Whether there was room.
pub(crate) fn add_space(base: usize, core: *mut Core) -> bool {
    for slot in &SPACE_SLOTS {
        if slot
            .core
            .compare_exchange(
                std::ptr::null_mut(),
                core,
                Ordering::AcqRel,
                Ordering::Relaxed,
            )
            .is_ok()
        {
            slot.base.store(base, Ordering::Release);
            return true;
        }
    }
    false
}

pub(crate) fn remove_space(core: *mut Core) {
    for slot in &SPACE_SLOTS {
        if slot.core.load(Ordering::Acquire) == core {
            slot.base.store(NOWHERE, Ordering::Release);
            slot.core.store(std::ptr::null_mut(), Ordering::Release);
        }
    }
}

/// The space whose window or guards hold a host address.
///
/// Only a thread that holds the space can fault in it, so the space is alive if the base matches;
/// the pointer of any other slot is not followed.
fn space_at(address: usize) -> Option<&'static Core> {
    SPACE_SLOTS.iter().find_map(|slot| {
        let base = slot.base.load(Ordering::Acquire);
        let start = base.wrapping_sub(GUARD as usize);
        let length = (LIMIT + 2 * GUARD) as usize;
        if base == NOWHERE || address.wrapping_sub(start) >= length {
            return None;
        }
        // SAFETY: see above; `add_space` stored the pointer before the base.
        unsafe { slot.core.load(Ordering::Acquire).as_ref() }
    })
}

struct CodeSlot {
    start: AtomicUsize,
    /// 0 while the slot is free, 1 while it is being filled.
    end: AtomicUsize,
    handler: AtomicUsize,
    data: AtomicUsize,
}

static CODE_SLOTS: [CodeSlot; CODE_RANGES] = [const {
    CodeSlot {
        start: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        handler: AtomicUsize::new(0),
        data: AtomicUsize::new(0),
    }
}; CODE_RANGES];

/// A registered range of translated code; dropping it unregisters it. Nothing may run in the range
/// any more by then.
#[derive(Debug)]
pub struct CodeRange {
    slot: usize,
}

/// Has guest-memory faults of host instructions in `range` handled by `handler`. None if too many
/// ranges are registered: register few large ones.
pub fn register_code(
    range: std::ops::Range<usize>,
    handler: FaultHandler,
    data: usize,
) -> Option<CodeRange> {
    let slot = CODE_SLOTS.iter().position(|slot| {
        slot.end
            .compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    })?;
    let free = &CODE_SLOTS[slot];
    free.handler.store(handler as usize, Ordering::Relaxed);
    free.data.store(data, Ordering::Relaxed);
    free.start.store(range.start, Ordering::Relaxed);
    free.end.store(range.end, Ordering::Release);
    Some(CodeRange { slot })
}

impl Drop for CodeRange {
    fn drop(&mut self) {
        // The end goes to 0 last: only then may somebody else fill the slot.
        let slot = &CODE_SLOTS[self.slot];
        slot.start.store(usize::MAX, Ordering::Release);
        slot.end.store(0, Ordering::Release);
    }
}

/// Lets translated code deal with its fault. Whether it did.
fn redirect(frame: &mut HostFrame<'_>, fault: Option<Fault>) -> bool {
    let pc = frame.pc();
    for slot in &CODE_SLOTS {
        let end = slot.end.load(Ordering::Acquire);
        if pc < end && pc >= slot.start.load(Ordering::Relaxed) {
            // SAFETY: `register_code` stored a function of this type before the end.
            let handler = unsafe {
                std::mem::transmute::<usize, FaultHandler>(slot.handler.load(Ordering::Relaxed))
            };
            return handler(frame, fault, slot.data.load(Ordering::Relaxed));
        }
    }
    false
}

/// Deals with a fault on `address`. Whether the thread may go on with `frame` as it is now.
pub(crate) fn on_fault(frame: &mut HostFrame<'_>, address: usize, bus: bool) -> bool {
    let Some(core) = space_at(address) else {
        return false;
    };
    let va = address.wrapping_sub(core.base()) as u64;
    let inside = va < LIMIT;
    if inside && !bus && core.settle(va >> PAGE_BITS, frame.is_write()) {
        return true;
    }
    if let Some(resume) = recovery::resume_at(frame.pc()) {
        frame.set_pc(resume);
        return true;
    }
    let flags = if inside {
        core.flags.of_page(va >> PAGE_BITS)
    } else {
        PageFlags::default()
    };
    let write = frame.is_write().unwrap_or(flags.has(PageFlags::R));
    let access = if write { Access::Store } else { Access::Load };
    let kind = if bus {
        FaultKind::BeyondFile
    } else if flags.has(PageFlags::MAPPED) {
        FaultKind::Protected
    } else {
        FaultKind::Unmapped
    };
    redirect(frame, Some(Fault { va, access, kind }))
}

/// Deals with an instruction that the host refuses to execute: translated code ends like that where
/// it finds out itself that it cannot go on. Whether the thread may go on with `frame` as it is now.
pub(crate) fn on_trap(frame: &mut HostFrame<'_>) -> bool {
    redirect(frame, None)
}
