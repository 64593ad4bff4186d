//! The ELF parser: what it refuses, with which words, and that nothing makes it panic or allocate
//! without bounds.

use linux::elf::{Elf, parse};
use linux::{Error, Grant};
use std::path::Path;

const LIMIT: u64 = memory::LIMIT;

fn hello() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests/bin/hello")).unwrap()
}

fn try_parse(bytes: &[u8]) -> Result<Elf, Error> {
    parse(Path::new("file"), bytes, LIMIT)
}

/// What parsing a changed copy of hello says.
fn refusal(change: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = hello();
    change(&mut bytes);
    let error = try_parse(&bytes).expect_err("refused");
    assert_eq!(error.exit_code(), 126);
    error.to_string()
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// Where the program header of the n-th loadable segment is.
fn segment(bytes: &[u8], n: usize) -> usize {
    let count = usize::from(bytes[56]);
    let loads = (0..count)
        .map(|index| 64 + index * 56)
        .filter(|&at| bytes[at..at + 4] == [1, 0, 0, 0]);
    loads.into_iter().nth(n).unwrap()
}

#[test]
fn hello_is_accepted() {
    let elf = try_parse(&hello()).unwrap();
    assert!(!elf.segments.is_empty() && elf.interpreter.is_none() && elf.headers_va != 0);
    assert!(
        elf.segments
            .iter()
            .any(|s| (s.va..s.end()).contains(&elf.entry))
    );
}

#[test]
fn each_defect_is_named_with_offset_and_remedy() {
    type Change = fn(&mut Vec<u8>);
    let cases: &[(&str, Change)] = &[
        ("no ELF file", |b| b[0] = b'#'),
        ("truncated: 40 bytes", |b| b.truncate(40)),
        ("a 32-bit program", |b| b[4] = 1),
        ("data encoding 2", |b| b[5] = 2),
        ("a program for x86-64 (machine 62)", |b| b[18] = 62),
        ("a program for aarch64", |b| b[18] = 183),
        ("an object file", |b| b[16] = 1),
        ("a core dump", |b| b[16] = 4),
        ("file type 9", |b| b[16] = 9),
        ("unknown ELF version", |b| b[20] = 7),
        ("program headers of 32 bytes", |b| b[54] = 32),
        ("0 program headers", |b| put(b, 56, &[0, 0])),
        ("lies outside the file", |b| {
            put(b, 32, &u64::MAX.to_le_bytes())
        }),
        ("lies outside the file", |b| b.truncate(100)),
        ("a segment's bytes", |b| {
            let at = segment(b, 0);
            put(b, at + 8, &(1u64 << 60).to_le_bytes());
        }),
        ("bytes in the file but only", |b| {
            let at = segment(b, 0);
            put(b, at + 40, &1u64.to_le_bytes());
        }),
        ("outside the guest's addresses", |b| {
            let at = segment(b, 0);
            put(b, at + 16, &(LIMIT - 8192).to_le_bytes());
            put(b, at + 40, &(1u64 << 40).to_le_bytes());
        }),
        ("outside the guest's addresses", |b| {
            let at = segment(b, 0);
            put(b, at + 16, &u64::MAX.to_le_bytes());
        }),
        ("differ modulo the page size", |b| {
            let at = segment(b, 0);
            b[at + 16] ^= 8;
        }),
        ("overlaps or precedes", |b| {
            let (first, second) = (segment(b, 0), segment(b, 1));
            let (va, offset) = (
                b[first + 16..first + 24].to_vec(),
                b[first + 8..first + 16].to_vec(),
            );
            put(b, second + 16, &va);
            put(b, second + 8, &offset);
        }),
        ("in no executable segment", |b| {
            put(b, 24, &0x77u64.to_le_bytes())
        }),
        ("no loadable segment", |b| {
            for n in 0..usize::from(b[56]) {
                put(b, 64 + n * 56, &[4]);
            }
        }),
    ];
    for (words, change) in cases {
        let message = refusal(change);
        assert!(message.contains(words), "expected '{words}' in: {message}");
        assert!(message.contains("at file offset 0x"), "{message}");
        assert!(message.starts_with("file: "), "{message}");
    }
}

#[test]
fn a_huge_segment_is_refused_before_anything_is_allocated() {
    let message = refusal(|b| {
        let loads = (0..usize::from(b[56]))
            .filter(|n| b[64 + n * 56..][..4] == [1, 0, 0, 0])
            .count();
        let last = segment(b, loads - 1);
        put(b, last + 40, &(LIMIT / 2).to_le_bytes());
    });
    assert!(message.contains("bytes of addresses, at most"), "{message}");
}

#[test]
fn every_truncation_is_an_error_or_a_program() {
    let bytes = hello();
    for len in (0..4096.min(bytes.len())).chain([bytes.len() - 1]) {
        // Sections at the end may be missing; headers and segments may not.
        let _ = try_parse(&bytes[..len]);
        assert!(
            len > 4000 || try_parse(&bytes[..len]).is_err(),
            "{len} bytes"
        );
    }
}

#[test]
fn random_headers_never_panic() {
    let original = hello();
    let mut seed = 0x1234_5678_9abc_def0u64;
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let headers = 64 + usize::from(original[56]) * 56;
    let mut accepted = 0;
    for _ in 0..200_000 {
        let mut bytes = original[..original.len().min(8192)].to_vec();
        bytes.resize(original.len(), 0);
        for _ in 0..1 + next() % 4 {
            let at = 4 + (next() as usize) % (headers - 12);
            match next() % 4 {
                0 => bytes[at] ^= 1 << (next() % 8),
                1 => bytes[at] = next() as u8,
                2 => put(&mut bytes, at & !7, &next().to_le_bytes()),
                _ => put(
                    &mut bytes,
                    at & !7,
                    &(next() >> (next() % 64)).to_le_bytes(),
                ),
            }
        }
        if let Ok(elf) = try_parse(&bytes) {
            accepted += 1;
            // What loading relies on.
            let mut before = 0;
            for s in &elf.segments {
                assert!(s.va >= before && s.end() < LIMIT && s.file_size <= s.memory_size);
                assert!(
                    s.offset + s.file_size <= bytes.len() as u64 && s.va % 4096 == s.offset % 4096
                );
                before = s.end();
            }
            assert!(elf.end() - elf.start() <= LIMIT / 4);
        }
    }
    assert!(
        accepted > 100,
        "the test changes too much: {accepted} accepted"
    );
}

#[test]
fn grants_are_parsed() {
    let grant = Grant::parse("/host:/guest:ro").unwrap();
    assert_eq!(
        (grant.host, grant.guest, grant.writable),
        ("/host".into(), "/guest".into(), false)
    );
    let grant = Grant::parse("/host").unwrap();
    assert_eq!(
        (grant.host, grant.guest, grant.writable),
        ("/host".into(), "/host".into(), true)
    );
    for bad in ["", ":/x", "/x:relative"] {
        let message = Grant::parse(bad).unwrap_err().to_string();
        assert!(message.contains("Write HOST"), "{message}");
    }
}
