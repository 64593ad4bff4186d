use super::driver::Driver;
use crate::support::copy;
use devices::Device;
use devices::net::Link;
use devices::virtio::Net;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// A link with both ends in our hands.
#[derive(Clone, Default)]
pub struct Cable {
    pub to_guest: Arc<Mutex<VecDeque<Vec<u8>>>>,
    from_guest: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Link for Cable {
    fn send(&mut self, frame: Vec<u8>) {
        self.from_guest.lock().expect("no panic").push(frame);
    }
    fn receive(&mut self) -> Option<Vec<u8>> {
        self.to_guest.lock().expect("no panic").pop_front()
    }
}

fn net() -> (Driver, Cable) {
    let cable = Cable::default();
    let net = Net::new(Box::new(cable.clone()), [1, 2, 3, 4, 5, 6]);
    (Driver::ready(Box::new(net), 1 << 29), cable)
}

#[test]
fn frames_go_out_without_their_header() {
    let (mut driver, cable) = net();
    let (header, _) = driver.buffer(&[0; 12]);
    let (frame, length) = driver.buffer(b"a frame");
    driver.offer(1, &[(header, 12, false), (frame, length, false)]);
    driver.notify(1);
    assert_eq!(*cable.from_guest.lock().expect("no panic"), [b"a frame"]);
    assert_eq!(driver.used(1), [(0, 0)]);
}

#[test]
fn frames_wait_for_buffers_and_come_with_a_header() {
    let (mut driver, cable) = net();
    cable
        .to_guest
        .lock()
        .expect("no panic")
        .push_back(b"hello".to_vec());
    driver.device.service(0);
    assert_eq!(cable.to_guest.lock().expect("no panic").len(), 1);
    let (pa, length) = driver.buffer(&[0xee; 64]);
    driver.offer(0, &[(pa, length, true)]);
    driver.notify(0);
    assert_eq!(driver.used(0), [(0, 17)]);
    assert_eq!(driver.bytes(pa, 17), b"\0\0\0\0\0\0\0\0\0\0\x01\0hello");
}

#[test]
fn a_frame_too_long_for_its_buffer_is_dropped() {
    let (mut driver, cable) = net();
    cable
        .to_guest
        .lock()
        .expect("no panic")
        .push_back(vec![1; 100]);
    let (pa, length) = driver.buffer(&[0xee; 64]);
    driver.offer(0, &[(pa, length, true)]);
    driver.notify(0);
    assert_eq!(driver.used(0), [(0, 0)]);
    assert_eq!(driver.bytes(pa, 64), [0xee; 64]);
}

#[test]
fn a_frame_longer_than_ethernet_has_stops_the_device() {
    let (mut driver, cable) = net();
    let (pa, length) = driver.buffer(&[0; 1600]);
    driver.offer(1, &[(pa, length, false)]);
    driver.notify(1);
    assert!(driver.needs_reset());
    assert!(cable.from_guest.lock().expect("no panic").is_empty());
}

#[test]
fn the_address_is_in_the_configuration_and_in_saved_state() {
    let (mut driver, _) = net();
    assert_eq!(driver.get(0x100), 0x0403_0201);
    assert_eq!(driver.get(0x104), 0x0001_0605, "and the link is up");
    let cable = Cable::default();
    let mut other = Driver::idle(Box::new(Net::new(Box::new(cable), [0; 6])));
    copy(&mut driver.device, &mut other.device);
    assert_eq!(other.get(0x100), 0x0403_0201);
}
