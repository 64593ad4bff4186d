//! The second process: a copy of the first one's memory, changed by its own stores and by what the
//! kernel did to the first, and an interpreter for each thread.

use super::compare::{self, Memories};
use super::logged::{Logged, Store};
use super::narrow;
use super::report::{Cause, Difference, Outcome};
use crate::{EngineOptions, Error};
use hart::HartState;
use hart::csr::Clock;
use interp::Interp;
use linux::Stop;
use linux::observer::{Change, MappedFile};
use memory::{FileInfo, Place, Protection, Sharing, UserSpace};
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

/// The second process.
pub struct Follower {
    pub(super) memories: Memories,
    pub(super) logged: Logged,
    pub(super) options: EngineOptions,
    threads: HashMap<i32, Interp<Logged>>,
    /// When it was made, and the time spent on comparing memory since.
    started: Instant,
    comparing: Duration,
    /// The last stretch: who ran, from where.
    last: Option<(i32, HartState, Outcome)>,
}

/// The part of the time that may go into comparing whole memories: one in this many.
const COMPARE_SHARE: u32 = 8;

impl Follower {
    /// A copy of `leader`.
    pub fn new(leader: Arc<UserSpace>, options: EngineOptions) -> Result<Self, Error> {
        let copy = Arc::new(UserSpace::reserve()?);
        for vma in leader.vmas() {
            let length = vma.end - vma.start;
            let place = Place::Fixed(vma.start);
            let wide = vma.protection | Protection::READ_WRITE;
            copy.map_anonymous(place, length, wide, Sharing::Private, vma.name.clone())?;
            compare::copy(&leader, &copy, &vma)?;
            copy.protect(vma.start, length, vma.protection)?;
        }
        let logged = Logged::new(copy.clone());
        Ok(Follower {
            memories: Memories {
                leader,
                follower: copy,
            },
            logged,
            options,
            threads: HashMap::new(),
            started: Instant::now(),
            comparing: Duration::ZERO,
            last: None,
        })
    }

    /// Runs what a thread of the first process ran, and compares.
    pub fn ran(
        &mut self,
        tid: i32,
        before: &HartState,
        after: &HartState,
        stop: Stop,
    ) -> Option<Difference> {
        let compiled = Outcome {
            state: *after,
            stop,
        };
        self.last = Some((tid, *before, compiled));
        let interp = self.threads.entry(tid).or_insert_with(interpreter);
        let interpreted = stretch(
            interp,
            &self.logged,
            &self.memories.follower,
            *before,
            compiled,
        );
        let stores = self.logged.take();
        let memory = compare::stores(&self.memories, &stores);
        if interpreted == compiled && memory.is_empty() {
            return None;
        }
        let whole = Difference {
            tid,
            cause: Cause::Region { pc: before.pc },
            before: *before,
            compiled,
            interpreted,
            memory,
            way: Vec::new(),
        };
        Some(self.narrow(whole, &stores))
    }

    /// Rewinds both memories to where the stretch began, and finds the instruction.
    fn narrow(&mut self, whole: Difference, stores: &[Store]) -> Difference {
        self.logged.rewind(stores);
        compare::make_equal(&self.memories);
        narrow::narrow(self, whole)
    }

    /// Whether the whole memory is to be compared now: as long as that takes a small part of the
    /// time.
    pub fn memory_is_due(&self) -> bool {
        self.last.is_some() && self.comparing * COMPARE_SHARE <= self.started.elapsed()
    }

    /// Compares the whole memory.
    pub fn compare_memory(&mut self) -> Option<Difference> {
        let start = Instant::now();
        let memory = compare::all(&self.memories);
        self.comparing += start.elapsed();
        let (tid, before, compiled) = self.last?;
        (!memory.is_empty()).then(|| Difference {
            tid,
            cause: Cause::Earlier,
            before,
            compiled,
            interpreted: compiled,
            memory,
            way: Vec::new(),
        })
    }

    /// Makes the same changes to memory as the kernel made in the first process.
    pub fn kernel(&mut self, tid: i32, changes: &[Change]) {
        for change in changes {
            if let Change::CodeChanged = change {
                if let Some(interp) = self.threads.get_mut(&tid) {
                    interp.clear();
                }
            } else if let Err(error) = apply(&self.memories.follower, change) {
                // Then the memories differ, and the next comparison says so.
                eprintln!("bhv: the second memory cannot follow {change:?}: {error}");
            }
            if !matches!(change, Change::Write { .. }) {
                // Code may have gone: decode anew.
                self.threads.values_mut().for_each(Interp::clear);
            }
        }
    }

