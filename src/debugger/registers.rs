//! Registers as GDB numbers them (its manual, "RISC-V Features"): x0 to x31, pc, f0 to f31, and the
//! CSRs of floating point.

use gdbstub::arch::{self, Arch};
use hart::HartState;

/// RISC-V with 64-bit registers.
pub enum Rv64 {}

/// All that GDB is told of a thread at once.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Registers(pub HartState);

impl Registers {
    /// Puts them into a thread: what GDB does not know of stays.
    pub fn set(&self, state: &mut HartState) {
        let HartState {
            x,
            f,
            pc,
            fflags,
            frm,
            ..
        } = self.0;
        state.x = x;
        state.x[0] = 0;
        state.f = f;
        state.pc = pc & !1;
        state.fflags = fflags & 0x1f;
        state.frm = frm & 7;
    }
}

impl arch::Registers for Registers {
    type ProgramCounter = u64;

    fn pc(&self) -> u64 {
        self.0.pc
    }

    fn gdb_serialize(&self, mut write_byte: impl FnMut(Option<u8>)) {
        let state = &self.0;
        let mut write = |bytes: &[u8]| bytes.iter().for_each(|byte| write_byte(Some(*byte)));
        state.x.iter().for_each(|x| write(&x.to_le_bytes()));
        write(&state.pc.to_le_bytes());
        state.f.iter().for_each(|f| write(&f.to_le_bytes()));
        let fcsr = state.fflags | state.frm << 5;
        [state.fflags, state.frm, fcsr]
            .iter()
            .for_each(|csr| write(&csr.to_le_bytes()));
    }

    fn gdb_deserialize(&mut self, bytes: &[u8]) -> Result<(), ()> {
        let (words, csrs) = bytes.split_at_checked(65 * 8).ok_or(())?;
        let mut words = words
            .as_chunks::<8>()
            .0
            .iter()
            .map(|word| u64::from_le_bytes(*word));
        let mut next = || words.next().ok_or(());
        for x in &mut self.0.x {
            *x = next()?;
        }
        self.0.pc = next()?;
        for f in &mut self.0.f {
            *f = next()?;
        }
        if let [flags, rounding, ..] = csrs.as_chunks::<4>().0 {
            self.0.fflags = u32::from_le_bytes(*flags);
            self.0.frm = u32::from_le_bytes(*rounding);
        }
        Ok(())
    }
}

impl Arch for Rv64 {
    type Usize = u64;
    type Registers = Registers;
    type BreakpointKind = usize;
    type RegId = ();

    fn target_description_xml() -> Option<&'static str> {
        Some(include_str!("target.xml"))
    }
}
