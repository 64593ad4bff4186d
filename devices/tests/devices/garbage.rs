//! Anything written anywhere: no panic, and what was saved restores to the same.

use crate::support::{Hand, Random, Wire, copy, harts};
use devices::stream::ByteQueue;
use devices::{Clint, Clock, Device, Plic, Rtc, Uart, Width};
use std::sync::Arc;

/// Random accesses to a device of `size` bytes, and to the registers in `favourites`.
fn attack(make: impl Fn(Arc<Hand>) -> Box<dyn Device>, size: u64, favourites: &[u64]) {
    let mut random = Random::new();
    let clock = Arc::new(Hand::default());
    let (mut device, mut other) = (make(clock.clone()), make(clock.clone()));
    for step in 0..20_000 {
        let width = Width::ALL[random.below(4) as usize];
        let offset = match random.below(3) {
            0 => random.below(size),
            _ => favourites[random.below(favourites.len() as u64) as usize] + 4 * random.below(4),
        } & !(width.bytes() - 1);
        let value = random.next() >> random.below(64) & width.mask();
        if random.below(2) == 0 {
            let _ = device.read(offset, width);
        } else {
            let _ = device.write(offset, width, value);
        }
        clock.advance(random.below(100));
        if device
            .deadline()
            .is_some_and(|deadline| deadline <= clock.mtime())
        {
            device.service(clock.mtime());
        }
        if step % 100 == 0 {
            copy(&mut *device, &mut *other);
            std::mem::swap(&mut device, &mut other);
        }
    }
}

#[test]
fn clint() {
    let make = |clock: Arc<Hand>| Box::new(Clint::new(clock, harts(2))) as Box<dyn Device>;
    attack(make, 0x1_0000, &[0, 0x4000, 0xbff8]);
}

#[test]
fn plic() {
    let make = |_| {
        let plic = Plic::new(harts(2));
        for source in [1, 31, 32, 95] {
            plic.line(source).expect("a source").set(true);
        }
        Box::new(plic) as Box<dyn Device>
    };
    attack(
        make,
        0x60_0000,
        &[0, 0x1000, 0x2000, 0x2080, 0x20_0000, 0x20_1000, 0x20_3000],
    );
}

#[test]
fn uart() {
    let make = |_| {
        let input = ByteQueue::default();
        input.push(&[7; 5000]);
        let (input, output) = (Box::new(input), Box::new(ByteQueue::default()));
        Box::new(Uart::new(Arc::new(Wire::default()), input, output)) as Box<dyn Device>
    };
    attack(make, 0x100, &[0, 4]);
}

#[test]
fn rtc() {
    let make = |clock: Arc<Hand>| {
        Box::new(Rtc::new(clock, Arc::new(Wire::default()), 1)) as Box<dyn Device>
    };
    attack(make, 0x1000, &[0, 0x10]);
}
