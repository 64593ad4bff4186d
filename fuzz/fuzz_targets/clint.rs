//! Any accesses to the CLINT.

#![no_main]

mod attack;

use attack::{Hand, Nowhere, attack};
use devices::{Clint, HartLines};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

fuzz_target!(|data: &[u8]| {
    let clock = Arc::new(Hand::default());
    let harts = (0..2).map(|_| HartLines::new(Arc::new(Nowhere))).collect();
    attack(&mut Clint::new(clock.clone(), harts), &clock, None, data);
});
