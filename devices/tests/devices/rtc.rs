use crate::support::{Hand, Wire, copy, load, refuses_others, store};
use devices::{AccessFault, Clock, Device, Rtc, State, Width};
use std::sync::Arc;

const EPOCH: u64 = 1_800_000_000_000_000_000;

fn rtc() -> (Rtc, Arc<Hand>, Arc<Wire>) {
    let (clock, wire) = (Arc::new(Hand::default()), Arc::new(Wire::default()));
    (Rtc::new(clock.clone(), wire.clone(), EPOCH), clock, wire)
}

fn time(rtc: &mut Rtc) -> u64 {
    let low = load(rtc, 0);
    u64::from(load(rtc, 4)) << 32 | u64::from(low)
}

#[test]
fn time_passes_with_mtime() {
    let (mut rtc, clock, _) = rtc();
    assert_eq!(time(&mut rtc), EPOCH);
    clock.advance(3);
    assert_eq!(time(&mut rtc), EPOCH + 300);
}

#[test]
fn the_high_half_is_that_of_the_last_low_half() {
    let (mut rtc, clock, _) = rtc();
    let low = load(&mut rtc, 0);
    clock.advance(1 << 40);
    assert_eq!(u64::from(load(&mut rtc, 4)) << 32 | u64::from(low), EPOCH);
}

#[test]
fn time_can_be_set() {
    let (mut rtc, clock, _) = rtc();
    store(&mut rtc, 4, 7);
    store(&mut rtc, 0, 9);
    assert_eq!(time(&mut rtc), 7 << 32 | 9);
    clock.advance(1);
    assert_eq!(time(&mut rtc), (7 << 32) + 109);
    let State::Rtc(mut state) = rtc.save() else {
        panic!("not an RTC's");
    };
    state.set_time(EPOCH, clock.mtime());
    rtc.restore(State::Rtc(state)).expect("its state");
    assert_eq!(time(&mut rtc), EPOCH);
}

#[test]
fn the_alarm_goes_off_once() {
    let (mut rtc, clock, wire) = rtc();
    let at = EPOCH + 1050;
    store(&mut rtc, 0x10, 1);
    store(&mut rtc, 0xc, (at >> 32) as u32);
    store(&mut rtc, 0x8, at as u32);
    assert_eq!(load(&mut rtc, 0x18), 1);
    assert_eq!(
        rtc.deadline(),
        Some(11),
        "the first tick at which it is past"
    );
    clock.advance(10);
    rtc.service(10);
    assert!(!wire.level());
    clock.advance(1);
    rtc.service(11);
    assert!(wire.level());
    assert_eq!((load(&mut rtc, 0x18), rtc.deadline()), (0, None));
    store(&mut rtc, 0x1c, 1);
    assert!(!wire.level());
}

#[test]
fn an_alarm_can_be_cleared_and_masked() {
    let (mut rtc, clock, wire) = rtc();
    store(&mut rtc, 0xc, 0);
    store(&mut rtc, 0x8, 5);
    assert!(!wire.level(), "past, but interrupts are off");
    store(&mut rtc, 0x10, 1);
    assert!(wire.level());
    store(&mut rtc, 0x1c, 1);
    store(&mut rtc, 0xc, 0xffff_ffff);
    store(&mut rtc, 0x8, 5);
    store(&mut rtc, 0x14, 1);
    assert_eq!(load(&mut rtc, 0x18), 0);
    clock.set_mtime(u64::MAX / 100);
    rtc.service(0);
    assert!(!wire.level());
}

#[test]
fn registers_are_words_and_others_read_as_0() {
    let (mut rtc, _, _) = rtc();
    for offset in [0x14, 0x1c, 0x20, 0xffc] {
        store(&mut rtc, offset, !0);
        assert_eq!(load(&mut rtc, offset), 0);
    }
    for width in [Width::Byte, Width::Half, Width::Double] {
        assert_eq!(rtc.read(0, width), Err(AccessFault));
        assert_eq!(rtc.write(0, width, 0), Err(AccessFault));
    }
}

#[test]
fn a_restored_clock_goes_on() {
    let (mut rtc, clock, _) = rtc();
    store(&mut rtc, 0x10, 1);
    store(&mut rtc, 0x8, 5);
    clock.advance(7);
    let wire = Arc::new(Wire::default());
    let mut other = Rtc::new(clock, wire.clone(), 0);
    copy(&mut rtc, &mut other);
    assert!(wire.level());
    assert_eq!(time(&mut other), EPOCH + 700);
    other.reset();
    assert!(!wire.level());
    assert_eq!(time(&mut other), EPOCH + 700, "the battery keeps it");
    refuses_others(&mut other, State::Syscon);
}
