//! Physical memory protection. Privileged 3.7.
//!
//! ```text
//!  pmpcfg byte:  7  6:5  4:3  2  1  0
//!                L   0    A   X  W  R
//! ```

use super::{Mode, PMP_ENTRIES, Privileged};
use memory::Access;

/// Readable, writable, executable.
pub const RWX: u8 = 7;
/// Naturally aligned power of two.
pub const NAPOT: u8 = 3 << 3;
/// Bits of a pmpaddr register: address bits 55:2.
pub const ADDRESS: u64 = (1 << 54) - 1;

const R: u8 = 1;
const W: u8 = 2;
const X: u8 = 4;
const MATCHING: u8 = 3 << 3;
const TOR: u8 = 1 << 3;
const NA4: u8 = 2 << 3;
const LOCKED: u8 = 1 << 7;

/// The nearest legal value of a configuration byte: W without R is reserved.
pub const fn legal(cfg: u8) -> u8 {
    let cfg = cfg & (LOCKED | MATCHING | RWX);
    if cfg & (R | W) == W { cfg & !W } else { cfg }
}

/// What is permitted of a range of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Permissions(u8);

impl Permissions {
    /// Whether an access is permitted.
    pub fn allows(self, access: Access) -> bool {
        let bit = match access {
            Access::Load => R,
            Access::Store => W,
            Access::Fetch => X,
        };
        self.0 & bit != 0
    }
}

impl Privileged {
    /// pmpcfg0 or pmpcfg2, by the number of the first entry.
    pub(crate) fn pmpcfg(&self, first: usize) -> u64 {
        let bytes = self.pmpcfg[first..first + 8].first_chunk::<8>();
        u64::from_le_bytes(bytes.copied().unwrap_or_default())
    }

    /// Writes pmpcfg0 or pmpcfg2. Locked entries stay.
    pub(crate) fn set_pmpcfg(&mut self, first: usize, value: u64) {
        for (cfg, new) in self.pmpcfg[first..first + 8]
            .iter_mut()
            .zip(value.to_le_bytes())
        {
            if *cfg & LOCKED == 0 {
                *cfg = legal(new);
            }
        }
    }

    /// Writes a pmpaddr register, unless it is locked or the lower bound of a locked entry.
    pub(crate) fn set_pmpaddr(&mut self, entry: usize, value: u64) {
        let bound = self
            .pmpcfg
            .get(entry + 1)
            .is_some_and(|next| next & LOCKED != 0 && next & MATCHING == TOR);
        if self.pmpcfg[entry] & LOCKED == 0 && !bound {
            self.pmpaddr[entry] = value & ADDRESS;
        }
    }

    /// What `mode` may do with all of these bytes; `None` if an entry covers some of them only,
    /// which permits nothing (3.7.1.1).
    pub fn pmp(&self, mode: Mode, pa: u64, length: u64) -> Option<Permissions> {
        let (from, to) = (u128::from(pa), u128::from(pa) + u128::from(length));
        for entry in 0..PMP_ENTRIES {
            let cfg = self.pmpcfg[entry];
            let (start, end) = self.range(entry);
            if end <= from || to <= start {
                continue;
            }
            if from < start || end < to {
                return None;
            }
            let free = mode == Mode::Machine && cfg & LOCKED == 0;
            return Some(Permissions(if free { RWX } else { cfg & RWX }));
        }
        // 3.7.1.3: without a match, M may do everything, others nothing.
        let rest = if mode == Mode::Machine { RWX } else { 0 };
        Some(Permissions(rest))
    }

    /// The bytes that an entry covers.
    fn range(&self, entry: usize) -> (u128, u128) {
        let address = u128::from(self.pmpaddr[entry]);
        match self.pmpcfg[entry] & MATCHING {
            TOR => {
                let start = entry.checked_sub(1).map_or(0, |below| self.pmpaddr[below]);
                (u128::from(start) << 2, address << 2)
            }
            NA4 => (address << 2, (address << 2) + 4),
            NAPOT => {
                let ones = (address as u64).trailing_ones();
                let size = 1u128 << (ones + 3);
                let start = (address << 2) & !(size - 1);
                (start, start + size)
            }
            _ => (0, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(p: &Privileged, mode: Mode, pa: u64, length: u64, expected: Option<u8>) {
        let found = p.pmp(mode, pa, length);
        assert_eq!(
            found,
            expected.map(Permissions),
            "{mode:?} {pa:#x}+{length}"
        );
    }

    #[test]
    fn the_first_entry_that_matches_any_byte_decides() {
        let mut p = Privileged::reset(0);
        check(&p, Mode::Supervisor, 0x8000_0000, 8, Some(0));
        check(&p, Mode::Machine, 0x8000_0000, 8, Some(RWX));
        // 0: 4 KiB at 0x8000_1000, read only. 1: everything below 0x9000_0000, all.
        p.set_pmpaddr(0, (0x8000_1000 >> 2) | 0x1ff);
        p.set_pmpaddr(1, 0x9000_0000 >> 2);
        p.set_pmpcfg(0, u64::from(NAPOT | R) | u64::from(TOR | RWX) << 8);
        // TOR of entry 1 begins at pmpaddr0, which is no multiple of its size but an address.
        check(&p, Mode::Supervisor, 0x8000_1000, 8, Some(R));
        check(&p, Mode::Supervisor, 0x8000_1ffc, 4, Some(R));
        check(&p, Mode::Supervisor, 0x8000_1ffc, 8, None);
        check(&p, Mode::Supervisor, 0x8000_0ffc, 8, None);
        check(&p, Mode::Supervisor, 0x8000_2000, 8, Some(RWX));
        check(&p, Mode::User, 0x8fff_fff8, 8, Some(RWX));
        check(&p, Mode::User, 0x9000_0000, 8, Some(0));
        check(&p, Mode::Machine, 0x8000_1000, 8, Some(RWX));
    }

    #[test]
    fn locked_entries_bind_machine_mode_and_stay() {
        let mut p = Privileged::reset(0);
        p.set_pmpaddr(0, 0x1000 >> 2);
        p.set_pmpaddr(1, 0x2000 >> 2);
        p.set_pmpcfg(0, u64::from(LOCKED | TOR | R) << 8);
        check(&p, Mode::Machine, 0x1000, 8, Some(R));
        check(&p, Mode::Machine, 0x2000, 8, Some(RWX));
        p.set_pmpcfg(0, 0);
        p.set_pmpaddr(0, 0);
        p.set_pmpaddr(1, 0);
        check(&p, Mode::Machine, 0x1000, 8, Some(R));
        check(&p, Mode::Machine, 0xff8, 8, Some(RWX));
    }

    #[test]
    fn the_largest_power_of_two_is_everything() {
        let mut p = Privileged::reset(0);
        p.set_pmpaddr(0, u64::MAX);
        p.set_pmpcfg(0, u64::from(NAPOT | RWX));
        check(&p, Mode::User, 0, 8, Some(RWX));
        check(&p, Mode::User, (1 << 56) - 8, 8, Some(RWX));
        p.set_pmpcfg(0, u64::from(W | NAPOT));
        assert_eq!(p.pmpcfg(0), u64::from(NAPOT), "W without R is reserved");
    }
}
