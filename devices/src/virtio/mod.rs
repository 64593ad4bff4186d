//! Virtio devices behind one transport: what they have in common (Virtual I/O Device specification
//! 1.2; numbers in comments are its sections).

pub mod block;
pub mod console;
pub mod net;
pub mod queue;
pub mod rng;
#[cfg(target_os = "linux")]
pub mod share;
pub mod transport;
mod worker;

pub use block::Block;
pub use console::Console;
pub use net::Net;
pub use queue::{Broken, Chain, Queue, Span};
pub use rng::{Entropy, Rng};
#[cfg(target_os = "linux")]
pub use share::Share;
pub use transport::Virtio;

use crate::memory::GuestMemory;
use crate::state::StateError;
use serde::{Deserialize, Serialize};

/// What makes a virtio device the device that it is. Registers, queues and interrupts are the
/// transport's.
///
/// An `Err(Broken)` means that the driver has broken the rules: the device stops until it is reset.
pub trait Function: Send {
    /// The device type (5).
    fn id(&self) -> u32;
    /// Feature bits of the type; the transport adds its own.
    fn features(&self) -> u64;
    /// The most entries of each queue, powers of two.
    fn queue_sizes(&self) -> &'static [u16];
    /// The configuration space.
    fn config(&self) -> Vec<u8>;
    /// The driver has put something into a queue.
    fn notify(&mut self, queue: usize, io: &mut Io<'_>) -> Result<(), Broken>;
    /// Time has come, or something has arrived from the host.
    fn service(&mut self, io: &mut Io<'_>) -> Result<(), Broken>;
    /// The `mtime` at which [`Function::service`] is wanted.
    fn deadline(&self) -> Option<u64>;
    /// Forgets all requests.
    fn reset(&mut self);
    /// What a guest can see of it, now or later.
    fn save(&mut self) -> State;
    /// Takes over what was saved.
    fn restore(&mut self, state: State) -> Result<(), StateError>;
}

/// The saved state of any [`Function`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum State {
    /// [`Block`].
    Block(block::State),
    /// [`Net`].
    Net(net::State),
    /// [`Rng`].
    Rng(rng::State),
    /// [`Console`].
    Console(console::State),
    /// [`Share`].
    #[cfg(target_os = "linux")]
    Share(crate::share::State),
}

impl State {
    fn device(&self) -> &'static str {
        match self {
            State::Block(_) => "virtio-blk",
            State::Net(_) => "virtio-net",
            State::Rng(_) => "virtio-rng",
            State::Console(_) => "virtio-console",
            #[cfg(target_os = "linux")]
            State::Share(_) => "virtio-9p",
        }
    }

    /// The error of a device that was given this.
    fn is_not(&self, device: &'static str) -> StateError {
        let found = self.device();
        StateError::Other { device, found }
    }
}

/// Chains that one call may take from queues. A driver on another hart could otherwise keep a
/// device busy for ever.
const CHAINS_AT_ONCE: u32 = 1024;

/// The queues and memory of a device while it works.
pub struct Io<'a> {
    queues: &'a mut [Queue],
    memory: &'a dyn GuestMemory,
    now: u64,
    left: u32,
}

impl Io<'_> {
    /// Whether there is a chain to take.
    pub fn available(&mut self, queue: usize) -> Result<bool, Broken> {
        if self.left == 0 {
            return Ok(false);
        }
        self.queues[queue].available(self.memory)
    }

    /// The next chain that the driver has made available.
    pub fn pop(&mut self, queue: usize) -> Result<Option<Chain>, Broken> {
        if self.left == 0 {
            return Ok(None);
        }
        let chain = self.queues[queue].pop(self.memory)?;
        self.left -= u32::from(chain.is_some());
        Ok(chain)
    }

    /// Gives a chain back, with this many bytes written to its writable part.
    pub fn finish(&mut self, queue: usize, head: u16, written: u32) -> Result<(), Broken> {
        self.queues[queue].push(self.memory, head, written)
    }

    /// Guest memory.
    pub fn memory(&self) -> &dyn GuestMemory {
        self.memory
    }

    /// `mtime`.
    pub fn now(&self) -> u64 {
        self.now
    }
}
