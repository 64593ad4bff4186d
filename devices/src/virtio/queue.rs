//! Split virtqueues (2.7). Whatever lies in the rings is a guest's: each number is checked before
//! it is used.

use crate::memory::{GuestMemory, OutsideMemory};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{Ordering, fence};

/// Descriptor flags (2.7.5).
const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;
const DESCRIPTOR: u64 = 16;
/// The available ring's flag: no interrupts, please (2.7.6).
const NO_INTERRUPT: u16 = 1;

/// A driver broke the rules of its queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Broken {
    /// An address that is not memory.
    #[error(transparent)]
    Memory(#[from] OutsideMemory),
    /// Ring addresses have to be aligned.
    #[error("a ring at {pa:#x} is not aligned to {alignment}")]
    Misaligned {
        /// Where it is.
        pa: u64,
        /// What it must be a multiple of.
        alignment: u64,
    },
    /// More chains available than fit.
    #[error("the driver's index is {ahead} ahead in a queue of {size}")]
    Index {
        /// How far.
        ahead: u16,
        /// The queue's size.
        size: u16,
    },
    /// A descriptor that does not exist.
    #[error("descriptor {index} in a table of {size}")]
    NoDescriptor {
        /// Its number.
        index: u16,
        /// The table's size.
        size: u16,
    },
    /// More descriptors in a chain than in its table: they go round.
    #[error("a chain of descriptors never ends")]
    Loop,
    /// An indirect table of no valid size, or within another, or continued.
    #[error("an indirect descriptor of {length} bytes with flags {flags:#x}")]
    Indirect {
        /// Bytes.
        length: u32,
        /// Flags.
        flags: u16,
    },
    /// What the device reads comes before what it writes (2.7.4.2).
    #[error("a readable descriptor behind a writable one")]
    Order,
    /// A request that lacks a part, or is too long.
    #[error("{what} of {length} bytes")]
    Request {
        /// Which part.
        what: &'static str,
        /// How long it is.
        length: u64,
    },
}

/// A piece of guest memory, checked to be RAM when it was taken from the queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Span {
    /// First address.
    pub pa: u64,
    /// Bytes.
    pub length: u32,
}

/// A request: buffers to read from, then buffers to write to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Chain {
    /// The number to give it back by.
    pub head: u16,
    /// For the device to read.
    pub readable: Vec<Span>,
    /// For the device to write.
    pub writable: Vec<Span>,
}

/// Bytes of spans in all. At most 2^16 spans of 2^32 bytes.
pub fn length(spans: &[Span]) -> u64 {
    spans.iter().map(|span| u64::from(span.length)).sum()
}

impl Chain {
    /// All that is readable, if it is `most` bytes or less.
    pub fn read(
        &self,
        memory: &dyn GuestMemory,
        what: &'static str,
        most: u64,
    ) -> Result<Vec<u8>, Broken> {
        let length = length(&self.readable);
        if length > most {
            return Err(Broken::Request { what, length });
        }
        let mut bytes = vec![0; length as usize];
        let mut at = 0;
        for span in &self.readable {
            let end = at + span.length as usize;
            memory.read(span.pa, &mut bytes[at..end])?;
            at = end;
        }
        Ok(bytes)
    }

    /// Writes to the writable part from its byte `skip` on, as much as fits; says how much did.
    pub fn write(
        &self,
        memory: &dyn GuestMemory,
        skip: u64,
        mut bytes: &[u8],
    ) -> Result<u32, Broken> {
        let mut skip = skip;
        let mut written = 0;
        for span in &self.writable {
            let skipped = skip.min(u64::from(span.length));
            skip -= skipped;
            let room = u64::from(span.length) - skipped;
            let count = room.min(bytes.len() as u64) as usize;
            let (now, later) = bytes.split_at(count);
            if !now.is_empty() {
                // Memory checks it: the chain may come from a snapshot.
                memory.write(span.pa.wrapping_add(skipped), now)?;
                written += count as u32;
            }
            bytes = later;
        }
        Ok(written)
    }
}

/// One virtqueue, as its driver has set it up.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Queue {
    /// The most entries it may have.
    pub(super) most: u16,
    /// Entries: a power of two up to `most`.
    pub(super) size: u16,
    pub(super) ready: bool,
    /// Addresses of descriptor table, available ring and used ring.
    pub(super) descriptors: u64,
    pub(super) driver: u64,
    pub(super) used: u64,
    /// Indices into the rings, counted on without end.
    next_available: u16,
    next_used: u16,
    /// `next_used` when an interrupt was last considered.
    signalled: u16,
    /// VIRTIO_F_EVENT_IDX was negotiated.
    pub(super) event_index: bool,
}

impl Queue {
    /// A queue of this most entries, not set up.
    pub(super) fn new(most: u16) -> Queue {
        Queue {
            most,
            size: most,
            ready: false,
            descriptors: 0,
            driver: 0,
            used: 0,
            next_available: 0,
            next_used: 0,
            signalled: 0,
            event_index: false,
        }
    }

    /// Whether a queue of `most` entries could look like this.
    pub(super) fn is_valid(&self, most: u16) -> bool {
        self.most == most && self.size.is_power_of_two() && self.size <= most
    }

    /// Starts afresh with these addresses. Each ring lies in memory, aligned (2.7).
    pub(super) fn start(&mut self, memory: &dyn GuestMemory) -> Result<(), Broken> {
        let size = u64::from(self.size);
        for (pa, alignment, length) in [
            (self.descriptors, 16, DESCRIPTOR * size),
            (self.driver, 2, 6 + 2 * size),
            (self.used, 4, 6 + 8 * size),
        ] {
            if !pa.is_multiple_of(alignment) {
                return Err(Broken::Misaligned { pa, alignment });
            }
            memory.check(pa, length)?;
        }
        (self.next_available, self.next_used, self.signalled) = (0, 0, 0);
        self.ready = true;
        Ok(())
    }

