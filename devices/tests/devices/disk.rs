//! Disk images.

use crate::support::Random;
use devices::disk::{self, Disk, DiskError, Overlay, Raw, State};
use std::os::unix::fs::FileExt;
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
    let saved = disk.save().expect("state");
    let (from, to) = (
        disk.contents().expect("a file"),
        copy.contents().expect("a file"),
    );
    let State::Overlay { written, .. } = &saved else {
        panic!("{saved:?}");
    };
    for &(start, end) in written {
        let mut bytes = vec![0; (end - start) as usize];
        from.read_exact_at(&mut bytes, start)
            .expect("what was written");
        to.write_all_at(&bytes, start).expect("to write");
    }
    copy.restore(saved).expect("its state");
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

/// An empty qcow2 image of this size.
fn qcow2(size: u64) -> Image {
    use imago::FormatCreateBuilder;
    use imago::qcow2::Qcow2;
    let image = Image::new(&[]);
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&image.path);
    let file = imago::file::File::try_from(file.expect("the image")).expect("a file");
    let builder = Qcow2::<imago::file::File>::create_builder(file).size(size);
    builder.create().expect("an image");
    image
}

#[test]
fn a_qcow2_image_holds_what_was_written() {
    let image = qcow2(10 << 20);
    let mut random = Random::new();
    let mut expected = vec![0; 10 << 20];
    let mut disk = disk::open(&image.path, false).expect("a qcow2 image");
    assert_eq!(disk.size(), 10 << 20);
    for _ in 0..200 {
        let start = random.below(10 << 20) & !511;
        let length = (random.below(200_000).min((10 << 20) - start) & !511) as usize;
        let range = start as usize..start as usize + length;
        match random.below(4) {
            0 => {
                disk.zero(start, length as u64, random.below(2) == 0)
                    .expect("zeros");
                expected[range].fill(0);
            }
            1 => {
                let byte = random.next() as u8;
                disk.write(start, &vec![byte; length]).expect("a write");
                expected[range].fill(byte);
            }
            _ => {
                let mut bytes = vec![0; length];
                disk.read(start, &mut bytes).expect("a read");
                assert!(bytes == expected[range]);
            }
        }
    }
    disk.flush().expect("flushed");
    drop(disk);
    let mut disk = disk::open(&image.path, true).expect("a qcow2 image");
    let mut bytes = vec![0; expected.len()];
    disk.read(0, &mut bytes).expect("a read");
    assert!(bytes == expected);
    assert!(disk.write(0, &[1; 512]).is_err(), "it is read-only");
}

#[test]
fn an_image_that_names_another_file_is_refused() {
    let image = qcow2(1 << 20);
    let mut bytes = image.bytes();
    bytes[8..16].copy_from_slice(&512u64.to_be_bytes());
    bytes[16..20].copy_from_slice(&11u32.to_be_bytes());
    bytes[512..523].copy_from_slice(b"/etc/shadow");
    std::fs::write(&image.path, &bytes).expect("the image");
    let error = disk::open(&image.path, true).err().expect("it is refused");
    assert!(matches!(error, DiskError::Backing { .. }));
    assert!(error.to_string().contains("/etc/shadow"), "{error}");
}

#[test]
fn a_table_of_names_that_ends_within_one_is_an_error() {
    let image = qcow2(1 << 20);
    let mut bytes = image.bytes();
    let header = u32::from_be_bytes(bytes[100..104].try_into().unwrap()) as usize;
    bytes[header..header + 4].copy_from_slice(&0x6803_f857_u32.to_be_bytes());
    bytes[header + 4..header + 8].copy_from_slice(&49_u32.to_be_bytes());
    std::fs::write(&image.path, &bytes).expect("the image");
    let error = disk::open(&image.path, true).err().expect("it is refused");
    assert!(error.to_string().contains("within a name"), "{error}");
}

#[test]
fn damaged_qcow2_images_are_errors_or_read_as_something() {
    let image = qcow2(1 << 20);
    let whole = image.bytes();
    let mut random = Random::new();
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..1 + random.below(8) {
            let at = 4 + random.below(110) as usize;
            bytes[at] = random.next() as u8;
        }
        // Another file is not to be named, that is refused in any case.
        bytes[8..16].fill(0);
        let end = if random.below(3) == 0 {
            random.below(bytes.len() as u64)
        } else {
            u64::MAX
        };
        bytes.truncate(end.min(bytes.len() as u64) as usize);
        std::fs::write(&image.path, &bytes).expect("the image");
        if let Ok(mut disk) = disk::open(&image.path, true) {
            let mut read = [0; 4096];
            if disk.size() >= 4096 {
                let _ = disk.read(disk.size() - 4096, &mut read);
            }
        }
    }
}
