//! Address spaces in snapshots: what is restored is what was saved.

use super::Temporary;
use crate::snapshot::space::{self, Mapping, Mappings};
use crate::snapshot::{Kind, Reader, Writer};
use memory::{FileInfo, PAGE, Place, Protection, Sharing, UserSpace};
use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;

const AT: u64 = 0x1_2345_6000;

fn save(space: &UserSpace, name: &str) -> Temporary {
    let file = Temporary::new(name);
    let mut writer = Writer::create(&file.0).unwrap();
    space::save(&mut writer, space).unwrap();
    writer.finish().unwrap();
    file
}

fn restore(file: &Temporary) -> UserSpace {
    let reader = Reader::open(&file.0).unwrap();
    let space = UserSpace::reserve().unwrap();
    space::restore(&reader, &space, &|_, _| None).unwrap();
    space
}

#[test]
fn a_space_full_of_random_pages_comes_back() {
    let mut seed = 5_u64;
    let mut random = move |n: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % n
    };
    for round in 0..2 {
        let space = UserSpace::reserve().unwrap();
        let mut words = Vec::new();
        for i in 0..12 {
            let start = AT + i * (16 << 20) + random(8) * PAGE;
            let pages = 1 + random(2000);
            let rw = Protection::READ_WRITE;
            let name = random(2).eq(&0).then(|| Arc::from("[heap]"));
            let sharing = if random(4) == 0 {
                Sharing::Shared
            } else {
                Sharing::Private
            };
            let place = Place::Fixed(start);
            space
                .map_anonymous(place, pages * PAGE, rw, sharing, name)
                .unwrap();
            for _ in 0..random(20) {
                let va = start + random(pages) * PAGE + random(500) * 8;
                space.store(va, va ^ 0x5555).unwrap();
                words.push(va);
            }
            if random(2) == 0 {
                let part = random(pages);
                let protection = Protection::from_bits(random(8) as u8);
                space
                    .protect(start + part * PAGE, PAGE, protection)
                    .unwrap();
            }
        }
        space.set_mmap_base(AT + random(1000) * PAGE);
        let file = save(&space, &format!("space-{round}"));
        let copy = restore(&file);
        assert_eq!(copy.vmas(), space.vmas());
        assert_eq!(copy.mmap_base(), space.mmap_base());
        for va in words {
            assert_eq!(copy.load::<u64>(va), space.load::<u64>(va), "{va:#x}");
        }
        // The same again from the copy, byte for byte, though none of it was touched before.
        let again = save(&restore(&file), &format!("space-{round}-again"));
        let runs = |file| Reader::open(file).unwrap().page_map().unwrap();
        let sums = |file| {
            runs(file)
                .iter()
                .map(|r| (r.start, r.length, r.checksum))
                .collect::<Vec<_>>()
        };
        assert_eq!(sums(&again.0), sums(&file.0));
    }
}

#[test]
fn a_shared_file_is_mapped_again_and_else_copied() {
    let backing = Temporary::new("shared-file");
    std::fs::write(&backing.0, vec![7; PAGE as usize]).unwrap();
    let open = || {
        File::options()
            .read(true)
            .write(true)
            .open(&backing.0)
            .unwrap()
    };
    let space = UserSpace::reserve().unwrap();
    let info = Arc::new(FileInfo {
        path: b"/shared".to_vec(),
        device: 1,
        inode: 2,
        steady: 0,
    });
    let (place, rw) = (Place::Fixed(AT), Protection::READ_WRITE);
    space
        .map_file(place, PAGE, rw, Sharing::Shared, open().as_fd(), 0, info)
        .unwrap();
    space.store(AT, 1_u8).unwrap();
    let file = save(&space, "shared");
    let reader = Reader::open(&file.0).unwrap();

    let again = UserSpace::reserve().unwrap();
    let reopen = |path: &[u8], write| {
        assert_eq!((path, write), (b"/shared".as_slice(), true));
        Some(open())
    };
    space::restore(&reader, &again, &reopen).unwrap();
    again.store(AT + 1, 2_u8).unwrap();
    assert_eq!(space.load::<u32>(AT), Ok(0x0707_0201));

    let copy = restore(&file);
    assert_eq!(copy.load::<u32>(AT), Ok(0x0707_0701));
    copy.store(AT + 2, 3_u8).unwrap();
    assert_eq!(space.load::<u32>(AT), Ok(0x0707_0201));
}

#[test]
fn forged_mappings_are_refused() {
    let good = Mapping {
        start: AT,
        end: AT + PAGE,
        protection: 3,
        shared: false,
        file: None,
        name: None,
        reach: AT + PAGE,
    };
    let wild = [
        0,
        1,
        PAGE,
        AT,
        AT + 1,
        memory::LIMIT,
        memory::LIMIT + PAGE,
        u64::MAX - 4095,
    ];
    let mut refused = 0;
    for start in wild {
        for end in wild {
            for shared in [false, true] {
                let one = Mapping {
                    start,
                    end,
                    shared,
                    reach: end,
                    ..good.clone()
                };
                let two = Mapping {
                    start: AT,
                    end: AT + PAGE,
                    ..good.clone()
                };
                let file = Temporary::new("forged-mappings");
                let mut writer = Writer::create(&file.0).unwrap();
                let list = vec![one, two];
                writer
                    .state(
                        Kind::Mappings,
                        &Mappings {
                            mmap_base: end,
                            list,
                        },
                    )
                    .unwrap();
                writer.finish().unwrap();
                let space = UserSpace::reserve().unwrap();
                let reader = Reader::open(&file.0).unwrap();
                refused += u32::from(space::restore(&reader, &space, &|_, _| None).is_err());
            }
        }
    }
    assert!(refused >= 120, "{refused}");
}
