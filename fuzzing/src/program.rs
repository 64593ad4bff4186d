//! Random programs as lists of items, which can be taken out one by one and still assemble.
//!
//! A program always ends: jumps go forward, except those of loops, whose counters only count down,
//! and returns. Registers with a purpose are left alone by everything else.

use frontend::compressed::Compressed;
use frontend::*;
use hart::HartState;

/// Where the code lies.
pub const CODE: u64 = 0x1_0000;
/// Where the data lies; nothing is mapped behind it.
pub const DATA: u64 = 0x4_0000;
/// How much data there is.
pub const DATA_LENGTH: u64 = 0x4000;

/// Registers that hold addresses of data, and where: two of the eight that compressed instructions
/// reach, the stack pointer, and one next to a page boundary.
pub const BASES: [(X, u64); 4] = [
    (X::SP, DATA + 0x2000),
    (X::X8, DATA + 0x800),
    (X::X9, DATA + 0x2a00),
    (X::X4, DATA + 0xffc),
];
/// Holds an address that the program computes.
pub const POINTER: X = X::X27;
/// Holds nothing for longer than an item.
pub const SCRATCH: X = X::X31;
/// Likewise. Holds addresses of code, so that no store goes by it.
pub(crate) const PLACE: X = X::X26;
/// Loop counters, by depth.
pub const COUNTERS: [X; 3] = [X::X28, X::X29, X::X30];
/// Return addresses, by depth of calls.
pub const LINKS: [X; 2] = [X::RA, X::X5];
/// What instructions may write; `x0` too. In some programs the global pointer as well, about which
/// the compiler makes assumptions.
pub const FREE: [X; 19] = [
    X::X0,
    X::X6,
    X::X7,
    X::X10,
    X::X11,
    X::X12,
    X::X13,
    X::X14,
    X::X15,
    X::X16,
    X::X17,
    X::X18,
    X::X19,
    X::X20,
    X::X21,
    X::X22,
    X::X23,
    X::X24,
    X::X25,
];

/// Names an item of a program, also after items before it have been taken out. Where the item
/// itself has been, it means the one behind it.
pub type Label = u32;

/// A part of a program.
#[derive(Clone, PartialEq, Debug)]
pub enum Item {
    /// An instruction that goes on to the next.
    Plain(Insn),
    /// The same, compressed.
    Short(Compressed),
    /// Bits that may be no instruction.
    Raw {
        /// The instruction's bits.
        bits: u32,
        /// Whether only the low 16 of them are there.
        short: bool,
    },
    /// A conditional branch; its displacement is filled in.
    Branch {
        /// The branch.
        insn: Insn,
        /// Where it goes.
        to: Label,
    },
    /// A jump forward.
    Jump {
        /// Where it goes.
        to: Label,
        /// Compressed, if near enough.
        short: bool,
    },
    /// A computed jump to one of four places.
    Switch {
        /// Its low two bits choose.
        on: X,
        /// Where it goes.
        to: [Label; 4],
    },
    /// Sets a loop's counter.
    Count {
        /// The counter.
        counter: X,
        /// How often the loop is run.
        times: i32,
    },
    /// The end of a loop.
    Loop {
        /// The counter.
        counter: X,
        /// The loop's first item.
        to: Label,
    },
    /// A call of a function.
    Call {
        /// The function's first item.
        to: Label,
        /// Register for the return address.
        link: X,
        /// By a register that holds the function's address.
        indirect: bool,
    },
    /// The end of a function.
    Return {
        /// Register with the return address.
        link: X,
        /// Compressed.
        short: bool,
    },
    /// Writes another instruction over a [`Item::Plain`], and a fence.i.
    Patch {
        /// The item.
        at: Label,
        /// Its new instruction.
        insn: Insn,
    },
    /// The end of the program.
    End,
}

/// A program with everything that it starts from.
#[derive(Clone, PartialEq, Debug)]
pub struct Program {
    /// The items with their names, which ascend.
    pub items: Vec<(Label, Item)>,
    /// The registers at the start; pc is [`CODE`].
    pub start: HartState,
    /// What the data holds at the start.
    pub data: Vec<u8>,
}

impl Program {
    /// The program as text: state that is not zero, disassembly, and data that is not zero.
    pub fn listing(&self) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        let start = &self.start;
        let registers = start
            .x
            .iter()
            .enumerate()
            .map(|(n, value)| (format!("x{n}"), *value));
        let registers = registers
            .chain(
                start
                    .f
                    .iter()
                    .enumerate()
                    .map(|(n, value)| (format!("f{n}"), *value)),
            )
            .chain([
                ("fflags".into(), start.fflags.into()),
                ("frm".into(), start.frm.into()),
            ]);
        for (name, value) in registers.filter(|(_, value)| *value != 0) {
            let _ = write!(text, "{name}={value:#x} ");
        }
        text.push('\n');
        let code = self.code(CODE, None);
        let mut at = 0;
        while at < code.len() {
            let byte = |n: usize| u32::from(code.get(at + n).copied().unwrap_or(0));
            let bits = byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24;
            let pc = CODE + at as u64;
            let length = usize::from(frontend::decode::length(bits as u16));
            let digits = 2 * length;
            let shown = if length == 2 { bits & 0xffff } else { bits };
            let _ = writeln!(
                text,
                "{pc:8x}: {shown:0digits$x}{:1$}{2}",
                "",
                10 - digits,
                frontend::disasm::text(bits, pc).replace('\t', " "),
            );
            at += length;
        }
        for (line, bytes) in self.data.chunks(16).enumerate() {
            if bytes.iter().any(|&byte| byte != 0) {
                let _ = writeln!(text, "{:8x}: {bytes:02x?}", DATA + 16 * line as u64);
            }
        }
        text
    }
}
