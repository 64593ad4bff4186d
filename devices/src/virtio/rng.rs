//! Entropy device (5.4): fills what it is given.

use super::{Broken, Function, Io};
use crate::state::StateError;
use serde::{Deserialize, Serialize};
use std::io::Read;

/// Bytes for one request. A device may give fewer than there is room for.
const MOST: u64 = 4096;

/// Where random bytes come from.
pub enum Entropy {
    /// The host's generator.
    Host(Box<dyn Read + Send>),
    /// SplitMix64 from this state: reproducible, and of no use as a secret.
    Seeded(u64),
}

impl Entropy {
    /// Fills `out`; says how much it could.
    pub fn fill(&mut self, out: &mut [u8]) -> usize {
        match self {
            Entropy::Host(source) => source.read(out).unwrap_or(0),
            Entropy::Seeded(state) => {
                for chunk in out.chunks_mut(8) {
                    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                    let mut z = *state;
                    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
                    chunk.copy_from_slice(&(z ^ z >> 31).to_le_bytes()[..chunk.len()]);
                }
                out.len()
            }
        }
    }
}

/// The device.
pub struct Rng {
    entropy: Entropy,
}

/// What is saved of it: the generator's state, if it is a seeded one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    seeded: Option<u64>,
}

impl Rng {
    /// A device that gives these bytes.
    pub fn new(entropy: Entropy) -> Rng {
        Rng { entropy }
    }
}

impl Function for Rng {
    fn id(&self) -> u32 {
        4
    }

    fn features(&self) -> u64 {
        0
    }

    fn queue_sizes(&self) -> &'static [u16] {
        &[64]
    }

    fn config(&self) -> Vec<u8> {
        Vec::new()
    }

    fn notify(&mut self, queue: usize, io: &mut Io<'_>) -> Result<(), Broken> {
        while let Some(chain) = io.pop(queue)? {
            let room = super::queue::length(&chain.writable).min(MOST);
            let mut bytes = vec![0; room as usize];
            let filled = self.entropy.fill(&mut bytes);
            let written = chain.write(io.memory(), 0, &bytes[..filled])?;
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

    /// The generator goes on: a reset does not repeat random numbers.
    fn reset(&mut self) {}

    fn save(&mut self) -> super::State {
        let seeded = match self.entropy {
            Entropy::Host(_) => None,
            Entropy::Seeded(state) => Some(state),
        };
        super::State::Rng(State { seeded })
    }

    fn restore(&mut self, state: super::State) -> Result<(), StateError> {
        let super::State::Rng(saved) = state else {
            return Err(state.is_not("virtio-rng"));
        };
        match (&mut self.entropy, saved.seeded) {
            (Entropy::Seeded(state), Some(seeded)) => *state = seeded,
            (Entropy::Host(_), None) => {}
            (Entropy::Seeded(_), None) | (Entropy::Host(_), Some(_)) => {
                return Err(StateError::Invalid {
                    device: "virtio-rng",
                    why: "one is seeded, the other takes the host's random numbers".into(),
                });
            }
        }
        Ok(())
    }
}
