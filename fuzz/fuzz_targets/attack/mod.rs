//! What the devices' fuzzers share: bytes become accesses, time and memory, and saved state is put
//! back at any moment. No device may panic, reach outside its memory, or refuse its own state.

#![allow(dead_code, reason = "each fuzzer uses a part of it")]

use arbitrary::{Arbitrary, Unstructured};
use devices::memory::Bytes;
use devices::virtio::{Function, Virtio};
use devices::{Bell, Clock, Device, GuestMemory, Line, Width};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A clock that the fuzzer advances.
#[derive(Default)]
pub struct Hand(AtomicU64);

impl Clock for Hand {
    fn mtime(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
    fn set_mtime(&self, mtime: u64) {
        self.0.store(mtime, Ordering::Relaxed);
    }
}

/// A line or bell that leads nowhere.
pub struct Nowhere;

impl Line for Nowhere {
    fn set(&self, _: bool) {}
}

impl Bell for Nowhere {
    fn ring(&self) {}
}

#[derive(Arbitrary)]
enum Step {
    Read { offset: u16, high: u8, width: u8 },
    Write { offset: u16, high: u8, width: u8, value: u64 },
    Time(u16),
    Memory { offset: u16, value: u64 },
    SaveAndRestore,
}

/// Where a virtio device's memory lies.
pub const RAM: u64 = 0x8000_0000;

/// A virtio device whose queues lie in 64 KiB of memory, as if its driver had just set it up.
pub fn virtio(function: Box<dyn Function>, data: &[u8]) {
    let (memory, clock) = (Arc::new(Bytes::new(RAM, 0x1_0000)), Arc::new(Hand::default()));
    let mut device = Virtio::new(function, memory.clone(), clock.clone(), Arc::new(Nowhere));
    let mut set = |register, value| {
        device.write(register, Width::Word, value).expect("a register");
    };
    for (register, value) in [(0x70, 3), (0x24, 1), (0x20, 1), (0x70, 11)] {
        set(register, value);
    }
    for queue in 0..2 {
        let rings = RAM + 0x4000 * queue;
        for (register, value) in [
            (0x30, queue), (0x38, 64), (0x80, rings), (0x90, rings + 0x2000), (0xa0, rings + 0x3000),
            (0x44, 1),
        ] {
            set(register, value);
        }
    }
    set(0x70, 15);
    attack(&mut device, &clock, Some(&*memory), data);
}

/// Does to a device what the bytes say.
pub fn attack(device: &mut dyn Device, clock: &Hand, memory: Option<&Bytes>, data: &[u8]) {
    let mut input = Unstructured::new(data);
    while let Ok(step) = Step::arbitrary(&mut input) {
        match step {
            Step::Read { offset, high, width } => {
                let (offset, width) = place(offset, high, width);
                let _ = device.read(offset, width);
            }
            Step::Write { offset, high, width, value } => {
                let (offset, width) = place(offset, high, width);
                let _ = device.write(offset, width, value & width.mask());
            }
            Step::Time(ticks) => {
                let now = clock.mtime().saturating_add(ticks.into());
                clock.set_mtime(now);
                if device.deadline().is_some_and(|deadline| deadline <= now) {
                    device.service(now);
                }
            }
            Step::Memory { offset, value } => {
                if let Some(memory) = memory {
                    let _ = memory.write(RAM + u64::from(offset & !7), &value.to_le_bytes());
                }
            }
            Step::SaveAndRestore => {
                let state = device.save();
                device.restore(state.clone()).expect("its own state");
                assert_eq!(device.save(), state);
            }
        }
        if input.is_empty() {
            return;
        }
    }
}

/// An aligned offset. The PLIC has registers beyond 64 KiB.
fn place(offset: u16, high: u8, width: u8) -> (u64, Width) {
    let width = Width::ALL[usize::from(width) % 4];
    let offset = u64::from(offset) | u64::from(high & 0x3f) << 16;
    (offset & !(width.bytes() - 1), width)
}
