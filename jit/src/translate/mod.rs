//! Graph → Cranelift IR. One Cranelift function per region; guest registers are its variables.
//!
//! The function's parameters are the [`Context`](crate::context::Context), which entry is meant,
//! and the guest's sp and a0. It ends by a tail call into the next region, or returns an [exit code](crate::context::code) to `JitHart::run`. At both the state
//! in memory is complete.

mod a;
mod exits;
mod float;
mod flow;
mod hub;
mod instructions;
mod m;
mod memory;
mod registers;
mod rv64i;
mod sticky;
mod strip;
mod system;
mod zb;
mod zicsr;

use crate::analysis::polls::{self, Polls};
use crate::analysis::recipes::Instructions;
use crate::analysis::stacks::{self, Room};
use crate::analysis::windows::{self, Origin, Window};
use crate::analysis::{distance, facts, registers as liveness, window};
use crate::graph::{End, Graph, Node, NodeId, Step, Target};
use crate::helpers::Helper;
use cranelift_codegen::ir::{self, InstBuilder, Value, types};
use cranelift_frontend::{FunctionBuilder, Variable};
use frontend::{Op, X};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

pub use exits::signature;
pub use memory::TRAP_CODES;

/// What holds for all regions of a compiler.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Count instructions and check the limit, instead of the poll flag.
    pub counting: bool,
    /// The code is a whole machine's, see `system.rs`.
    pub system: bool,
    /// Whether guest addresses are the host's own.
    pub own_addresses: bool,
    /// Whether checkpoints may leave out what can be computed again.
    pub recipes: bool,
    /// Whether accesses through the stack pointer are known not to fault, see `analysis/stacks.rs`.
    pub stacks: bool,
    /// The instruction to translate wrongly.
    pub sabotage: Option<Op>,
    /// Whether the flags that the host's arithmetic raises are the guest's, see `sticky.rs`.
    pub host_flags: bool,
    /// Whether the host multiplies and adds in one instruction with one rounding.
    pub fma: bool,
}

/// A guest instruction that host code was made from. Source locations in the host code are indices
/// of sites.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Site {
    /// Where it is.
    pub pc: u64,
    /// Where a fault of it rolls back to.
    pub checkpoint: Checkpoint,
}

/// Where the state in memory was complete last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The next instruction there.
    pub pc: u64,
    /// Counting: instructions retired there that `Context::left` does not know of.
    pub retired: u32,
    /// The number of its recipe, see `analysis/recipes.rs`; the first one is empty.
    pub recipe: u32,
}

impl Checkpoint {
    /// Of what cannot fault unless somebody shortens a program's file while it runs: the guest finds
    /// itself at an address where no code can be.
    pub const NOWHERE: Checkpoint = Checkpoint::complete(!1);

    /// One where the state in memory is complete but for the pc.
    pub const fn complete(pc: u64) -> Checkpoint {
        Checkpoint {
            pc,
            retired: 0,
            recipe: 0,
        }
    }
}

/// What the translator needs from whoever keeps the code.
pub trait Linker {
    /// A new slot for jumps to `pc`: there lies the address of a
    /// [`Descriptor`](crate::code::Descriptor).
    fn slot(&mut self, pc: u64, func: &mut ir::Function) -> ir::GlobalValue;
    /// The function that is being translated.
    fn own(&mut self, func: &mut ir::Function) -> ir::FuncRef;
    /// The function that calls a helper, and preserves all registers.
    fn thunk(&mut self, helper: Helper, func: &mut ir::Function) -> ir::FuncRef;
    /// Whole machines: the function that goes on at an address, see `fixed.rs`.
    fn dispatch(&mut self, func: &mut ir::Function) -> ir::FuncRef;
    /// Whole machines: where the addresses of the entries lie.
    fn entries(&mut self, func: &mut ir::Function) -> ir::GlobalValue;
}

/// What is known at the point of translation.
#[derive(Clone)]
struct Now {
    registers: liveness::State,
    facts: facts::Facts,
    room: Room,
    window: Window,
    checkpoint: Checkpoint,
    /// Counting: instructions before this one that `left` does not know of yet.
    retired: u64,
    /// Counting: whether the context has what `left` is now.
    counted: bool,
    /// The instruction being translated.
    pc: u64,
    /// Results of host arithmetic that may be NaNs other than the canonical one.
    unchecked: sticky::Unchecked,
    /// The node.
    node: NodeId,
}

/// How a floating-point register is kept in this region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    /// Only doubles: an F64.
    Double,
    /// Only singles, boxed: an F32.
    Single,
    /// Both: an F32X4, whose low half is the register.
    Mixed,
}

