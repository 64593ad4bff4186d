//! Guest registers in host registers, as far as a block has read or written them.
//!
//! What is written goes to memory at once, so that the state is complete before each instruction and a
//! host register can be given up at any time.

use super::Drafter;
use super::assembler::{Condition, RBX, RDI, RDX, RSI, Reg, at, ins};
use crate::context::offset;
use frontend::X;

/// The host registers that hold guest registers.
const POOL: [Reg; 9] = [RSI, RBX, 8, 9, 10, 11, 12, 13, 14];

/// What host registers hold, in the block that is being drafted.
#[derive(Default)]
pub struct Held {
    /// The guest register that each of [`POOL`] holds.
    guest: [Option<X>; POOL.len()],
    /// Those of [`POOL`] that the present instruction uses.
    pinned: [bool; POOL.len()],
    /// The one to be given up next.
    turn: usize,
    /// Guest registers, by bits, whose value is known to be an address in the window.
    checked: u32,
    /// How many of [`POOL`] there are to be used.
    size: usize,
    /// Floating point is known to be permitted.
    floats: bool,
}

impl Held {
    /// Nothing yet; whole machines need the last of [`POOL`] for something else.
    pub fn new(system: bool) -> Held {
        Held {
            size: POOL.len() - usize::from(system),
            ..Held::default()
        }
    }

    /// Whether floating point is known to be permitted. It is from now on.
    pub fn may_float(&mut self) -> bool {
        std::mem::replace(&mut self.floats, true)
    }

    /// A new instruction begins.
    pub fn unpin(&mut self) {
        self.pinned = Default::default();
    }

    fn place(&self, x: X) -> Option<usize> {
        self.guest.iter().position(|&held| held == Some(x))
    }

    /// Whether a register's value is known to be an address in the window, or sp, which is never far
    /// from it.
    pub fn is_checked(&self, x: X) -> bool {
        x == X::SP || self.checked >> x.index() & 1 != 0
    }

    pub fn set_unchecked(&mut self, x: X) {
        self.checked &= !(1 << x.index());
    }

    pub fn set_checked(&mut self, x: X) {
        self.checked |= 1 << x.index();
    }
}

impl Drafter {
    /// A host register for the present instruction; what it held is in memory.
    pub fn fresh(&mut self) -> Reg {
        let held = &mut self.held;
        let free = held.guest.iter().zip(&held.pinned).take(held.size);
        let free = free
            .into_iter()
            .position(|(guest, pinned)| guest.is_none() && !pinned);
        let place = free.unwrap_or_else(|| {
            // An instruction uses fewer registers than there are.
            while held.pinned[held.turn] {
                held.turn = (held.turn + 1) % held.size;
            }
            let place = held.turn;
            held.turn = (held.turn + 1) % held.size;
            place
        });
        held.guest[place] = None;
        held.pinned[place] = true;
        POOL[place]
    }

    /// A guest register's value, in a host register that must not be changed.
    pub fn read(&mut self, x: X) -> Reg {
        if let Some(place) = self.held.place(x) {
            self.held.pinned[place] = true;
            return POOL[place];
        }
        let reg = self.fresh();
        if x == X::ZERO {
            ins!(self.code, xorl_rm, reg, reg);
        } else {
            ins!(self.code, movq_rm, reg, at(RDI, offset::x(x.index())));
        }
        self.hold(x, reg);
        reg
    }

    fn hold(&mut self, x: X, reg: Reg) {
        if let Some(place) = POOL.iter().position(|&other| other == reg) {
            self.held.guest[place] = Some(x);
        }
    }

    /// A guest register's value in a fresh host register, which may be changed.
    pub fn copy(&mut self, x: X) -> Reg {
        let from = self.read(x);
        let to = self.fresh();
        ins!(self.code, movq_rm, to, from);
        to
    }

    /// Writes a host register, which [`Drafter::fresh`] gave, to a guest register.
    pub fn write(&mut self, rd: X, reg: Reg) {
        if rd == X::ZERO {
            return;
        }
        if let Some(old) = self.held.place(rd) {
            self.held.guest[old] = None;
        }
        self.held.checked &= !(1 << rd.index());
        ins!(self.code, movq_mr, at(RDI, offset::x(rd.index())), reg);
        self.hold(rd, reg);
        match rd.number() {
            _ if self.system() => {}
            2 => self.keep_stack(reg),
            3 | 4 => self.keep_promise(reg),
            _ => {}
        }
    }

    /// Goes back to the engine behind this instruction if gp or tp is not in the window any more: regions
    /// take it for granted, see `Facts::outside`.
    fn keep_promise(&mut self, reg: Reg) {
        ins!(self.code, movq_rm, RDX, reg);
        ins!(
            self.code,
            shrq_mi,
            RDX,
            ::memory::LIMIT.trailing_zeros() as u8
        );
        self.go_back_if(Condition::NotEqual);
    }

    /// The same if sp is not in bounds, see `stacks.rs`; accesses through it are not checked.
    fn keep_stack(&mut self, reg: Reg) {
        ins!(self.code, cmpq_rm, reg, at(RDI, offset::STACK_LOW));
        self.go_back_if(Condition::Below);
        ins!(self.code, cmpq_rm, reg, at(RDI, offset::STACK_HIGH));
        self.go_back_if(Condition::Above);
    }

    fn go_back_if(&mut self, condition: Condition) {
        let next = self.pc + u64::from(self.len);
        let out = self.go_on_elsewhere(next);
        self.code.jump_if(condition, out);
    }
}
