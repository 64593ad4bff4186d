//! Futexes.
//!
//! Waiters of this process queue here, by guest address. A futex in shared memory may also have
//! waiters in other processes: for those the host's futex on the same memory is used beside.

use crate::abi::structs::Timespec;
use crate::abi::*;
use crate::call::{Call, Fail, Restart, SysResult, Wait};
use crate::errno::Errno;
use crate::guest::Guest;
use crate::host;
use crate::kernel::Kernel;
use crate::task::TaskShared;
use memory::PageFlags;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

struct Waiter {
    ticket: u64,
    bits: u32,
    task: Arc<TaskShared>,
}

/// A waiter as data.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Waiting {
    va: u64,
    ticket: u64,
    bits: u32,
    tid: i32,
}

/// All threads that wait on a futex.
#[derive(Default)]
pub(crate) struct Futexes {
    queues: HashMap<u64, VecDeque<Waiter>>,
    /// The queue each ticket waits in; a ticket that is not here has been woken.
    places: HashMap<u64, u64>,
    last_ticket: u64,
}

impl Futexes {
    fn add(&mut self, va: u64, bits: u32, task: Arc<TaskShared>) -> u64 {
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        self.queues
            .entry(va)
            .or_default()
            .push_back(Waiter { ticket, bits, task });
        self.places.insert(ticket, va);
        ticket
    }

    /// Whether a ticket still waits.
    fn waits(&self, ticket: u64) -> bool {
        self.places.contains_key(&ticket)
    }

    pub fn remove(&mut self, ticket: u64) {
        if let Some(va) = self.places.remove(&ticket)
            && let Some(queue) = self.queues.get_mut(&va)
        {
            queue.retain(|waiter| waiter.ticket != ticket);
            if queue.is_empty() {
                self.queues.remove(&va);
            }
        }
    }

    /// Wakes up to `count` waiters with one of `bits`, in the order in which they came.
    fn wake(&mut self, va: u64, count: u64, bits: u32) -> u64 {
        let Some(queue) = self.queues.get_mut(&va) else {
            return 0;
        };
        let mut woken = 0;
        let mut kept = VecDeque::new();
        for waiter in queue.drain(..) {
            if woken < count && waiter.bits & bits != 0 {
                self.places.remove(&waiter.ticket);
                waiter.task.sleeper.wake();
                woken += 1;
            } else {
                kept.push_back(waiter);
            }
        }
        if kept.is_empty() {
            self.queues.remove(&va);
        } else {
            *queue = kept;
        }
        woken
    }

    fn requeue(&mut self, from: u64, to: u64, count: u64) -> u64 {
        let mut moved = 0;
        while moved < count {
            let Some(queue) = self.queues.get_mut(&from) else {
                break;
            };
            let Some(waiter) = queue.pop_front() else {
                break;
            };
            self.places.insert(waiter.ticket, to);
            self.queues.entry(to).or_default().push_back(waiter);
            moved += 1;
        }
        if self.queues.get(&from).is_some_and(VecDeque::is_empty) {
            self.queues.remove(&from);
        }
        moved
    }

    /// All waiters, by address and in their order, and the last ticket.
    pub fn save(&self) -> (Vec<Waiting>, u64) {
        let mut all: Vec<Waiting> = Vec::new();
        for (&va, queue) in &self.queues {
            all.extend(queue.iter().map(|waiter| Waiting {
                va,
                ticket: waiter.ticket,
                bits: waiter.bits,
                tid: waiter.task.tid(),
            }));
        }
        // Stable: the order within a queue stays.
        all.sort_by_key(|waiting| waiting.va);
        (all, self.last_ticket)
    }

