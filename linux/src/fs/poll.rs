//! ppoll and pselect6.

use crate::abi::structs::{Reader, Timespec, Writer};
use crate::abi::*;
use crate::call::{Call, Fail, Restart, SysResult, Wait};
use crate::errno::Errno;
use crate::host;

/// More descriptors than this are refused; the guest's limit is far lower.
const MOST: u64 = 1 << 20;

/// A timeout argument: `None` waits for ever.
pub(crate) fn timeout(call: &Call, n: usize) -> Result<Option<u64>, Errno> {
    match call.arg(n) {
        0 => Ok(None),
        at => Timespec::decode(&call.read::<16>(at)?)
            .nanos()
            .map(Some)
            .ok_or(Errno::EINVAL),
    }
}

/// Blocks other signals while the call waits. Undone when it completes, or by the frame of the
/// signal handler that ends it.
pub(crate) fn use_mask(call: &mut Call, at: u64, size: u64) -> Result<(), Errno> {
    if at == 0 {
        return Ok(());
    }
    if size != 8 {
        return Err(Errno::EINVAL);
    }
    let mask = u64::from_le_bytes(call.read(at)?);
    if call.task.saved_mask.is_none() {
        call.task.saved_mask = Some(call.task.mask());
        call.task.set_mask(mask);
    }
    Ok(())
}

pub(crate) fn ppoll(call: &mut Call) -> SysResult {
    let (at, count) = (call.arg(0), call.arg(1));
    if count > MOST {
        return Err(Errno::EINVAL.into());
    }
    let raw = call.task.guest.read_vec(at, count as usize * 8)?;
    let timeout = timeout(call, 2)?;
    use_mask(call, call.arg(3), call.arg(4))?;
    let wanted: Vec<(i32, i16)> = raw
        .chunks_exact(8)
        .map(|fd| (Reader(fd).i32(0), Reader(fd).u16(4) as i16))
        .collect();
    let ready = look(call, &wanted)?;
    let count = ready.iter().filter(|&&events| events != 0).count() as u64;
    let deadline = call.deadline(timeout);
    if count == 0 && !call.expired(deadline) {
        let fds = wanted.into_iter().filter(|&(fd, _)| fd >= 0).collect();
        let wait = Wait {
            fds,
            deadline,
            ..Wait::default()
        };
        return Err(wait_for_files(call, wait));
    }
    let mut out = raw;
    for (fd, events) in out.chunks_exact_mut(8).zip(&ready) {
        fd[6..8].copy_from_slice(&events.to_le_bytes());
    }
    call.write(at, &out)?;
    leave_time(call, 2, deadline)?;
    Ok(count)
}

fn wait_for_files(call: &mut Call, wait: Wait) -> Fail {
    call.wait(wait, Restart::Never)
}

/// Linux writes back how much of the timeout was left.
fn leave_time(call: &mut Call, n: usize, deadline: Option<u64>) -> Result<(), Errno> {
    if let Some(deadline) = deadline {
        let left = deadline.saturating_sub(call.kernel.clock.monotonic());
        // The memory may be read-only; Linux does not mind either.
        let _ = call.write(call.arg(n), &Timespec::from_nanos(left).encode());
    }
    Ok(())
}

/// What is ready now. A descriptor that the guest does not have is POLLNVAL.
fn look(call: &Call, wanted: &[(i32, i16)]) -> Result<Vec<i16>, Errno> {
    let fds = call.kernel.fds.lock();
    let known: Vec<(i32, i16)> = wanted
        .iter()
        .map(|&(fd, events)| {
            if fds.contains(fd) {
                (fd, events)
            } else {
                (-1, 0)
            }
        })
        .collect();
    let has: Vec<bool> = wanted
        .iter()
        .map(|&(fd, _)| fd < 0 || fds.contains(fd))
        .collect();
    drop(fds);
    let mut ready = host::poll::poll_now(&known)?;
    for (events, has) in ready.iter_mut().zip(has) {
        if !has {
            *events = POLLNVAL;
        }
    }
    Ok(ready)
}

/// The sets of select, and what poll calls them.
const SETS: [(usize, i16, i16); 3] = [
    (
        1,
        POLLIN | POLLRDNORM | POLLRDBAND,
        POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR,
    ),
    (
        2,
        POLLOUT | POLLWRNORM | POLLWRBAND,
        POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR,
    ),
    (3, POLLPRI, POLLPRI),
];

pub(crate) fn pselect6(call: &mut Call) -> SysResult {
    let count = call.int(0);
    if !(0..=1 << 20).contains(&count) {
        return Err(Errno::EINVAL.into());
    }
    let words = (count as usize).div_ceil(64);
    let mut sets = Vec::new();
    for (n, wanted, means) in SETS {
        if call.arg(n) != 0 {
            let raw = call.task.guest.read_vec(call.arg(n), words * 8)?;
            sets.push((n, wanted, means, raw));
        }
    }
    let timeout = timeout(call, 4)?;
    if call.arg(5) != 0 {
        let raw = call.read::<16>(call.arg(5))?;
        use_mask(call, Reader(&raw).u64(0), Reader(&raw).u64(8))?;
    }
    let in_set = |raw: &[u8], fd: i32| raw[fd as usize / 8] >> (fd % 8) & 1 != 0;
    let wanted: Vec<(i32, i16)> = (0..count)
        .filter_map(|fd| {
            let bits = sets
                .iter()
                .filter(|set| in_set(&set.3, fd))
                .fold(0, |bits, set| bits | set.1);
            (bits != 0).then_some((fd, bits))
        })
        .collect();
    let ready = look(call, &wanted)?;
    if ready.contains(&POLLNVAL) {
        return Err(Errno::EBADF.into());
    }
    let mut total = 0;
    let mut results = Vec::new();
    for (n, _, means, raw) in &sets {
        let mut result = vec![0u8; raw.len()];
        for (&(fd, _), &events) in wanted.iter().zip(&ready) {
            if in_set(raw, fd) && events & means != 0 {
                result[fd as usize / 8] |= 1 << (fd % 8);
                total += 1;
            }
        }
        results.push((*n, result));
    }
    let deadline = call.deadline(timeout);
    if total == 0 && !call.expired(deadline) {
        return Err(wait_for_files(
            call,
            Wait {
                fds: wanted,
                deadline,
                ..Wait::default()
            },
        ));
    }
    for (n, result) in results {
        call.write(call.arg(n), &result)?;
    }
    leave_time(call, 4, deadline)?;
    Ok(total)
}

/// Writes two numbers, for callers that return pairs of descriptors.
pub(crate) fn pair(first: i32, second: i32) -> Vec<u8> {
    Writer::new().i32(first).i32(second).0
}
