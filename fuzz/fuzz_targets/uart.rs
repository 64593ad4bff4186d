//! Any accesses to the serial port, with input waiting.

#![no_main]

mod attack;

use attack::{Hand, Nowhere, attack};
use devices::Uart;
use devices::stream::ByteQueue;
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

fuzz_target!(|data: &[u8]| {
    let (input, output) = (ByteQueue::default(), ByteQueue::default());
    input.push(&[1; 100]);
    let mut uart = Uart::new(Arc::new(Nowhere), Box::new(input), Box::new(output));
    attack(&mut uart, &Hand::default(), None, data);
});
