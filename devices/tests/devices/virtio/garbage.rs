//! Drivers that write anything anywhere: no panic, no access outside memory, no endless work.

use super::driver::{Driver, RAM, SIZE, rings};
use super::net::Cable;
use crate::disk::Image;
use crate::support::{Count, Random};
use devices::disk::{Overlay, Raw};
use devices::stream::ByteQueue;
use devices::virtio::{Block, Console, Entropy, Function, Net, Rng};
use devices::{Device, GuestMemory, Pace, Width};
use std::sync::Arc;

/// A number that is often close to something that matters.
fn odd(random: &mut Random) -> u64 {
    match random.below(6) {
        0 => random.below(64),
        1 => RAM + random.below(SIZE as u64),
        2 => RAM + SIZE as u64 - random.below(32),
        3 => u64::MAX - random.below(32),
        4 => 1 << random.below(64),
        _ => random.next(),
    }
}

/// Rings of random descriptors that are more or less sensible, in memory.
fn scribble(driver: &mut Driver, random: &mut Random, queue: usize) {
    let [table, available, _] = rings(queue as u64);
    for _ in 0..random.below(12) {
        let index = random.below(10) as u16;
        let pa = if random.below(8) == 0 {
            odd(random)
        } else {
            RAM + random.below(SIZE as u64)
        };
        let length = match random.below(8) {
            0 => random.next() as u32,
            1 => 16 * random.below(80) as u32,
            _ => random.below(2000) as u32,
        };
        let flags = random.below(8) as u16 & if random.below(3) == 0 { !0 } else { 3 };
        driver.descriptor(table, index, pa, length, flags, random.below(11) as u16);
    }
    if random.below(20) == 0 {
        let value = (random.next() as u16).to_le_bytes();
        driver
            .memory
            .write(available + 2 * random.below(70), &value)
            .expect("a ring");
    }
    driver.announce(queue, random.below(10) as u16);
    driver.notify(queue as u32);
}

fn attack(make: impl Fn() -> Box<dyn Function>) {
    let mut random = Random::new();
    for _ in 0..40 {
        let features = random.next() & 3 << 28;
        let mut driver = Driver::ready(make(), features);
        for _ in 0..200 {
            let queues = driver.queues.len() as u64;
            match random.below(8) {
                0 => {
                    let (offset, width) =
                        (random.below(0x1000), Width::ALL[random.below(4) as usize]);
                    let offset = offset & !(width.bytes() - 1);
                    let _ = driver
                        .device
                        .write(offset, width, odd(&mut random) & width.mask());
                    let _ = driver.device.read(offset, width);
                }
                1 => driver.set(4 * random.below(0x2c), odd(&mut random) as u32),
                2 => driver.pass(random.below(1000)),
                _ => {
                    let queue = random.below(queues) as usize;
                    scribble(&mut driver, &mut random, queue);
                }
            }
            if driver.needs_reset() && random.below(4) == 0 {
                let state = driver.device.save();
                driver.device.restore(state).expect("its own state");
                break;
            }
        }
    }
}

#[test]
fn rng() {
    attack(|| Box::new(Rng::new(Entropy::Seeded(1))));
}

#[test]
fn console() {
    attack(|| {
        let input = ByteQueue::default();
        input.push(&[1; 10_000]);
        Box::new(Console::new(
            Box::new(input),
            Box::new(ByteQueue::default()),
        ))
    });
}

#[test]
fn block() {
    let image = Image::new(&[7; 1 << 16]);
    for pace in [Pace::Host, Pace::Exact { latency: 50 }] {
        attack(|| {
            let base = Raw::open(&image.path, true).expect("an image");
            let disk = Overlay::new(Box::new(base)).expect("a temporary file");
            let bell = Arc::new(Count::default());
            Box::new(Block::new(Box::new(disk), false, "", pace, bell).expect("a thread"))
        });
    }
    assert_eq!(image.bytes(), [7; 1 << 16]);
}

#[test]
fn net() {
    attack(|| {
        let cable = Cable::default();
        cable
            .to_guest
            .lock()
            .expect("no panic")
            .extend(vec![vec![1; 600]; 300]);
        Box::new(Net::new(Box::new(cable), [2; 6]))
    });
}
