//! A whole process as data: everything but its memory pages, which the snapshot takes from the
//! address space.

use crate::abi::*;
use crate::call::{Pending, Wait};
use crate::cpu::Cpu;
use crate::exec::Started;
use crate::fs::fds::{Entry, Kind};
use crate::fs::view::View;
use crate::futex::Waiting;
use crate::kernel::Kernel;
use crate::mm::Mm;
use crate::process::{Process, Run, new_kernel};
use crate::random::Random;
use crate::signal::frame::AltStack;
use crate::signal::{self, Signals};
use crate::task::Task;
use crate::timers::Timers;
use crate::{Config, Errno, Error, Schedule, host};
use hart::HartState;
use memory::UserSpace;
use serde::{Deserialize, Serialize};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Files in memory larger than this are not put into an image.
const MOST: u64 = 16 << 20;

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

/// An open file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FileImage {
    /// Its number.
    pub fd: i32,
    /// The guest's path of it, if it has one.
    pub path: Option<Vec<u8>>,
    /// Status flags (O_APPEND...), in the guest's numbers.
    flags: u32,
    cloexec: bool,
    nonblock: bool,
    content: Content,
}

/// Where the file comes from when the process is resumed.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Content {
    /// Standard input, output or error of whoever resumes it.
    Standard(i32),
    /// Another number of the same open file.
    Same(i32),
    /// Opened anew by its path.
    Path { offset: u64 },
    /// A file in memory.
    Memory { bytes: Vec<u8>, offset: u64 },
    /// A directory of the guest's view alone.
    Listing { position: u64 },
    /// A device without a position.
    Device,
}

