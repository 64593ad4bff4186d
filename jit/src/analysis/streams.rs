//! Loops of which it can be said beforehand which memory they will access.
//!
//! Each register is followed through one round as a *form*: a sum of what registers were when the
//! round began, and a number. A register that a round changes by a number that is known, or by what
//! another register holds throughout, gives every address that is made of such registers a place in
//! round n. Addresses in the same distance from each other are one *stream*. Before the loop it
//! is then enough to look at the pages ahead of each stream, see `translate/strip.rs`.

use crate::analysis::facts::{Fact, Facts, address};
use crate::analysis::registers::accesses;
use crate::graph::{End, Graph, NodeId, Step, Target};
use frontend::*;

/// More accesses at different places are not worth looking at.
const MOST_STREAMS: usize = 8;
/// As few pages as are looked at at once hold what one round accesses.
const WIDEST: i64 = 1 << 14;
/// How far a round may move an address, in bytes for each instruction of it: a look at the pages
/// ahead shall be good for some hundred instructions.
const FASTEST: i64 = 160;
/// What a register in a form may be multiplied by.
const LARGEST_FACTOR: i64 = 1 << 16;
/// Registers in a form.
const MOST_TERMS: usize = 3;
/// Numbers beyond this are not followed.
const LARGEST: i64 = 1 << 40;
/// With fewer rounds ahead, looking at the pages takes longer than it saves: so many, and so many
/// for each stream.
const FEW_ROUNDS: (i64, i64) = (12, 5);

/// Registers and what each is multiplied by, ascending.
pub type Terms = Vec<(X, i64)>;

/// A sum of registers and of a number from `from..=to`.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Form {
    terms: Terms,
    from: i64,
    to: i64,
}

impl Form {
    fn number(from: i64, to: i64) -> Option<Form> {
        Form::new(Terms::new(), Some(from), Some(to))
    }

    fn register(register: X) -> Form {
        Form {
            terms: vec![(register, 1)],
            from: 0,
            to: 0,
        }
    }

    fn new(terms: Terms, from: Option<i64>, to: Option<i64>) -> Option<Form> {
        let (from, to) = (from?, to?);
        let fits = from >= -LARGEST && to <= LARGEST && terms.len() <= MOST_TERMS;
        let small = terms
            .iter()
            .all(|&(_, times)| times.abs() <= LARGEST_FACTOR);
        (fits && small).then_some(Form { terms, from, to })
    }

    fn plus(&self, other: &Form) -> Option<Form> {
        let mut terms = self.terms.clone();
        for &(register, times) in &other.terms {
            match terms.iter_mut().find(|(own, _)| *own == register) {
                Some((_, own)) => *own += times,
                None => terms.push((register, times)),
            }
        }
        terms.retain(|&(_, times)| times != 0);
        terms.sort_by_key(|&(register, _)| register.index());
        let (from, to) = (self.from + other.from, self.to + other.to);
        Form::new(terms, Some(from), Some(to))
    }

    fn times(&self, factor: i64) -> Option<Form> {
        let terms = self.terms.iter();
        let terms = terms.map(|&(register, times)| (register, times * factor));
        let (a, b) = (self.from.checked_mul(factor), self.to.checked_mul(factor));
        let (from, to) = if factor < 0 { (b, a) } else { (a, b) };
        Form::new(terms.collect(), from, to)
    }

    fn meet(&self, other: &Form) -> Option<Form> {
        (self.terms == other.terms).then(|| Form {
            terms: self.terms.clone(),
            from: self.from.min(other.from),
            to: self.to.max(other.to),
        })
    }
}

/// The registers' forms at some point of a round.
#[derive(Clone, Debug)]
struct Forms([Option<Form>; 32]);

impl Forms {
    fn get(&self, register: X) -> Option<&Form> {
        self.0[register.index()].as_ref()
    }

