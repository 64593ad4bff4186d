//! Any driver of the entropy device.

#![no_main]

mod attack;

use attack::virtio;
use devices::virtio::{Entropy, Rng};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    virtio(Box::new(Rng::new(Entropy::Seeded(1))), data);
});
