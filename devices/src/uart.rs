//! 16550A serial port. It sends at once, and takes input only while there is room, so that nothing
//! is ever lost.

use crate::device::{AccessFault, Device, Place, Width, only};
use crate::line::Line;
use crate::state::{self, StateError};
use crate::stream::{Input, Output};
use crate::tree::Node;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes of the receive FIFO.
const FIFO: usize = 16;
/// Hertz that divisors count from, as QEMU says it.
const CLOCK_FREQUENCY: u32 = 3_686_400;

/// Line control: the divisor latch is selected.
const LCR_DLAB: u8 = 0x80;
/// FIFO control: enabled; forget what was received.
const FCR_ENABLE: u8 = 1;
const FCR_CLEAR_RECEIVER: u8 = 2;
/// Interrupt enable: data received, transmitter empty; the line status interrupt never occurs,
/// nor does that of the modem status.
const IER_DATA: u8 = 1;
const IER_EMPTY: u8 = 2;
const IER_MASK: u8 = 0xf;
/// Modem control: loopback, and the bits that exist.
const MCR_LOOP: u8 = 0x10;
const MCR_MASK: u8 = 0x1f;
/// Line status: data ready, holding register empty, all empty.
const LSR_DATA: u8 = 1;
const LSR_EMPTY: u8 = 0x60;
/// Modem status: clear to send, data set ready, carrier.
const MSR_CONNECTED: u8 = 0xb0;
/// Interrupt identification.
const IIR_NONE: u8 = 1;
const IIR_EMPTY: u8 = 2;
const IIR_DATA: u8 = 4;
const IIR_TIMEOUT: u8 = 0xc;
const IIR_FIFO: u8 = 0xc0;

/// The device.
pub struct Uart {
    line: Arc<dyn Line>,
    input: Box<dyn Input>,
    output: Box<dyn Output>,
    state: State,
}

/// What is saved of it.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    received: VecDeque<u8>,
    /// IER.
    interrupt_enable: u8,
    /// FCR's trigger level and enable bit.
    fifo_control: u8,
    /// LCR.
    line_control: u8,
    /// MCR.
    modem_control: u8,
    /// SCR.
    scratch: u8,
    /// DLL and DLM.
    divisor: [u8; 2],
    /// The transmitter has become empty and IIR was not read since.
    empty: bool,
}

impl State {
    fn room(&self) -> usize {
        if self.fifo_control & FCR_ENABLE != 0 {
            FIFO
        } else {
            1
        }
    }

    /// Received bytes that raise "data" instead of "timeout".
    fn trigger(&self) -> usize {
        match (self.fifo_control & FCR_ENABLE, self.fifo_control >> 6) {
            (0, _) | (_, 0) => 1,
            (_, 1) => 4,
            (_, 2) => 8,
            _ => 14,
        }
    }

    /// IIR without the bits that tell of FIFOs. What has come in below the trigger level counts
    /// as timed out at once.
    fn interrupt(&self) -> u8 {
        if self.interrupt_enable & IER_DATA != 0 && !self.received.is_empty() {
            if self.received.len() >= self.trigger() {
                IIR_DATA
            } else {
                IIR_TIMEOUT
            }
        } else if self.interrupt_enable & IER_EMPTY != 0 && self.empty {
            IIR_EMPTY
        } else {
            IIR_NONE
        }
    }

    fn modem_status(&self) -> u8 {
        if self.modem_control & MCR_LOOP == 0 {
            return MSR_CONNECTED;
        }
        // RTS to CTS, DTR to DSR, OUT1 to RI, OUT2 to DCD.
        let out = self.modem_control;
        (out & 2) << 3 | (out & 1) << 5 | (out & 4) << 4 | (out & 8) << 4
    }
}

impl Uart {
    /// A port that interrupts through `line`.
    pub fn new(line: Arc<dyn Line>, input: Box<dyn Input>, output: Box<dyn Output>) -> Uart {
        let state = State::default();
        Uart {
            line,
            input,
            output,
            state,
        }
    }

