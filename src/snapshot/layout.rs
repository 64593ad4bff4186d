//! The bytes of header and section table.
//!
//! All integers are little-endian. The header lies at offset 0:
//!
//! ```text
//!  0   8  magic           89 "BHVSNP" 0a
//!  8   4  version         of the container
//! 12   4  sections        number of table entries
//! 16   8  file length
//! 24   8  table offset
//! 32   8  table checksum
//! 40  16  zero
//! 56   8  header checksum, of the 56 bytes before
//! ```
//!
//! A table entry is:
//!
//! ```text
//!  0   4  kind
//!  4   4  version         of what the section holds
//!  8   8  offset
//! 16   8  length
//! 24   8  checksum        0 if CHECKED_APART
//! 32   4  flags           1 MAY_IGNORE, 2 CHECKED_APART
//! 36   4  instance        tells sections of one kind apart: the device, the address space
//! 40  24  zero
//! ```
//!
//! A reader refuses a container of a newer version, and a section of an unknown kind unless it is
//! marked MAY_IGNORE. New kinds of section need no new container version.

use super::checksum;
use super::error::Cause;
use std::io;

/// The first eight bytes. The high bit and the line feed show transfers that alter text.
pub const MAGIC: [u8; 8] = *b"\x89BHVSNP\n";
/// The container's version.
pub const VERSION: u32 = 1;
/// Bytes of the header.
pub const HEADER: u64 = 64;
/// Bytes of a table entry.
pub const ENTRY: u64 = 64;
/// Sections that a snapshot may have: a machine with many devices has hundreds.
pub const MOST_SECTIONS: u32 = 4096;
/// Where sections begin, and pages: a multiple of any host's page.
pub const ALIGNMENT: u64 = 0x1_0000;

/// A reader that does not know the kind may go on without the section.
pub const MAY_IGNORE: u32 = 1;
/// The section's bytes have checksums of their own elsewhere (pages: in the page map).
pub const CHECKED_APART: u32 = 2;

/// A line of the section table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Section {
    /// What it holds; see [`super::Kind`].
    pub kind: u32,
    /// Version of what it holds.
    pub version: u32,
    /// Where it starts in the file.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
    /// Checksum of its bytes.
    pub checksum: u64,
    /// [`MAY_IGNORE`], [`CHECKED_APART`].
    pub flags: u32,
    /// Tells sections of one kind apart.
    pub instance: u32,
}

/// What a snapshot is read from: a file, or bytes in a test.
pub trait Source {
    /// Fills `into` from `offset` on.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<()>;
    /// Bytes in all.
    fn length(&self) -> io::Result<u64>;
}

