//! Snapshots: a process copied out into a file and back in.
//!
//! A snapshot is a container of sections (`layout.rs`): typed state (`codec.rs`) and raw pages
//! (`pages.rs`). The same bytes come out on every host. Header, table and typed state are verified
//! before anything of them is believed; pages are mapped as they are, so that a process of any
//! size goes on within milliseconds, and `bhv snapshot verify` checks them all.
//!
//! What is to come has its place: a machine adds kinds of section; an incremental snapshot names
//! its parent in [`Meta`] and holds only the runs that changed.

mod changes;
pub mod checksum;
pub(crate) mod codec;
pub mod command;
mod date;
mod error;
mod kind;
mod layout;
mod meta;
mod pages;
mod process;
mod reader;
pub mod space;
#[cfg(test)]
mod tests;
mod writer;

pub use changes::Changes;
pub use error::{Cause, Error};
pub use kind::Kind;
pub use layout::{Section, Source};
pub use meta::{Meta, Parent, Subject};
pub use pages::{PageMap, PageWriter, Run};
pub use process::{Thread, threads};
pub use reader::{Bytes, Reader};
pub use writer::Writer;
