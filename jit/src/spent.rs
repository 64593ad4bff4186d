//! Where a hart's time goes: how long compiled code ran each time that it was entered at a region.

use crate::host::ticks;
use std::time::Instant;

/// Regions that are told apart, about.
const PLACES: usize = 256;

/// Of so many times one is taken.
const EACH: u32 = 8;

/// Ticks that are worth a closer look: some hundred microseconds or more on all hosts.
const LONG: u64 = 1 << 21;

/// How long compiled code ran after it was entered at a region.
#[derive(Clone, Copy)]
struct Place {
    /// The region's host code.
    function: u64,
    ran: u64,
    /// When that is worth a closer look.
    look_at: u64,
}

impl Place {
    const fn new(function: u64) -> Place {
        Place {
            function,
            ran: 0,
            look_at: LONG,
        }
    }
}

/// How long compiled code ran, by the region that it was entered at. Regions that share a place push
/// each other out: what is seldom entered, or new, counts as having run for no time.
pub struct Spent {
    places: Box<[Place; PLACES]>,
    /// How often compiled code was entered.
    entered: u32,
    /// Both clocks when counting began.
    start: (Instant, u64),
}

impl Spent {
    /// Nothing yet.
    pub fn new() -> Spent {
        Spent {
            places: Box::new([const { Place::new(0) }; PLACES]),
            entered: 0,
            start: (Instant::now(), ticks()),
        }
    }

    fn place(function: u64) -> usize {
        // Regions begin at multiples of 16, and are some hundred bytes long.
        (function >> 6) as usize % PLACES
    }

    /// Whether the next time that compiled code runs is to be taken, and for how many it stands.
    pub fn is_due(&mut self) -> Option<u64> {
        self.entered = self.entered.wrapping_add(1);
        self.entered.is_multiple_of(EACH).then_some(EACH.into())
    }

    /// Notes that the region at `function` was entered and left again after so many ticks, which stands
    /// for so many times.
    pub fn add(&mut self, function: u64, ticks: u64, times: u64) {
        let place = &mut self.places[Spent::place(function)];
        if place.function != function {
            *place = Place::new(function);
        }
        place.ran += ticks.saturating_mul(times);
    }

    /// Whether a region has run for long enough to look closer.
    pub fn is_long(&self, function: u64) -> bool {
        let place = &self.places[Spent::place(function)];
        place.function == function && place.ran >= place.look_at
    }

    /// The same for who does; after each look it is twice as long.
    pub fn look(&mut self, function: u64) -> bool {
        let long = self.is_long(function);
        if long {
            let place = &mut self.places[Spent::place(function)];
            place.look_at = 2 * place.ran;
        }
        long
    }

    /// Counts anew for a region.
    pub fn forget(&mut self, function: u64) {
        self.places[Spent::place(function)] = Place::new(function);
    }

    /// Nanoseconds that compiled code ran after the region at `function` was entered.
    pub fn on(&self, function: u64) -> u64 {
        let place = self.places[Spent::place(function)];
        if place.function != function {
            return 0;
        }
        let (instant, first) = self.start;
        let all = ticks().saturating_sub(first).max(1);
        let share = place.ran as f64 / all as f64;
        (share * instant.elapsed().as_nanos() as f64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_kept_for_the_region_that_was_entered_last_at_a_place() {
        let mut spent = Spent::new();
        let other = 0x1000 + 64 * PLACES as u64;
        spent.add(0x1000, 1, 1);
        assert!(spent.on(0x1000) <= spent.start.0.elapsed().as_nanos() as u64);
        assert_eq!(spent.on(other), 0);
        spent.add(other, LONG / 8, 8);
        assert_eq!(spent.on(0x1000), 0);
        assert!(spent.on(other) > 0);
        assert!(spent.is_long(other) && spent.look(other));
        assert!(!spent.look(other) && !spent.look(0x1000));
    }
}
