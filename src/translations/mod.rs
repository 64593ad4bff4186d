//! Compiled code that is kept between runs of a program.
//!
//! One file for each program, in a folder that only its owner can write. A region is used when the
//! guest code that it was made from is found, byte for byte, at the addresses that it was made
//! for; so the file's name need not say for certain which program it belongs to, and libraries may
//! change. Code of another build of ours, of another kind of processor or for other options is in
//! files of other names.

mod file;
mod folder;
mod host;
mod machine;
#[cfg(test)]
mod tests;

use self::file::Contents;
pub use self::folder::{Folder, Refused};
pub use self::machine::KeptMachine;
use crate::Error;
use jit::Portable;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use twox_hash::XxHash3_64;

/// What was kept of one program.
pub struct Kept {
    path: PathBuf,
    folder: Folder,
    contents: Contents,
    /// Which records begin at an address, the newest first.
    by_entry: FxHashMap<u64, Vec<usize>>,
    /// Blocks by first address: where they end, and the newest record that they are part of.
    blocks: BTreeMap<u64, (u64, usize)>,
    /// Records that need not be looked at again.
    settled: Box<[AtomicBool]>,
}

impl Kept {
    /// What `folder` has for the program in `file`, compiled as `how` says, which is to tell
    /// builds, processors and options apart. `None` if the program cannot be read.
    pub fn of(folder: &Folder, file: &File, how: &str) -> Option<Kept> {
        let path = folder.path().join(name(file, how)?);
        let contents = folder.read(&path).map(Contents::parse).unwrap_or_default();
        let mut by_entry = FxHashMap::<u64, Vec<usize>>::default();
        for (number, record) in contents.records.iter().enumerate().rev() {
            for &entry in &record.entries {
                by_entry.entry(entry).or_default().push(number);
            }
        }
        let blocks = contents.records.iter().enumerate();
        let blocks = blocks.flat_map(|(number, record)| {
            let blocks = record.blocks.iter();
            blocks.map(move |&(start, end)| (start, (end, number)))
        });
        let blocks = blocks.collect();
        let settled = contents.records.iter().map(|_| AtomicBool::new(false));
        Some(Kept {
            path,
            folder: folder.clone(),
            settled: settled.collect(),
            contents,
            by_entry,
            blocks,
        })
    }

    /// How many runs of the program have added to it.
    pub fn runs(&self) -> u32 {
        self.contents.runs
    }

    /// Whether there may be code that begins at `pc`.
    pub fn has(&self, pc: u64) -> bool {
        self.by_entry.contains_key(&pc)
    }

    /// Whether there is code around `pc` that has not been asked for yet: what is compiled there
    /// would be in its way.
    pub fn covers(&self, pc: u64) -> bool {
        self.around(pc).is_some()
    }

    /// The record around `pc`, unless it is settled.
    fn around(&self, pc: u64) -> Option<usize> {
        let (_, &(end, number)) = self.blocks.range(..=pc).next_back()?;
        let settled = || self.settled[number].load(Ordering::Relaxed);
        (pc < end && !settled()).then_some(number)
    }

    /// Calls `install` with what was kept of the code around `pc`, or begins there, until it takes
    /// something or asks to come back later. What it refuses, or takes, it is not asked again.
    ///
    /// The newest comes first even if it may not be entered at `pc`: it took the place of those that
    /// could, because they were in its way.
    pub fn install(
        &self,
        pc: u64,
        install: impl Fn(&Portable) -> jit::Installed,
    ) -> jit::Installed {
        let begins = self.by_entry.get(&pc).into_iter().flatten().copied();
        for number in self.around(pc).into_iter().chain(begins) {
            let settled = &self.settled[number];
            if settled.load(Ordering::Relaxed) {
                continue;
            }
            let answer = match self.contents.portable(number) {
                Some(portable) => install(&portable),
                None => jit::Installed::Refused,
            };
            settled.store(answer != jit::Installed::Busy, Ordering::Relaxed);
            if answer != jit::Installed::Refused {
                return answer;
            }
        }
        jit::Installed::Refused
    }

