//! Strict parser for the parts of an ELF file that the kernel reads: header and program headers.

use crate::Error;
use crate::abi::structs::Reader;
use std::path::{Path, PathBuf};

/// Guest pages are 4 KiB.
pub const PAGE: u64 = 4096;

/// Where the bytes of a file come from.
pub trait Source {
    /// Length of the file.
    fn len(&self) -> u64;
    /// Fills `buffer` from `offset`; an error if the file ends before.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()>;
    /// Whether the file is empty.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Source for [u8] {
    fn len(&self) -> u64 {
        self.len() as u64
    }
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        let bytes = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(buffer.len())?))
            .ok_or(std::io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

impl Source for std::fs::File {
    fn len(&self) -> u64 {
        self.metadata().map_or(0, |metadata| metadata.len())
    }
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, offset)
    }
}

/// A loadable segment. `offset + file_size` lies within the file, `va + memory_size` below the
/// limit of guest addresses, `file_size <= memory_size`, and offset and va agree modulo pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Offset in the file.
    pub offset: u64,
    /// Bytes in the file.
    pub file_size: u64,
    /// Address, before a position-independent file's bias is added.
    pub va: u64,
    /// Bytes in memory; what the file does not give is zero.
    pub memory_size: u64,
    /// `PF_X | PF_W | PF_R`.
    pub flags: u32,
}

impl Segment {
    /// Executable.
    pub const X: u32 = 1;
    /// Writable.
    pub const W: u32 = 2;
    /// Readable.
    pub const R: u32 = 4;
    /// First address behind it.
    pub fn end(&self) -> u64 {
        self.va + self.memory_size
    }
}

/// What the kernel needs to know of an executable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Elf {
    /// Entry point, before the bias.
    pub entry: u64,
    /// Position independent (`ET_DYN`).
    pub relocatable: bool,
    /// Address of the program headers, before the bias; 0 if no segment holds them.
    pub headers_va: u64,
    /// Number of program headers.
    pub header_count: u16,
    /// Loadable segments by ascending address; at least one; none overlap.
    pub segments: Vec<Segment>,
    /// Path of the program interpreter (dynamic linker).
    pub interpreter: Option<Vec<u8>>,
    /// The stack must be executable (`PT_GNU_STACK` says so).
    pub executable_stack: bool,
}

impl Elf {
    /// First address, rounded down to a page.
    pub fn start(&self) -> u64 {
        self.segments
            .first()
            .map_or(0, |segment| segment.va & !(PAGE - 1))
    }
    /// First address behind the last segment.
    pub fn end(&self) -> u64 {
        self.segments.last().map_or(0, Segment::end)
    }
}

const REBUILD: &str = "The file is damaged: build or copy it again";
const WRONG_MACHINE: &str = "Run it directly, or get its riscv64 build";
const NOT_A_PROGRAM: &str = "Only linked riscv64 Linux programs can be run";
const SIZE: u64 = 64;
const PROGRAM_HEADER_SIZE: u16 = 56;
/// Linux refuses program header tables above 64 KiB.
const MAX_PROGRAM_HEADERS: u16 = u16::MAX / PROGRAM_HEADER_SIZE;
/// Linux's PATH_MAX.
const MAX_INTERPRETER: u64 = 4096;

const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
const PT_PHDR: u32 = 6;
const PT_GNU_STACK: u32 = 0x6474_e551;

/// Reads and checks a file. `limit` is the first address that a guest cannot use.
pub fn parse(path: &Path, source: &(impl Source + ?Sized), limit: u64) -> Result<Elf, Error> {
    Parser {
        path: path.to_owned(),
        length: source.len(),
        limit,
    }
    .parse(source)
}

struct Parser {
    path: PathBuf,
    length: u64,
    limit: u64,
}

impl Parser {
    fn bad<T>(&self, offset: u64, reason: String, remedy: &'static str) -> Result<T, Error> {
        Err(Error::Elf {
            path: self.path.clone(),
            offset,
            reason,
            remedy,
        })
    }

    fn read(&self, source: &(impl Source + ?Sized), out: &mut [u8], at: u64) -> Result<(), Error> {
        source.read_exact_at(out, at).map_err(|source| Error::File {
            path: self.path.clone(),
            source,
        })
    }

