use crate::support::{Hand, Wire, harts};
use devices::bus::Saved;
use devices::{AccessFault, Attach, Bus, Clint, Place, Rtc, State, StateError, Width};
use std::sync::Arc;

fn place(pa: u64, size: u64) -> Place {
    Place {
        pa,
        size,
        interrupt: None,
    }
}

fn clock(bus: &mut Bus, pa: u64) -> Arc<Hand> {
    let clock = Arc::new(Hand::default());
    let rtc = Rtc::new(clock.clone(), Arc::new(Wire::default()), 0);
    bus.attach(place(pa, 0x1000), Box::new(rtc))
        .expect("a free place");
    clock
}

#[test]
fn accesses_reach_the_device_at_the_address_and_nothing_else() {
    let mut bus = Bus::default();
    clock(&mut bus, 0x2000).advance(5);
    clock(&mut bus, 0x1000).advance(3);
    assert_eq!(bus.read(0x1000, Width::Word), Ok(300));
    assert_eq!(bus.read(0x2000, Width::Word), Ok(500));
    for pa in [0, 0xffc, 0x3000, u64::MAX - 3] {
        assert_eq!(bus.read(pa, Width::Word), Err(AccessFault), "{pa:#x}");
        assert_eq!(bus.write(pa, Width::Word, 0), Err(AccessFault), "{pa:#x}");
    }
}

#[test]
fn misaligned_accesses_and_those_across_the_end_fault() {
    let mut bus = Bus::default();
    clock(&mut bus, 0x1000);
    for pa in [0x1001, 0x1002, 0x1ffe] {
        assert_eq!(bus.read(pa, Width::Word), Err(AccessFault));
    }
    let mut small = Bus::default();
    let rtc = Rtc::new(Arc::new(Hand::default()), Arc::new(Wire::default()), 0);
    small.attach(place(0x1000, 2), Box::new(rtc)).expect("free");
    assert_eq!(small.read(0x1000, Width::Word), Err(AccessFault));
}

#[test]
fn places_do_not_overlap_and_have_bytes() {
    let mut bus = Bus::default();
    clock(&mut bus, 0x1000);
    let rtc = || {
        Box::new(Rtc::new(
            Arc::new(Hand::default()),
            Arc::new(Wire::default()),
            0,
        ))
    };
    let overlap = Attach::Overlap {
        pa: 0x1800,
        other: 0x1000,
    };
    assert_eq!(bus.attach(place(0x1800, 0x1000), rtc()), Err(overlap));
    assert!(bus.attach(place(0x800, 0x801), rtc()).is_err());
    assert!(bus.attach(place(0x800, 0x800), rtc()).is_ok());
    assert!(bus.attach(place(0x8000, 0), rtc()).is_err());
    assert!(bus.attach(place(u64::MAX, 2), rtc()).is_err());
}

#[test]
fn the_next_event_is_the_nearest_and_goes_when_done() {
    let mut bus = Bus::default();
    let clock = Arc::new(Hand::default());
    let clint = Clint::new(clock.clone(), harts(2));
    bus.attach(place(0x1_0000, 0x1_0000), Box::new(clint))
        .expect("free");
    assert_eq!(bus.next_event(), None);
    bus.write(0x1_4008, Width::Double, 70)
        .expect("mtimecmp of hart 1");
    bus.write(0x1_4000, Width::Double, 50)
        .expect("mtimecmp of hart 0");
    assert_eq!(bus.next_event(), Some(50));
    bus.run_due(49);
    assert_eq!(bus.next_event(), Some(50));
    clock.advance(50);
    bus.run_due(50);
    assert_eq!(bus.next_event(), Some(70));
}

#[test]
fn saved_state_goes_to_the_same_places_only() {
    let mut bus = Bus::default();
    clock(&mut bus, 0x1000);
    let saved = bus.save();
    assert_eq!(bus.restore(saved.clone()), Ok(()));
    let moved = vec![Saved {
        pa: 0x2000,
        ..saved[0].clone()
    }];
    let expected = StateError::Moved {
        found: 0x1000,
        expected: 0x2000,
    };
    assert_eq!(bus.restore(moved), Err(expected));
    assert!(matches!(
        bus.restore(Vec::new()),
        Err(StateError::Count { .. })
    ));
    let other = vec![Saved {
        pa: 0x1000,
        state: State::Syscon,
    }];
    assert!(matches!(bus.restore(other), Err(StateError::Other { .. })));
}
