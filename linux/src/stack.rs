//! What a new program finds on its stack: arguments, environment, auxiliary vector.

use crate::abi::structs::Writer;
use crate::abi::*;
use crate::errno::Errno;
use crate::guest::Guest;
use crate::kernel::Kernel;
use crate::{host, mm};
use memory::{PAGE, Place, Protection, Sharing};

/// The page that signal handlers return to.
const TRAMPOLINE: u64 = memory::LIMIT - 2 * PAGE;
/// First address above the stack.
const STACK_TOP: u64 = memory::LIMIT - 16 * PAGE;
/// Bytes between strings and what the stack begins with. Linux leaves a random number of them, up to twice
/// as many; compiled code relies on some being there (jit/src/stacks.rs).
const GAP: u64 = PAGE;
/// The stack's size is the host's limit within these bounds.
const SMALLEST: u64 = 128 << 10;
const LARGEST: u64 = 64 << 20;

/// What the auxiliary vector says of the program.
pub(crate) struct AuxInfo {
    pub headers: u64,
    pub header_count: u64,
    /// Where the program interpreter is; 0 without one.
    pub base: u64,
    pub entry: u64,
    pub executable_stack: bool,
}

/// A stack that is ready.
pub(crate) struct Built {
    pub sp: u64,
    pub auxv: Vec<u8>,
}

/// `li a7, 139; ecall`: rt_sigreturn. Unwinders know a signal frame by these very bytes.
const SIGRETURN: [u8; 8] = [0x93, 0x08, 0xb0, 0x08, 0x73, 0x00, 0x00, 0x00];

/// Maps the code that returns from signal handlers; its address.
pub(crate) fn map_trampoline(guest: &mut Guest) -> Result<u64, Errno> {
    let (place, prot) = (Place::Fixed(TRAMPOLINE), Protection::READ_WRITE);
    mm::map_zeros(
        guest,
        place,
        PAGE,
        prot,
        Sharing::Private,
        Some("[sigreturn]"),
    )?;
    guest.write(TRAMPOLINE, &SIGRETURN)?;
    mm::protect(guest, TRAMPOLINE, PAGE, Protection::READ_EXECUTE)?;
    Ok(TRAMPOLINE)
}

/// The stack's limit as the guest sees it.
pub(crate) fn size() -> u64 {
    let soft = host::process::limit(RLIMIT_STACK).map_or(8 << 20, |limit| limit.0);
    soft.clamp(SMALLEST, LARGEST) & !(PAGE - 1)
}

pub(crate) fn build(
    guest: &mut Guest,
    kernel: &Kernel,
    info: &AuxInfo,
    argv: &[Vec<u8>],
    envp: &[Vec<u8>],
    given: &[u8],
) -> Result<Built, Errno> {
    let size = size();
    let mut prot = Protection::READ_WRITE;
    if info.executable_stack {
        prot = prot | Protection::EXECUTE;
    }
    let bottom = STACK_TOP - size;
    mm::map_zeros(
        guest,
        Place::Fixed(bottom),
        size,
        prot,
        Sharing::Private,
        Some("[stack]"),
    )?;
    let mut random = [0; 16];
    kernel.random.lock().fill(&mut random);

    // Strings from the top downwards, their addresses on the way.
    let strings: usize = argv.iter().chain(envp).map(|string| string.len() + 9).sum();
    if (strings + given.len()) as u64 > size / 4 {
        return Err(Errno::E2BIG);
    }
    let mut top = STACK_TOP - 8;
    let mut push = |guest: &mut Guest, bytes: &[u8]| {
        top -= bytes.len() as u64 + 1;
        guest.write(top, bytes).map(|()| top)
    };
    let exec_name = push(guest, given)?;
    let mut env_at = Vec::new();
    for string in envp.iter().rev() {
        env_at.push(push(guest, string)?);
    }
    let mut arg_at = Vec::new();
    for string in argv.iter().rev() {
        arg_at.push(push(guest, string)?);
    }
    top = (top - GAP - 16) & !15;
    guest.write(top, &random)?;
    let random_at = top;

    let [uid, euid, _] = host::process::user_ids();
    let [gid, egid, _] = host::process::group_ids();
    let auxv: Vec<(u64, u64)> = vec![
        (AT_PHDR, info.headers),
        (AT_PHENT, 56),
        (AT_PHNUM, info.header_count),
        (AT_PAGESZ, PAGE),
        (AT_BASE, info.base),
        (AT_FLAGS, 0),
        (AT_ENTRY, info.entry),
        (AT_UID, u64::from(uid)),
        (AT_EUID, u64::from(euid)),
        (AT_GID, u64::from(gid)),
        (AT_EGID, u64::from(egid)),
        (AT_HWCAP, HWCAP),
        (AT_CLKTCK, 100),
        (AT_SECURE, 0),
        (AT_RANDOM, random_at),
        (AT_EXECFN, exec_name),
        (AT_MINSIGSTKSZ, crate::signal::frame::SIZE),
        (AT_NULL, 0),
    ];
    let auxv = auxv
        .into_iter()
        .fold(Writer::new(), |out, (key, value)| out.u64(key).u64(value))
        .0;

    let words = 1 + argv.len() + 1 + envp.len() + 1;
    let sp = (top - words as u64 * 8 - auxv.len() as u64) & !15;
    let mut block = Writer::new().u64(argv.len() as u64);
    for pointers in [arg_at, env_at] {
        block = pointers.into_iter().rev().fold(block, Writer::u64).u64(0);
    }
    guest.write(sp, &block.bytes(&auxv).0)?;
    Ok(Built { sp, auxv })
}
