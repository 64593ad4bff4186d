//! Reading clocks and sleeping.

use crate::abi::structs::{Timespec, Writer};
use crate::abi::*;
use crate::call::{Call, Restart, SysResult, Wait};
use crate::errno::Errno;
use crate::host;

/// What a clock says, in nanoseconds. Negative numbers name processor clocks of processes and
/// threads.
pub(crate) fn read(call: &Call, id: u64) -> Result<u64, Errno> {
    let clock = &call.kernel.clock;
    Ok(match id {
        CLOCK_REALTIME | CLOCK_REALTIME_COARSE | CLOCK_REALTIME_ALARM | CLOCK_TAI => {
            clock.realtime()
        }
        CLOCK_MONOTONIC
        | CLOCK_MONOTONIC_RAW
        | CLOCK_MONOTONIC_COARSE
        | CLOCK_BOOTTIME
        | CLOCK_BOOTTIME_ALARM => clock.monotonic(),
        CLOCK_PROCESS_CPUTIME_ID => clock.process_cpu(),
        CLOCK_THREAD_CPUTIME_ID => clock.thread_cpu(),
        // Bit 2 of such a number: a thread, else a process.
        id if (id as i32) < 0 && id & 4 != 0 => clock.thread_cpu(),
        id if (id as i32) < 0 => clock.process_cpu(),
        _ => return Err(Errno::EINVAL),
    })
}

pub(crate) fn clock_gettime(call: &mut Call) -> SysResult {
    let time = read(call, call.arg(0))?;
    call.write(call.arg(1), &Timespec::from_nanos(time).encode())?;
    Ok(0)
}

pub(crate) fn clock_getres(call: &mut Call) -> SysResult {
    read(call, call.arg(0))?;
    if call.arg(1) != 0 {
        call.write(call.arg(1), &Timespec::from_nanos(1).encode())?;
    }
    Ok(0)
}

/// The guest cannot set clocks.
pub(crate) fn not_permitted(_: &mut Call) -> SysResult {
    Err(Errno::EPERM.into())
}

pub(crate) fn gettimeofday(call: &mut Call) -> SysResult {
    let time = call.kernel.clock.realtime();
    if call.arg(0) != 0 {
        let (seconds, micros) = (time / 1_000_000_000, time / 1000 % 1_000_000);
        call.write(call.arg(0), &Writer::new().u64(seconds).u64(micros).0)?;
    }
    if call.arg(1) != 0 {
        call.write(call.arg(1), &[0; 8])?;
    }
    Ok(0)
}

pub(crate) fn nanosleep(call: &mut Call) -> SysResult {
    let time = Timespec::decode(&call.read::<16>(call.arg(0))?)
        .nanos()
        .ok_or(Errno::EINVAL)?;
    let deadline = call.deadline(Some(time));
    sleep(call, deadline, Some(call.arg(1)))
}

pub(crate) fn clock_nanosleep(call: &mut Call) -> SysResult {
    let (id, absolute) = (call.arg(0), call.arg(1) & TIMER_ABSTIME != 0);
    let time = Timespec::decode(&call.read::<16>(call.arg(2))?)
        .nanos()
        .ok_or(Errno::EINVAL)?;
    let now = read(call, id)?;
    if id == CLOCK_THREAD_CPUTIME_ID {
        return Err(Errno::EINVAL.into());
    }
    if absolute {
        let deadline = call.deadline(Some(time.saturating_sub(now)));
        return sleep(call, deadline, None);
    }
    let deadline = call.deadline(Some(time));
    sleep(call, deadline, Some(call.arg(3)))
}

fn sleep(call: &mut Call, deadline: Option<u64>, rest: Option<u64>) -> SysResult {
    if call.expired(deadline) {
        return Ok(0);
    }
    if call.task.pending.interrupted
        && let Some(rest) = rest.filter(|&rest| rest != 0)
    {
        let left = deadline
            .unwrap_or(0)
            .saturating_sub(call.kernel.clock.monotonic());
        call.write(rest, &Timespec::from_nanos(left).encode())?;
    }
    Err(call.wait(Wait::until(deadline), Restart::Never))
}

/// times(2): clock ticks of 10 ms.
pub(crate) fn times(call: &mut Call) -> SysResult {
    const TICK: u64 = 10_000_000;
    if call.arg(0) != 0 {
        let ticks = |seconds: u64, micros: u64| seconds * 100 + micros / 10_000;
        let (user, system) = if call.kernel.exact() {
            (call.kernel.clock.process_cpu() / TICK, 0)
        } else {
            let usage = host::process::usage(0)?.words;
            (ticks(usage[0], usage[1]), ticks(usage[2], usage[3]))
        };
        let children = host::process::usage(-1)?.words;
        let of_children = (
            ticks(children[0], children[1]),
            ticks(children[2], children[3]),
        );
        let out = [user, system, of_children.0, of_children.1];
        call.write(
            call.arg(0),
            &out.into_iter().fold(Writer::new(), Writer::u64).0,
        )?;
    }
    Ok(call.kernel.clock.monotonic() / TICK)
}