pub(crate) struct Translator<'a, 'f> {
    b: FunctionBuilder<'f>,
    settings: &'a Settings,
    linker: &'a mut dyn Linker,
    graph: &'a Graph,
    states: Vec<liveness::State>,
    windows: Vec<Window>,
    checkpoints: HashMap<Origin, Checkpoint>,
    facts: Vec<facts::Facts>,
    /// What is known of the stack at the start of each node.
    rooms: Vec<Room>,
    checks: distance::Checks,
    polls: Polls,
    blocks: Vec<ir::Block>,
    classes: [Class; 32],
    variables: [Option<Variable>; 64],
    left: Variable,
    /// Where a computed jump leads that has come to the hub.
    target: Variable,
    /// How many rounds of a loop's free copy are left.
    rounds: Variable,
    context: Value,
    region: ir::SigRef,
    sites: Vec<Site>,
    /// What has to be computed again at checkpoints; the first is empty.
    recipes: Vec<Instructions>,
    /// Loads that no instruction asked for yet: removed again if nothing does.
    hoisted: Vec<Value>,
    now: Now,
    /// The condition under which the current step is skipped.
    skip: Option<Value>,
    /// What registers are unless the current steps are skipped.
    skipping: Vec<(X, Value)>,
    /// Host instructions that may raise flags, and whose they are.
    raising: Vec<(ir::Inst, u64)>,
    /// Blocks that end by taking the flags out of the host's register.
    barriers: Vec<ir::Block>,
    /// What all ways back to `JitHart::run` have in common: stores the pc, and returns a code.
    way_out: Option<ir::Block>,
    /// What rare ways to other regions have in common.
    way_on: Option<ir::Block>,
    /// Guest instructions whose operands are made opaque, because Cranelift would move them.
    pinned: &'a HashSet<u64>,
    /// Whether what is being emitted happens rarely: blocks are laid out away from the others.
    cold: bool,
    error: Option<String>,
}

/// A region in Cranelift's terms, beside the function.
pub struct Translation {
    /// What source locations stand for.
    pub sites: Vec<Site>,
    /// What checkpoints have to have computed again.
    pub recipes: Vec<Instructions>,
    /// Host instructions that raise the guest's floating-point flags, and the addresses of the
    /// guest's.
    pub raising: Vec<(ir::Inst, u64)>,
    /// Blocks at whose end the flags raised so far are looked at: what raises flags may not be moved
    /// across.
    pub barriers: Vec<ir::Block>,
}

/// Translates a region into `func`, whose signature is [`signature`]'s; or why it failed.
/// Operands of the floating-point instructions at the addresses in `pinned` are made opaque.
pub fn translate(
    func: &mut ir::Function,
    builder: &mut cranelift_frontend::FunctionBuilderContext,
    graph: &Graph,
    settings: &Settings,
    pinned: &HashSet<u64>,
    linker: &mut dyn Linker,
    frontend_config: cranelift_codegen::isa::TargetFrontendConfig,
) -> Result<Translation, String> {
    let call_conv = func.signature.call_conv;
    let mut b = FunctionBuilder::new(func, builder);
    let left = b.declare_var(types::I64);
    let target = b.declare_var(types::I64);
    let rounds = b.declare_var(types::I64);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    b.seal_block(entry);
    let context = b.block_params(entry)[0];
    let region = b.import_signature(signature(call_conv));
    let blocks = graph.nodes.iter().map(|_| b.create_block()).collect();
    let windows = windows::analyze(graph);
    let nowhere = Checkpoint::complete(0);
    let mut translator = Translator {
        b,
        settings,
        linker,
        graph,
        states: liveness::analyze(graph, &windows, !settings.host_flags, settings.recipes),
        facts: match settings.system {
            true => vec![facts::Facts::nothing(); graph.nodes.len()],
            false => window::analyze(graph),
        },
        rooms: match settings.stacks {
            true => stacks::analyze(graph),
            false => vec![Room::UNKNOWN; graph.nodes.len()],
        },
        checks: distance::analyze(graph),
        polls: match settings.counting {
            true => Polls::at_ends(graph),
            false => polls::analyze(graph, &windows),
        },
        blocks,
        classes: registers::classes(graph),
        variables: [None; 64],
        left,
        target,
        rounds,
        context,
        region,
        sites: Vec::new(),
        recipes: vec![Instructions::new()],
        hoisted: Vec::new(),
        now: Now {
            registers: liveness::State::default(),
            facts: facts::Facts::outside(),
            room: Room::UNKNOWN,
            window: Window(None),
            checkpoint: nowhere,
            retired: 0,
            counted: false,
            pc: 0,
            unchecked: sticky::Unchecked::default(),
            node: 0,
        },
        windows,
        checkpoints: HashMap::new(),
        skip: None,
        skipping: Vec::new(),
        raising: Vec::new(),
        barriers: Vec::new(),
        way_out: None,
        way_on: None,
        pinned,
        cold: false,
        error: None,
    };
    translator.enter(entry);
    translator.nodes();
    translator.drop_unused_loads();
    let Translator {
        b,
        sites,
        recipes,
        raising,
        barriers,
        error,
        ..
    } = translator;
    b.finalize(frontend_config);
    match error {
        Some(reason) => Err(reason),
        None => Ok(Translation {
            sites,
            recipes,
            raising,
            barriers,
        }),
    }
}

