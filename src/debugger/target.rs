//! What GDB asks for, in terms of a [`Debuggee`].

use super::registers::{Registers, Rv64};
use super::{CHUNK, Debuggee, Happened, STEPS};
use crate::Error;
use gdbstub::common::{Signal, Tid};
use gdbstub::stub::MultiThreadStopReason;
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::multithread::{
    MultiThreadBase, MultiThreadResume, MultiThreadResumeOps, MultiThreadSchedulerLocking,
    MultiThreadSchedulerLockingOps, MultiThreadSingleStep, MultiThreadSingleStepOps,
};
use gdbstub::target::ext::breakpoints::{
    Breakpoints, BreakpointsOps, HwBreakpoint, HwBreakpointOps, HwWatchpoint, HwWatchpointOps,
    SwBreakpoint, SwBreakpointOps, WatchKind,
};
use gdbstub::target::ext::thread_extra_info::{ThreadExtraInfo, ThreadExtraInfoOps};
use gdbstub::target::{Target, TargetError, TargetResult};
use std::collections::BTreeSet;

/// Bytes that one watchpoint may cover.
const MOST_WATCHED: u64 = 4096;

/// A debuggee in a debugger's hands.
pub struct Session<'a, D> {
    pub debuggee: &'a mut D,
    /// What is to be done next.
    pub resume: Resume,
    breakpoints: BTreeSet<u64>,
    /// Whether the debuggee knows them.
    told: bool,
    watched: Vec<Watched>,
}

/// What a debugger wants to be done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// Go on until something happens.
    Continue,
    /// One instruction of this thread.
    Step(usize),
}

/// Memory whose changes are to be told.
struct Watched {
    va: u64,
    length: u64,
    /// What was there when it was looked at last; nothing if it could not be read.
    bytes: Option<Vec<u8>>,
}

impl<'a, D: Debuggee> Session<'a, D> {
    pub fn new(debuggee: &'a mut D) -> Session<'a, D> {
        Session {
            debuggee,
            resume: Resume::Continue,
            breakpoints: BTreeSet::new(),
            told: true,
            watched: Vec::new(),
        }
    }

    /// Runs for a moment; what there is to tell, if anything.
    pub fn go_on(&mut self) -> Result<Option<MultiThreadStopReason<u64>>, Error> {
        if !std::mem::replace(&mut self.told, true) {
            self.debuggee.set_breakpoints(&self.breakpoints);
        }
        if let Resume::Step(thread) = self.resume {
            let before = self
                .debuggee
                .state(thread)
                .map(|state| (state.pc, state.instret));
            let happened = self.debuggee.step(thread)?;
            let after = self
                .debuggee
                .state(thread)
                .map(|state| (state.pc, state.instret));
            return Ok(match happened {
                Happened::Nothing if before == after => None,
                Happened::Nothing => Some(self.watch().unwrap_or(MultiThreadStopReason::DoneStep)),
                happened => self.told(happened),
            });
        }
        if self.watched.is_empty() {
            let happened = self.debuggee.run(CHUNK)?;
            return Ok(self.told(happened));
        }
        for _ in 0..STEPS {
            let happened = self.debuggee.run(1)?;
            let reason = self.told(happened).or_else(|| self.watch());
            if reason.is_some() {
                return Ok(reason);
            }
        }
        Ok(None)
    }

    fn told(&self, happened: Happened) -> Option<MultiThreadStopReason<u64>> {
        match happened {
            Happened::Nothing => None,
            Happened::Breakpoint => Some(MultiThreadStopReason::SwBreak(self.tid())),
            Happened::Exited(code) => Some(MultiThreadStopReason::Exited(code)),
        }
    }

    /// The watched memory that has changed since the last look.
    fn watch(&mut self) -> Option<MultiThreadStopReason<u64>> {
        let thread = self.debuggee.current();
        let mut changed = None;
        for watched in &mut self.watched {
            let now = look(self.debuggee, thread, watched.va, watched.length);
            if now != watched.bytes {
                watched.bytes = now;
                changed = Some(watched.va);
            }
        }
        changed.map(|addr| MultiThreadStopReason::Watch {
            tid: self.tid(),
            kind: WatchKind::Write,
            addr,
        })
    }

    /// It stands still, with the thread that ran last in front.
    pub fn stopped(&self, signal: Signal) -> MultiThreadStopReason<u64> {
        let tid = self.tid();
        MultiThreadStopReason::SignalWithThread { tid, signal }
    }

    fn tid(&self) -> Tid {
        Tid::new(self.debuggee.current()).unwrap_or(Tid::MIN)
    }

    fn state(&mut self, tid: Tid) -> TargetResult<&mut hart::HartState, Self> {
        self.debuggee.state(tid.get()).ok_or(TargetError::NonFatal)
    }
}

/// What a thread sees there.
fn look(debuggee: &mut impl Debuggee, thread: usize, va: u64, length: u64) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length as usize];
    (debuggee.read(thread, va, &mut bytes) == bytes.len()).then_some(bytes)
}

impl<D: Debuggee> Target for Session<'_, D> {
    type Arch = Rv64;
    type Error = Error;

    fn base_ops(&mut self) -> BaseOps<'_, Rv64, Error> {
        BaseOps::MultiThread(self)
    }

    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }
}

