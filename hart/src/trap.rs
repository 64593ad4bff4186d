//! Synchronous exceptions, as data.

/// Why an instruction could not complete. Privileged, "Machine Cause Register", exception codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u64)]
#[expect(missing_docs, reason = "the manual's names")]
pub enum Cause {
    InstructionAddressMisaligned = 0,
    InstructionAccessFault = 1,
    IllegalInstruction = 2,
    Breakpoint = 3,
    LoadAddressMisaligned = 4,
    LoadAccessFault = 5,
    StoreAddressMisaligned = 6,
    StoreAccessFault = 7,
    EcallFromU = 8,
    EcallFromS = 9,
    EcallFromM = 11,
    InstructionPageFault = 12,
    LoadPageFault = 13,
    StorePageFault = 15,
}

/// An exception raised by the instruction at `HartState::pc`. The state is as before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trap {
    /// Exception code.
    pub cause: Cause,
    /// What the manual puts into `xtval`: the faulting address, or the bits of an illegal
    /// instruction, or 0.
    pub tval: u64,
}

impl Trap {
    /// A trap with its value.
    pub const fn new(cause: Cause, tval: u64) -> Self {
        Trap { cause, tval }
    }
}
