//! Guarded accesses at every boundary: what works, what faults, and at which byte.

use memory::{Access, Fault, FaultKind, LIMIT, PAGE, Place, Protection, Sharing, UserSpace};

const AT: u64 = 0x10_0000;

fn space_with(va: u64, length: u64, protection: Protection) -> UserSpace {
    let space = UserSpace::reserve().unwrap();
    let place = Place::Fixed(va);
    space
        .map_anonymous(place, length, protection, Sharing::Private, None)
        .unwrap();
    space
}

fn fault(va: u64, access: Access, kind: FaultKind) -> Fault {
    Fault { va, access, kind }
}

#[test]
fn words_come_back_as_written_at_any_alignment() {
    let space = space_with(AT, 2 * PAGE, Protection::READ_WRITE);
    for offset in 0..2 * PAGE - 8 {
        let value = 0x0123_4567_89ab_cdef_u64.rotate_left(offset as u32);
        space.store(AT + offset, value).unwrap();
        assert_eq!(space.load::<u64>(AT + offset), Ok(value));
        assert_eq!(space.load::<u32>(AT + offset), Ok(value as u32));
        assert_eq!(space.load::<u16>(AT + offset), Ok(value as u16));
        assert_eq!(space.load::<u8>(AT + offset), Ok(value as u8));
        space.store(AT + offset, 0x5a_u8).unwrap();
        assert_eq!(space.load::<u64>(AT + offset), Ok(value & !0xff | 0x5a));
        space.store(AT + offset, 0x1234_u16).unwrap();
        space.store(AT + offset + 4, 0x89ab_cdef_u32).unwrap();
        assert_eq!(
            space.load::<u64>(AT + offset).unwrap() & !0xffff_0000,
            0x89ab_cdef_0000_1234
        );
    }
}

#[test]
fn straddling_accesses_fault_at_the_first_byte_that_may_not_be_accessed() {
    let space = space_with(AT, PAGE, Protection::READ_WRITE);
    let end = AT + PAGE;
    for inside in 1..8 {
        let va = end - inside;
        let unmapped = fault(end, Access::Load, FaultKind::Unmapped);
        assert_eq!(space.load::<u64>(va), Err(unmapped));
        let unmapped = fault(end, Access::Store, FaultKind::Unmapped);
        assert_eq!(space.store(va, u64::MAX), Err(unmapped));
        assert_eq!(
            space.load::<u8>(va),
            Ok(0),
            "a store that faults leaves nothing behind"
        );
    }
    for before in 1..8 {
        let va = AT - before;
        assert_eq!(
            space.load::<u64>(va),
            Err(fault(va, Access::Load, FaultKind::Unmapped))
        );
        assert_eq!(
            space.store(va, 1_u64),
            Err(fault(va, Access::Store, FaultKind::Unmapped))
        );
    }
}

#[test]
fn the_window_ends_where_it_says() {
    let space = space_with(LIMIT - PAGE, PAGE, Protection::READ_WRITE);
    assert_eq!(space.load::<u64>(LIMIT - 8), Ok(0));
    for va in LIMIT - 7..LIMIT {
        assert_eq!(
            space.load::<u64>(va),
            Err(fault(LIMIT, Access::Load, FaultKind::Unmapped))
        );
        let unmapped = fault(LIMIT, Access::Store, FaultKind::Unmapped);
        assert_eq!(space.store(va, 1_u64), Err(unmapped));
    }
    let wild = [
        LIMIT,
        LIMIT + 1,
        LIMIT + PAGE,
        1 << 39,
        1 << 47,
        1 << 63,
        u64::MAX - 7,
        u64::MAX,
    ];
    for va in wild {
        assert_eq!(
            space.load::<u64>(va),
            Err(fault(va, Access::Load, FaultKind::Unmapped))
        );
        assert_eq!(
            space.store(va, 1_u8),
            Err(fault(va, Access::Store, FaultKind::Unmapped))
        );
        let aligned = va & !7;
        let unmapped = fault(aligned, Access::Store, FaultKind::Unmapped);
        assert_eq!(space.compare_exchange(aligned, 0_u64, 1), Err(unmapped));
        let unmapped = fault(va & !1, Access::Fetch, FaultKind::Unmapped);
        assert_eq!(space.fetch(va & !1), Err(unmapped));
        let mut buffer = [0_u8; 64];
        assert!(space.read_bytes(va, &mut buffer).is_err());
        assert!(space.write_bytes(va, &buffer).is_err());
        assert!(space.read_c_string(va, 64).is_err());
    }
}