    fn parse(&self, source: &(impl Source + ?Sized)) -> Result<Elf, Error> {
        let mut header = [0; SIZE as usize];
        let present = self.length.min(SIZE) as usize;
        self.read(source, &mut header[..present], 0)?;
        self.check_identity(&header, present)?;
        let kind = Reader(&header).u16(16);
        let table = Reader(&header).u64(32);
        let (entry_size, count) = (Reader(&header).u16(54), Reader(&header).u16(56));
        if entry_size != PROGRAM_HEADER_SIZE {
            let reason = format!("program headers of {entry_size} bytes instead of 56");
            return self.bad(54, reason, REBUILD);
        }
        if count == 0 || count > MAX_PROGRAM_HEADERS {
            let reason =
                format!("{count} program headers; a program has 1 to {MAX_PROGRAM_HEADERS}");
            return self.bad(56, reason, NOT_A_PROGRAM);
        }
        let size = u64::from(count) * u64::from(PROGRAM_HEADER_SIZE);
        if table.checked_add(size).is_none_or(|end| end > self.length) {
            let reason = format!(
                "the program header table ({table:#x}, {size} bytes) lies outside the file of {} bytes",
                self.length
            );
            return self.bad(32, reason, REBUILD);
        }
        let mut headers = vec![0; size as usize];
        self.read(source, &mut headers, table)?;
        let mut elf = Elf {
            entry: Reader(&header).u64(24),
            relocatable: kind == 3,
            headers_va: 0,
            header_count: count,
            segments: Vec::new(),
            interpreter: None,
            executable_stack: false,
        };
        for (index, raw) in headers
            .chunks_exact(usize::from(PROGRAM_HEADER_SIZE))
            .enumerate()
        {
            let at = table + index as u64 * u64::from(PROGRAM_HEADER_SIZE);
            match Reader(raw).u32(0) {
                PT_LOAD => self.segment(raw, at, &mut elf.segments)?,
                PT_INTERP => elf.interpreter = Some(self.interpreter(source, raw, at)?),
                PT_GNU_STACK => elf.executable_stack = Reader(raw).u32(4) & Segment::X != 0,
                PT_PHDR => elf.headers_va = Reader(raw).u64(16),
                _ => {}
            }
        }
        self.check_whole(&mut elf, table)?;
        Ok(elf)
    }

    /// The first 24 bytes, and the machine.
    fn check_identity(&self, header: &[u8; SIZE as usize], present: usize) -> Result<(), Error> {
        if !header.starts_with(b"\x7fELF") {
            return self.bad(
                0,
                "no ELF file: it does not start with 7f 45 4c 46".into(),
                NOT_A_PROGRAM,
            );
        }
        if present < SIZE as usize {
            let reason = format!("truncated: {} bytes, the header alone has 64", self.length);
            return self.bad(self.length, reason, REBUILD);
        }
        if header[4] != 2 {
            let reason = match header[4] {
                1 => "a 32-bit program".to_owned(),
                class => format!("unknown ELF class {class}"),
            };
            return self.bad(
                4,
                reason + ", expected a 64-bit one",
                "Get its riscv64 build",
            );
        }
        if header[5] != 1 {
            let reason = format!("data encoding {} instead of 1 (little-endian)", header[5]);
            return self.bad(5, reason, WRONG_MACHINE);
        }
        let machine = Reader(header).u16(18);
        if machine != 243 {
            let name = match machine {
                3 => "i386",
                8 => "MIPS",
                20 | 21 => "PowerPC",
                22 => "s390",
                40 => "32-bit ARM",
                62 => "x86-64",
                183 => "aarch64",
                258 => "LoongArch",
                _ => "an unknown machine",
            };
            let reason = format!("a program for {name} (machine {machine}), expected RISC-V (243)");
            return self.bad(18, reason, WRONG_MACHINE);
        }
        if header[6] != 1 || Reader(header).u32(20) != 1 {
            return self.bad(20, "unknown ELF version, expected 1".into(), REBUILD);
        }
        match Reader(header).u16(16) {
            2 | 3 => Ok(()),
            1 => self.bad(16, "an object file, not a program".into(), "Link it first"),
            4 => self.bad(16, "a core dump, not a program".into(), NOT_A_PROGRAM),
            kind => {
                let reason = format!("file type {kind}, expected 2 (program) or 3 (shared object)");
                self.bad(16, reason, REBUILD)
            }
        }
    }

