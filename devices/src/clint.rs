//! Core-local interruptor: each hart's software interrupt and timer, and mtime. The layout is
//! SiFive's CLINT, which ACLINT's MSWI and MTIMER kept.

use crate::clock::Clock;
use crate::device::{AccessFault, Device, Place, Width};
use crate::layout;
use crate::line::{HartLines, Interrupt};
use crate::state::{self, StateError};
use crate::tree::{Node, Value};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Where each hart's msip begins, 4 bytes each; bit 0 is the interrupt.
const MSIP: u64 = 0;
/// Where each hart's mtimecmp begins, 8 bytes each.
const MTIMECMP: u64 = 0x4000;
const MTIME: u64 = 0xbff8;
/// Harts that the layout has room for.
const ROOM: u64 = 4095;

/// The device.
pub struct Clint {
    clock: Arc<dyn Clock>,
    harts: Vec<Arc<HartLines>>,
    state: State,
}

/// What is saved of it. `mtime` is the clock's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    msip: Vec<bool>,
    mtimecmp: Vec<u64>,
}

/// What an offset selects.
enum Register {
    Msip(usize),
    Mtimecmp(usize),
    Mtime,
    /// Of a hart that the machine lacks, or reserved: reads as 0, writes are ignored.
    Absent,
}

impl Clint {
    /// No interrupt pending, no timer set.
    pub fn new(clock: Arc<dyn Clock>, harts: Vec<Arc<HartLines>>) -> Clint {
        let state = State::new(harts.len());
        Clint {
            clock,
            harts,
            state,
        }
    }

    /// Which register holds the offset, and the offset within it.
    fn register(&self, offset: u64, width: Width) -> Result<(Register, u64), AccessFault> {
        let timer = matches!(width, Width::Word | Width::Double);
        let hart = |index: u64| {
            let index = usize::try_from(index).ok();
            index.filter(|index| *index < self.harts.len())
        };
        match offset {
            MTIME..0xc000 if timer => Ok((Register::Mtime, offset - MTIME)),
            MTIMECMP..MTIME if timer => {
                let register = hart((offset - MTIMECMP) / 8).map(Register::Mtimecmp);
                Ok((register.unwrap_or(Register::Absent), offset % 8))
            }
            MSIP..MTIMECMP if width == Width::Word => {
                let register = hart(offset / 4).filter(|_| offset / 4 < ROOM);
                Ok((register.map_or(Register::Absent, Register::Msip), 0))
            }
            0xc000.. if width == Width::Word => Ok((Register::Absent, 0)),
            _ => Err(AccessFault),
        }
    }

    /// Sets all lines from the registers.
    fn update(&self) {
        let now = self.clock.mtime();
        for (hart, lines) in self.harts.iter().enumerate() {
            lines.set(Interrupt::Msip, self.state.msip[hart]);
            lines.set(Interrupt::Mtip, self.state.mtimecmp[hart] <= now);
        }
    }
}

impl State {
    fn new(harts: usize) -> State {
        State {
            msip: vec![false; harts],
            mtimecmp: vec![u64::MAX; harts],
        }
    }
}

/// The value of a register after a store of `width` bytes at `offset` within it.
fn replace(old: u64, offset: u64, width: Width, value: u64) -> u64 {
    let shift = 8 * offset;
    let mask = width.mask() << shift;
    old & !mask | value << shift & mask
}

impl Device for Clint {
    fn read(&mut self, offset: u64, width: Width) -> Result<u64, AccessFault> {
        let (register, within) = self.register(offset, width)?;
        let value = match register {
            Register::Msip(hart) => u64::from(self.state.msip[hart]),
            Register::Mtimecmp(hart) => self.state.mtimecmp[hart],
            Register::Mtime => self.clock.mtime(),
            Register::Absent => 0,
        };
        Ok(value >> (8 * within) & width.mask())
    }

    fn write(&mut self, offset: u64, width: Width, value: u64) -> Result<(), AccessFault> {
        let (register, within) = self.register(offset, width)?;
        match register {
            Register::Msip(hart) => self.state.msip[hart] = value & 1 != 0,
            Register::Mtimecmp(hart) => {
                let compare = &mut self.state.mtimecmp[hart];
                *compare = replace(*compare, within, width, value);
            }
            Register::Mtime => {
                let mtime = replace(self.clock.mtime(), within, width, value);
                self.clock.set_mtime(mtime);
            }
            Register::Absent => {}
        }
        self.update();
        Ok(())
    }

    /// Timers that have fired stay raised until their mtimecmp is written.
    fn deadline(&self) -> Option<u64> {
        let pending = |hart: usize| self.harts[hart].levels() & Interrupt::Mtip.bit() != 0;
        let timers = self.state.mtimecmp.iter().enumerate();
        let ahead = timers.filter(|(hart, compare)| **compare != u64::MAX && !pending(*hart));
        ahead.map(|(_, compare)| *compare).min()
    }

    fn service(&mut self, _now: u64) {
        self.update();
    }

    fn reset(&mut self) {
        self.state = State::new(self.harts.len());
        self.update();
    }

    fn save(&mut self) -> state::State {
        state::State::Clint(self.state.clone())
    }

    fn restore(&mut self, state: state::State) -> Result<(), StateError> {
        let state::State::Clint(saved) = state else {
            return Err(state.is_not("CLINT"));
        };
        let harts = self.harts.len();
        if saved.msip.len() != harts || saved.mtimecmp.len() != harts {
            return Err(StateError::Invalid {
                device: "CLINT",
                why: format!("it is for {} harts, not {harts}", saved.msip.len()),
            });
        }
        self.state = saved;
        self.update();
        Ok(())
    }

    fn node(&self, place: &Place) -> Node {
        let wires = (0..self.harts.len()).flat_map(|hart| {
            let intc = layout::hart_intc_phandle(hart);
            [intc, Interrupt::Msip as u32, intc, Interrupt::Mtip as u32]
        });
        Node::device("clint", vec!["sifive,clint0", "riscv,clint0"], place)
            .with("interrupts-extended", Value::Cells(wires.collect()))
    }
}
