//! Tests that need a machine's inside: a disk with something written over it, saved and resumed.

use super::description::Resume;
use super::{DiskAccess, DiskOptions, Image, Machine, MachineOptions, Schedule, Wires};
use crate::EngineKind;
use devices::{Width, layout};
use std::path::PathBuf;
use std::sync::Arc;

/// Where rings and data lie, behind what the kernel needs.
const RINGS: u64 = layout::RAM + (24 << 20);

/// A file that goes away with the test.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Temporary {
        let name = format!("bhv-machine-{name}-{}", std::process::id());
        Temporary(std::env::temp_dir().join(name))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn set(machine: &Machine, offset: u64, value: u64) {
    let pa = layout::virtio(1).pa + offset;
    machine.bus.write(pa, Width::Word, value).unwrap();
}

/// Starts the first disk as a driver would (Virtio 1.2, 3.1.1).
fn drive(machine: &Machine) {
    for status in [0, 1, 3] {
        set(machine, 0x70, status);
    }
    set(machine, 0x24, 1);
    set(machine, 0x20, 1);
    set(machine, 0x70, 11);
    set(machine, 0x38, 4);
    for (n, register) in [(0, 0x80), (1, 0x90), (2, 0xa0)] {
        set(machine, register, RINGS + n * 0x1000);
    }
    set(machine, 0x44, 1);
    set(machine, 0x70, 15);
}

/// Writes or reads a sector; request number `n`. Its data lie behind the rings.
fn request(machine: &Machine, n: u16, kind: u32, sector: u64) {
    let ram = |at: u64, bytes: &[u8]| assert!(machine.ram.write(RINGS + at, bytes));
    ram(
        0x4000,
        &[u64::from(kind).to_le_bytes(), sector.to_le_bytes()].concat(),
    );
    let writable = if kind == 0 { 2 } else { 0 };
    let descriptors = [
        (0x4000, 16, 1, 1),
        (0x5000, 512, 1 | writable, 2),
        (0x6000, 1, 2, 0),
    ];
    for (index, (at, length, flags, next)) in descriptors.into_iter().enumerate() {
        let (pa, length) = (RINGS + at, u32::to_le_bytes(length));
        let (flags, next) = (u16::to_le_bytes(flags), u16::to_le_bytes(next));
        let bytes = [&pa.to_le_bytes()[..], &length, &flags, &next].concat();
        ram(16 * index as u64, &bytes);
    }
    ram(0x1000 + 4 + 2 * u64::from(n % 4), &[0, 0]);
    ram(0x1002, &(n + 1).to_le_bytes());
    set(machine, 0x50, 0);
}

/// The sector as the guest reads it. The machine only idles, which passes time.
fn sector(machine: &mut Machine, n: u16, sector: u64) -> Vec<u8> {
    request(machine, n, 0, sector);
    pass(machine);
    let mut bytes = vec![0; 512];
    assert!(machine.ram.read(RINGS + 0x5000, &mut bytes));
    bytes
}

fn pass(machine: &mut Machine) {
    let until = machine.stats().retired + 200_000;
    machine.run(until, || false).unwrap();
}

#[test]
fn what_was_written_over_a_disk_is_saved_with_the_machine() {
    let (image, saved) = (Temporary::new("disk"), Temporary::new("saved"));
    // Ends in the middle of a block.
    std::fs::write(&image.0, vec![7; (1 << 20) + 512]).unwrap();
    let disk = DiskOptions {
        path: image.0.clone(),
        access: DiskAccess::Overlay,
    };
    let options = MachineOptions {
        memory: 32 << 20,
        // j .
        kernel: Some(Image::Bytes(
            "loop".into(),
            0x0000_006fu32.to_le_bytes().to_vec(),
        )),
        disks: vec![disk.clone()],
        ..MachineOptions::default()
    };
    let mut machine = Machine::new(options, Arc::default(), Wires::none()).unwrap();
    drive(&machine);
    for (n, at) in [(0, 9), (1, 2048)] {
        assert!(machine.ram.write(RINGS + 0x5000, &[n as u8 + 1; 512]));
        request(&machine, n, 1, at);
        pass(&mut machine);
    }
    // One is under way when the machine is saved.
    assert!(machine.ram.write(RINGS + 0x5000, &[3; 512]));
    request(&machine, 2, 1, 10);
    machine.save(&saved.0).unwrap();
    let before = machine.state_hash().unwrap();

    let resume = Resume {
        engine: EngineKind::Interp,
        schedule: Schedule::Turns,
        trust: false,
        disks: vec![disk],
        changed_disks: false,
        net: None,
        shares: Vec::new(),
    };
    let again = Machine::resume(&saved.0, &resume, Arc::default(), Wires::none());
    let mut again = again.unwrap();
    assert_eq!(again.state_hash().unwrap(), before);
    for machine in [&mut machine, &mut again] {
        pass(machine);
        for (n, (at, byte)) in (3..).zip([(9, 1), (2048, 2), (10, 3), (11, 7)]) {
            assert_eq!(sector(machine, n, at), [byte; 512], "sector {at}");
        }
    }
    assert_eq!(again.state_hash().unwrap(), machine.state_hash().unwrap());
    assert_eq!(std::fs::read(&image.0).unwrap(), vec![7; (1 << 20) + 512]);
}
