//! What the translator knows before it emits anything. Every result is a proposal: the translator
//! makes it true on each edge (by a load, a store or a check), so that an imprecise analysis
//! costs speed and never correctness.

pub mod distance;
pub mod facts;
pub mod placement;
pub mod polls;
pub mod recipes;
pub mod registers;
pub mod stacks;
pub mod streams;
pub mod window;
pub mod windows;

/// The registers of a bit set, ascending.
pub fn each(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (bits != 0).then(|| {
            let register = bits.trailing_zeros() as usize;
            bits &= bits - 1;
            register
        })
    })
}
