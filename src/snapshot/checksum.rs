//! The checksum of headers, sections and pages: XXH3, 64 bits, seed 0.
//!
//! It finds damage, by accident and in transit. It does not keep out somebody who computes it
//! anew: what is read is bounded and checked whether or not the checksum matches.

use twox_hash::XxHash3_64;

/// Of these bytes.
pub fn of(bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot(bytes)
}

/// Of bytes that come piece by piece.
pub(crate) struct Running(XxHash3_64);

impl Running {
    pub(crate) fn new() -> Running {
        Running(XxHash3_64::new())
    }
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        std::hash::Hasher::write(&mut self.0, bytes);
    }
    pub(crate) fn value(&self) -> u64 {
        std::hash::Hasher::finish(&self.0)
    }
}