impl<D: Debuggee> MultiThreadBase for Session<'_, D> {
    fn read_registers(&mut self, registers: &mut Registers, tid: Tid) -> TargetResult<(), Self> {
        registers.0 = *self.state(tid)?;
        Ok(())
    }

    fn write_registers(&mut self, registers: &Registers, tid: Tid) -> TargetResult<(), Self> {
        registers.set(self.state(tid)?);
        Ok(())
    }

    fn read_addrs(&mut self, va: u64, into: &mut [u8], tid: Tid) -> TargetResult<usize, Self> {
        match self.debuggee.read(tid.get(), va, into) {
            0 if !into.is_empty() => Err(TargetError::NonFatal),
            read => Ok(read),
        }
    }

    fn write_addrs(&mut self, va: u64, from: &[u8], tid: Tid) -> TargetResult<(), Self> {
        if self.debuggee.write(tid.get(), va, from) {
            Ok(())
        } else {
            Err(TargetError::NonFatal)
        }
    }

    fn list_active_threads(&mut self, found: &mut dyn FnMut(Tid)) -> Result<(), Error> {
        self.debuggee
            .threads()
            .into_iter()
            .filter_map(Tid::new)
            .for_each(found);
        Ok(())
    }

    fn support_resume(&mut self) -> Option<MultiThreadResumeOps<'_, Self>> {
        Some(self)
    }

    fn support_thread_extra_info(&mut self) -> Option<ThreadExtraInfoOps<'_, Self>> {
        Some(self)
    }
}

impl<D: Debuggee> ThreadExtraInfo for Session<'_, D> {
    fn thread_extra_info(&self, tid: Tid, buffer: &mut [u8]) -> Result<usize, Error> {
        let text = self.debuggee.describe(tid.get());
        let length = text.len().min(buffer.len());
        buffer[..length].copy_from_slice(&text.as_bytes()[..length]);
        Ok(length)
    }
}

impl<D: Debuggee> MultiThreadResume for Session<'_, D> {
    fn resume(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn clear_resume_actions(&mut self) -> Result<(), Error> {
        self.resume = Resume::Continue;
        Ok(())
    }

    /// The others follow along. Signals of the debugger's are not passed on.
    fn set_resume_action_continue(&mut self, _: Tid, _: Option<Signal>) -> Result<(), Error> {
        Ok(())
    }

    fn support_single_step(&mut self) -> Option<MultiThreadSingleStepOps<'_, Self>> {
        Some(self)
    }

    fn support_scheduler_locking(&mut self) -> Option<MultiThreadSchedulerLockingOps<'_, Self>> {
        Some(self)
    }
}

impl<D: Debuggee> MultiThreadSchedulerLocking for Session<'_, D> {
    /// A thread that is stepped runs alone as far as it can anyway. One that waits for another is
    /// better off if that one runs.
    fn set_resume_action_scheduler_lock(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

impl<D: Debuggee> MultiThreadSingleStep for Session<'_, D> {
    fn set_resume_action_step(&mut self, tid: Tid, _: Option<Signal>) -> Result<(), Error> {
        self.resume = Resume::Step(tid.get());
        Ok(())
    }
}

impl<D: Debuggee> Breakpoints for Session<'_, D> {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_breakpoint(&mut self) -> Option<HwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_watchpoint(&mut self) -> Option<HwWatchpointOps<'_, Self>> {
        Some(self)
    }
}

impl<D: Debuggee> SwBreakpoint for Session<'_, D> {
    fn add_sw_breakpoint(&mut self, va: u64, _: usize) -> TargetResult<bool, Self> {
        if va & 1 != 0 {
            return Ok(false);
        }
        self.breakpoints.insert(va);
        self.told = false;
        Ok(true)
    }

    fn remove_sw_breakpoint(&mut self, va: u64, _: usize) -> TargetResult<bool, Self> {
        self.told = false;
        Ok(self.breakpoints.remove(&va))
    }
}

impl<D: Debuggee> HwBreakpoint for Session<'_, D> {
    fn add_hw_breakpoint(&mut self, va: u64, kind: usize) -> TargetResult<bool, Self> {
        self.add_sw_breakpoint(va, kind)
    }

    fn remove_hw_breakpoint(&mut self, va: u64, kind: usize) -> TargetResult<bool, Self> {
        self.remove_sw_breakpoint(va, kind)
    }
}

impl<D: Debuggee> HwWatchpoint for Session<'_, D> {
    /// Changes only: who just reads leaves no trace.
    fn add_hw_watchpoint(
        &mut self,
        va: u64,
        length: u64,
        kind: WatchKind,
    ) -> TargetResult<bool, Self> {
        if kind != WatchKind::Write || length > MOST_WATCHED {
            return Ok(false);
        }
        let thread = self.debuggee.current();
        let bytes = look(self.debuggee, thread, va, length);
        self.watched.push(Watched { va, length, bytes });
        Ok(true)
    }

    fn remove_hw_watchpoint(
        &mut self,
        va: u64,
        length: u64,
        _: WatchKind,
    ) -> TargetResult<bool, Self> {
        let found = self
            .watched
            .iter()
            .position(|w| (w.va, w.length) == (va, length));
        found.map(|index| self.watched.remove(index));
        Ok(found.is_some())
    }
}
