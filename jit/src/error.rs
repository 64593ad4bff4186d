//! What can go wrong on the host's side.

/// A host failure. Nothing a guest does leads to one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host offers no code generator for its own instruction set.
    #[error("this host cannot run compiled code: {0}; use the interpreter")]
    Host(String),
    /// No memory for compiled code.
    #[error("cannot reserve {bytes} bytes for compiled code: {source}")]
    Reserve {
        /// What was asked for.
        bytes: usize,
        /// Why it was refused.
        source: std::io::Error,
    },
    /// Cranelift refused a region; the interpreter runs it.
    #[error("cannot compile the region at {pc:#x}: {reason}")]
    Compile {
        /// The region's first entry.
        pc: u64,
        /// Cranelift's words.
        reason: String,
    },
}
