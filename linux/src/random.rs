//! Random bytes: the host's, or a reproducible sequence.

use crate::host;

/// Where a process's random bytes come from.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) enum Random {
    /// The host's generator.
    Host,
    /// SplitMix64 from a seed: reproducible, and of no use as a secret.
    Seeded(u64),
}

impl Random {
    pub fn fill(&mut self, out: &mut [u8]) {
        match self {
            Random::Host => host::random(out),
            Random::Seeded(state) => {
                for chunk in out.chunks_mut(8) {
                    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                    let mut z = *state;
                    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
                    chunk.copy_from_slice(&(z ^ z >> 31).to_le_bytes()[..chunk.len()]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_different_seeds_do_not() {
        let bytes = |seed| {
            let mut out = [0; 19];
            Random::Seeded(seed).fill(&mut out);
            out
        };
        assert_eq!(bytes(7), bytes(7));
        assert_ne!(bytes(7), bytes(8));
        assert_ne!(bytes(7)[..8], bytes(7)[8..16]);
    }
}
