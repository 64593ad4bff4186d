//! execve.

use crate::abi::*;
use crate::call::{Call, Fail, SysResult};
use crate::errno::Errno;
use crate::kernel::Kernel;
use crate::load::{load, prepare};
use crate::task::Task;
use crate::{Error, host, mm, signal};
use std::sync::atomic::Ordering;

/// Strings that execve takes, each and in all.
const MAX_STRING: usize = 128 << 10;
const MAX_STRINGS: usize = 2 << 20;

pub(crate) fn execve(call: &mut Call) -> SysResult {
    let path = call.path(0)?;
    execute(call, AT_FDCWD, &path, 1)
}

pub(crate) fn execveat(call: &mut Call) -> SysResult {
    let path = call.path(1)?;
    let flags = call.uint(4);
    let dir = call.int(0);
    if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        call.kernel.fds.lock().get(dir)?;
        let path = format!("/proc/self/fd/{dir}").into_bytes();
        return execute(call, AT_FDCWD, &path, 2);
    }
    execute(call, dir, &path, 2)
}

/// The strings of a null-terminated array of pointers.
fn strings(call: &Call, at: u64) -> Result<Vec<Vec<u8>>, Errno> {
    let mut all = Vec::new();
    let mut size = 0;
    if at == 0 {
        return Ok(all);
    }
    for n in 0.. {
        let pointer = call.task.guest.read_u64(at.wrapping_add(n * 8))?;
        if pointer == 0 {
            break;
        }
        let string = call.task.guest.string(pointer, MAX_STRING, Errno::E2BIG)?;
        size += string.len() + 9;
        if size > MAX_STRINGS {
            return Err(Errno::E2BIG);
        }
        all.push(string);
    }
    Ok(all)
}

fn execute(call: &mut Call, dir: i32, path: &[u8], first: usize) -> SysResult {
    let mut argv = strings(call, call.arg(first))?;
    let envp = strings(call, call.arg(first + 1))?;
    if argv.is_empty() {
        argv.push(Vec::new());
    }
    let kernel = call.kernel.clone();
    let prepared = match prepare(&kernel, dir, path, argv.clone(), envp.clone()) {
        Ok(prepared) => prepared,
        Err(refusal) => {
            let foreign = matches!(refusal.error, Error::Elf { .. }) && kernel.view.passthrough;
            if foreign {
                // Without isolation a program of the host's may be run, as binfmt users need.
                return Err(on_host(&kernel, path, &argv, &envp).into());
            }
            return Err(refusal.errno.into());
        }
    };
    end_other_threads(call.task);
    let task = &mut *call.task;
    task.cpu.program_ends();
    mm::clear(&mut task.guest)?;
    task.cpu.code_changed();
    crate::robust::forget_thread(task);
    kernel.signals.lock().reset_for_exec();
    signal::host::follow_all(&kernel);
    task.altstack = Default::default();
    close_on_exec(&kernel);
    kernel.timers.lock().clear_posix();
    if load(task, prepared).is_err() {
        // There is nothing to go back to.
        let exit = crate::Exit::Signal {
            number: signal::SIGKILL,
            report: None,
        };
        return Err(Fail::ExitProcess(exit));
    }
    crate::children::release_parent(&kernel);
    host::process::set_thread_name(&task.name);
    Err(Fail::StateSet)
}

fn on_host(kernel: &Kernel, path: &[u8], argv: &[Vec<u8>], envp: &[Vec<u8>]) -> Errno {
    for (fd, entry) in kernel.fds.lock().iter() {
        host::process::set_inherited(fd, !entry.cloexec);
    }
    host::process::execute(path, argv, envp)
}

fn close_on_exec(kernel: &Kernel) {
    let mut fds = kernel.fds.lock();
    let closing: Vec<i32> = fds
        .iter()
        .filter(|(_, entry)| entry.cloexec)
        .map(|(fd, _)| fd)
        .collect();
    for fd in closing {
        if fds.remove(fd).is_ok() {
            // Whatever the host says, the number is free afterwards.
            let _ = host::fds::close(fd);
        }
    }
}

/// The calling thread becomes the only one, and takes the process's number.
fn end_other_threads(task: &mut Task) {
    let kernel = task.kernel.clone();
    let alone = {
        let mut tasks = kernel.tasks.lock();
        tasks.execing = Some(task.tid);
        tasks.born.clear();
        kernel
            .ending
            .store(tasks.by_tid.len() > 1, Ordering::SeqCst);
        tasks.by_tid.len() <= 1
    };
    if !alone {
        if kernel.exact() {
            crate::exact::end_others(&kernel, task.tid);
        } else {
            kernel.wait_tasks(|tasks| tasks.by_tid.len() <= 1);
        }
    }
    let mut tasks = kernel.tasks.lock();
    tasks.execing = None;
    kernel.ending.store(tasks.exit.is_some(), Ordering::SeqCst);
    if task.tid != kernel.pid() {
        tasks.by_tid.remove(&task.tid);
        kernel.signals.lock().rename(task.tid, kernel.pid());
        task.tid = kernel.pid();
        task.shared.tid.store(task.tid, Ordering::SeqCst);
        tasks.by_tid.insert(task.tid, task.shared.clone());
        signal::host::register(&kernel, &task.shared);
    }
}
