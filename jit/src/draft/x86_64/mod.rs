//! Drafts for x86-64: each guest instruction becomes a few host instructions, in one pass.
//!
//! rdi holds the hart's context, r15 the drafts' data; rax, rcx and rdx are scratch. Guest registers are
//! in memory, and in host registers as well where a block has used them (`registers.rs`). Before each
//! guest instruction the state in memory is complete, except for the pc, which is where the code is.
//!
//! The code of a whole machine's page may lie at several addresses: r14 holds the address of the page
//! that is being executed, and only jumps within a page are direct. Instructions are counted there, block
//! by block, and blocks are only begun that the count covers.

mod assembler;
mod atomic;
mod bits;
mod float;
mod flow;
mod instructions;
mod integer;
mod memory;
mod registers;
mod system;

use self::assembler::{Assembler, Condition, Label, R14, R15, RAX, RCX, RDI, RSI, Reg, at, ins};
use self::registers::Held;
use super::{Known, Space, data};
use crate::context::{code, offset};
use ::memory::PAGE;
use cranelift_assembler_x64::inst::retq_zo;
use frontend::{Insn, Op};
use rustc_hash::FxHashMap;

/// Why drafts go back to the engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// The instruction at pc is the interpreter's.
    Interpret,
    /// The engine wants something.
    Poll,
    /// To go on at pc it has to be looked up where.
    Next,
    /// The same, and a slot can be told: the first operand.
    Link,
    /// The block at pc has run often: the first operand is its number.
    Hot,
    /// The count does not cover the block at pc.
    Limit,
    /// What a helper says, in rcx.
    Status,
}

impl Exit {
    const ALL: [Exit; 7] = [
        Exit::Interpret,
        Exit::Poll,
        Exit::Next,
        Exit::Link,
        Exit::Hot,
        Exit::Limit,
        Exit::Status,
    ];

    /// What is returned; none if that is in rcx.
    fn code(self) -> Option<u64> {
        Some(match self {
            Exit::Interpret => code::INTERPRET,
            Exit::Poll => code::POLL,
            Exit::Next => code::DRAFT_NEXT,
            Exit::Link => code::DRAFT_LINK,
            Exit::Hot => code::DRAFT_HOT,
            Exit::Limit => code::LIMIT,
            Exit::Status => return None,
        })
    }
}

/// The code that all drafts share.
#[derive(Clone, Copy, Default, Debug)]
pub struct Common {
    /// Enters a draft, as a region is entered: its address is the entry.
    pub enter: usize,
    /// The same from compiled code, which may have been told to stop there.
    pub door: usize,
    /// Goes on in a region, if the context's jump cache knows one: rax holds the pc.
    pub to_region: usize,
    /// Whole machines: goes on wherever the jump cache says, likewise.
    dispatch: usize,
    /// Whole machines: finds the host address of an access, see `memory.rs`.
    translate: usize,
    /// Calls the function in rax, see there.
    call: usize,
    /// What [`Exit`]s have in common: rax holds the pc, rcx the operand.
    exits: [usize; Exit::ALL.len()],
}

impl Common {
    /// Where an exit's code is.
    pub fn of(&self, exit: Exit) -> usize {
        self.exits[exit as usize]
    }
}

/// What one instruction does to the block that it is in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// The next instruction follows.
    Next,
    /// The block has ended; the next instruction may follow in another.
    Falls,
    /// The block has ended, and nothing follows.
    Ends,
}

/// Drafts blocks, one after the other.
#[derive(Default)]
pub struct Drafter {
    code: Assembler,
    held: Held,
    common: Common,
    /// How guest memory is reached.
    space: Space,
    /// The page that blocks are begun on, whole machines only: its address now, and that of its code.
    page: u64,
    page_at: u64,
    /// The present instruction's address and length, and how many of its block come before it.
    pc: u64,
    len: u8,
    done: u32,
    /// The way to the interpreter for the present instruction, if it has one.
    aside: Option<Label>,
    /// Cold ways back to the engine.
    asides: Vec<Aside>,
    /// Slots, from number `first_link` on: where each leads to at first, and where it shall lead.
    links: Vec<(Label, u64)>,
    first_link: usize,
    /// What was begun: blocks in a row.
    heads: Vec<Head>,
    /// Offsets of the host instructions that access guest memory, and the guest's.
    sites: Vec<(u32, u64)>,
    /// The blocks that have been drafted, by where their code begins.
    known: FxHashMap<u64, Known>,
}

/// A cold way back to the engine.
struct Aside {
    label: Label,
    exit: Exit,
    pc: u64,
    /// The block, as one of those in a row, and how many of its instructions have been executed.
    head: usize,
    done: u32,
}

