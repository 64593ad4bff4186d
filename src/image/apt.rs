//! Packages for an image: which files they and all that they need are.

use super::tools::{self, failed};
use crate::Error;
use std::path::{Path, PathBuf};

/// apt with lists and caches of our own.
pub struct Apt(apt::Apt);

impl Apt {
    /// Fetches the index of the first suite that can be had.
    pub fn new(state: &Path) -> Result<Apt, Error> {
        let apt = apt::Apt::new(state, "riscv64");
        let apt = apt
            .map_err(|reason| Error::usage(reason, "try again later, or set BHV_DEBIAN_MIRROR"))?;
        Ok(Apt(apt))
    }

    /// Which suite the packages are of.
    pub fn suite(&self) -> &'static str {
        self.0.suite
    }

    /// The address of the mirror that they are from.
    pub fn mirror(&self) -> &str {
        &self.0.mirror
    }

    /// Downloads packages, what is essential, and what all of them need; the files.
    pub fn download(&self, packages: &[&str]) -> Result<Vec<PathBuf>, Error> {
        let wanted = || ["?essential"].iter().chain(packages);
        let archives = &self.0.archives;
        let list = archives.join("none");
        std::fs::create_dir_all(list.join("partial")).map_err(failed(&list))?;
        let mut command = self.0.get();
        command.args(["-o", &format!("Dir::Cache::archives={}", list.display())]);
        let text = tools::output(command.args(["--print-uris", "install"]).args(wanted()))?;
        // 'URI' FILE SIZE HASH
        let files = text.lines().filter(|line| line.starts_with('\''));
        let names = files
            .filter_map(|line| line.split(' ').nth(1))
            .map(str::to_owned);
        let names: Vec<String> = names.collect();
        let mut command = self.0.get();
        tools::run(command.args(["--download-only", "install"]).args(wanted()))?;
        let _ = std::fs::remove_dir_all(&list);
        Ok(names.into_iter().map(|name| archives.join(name)).collect())
    }

    /// Downloads one package without anything else.
    pub fn download_one(&self, package: &str, to: &Path) -> Result<PathBuf, Error> {
        tools::run(self.0.get().current_dir(to).args(["download", package]))?;
        let found = std::fs::read_dir(to).map_err(failed(to))?;
        let mut found = found.flatten().map(|entry| entry.path());
        let is_it = |path: &PathBuf| {
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            name.is_some_and(|name| name.starts_with(&format!("{package}_")))
        };
        found.find(is_it).ok_or_else(|| {
            let what = format!("apt-get downloaded no {package}");
            Error::usage(what, "try again later")
        })
    }
}
