//! A whole process: started, run, stopped at a count, saved.

use crate::children::Children;
use crate::clock::Clock;
use crate::config::{Config, Program, Schedule};
use crate::cpu::Cpu;
use crate::exact::ExactRun;
use crate::fs::fds::FdTable;
use crate::fs::view::View;
use crate::kernel::{Kernel, Lock, Tasks};
use crate::load;
use crate::mm::Mm;
use crate::observer::Observer;
use crate::random::Random;
use crate::signal::{self, Signals};
use crate::task::Task;
use crate::{Error, host, threads};
use memory::UserSpace;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar};

/// How a process ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Exit {
    /// It called exit.
    Code(i32),
    /// A signal killed it.
    Signal {
        /// The signal.
        number: i32,
        /// If a fault of its own raised the signal: where, why, and what to do.
        report: Option<String>,
    },
}

impl Exit {
    /// The exit code that a shell shows: 128 + n for signal n.
    pub fn code(&self) -> i32 {
        match self {
            Exit::Code(code) => code & 0xff,
            Exit::Signal { number, .. } => 128 + number,
        }
    }

    /// Ends the host process in the same way, so that its parent sees the same status.
    pub fn finish(&self) -> ! {
        match self {
            Exit::Code(code) => std::process::exit(*code & 0xff),
            Exit::Signal { number, .. } => host::signal::die(*number),
        }
    }
}

/// Why [`Process::run_until`] returned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress {
    /// The process has ended.
    Exited(Exit),
    /// The count is reached.
    Reached,
}

/// A Linux process.
pub struct Process {
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) run: Run,
}

/// Its threads, in the hands of their scheduler.
pub(crate) enum Run {
    /// The main thread, until `run` starts it.
    Threads(Option<Box<Task>>),
    /// All threads.
    Exact(ExactRun),
}

impl Process {
    /// Loads a program and prepares its first thread. Nothing of the guest has run yet.
    pub fn start(
        config: Config,
        program: &Program,
        space: Arc<UserSpace>,
        cpu: Box<dyn Cpu>,
    ) -> Result<Process, Error> {
        let config = config.resolve()?;
        let view = View::new(&config)?;
        let program = view.find_program(program)?;
        let kernel = new_kernel(config, view, space, 0, 0)?;
        let tid = kernel.pid();
        let mut task = Task::new(kernel.clone(), cpu, tid);
        load::load_first(&mut task, &program)?;
        signal::host::inherit(&mut task);
        Ok(Process::with_tasks(kernel, vec![task], 0))
    }

    pub(crate) fn with_tasks(kernel: Arc<Kernel>, mut tasks: Vec<Task>, current: usize) -> Process {
        if let Some(main) = tasks.first() {
            signal::host::register(&kernel, &main.shared);
        }
        for task in &tasks {
            kernel
                .tasks
                .lock()
                .by_tid
                .insert(task.tid, task.shared.clone());
        }
        let run = match kernel.config.schedule {
            Schedule::Exact { quantum, .. } => Run::Exact(ExactRun::new(tasks, current, quantum)),
            Schedule::Threads => Run::Threads(tasks.pop().map(Box::new)),
        };
        Process { kernel, run }
    }

    /// Has an observer told what happens from now on. To see memory changes it must be set before
    /// the first run.
    pub fn observe(&mut self, observer: Arc<dyn Observer>) {
        self.kernel
            .trace
            .store(observer.wants_trace(), Ordering::Relaxed);
        let record = observer.wants_changes();
        *self.kernel.observer.lock() = Some(observer);
        let space = || self.kernel.space.clone();
        match &mut self.run {
            Run::Threads(Some(task)) => task.guest = crate::guest::Guest::new(space(), record),
            Run::Threads(None) => {}
            Run::Exact(run) => {
                for task in run.tasks_mut() {
                    task.guest = crate::guest::Guest::new(space(), record);
                }
            }
        }
    }

    /// Runs to the end; nothing is held there.
    pub fn run(&mut self) -> Result<Exit, Error> {
        self.hold_exit(false);
        let exit = match &mut self.run {
            Run::Threads(task) => match task.take() {
                Some(task) => threads::run_main(*task),
                None => self.exited().unwrap_or(Exit::Code(0)),
            },
            Run::Exact(run) => loop {
                if let Progress::Exited(exit) = run.until(&self.kernel, u64::MAX) {
                    break exit;
                }
            },
        };
        Ok(self.over(exit))
    }

