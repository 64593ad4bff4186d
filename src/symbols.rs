//! Names for guest addresses, from the symbol tables of the files that are mapped.

use memory::{Backing, Protection, UserSpace, Vma};
use object::{Object, ObjectSegment, ObjectSymbol, SymbolKind};
use std::path::{Path, PathBuf};

/// Names for address ranges, ascending by start.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    symbols: Vec<Symbol>,
}

/// A function or object of a mapped file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Symbol {
    /// First address in the guest.
    pub start: u64,
    /// Size in bytes, 0 if the file does not say.
    pub size: u64,
    /// Name as in the file.
    pub name: String,
}

impl Symbols {
    /// The symbols of one ELF file, loaded `bias` bytes above the addresses in it. A file that
    /// is not ELF has none.
    pub fn of_file(bytes: &[u8], bias: u64) -> Symbols {
        let mut symbols = Vec::new();
        if let Ok(file) = object::File::parse(bytes) {
            let all = file.symbols().chain(file.dynamic_symbols());
            for symbol in all.filter(|s| s.is_definition() && s.kind() != SymbolKind::File) {
                if let Ok(name) = symbol.name()
                    && !name.is_empty()
                    && !name.starts_with('$')
                {
                    let start = symbol.address().wrapping_add(bias);
                    symbols.push(Symbol {
                        start,
                        size: symbol.size(),
                        name: name.to_owned(),
                    });
                }
            }
        }
        symbols.sort_by(|a, b| (a.start, b.size).cmp(&(b.start, a.size)));
        symbols.dedup_by_key(|symbol| symbol.start);
        Symbols { symbols }
    }

    /// The symbols of all files that code is mapped from. `host` gives the host's path of a file
    /// by the guest's.
    pub fn of_space(space: &UserSpace, host: impl Fn(&Path) -> PathBuf) -> Symbols {
        let mut all = Symbols::default();
        for vma in space.vmas() {
            if vma.protection.contains(Protection::EXECUTE)
                && let Some(found) = of_mapping(&vma, &host)
            {
                all.symbols.extend(found.symbols);
            }
        }
        all.symbols.sort_by_key(|symbol| symbol.start);
        all
    }

    /// `name` or `name+0x10` for an address within a symbol.
    pub fn name(&self, va: u64) -> Option<String> {
        let index = self
            .symbols
            .partition_point(|symbol| symbol.start <= va)
            .checked_sub(1)?;
        let symbol = &self.symbols[index];
        match va - symbol.start {
            0 => Some(symbol.name.clone()),
            offset if offset < symbol.size => Some(format!("{}+{offset:#x}", symbol.name)),
            _ => None,
        }
    }

    /// The symbol of that name.
    pub fn find(&self, name: &str) -> Option<&Symbol> {
        self.symbols.iter().find(|symbol| symbol.name == name)
    }

    /// Names that contain `part`, for an error message.
    pub fn similar(&self, part: &str) -> Vec<&str> {
        let names = self.symbols.iter().map(|symbol| symbol.name.as_str());
        names.filter(|name| name.contains(part)).take(8).collect()
    }
}

/// The symbols of the file behind a mapping, at the addresses where it is mapped.
fn of_mapping(vma: &Vma, host: &impl Fn(&Path) -> PathBuf) -> Option<Symbols> {
    use std::os::unix::ffi::OsStrExt;
    let Backing::File { file, offset } = &vma.backing else {
        return None;
    };
    let path = host(Path::new(std::ffi::OsStr::from_bytes(&file.path)));
    let bytes = std::fs::read(path).ok()?;
    let elf = object::File::parse(&*bytes).ok()?;
    let segment = elf.segments().find(|segment| {
        let (start, size) = segment.file_range();
        start & !0xfff <= *offset && *offset < start + size
    })?;
    let in_file = segment
        .address()
        .wrapping_sub(segment.file_range().0)
        .wrapping_add(*offset);
    Some(Symbols::of_file(&bytes, vma.start.wrapping_sub(in_file)))
}
