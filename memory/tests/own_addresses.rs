//! The first address space of a process lies where its own addresses say. In a file of its own, so
//! that it is the first.

use memory::{Place, Protection, Sharing, UserSpace};

fn writes(space: &UserSpace, value: u64) {
    let at = memory::MIN_ADDRESS;
    space
        .map_anonymous(
            Place::Fixed(at),
            memory::PAGE,
            Protection::READ_WRITE,
            Sharing::Private,
            None,
        )
        .unwrap();
    space.store(at, value).unwrap();
    assert_eq!(space.load::<u64>(at).unwrap(), value);
    // What lies around it faults: below the lowest page, at the end, and beyond.
    for bad in [0, at - 8, at + memory::PAGE, memory::LIMIT - 8] {
        let fault = space.load::<u64>(bad).unwrap_err();
        assert_eq!(fault.va, bad);
        assert!(space.store(bad, 1_u64).is_err());
    }
    // The last is where old hosts show a page of the kernel's.
    let kernels = 0_u64.wrapping_sub(10 << 20);
    for bad in [memory::LIMIT, u64::MAX - 7, 1 << 47, kernels] {
        assert!(space.load::<u64>(bad).is_err());
    }
}

#[test]
#[cfg_attr(
    not(target_os = "linux"),
    expect(unused, reason = "only Linux has the flag")
)]
fn one_space_at_a_time_has_the_hosts_own_addresses() {
    for _ in 0..2 {
        let first = UserSpace::reserve().unwrap();
        let second = UserSpace::reserve().unwrap();
        #[cfg(target_os = "linux")]
        assert!(first.base().is_null() && !second.base().is_null());
        writes(&first, 5);
        writes(&second, 7);
        assert_eq!(first.load::<u64>(memory::MIN_ADDRESS).unwrap(), 5);
        // The addresses are free again for the next one.
        drop(first);
        drop(second);
    }
}
