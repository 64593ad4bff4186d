//! Packages from a Debian mirror, by the host's apt with a state of our own.

use super::tools::{self, failed};
use crate::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's suites, in the order in which they are tried: an index that does not fit its signature
/// while the mirror is brought up to date is no reason to wait.
const SUITES: [&str; 2] = ["trixie", "forky"];
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// apt with lists and caches of our own.
pub struct Apt {
    /// Which suite the packages are of.
    pub suite: &'static str,
    /// The address of the mirror that they are from.
    pub mirror: String,
    options: Vec<String>,
    archives: PathBuf,
}

impl Apt {
    /// Fetches the index of the first suite that can be had.
    pub fn new(state: &Path) -> Result<Apt, Error> {
        if !Path::new(KEYRING).exists() {
            return Err(Error::usage(
                format!("{KEYRING} is missing: packages could not be checked"),
                "apt-get install debian-archive-keyring",
            ));
        }
        let mirror = mirror()?;
        let mut reasons = Vec::new();
        for suite in SUITES {
            let apt = Apt {
                suite,
                mirror: mirror.clone(),
                options: options(state, &mirror, suite)?,
                archives: state.join("archives"),
            };
            match tools::run(apt.get().arg("update")) {
                Ok(()) => return Ok(apt),
                Err(reason) => reasons.push(format!("{suite}: {reason}")),
            }
        }
        Err(Error::usage(
            reasons.join("\n"),
            "try again later, or set BHV_DEBIAN_MIRROR",
        ))
    }

    fn get(&self) -> Command {
        let mut command = tools::command("apt-get");
        command
            .args(&self.options)
            .args(["-q", "-y", "--no-install-recommends"]);
        command
    }

    /// Downloads packages, what is essential, and what all of them need; the files.
    pub fn download(&self, packages: &[&str]) -> Result<Vec<PathBuf>, Error> {
        let wanted = || ["?essential"].iter().chain(packages);
        let list = self.archives.join("none");
        std::fs::create_dir_all(list.join("partial")).map_err(failed(&list))?;
        let mut command = self.get();
        command.args(["-o", &format!("Dir::Cache::archives={}", list.display())]);
        let text = tools::output(command.args(["--print-uris", "install"]).args(wanted()))?;
        // 'URI' FILE SIZE HASH
        let files = text.lines().filter(|line| line.starts_with('\''));
        let names = files
            .filter_map(|line| line.split(' ').nth(1))
            .map(str::to_owned);
        let names: Vec<String> = names.collect();
        tools::run(
            self.get()
                .args(["--download-only", "install"])
                .args(wanted()),
        )?;
        let _ = std::fs::remove_dir_all(&list);
        Ok(names
            .into_iter()
            .map(|name| self.archives.join(name))
            .collect())
    }

    /// Downloads one package without anything else.
    pub fn download_one(&self, package: &str, to: &Path) -> Result<PathBuf, Error> {
        tools::run(self.get().current_dir(to).args(["download", package]))?;
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

/// Options for a state of our own: nothing of the host's lists, caches or database.
fn options(state: &Path, mirror: &str, suite: &str) -> Result<Vec<String>, Error> {
    for part in ["lists/partial", "archives/partial", "etc"] {
        let folder = state.join(part);
        std::fs::create_dir_all(&folder).map_err(failed(&folder))?;
    }
    let write = |name: &str, text: &str| {
        let path = state.join(name);
        std::fs::write(&path, text).map_err(failed(&path))
    };
    write(
        "etc/sources.list",
        &format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n"),
    )?;
    write("status", "")?;
    let absolute = std::path::absolute(state).map_err(failed(state))?;
    let at = absolute.display();
    Ok([
        "APT::Architecture=riscv64".to_owned(),
        "APT::Architectures=riscv64".to_owned(),
        "APT::Sandbox::User=".to_owned(),
        "Acquire::Languages=none".to_owned(),
        "Acquire::Retries=3".to_owned(),
        "Debug::NoLocking=true".to_owned(),
        format!("Dir::State={at}"),
        format!("Dir::State::Lists={at}/lists"),
        format!("Dir::State::status={at}/status"),
        format!("Dir::Cache={at}"),
        format!("Dir::Cache::archives={at}/archives"),
        format!("Dir::Etc::SourceList={at}/etc/sources.list"),
        "Dir::Etc::SourceParts=/dev/null".to_owned(),
        "Dir::Etc::Preferences=/dev/null".to_owned(),
        "Dir::Etc::PreferencesParts=/dev/null".to_owned(),
    ]
    .into_iter()
    .flat_map(|option| ["-o".to_owned(), option])
    .collect())
}

/// The mirror that the host's apt uses, or what `BHV_DEBIAN_MIRROR` says.
fn mirror() -> Result<String, Error> {
    if let Ok(mirror) = std::env::var("BHV_DEBIAN_MIRROR") {
        return Ok(mirror);
    }
    let list = |filter: &[&str]| {
        let mut targets = tools::command("apt-get");
        targets.args(["indextargets", "--format", "$(REPO_URI)"]);
        tools::output(targets.arg("Created-By: Packages").args(filter))
    };
    // Others keep packages for Debian at such addresses too. Whose an archive is, is known only once
    // its lists were fetched; before that the address has to do.
    let (named, all) = (list(&["Origin: Debian"])?, list(&[])?);
    let is_archive = |uri: &&str| uri.trim_end_matches('/').ends_with("/debian");
    let mut archives = named.lines().chain(all.lines()).filter(is_archive);
    archives.next().map(str::to_owned).ok_or_else(|| {
        Error::usage(
            "the host's apt knows no Debian mirror",
            "set BHV_DEBIAN_MIRROR to the address of one",
        )
    })
}
