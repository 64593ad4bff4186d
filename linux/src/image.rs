//! A whole process as data: everything but its memory pages, which the snapshot takes from the
//! address space.

use crate::call::{Pending, Wait};
use crate::cpu::Cpu;
use crate::fs::view::View;
use crate::futex::Waiting;
pub use crate::image_files::FileImage;
use crate::image_files::{restore_files, save_files};
use crate::kernel::Kernel;
use crate::load::Started;
use crate::mm::Mm;
use crate::process::{Process, Run, new_kernel};
use crate::random::Random;
use crate::signal::frame::AltStack;
use crate::signal::{self, Signals};
use crate::task::Task;
use crate::timers::Timers;
use crate::{Config, Error, Schedule, host};
use hart::HartState;
use memory::UserSpace;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A process at an exact instruction count. Made by [`Process::save`], used by
/// [`Process::resume`].
#[derive(Clone, Serialize, Deserialize)]
pub struct ProcessImage {
    /// The threads.
    pub threads: Vec<ThreadImage>,
    /// Instructions retired by all of them.
    pub total: u64,
    /// Open files by number.
    pub files: Vec<FileImage>,
    current: u64,
    turn_ends: u64,
    skipped: u64,
    pid: i32,
    next_tid: i32,
    umask: u32,
    cwd: Vec<u8>,
    mm: Mm,
    signals: Signals,
    timers: Timers,
    random: Random,
    started: Started,
    futexes: Vec<Waiting>,
    last_ticket: u64,
}

/// A thread.
#[derive(Clone, Serialize, Deserialize)]
pub struct ThreadImage {
    /// Its number.
    pub tid: i32,
    /// Its registers.
    pub state: HartState,
    mask: u64,
    saved_mask: Option<u64>,
    awaits: u64,
    altstack: AltStack,
    clear_tid: u64,
    robust_list: u64,
    name: [u8; 16],
    attention: bool,
    woken: bool,
    pending: Option<PendingImage>,
}

/// A system call that waits.
#[derive(Clone, Serialize, Deserialize)]
struct PendingImage {
    deadline: Option<Option<u64>>,
    progress: u64,
    fds: Vec<(i32, i16)>,
    until: Option<u64>,
    poll: bool,
}

impl Process {
    /// The process as data. It must not be running, under [`Schedule::Exact`], and must not hold
    /// what exists only outside of it: pipes, sockets, children.
    pub fn save(&self) -> Result<ProcessImage, Error> {
        let Run::Exact(run) = &self.run else {
            return Err(refused(
                "it runs on host threads; start it with --exact".into(),
            ));
        };
        let kernel = &*self.kernel;
        if !kernel.children.lock().is_empty() {
            return Err(refused(
                "it has child processes. Save before it starts any".into(),
            ));
        }
        let tasks = kernel.tasks.lock();
        if tasks.exit.is_some() {
            return Err(refused("it has ended".into()));
        }
        let next_tid = tasks.next_tid;
        drop(tasks);
        let (futexes, last_ticket) = kernel.futexes.lock().save();
        Ok(ProcessImage {
            threads: run.tasks().map(save_thread).collect(),
            total: run.total(),
            files: save_files(kernel)?,
            current: run.current() as u64,
            turn_ends: run.turn_ends(),
            skipped: kernel.clock.skipped(),
            pid: kernel.pid(),
            next_tid,
            umask: *kernel.umask.lock(),
            cwd: kernel.view.cwd.lock().clone(),
            mm: *kernel.mm.lock(),
            signals: kernel.signals.lock().clone(),
            timers: kernel.timers.lock().clone(),
            random: kernel.random.lock().clone(),
            started: kernel.started.lock().clone(),
            futexes,
            last_ticket,
        })
    }

