//! A process in a snapshot: its threads, and what its kernel knows of it.

use super::{Error, Kind, Reader};
use hart::HartState;

/// A thread of a saved process.
#[derive(Clone, PartialEq, Debug)]
pub struct Thread {
    /// Its id.
    pub tid: i32,
    /// Its registers.
    pub state: HartState,
}

/// The threads; none for a snapshot of something else.
pub fn threads(reader: &Reader) -> Result<Vec<Thread>, Error> {
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
