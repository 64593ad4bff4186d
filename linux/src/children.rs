//! Child processes: forked host processes, and waiting for them.

use crate::abi::structs::Writer;
use crate::abi::*;
use crate::call::{Call, Fail, Restart, SysResult, Wait};
use crate::errno::Errno;
use crate::fs::fds::{Entry, Kind};
use crate::host;
use crate::host::process::Waited;
use crate::kernel::Kernel;
use crate::signal::Info;
use crate::task::Task;
use crate::thread::{CloneArgs, set_up};
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::Ordering;

/// Stack above the stack pointer that a vfork child hands back to its parent.
const SHARED_STACK: u64 = 16 << 10;

/// A guest process's children.
#[derive(Default)]
pub(crate) struct Children {
    /// By pid, a file that is readable when the child has ended.
    by_pid: BTreeMap<i32, OwnedFd>,
    /// In a vfork child: to the parent, which waits until this is closed.
    parent_waits: Option<(OwnedFd, u64)>,
}

impl Children {
    /// Whether there are none that we know of.
    pub fn is_empty(&self) -> bool {
        self.by_pid.is_empty()
    }
}

impl Kernel {
    /// The host's number of a process that the guest names. Under exact scheduling a process does
    /// not know its own.
    pub fn host_pid(&self, pid: i32) -> i32 {
        if self.exact() && pid == self.parent_pid() {
            host::process::parent_pid()
        } else {
            pid
        }
    }

    /// Whether the guest may deal with a process: with isolation only with those of its run.
    pub fn knows(&self, host_pid: i32) -> bool {
        self.view.passthrough
            || self
                .roster
                .as_ref()
                .is_some_and(|roster| roster.contains(host_pid))
    }

    /// Sends a signal to other processes, as kill(2): to one, to a group (0 or negative), or to
    /// all (-1).
    pub fn kill_others(&self, pid: i32, number: i32) -> Result<(), Errno> {
        if self.view.passthrough {
            return host::signal::kill(self.host_pid(pid), number);
        }
        let roster = self.roster.as_ref().ok_or(Errno::ESRCH)?;
        if pid > 0 {
            let pid = self.host_pid(pid);
            return if roster.contains(pid) {
                host::signal::kill(pid, number)
            } else {
                Err(Errno::ESRCH)
            };
        }
        let group = match pid {
            0 => Some(host::process::process_group(0)?),
            -1 => None,
            pid => Some(-pid),
        };
        let own = host::process::pid();
        let mut found = false;
        for pid in roster.all() {
            let in_group = group.is_none_or(|group| host::process::process_group(pid) == Ok(group));
            if in_group && (group.is_some() || pid != own) {
                found |= host::signal::kill(pid, number).is_ok();
            }
        }
        if found { Ok(()) } else { Err(Errno::ESRCH) }
    }
}

pub(crate) fn fork(call: &mut Call, args: &CloneArgs) -> SysResult {
    let kernel = call.kernel.clone();
    let vfork = args.flags & CLONE_VFORK != 0;
    let pipe = if vfork { Some(high_pipe()?) } else { None };
    let mut forked = Err(Errno::ENOSYS);
    call.task.cpu.fork(&mut || {
        // SAFETY: all locks that this crate and the guest's memory have are held, the engine
        // holds its own around this call, and the C library takes care of its.
        forked = unsafe { fork_with_locks(&kernel) };
        forked == Ok(0)
    });
    match forked {
        Err(errno) => Err(errno.into()),
        Ok(0) => {
            become_child(call.task, args, pipe);
            Err(Fail::StateSet)
        }
        Ok(pid) => finish_parent(call, args, pid, pipe),
    }
}

/// # Safety
/// Called within `Cpu::fork`, where the engine holds its locks.
unsafe fn fork_with_locks(kernel: &Kernel) -> Result<i32, Errno> {
    let _tasks = kernel.tasks.lock();
    let _mm = kernel.mm.lock();
    let _fds = kernel.fds.lock();
    let _signals = kernel.signals.lock();
    let _futexes = kernel.futexes.lock();
    let _children = kernel.children.lock();
    let _timers = kernel.timers.lock();
    let _random = kernel.random.lock();
    let _started = kernel.started.lock();
    let _view = kernel.view.fork_guard();
    let _umask = kernel.umask.lock();
    let _observer = kernel.observer.lock();
    let _main = kernel.main.lock();
    let _space = kernel.space.fork_guard();
    // SAFETY: the caller's promise, and the locks above.
    unsafe { host::process::fork() }
}

fn high_pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (read, write) = host::io::pipe()?;
    // SAFETY: both were just made and are nobody else's.
    let ends = unsafe { (OwnedFd::from_raw_fd(read), OwnedFd::from_raw_fd(write)) };
    Ok((host::fds::move_high(ends.0), host::fds::move_high(ends.1)))
}

