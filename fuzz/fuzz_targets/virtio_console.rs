//! Any driver of the console.

#![no_main]

mod attack;

use attack::virtio;
use devices::stream::ByteQueue;
use devices::virtio::Console;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (input, output) = (ByteQueue::default(), ByteQueue::default());
    input.push(&[1; 100]);
    virtio(Box::new(Console::new(Box::new(input), Box::new(output))), data);
});
