//! The node before a loop that has a free copy, see `strips.rs`: how many rounds cannot fault, and
//! the end of each round.
//!
//! A round's accesses cannot fault if the flags of the pages that they touch permit them, and say
//! that nothing but a change of the mapping could make them fail. Mappings are changed by system
//! calls, and the loop makes none; other harts could, so that the free copy is not used while there
//! are any: [`Context::rounds`](crate::context::Context::rounds) is 0 then.

use super::Translator;
use super::registers::trusted;
use crate::analysis::streams::{Pace, Plan, Stream, Terms};
use crate::context::offset;
use crate::graph::{NodeId, Target};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value, types};
use memory::{LIMIT, PAGE, PageFlags};

/// Pages that are looked at at once.
const PAGES: i64 = 8;
const PAGE_BITS: i64 = PAGE.trailing_zeros() as i64;

impl Translator<'_, '_> {
    /// Ends the node with that.
    pub(super) fn strip(&mut self, id: NodeId, plan: &Plan) {
        let pc = self.graph.nodes[id].start;
        let [slow, free] = self.graph.nodes[id].ways[..] else {
            self.error = Some(format!("the strip at {pc:#x} leads elsewhere"));
            return;
        };
        // What is known is then the same wherever the slow copy is chosen.
        let streams = plan.streams.iter();
        let used = streams.flat_map(|stream| match stream.pace {
            Pace::By(_) => stream.base.clone(),
            Pace::Times(by, _) => stream.base.iter().copied().chain([(by, 1)]).collect(),
        });
        let left = plan.left.base.iter().copied();
        for (register, _) in used.chain(left).collect::<Vec<_>>() {
            self.x(register);
        }
        let slowly = self.b.create_block();
        let left = self.sum(&plan.left.base, plan.left.offset);
        let few = self
            .b
            .ins()
            .icmp_imm_s(IntCC::SignedLessThan, left, plan.left.fewest);
        let more = self.b.create_block();
        self.b.ins().brif(few, slowly, &[], more, &[]);
        self.b.seal_block(more);
        self.b.switch_to_block(more);
        let mut rounds = self
            .b
            .ins()
            .load(types::I64, trusted(), self.context, offset::ROUNDS);
        for stream in &plan.streams {
            let safe = self.rounds_of(stream, plan.fastest);
            rounds = self.b.ins().umin(rounds, safe);
        }
        self.b.def_var(self.rounds, rounds);
        let freely = self.b.create_block();
        let any = self.b.ins().icmp_imm_u(IntCC::Equal, rounds, 0);
        self.b.ins().brif(any, slowly, &[], freely, &[]);
        self.b.seal_block(freely);
        self.b.seal_block(slowly);
        self.aside(slowly, |t| t.jump(Target::Node(slow)));
        self.b.switch_to_block(freely);
        self.jump(Target::Node(free));
    }

    /// Registers and a number.
    fn sum(&mut self, terms: &Terms, number: i64) -> Value {
        let mut sum = self.b.ins().iconst(types::I64, number);
        for &(register, times) in terms {
            let value = self.x(register);
            let value = match times {
                1 => value,
                times => self.b.ins().imul_imm_s(value, times),
            };
            sum = self.b.ins().iadd(sum, value);
        }
        sum
    }

    /// How many rounds of a stream cannot fault, as far as the next pages tell.
    fn rounds_of(&mut self, stream: &Stream, fastest: i64) -> Value {
        let first = self.sum(&stream.base, stream.from);
        let behind = self.b.ins().iadd_imm_s(first, stream.to - stream.from);
        let (room, fits) = match stream.pace {
            Pace::By(..0) => self.room_below(first, behind, stream.stores),
            Pace::By(_) | Pace::Times(..) => self.room_above(first, behind, stream.stores),
        };
        match stream.pace {
            // It stays where it is.
            Pace::By(0) => {
                let all = self.b.ins().iconst(types::I64, i64::MAX);
                self.if_any(fits, all)
            }
            Pace::By(bytes) => {
                let rounds = self.rounds_in(room, bytes.unsigned_abs());
                self.if_any(fits, rounds)
            }
            Pace::Times(by, times) => {
                let pace = self.sum(&vec![(by, times)], 0);
                let less = self.b.ins().iadd_imm_s(pace, -1);
                let above = self
                    .b
                    .ins()
                    .icmp_imm_u(IntCC::UnsignedLessThan, less, fastest);
                let one = self.b.ins().iconst(types::I64, 1);
                let pace = self.b.ins().select(above, pace, one);
                let more = self.b.ins().udiv(room, pace);
                let rounds = self.b.ins().iadd_imm_s(more, 1);
                let fits = self.b.ins().band(fits, above);
                self.if_any(fits, rounds)
            }
        }
    }

