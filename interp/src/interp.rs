//! The interpreter of one hart.

use crate::block::{self, Block};
use crate::cache::{Cache, Early};
use crate::execute::{Flow, execute};
use crate::threaded::{self, Context, Edge, Stop};
use hart::csr::Clock;
use hart::{HartState, Memory, Trap};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// How an interpreter works.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// A block reports itself [`Exit::Hot`] at this arrival, unless [`Interp::set_countdown`] says
    /// otherwise; 0 for never.
    pub threshold: u64,
    /// Where the `time` register comes from.
    pub clock: Clock,
}

/// Why [`Interp::run`] returned. `pc`, `instret` and all registers are as if the instructions had
/// been executed one by one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// `instret` has reached the limit.
    Limit,
    /// The poll word is not 0.
    Poll,
    /// The block at `pc`, not yet executed, has been arrived at as often as its countdown said. It
    /// reports that again until told otherwise.
    Hot,
    /// A fence.i has retired. Stale code has to be dropped before running on.
    FenceI,
    /// Interrupts, or the time of the next one, may have changed: whoever runs the hart shall have
    /// a look. In a whole machine only.
    Attention,
    /// A wfi has retired, and nothing is pending. In a whole machine only.
    Wait,
    /// The instruction at `pc` traps.
    Trap(Trap),
}

/// The interpreter of one hart. It keeps decoded code, nothing else: the hart's state is passed in.
pub struct Interp<M: Memory> {
    cache: Cache<M>,
    clock: Clock,
}

impl<M: Memory> Interp<M> {
    /// An interpreter that knows no code yet.
    pub fn new(options: Options) -> Self {
        Interp {
            cache: Cache::new(options.threshold),
            clock: options.clock,
        }
    }

    /// Changes the threshold for blocks that are not known yet.
    pub fn set_threshold(&mut self, threshold: u64) {
        self.cache.threshold = threshold;
    }

    /// Has blocks at addresses for which `early` holds report themselves hot at their first arrival,
    /// if they are not known yet.
    pub fn set_early(&mut self, early: Option<Early>) {
        self.cache.early = early;
    }

    /// Has blocks that are new, or whose code was written to, report themselves hot after so many
    /// arrivals already, once: then [`Interp::take_preview`] says so. 0 for not.
    pub fn set_preview(&mut self, arrivals: u64) {
        self.cache.preview = arrivals;
    }

    /// Runs until `instret` is `limit`, the poll word is not 0, or something has to be done.
    ///
    /// The poll word is read before each block; whoever sets it also clears it. Code that was
    /// executed before may be executed as it was then, until [`Interp::invalidate`].
    pub fn run(&mut self, hart: &mut HartState, mem: &M, limit: u64, poll: &AtomicU32) -> Exit {
        self.run_on(hart, mem, limit, poll, 1)
    }

    /// The same, where the first arrival counts for so many.
    pub fn run_on(
        &mut self,
        hart: &mut HartState,
        mem: &M,
        limit: u64,
        poll: &AtomicU32,
        mut arrivals: u64,
    ) -> Exit {
        let mut edge = Edge::Computed;
        loop {
            let left = limit.saturating_sub(hart.instret);
            if left == 0 {
                return Exit::Limit;
            }
            if poll.load(Ordering::Relaxed) != 0 {
                return Exit::Poll;
            }
            if self.cache.is_full() {
                self.cache.clear();
                edge = Edge::Computed;
            }
            let place = match self.filled(hart.pc, mem) {
                Ok(place) => place,
                Err(trap) => return Exit::Trap(trap),
            };
            // SAFETY: blocks live as long as the cache, unless it is cleared.
            let block = unsafe { place.as_ref() };
            self.link(edge, place);
            // Half of the range is more than any run retires.
            let budget = left.min(i64::MAX as u64 / 2) as i64;
            if block.length.get() > budget {
                return self.run_one_by_one(hart, mem, limit);
            }
            if block.arrive_often(std::mem::replace(&mut arrivals, 1)) {
                return Exit::Hot;
            }
            let limit = hart.instret + budget as u64;
            let mut cx = Context::new(poll, &self.cache.jumps, self.clock, limit);
            // SAFETY: the block is filled, its length within the budget, and the cache is not
            // touched before `run` returns.
            unsafe { threaded::run(hart, mem, &mut cx, budget, place) };
            edge = match cx.stop {
                Stop::Edge(edge) => edge,
                Stop::Hot => return Exit::Hot,
                Stop::FenceI => return Exit::FenceI,
                Stop::Attention => return Exit::Attention,
                Stop::Wait => return Exit::Wait,
                Stop::Trap(trap) => return Exit::Trap(trap),
            };
        }
    }

