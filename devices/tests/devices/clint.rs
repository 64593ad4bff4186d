use crate::support::{Hand, copy, harts, high, load, refuses_others, store};
use devices::{AccessFault, Clint, Device, Interrupt, State, Width};
use std::sync::Arc;

#[test]
fn msip_bit_0_is_the_software_interrupt_of_its_hart() {
    let lines = harts(2);
    let mut clint = Clint::new(Arc::new(Hand::default()), lines.clone());
    store(&mut clint, 4, 0xffff_ffff);
    assert_eq!(load(&mut clint, 4), 1);
    assert!(high(&lines[1], Interrupt::Msip) && !high(&lines[0], Interrupt::Msip));
    store(&mut clint, 4, 0xffff_fffe);
    assert!(!high(&lines[1], Interrupt::Msip));
}

#[test]
fn the_timer_is_pending_while_mtime_has_reached_mtimecmp() {
    let (lines, clock) = (harts(1), Arc::new(Hand::default()));
    let mut clint = Clint::new(clock.clone(), lines.clone());
    clint.write(0x4000, Width::Double, 100).expect("mtimecmp");
    assert_eq!(clint.deadline(), Some(100));
    clock.advance(99);
    clint.service(99);
    assert!(!high(&lines[0], Interrupt::Mtip));
    clock.advance(1);
    clint.service(100);
    assert!(high(&lines[0], Interrupt::Mtip));
    assert_eq!(clint.deadline(), None, "it has fired");
    clint.write(0x4000, Width::Double, 101).expect("mtimecmp");
    assert!(!high(&lines[0], Interrupt::Mtip));
    clint.write(0x4000, Width::Double, 3).expect("mtimecmp");
    assert!(
        high(&lines[0], Interrupt::Mtip),
        "the past is pending at once"
    );
}

#[test]
fn timers_are_written_in_halves_too() {
    let clock = Arc::new(Hand::default());
    let mut clint = Clint::new(clock.clone(), harts(2));
    store(&mut clint, 0x4008, 0x1111_2222);
    store(&mut clint, 0x400c, 0x3333_4444);
    assert_eq!(clint.read(0x4008, Width::Double), Ok(0x3333_4444_1111_2222));
    assert_eq!(load(&mut clint, 0x400c), 0x3333_4444);
    clint
        .write(0xbff8, Width::Double, 0x5_0000_0006)
        .expect("mtime");
    assert_eq!(load(&mut clint, 0xbff8), 6);
    assert_eq!(load(&mut clint, 0xbffc), 5);
    store(&mut clint, 0xbffc, 7);
    assert_eq!(clint.read(0xbff8, Width::Double), Ok(0x7_0000_0006));
}

#[test]
fn harts_that_do_not_exist_read_as_0_and_wrong_widths_fault() {
    let mut clint = Clint::new(Arc::new(Hand::default()), harts(1));
    for offset in [4, 0x3ffc, 0x4008, 0xbff0, 0xc000, 0xfffc] {
        store(&mut clint, offset, !0);
        assert_eq!(load(&mut clint, offset), 0, "{offset:#x}");
    }
    for width in [Width::Byte, Width::Half, Width::Double] {
        assert_eq!(clint.read(0, width), Err(AccessFault));
    }
    for width in [Width::Byte, Width::Half] {
        assert_eq!(clint.read(0xbff8, width), Err(AccessFault));
        assert_eq!(clint.write(0x4000, width, 0), Err(AccessFault));
    }
}

#[test]
fn a_restored_clint_drives_its_lines() {
    let clock = Arc::new(Hand::default());
    let mut clint = Clint::new(clock.clone(), harts(2));
    store(&mut clint, 4, 1);
    clint.write(0x4000, Width::Double, 10).expect("mtimecmp");
    clock.advance(10);
    let lines = harts(2);
    let mut other = Clint::new(clock, lines.clone());
    copy(&mut clint, &mut other);
    assert!(high(&lines[1], Interrupt::Msip) && high(&lines[0], Interrupt::Mtip));
    other.reset();
    assert_eq!((lines[0].levels(), lines[1].levels()), (0, 0));
    refuses_others(&mut other, State::Syscon);
    let mut third = Clint::new(Arc::new(Hand::default()), harts(3));
    refuses_others(&mut third, clint.save());
}
