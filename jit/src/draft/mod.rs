//! Drafts: host code for single blocks, made in one pass when a block is first reached, without the
//! compiler. The first tier of programs and of machines.
//!
//! A draft takes a tenth of a microsecond an instruction to make and runs three times as fast as the
//! interpreter. It counts its arrivals, so that the compiler hears of what is hot. It is code of one hart
//! alone, or of a machine's harts that take turns: nothing is locked, and slots can be filled in whenever
//! none is inside.
//!
//! Programs and whole machines have them. Code is known by where it lies: by its address in a program,
//! by its place on a page of RAM in a machine.
//!
//! Blocks jump to each other directly where the target has been drafted before, by a slot where it was
//! drafted later, and by a small cache of addresses where it is computed. They know nothing of compiled
//! regions: where one is, the block's counter has run out, and the engine decides.

#[cfg_attr(
    not(target_arch = "x86_64"),
    allow(dead_code, reason = "nobody drafts there")
)]
mod data;
mod heat;
#[cfg(not(target_arch = "x86_64"))]
#[path = "none.rs"]
mod host;
#[cfg(target_arch = "x86_64")]
#[path = "x86_64/mod.rs"]
mod host;

use self::data::Data;
use self::heat::counter;
use self::host::{After, Common, Drafter, Exit};
use crate::context::Context;
use crate::host::{Arena, CONTEXT_REGISTER, leave};
use frontend::decode::{self, Decoded};
use hart::{Memory, SystemMemory};
use memory::{CodeRange, Fault, HostFrame, PAGE, PAGE_BITS, UserSpace};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Bytes of address space for a hart's drafts; when they are used up, all are dropped.
const ARENA: usize = 256 << 20;
/// Of those for what usually runs.
const HOT: usize = 160 << 20;
/// Instructions in a block at most.
const LONGEST: usize = 64;
/// Instructions drafted at a time at most: what a block falls through to is drafted with it.
const AT_ONCE: usize = 96;
/// Says of addresses whether what is there is hot from the start.
pub type Early = Arc<dyn Fn(u64) -> bool + Send + Sync>;

/// How guest memory is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Space {
    /// A program's, at the host's own addresses.
    #[default]
    Own,
    /// A program's, in a window elsewhere.
    Window,
    /// A machine's, through the translation cache.
    Machine,
}

/// Where code is read from.
pub trait Source {
    /// Announces that code of a page is about to be read.
    fn watch(&self, page: u64);
    /// Reads the parcel at `va`, which lies on a code page, or in a program on the one behind it.
    fn parcel(&self, page: u64, va: u64) -> Option<u16>;
}

impl Source for UserSpace {
    fn watch(&self, page: u64) {
        self.watch_code(&[page]);
    }
    fn parcel(&self, _: u64, va: u64) -> Option<u16> {
        self.fetch(va).ok()
    }
}

impl Source for SystemMemory {
    fn watch(&self, page: u64) {
        self.watch_code(page);
    }
    fn parcel(&self, page: u64, va: u64) -> Option<u16> {
        self.code_parcel(page, va)
    }
}

/// Which block begins at an address.
#[derive(Clone, Copy)]
pub struct Known {
    /// Its number.
    number: usize,
    /// Host address of its code.
    entry: usize,
}

/// One block.
struct Block {
    /// Where its code begins.
    code: u64,
    /// What its counter would be if nobody had arrived.
    full: i64,
    /// Distance of its code from the arena's beginning.
    entry: u32,
    /// Its code has been dropped, because the guest's changed.
    dropped: bool,
    /// There is a region at its beginning, which is entered instead.
    replaced: bool,
    /// If not 0, the countdown is a preview's, and this is the one that comes after it.
    after: u64,
}

/// The drafts of one hart.
pub struct Drafts {
    space: Space,
    drafter: Drafter,
    common: Common,
    data: Data,
    blocks: Vec<Block>,
    /// Blocks with bytes on a page.
    by_page: FxHashMap<u64, Vec<u32>>,
    /// Slots taken.
    links: usize,
    /// Host instructions that access guest memory, ascending: distance from the arena's beginning, guest
    /// address.
    sites: Vec<(u32, u64)>,
    /// Bytes used of the hot and of the cold part.
    hot: usize,
    cold: usize,
    /// Arrivals at a block before it is hot.
    pub threshold: u64,
    /// Of which blocks the first arrival is.
    pub early: Option<Early>,
    /// If not 0, blocks report themselves hot after so many arrivals already, once: then
    /// [`Drafts::take_preview`] says so.
    pub preview: u64,
    /// Guest instructions drafted so far.
    pub instructions: u64,
    /// Rises whenever drafts are dropped.
    pub age: u64,
    /// Rises whenever their memory is used anew.
    pub cleared: u64,
    // Faults are no longer handled before the code goes.
    _range: CodeRange,
    arena: Arena,
}

impl Drafts {
    /// Whether there are any on this host.
    pub const EXIST: bool = cfg!(target_arch = "x86_64");

