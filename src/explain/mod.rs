//! What becomes of guest code: its instructions, Cranelift's IR and the host code side by side.

mod host;
mod loops;

pub use host::{Host, HostInstruction};
pub use loops::Loop;

use crate::symbols::Symbols;
use crate::{EngineOptions, Error, Launch};
use jit::Listing;
use memory::UserSpace;
use std::fmt::Write;

/// A compiled region with the host code of each instruction.
pub struct Explained {
    /// The instructions by address.
    pub lines: Vec<ExplainedLine>,
    /// Cranelift IR that belongs to no instruction: entry and exit paths.
    pub preamble: Vec<String>,
    /// Instructions of host code that belong to no guest instruction.
    pub rest: usize,
}

/// One guest instruction and what it became.
pub struct ExplainedLine {
    /// Where it is.
    pub pc: u64,
    /// Its bits, 16 or 32.
    pub word: u32,
    /// Its text, as objdump prints it.
    pub guest: String,
    /// Its Cranelift IR.
    pub clif: Vec<String>,
    /// Its host code, hot and cold.
    pub host: Vec<HostInstruction>,
}

impl Explained {
    /// Takes a listing apart. `host` is the machine that it was compiled for.
    pub fn new(listing: &Listing, space: &UserSpace, symbols: &Symbols, host: Host) -> Explained {
        let name = |va| symbols.name(va);
        let mut attributed = 0;
        let lines: Vec<ExplainedLine> = listing
            .lines
            .iter()
            .map(|line| {
                let mut code = Vec::new();
                for range in &line.host {
                    let at = listing.address + range.start as u64;
                    code.extend(host.decode(&listing.code[range.clone()], at));
                }
                attributed += code.len();
                let word = word(space, line.pc);
                ExplainedLine {
                    pc: line.pc,
                    word,
                    guest: frontend::disasm::symbolised(word, line.pc, &name),
                    clif: line.clif.clone(),
                    host: code,
                }
            })
            .collect();
        let all = host.decode(&listing.code, listing.address).len();
        let rest = all.saturating_sub(attributed);
        Explained {
            lines,
            preamble: listing.preamble.clone(),
            rest,
        }
    }

    /// Three columns and a total, for the instructions in `range` of addresses.
    pub fn table(&self, range: std::ops::Range<u64>, symbols: &Symbols) -> String {
        const GUEST: usize = 42;
        const CLIF: usize = 52;
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{:GUEST$} │ {:CLIF$} │ host code",
            "guest code", "Cranelift IR"
        );
        let rule = |n| "─".repeat(n);
        let _ = writeln!(out, "{}┼{}┼{}", rule(GUEST + 1), rule(CLIF + 2), rule(40));
        let (mut guest_count, mut host_count) = (0, 0);
        for line in self.lines.iter().filter(|line| range.contains(&line.pc)) {
            if let Some(name) = symbols.name(line.pc).filter(|name| !name.contains('+')) {
                let _ = writeln!(out, "{:GUEST$} │ {:CLIF$} │", format!("<{name}>:"), "");
            }
            let guest = format!("{:x}: {}", line.pc, line.guest.replace('\t', " "));
            let rows = line.clif.len().max(line.host.len()).max(1);
            for row in 0..rows {
                let left = if row == 0 { guest.as_str() } else { "" };
                let middle = line.clif.get(row).map_or("", String::as_str);
                let right = line.host.get(row).map_or("", |insn| insn.text.as_str());
                let _ = writeln!(out, "{left:GUEST$} │ {middle:CLIF$} │ {right}");
            }
            guest_count += 1;
            host_count += line.host.len();
        }
        let ratio = host_count as f64 / f64::from(guest_count.max(1));
        let _ = writeln!(
            out,
            "total: {guest_count} guest instructions, {host_count} host instructions, \
             {ratio:.2} a guest instruction"
        );
        out
    }

    /// Guest and host instructions in `range`.
    pub fn counts(&self, range: std::ops::Range<u64>) -> (usize, usize) {
        let inside = || self.lines.iter().filter(|line| range.contains(&line.pc));
        (inside().count(), inside().map(|line| line.host.len()).sum())
    }
}

