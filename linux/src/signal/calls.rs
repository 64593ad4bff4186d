//! The system calls about signals.

use super::host::{block, follow};
use super::{Action, Info, LAST, SI_TKILL, SI_USER, UNBLOCKABLE, bit};
use super::{send_to_process, send_to_thread};
use crate::abi::structs::{Reader, Writer};
use crate::call::{Call, Restart, SysResult, Wait};
use crate::errno::Errno;
use crate::fs::poll::timeout;
use std::sync::atomic::Ordering;

fn checked_size(call: &Call, n: usize) -> Result<(), Errno> {
    if call.arg(n) == 8 {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}

pub(crate) fn rt_sigaction(call: &mut Call) -> SysResult {
    let (number, new, old) = (call.int(0), call.arg(1), call.arg(2));
    checked_size(call, 3)?;
    let unchangeable = bit(number) & UNBLOCKABLE != 0;
    if bit(number) == 0 || unchangeable && new != 0 {
        return Err(Errno::EINVAL.into());
    }
    let action = match new {
        0 => None,
        at => {
            let raw = call.read::<24>(at)?;
            let reader = Reader(&raw);
            let mask = reader.u64(16) & !UNBLOCKABLE;
            Some(Action {
                handler: reader.u64(0),
                flags: reader.u64(8),
                mask,
            })
        }
    };
    let kernel = call.kernel.clone();
    let mut signals = kernel.signals.lock();
    let before = match action {
        None => signals.action(number),
        Some(action) => {
            let before = signals.set_action(number, action);
            follow(&mut signals, number);
            before
        }
    };
    drop(signals);
    if old != 0 {
        let Action {
            handler,
            flags,
            mask,
        } = before;
        call.write(old, &Writer::new().u64(handler).u64(flags).u64(mask).0)?;
    }
    Ok(0)
}

pub(crate) fn rt_sigprocmask(call: &mut Call) -> SysResult {
    const SIG_BLOCK: i32 = 0;
    const SIG_UNBLOCK: i32 = 1;
    const SIG_SETMASK: i32 = 2;
    let (how, new, old) = (call.int(0), call.arg(1), call.arg(2));
    checked_size(call, 3)?;
    let before = call.task.mask();
    if new != 0 {
        let set = u64::from_le_bytes(call.read(new)?);
        let mask = match how {
            SIG_BLOCK => before | set,
            SIG_UNBLOCK => before & !set,
            SIG_SETMASK => set,
            _ => return Err(Errno::EINVAL.into()),
        };
        if mask & !before != 0 {
            block(&call.kernel, mask);
        }
        call.task.set_mask(mask);
    }
    if old != 0 {
        call.write(old, &before.to_le_bytes())?;
    }
    Ok(0)
}

pub(crate) fn rt_sigpending(call: &mut Call) -> SysResult {
    let size = call.arg(1);
    if size > 8 {
        return Err(Errno::EINVAL.into());
    }
    super::host::drain(&call.kernel);
    let set = call.kernel.signals.lock().pending(call.task.tid) & call.task.mask();
    call.write(call.arg(0), &set.to_le_bytes()[..size as usize])?;
    Ok(0)
}

pub(crate) fn rt_sigsuspend(call: &mut Call) -> SysResult {
    checked_size(call, 1)?;
    let mask = u64::from_le_bytes(call.read(call.arg(0))?);
    if call.task.saved_mask.is_none() {
        block(&call.kernel, mask);
        call.task.saved_mask = Some(call.task.mask());
        call.task.set_mask(mask);
    }
    Err(call.wait(Wait::default(), Restart::Never))
}

pub(crate) fn rt_sigtimedwait(call: &mut Call) -> SysResult {
    checked_size(call, 3)?;
    let set = u64::from_le_bytes(call.read(call.arg(0))?) & !UNBLOCKABLE;
    let timeout = timeout(call, 2)?;
    // Whoever sends one of these may wake this thread although it blocks them.
    call.task.shared.awaits.store(set, Ordering::SeqCst);
    block(&call.kernel, set);
    super::host::drain(&call.kernel);
    let taken = call.kernel.signals.lock().take(call.task.tid, set);
    let deadline = call.deadline(timeout);
    if taken.is_none() && !call.expired(deadline) {
        let wait = Wait {
            deadline,
            ..Wait::default()
        };
        let fail = call.wait(wait, Restart::Never);
        if call.task.pending.interrupted {
            call.task.shared.awaits.store(0, Ordering::SeqCst);
        }
        return Err(fail);
    }
    call.task.shared.awaits.store(0, Ordering::SeqCst);
    let info = taken.ok_or(Errno::EAGAIN)?;
    if call.arg(1) != 0 {
        call.write(call.arg(1), &info.encode())?;
    }
    Ok(info.number as u64)
}

fn valid(number: i32) -> Result<(), Errno> {
    if (0..=LAST).contains(&number) {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}

pub(crate) fn kill(call: &mut Call) -> SysResult {
    let (pid, number) = (call.int(0), call.int(1));
    valid(number)?;
    let kernel = call.kernel.clone();
    if pid == kernel.pid() {
        if number != 0 {
            send_to_process(&kernel, Info::own(&kernel, number, SI_USER))?;
            call.task.shared.attention.store(true, Ordering::SeqCst);
        }
        return Ok(0);
    }
    kernel.kill_others(pid, number)?;
    Ok(0)
}

fn send_thread(call: &mut Call, tid: i32, number: i32, info: Info) -> SysResult {
    valid(number)?;
    if tid <= 0 {
        return Err(Errno::EINVAL.into());
    }
    if number == 0 {
        let known = call.kernel.tasks.lock().by_tid.contains_key(&tid);
        return if known {
            Ok(0)
        } else {
            Err(Errno::ESRCH.into())
        };
    }
    send_to_thread(&call.kernel, tid, info)?;
    Ok(0)
}

pub(crate) fn tkill(call: &mut Call) -> SysResult {
    let (tid, number) = (call.int(0), call.int(1));
    let info = Info::own(&call.kernel, number, SI_TKILL);
    send_thread(call, tid, number, info)
}

pub(crate) fn tgkill(call: &mut Call) -> SysResult {
    let (pid, tid, number) = (call.int(0), call.int(1), call.int(2));
    if pid != call.kernel.pid() {
        // A thread of another process: its main thread stands for it.
        valid(number)?;
        if pid != tid || pid <= 0 {
            return Err(Errno::ESRCH.into());
        }
        call.kernel.kill_others(pid, number)?;
        return Ok(0);
    }
    let info = Info::own(&call.kernel, number, SI_TKILL);
    send_thread(call, tid, number, info)
}

fn queued_info(call: &Call, n: usize, number: i32) -> Result<Info, Errno> {
    let mut info = Info::decode(&call.read(call.arg(n))?);
    // Nobody may pretend to be the kernel.
    if info.code >= 0 || info.code == SI_TKILL {
        return Err(Errno::EPERM);
    }
    info.number = number;
    Ok(info)
}

pub(crate) fn rt_sigqueueinfo(call: &mut Call) -> SysResult {
    let (pid, number) = (call.int(0), call.int(1));
    valid(number)?;
    let info = queued_info(call, 2, number)?;
    if pid == call.kernel.pid() {
        if number != 0 {
            send_to_process(&call.kernel, info)?;
            call.task.shared.attention.store(true, Ordering::SeqCst);
        }
    } else {
        call.kernel.kill_others(pid, number)?;
    }
    Ok(0)
}

pub(crate) fn rt_tgsigqueueinfo(call: &mut Call) -> SysResult {
    let (pid, tid, number) = (call.int(0), call.int(1), call.int(2));
    if pid != call.kernel.pid() {
        return Err(Errno::ESRCH.into());
    }
    let info = queued_info(call, 3, number)?;
    send_thread(call, tid, number, info)
}
