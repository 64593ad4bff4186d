//! VM.toml: a machine as a file.
//!
//! ```toml
//! memory = "2G"
//! harts = 2
//! clock = "host"
//! schedule = "threads"     # or "turns"
//! kernel = "Image"
//! initrd = "initrd.cpio"
//! append = "console=ttyS0 root=/dev/vda"
//! translations = "none"    # or a folder
//!
//! [[disk]]
//! path = "debian.qcow2"
//! access = "temp"          # or "ro", or "rw"
//!
//! [net]
//! forward = ["2222:22"]
//!
//! [[share]]
//! tag = "home"
//! path = "shared"
//! read-only = true
//! ```
//!
//! Paths are relative to the file's folder.

use super::{
    ClockKind, DiskAccess, DiskOptions, Image, KeepCode, MachineOptions, Schedule, ShareOptions,
    size,
};
use crate::{EngineKind, Error};
use clap::ValueEnum;
use serde::{Deserialize, Deserializer, de};
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    #[serde(default, deserialize_with = "bytes")]
    memory: Option<u64>,
    harts: Option<usize>,
    #[serde(default, deserialize_with = "one_of")]
    engine: Option<EngineKind>,
    #[serde(default, deserialize_with = "one_of")]
    clock: Option<ClockKind>,
    #[serde(default, deserialize_with = "one_of")]
    schedule: Option<Schedule>,
    firmware: Option<PathBuf>,
    kernel: Option<PathBuf>,
    initrd: Option<PathBuf>,
    append: Option<String>,
    seed: Option<u64>,
    translations: Option<PathBuf>,
    #[serde(default)]
    disk: Vec<Disk>,
    net: Option<Net>,
    #[serde(default)]
    share: Vec<Share>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Disk {
    path: PathBuf,
    #[serde(default)]
    access: Access,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
enum Access {
    #[default]
    Rw,
    Ro,
    Temp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Net {
    #[serde(default, deserialize_with = "forwards")]
    forward: Vec<devices::net::Forward>,
    #[serde(default)]
    host_loopback: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Share {
    tag: String,
    path: PathBuf,
    #[serde(default)]
    read_only: bool,
}

/// The machine that a file describes.
pub fn read(path: &Path) -> Result<MachineOptions, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })?;
    parse(&text, path.parent().unwrap_or(Path::new(""))).map_err(|error| {
        // The message has line, column and key.
        let what = format!("{}: {}", path.display(), error.trim_end());
        Error::usage(what, "the README shows what such a file may say")
    })
}

fn parse(text: &str, folder: &Path) -> Result<MachineOptions, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    let usual = MachineOptions::default();
    let image = |path: Option<PathBuf>| path.map(|path| Image::File(folder.join(path)));
    let disk = |disk: Disk| DiskOptions {
        path: folder.join(disk.path),
        access: match disk.access {
            Access::Rw => DiskAccess::Write,
            Access::Ro => DiskAccess::Read,
            Access::Temp => DiskAccess::Overlay,
        },
    };
    let share = |share: Share| ShareOptions {
        path: folder.join(share.path),
        tag: share.tag,
        read_only: share.read_only,
    };
    let net = |net: Net| devices::net::Config {
        forwards: net.forward,
        host_loopback: net.host_loopback,
    };
    let translations = match file.translations.map(KeepCode::parse) {
        None => KeepCode::Usual,
        Some(KeepCode::In(path)) => KeepCode::In(folder.join(path)),
        Some(nowhere) => nowhere,
    };
    Ok(MachineOptions {
        memory: file.memory.unwrap_or(usual.memory),
        harts: file.harts.unwrap_or(usual.harts),
        engine: file.engine.unwrap_or(usual.engine),
        tiers: usual.tiers,
        translations,
        clock: file.clock.unwrap_or(usual.clock),
        schedule: file.schedule.unwrap_or(usual.schedule),
        firmware: image(file.firmware),
        kernel: image(file.kernel),
        initrd: image(file.initrd),
        append: file.append.unwrap_or_default(),
        seed: file.seed.unwrap_or(usual.seed),
        disks: file.disk.into_iter().map(disk).collect(),
        net: file.net.map(net),
        shares: file.share.into_iter().map(share).collect(),
    })
}

fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(from)?;
    size(&text).map(Some).map_err(de::Error::custom)
}

fn one_of<'de, D: Deserializer<'de>, T: ValueEnum>(from: D) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(from)?;
    T::from_str(&text, false).map(Some).map_err(|_| {
        let known = T::value_variants()
            .iter()
            .filter_map(|v| v.to_possible_value());
        let known: Vec<String> = known.map(|value| value.get_name().to_owned()).collect();
        de::Error::custom(format!("'{text}' is not one of: {}", known.join(", ")))
    })
}

fn forwards<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<devices::net::Forward>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    texts
        .iter()
        .map(|text| text.parse().map_err(de::Error::custom))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_describes_a_machine() {
        let text = r#"
            memory = "2G"
            harts = 2
            clock = "host"
            schedule = "threads"
            kernel = "Image"
            append = "quiet"
            translations = "code"
            [[disk]]
            path = "/abs/a.img"
            [[disk]]
            path = "b.qcow2"
            access = "temp"
            [net]
            forward = ["2222:22", "0.0.0.0:53:53/udp"]
            [[share]]
            tag = "home"
            path = "shared"
            read-only = true
        "#;
        let options = parse(text, Path::new("/vm")).unwrap();
        assert_eq!((options.memory, options.harts), (2 << 30, 2));
        assert_eq!(
            (options.clock, options.engine),
            (ClockKind::Host, EngineKind::Jit)
        );
        assert_eq!(options.schedule, Schedule::Threads);
        assert!(
            matches!(options.kernel, Some(Image::File(path)) if path == Path::new("/vm/Image"))
        );
        assert_eq!(options.translations, KeepCode::In("/vm/code".into()));
        let disks: Vec<_> = options
            .disks
            .iter()
            .map(|d| (d.path.to_str(), d.access))
            .collect();
        let expected = [
            (Some("/abs/a.img"), DiskAccess::Write),
            (Some("/vm/b.qcow2"), DiskAccess::Overlay),
        ];
        assert_eq!(disks, expected);
        assert_eq!(options.net.unwrap().forwards.len(), 2);
        assert!(options.shares[0].read_only);
    }

    #[test]
    fn mistakes_are_told_with_line_and_key() {
        for (text, words) in [
            ("memory = 5", ["line 1", "memory"]),
            ("harts = 1\nmemory = \"lots\"", ["line 2", "is no size"]),
            ("clock = \"sun\"", ["'sun'", "exact, host"]),
            ("schedule = \"x\"", ["'x'", "turns, threads"]),
            ("\nkernal = \"x\"", ["line 2", "kernal"]),
            (
                "[[disk]]\npath = \"a\"\naccess = \"rwx\"",
                ["line 3", "rwx"],
            ),
            ("[net]\nforward = [\"22\"]", ["'22'", "no port forward"]),
            ("[[share]]\ntag = \"x\"", ["line 1", "path"]),
            ("harts = ", ["line 1", "harts"]),
        ] {
            let error = parse(text, Path::new("")).unwrap_err();
            for word in words {
                assert!(error.contains(word), "{word:?} is not in: {error}");
            }
        }
    }
}
