//! One system call: its arguments, its result, and how it blocks.

use crate::errno::Errno;
use crate::kernel::Kernel;
use crate::process::Exit;
use crate::task::Task;
use std::sync::Arc;

/// What a system call comes to. `Ok` is the value of `a0`.
pub(crate) type SysResult = Result<u64, Fail>;

/// Why a system call did not return a value.
#[derive(Debug)]
pub(crate) enum Fail {
    /// It failed.
    Errno(Errno),
    /// It has to wait; then it is called again with the same arguments.
    Block(Wait),
    /// It would have to wait, but a signal came.
    Interrupted(Restart),
    /// It set all registers itself (sigreturn, execve).
    StateSet,
    /// The process would end, and is held there.
    Held,
    /// The thread ends.
    ExitThread(i32),
    /// The process ends.
    ExitProcess(Exit),
}

impl From<Errno> for Fail {
    fn from(errno: Errno) -> Fail {
        Fail::Errno(errno)
    }
}
impl From<memory::Fault> for Fail {
    fn from(_: memory::Fault) -> Fail {
        Fail::Errno(Errno::EFAULT)
    }
}

/// What happens to an interrupted call once a signal handler has run. signal(7), "Interruption of
/// system calls". Without a handler the call just goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Restart {
    /// Restarted if the handler has SA_RESTART, else EINTR.
    IfAsked,
    /// EINTR.
    Never,
}

/// What a blocked call waits for: any of these, or being woken by another thread (which sets its
/// sleeper's token) or by a signal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wait {
    /// Host file descriptors and the events wanted (POLLIN...).
    pub fds: Vec<(i32, i16)>,
    /// A time on the process's monotonic clock, in nanoseconds.
    pub deadline: Option<u64>,
    /// Another process changes or wakes this word of shared memory: address, value until then.
    pub word: Option<(u64, u32)>,
    /// Nothing announces it: try again after a short while.
    pub poll: bool,
}

impl Wait {
    pub fn fd(fd: i32, events: i16) -> Wait {
        Wait {
            fds: vec![(fd, events)],
            ..Wait::default()
        }
    }
    pub fn until(deadline: Option<u64>) -> Wait {
        Wait {
            deadline,
            ..Wait::default()
        }
    }
    pub fn retry() -> Wait {
        Wait {
            poll: true,
            ..Wait::default()
        }
    }
}

/// A call that began and did not complete yet. It survives waits and ignored signals.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pending {
    /// When it times out, on the process's monotonic clock; set at the first attempt.
    pub deadline: Option<Option<u64>>,
    /// What the call wants to remember: bytes already transferred, a futex ticket...
    pub progress: u64,
    /// A signal with a handler is waiting: the call must not block any more.
    pub interrupted: bool,
    /// How the last attempt wants to be restarted.
    pub restart: Option<Restart>,
    /// What the last attempt waits for.
    pub wait: Option<Wait>,
}

/// A system call in progress, as its handler sees it.
pub(crate) struct Call<'a> {
    pub task: &'a mut Task,
    pub kernel: Arc<Kernel>,
    pub args: [u64; 6],
}

impl Call<'_> {
    /// Argument `n` as a signed 32-bit integer (file descriptors, pids, flags).
    pub fn int(&self, n: usize) -> i32 {
        self.args[n] as i32
    }
    /// Argument `n` as an unsigned 32-bit integer.
    pub fn uint(&self, n: usize) -> u32 {
        self.args[n] as u32
    }
    pub fn arg(&self, n: usize) -> u64 {
        self.args[n]
    }

    pub fn write(&mut self, va: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.task.guest.write(va, bytes)
    }
    pub fn read<const N: usize>(&self, va: u64) -> Result<[u8; N], Errno> {
        self.task.guest.read_array(va)
    }
    /// A path argument.
    pub fn path(&self, n: usize) -> Result<Vec<u8>, Errno> {
        self.task.guest.path(self.args[n])
    }

    /// What a handler returns when it has to wait: it blocks, or gives up if a signal came.
    pub fn wait(&mut self, wait: Wait, restart: Restart) -> Fail {
        self.task.pending.restart = Some(restart);
        if self.task.pending.interrupted {
            Fail::Interrupted(restart)
        } else {
            Fail::Block(wait)
        }
    }

    /// The deadline of a call with a relative timeout, fixed at the first attempt.
    pub fn deadline(&mut self, timeout: Option<u64>) -> Option<u64> {
        let clock = &self.kernel.clock;
        *self
            .task
            .pending
            .deadline
            .get_or_insert_with(|| timeout.map(|nanos| clock.monotonic().saturating_add(nanos)))
    }

    /// Whether a deadline is over.
    pub fn expired(&self, deadline: Option<u64>) -> bool {
        deadline.is_some_and(|deadline| self.kernel.clock.monotonic() >= deadline)
    }
}
