//! Guest memory as devices reach it: by physical address, every access checked.

use std::sync::{Mutex, PoisonError};

/// RAM by guest physical address.
///
/// An aligned access of 1, 2, 4 or 8 bytes is single-copy atomic. Writes count as any other store
/// to memory: code that was made from what lay there must be noticed as changed.
pub trait GuestMemory: Send + Sync {
    /// Copies out. All of it lies in RAM, or nothing is copied.
    fn read(&self, pa: u64, into: &mut [u8]) -> Result<(), OutsideMemory>;
    /// Copies in. All of it lies in RAM, or nothing is changed.
    fn write(&self, pa: u64, from: &[u8]) -> Result<(), OutsideMemory>;
    /// Whether these bytes lie in RAM.
    fn check(&self, pa: u64, length: u64) -> Result<(), OutsideMemory>;
}

/// A device was told to reach what is not RAM.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{length} bytes at {pa:#x} are not all in the guest's memory")]
pub struct OutsideMemory {
    /// The first address.
    pub pa: u64,
    /// Bytes.
    pub length: u64,
}

/// A little RAM of its own, for tests and fuzzers of devices.
pub struct Bytes {
    pa: u64,
    bytes: Mutex<Vec<u8>>,
}

impl Bytes {
    /// Zeros from `pa` on.
    pub fn new(pa: u64, length: usize) -> Bytes {
        Bytes {
            pa,
            bytes: Mutex::new(vec![0; length]),
        }
    }

    fn with<R>(
        &self,
        pa: u64,
        length: u64,
        access: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<R, OutsideMemory> {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let range = pa.checked_sub(self.pa).and_then(|start| {
            let end = usize::try_from(start.checked_add(length)?).ok()?;
            bytes.get_mut(usize::try_from(start).ok()?..end)
        });
        range.map(access).ok_or(OutsideMemory { pa, length })
    }
}

impl GuestMemory for Bytes {
    fn read(&self, pa: u64, into: &mut [u8]) -> Result<(), OutsideMemory> {
        self.with(pa, into.len() as u64, |bytes| into.copy_from_slice(bytes))
    }
    fn write(&self, pa: u64, from: &[u8]) -> Result<(), OutsideMemory> {
        self.with(pa, from.len() as u64, |bytes| bytes.copy_from_slice(from))
    }
    fn check(&self, pa: u64, length: u64) -> Result<(), OutsideMemory> {
        self.with(pa, length, |_| ())
    }
}
