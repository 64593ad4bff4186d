//! The widths in which guest memory is accessed.

/// An unsigned integer that is loaded or stored at once: `u8`, `u16`, `u32` or `u64`.
pub trait Word: Copy + PartialEq + std::fmt::Debug + private::Sealed {
    /// Zero-extends.
    fn into_u64(self) -> u64;
    /// Truncates.
    fn truncate(value: u64) -> Self;
}

/// A [`Word`] that atomics work on: `u32` or `u64`.
pub trait AtomicWord: Word {}

mod private {
    pub trait Sealed {}
}

macro_rules! word {
    ($($ty:ty),*) => {$(
        impl private::Sealed for $ty {}
        impl Word for $ty {
            #[inline(always)]
            fn into_u64(self) -> u64 {
                self.into()
            }
            #[inline(always)]
            fn truncate(value: u64) -> Self {
                value as $ty
            }
        }
    )*};
}
word!(u8, u16, u32, u64);
impl AtomicWord for u32 {}
impl AtomicWord for u64 {}
