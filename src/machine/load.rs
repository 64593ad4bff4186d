//! Files into memory: firmware, kernel, initial RAM disk, device tree.
//!
//! ```text
//!  RAM   firmware   │ kernel (at its text offset)    …    │ initrd │ tree, for fw_dynamic a note │
//! ```

use super::{Image, MachineOptions};
use crate::Error;
use memory::Ram;
use object::LittleEndian;
use object::elf::{EM_RISCV, FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};
use std::ops::Range;

const MIB: u64 = 1 << 20;
const PAGE: u64 = memory::PAGE;
/// The tree and the note lie below this, where every kernel and firmware reaches them.
const LOW: u64 = 3 << 30;
/// How much room the tree gets.
const TREE_ROOM: u64 = 2 * MIB;
/// Bytes between the start of RAM and an Image that does not say: room for firmware.
const IMAGE_OFFSET: u64 = 2 * MIB;

/// Where harts begin, and what they are told.
pub struct Start {
    /// The first instruction.
    pub pc: u64,
    /// The device tree.
    pub dtb: u64,
    /// What OpenSBI's fw_dynamic wants to know.
    pub information: u64,
}

/// Puts things into memory so that they do not overlap.
pub struct Loader<'a> {
    ram: &'a Ram,
    options: &'a MachineOptions,
    /// What is taken, and by what.
    taken: Vec<(Range<u64>, String)>,
}

impl<'a> Loader<'a> {
    pub fn new(ram: &'a Ram, options: &'a MachineOptions) -> Self {
        Loader {
            ram,
            options,
            taken: Vec::new(),
        }
    }

    /// Where the tree lies.
    fn tree(&self) -> u64 {
        let end = self.ram.len().min(LOW);
        self.ram.pa() + (end - TREE_ROOM - PAGE) / TREE_ROOM * TREE_ROOM
    }

    /// Loads the initial RAM disk below the tree.
    pub fn initrd(&mut self) -> Result<Option<Range<u64>>, Error> {
        let Some(image) = &self.options.initrd else {
            return Ok(None);
        };
        let (name, bytes) = read(image)?;
        let length = bytes.len() as u64;
        let room = self.tree() - self.ram.pa();
        if length > room {
            return Err(too_large(&name, length, self.ram.len()));
        }
        let start = (self.tree() - length) / PAGE * PAGE;
        self.put(start, &bytes, length, &name)?;
        Ok(Some(start..start + length))
    }

    /// Loads the rest.
    pub fn finish(mut self, dtb: &[u8]) -> Result<Start, Error> {
        let tree = self.tree();
        self.put(tree, dtb, TREE_ROOM, "the device tree")?;
        let firmware = match &self.options.firmware {
            Some(image) => Some(self.program(image, 0)?),
            None => None,
        };
        let kernel = match &self.options.kernel {
            Some(image) => Some(self.program(image, IMAGE_OFFSET)?),
            None => None,
        };
        let pc = firmware.or(kernel).ok_or_else(|| {
            Error::usage(
                "there is nothing to boot",
                "give a kernel with --kernel, firmware with --firmware, or both",
            )
        })?;
        let information = tree + TREE_ROOM;
        // fw_dynamic.h of OpenSBI: magic, version, next_addr, next_mode (S), options, boot_hart.
        let note = [0x4942_534f, 2, kernel.unwrap_or(0), 1, 0, 0];
        let note: Vec<u8> = note.into_iter().flat_map(u64::to_le_bytes).collect();
        self.put(information, &note, PAGE, "what fw_dynamic is told")?;
        Ok(Start {
            pc,
            dtb: tree,
            information,
        })
    }

    /// Loads an ELF file, a Linux Image, or bytes that go to `offset`; where it begins.
    fn program(&mut self, image: &Image, offset: u64) -> Result<u64, Error> {
        let (name, bytes) = read(image)?;
        if bytes.starts_with(b"\x7fELF") {
            return self.elf(&name, &bytes);
        }
        if bytes.starts_with(&[0x1f, 0x8b]) {
            return Err(Error::usage(
                format!("{name} is compressed by gzip"),
                format!("unpack it: gzip -dc {name} > Image"),
            ));
        }
        let (offset, length) = match header(&bytes) {
            Some((text_offset, image_size)) => (text_offset, image_size.max(bytes.len() as u64)),
            None => (offset, bytes.len() as u64),
        };
        if bytes.is_empty() {
            return Err(Error::usage(
                format!("{name} is empty"),
                "give an Image or an ELF file",
            ));
        }
        let start = self.ram.pa().checked_add(offset);
        let start = start.ok_or_else(|| too_large(&name, offset, self.ram.len()))?;
        self.put(start, &bytes, length, &name)?;
        Ok(start)
    }

