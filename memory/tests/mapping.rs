//! Mapping calls at random against a simple model, and what Linux promises of each.

use memory::{
    Access, Error, FaultKind, FileInfo, LIMIT, MIN_ADDRESS, PAGE, PageFlags, Place, Protection,
    Sharing, UserSpace,
};
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::Arc;

const AT: u64 = 0x4000_0000;

/// Deterministic numbers (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

fn map(space: &UserSpace, place: Place, length: u64, protection: Protection) -> Result<u64, Error> {
    space.map_anonymous(place, length, protection, Sharing::Private, None)
}

fn info(name: &str) -> Arc<FileInfo> {
    steady_info(name, 0)
}

fn steady_info(name: &str, steady: u64) -> Arc<FileInfo> {
    Arc::new(FileInfo {
        path: name.into(),
        device: 1,
        inode: 2,
        steady,
    })
}

/// A page of the model: what it permits and the word at its start.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Page {
    protection: Protection,
    word: u64,
}

#[test]
fn random_mapping_calls_agree_with_a_model() {
    const PAGES: usize = 48;
    for seed in 0..60 {
        let mut random = Random(seed);
        let space = UserSpace::reserve().unwrap();
        let mut model: Vec<Option<Page>> = vec![None; PAGES];
        for step in 0..200 {
            let first = random.below(PAGES as u64) as usize;
            let count = (1 + random.below(12) as usize).min(PAGES - first);
            let (va, length) = (AT + first as u64 * PAGE, count as u64 * PAGE);
            let protection = Protection::from_bits(random.below(8) as u8);
            match random.below(7) {
                0 => {
                    map(&space, Place::Fixed(va), length, protection).unwrap();
                    model[first..first + count].fill(Some(Page {
                        protection,
                        word: 0,
                    }));
                }
                1 => {
                    let free = model[first..first + count].iter().all(Option::is_none);
                    let result = map(&space, Place::FixedNoReplace(va), length, protection);
                    if free {
                        assert_eq!(result.unwrap(), va);
                        model[first..first + count].fill(Some(Page {
                            protection,
                            word: 0,
                        }));
                    } else {
                        assert!(matches!(result, Err(Error::Exists { .. })));
                    }
                }
                2 => {
                    space.unmap(va, length).unwrap();
                    model[first..first + count].fill(None);
                }
                3 => {
                    let whole = model[first..first + count].iter().all(Option::is_some);
                    assert_eq!(space.protect(va, length, protection).is_ok(), whole);
                    for page in model[first..first + count]
                        .iter_mut()
                        .map_while(Option::as_mut)
                    {
                        page.protection = protection;
                    }
                }
                4 => {
                    let whole = model[first..first + count].iter().all(Option::is_some);
                    assert_eq!(space.discard(va, length).is_ok(), whole);
                    for page in model[first..first + count].iter_mut().flatten() {
                        page.word = 0;
                    }
                }
                5 => {
                    let pages: Vec<u64> = (va / PAGE..(va + length) / PAGE).collect();
                    space.watch_code(&pages);
                }
                _ => {
                    let word = random.next();
                    for (i, page) in model[first..first + count].iter_mut().enumerate() {
                        let at = va + i as u64 * PAGE;
                        match page {
                            Some(page) if page.protection.contains(Protection::WRITE) => {
                                space.store(at, word).unwrap();
                                page.word = word;
                            }
                            other => {
                                let kind = space.store(at, word).unwrap_err().kind;
                                assert_eq!(kind == FaultKind::Unmapped, other.is_none());
                            }
                        }
                    }
                }
            }
            check(&space, &model, seed, step);
        }
    }
}

/// The space shows what the model says, in accesses, flags and list.
fn check(space: &UserSpace, model: &[Option<Page>], seed: u64, step: u32) {
    let vmas = space.vmas();
    for pair in vmas.windows(2) {
        assert!(pair[0].end <= pair[1].start);
    }
    for (i, page) in model.iter().enumerate() {
        let va = AT + i as u64 * PAGE;
        let what = format!("seed {seed} step {step} page {i}: {page:?}");
        let listed = vmas.iter().find(|vma| vma.start <= va && va < vma.end);
        assert_eq!(
            listed.map(|vma| vma.protection),
            page.map(|page| page.protection),
            "{what}"
        );
        let flags = space.page_flags(va);
        assert_eq!(flags.has(PageFlags::MAPPED), page.is_some(), "{what}");
        let readable = page.is_some_and(|page| page.protection.readable());
        assert_eq!(flags.has(PageFlags::R), readable, "{what}");
        match space.load::<u64>(va) {
            Ok(word) => assert_eq!(Some(word), page.map(|page| page.word), "{what}"),
            Err(fault) => {
                assert!(!readable, "{what}: {fault:?}");
                assert_eq!(fault.kind == FaultKind::Unmapped, page.is_none(), "{what}");
            }
        }
    }
}

