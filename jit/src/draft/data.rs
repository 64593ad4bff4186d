//! What drafted code reads and writes besides the hart's state: words at fixed distances from what a
//! host register holds, see `Context::drafts`.

/// Most blocks at once.
pub const BLOCKS: usize = 1 << 19;
/// Most slots at once.
pub const LINKS: usize = 1 << 20;
/// Entries of the cache of computed jumps.
const CACHE_ENTRIES: usize = 1 << 13;

/// All but bit 0 of what an address's entry is told from. An entry has 16 bytes, for each second byte
/// of the address: eight times as far apart.
pub const CACHE_MASK: u32 = ((CACHE_ENTRIES - 1) << 1) as u32;

const COUNTERS: usize = 0;
const REDIRECTS: usize = COUNTERS + BLOCKS;
const SLOTS: usize = REDIRECTS + BLOCKS;
const TARGETS: usize = SLOTS + LINKS;
const WORDS: usize = TARGETS + 2 * CACHE_ENTRIES;

/// The distance of the first entry of the cache of computed jumps, in bytes.
pub const CACHE: i32 = 8 * TARGETS as i32;

/// The distance of a block's counter, in bytes: arrivals left but one; negative once it is hot.
pub const fn counter(block: usize) -> i32 {
    8 * (COUNTERS + block) as i32
}

/// That of where a hot block's code leads.
pub const fn redirect(block: usize) -> i32 {
    8 * (REDIRECTS + block) as i32
}

/// That of a slot.
pub const fn link(number: usize) -> i32 {
    8 * (SLOTS + number) as i32
}

/// The words.
pub struct Data(Box<[u64]>);

/// No address of a jump.
const NOWHERE: u64 = 1;

impl Data {
    /// All of them; they take memory as they are used.
    pub fn new() -> Data {
        // SAFETY: zero is a value of an integer.
        let words = unsafe { Box::<[u64]>::new_zeroed_slice(WORDS).assume_init() };
        let mut data = Data(words);
        // The address that all zeros would match.
        data.0[TARGETS] = NOWHERE;
        data
    }

    /// Where drafted code finds them.
    pub fn base(&mut self) -> *mut u64 {
        self.0.as_mut_ptr()
    }

    pub fn counter(&self, block: usize) -> i64 {
        self.0[COUNTERS + block] as i64
    }

    pub fn set_counter(&mut self, block: usize, value: i64) {
        self.0[COUNTERS + block] = value as u64;
    }

    pub fn set_redirect(&mut self, block: usize, to: u64) {
        self.0[REDIRECTS + block] = to;
    }

    pub fn set_link(&mut self, number: usize, to: u64) {
        self.0[SLOTS + number] = to;
    }

    /// Has computed jumps to `pc` lead to host address `entry`.
    pub fn set_target(&mut self, pc: u64, entry: u64) {
        let place = TARGETS + (pc as u32 & CACHE_MASK) as usize;
        self.0[place..place + 2].copy_from_slice(&[pc, entry]);
    }

    /// Has computed jumps lead nowhere.
    pub fn forget_targets(&mut self) {
        self.0[TARGETS..].fill(0);
        self.0[TARGETS] = NOWHERE;
    }
}
