//! Console device (5.3) with one port.

use super::{Broken, Function, Io};
use crate::state::StateError;
use crate::stream::{Input, Output};
use serde::{Deserialize, Serialize};

const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;
/// Bytes that may be sent at once.
const MOST: u64 = 1 << 20;
/// Bytes that are put into one buffer of the driver's.
const PIECE: usize = 4096;

/// The device.
pub struct Console {
    input: Box<dyn Input>,
    output: Box<dyn Output>,
    state: State,
}

/// What is saved of it.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    /// Taken from the input, and no buffer there for it yet.
    waiting: Vec<u8>,
}

impl Console {
    /// A console between these.
    pub fn new(input: Box<dyn Input>, output: Box<dyn Output>) -> Console {
        let state = State::default();
        Console {
            input,
            output,
            state,
        }
    }

    fn receive(&mut self, io: &mut Io<'_>) -> Result<(), Broken> {
        loop {
            while self.state.waiting.len() < PIECE {
                let Some(byte) = self.input.take() else { break };
                self.state.waiting.push(byte);
            }
            if self.state.waiting.is_empty() {
                return Ok(());
            }
            let Some(chain) = io.pop(RECEIVE)? else {
                return Ok(());
            };
            let written = chain.write(io.memory(), 0, &self.state.waiting)?;
            self.state.waiting.drain(..written as usize);
            io.finish(RECEIVE, chain.head, written)?;
        }
    }
}

impl Function for Console {
    fn id(&self) -> u32 {
        3
    }

    fn features(&self) -> u64 {
        0
    }

    fn queue_sizes(&self) -> &'static [u16] {
        &[64, 64]
    }

    /// Columns, rows, ports: only with features that are not offered.
    fn config(&self) -> Vec<u8> {
        Vec::new()
    }

    fn notify(&mut self, queue: usize, io: &mut Io<'_>) -> Result<(), Broken> {
        if queue == RECEIVE {
            return self.receive(io);
        }
        while let Some(chain) = io.pop(TRANSMIT)? {
            let bytes = chain.read(io.memory(), "console output", MOST)?;
            self.output.put(&bytes);
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
        super::State::Console(self.state.clone())
    }

    fn restore(&mut self, state: super::State) -> Result<(), StateError> {
        let super::State::Console(saved) = state else {
            return Err(state.is_not("virtio-console"));
        };
        if saved.waiting.len() > PIECE {
            return Err(StateError::Invalid {
                device: "virtio-console",
                why: format!(
                    "{} bytes of input wait, {PIECE} are the most",
                    saved.waiting.len()
                ),
            });
        }
        self.state = saved;
        Ok(())
    }
}