fn become_child(task: &mut Task, args: &CloneArgs, pipe: Option<(OwnedFd, OwnedFd)>) {
    let kernel = task.kernel.clone();
    let sp = task.state().x[2];
    kernel.forked.store(true, Ordering::SeqCst);
    let pid = host::process::pid();
    kernel.exact_parent.store(kernel.pid(), Ordering::SeqCst);
    kernel.pid.store(pid, Ordering::SeqCst);
    if let Some(roster) = &kernel.roster {
        roster.add(pid);
    }
    task.tid = pid;
    task.shared.tid.store(pid, Ordering::SeqCst);
    task.shared.sleeper.adopt();
    crate::signal::host::forked();
    crate::signal::host::register(&kernel, &task.shared);
    {
        let mut tasks = kernel.tasks.lock();
        tasks.by_tid.clear();
        tasks.born.clear();
        tasks.by_tid.insert(pid, task.shared.clone());
        tasks.exit = None;
        tasks.execing = None;
        tasks.next_tid = pid + 1;
    }
    kernel.ending.store(false, Ordering::SeqCst);
    kernel.signals.lock().clear_pending();
    kernel.futexes.lock().clear();
    kernel.timers.lock().clear();
    *kernel.children.lock() = Children {
        parent_waits: pipe.map(|(_, write)| (write, sp)),
        ..Children::default()
    };
    task.clear_tid = 0;
    task.robust_list = 0;
    task.pending = Default::default();
    set_up(task, args);
    if args.flags & CLONE_CHILD_SETTID != 0 {
        // As on Linux: a bad address is the guest's problem.
        let _ = task.guest.write_u32(args.child_tid, pid as u32);
    }
}

fn finish_parent(
    call: &mut Call,
    args: &CloneArgs,
    pid: i32,
    pipe: Option<(OwnedFd, OwnedFd)>,
) -> SysResult {
    let kernel = call.kernel.clone();
    if let Some(roster) = &kernel.roster {
        roster.add(pid);
    }
    if args.flags & CLONE_PARENT_SETTID != 0 {
        let _ = call.task.guest.write_u32(args.parent_tid, pid as u32);
    }
    if let Ok(pidfd) = host::process::pidfd(pid) {
        if args.flags & CLONE_PIDFD != 0
            && let Ok(copy) = pidfd.try_clone()
        {
            let entry = Entry {
                cloexec: true,
                ..Entry::new(Kind::Stream)
            };
            let number = kernel.fds.lock().add(copy, entry)?;
            let _ = call.task.guest.write_u32(args.pidfd, number as u32);
        }
        kernel
            .children
            .lock()
            .by_pid
            .insert(pid, host::fds::move_high(pidfd));
    }
    if let Some((read, write)) = pipe {
        drop(write);
        wait_for_vfork(call.task, &read);
    }
    Ok(pid as u64)
}

/// Waits until a vfork child has started another program or ended. If it ended, what it changed
/// of the stack that both have in common on Linux becomes the parent's: posix_spawn reports its
/// error that way.
fn wait_for_vfork(task: &mut Task, pipe: &OwnedFd) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = host::io::Transfer::Read(&mut buffer);
        match host::io::transfer(pipe.as_raw_fd(), read, host::io::At::Position) {
            Ok(0) => break,
            Ok(len) => bytes.extend(&buffer[..len]),
            Err(Errno::EINTR) => {}
            Err(_) => break,
        }
    }
    let sp = task.state().x[2];
    for (index, piece) in bytes.chunks(64).enumerate() {
        let at = sp + index as u64 * 64;
        if task
            .guest
            .read_vec(at, piece.len())
            .is_ok_and(|before| before != piece)
        {
            // It was readable just now; if it is not writable, the child did not write it either.
            let _ = task.guest.write(at, piece);
        }
    }
}

/// The child has a program of its own now: a waiting vfork parent goes on.
pub(crate) fn release_parent(kernel: &Kernel) {
    kernel.children.lock().parent_waits = None;
}

/// The child ends without having started a program.
pub(crate) fn child_ends(task: &mut Task) {
    let Some((pipe, sp)) = task.kernel.children.lock().parent_waits.take() else {
        return;
    };
    let mut stack = Vec::new();
    while (stack.len() as u64) < SHARED_STACK {
        match task.guest.read_vec(sp + stack.len() as u64, 1024) {
            Ok(piece) => stack.extend(piece),
            Err(_) => break,
        }
    }
    let mut rest = &stack[..];
    while !rest.is_empty() {
        let write = host::io::Transfer::Write(rest);
        match host::io::transfer(pipe.as_raw_fd(), write, host::io::At::Position) {
            Ok(len) => rest = &rest[len..],
            Err(Errno::EINTR) => {}
            Err(_) => break,
        }
    }
}

