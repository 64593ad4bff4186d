//! The container: what is written comes back, and nothing that was damaged is believed.

use super::Temporary;
use crate::snapshot::layout::{ALIGNMENT, ENTRY, HEADER};
use crate::snapshot::*;
use std::path::Path;

fn meta() -> Meta {
    Meta {
        id: 7,
        subject: Subject::Process,
        title: vec![b"prog".to_vec(), vec![0xff; 3]],
        writer: "bhv 0.1.0".into(),
        created: 1_700_000_000,
        instructions: u64::MAX,
        parent: Some(Parent {
            id: 6,
            file: "before".into(),
        }),
    }
}

/// Pages of three runs: two pages, a hole, one page; far away another; in another space one more.
fn pages() -> Vec<(u32, u64, Vec<u8>)> {
    let page = |n: u8| vec![n; 4096];
    vec![
        (0, 0x1_3000, [page(1), page(2)].concat()),
        (0, 0x1_7000, page(3)),
        (0, 0x40_0000_0000, page(4)),
        (1, 0, page(5)),
    ]
}

/// Writes the sample; its bytes.
fn sample(name: &str) -> (Temporary, Vec<u8>) {
    let file = Temporary::new(name);
    let mut writer = Writer::create(&file.0).unwrap();
    writer.state(Kind::Meta, &meta()).unwrap();
    writer
        .pages::<Error>(|writer| {
            pages()
                .iter()
                .try_for_each(|(space, start, bytes)| writer.put(*space, *start, bytes))
        })
        .unwrap();
    writer
        .state(Kind::Config, &(1_u8, "config".to_owned(), vec![1.5_f64]))
        .unwrap();
    let length = writer.finish().unwrap();
    let bytes = std::fs::read(&file.0).unwrap();
    assert_eq!(bytes.len() as u64, length);
    (file, bytes)
}

/// Reads all that a resume would believe, and more.
fn read_all(bytes: &[u8]) -> Result<(Meta, Vec<Run>), Error> {
    let reader = Reader::from_source(Bytes(bytes), Path::new("test"))?;
    let meta = reader.needed::<Meta>(Kind::Meta, "this test")?;
    let runs = reader.page_map()?;
    if let Some(section) = reader.section(Kind::Config, 0) {
        let _: (u8, String, Vec<f64>) = reader.decode(section)?;
    }
    Ok((meta, runs))
}

#[test]
fn what_is_written_comes_back() {
    let (file, bytes) = sample("round");
    let (found, runs) = read_all(&bytes).unwrap();
    assert_eq!(found, meta());
    assert_eq!(runs.len(), 3, "{runs:?}");
    assert_eq!((runs[0].start, runs[0].length), (0x1_3000, 0x5000));
    for run in &runs {
        assert_eq!(run.start % ALIGNMENT, run.offset % ALIGNMENT);
    }
    for (space, start, content) in pages() {
        let run = runs
            .iter()
            .find(|r| r.space == space && r.start <= start && start < r.start + r.length)
            .unwrap();
        let at = (run.offset + start - run.start) as usize;
        assert_eq!(bytes[at..at + content.len()], content);
    }
    let hole = (runs[0].offset + 0x2000) as usize;
    assert!(bytes[hole..hole + 0x2000].iter().all(|&byte| byte == 0));
    let mut told = Vec::new();
    Reader::open(&file.0)
        .unwrap()
        .verify(|done, total| told.push((done, total)))
        .unwrap();
    assert_eq!(told, [(0x5000, 0x7000), (0x6000, 0x7000), (0x7000, 0x7000)]);
}

#[test]
fn every_damaged_byte_of_header_table_and_state_is_refused() {
    let (_file, bytes) = sample("flip");
    let reader = Reader::from_source(Bytes(&bytes), Path::new("test")).unwrap();
    let table = bytes.len() - reader.sections().len() * ENTRY as usize;
    let mut believed: Vec<usize> = (0..HEADER as usize).chain(table..bytes.len()).collect();
    for section in reader.sections() {
        if section.kind != Kind::Pages.number() {
            believed.extend(section.offset as usize..(section.offset + section.length) as usize);
        }
    }
    assert!(believed.len() > 400);
    for at in believed {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            let error = read_all(&damaged).expect_err(&format!("byte {at:#x} bit {bit}"));
            assert!(error.to_string().contains("help: "), "{error}");
        }
    }
}

