//! What devices save: one type each, in one enumeration.

use crate::virtio::transport as virtio;
use crate::{clint, plic, rtc, uart};
use serde::{Deserialize, Serialize};

/// The saved state of any device.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum State {
    /// [`crate::Clint`].
    Clint(clint::State),
    /// [`crate::Plic`].
    Plic(plic::State),
    /// [`crate::Uart`].
    Uart(uart::State),
    /// [`crate::Rtc`].
    Rtc(rtc::State),
    /// [`crate::Syscon`], which has none.
    Syscon,
    /// [`crate::virtio::Virtio`], of any function.
    Virtio(virtio::State),
}

impl State {
    fn device(&self) -> &'static str {
        match self {
            State::Clint(_) => "CLINT",
            State::Plic(_) => "PLIC",
            State::Uart(_) => "UART",
            State::Rtc(_) => "RTC",
            State::Syscon => "syscon",
            State::Virtio(_) => "virtio device",
        }
    }

    /// The error of a device that was given this.
    pub(crate) fn is_not(&self, device: &'static str) -> StateError {
        StateError::Other {
            device,
            found: self.device(),
        }
    }
}

/// Saved state that a device refuses.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StateError {
    /// It is some other device's.
    #[error("saved state of a {found} cannot restore a {device}")]
    Other {
        /// Which device it was given to.
        device: &'static str,
        /// Which device it is of.
        found: &'static str,
    },
    /// The device can't be in that state, or was made with another configuration.
    #[error("saved state of the {device} is not valid: {why}")]
    Invalid {
        /// Which device.
        device: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// There are other devices than when the state was saved.
    #[error("the machine has {found} devices, the saved state {expected}")]
    Count {
        /// Devices on the bus.
        found: usize,
        /// Devices saved.
        expected: usize,
    },
    /// A device lies elsewhere than when the state was saved.
    #[error("the machine's device at {found:#x} was saved at {expected:#x}")]
    Moved {
        /// Where it is.
        found: u64,
        /// Where it was.
        expected: u64,
    },
}
