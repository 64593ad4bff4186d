//! Goldfish real-time clock: wall-clock time in nanoseconds, with an alarm. It runs from mtime, so
//! that it is as reproducible as the machine's clock.

use crate::clock::{Clock, TICK_NS};
use crate::device::{AccessFault, Device, Place, Width, only};
use crate::line::Line;
use crate::state::{self, StateError};
use crate::tree::Node;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const TIME_LOW: u64 = 0x00;
const TIME_HIGH: u64 = 0x04;
const ALARM_LOW: u64 = 0x08;
const ALARM_HIGH: u64 = 0x0c;
const IRQ_ENABLED: u64 = 0x10;
const CLEAR_ALARM: u64 = 0x14;
const ALARM_STATUS: u64 = 0x18;
const CLEAR_INTERRUPT: u64 = 0x1c;

/// The device.
pub struct Rtc {
    clock: Arc<dyn Clock>,
    line: Arc<dyn Line>,
    state: State,
}

/// What is saved of it. Nanoseconds wrap around, as the registers do.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    /// Nanoseconds since 1970 when mtime was 0.
    epoch: u64,
    /// What TIME_HIGH reads as: latched when TIME_LOW is read, so that both belong together.
    time_high: u32,
    alarm_high: u32,
    /// Nanoseconds since 1970 at which the alarm goes off, once.
    alarm: Option<u64>,
    pending: bool,
    enabled: bool,
}

impl State {
    /// Sets the wall clock before a restore, if the guest shall see that time has passed:
    /// nanoseconds since 1970 when mtime is this.
    pub fn set_time(&mut self, nanoseconds: u64, mtime: u64) {
        self.epoch = nanoseconds.wrapping_sub(mtime.wrapping_mul(TICK_NS));
    }
}

impl Rtc {
    /// A clock that shows `epoch` nanoseconds since 1970 when mtime is 0.
    pub fn new(clock: Arc<dyn Clock>, line: Arc<dyn Line>, epoch: u64) -> Rtc {
        let state = State {
            epoch,
            ..State::default()
        };
        Rtc { clock, line, state }
    }

    fn since_start(&self) -> u64 {
        self.clock.mtime().wrapping_mul(TICK_NS)
    }

    fn time(&self) -> u64 {
        self.state.epoch.wrapping_add(self.since_start())
    }

    fn update(&mut self) {
        if self.state.alarm.is_some_and(|alarm| alarm <= self.time()) {
            self.state.alarm = None;
            self.state.pending = true;
        }
        self.line.set(self.state.pending && self.state.enabled);
    }
}

impl Device for Rtc {
    fn read(&mut self, offset: u64, width: Width) -> Result<u64, AccessFault> {
        only(Width::Word, width)?;
        Ok(match offset {
            TIME_LOW => {
                let time = self.time();
                self.state.time_high = (time >> 32) as u32;
                time & 0xffff_ffff
            }
            TIME_HIGH => u64::from(self.state.time_high),
            ALARM_LOW => self.state.alarm.unwrap_or(0) & 0xffff_ffff,
            ALARM_HIGH => u64::from(self.state.alarm_high),
            IRQ_ENABLED => u64::from(self.state.enabled),
            ALARM_STATUS => u64::from(self.state.alarm.is_some()),
            // The others are for writing only, or nothing.
            _ => 0,
        })
    }

    fn write(&mut self, offset: u64, width: Width, value: u64) -> Result<(), AccessFault> {
        only(Width::Word, width)?;
        match offset {
            TIME_LOW | TIME_HIGH => {
                let now = self.time();
                let time = if offset == TIME_LOW {
                    now & !0xffff_ffff | value
                } else {
                    now & 0xffff_ffff | value << 32
                };
                self.state.epoch = time.wrapping_sub(self.since_start());
            }
            ALARM_LOW => {
                self.state.alarm = Some(u64::from(self.state.alarm_high) << 32 | value);
            }
            ALARM_HIGH => self.state.alarm_high = value as u32,
            IRQ_ENABLED => self.state.enabled = value & 1 != 0,
            CLEAR_ALARM => self.state.alarm = None,
            CLEAR_INTERRUPT => self.state.pending = false,
            // The others are for reading only, or nothing.
            _ => {}
        }
        self.update();
        Ok(())
    }

    fn deadline(&self) -> Option<u64> {
        // An alarm so far ahead that mtime does not reach it is none.
        let alarm = self.state.alarm?;
        let from_start = alarm.checked_sub(self.state.epoch)?;
        Some(from_start.div_ceil(TICK_NS))
    }

    fn service(&mut self, _now: u64) {
        self.update();
    }

    fn reset(&mut self) {
        // The battery keeps the time, what a guest or a restore set included.
        self.state = State {
            epoch: self.state.epoch,
            ..State::default()
        };
        self.update();
    }

    fn save(&mut self) -> state::State {
        state::State::Rtc(self.state.clone())
    }

    fn restore(&mut self, state: state::State) -> Result<(), StateError> {
        let state::State::Rtc(saved) = state else {
            return Err(state.is_not("RTC"));
        };
        self.state = saved;
        self.update();
        Ok(())
    }

    fn node(&self, place: &Place) -> Node {
        Node::device("rtc", vec!["google,goldfish-rtc"], place)
    }
}
