//! What the guest sees as memory. The only crate that maps memory.
//!
//! [`UserSpace`] is a user process's address space: guest address `va` lives at host address
//! `base + va`, and everything of that window that the guest has not mapped is inaccessible, so
//! the host's MMU checks each access. Below and above the window lie inaccessible guard zones.
//!
//! | what | where |
//! |---|---|
//! | loads, stores, compare-exchange, fetches, bulk copies | `access.rs` |
//! | mmap, munmap, mprotect, mremap | `mapping.rs`, `remap.rs`; the list of mappings in `vma.rs` |
//! | one byte of flags a guest page | `flags.rs` |
//! | which pages hold translated code, and which of them were written | `watch.rs`, `log.rs` |
//! | memory images for snapshots | `image.rs` |
//! | what becomes of a host fault | `registry.rs` |
//! | a machine's RAM, by physical address | `ram.rs` |
//! | anything that knows the host's processor or system | `host/` |
//!
//! Guest pages are 4 KiB. A host with larger pages (16 KiB on ARM Macs) is refused by
//! [`UserSpace::reserve`] for now. What it takes is confined to `mapping.rs`: file mappings whose
//! offset and address differ within a host page are copied in instead of mapped, and a host page
//! gets the union of what its guest pages permit.

mod access;
mod breakpoints;
pub mod error;
pub mod fault;
pub mod flags;
mod host;
mod image;
mod lock;
mod log;
mod mapping;
mod ram;
mod registry;
mod remap;
mod space;
mod stacks;
pub mod vma;
mod watch;
pub mod word;

pub use breakpoints::{Breakpoints, EBREAK};
pub use error::Error;
pub use fault::{Access, Fault, FaultKind};
pub use flags::PageFlags;
pub use host::HostFrame;
pub use image::Piece;
pub use mapping::Place;
pub use ram::{Ram, Writer};
pub use registry::{CodeRange, FaultHandler, install, register_code};
pub use space::{ForkGuard, GUARD, LIMIT, MIN_ADDRESS, PAGE, PAGE_BITS, UserSpace};
pub use stacks::StackUser;
pub use vma::{Backing, FileInfo, Protection, Sharing, Vma};
pub use word::{AtomicWord, Word};
