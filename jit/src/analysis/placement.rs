//! Whether Cranelift will do operations exactly where they were put. It may do an operation that
//! has no side effect before a loop instead of in it, or at compile time, which nobody would
//! notice but for the flags that floating point raises.
//!
//! An operation stays in a loop if one of its operands comes from an instruction or a block
//! parameter in that loop that cannot be moved itself. Loads are such instructions: sequence points
//! behind stores of floating-point numbers and at the end of loops keep Cranelift from knowing what
//! they load.
//!
//! Where the guest looks at its flags is a barrier, at the end of a block. An operation stays behind
//! it if one of its operands comes from behind it, whichever way leads there; it is then not taken
//! for the same as an equal one before, either.
//!
//! This is a check of what was emitted, so that nothing depends on how the translator made it.

use cranelift_codegen::dominator_tree::DominatorTree;
use cranelift_codegen::flowgraph::ControlFlowGraph;
use cranelift_codegen::ir::{Block, Function, Inst, InstructionData, Opcode, Value, ValueDef};
use cranelift_codegen::loop_analysis::LoopAnalysis;
use std::collections::{HashMap, HashSet};

/// What a block parameter is, whichever way its block is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Param {
    /// Always this value, which Cranelift will put in its place.
    One(Value),
    /// Different values.
    Many,
}

struct Placement<'a> {
    func: &'a Function,
    domtree: DominatorTree,
    params: HashMap<Value, Param>,
    homes: HashMap<Value, Option<Block>>,
}

/// The addresses noted beside those of the instructions that may be done elsewhere: at compile time,
/// before a loop that they are in, or before one of the blocks `barriers` has ended.
pub fn misplaced(func: &Function, instructions: &[(Inst, u64)], barriers: &[Block]) -> Vec<u64> {
    if instructions.is_empty() {
        return Vec::new();
    }
    let cfg = ControlFlowGraph::with_function(func);
    let domtree = DominatorTree::with_function(func, &cfg);
    let mut loops = LoopAnalysis::new();
    loops.compute(func, &cfg, &domtree);
    let mut placement = Placement {
        func,
        domtree,
        params: HashMap::new(),
        homes: HashMap::new(),
    };
    placement.find_params();
    let mut misplaced = Vec::new();
    for &(inst, pc) in instructions {
        let Some(block) = func.layout.inst_block(inst) else {
            continue;
        };
        if !placement.domtree.is_reachable(block) {
            continue;
        }
        let home = placement.home_of_operands(inst);
        let stays = match (home, loops.innermost_loop(block)) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(home), Some(innermost)) => loops.is_in_loop(home, innermost),
        };
        let crosses = |home| lies_between(&cfg, barriers, home, block);
        if !stays || !barriers.is_empty() && home.is_some_and(crosses) {
            misplaced.push(pc);
        }
    }
    misplaced
}

/// Whether a way from `home`, which dominates `block`, to `block` leads through the end of one of
/// `barriers`.
fn lies_between(cfg: &ControlFlowGraph, barriers: &[Block], home: Block, block: Block) -> bool {
    let mut seen = HashSet::new();
    let mut left = vec![block];
    while let Some(block) = left.pop() {
        if block == home || !seen.insert(block) {
            continue;
        }
        for pred in cfg.pred_iter(block) {
            if barriers.contains(&pred.block) {
                return true;
            }
            left.push(pred.block);
        }
    }
    false
}

