use super::driver::{Driver, NEEDS_RESET};
use crate::support::{copy, refuses_others};
use devices::stream::ByteQueue;
use devices::virtio::{Console, Entropy, Rng};
use devices::{AccessFault, Device, State, Width};

fn rng() -> Box<Rng> {
    Box::new(Rng::new(Entropy::Seeded(1)))
}

fn console() -> Box<Console> {
    Box::new(Console::new(
        Box::new(ByteQueue::default()),
        Box::new(ByteQueue::default()),
    ))
}

#[test]
fn it_says_what_it_is() {
    let mut driver = Driver::idle(rng());
    assert_eq!(driver.get(0), 0x7472_6976);
    assert_eq!((driver.get(4), driver.get(8)), (2, 4));
    assert_eq!(driver.get(0xfc), 0, "configuration generation");
    assert_eq!(
        (driver.get(0xb0), driver.get(0xbc)),
        (!0, !0),
        "no shared memory"
    );
    driver.set(0x14, 1);
    assert_eq!(driver.get(0x10), 1, "VERSION_1");
    driver.set(0x14, 2);
    assert_eq!(driver.get(0x10), 0);
}

#[test]
fn widths_are_words_below_the_configuration_and_any_up_to_words_in_it() {
    let mut driver = Driver::idle(rng());
    for width in [Width::Byte, Width::Half, Width::Double] {
        assert_eq!(driver.device.read(0, width), Err(AccessFault));
        assert_eq!(driver.device.write(0x70, width, 0), Err(AccessFault));
    }
    for width in [Width::Byte, Width::Half, Width::Word] {
        assert_eq!(driver.device.read(0x100, width), Ok(0));
        assert_eq!(driver.device.read(0xff8, width), Ok(0));
        assert_eq!(driver.device.write(0x100, width, 7), Ok(()));
    }
    assert_eq!(driver.device.read(0x100, Width::Double), Err(AccessFault));
}

#[test]
fn features_that_were_not_offered_are_refused_and_version_1_is_a_must() {
    let mut driver = Driver::idle(rng());
    for features in [1 << 32 | 1, 1 << 32 | 1 << 40, 1 << 28] {
        driver.negotiate(features);
        assert_eq!(driver.get(0x70), 3, "{features:#x}");
    }
    driver.negotiate(1 << 32 | 1 << 28);
    assert_eq!(driver.get(0x70), 0xb);
    driver.set(0x24, 0);
    driver.set(0x20, 1);
    driver.set(0x70, 0xf);
    assert_eq!(driver.get(0x70), 0xf, "features are settled by then");
}

#[test]
fn a_queue_that_does_not_exist_has_no_size() {
    let mut driver = Driver::idle(console());
    for (queue, size) in [(0, 64), (1, 64), (2, 0), (!0, 0)] {
        driver.set(0x30, queue);
        assert_eq!(driver.get(0x34), size);
        driver.set(0x44, 1);
        driver.notify(queue);
    }
    driver.set(0x30, 7);
    assert_eq!(driver.get(0x44), 0);
}

#[test]
fn queues_have_sizes_that_are_powers_of_two_and_not_too_large() {
    let mut driver = Driver::ready(rng(), 0);
    driver.set(0x44, 0);
    for size in [0, 3, 128, 0x1_0001] {
        driver.set(0x38, size);
    }
    driver.set(0x44, 1);
    let (pa, length) = driver.buffer(&[0; 8]);
    driver.offer(0, &[(pa, length, true)]);
    driver.notify(0);
    assert_eq!(driver.used(0), [(0, 8)], "it still has its 64 entries");
}

#[test]
fn rings_that_are_misaligned_or_outside_memory_stop_the_device() {
    for (register, value) in [
        (0x80, 0x8000_0008),
        (0x90, 0x8000_8001),
        (0xa0, 0x8000_c002),
        (0x80, 0x8010_0000),
        (0x90, 0),
        (0xa4, !0),
    ] {
        let mut driver = Driver::ready(rng(), 0);
        driver.set(0x30, 0);
        driver.set(0x44, 0);
        driver.set(register, value);
        driver.set(0x44, 1);
        assert!(driver.needs_reset(), "{register:#x}");
        assert_eq!(driver.get(0x60) & 2, 2, "the driver is told");
        assert!(driver.wire.level());
        driver.set(0x70, 0);
        assert_eq!((driver.get(0x70), driver.get(0x60)), (0, 0));
        assert!(!driver.wire.level());
    }
}

#[test]
fn interrupts_are_acknowledged_bit_by_bit() {
    let mut driver = Driver::ready(rng(), 0);
    let (pa, length) = driver.buffer(&[0; 8]);
    driver.offer(0, &[(pa, length, true)]);
    driver.notify(0);
    assert_eq!(driver.get(0x60), 1);
    driver.set(0x64, 2);
    assert!(driver.wire.level());
    driver.set(0x64, 1);
    assert!(!driver.wire.level());
}

#[test]
fn nothing_happens_before_the_driver_is_ready() {
    let mut driver = Driver::ready(rng(), 0);
    driver.set(0x70, 0xb);
    let (pa, length) = driver.buffer(&[0; 8]);
    driver.offer(0, &[(pa, length, true)]);
    driver.notify(0);
    assert!(driver.used(0).is_empty());
}

#[test]
fn needing_a_reset_lasts_until_the_reset() {
    let mut driver = Driver::ready(rng(), 0);
    driver.announce(0, 64);
    driver.notify(0);
    driver.set(0x70, 0xf);
    assert_eq!(driver.get(0x70), 0xf | NEEDS_RESET);
}

#[test]
fn a_restored_device_has_its_rings_and_interrupts() {
    let mut one = Driver::ready(rng(), 1 << 29);
    let (pa, length) = one.buffer(&[0; 8]);
    one.offer(0, &[(pa, length, true)]);
    one.notify(0);
    let mut other = Driver::idle(rng());
    copy(&mut one.device, &mut other.device);
    assert!(other.wire.level());
    assert_eq!(other.get(0x70), 0xf);
    refuses_others(&mut other.device, State::Syscon);
    refuses_others(&mut other.device, Driver::idle(console()).device.save());
}
