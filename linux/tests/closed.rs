//! Folders of the host's that stay closed although the guest may write what lies around them: every
//! way there, and every way to put something else in their place.

mod common;

use common::attacks::{Argument, Attacks, HERE, O_CREAT, O_RDWR, OPENAT, errno, tree};
use common::script::{Arg, Folder, isolated};
use linux::{Config, Errno, Grant};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

const DUP3: u64 = 24;
const MKNODAT: u64 = 33;
const MKDIRAT: u64 = 34;
const UNLINKAT: u64 = 35;
const SYMLINKAT: u64 = 36;
const LINKAT: u64 = 37;
const TRUNCATE: u64 = 45;
const CHDIR: u64 = 49;
const FCHMODAT: u64 = 53;
const CLOSE: u64 = 57;
const RENAMEAT2: u64 = 276;
const AT_REMOVEDIR: i32 = 0x200;
const RENAME_EXCHANGE: i32 = 2;
const O_TMPFILE: i32 = 0o20_200_000;
const EBUSY: i64 = -16;
const EPERM: i64 = -1;

/// One at a time: the guests' files are the host process's, number for number.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The guest's home at /box and, as if granted twice, at /alias; its folder for caches at /cache.
fn config(home: &Path, closed: &Path) -> Config {
    let mut config = isolated();
    let mut grant = |host: &Path, guest: &str| {
        config.grants.push(Grant {
            host: host.to_owned(),
            guest: guest.into(),
            writable: true,
            implicit: true,
        });
    };
    grant(home, "/box");
    grant(home, "/alias");
    if home.join("caches").exists() {
        grant(&home.join("caches"), "/caches");
    }
    config.cwd = Some("/box".into());
    config.closed = vec![closed.to_owned()];
    config
}

/// A home with a folder of compiled code in caches/ours.
fn home() -> Folder {
    let home = Folder::new();
    fs::create_dir_all(home.path.join("caches/ours/code")).unwrap();
    fs::create_dir_all(home.path.join("mine/code")).unwrap();
    fs::write(home.path.join("caches/ours/code/kept"), "kept").unwrap();
    fs::write(home.path.join("mine/code/kept"), "mine").unwrap();
    home
}