    /// Takes input while there is room, and sets the line.
    fn update(&mut self) {
        if self.state.modem_control & MCR_LOOP == 0 {
            while self.state.received.len() < self.state.room() {
                let Some(byte) = self.input.take() else { break };
                self.state.received.push_back(byte);
            }
        }
        self.line.set(self.state.interrupt() != IIR_NONE);
    }

    fn send(&mut self, byte: u8) {
        if self.state.modem_control & MCR_LOOP == 0 {
            self.output.put(&[byte]);
        } else if self.state.received.len() < self.state.room() {
            self.state.received.push_back(byte);
        }
        self.state.empty = true;
    }

    fn set_fifo_control(&mut self, value: u8) {
        let toggled = (value ^ self.state.fifo_control) & FCR_ENABLE != 0;
        if toggled || value & FCR_CLEAR_RECEIVER != 0 {
            self.state.received.clear();
        }
        let enabled = value & FCR_ENABLE != 0;
        self.state.fifo_control = if enabled {
            value & (0xc0 | FCR_ENABLE)
        } else {
            0
        };
    }
}

impl Device for Uart {
    fn read(&mut self, offset: u64, width: Width) -> Result<u64, AccessFault> {
        only(Width::Byte, width)?;
        let latch = self.state.line_control & LCR_DLAB != 0;
        let value = match offset {
            0 if latch => self.state.divisor[0],
            0 => self.state.received.pop_front().unwrap_or(0),
            1 if latch => self.state.divisor[1],
            1 => self.state.interrupt_enable,
            2 => {
                let interrupt = self.state.interrupt();
                self.state.empty &= interrupt != IIR_EMPTY;
                let fifo = self.state.fifo_control & FCR_ENABLE != 0;
                interrupt | if fifo { IIR_FIFO } else { 0 }
            }
            3 => self.state.line_control,
            4 => self.state.modem_control,
            5 => {
                LSR_EMPTY
                    | if self.state.received.is_empty() {
                        0
                    } else {
                        LSR_DATA
                    }
            }
            6 => self.state.modem_status(),
            7 => self.state.scratch,
            _ => 0,
        };
        self.update();
        Ok(u64::from(value))
    }

    fn write(&mut self, offset: u64, width: Width, value: u64) -> Result<(), AccessFault> {
        only(Width::Byte, width)?;
        let value = value as u8;
        let latch = self.state.line_control & LCR_DLAB != 0;
        match offset {
            0 if latch => self.state.divisor[0] = value,
            0 => self.send(value),
            1 if latch => self.state.divisor[1] = value,
            1 => {
                // Enabling the interrupt of an empty transmitter raises it.
                self.state.empty |= value & !self.state.interrupt_enable & IER_EMPTY != 0;
                self.state.interrupt_enable = value & IER_MASK;
            }
            2 => self.set_fifo_control(value),
            3 => self.state.line_control = value,
            4 => self.state.modem_control = value & MCR_MASK,
            7 => self.state.scratch = value,
            // Line and modem status are read-only, behind them is nothing.
            _ => {}
        }
        self.update();
        Ok(())
    }

    fn deadline(&self) -> Option<u64> {
        None
    }

    fn service(&mut self, _now: u64) {
        self.update();
    }

    fn reset(&mut self) {
        self.state = State::default();
        self.update();
    }

    fn save(&mut self) -> state::State {
        state::State::Uart(self.state.clone())
    }

    fn restore(&mut self, state: state::State) -> Result<(), StateError> {
        let state::State::Uart(saved) = state else {
            return Err(state.is_not("UART"));
        };
        let bits = saved.interrupt_enable & !IER_MASK
            | saved.modem_control & !MCR_MASK
            | saved.fifo_control & !(0xc0 | FCR_ENABLE);
        if bits != 0 || saved.received.len() > saved.room() {
            return Err(StateError::Invalid {
                device: "UART",
                why: format!(
                    "{} bytes received, or bits set that are not there",
                    saved.received.len()
                ),
            });
        }
        self.state = saved;
        self.line.set(self.state.interrupt() != IIR_NONE);
        Ok(())
    }

    fn node(&self, place: &Place) -> Node {
        Node::device("serial", vec!["ns16550a"], place).cell("clock-frequency", CLOCK_FREQUENCY)
    }
}
