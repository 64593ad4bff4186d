//! The architectural machine that both engines share: the hart's state, traps, control and status
//! registers, soft float. It knows neither engine.

pub mod csr;
pub mod memory_access;
pub mod softfloat;
pub mod state;
pub mod trap;

pub use memory_access::Memory;
pub use state::{HartState, Reservation};
pub use trap::{Cause, Trap};
