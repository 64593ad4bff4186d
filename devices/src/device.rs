//! What every device is to the bus.

use crate::state::{State, StateError};
use crate::tree::Node;

/// A device that answers to loads and stores.
///
/// It knows offsets, not its address; it raises interrupts through a [`crate::Line`] it was made
/// with. No method may panic or do unbounded work, whatever a guest writes.
pub trait Device: Send {
    /// A load of `width` bytes at `offset`, which is a multiple of the width and inside the
    /// device's place. May have side effects.
    fn read(&mut self, offset: u64, width: Width) -> Result<u64, AccessFault>;
    /// A store, likewise. `value` has no bits above the width.
    fn write(&mut self, offset: u64, width: Width, value: u64) -> Result<(), AccessFault>;
    /// The `mtime` at which [`Device::service`] is wanted. Asked for after each access.
    fn deadline(&self) -> Option<u64>;
    /// Does what is due at `now`, and takes what has arrived from the host. May be called at any
    /// time.
    fn service(&mut self, now: u64);
    /// Back to the state after power-on.
    fn reset(&mut self);
    /// All state that a guest can see, now or later. Waits for host work that is under way.
    fn save(&mut self) -> State;
    /// Takes over saved state, levels of interrupt lines included. Refuses state of another
    /// device, and values that the device could never hold.
    fn restore(&mut self, state: State) -> Result<(), StateError>;
    /// Its node in the device tree.
    fn node(&self, place: &Place) -> Node;
}

/// Where a device is attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// First physical address.
    pub pa: u64,
    /// Bytes.
    pub size: u64,
    /// Source number at the PLIC, if it interrupts.
    pub interrupt: Option<u32>,
}

/// Bytes of an access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Width {
    /// 1 byte.
    Byte,
    /// 2 bytes.
    Half,
    /// 4 bytes.
    Word,
    /// 8 bytes.
    Double,
}

impl Width {
    /// All of them.
    pub const ALL: [Width; 4] = [Width::Byte, Width::Half, Width::Word, Width::Double];

    /// The width of this many bytes.
    pub fn of(bytes: u64) -> Option<Width> {
        Width::ALL.into_iter().find(|width| width.bytes() == bytes)
    }

    /// How many bytes.
    pub fn bytes(self) -> u64 {
        match self {
            Width::Byte => 1,
            Width::Half => 2,
            Width::Word => 4,
            Width::Double => 8,
        }
    }

    /// Ones in the bits of a value of this width.
    pub fn mask(self) -> u64 {
        u64::MAX >> (64 - 8 * self.bytes())
    }
}

/// Nothing answers there, or not to this width or alignment: the hart takes a load or store access
/// fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no device answers")]
pub struct AccessFault;

/// Devices whose registers are all words refuse other accesses with this.
pub(crate) fn only(wanted: Width, width: Width) -> Result<(), AccessFault> {
    if width == wanted {
        Ok(())
    } else {
        Err(AccessFault)
    }
}
