//! `bhv snapshot`: looking into snapshots without resuming them.

use super::changes::{self, Changes};
use super::error::Cause;
use super::space::{Mapping, Mappings};
use super::{Error, Kind, Meta, Reader, Subject, date};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Look into snapshots
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List snapshots, those in a folder or those named
    List {
        /// Folders and snapshots
        #[arg(default_value = ".")]
        paths: Vec<PathBuf>,
    },
    /// Show what a snapshot holds: sections, threads, mappings
    Show {
        /// The snapshot
        file: PathBuf,
    },
    /// Compare two snapshots: registers, mappings, pages; fails if they differ
    Diff {
        /// The older one
        before: PathBuf,
        /// The newer one
        after: PathBuf,
    },
    /// Check every byte of snapshots against its checksum
    Verify {
        /// The snapshots
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// `bhv snapshot`.
pub fn run(args: &Args) -> Result<ExitCode, crate::Error> {
    let mut out = std::io::stdout().lock();
    let code = match &args.command {
        Command::List { paths } => list(&mut out, paths)?,
        Command::Show { file } => show(&mut out, file)?,
        Command::Diff { before, after } => diff(&mut out, before, after)?,
        Command::Verify { files } => verify(&mut out, files)?,
    };
    Ok(code)
}

/// A failure to print, in terms of the file that it was about.
fn print(path: &Path) -> impl Fn(std::io::Error) -> Error {
    move |source| {
        Cause::Io {
            what: "print what is in it",
            source,
        }
        .of(path)
    }
}

fn list(out: &mut impl Write, paths: &[PathBuf]) -> Result<ExitCode, Error> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let read = || -> std::io::Result<Vec<PathBuf>> {
            std::fs::read_dir(path)?
                .map(|entry| Ok(entry?.path()))
                .collect()
        };
        let mut inside = read()
            .map_err(super::error::io("list it"))
            .map_err(|c| c.of(path))?;
        inside.retain(|file| file.is_file() && !is_other_file(file));
        inside.sort();
        files.extend(inside);
    }
    let line = format!(
        "{:<24} {:>18} {:>10}  {:<23}  PROGRAM",
        "FILE", "INSTRUCTIONS", "MEMORY", "SAVED"
    );
    writeln!(out, "{line}").map_err(print(Path::new("list")))?;
    let mut failed = false;
    for file in &files {
        let line = match summary(file) {
            Ok(summary) => summary,
            Err(error) => {
                failed = true;
                format!("{:<24} {}", file.display(), error.cause)
            }
        };
        writeln!(out, "{line}").map_err(print(file))?;
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Whether a file can be read and does not start as a snapshot does.
fn is_other_file(path: &Path) -> bool {
    matches!(
        Reader::open(path),
        Err(Error {
            cause: Cause::NotASnapshot { .. },
            ..
        })
    ) || std::fs::metadata(path).is_ok_and(|metadata| metadata.len() < super::layout::HEADER)
}

fn summary(path: &Path) -> Result<String, Error> {
    let reader = Reader::open(path)?;
    let meta: Meta = reader.needed(Kind::Meta, "a list")?;
    let memory = reader.page_map()?.iter().map(|run| run.length).sum();
    Ok(format!(
        "{:<24} {:>18} {:>10}  {:<23}  {}",
        path.display().to_string(),
        meta.instructions,
        size(memory),
        date::utc(meta.created),
        title(&meta),
    ))
}

fn show(out: &mut impl Write, path: &Path) -> Result<ExitCode, crate::Error> {
    let reader = Reader::open(path)?;
    let text = describe(&reader)?;
    out.write_all(text.as_bytes()).map_err(print(path))?;
    Ok(ExitCode::SUCCESS)
}

fn describe(reader: &Reader) -> Result<String, crate::Error> {
    use std::fmt::Write;
    let mut text = String::new();
    let meta: Meta = reader.needed(Kind::Meta, "showing it")?;
    let runs = reader.page_map()?;
    let memory: u64 = runs.iter().map(|run| run.length).sum();
    let subject = match meta.subject {
        Subject::Process => "process",
        Subject::Machine => "machine",
    };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}", title(&meta));
    let (created, writer) = (date::utc(meta.created), &meta.writer);
    let _ = writeln!(text, "  {subject}, saved {created} by {writer}");
    let _ = writeln!(text, "  {} instructions retired", meta.instructions);
    let _ = writeln!(text, "  {} of memory in {} runs", size(memory), runs.len());
    let _ = writeln!(text, "  id {:016x}", meta.id);
    if let Some(parent) = &meta.parent {
        let _ = writeln!(text, "  needs {} (id {:016x})", parent.file, parent.id);
    }
    let _ = writeln!(text, "\nsections");
    for section in reader.sections() {
        let name = Kind::of_number(section.kind).map_or("(unknown)", Kind::name);
        let (version, offset, length) = (section.version, section.offset, section.length);
        let _ = writeln!(
            text,
            "  {name:<10} version {version}  at {offset:#10x}  {length:>12} bytes"
        );
    }
    for thread in super::process::threads(reader)? {
        let _ = writeln!(text, "\nthread {}", thread.tid);
        text.push_str(&changes::registers(&thread.state));
    }
    if let Some(mappings) = reader.state::<Mappings>(Kind::Mappings)? {
        let _ = writeln!(text, "\nmappings");
        for mapping in &mappings.list {
            let saved = changes::bytes_within(&runs, mapping.start, mapping.end);
            let _ = writeln!(text, "  {:<64} {:>10}", line(mapping), size(saved));
        }
    }
    Ok(text)
}

