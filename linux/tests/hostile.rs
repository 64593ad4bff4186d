//! Guests that try to reach what is not theirs by system calls: wild pointers, huge sizes, paths
//! that lead out, descriptors of the emulator's.

mod common;

use common::script::{Arg, Folder, Script, isolated};
use linux::{Config, Errno, Exit, Grant};

const OPENAT: u64 = 56;
const READ: u64 = 63;
const WRITE: u64 = 64;
const AT_FDCWD: i32 = -100;
const O_RDWR: i32 = 2;
const O_CREAT: i32 = 0o100;

fn errno(number: Errno) -> i64 {
    -i64::from(number.0)
}

/// A folder that the guest may change, at /box, and starts in.
fn boxed(folder: &Folder, writable: bool) -> Config {
    let mut config = isolated();
    config.grants.push(Grant {
        host: folder.path.clone(),
        guest: "/box".into(),
        writable,
        implicit: false,
    });
    config.cwd = Some("/box".into());
    config
}

#[test]
fn no_call_crashes_on_wild_arguments() {
    // Not called: what waits for ever, ends the process, changes the test process itself (limits,
    // ids, working directory, signals to others), or makes threads of nonsense.
    const NOT: &[u64] = &[
        22, 32, 73, 72, 93, 94, 95, 98, 101, 115, 129, 130, 131, 133, 137, 138, 139, 140, 141, 143,
        144, 145, 146, 147, 149, 154, 157, 159, 164, 166, 220, 240, 260, 261, 424, 435, 436, 441,
        57, 24,
    ];
    let wild = [
        0u64,
        1,
        u64::MAX,
        1 << 63,
        memory::LIMIT - 1,
        memory::LIMIT,
        memory::LIMIT - 4096,
        0x7fff_ffff_f000,
        0xffff_8000_0000_0000,
        0x1f_0000,
        i64::MAX as u64,
        u64::from(u32::MAX),
    ];
    let mut seed = 1u64;
    let mut next = || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    for round in 0..4 {
        let mut script = Script::new();
        for number in (0..464).filter(|number| !NOT.contains(number)) {
            // munmap and mmap of everything would end the script itself: keep their lengths small.
            let small = matches!(number, 214..=216 | 222 | 226 | 233);
            let of_two_files = matches!(number, 21 | 37 | 38 | 71 | 76 | 222 | 276 | 285);
            for _ in 0..6 {
                let args: Vec<Arg> = (0..6)
                    .map(|index| {
                        let value = wild[next() as usize % wild.len()];
                        // The test's own standard files are left alone.
                        let file = (0..3).contains(&(value as i32)) && (index == 0 || of_two_files);
                        Arg::Is(match value {
                            _ if file => 77,
                            0x1f_0000 if small => 1,
                            value => value,
                        })
                    })
                    .collect();
                script.call(number, &args);
            }
        }
        let done = script.run(isolated());
        assert_eq!(done.exit, Exit::Code(0), "round {round}");
    }
}

#[test]
fn pointers_outside_the_guest_are_efault() {
    let mut script = Script::new();
    let name = script.text("/dev/zero");
    let fd = script.call(OPENAT, &[AT_FDCWD.into(), name.into(), O_RDWR.into()]);
    let space = memory::UserSpace::reserve().unwrap();
    let host = space.base() as u64;
    let bad = [
        memory::LIMIT,
        memory::LIMIT - 8,
        host,
        u64::MAX - 7,
        0,
        0x100,
    ];
    let tries: Vec<usize> = bad
        .iter()
        .map(|&va| script.call(READ, &[Arg::Result(fd), va.into(), 16.into()]))
        .collect();
    let done = script.run(isolated());
    assert!(done.results[fd] >= 0);
    // One number can be passed on to one call only: the others have descriptor 0 or are EBADF.
    assert_eq!(done.results[tries[tries.len() - 1]], errno(Errno::EFAULT));
}

#[test]
fn a_string_that_runs_into_unmapped_memory_is_efault_and_a_long_one_is_enametoolong() {
    let mut script = Script::new();
    let long = script.bytes(&[b'a'; 5000]);
    let first = script.call(OPENAT, &[AT_FDCWD.into(), (memory::LIMIT - 4096).into()]);
    let second = script.call(OPENAT, &[AT_FDCWD.into(), long.into()]);
    let done = script.run(isolated());
    assert_eq!(done.results[first], errno(Errno::EFAULT));
    assert_eq!(done.results[second], errno(Errno::ENAMETOOLONG));
}

