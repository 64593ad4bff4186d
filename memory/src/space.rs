//! `UserSpace`: a guest process's address space.

use crate::breakpoints::Breakpoints;
use crate::error::Error;
use crate::flags::{FlagTable, PageFlags};
use crate::host::pages;
use crate::lock::{SpinGuard, SpinLock};
use crate::log::StaleLog;
use crate::registry;
use crate::stacks::StackUser;
use crate::vma::{Vma, VmaMap};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

/// The first address that a guest process can't have: half of Sv39, as on RISC-V Linux.
pub const LIMIT: u64 = 1 << 38;
/// Bytes in a guest page.
pub const PAGE: u64 = 1 << PAGE_BITS;
/// Bits of an address within its page.
pub const PAGE_BITS: u32 = 12;
/// Inaccessible bytes below and above the window. Code that has checked a base register against
/// [`LIMIT`] may add to it what it likes below this.
pub const GUARD: u64 = 64 << 30;
/// The lowest address that a guest may map, as Linux's `vm.mmap_min_addr`: a null pointer with a
/// small offset always faults.
pub const MIN_ADDRESS: u64 = 0x1_0000;
/// Where Linux starts looking downwards for room: below the stack's largest extent.
const MMAP_BASE: u64 = LIMIT - (128 << 20);
/// The window starts at a multiple of this, so that the host can use huge pages.
const ALIGNMENT: u64 = 2 << 20;

/// A guest process's address space. All methods may be called by several threads at once.
///
/// Linux semantics throughout: what the guest sees of a mapping call is what a RISC-V Linux
/// process would see.
pub struct UserSpace {
    /// Copies of what `core` holds, one pointer nearer.
    base: *mut u8,
    pub(crate) core: Box<Core>,
}

// SAFETY: the pointer is into a reservation that lives as long as `core`, whose parts are atomics
// or behind locks; the guest memory itself is only accessed by guarded instructions.
unsafe impl Send for UserSpace {}
// SAFETY: as above.
unsafe impl Sync for UserSpace {}

/// What the fault handler needs too.
pub(crate) struct Core {
    reservation: NonNull<std::ffi::c_void>,
    /// Its bytes.
    reserved: usize,
    base: usize,
    pub(crate) flags: FlagTable,
    pub(crate) log: StaleLog,
    /// Held while flags and host protections change, so that both agree whenever it is free.
    /// The fault handler takes it: never touch guest memory while holding it.
    pub(crate) page_lock: SpinLock,
    /// The mappings. Taken before `page_lock`.
    vmas: Mutex<VmaMap>,
    /// Pages of shared mappings that hold code. Taken only while `page_lock` is held, never by the
    /// fault handler.
    shared_code: Mutex<Vec<u64>>,
    /// Ranges that were mapped from a memory image at some time: what the host has there
    /// unchanged is neither zero nor a file of the guest's. Taken last, never by the handler.
    imaged: Mutex<Vec<std::ops::Range<u64>>>,
    mmap_base: AtomicU64,
    /// Who relies on stacks. Taken only while `vmas` is held, never by the fault handler.
    pub(crate) stack_users: Mutex<Vec<Weak<dyn StackUser>>>,
    /// Of a debugger.
    pub(crate) breakpoints: Breakpoints,
}

// SAFETY: the pointer is an address range that `Drop` frees; the rest is atomics or behind locks.
unsafe impl Send for Core {}
// SAFETY: as above.
unsafe impl Sync for Core {}

const RESERVED: u64 = LIMIT + 2 * GUARD + ALIGNMENT;

impl UserSpace {
    /// Reserves an empty address space. Takes no memory to speak of.
    ///
    /// The first one of a process gets the host addresses that are the guest's own, where the host
    /// permits that: compiled code then adds nothing to an address. What lies below the window is
    /// the host's inaccessible first pages, and the end of its address space, which is the kernel's.
    pub fn reserve() -> Result<UserSpace, Error> {
        let space = UserSpace::reserve_at(true)?;
        match space.base.is_null() && space.sees_the_kernel() {
            true => {
                drop(space);
                UserSpace::reserve_at(false)
            }
            false => Ok(space),
        }
    }

    /// Whether what lies below the window can be read. Old x86-64 systems show programs one page of the
    /// kernel's; everything else there is its own.
    fn sees_the_kernel(&self) -> bool {
        const VSYSCALL: u64 = 10 << 20;
        let host = self.base.wrapping_sub(VSYSCALL as usize);
        // SAFETY: it only loads, and the space is registered, so that a fault is recovered from.
        unsafe { <u8 as crate::word::private::Guarded>::load(host) }.is_some()
    }

