//! What random tests share. Only tests depend on this crate.

pub mod bundle;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub mod float;
pub mod generate;
pub mod machine;
pub mod program;
pub mod scale;
pub mod shrink;