/// A block that was begun.
struct Head {
    /// The cold code that says that it is hot.
    hot: Label,
    /// The cold code that says that the count does not cover it.
    limit: Label,
    number: usize,
    pc: u64,
    /// Its instructions.
    length: u32,
    /// Where in the hot buffer it says how many they are, but for so many.
    counts: Vec<(usize, u32)>,
}

/// What was drafted.
pub struct Draft<'a> {
    /// The code, for where it was said to go.
    pub hot: &'a [u8],
    /// The code that rarely runs.
    pub cold: &'a [u8],
    /// Accesses to guest memory: the host instruction's offset and the guest instruction's address.
    pub sites: &'a [(u32, u64)],
    /// What slots lead to at first.
    pub links: Vec<u64>,
}

impl Drafter {
    /// One for such guest memory.
    pub fn new(space: Space) -> Option<Drafter> {
        Some(Drafter {
            space,
            ..Drafter::default()
        })
    }

    /// Whether this is for whole machines.
    fn system(&self) -> bool {
        self.space == Space::Machine
    }

    /// The block whose code begins at `code`, if it has been drafted.
    pub fn known(&self, code: u64) -> Option<Known> {
        self.known.get(&code).copied()
    }

    /// A block has been drafted, or is about to be.
    pub fn learn(&mut self, code: u64, known: Known) {
        self.known.insert(code, known);
    }

    /// What begins at `code` shall not be jumped to any more.
    pub fn forget(&mut self, code: u64) {
        self.known.remove(&code);
    }

    /// The same of everything.
    pub fn forget_all(&mut self) {
        self.known.clear();
    }

    /// The code that all drafts share, to be put at `cold`.
    pub fn common(&mut self, cold: usize) -> Option<(Vec<u8>, Common)> {
        self.code.clear();
        self.code.set_cold(true);
        let door = self.code.here();
        let stop = self.code.label();
        ins!(self.code, cmpq_mi_sxb, at(RDI, offset::STOP), 0i8);
        self.code.jump_if(Condition::NotEqual, stop);
        let enter = self.code.here();
        ins!(self.code, movq_rm, R15, at(RDI, offset::DRAFTS));
        if self.system() {
            ins!(self.code, movq_rm, R14, at(RDI, offset::TARGET));
            ins!(self.code, andq_mi_sxl, R14, -(PAGE as i32));
        }
        ins!(self.code, jmpq_m, RSI);
        self.code.bind(stop);
        ins!(self.code, movq_mr, at(RDI, offset::SCRATCH), RSI);
        ins!(self.code, movl_oi, RAX, code::DRAFT_STOP as u32);
        retq_zo::new().encode(self.code.buffer());
        let exits = Exit::ALL.map(|exit| {
            let label = self.code.here();
            ins!(self.code, movq_mr, at(RDI, offset::PC), RAX);
            if matches!(exit, Exit::Link | Exit::Hot) {
                ins!(self.code, movq_mr, at(RDI, offset::SCRATCH), RCX);
            }
            match exit.code() {
                Some(code) => ins!(self.code, movl_oi, RAX, code as u32),
                None => ins!(self.code, movq_rm, RAX, RCX),
            }
            retq_zo::new().encode(self.code.buffer());
            label
        });
        let elsewhere = exits[Exit::Next as usize];
        let to_region = self.code.here();
        self.enter_region(elsewhere);
        let dispatch = self.code.here();
        if self.system() {
            self.dispatch(elsewhere, false);
        }
        let translate = self.code.here();
        let call = self.call_for_translate();
        let address = |code: &Assembler, label| code.address(label, 0, cold);
        let mut common = Common {
            enter: address(&self.code, enter)?,
            door: address(&self.code, door)?,
            to_region: address(&self.code, to_region)?,
            dispatch: address(&self.code, dispatch)?,
            translate: address(&self.code, translate)?,
            call: address(&self.code, call)?,
            ..Common::default()
        };
        for (to, label) in common.exits.iter_mut().zip(exits) {
            *to = address(&self.code, label)?;
        }
        self.common = common;
        let (_, bytes) = self.code.finish(0, cold)?;
        Some((bytes.to_vec(), common))
    }

    /// Begins to draft; slots that it needs are numbered from `first_link` on.
    pub fn begin(&mut self, first_link: usize) {
        self.code.clear();
        self.asides.clear();
        self.links.clear();
        self.heads.clear();
        self.sites.clear();
        self.first_link = first_link;
    }

