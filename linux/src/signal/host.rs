//! Signals from the host: caught in a handler, kept in fixed slots, drained by the next thread
//! that looks.

use super::{Action, Info, LAST, SI_USER, Signals, bit, send_to_process};
use crate::host::signal::{Disposition, HostInfo, install_kick, is_ignored, set_disposition};
use crate::kernel::Kernel;
use crate::task::{Task, TaskShared};
use std::cell::Cell;
use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

thread_local! {
    /// The guest thread that this host thread runs. Constant and without destructor, so that a
    /// signal handler may read it.
    static CURRENT: Cell<*const TaskShared> = const { Cell::new(std::ptr::null()) };
}

/// A guest thread for handlers that run on another thread of the host process, see [`register`].
static ANY: AtomicPtr<TaskShared> = AtomicPtr::new(std::ptr::null_mut());
/// How many handlers are using what they found in [`ANY`].
static USING_ANY: AtomicU32 = AtomicU32::new(0);
/// Something is in the slots.
static ARRIVED: AtomicBool = AtomicBool::new(false);
static ORDER: AtomicU64 = AtomicU64::new(0);

/// A signal on its way from the handler to whoever drains.
struct Slot {
    /// 0 free, 1 being written or read, 2 full.
    state: AtomicU32,
    content: UnsafeCell<(u64, HostInfo)>,
}

// SAFETY: the content is only touched by whoever has moved the state to 1.
unsafe impl Sync for Slot {}

static SLOTS: [Slot; 128] = [const {
    Slot {
        state: AtomicU32::new(0),
        content: UnsafeCell::new((
            0,
            HostInfo {
                number: 0,
                code: 0,
                pid: 0,
                uid: 0,
                value: 0,
            },
        )),
    }
}; 128];

/// Takes note of a host signal. Called in a host signal handler: atomics and system calls only.
pub(crate) fn caught(info: HostInfo) {
    for slot in &SLOTS {
        if slot
            .state
            .compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
        {
            let order = ORDER.fetch_add(1, Ordering::SeqCst);
            // SAFETY: the state is 1, so the content is ours.
            unsafe { *slot.content.get() = (order, info) };
            slot.state.store(2, Ordering::SeqCst);
            break;
        }
    }
    ARRIVED.store(true, Ordering::SeqCst);
    let current = CURRENT.with(Cell::get);
    if !current.is_null() {
        // SAFETY: whoever made `Entered` keeps it alive.
        unsafe { (*current).wake() };
        return;
    }
    USING_ANY.fetch_add(1, Ordering::SeqCst);
    let any = ANY.load(Ordering::SeqCst);
    if !any.is_null() {
        // SAFETY: `Registered` keeps it alive until it is not in `ANY` any more and nobody counts
        // in `USING_ANY`.
        unsafe { (*any).wake() };
    }
    USING_ANY.fetch_sub(1, Ordering::SeqCst);
}

/// Keeps a guest thread known to the handler while a host thread runs it. The caller keeps the
/// thread alive meanwhile.
pub(crate) struct Entered {
    before: *const TaskShared,
}

/// From now on the calling host thread runs this guest thread.
pub(crate) fn enter(task: &Arc<TaskShared>) -> Entered {
    let pointer = Arc::as_ptr(task);
    let before = CURRENT.with(|current| current.replace(pointer));
    Entered { before }
}

/// Keeps a guest thread alive that handlers may find in [`ANY`].
pub(crate) struct Registered(Arc<TaskShared>);

/// Makes a guest thread the one that the handler wakes when it runs on a host thread that runs
/// none: the process's main thread.
pub(crate) fn register(kernel: &Kernel, task: &Arc<TaskShared>) {
    ANY.store(Arc::as_ptr(task).cast_mut(), Ordering::SeqCst);
    let mut main = kernel.main.lock();
    if !main.as_ref().is_some_and(|main| Arc::ptr_eq(&main.0, task)) {
        *main = Some(Registered(task.clone()));
    }
}

