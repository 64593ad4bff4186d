//! Memory calls: brk, mmap, mprotect and their kin. All changes of mappings pass through here, so
//! that they can be recorded.

use crate::abi::*;
use crate::call::{Call, SysResult};
use crate::errno::Errno;
use crate::guest::Guest;
use crate::host;
use crate::kernel::Kernel;
use crate::observer::{Change, MappedFile};
use memory::{Backing, FileInfo, PAGE, PageFlags, Place, Protection, Sharing};
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

/// What the kernel remembers of a process's memory, beside the mappings.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Mm {
    /// Where the heap starts.
    pub brk_start: u64,
    /// Where it ends.
    pub brk: u64,
    /// Where a signal handler returns to.
    pub trampoline: u64,
}

impl From<memory::Error> for Errno {
    fn from(error: memory::Error) -> Errno {
        match error {
            memory::Error::Invalid { .. } => Errno::EINVAL,
            memory::Error::NoMemory { .. } => Errno::ENOMEM,
            memory::Error::Exists { .. } => Errno::EEXIST,
            memory::Error::TooLow { .. } => Errno::EPERM,
            memory::Error::NotOneMapping { .. } => Errno::EFAULT,
            memory::Error::Host { source, .. } => host::errno_of(&source),
            memory::Error::HostPageSize { .. } | memory::Error::TooManySpaces { .. } => {
                Errno::ENOMEM
            }
        }
    }
}

/// Rounds up to pages; too much becomes 0, which every call refuses.
pub(crate) fn page_up(len: u64) -> u64 {
    len.checked_next_multiple_of(PAGE).unwrap_or(0)
}

pub(crate) fn map_zeros(
    guest: &mut Guest,
    place: Place,
    len: u64,
    prot: Protection,
    sharing: Sharing,
    name: Option<&str>,
) -> Result<u64, Errno> {
    let va = guest
        .space()
        .map_anonymous(place, len, prot, sharing, name.map(Arc::from))?;
    guest.note(|| Change::Map {
        va,
        len: page_up(len),
        prot,
        file: None,
    });
    Ok(va)
}

/// Where a mapped file comes from.
pub(crate) struct FilePart<'a> {
    pub fd: BorrowedFd<'a>,
    pub offset: u64,
    pub path: Vec<u8>,
    /// Whether it is a program's or a library's, which nobody shortens while it is mapped.
    pub program: bool,
}

pub(crate) fn map_file(
    guest: &mut Guest,
    place: Place,
    len: u64,
    prot: Protection,
    sharing: Sharing,
    part: FilePart<'_>,
) -> Result<u64, Errno> {
    use std::os::fd::AsRawFd;
    let stat = host::fs::stat_fd(part.fd.as_raw_fd())?;
    let info = FileInfo {
        path: part.path,
        device: stat.dev,
        inode: stat.ino,
        steady: if part.program { stat.size } else { 0 },
    };
    let va = guest.space().map_file(
        place,
        len,
        prot,
        sharing,
        part.fd,
        part.offset,
        Arc::new(info),
    )?;
    if guest.recording() {
        let file = part
            .fd
            .try_clone_to_owned()
            .map_err(|error| host::errno_of(&error))?;
        let file = Arc::new(std::fs::File::from(host::fds::move_high(file)));
        let file = MappedFile {
            file,
            offset: part.offset,
            shared: sharing == Sharing::Shared,
        };
        guest.note(|| Change::Map {
            va,
            len: page_up(len),
            prot,
            file: Some(file),
        });
    }
    Ok(va)
}

pub(crate) fn unmap(guest: &mut Guest, va: u64, len: u64) -> Result<(), Errno> {
    guest.space().unmap(va, len)?;
    guest.note(|| Change::Unmap {
        va,
        len: page_up(len),
    });
    Ok(())
}

pub(crate) fn protect(guest: &mut Guest, va: u64, len: u64, prot: Protection) -> Result<(), Errno> {
    guest.space().protect(va, len, prot)?;
    guest.note(|| Change::Protect {
        va,
        len: page_up(len),
        prot,
    });
    Ok(())
}

/// Unmaps everything.
pub(crate) fn clear(guest: &mut Guest) -> Result<(), Errno> {
    for vma in guest.space().vmas() {
        unmap(guest, vma.start, vma.end - vma.start)?;
    }
    Ok(())
}

