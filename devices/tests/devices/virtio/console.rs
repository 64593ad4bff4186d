use super::driver::Driver;
use crate::support::copy;
use devices::Device;
use devices::stream::ByteQueue;
use devices::virtio::Console;

fn console() -> (Driver, ByteQueue, ByteQueue) {
    let (input, output) = (ByteQueue::default(), ByteQueue::default());
    let console = Console::new(Box::new(input.clone()), Box::new(output.clone()));
    (Driver::ready(Box::new(console), 0), input, output)
}

#[test]
fn what_is_sent_comes_out() {
    let (mut driver, _, output) = console();
    let (one, other) = (driver.buffer(b"hello "), driver.buffer(b"world"));
    let head = driver.offer(1, &[(one.0, one.1, false), (other.0, other.1, false)]);
    driver.notify(1);
    assert_eq!(driver.used(1), [(head, 0)]);
    assert_eq!(output.drain(), b"hello world");
    assert!(driver.wire.level());
}

#[test]
fn input_fills_buffers_whichever_comes_first() {
    let (mut driver, input, _) = console();
    input.push(b"abcdef");
    driver.device.service(0);
    let (pa, _) = driver.buffer(&[0; 4]);
    driver.offer(0, &[(pa, 4, true)]);
    driver.notify(0);
    assert_eq!(driver.used(0), [(0, 4)]);
    assert_eq!(driver.bytes(pa, 4), b"abcd");
    let (pa, _) = driver.buffer(&[0; 4]);
    driver.offer(0, &[(pa, 4, true)]);
    driver.notify(0);
    assert_eq!(driver.used(0), [(1, 2)]);
    input.push(b"gh");
    let (pa, _) = driver.buffer(&[0; 4]);
    driver.offer(0, &[(pa, 4, true)]);
    driver.device.service(0);
    assert_eq!(driver.used(0), [(2, 2)]);
    assert_eq!(driver.bytes(pa, 2), b"gh");
}

#[test]
fn a_restored_console_has_the_input_that_waited() {
    let (mut one, input, _) = console();
    input.push(b"abc");
    one.device.service(0);
    let (mut other, _, _) = console();
    copy(&mut one.device, &mut other.device);
    let (pa, _) = other.buffer(&[0; 4]);
    other.offer(0, &[(pa, 4, true)]);
    other.notify(0);
    assert_eq!(other.bytes(pa, 3), b"abc");
}

#[test]
fn more_output_than_is_reasonable_stops_the_device() {
    let (mut driver, _, output) = console();
    let (pa, _) = driver.buffer(&[b'x'; 0x8_0000]);
    let span = (pa, 0x8_0000, false);
    driver.offer(1, &[span, span, span]);
    driver.notify(1);
    assert!(driver.needs_reset());
    assert!(output.drain().is_empty());
}
