//! Virtio over memory-mapped registers, version 2 (4.2).

use super::queue::{Broken, Queue};
use super::{CHAINS_AT_ONCE, Function, Io};
use crate::clock::Clock;
use crate::device::{AccessFault, Device, Place, Width};
use crate::line::Line;
use crate::memory::GuestMemory;
use crate::state::{self, StateError};
use crate::tree::Node;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const MAGIC: u32 = u32::from_le_bytes(*b"virt");
const VERSION: u32 = 2;
const VENDOR: u32 = u32::from_le_bytes(*b"bhv ");

/// Registers by offset (4.2.2).
const DEVICE_FEATURES: u64 = 0x010;
const DEVICE_FEATURES_SELECT: u64 = 0x014;
const DRIVER_FEATURES: u64 = 0x020;
const DRIVER_FEATURES_SELECT: u64 = 0x024;
const QUEUE_SELECT: u64 = 0x030;
const QUEUE_SIZE_MAX: u64 = 0x034;
const QUEUE_SIZE: u64 = 0x038;
const QUEUE_READY: u64 = 0x044;
const QUEUE_NOTIFY: u64 = 0x050;
const INTERRUPT_STATUS: u64 = 0x060;
const INTERRUPT_ACK: u64 = 0x064;
const STATUS: u64 = 0x070;
const QUEUE_DESC_LOW: u64 = 0x080;
const QUEUE_DESC_HIGH: u64 = 0x084;
const QUEUE_DRIVER_LOW: u64 = 0x090;
const QUEUE_DRIVER_HIGH: u64 = 0x094;
const QUEUE_DEVICE_LOW: u64 = 0x0a0;
const QUEUE_DEVICE_HIGH: u64 = 0x0a4;
/// Length and base of the selected shared memory region: there is none.
const SHARED_MEMORY: std::ops::RangeInclusive<u64> = 0x0b0..=0x0bc;
const CONFIG: u64 = 0x100;

/// Feature bits of the transport (6).
const INDIRECT_DESC: u64 = 1 << 28;
const EVENT_IDX: u64 = 1 << 29;
const VERSION_1: u64 = 1 << 32;

/// Device status (2.1).
const DRIVER_OK: u32 = 4;
const FEATURES_OK: u32 = 8;
const NEEDS_RESET: u32 = 64;
/// What a driver may set.
const STATUS_MASK: u32 = 0x8f;

/// Interrupt status: used buffers, configuration change.
const USED_BUFFER: u32 = 1;
const CONFIG_CHANGE: u32 = 2;

/// A virtio device.
pub struct Virtio {
    function: Box<dyn Function>,
    memory: Arc<dyn GuestMemory>,
    clock: Arc<dyn Clock>,
    line: Arc<dyn Line>,
    state: Registers,
}

/// What is saved of the transport.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Registers {
    queues: Vec<Queue>,
    device_features_select: u32,
    driver_features_select: u32,
    driver_features: u64,
    queue_select: u32,
    status: u32,
    interrupt_status: u32,
    /// A call left chains in queues because it had taken enough.
    again: bool,
}

/// What is saved of a virtio device.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct State {
    registers: Registers,
    function: super::State,
}

impl State {
    /// What is saved of the function.
    pub fn function(&self) -> &super::State {
        &self.function
    }
}

impl Registers {
    fn new(sizes: &[u16]) -> Registers {
        Registers {
            queues: sizes.iter().map(|most| Queue::new(*most)).collect(),
            device_features_select: 0,
            driver_features_select: 0,
            driver_features: 0,
            queue_select: 0,
            status: 0,
            interrupt_status: 0,
            again: false,
        }
    }

    fn queue(&self) -> Option<&Queue> {
        self.queues.get(self.queue_select as usize)
    }

    /// The selected queue while it may be set up.
    fn idle_queue(&mut self) -> Option<&mut Queue> {
        let queue = self.queues.get_mut(self.queue_select as usize);
        queue.filter(|queue| !queue.ready)
    }

    fn running(&self) -> bool {
        self.status & (DRIVER_OK | NEEDS_RESET) == DRIVER_OK
    }
}

/// One half of a 64-bit value.
fn half_of(value: u64, select: u32) -> u32 {
    match select {
        0 => value as u32,
        1 => (value >> 32) as u32,
        _ => 0,
    }
}