pub(crate) fn brk(call: &mut Call) -> SysResult {
    let kernel = call.kernel.clone();
    let mut mm = kernel.mm.lock();
    let wanted = call.arg(0);
    if wanted < mm.brk_start || wanted > memory::LIMIT {
        return Ok(mm.brk);
    }
    let (old, new) = (page_up(mm.brk), page_up(wanted));
    let guest = &mut call.task.guest;
    let done = if new > old {
        let prot = Protection::READ_WRITE;
        let place = Place::FixedNoReplace(old);
        map_zeros(
            guest,
            place,
            new - old,
            prot,
            Sharing::Private,
            Some("[heap]"),
        )
        .map(drop)
    } else if new < old {
        unmap(guest, new, old - new)
    } else {
        Ok(())
    };
    if done.is_ok() {
        mm.brk = wanted;
    }
    Ok(mm.brk)
}

fn protection(bits: u64) -> Result<Protection, Errno> {
    // PROT_GROWSDOWN and the like are refused, as is what does not exist.
    if bits & !(PROT_READ | PROT_WRITE | PROT_EXEC) != 0 {
        return Err(Errno::EINVAL);
    }
    Ok(Protection::from_bits(bits as u8))
}

pub(crate) fn mmap(call: &mut Call) -> SysResult {
    let [va, len, prot, flags, _, offset] = call.args;
    let fd = call.int(4);
    let prot = protection(prot)?;
    let sharing = match flags & MAP_TYPE {
        MAP_PRIVATE => Sharing::Private,
        MAP_SHARED | MAP_SHARED_VALIDATE => Sharing::Shared,
        _ => return Err(Errno::EINVAL.into()),
    };
    if len == 0 || page_up(len) == 0 || !offset.is_multiple_of(PAGE) {
        return Err(if len == 0 || page_up(len) != 0 {
            Errno::EINVAL
        } else {
            Errno::ENOMEM
        }
        .into());
    }
    let fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
    if fixed != 0 && !va.is_multiple_of(PAGE) {
        return Err(Errno::EINVAL.into());
    }
    let place = match (fixed, va & !(PAGE - 1)) {
        (0, 0) => Place::Anywhere,
        (0, hint) => Place::Hint(hint),
        (fixed, va) if fixed & MAP_FIXED_NOREPLACE != 0 => Place::FixedNoReplace(va),
        (_, va) => Place::Fixed(va),
    };
    let kernel = call.kernel.clone();
    let _mm = kernel.mm.lock();
    let guest = &mut call.task.guest;
    if flags & MAP_ANONYMOUS != 0 {
        return Ok(map_zeros(guest, place, len, prot, sharing, None)?);
    }
    let fds = kernel.fds.lock();
    let entry = fds.get(fd)?;
    if entry.listing.is_some() {
        return Err(Errno::ENODEV.into());
    }
    let path = entry
        .path
        .as_ref()
        .map(|path| path.to_vec())
        .unwrap_or_default();
    // SAFETY: the table is locked, so nobody closes the guest's descriptor meanwhile.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let part = FilePart {
        fd: borrowed,
        offset,
        path,
        program: flags & MAP_DENYWRITE != 0,
    };
    Ok(map_file(guest, place, len, prot, sharing, part)?)
}

pub(crate) fn munmap(call: &mut Call) -> SysResult {
    let kernel = call.kernel.clone();
    let _mm = kernel.mm.lock();
    unmap(&mut call.task.guest, call.args[0], call.args[1])?;
    Ok(0)
}

pub(crate) fn mprotect(call: &mut Call) -> SysResult {
    let [va, len, prot, ..] = call.args;
    let prot = protection(prot)?;
    if !va.is_multiple_of(PAGE) {
        return Err(Errno::EINVAL.into());
    }
    if len == 0 {
        return Ok(0);
    }
    let kernel = call.kernel.clone();
    let _mm = kernel.mm.lock();
    protect(&mut call.task.guest, va, len, prot)?;
    Ok(0)
}

