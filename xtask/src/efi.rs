//! A disk as distributions make them, for the tests: a partition for EFI with GRUB on it, the
//! kernel and initial RAM disk of `boot.rs` beside; and U-Boot, which starts GRUB.
//!
//! U-Boot and GRUB come from Debian's packages, fetched and unpacked, not installed.

use crate::boot;
use crate::command::{find, program, run as execute, target};
use apt::Apt;
use std::fs;
use std::path::{Path, PathBuf};

/// Raised when what is made changes, so that old files are made anew.
const VERSION: &str = "1";
/// Where U-Boot for supervisor mode lies in its package.
const U_BOOT: &str = "usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin";
/// What GRUB is put together from: reading such a disk, and starting Linux from it.
const MODULES: [&str; 6] = ["part_msdos", "fat", "normal", "configfile", "linux", "echo"];
/// What GRUB does.
const CONFIGURATION: &str = "echo 'GRUB is here'
linux /Image console=ttyS0 quiet
initrd /initrd.cpio
boot
";
/// The partition: where it begins, and its length, in sectors.
const PARTITION: (u32, u32) = (2048, 126 * 2048);
const SECTOR: u64 = 512;

/// Makes `u-boot.bin` and `disk.img` if they are not there already, and says in which folder.
pub fn make() -> Result<PathBuf, String> {
    let folder = target().join("roots").join("efi");
    let stamp = folder.join("stamp");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == VERSION) {
        return Ok(folder);
    }
    for (tool, package) in [("grub-mkimage", "grub-common"), ("mformat", "mtools")] {
        find(tool).ok_or(format!("{tool} is missing; apt-get install {package}"))?;
    }
    let system = boot::make()?;
    let apt = Apt::new(&target().join("roots").join("apt-boot"), "riscv64")?;
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error| format!("{path}: {error}")
    };
    let unpacked = folder.join("unpacked");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&unpacked).map_err(failed(&unpacked))?;
    let mut download = apt.get();
    download.current_dir(&folder).arg("download");
    execute(download.args(["u-boot-qemu", "grub-efi-riscv64-bin"]))?;
    for package in boot::files(&folder, ".deb")? {
        execute(program("dpkg-deb").arg("-x").arg(&package).arg(&unpacked))?;
        fs::remove_file(&package).map_err(failed(&package))?;
    }
    let u_boot = folder.join("u-boot.bin");
    fs::copy(unpacked.join(U_BOOT), &u_boot).map_err(failed(&u_boot))?;
    let grub = folder.join("BOOTRISCV64.EFI");
    // Any architecture's grub-mkimage can put modules together.
    execute(
        program("grub-mkimage")
            .args(["-O", "riscv64-efi", "-p", "/EFI/BOOT", "-d"])
            .arg(unpacked.join("usr/lib/grub/riscv64-efi"))
            .arg("-o")
            .arg(&grub)
            .args(MODULES),
    )?;
    let configuration = folder.join("grub.cfg");
    fs::write(&configuration, CONFIGURATION).map_err(failed(&configuration))?;
    let contents = [
        (system.join("Image"), "::"),
        (system.join("initrd.cpio"), "::"),
        (grub, "::EFI/BOOT"),
        (configuration, "::EFI/BOOT"),
    ];
    disk(&folder.join("disk.img"), &contents)?;
    fs::remove_dir_all(&unpacked).map_err(failed(&unpacked))?;
    fs::write(&stamp, VERSION).map_err(failed(&stamp))?;
    Ok(folder)
}

/// Writes a disk with one partition, a FAT file system with these files in these folders.
fn disk(path: &Path, contents: &[(PathBuf, &str)]) -> Result<(), String> {
    let failed = |error| format!("{}: {error}", path.display());
    let (first, sectors) = PARTITION;
    // A partition table of the old kind, with one entry, of type EFI, and marked as bootable.
    let mut table = [0u8; SECTOR as usize];
    table[446] = 0x80;
    table[450] = 0xef;
    table[454..458].copy_from_slice(&first.to_le_bytes());
    table[458..462].copy_from_slice(&sectors.to_le_bytes());
    table[510..].copy_from_slice(&[0x55, 0xaa]);
    fs::write(path, table).map_err(failed)?;
    let file = fs::File::options().write(true).open(path).map_err(failed)?;
    let length = u64::from(first + sectors) * SECTOR;
    file.set_len(length).map_err(failed)?;
    let partition = format!("{}@@{}", path.display(), u64::from(first) * SECTOR);
    let tool = |name: &str| {
        let mut tool = program(name);
        tool.args(["-i", &partition]);
        tool
    };
    // Geometry means nothing here, but mformat wants one: a mebibyte a track.
    let (tracks, hidden) = (sectors.div_ceil(2048).to_string(), first.to_string());
    let mut format = tool("mformat");
    format.args(["-t", &tracks, "-h", "64", "-s", "32", "-H", &hidden]);
    execute(format.arg("::"))?;
    execute(tool("mmd").args(["::EFI", "::EFI/BOOT"]))?;
    for (file, to) in contents {
        execute(tool("mcopy").arg(file).arg(to))?;
    }
    Ok(())
}
