//! Options that several commands share.

use crate::engine::EngineKind;
use std::path::PathBuf;

/// Which engine, and how it runs.
#[derive(clap::Args, Clone, Debug)]
pub struct EngineOptions {
    /// jit: interpreter first, hot code compiled. interp: interpreter alone
    #[arg(long, value_enum, default_value_t = EngineKind::Jit, value_name = "ENGINE")]
    pub engine: EngineKind,
    /// Count every instruction: virtual time, seeded random numbers, threads in turn; two runs are
    /// the same bit for bit
    #[arg(long)]
    pub exact: bool,
    /// Executions of a block before it is compiled
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub threshold: Option<u64>,
    /// Compile where the code is first needed instead of beside the guest
    #[arg(long, hide_short_help = true)]
    pub foreground: bool,
    /// Where compiled code is kept for the next start of the same program; "none" keeps nothing
    /// [default: baby_hypervisor/translations in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub translations: Option<PathBuf>,
    /// Print what was run, compiled and spent, at the end, to stderr
    #[arg(long)]
    pub stats: bool,
}

/// What the guest is given.
#[derive(clap::Args, Clone, Debug)]
pub struct GuestOptions {
    /// Folder that holds the guest's libraries and files, read-only
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Also grant this folder: HOST, HOST:GUEST or HOST:GUEST:ro
    #[arg(long = "dir", value_name = "HOST[:GUEST][:ro]")]
    pub dirs: Vec<String>,
    /// Pass files and network of the host through
    #[arg(long)]
    pub host: bool,
    /// Set an environment variable of the guest (repeatable)
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Name every system call with its arguments and result, on stderr
    #[arg(long)]
    pub trace: bool,
}
