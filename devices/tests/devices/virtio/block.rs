use super::driver::Driver;
use crate::disk::Image;
use crate::support::{Count, copy};
use devices::disk::{Disk, Overlay, Raw};
use devices::virtio::Block;
use devices::{Device, Pace};
use std::sync::Arc;
use std::sync::atomic::Ordering;

const LATENCY: u64 = 500;
const EXACT: Pace = Pace::Exact { latency: LATENCY };

fn block(image: &Image, read_only: bool, pace: Pace) -> Driver {
    let disk = Raw::open(&image.path, read_only).expect("an image");
    let block = Block::new(
        Box::new(disk),
        read_only,
        "disk of test",
        pace,
        Arc::new(Count::default()),
    );
    Driver::ready(Box::new(block.expect("a thread")), 0)
}

/// Makes a request available: type, sector, data to write, bytes to read. Says where those go.
fn request(driver: &mut Driver, kind: u32, sector: u64, data: &[u8], room: usize) -> u64 {
    let mut header = [0; 16];
    header[..4].copy_from_slice(&kind.to_le_bytes());
    header[8..].copy_from_slice(&sector.to_le_bytes());
    let (header, _) = driver.buffer(&header);
    let mut spans = vec![(header, 16, false)];
    if !data.is_empty() {
        let (pa, length) = driver.buffer(data);
        spans.push((pa, length, false));
    }
    let (pa, _) = driver.buffer(&vec![0xee; room + 1]);
    spans.push((pa, room as u32 + 1, true));
    driver.offer(0, &spans);
    driver.notify(0);
    pa
}

/// The same, waited for: status and bytes read.
fn done(driver: &mut Driver, kind: u32, sector: u64, data: &[u8], room: usize) -> (u8, Vec<u8>) {
    let pa = request(driver, kind, sector, data, room);
    driver.pass(LATENCY);
    assert_eq!(driver.used(0).len(), 1);
    let mut bytes = driver.bytes(pa, room + 1);
    (bytes.pop().expect("a status"), bytes)
}