    fn meet(&mut self, other: &Forms) {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            *own = match (own.as_ref(), other) {
                (Some(a), Some(b)) => a.meet(b),
                _ => None,
            };
        }
    }

    /// Follows a step. `facts` is what else is known after it.
    fn step(&mut self, step: &Step, facts: &Facts) {
        let defs = step.defs() as u32;
        if defs == 0 {
            return;
        }
        let rd = X::new(defs.trailing_zeros() as u8);
        let range = match facts.get(rd) {
            Fact::Range(from, to) if from >= -WIDEST && to <= WIDEST => Form::number(from, to),
            _ => None,
        };
        let form = self.result(step).or(range);
        self.0[rd.index()] = match (step.skipped_by, &self.0[rd.index()], form) {
            (None, _, form) => form,
            (Some(_), Some(old), Some(new)) => old.meet(&new),
            (Some(_), _, _) => None,
        };
    }

    fn result(&self, step: &Step) -> Option<Form> {
        let sum = |a: X, times: i64, b: X| self.get(a)?.times(times)?.plus(self.get(b)?);
        match step.insn {
            Insn::Lui(o) => Form::number(o.imm.into(), o.imm.into()),
            Insn::Auipc(o) => {
                let value = step.pc.checked_add_signed(o.imm.into())? as i64;
                Form::number(value, value)
            }
            Insn::Addi(o) => self
                .get(o.rs1)?
                .plus(&Form::number(o.imm.into(), o.imm.into())?),
            Insn::Add(o) => sum(o.rs1, 1, o.rs2),
            Insn::Sub(o) => sum(o.rs2, -1, o.rs1),
            Insn::Sh1add(o) => sum(o.rs1, 2, o.rs2),
            Insn::Sh2add(o) => sum(o.rs1, 4, o.rs2),
            Insn::Sh3add(o) => sum(o.rs1, 8, o.rs2),
            Insn::Slli(o) if o.shamt <= 16 => self.get(o.rs1)?.times(1 << o.shamt),
            _ => None,
        }
    }
}

/// How an address moves from one round to the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// By so many bytes.
    By(i64),
    /// By what a register holds, times a number above 0. The loop does not write that register.
    Times(X, i64),
}

/// How a register changes in a round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Change {
    /// By a number from..=to.
    By(i64, i64),
    /// By what another holds, times a number.
    Times(X, i64),
}

/// Accesses that go through memory side by side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stream {
    /// What is the same for all of them, as of a round's beginning.
    pub base: Terms,
    /// The first byte of a round, in bytes from there.
    pub from: i64,
    /// The byte behind the last.
    pub to: i64,
    /// Whether any is a store.
    pub stores: bool,
    /// How it moves.
    pub pace: Pace,
}

/// When few rounds are left: if `base + offset < fewest`, all signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Left {
    /// Registers, as of a round's beginning.
    pub base: Terms,
    /// A number to add.
    pub offset: i64,
    /// What the sum is compared with.
    pub fewest: i64,
}

/// What a loop accesses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// All accesses.
    pub streams: Vec<Stream>,
    /// The most bytes by which a register may move one of them in a round.
    pub fastest: i64,
    /// A guess at how many rounds are left, for speed alone.
    pub left: Left,
}

/// Bytes that an access is wide; none if it is more than a load or a store.
pub fn width(op: Op) -> Option<i64> {
    use Op::*;
    Some(match op {
        Lb | Lbu | Sb => 1,
        Lh | Lhu | Sh => 2,
        Lw | Lwu | Flw | Sw | Fsw => 4,
        Ld | Fld | Sd | Fsd => 8,
        _ => return None,
    })
}

fn stores(op: Op) -> bool {
    use Op::*;
    matches!(op, Sb | Sh | Sw | Sd | Fsw | Fsd)
}

/// An access in a round.
struct Accessed {
    /// None if that cannot be told.
    at: Option<Form>,
    width: i64,
    stores: bool,
}

/// One loop being looked at.
struct Loop<'a> {
    graph: &'a Graph,
    header: NodeId,
    /// In the graph's order.
    body: Vec<NodeId>,
    /// Registers that are something else in each round, and nothing is known of.
    unknown: u32,
}

/// What a round leads to.
struct Round {
    /// At the ends of nodes that lead back to the header.
    ends: Vec<(NodeId, Forms)>,
    accessed: Vec<Accessed>,
}

