//! Why a snapshot could not be written or believed.

use std::io;
use std::path::PathBuf;

/// A failure, with the file it concerns. The message says what, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("snapshot {}: {cause}\n  help: {}", path.display(), cause.remedy())]
pub struct Error {
    /// The snapshot.
    pub path: PathBuf,
    /// What is wrong with it.
    pub cause: Cause,
}

/// What is wrong with a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The host could not read or write it.
    #[error("could not {what}: {source}")]
    Io {
        /// What was attempted.
        what: &'static str,
        /// The host's answer.
        source: io::Error,
    },
    /// Another kind of file.
    #[error("this is not a bhv snapshot: it starts with {found:02x?} instead of {expected:02x?}")]
    NotASnapshot {
        /// Its first bytes.
        found: [u8; 8],
        /// The first bytes of a snapshot.
        expected: [u8; 8],
    },
    /// From a newer bhv.
    #[error("{what} has version {found}, and this bhv understands versions up to {newest}")]
    Newer {
        /// The container or the section.
        what: String,
        /// Its version.
        found: u32,
        /// The newest that we know.
        newest: u32,
    },
    /// A needed section of a kind that this bhv does not know.
    #[error("section {index} has kind {kind}, which this bhv does not know and may not ignore")]
    UnknownSection {
        /// Which section.
        index: usize,
        /// Its kind.
        kind: u32,
    },
    /// Shorter or longer than it says.
    #[error("the file has {found} bytes and should have {expected}")]
    WrongLength {
        /// What the host says.
        found: u64,
        /// What the header says, or the least that a snapshot can have.
        expected: u64,
    },
    /// Bytes that are not what was written.
    #[error(
        "{what} at file offset {offset:#x} is damaged: its checksum is {found:016x}, and \
         {expected:016x} was recorded"
    )]
    Damaged {
        /// Header, table or section.
        what: String,
        /// Where it is.
        offset: u64,
        /// The checksum of what is there.
        found: u64,
        /// The checksum of what was written.
        expected: u64,
    },
    /// Bytes that no bhv writes.
    #[error("{what} at file offset {offset:#x} makes no sense: {why}")]
    Malformed {
        /// Header, table or section.
        what: String,
        /// Where it is.
        offset: u64,
        /// What was expected.
        why: String,
    },
    /// A section that must be there is not.
    #[error("it has no {kind} section, which {needed_for} needs")]
    Missing {
        /// What is missing.
        kind: &'static str,
        /// Who misses it.
        needed_for: &'static str,
    },
    /// The state does not fit what it is to become part of.
    #[error("its {what} can't be restored here: {why}")]
    Unsuitable {
        /// Which part.
        what: &'static str,
        /// Why.
        why: String,
    },
}

impl Cause {
    /// What to do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Cause::Io { .. } => "check the path, its permissions and the space on its disk",
            Cause::NotASnapshot { .. } => {
                "name a file written by bhv run or bhv boot --snapshot-at"
            }
            Cause::Newer { .. } | Cause::UnknownSection { .. } => {
                "resume it with the bhv that wrote it (bhv snapshot show names it), or a newer one"
            }
            Cause::WrongLength { .. } | Cause::Damaged { .. } | Cause::Malformed { .. } => {
                "it was damaged after it was written, or the copy is incomplete: copy it again, \
                 or save it anew"
            }
            Cause::Missing { .. } => "save it anew with this bhv",
            Cause::Unsuitable { .. } => {
                "resume it where what it names exists, as when it was saved"
            }
        }
    }

    /// With the file that it concerns.
    pub(crate) fn of(self, path: impl Into<PathBuf>) -> Error {
        Error {
            path: path.into(),
            cause: self,
        }
    }
}

/// The host's refusal to do `what`.
pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Cause {
    move |source| Cause::Io { what, source }
}
