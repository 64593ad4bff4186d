//! Linux riscv64 processes: everything that a program sees of the kernel, over any engine that
//! implements [`Cpu`].
//!
//! ```text
//! let space = Arc::new(UserSpace::reserve()?);
//! let cpu: Box<dyn Cpu> = engine(space.clone());
//! let mut process = Process::start(config, &program, space, cpu)?;   // loads the executable
//! process.observe(observer);                                        // optional
//! let exit = process.run()?;            // Exit::Code(n) | Exit::Signal { number, report }
//! // under Schedule::Exact also:
//! match process.run_until(total)? { Progress::Exited(exit) => .., Progress::Reached => .. }
//! let image = process.save()?;          // ProcessImage: serde; memory pages come from `space`
//! let process = Process::resume(image, config, space, cpu)?;  // memory is already restored
//! process.total()                       // instructions retired by all threads
//! ```
//!
//! A forked child is a forked host process that never returns from `run`.
//!
//! # What a guest sees of the host
//!
//! With isolation (the default): the root (read-only), the grants, a `/proc` and a `/dev` of our
//! own making, a `/tmp`, `/var/tmp` and `/dev/shm` that belong to the run and end with it, and
//! standard input, output and error. No other file that the host process was started with, no
//! path that leads out of these, no network: `socket` gives EACCES except for local ones, which
//! can be paired but not named. Signals reach the processes of the same run and nobody else.
//!
//! Without it (`Config::host`): everything that the host process sees, with absolute paths looked
//! up under the root first, and programs of the host's can be started by execve.
//!
//! File descriptors are the host's, number for number; those of the emulator lie above the
//! guest's limit. fork is the host's fork, a thread is a host thread, execve replaces the guest
//! within the same host process.
//!
//! # Code map
//!
//! | what | where |
//! |---|---|
//! | starting programs | `elf`, `load`, `exec`, `stack` |
//! | a process and its threads | `process`, `kernel`, `task` |
//! | who runs when | `threads` (a host thread each), `exact` (in turn, by instruction count) |
//! | system calls | the table in `abi::calls`, a module for each group |
//! | how a call blocks | `call` |
//! | the guest's file tree and its borders | `fs::view`, `fs::walk`, `fs::place`, `fs::guard` |
//! | signals | `signal` |
//! | the host's operating system | `host`, and nowhere else |

mod abi;
mod call;
mod children;
mod clock;
pub mod config;
mod config_first;
pub mod cpu;
mod debug;
pub mod elf;
mod errno;
pub mod error;
mod exact;
mod exec;
mod fs;
mod futex;
mod guest;
mod host;
mod image;
mod image_files;
mod info;
mod kernel;
mod load;
mod mm;
mod net;
mod net_messages;
pub mod observer;
mod process;
mod random;
mod robust;
mod signal;
mod stack;
mod symbols;
mod task;
mod thread;
mod threads;
mod time;
mod timers;
mod trace;

pub use config::{Config, Grant, Program, Schedule};
pub use config_first::FirstConfig;
pub use cpu::{Cpu, Kick, Stop};
pub use errno::Errno;
pub use error::Error;
pub use fs::guard::way_to;
pub use host::fds::move_high;
pub use image::{FileImage, ProcessImage, ThreadImage};
pub use observer::{Change, Event, Observer};
pub use process::{Exit, Process, Progress};
pub use signal::name as signal_name;