fn set_half(value: &mut u64, high: bool, half: u32) {
    let shift = if high { 32 } else { 0 };
    *value = *value & !(0xffff_ffff << shift) | u64::from(half) << shift;
}

impl Virtio {
    /// A device that does what `function` does.
    pub fn new(
        function: Box<dyn Function>,
        memory: Arc<dyn GuestMemory>,
        clock: Arc<dyn Clock>,
        line: Arc<dyn Line>,
    ) -> Virtio {
        let state = Registers::new(function.queue_sizes());
        Virtio {
            function,
            memory,
            clock,
            line,
            state,
        }
    }

    fn features(&self) -> u64 {
        self.function.features() | INDIRECT_DESC | EVENT_IDX | VERSION_1
    }

    /// Lets the function work, then raises what interrupts there are. A driver that broke the
    /// rules has to reset the device (2.1.2).
    fn work(&mut self, act: impl FnOnce(&mut dyn Function, &mut Io<'_>) -> Result<(), Broken>) {
        if !self.state.running() {
            return;
        }
        let mut io = Io {
            queues: &mut self.state.queues,
            memory: &*self.memory,
            now: self.clock.mtime(),
            left: CHAINS_AT_ONCE,
        };
        let mut result = act(&mut *self.function, &mut io);
        self.state.again = io.left == 0;
        for queue in &mut self.state.queues {
            match queue.take_interrupt(&*self.memory) {
                Ok(true) => self.state.interrupt_status |= USED_BUFFER,
                Ok(false) => {}
                Err(broken) => result = result.and(Err(broken)),
            }
        }
        if result.is_err() {
            self.fail();
        }
        self.update();
    }

    fn fail(&mut self) {
        self.state.status |= NEEDS_RESET;
        self.state.again = false;
        if self.state.status & DRIVER_OK != 0 {
            self.state.interrupt_status |= CONFIG_CHANGE;
        }
    }

    fn update(&self) {
        self.line.set(self.state.interrupt_status != 0);
    }

    fn register(&self, offset: u64) -> u32 {
        match offset {
            0x000 => MAGIC,
            0x004 => VERSION,
            0x008 => self.function.id(),
            0x00c => VENDOR,
            DEVICE_FEATURES => half_of(self.features(), self.state.device_features_select),
            QUEUE_SIZE_MAX => self.state.queue().map_or(0, |queue| u32::from(queue.most)),
            QUEUE_READY => self.state.queue().map_or(0, |queue| u32::from(queue.ready)),
            INTERRUPT_STATUS => self.state.interrupt_status,
            STATUS => self.state.status,
            offset if SHARED_MEMORY.contains(&offset) => !0,
            // Configuration never changes, so its generation stays 0; the others are for writing
            // only, or nothing.
            _ => 0,
        }
    }

    fn set_register(&mut self, offset: u64, value: u32) {
        let state = &mut self.state;
        match offset {
            DEVICE_FEATURES_SELECT => state.device_features_select = value,
            DRIVER_FEATURES_SELECT => state.driver_features_select = value,
            DRIVER_FEATURES => {
                // Features are settled once the device has accepted them (3.1.1).
                let select = state.driver_features_select;
                if state.status & FEATURES_OK == 0 && select < 2 {
                    set_half(&mut state.driver_features, select == 1, value);
                }
            }
            QUEUE_SELECT => state.queue_select = value,
            QUEUE_SIZE => {
                if let (Ok(size), Some(queue)) = (u16::try_from(value), state.idle_queue())
                    && size.is_power_of_two()
                    && size <= queue.most
                {
                    queue.size = size;
                }
            }
            QUEUE_READY => self.set_ready(value & 1 != 0),
            QUEUE_NOTIFY => {
                if (value as usize) < state.queues.len() {
                    self.work(|function, io| function.notify(value as usize, io));
                }
            }
            INTERRUPT_ACK => state.interrupt_status &= !value,
            STATUS => self.set_status(value),
            _ => {
                if let Some(queue) = state.idle_queue() {
                    set_address(queue, offset, value);
                }
            }
        }
        self.update();
    }

    fn set_ready(&mut self, ready: bool) {
        let event_index = self.state.driver_features & EVENT_IDX != 0;
        let Some(queue) = self.state.queues.get_mut(self.state.queue_select as usize) else {
            return;
        };
        if !ready {
            queue.ready = false;
        } else if !queue.ready {
            queue.event_index = event_index;
            if queue.start(&*self.memory).is_err() {
                self.fail();
            }
        }
    }

    fn set_status(&mut self, value: u32) {
        if value == 0 {
            return self.reset();
        }
        let offered = self.features();
        let accepted = self.state.driver_features & !offered == 0
            && self.state.driver_features & VERSION_1 != 0;
        let kept = self.state.status & NEEDS_RESET;
        // A driver reads FEATURES_OK back to see whether its choice is accepted (3.1.1).
        let refused = if accepted { 0 } else { FEATURES_OK };
        self.state.status = value & STATUS_MASK & !refused | kept;
    }

    /// A read of the configuration space. What lies past its end is 0.
    fn config(&self, offset: u64, width: Width) -> u64 {
        let config = self.function.config();
        let bytes = (0..width.bytes()).rev().map(|i| {
            let at = usize::try_from(offset + i).ok();
            at.and_then(|at| config.get(at)).copied().unwrap_or(0)
        });
        bytes.fold(0, |value, byte| value << 8 | u64::from(byte))
    }
}

fn set_address(queue: &mut Queue, offset: u64, value: u32) {
    let (address, high) = match offset {
        QUEUE_DESC_LOW => (&mut queue.descriptors, false),
        QUEUE_DESC_HIGH => (&mut queue.descriptors, true),
        QUEUE_DRIVER_LOW => (&mut queue.driver, false),
        QUEUE_DRIVER_HIGH => (&mut queue.driver, true),
        QUEUE_DEVICE_LOW => (&mut queue.used, false),
        QUEUE_DEVICE_HIGH => (&mut queue.used, true),
        // For reading only, or nothing.
        _ => return,
    };
    set_half(address, high, value);
}

impl Device for Virtio {
    fn read(&mut self, offset: u64, width: Width) -> Result<u64, AccessFault> {
        match offset {
            CONFIG.. if width != Width::Double => Ok(self.config(offset - CONFIG, width)),
            0..CONFIG if width == Width::Word => Ok(u64::from(self.register(offset))),
            _ => Err(AccessFault),
        }
    }