#[test]
fn no_path_link_or_descriptor_leads_into_a_closed_folder() {
    let _alone = alone();
    let home = home();
    let code = home.path.join("caches/ours/code");
    symlink("caches/ours", home.path.join("host-link")).unwrap();
    let before = tree(&code);
    let mut attacks = Attacks::new();
    for (target, link) in [
        ("caches/ours/code", "link"),
        ("/alias/caches/ours/code", "absolute"),
        ("caches/ours/code/kept", "to-file"),
        ("caches/ours/code/new", "to-nothing"),
        ("/proc/self/cwd/caches/ours/code", "through-proc"),
        ("/proc/self/root/caches/ours/code", "through-root"),
        ("link", "link-to-link"),
    ] {
        attacks.call(SYMLINKAT, &[&target, &HERE, &link]);
    }
    for path in [
        "caches/ours/code/kept",
        "caches/ours/code/new",
        "caches/ours/code",
        "caches/ours/code/new/deeper",
        "/box/caches/ours/code/kept",
        "/alias/caches/ours/code/kept",
        "/caches/ours/code/kept",
        "mine/../caches//ours/./code/kept",
        "mine/code/../../caches/ours/code/kept",
        "host-link/code/new",
        "link/kept",
        "link/new",
        "absolute/kept",
        "to-file",
        "to-nothing",
        "through-proc/kept",
        "through-root/kept",
        "link-to-link/kept",
        "/proc/self/cwd/caches/ours/code/kept",
        "/proc/thread-self/root/box/caches/ours/code/new",
    ] {
        attacks.opens(path);
    }
    let answer = errno(Errno::EACCES);
    let folder = "caches/ours/code";
    let flags = O_TMPFILE | O_RDWR;
    attacks.fails(
        answer,
        "O_TMPFILE",
        OPENAT,
        &[&HERE, &folder, &flags, &0o600],
    );
    attacks.fails(answer, "mkdir", MKDIRAT, &[&HERE, &"link/new", &0o700]);
    attacks.fails(
        answer,
        "mknod",
        MKNODAT,
        &[&HERE, &"link/new", &0o100_600, &0],
    );
    attacks.fails(answer, "chdir", CHDIR, &[&folder]);
    attacks.fails(answer, "truncate", TRUNCATE, &[&"to-file", &0]);
    attacks.fails(answer, "chmod", FCHMODAT, &[&HERE, &folder, &0o777]);
    let (file, new) = ("caches/ours/code/kept", "caches/ours/code/new");
    for (what, flags) in [("link", 0), ("link, followed", 0x400)] {
        attacks.fails(answer, what, LINKAT, &[&HERE, &file, &HERE, &"out", &flags]);
        attacks.fails(
            answer,
            what,
            LINKAT,
            &[&HERE, &"to-file", &HERE, &new, &flags],
        );
    }
    attacks.fails(answer, "symlink", SYMLINKAT, &[&"/box/mine", &HERE, &new]);
    attacks.fails(answer, "unlink", UNLINKAT, &[&HERE, &file, &0]);
    for flags in [0, RENAME_EXCHANGE] {
        let mine = "mine/code/kept";
        let to = [&HERE as &dyn Argument, &mine, &HERE, &file, &flags];
        attacks.fails(answer, "rename into", RENAMEAT2, &to);
        let from = [&HERE as &dyn Argument, &file, &HERE, &mine, &flags];
        attacks.fails(answer, "rename out", RENAMEAT2, &from);
    }
    // From descriptors of what lies around it.
    for (directory, path) in [
        ("caches/ours", "code/new"),
        ("caches", "ours/code/kept"),
        ("mine", "../caches/ours/code/new"),
        ("host-link", "code/kept"),
    ] {
        let fd = attacks.call(OPENAT, &[&HERE, &directory, &0]);
        attacks.call(DUP3, &[&Arg::Result(fd), &900, &0]);
        let open = [&900 as &dyn Argument, &path, &(O_CREAT | O_RDWR), &0o600];
        attacks.fails(answer, path, OPENAT, &open);
        attacks.opens(&format!("/proc/self/fd/900/{path}"));
        attacks.opens(&format!("/dev/fd/900/{path}"));
    }
    attacks.call(CHDIR, &[&"caches/ours"]);
    attacks.opens("code/kept");
    attacks.opens("../ours/code/new");
    attacks.run(config(&home.path, &code), || ());
    assert_eq!(tree(&code), before);
    assert_eq!(fs::read(code.join("kept")).unwrap(), b"kept");
    assert!(!home.path.join("out").exists());
}

#[test]
fn what_leads_to_a_closed_folder_keeps_its_name_and_mode() {
    let _alone = alone();
    let home = home();
    let code = home.path.join("caches/ours/code");
    let before = tree(&home.path);
    let mut attacks = Attacks::new();
    let denied = errno(Errno::EACCES);
    for (name, answer) in [
        ("caches", EBUSY),
        ("/alias/caches", EBUSY),
        ("mine/../caches/", EBUSY),
        ("caches/ours", EBUSY),
        ("/caches/ours", EBUSY),
        ("caches/ours/code", denied),
    ] {
        for (other, flags) in [("mine/moved", 0), ("mine/code", RENAME_EXCHANGE)] {
            let from = [&HERE as &dyn Argument, &name, &HERE, &other, &flags];
            attacks.fails(answer, &format!("rename {name}"), RENAMEAT2, &from);
        }
        for flags in [0, RENAME_EXCHANGE] {
            let to = [&HERE as &dyn Argument, &"mine", &HERE, &name, &flags];
            attacks.fails(answer, &format!("rename to {name}"), RENAMEAT2, &to);
        }
        for flags in [0, AT_REMOVEDIR] {
            let remove = [&HERE as &dyn Argument, &name, &flags];
            attacks.fails(answer, &format!("remove {name}"), UNLINKAT, &remove);
        }
        let answer = if answer == EBUSY { EPERM } else { answer };
        let what = format!("chmod {name}");
        attacks.fails(answer, &what, FCHMODAT, &[&HERE, &name, &0o777]);
    }
    attacks.run(config(&home.path, &code), || ());
    assert_eq!(tree(&home.path), before);
}

