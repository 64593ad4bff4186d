//! A folder of the host's as a file system of the guest's: a 9P2000.L server.
//!
//! It never leaves its folder: each file is looked up beneath it by the host's kernel, which
//! follows no symbolic link on the way; what is neither file nor folder nor link is not opened.

mod attributes;
mod files;
mod names;
mod server;
mod wire;

pub use files::ShareError;
pub(crate) use server::LARGEST;
pub use server::{SavedFid, Server, State};
