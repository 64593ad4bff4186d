//! Packages unpacked into a root, and written down in dpkg's database as unpacked: what is left for
//! the system itself is to configure them.

use super::tools::{self, failed};
use crate::Error;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Files of a package's control archive that dpkg keeps elsewhere.
const NOT_KEPT: [&str; 1] = ["control"];

/// The folders that packages take for granted: a merged /usr, and dpkg's own.
pub fn lay_out(root: &Path) -> Result<(), Error> {
    for folder in [
        "usr/bin",
        "usr/sbin",
        "usr/lib",
        "etc",
        "dev",
        "proc",
        "sys",
        "run",
        "tmp",
        "root",
        "var/lib/dpkg/info",
        "var/lib/dpkg/updates",
        "var/lib/dpkg/triggers",
        "var/lib/dpkg/alternatives",
        "var/lib/dpkg/parts",
    ] {
        let folder = root.join(folder);
        std::fs::create_dir_all(&folder).map_err(failed(&folder))?;
    }
    for link in ["bin", "sbin", "lib"] {
        let path = root.join(link);
        symlink(format!("usr/{link}"), &path).map_err(failed(&path))?;
    }
    for (file, text) in [
        ("arch", "riscv64\n"),
        ("info/format", "1\n"),
        ("available", ""),
    ] {
        let path = root.join("var/lib/dpkg").join(file);
        std::fs::write(&path, text).map_err(failed(&path))?;
    }
    Ok(())
}

/// Unpacks packages; their names as dpkg's files have them.
pub fn all(debs: &[PathBuf], root: &Path) -> Result<Vec<String>, Error> {
    let database = root.join("var/lib/dpkg");
    let path = database.join("status");
    let mut status = File::create(&path).map_err(failed(&path))?;
    let mut names = Vec::new();
    for deb in debs {
        let (name, stanza) = one(deb, root, &database)?;
        status.write_all(stanza.as_bytes()).map_err(failed(&path))?;
        names.push(name);
    }
    // Their own scripts make these, once they can run.
    for (link, to) in [("usr/bin/sh", "dash"), ("usr/bin/awk", "mawk")] {
        let link = root.join(link);
        if std::fs::symlink_metadata(&link).is_err() {
            symlink(to, &link).map_err(failed(&link))?;
        }
    }
    Ok(names)
}

fn one(deb: &Path, root: &Path, database: &Path) -> Result<(String, String), Error> {
    tools::run(tools::command("dpkg-deb").arg("-x").args([deb, root]))?;
    let control = database.join("parts/control");
    let _ = std::fs::remove_dir_all(&control);
    tools::run(
        tools::command("dpkg-deb")
            .arg("-e")
            .args([deb, control.as_path()]),
    )?;
    let path = control.join("control");
    let text = std::fs::read_to_string(&path).map_err(failed(&path))?;
    let field = |name: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or("").trim().to_owned()
    };
    let package = field("Package");
    // Packages of several architectures side by side have theirs in the names of their files.
    let name = match field("Multi-Arch").as_str() {
        "same" => format!("{package}:{}", field("Architecture")),
        _ => package.clone(),
    };
    let info = database.join("info");
    for entry in std::fs::read_dir(&control)
        .map_err(failed(&control))?
        .flatten()
    {
        let part = entry.file_name().to_string_lossy().into_owned();
        if !NOT_KEPT.contains(&part.as_str()) {
            let to = info.join(format!("{name}.{part}"));
            std::fs::copy(entry.path(), &to).map_err(failed(&to))?;
        }
    }
    let list = info.join(format!("{name}.list"));
    std::fs::write(&list, contents(deb)?).map_err(failed(&list))?;
    triggers(&control.join("triggers"), &name, database)?;
    let conffiles = conffiles(&control.join("conffiles"), root)?;
    let rest = text
        .trim_end()
        .split_once('\n')
        .map_or("", |(_, rest)| rest);
    let first = text.lines().next().unwrap_or("");
    let stanza = format!("{first}\nStatus: install ok unpacked\n{rest}\n{conffiles}\n");
    Ok((name, stanza))
}

/// The paths that a package has, as dpkg lists them.
fn contents(deb: &Path) -> Result<String, Error> {
    let archive = tools::command("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(deb)
        .stdout(Stdio::piped())
        .spawn();
    let mut archive = archive.map_err(failed(deb))?;
    let input = archive.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let mut tar = tools::command("tar");
    let listed = tar
        .args(["-t", "--quoting-style=literal"])
        .stdin(input)
        .output();
    let listed = listed.map_err(failed(deb))?;
    let sound = archive.wait().map_err(failed(deb))?.success() && listed.status.success();
    if !sound {
        let what = format!("{} cannot be listed", deb.display());
        return Err(Error::usage(
            what,
            "remove it, so that it is downloaded again",
        ));
    }
    let text = String::from_utf8_lossy(&listed.stdout);
    let path = |line: &str| match line.trim_start_matches('.').trim_end_matches('/') {
        "" => "/.\n".to_owned(),
        path => format!("{path}\n"),
    };
    Ok(text.lines().map(path).collect())
}

/// Notes which triggers a package waits for.
fn triggers(file: &Path, name: &str, database: &Path) -> Result<(), Error> {
    let Ok(text) = std::fs::read_to_string(file) else {
        return Ok(());
    };
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(directive), Some(trigger)) = (words.next(), words.next()) else {
            continue;
        };
        let Some(kind) = directive.strip_prefix("interest") else {
            continue;
        };
        let wait = if kind == "-noawait" { "/noawait" } else { "" };
        let (file, line) = if trigger.starts_with('/') {
            ("File", format!("{trigger} {name}{wait}\n"))
        } else {
            (trigger, format!("{name}{wait}\n"))
        };
        let path = database.join("triggers").join(file);
        let opened = File::options().append(true).create(true).open(&path);
        let mut opened = opened.map_err(failed(&path))?;
        opened.write_all(line.as_bytes()).map_err(failed(&path))?;
    }
    Ok(())
}

/// The field of the database that names the package's configuration files, with their checksums.
fn conffiles(file: &Path, root: &Path) -> Result<String, Error> {
    let Ok(text) = std::fs::read_to_string(file) else {
        return Ok(String::new());
    };
    let mut field = String::new();
    // A line may say that the file is gone: "remove-on-upgrade /path".
    for path in text
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with('/'))
    {
        let there = root.join(path.trim_start_matches('/'));
        if there.is_file() {
            let sum = tools::output(tools::command("md5sum").arg(&there))?;
            let sum = sum
                .split_whitespace()
                .next()
                .unwrap_or("")
                .trim_start_matches('\\');
            field.push_str(&format!("\n {path} {sum}"));
        }
    }
    Ok(if field.is_empty() {
        field
    } else {
        format!("Conffiles:{field}\n")
    })
}