#[test]
fn a_closed_folder_that_is_not_there_cannot_be_made() {
    let _alone = alone();
    for there in ["", "caches", "caches/ours"] {
        let home = Folder::new();
        fs::create_dir_all(home.path.join(there)).unwrap();
        fs::create_dir_all(home.path.join("mine/ours/code")).unwrap();
        let code = home.path.join("caches/ours/code");
        let before = tree(&home.path);
        let mut attacks = Attacks::new();
        for (name, answer) in [
            ("caches", EBUSY),
            ("caches/ours", EBUSY),
            ("caches/ours/code", errno(Errno::EACCES)),
        ] {
            if home.path.join(name).exists() {
                continue;
            }
            let answer = match home.path.join(name).parent().unwrap().exists() {
                false if answer == EBUSY => errno(Errno::ENOENT),
                _ => answer,
            };
            let what = |call: &str| format!("{call} {name} in {there:?}");
            attacks.fails(answer, &what("mkdir"), MKDIRAT, &[&HERE, &name, &0o700]);
            let fifo = [&HERE as &dyn Argument, &name, &0o10_600, &0];
            attacks.fails(answer, &what("mknod"), MKNODAT, &fifo);
            let link = [&"/box/mine" as &dyn Argument, &HERE, &name];
            attacks.fails(answer, &what("symlink"), SYMLINKAT, &link);
            let rename = [&HERE as &dyn Argument, &"mine", &HERE, &name, &0];
            attacks.fails(answer, &what("rename"), RENAMEAT2, &rename);
            let open = [&HERE as &dyn Argument, &name, &(O_CREAT | O_RDWR), &0o600];
            attacks.fails(answer, &what("open"), OPENAT, &open);
        }
        attacks.run(config(&home.path, &code), || ());
        assert_eq!(tree(&home.path), before);
    }
}

#[test]
fn links_on_the_way_to_a_closed_folder_stay_what_they_are() {
    let _alone = alone();
    // caches is a link to links/second, and that one to storage, which is granted too.
    let home = Folder::new();
    for folder in ["storage/ours/code", "links", "mine/ours/code"] {
        fs::create_dir_all(home.path.join(folder)).unwrap();
    }
    symlink("links/second", home.path.join("caches")).unwrap();
    symlink(home.path.join("storage"), home.path.join("links/second")).unwrap();
    let before = tree(&home.path);
    let mut attacks = Attacks::new();
    attacks.call(SYMLINKAT, &[&"mine", &HERE, &"other"]);
    for name in ["caches", "links", "links/second", "storage", "storage/ours"] {
        let away = [&HERE as &dyn Argument, &name, &HERE, &"mine/moved", &0];
        attacks.fails(EBUSY, &format!("rename {name}"), RENAMEAT2, &away);
        let over = [&HERE as &dyn Argument, &"other", &HERE, &name, &0];
        attacks.fails(EBUSY, &format!("rename to {name}"), RENAMEAT2, &over);
        let swap = [&HERE as &dyn Argument, &"other", &HERE, &name, &2];
        attacks.fails(EBUSY, &format!("exchange {name}"), RENAMEAT2, &swap);
        let remove = [&HERE as &dyn Argument, &name, &0];
        attacks.fails(EBUSY, &format!("remove {name}"), UNLINKAT, &remove);
    }
    attacks.opens("storage/ours/code/new");
    attacks.opens("/alias/storage/ours/code/new");
    attacks.call(UNLINKAT, &[&HERE, &"other", &0]);
    let code = home.path.join("caches/ours/code");
    attacks.run(config(&home.path, &code), || ());
    assert_eq!(tree(&home.path), before);
}

