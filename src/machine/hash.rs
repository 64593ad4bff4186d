//! A checksum of everything that a guest can see: two machines with the same are in the same state.

use super::Machine;
use crate::snapshot::{checksum, codec};

/// Bytes of RAM that are looked at together.
const CHUNK: usize = 1 << 20;

impl Machine {
    /// Of all harts, RAM, devices and what was written over disks.
    pub fn state_hash(&self) -> Result<u64, String> {
        let mut words = vec![self.position];
        for hart in &self.harts {
            words.push(checksum::of(&codec::encode(&*hart.state)?));
            words.push(checksum::of(&codec::encode(&*hart.memory.privileged())?));
        }
        let devices = self.bus.save();
        words.push(checksum::of(&codec::encode(&devices)?));
        words.extend(self.overlay_hashes(&devices)?);
        let mut chunk = vec![0; CHUNK];
        for at in (0..self.ram.len()).step_by(CHUNK) {
            self.ram.read(self.ram.pa() + at, &mut chunk);
            words.push(checksum::of(&chunk));
        }
        let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        Ok(checksum::of(&bytes))
    }
}
