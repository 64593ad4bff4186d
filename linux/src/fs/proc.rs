//! /proc and /dev as the guest sees them: made up of what the emulator knows.

use crate::abi::*;
use crate::kernel::Kernel;
use crate::{host, mm};
use std::fmt::Write;

/// Something that exists only in the guest's view.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// A directory with these entries.
    Directory(Vec<(Vec<u8>, u8)>),
    /// A directory that is only a step on the way to a grant.
    Steps,
    /// A file with this content.
    File(Vec<u8>),
    /// A symbolic link into the guest's tree.
    Link(Vec<u8>),
    /// One of the guest's open files.
    Fd(i32),
    /// A device of the host's.
    Device(&'static str),
    /// The terminal behind one of the standard files.
    Terminal(String),
}

/// An open directory that exists only in the guest's view: its entries, and how far it is read.
#[derive(Debug)]
pub(crate) struct Listing {
    pub entries: Vec<(Vec<u8>, u8)>,
    pub position: usize,
}

const DEVICES: [(&str, &str); 6] = [
    ("full", "/dev/full"),
    ("null", "/dev/null"),
    ("random", "/dev/random"),
    ("tty", "/dev/tty"),
    ("urandom", "/dev/urandom"),
    ("zero", "/dev/zero"),
];
const STANDARD: [&str; 3] = ["stdin", "stdout", "stderr"];
const OF_SYSTEM: [&str; 9] = [
    "cpuinfo",
    "filesystems",
    "loadavg",
    "meminfo",
    "mounts",
    "stat",
    "sys",
    "uptime",
    "version",
];
const OF_PROCESS: [&str; 16] = [
    "auxv",
    "cmdline",
    "comm",
    "cwd",
    "environ",
    "exe",
    "fd",
    "limits",
    "maps",
    "mounts",
    "oom_score_adj",
    "root",
    "stat",
    "statm",
    "status",
    "task",
];

/// What lies at a canonical path under /proc or /dev.
pub(crate) fn lookup(kernel: &Kernel, path: &[u8]) -> Option<Node> {
    let text = std::str::from_utf8(path).ok()?;
    let parts: Vec<&str> = text.split('/').skip(1).collect();
    match parts.as_slice() {
        ["dev", rest @ ..] => device(rest),
        ["proc", rest @ ..] => process_tree(kernel, rest),
        _ => None,
    }
}

/// Without isolation: what must not be the host's answer because it is about this process.
pub(crate) fn lookup_own(kernel: &Kernel, path: &[u8]) -> Option<Node> {
    let text = std::str::from_utf8(path).ok()?;
    let parts: Vec<&str> = text.split('/').skip(2).collect();
    let pid = kernel.pid().to_string();
    match parts.as_slice() {
        ["cpuinfo"] => Some(Node::File(cpuinfo())),
        ["self", name] | ["thread-self", name] => own(kernel, name),
        [number, name] if *number == pid => own(kernel, name),
        _ => None,
    }
}

fn own(kernel: &Kernel, name: &str) -> Option<Node> {
    match name {
        "auxv" | "cmdline" | "comm" | "environ" | "exe" | "maps" => of_process(kernel, &[name]),
        _ => None,
    }
}

fn device(parts: &[&str]) -> Option<Node> {
    Some(match parts {
        [] => {
            let devices = DEVICES
                .iter()
                .map(|(name, _)| (name.as_bytes().to_vec(), DT_CHR));
            let links = ["fd"].iter().chain(&STANDARD);
            let links = links.map(|name| (name.as_bytes().to_vec(), DT_LNK));
            let shm = std::iter::once((b"shm".to_vec(), DT_DIR));
            Node::Directory(devices.chain(links).chain(shm).collect())
        }
        ["fd"] => Node::Link(b"/proc/self/fd".to_vec()),
        ["pts"] => Node::Directory(Vec::new()),
        ["pts", number] => {
            // Only the terminal that the guest already has.
            let path = format!("/dev/pts/{number}");
            let has = |fd| host::fs::read_link(host::fs::CURRENT_DIR, &host::fs::fd_path(fd));
            let known = (0..3).any(|fd| has(fd).is_ok_and(|target| target == path.as_bytes()));
            return known.then_some(Node::Terminal(path));
        }
        [name] => match STANDARD.iter().position(|standard| standard == name) {
            Some(number) => Node::Link(format!("/proc/self/fd/{number}").into_bytes()),
            None => Node::Device(DEVICES.iter().find(|(device, _)| device == name)?.1),
        },
        _ => return None,
    })
}