#[test]
fn permissions_are_those_of_riscv_linux() {
    use Access::{Fetch, Load, Store};
    for bits in 0..8 {
        let protection = Protection::from_bits(bits);
        let space = space_with(AT, PAGE, protection);
        let allowed = |access| match access {
            Load => protection.readable(),
            Store => bits & 2 != 0,
            Fetch => bits & 4 != 0,
        };
        let expect = |access| {
            if allowed(access) {
                Ok(())
            } else {
                Err(fault(AT, access, FaultKind::Protected))
            }
        };
        assert_eq!(
            space.load::<u32>(AT).map(drop),
            expect(Load),
            "{protection:?}"
        );
        assert_eq!(space.store(AT, 0_u32), expect(Store), "{protection:?}");
        assert_eq!(
            space.compare_exchange(AT, 1_u32, 2).map(drop),
            expect(Store)
        );
        assert_eq!(space.fetch(AT).map(drop), expect(Fetch), "{protection:?}");
    }
}

#[test]
fn execute_only_pages_can_be_fetched_but_not_loaded() {
    let space = space_with(AT, PAGE, Protection::READ_WRITE);
    space.store(AT, 0x8082_u16).unwrap();
    space.protect(AT, PAGE, Protection::EXECUTE).unwrap();
    assert_eq!(space.fetch(AT), Ok(0x8082));
    let protected = fault(AT, Access::Load, FaultKind::Protected);
    assert_eq!(space.load::<u16>(AT), Err(protected));
    assert_eq!(space.fetch(AT), Ok(0x8082));
}

#[test]
fn bulk_copies_stop_at_the_fault() {
    let space = space_with(AT, 3 * PAGE, Protection::READ_WRITE);
    let data: Vec<u8> = (0..3 * PAGE).map(|i| (i % 251) as u8).collect();
    space.write_bytes(AT, &data).unwrap();
    let mut back = vec![0; data.len()];
    space.read_bytes(AT, &mut back).unwrap();
    assert_eq!(back, data);
    space.unmap(AT + PAGE, PAGE).unwrap();
    back.fill(0);
    let unmapped = fault(AT + PAGE, Access::Load, FaultKind::Unmapped);
    assert_eq!(space.read_bytes(AT + 100, &mut back), Err(unmapped));
    assert_eq!(back[..PAGE as usize - 100], data[100..PAGE as usize]);
    let unmapped = fault(AT + PAGE, Access::Store, FaultKind::Unmapped);
    assert_eq!(space.write_bytes(AT + 100, &data), Err(unmapped));
    assert_eq!(
        space.load::<u8>(AT + PAGE - 1),
        Ok(data[PAGE as usize - 101])
    );
}

#[test]
fn c_strings_end_at_their_zero() {
    let space = space_with(AT, PAGE, Protection::READ_WRITE);
    space.write_bytes(AT + PAGE - 6, b"hello\0").unwrap();
    assert_eq!(
        space.read_c_string(AT + PAGE - 6, 4096),
        Ok(Some(b"hello".to_vec()))
    );
    assert_eq!(space.read_c_string(AT + PAGE - 6, 5), Ok(None));
    space.write_bytes(AT + PAGE - 6, b"hello!").unwrap();
    let unmapped = fault(AT + PAGE, Access::Load, FaultKind::Unmapped);
    assert_eq!(space.read_c_string(AT + PAGE - 6, 4096), Err(unmapped));
}

#[test]
fn compare_exchange_replaces_only_what_it_expects() {
    let space = space_with(AT, PAGE, Protection::READ_WRITE);
    assert_eq!(space.compare_exchange(AT, 0_u64, u64::MAX), Ok(0));
    assert_eq!(space.compare_exchange(AT, 0_u64, 1), Ok(u64::MAX));
    assert_eq!(space.load::<u64>(AT), Ok(u64::MAX));
    assert_eq!(space.compare_exchange(AT + 4, u32::MAX, 7), Ok(u32::MAX));
    assert_eq!(space.load::<u64>(AT), Ok(0x7_ffff_ffff));
}
