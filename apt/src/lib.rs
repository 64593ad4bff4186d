//! Packages of Debian's for any architecture, by the host's apt with lists and caches of our own:
//! nothing of the host's is used or changed but where its mirror is, and every package is checked
//! against Debian's keys.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Debian's suites, in the order in which they are tried: an index that does not fit its signature,
/// as happens for hours while a mirror is brought up to date, is no reason to wait.
pub const SUITES: [&str; 2] = ["trixie", "forky"];

/// The file that holds Debian's keys, and its package.
pub const KEYRING: (&str, &str) = (
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "debian-archive-keyring",
);

/// Lines that are kept of what a program said before it failed.
const SAID: usize = 12;

/// apt for one architecture and one suite, whose index has been fetched.
pub struct Apt {
    /// Which suite the packages are of.
    pub suite: &'static str,
    /// The address of the mirror that they are from.
    pub mirror: String,
    /// Where downloaded packages are.
    pub archives: PathBuf,
    options: Vec<String>,
}

impl Apt {
    /// Fetches the index of the first suite that can be had.
    pub fn new(state: &Path, architecture: &str) -> Result<Apt, String> {
        let mut reasons = Vec::new();
        for suite in SUITES {
            match Apt::of_suite(state, architecture, suite) {
                Ok(apt) => return Ok(apt),
                Err(reason) => reasons.push(format!("{suite}: {reason}")),
            }
        }
        Err(reasons.join("\n"))
    }

    /// Fetches the index of this suite.
    pub fn of_suite(state: &Path, architecture: &str, suite: &'static str) -> Result<Apt, String> {
        let (keyring, package) = KEYRING;
        if !Path::new(keyring).exists() {
            return Err(format!(
                "{keyring} is missing: packages could not be checked; apt-get install {package}"
            ));
        }
        let mirror = mirror()?;
        let state = std::path::absolute(state).map_err(failed(state))?;
        for part in ["lists/partial", "archives/partial", "etc"] {
            let folder = state.join(part);
            fs::create_dir_all(&folder).map_err(failed(&folder))?;
        }
        let sources = format!("deb [signed-by={keyring}] {mirror} {suite} main\n");
        for (name, text) in [("etc/sources.list", sources.as_str()), ("status", "")] {
            let path = state.join(name);
            fs::write(&path, text).map_err(failed(&path))?;
        }
        let apt = Apt {
            suite,
            mirror,
            archives: state.join("archives"),
            options: options(&state, architecture),
        };
        output(apt.get().arg("update"))?;
        Ok(apt)
    }

    /// apt-get, which asks nothing and takes nothing that is only recommended.
    pub fn get(&self) -> Command {
        let mut command = program("apt-get");
        command
            .args(&self.options)
            .args(["-q", "-q", "-y", "--no-install-recommends"]);
        command
    }

    /// apt-cache.
    pub fn cache(&self) -> Command {
        let mut command = program("apt-cache");
        command.args(&self.options);
        command
    }
}

/// Options for a state of our own.
fn options(state: &Path, architecture: &str) -> Vec<String> {
    let at = state.display();
    [
        format!("APT::Architecture={architecture}"),
        format!("APT::Architectures={architecture}"),
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
    .collect()
}

/// The Debian mirror that the host's apt uses, or what `BHV_DEBIAN_MIRROR` says.
fn mirror() -> Result<String, String> {
    if let Ok(mirror) = std::env::var("BHV_DEBIAN_MIRROR") {
        return Ok(mirror);
    }
    let list = |filter: &[&str]| {
        let mut targets = program("apt-get");
        targets.args(["indextargets", "--format", "$(REPO_URI)"]);
        output(targets.arg("Created-By: Packages").args(filter))
    };
    // Whose an archive is, is known only once its lists were fetched; before that its address has
    // to do, although others keep packages for Debian at such addresses too.
    let (named, all) = (list(&["Origin: Debian"])?, list(&[])?);
    archive(&named).or_else(|| archive(&all)).ok_or_else(|| {
        "the host's apt knows no Debian mirror; set BHV_DEBIAN_MIRROR to the address of one".into()
    })
}

/// The first address that looks like Debian's own archive.
fn archive(addresses: &str) -> Option<String> {
    let is_archive = |uri: &&str| uri.trim_end_matches('/').ends_with("/debian");
    addresses.lines().find(is_archive).map(str::to_owned)
}

fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("LC_ALL", "C.UTF-8");
    command
}

/// What a program printed, or the last of what it said if it failed.
pub fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.stdin(Stdio::null()).output();
    let done = done.map_err(|error| format!("cannot start {name}: {error}"))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let lines: Vec<&str> = said.trim().lines().collect();
    let last = lines[lines.len().saturating_sub(SAID)..].join("\n  ");
    Err(format!("{name} failed ({}): {last}", done.status))
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> String {
    let path = path.display().to_string();
    move |error| format!("{path}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debians_own_archive_is_told_from_its_security_and_others() {
        let found = archive(
            "http://a.example/debian-security\nhttp://b.example/ubuntu\nhttp://c.example/debian/\n\
             http://d.example/debian\n",
        );
        assert_eq!(found.as_deref(), Some("http://c.example/debian/"));
        assert_eq!(archive("http://a.example/debian-security\n"), None);
    }

    #[test]
    fn a_program_that_fails_is_quoted() {
        let mut command = program("sh");
        let said = output(command.args(["-c", "echo out; echo why >&2; exit 3"])).unwrap_err();
        assert!(said.contains("sh failed") && said.contains("3"), "{said}");
        assert!(said.ends_with("why"), "{said}");
        assert!(output(&mut program("/nonexistent/tool")).is_err());
    }
}
