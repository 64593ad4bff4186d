//! Loading a program: finding it, checking it, mapping it.

use crate::abi::*;
use crate::config::Program;
use crate::elf::{self, Elf, Segment};
use crate::errno::Errno;
use crate::fs::view::bytes_path;
use crate::fs::walk::Found;
use crate::guest::Guest;
use crate::kernel::Kernel;
use crate::mm::{self, FilePart, Mm};
use crate::stack::{self, AuxInfo};
use crate::task::Task;
use crate::{Error, host};
use hart::HartState;
use memory::{PAGE, Place, Protection, Sharing};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};

/// Where Linux puts a position-independent program when it does not randomise: at two thirds.
const PROGRAM_BASE: u64 = (memory::LIMIT / 3 * 2) & !(PAGE - 1);
/// How many `#!` lines may lead to each other.
const MAX_SCRIPTS: usize = 4;

/// What /proc/self tells of the program that runs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Started {
    pub exe: Vec<u8>,
    pub argv: Vec<Vec<u8>>,
    pub envp: Vec<Vec<u8>>,
    pub auxv: Vec<u8>,
}

impl Started {
    /// The program's short name, at most 15 bytes.
    pub fn comm(&self) -> Vec<u8> {
        let name = self
            .exe
            .rsplit(|&byte| byte == b'/')
            .next()
            .unwrap_or_default();
        name[..name.len().min(15)].to_vec()
    }
}

/// A program that has been found and checked; nothing of the old one is lost yet.
pub(crate) struct Prepared {
    file: File,
    elf: Elf,
    interpreter: Option<(File, Elf, Vec<u8>)>,
    /// Guest path of the file.
    exe: Vec<u8>,
    argv: Vec<Vec<u8>>,
    envp: Vec<Vec<u8>>,
    /// What AT_EXECFN says: the path as it was given.
    given: Vec<u8>,
}

/// Why a program cannot be started, in both of the forms that are needed.
pub(crate) struct Refusal {
    pub errno: Errno,
    pub error: Error,
}

fn refuse(path: &[u8], errno: Errno) -> Refusal {
    Refusal {
        errno,
        error: Error::File {
            path: bytes_path(path),
            source: errno.into(),
        },
    }
}

/// Opens a program or its interpreter: the file and its guest path.
fn open(kernel: &Kernel, path: &[u8], dir: i32) -> Result<(File, Vec<u8>), Refusal> {
    const X_OK: u32 = 1;
    let found = kernel
        .find(dir, path, true)
        .map_err(|errno| refuse(path, errno))?;
    let opened = match found {
        Found::Host(place) => place.open(O_RDONLY, 0).map(|fd| (fd, place.guest)),
        Found::Fd(fd) => {
            let host_path = host::fs::fd_path(fd);
            host::fs::open_at(host::fs::CURRENT_DIR, &host_path, O_RDONLY, 0)
                .map(|fd| (fd, path.to_vec()))
        }
        Found::Node(..) => Err(Errno::EACCES),
    };
    let checked = opened.and_then(|(fd, guest)| {
        let stat = host::fs::stat_fd(fd.as_raw_fd())?;
        if stat.mode & S_IFMT != S_IFREG {
            return Err(Errno::EACCES);
        }
        host::fs::check_access(fd.as_raw_fd(), X_OK, true)?;
        Ok((File::from(host::fds::move_high(fd)), guest))
    });
    checked.map_err(|errno| refuse(path, errno))
}

fn parse(path: &[u8], file: &File) -> Result<Elf, Refusal> {
    elf::parse(&bytes_path(path), file, memory::LIMIT).map_err(|error| Refusal {
        errno: Errno::ENOEXEC,
        error,
    })
}

/// The interpreter and its argument from a `#!` line.
fn script_line(head: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let line = head.strip_prefix(b"#!")?;
    let line = line.split(|&byte| byte == b'\n').next()?.trim_ascii();
    let space = line.iter().position(|byte| matches!(byte, b' ' | b'\t'));
    let (interpreter, argument) = match space {
        Some(space) => (&line[..space], Some(line[space..].trim_ascii().to_vec())),
        None => (line, None),
    };
    (!interpreter.is_empty()).then(|| (interpreter.to_vec(), argument))
}

/// Finds and checks a program, through `#!` lines, and its interpreter.
pub(crate) fn prepare(
    kernel: &Kernel,
    dir: i32,
    path: &[u8],
    mut argv: Vec<Vec<u8>>,
    envp: Vec<Vec<u8>>,
) -> Result<Prepared, Refusal> {
    let given = path.to_vec();
    let mut path = path.to_vec();
    let mut dir = dir;
    for _ in 0..=MAX_SCRIPTS {
        let (file, guest) = open(kernel, &path, dir)?;
        let mut head = [0u8; 256];
        let len = std::os::unix::fs::FileExt::read_at(&file, &mut head, 0)
            .map_err(|error| refuse(&path, host::errno_of(&error)))?;
        if let Some((interpreter, argument)) = script_line(&head[..len]) {
            let mut new = vec![interpreter.clone()];
            new.extend(argument);
            new.push(path);
            new.extend(argv.into_iter().skip(1));
            (argv, path, dir) = (new, interpreter, AT_FDCWD);
            continue;
        }
        let elf = parse(&path, &file)?;
        let interpreter = match &elf.interpreter {
            None => None,
            Some(name) => {
                let (file, _) = open(kernel, name, AT_FDCWD).map_err(|refusal| Refusal {
                    errno: refusal.errno,
                    error: Error::NoInterpreter {
                        program: bytes_path(&path),
                        interpreter: bytes_path(name),
                    },
                })?;
                let elf = parse(name, &file)?;
                Some((file, elf, name.clone()))
            }
        };
        return Ok(Prepared {
            file,
            elf,
            interpreter,
            exe: guest,
            argv,
            envp,
            given,
        });
    }
    Err(refuse(&path, Errno::ELOOP))
}

