//! The kernel among the unpacked packages, and an initial RAM disk that leads it to the file system:
//! busybox, and the modules that this takes. Debian's own, made for any machine, is in the guest's
//! /boot, and several times as large.

use super::tools::{self, failed};
use crate::Error;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What the first boot needs of the kernel's modules; what these need follows.
const MODULES: [&str; 3] = ["virtio_mmio", "virtio_blk", "ext4"];

/// Mounts the disk, and starts the system there, or what `init=` on the command line says; the first
/// time it configures itself instead.
const INIT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
exec </dev/console >/dev/console 2>&1
for module in /modules/*.ko; do insmod $module || echo \"cannot insert $module\"; done
n=0
while [ ! -b /dev/vda ] && [ $n -lt 50 ]; do n=$((n + 1)); sleep 0.1; done
mount -t ext4 -o ro /dev/vda /mnt || echo \"cannot mount the disk\"
if [ ! -e /mnt/configure ]; then
    init=/sbin/init
    for word in $(cat /proc/cmdline); do
        case $word in init=*) init=${word#init=} ;; esac
    done
    umount /proc /sys
    umount -l /dev
    exec switch_root /mnt $init
fi
mount -o remount,rw /mnt
mount -t proc proc /mnt/proc
mount -t sysfs sys /mnt/sys
mount -t devtmpfs dev /mnt/dev
mkdir -p /mnt/dev/pts
mount -t devpts pts /mnt/dev/pts
mount -t tmpfs run /mnt/run
chroot /mnt /bin/sh /configure
echo \"bhv: configured with code $?\"
rm -f /mnt/configure
umount /mnt/run /mnt/dev/pts /mnt/dev /mnt/sys /mnt/proc
umount /mnt && echo 'bhv: unmounted'
poweroff -f
";

/// The kernel of an unpacked system.
pub struct Kernel {
    /// As uname says.
    pub version: String,
    image: PathBuf,
    modules: PathBuf,
}

impl Kernel {
    /// The newest one.
    pub fn find(root: &Path) -> Result<Kernel, Error> {
        let none = || {
            let what = "the packages hold no kernel";
            Error::usage(what, "look whether linux-image-riscv64 is among them")
        };
        let modules = root.join("usr/lib/modules");
        let found = std::fs::read_dir(&modules).map_err(failed(&modules))?;
        let folders = found.flatten().map(|entry| entry.path());
        let modules = folders
            .filter(|path| path.join("kernel").is_dir())
            .max()
            .ok_or_else(none)?;
        let version = modules
            .file_name()
            .ok_or_else(none)?
            .to_string_lossy()
            .into_owned();
        let boot = root.join("boot");
        let places = [
            boot.join(format!("vmlinuz-{version}")),
            boot.join(format!("vmlinux-{version}")),
            modules.join("vmlinuz"),
            modules.join("vmlinux"),
        ];
        let image = places
            .into_iter()
            .find(|path| path.is_file())
            .ok_or_else(none)?;
        Ok(Kernel {
            version,
            image,
            modules,
        })
    }

    /// Copies its image, unpacked if it is packed.
    pub fn copy(&self, to: &Path) -> Result<(), Error> {
        let mut bytes = std::fs::read(&self.image).map_err(failed(&self.image))?;
        if bytes.starts_with(&[0x1f, 0x8b]) {
            bytes = unpacked("gzip", &self.image)?;
        }
        std::fs::write(to, bytes).map_err(failed(to))
    }

    /// The module files by name.
    fn modules(&self) -> Result<HashMap<String, PathBuf>, Error> {
        let mut found = HashMap::new();
        let mut folders = vec![self.modules.join("kernel")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder)
                .map_err(failed(&folder))?
                .flatten()
            {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Some((name, _)) =
                    entry.file_name().to_string_lossy().split_once(".ko")
                {
                    found.insert(name.replace('-', "_"), path);
                }
            }
        }
        Ok(found)
    }
}

/// The contents of a packed file.
fn unpacked(tool: &str, path: &Path) -> Result<Vec<u8>, Error> {
    let done = tools::command(tool)
        .arg("-dc")
        .arg(path)
        .output()
        .map_err(failed(path))?;
    if done.status.success() {
        return Ok(done.stdout);
    }
    let what = format!("{tool} cannot unpack {}", path.display());
    Err(Error::usage(
        what,
        "the package is damaged: remove it, so that it is downloaded again",
    ))
}

/// Modules with all that they need, in the order in which to insert them.
fn needed(kernel: &Kernel) -> Result<Vec<(String, Vec<u8>)>, Error> {
    fn add(
        name: &str,
        files: &HashMap<String, PathBuf>,
        done: &mut Vec<(String, Vec<u8>)>,
        depth: u32,
    ) -> Result<(), Error> {
        // What is no module is part of the kernel; or, of algorithms, a name that several have.
        let generic = format!("{name}_generic");
        let found = files.get_key_value(name);
        let found = found.or_else(|| files.get_key_value(&generic));
        let Some((name, path)) = found.filter(|_| depth < 32) else {
            return Ok(());
        };
        if done.iter().any(|(other, _)| other == name) {
            return Ok(());
        }
        let bytes = match path.extension().and_then(|end| end.to_str()) {
            Some("xz") => unpacked("xz", path)?,
            Some("gz") => unpacked("gzip", path)?,
            Some("zst") => unpacked("zstd", path)?,
            _ => std::fs::read(path).map_err(failed(path))?,
        };
        for other in depends(&bytes) {
            add(&other, files, done, depth + 1)?;
        }
        done.push((name.clone(), bytes));
        Ok(())
    }
    let files = kernel.modules()?;
    let mut done = Vec::new();
    for name in MODULES {
        add(name, &files, &mut done, 0)?;
    }
    Ok(done)
}

/// What a module says it needs: `depends=a,b` among its strings, and what should be there first,
/// `softdep=pre: c`; an algorithm is called `crypto-c`.
fn depends(module: &[u8]) -> Vec<String> {
    let strings = module
        .split(|byte| *byte == 0)
        .filter_map(|text| std::str::from_utf8(text).ok());
    let mut names = Vec::new();
    for text in strings {
        if let Some(list) = text.strip_prefix("depends=") {
            names.extend(list.split(','));
        } else if let Some(list) = text.strip_prefix("softdep=pre:") {
            names.extend(list.split_whitespace().take_while(|word| *word != "post:"));
        }
    }
    let names = names.into_iter().filter(|name| !name.is_empty());
    let names = names.map(|name| name.strip_prefix("crypto-").unwrap_or(name));
    names.map(|name| name.replace('-', "_")).collect()
}

/// Writes the initial RAM disk.
pub fn make(kernel: &Kernel, busybox: &Path, work: &Path, to: &Path) -> Result<(), Error> {
    let unpacked = work.join("busybox");
    tools::run(
        tools::command("dpkg-deb")
            .arg("-x")
            .args([busybox, unpacked.as_path()]),
    )?;
    let path = unpacked.join("usr/bin/busybox");
    let busybox = std::fs::read(&path).map_err(failed(&path))?;
    let mut archive = Vec::new();
    for folder in ["bin", "dev", "proc", "sys", "tmp", "mnt", "modules"] {
        entry(&mut archive, folder, 0o040_755, b"");
    }
    entry(&mut archive, "bin/busybox", 0o100_755, &busybox);
    entry(&mut archive, "init", 0o100_755, INIT.as_bytes());
    for (number, (name, bytes)) in needed(kernel)?.iter().enumerate() {
        entry(
            &mut archive,
            &format!("modules/{number:02}-{name}.ko"),
            0o100_644,
            bytes,
        );
    }
    entry(&mut archive, "TRAILER!!!", 0, b"");
    std::fs::write(to, archive).map_err(failed(to))
}

/// A file in the kernel's "newc" archive: a header of 13 numbers in hexadecimal, the name, the
/// contents; both padded to 4 bytes.
fn entry(archive: &mut Vec<u8>, name: &str, mode: u32, contents: &[u8]) {
    let (size, name_size) = (contents.len() as u32, name.len() as u32 + 1);
    let inode = archive.len() as u32;
    archive.extend(b"070701");
    for field in [inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0] {
        archive.extend(format!("{field:08x}").bytes());
    }
    let mut pad = |bytes: &[u8], end: &[u8]| {
        archive.extend(bytes);
        archive.extend(end);
        archive.resize(archive.len().next_multiple_of(4), 0);
    };
    pad(name.as_bytes(), &[0]);
    pad(contents, &[]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_needs_is_read_from_its_strings() {
        let module =
            b"\x7fELF\0license=GPL\0depends=jbd2,mbcache\0softdep=pre: crypto-crc32c post: x\0\xff\0";
        assert_eq!(depends(module), ["jbd2", "mbcache", "crc32c"]);
        assert!(depends(b"depends=\0name=virtio_blk\0").is_empty());
    }

    #[test]
    fn entries_are_padded() {
        let mut archive = Vec::new();
        entry(&mut archive, "bin", 0o040_755, b"");
        entry(&mut archive, "a", 0o100_644, b"12345");
        assert!(archive.len().is_multiple_of(4));
        assert_eq!(&archive[..6], b"070701");
        assert_eq!(&archive[116..122], b"070701");
    }
}