#[test]
fn every_truncation_is_refused_and_so_is_anything_appended() {
    let (_file, bytes) = sample("cut");
    for length in (0..bytes.len()).filter(|n| n % 97 == 0 || *n < 600 || *n + 1200 > bytes.len()) {
        assert!(read_all(&bytes[..length]).is_err(), "{length}");
    }
    assert!(read_all(&[&bytes[..], &[0]].concat()).is_err());
}

#[test]
fn damaged_pages_are_found_by_verify_and_named() {
    let (_file, bytes) = sample("pages");
    let runs = read_all(&bytes).unwrap().1;
    for run in runs {
        for at in [0, run.length / 2, run.length - 1] {
            let mut damaged = bytes.clone();
            damaged[(run.offset + at) as usize] ^= 0x10;
            let reader = Reader::from_source(Bytes(&damaged), Path::new("test")).unwrap();
            let error = reader.verify(|_, _| {}).unwrap_err().to_string();
            assert!(error.contains(&format!("{:#x}", run.start)), "{error}");
        }
    }
}

/// Sets bytes of the file and makes all checksums right again, as an attacker would.
fn forge(bytes: &[u8], at: usize, value: &[u8]) -> Vec<u8> {
    let mut forged = bytes.to_vec();
    forged[at..at + value.len()].copy_from_slice(value);
    let word = |bytes: &[u8], at: usize| {
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
    };
    let table = word(&forged, 24);
    let entries = u32::from_le_bytes(forged[12..16].try_into().unwrap()) as usize;
    let sum = forged
        .get(table..table.saturating_add(entries * 64))
        .map(checksum::of);
    forged[32..40].copy_from_slice(&sum.unwrap_or(0).to_le_bytes());
    let sum = checksum::of(&forged[..56]);
    forged[56..64].copy_from_slice(&sum.to_le_bytes());
    forged
}

#[test]
fn hostile_numbers_are_refused_without_panic_or_huge_allocation() {
    let (_file, bytes) = sample("hostile");
    let sections = bytes[12..16].iter().map(|&b| usize::from(b)).sum::<usize>();
    let table = bytes.len() - sections * 64;
    let wild = [
        0,
        1,
        63,
        64,
        4095,
        1 << 20,
        1 << 32,
        1 << 40,
        i64::MAX as u64,
        u64::MAX - 63,
        u64::MAX,
    ];
    let fields = [8, 12, 16, 24, 40, 48].into_iter().chain(
        (0..sections).flat_map(|i| [0, 4, 8, 16, 24, 32, 36, 40].map(|f| table + i * 64 + f)),
    );
    let mut refused = 0;
    for at in fields {
        for value in wild {
            for width in [4, 8] {
                let forged = forge(&bytes, at, &value.to_le_bytes()[..width]);
                refused += u32::from(read_all(&forged).is_err());
            }
        }
    }
    assert!(refused > 400, "{refused}");
}

#[test]
fn forged_page_maps_are_refused() {
    let run = |start, length, offset| Run {
        space: 0,
        start,
        length,
        offset,
        checksum: 0,
    };
    let file = 0x1_0000..0x4_0000;
    let good = [run(0x3000, 0x2000, 0x1_3000), run(0x5000, 0x1000, 0x1_5000)];
    assert_eq!(
        PageMap {
            runs: good.to_vec()
        }
        .check(file.clone()),
        Ok(())
    );
    let bad = [
        vec![run(0x3001, 0x2000, 0x1_3001)],
        vec![run(0x3000, 0x2001, 0x1_3000)],
        vec![run(0x3000, 0, 0x1_3000)],
        vec![run(0x3000, 0x1000, 0x1_4000)],
        vec![run(0, 0x1000, 0)],
        vec![run(0, 0x4_0000, 0x1_0000)],
        vec![run(0, !0xfff, 0x1_0000)],
        vec![run(!0xffff, 0x2_0000, 0x1_0000)],
        vec![good[1], good[0]],
        vec![good[0], good[0]],
        vec![run(0, 0x1_1000, 0x1_0000), run(0x2_0000, 0x1000, 0x2_0000)],
    ];
    for runs in bad {
        assert!(
            PageMap { runs: runs.clone() }.check(file.clone()).is_err(),
            "{runs:x?}"
        );
    }
}