impl Process {
    /// The process as data. It must not be running, under [`Schedule::Exact`], and must not hold
    /// what exists only outside of it: pipes, sockets, children.
    pub fn save(&self) -> Result<ProcessImage, Error> {
        let Run::Exact(run) = &self.run else {
            return Err(refused("it runs on host threads; start it with --exact".into()));
        };
        let kernel = &*self.kernel;
        if !kernel.children.lock().is_empty() {
            return Err(refused("it has child processes. Save before it starts any".into()));
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
            return Err(Error::Resume("its configuration is not that of an exact run".into()));
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
        let shared = |tid: i32| tasks.iter().find(|task| task.tid == tid).map(|t| t.shared.clone());
        kernel.futexes.lock().restore(&image.futexes, image.last_ticket, shared);
        signal::host::restore(&kernel);
        let mut process = Process::with_tasks(kernel, tasks, image.current as usize);
        if let Run::Exact(run) = &mut process.run {
            run.set_turn_ends(image.turn_ends);
        }
        Ok(process)
    }
}

fn refused(why: String) -> Error {
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
    if image.threads.iter().any(|thread| thread.state.x[0] != 0 || thread.state.instret > image.total) {
        return bad("registers");
    }
    let limit = host::fs::guest_fd_limit();
    if image.files.iter().any(|file| !(0..limit).contains(&file.fd)) {
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
    task.shared.attention.store(image.attention, Ordering::SeqCst);
    if image.woken {
        task.shared.sleeper.wake();
    }
    if let Some(pending) = &image.pending {
        let (fds, deadline, poll) = (pending.fds.clone(), pending.until, pending.poll);
        let wait = Wait { fds, deadline, poll, ..Wait::default() };
        task.pending = Pending {
            deadline: pending.deadline,
            progress: pending.progress,
            wait: Some(wait),
            ..Pending::default()
        };
    }
    task
}

fn save_files(kernel: &Kernel) -> Result<Vec<FileImage>, Error> {
    let fds = kernel.fds.lock();
    let all: Vec<(i32, Entry)> = fds.iter().map(|(fd, entry)| (fd, entry.clone())).collect();
    drop(fds);
    let mut images: Vec<FileImage> = Vec::new();
    for (fd, entry) in &all {
        let content = match images.iter().find(|other| host::fs::is_same_file(*fd, other.fd)) {
            Some(same) => Content::Same(same.fd),
            None => save_content(kernel, *fd, entry)?,
        };
        let unreadable = |errno: Errno| refused(format!("descriptor {fd}: {errno:?}"));
        images.push(FileImage {
            fd: *fd,
            path: entry.path.as_ref().map(|path| path.to_vec()),
            flags: host::fs::status_flags(*fd).map_err(unreadable)?,
            cloexec: entry.cloexec,
            nonblock: entry.nonblock,
            content,
        });
    }
    Ok(images)
}

fn save_content(kernel: &Kernel, fd: i32, entry: &Entry) -> Result<Content, Error> {
    let path = entry.path.as_ref().map(|path| String::from_utf8_lossy(path).into_owned());
    let name = match &path {
        Some(path) => format!("descriptor {fd} ({path})"),
        None => format!("descriptor {fd}"),
    };
    let host_error = |errno: Errno| refused(format!("{name}: {errno:?}"));
    if let Some(listing) = &entry.listing {
        let position = listing.lock().map_or(0, |listing| listing.position as u64);
        return Ok(Content::Listing { position });
    }
    let stat = host::fs::stat_fd(fd).map_err(host_error)?;
    if fd < 3 {
        return Ok(Content::Standard(fd));
    }
    match (stat.mode & S_IFMT, entry.kind) {
        (_, Kind::Epoll | Kind::Event) => {
            Err(refused(format!("{name} is an event file of the host. Close it before")))
        }
        (S_IFIFO, _) => Err(refused(format!("{name} is a pipe. Close it before"))),
        (S_IFSOCK, _) => Err(refused(format!("{name} is a socket. Close it before"))),
        (S_IFCHR, _) => Ok(Content::Device),
        (S_IFREG | S_IFDIR, _) => {
            let offset = host::io::seek(fd, 0, 1).unwrap_or(0);
            if host::fs::is_memory_file(fd) {
                if stat.size > MOST {
                    let size = stat.size;
                    return Err(refused(format!("{name} is a file in memory of {size} bytes")));
                }
                let mut bytes = vec![0; stat.size as usize];
                let read = host::io::Transfer::Read(&mut bytes);
                host::io::transfer(fd, read, host::io::At::Offset(0)).map_err(host_error)?;
                return Ok(Content::Memory { bytes, offset });
            }
            match &entry.path {
                None => Err(refused(format!("{name} has no path in the guest's view"))),
                Some(path) if kernel.view.is_private(path) => Err(refused(format!(
                    "{name} is in this run's private directory, which ends with it. Use --dir /tmp"
                ))),
                Some(_) if stat.nlink == 0 => {
                    Err(refused(format!("{name} is deleted and could not be opened again")))
                }
                Some(_) => Ok(Content::Path { offset }),
            }
        }
        _ => Err(refused(format!("{name} is of a kind that cannot be opened again"))),
    }
}

fn restore_files(kernel: &Kernel, images: &[FileImage]) -> Result<(), Error> {
    for fd in kernel.fds.lock().numbers(3..=i32::MAX) {
        // The process starts with its own files, not with those of whoever resumes it.
        let _ = crate::fs::open::close_fd(kernel, fd);
    }
    for image in images {
        restore_file(kernel, image).map_err(|errno| {
            let path = image.path.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            Error::Resume(format!(
                "descriptor {} ({path}) can't be opened again: {errno:?}. Put the file back",
                image.fd
            ))
        })?;
    }
    for fd in 0..3 {
        if !images.iter().any(|image| image.fd == fd) {
            // The guest had closed it.
            let _ = crate::fs::open::close_fd(kernel, fd);
        }
    }
    Ok(())
}

fn restore_file(kernel: &Kernel, image: &FileImage) -> Result<(), Errno> {
    let path = image.path.clone().unwrap_or_default();
    let fd = image.fd;
    let kind = |opened: i32| crate::fs::fds::kind_of(opened);
    let mut entry = match &image.content {
        Content::Standard(_) => {
            let mut fds = kernel.fds.lock();
            let entry = fds.get_mut(fd)?;
            entry.cloexec = image.cloexec;
            return Ok(());
        }
        Content::Same(other) => {
            let entry = kernel.fds.lock().get(*other)?.clone();
            host::fs::duplicate_to(*other, fd)?;
            entry
        }
        Content::Memory { bytes, offset } => {
            let file = host::fs::memory_file(c"restored", false)?;
            let write = host::io::Transfer::Write(bytes);
            host::io::transfer(file.as_raw_fd(), write, host::io::At::Offset(0))?;
            place(file, fd, Some(*offset))?;
            Entry::at(Kind::Plain, &path)
        }
        Content::Listing { .. } | Content::Path { .. } | Content::Device => {
            let flags = image.flags & !(O_CREAT | O_EXCL | O_TRUNC);
            let number = crate::fs::open::open(kernel, AT_FDCWD, &path, flags, 0)?;
            let entry = kernel.fds.lock().get(number)?.clone();
            if number != fd {
                host::fs::duplicate_to(number, fd)?;
                crate::fs::open::close_fd(kernel, number)?;
            }
            if let Content::Path { offset } = image.content {
                host::io::seek(fd, offset as i64, 0)?;
            }
            if let (Content::Listing { position }, Some(listing)) = (&image.content, &entry.listing)
                && let Ok(mut listing) = listing.lock()
            {
                listing.position = *position as usize;
            }
            Entry { kind: kind(fd), ..entry }
        }
    };
    entry.cloexec = image.cloexec;
    entry.nonblock = image.nonblock;
    kernel.fds.lock().insert(fd, entry);
    Ok(())
}

/// Gives a file the number that it had.
fn place(file: OwnedFd, fd: i32, offset: Option<u64>) -> Result<(), Errno> {
    host::fs::duplicate_to(file.as_raw_fd(), fd)?;
    if let Some(offset) = offset {
        host::io::seek(fd, offset as i64, 0)?;
    }
    Ok(())
}

