//! Any driver of a block device with an overlay: the image stays as it is.

#![no_main]

mod attack;

use attack::{Nowhere, virtio};
use devices::Pace;
use devices::disk::{self, Overlay};
use devices::virtio::Block;
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

fuzz_target!(|data: &[u8]| {
    let path = std::env::temp_dir().join(format!("bhv-fuzz-{}.img", std::process::id()));
    if !path.exists() {
        std::fs::write(&path, [7; 0x4000]).expect("an image");
    }
    let base = disk::open(&path, true).expect("an image");
    let disk = Box::new(Overlay::new(base).expect("a temporary file"));
    let pace = Pace::Exact { latency: 50 };
    let block = Block::new(disk, false, "fuzz", pace, Arc::new(Nowhere)).expect("a thread");
    virtio(Box::new(block), data);
});
