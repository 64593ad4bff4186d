//! 9P transport (the file share): each request a message, each answer one.

use super::queue;
use super::{Broken, Function, Io};
use crate::share::{LARGEST, Server};
use crate::state::StateError;

/// Bytes of the largest message.
const MOST: u64 = LARGEST as u64;
/// The mount tag is in the configuration.
const MOUNT_TAG: u64 = 1;

/// The device.
pub struct Share {
    server: Server,
    tag: String,
}

impl Share {
    /// A share that the guest mounts by `tag`, which is cut to 255 bytes.
    pub fn new(server: Server, tag: &str) -> Share {
        let mut tag = tag.to_owned();
        while tag.len() > 255 {
            tag.pop();
        }
        Share { server, tag }
    }
}

impl Function for Share {
    fn id(&self) -> u32 {
        9
    }

    fn features(&self) -> u64 {
        MOUNT_TAG
    }

    fn queue_sizes(&self) -> &'static [u16] {
        &[128]
    }

    fn config(&self) -> Vec<u8> {
        let mut config = (self.tag.len() as u16).to_le_bytes().to_vec();
        config.extend(self.tag.as_bytes());
        config
    }

    fn notify(&mut self, queue: usize, io: &mut Io<'_>) -> Result<(), Broken> {
        while let Some(chain) = io.pop(queue)? {
            let message = chain.read(io.memory(), "9P message", MOST)?;
            let room = queue::length(&chain.writable).min(MOST) as u32;
            let answer = self.server.answer(&message, room);
            let written = chain.write(io.memory(), 0, &answer)?;
            io.finish(queue, chain.head, written)?;
        }
        Ok(())
    }

    fn service(&mut self, _io: &mut Io<'_>) -> Result<(), Broken> {
        Ok(())
    }

    fn deadline(&self) -> Option<u64> {
        None
    }

    fn reset(&mut self) {
        self.server.reset();
    }

    fn save(&mut self) -> super::State {
        super::State::Share(self.server.save())
    }

    fn restore(&mut self, state: super::State) -> Result<(), StateError> {
        let super::State::Share(saved) = state else {
            return Err(state.is_not("virtio-9p"));
        };
        self.server.restore(saved);
        Ok(())
    }
}
