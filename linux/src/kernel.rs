//! What all threads of a process share: the kernel's side of it.

use crate::children::Children;
use crate::clock::Clock;
use crate::config::Config;
use crate::fs::fds::FdTable;
use crate::fs::view::View;
use crate::futex::Futexes;
use crate::load::Started;
use crate::mm::Mm;
use crate::observer::{Event, Observer};
use crate::process::Exit;
use crate::random::Random;
use crate::signal::Signals;
use crate::task::TaskShared;
use crate::timers::Timers;
use memory::UserSpace;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A mutex whose holder never leaves it broken: a panic elsewhere does not spread.
#[derive(Default)]
pub(crate) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub fn new(value: T) -> Self {
        Lock(Mutex::new(value))
    }
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The threads of the process.
#[derive(Default)]
pub(crate) struct Tasks {
    pub by_tid: BTreeMap<i32, Arc<TaskShared>>,
    /// Why all of them have to end.
    pub exit: Option<Exit>,
    /// The thread that calls execve; all others have to end.
    pub execing: Option<i32>,
    /// Next thread id under exact scheduling.
    pub next_tid: i32,
    /// Threads made by clone that the exact scheduler has not taken over yet.
    pub born: Vec<crate::task::Task>,
}

/// The kernel's side of a process. Locks are taken in the order of the fields, and never held
/// while guest code runs or a call blocks.
pub(crate) struct Kernel {
    pub config: Config,
    pub space: Arc<UserSpace>,
    pub clock: Clock,
    pub view: View,
    pub tasks: Lock<Tasks>,
    pub tasks_changed: Condvar,
    pub mm: Lock<Mm>,
    pub fds: Lock<FdTable>,
    pub signals: Lock<Signals>,
    pub futexes: Lock<Futexes>,
    pub children: Lock<Children>,
    pub timers: Lock<Timers>,
    pub random: Lock<Random>,
    pub started: Lock<Started>,
    pub pid: AtomicI32,
    /// Under exact scheduling, whose number of itself is not the host's: its parent's.
    pub exact_parent: AtomicI32,
    pub umask: Lock<u32>,
    /// Some thread must end: `tasks.exit` or `tasks.execing` is set.
    pub ending: AtomicBool,
    /// This host process was forked by the guest: when it is done it exits.
    pub forked: AtomicBool,
    /// The processes of this run.
    pub roster: Option<crate::host::roster::Roster>,
    /// The process is not to exit but to stop where it would.
    pub hold_exit: AtomicBool,
    pub observer: Lock<Option<Arc<dyn Observer>>>,
    /// The observer wants lines of trace.
    pub trace: AtomicBool,
    /// The main thread, for signals that arrive elsewhere.
    pub main: Lock<Option<crate::signal::host::Registered>>,
    /// Without exact scheduling: instructions retired by threads that have ended.
    pub retired: AtomicU64,
}

impl Kernel {
    pub fn exact(&self) -> bool {
        matches!(self.config.schedule, crate::Schedule::Exact { .. })
    }

    pub fn wants_trace(&self) -> bool {
        self.trace.load(Ordering::Relaxed)
    }

    pub fn pid(&self) -> i32 {
        self.pid.load(Ordering::Relaxed)
    }

    pub fn parent_pid(&self) -> i32 {
        if self.exact() {
            self.exact_parent.load(Ordering::Relaxed)
        } else {
            crate::host::process::parent_pid()
        }
    }

    /// Tells the observer, if there is one.
    pub fn tell(&self, event: &Event<'_>) {
        let observer = self.observer.lock().clone();
        if let Some(observer) = observer {
            observer.event(event);
        }
    }

    /// Makes all threads end. The first cause counts.
    pub fn exit_all(&self, exit: Exit) {
        let mut tasks = self.tasks.lock();
        if tasks.exit.is_none() {
            tasks.exit = Some(exit);
        }
        self.ending.store(true, Ordering::SeqCst);
        for task in tasks.by_tid.values() {
            task.wake();
        }
        self.tasks_changed.notify_all();
    }

    /// Waits until `done` holds of the threads.
    pub fn wait_tasks(&self, mut done: impl FnMut(&Tasks) -> bool) {
        let mut tasks = self.tasks.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !done(&tasks) {
            // Woken again and again, because a thread may just have entered a host call that it
            // must be kicked out of.
            let pause = std::time::Duration::from_millis(20);
            tasks = match self.tasks_changed.wait_timeout(tasks, pause) {
                Ok((tasks, _)) => tasks,
                Err(poisoned) => poisoned.into_inner().0,
            };
            for task in tasks.by_tid.values() {
                task.wake();
            }
        }
    }
}
