//! What random tests share. Only tests depend on this crate.

mod assemble;
pub mod bundle;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub mod float;
pub mod generate;
mod kind;
pub mod machine;
pub mod program;
pub mod scale;
pub mod shrink;
mod straight;
