//! What is known of registers as addresses, and what instructions add to it.
//!
//! Guest address `va` is host address `base + va`. Around the window lie guard zones of
//! [`memory::GUARD`] bytes that fault, so an access may be emitted bare if its address is known to
//! be in the window or at most that far outside. Knowledge comes from checks, from accesses
//! that did not fault, and from small numbers added to such addresses.

use crate::analysis::registers::accesses;
use crate::graph::Step;
use frontend::*;

/// How far outside the window an address may be and still be used without a check. The rest of the
/// guard zone is for the immediate and the width.
pub const REACH: i64 = memory::GUARD as i64 - (1 << 20);
/// What is known of sp at every region boundary: in the window, give or take this. Whoever enters
/// compiled code sees to it.
pub const STACK_REACH: i64 = 1 << 16;
/// Numbers beyond this are not followed.
const LARGEST: i64 = 1 << 45;

/// What is known of an integer register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fact {
    /// Not reached yet.
    Unreached,
    /// Nothing.
    Unknown,
    /// An address in the window, or at most so many bytes outside.
    Window(i64),
    /// A number from..=to.
    Range(i64, i64),
}

use Fact::{Range, Unknown, Unreached, Window};

impl Fact {
    /// Whether the address may be used without a check.
    pub fn is_near(self) -> bool {
        self.reach().is_some()
    }

    /// How far outside the window it may be.
    fn reach(self) -> Option<i64> {
        match self {
            Window(reach) => (reach <= REACH).then_some(reach),
            Range(from, to) => {
                let below = (-from).max(0);
                let above = (to - memory::LIMIT as i64).max(0);
                (below.max(above) <= REACH).then_some(below.max(above))
            }
            Unknown | Unreached => None,
        }
    }

    /// The same as far as addresses go.
    pub fn as_address(self) -> Fact {
        match self {
            Range(..) => self.reach().map_or(Unknown, Window),
            Unreached | Unknown | Window(_) => self,
        }
    }

    fn range(from: i64, to: i64) -> Fact {
        if from < -LARGEST || to > LARGEST {
            Unknown
        } else {
            Range(from, to)
        }
    }

    fn window(reach: i64) -> Fact {
        if reach <= REACH {
            Window(reach)
        } else {
            Unknown
        }
    }

    /// What holds if either does.
    pub fn meet(self, other: Fact) -> Fact {
        match (self, other) {
            (Unreached, fact) | (fact, Unreached) => fact,
            (Unknown, _) | (_, Unknown) => Unknown,
            (Range(a, b), Range(c, d)) => Range(a.min(c), b.max(d)),
            (a, b) => match (a.reach(), b.reach()) {
                (Some(a), Some(b)) => Window(a.max(b)),
                _ => Unknown,
            },
        }
    }

    /// Whether whatever has `self` also has `other`.
    pub fn implies(self, other: Fact) -> bool {
        match (self, other) {
            (_, Unknown | Unreached) => true,
            (Range(a, b), Range(c, d)) => a >= c && b <= d,
            (_, Range(..)) => false,
            (fact, Window(reach)) => fact.reach().is_some_and(|own| own <= reach),
        }
    }

    fn plus(self, other: Fact) -> Fact {
        match (self, other) {
            (Range(a, b), Range(c, d)) => Fact::range(a + c, b + d),
            (Window(reach), Range(a, b)) | (Range(a, b), Window(reach)) => {
                Fact::window(reach + (-a).max(b).max(0))
            }
            _ => Unknown,
        }
    }

    fn negated(self) -> Fact {
        match self {
            Range(a, b) => Range(-b, -a),
            Unreached | Unknown | Window(_) => Unknown,
        }
    }

    fn shifted_left(self, by: u32) -> Fact {
        match self {
            Range(a, b) if by < 16 => Fact::range(a << by, b << by),
            Unreached | Unknown | Window(_) | Range(..) => Unknown,
        }
    }

    fn is_natural(self) -> Option<i64> {
        match self {
            Range(from, to) if from >= 0 => Some(to),
            Unreached | Unknown | Window(_) | Range(..) => None,
        }
    }
}

/// What is known of all integer registers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts(pub [Fact; 32]);

