//! Runs a program on the interpreter: `run [--root DIR] [--dir GRANT] [--host] [--exact] [--trace] PROG ARGS`.

#[path = "../tests/common/mod.rs"]
mod common;

use linux::{Config, Event, Grant, Observer, Process, Program, Schedule};
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

struct Trace;

impl Observer for Trace {
    fn event(&self, event: &Event<'_>) {
        if let Event::Trace { tid, line } = event {
            eprintln!("[{tid}] {line}");
        }
    }
    fn wants_trace(&self) -> bool {
        true
    }
    fn wants_changes(&self) -> bool {
        false
    }
}

fn main() {
    let mut config = Config::default();
    let mut trace = false;
    let mut args = std::env::args_os().skip(1).peekable();
    while let Some(option) = args.next_if(|arg| arg.to_string_lossy().starts_with("--")) {
        match option.to_str() {
            Some("--root") => config.root = args.next().map(Into::into),
            Some("--dir") => {
                let dir = args.next().unwrap_or_default();
                config
                    .grants
                    .push(Grant::parse(&dir.to_string_lossy()).expect("a grant"));
            }
            Some("--host") => config.host = true,
            Some("--network") => config.network = true,
            Some("--exact") => config.schedule = Schedule::exact(1),
            Some("--trace") => trace = true,
            option => panic!("unknown option {option:?}"),
        }
    }
    let argv: Vec<Vec<u8>> = args.map(OsStringExt::into_vec).collect();
    let envp = std::env::vars_os()
        .map(|(name, value)| [name.into_vec(), b"=".to_vec(), value.into_vec()].concat())
        .collect();
    let path = std::ffi::OsString::from_vec(argv.first().cloned().unwrap_or_default()).into();
    let space = Arc::new(memory::UserSpace::reserve().expect("an address space"));
    let exact = config.schedule != Schedule::Threads;
    let cpu = common::InterpCpu::boxed(space.clone(), exact);
    let program = Program { path, argv, envp };
    let mut process = Process::start(config, &program, space, cpu).unwrap_or_else(|error| {
        eprintln!("{error}");
        std::process::exit(error.exit_code());
    });
    if trace {
        process.observe(Arc::new(Trace));
    }
    let exit = process.run().expect("a run");
    drop(process);
    exit.finish();
}
