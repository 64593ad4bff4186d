//! Signals: dispositions, pending signals, delivery.

pub(crate) mod calls;
pub(crate) mod fault;
pub(crate) mod frame;
pub(crate) mod host;

use crate::errno::Errno;
use crate::kernel::Kernel;
use crate::process::Exit;
use crate::task::Task;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

pub(crate) const SIGILL: i32 = 4;
pub(crate) const SIGTRAP: i32 = 5;
pub(crate) const SIGBUS: i32 = 7;
pub(crate) const SIGFPE: i32 = 8;
pub(crate) const SIGKILL: i32 = 9;
pub(crate) const SIGSEGV: i32 = 11;
pub(crate) const SIGPIPE: i32 = 13;
pub(crate) const SIGALRM: i32 = 14;
pub(crate) const SIGCHLD: i32 = 17;
pub(crate) const SIGCONT: i32 = 18;
pub(crate) const SIGSTOP: i32 = 19;
pub(crate) const SIGTTOU: i32 = 22;
pub(crate) const SIGURG: i32 = 23;
pub(crate) const SIGVTALRM: i32 = 26;
pub(crate) const SIGPROF: i32 = 27;
pub(crate) const SIGWINCH: i32 = 28;
pub(crate) const SIGSYS: i32 = 31;
/// Signals are numbered from 1 to here.
pub(crate) const LAST: i32 = 64;
/// The first that is queued rather than merged.
const FIRST_REAL_TIME: i32 = 32;
/// SIGKILL and SIGSTOP.
pub(crate) const UNBLOCKABLE: u64 = 1 << (SIGKILL - 1) | 1 << (SIGSTOP - 1);
/// Real-time signals that may wait.
const MOST_PENDING: usize = 4096;

/// `si_code`s.
pub(crate) const SI_USER: i32 = 0;
pub(crate) const SI_KERNEL: i32 = 0x80;
pub(crate) const SI_TIMER: i32 = -2;
pub(crate) const SI_TKILL: i32 = -6;

/// The bit of a signal in a mask.
pub(crate) fn bit(number: i32) -> u64 {
    if (1..=LAST).contains(&number) {
        1 << (number - 1)
    } else {
        0
    }
}

/// The name of a signal.
pub fn name(number: i32) -> String {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
        "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
        "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    match usize::try_from(number - 1)
        .ok()
        .and_then(|index| NAMES.get(index))
    {
        Some(name) => format!("SIG{name}"),
        None => format!("signal {number}"),
    }
}

/// `struct sigaction` of riscv64, which has no restorer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Action {
    pub handler: u64,
    pub flags: u64,
    pub mask: u64,
}

impl Action {
    pub const DEFAULT: u64 = 0;
    pub const IGNORE: u64 = 1;
    pub const SA_ONSTACK: u64 = 0x0800_0000;
    pub const SA_RESTART: u64 = 0x1000_0000;
    pub const SA_NODEFER: u64 = 0x4000_0000;
    pub const SA_RESETHAND: u64 = 0x8000_0000;

    fn is_handler(&self) -> bool {
        self.handler > Action::IGNORE
    }
}

/// `siginfo_t`, of which only the first 40 bytes ever hold something.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Info {
    pub number: i32,
    pub code: i32,
    /// The words at offsets 16, 24 and 32: pid and uid, or an address; value or status.
    pub words: [u64; 3],
}

impl Info {
    pub fn sent(number: i32, code: i32, pid: i32, uid: u32) -> Info {
        let word = u64::from(pid as u32) | u64::from(uid) << 32;
        Info {
            number,
            code,
            words: [word, 0, 0],
        }
    }
    /// From this process itself.
    pub fn own(kernel: &Kernel, number: i32, code: i32) -> Info {
        Info::sent(
            number,
            code,
            kernel.pid(),
            crate::host::process::user_ids()[0],
        )
    }
    pub fn fault(number: i32, code: i32, va: u64) -> Info {
        Info {
            number,
            code,
            words: [va, 0, 0],
        }
    }
    /// `siginfo_t`'s 128 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let out = crate::abi::structs::Writer::new()
            .i32(self.number)
            .i32(0)
            .i32(self.code)
            .i32(0);
        self.words
            .into_iter()
            .fold(out, |out, word| out.u64(word))
            .pad_to(128)
            .0
    }
    pub fn decode(bytes: &[u8; 128]) -> Info {
        let reader = crate::abi::structs::Reader(bytes);
        let words = [reader.u64(16), reader.u64(24), reader.u64(32)];
        Info {
            number: reader.i32(0),
            code: reader.i32(8),
            words,
        }
    }
}