/// As it is reached by a bind mount: at another path than the one that is known.
#[test]
fn a_closed_folder_is_known_under_another_name() {
    let _alone = alone();
    let home = home();
    let code = home.path.join("caches/ours/code");
    let mut attacks = Attacks::new();
    let answer = errno(Errno::EACCES);
    attacks.opens("elsewhere/ours/code");
    attacks.opens("elsewhere/ours/code/kept");
    attacks.opens("elsewhere/ours/code/new");
    for (name, answer) in [
        ("elsewhere", EBUSY),
        ("elsewhere/ours", EBUSY),
        ("elsewhere/ours/code", answer),
    ] {
        let rename = [&HERE as &dyn Argument, &name, &HERE, &"mine/moved", &0];
        attacks.fails(answer, name, RENAMEAT2, &rename);
        attacks.fails(answer, name, UNLINKAT, &[&HERE, &name, &AT_REMOVEDIR]);
    }
    // And the old one is not free for something of the guest's.
    attacks.fails(EBUSY, "mkdir", MKDIRAT, &[&HERE, &"caches", &0o700]);
    let rename = [&HERE as &dyn Argument, &"mine", &HERE, &"caches", &0];
    attacks.fails(EBUSY, "rename", RENAMEAT2, &rename);
    attacks.run(config(&home.path, &code), || {
        fs::rename(home.path.join("caches"), home.path.join("elsewhere")).unwrap();
    });
    let kept = home.path.join("elsewhere/ours/code/kept");
    assert_eq!(fs::read(kept).unwrap(), b"kept");
    assert!(!home.path.join("caches").exists());
}

#[test]
fn a_directory_inside_the_closed_folder_shows_nothing() {
    let _alone = alone();
    let home = home();
    let code = home.path.join("caches/ours/code");
    let mut attacks = Attacks::new();
    attacks.opens("kept");
    attacks.opens("new");
    attacks.opens("/box");
    let mut config = config(&code, &code);
    config.grants.truncate(1);
    let before = tree(&code);
    attacks.run(config, || ());
    assert_eq!(tree(&code), before);
}

#[test]
fn beside_a_closed_folder_everything_is_as_elsewhere() {
    let _alone = alone();
    let home = home();
    let code = home.path.join("caches/ours/code");
    let mut script = Attacks::new();
    let flags = O_CREAT | O_RDWR;
    let calls = [
        script.call(MKDIRAT, &[&HERE, &"caches/other", &0o700]),
        script.call(MKDIRAT, &[&HERE, &"caches/ours/other", &0o700]),
        script.call(SYMLINKAT, &[&"caches/ours", &HERE, &"link"]),
        script.call(OPENAT, &[&HERE, &"link/other/file", &flags, &0o600]),
        script.call(LINKAT, &[&HERE, &"link/other/file", &HERE, &"file", &0]),
        script.call(RENAMEAT2, &[&HERE, &"file", &HERE, &"caches/file", &0]),
        script.call(FCHMODAT, &[&HERE, &"caches", &0o700]),
        script.call(FCHMODAT, &[&HERE, &"caches/other", &0o777]),
        script.call(RENAMEAT2, &[&HERE, &"mine", &HERE, &"caches/mine", &0]),
        script.call(UNLINKAT, &[&HERE, &"caches/mine/code/kept", &0]),
        script.call(UNLINKAT, &[&HERE, &"caches/mine/code", &AT_REMOVEDIR]),
    ];
    let done = script.script.run(config(&home.path, &code));
    for call in calls {
        assert!(done.results[call] >= 0, "{call}: {}", done.results[call]);
    }
    assert!(home.path.join("caches/ours/other/file").exists());
    assert!(home.path.join("caches/file").exists());
    assert!(!home.path.join("caches/mine/code").exists());
}

#[test]
fn what_is_opened_gets_the_lowest_free_number() {
    let _alone = alone();
    let home = home();
    fs::write(home.path.join("top"), "").unwrap();
    let code = home.path.join("caches/ours/code");
    for closed in [vec![code], Vec::new()] {
        let mut script = Attacks::new();
        let flags = O_CREAT | O_RDWR;
        let first = script.call(OPENAT, &[&HERE, &"top", &0]);
        let mut rest = Vec::new();
        for (path, flags) in [
            ("mine/code/kept", 0),
            ("top", 0),
            ("mine/code/fresh", flags),
            ("fresh", flags),
            ("mine/code/fresh", flags),
            ("mine", 0),
        ] {
            script.call(UNLINKAT, &[&HERE, &"fresh", &0]);
            // The first one's number, which is free after this.
            let fd = rest.last().copied().unwrap_or(first);
            script.call(CLOSE, &[&Arg::Result(fd)]);
            rest.push(script.call(OPENAT, &[&HERE, &path, &flags, &0o600]));
        }
        let mut config = config(&home.path, &home.path);
        config.closed = closed;
        let done = script.script.run(config);
        for call in rest {
            assert_eq!(done.results[call], done.results[first], "call {call}");
        }
    }
}