fn segment(sector: u64, count: u32, flags: u32) -> Vec<u8> {
    let mut bytes = sector.to_le_bytes().to_vec();
    bytes.extend(count.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    bytes
}

#[test]
fn what_was_written_is_read_and_in_the_file() {
    let image = Image::new(&[7; 1 << 16]);
    let mut driver = block(&image, false, EXACT);
    assert_eq!(done(&mut driver, 0, 2, &[], 1024), (0, vec![7; 1024]));
    assert_eq!(done(&mut driver, 1, 3, &[9; 512], 0), (0, vec![]));
    assert_eq!(done(&mut driver, 4, 0, &[], 0), (0, vec![]));
    let (_, bytes) = done(&mut driver, 0, 2, &[], 1536);
    assert_eq!(
        (&bytes[..512], &bytes[512..1024]),
        (&[7; 512][..], &[9; 512][..])
    );
    assert_eq!(image.bytes()[3 * 512..4 * 512], [9; 512]);
}

#[test]
fn the_guest_sees_a_request_done_after_its_latency_and_not_before() {
    let image = Image::new(&[7; 4096]);
    let mut driver = block(&image, false, EXACT);
    request(&mut driver, 0, 0, &[], 512);
    driver.pass(10);
    request(&mut driver, 0, 1, &[], 512);
    assert_eq!(driver.device.deadline(), Some(LATENCY));
    driver.pass(LATENCY - 11);
    assert!(driver.used(0).is_empty() && !driver.wire.level());
    driver.pass(1);
    assert_eq!(driver.used(0), [(0, 513)]);
    assert!(driver.wire.level());
    assert_eq!(driver.device.deadline(), Some(LATENCY + 10));
    driver.pass(10);
    assert_eq!(driver.used(0), [(2, 513)]);
    assert_eq!(driver.device.deadline(), None);
}

#[test]
fn at_the_hosts_pace_the_bell_tells_when_it_is_done() {
    let image = Image::new(&[7; 4096]);
    let bell = Arc::new(Count::default());
    let disk = Raw::open(&image.path, false).expect("an image");
    let block = Block::new(Box::new(disk), false, "", Pace::Host, bell.clone());
    let mut driver = Driver::ready(Box::new(block.expect("a thread")), 0);
    let pa = request(&mut driver, 0, 0, &[], 512);
    let start = std::time::Instant::now();
    while driver.used(0).is_empty() {
        assert!(start.elapsed().as_secs() < 60, "the bell never rang");
        if bell.0.load(Ordering::SeqCst) > 0 {
            driver.device.service(0);
        }
    }
    assert_eq!(driver.bytes(pa, 513)[510..], [7, 7, 0]);
}

#[test]
fn requests_beyond_the_disk_or_of_odd_length_fail() {
    let image = Image::new(&[7; 4096 + 100]);
    let mut driver = block(&image, false, EXACT);
    assert_eq!(driver.get(0x100), 8, "whole sectors");
    for (kind, sector, length) in [
        (0, 8, 512),
        (0, 7, 1024),
        (0, u64::MAX, 512),
        (0, 0, 100),
        (0, u64::MAX / 512, 512),
        (0, 1 << 55, 512),
    ] {
        assert_eq!(
            done(&mut driver, kind, sector, &[], length),
            (1, vec![0xee; length])
        );
    }
    assert_eq!(done(&mut driver, 1, 8, &[1; 512], 0).0, 1);
    assert_eq!(done(&mut driver, 1, 0, &[1; 100], 0).0, 1);
    assert_eq!(image.bytes(), [7; 4196]);
    assert!(!driver.needs_reset());
}

#[test]
fn unknown_requests_are_unsupported_and_the_name_is_told() {
    let image = Image::new(&[7; 4096]);
    let mut driver = block(&image, false, EXACT);
    assert_eq!(done(&mut driver, 99, 0, &[], 0).0, 2);
    let (status, name) = done(&mut driver, 8, 0, &[], 20);
    assert_eq!(
        (status, &name[..]),
        (0, &b"disk of test\0\0\0\0\0\0\0\0"[..])
    );
}

#[test]
fn zeros_and_discards_stay_within_the_disk() {
    let image = Image::new(&[7; 1 << 16]);
    let mut driver = block(&image, false, EXACT);
    assert_eq!(done(&mut driver, 13, 0, &segment(1, 2, 0), 0).0, 0);
    assert_eq!(done(&mut driver, 13, 0, &segment(8, 8, 1), 0).0, 0);
    assert_eq!(done(&mut driver, 11, 0, &segment(16, 8, 0), 0).0, 0);
    let bytes = image.bytes();
    assert_eq!(bytes[..512], [7; 512]);
    assert_eq!(bytes[512..1536], [0; 1024]);
    assert_eq!(bytes[1536..4096], [7; 2560]);
    assert_eq!(bytes[4096..8192], [0; 4096]);
    for bad in [
        segment(127, 2, 0),
        segment(u64::MAX, 1, 0),
        segment(0, !0, 0),
        segment(0, 1, 2),
    ] {
        assert_eq!(done(&mut driver, 13, 0, &bad, 0).0, 1);
        assert_eq!(done(&mut driver, 11, 0, &bad, 0).0, 1);
    }
    assert_eq!(
        done(&mut driver, 11, 0, &segment(0, 1, 1), 0).0,
        1,
        "discards have no flags"
    );
    assert_eq!(done(&mut driver, 13, 0, &[1, 2, 3], 0).0, 1);
    assert_eq!(image.bytes(), bytes);
}

#[test]
fn a_read_only_disk_says_so_and_takes_no_writes() {
    let image = Image::new(&[7; 4096]);
    let mut driver = block(&image, true, EXACT);
    driver.set(0x14, 0);
    assert_eq!(driver.get(0x10) & (1 << 5 | 1 << 13 | 1 << 14), 1 << 5);
    assert_eq!(done(&mut driver, 1, 0, &[1; 512], 0).0, 1);
    assert_eq!(done(&mut driver, 13, 0, &segment(0, 1, 0), 0).0, 1);
    assert_eq!(done(&mut driver, 0, 0, &[], 512), (0, vec![7; 512]));
    assert_eq!(image.bytes(), [7; 4096]);
}

#[test]
fn requests_without_header_or_status_stop_the_device() {
    let image = Image::new(&[7; 4096]);
    let mut driver = block(&image, false, EXACT);
    let (pa, _) = driver.buffer(&[0; 16]);
    driver.offer(0, &[(pa, 15, false), (pa, 16, true)]);
    driver.notify(0);
    assert!(driver.needs_reset());
    let mut driver = block_again(driver, &image);
    driver.offer(0, &[(pa, 16, false)]);
    driver.notify(0);
    assert!(driver.needs_reset());
}

/// The image is locked while the first device lives.
fn block_again(driver: Driver, image: &Image) -> Driver {
    drop(driver);
    block(image, false, EXACT)
}

#[test]
fn requests_under_way_are_saved_and_end_in_the_copy() {
    let image = Image::new(&[7; 1 << 16]);
    let mut one = block(&image, true, EXACT);
    let pa = request(&mut one, 0, 2, &[], 512);
    let mut other = block(&image, true, EXACT);
    copy(&mut one.device, &mut other.device);
    other.memory = one.memory.clone();
    assert_eq!(other.device.deadline(), Some(LATENCY));
    one.pass(LATENCY);
    assert_eq!(one.bytes(pa, 513)[511..], [7, 0]);
}

#[test]
fn an_overlay_is_saved_with_what_was_written() {
    let image = Image::new(&[7; 1 << 16]);
    let make = || {
        let base = Raw::open(&image.path, true).expect("an image");
        let disk = Overlay::new(Box::new(base)).expect("a temporary file");
        let block = Block::new(Box::new(disk), false, "", EXACT, Arc::new(Count::default()));
        Driver::ready(Box::new(block.expect("a thread")), 0)
    };
    let (mut one, mut other) = (make(), make());
    done(&mut one, 1, 3, &[9; 1024], 0);
    copy(&mut one.device, &mut other.device);
    let base = Raw::open(&image.path, true).expect("an image");
    assert_eq!(base.size(), 1 << 16);
    assert_eq!(image.bytes(), [7; 1 << 16]);
}
