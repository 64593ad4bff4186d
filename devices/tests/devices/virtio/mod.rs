//! Virtio devices, each driven as a guest's driver would.

mod block;
mod console;
mod driver;
mod garbage;
mod net;
mod queue;
mod rng;
#[cfg(target_os = "linux")]
mod share;
mod transport;