impl Facts {
    /// What holds where a region is entered.
    pub fn outside() -> Facts {
        let mut facts = Facts([Unknown; 32]);
        facts.0[0] = Range(0, 0);
        facts.0[X::SP.index()] = Window(STACK_REACH);
        facts.0[3] = Window(0);
        facts.0[X::TP.index()] = Window(0);
        facts
    }

    /// Nothing: for accesses that are checked in another way.
    pub fn nothing() -> Facts {
        Facts([Unknown; 32])
    }

    /// What is known of one.
    pub fn get(&self, x: X) -> Fact {
        self.0[x.index()]
    }

    /// Notes a fact about one; nothing about x0.
    pub fn set(&mut self, x: X, fact: Fact) {
        if x != X::ZERO {
            self.0[x.index()] = fact;
        }
    }

    /// Notes that an access through `base` and an immediate has not faulted.
    pub fn accessed(&mut self, base: X, imm: i32) {
        let reach = i64::from(imm).abs();
        if !self.get(base).implies(Window(reach)) {
            self.set(base, Window(reach));
        }
    }

    /// Follows a step. Accesses count as checked and done.
    pub fn step(&mut self, step: &Step) {
        if let Some((base, imm)) = address(step.insn) {
            self.accessed(base, imm);
        }
        let before = step.skipped_by.map(|_| self.clone());
        let defs = step.defs() as u32;
        if defs != 0 {
            let rd = X::new(defs.trailing_zeros() as u8);
            let mut fact = self.result(step);
            if let Some(before) = before {
                fact = fact.meet(before.get(rd));
            }
            self.set(rd, fact);
        }
    }

    /// What is known of a step's integer result.
    fn result(&self, step: &Step) -> Fact {
        let x = |register: X| self.get(register);
        let signed = |bits: u32| Range(-(1 << (bits - 1)), (1 << (bits - 1)) - 1);
        let unsigned = |bits: u32| Range(0, (1 << bits) - 1);
        let low = |fact: Fact| match fact.is_natural() {
            Some(to) if to < 1 << 32 => fact,
            _ => unsigned(32),
        };
        match step.insn {
            Insn::Lui(o) => Range(o.imm.into(), o.imm.into()),
            Insn::Auipc(o) => {
                let value = step.pc.wrapping_add_signed(o.imm.into());
                if value < memory::LIMIT {
                    Range(value as i64, value as i64)
                } else {
                    Unknown
                }
            }
            Insn::Addi(o) => x(o.rs1).plus(Range(o.imm.into(), o.imm.into())),
            Insn::Add(o) => x(o.rs1).plus(x(o.rs2)),
            Insn::Sub(o) => x(o.rs1).plus(x(o.rs2).negated()),
            Insn::Sh1add(o) => x(o.rs2).plus(x(o.rs1).shifted_left(1)),
            Insn::Sh2add(o) => x(o.rs2).plus(x(o.rs1).shifted_left(2)),
            Insn::Sh3add(o) => x(o.rs2).plus(x(o.rs1).shifted_left(3)),
            Insn::AddUw(o) => x(o.rs2).plus(low(x(o.rs1))),
            Insn::Sh1addUw(o) => x(o.rs2).plus(low(x(o.rs1)).shifted_left(1)),
            Insn::Sh2addUw(o) => x(o.rs2).plus(low(x(o.rs1)).shifted_left(2)),
            Insn::Sh3addUw(o) => x(o.rs2).plus(low(x(o.rs1)).shifted_left(3)),
            Insn::SlliUw(o) => low(x(o.rs1)).shifted_left(o.shamt.into()),
            Insn::Slli(o) => x(o.rs1).shifted_left(o.shamt.into()),
            Insn::Srli(o) => match x(o.rs1).is_natural() {
                Some(to) => Range(0, to >> o.shamt),
                None if o.shamt >= 20 => unsigned(64 - u32::from(o.shamt)),
                None => Unknown,
            },
            Insn::Srai(o) => match x(o.rs1) {
                Range(from, to) => Range(from >> o.shamt, to >> o.shamt),
                _ if o.shamt >= 20 => signed(64 - u32::from(o.shamt)),
                _ => Unknown,
            },
            Insn::Andi(o) if o.imm >= 0 => Range(0, o.imm.into()),
            Insn::Andi(o) => match x(o.rs1).is_natural() {
                Some(to) => Range(0, to),
                None => match x(o.rs1) {
                    // Clearing low bits moves an address down by less than 2048.
                    Window(reach) => Fact::window(reach + 2048),
                    _ => Unknown,
                },
            },
            Insn::And(o) => match (x(o.rs1).is_natural(), x(o.rs2).is_natural()) {
                (Some(a), Some(b)) => Range(0, a.min(b)),
                (Some(to), None) | (None, Some(to)) => Range(0, to),
                (None, None) => Unknown,
            },
            Insn::Or(_) | Insn::Xor(_) | Insn::Ori(_) | Insn::Xori(_) => self.bitwise(step.insn),
            Insn::Lb(_) | Insn::SextB(_) => signed(8),
            Insn::Lbu(_) => unsigned(8),
            Insn::Lh(_) | Insn::SextH(_) => signed(16),
            Insn::Lhu(_) | Insn::ZextH(_) => unsigned(16),
            Insn::Lwu(_) => unsigned(32),
            insn if is_word(insn.op()) => signed(32),
            insn if is_tiny(insn.op()) => Range(0, 64),
            _ => Unknown,
        }
    }

