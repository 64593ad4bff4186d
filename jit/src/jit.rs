//! The compiled code of one address space: what was asked for, what there is.

use crate::context::SharedContext;
use crate::{Error, JitHart, Options, Stats};
use memory::UserSpace;
use std::sync::{Arc, Mutex};

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// There is code for the address.
    Ready,
    /// It is being compiled.
    Queued,
    /// It cannot be compiled (nothing can be fetched there, or Cranelift refused it); do not ask
    /// again before the page changes.
    Refused,
}

/// The compiler and all that it has compiled for one address space. Shared by the harts.
pub struct Jit {
    options: Options,
    space: Arc<UserSpace>,
    stats: Mutex<Stats>,
}

impl Jit {
    /// A compiler for the code in `space`.
    pub fn new(options: Options, space: Arc<UserSpace>) -> Result<Arc<Jit>, Error> {
        Ok(Arc::new(Jit {
            options,
            space,
            stats: Mutex::default(),
        }))
    }

    /// The choices it was made with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// A hart that runs this code; one for each thread.
    pub fn hart(self: &Arc<Self>) -> JitHart {
        JitHart::new(self.clone(), SharedContext::new(self.space.base() as u64))
    }

    /// Asks for code that begins at `pc`: finds the region around it and has it compiled.
    pub fn request(&self, _pc: u64) -> Request {
        Request::Refused
    }

    /// Whether compiled code begins at `pc`.
    pub fn contains(&self, _pc: u64) -> bool {
        false
    }

    /// Drops all code that was made from these guest pages (numbers, not addresses). Harts that
    /// are inside it leave it at their next region boundary; `JitHart::run` never enters it again.
    pub fn invalidate(&self, _pages: &[u64]) {}

    /// What has been done so far.
    pub fn stats(&self) -> Stats {
        *self
            .stats
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Makes this the child's own after a `fork` of the process. Call it in the child, before any
    /// other method, on the only thread. The parent must hold [`Jit::quiesce`]'s guard across
    /// the fork.
    pub fn after_fork_in_child(&self) {}

    /// Stops background work until the guard is dropped (in the parent and in the child).
    pub fn quiesce(&self) -> impl Drop + '_ {
        self.stats
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