pub(crate) fn mremap(call: &mut Call) -> SysResult {
    let [from, old_len, new_len, flags, to, _] = call.args;
    let (may_move, fixed) = (flags & MREMAP_MAYMOVE != 0, flags & MREMAP_FIXED != 0);
    let known = MREMAP_MAYMOVE | MREMAP_FIXED;
    if flags & !known != 0 || fixed && !may_move || new_len == 0 || !from.is_multiple_of(PAGE) {
        return Err(Errno::EINVAL.into());
    }
    let place = match (may_move, fixed) {
        (false, _) => None,
        (true, false) => Some(Place::Anywhere),
        (true, true) => Some(Place::Fixed(to)),
    };
    let kernel = call.kernel.clone();
    let _mm = kernel.mm.lock();
    let guest = &mut call.task.guest;
    let to = guest
        .space()
        .remap(from, old_len, new_len, place)
        .map_err(Errno::from)?;
    let (old_len, new_len) = (page_up(old_len), page_up(new_len));
    guest.note(|| Change::Move {
        from,
        old_len,
        to,
        new_len,
    });
    Ok(to)
}

pub(crate) fn madvise(call: &mut Call) -> SysResult {
    let [va, len, advice, ..] = call.args;
    if !va.is_multiple_of(PAGE) {
        return Err(Errno::EINVAL.into());
    }
    let len = page_up(len);
    match advice {
        // What MADV_FREE leaves is unspecified until it is written again: zeros will do.
        MADV_DONTNEED | MADV_FREE if len > 0 => {
            let kernel = call.kernel.clone();
            let _mm = kernel.mm.lock();
            let guest = &mut call.task.guest;
            guest.space().discard(va, len).map_err(Errno::from)?;
            guest.note(|| Change::Discard { va, len });
            Ok(0)
        }
        MADV_REMOVE => Err(Errno::EINVAL.into()),
        _ => Ok(0),
    }
}

/// Shared mappings are the host's: what is written there is in the file already.
pub(crate) fn msync(call: &mut Call) -> SysResult {
    let va = call.arg(0);
    if !va.is_multiple_of(PAGE) {
        return Err(Errno::EINVAL.into());
    }
    check_mapped(call, va, page_up(call.arg(1)))?;
    Ok(0)
}

fn check_mapped(call: &Call, va: u64, len: u64) -> Result<(), Errno> {
    let end = va
        .checked_add(len)
        .filter(|&end| end <= memory::LIMIT)
        .ok_or(Errno::ENOMEM)?;
    let mapped = |page: u64| call.kernel.space.page_flags(page).has(PageFlags::MAPPED);
    if (va..end).step_by(PAGE as usize).all(mapped) {
        Ok(())
    } else {
        Err(Errno::ENOMEM)
    }
}

/// Every mapped page counts as resident.
pub(crate) fn mincore(call: &mut Call) -> SysResult {
    let [va, len, out, ..] = call.args;
    if !va.is_multiple_of(PAGE) {
        return Err(Errno::EINVAL.into());
    }
    let len = page_up(len);
    check_mapped(call, va, len)?;
    for first in (0..len / PAGE).step_by(4096) {
        let count = (len / PAGE - first).min(4096);
        call.write(out + first, &vec![1; count as usize])?;
    }
    Ok(0)
}

/// Guest memory is not locked in host memory, and the guest cannot tell.
pub(crate) fn lock(_: &mut Call) -> SysResult {
    Ok(0)
}

/// /proc/self/maps.
pub(crate) fn maps_text(kernel: &Kernel) -> Vec<u8> {
    let mut text = String::new();
    for vma in kernel.space.vmas() {
        let has = |wanted, letter| {
            if vma.protection.contains(wanted) {
                letter
            } else {
                '-'
            }
        };
        let shared = if vma.sharing == Sharing::Shared {
            's'
        } else {
            'p'
        };
        let (offset, device, inode, name) = match &vma.backing {
            Backing::Anonymous => (0, 0, 0, vma.name.as_deref().unwrap_or("").to_owned()),
            Backing::File { file, offset } => {
                let name = String::from_utf8_lossy(&file.path).into_owned();
                (*offset, file.device, file.inode, name)
            }
        };
        let (major, minor) = crate::abi::structs::device_numbers(device);
        let mut line = format!(
            "{:x}-{:x} {}{}{}{shared} {offset:08x} {major:02x}:{minor:02x} {inode} ",
            vma.start,
            vma.end,
            has(Protection::READ, 'r'),
            has(Protection::WRITE, 'w'),
            has(Protection::EXECUTE, 'x'),
        );
        if !name.is_empty() {
            while line.len() < 73 {
                line.push(' ');
            }
            line.push_str(&name);
        }
        let _ = writeln!(text, "{line}");
    }
    text.into_bytes()
}