    /// Where the code at `pc` lies, on a code page of that number, as this knows it.
    pub fn code(pc: u64, page: u64) -> u64 {
        page * PAGE + pc % PAGE
    }

    /// None yet. `None` if the host gives no memory for them.
    pub fn new(space: Space) -> Option<Drafts> {
        let drafter = Drafter::new(space)?;
        let arena = Arena::new(ARENA).ok()?;
        let range = memory::register_code(arena.executable(), on_fault, 0)?;
        arena.allocate(ARENA, 1).ok()?;
        let mut drafts = Drafts {
            space,
            drafter,
            common: Common::default(),
            data: Data::new(),
            blocks: Vec::new(),
            by_page: FxHashMap::default(),
            links: 0,
            sites: Vec::new(),
            hot: 0,
            cold: 0,
            threshold: 0,
            early: None,
            preview: 0,
            instructions: 0,
            age: 0,
            cleared: 0,
            _range: range,
            arena,
        };
        drafts.write_common()?;
        Some(drafts)
    }

    /// Where what is written at a distance from the beginning is executed.
    fn executed(&self, offset: usize) -> usize {
        self.arena.executable().start + offset
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.arena.write(offset, bytes);
    }

    fn write_common(&mut self) -> Option<()> {
        let (bytes, common) = self.drafter.common(self.executed(HOT))?;
        self.write(HOT, &bytes);
        self.common = common;
        self.cold = bytes.len();
        Some(())
    }

    /// What enters drafts, when the engine does and when compiled code does, and what their code finds
    /// its data by.
    pub fn doors(&mut self) -> (u64, u64, *mut u64) {
        let Common { enter, door, .. } = self.common;
        (enter as u64, door as u64, self.data.base())
    }

    /// The guest instruction that a host instruction accesses memory for.
    pub fn site(&self, host: u64) -> Option<u64> {
        let offset = host.checked_sub(self.executed(0) as u64)?;
        let offset = u32::try_from(offset).ok()?;
        let found = self.sites.binary_search_by_key(&offset, |&(at, _)| at);
        Some(self.sites[found.ok()?].1)
    }

    /// The code of the block at `pc`, whose code lies at `code`, drafted now if it was not before. `None`
    /// if its first instruction cannot be fetched.
    pub fn entry(&mut self, pc: u64, code: u64, source: &impl Source) -> Option<u64> {
        match self.drafter.known(code) {
            Some(Known { number, entry }) => {
                self.revive(number);
                Some(entry as u64)
            }
            None => self.draft(pc, code, source),
        }
    }

    /// Has computed jumps to `pc` find its code.
    pub fn expect(&mut self, pc: u64, entry: u64) {
        self.data.set_target(pc, entry);
    }

    /// Fills in a slot.
    pub fn link(&mut self, number: u64, entry: u64) {
        self.data.set_link(number as usize, entry);
    }

    /// Where the guest code begins of the block whose draft begins at a host address.
    pub fn code_of(&self, entry: u64) -> Option<u64> {
        let offset = entry.checked_sub(self.executed(0) as u64)?;
        let found = self
            .blocks
            .binary_search_by_key(&offset, |block| block.entry.into());
        Some(self.blocks[found.ok()?].code)
    }

    /// Drops what was made from these pages.
    pub fn invalidate(&mut self, pages: &[u64]) {
        let mut dropped = false;
        for page in pages {
            for number in self.by_page.remove(page).unwrap_or_default() {
                let block = &mut self.blocks[number as usize];
                if std::mem::replace(&mut block.dropped, true) {
                    continue;
                }
                dropped = true;
                self.drafter.forget(block.code);
                // Others jump to it directly: it leads back to the engine from now on.
                let hot = self.common.of(Exit::Hot) as u64;
                self.data.set_counter(number as usize, -1);
                self.data.set_redirect(number as usize, hot);
            }
        }
        if dropped {
            self.age += 1;
            self.data.forget_targets();
        }
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        if self.blocks.is_empty() {
            return;
        }
        self.age += 1;
        self.cleared += 1;
        self.blocks.clear();
        self.drafter.forget_all();
        self.by_page.clear();
        self.sites.clear();
        self.links = 0;
        self.hot = 0;
        self.data.forget_targets();
        // It was written there before.
        let _ = self.write_common();
    }

    /// Whether there is no room for what is drafted at a time.
    fn is_full(&self) -> bool {
        const MARGIN: usize = 64 << 10;
        // A machine's code comes and goes: what is drafted anew lies close together.
        let part = match self.space {
            Space::Machine => 4,
            Space::Own | Space::Window => 1,
        };
        self.blocks.len() + AT_ONCE > data::BLOCKS / part
            || self.links + 2 * AT_ONCE > data::LINKS / part
            || self.hot + MARGIN > HOT / part
            || self.cold + MARGIN > (ARENA - HOT) / part
    }

