use super::driver::Driver;
use crate::support::Random;
use devices::share::Server;
use devices::virtio::Share;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder that is gone after the test, beside a secret that is not in it.
struct Folder {
    above: PathBuf,
    path: PathBuf,
}

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bhv-share-{}-{number}", std::process::id());
        let above = std::env::temp_dir().join(name);
        let path = above.join("shared");
        std::fs::create_dir_all(path.join("sub")).expect("a folder");
        std::fs::write(path.join("sub/file"), "hello").expect("a file");
        std::fs::write(above.join("secret"), "secret").expect("a file");
        symlink("../secret", path.join("out")).expect("a link");
        symlink(&above, path.join("up")).expect("a link");
        Folder { above, path }
    }

    fn serve(&self, read_only: bool) -> Client {
        let server = Server::new(&self.path, read_only).expect("a folder");
        let mut client = Client(server);
        let version = client.ask(100, &[n(8192), s("9P2000.L")].concat());
        assert_eq!(version, Ok([n(8192), s("9P2000.L")].concat()));
        let root = [n(0), n(!0), s("root"), s(""), n(0)].concat();
        assert_eq!(client.ask(104, &root).map(|qid| qid[0]), Ok(0x80));
        client
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.above);
    }
}

struct Client(Server);

fn n(number: u32) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

fn s(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u16).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = n(7 + body.len() as u32);
    message.push(kind);
    message.extend([5, 0]);
    message.extend(body);
    message
}

impl Client {
    /// The answer's body, or the error's number.
    fn ask(&mut self, kind: u8, body: &[u8]) -> Result<Vec<u8>, u32> {
        let answer = self.0.answer(&message(kind, body), 8192);
        assert_eq!(answer[..4], (answer.len() as u32).to_le_bytes());
        assert_eq!(answer[5..7], [5, 0], "the tag");
        if answer[4] == 7 {
            let bytes = answer[7..11].try_into().expect("a number");
            return Err(u32::from_le_bytes(bytes));
        }
        assert_eq!(answer[4], kind + 1);
        Ok(answer[7..].to_vec())
    }

    fn walk(&mut self, fid: u32, names: &[&str]) -> Result<usize, u32> {
        let mut body = [n(0), n(fid), (names.len() as u16).to_le_bytes().to_vec()].concat();
        names.iter().for_each(|name| body.extend(s(name)));
        self.ask(110, &body).map(|answer| usize::from(answer[0]))
    }

    fn open(&mut self, fid: u32, flags: u32) -> Result<Vec<u8>, u32> {
        self.ask(12, &[n(fid), n(flags)].concat())
    }

    fn read(&mut self, fid: u32, offset: u32) -> Result<Vec<u8>, u32> {
        let answer = self.ask(116, &[n(fid), n(offset), n(0), n(1 << 20)].concat())?;
        Ok(answer[4..].to_vec())
    }
}

#[test]
fn a_file_is_found_and_read() {
    let folder = Folder::new();
    let mut client = folder.serve(false);
    assert_eq!(client.walk(1, &["sub", "file"]), Ok(2));
    assert_eq!(client.open(1, 0).map(|qid| qid[0]), Ok(0));
    assert_eq!(client.read(1, 1), Ok(b"ello".to_vec()));
    assert_eq!(client.read(1, 99), Ok(Vec::new()));
    let attributes = client
        .ask(24, &[n(1), n(!0), n(0)].concat())
        .expect("attributes");
    assert_eq!(
        attributes[8 + 13 + 12 + 16..][..8],
        5u64.to_le_bytes(),
        "its size"
    );
    assert_eq!(
        client.walk(2, &["sub", "missing"]),
        Ok(1),
        "as far as it goes"
    );
    assert_eq!(client.read(2, 0), Err(9), "and nothing got that number");
    assert_eq!(client.walk(2, &["missing"]), Err(2));
}

#[test]
fn files_are_made_written_renamed_and_removed() {
    let folder = Folder::new();
    let mut client = folder.serve(false);
    client.walk(1, &["sub"]).expect("a folder");
    client
        .ask(14, &[n(1), s("new"), n(0o102), n(0o6755), n(0)].concat())
        .expect("a new file");
    let data = [n(1), n(2), n(0), n(3), b"abc".to_vec()].concat();
    assert_eq!(client.ask(118, &data), Ok(n(3)));
    let host = folder.path.join("sub/new");
    assert_eq!(std::fs::read(&host).expect("it is there"), b"\0\0abc");
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(&host)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o6000, 0, "no set-user-ID on the host");
    assert_eq!(
        client
            .ask(72, &[n(0), s("folder"), n(0o755), n(0)].concat())
            .map(|q| q[0]),
        Ok(0x80)
    );
    client.walk(3, &["folder"]).expect("the folder");
    client.walk(2, &["sub"]).expect("the other");
    client
        .ask(74, &[n(2), s("new"), n(3), s("renamed")].concat())
        .expect("renamed");
    assert_eq!(
        client.ask(20, &[n(3), n(0), s("moved")].concat()),
        Ok(Vec::new())
    );
    assert!(folder.path.join("moved/renamed").exists());
    assert!(
        client.ask(24, &[n(1), n(!0), n(0)].concat()).is_ok(),
        "it goes by its new name"
    );
    assert_eq!(
        client.ask(76, &[n(0), s("moved"), n(0x200)].concat()),
        Err(39),
        "not empty"
    );
    client
        .ask(76, &[n(3), s("renamed"), n(0)].concat())
        .expect("removed");
    client
        .ask(76, &[n(0), s("moved"), n(0x200)].concat())
        .expect("removed");
}