/// What happens by default.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum DefaultAction {
    Terminate,
    Ignore,
    Stop,
}

fn default_action(number: i32) -> DefaultAction {
    match number {
        SIGCHLD | SIGCONT | SIGURG | SIGWINCH => DefaultAction::Ignore,
        SIGSTOP..=SIGTTOU => DefaultAction::Stop,
        _ => DefaultAction::Terminate,
    }
}

/// The signal state of a process. What a thread blocks is the thread's.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Signals {
    actions: BTreeMap<i32, Action>,
    shared: Vec<Info>,
    of_thread: BTreeMap<i32, Vec<Info>>,
    /// Signals that the host passes on to us instead of acting by itself.
    #[serde(skip)]
    caught: u64,
}

impl Signals {
    pub fn action(&self, number: i32) -> Action {
        self.actions.get(&number).copied().unwrap_or_default()
    }
    pub fn set_action(&mut self, number: i32, action: Action) -> Action {
        let old = self.actions.insert(number, action).unwrap_or_default();
        let ignored = action.handler == Action::IGNORE
            || action.handler == Action::DEFAULT && default_action(number) == DefaultAction::Ignore;
        if ignored {
            // What is pending of an ignored signal is gone.
            self.shared.retain(|info| info.number != number);
            for queue in self.of_thread.values_mut() {
                queue.retain(|info| info.number != number);
            }
        }
        old
    }

    /// Makes a signal pending for the process, or for one thread.
    pub fn queue(&mut self, info: Info, tid: Option<i32>) -> Result<(), Errno> {
        let queue = match tid {
            Some(tid) => self.of_thread.entry(tid).or_default(),
            None => &mut self.shared,
        };
        let merged = info.number < FIRST_REAL_TIME;
        if merged && queue.iter().any(|other| other.number == info.number) {
            return Ok(());
        }
        if queue.len() >= MOST_PENDING {
            return Err(Errno::EAGAIN);
        }
        queue.push(info);
        Ok(())
    }

    /// Signals pending for a thread, blocked or not.
    pub fn pending(&self, tid: i32) -> u64 {
        let own = self.of_thread.get(&tid).into_iter().flatten();
        own.chain(&self.shared)
            .fold(0, |set, info| set | bit(info.number))
    }

    /// Takes the signal out of `set` that comes first: faults, then the lowest number.
    pub fn take(&mut self, tid: i32, set: u64) -> Option<Info> {
        let pick = |queue: &mut Vec<Info>| {
            let wanted = queue
                .iter()
                .enumerate()
                .filter(|(_, info)| bit(info.number) & set != 0);
            let order = |info: &Info| (!is_fault(info.number), info.number);
            let (index, _) = wanted.min_by_key(|(_, info)| order(info))?;
            Some(queue.remove(index))
        };
        if let Some(info) = self.of_thread.get_mut(&tid).and_then(pick) {
            return Some(info);
        }
        pick(&mut self.shared)
    }

    /// A thread has ended.
    pub fn forget(&mut self, tid: i32) {
        self.of_thread.remove(&tid);
    }
    /// A thread has got another number.
    pub fn rename(&mut self, from: i32, to: i32) {
        let queue = self.of_thread.remove(&from).unwrap_or_default();
        self.of_thread.insert(to, queue);
    }
    /// Handlers do not survive execve; what is ignored stays ignored.
    pub fn reset_for_exec(&mut self) {
        self.actions
            .retain(|_, action| action.handler == Action::IGNORE);
    }
    /// Nothing is pending in a forked child.
    pub fn clear_pending(&mut self) {
        self.shared.clear();
        self.of_thread.clear();
    }
    pub fn set_caught(&mut self, number: i32, on: bool) {
        self.caught = self.caught & !bit(number) | if on { bit(number) } else { 0 };
    }
    pub fn caught(&self) -> u64 {
        self.caught
    }
}

fn is_fault(number: i32) -> bool {
    matches!(
        number,
        SIGILL | SIGTRAP | SIGBUS | SIGFPE | SIGSEGV | SIGSYS
    )
}