    /// See [`UserSpace::reserve`]. `own`: whether the host's own addresses may be taken.
    fn reserve_at(own: bool) -> Result<UserSpace, Error> {
        if pages::page_size() != PAGE as usize {
            return Err(Error::HostPageSize {
                found: pages::page_size(),
            });
        }
        registry::install();
        let what = "reserve the guest's address space";
        let flags = FlagTable::new().map_err(Error::host(what))?;
        let log = StaleLog::new().map_err(Error::host(what))?;
        let bytes = (LIMIT + GUARD - MIN_ADDRESS) as usize;
        let reservation = own.then(|| pages::reserve_at(MIN_ADDRESS as usize, bytes));
        let (reservation, reserved, base) = match reservation.flatten() {
            Some(reservation) => (reservation, bytes, 0),
            None => {
                let reserved = RESERVED as usize;
                let reservation = pages::reserve(reserved).map_err(Error::host(what))?;
                let base = reservation.as_ptr() as usize + GUARD as usize;
                (
                    reservation,
                    reserved,
                    base.next_multiple_of(ALIGNMENT as usize),
                )
            }
        };
        let core = Box::new(Core {
            reservation,
            reserved,
            base,
            flags,
            log,
            page_lock: SpinLock::default(),
            vmas: Mutex::default(),
            shared_code: Mutex::default(),
            imaged: Mutex::default(),
            mmap_base: AtomicU64::new(MMAP_BASE),
            stack_users: Mutex::default(),
            breakpoints: Breakpoints::default(),
        });
        let offset = base.wrapping_sub(reservation.as_ptr() as usize);
        let space = UserSpace {
            base: reservation.as_ptr().cast::<u8>().wrapping_add(offset),
            core,
        };
        if registry::add_space(base, &raw const *space.core as *mut Core) {
            Ok(space)
        } else {
            Err(Error::TooManySpaces {
                limit: registry::SPACES,
            })
        }
    }

    /// Host address of guest address 0; may be null. Guest memory may change or vanish at any time: reach it
    /// by this crate's accesses, by translated code whose range is registered, or by host system
    /// calls through [`UserSpace::host_range`].
    #[inline(always)]
    pub fn base(&self) -> *mut u8 {
        self.base
    }

    /// The flag byte of guest page 0; there is one for each page below [`LIMIT`], to be read
    /// atomically, and behind them are seven more, so that a word may be read at each.
    pub fn flag_table(&self) -> *const u8 {
        self.core.flags.as_ptr().cast()
    }

    /// What is known of the page that holds `va`; nothing outside the window.
    #[inline(always)]
    pub fn page_flags(&self, va: u64) -> PageFlags {
        if va < LIMIT {
            self.core.flags.of_page(va >> PAGE_BITS)
        } else {
            PageFlags::default()
        }
    }

    /// All mappings by address.
    pub fn vmas(&self) -> Vec<Vma> {
        self.core.vmas().all()
    }

    /// The mapping that holds `va`.
    pub fn vma_at(&self, va: u64) -> Option<Vma> {
        self.core.vmas().at(va).cloned()
    }

    /// Where [`crate::Place::Anywhere`] starts looking downwards.
    pub fn mmap_base(&self) -> u64 {
        self.core.mmap_base.load(Ordering::Relaxed)
    }

    /// Changes that, to what Linux derives from the stack limit and address randomisation.
    /// Brought into the window and rounded down to a page.
    pub fn set_mmap_base(&self, va: u64) {
        let va = va.clamp(MIN_ADDRESS, LIMIT) & !(PAGE - 1);
        self.core.mmap_base.store(va, Ordering::Relaxed);
    }

    /// Holds all locks of the space, so that a fork's child does not inherit one held by a thread
    /// that it does not have. Drop it in parent and child right after `fork`.
    pub fn fork_guard(&self) -> ForkGuard<'_> {
        let vmas = self.core.vmas();
        ForkGuard {
            _pages: self.core.page_lock.lock(),
            _vmas: vmas,
        }
    }
}

/// See [`UserSpace::fork_guard`].
pub struct ForkGuard<'a> {
    _pages: SpinGuard<'a>,
    _vmas: MutexGuard<'a, VmaMap>,
}

impl Core {
    /// Host address of guest address 0.
    pub(crate) fn base(&self) -> usize {
        self.base
    }

    /// Host pointer to a guest address.
    pub(crate) fn host(&self, va: u64) -> *mut u8 {
        let offset = self.base.wrapping_sub(self.reservation.as_ptr() as usize);
        let base = self.reservation.as_ptr().cast::<u8>().wrapping_add(offset);
        base.wrapping_add(va as usize)
    }

    /// The list of mappings. A panic while it was held is a bug of ours; the list is then at worst
    /// behind the host's mappings, which stay inside the window in any case.
    pub(crate) fn vmas(&self) -> MutexGuard<'_, VmaMap> {
        self.vmas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See the field.
    pub(crate) fn imaged(&self) -> MutexGuard<'_, Vec<std::ops::Range<u64>>> {
        self.imaged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See the field.
    pub(crate) fn shared_code(&self) -> MutexGuard<'_, Vec<u64>> {
        self.shared_code
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UserSpace {
    fn drop(&mut self) {
        registry::remove_space(&raw const *self.core as *mut Core);
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // SAFETY: reserved by `reserve`; whoever used an address of it held the space.
        unsafe { pages::free(self.reservation, self.reserved) };
    }
}

impl std::fmt::Debug for UserSpace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserSpace")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}