    /// The opposite of [`Futexes::save`]. Waiters whose thread does not exist are left out.
    pub fn restore(
        &mut self,
        all: &[Waiting],
        last_ticket: u64,
        task: impl Fn(i32) -> Option<Arc<TaskShared>>,
    ) {
        for &Waiting {
            va,
            ticket,
            bits,
            tid,
        } in all
        {
            if let Some(task) = task(tid) {
                self.queues
                    .entry(va)
                    .or_default()
                    .push_back(Waiter { ticket, bits, task });
                self.places.insert(ticket, va);
            }
        }
        self.last_ticket = last_ticket;
    }

    /// A forked child has one thread, which waits for nothing.
    pub fn clear(&mut self) {
        *self = Futexes {
            last_ticket: self.last_ticket,
            ..Futexes::default()
        };
    }
}

/// Whether other processes may wait on a futex too.
fn is_shared(kernel: &Kernel, va: u64, private: bool) -> bool {
    !private && kernel.space.page_flags(va).has(PageFlags::SHARED)
}

/// Wakes waiters of this process, and for shared memory of others.
pub(crate) fn wake(kernel: &Kernel, va: u64, count: u64, bits: u32, private: bool) -> u64 {
    let mut woken = kernel.futexes.lock().wake(va, count, bits);
    if woken < count && is_shared(kernel, va, private) {
        woken += host::sleep::wake_word(&kernel.space, va, count - woken);
    }
    woken
}

pub(crate) fn futex(call: &mut Call) -> SysResult {
    let [va, op, value, timeout, va2, value3] = call.args;
    let (op, value, value3) = (op as u32, value as u32, value3 as u32);
    let private = op & FUTEX_PRIVATE_FLAG != 0;
    let realtime = op & FUTEX_CLOCK_REALTIME != 0;
    if !va.is_multiple_of(4) {
        return Err(Errno::EINVAL.into());
    }
    // Counts are ints: a negative one wakes one, as on Linux.
    let count = |raw: u64| (raw as i32).max(1) as u64;
    let kernel = call.kernel.clone();
    match op & !(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME) {
        FUTEX_WAIT => {
            let timeout = relative(call)?;
            wait(call, va, value, u32::MAX, timeout, private)
        }
        FUTEX_WAIT_BITSET if value3 == 0 => Err(Errno::EINVAL.into()),
        FUTEX_WAIT_BITSET => {
            let timeout = absolute(call, realtime)?;
            wait(call, va, value, value3, timeout, private)
        }
        FUTEX_WAKE => Ok(wake(&kernel, va, count(value.into()), u32::MAX, private)),
        FUTEX_WAKE_BITSET if value3 == 0 => Err(Errno::EINVAL.into()),
        FUTEX_WAKE_BITSET => Ok(wake(&kernel, va, count(value.into()), value3, private)),
        FUTEX_REQUEUE | FUTEX_CMP_REQUEUE => {
            let (wakes, moves) = (value as i32, timeout as i32);
            if wakes < 0 || moves < 0 || !va2.is_multiple_of(4) {
                return Err(Errno::EINVAL.into());
            }
            let compares = op & 0x7f == FUTEX_CMP_REQUEUE;
            let mut futexes = kernel.futexes.lock();
            if compares && call.task.guest.read_u32(va)? != value3 {
                return Err(Errno::EAGAIN.into());
            }
            let woken = futexes.wake(va, wakes as u64, u32::MAX);
            let moved = futexes.requeue(va, va2, moves as u64);
            drop(futexes);
            if is_shared(&kernel, va, private) {
                // Waiters elsewhere are woken rather than moved: they look and wait again.
                host::sleep::wake_word(&kernel.space, va, wakes as u64 + moves as u64);
            }
            Ok(woken + if compares { moved } else { 0 })
        }
        FUTEX_WAKE_OP => {
            let moves = timeout;
            let old = apply(&mut call.task.guest, va2, value3)?;
            let mut woken = wake(&kernel, va, count(value.into()), u32::MAX, private);
            if compare(old, value3)? {
                woken += wake(&kernel, va2, count(moves), u32::MAX, private);
            }
            Ok(woken)
        }
        _ => Err(Errno::ENOSYS.into()),
    }
}