impl Source for std::fs::File {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, into, offset)
    }
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl Source for [u8] {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start
            .checked_add(into.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(self.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

/// The header for these table bytes.
pub(super) fn header(sections: u32, file_length: u64, table_offset: u64, table: &[u8]) -> [u8; 64] {
    let mut bytes = [0; HEADER as usize];
    bytes[0..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..16].copy_from_slice(&sections.to_le_bytes());
    bytes[16..24].copy_from_slice(&file_length.to_le_bytes());
    bytes[24..32].copy_from_slice(&table_offset.to_le_bytes());
    bytes[32..40].copy_from_slice(&checksum::of(table).to_le_bytes());
    let own = checksum::of(&bytes[..56]);
    bytes[56..64].copy_from_slice(&own.to_le_bytes());
    bytes
}

/// The table's bytes.
pub(super) fn table(sections: &[Section]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(sections.len() * ENTRY as usize);
    for section in sections {
        bytes.extend(section.kind.to_le_bytes());
        bytes.extend(section.version.to_le_bytes());
        bytes.extend(section.offset.to_le_bytes());
        bytes.extend(section.length.to_le_bytes());
        bytes.extend(section.checksum.to_le_bytes());
        bytes.extend(section.flags.to_le_bytes());
        bytes.extend(section.instance.to_le_bytes());
        bytes.extend([0; 24]);
    }
    bytes
}

/// Reads and checks header and table. Nothing of the sections is read, but each lies within the
/// file, clear of the others.
pub(super) fn read(source: &(impl Source + ?Sized)) -> Result<Vec<Section>, Cause> {
    let length = source
        .length()
        .map_err(super::error::io("find the length"))?;
    if length < HEADER {
        return Err(Cause::WrongLength {
            found: length,
            expected: HEADER,
        });
    }
    let mut bytes = [0; HEADER as usize];
    source
        .read_at(&mut bytes, 0)
        .map_err(super::error::io("read the header"))?;
    let magic: [u8; 8] = field(&bytes, 0);
    if magic != MAGIC {
        return Err(Cause::NotASnapshot {
            found: magic,
            expected: MAGIC,
        });
    }
    // The version comes before the checksum: a newer container may be checked in another way.
    let version = u32::from_le_bytes(field(&bytes, 8));
    if version > VERSION {
        let what = "the container".to_owned();
        return Err(Cause::Newer {
            what,
            found: version,
            newest: VERSION,
        });
    }
    let expected = u64::from_le_bytes(field(&bytes, 56));
    check("the header", 0, &bytes[..56], expected)?;
    let malformed = |what: &str, offset, why: String| {
        Err(Cause::Malformed {
            what: what.to_owned(),
            offset,
            why,
        })
    };
    if version == 0 || bytes[40..56] != [0; 16] {
        return malformed(
            "the header",
            0,
            "version 0, or reserved bytes that are not 0".into(),
        );
    }
    let sections = u32::from_le_bytes(field(&bytes, 12));
    let file_length = u64::from_le_bytes(field(&bytes, 16));
    let table_offset = u64::from_le_bytes(field(&bytes, 24));
    if file_length != length {
        return Err(Cause::WrongLength {
            found: length,
            expected: file_length,
        });
    }
    let table_length = u64::from(sections) * ENTRY;
    if sections > MOST_SECTIONS
        || table_offset < HEADER
        || table_offset
            .checked_add(table_length)
            .is_none_or(|end| end > length)
    {
        let why = format!("{sections} sections listed at {table_offset:#x} in {length} bytes");
        return malformed("the header", 0, why);
    }
    let mut table = vec![0; table_length as usize];
    source
        .read_at(&mut table, table_offset)
        .map_err(super::error::io("read the table"))?;
    let expected = u64::from_le_bytes(field(&bytes, 32));
    check("the section table", table_offset, &table, expected)?;
    let mut end = HEADER;
    let mut list = Vec::with_capacity(sections as usize);
    for (i, entry) in table.chunks_exact(ENTRY as usize).enumerate() {
        let at = table_offset + i as u64 * ENTRY;
        let section = Section {
            kind: u32::from_le_bytes(field(entry, 0)),
            version: u32::from_le_bytes(field(entry, 4)),
            offset: u64::from_le_bytes(field(entry, 8)),
            length: u64::from_le_bytes(field(entry, 16)),
            checksum: u64::from_le_bytes(field(entry, 24)),
            flags: u32::from_le_bytes(field(entry, 32)),
            instance: u32::from_le_bytes(field(entry, 36)),
        };
        let section_end = section.offset.checked_add(section.length);
        if section.offset < end || section_end.is_none_or(|end| end > table_offset) {
            let why = format!("section {i} does not lie between what is before and behind it");
            return malformed("the section table", at, why);
        }
        let apart = section.flags & CHECKED_APART != 0;
        let unknown_flags = section.flags & !(MAY_IGNORE | CHECKED_APART) != 0;
        if unknown_flags || entry[40..] != [0; 24] || (apart && section.checksum != 0) {
            let why = format!("section {i} has flags or reserved bytes of no meaning");
            return malformed("the section table", at, why);
        }
        end = section.offset + section.length;
        list.push(section);
    }
    Ok(list)
}

/// Whether `bytes` have the checksum that was recorded.
pub(super) fn check(what: &str, offset: u64, bytes: &[u8], expected: u64) -> Result<(), Cause> {
    let found = checksum::of(bytes);
    if found == expected {
        return Ok(());
    }
    Err(Cause::Damaged {
        what: what.to_owned(),
        offset,
        found,
        expected,
    })
}

/// `N` bytes at `at`, which lie within `bytes` by the layout.
fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}
