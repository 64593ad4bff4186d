//! What the host says: of a finished child process, and of itself.

use super::tools::Tools;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};

/// What the host counted for one child and its threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Seconds in user and system mode together.
    pub cpu: f64,
    /// The most memory it ever held, in bytes.
    pub peak: u64,
}

/// Waits for a child's end and says how it ended and what it cost.
pub fn wait(child: Child) -> std::io::Result<(ExitStatus, Usage)> {
    let pid = libc::pid_t::try_from(child.id()).map_err(std::io::Error::other)?;
    // SAFETY: rusage is plain numbers, for which all zeros is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let mut status = 0;
    loop {
        // SAFETY: both pointers are to live locals; the child is ours and nobody else waits for
        // it, because `child` was given to this function.
        if unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) } == pid {
            break;
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    // macOS counts the peak in bytes, the others in KiB.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    let peak = u64::try_from(usage.ru_maxrss).unwrap_or(0) * unit;
    let usage = Usage {
        cpu: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        peak,
    };
    Ok((ExitStatus::from_raw(status), usage))
}

/// The most memory that this process has held so far, where the host tells it of this program
/// alone: `wait` also counts what the process held before it became this program.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// The machine that a report was made on.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The processor's name, or the architecture's.
    pub processor: String,
    /// Processors this process may use.
    pub cores: usize,
    /// What QEMU says of its version.
    pub qemu: Option<String>,
    /// What the compiler of native twins says of its version.
    pub compiler: Option<String>,
}

impl Machine {
    /// What this machine says of itself.
    pub fn this(tools: &Tools) -> Machine {
        // Linux has the name here; elsewhere the architecture has to do.
        let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("model name"));
        let name = line.and_then(|line| line.split_once(':'));
        Machine {
            processor: name
                .map_or(std::env::consts::ARCH, |(_, name)| name.trim())
                .to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            qemu: tools.qemu_version(),
            compiler: tools.compiler_version(),
        }
    }
}
