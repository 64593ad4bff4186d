//! `bhv diff boot`: a machine on compiled code and the same on the interpreter, side by side by the
//! count of instructions, and where they first differ.
//!
//! Nothing has to be saved to go back: an exact machine is built again, and interpreted up to the
//! last count at which both were equal. From there on the stretch is cut into shorter ones until it
//! is short enough to be executed instruction by instruction, each compiled alone.

use super::{ClockKind, DiskAccess, End, Machine, MachineOptions, Schedule, TierOptions, Wires};
use crate::lockstep::{Cause, Difference, Outcome};
use crate::{EngineKind, Error};
use frontend::{Insn, decode};
use hart::{HartState, Memory};
use linux::Stop;
use memory::Access;
use std::sync::Arc;

/// A stretch of so many instructions is executed one by one.
const SHORT: u64 = 1000;
/// Parts that a longer one is cut into.
const PARTS: u64 = 16;
/// Instructions executed one by one if cutting did not help.
const MOST_STEPS: u64 = 1 << 20;
/// Instructions that are shown before the one in question.
const WAY: usize = 12;

/// How machines are compared.
pub struct Comparison {
    /// The machine. Its engine is not asked, and its disks and shares are not written to.
    pub machine: MachineOptions,
    /// Instructions between two comparisons.
    pub every: u64,
    /// The count at which it is enough.
    pub stop_at: u64,
}

/// What was found.
pub enum Found {
    /// No difference in so many instructions.
    Nothing(u64),
    /// An instruction that the engines execute differently.
    Instruction(Box<Difference>, Vec<String>),
    /// A difference after some of these instructions, which does not show when each is compiled alone.
    Stretch {
        /// Both were equal at this count.
        from: u64,
        /// Not any more at this one.
        to: u64,
        /// Where the hart was whose turn it was.
        pc: u64,
        /// What differs, a line each.
        what: Vec<String>,
    },
}

/// Both machines.
struct Pair {
    compiled: Machine,
    interpreted: Machine,
    ends: [End; 2],
}

impl Comparison {
    /// Runs both; `progress` is told the count now and then.
    pub fn run(mut self, mut progress: impl FnMut(u64)) -> Result<Found, Error> {
        if self.machine.clock == ClockKind::Host {
            return Err(Error::usage(
                "machines that follow the host's clock cannot be compared",
                "leave --clock out, or write --clock exact",
            ));
        }
        if self.machine.schedule == Schedule::Threads {
            return Err(Error::usage(
                "machines whose harts run at the same time cannot be compared",
                "leave --schedule out, or write --schedule turns",
            ));
        }
        for disk in &mut self.machine.disks {
            if disk.access == DiskAccess::Write {
                disk.access = DiskAccess::Overlay;
            }
        }
        for share in &mut self.machine.shares {
            share.read_only = true;
        }
        let mut pair = self.pair(0, self.machine.tiers.clone())?;
        let mut at = 0u64;
        loop {
            let to = at.saturating_add(self.every).min(self.stop_at);
            pair.run(to)?;
            if !pair.agrees()? {
                drop(pair);
                return self.narrow(at, to);
            }
            at = pair.interpreted.stats().retired;
            progress(at);
            if pair.ends[1] != End::Limit || at >= self.stop_at {
                return Ok(Found::Nothing(at));
            }
        }
    }

    /// Two machines that have retired `count` instructions on the interpreter.
    fn pair(&self, count: u64, tiers: TierOptions) -> Result<Pair, Error> {
        let machine = || {
            let options = MachineOptions {
                engine: EngineKind::Interp,
                ..self.machine.clone()
            };
            let mut machine = Machine::new(options, Arc::default(), Wires::none())?;
            machine.run(count, || false)?;
            Ok::<_, Error>(machine)
        };
        let (mut compiled, interpreted) = (machine()?, machine()?);
        compiled.set_tiers(Some(tiers))?;
        Ok(Pair {
            compiled,
            interpreted,
            ends: [End::Limit, End::Limit],
        })
    }

