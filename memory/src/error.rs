//! Why a mapping call failed.

/// A refused mapping call. Nothing has changed, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Linux: EINVAL.
    #[error(
        "length {length:#x} at {va:#x}: not page-aligned, zero, or more than the address space"
    )]
    Invalid {
        /// Where.
        va: u64,
        /// How much.
        length: u64,
    },
    /// Linux: ENOMEM.
    #[error("no room for {length:#x} bytes at {va:#x}, or a hole in what should be mapped there")]
    NoMemory {
        /// Where, 0 for anywhere. For a protection change: the first hole; what lies below it has
        /// been changed, as Linux does.
        va: u64,
        /// How much.
        length: u64,
    },
    /// Linux: EEXIST, for [`crate::Place::FixedNoReplace`].
    #[error("something is already mapped between {va:#x} and {:#x}", va + length)]
    Exists {
        /// Where.
        va: u64,
        /// How much.
        length: u64,
    },
    /// Linux: EPERM.
    #[error("{va:#x} is below the lowest address that may be mapped")]
    TooLow {
        /// Where.
        va: u64,
    },
    /// Linux: EFAULT, for a remap of something that is not one mapping.
    #[error("the {length:#x} bytes at {va:#x} are not one mapping")]
    NotOneMapping {
        /// Where.
        va: u64,
        /// How much.
        length: u64,
    },
    /// The host refused. Linux: the same errno.
    #[error("the host could not {what}: {source}")]
    Host {
        /// What was attempted.
        what: &'static str,
        /// The host's reason.
        source: std::io::Error,
    },
    /// The host's pages are larger than the guest's.
    #[error(
        "the host has pages of {found} bytes; only hosts with pages of 4096 bytes are supported so \
         far (on Linux choose a kernel with 4 KiB pages)"
    )]
    HostPageSize {
        /// Bytes in a host page.
        found: usize,
    },
    /// More address spaces at once than the fault handler keeps track of.
    #[error("more than {limit} address spaces at once in one process; drop one first")]
    TooManySpaces {
        /// How many there may be.
        limit: usize,
    },
}

impl Error {
    /// The host's refusal to do `what`.
    pub(crate) fn host(what: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        move |source| Error::Host { what, source }
    }
}
