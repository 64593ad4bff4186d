//! What a process may see of the host, and how it is scheduled.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A host directory or file that the guest sees.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// Path on the host.
    pub host: PathBuf,
    /// Absolute path at which the guest sees it.
    pub guest: PathBuf,
    /// Whether the guest may change it.
    pub writable: bool,
    /// The directory that the program was started in, which nobody granted in so many words.
    pub implicit: bool,
}

impl Grant {
    /// Parses `HOST[:GUEST][:ro]`, the argument of `--dir`.
    pub fn parse(text: &str) -> Result<Grant, crate::Error> {
        let bad = |why: &str| crate::Error::BadGrant {
            text: text.to_owned(),
            why: why.to_owned(),
        };
        let (text_without_mode, writable) = match text.strip_suffix(":ro") {
            Some(rest) => (rest, false),
            None => (text, true),
        };
        let (host, guest) = match text_without_mode.split_once(':') {
            Some((host, guest)) => (host, Some(guest)),
            None => (text_without_mode, None),
        };
        if host.is_empty() {
            return Err(bad("the host path is empty"));
        }
        let absolute = std::path::absolute(host).map_err(|error| bad(&error.to_string()))?;
        let guest = match guest {
            Some(guest) if !guest.starts_with('/') => {
                return Err(bad("the guest path must be absolute"));
            }
            Some(guest) => PathBuf::from(guest),
            None => absolute.clone(),
        };
        Ok(Grant {
            host: absolute,
            guest,
            writable,
            implicit: false,
        })
    }
}

/// How guest threads are run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Schedule {
    /// A host thread for each guest thread; the host's clocks and random numbers.
    Threads,
    /// All guest threads in turn on the calling thread, by instruction count. The clock is virtual
    /// (one nanosecond an instruction, sleeping skips ahead), random numbers come from the seed.
    Exact {
        /// Seed of everything random.
        seed: u64,
        /// Instructions a thread runs before the next one gets its turn.
        quantum: u64,
    },
}

impl Schedule {
    /// Deterministic scheduling with the default quantum.
    pub const fn exact(seed: u64) -> Schedule {
        Schedule::Exact {
            seed,
            quantum: 50_000,
        }
    }
}

/// Options of a process. `Default` is the isolated one without a root.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// Directory that the guest sees, read-only, as `/`.
    pub root: Option<PathBuf>,
    /// More of the host that it sees.
    pub grants: Vec<Grant>,
    /// The current directory is visible and writable at its own path, and the guest starts there.
    pub current_dir: bool,
    /// Where the guest starts, as a guest path. `None`: the current directory if it is visible,
    /// else `/`.
    pub cwd: Option<PathBuf>,
    /// Folders of this host that stay closed, whatever is granted around them. What leads to them
    /// cannot be moved, removed or made. Without meaning elsewhere, so snapshots do not hold them.
    #[serde(skip)]
    pub closed: Vec<PathBuf>,
    /// No isolation: guest paths are host paths (looked up under `root` first).
    pub host: bool,
    /// Sockets other than local pairs are allowed.
    pub network: bool,
    /// How threads are run.
    pub schedule: Schedule,
    /// Do not describe on stderr how the guest died.
    pub quiet: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            root: None,
            grants: Vec::new(),
            current_dir: true,
            cwd: None,
            closed: Vec::new(),
            host: false,
            network: false,
            schedule: Schedule::Threads,
            quiet: false,
        }
    }
}

impl Config {
    /// The same without references to the host process's current directory, so that it means the
    /// same elsewhere.
    pub fn resolve(mut self) -> Result<Config, crate::Error> {
        let failed = |source| crate::Error::File {
            path: PathBuf::from("."),
            source,
        };
        let here = std::env::current_dir().map_err(failed)?;
        if let Some(root) = &self.root {
            self.root = Some(std::path::absolute(root).map_err(failed)?);
        }
        if self.current_dir {
            if !self.host {
                let grant = Grant {
                    host: here.clone(),
                    guest: here.clone(),
                    writable: true,
                    implicit: true,
                };
                self.grants.insert(0, grant);
            }
            self.cwd.get_or_insert(here);
            self.current_dir = false;
        }
        Ok(self)
    }
}

/// What to run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Program {
    /// Path of the executable. With a slash: a guest path, or if the guest has no such file, a
    /// host path that is then made visible. Without one: searched in the current directory, then
    /// in `PATH` within the guest's root.
    pub path: PathBuf,
    /// Arguments, the program's name first.
    pub argv: Vec<Vec<u8>>,
    /// Environment, `NAME=value` each.
    pub envp: Vec<Vec<u8>>,
}
