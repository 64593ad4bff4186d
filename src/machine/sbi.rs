//! Firmware of our own: answers a kernel's SBI calls, so that it boots without OpenSBI.
//!
//! RISC-V Supervisor Binary Interface 2.0: BASE, TIME, IPI, RFENCE, HSM, SRST and DBCN.

use super::harts::Status;
use devices::Output;
use devices::syscon::Power;
use hart::HartState;
use memory::Ram;
use std::sync::{Mutex, PoisonError};

const BASE: u64 = 0x10;
const TIME: u64 = 0x5449_4d45;
const IPI: u64 = 0x73_5049;
const RFENCE: u64 = 0x5246_4e43;
const HSM: u64 = 0x48_534d;
const SRST: u64 = 0x5352_5354;
const DBCN: u64 = 0x4442_434e;

/// SBI 2.0.
const SPECIFICATION: u64 = 2 << 24;
/// No number is registered for us; this is "bhv".
const IMPLEMENTATION: u64 = 0x62_6876;
const VERSION: u64 = 1;

/// Why a call failed. "Binary Encoding", standard errors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    NotSupported = -2,
    InvalidParameter = -3,
    InvalidAddress = -5,
    AlreadyAvailable = -6,
}
use Failure::*;

/// Bytes that one call may write to the console: a guest cannot keep us busy for long.
const MOST_BYTES: u64 = 1 << 16;

/// The firmware, which all harts share.
pub(super) struct Sbi {
    console: Mutex<Box<dyn Output>>,
}

/// A call: extension, function, arguments.
pub(super) struct Call(u64, u64, [u64; 6]);

impl Call {
    /// The one that a hart makes with the ecall at its pc, which it goes on behind.
    pub fn of(state: &mut HartState) -> Call {
        state.pc = state.pc.wrapping_add(4);
        let arguments = std::array::from_fn(|i| state.x[10 + i]);
        Call(state.x[17], state.x[16], arguments)
    }
}

/// Puts the answer to a call where the hart looks for it.
pub(super) fn answered(state: &mut HartState, answer: Result<u64, Failure>) {
    (state.x[10], state.x[11]) = match answer {
        Ok(value) => (0, value),
        Err(failure) => (failure as i64 as u64, 0),
    };
}

/// What calls reach: the hart that makes them, and all others by number.
pub(super) trait Surroundings {
    /// How many harts there are.
    fn harts(&self) -> usize;
    /// Memory.
    fn ram(&self) -> &Ram;
    /// Sets the caller's timer.
    fn set_timer(&mut self, time: u64);
    /// Sends a hart a supervisor software interrupt.
    fn interrupt(&mut self, hart: usize);
    /// Has harts execute fence.i, and returns when they have.
    fn fence_i(&mut self, harts: &[usize]);
    /// Has harts fence a range of addresses, and returns when they have.
    fn fence(&mut self, harts: &[usize], start: u64, size: u64, asid: Option<u64>);
    /// What a hart does.
    fn status(&self, hart: usize) -> Status;
    /// Starts a hart; whether it was stopped.
    fn start(&mut self, hart: usize, pc: u64, opaque: u64) -> bool;
    /// Has the caller stop, or wait as by wfi.
    fn set_status(&mut self, status: Status);
    /// Switches the machine off, or asks for it to start again.
    fn power(&mut self, power: Power);
}

impl Sbi {
    pub fn new(console: Box<dyn Output>) -> Sbi {
        let console = Mutex::new(console);
        Sbi { console }
    }

