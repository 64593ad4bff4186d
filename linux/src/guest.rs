//! Guest memory as the kernel reaches it: every access is checked, and every change can be
//! recorded so that another process can repeat it.

use crate::errno::Errno;
use crate::observer::Change;
use memory::UserSpace;
use std::sync::Arc;

/// Linux's PATH_MAX, the longest path including its end.
const PATH_MAX: usize = 4096;

/// The kernel's hands on guest memory, on behalf of one thread.
pub(crate) struct Guest {
    space: Arc<UserSpace>,
    /// What was changed since the last take, if somebody wants to know.
    log: Option<Vec<Change>>,
}

impl Guest {
    pub fn new(space: Arc<UserSpace>, record: bool) -> Guest {
        Guest {
            space,
            log: record.then(Vec::new),
        }
    }

    /// The address space. Changes to mappings go through `mm`, which records them.
    pub fn space(&self) -> &Arc<UserSpace> {
        &self.space
    }

    /// Takes note of a change, if somebody wants to know.
    pub fn note(&mut self, change: impl FnOnce() -> Change) {
        if let Some(log) = &mut self.log {
            log.push(change());
        }
    }

    pub fn recording(&self) -> bool {
        self.log.is_some()
    }

    /// The changes since the last take.
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.log.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub fn write(&mut self, va: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.space.write_bytes(va, bytes)?;
        self.note(|| Change::Write {
            va,
            bytes: bytes.to_vec(),
        });
        Ok(())
    }
    pub fn write_u32(&mut self, va: u64, value: u32) -> Result<(), Errno> {
        self.space.store(va, value)?;
        self.note(|| Change::Write {
            va,
            bytes: value.to_le_bytes().to_vec(),
        });
        Ok(())
    }
    /// Atomically replaces a word if it still holds `expected`; the old value either way.
    pub fn compare_exchange(&mut self, va: u64, expected: u32, new: u32) -> Result<u32, Errno> {
        let old = self.space.compare_exchange(va, expected, new)?;
        if old == expected {
            self.note(|| Change::Write {
                va,
                bytes: new.to_le_bytes().to_vec(),
            });
        }
        Ok(old)
    }

    pub fn read(&self, va: u64, out: &mut [u8]) -> Result<(), Errno> {
        Ok(self.space.read_bytes(va, out)?)
    }
    pub fn read_array<const N: usize>(&self, va: u64) -> Result<[u8; N], Errno> {
        let mut out = [0; N];
        self.read(va, &mut out)?;
        Ok(out)
    }
    /// `len` bytes; the caller has bounded `len`.
    pub fn read_vec(&self, va: u64, len: usize) -> Result<Vec<u8>, Errno> {
        let mut out = vec![0; len];
        self.read(va, &mut out)?;
        Ok(out)
    }
    pub fn read_u32(&self, va: u64) -> Result<u32, Errno> {
        Ok(self.space.load(va)?)
    }
    pub fn read_u64(&self, va: u64) -> Result<u64, Errno> {
        Ok(self.space.load(va)?)
    }

    /// A string up to its NUL, at most `max` bytes with it.
    pub fn string(&self, va: u64, max: usize, too_long: Errno) -> Result<Vec<u8>, Errno> {
        let mut out = Vec::new();
        let mut at = va;
        while out.len() < max {
            // To the end of the page, so that a string that ends just before an unmapped one is
            // read whole.
            let step = (memory::PAGE - at % memory::PAGE)
                .min(256)
                .min((max - out.len()) as u64);
            let piece = self.read_vec(at, step as usize)?;
            if let Some(end) = piece.iter().position(|&byte| byte == 0) {
                out.extend(&piece[..end]);
                return Ok(out);
            }
            out.extend(piece);
            at = at.checked_add(step).ok_or(Errno::EFAULT)?;
        }
        Err(too_long)
    }

    /// A path.
    pub fn path(&self, va: u64) -> Result<Vec<u8>, Errno> {
        self.string(va, PATH_MAX, Errno::ENAMETOOLONG)
    }

    /// Whether the kernel could write here now. A page at a time, for what must not be consumed
    /// and then lost.
    pub fn check_writable(&self, va: u64, len: u64) -> Result<(), Errno> {
        let end = va.checked_add(len).ok_or(Errno::EFAULT)?;
        let mut page = va & !(memory::PAGE - 1);
        while page < end {
            if !self.space.page_flags(page).has(memory::PageFlags::W) {
                return Err(Errno::EFAULT);
            }
            page += memory::PAGE;
        }
        Ok(())
    }
}
