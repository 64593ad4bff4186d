//! Who and where the process is: ids, limits, usage, names.

use crate::abi::structs::{Reader, Writer};
use crate::abi::*;
use crate::call::{Call, SysResult};
use crate::errno::Errno;
use crate::host;

/// The kernel release that guests see: recent enough for every C library.
pub(crate) const RELEASE: &str = "6.12.0-bhv";
const VERSION: &str = "#1 SMP PREEMPT_DYNAMIC baby_hypervisor";

pub(crate) fn version_line() -> Vec<u8> {
    format!("Linux version {RELEASE} (baby_hypervisor) {VERSION}\n").into_bytes()
}

pub(crate) fn uname(call: &mut Call) -> SysResult {
    let (node, domain) = if call.kernel.exact() {
        (b"bhv".to_vec(), b"(none)".to_vec())
    } else {
        host::process::node_names()
    };
    let fields: [&[u8]; 6] = [
        b"Linux",
        &node,
        RELEASE.as_bytes(),
        VERSION.as_bytes(),
        b"riscv64",
        &domain,
    ];
    // Each field is 65 bytes, the last of which is always 0.
    let out = fields.iter().fold(Writer::new(), |out, field| {
        out.field(&field[..field.len().min(64)], 65)
    });
    call.write(call.arg(0), &out.0)?;
    Ok(0)
}

pub(crate) fn sethostname(_: &mut Call) -> SysResult {
    Err(Errno::EPERM.into())
}

pub(crate) fn getpid(call: &mut Call) -> SysResult {
    Ok(call.kernel.pid() as u64)
}
pub(crate) fn getppid(call: &mut Call) -> SysResult {
    Ok(call.kernel.parent_pid() as u64)
}
pub(crate) fn getuid(_: &mut Call) -> SysResult {
    Ok(host::process::user_ids()[0].into())
}
pub(crate) fn geteuid(_: &mut Call) -> SysResult {
    Ok(host::process::user_ids()[1].into())
}
pub(crate) fn getgid(_: &mut Call) -> SysResult {
    Ok(host::process::group_ids()[0].into())
}
pub(crate) fn getegid(_: &mut Call) -> SysResult {
    Ok(host::process::group_ids()[1].into())
}

pub(crate) fn getresuid(call: &mut Call) -> SysResult {
    three_ids(call, host::process::user_ids())
}
pub(crate) fn getresgid(call: &mut Call) -> SysResult {
    three_ids(call, host::process::group_ids())
}
fn three_ids(call: &mut Call, ids: [u32; 3]) -> SysResult {
    for (n, id) in ids.into_iter().enumerate() {
        call.write(call.arg(n), &id.to_le_bytes())?;
    }
    Ok(0)
}

pub(crate) fn setuid(call: &mut Call) -> SysResult {
    set_one(call, true)
}
pub(crate) fn setgid(call: &mut Call) -> SysResult {
    set_one(call, false)
}
fn set_one(call: &Call, user: bool) -> SysResult {
    let id = call.uint(0);
    let [_, effective, _] = ids(user);
    // The superuser changes all three, everybody else the effective one.
    let new = if effective == 0 {
        [id; 3]
    } else {
        [u32::MAX, id, u32::MAX]
    };
    host::process::set_ids(user, new)?;
    Ok(0)
}
fn ids(user: bool) -> [u32; 3] {
    if user {
        host::process::user_ids()
    } else {
        host::process::group_ids()
    }
}
pub(crate) fn setreuid(call: &mut Call) -> SysResult {
    host::process::set_ids(true, [call.uint(0), call.uint(1), u32::MAX])?;
    Ok(0)
}
pub(crate) fn setregid(call: &mut Call) -> SysResult {
    host::process::set_ids(false, [call.uint(0), call.uint(1), u32::MAX])?;
    Ok(0)
}
pub(crate) fn setresuid(call: &mut Call) -> SysResult {
    host::process::set_ids(true, [call.uint(0), call.uint(1), call.uint(2)])?;
    Ok(0)
}
pub(crate) fn setresgid(call: &mut Call) -> SysResult {
    host::process::set_ids(false, [call.uint(0), call.uint(1), call.uint(2)])?;
    Ok(0)
}
/// The file system ids follow the effective ones.
pub(crate) fn setfsuid(_: &mut Call) -> SysResult {
    Ok(host::process::user_ids()[1].into())
}
pub(crate) fn setfsgid(_: &mut Call) -> SysResult {
    Ok(host::process::group_ids()[1].into())
}

pub(crate) fn getgroups(call: &mut Call) -> SysResult {
    let groups = host::process::groups();
    let room = call.int(0);
    if room == 0 {
        return Ok(groups.len() as u64);
    }
    if room < 0 || (room as usize) < groups.len() {
        return Err(Errno::EINVAL.into());
    }
    let out = groups
        .iter()
        .fold(Writer::new(), |out, &group| out.u32(group));
    call.write(call.arg(1), &out.0)?;
    Ok(groups.len() as u64)
}

pub(crate) fn setpgid(call: &mut Call) -> SysResult {
    host::process::set_process_group(own_is_zero(call, 0), call.int(1))?;
    Ok(0)
}
/// The guest's own number as the host's "myself".
fn own_is_zero(call: &Call, n: usize) -> i32 {
    if call.int(n) == call.kernel.pid() {
        0
    } else {
        call.int(n)
    }
}
pub(crate) fn getpgid(call: &mut Call) -> SysResult {
    Ok(host::process::process_group(own_is_zero(call, 0))? as u64)
}
pub(crate) fn getsid(call: &mut Call) -> SysResult {
    Ok(host::process::session(own_is_zero(call, 0))? as u64)
}
pub(crate) fn setsid(_: &mut Call) -> SysResult {
    Ok(host::process::new_session()? as u64)
}

