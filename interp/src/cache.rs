//! The cache of decoded blocks, by code page and place on it.

use crate::block::Block;
use hart::Memory;
use rustc_hash::FxHashMap;
use std::ptr::NonNull;
use std::sync::Arc;

/// Entries of the jump cache, for programs and for whole machines: a kernel has much code that runs
/// now and then.
const JUMPS: [usize; 2] = [1 << 12, 1 << 15];

/// More blocks than this are all dropped: a program that keeps making code at new addresses must
/// not fill the host's memory.
const MOST_BLOCKS: usize = 1 << 18;

/// Where a computed jump went lately: direct-mapped by target.
pub(crate) struct JumpCache<M: Memory>(Box<[(u64, NonNull<Block<M>>)]>);

impl<M: Memory> JumpCache<M> {
    #[inline(always)]
    pub fn lookup(&self, target: u64) -> (u64, NonNull<Block<M>>) {
        self.0[Self::slot(target)]
    }

    fn slot(target: u64) -> usize {
        (target >> 1) as usize % JUMPS[M::SYSTEM as usize]
    }
}

/// All blocks that were ever decoded, until [`Cache::clear`].
pub(crate) struct Cache<M: Memory> {
    blocks: FxHashMap<(u64, u64), NonNull<Block<M>>>,
    /// The blocks with bytes on a code page.
    by_page: FxHashMap<u64, Vec<NonNull<Block<M>>>>,
    pub jumps: JumpCache<M>,
    /// The absent block that stands for "not known".
    pub sentinel: NonNull<Block<M>>,
    /// The countdown of a new block.
    pub threshold: u64,
    /// Whether a new block's countdown is 1 instead.
    pub early: Option<Early>,
    /// Arrivals at a block that is new, or was written to, before it is shown; 0 if it is not.
    pub preview: u64,
}

/// Says of addresses whether what is there is hot from the start.
pub type Early = Arc<dyn Fn(u64) -> bool + Send + Sync>;

// SAFETY: the cache owns everything that its pointers point to, and nothing outside it keeps such
// a pointer while the cache is not being executed.
unsafe impl<M: Memory> Send for Cache<M> {}

impl<M: Memory> Cache<M> {
    pub fn new(threshold: u64) -> Cache<M> {
        let sentinel = leak(Block::absent(u64::MAX, 0, 0, NonNull::dangling()));
        // No block begins at an odd address.
        let jumps = vec![(u64::MAX, sentinel); JUMPS[M::SYSTEM as usize]];
        let jumps = JumpCache(jumps.into_boxed_slice());
        Cache {
            blocks: FxHashMap::default(),
            by_page: FxHashMap::default(),
            jumps,
            sentinel,
            threshold,
            early: None,
            preview: 0,
        }
    }

    /// The block that starts at `pc`, which is on a code page now; perhaps absent.
    pub fn block(&mut self, pc: u64, page: u64) -> NonNull<Block<M>> {
        let (start, block) = self.jumps.lookup(pc);
        // SAFETY: blocks live as long as the cache.
        if start == pc && unsafe { block.as_ref() }.page == page {
            return block;
        }
        let key = (Block::<M>::place(pc), page);
        let block = *self.blocks.entry(key).or_insert_with(|| {
            let early = self.early.as_ref().is_some_and(|early| early(pc));
            let countdown = if early { 1 } else { self.threshold };
            let block = Block::absent(pc, page, countdown, self.sentinel);
            if self.preview > 0 {
                block.preview(self.preview);
            }
            leak(block)
        });
        self.jumps.0[JumpCache::<M>::slot(pc)] = (pc, block);
        block
    }

    /// The same, if there is one.
    pub fn known(&self, pc: u64, page: u64) -> Option<NonNull<Block<M>>> {
        self.blocks.get(&(Block::<M>::place(pc), page)).copied()
    }

    /// Notes which pages a block that has just been decoded lies on.
    pub fn note_pages(&mut self, block: NonNull<Block<M>>) {
        // SAFETY: blocks live as long as the cache.
        let this = unsafe { block.as_ref() };
        self.by_page.entry(this.page).or_default().push(block);
        let last = this.last_page.get();
        if last != Block::<M>::NO_PAGE && last != this.page {
            self.by_page.entry(last).or_default().push(block);
        }
    }

    /// Drops what a block was decoded to.
    pub fn empty(&mut self, block: NonNull<Block<M>>) {
        // SAFETY: blocks live as long as the cache, and none is being executed: that takes the
        // `&mut Cache` which we hold.
        unsafe { block.as_ref() }.clear(self.sentinel);
    }

    /// Drops what was decoded from a page.
    pub fn invalidate(&mut self, page: u64) {
        for block in self.by_page.remove(&page).unwrap_or_default() {
            // SAFETY: blocks live as long as the cache, and none is being executed: that takes the
            // `&mut Cache` which we hold.
            let block = unsafe { block.as_ref() };
            block.clear(self.sentinel);
            if self.preview > 0 {
                block.preview(self.preview);
            }
        }
    }

    /// Whether there are so many blocks that it is time for [`Cache::clear`].
    pub fn is_full(&self) -> bool {
        self.blocks.len() > MOST_BLOCKS
    }

    /// Drops everything, countdowns too.
    pub fn clear(&mut self) {
        self.jumps.0.fill((u64::MAX, self.sentinel));
        self.by_page.clear();
        for (_, block) in self.blocks.drain() {
            // SAFETY: `leak` made it; the jump cache, the page lists and all blocks that pointed to
            // it are gone or going.
            drop(unsafe { Box::from_raw(block.as_ptr()) });
        }
    }
}

impl<M: Memory> Drop for Cache<M> {
    fn drop(&mut self) {
        self.clear();
        // SAFETY: `leak` made it, and no block is left to point to it.
        drop(unsafe { Box::from_raw(self.sentinel.as_ptr()) });
    }
}

/// Puts a block where it stays until `Box::from_raw`.
fn leak<M: Memory>(block: Block<M>) -> NonNull<Block<M>> {
    NonNull::from(Box::leak(Box::new(block)))
}
