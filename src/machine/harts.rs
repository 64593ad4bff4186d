//! One hart of a machine, and what it does between two runs of an engine, whoever runs it.

use super::post::Request;
use devices::HartLines;
use hart::{Cause, Memory, Mode, Privileged, SystemMemory, Trap};
use jit::SystemHart;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Pages that are fenced one by one; more are fenced as everything.
const MOST_PAGES: u64 = 64;

/// What a hart does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Status {
    /// It executes instructions.
    Running,
    /// wfi.
    Waiting,
    /// Not started yet, or stopped by SBI HSM.
    Stopped,
}

/// One hart.
pub(super) struct Hart {
    pub state: SystemHart,
    pub memory: SystemMemory,
    pub lines: Arc<HartLines>,
    pub status: Status,
    /// Traps since it last retired an instruction.
    pub traps: u32,
}

impl Hart {
    /// Shows it its interrupt lines as they are at `now`.
    pub fn set_lines(&self, now: u64) {
        let (levels, p) = (self.lines.levels(), self.memory.privileged());
        let timer = p.has_stimecmp() && now >= p.stimecmp;
        let mut shown = *p;
        drop(p);
        if shown.set_lines(levels, timer) {
            self.memory.change(|p| p.lines = shown.lines);
        }
    }

    /// The time at which its own timer wakes it, if that may.
    pub fn timer(&self) -> Option<u64> {
        let p = self.memory.privileged();
        let enabled = p.has_stimecmp() && p.mie & hart::privileged::interrupts::STIP != 0;
        enabled.then_some(p.stimecmp)
    }

    /// Whether a trap is a debugger's, which the guest must not see.
    pub fn is_breakpoint(&self, trap: Trap) -> bool {
        trap.cause == Cause::Breakpoint && self.memory.breakpoints().contains(self.state.pc)
    }

    /// A trap as the guest sees it; nothing if it is a call of our firmware.
    pub fn completed(&self, mut trap: Trap, own_firmware: bool) -> Option<Trap> {
        match trap.cause {
            // Engines know no modes: they report any environment call as U's.
            Cause::EcallFromU => trap.cause = self.memory.privileged().ecall(),
            Cause::IllegalInstruction => trap.tval = bits(&self.memory, self.state.pc, trap.tval),
            _ => {}
        }
        let supervisor = self.memory.privileged().mode() == Mode::Supervisor;
        let call = own_firmware && trap.cause == Cause::EcallFromS && supervisor;
        (!call).then_some(trap)
    }

    /// "Hart State Management", hart start: S mode, no translation, interrupts off.
    pub fn start(&mut self, pc: u64, opaque: u64) {
        let number = self.memory.privileged().mhartid;
        self.state.pc = pc;
        self.state.x[10] = number;
        self.state.x[11] = opaque;
        self.memory.change(|p| {
            *p = Privileged::reset(number);
            p.delegate();
            p.set_mode(Mode::Supervisor);
        });
        self.memory.forget();
        self.status = Status::Running;
    }

    /// Fences `size` bytes from `start`; 0 and 0, or -1, are everything.
    pub fn fence(&self, start: u64, size: u64, asid: Option<u64>) {
        let pages = size.div_ceil(memory::PAGE);
        if size == 0 || pages > MOST_PAGES {
            return self.memory.fence(None, asid);
        }
        for page in 0..=pages {
            let va = start.wrapping_add(page * memory::PAGE);
            self.memory.fence(Some(va), asid);
        }
    }

    /// Does what another hart asks for. Whether that includes a fence.i, which is for whoever has the
    /// code that was made.
    pub fn obey(&mut self, request: Request) -> bool {
        match request {
            Request::GiveUp {
                page,
                writer,
                stored: true,
            } => self.memory.give_up(page, writer),
            Request::GiveUp { page, writer, .. } => self.memory.protect(page, writer),
            Request::Fence { start, size, asid } => self.fence(start, size, asid),
            Request::FenceI => return true,
            Request::Start { pc, opaque } => self.start(pc, opaque),
        }
        false
    }
}

/// The bits of the instruction at `pc`, which may be a compressed one; `known` if they can't be
/// read any more.
fn bits(memory: &impl Memory, pc: u64, known: u64) -> u64 {
    let Ok(low) = memory.fetch(pc) else {
        return known;
    };
    if low & 3 != 3 {
        return u64::from(low);
    }
    memory
        .fetch(pc.wrapping_add(2))
        .map_or(known, |high| u64::from(high) << 16 | u64::from(low))
}
