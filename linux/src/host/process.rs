//! Host processes: forking, waiting, identity, limits.

use super::Checked;
use crate::errno::Errno;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd};

pub(crate) fn pid() -> i32 {
    // SAFETY: cannot fail.
    unsafe { libc::getpid() }
}
pub(crate) fn parent_pid() -> i32 {
    // SAFETY: cannot fail.
    unsafe { libc::getppid() }
}

/// Ends the host process without running anybody's destructors.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: never returns.
    unsafe { libc::_exit(code) }
}

/// Forks: 0 in the child.
///
/// # Safety
/// The caller holds every lock that the child will need, or knows that nobody holds it.
pub(crate) unsafe fn fork() -> Result<i32, Errno> {
    // SAFETY: the caller's promise.
    unsafe { libc::fork() }.checked()
}

/// A file that becomes readable when a child ends.
pub(crate) fn pidfd(pid: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: plain system call.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) }.checked()?;
    // SAFETY: just opened, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Sends a signal through a pidfd.
pub(crate) fn pidfd_signal(fd: i32, number: i32) -> Result<(), Errno> {
    // SAFETY: plain system call without pointers.
    unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, number, 0, 0) }.checked()?;
    Ok(())
}

/// What became of a child.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waited {
    pub pid: i32,
    pub uid: u32,
    /// CLD_EXITED 1, KILLED 2, DUMPED 3, TRAPPED 4, STOPPED 5, CONTINUED 6.
    pub code: i32,
    /// Exit code or signal.
    pub status: i32,
    pub usage: Usage,
}

/// Resource use of processes that have ended, or of this one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// `struct rusage` has the same layout on all 64-bit Linux hosts: 16 words of 64 bits.
    pub words: [u64; 16],
}

fn usage_of(usage: &libc::rusage) -> Usage {
    Usage {
        words: [
            usage.ru_utime.tv_sec as u64,
            usage.ru_utime.tv_usec as u64,
            usage.ru_stime.tv_sec as u64,
            usage.ru_stime.tv_usec as u64,
            usage.ru_maxrss as u64,
            usage.ru_ixrss as u64,
            usage.ru_idrss as u64,
            usage.ru_isrss as u64,
            usage.ru_minflt as u64,
            usage.ru_majflt as u64,
            usage.ru_nswap as u64,
            usage.ru_inblock as u64,
            usage.ru_oublock as u64,
            usage.ru_msgsnd as u64,
            usage.ru_nvcsw as u64,
            usage.ru_nivcsw as u64,
        ],
    }
}

/// waitid(2) that never waits. `kind` P_ALL 0, P_PID 1, P_PGID 2, P_PIDFD 3; options are Linux's.
pub(crate) fn wait_now(kind: u64, id: i32, options: u32) -> Result<Option<Waited>, Errno> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: live locals. The C library's waitid does not tell the resource use, the system
    // call does.
    unsafe {
        libc::syscall(
            libc::SYS_waitid,
            kind as libc::c_long,
            libc::c_long::from(id),
            info.as_mut_ptr(),
            libc::c_long::from(options | crate::abi::WNOHANG),
            usage.as_mut_ptr(),
        )
        .checked()?;
        let info = info.assume_init();
        if info.si_pid() == 0 {
            return Ok(None);
        }
        Ok(Some(Waited {
            pid: info.si_pid(),
            uid: info.si_uid(),
            code: info.si_code,
            status: info.si_status(),
            usage: usage_of(&usage.assume_init()),
        }))
    }
}

/// getrusage(2): `who` 0 this process, -1 its children, 1 this thread.
pub(crate) fn usage(who: i32) -> Result<Usage, Errno> {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: a live local.
    unsafe {
        libc::getrusage(who as _, usage.as_mut_ptr()).checked()?;
        Ok(usage_of(&usage.assume_init()))
    }
}

/// Ids of a process: real, effective and saved.
pub(crate) fn user_ids() -> [u32; 3] {
    let mut ids = [0; 3];
    let [real, effective, saved] = &mut ids;
    // SAFETY: live locals.
    unsafe { libc::getresuid(real, effective, saved) };
    ids
}
pub(crate) fn group_ids() -> [u32; 3] {
    let mut ids = [0; 3];
    let [real, effective, saved] = &mut ids;
    // SAFETY: live locals.
    unsafe { libc::getresgid(real, effective, saved) };
    ids
}
pub(crate) fn groups() -> Vec<u32> {
    // SAFETY: a null list with size 0 asks for the count; then the buffer is large enough.
    unsafe {
        let count = libc::getgroups(0, std::ptr::null_mut()).max(0);
        let mut groups = vec![0; count as usize];
        let count = libc::getgroups(count, groups.as_mut_ptr()).max(0);
        groups.truncate(count as usize);
        groups
    }
}
/// setresuid or setresgid of the whole host process.
pub(crate) fn set_ids(user: bool, ids: [u32; 3]) -> Result<(), Errno> {
    // SAFETY: plain calls.
    unsafe {
        if user {
            libc::setresuid(ids[0], ids[1], ids[2])
        } else {
            libc::setresgid(ids[0], ids[1], ids[2])
        }
    }
    .checked()?;
    Ok(())
}

pub(crate) fn set_process_group(pid: i32, group: i32) -> Result<(), Errno> {
    // SAFETY: plain system call.
    unsafe { libc::setpgid(pid, group) }.checked()?;
    Ok(())
}
pub(crate) fn process_group(pid: i32) -> Result<i32, Errno> {
    // SAFETY: plain system call.
    unsafe { libc::getpgid(pid) }.checked()
}
pub(crate) fn session(pid: i32) -> Result<i32, Errno> {
    // SAFETY: plain system call.
    unsafe { libc::getsid(pid) }.checked()
}
pub(crate) fn new_session() -> Result<i32, Errno> {
    // SAFETY: plain system call.
    unsafe { libc::setsid() }.checked()
}

