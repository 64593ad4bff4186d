//! Any 9P messages to a shared folder, which stays as it is because it is read-only.

#![no_main]

use devices::share::Server;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let path = std::env::temp_dir().join(format!("bhv-fuzz-{}", std::process::id()));
    if !path.exists() {
        std::fs::create_dir_all(path.join("folder")).expect("a folder");
        std::fs::write(path.join("folder/file"), "hello").expect("a file");
    }
    let mut server = Server::new(&path, true).expect("a folder");
    // Each message begins with its length, as on the wire; fid 0 is the root.
    let mut attach = vec![25, 0, 0, 0, 104, 0, 0];
    attach.extend([0; 18]);
    server.answer(&attach, 4096);
    let mut rest = data;
    while let Some((length, _)) = rest.split_first() {
        let (message, after) = rest.split_at(usize::from(*length).clamp(1, rest.len()));
        let answer = server.answer(message, 4096);
        assert!((7..=4096 + 64).contains(&answer.len()));
        rest = after;
    }
    let state = server.save();
    server.restore(state);
    let kept = std::fs::read(path.join("folder/file")).expect("it is still there");
    assert_eq!(kept, b"hello");
});
