//! The thread that compiles while the guest runs on.

use crate::jit::Inner;
use crate::table::RegionId;
use frontend::Region;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

/// A region to be compiled.
pub struct Job {
    /// Its number in the table.
    pub id: RegionId,
    /// What it is.
    pub region: Region,
    /// The regions whose place it takes.
    pub replaced: Vec<RegionId>,
    /// The address space's stale epoch before its instructions were read.
    pub epoch: u64,
}

/// Jobs in the order of their requests.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
pub struct State {
    jobs: VecDeque<Job>,
    running: bool,
    stop: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a job. Starts the thread with the first one.
    pub fn push(&self, job: Job, inner: &Arc<Inner>) {
        let mut state = self.lock();
        state.jobs.push_back(job);
        if !state.running {
            let weak = Arc::downgrade(inner);
            let thread = std::thread::Builder::new()
                .name("jit".into())
                .stack_size(8 << 20)
                .spawn(move || work(&weak));
            // Without a thread jobs wait for the next try; the guest is interpreted.
            state.running = thread.is_ok();
        }
        self.wake.notify_one();
    }

    /// Jobs that wait.
    pub fn len(&self) -> usize {
        self.lock().jobs.len()
    }

    /// Stops jobs from being taken while the guard lives.
    pub fn pause(&self) -> MutexGuard<'_, State> {
        self.lock()
    }

    /// In the child after a fork: there is no thread any more, and nobody waits for these jobs.
    pub fn forget(&self) {
        let mut state = self.lock();
        state.jobs.clear();
        state.running = false;
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.lock().stop = true;
        self.wake.notify_all();
    }
}

fn work(inner: &Weak<Inner>) {
    while let Some(inner) = inner.upgrade() {
        let mut state = inner.queue.lock();
        let job = loop {
            if state.stop {
                return;
            }
            if let Some(job) = state.jobs.pop_front() {
                break job;
            }
            state = inner
                .queue
                .wake
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        };
        drop(state);
        inner.compile(job);
    }
}