impl Translator<'_, '_> {
    fn nodes(&mut self) {
        let graph = self.graph;
        let mut position = vec![usize::MAX; graph.nodes.len()];
        for (at, &id) in graph.order.iter().enumerate() {
            position[id] = at;
        }
        for (at, &id) in graph.order.iter().enumerate() {
            self.b.switch_to_block(self.blocks[id]);
            let looped = graph.nodes[id]
                .preds
                .iter()
                .any(|&pred| position[pred] >= at);
            if !looped {
                self.b.seal_block(self.blocks[id]);
            }
            self.node(id);
        }
        self.shared_exits();
        // A node that nothing reaches is in no order; its block is empty and never inserted.
        self.b.seal_all_blocks();
    }

    fn node(&mut self, id: NodeId) {
        let graph = self.graph;
        let node = &graph.nodes[id];
        let window = self.windows[id];
        if window.0 == Some(Origin::start(id)) {
            let here = Checkpoint::complete(node.start);
            self.checkpoints.insert(Origin::start(id), here);
        }
        let known = window
            .0
            .map(|origin| self.checkpoints.get(&origin).copied());
        if known == Some(None) {
            self.error = Some(format!(
                "the node at {:#x} comes before its checkpoint",
                node.start
            ));
        }
        // Without one, the next access makes one.
        let checkpoint = known.flatten();
        let checkpoint = checkpoint.unwrap_or(Checkpoint::complete(node.start));
        self.now = Now {
            registers: self.states[id],
            facts: self.facts[id].clone(),
            room: self.rooms[id],
            window,
            checkpoint,
            retired: 0,
            counted: false,
            pc: node.start,
            unchecked: sticky::Unchecked::default(),
            node: id,
        };
        if node.anchor && window.0.is_none() {
            let recipe = self.flush(node, 0);
            self.now.window = window.at_start(id, node);
            self.now.checkpoint = Checkpoint {
                recipe,
                ..Checkpoint::complete(node.start)
            };
            self.checkpoints
                .insert(Origin::start(id), self.now.checkpoint);
        }
        if let End::Strip(strip) = node.end {
            self.begin_strip(node.start);
            return self.strip(id, &graph.strips[strip]);
        }
        let mut conditions: Vec<Option<Value>> = vec![None; node.steps.len()];
        for (index, step) in node.steps.iter().enumerate() {
            self.begin(
                Origin {
                    node: id,
                    step: index,
                },
                step,
            );
            // The code of a load is told from others by its number modulo `memory::TRAP_CODES`,
            // and is in the block where the load is: blocks must not be too long for that.
            if self.sites.len().is_multiple_of(memory::TRAP_CODES) {
                self.break_block();
            }
            let branch = step
                .insn
                .direct_target(step.pc)
                .filter(|_| step.defs() == 0);
            let last = index + 1 == node.steps.len();
            if last && !matches!(node.end, End::Jump(_) | End::Interpret(_)) {
                self.check_results();
            }
            if branch.is_some() && matches!(step.insn.op(), Op::Jal) {
                // A plain jump: the node's end knows where to.
            } else if branch.is_some() {
                if last && let End::Branch { taken, next } = node.end {
                    // The next round of a free copy is laid out next: the second target.
                    let again = matches!(taken, Target::Node(to) if self.next_round(to).is_some());
                    let condition = self.condition(step.insn, again);
                    let (first, second) = if again { (next, taken) } else { (taken, next) };
                    self.check_at_end(id, step.pc);
                    self.retire();
                    return self.branch(condition, first, second);
                }
                let condition = self.condition(step.insn, false);
                let skipped = node.steps[index + 1..]
                    .iter()
                    .take_while(|step| step.skipped_by == Some(index))
                    .count();
                self.count_skip(condition, skipped);
                conditions[index] = Some(condition);
            } else if last && matches!(node.end, End::Indirect | End::Stray(_) | End::Computed(_)) {
                return self.jalr(step, node.end);
            } else if last && node.end == End::System {
                return self.system(step);
            } else {
                self.skip = step.skipped_by.and_then(|branch| conditions[branch]);
                self.instruction(step);
                let next = node.steps.get(index + 1);
                if next.is_none_or(|next| next.skipped_by != step.skipped_by) {
                    self.end_skip();
                }
                self.now.facts.step(step);
                if step.skipped_by.is_some() {
                    continue;
                }
            }
            self.retire();
        }
        self.check_results();
        match node.end {
            End::Hub { stray } => self.hub(id, stray),
            End::Jump(target) => {
                match target {
                    Target::Node(next) => self.check_at_end(id, graph.nodes[next].start),
                    Target::Outside(callee) if calls(node) => self.called(callee),
                    Target::Outside(_) => {}
                }
                self.jump(target);
            }
            End::Interpret(pc) => self.leave(crate::context::code::INTERPRET, pc),
            // The last step was one that ends the node so.
            End::Branch { .. }
            | End::Indirect
            | End::Stray(_)
            | End::Computed(_)
            | End::Strip(_)
            | End::System => {
                self.error = Some(format!("the node at {:#x} has no last step", node.start));
                self.leave(crate::context::code::INTERPRET, node.start);
            }
        }
    }

