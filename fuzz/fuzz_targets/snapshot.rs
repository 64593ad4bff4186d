//! Any bytes as a snapshot: refused or read, never a panic or a huge allocation. Each input is
//! tried as it is and with its checksums made right, as somebody hostile would.

#![no_main]

use baby_hypervisor::machine::{Description, Image, Machine, MachineOptions, Wires};
use baby_hypervisor::snapshot::{Bytes, Kind, Meta, Reader, checksum, space::Mappings};
use libfuzzer_sys::fuzz_target;
use std::path::Path;
use std::sync::Arc;

fuzz_target!(|data: &[u8]| {
    read(data);
    read(&with_checksums(data));
});

/// Reads all that resuming reads.
fn read(bytes: &[u8]) {
    let Ok(reader) = Reader::from_source(Bytes(bytes), Path::new("fuzz")) else { return };
    let _ = reader.state::<Meta>(Kind::Meta);
    let _ = reader.state::<Mappings>(Kind::Mappings);
    let _ = reader.state::<linux::Config>(Kind::Config);
    let _ = reader.state::<Description>(Kind::Machine);
    if reader.section(Kind::Harts, 0).is_some() {
        machine(&reader);
    }
    let _ = reader.page_map();
    let _ = reader.verify(|_, _| {});
}

/// Puts harts and devices into a machine, and runs it if it takes them.
fn machine(reader: &Reader<Bytes<'_>>) {
    let options = MachineOptions {
        memory: 32 << 20,
        kernel: Some(Image::Bytes("loop".into(), 0x0000_006f_u32.to_le_bytes().to_vec())),
        ..MachineOptions::default()
    };
    let mut machine = Machine::new(options, Arc::default(), Wires::none()).expect("a machine");
    if machine.restore(reader).is_ok() {
        let limit = machine.stats().retired + 1000;
        let _ = machine.run(limit, || false);
    }
}

/// Corrects the magic, the version, the length, and each checksum that can be found.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.len() < 64 {
        return bytes;
    }
    let word = |bytes: &[u8], at: usize| {
        bytes.get(at..at + 8).map_or(0, |b| u64::from_le_bytes(b.try_into().unwrap()) as usize)
    };
    bytes[0..8].copy_from_slice(b"\x89BHVSNP\n");
    bytes[8..12].copy_from_slice(&1_u32.to_le_bytes());
    let length = bytes.len() as u64;
    bytes[16..24].copy_from_slice(&length.to_le_bytes());
    let sections = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
    let table = word(&bytes, 24);
    for entry in (0..sections.min(64)).map(|i| table.saturating_add(i * 64)) {
        if entry.saturating_add(64) > bytes.len() {
            break;
        }
        let (start, length) = (word(&bytes, entry + 8), word(&bytes, entry + 16));
        if let Some(content) = bytes.get(start..start.saturating_add(length)) {
            let sum = checksum::of(content);
            bytes[entry + 24..entry + 32].copy_from_slice(&sum.to_le_bytes());
        }
    }
    if let Some(content) = bytes.get(table..table.saturating_add(sections.saturating_mul(64))) {
        let sum = checksum::of(content);
        bytes[32..40].copy_from_slice(&sum.to_le_bytes());
    }
    let sum = checksum::of(&bytes[..56]);
    bytes[56..64].copy_from_slice(&sum.to_le_bytes());
    bytes
}
