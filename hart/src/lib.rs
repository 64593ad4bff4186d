//! The architectural machine that both engines share: the hart's state, traps, control and status
//! registers, soft float. It knows neither engine.

pub mod csr;
pub mod memory_access;
pub mod privileged;
pub mod softfloat;
pub mod state;
pub mod system;
pub mod trap;

pub use memory_access::{CsrAccess, Effect, Memory};
pub use privileged::{Mode, Privileged};
pub use state::{HartState, Reservation};
pub use system::{Io, SystemMemory};
pub use trap::{Cause, Trap};
