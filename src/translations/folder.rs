//! The folder that files with compiled code are kept in. Who can write there can have us run
//! anything, so it must belong to us alone.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

/// Bytes in the whole folder; beyond that the files that were written longest ago go.
const MOST: u64 = 1 << 30;
/// Bytes in a file; a larger one is not read.
const MOST_IN_FILE: u64 = 256 << 20;

/// A folder for compiled code.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It cannot be made or looked at.
    #[error("{}: {source}", path.display())]
    File {
        /// The folder.
        path: PathBuf,
        /// The host's answer.
        source: io::Error,
    },
    /// Others can put code there.
    #[error(
        "{} may be written by others than us, and what it holds is run on this host\n  \
         help: give a folder of your own that only you can write (mode 700)", path.display()
    )]
    Open {
        /// The folder.
        path: PathBuf,
    },
}

impl Folder {
    /// The folder at `path`, made if there is none.
    pub fn open(path: &Path) -> Result<Folder, Refused> {
        let failed = |source| Refused::File {
            path: path.to_owned(),
            source,
        };
        let path = &std::path::absolute(path).map_err(failed)?;
        let built = DirBuilder::new().recursive(true).mode(0o700).create(path);
        built.map_err(failed)?;
        match is_ours(&std::fs::metadata(path).map_err(failed)?) {
            true => Ok(Folder(path.to_owned())),
            false => Err(Refused::Open {
                path: path.to_owned(),
            }),
        }
    }

    /// Where compiled code is kept unless something else is said: in the user's folder for caches.
    pub fn usual() -> Option<PathBuf> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let caches = set("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache")))?;
        Some(caches.join("baby_hypervisor/translations"))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file's bytes, if there is one that nobody else can have written.
    pub(super) fn read(&self, path: &Path) -> Option<Vec<u8>> {
        let mut file = File::open(path).ok()?;
        let about = file.metadata().ok()?;
        if !is_ours_alone(&about) || about.len() > MOST_IN_FILE {
            return None;
        }
        let mut bytes = Vec::with_capacity(about.len() as usize);
        file.read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Appends to a file, which may not exist yet. Other processes may do so at the same time.
    pub(super) fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if !path.exists() {
            self.clean_up(bytes.len() as u64);
        }
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        file.lock()?;
        let about = file.metadata()?;
        if !is_ours_alone(&about) {
            return self.replace(path, bytes);
        }
        if about.len() + bytes.len() as u64 > MOST_IN_FILE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        file.write_all(bytes)
    }

    /// Puts a new file in place of an old one, at once.
    pub(super) fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let new = path.with_extension(format!("{}-{number}", std::process::id()));
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| std::fs::rename(&new, path));
        if written.is_err() {
            let _ = std::fs::remove_file(&new);
        }
        written
    }

    /// Removes the oldest files until there is room for so many more bytes.
    fn clean_up(&self, more: u64) {
        let Ok(entries) = std::fs::read_dir(&self.0) else {
            return;
        };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let about = entry.metadata().ok().filter(Metadata::is_file)?;
                Some((about.modified().ok()?, about.len(), entry.path()))
            })
            .collect();
        let mut total: u64 = more + files.iter().map(|(_, size, _)| size).sum::<u64>();
        files.sort();
        for (_, size, path) in files {
            if total <= MOST {
                break;
            }
            if std::fs::remove_file(path).is_ok() {
                total -= size;
            }
        }
    }
}

/// Whether it is a file that only we (and root) can write, by no name but the one in the folder:
/// another, of a backup maybe, could lie where a guest may write.
fn is_ours_alone(about: &Metadata) -> bool {
    is_ours(about) && about.is_file() && about.nlink() == 1
}

/// Whether only we (and root) can write it.
fn is_ours(about: &Metadata) -> bool {
    const OTHERS_WRITE: u32 = 0o022;
    let owner = about.uid();
    (owner == super::host::user() || owner == 0) && about.mode() & OTHERS_WRITE == 0
}