impl Loop<'_> {
    /// Follows a round.
    fn round(&self) -> Round {
        let mut starts: Vec<Option<Forms>> = vec![None; self.graph.nodes.len()];
        let start = |register: usize| match register {
            0 => Form::number(0, 0),
            _ if self.unknown >> register & 1 == 1 => None,
            _ => Some(Form::register(X::new(register as u8))),
        };
        starts[self.header] = Some(Forms(std::array::from_fn(start)));
        let mut round = Round {
            ends: Vec::new(),
            accessed: Vec::new(),
        };
        for &id in &self.body {
            let node = &self.graph.nodes[id];
            let Some(mut forms) = starts[id].clone() else {
                continue;
            };
            let mut facts = Facts::nothing();
            for step in &node.steps {
                if let (Some((base, imm)), Some(width)) =
                    (address(step.insn), width(step.insn.op()))
                {
                    let imm = Form::number(imm.into(), imm.into());
                    let at = forms.get(base).zip(imm).and_then(|(at, imm)| at.plus(&imm));
                    round.accessed.push(Accessed {
                        at,
                        width,
                        stores: stores(step.insn.op()),
                    });
                }
                facts.step(step);
                forms.step(step, &facts);
            }
            for next in node.successors() {
                if next == self.header {
                    round.ends.push((id, forms.clone()));
                } else if self.body.contains(&next) {
                    match &mut starts[next] {
                        Some(known) => known.meet(&forms),
                        unknown => *unknown = Some(forms.clone()),
                    }
                }
            }
        }
        round
    }

    /// How a register changes in a round that ends like that.
    fn change(&self, register: X, round: &Round) -> Option<Change> {
        let mut changes = round.ends.iter().map(|(_, forms)| {
            let form = forms.get(register)?;
            let others = form.terms.iter();
            let others = others.copied().filter(|&term| term != (register, 1));
            let others: Vec<(X, i64)> = others.collect();
            if others.len() + 1 != form.terms.len() {
                return None;
            }
            match others[..] {
                [] => Some(Change::By(form.from, form.to)),
                [(by, times)] if (form.from, form.to) == (0, 0) => Some(Change::Times(by, times)),
                _ => None,
            }
        });
        let first = changes.next()??;
        changes.try_fold(first, |a, b| match (a, b?) {
            (Change::By(a, b), Change::By(c, d)) => Some(Change::By(a.min(c), b.max(d))),
            (a, b) => (a == b).then_some(a),
        })
    }

    /// How all registers change; those of which it is not known join the unknown ones. None if that
    /// is news.
    fn changes(&mut self, round: &Round) -> Option<Vec<Option<Change>>> {
        let mut changes: Vec<Option<Change>> = (0..32)
            .map(|register| match register {
                0 => Some(Change::By(0, 0)),
                _ if self.unknown >> register & 1 == 1 => None,
                _ => self.change(X::new(register), round),
            })
            .collect();
        for register in 0..32 {
            // What another is changed by must stay the same.
            if let Some(Change::Times(by, _)) = changes[register]
                && changes[by.index()] != Some(Change::By(0, 0))
            {
                changes[register] = None;
            }
        }
        let known = self.unknown;
        for (register, change) in changes.iter().enumerate() {
            self.unknown |= u32::from(change.is_none()) << register;
        }
        (known == self.unknown).then_some(changes)
    }
}

/// How a sum of registers changes.
fn change_of(terms: &Terms, changes: &[Option<Change>]) -> Option<Change> {
    let mut sum = Change::By(0, 0);
    for &(register, times) in terms {
        let change = match changes[register.index()]? {
            Change::By(from, to) if times < 0 => Change::By(to * times, from * times),
            Change::By(from, to) => Change::By(from * times, to * times),
            Change::Times(by, own) => Change::Times(by, own * times),
        };
        sum = match (sum, change) {
            (Change::By(a, b), Change::By(c, d)) => Change::By(a + c, b + d),
            (Change::By(0, 0), other) | (other, Change::By(0, 0)) => other,
            _ => return None,
        };
    }
    Some(sum)
}

