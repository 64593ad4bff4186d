//! What a machine is made of.

use super::TierOptions;
use crate::EngineKind;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Which clock the guest sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum, Serialize, Deserialize)]
pub enum ClockKind {
    /// A function of instructions retired: two runs are the same bit for bit. An idle machine skips
    /// ahead to what it waits for.
    Exact,
    /// The host's.
    Host,
}

/// How several harts share the host.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Schedule {
    /// They take turns on one thread: two runs are the same bit for bit, if the clock is exact.
    Turns,
    /// Each has a thread of its own: they run at the same time, and no two runs are the same.
    Threads,
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
    /// An image, raw or qcow2.
    pub path: PathBuf,
    /// What becomes of writes.
    pub access: DiskAccess,
}

/// What becomes of writes to a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
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

/// A folder of the host's that the guest can mount, by 9p.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShareOptions {
    /// The folder.
    pub path: PathBuf,
    /// What the guest mounts it by.
    pub tag: String,
    /// Whether the guest may only read it.
    pub read_only: bool,
}

impl ShareOptions {
    /// Reads `TAG=FOLDER` or `TAG=FOLDER:ro`.
    pub fn parse(text: &str) -> Result<ShareOptions, String> {
        let wrong = || format!("'{text}' is no share: write TAG=FOLDER or TAG=FOLDER:ro");
        let (tag, path) = text.split_once('=').ok_or_else(wrong)?;
        let (path, read_only) = match path.strip_suffix(":ro") {
            Some(path) => (path, true),
            None => (path, false),
        };
        if tag.is_empty() || path.is_empty() {
            return Err(wrong());
        }
        Ok(ShareOptions {
            path: path.into(),
            tag: tag.to_owned(),
            read_only,
        })
    }
}

/// Reads a size in bytes, or with K, M or G.
pub fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is no size: write a number of bytes, or one with K, M or G");
    let (number, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1u64 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).ok_or_else(wrong)
}

/// Where compiled code is kept for later boots.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeepCode {
    /// It is not.
    Nowhere,
    /// In the user's folder for caches, if there is one.
    Usual,
    /// In this folder.
    In(PathBuf),
}

impl KeepCode {
    /// Reads `none` or a folder.
    pub fn parse(path: PathBuf) -> KeepCode {
        match path.as_os_str() == "none" {
            true => KeepCode::Nowhere,
            false => KeepCode::In(path),
        }
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
    /// When and how code is compiled.
    pub tiers: TierOptions,
    /// Where it is kept for later boots.
    pub translations: KeepCode,
    /// Which clock the guest sees.
    pub clock: ClockKind,
    /// How harts share the host.
    pub schedule: Schedule,
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
    /// The network, if there is one.
    pub net: Option<devices::net::Config>,
    /// Folders of the host's.
    pub shares: Vec<ShareOptions>,
    /// Where all random numbers of an exact machine come from.
    pub seed: u64,
}

impl Default for MachineOptions {
    fn default() -> Self {
        MachineOptions {
            memory: 1 << 30,
            harts: 1,
            engine: EngineKind::Jit,
            tiers: TierOptions::default(),
            translations: KeepCode::Nowhere,
            clock: ClockKind::Exact,
            schedule: Schedule::Turns,
            firmware: None,
            kernel: None,
            initrd: None,
            append: String::new(),
            disks: Vec::new(),
            net: None,
            shares: Vec::new(),
            seed: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size("512M"), Ok(512 << 20));
        assert_eq!(size("2g"), Ok(2 << 30));
        assert_eq!(size("4096"), Ok(4096));
        for wrong in ["", "M", "1T", "-1", "0x10", "99999999999G", "1.5G", "é"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn disks_and_shares_as_written() {
        let disk =
            |text| DiskOptions::parse(text).map(|d| (d.path.display().to_string(), d.access));
        assert_eq!(disk("a:b.img"), Ok(("a:b.img".into(), DiskAccess::Write)));
        assert_eq!(disk("a.img:ro"), Ok(("a.img".into(), DiskAccess::Read)));
        assert_eq!(
            disk("a.img:temp"),
            Ok(("a.img".into(), DiskAccess::Overlay))
        );
        assert!(disk(":ro").is_err() && disk("").is_err());
        let share = ShareOptions::parse("home=/tmp:ro").unwrap();
        assert_eq!((share.tag.as_str(), share.read_only), ("home", true));
        assert_eq!(share.path, PathBuf::from("/tmp"));
        for wrong in ["", "home", "=x", "home=", "home=:ro"] {
            assert!(ShareOptions::parse(wrong).is_err(), "{wrong}");
        }
    }
}
