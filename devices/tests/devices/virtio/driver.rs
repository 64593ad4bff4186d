//! The guest's side of a virtio device: registers, rings, buffers.

use crate::support::{Hand, Wire, load, store};
use devices::memory::Bytes;
use devices::virtio::{Function, Virtio};
use devices::{Clock, Device, GuestMemory};
use std::sync::Arc;

pub const RAM: u64 = 0x8000_0000;
pub const SIZE: usize = 1 << 20;
/// Where buffers go; rings lie below.
const BUFFERS: u64 = RAM + 0x4_0000;
pub const NEXT: u16 = 1;
pub const WRITE: u16 = 2;
pub const INDIRECT: u16 = 4;
pub const NEEDS_RESET: u32 = 64;

pub struct Driver {
    pub device: Virtio,
    pub memory: Arc<Bytes>,
    pub clock: Arc<Hand>,
    pub wire: Arc<Wire>,
    buffers: u64,
    /// Entries of each queue, and how far its available ring was filled.
    pub queues: Vec<(u64, u16)>,
    seen: Vec<u16>,
    /// The next free descriptor of each queue.
    free: Vec<u16>,
}

/// Where the rings of a queue lie: descriptors, available, used.
pub fn rings(queue: u64) -> [u64; 3] {
    let at = RAM + 0x1_0000 * queue;
    [at, at + 0x8000, at + 0xc000]
}

impl Driver {
    /// A device that nobody has touched.
    pub fn idle(function: Box<dyn Function>) -> Driver {
        let memory = Arc::new(Bytes::new(RAM, SIZE));
        let (clock, wire) = (Arc::new(Hand::default()), Arc::new(Wire::default()));
        let device = Virtio::new(function, memory.clone(), clock.clone(), wire.clone());
        Driver {
            device,
            memory,
            clock,
            wire,
            buffers: BUFFERS,
            queues: Vec::new(),
            seen: Vec::new(),
            free: Vec::new(),
        }
    }

    /// A device that is ready, with these feature bits besides VERSION_1.
    pub fn ready(function: Box<dyn Function>, features: u64) -> Driver {
        let mut driver = Driver::idle(function);
        driver.negotiate(features | 1 << 32);
        let mut queue = 0;
        while driver.start_queue(queue) {
            queue += 1;
        }
        driver.set(0x70, 0xf);
        driver
    }

    pub fn get(&mut self, register: u64) -> u32 {
        load(&mut self.device, register)
    }

    pub fn set(&mut self, register: u64, value: u32) {
        store(&mut self.device, register, value);
    }

    pub fn negotiate(&mut self, features: u64) {
        self.set(0x70, 0);
        self.set(0x70, 1);
        self.set(0x70, 3);
        for (select, half) in [(0, features as u32), (1, (features >> 32) as u32)] {
            self.set(0x24, select);
            self.set(0x20, half);
        }
        self.set(0x70, 0xb);
    }

    fn start_queue(&mut self, queue: u64) -> bool {
        self.set(0x30, queue as u32);
        let most = self.get(0x34);
        if most == 0 {
            return false;
        }
        self.set(0x38, most);
        for (register, pa) in [0x80, 0x90, 0xa0].into_iter().zip(rings(queue)) {
            self.set(register, pa as u32);
            self.set(register + 4, (pa >> 32) as u32);
        }
        self.set(0x44, 1);
        assert_eq!(self.get(0x44), 1);
        self.queues.push((u64::from(most), 0));
        self.seen.push(0);
        self.free.push(0);
        true
    }

    /// A buffer with these bytes.
    pub fn buffer(&mut self, bytes: &[u8]) -> (u64, u32) {
        let pa = self.buffers;
        self.memory.write(pa, bytes).expect("room for buffers");
        self.buffers = (pa + bytes.len() as u64).next_multiple_of(16);
        (pa, bytes.len() as u32)
    }

    pub fn descriptor(&self, table: u64, index: u16, pa: u64, length: u32, flags: u16, next: u16) {
        let at = table + 16 * u64::from(index);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&pa.to_le_bytes());
        bytes[8..12].copy_from_slice(&length.to_le_bytes());
        bytes[12..14].copy_from_slice(&flags.to_le_bytes());
        bytes[14..].copy_from_slice(&next.to_le_bytes());
        self.memory.write(at, &bytes).expect("a table in memory");
    }

    /// Makes a chain of descriptors available; `true` for those that the device writes.
    pub fn offer(&mut self, queue: usize, spans: &[(u64, u32, bool)]) -> u16 {
        let head = self.free[queue];
        for (i, (pa, length, write)) in spans.iter().enumerate() {
            let index = head + i as u16;
            let more = if i + 1 < spans.len() { NEXT } else { 0 };
            let flags = more | if *write { WRITE } else { 0 };
            self.descriptor(
                rings(queue as u64)[0],
                index,
                *pa,
                *length,
                flags,
                index + 1,
            );
        }
        self.free[queue] += spans.len() as u16;
        self.announce(queue, head);
        head
    }

    /// Puts a head into the available ring.
    pub fn announce(&mut self, queue: usize, head: u16) {
        let [_, available, _] = rings(queue as u64);
        let (size, index) = &mut self.queues[queue];
        let slot = available + 4 + 2 * (u64::from(*index) % *size);
        *index = index.wrapping_add(1);
        let index = *index;
        self.memory
            .write(slot, &head.to_le_bytes())
            .expect("a ring");
        self.memory
            .write(available + 2, &index.to_le_bytes())
            .expect("a ring");
    }

    pub fn notify(&mut self, queue: u32) {
        self.set(0x50, queue);
    }

    /// What the device has given back since the last call: head and length.
    pub fn used(&mut self, queue: usize) -> Vec<(u16, u32)> {
        let [_, _, used] = rings(queue as u64);
        let index = self.half(used + 2);
        let mut list = Vec::new();
        while self.seen[queue] != index {
            let slot = used + 4 + 8 * (u64::from(self.seen[queue]) % self.queues[queue].0);
            list.push((self.half(slot), self.half(slot + 4).into()));
            let length = self.bytes(slot + 4, 4);
            let length = u32::from_le_bytes(length.try_into().expect("4 bytes"));
            list.last_mut().expect("just pushed").1 = length;
            self.seen[queue] = self.seen[queue].wrapping_add(1);
        }
        list
    }

    pub fn half(&self, pa: u64) -> u16 {
        u16::from_le_bytes(self.bytes(pa, 2).try_into().expect("2 bytes"))
    }

    pub fn bytes(&self, pa: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.memory.read(pa, &mut bytes).expect("memory");
        bytes
    }

    /// Lets virtual time pass up to the device's deadlines.
    pub fn pass(&mut self, ticks: u64) {
        let end = self.clock.mtime() + ticks;
        while let Some(deadline) = self.device.deadline().filter(|deadline| *deadline <= end) {
            self.clock.set_mtime(deadline.max(self.clock.mtime()));
            self.device.service(self.clock.mtime());
        }
        self.clock.set_mtime(end);
    }

    pub fn needs_reset(&mut self) -> bool {
        self.get(0x70) & NEEDS_RESET != 0
    }
}
