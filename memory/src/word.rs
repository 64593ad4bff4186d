//! The widths in which guest memory is accessed.

use crate::host::guarded;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// An unsigned integer that is loaded or stored at once: `u8`, `u16`, `u32` or `u64`.
pub trait Word: Copy + PartialEq + std::fmt::Debug + private::Guarded + private::Direct {
    /// Zero-extends.
    fn into_u64(self) -> u64;
    /// Truncates.
    fn truncate(value: u64) -> Self;
}

/// A [`Word`] that atomics work on: `u32` or `u64`.
pub trait AtomicWord: Word + private::GuardedAtomic + private::DirectAtomic {}

pub(crate) mod private {
    /// Accesses that report a host fault instead of dying of it, if the fault handler is installed
    /// and the address lies in a registered space.
    pub trait Guarded: Sized {
        /// # Safety
        /// The bytes must lie within a registered space's window and guards.
        unsafe fn load(host: *const u8) -> Option<Self>;
        /// Whether it succeeded.
        ///
        /// # Safety
        /// As for `load`.
        unsafe fn store(host: *mut u8, value: Self) -> bool;
    }

    /// The same for compare-and-exchange.
    pub trait GuardedAtomic: Sized {
        /// The old value.
        ///
        /// # Safety
        /// As for [`Guarded::load`]; `host` must be aligned.
        unsafe fn compare_exchange(host: *mut u8, expected: Self, new: Self) -> Option<Self>;
    }

    /// Accesses to memory that is always there.
    pub trait Direct: Sized {
        /// # Safety
        /// The bytes are mapped and readable. Others may change them meanwhile.
        unsafe fn read(host: *const u8) -> Self;
        /// # Safety
        /// The bytes are mapped and writable. Others may access them meanwhile.
        unsafe fn write(host: *mut u8, value: Self);
    }

    /// The same for compare-and-exchange.
    pub trait DirectAtomic: Sized {
        /// The old value.
        ///
        /// # Safety
        /// As for [`Direct::write`]; `host` must be aligned.
        unsafe fn swap(host: *mut u8, expected: Self, new: Self) -> Self;
    }

    /// A word at any address.
    #[repr(C, packed)]
    pub struct Anywhere<T>(pub T);
}

macro_rules! word {
    ($($ty:ty, $load:ident, $store:ident);*) => {$(
        impl private::Guarded for $ty {
            #[inline(always)]
            unsafe fn load(host: *const u8) -> Option<Self> {
                // SAFETY: the caller's promise is the one asked for.
                unsafe { guarded::$load(host) }
            }
            #[inline(always)]
            unsafe fn store(host: *mut u8, value: Self) -> bool {
                // SAFETY: the caller's promise is the one asked for.
                unsafe { guarded::$store(host, value) }
            }
        }
        impl private::Direct for $ty {
            #[inline(always)]
            unsafe fn read(host: *const u8) -> Self {
                // SAFETY: the caller's promise. Volatile: a single access that others may race with.
                unsafe { host.cast::<private::Anywhere<Self>>().read_volatile() }.0
            }
            #[inline(always)]
            unsafe fn write(host: *mut u8, value: Self) {
                let place = host.cast::<private::Anywhere<Self>>();
                // SAFETY: as above.
                unsafe { place.write_volatile(private::Anywhere(value)) };
            }
        }
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
word!(u8, load_u8, store_u8; u16, load_u16, store_u16; u32, load_u32, store_u32; u64, load_u64, store_u64);

macro_rules! atomic {
    ($($ty:ty, $exchange:ident, $atomic:ty);*) => {$(
        impl private::GuardedAtomic for $ty {
            #[inline(always)]
            unsafe fn compare_exchange(host: *mut u8, expected: Self, new: Self) -> Option<Self> {
                // SAFETY: the caller's promise is the one asked for.
                unsafe { guarded::$exchange(host, expected, new) }
            }
        }
        impl private::DirectAtomic for $ty {
            #[inline(always)]
            unsafe fn swap(host: *mut u8, expected: Self, new: Self) -> Self {
                // SAFETY: the caller's promise.
                let place = unsafe { <$atomic>::from_ptr(host.cast()) };
                let (Ok(old) | Err(old)) =
                    place.compare_exchange(expected, new, Ordering::SeqCst, Ordering::SeqCst);
                old
            }
        }
        impl AtomicWord for $ty {}
    )*};
}
atomic!(u32, exchange_u32, AtomicU32; u64, exchange_u64, AtomicU64);