#[test]
fn no_place_or_length_reaches_outside_the_window() {
    let space = UserSpace::reserve().unwrap();
    let wild = [
        0,
        1,
        PAGE - 1,
        PAGE,
        MIN_ADDRESS - PAGE,
        LIMIT - PAGE,
        LIMIT - 1,
        LIMIT,
        LIMIT + PAGE,
        1 << 47,
        1 << 63,
        u64::MAX - PAGE,
        u64::MAX - 1,
        u64::MAX,
    ];
    for va in wild {
        for length in wild {
            for place in [Place::Fixed(va), Place::FixedNoReplace(va), Place::Hint(va)] {
                if let Ok(start) = map(&space, place, length, Protection::READ) {
                    let end = start + length.next_multiple_of(PAGE);
                    assert!(
                        start >= MIN_ADDRESS && end <= LIMIT,
                        "{place:?} {length:#x}"
                    );
                    space.unmap(start, length).unwrap();
                }
            }
            let inside = va.is_multiple_of(PAGE)
                && va.checked_add(length).is_some_and(|end| end <= LIMIT)
                && length > 0;
            assert_eq!(
                space.unmap(va, length).is_ok(),
                inside,
                "{va:#x} {length:#x}"
            );
            assert!(length == 0 || space.protect(va, length, Protection::READ).is_err());
            assert!(length == 0 || space.discard(va, length).is_err());
            assert!(
                space
                    .remap(va, length, PAGE, Some(Place::Anywhere))
                    .is_err()
            );
            let inside = va <= LIMIT && length <= LIMIT - va;
            for access in [Access::Load, Access::Store] {
                let range = space.host_range(va, length, access);
                assert_eq!(range.is_ok(), inside, "{va:#x} {length:#x}");
                assert!(
                    range.is_ok_and(|host| host == space.base().wrapping_add(va as usize))
                        || !inside
                );
            }
        }
    }
    assert!(space.vmas().is_empty());
}

#[test]
fn mappings_go_top_down_below_the_mmap_base_and_then_anywhere() {
    let space = UserSpace::reserve().unwrap();
    space.set_mmap_base(0x1000_0000);
    let rw = Protection::READ_WRITE;
    assert_eq!(
        map(&space, Place::Anywhere, 3 * PAGE, rw).unwrap(),
        0x1000_0000 - 3 * PAGE
    );
    assert_eq!(
        map(&space, Place::Anywhere, 1, rw).unwrap(),
        0x1000_0000 - 4 * PAGE
    );
    space.unmap(0x1000_0000 - 2 * PAGE, PAGE).unwrap();
    assert_eq!(
        map(&space, Place::Anywhere, PAGE, rw).unwrap(),
        0x1000_0000 - 2 * PAGE
    );
    assert_eq!(
        map(&space, Place::Hint(0x500_0000), PAGE, rw).unwrap(),
        0x500_0000
    );
    assert_eq!(
        map(&space, Place::Hint(0x500_0000), PAGE, rw).unwrap(),
        0x1000_0000 - 5 * PAGE
    );
    let low = map(&space, Place::Anywhere, 0x1000_0000, Protection::NONE).unwrap();
    assert!(low >= LIMIT / 3 - PAGE);
    assert!(matches!(
        map(&space, Place::Anywhere, LIMIT, Protection::NONE),
        Err(Error::NoMemory { .. })
    ));
}

#[test]
fn neighbours_that_continue_each_other_are_one_mapping() {
    let space = UserSpace::reserve().unwrap();
    let heap = |va| {
        let name = Some(Arc::from("[heap]"));
        let place = Place::Fixed(va);
        space
            .map_anonymous(place, PAGE, Protection::READ_WRITE, Sharing::Private, name)
            .unwrap()
    };
    heap(AT);
    heap(AT + 2 * PAGE);
    assert_eq!(space.vmas().len(), 2);
    heap(AT + PAGE);
    assert_eq!(space.vmas().len(), 1);
    space.protect(AT + PAGE, PAGE, Protection::READ).unwrap();
    assert_eq!(space.vmas().len(), 3);
    space
        .protect(AT + PAGE, PAGE, Protection::READ_WRITE)
        .unwrap();
    assert_eq!(space.vmas().len(), 1);
}

