//! What can go wrong on the host's side, and what a bad executable is refused for.

use std::path::PathBuf;

/// A failure to start, save or resume a process. What goes wrong inside a running guest is an
/// errno or a signal instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// {path}: {source} …
    #[error("{}: {source}. {}", path.display(), remedy(source))]
    File {
        /// The file.
        path: PathBuf,
        /// What the host says.
        source: std::io::Error,
    },
    /// The file is no program that we can run.
    #[error("{}: {reason} (at file offset {offset:#x}). {remedy}", path.display())]
    Elf {
        /// The file.
        path: PathBuf,
        /// Offset of the field that is wrong.
        offset: u64,
        /// What is wrong, with the value found and what was expected.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A dynamic program's interpreter is not in the guest's view.
    #[error(
        "{}: needs the dynamic linker {}, which the guest does not see. Give --root DIR with a \
         riscv64 system in it",
        program.display(), interpreter.display()
    )]
    NoInterpreter {
        /// The program.
        program: PathBuf,
        /// What its PT_INTERP names.
        interpreter: PathBuf,
    },
    /// An argument of `--dir` makes no sense.
    #[error("cannot grant '{text}': {why}. Write HOST, HOST:GUEST or HOST:GUEST:ro")]
    BadGrant {
        /// The argument.
        text: String,
        /// What is wrong.
        why: String,
    },
    /// The program is nowhere in the guest's view.
    #[error(
        "{program}: not found. Give a path with a slash, or --root DIR with a directory that holds it"
    )]
    NotFound {
        /// What was asked for.
        program: String,
    },
    /// Guest memory could not be arranged.
    #[error("guest memory: {0}")]
    Memory(String),
    /// The process can't be saved in this state.
    #[error("cannot save this process: {0}")]
    Save(String),
    /// The image can't be resumed.
    #[error("cannot resume this process: {0}")]
    Resume(String),
    /// The host refused something that we need.
    #[error("the host refused {what}: {source}")]
    Host {
        /// What we asked for.
        what: &'static str,
        /// Its answer.
        source: std::io::Error,
    },
}

fn remedy(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::NotFound => {
            "Check the path; with --root it is looked up inside that directory"
        }
        std::io::ErrorKind::PermissionDenied => "Check its permissions (chmod +x for a program)",
        _ => "Check the path",
    }
}

impl Error {
    /// The exit code that a shell would use: 127 if the program is missing, 126 if it can't be
    /// executed.
    pub fn exit_code(&self) -> i32 {
        match self {
            Error::NotFound { .. } => 127,
            Error::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => 127,
            Error::File { .. } | Error::Elf { .. } | Error::NoInterpreter { .. } => 126,
            _ => 125,
        }
    }
}
