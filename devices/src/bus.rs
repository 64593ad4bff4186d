//! Physical addresses to devices.

use crate::device::{AccessFault, Device, Place, Width};
use crate::state::{State, StateError};
use crate::tree::Node;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The devices of a machine. All methods but [`Bus::attach`] may be called by several harts at
/// once; each device works for one of them at a time.
#[derive(Default)]
pub struct Bus {
    /// By address.
    slots: Vec<Slot>,
}

struct Slot {
    place: Place,
    device: Mutex<Box<dyn Device>>,
    /// What `Device::deadline` last said, `NEVER` for none.
    deadline: AtomicU64,
}

const NEVER: u64 = u64::MAX;

impl Slot {
    /// A panic inside a device would be a bug of ours; its registers are then still registers.
    fn lock(&self) -> MutexGuard<'_, Box<dyn Device>> {
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<R>(&self, act: impl FnOnce(&mut dyn Device) -> R) -> R {
        let mut device = self.lock();
        let result = act(&mut **device);
        let deadline = device.deadline().unwrap_or(NEVER);
        self.deadline.store(deadline, Ordering::Release);
        result
    }
}

/// A device cannot be attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Attach {
    /// There is something else already.
    #[error("the device at {pa:#x} would overlap the one at {other:#x}")]
    Overlap {
        /// The new device.
        pa: u64,
        /// The device there.
        other: u64,
    },
    /// A place without bytes, or past the end of all addresses.
    #[error("{size:#x} bytes at {pa:#x} is no place for a device")]
    NoPlace {
        /// First address.
        pa: u64,
        /// Bytes.
        size: u64,
    },
}

/// A device's state and where it was attached.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Saved {
    /// Its first physical address.
    pub pa: u64,
    /// Its state.
    pub state: State,
}

impl Bus {
    /// Puts a device at its place.
    pub fn attach(&mut self, place: Place, device: Box<dyn Device>) -> Result<(), Attach> {
        let Place { pa, size, .. } = place;
        let end = pa.checked_add(size).filter(|_| size > 0);
        let end = end.ok_or(Attach::NoPlace { pa, size })?;
        let overlaps = |slot: &&Slot| slot.place.pa < end && pa < slot.place.pa + slot.place.size;
        if let Some(slot) = self.slots.iter().find(overlaps) {
            let other = slot.place.pa;
            return Err(Attach::Overlap { pa, other });
        }
        let deadline = AtomicU64::new(device.deadline().unwrap_or(NEVER));
        let at = self.slots.partition_point(|slot| slot.place.pa < pa);
        let device = Mutex::new(device);
        self.slots.insert(
            at,
            Slot {
                place,
                device,
                deadline,
            },
        );
        Ok(())
    }

    /// A load at a physical address. Misaligned ones reach no device.
    pub fn read(&self, pa: u64, width: Width) -> Result<u64, AccessFault> {
        let (slot, offset) = self.find(pa, width)?;
        Ok(slot.with(|device| device.read(offset, width))? & width.mask())
    }

    /// A store at a physical address. Misaligned ones reach no device.
    pub fn write(&self, pa: u64, width: Width, value: u64) -> Result<(), AccessFault> {
        let (slot, offset) = self.find(pa, width)?;
        slot.with(|device| device.write(offset, width, value & width.mask()))
    }

    fn find(&self, pa: u64, width: Width) -> Result<(&Slot, u64), AccessFault> {
        let after = self.slots.partition_point(|slot| slot.place.pa <= pa);
        let slot = after.checked_sub(1).map(|at| &self.slots[at]);
        let slot = slot.ok_or(AccessFault)?;
        let offset = pa - slot.place.pa;
        let fits = offset < slot.place.size && width.bytes() <= slot.place.size - offset;
        if fits && pa.is_multiple_of(width.bytes()) {
            Ok((slot, offset))
        } else {
            Err(AccessFault)
        }
    }

    /// The earliest `mtime` at which [`Bus::run_due`] has something to do. An access to a device
    /// may bring it nearer, nothing else does.
    pub fn next_event(&self) -> Option<u64> {
        let deadlines = self
            .slots
            .iter()
            .map(|s| s.deadline.load(Ordering::Acquire));
        deadlines.min().filter(|deadline| *deadline != NEVER)
    }

    /// Services the devices whose time has come.
    pub fn run_due(&self, now: u64) {
        for slot in &self.slots {
            if slot.deadline.load(Ordering::Acquire) <= now {
                slot.with(|device| device.service(now));
            }
        }
    }

    /// Services all devices: some thread of theirs has rung the bell.
    pub fn attend(&self, now: u64) {
        for slot in &self.slots {
            slot.with(|device| device.service(now));
        }
    }

    /// All devices back to their state after power-on.
    pub fn reset(&self) {
        for slot in &self.slots {
            slot.with(|device| device.reset());
        }
    }

    /// The state of all devices, by address. The machine stands still meanwhile.
    pub fn save(&self) -> Vec<Saved> {
        let save = |slot: &Slot| Saved {
            pa: slot.place.pa,
            state: slot.with(|device| device.save()),
        };
        self.slots.iter().map(save).collect()
    }

    /// Puts saved state into the same devices at the same places. After an error the machine is
    /// in no state to run.
    pub fn restore(&self, saved: Vec<Saved>) -> Result<(), StateError> {
        if saved.len() != self.slots.len() {
            return Err(StateError::Count {
                found: self.slots.len(),
                expected: saved.len(),
            });
        }
        for (slot, Saved { pa, state }) in self.slots.iter().zip(saved) {
            if slot.place.pa != pa {
                return Err(StateError::Moved {
                    found: slot.place.pa,
                    expected: pa,
                });
            }
            slot.with(|device| device.restore(state))?;
        }
        Ok(())
    }

    /// The devices' nodes for the device tree, by address.
    pub fn nodes(&self) -> Vec<Node> {
        let node = |slot: &Slot| slot.lock().node(&slot.place);
        self.slots.iter().map(node).collect()
    }

    /// Where devices are.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        self.slots.iter().map(|slot| slot.place)
    }
}