    /// Adds code to the file. What goes wrong is no loss but of time at the next start.
    pub fn add(&self, new: &[Arc<Portable>]) {
        if new.is_empty() {
            return;
        }
        let Some(segment) = file::segment(new) else {
            return;
        };
        // Not an error for the guest's run, which is over and went well.
        let _ = match self.contents.wants_rewriting() {
            false => self.folder.append(&self.path, &segment),
            true => {
                let mut bytes = self.contents.without(new).unwrap_or_default();
                bytes.extend(segment);
                self.folder.replace(&self.path, &bytes)
            }
        };
    }
}

/// Keeps a guest from compiled code: who can write that has anything run on the host. What the user
/// granted is refused, see [`refuse_writing`]. The directory that a program is started in, which
/// nobody asked for, may lie around the folders; in there they are closed.
pub fn protect(config: &mut linux::Config, used: Option<&Folder>) -> Result<(), Error> {
    config.closed = folders(used);
    let writable = config.grants.iter().filter(|grant| grant.writable);
    for grant in writable {
        if !grant.implicit {
            refuse_writing(&grant.host, used)?;
        }
        for folder in config
            .closed
            .iter()
            .filter(|folder| lets_write(&grant.host, folder))
        {
            // One that exists can be told by more than its path. If it cannot be made, the guest
            // cannot make it either.
            let _ = Folder::open(folder);
        }
    }
    Ok(())
}

/// Where compiled code is kept: in the folder that is `used`, and in that which later runs use.
fn folders(used: Option<&Folder>) -> Vec<PathBuf> {
    let used = used.map(|folder| folder.path().to_owned());
    let usual = Folder::usual().and_then(|path| std::path::absolute(path).ok());
    used.into_iter().chain(usual).collect()
}

/// Whether who may write one folder of the host's could put something into another, or in its place.
fn lets_write(granted: &Path, folder: &Path) -> bool {
    let Ok(granted) = std::path::absolute(granted) else {
        return true;
    };
    let (_, granted) = linux::way_to(&granted);
    let (mut names, folder) = linux::way_to(folder);
    if granted.starts_with(&folder) {
        return true;
    }
    names.push(folder);
    // The same folder may have other names, by bind mounts.
    let id = |path: &Path| std::fs::symlink_metadata(path).map(|about| (about.dev(), about.ino()));
    let granted_id = id(&granted).ok();
    let same = |name: &PathBuf| granted_id.is_some() && id(name).ok() == granted_id;
    names
        .iter()
        .any(|name| name.starts_with(&granted) || same(name))
}

/// Refuses to let a guest write a folder of the host's if compiled code is kept in it, or it lies
/// where that is, or a link that leads there.
pub fn refuse_writing(granted: &Path, used: Option<&Folder>) -> Result<(), Error> {
    for folder in folders(used) {
        if lets_write(granted, &folder) {
            return Err(Error::usage(
                format!(
                    "the guest could write {} in {}, where compiled code is kept that runs on the \
                     host",
                    folder.display(),
                    granted.display()
                ),
                "grant another folder, or this one read-only (:ro); or keep compiled code elsewhere: \
                 in XDG_CACHE_HOME, or with --translations DIR where that names the folder",
            ));
        }
    }
    Ok(())
}

/// The name of a program's file: what the program begins with, build identifiers among that, and
/// what its code was compiled with.
fn name(file: &File, how: &str) -> Option<String> {
    let mut head = [0; 4096];
    let read = file.read_at(&mut head, 0).ok()?;
    let length = file.metadata().ok()?.len();
    Some(named(&head[..read], length, how))
}

/// The name for what begins so and has this length.
fn named(head: &[u8], length: u64, how: &str) -> String {
    let program = XxHash3_64::oneshot_with_seed(length, head);
    let how = XxHash3_64::oneshot(how.as_bytes());
    format!("{program:016x}-{how:016x}")
}

/// What tells this build of ours from others.
pub fn build() -> String {
    let own = std::env::current_exe().and_then(std::fs::metadata);
    let own = own.map(|own| (own.len(), own.ino(), own.mtime(), own.mtime_nsec()));
    format!("{} {:?}", env!("CARGO_PKG_VERSION"), own.ok())
}