/// The calling thread is the only one of a new host process. Handlers that ran on other threads
/// of its parent will never finish here.
pub(crate) fn forked() {
    USING_ANY.store(0, Ordering::SeqCst);
}

impl Drop for Registered {
    fn drop(&mut self) {
        let own = Arc::as_ptr(&self.0).cast_mut();
        // Another thread, or another process of this library's user, may have taken the place.
        let _ = ANY.compare_exchange(
            own,
            std::ptr::null_mut(),
            Ordering::SeqCst,
            Ordering::SeqCst,
        );
        // Handlers are short, and none of them runs on this thread now.
        while USING_ANY.load(Ordering::SeqCst) != 0 {
            std::thread::yield_now();
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.with(|current| current.set(self.before));
    }
}

/// Hands what has arrived to the process.
pub(crate) fn drain(kernel: &Kernel) {
    if !ARRIVED.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut arrived = Vec::new();
    for slot in &SLOTS {
        if slot
            .state
            .compare_exchange(2, 1, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
        {
            // SAFETY: the state is 1, so the content is ours.
            arrived.push(unsafe { *slot.content.get() });
            slot.state.store(0, Ordering::SeqCst);
        }
    }
    arrived.sort_by_key(|&(order, _)| order);
    for (_, host) in arrived {
        let mut info = Info::sent(host.number, host.code, host.pid, host.uid);
        info.words[1] = host.value;
        if host.code == SI_USER {
            info.words[1] = 0;
        }
        // Too many at once: as lost as on Linux.
        let _ = send_to_process(kernel, info);
    }
}

/// The first thread takes over what the host process was started with: blocked and ignored
/// signals.
pub(crate) fn inherit(task: &mut Task) {
    install_kick();
    let mask = crate::host::signal::take_inherited_mask();
    let kernel = task.kernel.clone();
    let mut signals = kernel.signals.lock();
    for number in (1..=LAST).filter(|&number| is_ignored(number)) {
        let handler = Action::IGNORE;
        signals.set_action(
            number,
            Action {
                handler,
                ..Action::default()
            },
        );
    }
    drop(signals);
    task.set_mask(mask);
    block(&kernel, mask);
}

/// Tells the host what the guest makes of a signal now.
pub(crate) fn follow(signals: &mut Signals, number: i32) {
    let disposition = match signals.action(number).handler {
        Action::DEFAULT if signals.caught() & bit(number) != 0 => Disposition::Catch,
        Action::DEFAULT => Disposition::Default,
        Action::IGNORE => Disposition::Ignore,
        _ => Disposition::Catch,
    };
    if disposition == Disposition::Catch {
        signals.set_caught(number, true);
    }
    // SA_NOCLDSTOP and SA_NOCLDWAIT are the host's business: the children are its processes.
    set_disposition(number, disposition, signals.action(number).flags & 3);
}

/// The same for all signals: after execve.
pub(crate) fn follow_all(kernel: &Kernel) {
    let mut signals = kernel.signals.lock();
    let caught = signals.caught();
    for number in (1..=LAST).filter(|&number| caught & bit(number) != 0) {
        follow(&mut signals, number);
    }
}

/// Tells the host about all dispositions of a process that is resumed.
pub(crate) fn restore(kernel: &Kernel) {
    install_kick();
    let mut signals = kernel.signals.lock();
    for number in 1..=LAST {
        if signals.action(number) != Action::default() {
            follow(&mut signals, number);
        }
    }
}

/// A thread blocks signals: those must not act on the host process by default any more.
pub(crate) fn block(kernel: &Kernel, mask: u64) {
    let mut signals = kernel.signals.lock();
    let new = mask & !signals.caught() & !super::UNBLOCKABLE;
    for number in (1..=LAST).filter(|&number| new & bit(number) != 0) {
        signals.set_caught(number, true);
        follow(&mut signals, number);
    }
}
