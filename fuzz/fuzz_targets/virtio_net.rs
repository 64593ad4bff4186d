//! Any driver of a network card whose frames come back to it.

#![no_main]

mod attack;

use attack::virtio;
use devices::net::Link;
use devices::virtio::Net;
use libfuzzer_sys::fuzz_target;
use std::collections::VecDeque;

/// Sends back what it gets, up to a hundred frames at a time.
#[derive(Default)]
struct Mirror(VecDeque<Vec<u8>>);

impl Link for Mirror {
    fn send(&mut self, frame: Vec<u8>) {
        if self.0.len() < 100 {
            self.0.push_back(frame);
        }
    }
    fn receive(&mut self) -> Option<Vec<u8>> {
        self.0.pop_front()
    }
}

fuzz_target!(|data: &[u8]| {
    virtio(Box::new(Net::new(Box::<Mirror>::default(), [2; 6])), data);
});