    /// Drafts the block at `pc`, and what it falls through to.
    fn draft(&mut self, pc: u64, code: u64, source: &impl Source) -> Option<u64> {
        if self.is_full() {
            self.clear();
        }
        let (hot, cold) = (self.executed(self.hot), self.executed(HOT + self.cold));
        let (first, mut begins, mut drafted) = (self.blocks.len(), pc, 0);
        self.drafter.begin(self.links);
        loop {
            let at = code.wrapping_add(begins.wrapping_sub(pc));
            let Some((length, next)) = self.block(begins, at, hot, source) else {
                if self.blocks.len() == first {
                    return None;
                }
                // It traps: whoever comes there finds out.
                self.drafter.fall_through(begins);
                break;
            };
            drafted += length;
            let Some(next) = next else {
                break;
            };
            // What is beside a machine's page is another matter each time.
            let beside = self.space == Space::Machine && next >> PAGE_BITS != pc >> PAGE_BITS;
            let known = self.drafter.known(code.wrapping_add(next.wrapping_sub(pc)));
            if drafted >= AT_ONCE || beside || known.is_some() {
                self.drafter.fall_through(next);
                break;
            }
            begins = next;
        }
        self.instructions += drafted as u64;
        let Some(draft) = self.drafter.finish(hot, cold) else {
            // Some distance was too great, which the arena is too small for.
            self.clear();
            return None;
        };
        self.arena.write(self.hot, draft.hot);
        self.arena.write(HOT + self.cold, draft.cold);
        let sites = draft.sites.iter();
        self.sites
            .extend(sites.map(|&(at, pc)| (self.hot as u32 + at, pc)));
        for (number, &stub) in (self.links..).zip(&draft.links) {
            self.data.set_link(number, stub);
        }
        self.links += draft.links.len();
        self.hot += draft.hot.len();
        self.cold += draft.cold.len();
        self.arena.publish();
        Some(self.drafter.known(code)?.entry as u64)
    }

    /// Drafts one block, whose draft begins where the drafter is. Its instructions, and where it falls
    /// through to. `None` if its first instruction cannot be fetched.
    fn block(
        &mut self,
        begins: u64,
        code: u64,
        hot: usize,
        source: &impl Source,
    ) -> Option<(usize, Option<u64>)> {
        let (first_page, page) = (begins >> PAGE_BITS, code >> PAGE_BITS);
        let (mut pc, mut length, mut next) = (begins, 0, None);
        source.watch(page);
        // A program's last instruction may reach into the next page.
        while pc >> PAGE_BITS == first_page && length < LONGEST {
            let Some(Decoded { insn, len }) = self.fetch(pc, page, source) else {
                break;
            };
            if length == 0 {
                self.head(begins, code, hot);
            }
            length += 1;
            let after = self.drafter.instruction(pc, len, insn);
            pc = pc.wrapping_add(len.into());
            next = (after != After::Ends).then_some(pc);
            if after != After::Next {
                break;
            }
        }
        if length == 0 {
            return None;
        }
        let last_page = pc.wrapping_sub(1) >> PAGE_BITS;
        if last_page != first_page {
            let number = (self.blocks.len() - 1) as u32;
            self.by_page.entry(last_page).or_default().push(number);
        }
        Some((length, next))
    }

    /// A new block begins.
    fn head(&mut self, pc: u64, code: u64, hot: usize) {
        let number = self.blocks.len();
        let early = self.early.as_ref().is_some_and(|early| early(pc));
        let usual = if early { 1 } else { self.threshold };
        // What never reports itself does not begin to.
        let preview = self.preview > 0 && usual > self.preview;
        let (first, after) = if preview {
            (self.preview, usual)
        } else {
            (usual, 0)
        };
        let arrivals = counter(first);
        let offset = self.drafter.head(pc, code, number);
        self.data.set_counter(number, arrivals);
        self.data
            .set_redirect(number, self.common.of(Exit::Hot) as u64);
        self.blocks.push(Block {
            code,
            full: arrivals,
            entry: (self.hot + offset) as u32,
            dropped: false,
            replaced: false,
            after,
        });
        let entry = hot + offset;
        self.drafter.learn(code, Known { number, entry });
        let page = code >> PAGE_BITS;
        self.by_page.entry(page).or_default().push(number as u32);
    }

    /// The instruction at `pc`, whose page is watched.
    fn fetch(&self, pc: u64, page: u64, source: &impl Source) -> Option<Decoded> {
        let low = source.parcel(page, pc)?;
        let mut parcels = u32::from(low);
        if decode::length(low) == 4 {
            let second = pc.wrapping_add(2);
            if second.is_multiple_of(PAGE) {
                if self.space == Space::Machine {
                    return None;
                }
                source.watch(second >> PAGE_BITS);
            }
            parcels |= u32::from(source.parcel(page, second)?) << 16;
        }
        decode::decode(parcels)
    }
}

/// Has a draft whose access faulted go back to the engine. Runs in the signal handler.
fn on_fault(frame: &mut HostFrame<'_>, _: Option<Fault>, _: usize) -> bool {
    let context = frame.register(CONTEXT_REGISTER) as *mut Context;
    // SAFETY: drafts keep the context of the hart that the thread runs in this register.
    unsafe { (*context).left_at = frame.pc() as u64 };
    frame.set_pc(leave as *const () as usize);
    true
}
