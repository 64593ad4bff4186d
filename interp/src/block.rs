//! Pre-decoded blocks: straight runs of instructions, each with the address of its handler.

use crate::handlers;
use crate::threaded::Handler;
use frontend::decode::{self, Decoded};
use frontend::{Insn, Op};
use hart::{Cause, HartState, Memory, Trap};
use std::cell::Cell;
use std::ptr::NonNull;

/// The most instructions in a block. Long enough that the work between blocks is spread over
/// many instructions where there are no branches; short enough that the steps before a limit are
/// few.
const LONGEST: usize = 64;

/// Granularity of watching and invalidation.
pub(crate) const PAGE_BITS: u32 = memory::PAGE_BITS;

/// An instruction in a block. The last one of a block ends it: a jump, a branch, what needs an
/// exact count, or a [`handlers::leave`].
pub(crate) struct Record<M: Memory> {
    /// What executes this instruction and goes on to the next, or executes this and the next ones.
    pub handler: Handler<M>,
    pub insn: Insn,
    /// Distance of the instruction from the block's start, in bytes.
    pub offset: u16,
    /// How many instructions of the block come before this one.
    pub index: u8,
    /// Length of the instruction in bytes.
    pub len: u8,
}

impl<M: Memory> Record<M> {
    /// Where the instruction lies, in the block that is being executed.
    #[inline(always)]
    pub fn pc(&self, block: &Block<M>, hart: &HartState) -> u64 {
        block.start(hart).wrapping_add(u64::from(self.offset))
    }

    /// Where the instruction after it lies.
    #[inline(always)]
    pub fn next(&self, block: &Block<M>, hart: &HartState) -> u64 {
        self.pc(block, hart).wrapping_add(u64::from(self.len))
    }
}

/// The place of one start in the cache. It never moves and lives as long as the cache, so that others
/// can link to it; its contents come and go.
///
/// What a machine's code pages hold may lie at any address, at several at a time too: a block does not
/// know its own. While it is executed, the hart's pc is its start.
pub(crate) struct Block<M: Memory> {
    /// Where the block begins, as far as that is always so: the whole address in a program, the
    /// place on the page in a machine.
    start: u64,
    /// The code page that it begins on.
    pub page: u64,
    /// The code page that its last instruction reaches into, or [`Block::NO_PAGE`].
    pub last_page: Cell<u64>,
    /// Instructions to retire, or [`Block::ABSENT`].
    pub length: Cell<i64>,
    /// Arrivals until the block reports itself hot: the one at which this is 1, and all that follow
    /// while it stays so. 0 is never.
    pub countdown: Cell<u64>,
    /// If not 0, the countdown is a preview's, see [`Interp::set_preview`](crate::Interp::set_preview),
    /// and this is the one that comes after it.
    pub after: Cell<u64>,
    /// The block's first record; dangling if the block is absent.
    pub first: Cell<NonNull<Record<M>>>,
    /// The blocks after this one: the next in memory, and the target of its jump or branch. Either
    /// can be the cache's sentinel, an absent block, if not known yet.
    pub next: Cell<NonNull<Block<M>>>,
    pub target: Cell<NonNull<Block<M>>>,
    /// Owns what `first` points to.
    records: Cell<Box<[Record<M>]>>,
}

impl<M: Memory> Block<M> {
    /// The length of a block that is not decoded: more than any budget, so that one comparison
    /// finds both.
    pub const ABSENT: i64 = i64::MAX;

    /// No code page has this number.
    pub const NO_PAGE: u64 = u64::MAX;

    /// An absent block.
    pub fn absent(pc: u64, page: u64, countdown: u64, sentinel: NonNull<Block<M>>) -> Block<M> {
        Block {
            start: Self::place(pc),
            page,
            last_page: Cell::new(Self::NO_PAGE),
            length: Cell::new(Self::ABSENT),
            countdown: Cell::new(countdown),
            after: Cell::new(0),
            first: Cell::new(NonNull::dangling()),
            next: Cell::new(sentinel),
            target: Cell::new(sentinel),
            records: Cell::default(),
        }
    }

    /// What is always the same of an address: in a machine that on its page.
    #[inline(always)]
    pub fn place(pc: u64) -> u64 {
        match M::SYSTEM {
            true => pc % (1 << PAGE_BITS),
            false => pc,
        }
    }

    /// Where the block begins while it is executed.
    #[inline(always)]
    pub fn start(&self, hart: &HartState) -> u64 {
        match M::SYSTEM {
            true => hart.pc,
            false => self.start,
        }
    }

    pub fn is_absent(&self) -> bool {
        self.length.get() == Self::ABSENT
    }

    /// Whether its addresses, from `pc` on, lead to where it was decoded from.
    #[inline(always)]
    pub fn is_mapped(&self, pc: u64, mem: &M) -> bool {
        mem.is_code_page(pc, self.page)
            && (self.last_page.get() == Self::NO_PAGE || self.ends_mapped(pc, mem))
    }

