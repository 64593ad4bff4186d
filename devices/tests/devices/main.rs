//! Each device against its specification, register by register and queue by queue.

mod bus;
mod clint;
mod disk;
mod garbage;
mod net;
mod plic;
mod rtc;
mod support;
mod syscon;
mod tree;
mod uart;
mod virtio;