fn diff(out: &mut impl Write, before: &Path, after: &Path) -> Result<ExitCode, crate::Error> {
    let changes = Changes::between(&Reader::open(before)?, &Reader::open(after)?)?;
    out.write_all(changes.text().as_bytes())
        .map_err(print(after))?;
    Ok(if changes.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn verify(out: &mut impl Write, files: &[PathBuf]) -> Result<ExitCode, Error> {
    let mut code = ExitCode::SUCCESS;
    let on_terminal = std::io::stderr().is_terminal();
    for file in files {
        let mut bytes = 0;
        let mut shown = 0;
        let sound = Reader::open(file).and_then(|reader| {
            reader.verify(|done, total| {
                bytes = total;
                // One line a hundredth.
                let hundredths = done * 100 / total.max(1);
                if on_terminal && hundredths != shown {
                    shown = hundredths;
                    eprint!("\r{} {hundredths} %", file.display());
                }
            })
        });
        if on_terminal && shown > 0 {
            eprint!("\r\x1b[K");
        }
        match sound {
            Ok(()) => writeln!(out, "{}: sound, {} of memory", file.display(), size(bytes))
                .map_err(print(file))?,
            Err(error) => {
                eprintln!("bhv: {error}");
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

/// The command line, on one line.
fn title(meta: &Meta) -> String {
    let words: Vec<_> = meta
        .title
        .iter()
        .map(|word| word.escape_ascii().to_string())
        .collect();
    words.join(" ")
}

/// A mapping as in `/proc/PID/maps`.
pub(super) fn line(mapping: &Mapping) -> String {
    let bit = |bit, letter| {
        if mapping.protection & bit != 0 {
            letter
        } else {
            '-'
        }
    };
    let mode = [
        bit(1, 'r'),
        bit(2, 'w'),
        bit(4, 'x'),
        if mapping.shared { 's' } else { 'p' },
    ];
    let mode: String = mode.iter().collect();
    let name = match (&mapping.name, &mapping.file) {
        (Some(name), _) => name.clone(),
        (None, Some(file)) => {
            format!("{} +{:#x}", file.path.escape_ascii(), file.offset)
        }
        (None, None) => String::new(),
    };
    format!("{:010x}-{:010x} {mode} {name}", mapping.start, mapping.end)
}

/// Bytes for people.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..0x2800 => format!("{bytes} B"),
        0x2800..0xa0_0000 => format!("{} KiB", bytes >> 10),
        0xa0_0000..0x2_8000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}
