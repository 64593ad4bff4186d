//! The processes of one run, in memory that they share: whom a guest may send signals to.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, Ordering};

/// At most this many processes at once are told apart from the host's.
const PLACES: usize = 8192;

/// Process numbers; 0 is a free place.
pub(crate) struct Roster {
    places: NonNull<AtomicI32>,
}

// SAFETY: the places are atomics, in a mapping that lives as long as the value.
unsafe impl Send for Roster {}
// SAFETY: as above.
unsafe impl Sync for Roster {}

impl Roster {
    /// An empty one, which forked processes will share; `None` if the host has no memory.
    pub fn new() -> Option<Roster> {
        let size = PLACES * size_of::<AtomicI32>();
        // SAFETY: a new mapping at a place of the host's choice, all zeros.
        let places = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if places == libc::MAP_FAILED {
            return None;
        }
        Some(Roster {
            places: NonNull::new(places.cast())?,
        })
    }

    fn places(&self) -> &[AtomicI32] {
        // SAFETY: the mapping has this many places and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.places.as_ptr(), PLACES) }
    }

    /// Adds a process. A full roster loses it: it then counts as the host's.
    pub fn add(&self, pid: i32) {
        if self.contains(pid) {
            return;
        }
        let free = |place: &&AtomicI32| {
            place
                .compare_exchange(0, pid, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
        };
        let _ = self.places().iter().find(free);
    }

    /// Takes a process off, once its number may be given to another.
    pub fn remove(&self, pid: i32) {
        // A look first: exchanges at all places would cost more than the rest of a wait4.
        let its = |place: &&AtomicI32| place.load(Ordering::SeqCst) == pid;
        for place in self.places().iter().filter(its) {
            let _ = place.compare_exchange(pid, 0, Ordering::SeqCst, Ordering::SeqCst);
        }
    }

    /// All of them, in no order.
    pub fn all(&self) -> Vec<i32> {
        let numbers = self
            .places()
            .iter()
            .map(|place| place.load(Ordering::SeqCst));
        numbers.filter(|&pid| pid != 0).collect()
    }

    pub fn contains(&self, pid: i32) -> bool {
        pid > 0
            && self
                .places()
                .iter()
                .any(|place| place.load(Ordering::SeqCst) == pid)
    }
}

impl Drop for Roster {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this size; nobody holds a reference into it.
        unsafe { libc::munmap(self.places.as_ptr().cast(), PLACES * size_of::<AtomicI32>()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_contained_until_removed() {
        let roster = Roster::new().unwrap();
        assert!(!roster.contains(5) && !roster.contains(0));
        roster.add(5);
        roster.add(5);
        assert!(roster.contains(5));
        roster.remove(5);
        assert!(!roster.contains(5));
    }
}
