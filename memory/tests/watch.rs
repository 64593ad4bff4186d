//! Code watching: every way of changing a page makes its translations stale.

use memory::{
    Access, FaultKind, HostFrame, PAGE, PageFlags, Place, Protection, Sharing, UserSpace,
};
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const AT: u64 = 0x20_0000;
const RWX: u8 = 7;

fn space(pages: u64) -> UserSpace {
    let space = UserSpace::reserve().unwrap();
    map(&space, AT, pages);
    space
}

fn map(space: &UserSpace, va: u64, pages: u64) {
    let protection = Protection::from_bits(RWX);
    let place = Place::Fixed(va);
    space
        .map_anonymous(place, pages * PAGE, protection, Sharing::Private, None)
        .unwrap();
}

/// Watches the page at AT, acts, and says whether it became stale.
fn becomes_stale(act: impl FnOnce(&UserSpace)) -> bool {
    let space = space(4);
    space.watch_code(&[AT / PAGE]);
    let epoch = space.stale_epoch();
    assert!(space.page_flags(AT).has(PageFlags::CODE));
    act(&space);
    let (now, pages) = space.stale_since(epoch);
    assert_eq!(space.stale_since(now), (now, vec![]));
    assert!(pages.iter().all(|&page| page == AT / PAGE), "{pages:?}");
    assert_eq!(space.page_flags(AT).has(PageFlags::CODE), pages.is_empty());
    !pages.is_empty()
}

#[test]
fn writes_make_code_stale_and_succeed() {
    assert!(becomes_stale(|space| {
        space.store(AT + 8, 0x1234_5678_u32).unwrap();
        assert_eq!(space.load::<u32>(AT + 8), Ok(0x1234_5678));
        assert!(space.page_flags(AT).has(PageFlags::STALE));
    }));
    assert!(becomes_stale(|space| space
        .store(AT - 4 + PAGE, 1_u64)
        .unwrap()));
    assert!(becomes_stale(|space| space
        .write_bytes(AT + 5, &[1; 9000])
        .unwrap()));
    assert!(becomes_stale(|space| {
        space.compare_exchange(AT, 0_u32, 1).unwrap();
    }));
    assert!(becomes_stale(|space| {
        space.host_range(AT + PAGE - 1, 1, Access::Store).unwrap();
    }));
}

#[test]
fn changes_of_the_mapping_make_code_stale() {
    assert!(becomes_stale(|space| space.unmap(AT, PAGE).unwrap()));
    assert!(becomes_stale(|space| map(space, AT, 1)));
    assert!(becomes_stale(|space| space
        .protect(AT, PAGE, Protection::READ_EXECUTE)
        .unwrap()));
    assert!(becomes_stale(|space| space.discard(AT, 2 * PAGE).unwrap()));
    assert!(becomes_stale(|space| {
        space
            .remap(AT, 4 * PAGE, 5 * PAGE, Some(Place::Fixed(AT << 4)))
            .unwrap();
    }));
}

#[test]
fn what_leaves_the_page_alone_leaves_the_code_valid() {
    assert!(!becomes_stale(|space| {
        space.load::<u32>(AT).unwrap();
        space.fetch(AT).unwrap();
        space.store(AT + PAGE, 1_u8).unwrap();
        space.protect(AT, PAGE, Protection::from_bits(RWX)).unwrap();
        space.unmap(AT + PAGE, PAGE).unwrap();
        space.host_range(AT, PAGE, Access::Load).unwrap();
        space.host_range(AT, 0, Access::Store).unwrap();
    }));
}

#[test]
fn code_in_shared_mappings_is_stale_after_every_fence() {
    let space = UserSpace::reserve().unwrap();
    let place = Place::Fixed(AT);
    let protection = Protection::READ_EXECUTE;
    space
        .map_anonymous(place, PAGE, protection, Sharing::Shared, None)
        .unwrap();
    for _ in 0..3 {
        let epoch = space.stale_epoch();
        space.watch_code(&[AT / PAGE]);
        assert_eq!(space.stale_since(epoch).1, []);
        space.fence_code();
        assert_eq!(space.stale_since(epoch).1, [AT / PAGE]);
    }
    let epoch = space.stale_epoch();
    space.fence_code();
    assert_eq!(space.stale_since(epoch).1, []);
}

