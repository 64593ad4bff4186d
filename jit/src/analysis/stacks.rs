//! Where the stack pointer has to be compared with the bounds of the stack, see `stacks.rs`.
//!
//! Regions find it in bounds where they are entered, with some room on both sides. It is compared before
//! an access that may be beyond that: a function's first one after it has made its frame, where calls may
//! be nested in the region as deep as they like; and before another region is entered with less room, as
//! when a function that has made a frame calls another. Frames go up and down by constants, so that what
//! was known at the call is known behind it.

use crate::analysis::facts::address;
use crate::analysis::streams::width;
use crate::graph::{Graph, Step};
use crate::stacks::{ROOM_ABOVE, ROOM_BELOW};
use frontend::{Insn, X};

/// Whether an instruction accesses memory through the stack pointer, and nothing else.
pub fn is_on_stack(insn: Insn) -> bool {
    let plain = width(insn.op()).is_some();
    plain && address(insn).is_some_and(|(base, _)| base == X::SP)
}

/// How much room is known to be below and above the stack pointer: bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    below: i64,
    above: i64,
}

/// Less than any access has.
const NONE: i64 = i64::MIN / 2;
/// With less room the stack pointer could have passed the end of all addresses, so that nothing is known of
/// the other side either: no mapping begins so low.
const LEAST: i64 = ROOM_BELOW - memory::MIN_ADDRESS as i64;

impl Room {
    /// Nothing is known.
    pub const UNKNOWN: Room = Room {
        below: NONE,
        above: NONE,
    };
    /// What a comparison with both bounds leaves, and what holds where a region is entered.
    pub const PROMISED: Room = Room {
        below: ROOM_BELOW,
        above: ROOM_ABOVE,
    };

    fn least(self, other: Room) -> Room {
        Room {
            below: self.below.min(other.below),
            above: self.above.min(other.above),
        }
    }

    /// After the stack pointer has moved up by so many bytes.
    fn moved(self, by: i64) -> Room {
        let (below, above) = (self.below + by, self.above - by);
        match below < LEAST || above < LEAST {
            true => Room::UNKNOWN,
            false => Room { below, above },
        }
    }

    /// What is known where less and less is from one round to the next: that there is some room, if there
    /// is, so that a comparison behind it suffices; else nothing.
    fn widened(self, before: Room) -> Room {
        let side = |now: i64, before: i64| if now < before { 0 } else { now };
        let some = Room {
            below: side(self.below, before.below),
            above: side(self.above, before.above),
        };
        match some.below > self.below || some.above > self.above {
            true => Room::UNKNOWN,
            false => some,
        }
    }

    /// Which bounds have to be compared before another region may be entered: the lower, the upper one.
    pub fn lacks_promised(self) -> (bool, bool) {
        (self.below < ROOM_BELOW, self.above < ROOM_ABOVE)
    }

    /// Which bounds a step has to have compared before it: the lower, the upper one. Then follows it.
    /// `free`: the step is part of a loop's free copy, where something else is known.
    pub fn step(&mut self, step: &Step, free: bool) -> (bool, bool) {
        let mut compare = (false, false);
        if !free
            && is_on_stack(step.insn)
            && let Some((_, imm)) = address(step.insn)
        {
            const WIDEST: i64 = 8;
            compare = (
                self.below < -i64::from(imm),
                self.above < i64::from(imm) + WIDEST,
            );
            if compare.0 {
                self.below = ROOM_BELOW;
            }
            if compare.1 {
                self.above = ROOM_ABOVE;
            }
        }
        if step.defs() >> X::SP.index() & 1 == 1 {
            let after = match step.insn {
                Insn::Addi(o) if o.rs1 == X::SP => self.moved(o.imm.into()),
                _ => Room::UNKNOWN,
            };
            *self = match step.skipped_by {
                None => after,
                Some(_) => after.least(*self),
            };
        }
        compare
    }
}

/// Rounds after which what is known does not become a little less any more, see [`Room::widened`].
const ROUNDS: usize = 3;

/// What is known at the start of each node.
pub fn analyze(graph: &Graph) -> Vec<Room> {
    let mut start: Vec<Option<Room>> = vec![None; graph.nodes.len()];
    let mut end = start.clone();
    for round in 0.. {
        let mut changed = false;
        for &id in &graph.order {
            let node = &graph.nodes[id];
            let outside = node.entry.then_some(Room::PROMISED);
            let incoming = node.preds.iter().filter_map(|&pred| end[pred]);
            let Some(mut room) = incoming.chain(outside).reduce(Room::least) else {
                // Nothing is known yet.
                continue;
            };
            if let Some(before) = start[id] {
                // What a comparison gives may be more than there was before: it never rises.
                room = room.least(before);
                if round >= ROUNDS {
                    room = room.widened(before);
                }
            }
            let mut after = room;
            for step in &node.steps {
                after.step(step, node.free);
            }
            changed |= start[id] != Some(room) || end[id] != Some(after);
            (start[id], end[id]) = (Some(room), Some(after));
        }
        if !changed {
            break;
        }
    }
    let known = |room: Option<Room>| room.unwrap_or(Room::UNKNOWN);
    start.into_iter().map(known).collect()
}
