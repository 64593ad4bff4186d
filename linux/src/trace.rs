//! System calls and signals as lines of text, in the manner of strace.

use crate::abi::calls;
use crate::abi::*;
use crate::call::{Fail, SysResult};
use crate::guest::Guest;
use crate::observer::Event;
use crate::signal::{self, Info};
use crate::task::Task;
use std::fmt::Write;

/// Longer strings are cut.
const MOST: usize = 64;

/// The arguments of a call, before it is made.
pub(crate) fn arguments(guest: &Guest, number: u64, args: &[u64; 6]) -> String {
    let Some(entry) = calls::entry(number) else {
        let args: Vec<String> = args.iter().map(|arg| format!("{arg:#x}")).collect();
        return args.join(", ");
    };
    let texts = entry.arguments.bytes().zip(0..).map(|(kind, n)| {
        let value = args[n];
        match kind {
            b'd' => format!("{}", value as i64),
            b'f' if value as i32 == AT_FDCWD => "AT_FDCWD".to_owned(),
            b'f' => format!("{}", value as i32),
            b's' => match guest.string(value, MOST + 1, crate::errno::Errno::ENAMETOOLONG) {
                Ok(text) => quoted(&text),
                Err(crate::errno::Errno::EFAULT) => pointer(value),
                Err(_) => {
                    let text = guest.read_vec(value, MOST).unwrap_or_default();
                    quoted(&text) + "..."
                }
            },
            b'b' => {
                let len = args.get(n + 1).copied().unwrap_or(0);
                match guest.read_vec(value, len.min(MOST as u64) as usize) {
                    Ok(bytes) if len > MOST as u64 => quoted(&bytes) + "...",
                    Ok(bytes) => quoted(&bytes),
                    Err(_) => pointer(value),
                }
            }
            b'o' => open_flags(value as u32),
            b'm' => format!("{:#o}", value as u32),
            b'g' => signal::name(value as i32),
            _ => pointer(value),
        }
    });
    texts.collect::<Vec<_>>().join(", ")
}

fn pointer(value: u64) -> String {
    if value == 0 {
        "NULL".to_owned()
    } else {
        format!("{value:#x}")
    }
}

fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for &byte in bytes {
        match byte {
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'"' | b'\\' => {
                text.push('\\');
                text.push(byte.into());
            }
            b' '..=b'~' => text.push(byte.into()),
            _ => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text + "\""
}

fn open_flags(flags: u32) -> String {
    const NAMES: [(u32, &str); 14] = [
        (O_CREAT, "O_CREAT"),
        (O_EXCL, "O_EXCL"),
        (O_NOCTTY, "O_NOCTTY"),
        (O_TRUNC, "O_TRUNC"),
        (O_APPEND, "O_APPEND"),
        (O_NONBLOCK, "O_NONBLOCK"),
        (O_DSYNC, "O_DSYNC"),
        (O_DIRECT, "O_DIRECT"),
        (O_LARGEFILE, "O_LARGEFILE"),
        (O_DIRECTORY, "O_DIRECTORY"),
        (O_NOFOLLOW, "O_NOFOLLOW"),
        (O_NOATIME, "O_NOATIME"),
        (O_CLOEXEC, "O_CLOEXEC"),
        (O_PATH, "O_PATH"),
    ];
    let mut text = match flags & O_ACCMODE {
        O_RDONLY => "O_RDONLY",
        O_WRONLY => "O_WRONLY",
        _ => "O_RDWR",
    }
    .to_owned();
    let mut rest = flags & !O_ACCMODE;
    for (bit, name) in NAMES {
        if rest & bit != 0 {
            text.push('|');
            text.push_str(name);
            rest &= !bit;
        }
    }
    if rest != 0 {
        let _ = write!(text, "|{rest:#o}");
    }
    text
}

/// A call has completed, or ended its thread.
pub(crate) fn completed(
    task: &Task,
    number: u64,
    args: &[u64; 6],
    arguments: &str,
    result: &SysResult,
) {
    let name = match (calls::entry(number), calls::missing_name(number)) {
        (Some(entry), _) => entry.name.to_owned(),
        (None, Some(name)) => format!("{name} [system call {number}, not implemented]"),
        (None, None) => format!("[system call {number}, unknown]"),
    };
    let result = match result {
        Ok(value) if is_address(number) => format!("{value:#x}"),
        Ok(value) => format!("{}{}", *value as i64, received(task, number, args, *value)),
        Err(Fail::Errno(errno)) => format!("-1 {errno:?}"),
        Err(Fail::Interrupted(_)) => "? interrupted".to_owned(),
        Err(Fail::ExitThread(_) | Fail::ExitProcess(_)) => "?".to_owned(),
        Err(Fail::StateSet) => "? (registers set)".to_owned(),
        Err(Fail::Block(_) | Fail::Held) => "? waits".to_owned(),
    };
    tell(task, &format!("{name}({arguments}) = {result}"));
}

/// mmap, mremap and brk return addresses.
fn is_address(number: u64) -> bool {
    matches!(number, 214 | 216 | 222)
}

/// What read and its like brought.
fn received(task: &Task, number: u64, args: &[u64; 6], count: u64) -> String {
    match number {
        63 | 67 | 78 | 207 if count > 0 => {
            let at = if number == 78 { args[2] } else { args[1] };
            match task.guest.read_vec(at, count.min(MOST as u64) as usize) {
                Ok(bytes) if count > MOST as u64 => format!(" {}...", quoted(&bytes)),
                Ok(bytes) => format!(" {}", quoted(&bytes)),
                Err(_) => String::new(),
            }
        }
        _ => String::new(),
    }
}

/// A signal is about to be acted upon.
pub(crate) fn signal(task: &Task, info: &Info) {
    if task.kernel.wants_trace() {
        let name = signal::name(info.number);
        let line = format!("--- {name} (code {}, {:#x}) ---", info.code, info.words[0]);
        tell(task, &line);
    }
}

fn tell(task: &Task, line: &str) {
    task.kernel.tell(&Event::Trace {
        tid: task.tid,
        line,
    });
}