#[test]
fn a_consumer_far_behind_gets_every_page_that_held_code() {
    let space = space(4);
    for _ in 0..20_000 {
        space.watch_code(&[AT / PAGE]);
        space.host_range(AT, 1, Access::Store).unwrap();
    }
    let (now, pages) = space.stale_since(0);
    assert_eq!(now, 20_000);
    assert!(pages.contains(&(AT / PAGE)));
    assert_eq!(space.stale_since(19_998).1, [AT / PAGE; 2]);
}

#[test]
fn the_host_kernel_can_write_where_code_was() {
    let space = space(1);
    space.watch_code(&[AT / PAGE]);
    let mut ends = [0; 2];
    // SAFETY: an array of two, as pipe wants.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    // SAFETY: just made, owned by nobody else.
    let (mut reader, _writer) = unsafe {
        (
            std::fs::File::from_raw_fd(ends[0]),
            std::fs::File::from_raw_fd(ends[1]),
        )
    };
    // SAFETY: valid buffer of two bytes.
    assert_eq!(unsafe { libc::write(ends[1], b"ok".as_ptr().cast(), 2) }, 2);
    let raw = reader.as_raw_fd();
    // Without asking, the kernel refuses and takes nothing from the pipe.
    let host = space.base().wrapping_add(AT as usize);
    // SAFETY: the kernel checks the address.
    assert_eq!(unsafe { libc::read(raw, host.cast(), 2) }, -1);
    let host = space.host_range(AT, 2, Access::Store).unwrap();
    // SAFETY: the kernel checks the address.
    assert_eq!(unsafe { libc::read(raw, host.cast(), 2) }, 2);
    assert_eq!(space.load::<u16>(AT), Ok(u16::from_le_bytes(*b"ok")));
    drop(_writer);
    assert_eq!(reader.read(&mut [0; 4]).unwrap(), 0);
}

#[test]
fn no_write_is_lost_between_watchers_and_writers() {
    // Each round the writer counts up; the watcher must see staleness for every value that it did
    // not see before it watched.
    let space = Arc::new(space(1));
    let stop = Arc::new(AtomicBool::new(false));
    let written = Arc::new(AtomicU64::new(0));
    let writer = {
        let (space, stop, written) = (space.clone(), stop.clone(), written.clone());
        std::thread::spawn(move || {
            for value in 1.. {
                space.store::<u64>(AT, value).unwrap();
                written.store(value, Ordering::SeqCst);
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                if value % 64 == 0 {
                    std::thread::yield_now();
                }
            }
        })
    };
    let mut caught = 0;
    for _ in 0..500 {
        let epoch = space.stale_epoch();
        space.watch_code(&[AT / PAGE]);
        let code = space.load::<u64>(AT).unwrap();
        let start = written.load(Ordering::SeqCst);
        while written.load(Ordering::SeqCst) < start + 2 {
            std::thread::yield_now();
        }
        // The writer has stored something newer than `code` since.
        assert!(space.load::<u64>(AT).unwrap() > code);
        let (_, pages) = space.stale_since(epoch);
        assert_eq!(pages.first(), Some(&(AT / PAGE)));
        caught += 1;
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    assert_eq!(caught, 500);
}

#[test]
fn unmapping_under_a_running_thread_faults_it_cleanly() {
    let space = Arc::new(space(8));
    let stop = Arc::new(AtomicBool::new(false));
    let loaders: Vec<_> = (0..2)
        .map(|n| {
            let (space, stop) = (space.clone(), stop.clone());
            std::thread::spawn(move || {
                let (mut worked, mut faulted) = (0_u64, 0_u64);
                while !stop.load(Ordering::Relaxed) {
                    for page in 0..8 {
                        let result = if n == 0 {
                            space
                                .load::<u64>(AT + page * PAGE)
                                .map(|word| assert_eq!(word, 0))
                        } else {
                            space.store(AT + page * PAGE, 0_u64)
                        };
                        match result {
                            Ok(()) => worked += 1,
                            Err(fault) => {
                                assert_eq!(fault.va, AT + page * PAGE);
                                assert_eq!(fault.kind, FaultKind::Unmapped);
                                faulted += 1;
                            }
                        }
                    }
                }
                (worked, faulted)
            })
        })
        .collect();
    for round in 0..500 {
        space.unmap(AT + round % 8 * PAGE, PAGE).unwrap();
        std::thread::yield_now();
        map(&space, AT + round % 8 * PAGE, 1);
        space.watch_code(&[AT / PAGE + round % 8]);
    }
    stop.store(true, Ordering::Relaxed);
    for loader in loaders {
        let (worked, _) = loader.join().unwrap();
        assert!(worked > 0);
    }
}

#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    "bhv_test_load: mov rax, [rdi]",
    "ret",
    "bhv_test_exit: mov rax, rsi",
    "ret",
    "bhv_test_end:",
);
#[cfg(target_arch = "aarch64")]
std::arch::global_asm!(
    "bhv_test_load: ldr x0, [x0]",
    "ret",
    "bhv_test_exit: mov x0, x1",
    "ret",
    "bhv_test_end:",
);
/// The register of the second argument: rsi, x1.
const OTHER: usize = if cfg!(target_arch = "x86_64") { 6 } else { 1 };