/// Sends a signal to the process, and wakes a thread that can take it.
pub(crate) fn send_to_process(kernel: &Kernel, info: Info) -> Result<(), Errno> {
    let tasks = kernel.tasks.lock();
    kernel.signals.lock().queue(info, None)?;
    let takes = |task: &&std::sync::Arc<crate::task::TaskShared>| {
        let blocked = task.mask.load(Ordering::SeqCst) & !task.awaits.load(Ordering::SeqCst);
        blocked & bit(info.number) == 0
    };
    if let Some(task) = tasks.by_tid.values().find(takes) {
        task.wake();
    }
    Ok(())
}

/// Sends a signal to one thread of the process.
pub(crate) fn send_to_thread(kernel: &Kernel, tid: i32, info: Info) -> Result<(), Errno> {
    let tasks = kernel.tasks.lock();
    let task = tasks.by_tid.get(&tid).ok_or(Errno::ESRCH)?;
    kernel.signals.lock().queue(info, Some(tid))?;
    task.wake();
    Ok(())
}

/// Raises a signal in the calling thread.
pub(crate) fn send_to_self(task: &Task, number: i32) {
    let info = Info::own(&task.kernel, number, SI_USER);
    // A standard signal always fits.
    let _ = task.kernel.signals.lock().queue(info, Some(task.tid));
    task.shared.attention.store(true, Ordering::SeqCst);
}

/// What [`deliver`] did.
pub(crate) enum Delivered {
    /// No unblocked signal is pending.
    Nothing,
    /// One was taken care of; there may be more.
    Again,
    /// One kills the process.
    Death(Exit),
}

/// Whether a signal is pending that would run a handler or kill.
pub(crate) fn handler_waits(task: &Task) -> bool {
    let signals = task.kernel.signals.lock();
    let waiting = signals.pending(task.tid) & !task.mask();
    (1..=LAST)
        .filter(|&number| waiting & bit(number) != 0)
        .any(|number| {
            let action = signals.action(number);
            action.is_handler()
                || action.handler == Action::DEFAULT
                    && default_action(number) == DefaultAction::Terminate
        })
}

/// Takes one pending signal and acts on it.
pub(crate) fn deliver(task: &mut Task) -> Delivered {
    let kernel = task.kernel.clone();
    let mut signals = kernel.signals.lock();
    let Some(info) = signals.take(task.tid, !task.mask()) else {
        return Delivered::Nothing;
    };
    let action = signals.action(info.number);
    if action.is_handler() && action.flags & Action::SA_RESETHAND != 0 {
        signals.set_action(info.number, Action::default());
    }
    drop(signals);
    crate::trace::signal(task, &info);
    match action.handler {
        Action::IGNORE => Delivered::Again,
        Action::DEFAULT => match default_action(info.number) {
            DefaultAction::Ignore => Delivered::Again,
            DefaultAction::Stop => {
                crate::host::signal::stop_self(info.number);
                Delivered::Again
            }
            DefaultAction::Terminate => death(task, &info),
        },
        _ => run_handler(task, &action, &info),
    }
}

fn death(task: &Task, info: &Info) -> Delivered {
    let own_fault = is_fault(info.number) && info.code > SI_USER;
    let report = own_fault.then(|| fault::report(task, info));
    Delivered::Death(Exit::Signal {
        number: info.number,
        report,
    })
}

fn run_handler(task: &mut Task, action: &Action, info: &Info) -> Delivered {
    task.interrupt_call(action.flags & Action::SA_RESTART != 0);
    let blocked = task.mask();
    let before = task.saved_mask.take().unwrap_or(blocked);
    if frame::push(task, action, info, before).is_err() {
        // No room for the frame: the stack is no good. Linux kills with SIGSEGV, unless that has
        // a handler of its own that may run on another stack.
        if info.number == SIGSEGV {
            let lost = Info {
                number: SIGSEGV,
                code: SI_KERNEL,
                ..Info::default()
            };
            return death(task, &lost);
        }
        fault::force(
            task,
            Info {
                number: SIGSEGV,
                code: SI_KERNEL,
                ..Info::default()
            },
        );
        return Delivered::Again;
    }
    let own = if action.flags & Action::SA_NODEFER != 0 {
        0
    } else {
        bit(info.number)
    };
    task.set_mask(blocked | action.mask | own);
    Delivered::Again
}