    fn elf(&mut self, name: &str, bytes: &[u8]) -> Result<u64, Error> {
        let broken = |what: &str| {
            Error::usage(
                format!("{name} is no ELF file for a machine: {what}"),
                "give one that is linked for RV64 at physical addresses from 0x80000000 up",
            )
        };
        let header =
            FileHeader64::<LittleEndian>::parse(bytes).map_err(|e| broken(&e.to_string()))?;
        let endian = LittleEndian;
        if header.e_machine(endian) != EM_RISCV || !header.is_class_64() {
            return Err(broken("it is for another processor"));
        }
        let segments = header
            .program_headers(endian, bytes)
            .map_err(|e| broken(&e.to_string()))?;
        let mut entry = header.e_entry(endian);
        for segment in segments.iter().filter(|s| s.p_type(endian) == PT_LOAD) {
            let (pa, va) = (segment.p_paddr(endian), segment.p_vaddr(endian));
            let length = segment.p_memsz(endian);
            let data = segment
                .data(endian, bytes)
                .map_err(|()| broken("it ends too early"))?;
            if length == 0 {
                continue;
            }
            self.put(pa, data, length, name)?;
            // Kernels are linked at virtual addresses and started at physical ones.
            let e_entry = header.e_entry(endian);
            if e_entry.wrapping_sub(va) < length {
                entry = e_entry.wrapping_sub(va).wrapping_add(pa);
            }
        }
        if !self.ram.contains(entry, 2) {
            return Err(broken(&format!("it begins at {entry:#x}, which is no RAM")));
        }
        Ok(entry)
    }

    /// Puts bytes into memory, of which `length` are taken.
    fn put(&mut self, pa: u64, bytes: &[u8], length: u64, name: &str) -> Result<(), Error> {
        if !self.ram.contains(pa, length) || bytes.len() as u64 > length {
            return Err(too_large(name, length, self.ram.len()));
        }
        let range = pa..pa + length;
        let clash =
            |(taken, _): &&(Range<u64>, String)| taken.start < range.end && range.start < taken.end;
        if let Some((taken, other)) = self.taken.iter().find(clash) {
            return Err(Error::usage(
                format!(
                    "{name} at {:#x} to {:#x} would overlap {other} at {:#x} to {:#x}",
                    range.start, range.end, taken.start, taken.end
                ),
                "give the machine more memory with --memory, or link them elsewhere",
            ));
        }
        self.ram.write(pa, bytes);
        self.taken.push((range, name.to_owned()));
        Ok(())
    }
}

/// The text offset and image size of a Linux Image. Documentation/arch/riscv/boot-image-header.
fn header(bytes: &[u8]) -> Option<(u64, u64)> {
    let word = |at: usize| {
        let field = bytes.get(at..at + 8)?;
        Some(u64::from_le_bytes(field.try_into().ok()?))
    };
    (bytes.get(0x38..0x3c)? == b"RSC\x05").then_some((word(8)?, word(16)?))
}

fn read(image: &Image) -> Result<(String, Vec<u8>), Error> {
    match image {
        Image::Bytes(name, bytes) => Ok((name.clone(), bytes.clone())),
        Image::File(path) => match std::fs::read(path) {
            Ok(bytes) => Ok((path.display().to_string(), bytes)),
            Err(source) => Err(Error::File {
                path: path.clone(),
                source,
            }),
        },
    }
}

fn too_large(name: &str, length: u64, memory: u64) -> Error {
    Error::usage(
        format!(
            "{name} ({} MiB) does not fit into {} MiB of memory",
            length / MIB,
            memory / MIB
        ),
        "give the machine more memory with --memory",
    )
}