/// FUTEX_WAIT's timeout, which is relative, as a deadline.
fn relative(call: &mut Call) -> Result<Option<u64>, Errno> {
    let timeout = crate::fs::poll::timeout(call, 3)?;
    Ok(call.deadline(timeout))
}

/// FUTEX_WAIT_BITSET's timeout, which is absolute, as a deadline on the monotonic clock.
fn absolute(call: &mut Call, realtime: bool) -> Result<Option<u64>, Errno> {
    let at = call.arg(3);
    if at == 0 {
        return Ok(None);
    }
    let time = Timespec::decode(&call.read::<16>(at)?)
        .nanos()
        .ok_or(Errno::EINVAL)?;
    let clock = &call.kernel.clock;
    Ok(Some(if realtime {
        clock
            .monotonic()
            .saturating_add(time.saturating_sub(clock.realtime()))
    } else {
        time
    }))
}

fn wait(
    call: &mut Call,
    va: u64,
    expected: u32,
    bits: u32,
    deadline: Option<u64>,
    private: bool,
) -> SysResult {
    let kernel = call.kernel.clone();
    let shared = is_shared(&kernel, va, private);
    let mut futexes = kernel.futexes.lock();
    let ticket = call.task.pending.progress;
    if ticket == 0 {
        // Under the lock: whoever changes the word wakes under it afterwards.
        if call.task.guest.read_u32(va)? != expected {
            return Err(Errno::EAGAIN.into());
        }
        call.task.pending.progress = futexes.add(va, bits, call.task.shared.clone());
    } else if !futexes.waits(ticket) {
        return Ok(0);
    } else if call.expired(deadline) {
        futexes.remove(ticket);
        return Err(Errno::ETIMEDOUT.into());
    } else if shared && call.task.guest.read_u32(va)? != expected {
        // Another process has changed it; whether it also woke us is no matter to the guest.
        futexes.remove(ticket);
        return Ok(0);
    }
    let word = (shared && !kernel.exact()).then_some((va, expected));
    // Who waits for other processes under the exact scheduler has to look now and then.
    let poll = shared && kernel.exact();
    let wait = Wait {
        deadline,
        word,
        poll,
        ..Wait::default()
    };
    let restart = if deadline.is_some() {
        Restart::Never
    } else {
        Restart::IfAsked
    };
    let fail = call.wait(wait, restart);
    if matches!(fail, Fail::Interrupted(_)) {
        futexes.remove(call.task.pending.progress);
    }
    Err(fail)
}

/// FUTEX_WAKE_OP's operation, in bits 31 to 28 (31: shift), 27 to 24 compare, 23 to 12 operand,
/// 11 to 0 what to compare with. The old value.
fn apply(guest: &mut Guest, va: u64, op: u32) -> Result<u32, Errno> {
    if !va.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    let mut operand = (op << 8) as i32 >> 20;
    if op >> 31 != 0 {
        operand = 1i32.wrapping_shl(operand as u32 & 31);
    }
    let operand = operand as u32;
    loop {
        let old = guest.read_u32(va)?;
        let new = match op >> 28 & 7 {
            0 => operand,
            1 => old.wrapping_add(operand),
            2 => old | operand,
            3 => old & !operand,
            4 => old ^ operand,
            _ => return Err(Errno::ENOSYS),
        };
        if guest.compare_exchange(va, old, new)? == old {
            return Ok(old);
        }
    }
}

fn compare(old: u32, op: u32) -> Result<bool, Errno> {
    let (old, with) = (old as i32, (op << 20) as i32 >> 20);
    Ok(match op >> 24 & 15 {
        0 => old == with,
        1 => old != with,
        2 => old < with,
        3 => old <= with,
        4 => old > with,
        5 => old >= with,
        _ => return Err(Errno::ENOSYS),
    })
}
