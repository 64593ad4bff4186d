//! Scripts of calls each of which is to be refused, in a certain way.

#![allow(dead_code, reason = "each test uses a part of it")]

use super::script::{Arg, Script};
use linux::{Config, Errno};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub const OPENAT: u64 = 56;
pub const O_RDWR: i32 = 2;
pub const O_CREAT: i32 = 0o100;
/// AT_FDCWD.
pub const HERE: i32 = -100;

pub fn errno(number: Errno) -> i64 {
    -i64::from(number.0)
}

/// Everything below a folder with its identity, links not followed.
pub fn tree(at: &Path) -> Vec<(String, u64, u32)> {
    let mut found = Vec::new();
    let mut rest = vec![at.to_owned()];
    while let Some(path) = rest.pop() {
        let about = fs::symlink_metadata(&path).unwrap();
        found.push((path.display().to_string(), about.ino(), about.mode()));
        if about.is_dir() {
            rest.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        }
    }
    found.sort();
    found
}

/// Calls that have to fail, each with what it is meant to be told.
pub struct Attacks {
    pub script: Script,
    meant: Vec<(usize, String, i64)>,
}

impl Attacks {
    pub fn new() -> Attacks {
        Attacks {
            script: Script::new(),
            meant: Vec::new(),
        }
    }
    /// A call of which each argument is a number or a path.
    pub fn call(&mut self, number: u64, arguments: &[&dyn Argument]) -> usize {
        let arguments: Vec<Arg> = arguments.iter().map(|a| a.to(&mut self.script)).collect();
        self.script.call(number, &arguments)
    }
    /// Adds a call that has to fail with this answer.
    pub fn fails(&mut self, answer: i64, what: &str, number: u64, arguments: &[&dyn Argument]) {
        let call = self.call(number, arguments);
        self.meant.push((call, what.to_owned(), answer));
    }
    /// Opens a path in all ways.
    pub fn opens(&mut self, path: &str) {
        for flags in [0, O_RDWR, O_RDWR | O_CREAT, 0o10_000_000] {
            let what = format!("open {path} {flags:o}");
            let answer = errno(Errno::EACCES);
            self.fails(answer, &what, OPENAT, &[&HERE, &path, &flags, &0o600]);
        }
    }
    /// Runs them, with `meanwhile` between start and first instruction.
    pub fn run(self, config: Config, meanwhile: impl FnOnce()) {
        let done = self.script.run_after(config, meanwhile);
        for (call, what, answer) in self.meant {
            assert_eq!(done.results[call], answer, "{what}");
        }
    }
}

pub trait Argument {
    fn to(&self, script: &mut Script) -> Arg;
}
impl Argument for i32 {
    fn to(&self, _: &mut Script) -> Arg {
        Arg::from(*self)
    }
}
impl Argument for &str {
    fn to(&self, script: &mut Script) -> Arg {
        script.text(self).into()
    }
}
impl Argument for Arg {
    fn to(&self, _: &mut Script) -> Arg {
        *self
    }
}
