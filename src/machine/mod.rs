//! A whole machine: harts, memory and devices, compatible with QEMU's `virt`.
//!
//! | what | where |
//! |---|---|
//! | what a machine is made of | `options.rs`; as a file: `config.rs` |
//! | putting it together, starting it again | `build.rs` |
//! | files into memory: kernel, firmware, initial RAM disk, device tree | `load.rs` |
//! | devices at their places | `board.rs` |
//! | saving it and going on | `saved.rs`; what it may open again: `description.rs` |
//! | running: turns, interrupts, idling | `run.rs` |
//! | running on threads: all of them, one of them | `threads.rs`, `runner.rs` |
//! | how harts on threads reach each other | `post.rs`, `crew.rs` |
//! | what one hart does, on either schedule | `harts.rs` |
//! | executing: interpreter and compiler | `tiers.rs` |
//! | the one clock | `clock.rs` |
//! | what gets a running machine's attention | `signal.rs` |
//! | firmware of our own, for a kernel without any | `sbi.rs`, `others.rs` |
//! | the console on stdin and stdout | `console.rs` |
//! | what a debugger needs | `debug.rs` |
//! | compiled code kept between boots | `kept.rs` |
//! | two machines side by side | `compare.rs` |
//! | a checksum of all that a guest can see | `hash.rs` |

mod board;
mod build;
mod clock;
pub mod compare;
pub mod config;
mod console;
mod crew;
mod debug;
mod description;
mod harts;
mod hash;
mod host;
mod kept;
mod load;
mod options;
mod others;
mod post;
mod run;
mod runner;
mod saved;
mod sbi;
mod signal;
#[cfg(test)]
mod tests;
mod threads;
mod tiers;

pub use build::{Machine, Wires};
pub use console::{KEYS, Terminal};
pub use description::{Description, Resume};
pub use options::{
    ClockKind, DiskAccess, DiskOptions, Image, KeepCode, MachineOptions, Schedule, ShareOptions,
    size,
};
pub use run::{End, Stats};
pub use saved::{HartImage, HartsImage};
pub use signal::{Command, Signal};
pub use tiers::{TierOptions, TierStats};