    fn bitwise(&self, insn: Insn) -> Fact {
        let (a, b) = match insn {
            Insn::Or(o) | Insn::Xor(o) => {
                (self.get(o.rs1).is_natural(), self.get(o.rs2).is_natural())
            }
            Insn::Ori(o) | Insn::Xori(o) => (
                self.get(o.rs1).is_natural(),
                (o.imm >= 0).then_some(i64::from(o.imm)),
            ),
            _ => (None, None),
        };
        match (a, b) {
            (Some(a), Some(b)) => Range(0, (a.max(b) as u64 + 1).next_power_of_two() as i64 - 1),
            _ => Unknown,
        }
    }
}

/// Whether the result is a sign-extended word.
fn is_word(op: Op) -> bool {
    use Op::*;
    matches!(
        op,
        Lw | Addiw
            | Slliw
            | Srliw
            | Sraiw
            | Addw
            | Subw
            | Sllw
            | Srlw
            | Sraw
            | Mulw
            | Divw
            | Divuw
            | Remw
            | Remuw
            | LrW
            | AmoswapW
            | AmoaddW
            | AmoxorW
            | AmoandW
            | AmoorW
            | AmominW
            | AmomaxW
            | AmominuW
            | AmomaxuW
            | FcvtWS
            | FcvtWuS
            | FcvtWD
            | FcvtWuD
            | FmvXW
            | Rolw
            | Rorw
            | Roriw
    )
}

/// Whether the result is 0 to 64.
fn is_tiny(op: Op) -> bool {
    use Op::*;
    matches!(
        op,
        Slt | Sltu
            | Slti
            | Sltiu
            | FeqS
            | FltS
            | FleS
            | FeqD
            | FltD
            | FleD
            | Clz
            | Ctz
            | Cpop
            | Clzw
            | Ctzw
            | Cpopw
            | Bext
            | Bexti
            | ScW
            | ScD
    )
}

/// The base register and immediate of an access.
pub fn address(insn: Insn) -> Option<(X, i32)> {
    Some(match insn {
        Insn::Lb(o) | Insn::Lh(o) | Insn::Lw(o) | Insn::Ld(o) => (o.rs1, o.imm),
        Insn::Lbu(o) | Insn::Lhu(o) | Insn::Lwu(o) => (o.rs1, o.imm),
        Insn::Sb(o) | Insn::Sh(o) | Insn::Sw(o) | Insn::Sd(o) => (o.rs1, o.imm),
        Insn::Flw(o) | Insn::Fld(o) => (o.rs1, o.imm),
        Insn::Fsw(o) | Insn::Fsd(o) => (o.rs1, o.imm),
        Insn::LrW(o) | Insn::LrD(o) => (o.rs1, 0),
        // A store-conditional may not access memory at all.
        Insn::ScW(_) | Insn::ScD(_) => return None,
        insn if accesses(insn) => (X::new(insn_rs1(insn)?), 0),
        _ => return None,
    })
}

/// The address register of an atomic read-modify-write.
fn insn_rs1(insn: Insn) -> Option<u8> {
    // Its place is the same in each format.
    Some((insn.encode() >> 15 & 31) as u8)
}
