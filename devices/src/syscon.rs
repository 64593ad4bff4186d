//! Poweroff and reset: SiFive's test finisher, one register that ends the run.

use crate::device::{AccessFault, Device, Place, Width};
use crate::layout;
use crate::state::{self, StateError};
use crate::tree::Node;
use std::sync::Arc;

/// What a guest asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Power {
    /// Off, all is well.
    Off,
    /// Off, with a code that says what went wrong.
    Failed(u16),
    /// Start again.
    Reset,
}

/// Takes what a guest asked for. The hart whose store it was runs on until the machine looks.
pub trait PowerSwitch: Send + Sync {
    /// Returns at once.
    fn request(&self, power: Power);
}

/// The device.
pub struct Syscon {
    switch: Arc<dyn PowerSwitch>,
}

impl Syscon {
    /// A syscon that uses this switch.
    pub fn new(switch: Arc<dyn PowerSwitch>) -> Syscon {
        Syscon { switch }
    }
}

impl Device for Syscon {
    fn read(&mut self, _offset: u64, width: Width) -> Result<u64, AccessFault> {
        wide_enough(width)?;
        Ok(0)
    }

    fn write(&mut self, offset: u64, width: Width, value: u64) -> Result<(), AccessFault> {
        wide_enough(width)?;
        let power = match (offset, value & 0xffff) {
            (0, 0x5555) => Power::Off,
            (0, 0x3333) => Power::Failed((value >> 16) as u16),
            (0, 0x7777) => Power::Reset,
            // Other values mean nothing, and there is no other register.
            _ => return Ok(()),
        };
        self.switch.request(power);
        Ok(())
    }

    fn deadline(&self) -> Option<u64> {
        None
    }

    fn service(&mut self, _now: u64) {}

    fn reset(&mut self) {}

    fn save(&mut self) -> state::State {
        state::State::Syscon
    }

    fn restore(&mut self, state: state::State) -> Result<(), StateError> {
        match state {
            state::State::Syscon => Ok(()),
            other => Err(other.is_not("syscon")),
        }
    }

    fn node(&self, place: &Place) -> Node {
        let compatible = vec!["sifive,test1", "sifive,test0", "syscon"];
        Node::device("test", compatible, place).cell("phandle", layout::SYSCON_PHANDLE)
    }
}

/// Firmware writes a half-word or a word.
fn wide_enough(width: Width) -> Result<(), AccessFault> {
    match width {
        Width::Half | Width::Word => Ok(()),
        Width::Byte | Width::Double => Err(AccessFault),
    }
}
