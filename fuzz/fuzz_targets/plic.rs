//! Any accesses to the PLIC, with some of its sources high.

#![no_main]

mod attack;

use attack::{Hand, Nowhere, attack};
use devices::{HartLines, Plic};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

fuzz_target!(|data: &[u8]| {
    let harts = (0..2).map(|_| HartLines::new(Arc::new(Nowhere))).collect();
    let mut plic = Plic::new(harts);
    for source in [1, 31, 32, 95] {
        plic.line(source).expect("a source").set(true);
    }
    attack(&mut plic, &Hand::default(), None, data);
});
