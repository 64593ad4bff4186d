use super::driver::Driver;
use crate::support::copy;
use devices::virtio::{Entropy, Rng};

fn seeded(seed: u64) -> Driver {
    Driver::ready(Box::new(Rng::new(Entropy::Seeded(seed))), 0)
}

fn draw(driver: &mut Driver, length: usize) -> Vec<u8> {
    let (pa, length) = driver.buffer(&vec![0; length]);
    let head = driver.offer(0, &[(pa, length, true)]);
    driver.notify(0);
    assert_eq!(driver.used(0), [(head, length.min(4096))]);
    driver.bytes(pa, length as usize)
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let bytes = draw(&mut seeded(1), 100);
    assert_eq!(draw(&mut seeded(1), 100), bytes);
    assert_ne!(draw(&mut seeded(2), 100), bytes);
    assert!(bytes.iter().any(|byte| *byte != 0));
}

#[test]
fn a_large_buffer_is_filled_in_part() {
    let bytes = draw(&mut seeded(1), 5000);
    assert!(bytes[..4096].iter().any(|byte| *byte != 0));
    assert!(bytes[4096..].iter().all(|byte| *byte == 0));
}

#[test]
fn a_restored_generator_goes_on() {
    let (mut one, mut other) = (seeded(1), seeded(3));
    draw(&mut one, 16);
    copy(&mut one.device, &mut other.device);
    let next = draw(&mut one, 16);
    other.memory = one.memory.clone();
    let mut third = seeded(1);
    draw(&mut third, 16);
    assert_eq!(draw(&mut third, 16), next);
}

#[test]
fn the_hosts_generator_is_what_it_is_given() {
    let source: &[u8] = b"not random";
    let mut driver = Driver::ready(Box::new(Rng::new(Entropy::Host(Box::new(source)))), 0);
    let (pa, length) = driver.buffer(&[0; 64]);
    driver.offer(0, &[(pa, length, true)]);
    driver.notify(0);
    assert_eq!(driver.used(0), [(0, 10)]);
    assert_eq!(driver.bytes(pa, 10), source);
}
