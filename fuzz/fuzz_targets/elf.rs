//! Any bytes as an executable: refused or loaded, never a panic, a huge allocation, or a segment
//! outside the guest's addresses. What is loaded never runs.

#![no_main]

use hart::HartState;
use libfuzzer_sys::fuzz_target;
use linux::{Config, Cpu, Kick, Process, Program, Stop, elf};
use memory::{LIMIT, UserSpace};
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::Path;
use std::sync::Arc;

fuzz_target!(|data: &[u8]| {
    let Ok(parsed) = elf::parse(Path::new("fuzz"), data, LIMIT) else { return };
    let mut end = 0;
    for segment in &parsed.segments {
        assert!(segment.va >= end && segment.end() <= LIMIT && segment.end() >= segment.va);
        assert!(segment.offset + segment.file_size <= data.len() as u64);
        end = segment.end();
    }
    load(data);
});

/// Loads it as `bhv run` does.
fn load(data: &[u8]) {
    // SAFETY: the name is a C string; the descriptor is new and owned by the file from here on.
    let mut file = unsafe {
        std::fs::File::from_raw_fd(libc::memfd_create(c"fuzz".as_ptr(), 0))
    };
    file.write_all(data).expect("a file in memory takes what it is given");
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let program = Program { path: path.clone().into(), argv: vec![path.into()], envp: Vec::new() };
    let config = Config { host: true, quiet: true, ..Config::default() };
    let space = Arc::new(UserSpace::reserve().expect("address space for one guest"));
    let loaded = Process::start(config, &program, space.clone(), Box::<Idle>::default());
    if loaded.is_ok() {
        assert!(space.vmas().iter().all(|vma| vma.end <= LIMIT));
    }
}

/// A hart that runs nothing.
#[derive(Default)]
struct Idle(HartState);

impl Kick for Idle {
    fn kick(&self) {}
}

impl Cpu for Idle {
    fn state(&self) -> &HartState {
        &self.0
    }
    fn state_mut(&mut self) -> &mut HartState {
        &mut self.0
    }
    fn run(&mut self, _: Option<u64>) -> Stop {
        Stop::Limit
    }
    fn kicker(&self) -> Arc<dyn Kick> {
        Arc::new(Idle::default())
    }
    fn new_thread(&self) -> Box<dyn Cpu> {
        Box::<Idle>::default()
    }
    fn code_changed(&mut self) {}
    fn fork(&mut self, fork: &mut dyn FnMut() -> bool) -> bool {
        fork()
    }
}
