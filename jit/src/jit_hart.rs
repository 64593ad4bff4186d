//! One hart on compiled code: enters it, and acts on why it came back.

use crate::context::{Context, SharedContext};
use crate::{Exit, Jit, Poll};
use hart::HartState;
use std::sync::Arc;

/// A hart that runs compiled code. It owns the hart's state: the engine reads and writes it here.
pub struct JitHart {
    jit: Arc<Jit>,
    context: Arc<SharedContext>,
}

impl JitHart {
    pub(crate) fn new(jit: Arc<Jit>, context: Arc<SharedContext>) -> Self {
        JitHart { jit, context }
    }

    fn context(&mut self) -> &mut Context {
        // SAFETY: the owner of the only `JitHart` is the only one who dereferences the context;
        // other threads reach its poll flag alone, which is atomic.
        unsafe { &mut *self.context.pointer() }
    }

    /// The guest-visible state.
    pub fn state(&self) -> &HartState {
        // SAFETY: as in `context`.
        unsafe { &(*self.context.pointer()).state }
    }

    /// The guest-visible state, to change between runs.
    pub fn state_mut(&mut self) -> &mut HartState {
        &mut self.context().state
    }

    /// What makes a running hart come back.
    pub fn poll(&self) -> Poll {
        Poll(self.context.clone())
    }

    /// The compiler whose code it runs.
    pub fn jit(&self) -> &Arc<Jit> {
        &self.jit
    }

    /// Runs compiled code from `state.pc` on, region after region, until something else is needed.
    /// When counting, never beyond `instret == limit`; otherwise the limit is ignored.
    pub fn run(&mut self, _limit: u64) -> Exit {
        Exit::Missing
    }
}
