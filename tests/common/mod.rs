//! What the tests that start `bhv` or other programs share: a time limit, a place, a skip.
#![allow(dead_code, reason = "each test file uses a part of this")]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How a program ended and what it said.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code; a signal's number plus 128, as a shell has it.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

/// Runs a command to its end with no input; panics if that takes longer than `patience`.
pub fn wait(mut command: Command, patience: Duration) -> Outcome {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let code = limit(&mut child, patience);
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    let Some(code) = code else {
        panic!(
            "not done after {patience:?}: {command:?}\nstdout so far:\n{}\nstderr so far:\n{}",
            String::from_utf8_lossy(&stdout),
            String::from_utf8_lossy(&stderr)
        );
    };
    Outcome {
        code,
        stdout,
        stderr,
    }
}

/// Reads a pipe to its end beside the test, so that a full pipe stops nobody.
fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// The exit code, or nothing if the time ran out and the child was ended.
fn limit(child: &mut Child, patience: Duration) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt;
    let end = Instant::now() + patience;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(
                status
                    .code()
                    .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            );
        }
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// The folder cargo builds in, where the chores keep their roots too.
pub fn target_folder() -> PathBuf {
    // The binary is `<target>/<profile>/bhv`.
    Path::new(env!("CARGO_BIN_EXE_bhv"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_owned()
}

/// Notes that a test could not run. `cargo xtask test` lists the notes, and fails on one in CI.
pub fn skip(test: &str, reason: &str) {
    eprintln!("skipped: {test}: {reason}");
    if let Some(list) = std::env::var_os("BHV_SKIPPED") {
        let mut file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(list)
            .unwrap();
        // One write a line: tests that run at the same time do not mix theirs.
        file.write_all(format!("{test}: {reason}\n").as_bytes())
            .unwrap();
    }
}

/// A folder for one test, gone when the test is over.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A fresh folder; the name keeps tests that run at the same time apart.
    pub fn new(name: &str) -> Scratch {
        let folder = target_folder()
            .join("tmp")
            .join(format!("{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes an executable file into it.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