/// What opening each path gives, in a writable box.
fn open_all(folder: &Folder, paths: &[&str], flags: i32) -> Vec<i64> {
    let mut script = Script::new();
    let calls: Vec<usize> = paths
        .iter()
        .map(|path| {
            let at = script.text(path);
            script.call(
                OPENAT,
                &[AT_FDCWD.into(), at.into(), flags.into(), 0o600.into()],
            )
        })
        .collect();
    let done = script.run(boxed(folder, true));
    calls.into_iter().map(|call| done.results[call]).collect()
}

#[test]
fn paths_do_not_lead_out() {
    let outside = Folder::new();
    std::fs::write(outside.path.join("secret"), "secret").unwrap();
    let folder = Folder::new();
    std::fs::create_dir(folder.path.join("inner")).unwrap();
    std::fs::write(folder.path.join("mine"), "mine").unwrap();
    let secret = outside.path.join("secret");
    for (name, target) in [
        ("absolute", secret.clone()),
        ("to-folder", outside.path.clone()),
        (
            "upwards",
            std::path::PathBuf::from("../../../../../..").join(secret.strip_prefix("/").unwrap()),
        ),
        ("loop", "loop".into()),
    ] {
        std::os::unix::fs::symlink(target, folder.path.join(name)).unwrap();
    }
    let secret = secret.to_str().unwrap();
    let up = format!("../../../../../../..{secret}");
    let through_root = format!("/proc/self/root{secret}");
    let through_cwd = format!("/proc/self/cwd/..{secret}");
    let paths = [
        secret,
        &up,
        &through_root,
        &through_cwd,
        "absolute",
        "upwards",
        "to-folder/secret",
        "inner/../../../../etc/passwd",
        "/etc/passwd",
        "/proc/1/root/etc/passwd",
        "/dev/mem",
        "/proc/kcore",
    ];
    for (path, result) in paths.iter().zip(open_all(&folder, &paths, 0)) {
        assert_eq!(result, errno(Errno::ENOENT), "{path}");
    }
    let own = [
        "mine",
        "/box/mine",
        "inner/../mine",
        "/box/../box/./mine",
        "/proc/self/cwd/mine",
        "/proc/self/root/box/mine",
    ];
    for (path, result) in own.iter().zip(open_all(&folder, &own, 0)) {
        assert!(result >= 0, "{path}: {result}");
    }
    assert_eq!(open_all(&folder, &["loop"], 0), [errno(Errno::ELOOP)]);
    // A dangling link whose target would be created outside.
    std::os::unix::fs::symlink(outside.path.join("new"), folder.path.join("dangling")).unwrap();
    let created = open_all(&folder, &["dangling"], O_CREAT | O_RDWR);
    assert!(created[0] < 0 && !outside.path.join("new").exists());
}

#[test]
fn what_is_granted_for_reading_cannot_be_changed() {
    const MKDIRAT: u64 = 34;
    const UNLINKAT: u64 = 35;
    const SYMLINKAT: u64 = 36;
    const TRUNCATE: u64 = 45;
    const FCHMODAT: u64 = 53;
    let folder = Folder::new();
    let file = folder.path.join("file");
    std::fs::write(&file, "content").unwrap();
    let mut script = Script::new();
    let (name, new) = (script.text("/box/file"), script.text("/box/new"));
    let here = Arg::from(AT_FDCWD);
    let calls = [
        script.call(OPENAT, &[here, name.into(), O_RDWR.into()]),
        script.call(
            OPENAT,
            &[here, new.into(), (O_CREAT | O_RDWR).into(), 0o600.into()],
        ),
        script.call(MKDIRAT, &[here, new.into(), 0o700.into()]),
        script.call(UNLINKAT, &[here, name.into(), 0.into()]),
        script.call(SYMLINKAT, &[name.into(), here, new.into()]),
        script.call(TRUNCATE, &[name.into(), 0.into()]),
        script.call(FCHMODAT, &[here, name.into(), 0.into()]),
    ];
    let fd = script.call(OPENAT, &[here, name.into(), 0.into()]);
    let again = script.text("/proc/self/fd/900");
    script.call(24, &[Arg::Result(fd), 900.into(), 0.into()]);
    let reopened = script.call(OPENAT, &[here, again.into(), O_RDWR.into()]);
    let changed = script.call(52, &[900.into(), 0o777.into()]);
    let done = script.run(boxed(&folder, false));
    for call in calls {
        assert_eq!(done.results[call], errno(Errno::EROFS), "call {call}");
    }
    assert!(done.results[fd] >= 0);
    assert_eq!(done.results[reopened], errno(Errno::EROFS));
    assert_eq!(done.results[changed], errno(Errno::EROFS));
    assert_eq!(std::fs::read(&file).unwrap(), b"content");
    assert!(!folder.path.join("new").exists());
}