#[test]
fn faults_in_a_code_range_go_to_its_handler() {
    // SAFETY: defined above.
    unsafe extern "C" {
        fn bhv_test_load(host: *const u8, other: u64) -> u64;
        fn bhv_test_exit();
        fn bhv_test_end();
    }
    static SEEN: AtomicU64 = AtomicU64::new(0);
    fn handler(frame: &mut HostFrame<'_>, fault: Option<memory::Fault>, data: usize) -> bool {
        assert_eq!(frame.pc(), bhv_test_load as *const () as usize);
        let fault = fault.unwrap();
        assert_eq!(fault.access, Access::Load);
        assert_eq!(data, 77);
        SEEN.store(fault.va, Ordering::SeqCst);
        frame.set_register(OTHER, frame.register(OTHER) + 1);
        frame.set_pc(bhv_test_exit as *const () as usize);
        true
    }
    let space = space(1);
    let range = bhv_test_load as *const () as usize..bhv_test_end as *const () as usize;
    let registered = memory::register_code(range, handler, 77).unwrap();
    let load = |va: u64| {
        // SAFETY: it only loads, and a fault is redirected.
        unsafe { bhv_test_load(space.base().wrapping_add(va as usize), 41) }
    };
    space.store(AT, 5_u64).unwrap();
    assert_eq!(load(AT), 5);
    for va in [
        AT - 8,
        AT + PAGE,
        AT + PAGE - 4,
        memory::LIMIT,
        2048_u64.wrapping_neg(),
    ] {
        assert_eq!(load(va), 42);
        let first = if va == AT + PAGE - 4 { AT + PAGE } else { va };
        assert_eq!(SEEN.load(Ordering::SeqCst), first);
    }
    drop(registered);
}

#[test]
fn a_fork_amid_mapping_threads_leaves_the_child_a_working_space() {
    let space = Arc::new(space(16));
    let stop = Arc::new(AtomicBool::new(false));
    let mappers: Vec<_> = (0..2)
        .map(|n| {
            let (space, stop) = (space.clone(), stop.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    for page in (n..16).step_by(2) {
                        space.watch_code(&[AT / PAGE + page]);
                        space.store(AT + page * PAGE, page).unwrap();
                        map(&space, AT + page * PAGE, 1);
                    }
                }
            })
        })
        .collect();
    for _ in 0..50 {
        let guard = space.fork_guard();
        // SAFETY: the child only uses the space, whose locks it holds, and leaves by _exit.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        drop(guard);
        if child == 0 {
            space.watch_code(&[AT / PAGE]);
            let stored = space.store(AT, 1_u8).is_ok();
            let mapped = space.unmap(AT, PAGE).is_ok() && space.load::<u8>(AT).is_err();
            // SAFETY: ends the child without running the parent's destructors.
            unsafe { libc::_exit(if stored && mapped { 0 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: a child of ours.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0);
    }
    stop.store(true, Ordering::Relaxed);
    for mapper in mappers {
        mapper.join().unwrap();
    }
}

#[test]
fn two_spaces_do_not_see_each_other() {
    let (one, two) = (space(1), space(1));
    one.store(AT, 1_u64).unwrap();
    two.store(AT, 2_u64).unwrap();
    one.watch_code(&[AT / PAGE]);
    two.store(AT, 3_u64).unwrap();
    assert!(one.page_flags(AT).has(PageFlags::CODE));
    assert_eq!((one.stale_epoch(), two.stale_epoch()), (0, 0));
    one.unmap(AT, PAGE).unwrap();
    assert_eq!(two.load::<u64>(AT), Ok(3));
    drop(one);
    assert_eq!(two.load::<u64>(AT), Ok(3));
    assert!(two.load::<u64>(AT + PAGE).is_err());
    let many: Vec<_> = (0..20).map(|_| space(1)).collect();
    assert!(
        many.iter()
            .all(|space| space.load::<u8>(AT) == Ok(0) && space.load::<u8>(0).is_err())
    );
}
