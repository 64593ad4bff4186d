//! Accesses that memory refuses.

/// What an access wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Read data.
    Load,
    /// Write data (atomics too).
    Store,
    /// Read an instruction.
    Fetch,
}

/// Why it was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultKind {
    /// Nothing is mapped there, or the address is outside the guest's range.
    Unmapped,
    /// The mapping does not permit this access.
    Protected,
    /// The mapped file ends before this page.
    BeyondFile,
}

/// A refused access. Nothing was read or written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Guest virtual address of the first byte that could not be accessed.
    pub va: u64,
    /// What was wanted.
    pub access: Access,
    /// Why it was refused.
    pub kind: FaultKind,
}
