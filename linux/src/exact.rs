//! The deterministic scheduler: all guest threads in turn on one host thread, by instruction
//! count.
//!
//! The threads share one virtual hart: `instret` goes on from thread to thread, so that it always
//! equals the number of instructions the process has retired.

use crate::call::Wait;
use crate::host;
use crate::kernel::Kernel;
use crate::process::{Exit, Progress};
use crate::signal;
use crate::task::{Task, Turn};
use crate::timers;
use std::sync::atomic::Ordering;

/// All threads of a process and whose turn it is.
pub(crate) struct ExactRun {
    tasks: Vec<Slot>,
    /// Whose turn it is.
    current: usize,
    quantum: u64,
    total: u64,
    /// When the current thread's turn ends.
    turn_ends: u64,
    /// The current thread is about to end the process or at a breakpoint, and is held there.
    held: bool,
}

struct Slot {
    task: Box<Task>,
    /// What it waits for, if it is blocked.
    wait: Option<Wait>,
}

impl ExactRun {
    pub fn new(tasks: Vec<Task>, current: usize, quantum: u64) -> ExactRun {
        let total = tasks
            .iter()
            .map(|task| task.state().instret)
            .max()
            .unwrap_or(0);
        let slot = |task: Task| Slot {
            wait: task.pending.wait.clone(),
            task: Box::new(task),
        };
        let tasks = tasks.into_iter().map(slot).collect();
        ExactRun {
            tasks,
            current,
            quantum: quantum.max(1),
            total,
            turn_ends: total + quantum.max(1),
            held: false,
        }
    }

    pub fn total(&self) -> u64 {
        self.total
    }
    pub fn is_held(&self) -> bool {
        self.held
    }
    pub fn current(&self) -> usize {
        self.current
    }
    pub fn turn_ends(&self) -> u64 {
        self.turn_ends
    }
    pub fn set_turn_ends(&mut self, turn_ends: u64) {
        self.turn_ends = turn_ends.max(self.total + 1);
    }
    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.iter().map(|slot| &*slot.task)
    }
    pub fn tasks_mut(&mut self) -> impl Iterator<Item = &mut Task> {
        self.tasks.iter_mut().map(|slot| &mut *slot.task)
    }

    /// Runs until the count is `limit` or the process has ended.
    pub fn until(&mut self, kernel: &Kernel, limit: u64) -> Progress {
        loop {
            if self.tasks.is_empty() {
                let exit = kernel.tasks.lock().exit.clone();
                return Progress::Exited(exit.unwrap_or(Exit::Code(0)));
            }
            if self.total >= limit {
                return Progress::Reached;
            }
            signal::host::drain(kernel);
            timers::expire(kernel);
            if self.tasks[self.current].wait.is_some() && !self.ready(kernel, self.current) {
                if !self.pass_turn(kernel) {
                    self.idle(kernel);
                }
                continue;
            }
            self.turn(kernel, limit);
            if self.held {
                return Progress::Reached;
            }
        }
    }

    /// Lets the current thread run.
    fn turn(&mut self, kernel: &Kernel, limit: u64) {
        let slot = &mut self.tasks[self.current];
        slot.wait = None;
        let _current = signal::host::enter(&slot.task.shared);
        slot.task.shared.sleeper.take_woken();
        slot.task.cpu.state_mut().instret = self.total;
        let turn = slot.task.turn(Some(limit.min(self.turn_ends)));
        self.total = slot.task.state().instret;
        kernel.clock.set_retired(self.total);
        self.held = matches!(turn, Turn::Held);
        match turn {
            Turn::Ran | Turn::Held => {}
            Turn::Limit => {
                if self.total >= self.turn_ends {
                    self.pass_turn(kernel);
                }
            }
            Turn::Blocked(wait) => {
                slot.wait = Some(wait);
                self.pass_turn(kernel);
            }
            Turn::Ended => {
                self.tasks.remove(self.current);
                self.current = self.current.saturating_sub(1);
                if !self.tasks.is_empty() {
                    self.pass_turn(kernel);
                }
            }
        }
        for task in std::mem::take(&mut kernel.tasks.lock().born) {
            self.tasks.push(Slot {
                task: Box::new(task),
                wait: None,
            });
        }
        // execve has struck the other threads off the list.
        let listed = &kernel.tasks.lock().by_tid;
        if listed.len() < self.tasks.len() {
            self.tasks
                .retain(|slot| listed.contains_key(&slot.task.tid));
            self.current = 0;
        }
    }

    /// Gives the turn to the next thread that can run; false if there is none.
    fn pass_turn(&mut self, kernel: &Kernel) -> bool {
        self.turn_ends = self.total + self.quantum;
        for step in 1..=self.tasks.len() {
            let index = (self.current + step) % self.tasks.len();
            if self.ready(kernel, index) {
                self.current = index;
                return true;
            }
        }
        false
    }

    fn ready(&self, kernel: &Kernel, index: usize) -> bool {
        let slot = &self.tasks[index];
        let Some(wait) = &slot.wait else { return true };
        slot.task.shared.attention.load(Ordering::SeqCst)
            || slot.task.shared.sleeper.is_woken()
            || wait
                .deadline
                .is_some_and(|deadline| kernel.clock.monotonic() >= deadline)
            || !wait.fds.is_empty() && host::poll::poll_wait(&wait.fds, 0)
    }

    /// Nobody can run. If only time is waited for, it passes at once; files are waited for in the
    /// host's time.
    fn idle(&mut self, kernel: &Kernel) {
        let waits = || self.tasks.iter().filter_map(|slot| slot.wait.as_ref());
        let now = kernel.clock.monotonic();
        let timer = timers::expire(kernel).map(|left| now + left);
        let deadline = waits().filter_map(|wait| wait.deadline).chain(timer).min();
        let fds: Vec<(i32, i16)> = waits().flat_map(|wait| wait.fds.iter().copied()).collect();
        let polls = waits().any(|wait| wait.poll);
        if fds.is_empty() && !polls {
            match deadline {
                Some(deadline) => kernel.clock.skip_to(deadline),
                // Only a signal from outside can help.
                None => std::thread::sleep(std::time::Duration::from_millis(1)),
            }
            return;
        }
        let longest = if polls { 1 } else { 100 };
        let left = deadline.map_or(u64::MAX, |deadline| deadline.saturating_sub(now));
        let millis = (left / 1_000_000).min(longest) as i32;
        if !host::poll::poll_wait(&fds, millis) {
            // The virtual clock follows while the outside world is waited for.
            let passed = u64::from(millis.unsigned_abs()) * 1_000_000;
            if deadline.is_some() {
                kernel.clock.skip_to(now + passed.max(left.min(1_000_000)));
            }
            if polls {
                for slot in &mut self.tasks {
                    if slot.wait.as_ref().is_some_and(|wait| wait.poll) {
                        slot.wait = None;
                    }
                }
            }
        }
    }
}

/// execve under this scheduler: the other threads just cease to exist. They are not running.
pub(crate) fn end_others(kernel: &Kernel, tid: i32) {
    kernel.tasks.lock().by_tid.retain(|&other, _| other == tid);
}