    /// Begins the block at `pc`, which has a number and whose code lies at `code`. Its draft's distance
    /// from the beginning.
    pub fn head(&mut self, pc: u64, code: u64, number: usize) -> usize {
        self.held = Held::new(self.system());
        self.page = pc & !(PAGE - 1);
        self.page_at = code & !(PAGE - 1);
        self.done = 0;
        let offset = self.code.hot_len();
        let (hot, limit) = (self.code.label(), self.code.label());
        let mut counts = Vec::new();
        if self.system() {
            ins!(self.code, subq_mi_sxl, at(RDI, offset::LEFT), i32::MAX);
            counts.push((self.code.hot_len() - 4, 0));
            self.code.jump_if(Condition::Below, limit);
        }
        ins!(self.code, subq_mi_sxb, at(R15, data::counter(number)), 1i8);
        self.code.jump_if(Condition::Negative, hot);
        self.heads.push(Head {
            hot,
            limit,
            number,
            pc,
            length: 0,
            counts,
        });
        offset
    }

    /// The code that `pc` leads to, if it lies on the present page, as all does in a program.
    fn code_at(&self, pc: u64) -> Option<u64> {
        if !self.system() {
            return Some(pc);
        }
        let offset = pc.wrapping_sub(self.page);
        (offset < PAGE).then(|| self.page_at + offset)
    }

    /// Drafts the instruction at `pc`.
    pub fn instruction(&mut self, pc: u64, len: u8, insn: Insn) -> After {
        self.pc = pc;
        self.len = len;
        self.aside = None;
        self.held.unpin();
        if self.system() && uses_float(insn.op()) {
            self.demand_floats();
        }
        let after = self.translate(insn);
        self.done += 1;
        if let Some(head) = self.heads.last_mut() {
            head.length = self.done;
            // What the interpreter does it counts itself.
            let drafted = self.aside.is_none() || after != After::Ends;
            head.length = self.done - u32::from(!drafted);
        }
        after
    }

    /// Goes on at `pc`, behind the last instruction.
    pub fn fall_through(&mut self, pc: u64) {
        self.go_on(pc);
    }

    /// Ends what was begun: its code as it is to be at `hot` and `cold`.
    pub fn finish(&mut self, hot: usize, cold: usize) -> Option<Draft<'_>> {
        self.code.set_cold(true);
        let heads = std::mem::take(&mut self.heads);
        for head in &heads {
            for &(at, but) in &head.counts {
                self.code.patch(at, head.length - but);
            }
            if self.system() {
                self.code.bind(head.limit);
                self.give_back(head.length);
                self.say_pc(head.pc);
                self.code.jump_to(self.common.of(Exit::Limit));
            }
            self.code.bind(head.hot);
            self.give_back(head.length);
            self.say_pc(head.pc);
            ins!(self.code, movl_oi, RCX, head.number as u32);
            ins!(self.code, jmpq_m, at(R15, data::redirect(head.number)));
        }
        for aside in std::mem::take(&mut self.asides) {
            self.code.bind(aside.label);
            self.give_back(heads[aside.head].length - aside.done);
            self.say_pc(aside.pc);
            self.code.jump_to(self.common.of(aside.exit));
        }
        let links = std::mem::take(&mut self.links);
        for (number, &(label, pc)) in (self.first_link..).zip(&links) {
            self.code.bind(label);
            self.say_pc(pc);
            ins!(self.code, movl_oi, RCX, number as u32);
            self.code.jump_to(self.common.of(Exit::Link));
        }
        let links = links
            .iter()
            .map(|&(label, _)| Some(self.code.address(label, hot, cold)? as u64))
            .collect::<Option<Vec<u64>>>()?;
        let (hot, cold) = self.code.finish(hot, cold)?;
        Some(Draft {
            hot,
            cold,
            sites: &self.sites,
            links,
        })
    }

    /// Counts instructions as not executed, whole machines only.
    fn give_back(&mut self, count: u32) {
        if self.system() && count > 0 {
            ins!(self.code, addq_mi_sxl, at(RDI, offset::LEFT), count as i32);
        }
    }

    /// Has rax hold an address in the code.
    fn say_pc(&mut self, pc: u64) {
        self.pc_in(RAX, pc);
    }

    /// Has a host register hold an address in the code: near the present block's, in a machine.
    fn pc_in(&mut self, to: Reg, pc: u64) {
        if !self.system() {
            return self.constant(to, pc);
        }
        let distance = pc.wrapping_sub(self.page) as i32;
        ins!(self.code, leaq_rm, to, at(R14, distance));
    }

    /// Leaves an instruction to the interpreter unless it was drafted.
    fn or_interpret(&mut self, drafted: bool) -> After {
        if drafted {
            return After::Next;
        }
        self.interpret();
        After::Ends
    }
}

/// Whether an instruction is of F or D, which a machine can switch off.
fn uses_float(op: Op) -> bool {
    op >= Op::Flw && op <= Op::FcvtDS
}