/// A program loaded and not run, with the code at one address compiled.
pub struct Subject {
    /// What became of the region.
    pub explained: Explained,
    /// Names.
    pub symbols: Symbols,
    /// The address that was asked for.
    pub at: u64,
    /// First address after the symbol that was asked for, or 0.
    pub end: u64,
}

impl Subject {
    /// The innermost loops of the symbol that was asked for, or of the region.
    pub fn innermost_loops(&self) -> Vec<Loop> {
        let whole = if self.end == 0 {
            0..u64::MAX
        } else {
            self.at..self.end
        };
        let mut loops = loops::innermost(&self.explained.lines);
        loops.retain(|found| whole.contains(&found.range.start));
        loops
    }
}

/// Compiles the code of `launch`'s program at a symbol or address, without running it.
pub fn explain(mut launch: Launch, at: &str) -> Result<Subject, Error> {
    launch.engine = options(launch.engine);
    let mut running = launch.start()?;
    let symbols = running.symbols();
    let (at, end) = place(at, &symbols)?;
    let engine = running.engine().clone();
    let Some(jit) = engine.jit() else {
        return Err(Error::usage(
            "the interpreter compiles nothing",
            "use --engine jit",
        ));
    };
    jit.request(at);
    let listing = jit.explain(at).ok_or_else(|| {
        let what = format!("there is no code at {at:#x} that can be compiled");
        Error::usage(what, "name a function, or the address of an instruction")
    })?;
    let space = running.process().space().clone();
    let explained = Explained::new(&listing, &space, &symbols, Host::here());
    Ok(Subject {
        explained,
        symbols,
        at,
        end,
    })
}

/// The same for a host that this may not be: its code is made, and never run.
pub fn explain_for(mut launch: Launch, at: &str, host: Host) -> Result<Subject, Error> {
    launch.engine = options(launch.engine);
    let options = launch.engine.jit.clone();
    let mut running = launch.start()?;
    let symbols = running.symbols();
    let (at, end) = place(at, &symbols)?;
    let space = running.process().space().clone();
    let listing = jit::foreign::listing(&options, &space, at, host.triple())?;
    let explained = Explained::new(&listing, &space, &symbols, host);
    Ok(Subject {
        explained,
        symbols,
        at,
        end,
    })
}

fn options(mut options: EngineOptions) -> EngineOptions {
    options.jit.listings = true;
    options.jit.background = false;
    options
}

/// The address that `text` means: a symbol, or a number in hexadecimal.
fn place(text: &str, symbols: &Symbols) -> Result<(u64, u64), Error> {
    if let Some(symbol) = symbols.find(text) {
        // Assembly need not say how long its functions are; the region does then.
        let end = match symbol.size {
            0 => 0,
            size => symbol.start + size,
        };
        return Ok((symbol.start, end));
    }
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if let Ok(address) = u64::from_str_radix(digits, 16) {
        return Ok((address, 0));
    }
    let similar = symbols.similar(text);
    let remedy = match similar.as_slice() {
        [] => "name a symbol of the program, or an address such as 0x10400".to_owned(),
        names => format!("did you mean {}?", names.join(", ")),
    };
    Err(Error::usage(
        format!("the program has no symbol '{text}'"),
        remedy,
    ))
}

/// The instruction at `pc`, 0 if there is none.
pub(crate) fn word(space: &UserSpace, pc: u64) -> u32 {
    let low = space.fetch(pc).map_or(0, u32::from);
    match low & 3 {
        3 => low | space.fetch(pc.wrapping_add(2)).map_or(0, u32::from) << 16,
        _ => low,
    }
}
