//! One guest thread: runs guest code, makes its system calls, takes its signals.

use crate::abi::calls;
use crate::call::{Call, Fail, Pending, Restart, SysResult, Wait};
use crate::cpu::{Cpu, Kick, Stop};
use crate::errno::Errno;
use crate::guest::Guest;
use crate::host;
use crate::kernel::Kernel;
use crate::observer::Event;
use crate::process::Exit;
use crate::signal::frame::AltStack;
use crate::signal::{self, Delivered};
use hart::{Cause, HartState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

/// What other threads may touch of a guest thread.
pub(crate) struct TaskShared {
    pub tid: AtomicI32,
    /// Signals that it blocks, bit n-1 for signal n.
    pub mask: AtomicU64,
    /// Signals that it waits for in sigtimedwait although it blocks them.
    pub awaits: AtomicU64,
    /// It must look for signals or its end before it runs on.
    pub attention: AtomicBool,
    kicker: Arc<dyn Kick>,
    /// Where it sleeps.
    pub sleeper: host::Sleeper,
}

impl TaskShared {
    /// Makes the thread look up from whatever it does. Safe in a host signal handler.
    pub fn wake(&self) {
        self.attention.store(true, Ordering::SeqCst);
        self.kicker.kick();
        self.sleeper.wake();
    }

    pub fn tid(&self) -> i32 {
        self.tid.load(Ordering::Relaxed)
    }
}

/// What a thread did in its turn.
#[derive(Debug)]
pub(crate) enum Turn {
    /// Something; it can go on.
    Ran,
    /// It has to wait, then be given another turn.
    Blocked(Wait),
    /// It reached the instruction limit.
    Limit,
    /// It is about to end the process, or at a breakpoint, and is held there.
    Held,
    /// It has ended.
    Ended,
}

/// A guest thread, owned by whoever runs it.
pub(crate) struct Task {
    pub kernel: Arc<Kernel>,
    pub shared: Arc<TaskShared>,
    pub cpu: Box<dyn Cpu>,
    pub guest: Guest,
    pub tid: i32,
    /// Signals it blocks; the owner's copy of `shared.mask`.
    mask: u64,
    /// The mask to return to after sigsuspend, ppoll...
    pub saved_mask: Option<u64>,
    pub altstack: AltStack,
    /// Where to write 0 and wake a futex at the end (CLONE_CHILD_CLEARTID).
    pub clear_tid: u64,
    pub robust_list: u64,
    pub name: [u8; 16],
    /// What the blocked call remembers.
    pub pending: Pending,
    /// The traced text of a call in progress.
    pending_trace: Option<String>,
    exit_code: i32,
}

impl Task {
    pub fn new(kernel: Arc<Kernel>, cpu: Box<dyn Cpu>, tid: i32) -> Task {
        let shared = Arc::new(TaskShared {
            tid: AtomicI32::new(tid),
            mask: AtomicU64::new(0),
            awaits: AtomicU64::new(0),
            attention: AtomicBool::new(false),
            kicker: cpu.kicker(),
            sleeper: host::Sleeper::new(),
        });
        let record = kernel
            .observer
            .lock()
            .as_ref()
            .is_some_and(|o| o.wants_changes());
        let guest = Guest::new(kernel.space.clone(), record);
        Task {
            kernel,
            shared,
            cpu,
            guest,
            tid,
            mask: 0,
            saved_mask: None,
            altstack: AltStack::default(),
            clear_tid: 0,
            robust_list: 0,
            name: [0; 16],
            pending: Pending::default(),
            pending_trace: None,
            exit_code: 0,
        }
    }

    pub fn mask(&self) -> u64 {
        self.mask
    }

    /// Changes the set of blocked signals. SIGKILL and SIGSTOP cannot be blocked.
    pub fn set_mask(&mut self, mask: u64) {
        self.mask = mask & !signal::UNBLOCKABLE;
        self.shared.mask.store(self.mask, Ordering::SeqCst);
        // What is now unblocked may be pending.
        self.shared.attention.store(true, Ordering::SeqCst);
    }

    pub fn state(&self) -> &HartState {
        self.cpu.state()
    }

    /// Runs until something happens that the scheduler should know.
    pub fn turn(&mut self, limit: Option<u64>) -> Turn {
        if self.shared.attention.swap(false, Ordering::SeqCst) && !self.attend() {
            return Turn::Ended;
        }
        if self.pending.wait.is_some() {
            // A call that blocked before: the same registers give the same call.
            return self.system_call();
        }
        match self.run(limit) {
            Stop::Kicked => Turn::Ran,
            Stop::Limit => Turn::Limit,
            Stop::Trap(trap) if trap.cause == Cause::EcallFromU => self.system_call(),
            Stop::Trap(trap)
                if trap.cause == Cause::Breakpoint && crate::debug::is_at_breakpoint(self) =>
            {
                Turn::Held
            }
            Stop::Trap(trap) => {
                signal::fault::raise(self, trap);
                Turn::Ran
            }
        }
    }

    fn run(&mut self, limit: Option<u64>) -> Stop {
        if !self.guest.recording() {
            return self.cpu.run(limit);
        }
        let before = *self.cpu.state();
        let stop = self.cpu.run(limit);
        let state = self.cpu.state();
        self.kernel.tell(&Event::Ran {
            tid: self.tid,
            before: &before,
            state,
            stop,
        });
        stop
    }

    /// Looks for the end of the process and for signals. False if the thread must end.
    fn attend(&mut self) -> bool {
        signal::host::drain(&self.kernel);
        if self.kernel.ending.load(Ordering::SeqCst) {
            let tasks = self.kernel.tasks.lock();
            let ends = tasks.exit.is_some() || tasks.execing.is_some_and(|tid| tid != self.tid);
            drop(tasks);
            if ends {
                self.end();
                return false;
            }
        }
        if self.pending.wait.is_some() && signal::handler_waits(self) {
            // The call gets a last chance to complete before the handler runs.
            self.pending.interrupted = true;
            if matches!(self.system_call(), Turn::Ended) {
                return false;
            }
        }
        loop {
            match signal::deliver(self) {
                Delivered::Nothing => break,
                Delivered::Again => {}
                Delivered::Death(exit) => {
                    self.kernel.exit_all(exit);
                    self.end();
                    return false;
                }
            }
        }
        self.pending.interrupted = false;
        self.report_changes();
        true
    }

    /// Makes the system call at `pc`.
    fn system_call(&mut self) -> Turn {
        let state = self.cpu.state();
        let number = state.x[17];
        let args = [10, 11, 12, 13, 14, 15].map(|register: usize| state.x[register]);
        let kernel = self.kernel.clone();
        let entry = calls::entry(number);
        let trace = kernel.wants_trace();
        let before = (trace && self.pending.wait.is_none())
            .then(|| crate::trace::arguments(&self.guest, number, &args));
        if before.is_some() {
            self.pending_trace = before;
        }
        let result = match entry {
            Some(entry) => (entry.handler)(&mut Call {
                task: self,
                kernel: kernel.clone(),
                args,
            }),
            None => Err(Fail::Errno(Errno::ENOSYS)),
        };
        if trace && !matches!(result, Err(Fail::Block(_))) {
            let text = self.pending_trace.take().unwrap_or_default();
            crate::trace::completed(self, number, &args, &text, &result);
        }
        self.settle(result)
    }

    /// Brings the result of a call into the registers.
    fn settle(&mut self, result: SysResult) -> Turn {
        let value = match result {
            Err(Fail::Block(wait)) => {
                self.pending.wait = Some(wait.clone());
                self.report_changes();
                return Turn::Blocked(wait);
            }
            Err(Fail::Interrupted(restart)) => {
                // `signal::deliver` decides between EINTR and a restart: it knows the handler.
                self.pending.restart = Some(restart);
                self.pending.wait = Some(Wait::default());
                return Turn::Ran;
            }
            Err(Fail::Held) => return Turn::Held,
            Err(Fail::ExitThread(code)) => {
                self.report_changes();
                self.exit_code = code;
                self.end();
                return Turn::Ended;
            }
            Err(Fail::ExitProcess(exit)) => {
                self.report_changes();
                self.kernel.exit_all(exit);
                self.end();
                return Turn::Ended;
            }
            Err(Fail::StateSet) => None,
            Err(Fail::Errno(errno)) => Some(errno.as_result()),
            Ok(value) => Some(value),
        };
        self.complete(value);
        Turn::Ran
    }

    /// The call is over; guest code goes on behind it.
    fn complete(&mut self, value: Option<u64>) {
        if let Some(value) = value {
            let state = self.cpu.state_mut();
            state.x[10] = value;
            state.pc = state.pc.wrapping_add(4);
        }
        self.pending = Pending::default();
        if let Some(mask) = self.saved_mask.take() {
            self.set_mask(mask);
        }
        if self.guest.recording() {
            let changes = self.guest.take_changes();
            let state = self.cpu.state();
            self.kernel.tell(&Event::Kernel {
                tid: self.tid,
                state,
                changes: &changes,
            });
        }
    }

    /// A handler is about to run in the middle of an interrupted call: what does the guest find
    /// when the handler returns?
    pub fn interrupt_call(&mut self, handler_restarts: bool) {
        if self.pending.wait.is_none() {
            return;
        }
        let restart = self.pending.restart == Some(Restart::IfAsked) && handler_restarts;
        self.pending = Pending::default();
        if !restart {
            let state = self.cpu.state_mut();
            state.x[10] = Errno::EINTR.as_result();
            state.pc = state.pc.wrapping_add(4);
        }
    }

    /// Tells the observer about changes outside of a completed call.
    pub fn report_changes(&mut self) {
        let changes = self.guest.take_changes();
        if !changes.is_empty() {
            let state = self.cpu.state();
            self.kernel.tell(&Event::Kernel {
                tid: self.tid,
                state,
                changes: &changes,
            });
        }
    }

    /// The thread is no more: robust futexes, the joiner's wake-up, the list of threads.
    fn end(&mut self) {
        if self.kernel.tasks.lock().by_tid.len() <= 1 {
            self.cpu.program_ends();
            crate::children::child_ends(self);
        }
        crate::robust::thread_ends(self);
        self.report_changes();
        self.kernel.tell(&Event::Ended { tid: self.tid });
        self.kernel.signals.lock().forget(self.tid);
        let mut tasks = self.kernel.tasks.lock();
        tasks.by_tid.remove(&self.tid);
        if tasks.by_tid.is_empty() && tasks.exit.is_none() {
            // The last thread's exit code is the process's.
            tasks.exit = Some(Exit::Code(self.exit_code));
        }
        drop(tasks);
        self.kernel.tasks_changed.notify_all();
    }
}