    /// A thread has ended.
    pub fn ended(&mut self, tid: i32) {
        self.threads.remove(&tid);
    }
}

/// An interpreter as both engines of a comparison use it: with virtual time.
pub(super) fn interpreter() -> Interp<Logged> {
    Interp::new(interp::Options {
        threshold: 0,
        clock: Clock::Virtual,
    })
}

/// Interprets from `before` to where the other engine stopped.
pub(super) fn stretch(
    interp: &mut Interp<Logged>,
    memory: &Logged,
    space: &UserSpace,
    before: HartState,
    other: Outcome,
) -> Outcome {
    let mut state = before;
    let poll = AtomicU32::new(0);
    let limit = other.state.instret;
    loop {
        match interp.run(&mut state, memory, limit, &poll) {
            interp::Exit::FenceI => interp.invalidate(space.stale_since(0).1),
            interp::Exit::Trap(trap) => {
                return Outcome {
                    state,
                    stop: Stop::Trap(trap),
                };
            }
            interp::Exit::Limit => break,
            interp::Exit::Hot | interp::Exit::Poll => {}
            // Not in user mode.
            interp::Exit::Attention | interp::Exit::Wait => {}
        }
    }
    let Stop::Trap(_) = other.stop else {
        return Outcome {
            state,
            stop: other.stop,
        };
    };
    // The other engine trapped at this count, so the next instruction has to.
    match interp.step(&mut state, memory) {
        interp::Exit::Trap(trap) => Outcome {
            state,
            stop: Stop::Trap(trap),
        },
        _ => Outcome {
            state,
            stop: Stop::Limit,
        },
    }
}

/// Makes one change.
fn apply(space: &UserSpace, change: &Change) -> Result<(), memory::Error> {
    match change {
        Change::Write { va, bytes } => {
            // A page that lost its permission meanwhile keeps its contents in both processes.
            let _ = space.write_bytes(*va, bytes);
            Ok(())
        }
        Change::Map {
            va,
            len,
            prot,
            file,
        } => map(space, *va, *len, *prot, file.as_ref()),
        Change::Unmap { va, len } => space.unmap(*va, *len),
        Change::Protect { va, len, prot } => space.protect(*va, *len, *prot),
        Change::Discard { va, len } => space.discard(*va, *len),
        Change::Move {
            from,
            old_len,
            to,
            new_len,
        } => {
            let place = if from == to {
                None
            } else {
                Some(Place::Fixed(*to))
            };
            space.remap(*from, *old_len, *new_len, place).map(drop)
        }
        Change::CodeChanged => Ok(()),
    }
}

/// Maps zeroes or a private copy of a file. What others write to a shared file is not followed.
fn map(
    space: &UserSpace,
    va: u64,
    len: u64,
    prot: Protection,
    file: Option<&MappedFile>,
) -> Result<(), memory::Error> {
    let place = Place::Fixed(va);
    let Some(mapped) = file else {
        return space
            .map_anonymous(place, len, prot, Sharing::Private, None)
            .map(drop);
    };
    if !mapped.shared {
        let meta = mapped.file.metadata().ok();
        let info = Arc::new(FileInfo {
            path: Vec::new(),
            device: meta.as_ref().map_or(0, MetadataExt::dev),
            inode: meta.as_ref().map_or(0, MetadataExt::ino),
            steady: 0,
        });
        let fd = mapped.file.as_fd();
        return space
            .map_file(place, len, prot, Sharing::Private, fd, mapped.offset, info)
            .map(drop);
    }
    // The first process's stores to a shared mapping must not show here before the second one's
    // own: it gets what the file holds now.
    space.map_anonymous(place, len, Protection::READ_WRITE, Sharing::Private, None)?;
    let mut chunk = vec![0; 1 << 16];
    let mut at = 0;
    while at < len {
        let want = chunk.len().min((len - at) as usize);
        match mapped.file.read_at(&mut chunk[..want], mapped.offset + at) {
            Ok(0) | Err(_) => break,
            Ok(got) => {
                let _ = space.write_bytes(va + at, &chunk[..got]);
                at += got as u64;
            }
        }
    }
    space.protect(va, len, prot)
}
