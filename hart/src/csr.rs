//! The control and status registers that a user-mode program sees.
//!
//! Unprivileged, chapters "Zicsr", "Zicntr" and "F". A register that is not here does not exist:
//! an access to it is an illegal instruction.

use crate::state::HartState;
use std::time::Instant;

/// Accrued floating-point exceptions.
pub const FFLAGS: u16 = 0x001;
/// Dynamic rounding mode.
pub const FRM: u16 = 0x002;
/// `frm` and `fflags` together.
pub const FCSR: u16 = 0x003;
/// Cycle counter; here the same as `instret`.
pub const CYCLE: u16 = 0xc00;
/// Wall-clock time in ticks of [`TICKS_PER_SECOND`].
pub const TIME: u16 = 0xc01;
/// Instructions retired.
pub const INSTRET: u16 = 0xc02;

/// The rate of `time`.
pub const TICKS_PER_SECOND: u64 = 10_000_000;

/// Instructions per tick of virtual time: the hart then seems to retire 10^9 a second.
pub const INSTRUCTIONS_PER_TICK: u64 = 100;

/// Where `time` comes from.
#[derive(Clone, Copy, Debug, Default)]
pub enum Clock {
    /// A function of the instructions retired, so that a run can be repeated exactly.
    #[default]
    Virtual,
    /// The host's monotonic clock: `base` ticks at `start`.
    Host {
        /// When `time` was `base`.
        start: Instant,
        /// `time` at `start`.
        base: u64,
    },
}

impl Clock {
    /// The host's clock, at `base` now.
    pub fn host(base: u64) -> Clock {
        Clock::Host {
            start: Instant::now(),
            base,
        }
    }

    /// The value of `time` for a hart that has retired `instret` instructions.
    pub fn time(&self, instret: u64) -> u64 {
        match *self {
            Clock::Virtual => instret / INSTRUCTIONS_PER_TICK,
            Clock::Host { start, base } => {
                // The cast wraps after 58,000 years.
                let ticks =
                    start.elapsed().as_nanos() / u128::from(1_000_000_000 / TICKS_PER_SECOND);
                base.wrapping_add(ticks as u64)
            }
        }
    }
}

/// What an instruction does to a register beside reading it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Writes this.
    Write(u64),
    /// Sets these bits.
    Set(u64),
    /// Clears these bits.
    Clear(u64),
}

impl Change {
    /// The new value.
    pub fn apply(self, old: u64) -> u64 {
        match self {
            Change::Write(value) => value,
            Change::Set(mask) => old | mask,
            Change::Clear(mask) => old & !mask,
        }
    }
}

/// One instruction's access to a register of a user-mode program: the old value, if `reads`, else
/// 0. `None` if there is no such register, or a read-only one would be changed.
pub fn access(
    state: &mut HartState,
    csr: u16,
    reads: bool,
    change: Option<Change>,
    clock: &Clock,
) -> Option<u64> {
    let old = if reads { read(state, csr, clock)? } else { 0 };
    if let Some(change) = change {
        write(state, csr, change.apply(old))?;
    }
    Some(old)
}

/// The value of a register; `None` if there is no such register.
pub fn read(state: &HartState, csr: u16, clock: &Clock) -> Option<u64> {
    Some(match csr {
        FFLAGS => u64::from(state.fflags),
        FRM => u64::from(state.frm),
        FCSR => u64::from(state.frm << 5 | state.fflags),
        CYCLE | INSTRET => state.instret,
        TIME => clock.time(state.instret),
        _ => return None,
    })
}

/// Writes a register; `None` if there is no such register or it is read-only. Bits that are not
/// implemented are ignored.
pub fn write(state: &mut HartState, csr: u16, value: u64) -> Option<()> {
    let low = value as u32;
    match csr {
        FFLAGS => state.fflags = low & 0x1f,
        FRM => state.frm = low & 7,
        FCSR => {
            state.fflags = low & 0x1f;
            state.frm = low >> 5 & 7;
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fcsr_is_frm_above_fflags() {
        let mut state = HartState::default();
        write(&mut state, FCSR, !0).unwrap();
        assert_eq!((state.frm, state.fflags), (7, 0x1f));
        write(&mut state, FRM, 0b1010).unwrap();
        write(&mut state, FFLAGS, 0b10_0001).unwrap();
        assert_eq!(read(&state, FCSR, &Clock::Virtual), Some(0b010_00001));
    }

    #[test]
    fn counters_are_read_only() {
        let mut state = HartState {
            instret: 12_345,
            ..HartState::default()
        };
        for csr in [CYCLE, TIME, INSTRET] {
            assert_eq!(write(&mut state, csr, 0), None);
        }
        assert_eq!(read(&state, CYCLE, &Clock::Virtual), Some(12_345));
        assert_eq!(read(&state, INSTRET, &Clock::Virtual), Some(12_345));
        assert_eq!(read(&state, TIME, &Clock::Virtual), Some(123));
        assert_eq!(read(&state, 0x300, &Clock::Virtual), None);
    }

    #[test]
    fn the_host_clock_starts_at_its_base_and_rises() {
        let clock = Clock::host(1 << 40);
        let first = clock.time(0);
        std::thread::sleep(std::time::Duration::from_millis(2));
        let second = clock.time(0);
        assert!(first >= 1 << 40 && second - first >= 20_000 && second - first < 100_000_000);
    }
}