#[test]
fn private_files_are_copied_on_write_and_shared_ones_are_not() {
    let mut file = tempfile();
    file.write_all(&vec![7; 2 * PAGE as usize + 100]).unwrap();
    let space = UserSpace::reserve().unwrap();
    let rw = Protection::READ_WRITE;
    let at = |n: u64| Place::Fixed(AT + n * 0x10_0000);
    let fd = file.as_fd();
    let private = space
        .map_file(at(0), 4 * PAGE, rw, Sharing::Private, fd, 0, info("f"))
        .unwrap();
    let shared = space
        .map_file(at(1), PAGE, rw, Sharing::Shared, fd, PAGE, info("f"))
        .unwrap();
    space.store(private + PAGE, 1_u8).unwrap();
    assert_eq!(space.load::<u8>(shared), Ok(7));
    space.store(shared + 1, 9_u8).unwrap();
    space.sync(shared, PAGE, true).unwrap();
    let again = space.map_file(
        at(2),
        PAGE,
        Protection::READ,
        Sharing::Private,
        fd,
        PAGE,
        info("f"),
    );
    assert_eq!(space.load::<u16>(again.unwrap()), Ok(0x0907));
    // The last page that the file reaches is zero behind its end; what lies behind that is lost.
    assert_eq!(space.load::<u8>(private + 2 * PAGE + 99), Ok(7));
    assert_eq!(space.load::<u8>(private + 2 * PAGE + 100), Ok(0));
    for access in [Access::Load, Access::Store] {
        let fault = match access {
            Access::Load => space.load::<u32>(private + 3 * PAGE + 12).unwrap_err(),
            _ => space.store(private + 3 * PAGE + 12, 1_u32).unwrap_err(),
        };
        assert_eq!(
            (fault.va, fault.kind),
            (private + 3 * PAGE + 12, FaultKind::BeyondFile)
        );
    }
    let fault = space.load::<u64>(private + 3 * PAGE - 3).unwrap_err();
    assert_eq!(
        (fault.va, fault.kind),
        (private + 3 * PAGE, FaultKind::BeyondFile)
    );
    let mut buffer = vec![0; 2 * PAGE as usize];
    let fault = space
        .read_bytes(private + 2 * PAGE, &mut buffer)
        .unwrap_err();
    assert_eq!(
        (fault.va, fault.kind),
        (private + 3 * PAGE, FaultKind::BeyondFile)
    );
}

#[test]
fn a_read_only_file_refuses_shared_writing_and_keeps_what_was_there() {
    let space = UserSpace::reserve().unwrap();
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    map(&space, Place::Fixed(AT), PAGE, Protection::READ_WRITE).unwrap();
    space.store(AT, 5_u8).unwrap();
    let rw = Protection::READ_WRITE;
    let refused = space.map_file(
        Place::Fixed(AT),
        PAGE,
        rw,
        Sharing::Shared,
        file.as_fd(),
        0,
        info("exe"),
    );
    assert!(matches!(refused, Err(Error::Host { .. })));
    assert_eq!(space.load::<u8>(AT), Ok(5));
    let r = Protection::READ;
    space
        .map_file(
            Place::Fixed(AT),
            PAGE,
            r,
            Sharing::Shared,
            file.as_fd(),
            0,
            info("exe"),
        )
        .unwrap();
    assert!(space.protect(AT, PAGE, rw).is_err());
    assert_eq!(space.load::<u32>(AT), Ok(u32::from_le_bytes(*b"\x7fELF")));
    assert_eq!(
        space.store(AT, 1_u8).unwrap_err().kind,
        FaultKind::Protected
    );
}

#[test]
fn pages_are_steady_where_no_file_can_end_before_them() {
    let space = UserSpace::reserve().unwrap();
    let rw = Protection::READ_WRITE;
    let is = |va: u64| space.page_flags(va).has(PageFlags::STEADY);
    map(&space, Place::Fixed(AT), 3 * PAGE, rw).unwrap();
    assert!(is(AT) && is(AT + 2 * PAGE) && !is(AT + 3 * PAGE));
    space.protect(AT, PAGE, Protection::READ).unwrap();
    assert!(is(AT));
    space.unmap(AT, PAGE).unwrap();
    assert!(!is(AT) && is(AT + PAGE));
    let file = tempfile();
    file.set_len(2 * PAGE + 5).unwrap();
    let (private, shared) = (Sharing::Private, Sharing::Shared);
    for (pages, steady, sharing, expected) in [
        (3, 2 * PAGE + 5, private, true),
        (3, 2 * PAGE, private, false),
        (4, 2 * PAGE + 5, private, false),
        (3, 0, private, false),
        (3, 2 * PAGE + 5, shared, false),
    ] {
        let info = steady_info("/bin/x", steady);
        let place = Place::Fixed(AT << 1);
        space
            .map_file(place, pages * PAGE, rw, sharing, file.as_fd(), 0, info)
            .unwrap();
        assert_eq!(
            is(AT << 1),
            expected,
            "{pages} pages, {steady}, {sharing:?}"
        );
        space.unmap(AT << 1, pages * PAGE).unwrap();
    }
    let memory = map(&space, Place::Anywhere, PAGE, rw).unwrap();
    assert!(is(memory));
    let other = space
        .map_anonymous(Place::Anywhere, PAGE, rw, shared, None)
        .unwrap();
    assert!(!is(other));
}