#[test]
fn newer_containers_and_sections_are_named_as_such() {
    let (_file, bytes) = sample("newer");
    let error = read_all(&forge(&bytes, 8, &2_u32.to_le_bytes()))
        .unwrap_err()
        .to_string();
    assert!(error.contains("the container has version 2"), "{error}");
    let table = u64::from_le_bytes(bytes[24..32].try_into().unwrap()) as usize;
    let error = read_all(&forge(&bytes, table + 4, &9_u32.to_le_bytes())).unwrap_err();
    assert!(
        matches!(error.cause, Cause::Newer { found: 9, .. }),
        "{error}"
    );
    let unknown = forge(&bytes, table, &99_u32.to_le_bytes());
    let error = read_all(&unknown).unwrap_err();
    assert!(
        matches!(error.cause, Cause::UnknownSection { index: 0, kind: 99 }),
        "{error}"
    );
    // With MAY_IGNORE the rest can be read.
    let ignorable = forge(&unknown, table + 32, &1_u32.to_le_bytes());
    let reader = Reader::from_source(Bytes(&ignorable), Path::new("test")).unwrap();
    assert!(reader.section(Kind::Meta, 0).is_none());
    assert_eq!(reader.page_map().unwrap().len(), 3);
}

#[test]
fn other_files_are_told_apart() {
    let elf = [b"\x7fELF\x02\x01\x01\0".as_slice(), &[0; 100]].concat();
    assert!(matches!(
        read_all(&elf).unwrap_err().cause,
        Cause::NotASnapshot { .. }
    ));
    assert!(matches!(
        read_all(b"").unwrap_err().cause,
        Cause::WrongLength { .. }
    ));
    let missing = Reader::open(Path::new("/nonexistent/snapshot"))
        .err()
        .unwrap();
    assert!(matches!(missing.cause, Cause::Io { .. }));
}

#[test]
fn an_unfinished_snapshot_leaves_the_old_one_alone_and_nothing_behind() {
    let (file, bytes) = sample("atomic");
    let mut writer = Writer::create(&file.0).unwrap();
    writer.state(Kind::Meta, &meta()).unwrap();
    drop(writer);
    assert_eq!(std::fs::read(&file.0).unwrap(), bytes);
    let name = file.0.file_name().unwrap().to_str().unwrap();
    let left = std::fs::read_dir(std::env::temp_dir())
        .unwrap()
        .filter(|entry| {
            let other = entry.as_ref().unwrap().file_name();
            other.to_string_lossy().contains(name) && other.to_string_lossy() != name
        })
        .count();
    assert_eq!(left, 0);
}

#[test]
fn typed_state_is_bounded() {
    // A vector that claims 2^60 elements.
    let hostile = [&[0xfd], &(1_u64 << 60).to_le_bytes()[..], &[0; 64]].concat();
    assert!(codec::decode::<Vec<u64>>(&hostile).is_err());
    assert!(codec::decode::<String>(&hostile).is_err());
    assert!(codec::decode::<u8>(&[1, 2]).is_err(), "left over");
    assert_eq!(codec::decode::<u8>(&[1]), Ok(1));
}

#[test]
fn random_pages_come_back() {
    let mut seed = 1_u64;
    let mut random = move |n: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % n
    };
    for round in 0..8 {
        let file = Temporary::new(&format!("random-{round}"));
        let mut written = Vec::new();
        let mut writer = Writer::create(&file.0).unwrap();
        writer
            .pages::<Error>(|writer| {
                let mut at = 0;
                for _ in 0..random(40) {
                    at += random(100).saturating_sub(50) * random(300) * 4096;
                    let bytes: Vec<u8> = (0..(1 + random(9)) * 512)
                        .flat_map(|_| random(u64::MAX).to_le_bytes())
                        .collect();
                    writer.put(0, at, &bytes)?;
                    at += bytes.len() as u64;
                    written.push((at - bytes.len() as u64, bytes));
                }
                Ok(())
            })
            .unwrap();
        writer.finish().unwrap();
        let bytes = std::fs::read(&file.0).unwrap();
        let reader = Reader::from_source(Bytes(&bytes), &file.0).unwrap();
        reader.verify(|_, _| {}).unwrap();
        let runs = reader.page_map().unwrap();
        for (start, content) in written {
            for (i, page) in content.chunks(4096).enumerate() {
                let at = start + i as u64 * 4096;
                let run = runs
                    .iter()
                    .find(|r| r.start <= at && at < r.start + r.length)
                    .unwrap();
                let offset = (run.offset + at - run.start) as usize;
                assert_eq!(&bytes[offset..offset + 4096], page);
            }
        }
    }
}
