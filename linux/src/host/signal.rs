//! Host signals: blocking, sending, catching them for the guest.

use crate::signal::host::caught;
use std::mem::MaybeUninit;

/// The host signal that interrupts a host wait and means nothing else. The highest real-time
/// signal: guests rarely use it, and among threads of one process their own never reach the host.
const KICK: i32 = 64;

/// What the guest makes of a signal, as far as the host must know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Disposition {
    Default,
    Ignore,
    /// The guest wants to know.
    Catch,
}

/// What the host tells of a signal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HostInfo {
    pub number: i32,
    pub code: i32,
    pub pid: i32,
    pub uid: u32,
    /// `si_value` or `si_status`.
    pub value: u64,
}

pub(crate) fn thread_id() -> i32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::gettid() }
}

/// Interrupts a thread of this process.
pub(crate) fn kick_thread(thread: i32) {
    // SAFETY: plain system call; a thread that has gone is an error without effect.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, KICK) };
}

/// What the memory crate handles.
const FAULTS: [i32; 3] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL];

/// Blocks every signal that can be; the mask before.
pub(crate) fn block_all() -> libc::sigset_t {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both are written before they are read. The memory crate's signals stay open: a blocked
    // fault would kill the process.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        for fault in FAULTS {
            libc::sigdelset(all.as_mut_ptr(), fault);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        before.assume_init()
    }
}

pub(crate) fn set_host_mask(mask: &libc::sigset_t) {
    // SAFETY: the set is valid.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, std::ptr::null_mut()) };
}

/// The calling thread's mask as guest bits, and then everything unblocked.
pub(crate) fn take_inherited_mask() -> u64 {
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: written before it is read.
    let before = unsafe {
        let mut none = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), before.as_mut_ptr());
        before.assume_init()
    };
    (1..=64)
        // SAFETY: the set is initialised and the numbers are valid.
        .filter(|&number| unsafe { libc::sigismember(&before, number) } == 1)
        .fold(0, |mask, number| mask | 1 << (number - 1))
}

/// Signals that we leave alone: the host's faults belong to the memory crate, the C library keeps
/// two, one is ours, and two can't be caught.
fn ours(number: i32) -> bool {
    matches!(
        number,
        libc::SIGKILL
            | libc::SIGSTOP
            | libc::SIGSEGV
            | libc::SIGBUS
            | libc::SIGILL
            | libc::SIGFPE
            | libc::SIGTRAP
            | libc::SIGPIPE
            | 32
            | 33
            | KICK
    )
}

/// Whether the host process ignores a signal (inherited from its parent).
pub(crate) fn is_ignored(number: i32) -> bool {
    if ours(number) {
        return false;
    }
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: only reads the disposition into a local.
    unsafe {
        libc::sigaction(number, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Tells the host what to do with a signal. `child_flags`: 1 SA_NOCLDSTOP, 2 SA_NOCLDWAIT.
pub(crate) fn set_disposition(number: i32, disposition: Disposition, child_flags: u64) {
    if ours(number) {
        return;
    }
    // SAFETY: an all-zero sigaction is valid; the handler is async-signal-safe, see `caught`.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigfillset(&mut action.sa_mask);
        for fault in FAULTS {
            libc::sigdelset(&mut action.sa_mask, fault);
        }
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        for (bit, flag) in [(1, libc::SA_NOCLDSTOP), (2, libc::SA_NOCLDWAIT)] {
            if child_flags & bit != 0 {
                action.sa_flags |= flag;
            }
        }
        action.sa_sigaction = match disposition {
            Disposition::Default => libc::SIG_DFL,
            Disposition::Ignore => libc::SIG_IGN,
            Disposition::Catch => {
                let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = catch;
                handler as usize
            }
        };
        libc::sigaction(number, &action, std::ptr::null_mut());
    }
}

/// Lets kicks interrupt waits. Once per process.
pub(crate) fn install_kick() {
    extern "C" fn nothing(_: i32) {}
    // SAFETY: the handler does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let handler: extern "C" fn(i32) = nothing;
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_ONSTACK;
        libc::sigaction(KICK, &action, std::ptr::null_mut());
    }
}

extern "C" fn catch(number: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the host passes a valid siginfo to an SA_SIGINFO handler. Which fields of the union
    // hold something depends on the signal; all are plain integers.
    let info = unsafe {
        let info = &*info;
        let value = match number {
            libc::SIGCHLD => info.si_status() as u64,
            _ => info.si_value().sival_ptr as u64,
        };
        HostInfo {
            number,
            code: info.si_code,
            pid: info.si_pid(),
            uid: info.si_uid(),
            value,
        }
    };
    // SAFETY: errno is the interrupted code's; what `caught` calls may change it.
    unsafe {
        let errno = libc::__errno_location();
        let saved = *errno;
        caught(info);
        *errno = saved;
    }
}

/// Sends a signal to other processes, as kill(2).
pub(crate) fn kill(pid: i32, number: i32) -> Result<(), crate::errno::Errno> {
    use super::Checked;
    // SAFETY: plain system call.
    unsafe { libc::kill(pid, number) }.checked()?;
    Ok(())
}

/// Lets the default action of a stop signal happen to this process.
pub(crate) fn stop_self(number: i32) {
    set_default_and_raise(number);
}

fn set_default_and_raise(number: i32) {
    // SAFETY: plain calls with valid arguments; the set is initialised.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = libc::SIG_DFL;
        let mut before = MaybeUninit::<libc::sigaction>::zeroed();
        libc::sigaction(number, &action, before.as_mut_ptr());
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), number);
        let mut old = MaybeUninit::<libc::sigset_t>::uninit();
        // Pending first, then let in: it takes effect before the call returns.
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), old.as_mut_ptr());
        libc::syscall(libc::SYS_tgkill, libc::getpid(), libc::gettid(), number);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), std::ptr::null_mut());
        libc::pthread_sigmask(libc::SIG_SETMASK, old.as_ptr(), std::ptr::null_mut());
        libc::sigaction(number, before.as_ptr(), std::ptr::null_mut());
    }
}

/// Ends the host process by a signal's default action, without a core dump of the emulator.
pub(crate) fn die(number: i32) -> ! {
    // SAFETY: plain calls with valid arguments.
    unsafe {
        let none = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        libc::setrlimit(libc::RLIMIT_CORE, &none);
    }
    set_default_and_raise(number);
    // The signal does not kill by default, or we may not raise it.
    std::process::exit(128 + number)
}