impl Placement<'_> {
    /// Finds the parameters that are always the same value.
    fn find_params(&mut self) {
        let func = self.func;
        let mut edges: Vec<(Value, Value)> = Vec::new();
        let entry = func.layout.entry_block();
        for &param in entry.iter().flat_map(|&entry| func.dfg.block_params(entry)) {
            self.params.insert(param, Param::Many);
        }
        for block in func.layout.blocks() {
            let (true, Some(last)) = (
                self.domtree.is_reachable(block),
                func.layout.last_inst(block),
            ) else {
                continue;
            };
            let destinations = func.dfg.insts[last]
                .branch_destination(&func.dfg.jump_tables, &func.dfg.exception_tables);
            for call in destinations {
                let params = func.dfg.block_params(call.block(&func.dfg.value_lists));
                for (&param, argument) in params.iter().zip(call.args(&func.dfg.value_lists)) {
                    if let Some(argument) = argument.as_value() {
                        edges.push((param, argument));
                    }
                }
            }
        }
        loop {
            let mut found: HashMap<Value, Param> = HashMap::new();
            for &(param, argument) in &edges {
                let Some(value) = self.value(argument) else {
                    continue;
                };
                if value == param {
                    continue;
                }
                let same = Param::One(value);
                let known = found.entry(param).or_insert(same);
                if *known != same {
                    *known = Param::Many;
                }
            }
            let mut changed = false;
            for (param, now) in found {
                // Once it is many it stays so: values only become more.
                if self
                    .params
                    .get(&param)
                    .is_none_or(|&old| old != now && old != Param::Many)
                {
                    self.params.insert(param, now);
                    changed = true;
                }
            }
            if !changed {
                return;
            }
        }
    }

    /// The value that stands for this one; none if it is a parameter of which nothing is known yet.
    fn value(&self, value: Value) -> Option<Value> {
        let mut value = self.func.dfg.resolve_aliases(value);
        // Parameters may stand for each other in a row, but not in a ring.
        for _ in 0..=self.params.len() {
            match (self.func.dfg.value_def(value), self.params.get(&value)) {
                (ValueDef::Param(..), None) => return None,
                (ValueDef::Param(..), Some(&Param::One(next))) => {
                    value = self.func.dfg.resolve_aliases(next);
                }
                _ => return Some(value),
            }
        }
        None
    }

    /// The block that a value cannot be computed before; none if at compile time.
    fn home(&mut self, value: Value) -> Option<Block> {
        let value = self.value(value)?;
        if let Some(&home) = self.homes.get(&value) {
            return home;
        }
        let home = match self.func.dfg.value_def(value) {
            ValueDef::Param(block, _) => Some(block),
            ValueDef::Result(inst, _) if self.is_movable(inst) => self.home_of_operands(inst),
            ValueDef::Result(inst, _) => self.func.layout.inst_block(inst),
            ValueDef::Union(..) => None,
        };
        self.homes.insert(value, home);
        home
    }

    /// The block that a movable instruction cannot be moved before. Only what no simplification
    /// makes independent of an operand counts: integer arithmetic may turn out to be a constant.
    fn home_of_operands(&mut self, inst: Inst) -> Option<Block> {
        let func = self.func;
        let operands = func.dfg.inst_args(inst);
        match func.dfg.insts[inst].opcode() {
            // All operands count.
            Opcode::Fadd
            | Opcode::Fsub
            | Opcode::Fmul
            | Opcode::Fdiv
            | Opcode::Sqrt
            | Opcode::Fma
            | Opcode::Fcmp
            | Opcode::Fneg
            | Opcode::Fabs
            | Opcode::Fpromote
            | Opcode::Fdemote
            | Opcode::Nearest
            | Opcode::Floor
            | Opcode::Ceil
            | Opcode::FcvtFromSint
            | Opcode::FcvtFromUint
            | Opcode::Bitcast
            | Opcode::ScalarToVector
            | Opcode::Extractlane => self.last_home(operands),
            // The sign may turn out to be known.
            Opcode::Fcopysign => self.home(operands[0]),
            // The result may turn out to be either of two values.
            Opcode::Select => self.first_home(&operands[1..]),
            Opcode::Insertlane => self.first_home(operands),
            _ => None,
        }
    }

    /// The last of the homes.
    fn last_home(&mut self, values: &[Value]) -> Option<Block> {
        let homes = values.iter().filter_map(|&value| self.home(value));
        let homes: Vec<Block> = homes.collect();
        let later = |a, b| {
            if self.domtree.block_dominates(b, a) {
                a
            } else {
                b
            }
        };
        homes.into_iter().reduce(later)
    }

    /// The first of the homes; none if a value has none.
    fn first_home(&mut self, values: &[Value]) -> Option<Block> {
        let homes = values.iter().map(|&value| self.home(value));
        let homes: Vec<Block> = homes.collect::<Option<_>>()?;
        let earlier = |a, b| {
            if self.domtree.block_dominates(b, a) {
                b
            } else {
                a
            }
        };
        homes.into_iter().reduce(earlier)
    }

    /// Whether Cranelift takes it for a mere computation.
    fn is_movable(&self, inst: Inst) -> bool {
        let dfg = &self.func.dfg;
        let data = &dfg.insts[inst];
        let opcode = data.opcode();
        if let InstructionData::Load { flags, .. } = *data {
            return dfg.mem_flags[flags].readonly();
        }
        // One with several results stays where it is.
        dfg.inst_results(inst).len() == 1
            && !(opcode.can_load()
                || opcode.can_store()
                || opcode.can_trap()
                || opcode.is_call()
                || opcode.other_side_effects())
    }
}
