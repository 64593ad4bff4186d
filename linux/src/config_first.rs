//! What processes may see as the first snapshots have it: grants did not say whether somebody had
//! granted them.

use crate::config::{Config, Grant, Schedule};
use serde::Deserialize;
use std::path::PathBuf;

/// [`Grant`] in the first version.
#[derive(Deserialize)]
struct FirstGrant {
    host: PathBuf,
    guest: PathBuf,
    writable: bool,
}

/// [`Config`] in the first version, to be read and made a [`Config`].
#[derive(Deserialize)]
pub struct FirstConfig {
    root: Option<PathBuf>,
    grants: Vec<FirstGrant>,
    current_dir: bool,
    cwd: Option<PathBuf>,
    host: bool,
    network: bool,
    schedule: Schedule,
    quiet: bool,
}

impl From<FirstConfig> for Config {
    fn from(first: FirstConfig) -> Config {
        let FirstConfig {
            root,
            grants,
            current_dir,
            cwd,
            host,
            network,
            schedule,
            quiet,
        } = first;
        let grant = |grant: FirstGrant| Grant {
            // The best that can be told from it.
            implicit: Some(&grant.host) == cwd.as_ref(),
            host: grant.host,
            guest: grant.guest,
            writable: grant.writable,
        };
        Config {
            grants: grants.into_iter().map(grant).collect(),
            root,
            current_dir,
            cwd,
            host,
            network,
            schedule,
            quiet,
            closed: Vec::new(),
        }
    }
}