    /// Cuts the stretch in which they come to differ.
    fn narrow(&self, mut from: u64, mut to: u64) -> Result<Found, Error> {
        'shorter: while to - from > SHORT {
            // Soon, since not much is left to get hot in.
            let tiers = TierOptions {
                threshold: 2,
                ..self.machine.tiers.clone()
            };
            let mut pair = self.pair(from, tiers)?;
            let part = (to - from).div_ceil(PARTS);
            let mut at = from;
            while at < to {
                let next = (at + part).min(to);
                pair.run(next)?;
                if !pair.agrees()? {
                    (from, to) = (at, next);
                    continue 'shorter;
                }
                at = next;
            }
            break;
        }
        self.step(from, to)
    }

    /// Executes the stretch instruction by instruction.
    fn step(&self, from: u64, to: u64) -> Result<Found, Error> {
        let mut tiers = self.machine.tiers.clone();
        tiers.eager = true;
        tiers.jit.region_size = 1;
        let mut pair = self.pair(from, tiers)?;
        let mut way: Vec<(u64, u32)> = Vec::new();
        for count in from..to.min(from + MOST_STEPS) {
            let before: Vec<HartState> = pair.interpreted.harts.iter().map(|h| *h.state).collect();
            pair.run(count + 1)?;
            let harts = pair.interpreted.harts.iter().zip(&before);
            let ran = harts
                .clone()
                .position(|(h, b)| h.state.instret != b.instret);
            let hart = ran.unwrap_or(pair.interpreted.turn);
            let before = before[hart];
            let word = pair.word(hart, before.pc);
            let memory = pair.stored(hart, word, &before);
            let what = pair.differences();
            if !what.is_empty() || !memory.is_empty() {
                let outcome = |machine: &Machine| Outcome {
                    state: *machine.harts[hart].state,
                    stop: Stop::Limit,
                };
                let difference = Difference {
                    tid: hart as i32,
                    cause: Cause::Instruction {
                        pc: before.pc,
                        word,
                    },
                    before,
                    compiled: outcome(&pair.compiled),
                    interpreted: outcome(&pair.interpreted),
                    memory,
                    way,
                };
                return Ok(Found::Instruction(Box::new(difference), what));
            }
            way.push((before.pc, word));
            if way.len() > WAY {
                way.remove(0);
            }
        }
        self.stretch(from, to)
    }

    /// The stretch as a whole.
    fn stretch(&self, from: u64, to: u64) -> Result<Found, Error> {
        let mut pair = self.pair(from, self.machine.tiers.clone())?;
        let pc = pair.interpreted.harts[pair.interpreted.turn].state.pc;
        pair.run(to)?;
        let mut what = pair.differences();
        if what.is_empty() {
            what.push("memory, a device, or only what was compiled long before".into());
        }
        Ok(Found::Stretch { from, to, pc, what })
    }
}

impl Pair {
    fn run(&mut self, count: u64) -> Result<(), Error> {
        self.ends = [
            self.compiled.run(count, || false)?,
            self.interpreted.run(count, || false)?,
        ];
        Ok(())
    }

    /// Whether both are in the same state, all of it.
    fn agrees(&self) -> Result<bool, Error> {
        let hash = |machine: &Machine| {
            let hash = machine.state_hash();
            hash.map_err(|reason| Error::usage(reason, "compare a smaller machine"))
        };
        Ok(self.differences().is_empty() && hash(&self.compiled)? == hash(&self.interpreted)?)
    }

