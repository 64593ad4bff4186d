//! One run of one command: what it printed and what it cost.

use super::host;
use std::hash::{DefaultHasher, Hasher};
use std::io::{ErrorKind, Read, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

/// What one run cost, or the mean of some runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// CPU seconds, user and system, children and threads included.
    pub cpu: f64,
    /// Seconds on the clock.
    pub wall: f64,
    /// Peak memory in bytes.
    pub peak: u64,
    /// CPU seconds that compiling took; zero for whoever does not compile, or does not say.
    pub compile: f64,
}

/// What a process printed. Only its beginning is kept: the host counts the memory of whoever
/// starts a process as the process's own first peak, so this one stays small.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Output {
    /// The first bytes.
    pub head: Vec<u8>,
    /// How many there were.
    pub length: u64,
    digest: u64,
}

impl Output {
    /// Reads a pipe to its end; all of it goes to `keep` too.
    fn read(mut pipe: impl Read, keep: &mut dyn Write) -> std::io::Result<Output> {
        let mut output = Output::default();
        let mut digest = DefaultHasher::new();
        let mut buffer = [0; 1 << 14];
        loop {
            let count = match pipe.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let bytes = &buffer[..count];
            let room = HEAD.saturating_sub(output.head.len());
            output.head.extend_from_slice(&bytes[..count.min(room)]);
            output.length += count as u64;
            digest.write(bytes);
            keep.write_all(bytes)?;
        }
        output.digest = digest.finish();
        Ok(output)
    }
}

/// The bytes of an output that are shown.
const HEAD: usize = 60;

/// A sample, and what the last run said.
pub struct Run {
    /// What it cost.
    pub sample: Sample,
    /// Standard output.
    pub stdout: Output,
    /// Instructions that the interpreter retired, if this was `bhv`.
    pub interpreted: Option<u64>,
    /// How it failed.
    pub failure: Option<String>,
}

/// Runs a command some times, each to its end; what it prints also goes to `keep`.
pub fn run(mut command: Command, runs: u32, keep: &mut dyn Write) -> std::io::Result<Run> {
    let mut total = Run {
        sample: Sample::default(),
        stdout: Output::default(),
        interpreted: None,
        failure: None,
    };
    let part = 1.0 / f64::from(runs.max(1));
    for _ in 0..runs.max(1) {
        let start = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        // Both pipes are read at once, so that neither fills up.
        let said = child
            .stderr
            .take()
            .map(|pipe| thread::spawn(move || whole(pipe)));
        if let Some(pipe) = child.stdout.take() {
            total.stdout = Output::read(pipe, keep)?;
        }
        let (status, usage) = host::wait(child)?;
        let wall = start.elapsed().as_secs_f64();
        let said = said.and_then(|reader| reader.join().ok());
        let said = String::from_utf8_lossy(&said.unwrap_or(Ok(Vec::new()))?).into_owned();
        total.interpreted = count_after(&said, "interpreted");
        total.sample.wall += wall * part;
        total.sample.cpu += usage.cpu * part;
        let peak = count_after(&said, "peak").unwrap_or(usage.peak);
        total.sample.peak = total.sample.peak.max(peak);
        total.sample.compile += compile_seconds(&said).unwrap_or(0.0) * part;
        if !status.success() {
            let first: Vec<&str> = said.lines().take(3).collect();
            total.failure = Some(format!("ends with {status}: {}", first.join(" | ")));
            break;
        }
    }
    Ok(total)
}

fn whole(mut pipe: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The number after a word, of what `bhv run --stats` prints.
fn count_after(stats: &str, word: &str) -> Option<u64> {
    let mut words = stats.split_whitespace().skip_while(|w| *w != word);
    words.nth(1)?.parse().ok()
}

/// CPU seconds that compiling took, of the same: "compiled … in 12.3 ms".
fn compile_seconds(stats: &str) -> Option<f64> {
    let line = stats
        .lines()
        .rev()
        .find(|line| line.trim_start().starts_with("compiled "))?;
    let mut words = line
        .split_whitespace()
        .rev()
        .skip_while(|word| *word != "ms");
    Some(words.nth(1)?.parse::<f64>().ok()? / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATS: &str = "bhv: 1.084 s\n  interpreted       12345678 instructions\n  compiled \
         52 regions, 9134 instructions to 180000 bytes in 71.5 ms of CPU time\n  \
         peak              6524928 bytes of memory\n";

    #[test]
    fn statistics_are_read_as_bhv_prints_them() {
        assert_eq!(count_after(STATS, "interpreted"), Some(12_345_678));
        assert!((compile_seconds(STATS).unwrap() - 0.0715).abs() < 1e-9);
        assert_eq!(count_after(STATS, "peak"), Some(6_524_928));
        assert_eq!(count_after("no statistics", "interpreted"), None);
        assert_eq!(compile_seconds("no statistics"), None);
    }

    #[test]
    fn a_failure_is_told_with_the_last_words() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo first >&2; echo last >&2; exit 3"]);
        let run = run(command, 2, &mut std::io::sink()).unwrap();
        let failure = run.failure.unwrap();
        assert!(
            failure.contains('3') && failure.contains("first"),
            "{failure}"
        );
        assert_eq!((run.stdout.head, run.stdout.length), (b"out\n".to_vec(), 4));
    }

    #[test]
    fn outputs_of_one_length_and_beginning_are_told_apart() {
        let long = |last: u8| [[b'a'; 99].as_slice(), &[last]].concat();
        let mut copy = Vec::new();
        let one = Output::read(&long(b'x')[..], &mut copy).unwrap();
        let other = Output::read(&long(b'y')[..], &mut std::io::sink()).unwrap();
        assert!(one != other && one.head == other.head && one.length == 100);
        assert_eq!(copy, long(b'x'));
    }

    #[test]
    fn a_sample_is_the_mean_of_its_runs() {
        let mut command = Command::new("sleep");
        command.arg("0.05");
        let run = run(command, 3, &mut std::io::sink()).unwrap();
        assert!((0.05..0.15).contains(&run.sample.wall), "{:?}", run.sample);
        assert!(run.sample.cpu < 0.05 && run.sample.peak > 0);
    }
}
