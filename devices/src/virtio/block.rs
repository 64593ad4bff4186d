//! Block device (5.2). Requests are read and checked on the hart's thread; the disk works on a
//! thread of its own; results are put into guest memory in the order of requests, when the
//! [`Pace`] says so.

use super::queue::{self, Broken, Chain};
use super::worker::{Job, Outcome, Worker};
use super::{Function, Io};
use crate::clock::{Bell, Pace};
use crate::disk::{self, Disk};
use crate::state::StateError;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

const SECTOR: u64 = 512;
/// Descriptors of a request: header, data, status.
const QUEUE: u16 = 128;
const SEGMENTS: u32 = QUEUE as u32 - 2;
const SEGMENT_SIZE: u32 = 128 << 10;
/// Data of one request, and of all that are under way: more of them wait in the queue.
const MOST_DATA: u64 = SEGMENTS as u64 * SEGMENT_SIZE as u64;
const MOST_UNDER_WAY: u64 = 64 << 20;
/// Sectors that one request may discard or make zeros.
const MOST_ZEROS: u32 = 1 << 17;

/// Feature bits (5.2.3).
const SIZE_MAX: u64 = 1 << 1;
const SEG_MAX: u64 = 1 << 2;
const RO: u64 = 1 << 5;
const BLK_SIZE: u64 = 1 << 6;
const FLUSH: u64 = 1 << 9;
const DISCARD: u64 = 1 << 13;
const WRITE_ZEROES: u64 = 1 << 14;

/// Bytes of a request's header and of a discard's segment.
const HEADER: usize = 16;
/// Bytes of the device's name.
const NAME: usize = 20;

/// Request status.
pub(super) const OK: u8 = 0;
pub(super) const IO_ERROR: u8 = 1;
const UNSUPPORTED: u8 = 2;

/// The device.
pub struct Block {
    worker: Worker,
    size: u64,
    read_only: bool,
    name: [u8; NAME],
    pace: Pace,
    pending: VecDeque<Pending>,
    /// Bytes that `pending` stands for.
    under_way: u64,
}

/// A request under way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Pending {
    chain: Chain,
    /// Bytes of data that go to or come from the disk.
    length: u64,
    /// `mtime` at which the guest sees it done.
    due: u64,
    /// The result, if it has come.
    outcome: Option<Outcome>,
}

/// What is saved of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    pending: VecDeque<Pending>,
    /// Why the disk could not be saved, if so.
    disk: Result<disk::State, String>,
}

impl State {
    /// What is saved of the disk itself, or why it could not be.
    pub fn disk(&self) -> Result<&disk::State, &str> {
        self.disk.as_ref().map_err(String::as_str)
    }
}

impl Block {
    /// A block device on this disk. `name` is cut to 20 bytes; the guest finds it by that.
    pub fn new(
        disk: Box<dyn Disk>,
        read_only: bool,
        name: &str,
        pace: Pace,
        bell: Arc<dyn Bell>,
    ) -> io::Result<Block> {
        let mut bytes = [0; NAME];
        let length = name.len().min(NAME);
        bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
        Ok(Block {
            size: disk.size() / SECTOR * SECTOR,
            worker: Worker::start(disk, (pace == Pace::Host).then_some(bell))?,
            read_only,
            name: bytes,
            pace,
            pending: VecDeque::new(),
            under_way: 0,
        })
    }

    /// Takes requests from the queue while there is room for their data.
    fn submit(&mut self, io: &mut Io<'_>) -> Result<(), Broken> {
        while self.under_way < MOST_UNDER_WAY {
            let Some(chain) = io.pop(0)? else { break };
            let (request, length) = self.request(&chain, io)?;
            let outcome = match request {
                Ok(job) => {
                    self.worker.submit(job);
                    None
                }
                Err(outcome) => Some(outcome),
            };
            let latency = match self.pace {
                Pace::Host => 0,
                Pace::Exact { latency } => latency,
            };
            self.under_way += length;
            self.pending.push_back(Pending {
                chain,
                length,
                due: io.now().saturating_add(latency),
                outcome,
            });
        }
        Ok(())
    }

    /// What the disk has to do, or the outcome if that is nothing; and bytes of data.
    fn request(&self, chain: &Chain, io: &Io<'_>) -> Result<(Result<Job, Outcome>, u64), Broken> {
        let mut bytes = chain.read(io.memory(), "block request", HEADER as u64 + MOST_DATA)?;
        let room = queue::length(&chain.writable);
        if bytes.len() < HEADER || room == 0 {
            let length = (bytes.len() as u64).min(room);
            let what = "block request header or status";
            return Err(Broken::Request { what, length });
        }
        let data = bytes.split_off(HEADER);
        let room = room - 1;
        let sector = number(&bytes[8..16]);
        let within = |length: u64| {
            let start = sector.checked_mul(SECTOR)?;
            let end = start.checked_add(length)?;
            (length.is_multiple_of(SECTOR) && length <= MOST_DATA && end <= self.size)
                .then_some(start)
        };
        let failed = |status| Err(Outcome::status(status));
        let request = match number(&bytes[..4]) {
            // VIRTIO_BLK_T_IN, OUT, FLUSH, GET_ID, DISCARD, WRITE_ZEROES.
            0 => match within(room) {
                Some(offset) => {
                    let length = room as usize;
                    return Ok((Ok(Job::Read { offset, length }), room));
                }
                None => failed(IO_ERROR),
            },
            1 | 11 | 13 if self.read_only => failed(IO_ERROR),
            1 => match within(data.len() as u64) {
                Some(offset) => {
                    let length = data.len() as u64;
                    return Ok((Ok(Job::Write { offset, data }), length));
                }
                None => failed(IO_ERROR),
            },
            4 => Ok(Job::Flush),
            8 => Err(Outcome {
                status: OK,
                data: self.name.to_vec(),
            }),
            11 => self
                .range(&data, false)
                .map_or(failed(IO_ERROR), |(offset, length, _)| {
                    Ok(Job::Discard { offset, length })
                }),
            13 => self
                .range(&data, true)
                .map_or(failed(IO_ERROR), |(offset, length, unmap)| {
                    Ok(Job::Zero {
                        offset,
                        length,
                        unmap,
                    })
                }),
            _ => failed(UNSUPPORTED),
        };
        Ok((request, 0))
    }

