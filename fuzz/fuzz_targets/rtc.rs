//! Any accesses to the real-time clock.

#![no_main]

mod attack;

use attack::{Hand, Nowhere, attack};
use devices::Rtc;
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

fuzz_target!(|data: &[u8]| {
    let clock = Arc::new(Hand::default());
    attack(&mut Rtc::new(clock.clone(), Arc::new(Nowhere), 1 << 60), &clock, None, data);
});
