//! How often drafts run, and who takes their place: counters that report a block hot, and where it leads
//! once it was compiled or dropped.

use super::host::Exit;
use super::{Drafts, Known};

/// Arrivals at a block that was compiled, and is not any more, before it is hot again.
const AGAIN: u64 = 64;
/// A counter that never runs out.
const NEVER: i64 = i64::MAX;

impl Drafts {
    /// How often the block was arrived at whose code begins at `code`, if it is known.
    pub fn arrivals(&self, code: u64) -> Option<u64> {
        let number = self.drafter.known(code)?.number;
        let arrivals = self.blocks[number]
            .full
            .wrapping_sub(self.data.counter(number));
        Some(arrivals.max(0) as u64)
    }

    /// Makes the block whose code begins at `code`, if it is known, report itself hot at the
    /// `arrivals`-th arrival from now; 0 for never.
    pub fn set_countdown(&mut self, code: u64, arrivals: u64) {
        if let Some(Known { number, .. }) = self.drafter.known(code) {
            self.revive(number);
            self.set_counter(number, counter(arrivals));
        }
    }

    /// If what the block at `code` reports is only a preview: how many arrivals are missing then until it
    /// is hot. It counts those from now on.
    pub fn take_preview(&mut self, code: u64) -> Option<u64> {
        let Known { number, .. } = self.drafter.known(code)?;
        let after = std::mem::take(&mut self.blocks[number].after);
        if after == 0 {
            return None;
        }
        self.set_counter(number, counter(after));
        Some(after)
    }

    /// Has the block at `code` report itself after `first` arrivals as one that is new does, and then go
    /// on counting.
    pub fn set_preview(&mut self, code: u64, first: u64, arrivals: u64) {
        if let Some(Known { number, .. }) = self.drafter.known(code) {
            self.blocks[number].after = arrivals;
            self.set_counter(number, counter(first));
        }
    }

    /// Changes a counter, and not what it has counted.
    fn set_counter(&mut self, number: usize, value: i64) {
        let block = &mut self.blocks[number];
        let counted = block.full.wrapping_sub(self.data.counter(number));
        block.full = value.wrapping_add(counted);
        self.data.set_counter(number, value);
    }

    /// Whether the code of the block of that number was dropped.
    pub fn was_dropped(&self, number: u64) -> bool {
        self.blocks[number as usize].dropped
    }

    /// Has what still jumps to the block of that number, whose code was dropped, go on to `entry`.
    pub fn redirect(&mut self, number: u64, entry: u64) {
        self.data.set_redirect(number as usize, entry);
    }

    /// The region at `code` is to be entered by whoever comes to the block there: by the code that is
    /// given back, where the address is in a register.
    pub fn replace(&mut self, code: u64) -> u64 {
        let to_region = self.common.to_region as u64;
        if let Some(Known { number, .. }) = self.drafter.known(code) {
            self.blocks[number].replaced = true;
            self.set_counter(number, -1);
            self.data.set_redirect(number, to_region);
        }
        to_region
    }

    /// There is no region any more where the block of that number begins: it runs again.
    pub(super) fn revive(&mut self, number: usize) {
        if std::mem::replace(&mut self.blocks[number].replaced, false) {
            self.set_counter(number, counter(AGAIN));
            let hot = self.common.of(Exit::Hot) as u64;
            self.data.set_redirect(number, hot);
        }
    }
}

/// The value of a counter that runs out at an arrival.
pub(super) fn counter(arrivals: u64) -> i64 {
    match arrivals {
        0 => NEVER,
        _ => i64::try_from(arrivals - 1).unwrap_or(NEVER),
    }
}