    /// The one segment of a discard or write-zeroes: offset, length, whether to unmap.
    fn range(&self, data: &[u8], may_unmap: bool) -> Option<(u64, u64, bool)> {
        if data.len() != HEADER {
            return None;
        }
        let (sector, count) = (number(&data[..8]), number(&data[8..12]));
        let flags = number(&data[12..16]);
        let start = sector.checked_mul(SECTOR)?;
        let end = start.checked_add(count * SECTOR)?;
        let known = if may_unmap { 1 } else { 0 };
        let valid = count <= u64::from(MOST_ZEROS) && end <= self.size && flags & !known == 0;
        valid.then_some((start, count * SECTOR, flags != 0))
    }

    /// Hands finished requests back, in order.
    fn complete(&mut self, io: &mut Io<'_>) -> Result<(), Broken> {
        while let Some(first) = self.pending.front_mut() {
            let outcome = match (first.outcome.take(), self.pace) {
                (Some(outcome), Pace::Host) => outcome,
                (None, Pace::Host) => match self.worker.poll() {
                    Some(outcome) => outcome,
                    None => return Ok(()),
                },
                (outcome, Pace::Exact { .. }) => {
                    if first.due > io.now() {
                        first.outcome = outcome;
                        return Ok(());
                    }
                    outcome.unwrap_or_else(|| self.worker.wait())
                }
            };
            let Some(Pending { chain, length, .. }) = self.pending.pop_front() else {
                break;
            };
            self.under_way -= length;
            let room = queue::length(&chain.writable);
            let mut written = chain.write(io.memory(), 0, &outcome.data)?;
            written += chain.write(io.memory(), room - 1, &[outcome.status])?;
            io.finish(0, chain.head, written)?;
        }
        Ok(())
    }

    /// Waits for the results of all requests under way.
    fn settle(&mut self) {
        for pending in &mut self.pending {
            if pending.outcome.is_none() {
                pending.outcome = Some(self.worker.wait());
            }
        }
    }
}

/// A little-endian number of up to 8 bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl Function for Block {
    fn id(&self) -> u32 {
        2
    }

    fn features(&self) -> u64 {
        let writable = if self.read_only {
            RO
        } else {
            DISCARD | WRITE_ZEROES
        };
        SIZE_MAX | SEG_MAX | BLK_SIZE | FLUSH | writable
    }

    fn queue_sizes(&self) -> &'static [u16] {
        &[QUEUE]
    }

    fn config(&self) -> Vec<u8> {
        let mut config = vec![0; 60];
        let mut set = |at: usize, bytes: &[u8]| config[at..at + bytes.len()].copy_from_slice(bytes);
        set(0, &(self.size / SECTOR).to_le_bytes());
        set(8, &SEGMENT_SIZE.to_le_bytes());
        set(12, &SEGMENTS.to_le_bytes());
        set(20, &(SECTOR as u32).to_le_bytes());
        // Discards and zeros: sectors, one segment, alignment; unmapping is possible.
        set(36, &MOST_ZEROS.to_le_bytes());
        set(40, &1u32.to_le_bytes());
        set(44, &8u32.to_le_bytes());
        set(48, &MOST_ZEROS.to_le_bytes());
        set(52, &1u32.to_le_bytes());
        set(56, &[1]);
        config
    }

    fn notify(&mut self, _queue: usize, io: &mut Io<'_>) -> Result<(), Broken> {
        self.submit(io)?;
        self.complete(io)
    }

    fn service(&mut self, io: &mut Io<'_>) -> Result<(), Broken> {
        self.complete(io)?;
        self.submit(io)
    }

    fn deadline(&self) -> Option<u64> {
        let first = self.pending.front()?;
        match self.pace {
            Pace::Exact { .. } => Some(first.due),
            Pace::Host => first.outcome.is_some().then_some(0),
        }
    }

    fn reset(&mut self) {
        self.settle();
        self.pending.clear();
        self.under_way = 0;
    }

    fn save(&mut self) -> super::State {
        self.settle();
        super::State::Block(State {
            pending: self.pending.clone(),
            disk: self.worker.save(),
        })
    }

    fn restore(&mut self, state: super::State) -> Result<(), StateError> {
        let super::State::Block(saved) = state else {
            return Err(state.is_not("virtio-blk"));
        };
        let invalid = |why| StateError::Invalid {
            device: "virtio-blk",
            why,
        };
        let complete = |pending: &Pending| {
            pending.outcome.is_some()
                && pending.length <= MOST_DATA
                && queue::length(&pending.chain.writable) > 0
                && pending.chain.writable.iter().all(|span| span.pa < 1 << 56)
        };
        if !saved.pending.iter().all(complete) {
            return Err(invalid("a request in it is not whole".into()));
        }
        self.reset();
        let disk = saved.disk.map_err(invalid)?;
        self.worker.restore(disk).map_err(invalid)?;
        self.under_way = saved.pending.iter().map(|pending| pending.length).sum();
        self.pending = saved.pending;
        Ok(())
    }
}