    /// Answers a hart in supervisor mode.
    pub fn answer(&self, call: &Call, around: &mut impl Surroundings) -> Result<u64, Failure> {
        let &Call(extension, function, [a0, a1, a2, a3, a4, _]) = call;
        match (extension, function) {
            (BASE, 0) => Ok(SPECIFICATION),
            (BASE, 1) => Ok(IMPLEMENTATION),
            (BASE, 2) => Ok(VERSION),
            (BASE, 3) => {
                let known = [BASE, TIME, IPI, RFENCE, HSM, SRST, DBCN].contains(&a0);
                Ok(u64::from(known))
            }
            (BASE, 4..=6) => Ok(0),
            (TIME, 0) => {
                around.set_timer(a0);
                Ok(0)
            }
            (IPI, 0) => {
                for hart in mask(a0, a1, around)? {
                    around.interrupt(hart);
                }
                Ok(0)
            }
            (RFENCE, 0) => {
                let harts = mask(a0, a1, around)?;
                around.fence_i(&harts);
                Ok(0)
            }
            (RFENCE, 1 | 2) => {
                let asid = (function == 2).then_some(a4 & 0xffff);
                let harts = mask(a0, a1, around)?;
                around.fence(&harts, a2, a3, asid);
                Ok(0)
            }
            (HSM, 0) => start(around, a0, a1, a2),
            (HSM, 1) => {
                around.set_status(Status::Stopped);
                Ok(0)
            }
            (HSM, 2) => match around.status(number(a0, around)?) {
                Status::Running | Status::Waiting => Ok(0),
                Status::Stopped => Ok(1),
            },
            // Retentive suspend: as wfi.
            (HSM, 3) if a0 as u32 == 0 => {
                around.set_status(Status::Waiting);
                Ok(0)
            }
            (SRST, 0) => {
                let power = match (a0 as u32, a1 as u32) {
                    (0, 0) => Power::Off,
                    (0, _) => Power::Failed(1),
                    (1 | 2, _) => Power::Reset,
                    _ => return Err(InvalidParameter),
                };
                around.power(power);
                Ok(0)
            }
            (DBCN, 0) => self.write_console(around.ram(), a0, a1, a2),
            // Nobody types here: the console proper is the serial port.
            (DBCN, 1) => Ok(0),
            (DBCN, 2) => {
                self.put(&[a0 as u8]);
                Ok(0)
            }
            _ => Err(NotSupported),
        }
    }

    /// The address is physical.
    fn write_console(&self, ram: &Ram, count: u64, low: u64, high: u64) -> Result<u64, Failure> {
        let count = count.min(MOST_BYTES);
        let mut bytes = vec![0; count as usize];
        if high != 0 || !ram.read(low, &mut bytes) {
            return Err(InvalidParameter);
        }
        self.put(&bytes);
        Ok(count)
    }

    fn put(&self, bytes: &[u8]) {
        let console = self.console.lock();
        console.unwrap_or_else(PoisonError::into_inner).put(bytes);
    }
}

/// The harts of a mask: bit 0 is hart `base`, or all harts if that is -1.
fn mask(mask: u64, base: u64, around: &impl Surroundings) -> Result<Vec<usize>, Failure> {
    if base == u64::MAX {
        return Ok((0..around.harts()).collect());
    }
    let chosen = (0..64).filter(|bit| mask >> bit & 1 != 0);
    let chosen = chosen.map(|bit| base.checked_add(bit).ok_or(InvalidParameter));
    chosen.map(|hart| number(hart?, around)).collect()
}

fn number(hart: u64, around: &impl Surroundings) -> Result<usize, Failure> {
    let number = usize::try_from(hart).ok();
    number
        .filter(|number| *number < around.harts())
        .ok_or(InvalidParameter)
}

/// "Hart State Management", hart start.
fn start(around: &mut impl Surroundings, hart: u64, pc: u64, opaque: u64) -> Result<u64, Failure> {
    let hart = number(hart, around)?;
    if around.status(hart) != Status::Stopped {
        return Err(AlreadyAvailable);
    }
    if !around.ram().contains(pc, 2) {
        return Err(InvalidAddress);
    }
    match around.start(hart, pc, opaque) {
        true => Ok(0),
        false => Err(AlreadyAvailable),
    }
}