    /// What differs of ends, time and harts, a line each.
    fn differences(&self) -> Vec<String> {
        let (a, b) = (&self.compiled, &self.interpreted);
        let mut what = Vec::new();
        let mut differ = |name: String, [jit, interp]: [String; 2]| {
            if jit != interp {
                what.push(format!("{name}: jit {jit}, interp {interp}"));
            }
        };
        differ("end".into(), [0, 1].map(|n| format!("{:?}", self.ends[n])));
        differ("time".into(), [a, b].map(|m| m.position.to_string()));
        for (n, (x, y)) in a.harts.iter().zip(&b.harts).enumerate() {
            differ(
                format!("hart {n}"),
                [x, y].map(|h| format!("{:?}", h.status)),
            );
            if *x.state != *y.state {
                let counts = [x, y].map(|h| format!("pc {:#x}", h.state.pc));
                differ(format!("hart {n}, registers"), counts.clone());
                if counts[0] == counts[1] {
                    let which = (1..32).find(|r| x.state.x[*r] != y.state.x[*r]);
                    let which = which.map_or("others".into(), |r| format!("x{r}"));
                    differ(format!("hart {n}, registers"), [which, "not so".into()]);
                }
            }
            let p = [x, y].map(|h| format!("{:#x?}", *h.memory.privileged()));
            for (x, y) in p[0].lines().zip(p[1].lines()) {
                let lines = [x, y].map(|line| line.trim().trim_end_matches(',').to_owned());
                differ(format!("hart {n}"), lines);
            }
        }
        what
    }

    /// The bits of the instruction at `pc`; 0 if they can't be read.
    fn word(&self, hart: usize, pc: u64) -> u32 {
        let memory = &self.interpreted.harts[hart].memory;
        let parcel = |va| memory.fetch(va).map_or(0, u32::from);
        let low = parcel(pc);
        match decode::length(low as u16) {
            4 => parcel(pc.wrapping_add(2)) << 16 | low,
            _ => low,
        }
    }

    /// Bytes of memory that differ where an instruction has stored: address, compiled code's, the
    /// interpreter's.
    fn stored(&self, hart: usize, word: u32, before: &HartState) -> Vec<(u64, u8, u8)> {
        let at = decode::decode(word).and_then(|decoded| stored_at(decoded.insn, before));
        let Some(va) = at.map(|va| va & !7) else {
            return Vec::new();
        };
        let bytes = |machine: &Machine| {
            let memory = &machine.harts[hart].memory;
            let host = memory.host_address(va, 8, Access::Load)?;
            Some(machine.ram.load::<u64>(host)?.to_le_bytes())
        };
        let (Some(a), Some(b)) = (bytes(&self.compiled), bytes(&self.interpreted)) else {
            return Vec::new();
        };
        let differ = (va..)
            .zip(a.into_iter().zip(b))
            .filter(|(_, (a, b))| a != b);
        differ.map(|(va, (a, b))| (va, a, b)).collect()
    }
}

/// Where an instruction stores to.
fn stored_at(insn: Insn, state: &HartState) -> Option<u64> {
    let offset = |base: frontend::X, imm: i32| state.x(base).wrapping_add_signed(imm.into());
    Some(match insn {
        Insn::Sb(o) | Insn::Sh(o) | Insn::Sw(o) | Insn::Sd(o) => offset(o.rs1, o.imm),
        Insn::Fsw(o) | Insn::Fsd(o) => offset(o.rs1, o.imm),
        Insn::ScW(o) | Insn::AmoswapW(o) | Insn::AmoaddW(o) | Insn::AmoxorW(o) => state.x(o.rs1),
        Insn::AmoandW(o) | Insn::AmoorW(o) | Insn::AmominW(o) => state.x(o.rs1),
        Insn::AmomaxW(o) | Insn::AmominuW(o) | Insn::AmomaxuW(o) => state.x(o.rs1),
        Insn::ScD(o) | Insn::AmoswapD(o) | Insn::AmoaddD(o) | Insn::AmoxorD(o) => state.x(o.rs1),
        Insn::AmoandD(o) | Insn::AmoorD(o) | Insn::AmominD(o) => state.x(o.rs1),
        Insn::AmomaxD(o) | Insn::AmominuD(o) | Insn::AmomaxuD(o) => state.x(o.rs1),
        Insn::CboZero(o) => state.x(o.rs1),
        _ => return None,
    })
}
