//! What a machine is made of.

use crate::EngineKind;
use std::path::PathBuf;

/// Which clock the guest sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum ClockKind {
    /// A function of instructions retired: two runs are the same bit for bit. An idle machine skips
    /// ahead to what it waits for.
    Exact,
    /// The host's.
    Host,
}

/// A file, or bytes of the caller's.
#[derive(Clone, Debug)]
pub enum Image {
    /// To be read when the machine is built.
    File(PathBuf),
    /// Bytes, and what to call them in errors.
    Bytes(String, Vec<u8>),
}

/// A disk image, and what the guest may do to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskOptions {
    /// A raw image.
    pub path: PathBuf,
    /// What becomes of writes.
    pub access: DiskAccess,
}

/// What becomes of writes to a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskAccess {
    /// They go to the image.
    Write,
    /// They are refused.
    Read,
    /// They are kept aside and forgotten at the end.
    Overlay,
}

impl DiskOptions {
    /// Reads `FILE`, `FILE:ro` or `FILE:temp`.
    pub fn parse(text: &str) -> Result<DiskOptions, String> {
        let (path, access) = match text.rsplit_once(':') {
            Some((path, "ro")) => (path, DiskAccess::Read),
            Some((path, "temp")) => (path, DiskAccess::Overlay),
            _ => (text, DiskAccess::Write),
        };
        if path.is_empty() {
            return Err("a disk needs a file: write FILE, FILE:ro or FILE:temp".into());
        }
        Ok(DiskOptions {
            path: path.into(),
            access,
        })
    }
}

/// What a machine is made of.
#[derive(Clone, Debug)]
pub struct MachineOptions {
    /// Bytes of RAM.
    pub memory: u64,
    /// How many harts.
    pub harts: usize,
    /// What executes them.
    pub engine: EngineKind,
    /// Which clock the guest sees.
    pub clock: ClockKind,
    /// What runs first, in machine mode: OpenSBI's fw_dynamic, or an ELF file. Without it the
    /// kernel is started in supervisor mode, and we answer its SBI calls.
    pub firmware: Option<Image>,
    /// A Linux Image (or anything that looks like one, U-Boot for example) or an ELF file.
    pub kernel: Option<Image>,
    /// The initial RAM disk.
    pub initrd: Option<Image>,
    /// The kernel's command line.
    pub append: String,
    /// Disks, the first becomes vda.
    pub disks: Vec<DiskOptions>,
    /// Where all random numbers of an exact machine come from.
    pub seed: u64,
}

impl Default for MachineOptions {
    fn default() -> Self {
        MachineOptions {
            memory: 1 << 30,
            harts: 1,
            engine: EngineKind::Interp,
            clock: ClockKind::Exact,
            firmware: None,
            kernel: None,
            initrd: None,
            append: String::new(),
            disks: Vec::new(),
            seed: 0,
        }
    }
}
