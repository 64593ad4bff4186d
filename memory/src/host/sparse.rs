//! A large zeroed array that takes no memory where it was never written.

use super::pages;
use std::ops::Deref;
use std::ptr::NonNull;

/// Only for types of which all-zero bytes are a value, and that need no drop.
pub(crate) struct Sparse<T> {
    start: NonNull<T>,
    length: usize,
}

// SAFETY: it owns its elements, as a Vec does.
unsafe impl<T: Send> Send for Sparse<T> {}
// SAFETY: it gives out nothing but shared references.
unsafe impl<T: Sync> Sync for Sparse<T> {}

impl<T: Element> Sparse<T> {
    pub(crate) fn new(length: usize) -> std::io::Result<Sparse<T>> {
        let start = pages::allocate(length * T::BYTES)?;
        Ok(Sparse {
            start: start.cast(),
            length,
        })
    }
}

/// All-zero bytes are a value, and no drop is needed.
///
/// # Safety
/// Just that.
pub(crate) unsafe trait Element {
    const BYTES: usize;
}
// SAFETY: zero is a value of it.
unsafe impl Element for std::sync::atomic::AtomicU8 {
    const BYTES: usize = 1;
}
// SAFETY: zero is a value of it.
unsafe impl Element for std::sync::atomic::AtomicU64 {
    const BYTES: usize = 8;
}

impl<T> Deref for Sparse<T> {
    type Target = [T];
    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: `new` allocated this many elements, zeroed, which is a value of `T`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl<T> Drop for Sparse<T> {
    fn drop(&mut self) {
        // SAFETY: `new` allocated it, and the borrow checker knows of no reference to it.
        unsafe { pages::free(self.start.cast(), self.length * size_of::<T>()) };
    }
}