/// Waits for a child: the host's answer, or a wait for one of them to end.
fn wait(call: &mut Call, kind: u64, id: i32, options: u32) -> Result<Option<Waited>, Fail> {
    let kernel = call.kernel.clone();
    let host_id = if kind == P_PID {
        kernel.host_pid(id)
    } else {
        id
    };
    if let Some(waited) = host::process::wait_now(kind, host_id, options)? {
        let ended = matches!(waited.code, 1..=3);
        if ended && options & WNOWAIT == 0 {
            kernel.children.lock().by_pid.remove(&waited.pid);
            if let Some(roster) = &kernel.roster {
                roster.remove(waited.pid);
            }
        }
        return Ok(Some(waited));
    }
    if options & WNOHANG != 0 {
        return Ok(None);
    }
    let children = kernel.children.lock();
    let wanted = |pid: i32| kind != P_PID || pid == host_id;
    let files = children.by_pid.iter().filter(|&(&pid, _)| wanted(pid));
    let fds: Vec<_> = files.map(|(_, fd)| (fd.as_raw_fd(), POLLIN)).collect();
    drop(children);
    // Stopping and continuing is announced by no file.
    let poll = options & (WUNTRACED | WCONTINUED) != 0 || fds.is_empty();
    Err(call.wait(
        Wait {
            fds,
            poll,
            ..Wait::default()
        },
        Restart::IfAsked,
    ))
}

pub(crate) fn wait4(call: &mut Call) -> SysResult {
    let (pid, options) = (call.int(0), call.uint(2));
    let known = WNOHANG | WUNTRACED | WCONTINUED | 0xe000_0000;
    if options & !known != 0 {
        return Err(Errno::EINVAL.into());
    }
    let (kind, id) = match pid {
        ..-1 => (P_PGID, -pid),
        -1 => (P_ALL, 0),
        0 => (P_PGID, 0),
        pid => (P_PID, pid),
    };
    let asked = options & (WNOHANG | WUNTRACED | WCONTINUED) | WEXITED;
    let Some(waited) = wait(call, kind, id, asked)? else {
        return Ok(0);
    };
    let status = match waited.code {
        1 => (waited.status & 0xff) << 8,
        2 => waited.status,
        3 => waited.status | 0x80,
        6 => 0xffff,
        _ => waited.status << 8 | 0x7f,
    };
    if call.arg(1) != 0 {
        call.write(call.arg(1), &status.to_le_bytes())?;
    }
    if call.arg(3) != 0 {
        let usage = waited
            .usage
            .words
            .into_iter()
            .fold(Writer::new(), Writer::u64)
            .pad_to(144);
        call.write(call.arg(3), &usage.0)?;
    }
    Ok(waited.pid as u64)
}

pub(crate) fn waitid(call: &mut Call) -> SysResult {
    let (kind, id, options) = (call.arg(0), call.int(1), call.uint(3));
    let states = WEXITED | WUNTRACED | WCONTINUED;
    if options & states == 0 || options & !(states | WNOHANG | WNOWAIT | 0xe000_0000) != 0 {
        return Err(Errno::EINVAL.into());
    }
    if kind == P_PIDFD {
        call.kernel.fds.lock().get(id)?;
    } else if kind > P_PIDFD {
        return Err(Errno::EINVAL.into());
    }
    let waited = wait(call, kind, id, options & (states | WNOHANG | WNOWAIT))?;
    let mut info = Info::default();
    if let Some(waited) = &waited {
        info = Info::sent(crate::signal::SIGCHLD, waited.code, waited.pid, waited.uid);
        info.words[1] = waited.status as u32 as u64;
    }
    if call.arg(2) != 0 {
        call.write(call.arg(2), &info.encode())?;
    }
    if call.arg(4) != 0 {
        let usage = waited.map(|waited| waited.usage).unwrap_or_default();
        let usage = usage
            .words
            .into_iter()
            .fold(Writer::new(), Writer::u64)
            .pad_to(144);
        call.write(call.arg(4), &usage.0)?;
    }
    Ok(0)
}

pub(crate) fn pidfd_open(call: &mut Call) -> SysResult {
    let pid = match call.int(0) {
        pid if pid == call.kernel.pid() => host::process::pid(),
        pid => call.kernel.host_pid(pid),
    };
    if !call.kernel.knows(pid) {
        return Err(Errno::ESRCH.into());
    }
    let fd = host::process::pidfd(pid)?;
    let entry = Entry {
        cloexec: true,
        ..Entry::new(Kind::Stream)
    };
    Ok(call.kernel.fds.lock().add(fd, entry)? as u64)
}

pub(crate) fn pidfd_send_signal(call: &mut Call) -> SysResult {
    call.kernel.fds.lock().get(call.int(0))?;
    host::process::pidfd_signal(call.int(0), call.int(1))?;
    Ok(0)
}
