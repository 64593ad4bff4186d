//! Compiled code that is kept between boots of a machine.
//!
//! Where a machine's code lies is another matter at each boot, so it is found by what begins at a
//! place: its number on the page, and the first instruction. Whether all of it is there decides. The
//! file's name tells kernels apart, so that files stay small; what runs on them shares one.

use super::file::{self, Contents};
use super::folder::Folder;
use hart::SystemMemory;
use jit::{Candidate, Installed, Portable, SystemJit};
use rustc_hash::{FxHashMap, FxHashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes in a file. One that would grow beyond this is written anew with what the last boot used.
const MOST: usize = 64 << 20;

/// What was kept of one kernel, and all that runs on it.
pub struct KeptMachine {
    path: PathBuf,
    folder: Folder,
    contents: Contents,
    /// Records and their entries by what begins there, the newest first.
    beginnings: FxHashMap<(u64, u32), Vec<(usize, u64)>>,
    /// Records that were put in place.
    used: Box<[AtomicBool]>,
}

impl KeptMachine {
    /// What `folder` has for a kernel that begins with `head` and has so many bytes, compiled as `how`
    /// says, which is to tell builds, processors and options apart.
    pub fn of(folder: &Folder, head: &[u8], length: u64, how: &str) -> KeptMachine {
        let name = super::named(head, length, &format!("machine {how}"));
        let path = folder.path().join(name);
        let contents = folder.read(&path).map(Contents::parse).unwrap_or_default();
        let mut kept = KeptMachine {
            path,
            folder: folder.clone(),
            used: contents
                .records
                .iter()
                .map(|_| AtomicBool::new(false))
                .collect(),
            contents,
            beginnings: FxHashMap::default(),
        };
        let mut beginnings = FxHashMap::<_, Vec<_>>::default();
        for (number, record) in kept.contents.records.iter().enumerate().rev() {
            for &entry in &record.entries {
                if let Some(beginning) = kept.candidate(number, entry).beginning() {
                    beginnings
                        .entry(beginning)
                        .or_default()
                        .push((number, entry));
                }
            }
        }
        kept.beginnings = beginnings;
        kept
    }

    /// Whether nothing was kept.
    pub fn is_empty(&self) -> bool {
        self.contents.records.is_empty()
    }

    /// How many boots have added to it.
    pub fn runs(&self) -> u32 {
        self.contents.runs
    }

    /// The file that it is in, if a part of that is no code of ours.
    pub fn damaged(&self) -> Option<&Path> {
        self.contents.is_damaged().then_some(&self.path)
    }

    /// How many regions there are.
    pub fn regions(&self) -> usize {
        self.contents.records.len()
    }

    fn candidate(&self, number: usize, entry: u64) -> Candidate<'_> {
        Candidate {
            number,
            entry,
            blocks: &self.contents.records[number].blocks,
            guest: self.contents.guest(number),
        }
    }

    /// Puts what was kept of the code at `pc` in place, if it fits.
    pub fn install(&self, pc: u64, jit: &mut SystemJit, memory: &SystemMemory) -> Installed {
        let known = SystemJit::beginning(pc, memory);
        let known = known.and_then(|beginning| self.beginnings.get(&beginning));
        let mut answer = Installed::Refused;
        for &(number, entry) in known.into_iter().flatten() {
            let candidate = self.candidate(number, entry);
            let portable = || self.contents.portable(number);
            match jit.install(pc, memory, &candidate, portable) {
                Installed::Ready => {
                    self.used[number].store(true, Ordering::Relaxed);
                    return Installed::Ready;
                }
                Installed::Busy => answer = Installed::Busy,
                Installed::Refused => {}
            }
        }
        answer
    }

    /// Adds what was compiled to the file. What goes wrong is no loss but of time at the next boot.
    pub fn add<'a>(&self, new: impl Iterator<Item = &'a Arc<Portable>>) {
        // Harts with compilers of their own may have compiled the same.
        let mut seen = FxHashSet::default();
        let fresh = |portable: &&Arc<Portable>| {
            let places: Vec<u64> = portable
                .entries
                .iter()
                .map(|pc| pc % memory::PAGE)
                .collect();
            seen.insert((places, portable.guest.clone()))
        };
        let new: Vec<Arc<Portable>> = new.filter(fresh).cloned().collect();
        let Some(segment) =
            file::segment(&new).filter(|_| !new.is_empty() || self.contents.is_damaged())
        else {
            return;
        };
        let over = self.contents.len() + segment.len() > MOST;
        // Not an error for the guest's run, which is over and went well.
        let _ = match over || self.contents.wants_rewriting() {
            false => self.folder.append(&self.path, &segment),
            true => {
                let used = |number: usize| !over || self.used[number].load(Ordering::Relaxed);
                let mut bytes = self.contents.only(used).unwrap_or_default();
                bytes.extend(segment);
                self.folder.replace(&self.path, &bytes)
            }
        };
    }
}
