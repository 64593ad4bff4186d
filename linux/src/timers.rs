//! Interval timers (setitimer) and POSIX timers (timer_create). Kept by us, so that they work
//! under either scheduler; under host threads one helper thread watches them.

use crate::abi::structs::{Reader, Timespec, Writer};
use crate::abi::*;
use crate::call::{Call, SysResult};
use crate::errno::Errno;
use crate::fs::special::{decode_itimerspec, encode_itimerspec};
use crate::kernel::Kernel;
use crate::signal::{self, Info, SI_KERNEL, SI_TIMER};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The clock that a timer runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Base {
    Monotonic,
    Realtime,
    Processor,
}

/// What happens when it expires.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Notify {
    Nothing,
    Process(i32),
    Thread(i32, i32),
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Timer {
    base: Base,
    notify: Notify,
    /// On its clock; `None` is disarmed.
    deadline: Option<u64>,
    interval: u64,
    /// `si_value`.
    value: u64,
    code: i32,
    overrun: u64,
}

/// All timers of a process. The three of setitimer are -1 (real), -2 (virtual) and -3 (profiling).
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Timers {
    by_id: BTreeMap<i32, Timer>,
    next_id: i32,
    /// The helper thread runs.
    #[serde(skip)]
    watched: bool,
}

impl Timers {
    /// execve keeps the interval timers only.
    pub fn clear_posix(&mut self) {
        self.by_id.retain(|&id, _| id < 0);
    }
    /// A forked child has no timers, and no helper thread.
    pub fn clear(&mut self) {
        *self = Timers::default();
    }
}

fn now(kernel: &Kernel, base: Base) -> u64 {
    match base {
        Base::Monotonic => kernel.clock.monotonic(),
        Base::Realtime => kernel.clock.realtime(),
        Base::Processor => kernel.clock.process_cpu(),
    }
}

/// Sends the signals of timers that have expired; nanoseconds until the next one may.
pub(crate) fn expire(kernel: &Kernel) -> Option<u64> {
    let mut due = Vec::new();
    let mut next: Option<u64> = None;
    {
        let mut timers = kernel.timers.lock();
        for (&id, timer) in &mut timers.by_id {
            let Some(deadline) = timer.deadline else {
                continue;
            };
            let now = now(kernel, timer.base);
            if now >= deadline {
                due.push((id, *timer));
                timer.overrun = 0;
                timer.deadline = (timer.interval > 0).then(|| {
                    // Expirations that were missed are counted, not delivered.
                    let missed = (now - deadline) / timer.interval;
                    timer.overrun = missed;
                    deadline + (missed + 1) * timer.interval
                });
            }
            if let Some(deadline) = timer.deadline {
                let left = deadline.saturating_sub(now);
                next = Some(next.map_or(left, |next| next.min(left)));
            }
        }
    }
    for (id, timer) in due {
        let info = |number| Info {
            number,
            code: timer.code,
            words: match id {
                0.. => [id as u64 | timer.overrun << 32, timer.value, 0],
                _ => [0; 3],
            },
        };
        // A full queue loses the expiration, as on Linux; a thread may have ended.
        let _ = match timer.notify {
            Notify::Nothing => Ok(()),
            Notify::Process(number) => signal::send_to_process(kernel, info(number)),
            Notify::Thread(tid, number) => signal::send_to_thread(kernel, tid, info(number)),
        };
    }
    next
}

/// Starts the helper thread unless it runs or the exact scheduler does its work.
fn watch(kernel: &Arc<Kernel>) {
    if kernel.exact() {
        return;
    }
    let mut timers = kernel.timers.lock();
    if std::mem::replace(&mut timers.watched, true) {
        return;
    }
    let kernel = Arc::downgrade(kernel);
    let helper = std::thread::Builder::new().name("guest timers".into());
    let started = helper.spawn(move || {
        // Signals are for the guest's threads.
        crate::host::signal::block_all();
        while let Some(kernel) = kernel.upgrade() {
            if kernel.ending.load(std::sync::atomic::Ordering::SeqCst) {
                break;
            }
            let pause = expire(&kernel).unwrap_or(u64::MAX).clamp(20_000, 2_000_000);
            drop(kernel);
            // Short steps, so that new timers and the process's end are seen.
            std::thread::sleep(std::time::Duration::from_nanos(pause));
        }
    });
    timers.watched = started.is_ok();
}

/// setitimer's timers: id, clock, signal.
fn interval_timer(which: u64) -> Result<(i32, Base, i32), Errno> {
    Ok(match which {
        0 => (-1, Base::Monotonic, signal::SIGALRM),
        1 => (-2, Base::Processor, signal::SIGVTALRM),
        2 => (-3, Base::Processor, signal::SIGPROF),
        _ => return Err(Errno::EINVAL),
    })
}

/// Interval and time left of a timer.
fn remaining(kernel: &Kernel, timer: Option<&Timer>) -> (u64, u64) {
    timer.map_or((0, 0), |timer| {
        let left = timer.deadline.map_or(0, |deadline| {
            deadline.saturating_sub(now(kernel, timer.base)).max(1)
        });
        (timer.interval, left)
    })
}

/// `struct itimerval`: interval, value in seconds and microseconds.
fn encode_itimerval((interval, value): (u64, u64)) -> Vec<u8> {
    // Rounded up: what has not expired must not look as if it had.
    let parts = |nanos: u64| {
        (
            nanos.div_ceil(1000) / 1_000_000,
            nanos.div_ceil(1000) % 1_000_000,
        )
    };
    let (interval, value) = (parts(interval), parts(value));
    Writer::new()
        .u64(interval.0)
        .u64(interval.1)
        .u64(value.0)
        .u64(value.1)
        .0
}