fn process_tree(kernel: &Kernel, parts: &[&str]) -> Option<Node> {
    let pid = kernel.pid();
    Some(match parts {
        [] => {
            let files = OF_SYSTEM
                .iter()
                .map(|name| (name.as_bytes().to_vec(), DT_REG));
            let links = ["self", "thread-self"].map(|name| (name.as_bytes().to_vec(), DT_LNK));
            let own = (pid.to_string().into_bytes(), DT_DIR);
            Node::Directory(files.chain(links).chain([own]).collect())
        }
        ["self"] => Node::Link(pid.to_string().into_bytes()),
        ["thread-self"] => Node::Link(format!("{pid}/task/{pid}").into_bytes()),
        ["mounts"] => Node::Link(b"self/mounts".to_vec()),
        ["cpuinfo"] => Node::File(cpuinfo()),
        ["filesystems"] => Node::File(b"nodev\tproc\nnodev\ttmpfs\n\text4\n".to_vec()),
        ["loadavg"] => Node::File(format!("0.00 0.00 0.00 1/1 {pid}\n").into_bytes()),
        ["meminfo"] => Node::File(meminfo()),
        ["stat"] => Node::File(system_stat()),
        ["uptime"] => {
            let seconds = kernel.clock.monotonic() as f64 / 1e9;
            Node::File(format!("{seconds:.2} 0.00\n").into_bytes())
        }
        ["version"] => Node::File(crate::info::version_line()),
        ["sys", rest @ ..] => sysctl(rest)?,
        [number, rest @ ..] => {
            let number: i32 = number.parse().ok()?;
            if number != pid && !kernel.tasks.lock().by_tid.contains_key(&number) {
                return None;
            }
            return of_process(kernel, rest);
        }
    })
}

fn sysctl(parts: &[&str]) -> Option<Node> {
    let content = match parts.join("/").as_str() {
        "kernel/osrelease" => format!("{}\n", crate::info::RELEASE),
        "kernel/ostype" => "Linux\n".into(),
        "kernel/hostname" => {
            String::from_utf8_lossy(&host::process::node_names().0).into_owned() + "\n"
        }
        "kernel/pid_max" => "4194304\n".into(),
        "kernel/ngroups_max" => "65536\n".into(),
        "kernel/cap_last_cap" => "40\n".into(),
        "kernel/random/uuid" => uuid(),
        "vm/overcommit_memory" => "1\n".into(),
        "vm/mmap_min_addr" => "65536\n".into(),
        "fs/pipe-max-size" => "1048576\n".into(),
        "" | "kernel" | "vm" | "fs" | "kernel/random" => return Some(Node::Directory(Vec::new())),
        _ => return None,
    };
    Some(Node::File(content.into_bytes()))
}

fn uuid() -> String {
    let mut bytes = [0u8; 16];
    host::random(&mut bytes);
    let hex = bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let (a, b, c, d) = (&hex[..8], &hex[8..12], &hex[13..16], &hex[17..20]);
    format!("{a}-{b}-4{c}-8{d}-{}\n", &hex[20..])
}

fn of_process(kernel: &Kernel, parts: &[&str]) -> Option<Node> {
    let started = kernel.started.lock();
    Some(match parts {
        [] => {
            let kind = |name: &&str| match *name {
                "cwd" | "exe" | "root" => DT_LNK,
                "fd" | "task" => DT_DIR,
                _ => DT_REG,
            };
            Node::Directory(
                OF_PROCESS
                    .iter()
                    .map(|name| (name.as_bytes().to_vec(), kind(name)))
                    .collect(),
            )
        }
        ["exe"] => Node::Link(started.exe.clone()),
        ["cwd"] => {
            let cwd = kernel.view.cwd.lock().clone();
            Node::Link(if cwd.is_empty() { b"/".to_vec() } else { cwd })
        }
        ["root"] => Node::Link(b"/".to_vec()),
        ["cmdline"] => Node::File(joined(&started.argv)),
        ["environ"] => Node::File(joined(&started.envp)),
        ["auxv"] => Node::File(started.auxv.clone()),
        ["comm"] => Node::File([started.comm(), b"\n".to_vec()].concat()),
        ["maps"] => {
            drop(started);
            Node::File(mm::maps_text(kernel))
        }
        ["limits"] => Node::File(Vec::new()),
        ["oom_score_adj"] => Node::File(b"0\n".to_vec()),
        ["mounts"] => Node::File(mounts(kernel)),
        ["statm"] => Node::File(b"10000 1000 500 100 0 900 0\n".to_vec()),
        ["stat"] => {
            let comm = String::from_utf8_lossy(&started.comm()).into_owned();
            Node::File(process_stat(kernel, &comm))
        }
        ["status"] => {
            let comm = String::from_utf8_lossy(&started.comm()).into_owned();
            Node::File(process_status(kernel, &comm))
        }
        ["fd"] => {
            let fds = kernel.fds.lock();
            Node::Directory(
                fds.iter()
                    .map(|(fd, _)| (fd.to_string().into(), DT_LNK))
                    .collect(),
            )
        }
        ["fd", number] => {
            let number: i32 = number.parse().ok()?;
            kernel
                .fds
                .lock()
                .contains(number)
                .then_some(Node::Fd(number))?
        }
        ["task"] => {
            let tasks = kernel.tasks.lock();
            Node::Directory(
                tasks
                    .by_tid
                    .keys()
                    .map(|tid| (tid.to_string().into(), DT_DIR))
                    .collect(),
            )
        }
        ["task", number, rest @ ..] => {
            let number: i32 = number.parse().ok()?;
            kernel.tasks.lock().by_tid.get(&number)?;
            drop(started);
            return of_process(kernel, rest);
        }
        _ => return None,
    })
}

