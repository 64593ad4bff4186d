//! `bhv image debian`: a bootable Debian for riscv64, made of Debian's packages.
//!
//! Packages are fetched by this host's apt into a state of our own, checked against Debian's
//! keyring. They are unpacked here and written down in dpkg's database as unpacked; what is left,
//! running the packages' own scripts, is done by the system itself, in a machine of ours. So it
//! takes no other emulator. Who is not root needs namespaces of users.
//!
//! | step | where |
//! |---|---|
//! | packages from a mirror | `apt.rs` |
//! | unpacked, and in dpkg's database | `unpack.rs` |
//! | a file system | mke2fs, of e2fsprogs |
//! | a kernel's way to that file system | `initrd.rs` |
//! | the packages' scripts | `configure.rs` |

mod apt;
mod configure;
mod initrd;
mod tools;
mod unpack;

use crate::Error;
use crate::machine::size;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tools::{failed, run};

/// Raised when what an image holds changes.
const VERSION: &str = "1";
/// What a small server has. Essential packages come by themselves.
const PACKAGES: &[&str] = &[
    "apt",
    "ca-certificates",
    "curl",
    "dbus",
    "e2fsprogs",
    "initramfs-tools",
    "iproute2",
    "iputils-ping",
    "kmod",
    "less",
    "linux-image-riscv64",
    "login",
    "mount",
    "nano",
    "openssl",
    "passwd",
    "procps",
    "python3",
    "systemd",
    "systemd-sysv",
    // Both set the clock: by the network, and from the machine's own clock (hwclock).
    "systemd-timesyncd",
    "udev",
    "util-linux",
    "util-linux-extra",
    "zstd",
];
/// The file that describes the machine.
const DESCRIPTION: &str = "VM.toml";

/// Make a disk image that boots
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Debian for riscv64, from its packages; then: bhv boot debian
    Debian(Debian),
}

#[derive(clap::Args)]
struct Debian {
    /// Where the image goes [default: the user's cache, where bhv boot debian finds it]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// How large the disk is
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "2G")]
    size: u64,
    /// A further package, repeatable
    #[arg(long = "with", value_name = "PACKAGE")]
    with: Vec<String>,
    /// The password of root
    #[arg(long, value_name = "TEXT", default_value = "root")]
    password: String,
    /// Make it anew although it is there
    #[arg(long)]
    again: bool,
}

/// `bhv image`.
pub fn run_command(args: &Args) -> Result<ExitCode, Error> {
    let Command::Debian(args) = &args.command;
    let folder = match &args.folder {
        Some(folder) => folder.clone(),
        None => usual_folder("debian").ok_or_else(|| {
            let what = "there is no folder for the user's cache: HOME is not set";
            Error::usage(what, "say where the image goes with --folder")
        })?,
    };
    if args.password.contains(['\n', '\'', ':']) || args.password.is_empty() {
        let what = "the password cannot be empty or hold quotes, colons and line feeds";
        return Err(Error::usage(what, "give another one with --password"));
    }
    let description = folder.join(DESCRIPTION);
    if args.again || !is_made(&folder, &args.with) {
        debian(args, &folder)?;
    }
    println!("{}", description.display());
    Ok(ExitCode::SUCCESS)
}

/// The machine that `bhv boot NAME` means if there is no file of that name.
pub fn named(name: &Path) -> Option<PathBuf> {
    let name = name.to_str().filter(|name| *name == "debian")?;
    let found = usual_folder(name)?.join(DESCRIPTION);
    found.exists().then_some(found)
}

fn usual_folder(name: &str) -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let cache = set("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| set("HOME").map(|home| Path::new(&home).join(".cache")));
    Some(cache?.join("bhv").join(name))
}

/// What the stamp of a whole image says.
fn stamp(with: &[String]) -> String {
    format!("{VERSION} {} {}\n", PACKAGES.join(" "), with.join(" "))
}

fn is_made(folder: &Path, with: &[String]) -> bool {
    let found = std::fs::read_to_string(folder.join("stamp"));
    found.is_ok_and(|found| found == stamp(with)) && folder.join(DESCRIPTION).exists()
}

fn debian(args: &Debian, folder: &Path) -> Result<(), Error> {
    let tell = |step: u32, what: &str| eprintln!("[{step}/5] {what} …");
    tools::check(&[
        "apt-get", "dpkg-deb", "tar", "xz", "mke2fs", "gzip", "md5sum",
    ])?;
    let work = folder.join("work");
    let _ = std::fs::remove_dir_all(&work);
    let _ = std::fs::remove_file(folder.join("stamp"));
    std::fs::create_dir_all(&work).map_err(failed(&work))?;

    tell(1, "fetching the index of packages");
    let apt = apt::Apt::new(&folder.join("apt"))?;
    let mut packages: Vec<&str> = PACKAGES.to_vec();
    packages.extend(args.with.iter().map(String::as_str));
    tell(2, &format!("downloading packages of {}", apt.suite()));
    let debs = apt.download(&packages)?;
    let busybox = apt.download_one("busybox-static", &work)?;

    tell(3, &format!("unpacking {} packages", debs.len()));
    let root = work.join("root");
    unpack::lay_out(&root)?;
    let names = unpack::all(&debs, &root)?;
    configure::prepare(&root, &args.password, &apt)?;
    let kernel = initrd::Kernel::find(&root)?;
    let image = folder.join("Image");
    kernel.copy(&image)?;
    let initrd = folder.join("initrd.cpio");
    initrd::make(&kernel, &busybox, &work, &initrd)?;

    tell(4, "writing the file system");
    let disk = work.join("disk.img");
    run(tools::as_owner("mke2fs", &root)?
        .args(["-q", "-F", "-t", "ext4", "-L", "root", "-m", "1"])
        .args(["-E", "root_owner=0:0,lazy_itable_init=0"])
        // Older kernels and tools know neither.
        .args(["-O", "^metadata_csum_seed,^orphan_file"])
        .arg("-d")
        .args([&root, &disk])
        .arg(format!("{}k", args.size >> 10)))?;

    tell(
        5,
        &format!("configuring {} packages in a machine", names.len()),
    );
    configure::run(&image, &initrd, &disk, names.len())?;

    let place = folder.join("disk.img");
    std::fs::rename(&disk, &place).map_err(failed(&place))?;
    let text = [
        "# Log in as root.",
        "memory = \"1G\"",
        "clock = \"host\"",
        "engine = \"jit\"",
        "kernel = \"Image\"",
        "initrd = \"initrd.cpio\"",
        "append = \"console=ttyS0\"",
        "[[disk]]",
        "path = \"disk.img\"",
        "[net]\n",
    ];
    let description = folder.join(DESCRIPTION);
    std::fs::write(&description, text.join("\n")).map_err(failed(&description))?;
    let _ = std::fs::remove_dir_all(&work);
    let path = folder.join("stamp");
    std::fs::write(&path, stamp(&args.with)).map_err(failed(&path))?;
    eprintln!(
        "Debian {} with Linux {}: log in as root",
        apt.suite(),
        kernel.version
    );
    Ok(())
}