    /// Executes the instruction at `pc` and nothing else, without the cache. Always
    /// [`Exit::Limit`] unless it traps or is a fence.i.
    pub fn step(&mut self, hart: &mut HartState, mem: &M) -> Exit {
        let decoded = match block::fetch(mem, hart.pc, |_| Ok(())) {
            Ok(decoded) => decoded,
            Err(trap) => return Exit::Trap(trap),
        };
        let next = hart.pc.wrapping_add(u64::from(decoded.len));
        mem.set_instret(hart.instret);
        let flow = match execute(&decoded.insn, hart.pc, next, hart, mem, &self.clock) {
            Ok(flow) => flow,
            Err(trap) => return Exit::Trap(trap),
        };
        hart.instret += 1;
        let (pc, exit) = match flow {
            Flow::Next if M::SYSTEM && mem.wants_attention() => (next, Exit::Attention),
            Flow::Next => (next, Exit::Limit),
            Flow::Jump(target) | Flow::Indirect(target) => (target, Exit::Limit),
            Flow::FenceI => (next, Exit::FenceI),
            Flow::Attention(pc) => (pc, Exit::Attention),
            Flow::Wait(pc) => (pc, Exit::Wait),
        };
        hart.pc = pc;
        exit
    }

    /// Makes the block at `pc` report itself hot at the `arrivals`-th arrival from now; 0 for
    /// never.
    pub fn set_countdown(&mut self, mem: &M, pc: u64, arrivals: u64) {
        let Ok(page) = mem.code_page(pc) else {
            return;
        };
        self.set_countdown_on(page, pc, arrivals);
    }

    /// The same for the code at `pc` on a code page, wherever `pc` leads now.
    pub fn set_countdown_on(&mut self, page: u64, pc: u64, arrivals: u64) {
        let block = self.cache.block(pc, page);
        // SAFETY: blocks live as long as the cache.
        unsafe { block.as_ref() }.countdown.set(arrivals);
    }

    /// The same, and has it report itself after `first` arrivals as one that is new does.
    pub fn set_preview_on(&mut self, page: u64, pc: u64, first: u64, arrivals: u64) {
        let block = self.cache.block(pc, page);
        // SAFETY: blocks live as long as the cache.
        let block = unsafe { block.as_ref() };
        block.countdown.set(first);
        block.after.set(arrivals);
    }

    /// If what the block at `pc` reports is only a preview: how many arrivals are missing then until it
    /// is hot. It counts those from now on.
    pub fn take_preview(&mut self, mem: &M, pc: u64) -> Option<u64> {
        let block = self.cache.known(pc, mem.code_page(pc).ok()?)?;
        // SAFETY: blocks live as long as the cache.
        let block = unsafe { block.as_ref() };
        let after = block.after.take();
        if after == 0 {
            return None;
        }
        block.countdown.set(after);
        Some(after)
    }

    /// How many arrivals are missing until the block at `pc` on a code page reports itself hot; `None`
    /// if it is not known; 1 if it does so, a huge number if it never will.
    pub fn countdown(&self, page: u64, pc: u64) -> Option<u64> {
        let block = self.cache.known(pc, page)?;
        // SAFETY: blocks live as long as the cache.
        let block = unsafe { block.as_ref() };
        Some(match block.after.get() {
            0 => block.countdown.get(),
            after => after,
        })
    }

    /// Drops what was decoded from these code pages. Countdowns stay.
    pub fn invalidate(&mut self, pages: impl IntoIterator<Item = u64>) {
        for page in pages {
            self.cache.invalidate(page);
        }
    }

    /// Drops all decoded code, and countdowns.
    pub fn clear(&mut self) {
        self.cache.clear();
    }

    /// The block at `pc`, decoded.
    fn filled(&mut self, pc: u64, mem: &M) -> Result<NonNull<Block<M>>, Trap> {
        let place = self.cache.block(pc, mem.code_page(pc)?);
        // SAFETY: blocks live as long as the cache, unless it is cleared.
        let block = unsafe { place.as_ref() };
        if M::SYSTEM && !block.is_absent() && !block.ends_mapped(pc, mem) {
            // Its last instruction reaches into a page that is another one now.
            self.cache.empty(place);
        }
        if block.is_absent() {
            block.fill(pc, mem)?;
            self.cache.note_pages(place);
        }
        Ok(place)
    }

    /// Lets the block that led here lead here directly the next time.
    fn link(&mut self, edge: Edge<M>, to: NonNull<Block<M>>) {
        match edge {
            // SAFETY: blocks live as long as the cache, and it has not been cleared since the edge
            // was reported.
            Edge::Next(from) => unsafe { from.as_ref().next.set(to) },
            // SAFETY: as above.
            Edge::Target(from) => unsafe { from.as_ref().target.set(to) },
            Edge::Computed => (),
        }
    }

    /// Executes what is left up to the limit, less than a block.
    fn run_one_by_one(&mut self, hart: &mut HartState, mem: &M, limit: u64) -> Exit {
        while hart.instret < limit {
            match self.step(hart, mem) {
                Exit::Limit => (),
                exit => return exit,
            }
        }
        Exit::Limit
    }
}
