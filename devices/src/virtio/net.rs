//! Network device (5.1): Ethernet frames to and from a [`Link`].

use super::queue;
use super::{Broken, Function, Io};
use crate::net::Link;
use crate::state::StateError;
use serde::{Deserialize, Serialize};

const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;
/// Feature bits (5.1.3).
const MAC: u64 = 1 << 5;
const STATUS: u64 = 1 << 16;
/// The link is up (5.1.4).
const LINK_UP: u16 = 1;
/// Bytes before each frame: no checksums or segments to do, one buffer.
const HEADER: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
/// Bytes of header and frame that a driver may send. There is no segmentation to do.
const MOST: u64 = 12 + 14 + 4 + 1500;

/// The device.
pub struct Net {
    link: Box<dyn Link>,
    mac: [u8; 6],
}

/// What is saved of it. Frames under way are lost, as they may be on any network.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    mac: [u8; 6],
}

impl Net {
    /// A card with this address, plugged into this link.
    pub fn new(link: Box<dyn Link>, mac: [u8; 6]) -> Net {
        Net { link, mac }
    }

    fn receive(&mut self, io: &mut Io<'_>) -> Result<(), Broken> {
        loop {
            // A frame is taken when there is a buffer for it, and a buffer when there is a frame.
            if !io.available(RECEIVE)? {
                return Ok(());
            }
            let Some(frame) = self.link.receive() else {
                return Ok(());
            };
            let Some(chain) = io.pop(RECEIVE)? else {
                return Ok(());
            };
            let room = queue::length(&chain.writable);
            let mut written = 0;
            if room >= (HEADER.len() + frame.len()) as u64 {
                written = chain.write(io.memory(), 0, &HEADER)?;
                written += chain.write(io.memory(), HEADER.len() as u64, &frame)?;
            }
            io.finish(RECEIVE, chain.head, written)?;
        }
    }
}

impl Function for Net {
    fn id(&self) -> u32 {
        1
    }

    fn features(&self) -> u64 {
        MAC | STATUS
    }

    fn queue_sizes(&self) -> &'static [u16] {
        &[256, 256]
    }

    fn config(&self) -> Vec<u8> {
        let mut config = self.mac.to_vec();
        config.extend(LINK_UP.to_le_bytes());
        config
    }

    fn notify(&mut self, queue: usize, io: &mut Io<'_>) -> Result<(), Broken> {
        if queue == RECEIVE {
            return self.receive(io);
        }
        while let Some(chain) = io.pop(TRANSMIT)? {
            let mut frame = chain.read(io.memory(), "network frame", MOST)?;
            if frame.len() > HEADER.len() {
                self.link.send(frame.split_off(HEADER.len()));
            }
            io.finish(TRANSMIT, chain.head, 0)?;
        }
        Ok(())
    }

    fn service(&mut self, io: &mut Io<'_>) -> Result<(), Broken> {
        self.receive(io)
    }

    fn deadline(&self) -> Option<u64> {
        None
    }

    fn reset(&mut self) {}

    fn save(&mut self) -> super::State {
        super::State::Net(State { mac: self.mac })
    }

    fn restore(&mut self, state: super::State) -> Result<(), StateError> {
        let super::State::Net(saved) = state else {
            return Err(state.is_not("virtio-net"));
        };
        self.mac = saved.mac;
        Ok(())
    }
}