    /// Whether the driver has made a chain available. If not, it will notify of the next one.
    pub(super) fn available(&mut self, memory: &dyn GuestMemory) -> Result<bool, Broken> {
        if !self.ready {
            return Ok(false);
        }
        let waiting = self.waiting(memory)? > 0;
        if waiting || !self.event_index {
            return Ok(waiting);
        }
        // Ask to be notified of the next one, then look again: it may have come in between.
        let event = self.used.wrapping_add(4 + 8 * u64::from(self.size));
        memory.write(event, &self.next_available.to_le_bytes())?;
        fence(Ordering::SeqCst);
        Ok(self.waiting(memory)? > 0)
    }

    /// The next chain that the driver has made available.
    pub(super) fn pop(&mut self, memory: &dyn GuestMemory) -> Result<Option<Chain>, Broken> {
        if !self.available(memory)? {
            return Ok(None);
        }
        let slot = u64::from(self.next_available % self.size);
        let head = half(memory, self.driver.wrapping_add(4 + 2 * slot))?;
        self.next_available = self.next_available.wrapping_add(1);
        self.chain(memory, head).map(Some)
    }

    /// How many chains are available.
    fn waiting(&self, memory: &dyn GuestMemory) -> Result<u16, Broken> {
        let index = half(memory, self.driver.wrapping_add(2))?;
        // What the driver wrote before the index is seen after it.
        fence(Ordering::Acquire);
        let ahead = index.wrapping_sub(self.next_available);
        if ahead > self.size {
            let size = self.size;
            return Err(Broken::Index { ahead, size });
        }
        Ok(ahead)
    }

    fn chain(&self, memory: &dyn GuestMemory, head: u16) -> Result<Chain, Broken> {
        let mut chain = Chain {
            head,
            readable: Vec::new(),
            writable: Vec::new(),
        };
        let (mut table, mut size, mut index) = (self.descriptors, self.size, head);
        let (mut taken, mut indirect) = (0, false);
        loop {
            if index >= size {
                return Err(Broken::NoDescriptor { index, size });
            }
            // Also in an indirect table no chain is longer than the queue (2.7.5.3.1).
            if taken == size {
                return Err(Broken::Loop);
            }
            let mut bytes = [0; DESCRIPTOR as usize];
            memory.read(
                table.wrapping_add(DESCRIPTOR * u64::from(index)),
                &mut bytes,
            )?;
            let (pa, length, flags, next) = split(bytes);
            if flags & INDIRECT != 0 {
                let entries = length / DESCRIPTOR as u32;
                let whole = entries > 0 && length.is_multiple_of(DESCRIPTOR as u32);
                if indirect || flags & NEXT != 0 || !whole || entries > u32::from(self.most) {
                    return Err(Broken::Indirect { length, flags });
                }
                memory.check(pa, u64::from(length))?;
                (table, size, index) = (pa, entries as u16, 0);
                (taken, indirect) = (0, true);
                continue;
            }
            memory.check(pa, u64::from(length))?;
            let span = Span { pa, length };
            if flags & WRITE != 0 {
                chain.writable.push(span);
            } else if chain.writable.is_empty() {
                chain.readable.push(span);
            } else {
                return Err(Broken::Order);
            }
            if flags & NEXT == 0 {
                return Ok(chain);
            }
            taken += 1;
            index = next;
        }
    }

    /// Puts a chain into the used ring.
    pub(super) fn push(
        &mut self,
        memory: &dyn GuestMemory,
        head: u16,
        written: u32,
    ) -> Result<(), Broken> {
        let mut element = [0; 8];
        element[..4].copy_from_slice(&u32::from(head).to_le_bytes());
        element[4..].copy_from_slice(&written.to_le_bytes());
        let slot = u64::from(self.next_used % self.size);
        memory.write(self.used.wrapping_add(4 + 8 * slot), &element)?;
        // The driver sees what was written before it sees the index.
        fence(Ordering::Release);
        self.next_used = self.next_used.wrapping_add(1);
        memory.write(self.used.wrapping_add(2), &self.next_used.to_le_bytes())?;
        Ok(())
    }

    /// Whether the driver wants an interrupt for what was pushed since this was last asked
    /// (2.7.7).
    pub(super) fn take_interrupt(&mut self, memory: &dyn GuestMemory) -> Result<bool, Broken> {
        let pushed = self.next_used.wrapping_sub(self.signalled);
        if pushed == 0 {
            return Ok(false);
        }
        self.signalled = self.next_used;
        fence(Ordering::SeqCst);
        if !self.event_index {
            return Ok(half(memory, self.driver)? & NO_INTERRUPT == 0);
        }
        let event = half(
            memory,
            self.driver.wrapping_add(4 + 2 * u64::from(self.size)),
        )?;
        Ok(self.next_used.wrapping_sub(event).wrapping_sub(1) < pushed)
    }
}

fn half(memory: &dyn GuestMemory, pa: u64) -> Result<u16, Broken> {
    let mut bytes = [0; 2];
    memory.read(pa, &mut bytes)?;
    Ok(u16::from_le_bytes(bytes))
}

/// A descriptor's address, length, flags and next.
fn split(d: [u8; DESCRIPTOR as usize]) -> (u64, u32, u16, u16) {
    let [a, b, c, e, f, g, h, i, j, k, l, m, n, o, p, q] = d;
    (
        u64::from_le_bytes([a, b, c, e, f, g, h, i]),
        u32::from_le_bytes([j, k, l, m]),
        u16::from_le_bytes([n, o]),
        u16::from_le_bytes([p, q]),
    )
}