    /// The same for the page that the last instruction reaches into, if it does.
    #[inline]
    pub fn ends_mapped(&self, pc: u64, mem: &M) -> bool {
        let page = self.last_page.get();
        let next = pc.wrapping_add(1 << PAGE_BITS);
        page == Self::NO_PAGE || mem.is_code_page(next, page)
    }

    /// Counts an arrival: whether the block is now hot.
    #[inline(always)]
    pub fn arrive(&self) -> bool {
        let left = self.countdown.get().wrapping_sub(1);
        if left != 0 {
            self.countdown.set(left);
        }
        left == 0
    }

    /// Counts so many arrivals, at least one.
    pub fn arrive_often(&self, arrivals: u64) -> bool {
        let left = self.countdown.get();
        if left > arrivals {
            self.countdown.set(left - arrivals + 1);
        } else if left > 0 {
            self.countdown.set(1);
        }
        self.arrive()
    }

    /// Has the block report itself after so many arrivals first, and then go on counting.
    pub fn preview(&self, arrivals: u64) {
        if self.after.get() == 0 {
            self.after.set(self.countdown.get());
        }
        // One that never reports itself does not begin to.
        if self.after.get() != 0 {
            self.countdown.set(arrivals);
        }
    }

    /// Drops the contents. Must not happen while the block is executed.
    pub fn clear(&self, sentinel: NonNull<Block<M>>) {
        self.length.set(Self::ABSENT);
        self.last_page.set(Self::NO_PAGE);
        self.next.set(sentinel);
        self.target.set(sentinel);
        self.first.set(NonNull::dangling());
        self.records.take();
    }

    /// Decodes the block, which begins at `start` now, if its first instruction can be fetched and is
    /// legal. The pages are watched before they are read.
    pub fn fill(&self, start: u64, mem: &M) -> Result<(), Trap> {
        let first_page = start >> PAGE_BITS;
        mem.watch_code(self.page);
        let mut records = Vec::new();
        let mut pc = start;
        let mut last_page = Self::NO_PAGE;
        // A block has to end with its page: only its last instruction may reach into the next.
        while records.len() < LONGEST && pc >> PAGE_BITS == first_page {
            let mut reached = Self::NO_PAGE;
            let decoded = fetch(mem, pc, |va| {
                if va >> PAGE_BITS != first_page {
                    reached = mem.code_page(va)?;
                    mem.watch_code(reached);
                }
                Ok(())
            });
            let Decoded { insn, len } = match decoded {
                Ok(decoded) => decoded,
                Err(trap) if records.is_empty() => return Err(trap),
                // The next block begins at this instruction and traps.
                Err(_) => break,
            };
            last_page = reached;
            // Both fit: a block has at most 64 instructions of 4 bytes.
            let (offset, index) = ((pc - start) as u16, records.len() as u8);
            let handler = handlers::handler(&insn);
            records.push(Record {
                handler,
                insn,
                offset,
                index,
                len,
            });
            pc = pc.wrapping_add(u64::from(len));
            if ends_block(insn.op()) {
                break;
            }
        }
        self.last_page.set(last_page);
        let length = records.len() as i64;
        handlers::finish(&mut records);
        let records = records.into_boxed_slice();
        // The heap block stays where it is while the box moves into its cell.
        self.first.set(NonNull::from(&records[0]));
        self.records.set(records);
        self.length.set(length);
        Ok(())
    }
}

/// Whether an instruction is the last of its block: what may go elsewhere, what reads the count of
/// retired instructions, and what always traps.
pub(crate) const fn ends_block(op: Op) -> bool {
    matches!(
        op,
        Op::Jal | Op::Jalr | Op::Beq | Op::Bne | Op::Blt | Op::Bge | Op::Bltu | Op::Bgeu
    ) || op.is_system()
        || is_exact(op)
}

/// Whether an instruction may need the count of retired instructions, or stop the run although it
/// retires.
pub(crate) const fn is_exact(op: Op) -> bool {
    matches!(
        op,
        Op::Csrrw | Op::Csrrs | Op::Csrrc | Op::Csrrwi | Op::Csrrsi | Op::Csrrci
    ) || op.is_privileged()
}

/// Reads and decodes the instruction at `pc`. `reading` is called with the address of each parcel
/// before it is read.
pub(crate) fn fetch<M: Memory>(
    mem: &M,
    pc: u64,
    mut reading: impl FnMut(u64) -> Result<(), Trap>,
) -> Result<Decoded, Trap> {
    reading(pc)?;
    let low = mem.fetch(pc)?;
    let mut parcels = u32::from(low);
    if decode::length(low) == 4 {
        let second = pc.wrapping_add(2);
        reading(second)?;
        parcels |= u32::from(mem.fetch(second)?) << 16;
    }
    decode::decode(parcels).ok_or(Trap::new(Cause::IllegalInstruction, u64::from(parcels)))
}