    /// No function has configuration that a driver may write.
    fn write(&mut self, offset: u64, width: Width, value: u64) -> Result<(), AccessFault> {
        match offset {
            CONFIG.. if width != Width::Double => {}
            0..CONFIG if width == Width::Word => self.set_register(offset, value as u32),
            _ => return Err(AccessFault),
        }
        Ok(())
    }

    fn deadline(&self) -> Option<u64> {
        if !self.state.running() {
            None
        } else if self.state.again {
            Some(0)
        } else {
            self.function.deadline()
        }
    }

    fn service(&mut self, _now: u64) {
        let queues = if self.state.again {
            self.state.queues.len()
        } else {
            0
        };
        self.work(|function, io| {
            function.service(io)?;
            (0..queues).try_for_each(|queue| function.notify(queue, io))
        });
    }

    fn reset(&mut self) {
        self.function.reset();
        self.state = Registers::new(self.function.queue_sizes());
        self.update();
    }

    fn save(&mut self) -> state::State {
        state::State::Virtio(State {
            registers: self.state.clone(),
            function: self.function.save(),
        })
    }

    fn restore(&mut self, state: state::State) -> Result<(), StateError> {
        let state::State::Virtio(saved) = state else {
            return Err(state.is_not("virtio device"));
        };
        let sizes = self.function.queue_sizes();
        let queues = &saved.registers.queues;
        let fit = queues
            .iter()
            .zip(sizes)
            .all(|(queue, most)| queue.is_valid(*most));
        if queues.len() != sizes.len() || !fit {
            return Err(StateError::Invalid {
                device: "virtio device",
                why: format!("its queues are not those of this device, {sizes:?}"),
            });
        }
        self.function.restore(saved.function)?;
        self.state = saved.registers;
        self.update();
        Ok(())
    }

    fn node(&self, place: &Place) -> Node {
        Node::device("virtio_mmio", vec!["virtio,mmio"], place)
    }
}