    /// So many rounds, or none.
    fn if_any(&mut self, fits: Value, rounds: Value) -> Value {
        let none = self.b.ins().iconst(types::I64, 0);
        self.b.ins().select(fits, rounds, none)
    }

    /// Rounds of so many bytes, the first of which takes no room. A few less than there could be.
    fn rounds_in(&mut self, room: Value, bytes: u64) -> Value {
        let bits = bytes.next_power_of_two().trailing_zeros();
        let more = self.b.ins().ushr_imm_u(room, i64::from(bits));
        self.b.ins().iadd_imm_s(more, 1)
    }

    /// Bytes that may be accessed from `behind` on, if everything from `first` to there may: then
    /// the second is true.
    fn room_above(&mut self, first: Value, behind: Value, stores: bool) -> (Value, Value) {
        let inside = self.in_window(first);
        let page = self.b.ins().ushr_imm_u(first, PAGE_BITS);
        let nowhere = self.b.ins().iconst(types::I64, 0);
        let page = self.b.ins().select(inside, page, nowhere);
        let forbidden = self.forbidden(page, stores);
        let bits = self.b.ins().ctz(forbidden);
        let pages = self.b.ins().ushr_imm_u(bits, 3);
        let end = self.b.ins().iadd(page, pages);
        let end = self.b.ins().ishl_imm_u(end, PAGE_BITS);
        let reached = self
            .b
            .ins()
            .icmp(IntCC::UnsignedLessThanOrEqual, behind, end);
        let fits = self.b.ins().band(inside, reached);
        (self.b.ins().isub(end, behind), fits)
    }

    /// The same before `first`.
    fn room_below(&mut self, first: Value, behind: Value, stores: bool) -> (Value, Value) {
        let last = self.b.ins().iadd_imm_s(behind, -1);
        let last = self.b.ins().ushr_imm_u(last, PAGE_BITS);
        let lowest = self.b.ins().iadd_imm_s(last, 1 - PAGES);
        let most = (LIMIT >> PAGE_BITS) as i64 - PAGES;
        let inside = self
            .b
            .ins()
            .icmp_imm_u(IntCC::UnsignedLessThan, lowest, most);
        let nowhere = self.b.ins().iconst(types::I64, 0);
        let lowest = self.b.ins().select(inside, lowest, nowhere);
        let forbidden = self.forbidden(lowest, stores);
        let bits = self.b.ins().clz(forbidden);
        let pages = self.b.ins().ushr_imm_u(bits, 3);
        let end = self.b.ins().iadd_imm_s(lowest, PAGES);
        let start = self.b.ins().isub(end, pages);
        let start = self.b.ins().ishl_imm_u(start, PAGE_BITS);
        let reached = self
            .b
            .ins()
            .icmp(IntCC::UnsignedLessThanOrEqual, start, first);
        let fits = self.b.ins().band(inside, reached);
        (self.b.ins().isub(first, start), fits)
    }

    /// A byte for each of the pages from this one on: 0 if it may be accessed, and that will not
    /// change.
    fn forbidden(&mut self, page: Value, stores: bool) -> Value {
        let table = self
            .b
            .ins()
            .load(types::I64, trusted(), self.context, offset::PAGE_FLAGS);
        let at = self.b.ins().iadd(table, page);
        let plain = MemFlagsData::new().with_notrap();
        let flags = self.b.ins().load(types::I64, plain, at, 0);
        let wanted = match stores {
            true => PageFlags::STEADY | PageFlags::R | PageFlags::W,
            false => PageFlags::STEADY | PageFlags::R,
        };
        let wanted = i64::from_le_bytes([wanted; PAGES as usize]);
        let wanted = self.b.ins().iconst(types::I64, wanted);
        self.b.ins().band_not(wanted, flags)
    }

    /// At the end of a free round: begins the next, or goes to look at the pages again.
    pub(super) fn tick(&mut self, free: NodeId, strip: NodeId) {
        let rounds = self.b.use_var(self.rounds);
        let rounds = self.b.ins().iadd_imm_s(rounds, -1);
        self.b.def_var(self.rounds, rounds);
        let over = self.b.create_block();
        self.b.set_cold_block(over);
        let met = self.is_met(free);
        let on = match met {
            true => self.blocks[free],
            false => self.b.create_block(),
        };
        // The second is laid out next.
        let none = self.b.ins().icmp_imm_u(IntCC::Equal, rounds, 0);
        self.b.ins().brif(none, over, &[], on, &[]);
        self.b.seal_block(over);
        self.aside(over, |t| {
            let pc = t.graph.nodes[strip].start;
            if !t.settings.counting {
                t.check(0, pc);
            }
            t.meet(strip);
            t.b.ins().jump(t.blocks[strip], &[]);
        });
        if !met {
            self.b.seal_block(on);
            self.b.switch_to_block(on);
            self.meet(free);
            self.b.ins().jump(self.blocks[free], &[]);
        }
    }
}