fn joined(strings: &[Vec<u8>]) -> Vec<u8> {
    strings
        .iter()
        .flat_map(|string| string.iter().copied().chain([0]))
        .collect()
}

fn mounts(kernel: &Kernel) -> Vec<u8> {
    let mut text = String::new();
    for mount in kernel.view.mounts().iter().rev() {
        let path = String::from_utf8_lossy(&mount.guest).into_owned();
        let path = if path.is_empty() { "/" } else { &path };
        let mode = if mount.writable { "rw" } else { "ro" };
        let _ = writeln!(text, "bhv {path} ext4 {mode} 0 0");
    }
    text.push_str("proc /proc proc rw 0 0\n");
    text.into_bytes()
}

fn process_stat(kernel: &Kernel, comm: &str) -> Vec<u8> {
    let (pid, parent) = (kernel.pid(), kernel.parent_pid());
    let group = host::process::process_group(0).unwrap_or(pid);
    let session = host::process::session(0).unwrap_or(pid);
    let threads = kernel.tasks.lock().by_tid.len();
    let zeros = "0 ".repeat(22);
    format!("{pid} ({comm}) R {parent} {group} {session} 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 {threads} 0 0 40960000 1000 18446744073709551615 0 0 0 {zeros}0\n")
        .into_bytes()
}

fn process_status(kernel: &Kernel, comm: &str) -> Vec<u8> {
    let (pid, parent) = (kernel.pid(), kernel.parent_pid());
    let [uid, euid, suid] = host::process::user_ids();
    let [gid, egid, sgid] = host::process::group_ids();
    let threads = kernel.tasks.lock().by_tid.len();
    format!(
        "Name:\t{comm}\nUmask:\t{:04o}\nState:\tR (running)\nTgid:\t{pid}\nPid:\t{pid}\nPPid:\t{parent}\n\
         TracerPid:\t0\nUid:\t{uid}\t{euid}\t{suid}\t{euid}\nGid:\t{gid}\t{egid}\t{sgid}\t{egid}\n\
         VmPeak:\t   40000 kB\nVmSize:\t   40000 kB\nVmRSS:\t    4000 kB\nThreads:\t{threads}\n",
        *kernel.umask.lock(),
    )
    .into_bytes()
}

fn cpus() -> usize {
    let mask = host::process::affinity();
    mask.iter()
        .map(|byte| byte.count_ones() as usize)
        .sum::<usize>()
        .max(1)
}

fn cpuinfo() -> Vec<u8> {
    let mut text = String::new();
    for cpu in 0..cpus() {
        let _ = write!(
            text,
            "processor\t: {cpu}\nhart\t\t: {cpu}\n\
             isa\t\t: rv64imafdc_zicntr_zicsr_zifencei_zba_zbb_zbs\nmmu\t\t: sv39\n\
             uarch\t\t: baby_hypervisor\n\n"
        );
    }
    text.into_bytes()
}

fn meminfo() -> Vec<u8> {
    let (words, _, unit) = host::process::system_info();
    let kib = |words: u64| words.saturating_mul(u64::from(unit)) / 1024;
    format!(
        "MemTotal:       {:8} kB\nMemFree:        {:8} kB\nMemAvailable:   {:8} kB\n\
         Buffers:        {:8} kB\nCached:                0 kB\nSwapTotal:      {:8} kB\nSwapFree:       {:8} kB\n",
        kib(words[4]),
        kib(words[5]),
        kib(words[5]),
        kib(words[7]),
        kib(words[8]),
        kib(words[9]),
    )
    .into_bytes()
}

fn system_stat() -> Vec<u8> {
    let mut text = String::from("cpu  0 0 0 0 0 0 0 0 0 0\n");
    for cpu in 0..cpus() {
        let _ = writeln!(text, "cpu{cpu} 0 0 0 0 0 0 0 0 0 0");
    }
    text.push_str("intr 0\nctxt 0\nbtime 0\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n");
    text.into_bytes()
}
