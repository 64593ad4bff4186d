//! Each device against its specification, register by register, through the bus.

mod bus;
mod clint;
mod garbage;
mod plic;
mod rtc;
mod support;
mod syscon;
mod tree;
mod uart;
