//! What runs in a snapshot: the threads of a process, the harts of a machine.

use super::{Error, Kind, Reader};
use crate::machine::{HartImage, HartsImage};
use hart::HartState;

/// A thread of a saved process, or a hart of a saved machine.
#[derive(Clone, PartialEq, Debug)]
pub struct Thread {
    /// Its number.
    pub tid: i32,
    /// Its registers.
    pub state: HartState,
}

/// The threads, or the harts.
pub fn threads(reader: &Reader) -> Result<Vec<Thread>, Error> {
    if let Some(harts) = reader.state::<HartsImage>(Kind::Harts)? {
        let thread = |(number, hart): (usize, HartImage)| Thread {
            tid: number as i32,
            state: hart.state,
        };
        return Ok(harts.harts.into_iter().enumerate().map(thread).collect());
    }
    let image: Option<linux::ProcessImage> = reader.state(Kind::Process)?;
    let threads = image.map_or_else(Vec::new, |image| image.threads);
    Ok(threads
        .into_iter()
        .map(|thread| Thread {
            tid: thread.tid,
            state: thread.state,
        })
        .collect())
}
