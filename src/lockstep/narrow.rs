//! From a stretch of code that ends differently to the instruction that is to blame.

use super::follower::{Follower, interpreter, stretch};
use super::report::{Cause, Difference, Outcome};
use super::{compare, logged::Store};
use crate::explain::word;
use crate::{Engine, EngineOptions};
use hart::HartState;
use interp::Exit;
use linux::{Cpu, Stop};

/// Instructions shown on the way to a difference.
const WAY: usize = 16;

/// Narrows a difference down. Both memories are as before the stretch.
pub fn narrow(follower: &mut Follower, whole: Difference) -> Difference {
    match by_instruction(follower, &whole) {
        Some(found) => found,
        None => by_region(follower, whole),
    }
}

/// Runs both engines one instruction at a time, each compiled by itself.
fn by_instruction(follower: &mut Follower, whole: &Difference) -> Option<Difference> {
    let mut options = follower.options.clone();
    options.jit.region_size = 1;
    options.jit.background = false;
    options.jit.counting = true;
    options.threshold = 1;
    let mut way = Vec::new();
    let mut all_stores = Vec::new();
    let mut compiled = cpu(follower, options)?;
    let mut interp = interpreter();
    let mut state = whole.before;
    // The interpreter's word counts for where the stretch ends; one more, for the trap there.
    let steps = whole
        .interpreted
        .state
        .instret
        .saturating_sub(state.instret)
        + 1;
    for _ in 0..steps {
        let before = state;
        let word = word(&follower.memories.follower, state.pc);
        *compiled.state_mut() = before;
        if let Some(jit) = compiled.engine().jit() {
            jit.request(before.pc);
        }
        let stop = compiled.run(Some(before.instret + 1));
        let compiled = Outcome {
            state: *compiled.state(),
            stop,
        };
        let stop = match interp.step(&mut state, &follower.logged) {
            Exit::Trap(trap) => Stop::Trap(trap),
            _ => Stop::Limit,
        };
        let interpreted = Outcome { state, stop };
        let stores = follower.logged.take();
        let memory = compare::stores(&follower.memories, &stores);
        all_stores.extend(stores);
        if compiled != interpreted || !memory.is_empty() {
            let cause = Cause::Instruction {
                pc: before.pc,
                word,
            };
            let way = last(&way);
            let tid = whole.tid;
            return Some(Difference {
                tid,
                cause,
                before,
                compiled,
                interpreted,
                memory,
                way,
            });
        }
        way.push((before.pc, word));
        if let Stop::Trap(_) = stop {
            break;
        }
    }
    rewind(follower, &all_stores);
    None
}

/// Bisects on the count: the fewest instructions after which the engines differ, with code
/// compiled as it was.
fn by_region(follower: &mut Follower, whole: Difference) -> Difference {
    let begin = whole.before.instret;
    let (mut same, mut differ) = (begin, whole.compiled.state.instret.max(begin + 1));
    let mut best = whole;
    while differ - same > 1 {
        let middle = same + (differ - same) / 2;
        match until(follower, &best, middle) {
            Some(found) => {
                differ = middle;
                best = found;
            }
            None => same = middle,
        }
    }
    best
}

/// Runs both engines up to a count; the difference if there is one. Rewinds.
fn until(follower: &mut Follower, whole: &Difference, count: u64) -> Option<Difference> {
    let mut options = follower.options.clone();
    options.jit.background = false;
    options.threshold = 1;
    let mut cpu = cpu(follower, options)?;
    // Where the compiled code was last entered before the difference.
    *cpu.state_mut() = whole.before;
    let stop = cpu.run(Some(count));
    let compiled = Outcome {
        state: *cpu.state(),
        stop,
    };
    let mut interp = interpreter();
    let space = follower.memories.follower.clone();
    let interpreted = stretch(
        &mut interp,
        &follower.logged,
        &space,
        whole.before,
        compiled,
    );
    let stores = follower.logged.take();
    let memory = compare::stores(&follower.memories, &stores);
    rewind(follower, &stores);
    let differ = compiled != interpreted || !memory.is_empty();
    differ.then(|| Difference {
        tid: whole.tid,
        cause: Cause::Region {
            pc: entry(follower, &whole.before, count),
        },
        before: whole.before,
        compiled,
        interpreted,
        memory,
        way: way_to(follower, whole.before, count),
    })
}

/// The last address before `count` to which control was transferred: the region that differs was
/// entered there or before.
fn entry(follower: &Follower, before: &HartState, count: u64) -> u64 {
    let mut entry = before.pc;
    let mut expected = before.pc;
    for (pc, word) in trace(follower, *before, count) {
        if pc != expected {
            entry = pc;
        }
        expected = pc.wrapping_add(if word & 3 == 3 { 4 } else { 2 });
    }
    entry
}

/// The last instructions before `count`.
fn way_to(follower: &Follower, before: HartState, count: u64) -> Vec<(u64, u32)> {
    last(&trace(follower, before, count))
}

/// The instructions from `before` to `count`, as the interpreter sees them. Rewinds.
fn trace(follower: &Follower, before: HartState, count: u64) -> Vec<(u64, u32)> {
    let mut interp = interpreter();
    let mut state = before;
    let mut trace = Vec::new();
    while state.instret < count {
        trace.push((state.pc, word(&follower.memories.follower, state.pc)));
        if let Exit::Trap(_) = interp.step(&mut state, &follower.logged) {
            break;
        }
    }
    let stores = follower.logged.take();
    follower.logged.rewind(&stores);
    trace
}

fn rewind(follower: &Follower, stores: &[Store]) {
    follower.logged.rewind(stores);
    compare::make_equal(&follower.memories);
}

/// A hart of a new engine on the leader's memory.
fn cpu(follower: &Follower, options: EngineOptions) -> Option<Box<crate::engine::EngineCpu>> {
    Some(
        Engine::new(follower.memories.leader.clone(), options)
            .ok()?
            .cpu(),
    )
}

fn last(way: &[(u64, u32)]) -> Vec<(u64, u32)> {
    way[way.len().saturating_sub(WAY)..].to_vec()
}
