//! Addresses at which a debugger wants to stop: code decoded there is an ebreak, while loads still
//! find what is in memory.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// c.ebreak.
pub const EBREAK: u16 = 0x9002;

/// A set of addresses, which nobody pays for while it is empty.
#[derive(Default)]
pub struct Breakpoints {
    any: AtomicBool,
    set: Mutex<BTreeSet<u64>>,
}

impl Breakpoints {
    /// What is to be decoded at an address instead of what is in memory.
    #[inline]
    pub fn at(&self, va: u64) -> Option<u16> {
        self.contains(va).then_some(EBREAK)
    }

    /// Whether to stop at an address.
    #[inline]
    pub fn contains(&self, va: u64) -> bool {
        self.any.load(Ordering::Acquire) && self.lock().contains(&va)
    }

    /// Replaces them; those that there were. What was decoded from there has to be dropped.
    pub fn replace(&self, by: BTreeSet<u64>) -> BTreeSet<u64> {
        self.any.store(!by.is_empty(), Ordering::Release);
        std::mem::replace(&mut *self.lock(), by)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