#[test]
fn no_way_leads_out_of_the_folder() {
    let folder = Folder::new();
    let mut client = folder.serve(false);
    assert_eq!(
        client.walk(1, &["..", "..", "sub"]),
        Ok(3),
        "above the root is the root"
    );
    for names in [
        &["up", "secret"][..],
        &["out", "x"],
        &["sub/../../secret"],
        &[""],
        &["."],
    ] {
        assert_ne!(client.walk(2, names), Ok(names.len()), "{names:?}");
    }
    assert_eq!(client.walk(3, &["out"]), Ok(1), "the link itself is in it");
    assert_eq!(client.open(3, 0), Err(13));
    assert_eq!(client.ask(22, &n(3)), Ok(s("../secret")));
    for name in ["..", ".", "a/b", "../x", "", "a\0b"] {
        let create = [n(0), s(name), n(0o101), n(0o644), n(0)].concat();
        assert!(client.ask(14, &create).is_err(), "{name:?}");
        assert!(
            client
                .ask(72, &[n(0), s(name), n(0o755), n(0)].concat())
                .is_err()
        );
        assert!(client.ask(76, &[n(0), s(name), n(0)].concat()).is_err());
        assert!(
            client
                .ask(74, &[n(0), s("sub"), n(0), s(name)].concat())
                .is_err()
        );
    }
    // Through a link that leads out, nothing is made or changed either.
    client.walk(4, &["up"]).expect("the link itself");
    let create = [n(4), s("made"), n(0o101), n(0o644), n(0)].concat();
    assert!(client.ask(14, &create).is_err());
    let truncate = [vec![n(3), n(8)], vec![n(0); 13]].concat().concat();
    assert!(client.ask(26, &truncate).is_err());
    assert_eq!(
        std::fs::read(folder.above.join("secret")).expect("it is there"),
        b"secret"
    );
    assert!(!folder.above.join("made").exists());
}

#[test]
fn what_is_neither_file_nor_folder_is_not_opened() {
    let folder = Folder::new();
    let socket = std::os::unix::net::UnixListener::bind(folder.path.join("socket"));
    let mut client = folder.serve(false);
    client.walk(1, &["socket"]).expect("it is there");
    assert_eq!(client.open(1, 0), Err(13));
    drop(socket);
}

#[test]
fn a_read_only_share_stays_as_it_is() {
    let folder = Folder::new();
    let mut client = folder.serve(true);
    client.walk(1, &["sub", "file"]).expect("a file");
    for flags in [1, 2, 0o1000] {
        assert_eq!(client.open(1, flags), Err(30));
    }
    assert!(client.open(1, 0).is_ok());
    assert_eq!(
        client.ask(14, &[n(0), s("x"), n(0o101), n(0o644), n(0)].concat()),
        Err(30)
    );
    assert_eq!(
        client.ask(72, &[n(0), s("x"), n(0o755), n(0)].concat()),
        Err(30)
    );
    assert_eq!(
        client.ask(76, &[n(0), s("sub"), n(0x200)].concat()),
        Err(30)
    );
    assert_eq!(
        client.ask(74, &[n(0), s("sub"), n(0), s("x")].concat()),
        Err(30)
    );
    assert_eq!(
        client.ask(16, &[n(0), s("x"), s("y"), n(0)].concat()),
        Err(30)
    );
    let truncate = [vec![n(1), n(8)], vec![n(0); 13]].concat().concat();
    assert_eq!(client.ask(26, &truncate), Err(30));
    assert_eq!(client.read(1, 0), Ok(b"hello".to_vec()));
}

/// Names from a piece of a folder's list, and where the next piece begins.
fn piece(client: &mut Client, offset: u64) -> (Vec<String>, u64) {
    let ask = [n(1), offset.to_le_bytes().to_vec(), n(300)].concat();
    let answer = client.ask(40, &ask).expect("entries");
    let (mut names, mut next) = (Vec::new(), offset);
    let mut rest = &answer[4..];
    while !rest.is_empty() {
        next = u64::from_le_bytes(rest[13..21].try_into().expect("an offset"));
        let length = usize::from(rest[22]);
        names.push(String::from_utf8_lossy(&rest[24..24 + length]).into_owned());
        rest = &rest[24 + length..];
    }
    (names, next)
}