/// What the loop of a header accesses, and how long it runs, if both can be said beforehand. Loops
/// that end when they find something mostly end soon.
pub fn find(graph: &Graph, header: NodeId) -> Option<Plan> {
    let inside = &graph.nodes[header].body;
    let body = graph.order.iter().copied();
    let body: Vec<NodeId> = body.filter(|id| inside.contains(id)).collect();
    let plain = |step: &Step| width(step.insn.op()).is_some() || !accesses(step.insn);
    if !body
        .iter()
        .all(|&id| graph.nodes[id].steps.iter().all(plain))
    {
        return None;
    }
    let mut found = Loop {
        graph,
        header,
        body,
        unknown: 0,
    };
    let (round, changes) = loop {
        let round = found.round();
        if let Some(changes) = found.changes(&round) {
            break (round, changes);
        }
    };
    let steps = found.body.iter().map(|&id| graph.nodes[id].steps.len());
    let fastest = FASTEST * steps.sum::<usize>() as i64;
    let mut streams: Vec<Stream> = Vec::new();
    for Accessed { at, width, stores } in &round.accessed {
        let at = at.as_ref()?;
        let pace = match change_of(&at.terms, &changes)? {
            Change::By(from, to) if from >= 0 && to <= fastest => Pace::By(to),
            Change::By(from, to) if to <= 0 && from >= -fastest => Pace::By(from),
            Change::Times(by, times) if times > 0 => Pace::Times(by, times),
            Change::By(..) | Change::Times(..) => return None,
        };
        let (from, to) = (at.from, at.to + width);
        let beside = streams.iter_mut().find(|stream| {
            stream.base == at.terms && stream.to.max(to) - stream.from.min(from) <= WIDEST
        });
        match beside {
            Some(stream) => {
                stream.from = stream.from.min(from);
                stream.to = stream.to.max(to);
                stream.stores |= stores;
            }
            None => streams.push(Stream {
                base: at.terms.clone(),
                from,
                to,
                stores: *stores,
                pace,
            }),
        }
    }
    let narrow = |stream: &Stream| stream.to - stream.from <= WIDEST;
    if streams.is_empty() || streams.len() > MOST_STREAMS || !streams.iter().all(narrow) {
        return None;
    }
    let (few, each) = FEW_ROUNDS;
    let few = few + each * streams.len() as i64;
    let left = round.ends.iter();
    let left = left.filter_map(|(id, forms)| left_at(graph, *id, header, forms, &changes, few));
    let left = left.min_by_key(|left| left.base.len())?;
    Some(Plan {
        streams,
        fastest,
        left,
    })
}

/// How many rounds are left, as far as the branch at the end of a node tells that.
fn left_at(
    graph: &Graph,
    id: NodeId,
    header: NodeId,
    forms: &Forms,
    changes: &[Option<Change>],
    few: i64,
) -> Option<Left> {
    let node = &graph.nodes[id];
    let End::Branch { taken, next } = node.end else {
        return None;
    };
    if ![taken, next].contains(&Target::Node(header)) {
        return None;
    }
    let (rs1, rs2) = match node.steps.last()?.insn {
        Insn::Bne(o) | Insn::Beq(o) => (o.rs1, o.rs2),
        Insn::Blt(o) | Insn::Bge(o) | Insn::Bltu(o) | Insn::Bgeu(o) => (o.rs1, o.rs2),
        _ => return None,
    };
    // How far they are apart, and how much nearer they come in a round.
    let apart = forms.get(rs2)?.plus(&forms.get(rs1)?.times(-1)?)?;
    let Change::By(from, to) = change_of(&apart.terms, changes)? else {
        return None;
    };
    let apart = match from {
        _ if from != to || from == 0 => return None,
        1.. => apart.times(-1)?,
        _ => apart,
    };
    (apart.from == apart.to).then(|| Left {
        base: apart.terms,
        offset: apart.from,
        fewest: from.saturating_abs().saturating_mul(few),
    })
}
