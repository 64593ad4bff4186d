//! Interrupt lines: a device's, and the six that lead into a hart.

use crate::clock::Bell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A wire with a level. Setting the level it has already is no event.
pub trait Line: Send + Sync {
    /// Raises or lowers it.
    fn set(&self, level: bool);
}

/// Interrupts that come from outside a hart, by their bit in mip (Privileged 3.1.9).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Interrupt {
    /// Supervisor software.
    Ssip = 1,
    /// Machine software.
    Msip = 3,
    /// Supervisor timer.
    Stip = 5,
    /// Machine timer.
    Mtip = 7,
    /// Supervisor external.
    Seip = 9,
    /// Machine external.
    Meip = 11,
}

impl Interrupt {
    /// The bit in mip.
    pub fn bit(self) -> u64 {
        1 << self as u8
    }
}

/// The levels of one hart's interrupt lines, as bits of mip. Devices set them from any thread, the
/// hart reads them between instructions.
pub struct HartLines {
    levels: AtomicU64,
    bell: Arc<dyn Bell>,
}

impl HartLines {
    /// All low. The bell is rung whenever a line rises: it gets the hart out of wfi, and out of
    /// code that runs on without looking.
    pub fn new(bell: Arc<dyn Bell>) -> Arc<HartLines> {
        Arc::new(HartLines {
            levels: AtomicU64::new(0),
            bell,
        })
    }

    /// The levels as they would read in mip.
    #[inline(always)]
    pub fn levels(&self) -> u64 {
        self.levels.load(Ordering::Acquire)
    }

    /// Raises or lowers one.
    pub fn set(&self, interrupt: Interrupt, level: bool) {
        let bit = interrupt.bit();
        if level {
            if self.levels.fetch_or(bit, Ordering::AcqRel) & bit == 0 {
                self.bell.ring();
            }
        } else {
            self.levels.fetch_and(!bit, Ordering::AcqRel);
        }
    }

    /// One of them as a line.
    pub fn line(self: &Arc<HartLines>, interrupt: Interrupt) -> Box<dyn Line> {
        Box::new(HartLine {
            lines: self.clone(),
            interrupt,
        })
    }
}

struct HartLine {
    lines: Arc<HartLines>,
    interrupt: Interrupt,
}

impl Line for HartLine {
    fn set(&self, level: bool) {
        self.lines.set(self.interrupt, level);
    }
}