    /// Notes the step that what is emitted from here on belongs to, and makes a checkpoint before
    /// it if it needs one.
    fn begin(&mut self, at: Origin, step: &Step) {
        self.now.pc = step.pc;
        self.set_location();
        let node = &self.graph.nodes[at.node];
        let fresh = self.now.window.step(at, node);
        if fresh {
            let recipe = self.flush(node, at.step);
            self.now.checkpoint = Checkpoint {
                pc: step.pc,
                retired: self.now.retired as u32,
                recipe,
            };
            self.checkpoints.insert(at, self.now.checkpoint);
        }
        let certain = node.free || step.on_stack;
        self.sites.push(Site {
            pc: step.pc,
            checkpoint: match certain {
                true => Checkpoint::NOWHERE,
                false => self.now.checkpoint,
            },
        });
        let compare = self.now.room.step(step, node.free);
        if step.on_stack {
            self.compare_stack(compare, step.pc);
            // In bounds, give or take some room, it is in the window. Atomics are checked as others are.
            self.now.facts.set(X::SP, facts::Fact::Window(0));
        }
        if fresh && self.polls.is_at(at) {
            self.poll_or_roll_back();
        }
    }

    /// What is emitted from here on belongs to the next site.
    fn set_location(&mut self) {
        self.b
            .set_srcloc(ir::SourceLoc::new(self.sites.len() as u32));
    }

    /// Notes that what is emitted from here on belongs to no step, but comes before one.
    fn begin_strip(&mut self, pc: u64) {
        self.set_location();
        self.sites.push(Site {
            pc,
            checkpoint: Checkpoint::NOWHERE,
        });
    }

    /// The step will retire.
    fn retire(&mut self) {
        self.now.retired += 1;
    }

    /// After a branch that skips `skipped` instructions if taken: `left` is told at once, because
    /// how many retire depends on the condition.
    fn count_skip(&mut self, condition: Value, skipped: usize) {
        if !self.settings.counting || skipped == 0 {
            return;
        }
        let left = self.b.use_var(self.left);
        let fewer = self.b.ins().iadd_imm_s(left, -(skipped as i64));
        let after = self.b.ins().select(condition, left, fewer);
        self.b.def_var(self.left, after);
        self.now.counted = false;
    }

    fn break_block(&mut self) {
        let next = self.b.create_block();
        self.b.ins().jump(next, &[]);
        self.b.switch_to_block(next);
        self.b.seal_block(next);
    }

    /// Whether the tests asked for this instruction to be wrong.
    fn sabotaged(&self, op: Op) -> bool {
        self.settings.sabotage == Some(op)
    }
}

/// The immediate as Cranelift takes it.
fn imm(value: i32) -> i64 {
    i64::from(value)
}

/// Whether a node ends with a call.
fn calls(node: &Node) -> bool {
    let last = node.steps.last();
    last.is_some_and(|step| step.insn.op() == Op::Jal && step.defs() != 0)
}
