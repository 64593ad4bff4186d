//! Virtio devices, each driven as a guest's driver would.

mod block;
mod console;
mod driver;
mod garbage;
mod net;
mod queue;
mod rng;
mod transport;