    /// Runs until all threads together have retired exactly `total` instructions since the
    /// process started. Only under [`Schedule::Exact`]; under [`Schedule::Threads`] it runs to
    /// the end.
    pub fn run_until(&mut self, total: u64) -> Result<Progress, Error> {
        if let Run::Exact(run) = &mut self.run {
            return Ok(match run.until(&self.kernel, total) {
                Progress::Exited(exit) => Progress::Exited(self.over(exit)),
                Progress::Reached => Progress::Reached,
            });
        }
        self.run().map(Progress::Exited)
    }

    /// Instructions retired by all threads since the start. Exact under [`Schedule::Exact`];
    /// otherwise of the threads that have ended, as far as their engine counts them.
    pub fn total(&self) -> u64 {
        match &self.run {
            Run::Exact(run) => run.total(),
            Run::Threads(_) => self.kernel.retired.load(Ordering::Relaxed),
        }
    }

    /// What it was started with, with all paths absolute: what [`Process::resume`] needs.
    pub fn config(&self) -> &Config {
        &self.kernel.config
    }

    /// Its memory.
    pub fn space(&self) -> &Arc<UserSpace> {
        &self.kernel.space
    }

    /// Makes [`Process::run_until`] return [`Progress::Reached`] when the process is about to
    /// exit (by exit_group, or by its last thread's exit), with that call not yet made, so that
    /// it can be saved. See [`Process::is_exiting`].
    pub fn hold_exit(&mut self, on: bool) {
        self.kernel.hold_exit.store(on, Ordering::SeqCst);
    }

    /// Whether it is held at its exit.
    pub fn is_exiting(&self) -> bool {
        matches!(&self.run, Run::Exact(run) if run.is_held())
    }

    /// How it ended, if it has.
    pub fn exited(&self) -> Option<Exit> {
        self.kernel.tasks.lock().exit.clone()
    }

    /// The last words, once.
    fn over(&self, exit: Exit) -> Exit {
        if self.kernel.forked.load(Ordering::SeqCst) {
            // This host process is a forked child of the guest: its parent waits for it to end,
            // and the caller of `run` belongs to the parent's life.
            exit_forked(&self.kernel, &exit);
        }
        self.kernel.view.clean_up();
        if let Exit::Signal {
            report: Some(report),
            ..
        } = &exit
            && !self.kernel.config.quiet
        {
            eprint!("{report}");
        }
        exit
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.kernel.forked.load(Ordering::SeqCst) {
            self.kernel.view.clean_up();
            if self.kernel.tasks.lock().by_tid.is_empty() || self.kernel.exact() {
                self.kernel.fds.lock().close_all();
            }
        }
    }
}

/// Ends a forked child.
pub(crate) fn exit_forked(kernel: &Kernel, exit: &Exit) -> ! {
    match exit {
        Exit::Code(code) => host::process::exit_now(*code & 0xff),
        Exit::Signal { number, report } => {
            if let Some(report) = report
                && !kernel.config.quiet
            {
                eprint!("{report}");
            }
            host::signal::die(*number)
        }
    }
}

pub(crate) fn new_kernel(
    config: Config,
    view: View,
    space: Arc<UserSpace>,
    retired: u64,
    skipped: u64,
) -> Result<Arc<Kernel>, Error> {
    let (clock, random, pid) = match config.schedule {
        Schedule::Threads => (Clock::Host, Random::Host, host::process::pid()),
        Schedule::Exact { seed, .. } => (
            Clock::new_virtual(retired, skipped),
            Random::Seeded(seed),
            EXACT_PID,
        ),
    };
    // Terminals and build tools leave all kinds of files open. A run that can be repeated and
    // saved does not see them.
    let standard_only = matches!(config.schedule, Schedule::Exact { .. });
    let fds = FdTable::inherited(&view, standard_only);
    let roster = host::roster::Roster::new();
    if let Some(roster) = &roster {
        roster.add(host::process::pid());
    }
    Ok(Arc::new(Kernel {
        umask: Lock::new(host::fs::current_umask()),
        config,
        space,
        clock,
        view,
        tasks: Lock::new(Tasks {
            next_tid: pid + 1,
            ..Tasks::default()
        }),
        tasks_changed: Condvar::new(),
        mm: Lock::new(Mm::default()),
        fds: Lock::new(fds),
        signals: Lock::new(Signals::default()),
        futexes: Lock::default(),
        children: Lock::new(Children::default()),
        timers: Lock::default(),
        random: Lock::new(random),
        started: Lock::default(),
        pid: AtomicI32::new(pid),
        exact_parent: AtomicI32::new(1),
        ending: AtomicBool::new(false),
        forked: AtomicBool::new(false),
        roster,
        hold_exit: AtomicBool::new(false),
        observer: Lock::new(None),
        trace: AtomicBool::new(false),
        main: Lock::default(),
        retired: AtomicU64::new(0),
    }))
}

/// The process id that a process sees of itself under exact scheduling.
const EXACT_PID: i32 = 1000;