#[test]
fn a_folder_is_listed_in_pieces_and_across_a_restore() {
    let folder = Folder::new();
    for i in 0..1000 {
        std::fs::write(folder.path.join(format!("file{i:03}")), "").expect("a file");
    }
    let mut client = folder.serve(false);
    client.walk(1, &[]).expect("the root");
    client.open(1, 0o200_000).expect("the root");
    let (mut names, mut offset) = (Vec::new(), 0);
    loop {
        let (more, next) = piece(&mut client, offset);
        if more.is_empty() {
            break;
        }
        names.extend(more);
        offset = next;
        // A server that has never seen the first piece goes on where this one was.
        let mut other = folder.serve(false);
        other.0.restore(client.0.save());
        client = other;
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 1003, "each once");
    assert_eq!((&names[0][..], &names[1002][..]), ("file000", "up"));
    let mut client = folder.serve(false);
    client.walk(1, &[]).expect("the root");
    client.open(1, 0o200_000).expect("the root");
    let first = piece(&mut client, 0);
    let second = piece(&mut client, first.1);
    assert!(!first.0.is_empty() && second != first);
    assert_eq!(piece(&mut client, 0), first, "from the start once more");
    assert_eq!(piece(&mut client, first.1), second);
    assert_eq!(
        client.ask(40, &[n(1), n(!0), n(!0), n(300)].concat()),
        Err(22),
        "no such offset"
    );
}

#[test]
fn a_restored_server_has_its_files_open() {
    let folder = Folder::new();
    let mut client = folder.serve(false);
    assert_eq!(client.walk(1, &["sub", "file"]), Ok(2));
    client.open(1, 2).expect("a file");
    assert_eq!(client.walk(2, &["sub"]), Ok(1));
    let state = client.0.save();
    let mut other = folder.serve(false);
    assert_eq!(other.read(1, 0), Err(9), "nothing yet");
    other.0.restore(state.clone());
    assert_eq!(other.read(1, 1), Ok(b"ello".to_vec()));
    assert_eq!(other.read(2, 0), Err(9), "this one was not open");
    assert_eq!(other.0.save(), state);
    std::fs::remove_file(folder.path.join("sub/file")).expect("it was there");
    let mut late = folder.serve(false);
    late.0.restore(state);
    assert_eq!(late.read(1, 0), Err(9), "it is gone");
}

#[test]
fn a_guest_that_opens_without_end_is_told_so_before_the_host_runs_out() {
    let folder = Folder::new();
    let mut client = folder.serve(false);
    let mut open = |fid| {
        client.walk(fid, &["sub", "file"]).expect("it is there");
        client.open(fid, 0).map(|_| ())
    };
    let first = (1..).find(|fid| open(*fid) != Ok(())).expect("an end");
    assert_eq!(open(first), Err(24), "EMFILE");
    assert!((17..=4097).contains(&first), "{first}");
    assert!(std::fs::File::open(folder.path.join("sub/file")).is_ok());
    // Another one that is opened again frees nothing; one that is closed does.
    assert_eq!(client.ask(120, &n(5)), Ok(Vec::new()));
    assert_eq!(client.open(first, 0).map(|qid| qid[0]), Ok(0));
    assert_eq!(client.open(first, 0), Err(24));
}

#[test]
fn it_works_through_the_queue() {
    let folder = Folder::new();
    let server = Server::new(&folder.path, true).expect("a folder");
    let mut driver = Driver::ready(Box::new(Share::new(server, "host")), 0);
    assert_eq!(driver.get(0x100), u32::from_le_bytes([4, 0, b'h', b'o']));
    let mut ask = |bytes: &[u8]| {
        let (message, length) = driver.buffer(bytes);
        let (answer, _) = driver.buffer(&[0; 256]);
        driver.offer(0, &[(message, length, false), (answer, 256, true)]);
        driver.notify(0);
        let length = driver.used(0)[0].1;
        driver.bytes(answer, length as usize)
    };
    ask(&message(
        104,
        &[n(0), n(!0), s("root"), s(""), n(0)].concat(),
    ));
    let walk = [n(0), n(1), vec![2, 0], s("sub"), s("file")].concat();
    assert_eq!(ask(&message(110, &walk))[4], 111);
    ask(&message(12, &[n(1), n(0)].concat()));
    let read = message(116, &[n(1), n(0), n(0), n(100)].concat());
    assert_eq!(ask(&read)[11..], *b"hello");
}

#[test]
fn messages_of_any_bytes_are_answered() {
    let folder = Folder::new();
    let mut client = folder.serve(true);
    let mut random = Random::new();
    let kinds = [
        8, 12, 14, 22, 24, 26, 30, 40, 50, 52, 54, 72, 74, 76, 108, 110, 116, 118, 120,
    ];
    for _ in 0..20_000 {
        let mut bytes: Vec<u8> = (0..random.below(60)).map(|_| random.next() as u8).collect();
        if bytes.len() > 11 {
            bytes[4] = kinds[random.below(kinds.len() as u64) as usize];
            bytes[7..11].copy_from_slice(&(random.below(4) as u32).to_le_bytes());
        }
        let room = random.below(600) as u32;
        let answer = client.0.answer(&bytes, room);
        assert!(answer.len() >= 7);
    }
    assert_eq!(
        std::fs::read(folder.path.join("sub/file")).expect("it is there"),
        b"hello"
    );
}
