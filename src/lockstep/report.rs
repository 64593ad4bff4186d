//! A difference between the engines, and how it is shown.

use frontend::{F, X};
use hart::HartState;
use linux::Stop;
use std::fmt::Write;

/// Where the two engines part, and how.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The thread.
    pub tid: i32,
    /// How finely it could be placed.
    pub cause: Cause,
    /// The state from which both engines started last.
    pub before: HartState,
    /// What the compiler made of it.
    pub compiled: Outcome,
    /// What the interpreter made of it.
    pub interpreted: Outcome,
    /// Bytes of memory that differ: address, compiled code's, the interpreter's.
    pub memory: Vec<(u64, u8, u8)>,
    /// The instructions before, oldest first: address and bits.
    pub way: Vec<(u64, u32)>,
}

/// Where an engine stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The registers.
    pub state: HartState,
    /// Why.
    pub stop: Stop,
}

/// How finely a difference could be placed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// One instruction, at this address, with these bits.
    Instruction {
        /// Where.
        pc: u64,
        /// The instruction, 16 or 32 bits.
        word: u32,
    },
    /// Single instructions agree; the code compiled for a region from here on does not.
    Region {
        /// Where it was entered.
        pc: u64,
    },
    /// Memory differs, but not since the last stretch of code.
    Earlier,
}

impl Difference {
    /// The report: what differs, both register files side by side, the way there. `name` gives a
    /// symbol for an address.
    pub fn report(&self, name: &dyn Fn(u64) -> Option<String>) -> String {
        self.report_of("thread", name)
    }

    /// The same where it is not a thread that executes.
    pub fn report_of(&self, who: &str, name: &dyn Fn(u64) -> Option<String>) -> String {
        let mut out = String::new();
        self.headline(&mut out, who, name);
        self.show_way(&mut out, name);
        self.show_registers(&mut out);
        for (va, compiled, interpreted) in self.memory.iter().take(16) {
            let _ = writeln!(
                out,
                "  mem[{va:#x}]  jit {compiled:#04x}  interp {interpreted:#04x}"
            );
        }
        if self.memory.len() > 16 {
            let _ = writeln!(
                out,
                "  … and {} more bytes of memory",
                self.memory.len() - 16
            );
        }
        out
    }

    fn headline(&self, out: &mut String, who: &str, name: &dyn Fn(u64) -> Option<String>) {
        let count = self.before.instret;
        let _ = match self.cause {
            Cause::Instruction { pc, word } => writeln!(
                out,
                "the engines differ at {}: {}\n  {who} {}, after {count} instructions",
                place(pc, name),
                frontend::disasm::text(word, pc),
                self.tid
            ),
            Cause::Region { pc } => writeln!(
                out,
                "the engines differ in the region entered at {}\n  {who} {}, after {count} \
                 instructions; each of its instructions alone agrees, so the optimiser or the \
                 region's control flow is to blame",
                place(pc, name),
                self.tid
            ),
            Cause::Earlier => writeln!(
                out,
                "memory differs\n  {who} {}, before {count} instructions; it is compared as a whole only now and \
                 then, so try a smaller --granularity to see where",
                self.tid
            ),
        };
    }

    fn show_way(&self, out: &mut String, name: &dyn Fn(u64) -> Option<String>) {
        if self.way.is_empty() {
            return;
        }
        out.push_str("the way there:\n");
        for &(pc, word) in &self.way {
            let text = frontend::disasm::text(word, pc);
            let _ = writeln!(out, "  {:<40} {text}", place(pc, name));
        }
    }

    fn show_registers(&self, out: &mut String) {
        let _ = writeln!(
            out,
            "{:<9} {:>18} {:>18} {:>18}",
            "", "before", "jit", "interp"
        );
        let mut row = |name: &str, values: [u64; 3], always: bool| {
            let differ = values[1] != values[2];
            if differ || always {
                let mark = if differ { "  <-- differ" } else { "" };
                let [a, b, c] = values;
                let _ = writeln!(out, "{name:<9} {a:#18x} {b:#18x} {c:#18x}{mark}");
            }
        };
        let states = [&self.before, &self.compiled.state, &self.interpreted.state];
        row("pc", states.map(|s| s.pc), true);
        row("instret", states.map(|s| s.instret), true);
        for n in 1..32 {
            row(
                X::new(n).abi_name(),
                states.map(|s| s.x[usize::from(n)]),
                true,
            );
        }
        for n in 0..32 {
            let values = states.map(|s| s.f[usize::from(n)]);
            row(F::new(n).abi_name(), values, values.iter().any(|&v| v != 0));
        }
        row("fflags", states.map(|s| s.fflags.into()), true);
        row("frm", states.map(|s| s.frm.into()), true);
        row("reserved", states.map(|s| s.reservation.address), false);
        row("…value", states.map(|s| s.reservation.value), false);
        row("…width", states.map(|s| s.reservation.width), false);
        let _ = writeln!(out, "stopped   jit: {}", stop(self.compiled.stop));
        let _ = writeln!(out, "          interp: {}", stop(self.interpreted.stop));
    }
}

fn stop(stop: Stop) -> String {
    match stop {
        Stop::Trap(trap) => format!("trap {:?}, tval {:#x}", trap.cause, trap.tval),
        Stop::Limit => "at the count".to_owned(),
        Stop::Kicked => "by a signal".to_owned(),
    }
}

fn place(pc: u64, name: &dyn Fn(u64) -> Option<String>) -> String {
    match name(pc) {
        Some(symbol) => format!("{pc:#x} <{symbol}>"),
        None => format!("{pc:#x}"),
    }
}
