//! What can go wrong outside the guest, and how it is told.

use std::path::PathBuf;

/// A failure of the host's side. Each message says what happened, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process could not be started, saved or resumed.
    #[error(transparent)]
    Linux(#[from] linux::Error),
    /// Guest memory could not be arranged.
    #[error(transparent)]
    Memory(#[from] memory::Error),
    /// The compiler could not be set up.
    #[error(transparent)]
    Jit(#[from] jit::Error),
    /// A snapshot could not be written or believed.
    #[error(transparent)]
    Snapshot(#[from] crate::snapshot::Error),
    /// The folder for compiled code cannot be used.
    #[error(transparent)]
    Translations(#[from] crate::translations::Refused),
    /// A file of ours could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The host's answer.
        source: std::io::Error,
    },
    /// The command line asks for something that cannot be.
    #[error("{what}\n  help: {remedy}")]
    Usage {
        /// What is wrong, with the value found.
        what: String,
        /// What to write instead.
        remedy: String,
    },
}

impl Error {
    /// A mistake on the command line.
    pub fn usage(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Error::Usage {
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    /// The whole message, as it goes to stderr.
    pub fn report(&self) -> String {
        format!("bhv: {self}")
    }

    /// The exit code: what a shell would give for a program that cannot be run, 125 for a failure
    /// of our own.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Linux(error) => error.exit_code() as u8,
            Error::Usage { .. } => 2,
            _ => 125,
        }
    }
}
