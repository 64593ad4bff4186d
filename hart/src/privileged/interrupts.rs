//! Which interrupt a hart takes. Privileged 3.1.9 and 10.1.3.

use super::{Mode, Privileged, status};

/// Supervisor software.
pub const SSIP: u64 = 1 << 1;
/// Machine software.
pub const MSIP: u64 = 1 << 3;
/// Supervisor timer.
pub const STIP: u64 = 1 << 5;
/// Machine timer.
pub const MTIP: u64 = 1 << 7;
/// Supervisor external.
pub const SEIP: u64 = 1 << 9;
/// Machine external.
pub const MEIP: u64 = 1 << 11;

/// What S may be given.
pub const SUPERVISOR: u64 = SSIP | STIP | SEIP;
/// All there are.
pub const ALL: u64 = SUPERVISOR | MSIP | MTIP | MEIP;

/// The first of these that is pending is taken.
const PRIORITY: [u64; 6] = [MEIP, MSIP, MTIP, SEIP, SSIP, STIP];

impl Privileged {
    /// The value of mip.
    #[inline(always)]
    pub fn pending(&self) -> u64 {
        // With Sstc STIP comes from stimecmp alone. Sstc, "Supervisor Timer".
        let software = if self.has_stimecmp() {
            SSIP | SEIP
        } else {
            SUPERVISOR
        };
        self.lines | self.mip & software
    }

    /// Takes over the interrupt lines from outside; `timer` is whether time has reached stimecmp.
    /// Whether anything changed.
    pub fn set_lines(&mut self, levels: u64, timer: bool) -> bool {
        let mut lines = levels & ALL;
        if self.has_stimecmp() {
            lines = lines & !STIP | if timer { STIP } else { 0 };
        }
        let changed = lines != self.lines;
        self.lines = lines;
        changed
    }

    /// Whether stimecmp is in use (menvcfg.STCE).
    #[inline(always)]
    pub fn has_stimecmp(&self) -> bool {
        self.menvcfg >> 63 != 0
    }

    /// The interrupt to take now: its number, and the mode that takes it.
    pub fn interrupt(&self) -> Option<(u64, Mode)> {
        let pending = self.pending() & self.mie;
        if pending == 0 {
            return None;
        }
        let enabled = |mode: Mode, bit| match self.mode() {
            current if current == mode => self.mstatus & bit != 0,
            current => current < mode,
        };
        let first = |set: u64| PRIORITY.into_iter().find(|bit| set & bit != 0);
        let machine = pending & !self.mideleg;
        if enabled(Mode::Machine, status::MIE)
            && let Some(bit) = first(machine)
        {
            return Some((u64::from(bit.trailing_zeros()), Mode::Machine));
        }
        let supervisor = pending & self.mideleg;
        if enabled(Mode::Supervisor, status::SIE)
            && let Some(bit) = first(supervisor)
        {
            return Some((u64::from(bit.trailing_zeros()), Mode::Supervisor));
        }
        None
    }

    /// Whether wfi has nothing to wait for: something is pending and enabled in mie, whatever the
    /// global enables say. Privileged 3.3.3.
    pub fn is_woken(&self) -> bool {
        self.pending() & self.mie != 0
    }
}
