//! Both engines side by side: the first runs a process, the second is fed the first one's system
//! calls, and after each stretch of guest code their states are compared.
//!
//! ```text
//!   process on the compiler  ──Ran──▶  the interpreter runs the same stretch  ──▶ compare
//!            │                                                                      │ differ
//!            └──Kernel──▶  the same changes to the second memory        narrow ◀────┘
//! ```
//!
//! The interpreter's stores are logged, so a stretch that ends differently is rewound and run
//! again on both engines, instruction by instruction, until the first difference ([`narrow`]).

mod compare;
mod follower;
mod logged;
mod narrow;
mod report;

pub use report::{Cause, Difference, Outcome};

use crate::EngineOptions;
use follower::Follower;
use linux::observer::{Event, Observer};
use memory::UserSpace;
use std::sync::{Arc, Mutex, PoisonError};

/// Instructions that a thread runs between two comparisons, by default.
pub const STRETCH: u64 = 50_000;

/// Watches a process and runs its guest code a second time on the interpreter.
pub struct Lockstep {
    state: Mutex<State>,
    /// Called with the first difference; the process goes on if it returns.
    different: Box<dyn Fn(&Difference) + Send + Sync>,
    trace: bool,
}

/// What has been compared so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Stretches of guest code that ended alike.
    pub stretches: u64,
    /// Instructions in them.
    pub instructions: u64,
    /// Comparisons of the whole memory.
    pub memory: u64,
}

struct State {
    follower: Follower,
    progress: Progress,
    found: bool,
}

impl Lockstep {
    /// Lockstep for a process in `leader`, loaded and not yet run, on an engine with these
    /// options. `different` is called with the first difference.
    pub fn new(
        leader: &Arc<UserSpace>,
        options: &EngineOptions,
        different: impl Fn(&Difference) + Send + Sync + 'static,
    ) -> Result<Lockstep, crate::Error> {
        let follower = Follower::new(leader.clone(), options.clone())?;
        let state = State {
            follower,
            progress: Progress::default(),
            found: false,
        };
        Ok(Lockstep {
            state: Mutex::new(state),
            different: Box::new(different),
            trace: false,
        })
    }

    /// Prints system calls, too.
    pub fn trace(mut self, trace: bool) -> Self {
        self.trace = trace;
        self
    }

    /// What has been compared so far.
    pub fn progress(&self) -> Progress {
        self.lock().progress
    }

    /// Whether a difference was found.
    pub fn found(&self) -> bool {
        self.lock().found
    }

    /// Compares the whole memory once more: to be called when the process has ended.
    pub fn finish(&self) {
        let mut state = self.lock();
        if state.found {
            return;
        }
        state.progress.memory += 1;
        if let Some(difference) = state.follower.compare_memory() {
            state.found = true;
            drop(state);
            (self.different)(&difference);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Lockstep {
    fn event(&self, event: &Event<'_>) {
        let mut state = self.lock();
        if let Event::Trace { tid, line } = event {
            eprintln!("[{tid}] {line}");
            return;
        }
        if state.found {
            return;
        }
        let found = match *event {
            Event::Ran {
                tid,
                before,
                state: after,
                stop,
            } => {
                state.progress.stretches += 1;
                state.progress.instructions += after.instret.wrapping_sub(before.instret);
                state.follower.ran(tid, before, after, stop)
            }
            Event::Kernel { tid, changes, .. } => {
                state.follower.kernel(tid, changes);
                None
            }
            Event::Started { .. } | Event::Trace { .. } => None,
            Event::Ended { tid } => {
                state.follower.ended(tid);
                None
            }
        };
        let found = match found {
            None if state.follower.memory_is_due() => {
                state.progress.memory += 1;
                state.follower.compare_memory()
            }
            found => found,
        };
        if let Some(difference) = found {
            state.found = true;
            drop(state);
            (self.different)(&difference);
        }
    }

    fn wants_trace(&self) -> bool {
        self.trace
    }

    fn wants_changes(&self) -> bool {
        true
    }
}
