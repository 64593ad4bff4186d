//! Two memories: comparing them, and making them equal.

use super::logged::Store;
use memory::{UserSpace, Vma};
use std::sync::Arc;

/// The two processes' memories.
pub struct Memories {
    /// The process's own.
    pub leader: Arc<UserSpace>,
    /// Its copy.
    pub follower: Arc<UserSpace>,
}

/// Differing bytes after which comparing ends: nobody reads more.
const MOST: usize = 4096;

/// Where what was stored to differs.
pub fn stores(memories: &Memories, stores: &[Store]) -> Vec<(u64, u8, u8)> {
    let mut differences = Vec::new();
    for store in stores {
        let size = usize::from(store.size);
        let (mut a, mut b) = ([0; 8], [0; 8]);
        let read_a = memories.leader.read_bytes(store.va, &mut a[..size]).is_ok();
        let read_b = memories
            .follower
            .read_bytes(store.va, &mut b[..size])
            .is_ok();
        if a != b || read_a != read_b {
            push(&mut differences, store.va, &a[..size], &b[..size]);
        }
        if differences.len() >= MOST {
            break;
        }
    }
    differences.sort_unstable();
    differences.dedup();
    differences
}

/// Where the two memories differ, as far as the guest can read them.
pub fn all(memories: &Memories) -> Vec<(u64, u8, u8)> {
    let mut differences = Vec::new();
    each_chunk(memories, |va, a, b| {
        push(&mut differences, va, a, b);
        differences.len() < MOST
    });
    differences
}

/// Gives the leader the follower's contents wherever they differ.
pub fn make_equal(memories: &Memories) {
    each_chunk(memories, |va, _, b| {
        let _ = memories.leader.write_bytes(va, b);
        true
    });
}

/// Gives `to`, which is all zero there, the contents of a mapping.
pub fn copy(from: &UserSpace, to: &UserSpace, vma: &Vma) -> Result<(), memory::Error> {
    let visited = from.contents(vma, |va, bytes| {
        // The copy permits stores until its contents are there.
        to.write_bytes(va, bytes)
            .map_err(|_| memory::Error::Invalid {
                va,
                length: bytes.len() as u64,
            })
    });
    visited.map(drop)
}

/// Calls `differ` with each run of pages that differs, until it returns false. Both memories are
/// gone through, since a page that is zero in one is not seen there.
fn each_chunk(memories: &Memories, mut differ: impl FnMut(u64, &[u8], &[u8]) -> bool) {
    let Memories { leader, follower } = memories;
    let mut other = Vec::new();
    for leading in [true, false] {
        let (one, two) = if leading {
            (leader, follower)
        } else {
            (follower, leader)
        };
        for vma in one.vmas().iter().filter(|vma| vma.protection.readable()) {
            // An error ends the visit of this mapping: it is how `differ` says that it has enough,
            // and what cannot be read cannot differ for the guest.
            let visited = one.contents(vma, |va, bytes| {
                other.resize(bytes.len(), 0);
                let same = two.read_bytes(va, &mut other).is_ok() && other == bytes;
                let (a, b) = if leading {
                    (bytes, &other[..])
                } else {
                    (&other[..], bytes)
                };
                if same || differ(va, a, b) {
                    Ok(())
                } else {
                    Err(Enough)
                }
            });
            if let Err(Enough) = visited {
                break;
            }
        }
    }
}

/// Ends a visit.
struct Enough;

impl From<memory::Error> for Enough {
    fn from(_: memory::Error) -> Self {
        Enough
    }
}

fn push(differences: &mut Vec<(u64, u8, u8)>, va: u64, a: &[u8], b: &[u8]) {
    let pairs = a.iter().zip(b).enumerate();
    let bytes = pairs
        .filter(|(_, (a, b))| a != b)
        .map(|(i, (&a, &b))| (va + i as u64, a, b));
    differences.extend(bytes);
}