    /// A process from an image. `space` holds its memory already; `config` is what
    /// [`Process::config`] said of the saved one.
    pub fn resume(
        image: ProcessImage,
        config: Config,
        space: Arc<UserSpace>,
        cpu: Box<dyn Cpu>,
    ) -> Result<Process, Error> {
        if !matches!(config.schedule, Schedule::Exact { .. }) {
            return Err(Error::Resume(
                "its configuration is not that of an exact run".into(),
            ));
        }
        check(&image)?;
        let view = View::new(&config)?;
        *view.cwd.lock() = image.cwd.clone();
        let kernel = new_kernel(config, view, space, image.total, image.skipped)?;
        restore_files(&kernel, &image.files)?;
        kernel.pid.store(image.pid, Ordering::SeqCst);
        kernel.tasks.lock().next_tid = image.next_tid;
        *kernel.umask.lock() = image.umask;
        *kernel.mm.lock() = image.mm;
        *kernel.signals.lock() = image.signals.clone();
        *kernel.timers.lock() = image.timers.clone();
        *kernel.random.lock() = image.random.clone();
        *kernel.started.lock() = image.started.clone();
        let mut cpus = vec![cpu];
        for _ in 1..image.threads.len() {
            let next = cpus[0].new_thread();
            cpus.push(next);
        }
        let tasks: Vec<Task> = image
            .threads
            .iter()
            .zip(cpus)
            .map(|(thread, cpu)| restore_thread(&kernel, thread, cpu))
            .collect();
        let shared = |tid: i32| {
            tasks
                .iter()
                .find(|task| task.tid == tid)
                .map(|t| t.shared.clone())
        };
        kernel
            .futexes
            .lock()
            .restore(&image.futexes, image.last_ticket, shared);
        signal::host::restore(&kernel);
        let mut process = Process::with_tasks(kernel, tasks, image.current as usize);
        if let Run::Exact(run) = &mut process.run {
            run.set_turn_ends(image.turn_ends);
        }
        Ok(process)
    }
}

pub(crate) fn refused(why: String) -> Error {
    Error::Save(why)
}

/// What could not come from [`Process::save`].
fn check(image: &ProcessImage) -> Result<(), Error> {
    let bad = |what: &str| Err(Error::Resume(format!("the image is inconsistent: {what}")));
    if image.threads.is_empty() || image.current >= image.threads.len() as u64 {
        return bad("no thread has the turn");
    }
    let mut tids: Vec<i32> = image.threads.iter().map(|thread| thread.tid).collect();
    tids.sort_unstable();
    tids.dedup();
    if tids.len() != image.threads.len() || tids.iter().any(|&tid| tid <= 0) {
        return bad("thread numbers");
    }
    if image
        .threads
        .iter()
        .any(|thread| thread.state.x[0] != 0 || thread.state.instret > image.total)
    {
        return bad("registers");
    }
    let limit = host::fds::guest_fd_limit();
    if image
        .files
        .iter()
        .any(|file| !(0..limit).contains(&file.fd))
    {
        return bad("file numbers");
    }
    Ok(())
}

fn save_thread(task: &Task) -> ThreadImage {
    let pending = task.pending.wait.as_ref().map(|wait| PendingImage {
        deadline: task.pending.deadline,
        progress: task.pending.progress,
        fds: wait.fds.clone(),
        until: wait.deadline,
        poll: wait.poll,
    });
    ThreadImage {
        tid: task.tid,
        state: *task.state(),
        mask: task.mask(),
        saved_mask: task.saved_mask,
        awaits: task.shared.awaits.load(Ordering::SeqCst),
        altstack: task.altstack,
        clear_tid: task.clear_tid,
        robust_list: task.robust_list,
        name: task.name,
        attention: task.shared.attention.load(Ordering::SeqCst),
        woken: task.shared.sleeper.is_woken(),
        pending,
    }
}

fn restore_thread(kernel: &Arc<Kernel>, image: &ThreadImage, mut cpu: Box<dyn Cpu>) -> Task {
    *cpu.state_mut() = image.state;
    let mut task = Task::new(kernel.clone(), cpu, image.tid);
    task.set_mask(image.mask);
    task.saved_mask = image.saved_mask;
    task.altstack = image.altstack;
    task.clear_tid = image.clear_tid;
    task.robust_list = image.robust_list;
    task.name = image.name;
    task.shared.awaits.store(image.awaits, Ordering::SeqCst);
    task.shared
        .attention
        .store(image.attention, Ordering::SeqCst);
    if image.woken {
        task.shared.sleeper.wake();
    }
    if let Some(pending) = &image.pending {
        let (fds, deadline, poll) = (pending.fds.clone(), pending.until, pending.poll);
        let wait = Wait {
            fds,
            deadline,
            poll,
            ..Wait::default()
        };
        task.pending = Pending {
            deadline: pending.deadline,
            progress: pending.progress,
            wait: Some(wait),
            ..Pending::default()
        };
    }
    task
}
