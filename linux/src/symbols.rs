//! Names of functions, for messages about a guest that died.

use crate::abi::{AT_FDCWD, O_RDONLY};
use crate::elf::Source;
use crate::fs::walk::Found;
use crate::kernel::Kernel;
use std::fs::File;

/// Symbol tables larger than this are not read for a message.
const MOST: u64 = 64 << 20;

/// The function of a guest file that an offset in the file lies in, and how far into it.
pub(crate) fn find(kernel: &Kernel, path: &[u8], offset: u64) -> Option<(String, u64)> {
    let Ok(Found::Host(place)) = kernel.find(AT_FDCWD, path, true) else {
        return None;
    };
    let file = File::from(place.open(O_RDONLY, 0).ok()?);
    in_file(&file, offset)
}

fn bytes(file: &File, offset: u64, len: u64) -> Option<Vec<u8>> {
    if len > MOST || offset.checked_add(len)? > file.len() {
        return None;
    }
    let mut bytes = vec![0; len as usize];
    Source::read_exact_at(file, &mut bytes, offset).ok()?;
    Some(bytes)
}

fn in_file(file: &File, offset: u64) -> Option<(String, u64)> {
    use crate::abi::structs::Reader;
    const SHT_SYMTAB: u32 = 2;
    const SHT_DYNSYM: u32 = 11;
    const STT_FUNC: u8 = 2;
    let header = bytes(file, 0, 64)?;
    let header = Reader(&header);
    let elf = crate::elf::parse(std::path::Path::new(""), file, memory::LIMIT).ok()?;
    let inside = |s: &&crate::elf::Segment| (s.offset..s.offset + s.file_size).contains(&offset);
    let segment = elf.segments.iter().find(inside)?;
    let va = segment.va + (offset - segment.offset);
    let count = u64::from(header.u16(60));
    let table = bytes(file, header.u64(40), count * 64)?;
    let sections: Vec<Reader<'_>> = table.chunks_exact(64).map(Reader).collect();
    for kind in [SHT_SYMTAB, SHT_DYNSYM] {
        let Some(section) = sections.iter().find(|section| section.u32(4) == kind) else {
            continue;
        };
        let symbols = bytes(file, section.u64(24), section.u64(32))?;
        let names = sections.get(section.u32(40) as usize)?;
        let names = bytes(file, names.u64(24), names.u64(32))?;
        let functions = symbols
            .chunks_exact(24)
            .filter(|symbol| symbol[4] & 15 == STT_FUNC);
        let best = functions
            .map(Reader)
            .filter(|symbol| symbol.u64(8) != 0 && symbol.u64(8) <= va)
            .filter(|symbol| symbol.u64(16) == 0 || va - symbol.u64(8) < symbol.u64(16))
            .max_by_key(|symbol| symbol.u64(8));
        if let Some(symbol) = best {
            let name = names.get(symbol.u32(0) as usize..)?;
            let end = name.iter().position(|&byte| byte == 0)?;
            return Some((
                String::from_utf8_lossy(&name[..end]).into_owned(),
                va - symbol.u64(8),
            ));
        }
    }
    None
}
