//! Disk images.

use crate::support::Random;
use devices::disk::{Disk, DiskError, Overlay, Raw};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// A file that is gone after the test.
pub struct Image {
    pub path: PathBuf,
}

impl Image {
    pub fn new(bytes: &[u8]) -> Image {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bhv-test-{}-{number}.img", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).expect("a file for the test");
        Image { path }
    }

    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.path).expect("the test's file")
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[test]
fn an_overlay_reads_what_was_written_last_and_leaves_the_image_alone() {
    let mut random = Random::new();
    let mut expected: Vec<u8> = (0..50_000).map(|_| random.next() as u8).collect();
    let original = expected.clone();
    let image = Image::new(&original);
    let base = Raw::open(&image.path, true).expect("an image");
    let mut disk = Overlay::new(Box::new(base)).expect("a temporary file");
    for _ in 0..500 {
        let start = random.below(50_000);
        let length = random.below(9000).min(50_000 - start) as usize;
        let range = start as usize..start as usize + length;
        match random.below(4) {
            0 => {
                disk.zero(start, length as u64, random.below(2) == 0)
                    .expect("zeros");
                expected[range].fill(0);
            }
            1 => {
                let bytes: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
                disk.write(start, &bytes).expect("a write");
                expected[range].copy_from_slice(&bytes);
            }
            2 => disk.discard(0, 0).expect("nothing"),
            _ => {
                let mut bytes = vec![0; length];
                disk.read(start, &mut bytes).expect("a read");
                assert_eq!(bytes, expected[range]);
            }
        }
    }
    let base = Raw::open(&image.path, true).expect("an image");
    let mut copy = Overlay::new(Box::new(base)).expect("a temporary file");
    copy.restore(disk.save().expect("state"))
        .expect("its state");
    let mut bytes = vec![0; expected.len()];
    copy.read(0, &mut bytes).expect("a read");
    assert!(bytes == expected);
    assert_eq!(image.bytes(), original);
}

#[test]
fn two_may_read_an_image_and_one_may_write_it() {
    let image = Image::new(&[0; 512]);
    let reader = Raw::open(&image.path, true).expect("an image");
    let other = Raw::open(&image.path, true).expect("an image");
    assert!(matches!(
        Raw::open(&image.path, false),
        Err(DiskError::InUse { .. })
    ));
    drop((reader, other));
    let _writer = Raw::open(&image.path, false).expect("an image");
    assert!(matches!(
        Raw::open(&image.path, true),
        Err(DiskError::InUse { .. })
    ));
}

#[test]
fn an_image_that_is_missing_is_named_in_the_error() {
    let error = Raw::open(&PathBuf::from("/nonexistent/disk.img"), false).err();
    let text = error.expect("no such file").to_string();
    assert!(
        text.contains("/nonexistent/disk.img") && text.contains("open"),
        "{text}"
    );
}
