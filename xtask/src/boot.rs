//! What a whole machine boots in the tests: Debian's own riscv64 kernel and a busybox, by apt as in
//! `root.rs`, and an initial RAM disk made of the busybox.

use crate::command::{find, program, run as execute, target};
use apt::Apt;
use std::fs;
use std::path::{Path, PathBuf};

/// Raised when what is made changes, so that old files are made anew.
const VERSION: &str = "1";

/// What the guest does: says where it is, and goes. The kernel's command line may ask for a shell,
/// or for a reset instead.
const INIT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
exec </dev/console >/dev/console 2>&1
uname -srm
grep -m1 ^isa /proc/cpuinfo
echo \"BOOT-OK harts $(grep -c ^processor /proc/cpuinfo)\"
grep -qw shell /proc/cmdline && exec setsid cttyhack sh
grep -qw reboot /proc/cmdline && reboot -f
poweroff -f
";

/// `cargo xtask boot`.
pub fn run(arguments: &[String]) -> Result<(), String> {
    if let Some(unknown) = arguments.first() {
        return Err(format!("takes no arguments, but got {unknown:?}"));
    }
    let folder = make()?;
    println!("{}", folder.join("Image").display());
    println!("{}", folder.join("initrd.cpio").display());
    Ok(())
}

/// Makes both files if they are not there already, and says in which folder they are.
pub fn make() -> Result<PathBuf, String> {
    let folder = target().join("roots").join("boot");
    let stamp = folder.join("stamp");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == VERSION) {
        return Ok(folder);
    }
    for tool in ["apt-get", "apt-cache", "dpkg-deb"] {
        find(tool).ok_or(format!(
            "{tool} is missing: Debian's kernel is fetched by apt"
        ))?;
    }
    let state = target().join("roots").join("apt-boot");
    let apt = Apt::new(&state, "riscv64")?;
    let unpacked = folder.join("unpacked");
    let _ = fs::remove_dir_all(&folder);
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error| format!("{path}: {error}")
    };
    fs::create_dir_all(&unpacked).map_err(failed(&unpacked))?;
    let kernel = dependency(&apt, "linux-image-riscv64", "linux-image-")?
        .ok_or("linux-image-riscv64 depends on no kernel")?;
    // From 2026 on the kernel itself is in a package of its own.
    let binary = dependency(&apt, &kernel, "linux-binary-")?;
    let kernel = binary.unwrap_or(kernel);
    for package in [kernel.as_str(), "busybox-static"] {
        let mut download = apt.get();
        execute(download.current_dir(&folder).args(["download", package]))?;
    }
    for package in files(&folder, ".deb")? {
        execute(program("dpkg-deb").arg("-x").arg(&package).arg(&unpacked))?;
        fs::remove_file(&package).map_err(failed(&package))?;
    }
    let image = image(&unpacked).ok_or(format!("{kernel} holds no kernel"))?;
    fs::copy(&image, folder.join("Image")).map_err(failed(&image))?;
    let busybox = unpacked.join("usr/bin/busybox");
    let busybox = fs::read(&busybox).map_err(failed(&busybox))?;
    let initrd = folder.join("initrd.cpio");
    fs::write(&initrd, cpio(&busybox)).map_err(failed(&initrd))?;
    fs::remove_dir_all(&unpacked).map_err(failed(&unpacked))?;
    fs::write(&stamp, VERSION).map_err(failed(&stamp))?;
    Ok(folder)
}

/// The first package that another one depends on and whose name begins so.
fn dependency(apt: &Apt, of: &str, begin: &str) -> Result<Option<String>, String> {
    let text = apt::output(apt.cache().args(["depends", of]))?;
    let package = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|package| package.starts_with(begin));
    Ok(package.map(str::to_owned))
}

/// The kernel in an unpacked package: in `boot`, or with its modules.
fn image(unpacked: &Path) -> Option<PathBuf> {
    let modules = fs::read_dir(unpacked.join("usr/lib/modules"));
    let versions = modules.into_iter().flatten().flatten();
    let folders = versions.map(|entry| entry.path());
    std::iter::once(unpacked.join("boot"))
        .chain(folders)
        .filter_map(|folder| files(&folder, "").ok())
        .flatten()
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("vmlinu"))
        })
}

/// The files of a folder whose names end so.
pub(crate) fn files(folder: &Path, end: &str) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file() && path.display().to_string().ends_with(end))
        .collect();
    files.sort();
    Ok(files)
}

/// An initial RAM disk in the kernel's \"newc\" format.
fn cpio(busybox: &[u8]) -> Vec<u8> {
    let mut archive = Vec::new();
    for folder in ["bin", "dev", "proc", "sys", "tmp", "mnt"] {
        entry(&mut archive, folder, 0o040_755, b"");
    }
    entry(&mut archive, "bin/busybox", 0o100_755, busybox);
    entry(&mut archive, "init", 0o100_755, INIT.as_bytes());
    entry(&mut archive, "TRAILER!!!", 0, b"");
    archive
}

/// A header of 13 numbers in hexadecimal, the name, the contents; both padded to 4 bytes.
fn entry(archive: &mut Vec<u8>, name: &str, mode: u32, contents: &[u8]) {
    let (size, name_size) = (contents.len() as u32, name.len() as u32 + 1);
    let inode = archive.len() as u32;
    let fields = [inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
    archive.extend(b"070701");
    for field in fields {
        archive.extend(format!("{field:08x}").bytes());
    }
    archive.extend(name.bytes());
    archive.push(0);
    pad(archive);
    archive.extend(contents);
    pad(archive);
}

fn pad(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(4), 0);
}
