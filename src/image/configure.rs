//! Packages configured by the system that they make up, in a machine of ours.

use super::apt::Apt;
use super::tools::failed;
use crate::machine::{DiskAccess, DiskOptions, End, Image, Machine, MachineOptions, Wires};
use crate::{EngineKind, Error};
use devices::{Output, Power};
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Runs as the first boot's only program, in the new system.
const SCRIPT: &str = r#"export PATH=/usr/sbin:/usr/bin HOME=/root LC_ALL=C.UTF-8
export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
# The kernel's script makes an initial RAM disk. Once is enough.
sed -i 's/^update_initramfs=.*/update_initramfs=no/' /etc/initramfs-tools/update-initramfs.conf
cd /var/lib/dpkg/info
for script in base-passwd.preinst *.preinst; do
    package=${script%.preinst}
    DPKG_MAINTSCRIPT_PACKAGE=${package%%:*} DPKG_MAINTSCRIPT_ARCH=riscv64 \
        DPKG_MAINTSCRIPT_NAME=preinst ./$script install >/dev/null 2>&1
done
cd /
code=1
for attempt in 1 2 3; do
    if dpkg --configure -a --force-confold </dev/null; then code=0; break; fi
done
echo 'root:@PASSWORD@' | chpasswd || code=1
systemctl -q enable systemd-networkd.service || code=1
systemctl -q disable systemd-networkd-wait-online.service
sed -i 's/^update_initramfs=.*/update_initramfs=yes/' /etc/initramfs-tools/update-initramfs.conf
rm -f /usr/sbin/policy-rc.d
: >/etc/machine-id
sync
exit $code
"#;

/// Puts into the unpacked system what it needs to configure itself, and how it is set up.
pub fn prepare(root: &Path, password: &str, apt: &Apt) -> Result<(), Error> {
    let write = |name: &str, text: &str| {
        let path = root.join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed(folder))?;
        }
        std::fs::write(&path, text).map_err(failed(&path))
    };
    for (name, file) in [
        ("passwd.master", "etc/passwd"),
        ("group.master", "etc/group"),
    ] {
        let from = root.join("usr/share/base-passwd").join(name);
        let text = std::fs::read_to_string(&from).map_err(failed(&from))?;
        write(file, &text)?;
    }
    write("configure", &SCRIPT.replace("@PASSWORD@", password))?;
    write("etc/hostname", "debian\n")?;
    write("etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\tdebian\n")?;
    write(
        "etc/fstab",
        "LABEL=root / ext4 defaults,errors=remount-ro 0 1\n",
    )?;
    write("etc/resolv.conf", "nameserver 10.0.2.3\n")?;
    let network = "[Match]\nType=ether\n[Network]\nDHCP=yes\n";
    write("etc/systemd/network/80-ether.network", network)?;
    // The packages to come are from where these are from.
    let sources = format!("deb {} {} main\n", apt.mirror(), apt.suite());
    write("etc/apt/sources.list", &sources)
}

/// Boots the system for its first time, which ends by itself.
pub fn run(kernel: &Path, initrd: &Path, disk: &Path, packages: usize) -> Result<(), Error> {
    let log = kernel.with_file_name("console.log");
    let console = Console {
        log: File::create(&log).map_err(failed(&log))?,
        seen: Arc::default(),
        line: Vec::new(),
        packages,
        done: 0,
    };
    let seen = console.seen.clone();
    let mut wires = Wires::none();
    wires.output = Box::new(console);
    let options = MachineOptions {
        memory: 2 << 30,
        engine: EngineKind::Jit,
        kernel: Some(Image::File(kernel.to_owned())),
        initrd: Some(Image::File(initrd.to_owned())),
        // A kernel that panics restarts, which ends the machine.
        append: "console=ttyS0 quiet panic=-1".into(),
        disks: vec![DiskOptions {
            path: disk.to_owned(),
            access: DiskAccess::Write,
        }],
        ..MachineOptions::default()
    };
    let mut machine = Machine::new(options, Arc::default(), wires)?;
    let end = machine.run(u64::MAX, || false)?;
    // Before the file system is looked at: the disk's last requests are done.
    drop(machine);
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
    let text = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let text = String::from_utf8_lossy(&text);
    let said = |words: &str| text.lines().any(|line| line.trim_end() == words);
    let well = said("bhv: configured with code 0") && said("bhv: unmounted");
    if well && end == End::Power(Power::Off) {
        return Ok(());
    }
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let last = lines[lines.len().saturating_sub(15)..].join("\n  ");
    let what = format!("the system could not configure itself ({end:?}):\n  {last}");
    Err(Error::usage(
        what,
        format!("all of its console is in {}", log.display()),
    ))
}

/// Keeps what the system prints, and tells how far it is.
struct Console {
    log: File,
    seen: Arc<Mutex<Vec<u8>>>,
    line: Vec<u8>,
    packages: usize,
    done: usize,
}

impl Output for Console {
    fn put(&mut self, bytes: &[u8]) {
        // The log is for people: that it cannot be written any more stops nobody.
        let _ = self.log.write_all(bytes);
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(bytes);
        for &byte in bytes {
            if byte != b'\n' {
                self.line.push(byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = String::from_utf8_lossy(&line);
            if let Some(package) = line.strip_prefix("Setting up ") {
                self.done += 1;
                let name = package.split(' ').next().unwrap_or("");
                let mut stderr = std::io::stderr();
                if stderr.is_terminal() {
                    // Nobody needs to be told that the terminal has gone.
                    let _ = write!(
                        stderr,
                        "\r\x1b[K      {}/{} {name}",
                        self.done, self.packages
                    );
                }
            }
        }
    }
}
