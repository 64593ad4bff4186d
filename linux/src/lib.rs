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
//! match process.run_until(total)? { Progress::Exited(exit), Progress::Reached }
//! let image = process.save()?;          // ProcessImage: serde; memory pages come from `space`
//! let process = Process::resume(image, config, space, cpu)?;  // memory is already restored
//! process.total()                       // instructions retired by all threads
//! ```
//!
//! A forked child is a forked host process that never returns from `run`.

pub mod config;
pub mod cpu;
pub mod error;

pub use config::{Config, Grant, Program, Schedule};
pub use cpu::{Cpu, Kick, Stop};
pub use error::Error;
