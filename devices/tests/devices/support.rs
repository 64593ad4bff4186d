//! What stands for the rest of the machine: a clock set by hand, a line that remembers.

use devices::{Bell, Clock, Device, HartLines, Interrupt, Line, State, Width};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A clock that stands still unless told.
#[derive(Default)]
pub struct Hand(AtomicU64);

impl Hand {
    pub fn advance(&self, ticks: u64) {
        self.0.fetch_add(ticks, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn mtime(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
    fn set_mtime(&self, mtime: u64) {
        self.0.store(mtime, Ordering::SeqCst);
    }
}

/// Counts how often it was rung.
#[derive(Default)]
pub struct Count(pub AtomicU64);

impl Bell for Count {
    fn ring(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A line that is read back.
#[derive(Default)]
pub struct Wire(AtomicBool);

impl Wire {
    pub fn level(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Line for Wire {
    fn set(&self, level: bool) {
        self.0.store(level, Ordering::SeqCst);
    }
}

pub fn harts(count: usize) -> Vec<Arc<HartLines>> {
    let bell = Arc::new(Count::default());
    (0..count).map(|_| HartLines::new(bell.clone())).collect()
}

pub fn high(lines: &HartLines, interrupt: Interrupt) -> bool {
    lines.levels() & interrupt.bit() != 0
}

/// A word read that must not fault.
pub fn load(device: &mut dyn Device, offset: u64) -> u32 {
    device.read(offset, Width::Word).expect("a register") as u32
}

/// A word write that must not fault.
pub fn store(device: &mut dyn Device, offset: u64, value: u32) {
    let stored = device.write(offset, Width::Word, u64::from(value));
    stored.expect("a register");
}

/// Saves `from`, restores into `to`, and both then save the same.
pub fn copy(from: &mut dyn Device, to: &mut dyn Device) {
    let state = from.save();
    to.restore(state.clone()).expect("state of the same device");
    assert_eq!(to.save(), state);
}

/// State of another kind is refused and changes nothing.
pub fn refuses_others(device: &mut dyn Device, other: State) {
    let before = device.save();
    assert!(device.restore(other).is_err());
    assert_eq!(device.save(), before);
}

/// SplitMix64, from `BHV_SEED` where a run shall be repeated.
pub struct Random(u64);

impl Random {
    pub fn new() -> Random {
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let drawn = time.map_or(1, |time| time.as_nanos() as u64);
        let given = std::env::var("BHV_SEED")
            .ok()
            .and_then(|text| text.parse().ok());
        let seed = given.unwrap_or(drawn);
        println!("BHV_SEED={seed}");
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}
