//! The guest programs built into the binary: demo, tests and benches run them.
//!
//! Sources are in `guests/`, built by `cargo xtask guests`. Each takes a repeat count, prints one
//! line with a checksum that is the same on every machine, and checks its own result.

/// What a program mostly does, as the comparisons are grouped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Group {
    /// Integer arithmetic, tables, branches.
    Integer,
    /// Single and double precision arithmetic.
    Floating,
    /// Loads and stores that dominate.
    Memory,
    /// Indirect jumps, calls and returns.
    Indirect,
    /// Starting and ending a process.
    StartUp,
}

impl Group {
    /// Every group, in the order tables show them.
    pub const ALL: [Group; 5] = [
        Group::Integer,
        Group::Floating,
        Group::Memory,
        Group::Indirect,
        Group::StartUp,
    ];

    /// The group's name in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Group::Integer => "integer",
            Group::Floating => "floating point",
            Group::Memory => "memory",
            Group::Indirect => "indirect",
            Group::StartUp => "start-up",
        }
    }
}

/// One program and how it is measured.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name: the file in `guests/bin`, the word its output starts with.
    pub name: &'static str,
    /// The group whose mean it counts towards.
    pub group: Group,
    /// The repeat count that takes about 0.2 s natively.
    pub count: u64,
    /// What it does, in a few words.
    pub about: &'static str,
    /// The ELF file: riscv64, static, with symbols.
    pub elf: &'static [u8],
    /// The source's file name, and the source, which native twins are built from.
    pub source: (&'static str, &'static str),
}

macro_rules! programs {
    ($($group:ident $name:literal $extension:literal $count:literal $about:literal;)*) => {
        &[$(Program {
            name: $name,
            group: Group::$group,
            count: $count,
            about: $about,
            elf: include_bytes!(concat!("../../guests/bin/", $name)),
            source: (
                concat!($name, $extension),
                include_str!(concat!("../../guests/programs/", $name, $extension)),
            ),
        }),*]
    };
}

/// All programs with a repeat count, group by group.
pub static PROGRAMS: &[Program] = programs! {
    Integer "mixed" ".c" 20_000 "lists, small matrices, a state machine, checksums";
    Integer "records" ".c" 20_000_000 "records, enumerations, string comparison, small calls";
    Integer "sha256" ".c" 8_000 "SHA-256";
    Integer "aes" ".c" 4_000 "AES-128 in counter mode, byte tables";
    Integer "crc32" ".c" 3_000 "CRC-32 by bits and by table";
    Integer "bigint" ".c" 300 "1024-bit modular powers";
    Integer "lz" ".c" 500 "a byte compressor and its inverse";
    Integer "json" ".c" 10_000 "a recursive-descent parser";
    Integer "queens" ".c" 4_000 "backtracking over bit sets";
    Integer "life" ".c" 8_000 "the game of life";
    Floating "matmul64" ".c" 700 "matrix product, double precision";
    Floating "matmul32" ".c" 1_000 "matrix product, single precision";
    Floating "nbody" ".c" 5_000_000 "planets around a sun";
    Floating "spectral" ".c" 5_000 "power iteration with divisions";
    Floating "mandelbrot" ".c" 7_000 "the Mandelbrot set";
    Floating "floats" ".c" 600_000 "elementary functions, conversions, calls";
    Floating "linear" ".c" 1_000 "linear equations by elimination";
    Floating "fft" ".c" 8_000 "the fast Fourier transform";
    Floating "raytrace" ".c" 60_000 "a ray tracer";
    Memory "sort" ".c" 80 "quicksort by comparison function, heapsort";
    Memory "sieve" ".c" 60 "the sieve of Eratosthenes";
    Memory "strings" ".c" 1_000 "string and memory functions";
    Memory "chase" ".c" 6 "pointers in random order over 8 MiB";
    Memory "hash" ".c" 100 "a hash table with open addressing";
    Memory "stream" ".c" 400 "copy, scale, add, triad over 12 MiB";
    Indirect "bytecode_goto" ".c" 700 "an interpreter with computed goto";
    Indirect "bytecode_switch" ".c" 500 "an interpreter with one switch";
    Indirect "virtual" ".cc" 700_000 "virtual calls over mixed shapes";
    Indirect "fib" ".c" 500 "naive recursion";
    Indirect "ackermann" ".c" 600 "deep recursion";
    StartUp "hello" ".c" 1 "starting and ending a process";
};

/// The other files that a native twin is built from: name and text.
pub static RUNTIME: &[(&str, &str)] = &[
    ("runtime.h", include_str!("../../guests/runtime/runtime.h")),
    ("host.h", include_str!("../../guests/runtime/host.h")),
    ("runtime.c", include_str!("../../guests/runtime/runtime.c")),
    ("math.c", include_str!("../../guests/runtime/math.c")),
    ("start.S", include_str!("../../guests/runtime/start.S")),
    ("matmul.h", include_str!("../../guests/programs/matmul.h")),
    (
        "bytecode.h",
        include_str!("../../guests/programs/bytecode.h"),
    ),
];

/// The program of this name.
pub fn find(name: &str) -> Option<&'static Program> {
    PROGRAMS.iter().find(|p| p.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_has_a_row_and_every_row_a_source() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/guests/programs");
        let mut sources: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter_map(|file| {
                file.strip_suffix(".c")
                    .or(file.strip_suffix(".cc"))
                    .map(str::to_owned)
            })
            .collect();
        let mut rows: Vec<String> = PROGRAMS.iter().map(|p| p.name.to_owned()).collect();
        sources.sort();
        rows.sort();
        assert_eq!(sources, rows);
    }

    #[test]
    fn every_program_is_a_small_riscv_elf_file() {
        for p in PROGRAMS {
            assert_eq!(&p.elf[..5], b"\x7fELF\x02", "{}", p.name);
            assert_eq!(p.elf[18], 243, "{} is not for RISC-V", p.name);
            assert!(
                p.elf.len() < 32 << 10,
                "{} has {} bytes",
                p.name,
                p.elf.len()
            );
        }
    }
}
