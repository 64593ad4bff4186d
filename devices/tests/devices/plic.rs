use crate::support::{copy, harts, high, load, refuses_others, store};
use devices::{AccessFault, Device, HartLines, Interrupt, Plic, State, Width};
use std::sync::Arc;

const CLAIM: u64 = 0x20_0004;
const THRESHOLD: u64 = 0x20_0000;
/// Context 1: hart 0 in supervisor mode.
const S: u64 = 0x1000;

/// Sources 1 to 40 with priority 1, enabled for hart 0 in supervisor mode.
fn enabled() -> (Plic, Arc<HartLines>) {
    let lines = harts(1);
    let mut plic = Plic::new(lines.clone());
    for source in 1..=40 {
        store(&mut plic, 4 * source, 1);
    }
    store(&mut plic, 0x2080, !0);
    store(&mut plic, 0x2084, !0);
    (plic, lines[0].clone())
}

fn set(plic: &Plic, source: u32, level: bool) {
    plic.line(source).expect("a source").set(level);
}

#[test]
fn a_level_is_claimed_and_completed() {
    let (mut plic, lines) = enabled();
    set(&plic, 10, true);
    assert!(high(&lines, Interrupt::Seip) && !high(&lines, Interrupt::Meip));
    assert_eq!(load(&mut plic, 0x1000), 1 << 10);
    assert_eq!(load(&mut plic, CLAIM + S), 10);
    assert!(!high(&lines, Interrupt::Seip));
    assert_eq!(load(&mut plic, 0x1000), 0);
    assert_eq!(load(&mut plic, CLAIM + S), 0, "nothing more to claim");
    set(&plic, 10, false);
    store(&mut plic, CLAIM + S, 10);
    assert!(!high(&lines, Interrupt::Seip));
}

#[test]
fn a_source_still_high_at_completion_is_pending_again() {
    let (mut plic, lines) = enabled();
    set(&plic, 10, true);
    assert_eq!(load(&mut plic, CLAIM + S), 10);
    set(&plic, 10, false);
    set(&plic, 10, true);
    assert_eq!(
        load(&mut plic, CLAIM + S),
        0,
        "the gateway waits for the completion"
    );
    store(&mut plic, CLAIM + S, 10);
    assert!(high(&lines, Interrupt::Seip));
    assert_eq!(load(&mut plic, CLAIM + S), 10);
}

#[test]
fn with_two_pending_the_line_stays_high_after_one_claim() {
    let (mut plic, lines) = enabled();
    set(&plic, 33, true);
    set(&plic, 7, true);
    assert_eq!(load(&mut plic, CLAIM + S), 7, "the lowest number of equals");
    assert!(high(&lines, Interrupt::Seip));
    assert_eq!(load(&mut plic, CLAIM + S), 33);
    assert!(!high(&lines, Interrupt::Seip));
}

#[test]
fn the_highest_priority_comes_first() {
    let (mut plic, _) = enabled();
    set(&plic, 7, true);
    set(&plic, 33, true);
    store(&mut plic, 4 * 33, 5);
    assert_eq!(load(&mut plic, CLAIM + S), 33);
}

#[test]
fn a_request_stays_pending_when_its_source_falls_before_the_claim() {
    let (mut plic, lines) = enabled();
    set(&plic, 3, true);
    set(&plic, 3, false);
    assert!(high(&lines, Interrupt::Seip));
    assert_eq!(load(&mut plic, CLAIM + S), 3);
}

#[test]
fn the_threshold_lowers_and_raises_the_line_but_does_not_hide_from_claims() {
    let (mut plic, lines) = enabled();
    set(&plic, 3, true);
    store(&mut plic, THRESHOLD + S, 1);
    assert!(!high(&lines, Interrupt::Seip));
    store(&mut plic, THRESHOLD + S, 0);
    assert!(high(&lines, Interrupt::Seip));
    store(&mut plic, THRESHOLD + S, 7);
    assert_eq!(load(&mut plic, CLAIM + S), 3);
}

#[test]
fn priority_0_and_disabled_sources_do_not_interrupt() {
    let (mut plic, lines) = enabled();
    store(&mut plic, 4 * 3, 0);
    set(&plic, 3, true);
    set(&plic, 90, true);
    assert!(!high(&lines, Interrupt::Seip));
    assert_eq!(load(&mut plic, CLAIM + S), 0);
    store(&mut plic, 4 * 3, 1);
    assert!(high(&lines, Interrupt::Seip));
    store(&mut plic, 0x2080, 0);
    assert!(!high(&lines, Interrupt::Seip));
}

#[test]
fn completion_by_a_context_that_has_not_enabled_the_source_is_ignored() {
    let (mut plic, lines) = enabled();
    set(&plic, 3, true);
    assert_eq!(load(&mut plic, CLAIM + S), 3);
    store(&mut plic, CLAIM, 3);
    store(&mut plic, CLAIM + S, 4);
    store(&mut plic, CLAIM + S, 4000);
    assert!(!high(&lines, Interrupt::Seip));
    store(&mut plic, CLAIM + S, 3);
    assert!(high(&lines, Interrupt::Seip));
}

#[test]
fn registers_hold_the_bits_that_exist() {
    let mut plic = Plic::new(harts(2));
    store(&mut plic, 4 * 95, !0);
    assert_eq!(load(&mut plic, 4 * 95), 7);
    for offset in [
        0,
        4 * 96,
        0x1000,
        0x100c,
        0x200c,
        0x2200,
        0x20_0008,
        0x20_4000,
        0x5f_fffc,
    ] {
        store(&mut plic, offset, !0);
        assert_eq!(load(&mut plic, offset), 0, "{offset:#x}");
    }
    store(&mut plic, 0x2000 + 3 * 0x80, !0);
    assert_eq!(
        load(&mut plic, 0x2000 + 3 * 0x80),
        !1,
        "source 0 does not exist"
    );
    store(&mut plic, THRESHOLD + 3 * S, !0);
    assert_eq!(load(&mut plic, THRESHOLD + 3 * S), 7);
    for width in [Width::Byte, Width::Half, Width::Double] {
        assert_eq!(plic.read(0, width), Err(AccessFault));
        assert_eq!(plic.write(0, width, 0), Err(AccessFault));
    }
    assert!(plic.line(0).is_none() && plic.line(96).is_none());
}

#[test]
fn a_restored_plic_drives_its_lines() {
    let (mut plic, _) = enabled();
    set(&plic, 5, true);
    set(&plic, 6, true);
    assert_eq!(load(&mut plic, CLAIM + S), 5);
    let lines = harts(1);
    let mut other = Plic::new(lines.clone());
    copy(&mut plic, &mut other);
    assert!(high(&lines[0], Interrupt::Seip));
    assert_eq!(load(&mut other, CLAIM + S), 6);
    store(&mut other, CLAIM + S, 5);
    assert_eq!(
        load(&mut other, CLAIM + S),
        5,
        "still high, so pending again"
    );
    refuses_others(&mut other, State::Syscon);
    refuses_others(&mut Plic::new(harts(2)), plic.save());
}

#[test]
fn a_reset_forgets_enables_but_not_levels() {
    let (mut plic, lines) = enabled();
    set(&plic, 5, true);
    plic.reset();
    assert!(!high(&lines, Interrupt::Seip));
    assert_eq!(load(&mut plic, 0x1000), 1 << 5);
}
