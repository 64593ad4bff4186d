//! Robust lists, and what else a thread's end does to futexes.

use crate::abi::structs::Reader;
use crate::abi::*;
use crate::call::{Call, SysResult};
use crate::errno::Errno;
use crate::futex::wake;
use crate::task::Task;

/// Linux walks at most this many entries of a robust list.
const ROBUST_LIMIT: usize = 2048;

pub(crate) fn set_robust_list(call: &mut Call) -> SysResult {
    if call.arg(1) != 24 {
        return Err(Errno::EINVAL.into());
    }
    call.task.robust_list = call.arg(0);
    Ok(0)
}

pub(crate) fn get_robust_list(call: &mut Call) -> SysResult {
    let tid = call.int(0);
    if tid != 0 && tid != call.task.tid {
        return Err(Errno::EPERM.into());
    }
    let list = call.task.robust_list;
    call.write(call.arg(1), &list.to_le_bytes())?;
    call.write(call.arg(2), &24u64.to_le_bytes())?;
    Ok(0)
}

/// execve: the old memory with its lists is gone.
pub(crate) fn forget_thread(task: &mut Task) {
    task.robust_list = 0;
    task.clear_tid = 0;
}

/// A thread ends: mutexes it holds are marked, and whoever joins it is woken.
pub(crate) fn thread_ends(task: &mut Task) {
    // A damaged list ends the walk, nothing else.
    let _ = mark_robust(task);
    let ticket = task.pending.progress;
    if ticket != 0 {
        task.kernel.futexes.lock().remove(ticket);
    }
    let va = task.clear_tid;
    if va != 0 && va.is_multiple_of(4) && task.guest.write_u32(va, 0).is_ok() {
        wake(&task.kernel, va, 1, u32::MAX, false);
    }
}

fn mark_robust(task: &mut Task) -> Result<(), Errno> {
    let head = task.robust_list;
    if head == 0 {
        return Ok(());
    }
    let raw = task.guest.read_array::<24>(head)?;
    let reader = Reader(&raw);
    let (mut entry, offset, pending) = (reader.u64(0), reader.u64(8), reader.u64(16));
    for _ in 0..ROBUST_LIMIT {
        if entry & !1 == head || entry & !1 == 0 {
            break;
        }
        let next = task.guest.read_u64(entry & !1)?;
        if entry != pending {
            mark_dead(task, (entry & !1).wrapping_add(offset))?;
        }
        entry = next;
    }
    if pending & !1 != 0 {
        mark_dead(task, (pending & !1).wrapping_add(offset))?;
    }
    Ok(())
}

fn mark_dead(task: &mut Task, va: u64) -> Result<(), Errno> {
    if !va.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    loop {
        let old = task.guest.read_u32(va)?;
        if old & FUTEX_TID_MASK != task.tid as u32 {
            return Ok(());
        }
        let new = old & FUTEX_WAITERS | FUTEX_OWNER_DIED;
        if task.guest.compare_exchange(va, old, new)? == old {
            if old & FUTEX_WAITERS != 0 {
                wake(&task.kernel, va, 1, u32::MAX, false);
            }
            return Ok(());
        }
    }
}