/// Loads the first program of a process.
pub(crate) fn load_first(task: &mut Task, program: &Program) -> Result<(), Error> {
    use std::os::unix::ffi::OsStrExt;
    let kernel = task.kernel.clone();
    let path = program.path.as_os_str().as_bytes();
    let prepared = prepare(
        &kernel,
        AT_FDCWD,
        path,
        program.argv.clone(),
        program.envp.clone(),
    )
    .map_err(|refusal| refusal.error)?;
    let path = program.path.clone();
    load(task, prepared).map_err(|errno| match errno {
        Errno::ENOMEM => Error::Memory(format!("{} does not fit", path.display())),
        errno => Error::File {
            path,
            source: errno.into(),
        },
    })
}

/// Replaces the guest's memory and registers.
pub(crate) fn load(task: &mut Task, prepared: Prepared) -> Result<(), Errno> {
    let kernel = task.kernel.clone();
    let guest = &mut task.guest;
    let Prepared {
        elf, interpreter, ..
    } = &prepared;
    let bias = if elf.relocatable {
        PROGRAM_BASE - elf.start()
    } else {
        0
    };
    map_elf(guest, elf, &prepared.file, &prepared.exe, bias)?;
    let (entry, base) = match interpreter {
        None => (elf.entry.wrapping_add(bias), 0),
        Some((file, elf, name)) => {
            let len = elf.end() - elf.start();
            let at = if elf.relocatable {
                guest
                    .space()
                    .find_free(mm::page_up(len))
                    .ok_or(Errno::ENOMEM)?
            } else {
                elf.start()
            };
            let bias = at.wrapping_sub(elf.start());
            map_elf(guest, elf, file, name, bias)?;
            (elf.entry.wrapping_add(bias), at)
        }
    };
    let brk = mm::page_up(elf.end().wrapping_add(bias));
    let trampoline = stack::map_trampoline(guest)?;
    *kernel.mm.lock() = Mm {
        brk_start: brk,
        brk,
        trampoline,
    };
    let info = AuxInfo {
        headers: if elf.headers_va == 0 {
            0
        } else {
            elf.headers_va.wrapping_add(bias)
        },
        header_count: u64::from(elf.header_count),
        base,
        entry: elf.entry.wrapping_add(bias),
        executable_stack: elf.executable_stack,
    };
    let built = stack::build(
        guest,
        &kernel,
        &info,
        &prepared.argv,
        &prepared.envp,
        &prepared.given,
    )?;
    let instret = task.cpu.state().instret;
    let mut state = HartState {
        pc: entry,
        instret,
        ..HartState::default()
    };
    state.x[2] = built.sp;
    *task.cpu.state_mut() = state;
    let started = Started {
        exe: prepared.exe,
        argv: prepared.argv,
        envp: prepared.envp,
        auxv: built.auxv,
    };
    task.name = [0; 16];
    let comm = started.comm();
    task.name[..comm.len()].copy_from_slice(&comm);
    *kernel.started.lock() = started;
    task.cpu.program_starts(&prepared.file);
    Ok(())
}

fn protection(flags: u32) -> Protection {
    let mut prot = Protection::NONE;
    for (flag, bit) in [
        (Segment::R, Protection::READ),
        (Segment::W, Protection::WRITE),
        (Segment::X, Protection::EXECUTE),
    ] {
        if flags & flag != 0 {
            prot = prot | bit;
        }
    }
    prot
}

fn map_elf(guest: &mut Guest, elf: &Elf, file: &File, path: &[u8], bias: u64) -> Result<(), Errno> {
    for segment in &elf.segments {
        let va = segment.va.wrapping_add(bias);
        let start = va & !(PAGE - 1);
        let file_end = va + segment.file_size;
        let end = mm::page_up(va + segment.memory_size);
        let prot = protection(segment.flags);
        let zeroed = segment.memory_size > segment.file_size;
        let mut zeros_from = start;
        if segment.file_size > 0 {
            // What the last page holds behind the segment's bytes becomes zeros.
            let tail = zeroed && !file_end.is_multiple_of(PAGE);
            let at_first = if tail { Protection::READ_WRITE } else { prot };
            let len = file_end - start;
            let offset = segment.offset & !(PAGE - 1);
            let part = FilePart {
                fd: file.as_fd(),
                offset,
                path: path.to_vec(),
                program: true,
            };
            mm::map_file(
                guest,
                Place::Fixed(start),
                len,
                at_first,
                Sharing::Private,
                part,
            )?;
            zeros_from = mm::page_up(file_end);
            if tail {
                guest.write(file_end, &vec![0; (zeros_from - file_end) as usize])?;
                mm::protect(guest, start, zeros_from - start, prot)?;
            }
        }
        if end > zeros_from {
            let place = Place::Fixed(zeros_from);
            mm::map_zeros(guest, place, end - zeros_from, prot, Sharing::Private, None)?;
        }
    }
    Ok(())
}
