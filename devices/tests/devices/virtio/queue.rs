//! Rings that follow the rules, and rings that don't.

use super::driver::{Driver, INDIRECT, NEXT, RAM, SIZE, WRITE, rings};
use devices::GuestMemory;
use devices::virtio::{Entropy, Rng};

fn rng(features: u64) -> Driver {
    Driver::ready(Box::new(Rng::new(Entropy::Seeded(1))), features)
}

/// A device that was given one head after `prepare`.
fn broken_by(prepare: impl FnOnce(&mut Driver)) -> bool {
    let mut driver = rng(1 << 28);
    prepare(&mut driver);
    driver.announce(0, 0);
    driver.notify(0);
    driver.needs_reset()
}

#[test]
fn rings_go_round() {
    let mut driver = rng(0);
    let (pa, length) = driver.buffer(&[0; 8]);
    let head = driver.offer(0, &[(pa, length, true)]);
    driver.notify(0);
    assert_eq!(driver.used(0), [(head, 8)]);
    for _ in 0..70_000 {
        driver.announce(0, head);
        driver.notify(0);
        assert_eq!(driver.used(0), [(head, 8)]);
    }
}

#[test]
fn an_indirect_table_is_followed() {
    let mut driver = rng(1 << 28);
    let (table, _) = driver.buffer(&[0; 32]);
    let (pa, _) = driver.buffer(&[0; 16]);
    driver.descriptor(table, 0, pa, 4, WRITE | NEXT, 1);
    driver.descriptor(table, 1, pa + 8, 4, WRITE, 0);
    driver.descriptor(rings(0)[0], 5, table, 32, INDIRECT, 0);
    driver.announce(0, 5);
    driver.notify(0);
    assert_eq!(driver.used(0), [(5, 8)]);
    assert_eq!(driver.bytes(pa + 4, 4), [0; 4]);
    assert_ne!(driver.bytes(pa + 8, 4), [0; 4]);
}

#[test]
fn what_breaks_the_rules_stops_the_device() {
    let table = rings(0)[0];
    let past = RAM + SIZE as u64;
    assert!(!broken_by(|d| d.descriptor(table, 0, RAM, 8, WRITE, 0)));
    assert!(
        broken_by(|d| d.descriptor(table, 0, RAM, 8, WRITE | NEXT, 64)),
        "no such descriptor"
    );
    assert!(
        broken_by(|d| d.descriptor(table, 0, RAM, 8, WRITE | NEXT, 0)),
        "a loop of one"
    );
    assert!(
        broken_by(|d| {
            d.descriptor(table, 0, RAM, 8, WRITE | NEXT, 1);
            d.descriptor(table, 1, RAM, 8, WRITE | NEXT, 0);
        }),
        "a loop of two"
    );
    assert!(
        broken_by(|d| d.descriptor(table, 0, past - 4, 8, WRITE, 0)),
        "across the end"
    );
    assert!(
        broken_by(|d| d.descriptor(table, 0, 0, 8, WRITE, 0)),
        "below memory"
    );
    assert!(
        broken_by(|d| d.descriptor(table, 0, u64::MAX, 8, WRITE, 0)),
        "round the end"
    );
    assert!(
        broken_by(|d| d.descriptor(table, 0, RAM, !0, WRITE, 0)),
        "too long"
    );
    assert!(
        broken_by(|d| d.descriptor(table, 0, RAM, 0, INDIRECT, 0)),
        "an empty table"
    );
    assert!(
        broken_by(|d| d.descriptor(table, 0, RAM, 17, INDIRECT, 0)),
        "half a descriptor"
    );
    assert!(
        broken_by(|d| d.descriptor(table, 0, RAM, 16 * 65, INDIRECT, 0)),
        "a large table"
    );
    assert!(
        broken_by(|d| d.descriptor(table, 0, RAM, 16, INDIRECT | NEXT, 1)),
        "continued"
    );
    assert!(
        broken_by(|d| {
            let (inner, _) = d.buffer(&[0; 16]);
            d.descriptor(inner, 0, RAM, 16, INDIRECT, 0);
            d.descriptor(table, 0, inner, 16, INDIRECT, 0);
        }),
        "a table in a table"
    );
    assert!(
        broken_by(|d| {
            d.descriptor(table, 0, RAM, 8, WRITE | NEXT, 1);
            d.descriptor(table, 1, RAM, 8, 0, 0);
        }),
        "readable behind writable"
    );
}

#[test]
fn an_index_that_is_too_far_ahead_stops_the_device() {
    let mut driver = rng(0);
    driver
        .memory
        .write(rings(0)[1] + 2, &65u16.to_le_bytes())
        .expect("a ring");
    driver.notify(0);
    assert!(driver.needs_reset());
}

#[test]
fn a_driver_that_wants_no_interrupts_gets_none() {
    let mut driver = rng(0);
    driver
        .memory
        .write(rings(0)[1], &1u16.to_le_bytes())
        .expect("a ring");
    let (pa, length) = driver.buffer(&[0; 8]);
    driver.offer(0, &[(pa, length, true)]);
    driver.notify(0);
    assert_eq!(driver.used(0).len(), 1);
    assert!(!driver.wire.level());
}

#[test]
fn with_event_indices_there_is_an_interrupt_when_the_named_one_is_used() {
    let mut driver = rng(1 << 29);
    let [_, available, used] = rings(0);
    let event = available + 4 + 2 * 64;
    driver
        .memory
        .write(event, &1u16.to_le_bytes())
        .expect("a ring");
    let (pa, length) = driver.buffer(&[0; 8]);
    driver.offer(0, &[(pa, length, true)]);
    driver.notify(0);
    assert!(!driver.wire.level(), "it waits for the second");
    assert_eq!(driver.half(used + 4 + 8 * 64), 1, "notify me of the second");
    driver.offer(0, &[(pa, length, true)]);
    driver.notify(0);
    assert!(driver.wire.level());
}