    fn segment(&self, raw: &[u8], at: u64, segments: &mut Vec<Segment>) -> Result<(), Error> {
        let segment = Segment {
            flags: Reader(raw).u32(4),
            offset: Reader(raw).u64(8),
            va: Reader(raw).u64(16),
            file_size: Reader(raw).u64(32),
            memory_size: Reader(raw).u64(40),
        };
        let Segment {
            offset,
            file_size,
            va,
            memory_size,
            ..
        } = segment;
        if offset
            .checked_add(file_size)
            .is_none_or(|end| end > self.length)
        {
            let reason = format!(
                "a segment's bytes ({offset:#x}, {file_size:#x} bytes) lie outside the file of {:#x} bytes",
                self.length
            );
            return self.bad(at + 8, reason, REBUILD);
        }
        if file_size > memory_size {
            let reason = format!(
                "a segment has {file_size:#x} bytes in the file but only {memory_size:#x} in memory"
            );
            return self.bad(at + 40, reason, REBUILD);
        }
        if va
            .checked_add(memory_size)
            .is_none_or(|end| end > self.limit - PAGE)
        {
            let reason = format!(
                "a segment at {va:#x} of {memory_size:#x} bytes lies outside the guest's addresses (up to {:#x})",
                self.limit
            );
            return self.bad(at + 16, reason, "Link it for lower addresses");
        }
        if va % PAGE != offset % PAGE {
            let reason = format!(
                "a segment's address {va:#x} and file offset {offset:#x} differ modulo the page size"
            );
            return self.bad(at + 8, reason, "Link it with -z max-page-size=4096");
        }
        if let Some(previous) = segments.last()
            && va < previous.end()
        {
            let reason = format!(
                "a segment at {va:#x} overlaps or precedes the one that ends at {:#x}",
                previous.end()
            );
            return self.bad(at + 16, reason, REBUILD);
        }
        if memory_size > 0 {
            segments.push(segment);
        }
        Ok(())
    }

    fn interpreter(
        &self,
        source: &(impl Source + ?Sized),
        raw: &[u8],
        at: u64,
    ) -> Result<Vec<u8>, Error> {
        let (offset, size) = (Reader(raw).u64(8), Reader(raw).u64(32));
        let inside = offset
            .checked_add(size)
            .is_some_and(|end| end <= self.length);
        if !inside || !(2..=MAX_INTERPRETER).contains(&size) {
            let reason = format!(
                "the interpreter's name ({offset:#x}, {size:#x} bytes) is outside the file, empty or too long"
            );
            return self.bad(at + 8, reason, REBUILD);
        }
        let mut name = vec![0; size as usize];
        self.read(source, &mut name, offset)?;
        match name.iter().position(|&byte| byte == 0) {
            Some(end) if end > 0 => {
                name.truncate(end);
                Ok(name)
            }
            _ => self.bad(
                offset,
                "the interpreter's name has no end or is empty".into(),
                REBUILD,
            ),
        }
    }

    fn check_whole(&self, elf: &mut Elf, table: u64) -> Result<(), Error> {
        if elf.segments.is_empty() {
            return self.bad(table, "no loadable segment".into(), NOT_A_PROGRAM);
        }
        let span = elf.end() - elf.start();
        if span > self.limit / 4 {
            let reason = format!(
                "needs {span:#x} bytes of addresses, at most {:#x} are possible",
                self.limit / 4
            );
            return self.bad(
                table,
                reason,
                "Use a smaller static array or allocate at run time",
            );
        }
        let entered =
            |s: &&Segment| s.flags & Segment::X != 0 && (s.va..s.end()).contains(&elf.entry);
        if elf.segments.iter().find(entered).is_none() {
            let reason = format!(
                "the entry point {:#x} is in no executable segment",
                elf.entry
            );
            return self.bad(
                24,
                reason,
                "Link it as a program, with an entry point (_start)",
            );
        }
        if elf.headers_va == 0 {
            let size = u64::from(elf.header_count) * u64::from(PROGRAM_HEADER_SIZE);
            let holds = |s: &&Segment| table >= s.offset && table + size <= s.offset + s.file_size;
            elf.headers_va = elf
                .segments
                .iter()
                .find(holds)
                .map_or(0, |s| s.va + (table - s.offset));
        }
        Ok(())
    }
}