pub(crate) fn getitimer(call: &mut Call) -> SysResult {
    let (id, ..) = interval_timer(call.arg(0))?;
    let left = remaining(&call.kernel, call.kernel.timers.lock().by_id.get(&id));
    call.write(call.arg(1), &encode_itimerval(left))?;
    Ok(0)
}

pub(crate) fn setitimer(call: &mut Call) -> SysResult {
    let (id, base, number) = interval_timer(call.arg(0))?;
    let kernel = call.kernel.clone();
    let (interval, value) = match call.arg(1) {
        0 => (0, 0),
        at => {
            let raw = call.read::<32>(at)?;
            let reader = Reader(&raw);
            let nanos = |at: usize| {
                let nanoseconds = reader.i64(at + 8).checked_mul(1000).ok_or(Errno::EINVAL)?;
                Timespec {
                    seconds: reader.i64(at),
                    nanoseconds,
                }
                .nanos()
                .ok_or(Errno::EINVAL)
            };
            (nanos(0)?, nanos(16)?)
        }
    };
    let deadline = (value > 0).then(|| now(&kernel, base).saturating_add(value));
    let (notify, code) = (Notify::Process(number), SI_KERNEL);
    let timer = Timer {
        base,
        notify,
        deadline,
        interval,
        value: 0,
        code,
        overrun: 0,
    };
    let old = {
        let mut timers = kernel.timers.lock();
        let old = remaining(&kernel, timers.by_id.get(&id));
        timers.by_id.insert(id, timer);
        old
    };
    if deadline.is_some() {
        watch(&kernel);
    }
    if call.arg(2) != 0 {
        call.write(call.arg(2), &encode_itimerval(old))?;
    }
    Ok(0)
}

pub(crate) fn timer_create(call: &mut Call) -> SysResult {
    const SIGEV_SIGNAL: i32 = 0;
    const SIGEV_NONE: i32 = 1;
    const SIGEV_THREAD_ID: i32 = 4;
    let base = match call.arg(0) {
        CLOCK_REALTIME | CLOCK_TAI | CLOCK_REALTIME_ALARM => Base::Realtime,
        CLOCK_MONOTONIC | CLOCK_BOOTTIME | CLOCK_BOOTTIME_ALARM => Base::Monotonic,
        id if id == CLOCK_PROCESS_CPUTIME_ID || id == CLOCK_THREAD_CPUTIME_ID => Base::Processor,
        id if (id as i32) < 0 => Base::Processor,
        _ => return Err(Errno::EINVAL.into()),
    };
    let kernel = call.kernel.clone();
    let (notify, value) = match call.arg(1) {
        0 => (Notify::Process(signal::SIGALRM), None),
        at => {
            let raw = call.read::<64>(at)?;
            let reader = Reader(&raw);
            let (number, how, tid) = (reader.i32(8), reader.i32(12), reader.i32(16));
            if how != SIGEV_NONE && signal::bit(number) == 0 {
                return Err(Errno::EINVAL.into());
            }
            let notify = match how {
                SIGEV_SIGNAL => Notify::Process(number),
                SIGEV_NONE => Notify::Nothing,
                SIGEV_THREAD_ID if kernel.tasks.lock().by_tid.contains_key(&tid) => {
                    Notify::Thread(tid, number)
                }
                _ => return Err(Errno::EINVAL.into()),
            };
            (notify, Some(reader.u64(0)))
        }
    };
    let mut timers = kernel.timers.lock();
    let id = timers.next_id;
    call.task.guest.write_u32(call.arg(2), id as u32)?;
    timers.next_id += 1;
    let value = value.unwrap_or(id as u64);
    let code = SI_TIMER;
    let timer = Timer {
        base,
        notify,
        deadline: None,
        interval: 0,
        value,
        code,
        overrun: 0,
    };
    timers.by_id.insert(id, timer);
    Ok(0)
}

pub(crate) fn timer_settime(call: &mut Call) -> SysResult {
    let (id, absolute) = (call.int(0), call.arg(1) & TIMER_ABSTIME != 0);
    let (interval, value) = decode_itimerspec(&call.read(call.arg(2))?)?;
    let kernel = call.kernel.clone();
    let old = {
        let mut timers = kernel.timers.lock();
        let timer = timers
            .by_id
            .get_mut(&id)
            .filter(|_| id >= 0)
            .ok_or(Errno::EINVAL)?;
        let old = remaining(&kernel, Some(timer));
        let base = if absolute {
            0
        } else {
            now(&kernel, timer.base)
        };
        timer.deadline = (value > 0).then(|| base.saturating_add(value));
        timer.interval = interval;
        timer.overrun = 0;
        old
    };
    watch(&kernel);
    if call.arg(3) != 0 {
        call.write(call.arg(3), &encode_itimerspec(old))?;
    }
    Ok(0)
}

pub(crate) fn timer_gettime(call: &mut Call) -> SysResult {
    let left = {
        let timers = call.kernel.timers.lock();
        let timer = timers.by_id.get(&call.int(0)).ok_or(Errno::EINVAL)?;
        remaining(&call.kernel, Some(timer))
    };
    call.write(call.arg(1), &encode_itimerspec(left))?;
    Ok(0)
}

pub(crate) fn timer_getoverrun(call: &mut Call) -> SysResult {
    let timers = call.kernel.timers.lock();
    Ok(timers.by_id.get(&call.int(0)).ok_or(Errno::EINVAL)?.overrun)
}

pub(crate) fn timer_delete(call: &mut Call) -> SysResult {
    call.kernel
        .timers
        .lock()
        .by_id
        .remove(&call.int(0))
        .ok_or(Errno::EINVAL)?;
    Ok(0)
}