pub(crate) fn getpriority(call: &mut Call) -> SysResult {
    // The system call returns 20 less the nice value, so that it is never negative.
    Ok((20 - host::process::priority(call.uint(0), call.uint(1))?) as u64)
}
pub(crate) fn setpriority(call: &mut Call) -> SysResult {
    // Groups and users (1, 2) have members outside.
    let (which, who) = (call.uint(0), own_is_zero(call, 1));
    if !call.kernel.view.passthrough && (which != 0 || who != 0 && !call.kernel.knows(who)) {
        return Err(Errno::EPERM.into());
    }
    host::process::set_priority(call.uint(0), call.uint(1), call.int(2))?;
    Ok(0)
}

pub(crate) fn prlimit64(call: &mut Call) -> SysResult {
    let (pid, resource, new, old) = (call.int(0), call.arg(1), call.arg(2), call.arg(3));
    if pid != 0 && pid != call.kernel.pid() {
        return Err(Errno::EPERM.into());
    }
    let before = limit(resource)?;
    if new != 0 {
        let raw = call.read::<16>(new)?;
        let (soft, hard) = (Reader(&raw).u64(0), Reader(&raw).u64(8));
        if soft > hard {
            return Err(Errno::EINVAL.into());
        }
        set_limit(resource, soft, hard)?;
    }
    if old != 0 {
        call.write(old, &Writer::new().u64(before.0).u64(before.1).0)?;
    }
    Ok(0)
}

/// Limits of the address space would hit the emulator, not the guest; open files are limited to
/// what leaves room for the emulator's own.
fn limit(resource: u64) -> Result<(u64, u64), Errno> {
    match resource {
        RLIMIT_NOFILE => {
            let all = host::fds::guest_fd_limit() as u64;
            Ok((all, all))
        }
        RLIMIT_AS => Ok((RLIM_INFINITY, RLIM_INFINITY)),
        RLIMIT_STACK => Ok((crate::stack::size(), RLIM_INFINITY)),
        _ => host::process::limit(resource),
    }
}
fn set_limit(resource: u64, soft: u64, hard: u64) -> Result<(), Errno> {
    const OWN: [u64; 5] = [2, RLIMIT_STACK, RLIMIT_NOFILE, 8, RLIMIT_AS];
    if OWN.contains(&resource) {
        Ok(())
    } else {
        host::process::set_limit(resource, soft, hard)
    }
}
pub(crate) fn getrlimit(call: &mut Call) -> SysResult {
    let (soft, hard) = limit(call.arg(0))?;
    call.write(call.arg(1), &Writer::new().u64(soft).u64(hard).0)?;
    Ok(0)
}
pub(crate) fn setrlimit(call: &mut Call) -> SysResult {
    let raw = call.read::<16>(call.arg(1))?;
    set_limit(call.arg(0), Reader(&raw).u64(0), Reader(&raw).u64(8))?;
    Ok(0)
}

pub(crate) fn getrusage(call: &mut Call) -> SysResult {
    let mut words = host::process::usage(call.int(0))?.words;
    if call.kernel.exact() {
        let time = call.kernel.clock.process_cpu();
        words = [0; 16];
        (words[0], words[1]) = (time / 1_000_000_000, time / 1000 % 1_000_000);
    }
    let out = words
        .into_iter()
        .fold(Writer::new(), Writer::u64)
        .pad_to(144);
    call.write(call.arg(1), &out.0)?;
    Ok(0)
}

pub(crate) fn sysinfo(call: &mut Call) -> SysResult {
    let (mut words, mut processes, unit) = host::process::system_info();
    if call.kernel.exact() {
        const MEMORY: u64 = 4 << 30;
        let per_unit = MEMORY / u64::from(unit.max(1));
        words = [
            call.kernel.clock.monotonic() / 1_000_000_000,
            0,
            0,
            0,
            per_unit,
            per_unit / 2,
            0,
            0,
            0,
            0,
        ];
        processes = 1;
    }
    let out = words.into_iter().fold(Writer::new(), Writer::u64);
    let out = out
        .u16(processes)
        .pad_to(88)
        .u64(0)
        .u64(0)
        .u32(unit)
        .pad_to(112);
    call.write(call.arg(0), &out.0)?;
    Ok(0)
}

pub(crate) fn getrandom(call: &mut Call) -> SysResult {
    const MOST: u64 = 1 << 20;
    let len = call.arg(1).min(MOST) as usize;
    if call.uint(2) & !7 != 0 {
        return Err(Errno::EINVAL.into());
    }
    let mut bytes = vec![0; len];
    call.kernel.random.lock().fill(&mut bytes);
    call.write(call.arg(0), &bytes)?;
    Ok(len as u64)
}

/// The guest has no capabilities beyond what its user id gives.
pub(crate) fn capget(call: &mut Call) -> SysResult {
    const VERSION_3: u32 = 0x2008_0522;
    let version = u32::from_le_bytes(call.read(call.arg(0))?);
    if version != VERSION_3 {
        call.write(call.arg(0), &VERSION_3.to_le_bytes())?;
        return if call.arg(1) == 0 {
            Ok(0)
        } else {
            Err(Errno::EINVAL.into())
        };
    }
    if call.arg(1) != 0 {
        call.write(call.arg(1), &[0; 24])?;
    }
    Ok(0)
}
pub(crate) fn capset(_: &mut Call) -> SysResult {
    Err(Errno::EPERM.into())
}

pub(crate) fn setgroups(_: &mut Call) -> SysResult {
    Err(Errno::EPERM.into())
}