#[test]
fn what_the_guest_was_started_with_keeps_its_mode_and_owner() {
    const FCHMOD: u64 = 52;
    const FCHOWN: u64 = 55;
    const UTIMENSAT: u64 = 88;
    let mut script = Script::new();
    let null = script.text("/dev/null");
    let fd = script.call(OPENAT, &[AT_FDCWD.into(), null.into(), O_RDWR.into()]);
    script.call(24, &[Arg::Result(fd), 901.into(), 0.into()]);
    let mut calls = Vec::new();
    for fd in [0, 901] {
        let fd = Arg::from(fd);
        calls.push(script.call(FCHMOD, &[fd, 0o666.into()]));
        calls.push(script.call(FCHOWN, &[fd, u64::MAX.into(), u64::MAX.into()]));
        calls.push(script.call(UTIMENSAT, &[fd, 0.into(), 0.into(), 0.into()]));
    }
    let done = script.run(isolated());
    assert!(done.results[fd] >= 0);
    for call in calls {
        assert_eq!(done.results[call], errno(Errno::EROFS), "call {call}");
    }
}

#[test]
fn descriptors_of_the_emulator_are_not_the_guest_s() {
    use std::os::fd::AsRawFd;
    const CLOSE: u64 = 57;
    const GETRLIMIT: u64 = 163;
    let folder = Folder::new();
    let held: Vec<std::fs::File> = (0..8)
        .map(|_| std::fs::File::open(&folder.path).unwrap())
        .collect();
    // The emulator's own descriptors start where the guest's limit is.
    let mut script = Script::new();
    let limit_at = script.room(16);
    script.call(GETRLIMIT, &[7.into(), limit_at.into()]);
    let limit = script
        .run(boxed(&folder, true))
        .space
        .load::<u64>(limit_at)
        .unwrap() as i32;
    let mut script = Script::new();
    let (name, buffer) = (script.text("."), script.room(64));
    for fd in held.iter().map(AsRawFd::as_raw_fd).chain(limit..limit + 64) {
        let fd = Arg::from(fd);
        script.call(OPENAT, &[fd, name.into(), 0.into()]);
        script.call(WRITE, &[fd, buffer.into(), 1.into()]);
        script.call(CLOSE, &[fd]);
    }
    let done = script.run(boxed(&folder, true));
    for result in done.results {
        assert_eq!(result, errno(Errno::EBADF));
    }
    assert!(held.iter().all(|file| file.metadata().is_ok()));
}

#[test]
fn processes_of_the_host_get_no_signals() {
    const KILL: u64 = 129;
    const SIGKILL: i32 = 9;
    let mut victim = std::process::Command::new("sleep")
        .arg("60")
        .spawn()
        .unwrap();
    let pid = victim.id() as i32;
    let mut script = Script::new();
    let calls = [
        script.call(KILL, &[pid.into(), SIGKILL.into()]),
        script.call(KILL, &[pid.into(), 0.into()]),
        script.call(KILL, &[1.into(), 0.into()]),
        script.call(KILL, &[(-1).into(), 0.into()]),
        script.call(131, &[pid.into(), pid.into(), SIGKILL.into()]),
        script.call(434, &[pid.into(), 0.into()]),
    ];
    let done = script.run(isolated());
    for call in calls {
        assert_eq!(done.results[call], errno(Errno::ESRCH), "call {call}");
    }
    assert!(victim.try_wait().unwrap().is_none(), "it lives");
    victim.kill().unwrap();
    victim.wait().unwrap();
}

#[test]
fn without_the_network_only_local_pairs_exist() {
    const SOCKET: u64 = 198;
    const SOCKETPAIR: u64 = 199;
    const CONNECT: u64 = 203;
    let mut script = Script::new();
    let inet = script.call(SOCKET, &[2.into(), 1.into(), 0.into()]);
    let netlink = script.call(SOCKET, &[16.into(), 3.into(), 0.into()]);
    let two = script.room(8);
    let pair = script.call(SOCKETPAIR, &[1.into(), 1.into(), 0.into(), two.into()]);
    let unix = script.call(SOCKET, &[1.into(), 1.into(), 0.into()]);
    let mut address = vec![1, 0];
    address.extend(b"/run/some.socket\0");
    let address_at = script.bytes(&address);
    let connect = script.call(
        CONNECT,
        &[
            Arg::Result(unix),
            address_at.into(),
            (address.len() as i32).into(),
        ],
    );
    let done = script.run(isolated());
    assert_eq!(done.results[inet], errno(Errno::EACCES));
    assert_eq!(done.results[netlink], errno(Errno::EACCES));
    assert_eq!(done.results[pair], 0);
    assert_eq!(done.results[connect], errno(Errno::EACCES));
}
