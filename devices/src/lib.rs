//! The devices of a whole machine: what answers at which physical address, and which interrupt it
//! raises. Nothing here knows how harts execute; addresses, interrupt numbers and names in the
//! device tree are those of QEMU's `virt` machine, so that images made for it boot.
//!
//! A machine builds [`HartLines`] for each hart, a [`Plic`] over them, devices with
//! [`Plic::line`]s, and attaches all of them to a [`Bus`] at the places of [`layout`]. Then it
//!
//! - passes accesses outside RAM to [`Bus::read`] and [`Bus::write`];
//! - calls [`Bus::run_due`] when `mtime` reaches [`Bus::next_event`], which an access may have
//!   brought nearer;
//! - calls [`Bus::attend`] soon after the machine's [`Bell`] was rung by a device's own thread.
//!
//! Under an exact clock everything a guest sees is then a function of the accesses and of `mtime`,
//! apart from what comes in from outside (console input, network).

pub mod bus;
pub mod clint;
pub mod clock;
pub mod description;
pub mod device;
pub mod disk;
mod host;
pub mod layout;
pub mod line;
pub mod memory;
pub mod net;
pub mod plic;
pub mod rtc;
#[cfg(target_os = "linux")]
pub mod share;
pub mod state;
pub mod stream;
pub mod syscon;
pub mod tree;
pub mod uart;
pub mod virtio;

pub use bus::{Attach, Bus};
pub use clint::Clint;
pub use clock::{Bell, Clock, Pace, TICKS_PER_SECOND};
pub use description::{Description, Hart, blob};
pub use device::{AccessFault, Device, Place, Width};
pub use line::{HartLines, Interrupt, Line};
pub use memory::{GuestMemory, OutsideMemory};
pub use plic::Plic;
pub use rtc::Rtc;
pub use state::{State, StateError};
pub use stream::{Input, Output};
pub use syscon::{Power, PowerSwitch, Syscon};
pub use tree::{Node, Value};
pub use uart::Uart;
