//! Firmware of our own: answers a kernel's SBI calls, so that it boots without OpenSBI.
//!
//! RISC-V Supervisor Binary Interface 2.0: BASE, TIME, IPI, RFENCE, HSM, SRST and DBCN.

use super::Machine;
use super::build::{Hart, Status};
use devices::Output;
use devices::syscon::{Power, PowerSwitch};
use hart::privileged::interrupts::SSIP;
use hart::{Mode, Privileged};

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
enum Failure {
    NotSupported = -2,
    InvalidParameter = -3,
    InvalidAddress = -5,
    AlreadyAvailable = -6,
}
use Failure::*;

/// Bytes that one call may write to the console: a guest cannot keep us busy for long.
const MOST_BYTES: u64 = 1 << 16;
/// Pages that are fenced one by one; more are fenced as everything.
const MOST_PAGES: u64 = 64;

/// The firmware.
pub(super) struct Sbi {
    console: Box<dyn Output>,
}

impl Sbi {
    pub fn new(console: Box<dyn Output>) -> Sbi {
        Sbi { console }
    }
}

impl Machine {
    /// Answers the ecall of a hart in supervisor mode.
    pub(super) fn sbi_call(&mut self, caller: usize) {
        let state = &mut self.harts[caller].state;
        state.pc = state.pc.wrapping_add(4);
        let (extension, function) = (state.x[17], state.x[16]);
        let arguments = std::array::from_fn(|i| state.x[10 + i]);
        let answer = self.answer(caller, extension, function, arguments);
        let state = &mut self.harts[caller].state;
        (state.x[10], state.x[11]) = match answer {
            Ok(value) => (0, value),
            Err(failure) => (failure as i64 as u64, 0),
        };
    }

    fn answer(
        &mut self,
        caller: usize,
        extension: u64,
        function: u64,
        [a0, a1, a2, a3, a4, _]: [u64; 6],
    ) -> Result<u64, Failure> {
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
                self.harts[caller].memory.change(|p| p.stimecmp = a0);
                Ok(0)
            }
            (IPI, 0) => {
                for hart in self.mask(a0, a1)? {
                    self.harts[hart].memory.change(|p| p.mip |= SSIP);
                }
                Ok(0)
            }
            (RFENCE, 0) => {
                self.mask(a0, a1)?;
                self.drop_stale();
                Ok(0)
            }
            (RFENCE, 1 | 2) => {
                let asid = (function == 2).then_some(a4 & 0xffff);
                for hart in self.mask(a0, a1)? {
                    fence(&self.harts[hart], a2, a3, asid);
                }
                Ok(0)
            }
            (HSM, 0) => self.start_hart(a0, a1, a2),
            (HSM, 1) => {
                self.harts[caller].status = Status::Stopped;
                Ok(0)
            }
            (HSM, 2) => match self.hart(a0)?.status {
                Status::Running | Status::Waiting => Ok(0),
                Status::Stopped => Ok(1),
            },
            // Retentive suspend: as wfi.
            (HSM, 3) if a0 as u32 == 0 => {
                self.harts[caller].status = Status::Waiting;
                Ok(0)
            }
            (SRST, 0) => {
                let power = match (a0 as u32, a1 as u32) {
                    (0, 0) => Power::Off,
                    (0, _) => Power::Failed(1),
                    (1 | 2, _) => Power::Reset,
                    _ => return Err(InvalidParameter),
                };
                self.signal.request(power);
                Ok(0)
            }
            (DBCN, 0) => self.write_console(a0, a1, a2),
            // Nobody types here: the console proper is the serial port.
            (DBCN, 1) => Ok(0),
            (DBCN, 2) => {
                self.put(&[a0 as u8]);
                Ok(0)
            }
            _ => Err(NotSupported),
        }
    }

    /// The harts of a mask: bit 0 is hart `base`, or all harts if that is -1.
    fn mask(&self, mask: u64, base: u64) -> Result<Vec<usize>, Failure> {
        if base == u64::MAX {
            return Ok((0..self.harts.len()).collect());
        }
        let chosen = (0..64).filter(|bit| mask >> bit & 1 != 0);
        let chosen = chosen.map(|bit| base.checked_add(bit).ok_or(InvalidParameter));
        chosen.map(|hart| self.number(hart?)).collect()
    }

    fn number(&self, hart: u64) -> Result<usize, Failure> {
        let number = usize::try_from(hart).ok();
        number
            .filter(|number| *number < self.harts.len())
            .ok_or(InvalidParameter)
    }

    fn hart(&self, hart: u64) -> Result<&Hart, Failure> {
        Ok(&self.harts[self.number(hart)?])
    }

    /// "Hart State Management", hart start: S mode, no translation, interrupts off.
    fn start_hart(&mut self, number: u64, pc: u64, opaque: u64) -> Result<u64, Failure> {
        let index = self.number(number)?;
        if self.harts[index].status != Status::Stopped {
            return Err(AlreadyAvailable);
        }
        if !self.ram.contains(pc, 2) {
            return Err(InvalidAddress);
        }
        let hart = &mut self.harts[index];
        hart.state.pc = pc;
        hart.state.x[10] = number;
        hart.state.x[11] = opaque;
        hart.memory.change(|p| {
            *p = Privileged::reset(number);
            p.delegate();
            p.set_mode(Mode::Supervisor);
        });
        hart.memory.forget();
        hart.status = Status::Running;
        Ok(0)
    }

    /// The address is physical.
    fn write_console(&mut self, count: u64, low: u64, high: u64) -> Result<u64, Failure> {
        let count = count.min(MOST_BYTES);
        let mut bytes = vec![0; count as usize];
        if high != 0 || !self.ram.read(low, &mut bytes) {
            return Err(InvalidParameter);
        }
        self.put(&bytes);
        Ok(count)
    }

    fn put(&mut self, bytes: &[u8]) {
        if let Some(sbi) = &mut self.sbi {
            sbi.console.put(bytes);
        }
    }
}

/// Fences `size` bytes from `start`; 0 and 0, or -1, are everything.
fn fence(hart: &Hart, start: u64, size: u64, asid: Option<u64>) {
    let pages = size.div_ceil(memory::PAGE);
    if size == 0 || pages > MOST_PAGES {
        return hart.memory.fence(None, asid);
    }
    for page in 0..=pages {
        let va = start.wrapping_add(page * memory::PAGE);
        hart.memory.fence(Some(va), asid);
    }
}