/// getrlimit. The guest's numbers are the host's: Linux numbers them alike except on a few
/// architectures that we do not host on.
pub(crate) fn limit(resource: u64) -> Result<(u64, u64), Errno> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: a live local.
    unsafe { libc::getrlimit(resource as _, &mut limit) }.checked()?;
    Ok((limit.rlim_cur, limit.rlim_max))
}
pub(crate) fn set_limit(resource: u64, soft: u64, hard: u64) -> Result<(), Errno> {
    let limit = libc::rlimit {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: a live local.
    unsafe { libc::setrlimit(resource as _, &limit) }.checked()?;
    Ok(())
}
/// The soft limit of open files, raised so that there is room for ours above the guest's.
pub(crate) fn raise_file_limit() -> u64 {
    let Ok((soft, hard)) = limit(libc::RLIMIT_NOFILE as u64) else {
        return 1024;
    };
    let wanted = soft.max(4096).saturating_add(512).min(hard).min(1 << 20);
    match set_limit(libc::RLIMIT_NOFILE as u64, wanted, hard) {
        Ok(()) => wanted,
        Err(_) => soft,
    }
}

/// Nice value of a process, group or user.
pub(crate) fn priority(which: u32, who: u32) -> Result<i32, Errno> {
    // SAFETY: plain calls; errno is cleared because -1 is a valid answer.
    unsafe {
        *libc::__errno_location() = 0;
        let value = libc::getpriority(which as _, who);
        if value == -1 && *libc::__errno_location() != 0 {
            return Err(super::last_errno());
        }
        Ok(value)
    }
}
pub(crate) fn set_priority(which: u32, who: u32, value: i32) -> Result<(), Errno> {
    // SAFETY: plain system call.
    unsafe { libc::setpriority(which as _, who, value) }.checked()?;
    Ok(())
}

/// Processors this process may run on, as a bit mask of up to 1024.
pub(crate) fn affinity() -> [u8; 128] {
    let mut mask = [0u8; 128];
    // SAFETY: the buffer is as large as said.
    let size = unsafe {
        libc::syscall(
            libc::SYS_sched_getaffinity,
            0,
            mask.len(),
            mask.as_mut_ptr(),
        )
    };
    if size <= 0 {
        mask[0] = 1;
    }
    mask
}
pub(crate) fn current_cpu() -> u32 {
    // SAFETY: cannot fail.
    unsafe { libc::sched_getcpu() as u32 }
}
pub(crate) fn yield_now() {
    std::thread::yield_now();
}

/// Name of the host's machine (node) and domain.
pub(crate) fn node_names() -> (Vec<u8>, Vec<u8>) {
    let mut names = MaybeUninit::<libc::utsname>::zeroed();
    // SAFETY: a live local; zeroed, so strings end even if the call fails.
    let names = unsafe {
        libc::uname(names.as_mut_ptr());
        names.assume_init()
    };
    let text = |field: &[libc::c_char]| {
        field
            .iter()
            .map(|&byte| byte as u8)
            .take_while(|&byte| byte != 0)
            .collect()
    };
    (text(&names.nodename), text(&names.domainname))
}

/// sysinfo(2): 64-bit words of the structure up to `freehigh`, which all 64-bit hosts share:
/// uptime, three loads, total, free, shared and buffer memory, total and free swap.
pub(crate) fn system_info() -> ([u64; 10], u16, u32) {
    let mut info = MaybeUninit::<libc::sysinfo>::zeroed();
    // SAFETY: a live local, zeroed.
    let info = unsafe {
        libc::sysinfo(info.as_mut_ptr());
        info.assume_init()
    };
    let words = [
        info.uptime as u64,
        info.loads[0],
        info.loads[1],
        info.loads[2],
        info.totalram,
        info.freeram,
        info.sharedram,
        info.bufferram,
        info.totalswap,
        info.freeswap,
    ];
    (words, info.procs, info.mem_unit)
}

/// Shows the guest program's name where the host lists threads.
pub(crate) fn set_thread_name(name: &[u8; 16]) {
    // SAFETY: the name is 16 bytes and the host stops at NUL or after 15.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// Whether a program that the host starts is to inherit a file.
pub(crate) fn set_inherited(fd: i32, inherited: bool) {
    let flags = if inherited { 0 } else { libc::FD_CLOEXEC };
    // SAFETY: plain system call.
    unsafe { libc::fcntl(fd, libc::F_SETFD, flags) };
}

/// Replaces the host process by a program of the host's; returns only why that failed.
pub(crate) fn execute(path: &[u8], argv: &[Vec<u8>], envp: &[Vec<u8>]) -> Errno {
    use std::ffi::CString;
    let strings = |all: &[Vec<u8>]| -> Vec<CString> {
        all.iter()
            .filter_map(|bytes| CString::new(&bytes[..]).ok())
            .collect()
    };
    let (argv, envp) = (strings(argv), strings(envp));
    let pointers = |all: &[CString]| -> Vec<*const libc::c_char> {
        all.iter()
            .map(|string| string.as_ptr())
            .chain([std::ptr::null()])
            .collect()
    };
    let Ok(path) = CString::new(path) else {
        return Errno::EINVAL;
    };
    let (argv, envp) = (pointers(&argv), pointers(&envp));
    // SAFETY: all strings end with NUL, the arrays with null, and they outlive the call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    super::last_errno()
}