#[test]
fn a_program_file_that_grows_in_memory_beyond_its_end_is_not_steady_any_more() {
    let space = UserSpace::reserve().unwrap();
    let file = tempfile();
    file.set_len(2 * PAGE).unwrap();
    let at = space
        .map_file(
            Place::Anywhere,
            2 * PAGE,
            Protection::READ,
            Sharing::Private,
            file.as_fd(),
            0,
            steady_info("/bin/x", 2 * PAGE),
        )
        .unwrap();
    let steady = |va: u64| space.page_flags(va).has(PageFlags::STEADY);
    assert!(steady(at) && steady(at + PAGE));
    let moved = space
        .remap(at, 2 * PAGE, 4 * PAGE, Some(Place::Anywhere))
        .unwrap();
    for page in 0..4 {
        assert!(!steady(moved + page * PAGE), "page {page}");
    }
    let fault = space.load::<u8>(moved + 3 * PAGE).unwrap_err();
    assert_eq!(fault.kind, FaultKind::BeyondFile);
}

#[test]
fn remapping_keeps_contents_and_leaves_nothing_behind() {
    let space = UserSpace::reserve().unwrap();
    let mut file = tempfile();
    file.write_all(&vec![3; 8 * PAGE as usize]).unwrap();
    let rw = Protection::READ_WRITE;
    for kind in [
        "anonymous",
        "private file",
        "shared file",
        "shared anonymous",
    ] {
        let sharing = if kind.starts_with("shared") {
            Sharing::Shared
        } else {
            Sharing::Private
        };
        let place = Place::Fixed(AT);
        if kind.ends_with("anonymous") {
            space
                .map_anonymous(place, 2 * PAGE, rw, sharing, None)
                .unwrap();
        } else {
            space
                .map_file(place, 2 * PAGE, rw, sharing, file.as_fd(), 0, info("f"))
                .unwrap();
        }
        space.store(AT + PAGE, 0xabcd_u64).unwrap();
        // In place.
        assert_eq!(
            space.remap(AT, 2 * PAGE, 3 * PAGE, None).unwrap(),
            AT,
            "{kind}"
        );
        let third = space.load::<u8>(AT + 2 * PAGE).ok();
        let expected = match kind {
            "anonymous" => Some(0),
            "shared anonymous" => None,
            _ => Some(3),
        };
        assert_eq!(third, expected, "{kind}");
        // Something is in the way.
        map(&space, Place::Fixed(AT + 3 * PAGE), PAGE, Protection::READ).unwrap();
        assert!(matches!(
            space.remap(AT, 3 * PAGE, 4 * PAGE, None),
            Err(Error::NoMemory { .. })
        ));
        let moved = space
            .remap(AT, 3 * PAGE, 5 * PAGE, Some(Place::Anywhere))
            .unwrap();
        assert_eq!(space.load::<u64>(moved + PAGE), Ok(0xabcd), "{kind}");
        assert_eq!(
            space.load::<u8>(AT).unwrap_err().kind,
            FaultKind::Unmapped,
            "{kind}"
        );
        // To a fixed place, shrinking.
        let there = Place::Fixed(AT + 0x100_0000);
        let fixed = space.remap(moved, 5 * PAGE, 2 * PAGE, Some(there)).unwrap();
        assert_eq!(space.load::<u64>(fixed + PAGE), Ok(0xabcd), "{kind}");
        let fault = space.load::<u8>(fixed + 2 * PAGE).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unmapped, "{kind}");
        assert_eq!(
            space.load::<u8>(moved + 4 * PAGE).unwrap_err().kind,
            FaultKind::Unmapped
        );
        assert_eq!(space.remap(fixed, 2 * PAGE, PAGE, None).unwrap(), fixed);
        space.unmap(AT, 0x1000_0000).unwrap();
        assert!(space.vmas().is_empty(), "{kind}: {:?}", space.vmas());
    }
}

fn tempfile() -> std::fs::File {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!(
        "bhv-{}-{}",
        std::process::id(),
        NUMBER.fetch_add(1, Ordering::Relaxed)
    );
    let path = std::env::temp_dir().join(name);
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .unwrap();
    std::fs::remove_file(path).unwrap();
    file
}
