//! The guest programs built into the binary: demo, tests and benches run them.
//!
//! Sources are in `guests/`, built by `cargo xtask guests`. Each takes a repeat count, prints one
//! line with a checksum that is the same on every machine, and checks its own result.

use super::group::Group;

/// One program and how it is measured.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name: the file in `guests/bin`, the word its output starts with.
    pub name: &'static str,
    /// The group whose mean it counts towards.
    pub group: Group,
    /// The repeat count that takes some 0.4 s natively.
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
    Integer "mixed" ".c" 33_000 "lists, small matrices, a state machine, checksums";
    Integer "records" ".c" 29_000_000 "records, enumerations, string comparison, small calls";
    Integer "sha256" ".c" 14_000 "SHA-256";
    Integer "aes" ".c" 7_000 "AES-128 in counter mode, byte tables";
    Integer "crc32" ".c" 5_500 "CRC-32 by bits and by table";
    Integer "bigint" ".c" 500 "1024-bit modular powers";
    Integer "lz" ".c" 850 "a byte compressor and its inverse";
    Integer "json" ".c" 20_000 "a recursive-descent parser";
    Integer "queens" ".c" 5_500 "backtracking over bit sets";
    Integer "life" ".c" 14_000 "the game of life";
    Integer "chess" ".c" 400 "moves of chess and a search among them";
    Integer "deflate" ".c" 500 "strings and Huffman codes, packed and unpacked";
    Integer "optimizer" ".cc" 6_000 "a compiler's passes over random code";
    Integer "format" ".c" 280_000 "a formatter, number readers, justified text";
    Floating "matmul64" ".c" 830 "matrix product, double precision";
    Floating "matmul32" ".c" 1_900 "matrix product, single precision";
    Floating "nbody" ".c" 8_000_000 "planets around a sun";
    Floating "spectral" ".c" 8_000 "power iteration with divisions";
    Floating "mandelbrot" ".c" 12_000 "the Mandelbrot set";
    Floating "floats" ".c" 1_000_000 "elementary functions, conversions, calls";
    Floating "linear" ".c" 2_400 "linear equations by elimination";
    Floating "fft" ".c" 15_000 "the fast Fourier transform";
    Floating "raytrace" ".c" 100_000 "a ray tracer";
    Floating "bodies" ".cc" 130_000 "boxes and balls that collide";
    Memory "sort" ".c" 150 "quicksort by comparison function, heapsort";
    Memory "sieve" ".c" 115 "the sieve of Eratosthenes";
    Memory "strings" ".c" 2_100 "string and memory functions";
    Memory "chase" ".c" 32 "pointers in random order over 8 MiB";
    Memory "hash" ".c" 180 "a hash table with open addressing";
    Memory "stream" ".c" 680 "copy, scale, add, triad over 12 MiB";
    Memory "containers" ".cc" 70 "a tree, a hash table, a heap, of several types";
    Memory "collector" ".c" 2_100 "a heap with marking and sweeping";
    Indirect "bytecode_goto" ".c" 1_200 "an interpreter with computed goto";
    Indirect "bytecode_switch" ".c" 900 "an interpreter with one switch";
    Indirect "virtual" ".cc" 1_250_000 "virtual calls over mixed shapes";
    Indirect "fib" ".c" 1_000 "naive recursion";
    Indirect "ackermann" ".c" 1_200 "deep recursion";
    Indirect "lisp" ".c" 1_300 "a Lisp: closures, built-ins by pointer";
    Indirect "processor" ".c" 10_800 "a switch of 80 operations";
    Indirect "query" ".cc" 1_100 "a query engine of virtual calls";
    Indirect "regex" ".cc" 4_000 "patterns as trees of objects and as machines";
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
    ("plus.h", include_str!("../../guests/programs/plus.h")),
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
                p.elf.len() < 64 << 10,
                "{} has {} bytes",
                p.name,
                p.elf.len()
            );
        }
    }
}
