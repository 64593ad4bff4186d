//! Faults of the guest's own: from trap to signal, and what to tell about a fatal one.

use super::{Action, Info, SIGBUS, SIGILL, SIGSEGV, SIGTRAP, bit, name};
use crate::task::Task;
use hart::{Cause, Trap};
use memory::{Backing, PageFlags};
use std::fmt::Write;
use std::sync::atomic::Ordering;

const ILL_ILLOPC: i32 = 1;
const TRAP_BRKPT: i32 = 1;
const SEGV_MAPERR: i32 = 1;
const SEGV_ACCERR: i32 = 2;
const BUS_ADRALN: i32 = 1;
const BUS_ADRERR: i32 = 2;

/// Turns a trap into its signal, pending for the thread that caused it.
pub(crate) fn raise(task: &mut Task, trap: Trap) {
    let pc = task.state().pc;
    let info = match trap.cause {
        Cause::IllegalInstruction => Info::fault(SIGILL, ILL_ILLOPC, pc),
        Cause::Breakpoint => Info::fault(SIGTRAP, TRAP_BRKPT, pc),
        Cause::InstructionPageFault | Cause::LoadPageFault | Cause::StorePageFault => {
            let mapped = task
                .kernel
                .space
                .page_flags(trap.tval)
                .has(PageFlags::MAPPED);
            Info::fault(
                SIGSEGV,
                if mapped { SEGV_ACCERR } else { SEGV_MAPERR },
                trap.tval,
            )
        }
        Cause::InstructionAccessFault | Cause::LoadAccessFault | Cause::StoreAccessFault => {
            Info::fault(SIGBUS, BUS_ADRERR, trap.tval)
        }
        Cause::InstructionAddressMisaligned
        | Cause::LoadAddressMisaligned
        | Cause::StoreAddressMisaligned => Info::fault(SIGBUS, BUS_ADRALN, trap.tval),
        // A system call of user mode never gets here; the others need a privileged mode.
        Cause::EcallFromU | Cause::EcallFromS | Cause::EcallFromM => {
            Info::fault(SIGILL, ILL_ILLOPC, pc)
        }
    };
    force(task, info);
}

/// Makes a fault's signal pending. It cannot be blocked or ignored: then it kills.
pub(crate) fn force(task: &mut Task, info: Info) {
    let kernel = task.kernel.clone();
    let mut signals = kernel.signals.lock();
    let blocked = task.mask() & bit(info.number) != 0;
    if blocked || signals.action(info.number).handler == Action::IGNORE {
        signals.set_action(info.number, Action::default());
    }
    // A standard signal always fits.
    let _ = signals.queue(info, Some(task.tid));
    drop(signals);
    if blocked {
        task.set_mask(task.mask() & !bit(info.number));
    }
    task.shared.attention.store(true, Ordering::SeqCst);
}

/// The last words about a guest that died of a fault: what, where, why, what to do.
pub(crate) fn report(task: &Task, info: &Info) -> String {
    let state = task.state();
    let (pc, va) = (state.pc, info.words[0]);
    let (what, remedy) = match (info.number, info.code) {
        (SIGILL, _) => (
            format!("illegal instruction {}", instruction(task, pc)),
            "Build the program for rv64gc with Zba, Zbb and Zbs at most, or look for a jump into data",
        ),
        (SIGTRAP, _) => (
            "breakpoint instruction (ebreak)".to_owned(),
            "Programs use it to stop where they find themselves wrong: see what leads there",
        ),
        (SIGBUS, BUS_ADRERR) => (
            format!("access to {va:#x}, beyond the end of the mapped file"),
            "The file is shorter than the mapping: check who truncates it",
        ),
        (SIGBUS, _) => (
            format!("misaligned atomic access to {va:#x}"),
            "Align the variable to its size",
        ),
        (SIGSEGV, SEGV_MAPERR) => (
            format!(
                "access to {va:#x}, where nothing is mapped{}",
                near(task, va)
            ),
            remedy_for(task, va),
        ),
        (SIGSEGV, SEGV_ACCERR) => (
            format!(
                "access to {va:#x}, which its mapping does not permit{}",
                near(task, va)
            ),
            "Check for writes to constants, or a jump into data",
        ),
        (SIGSEGV, _) => (
            "no room on the stack for a signal frame".to_owned(),
            "Look for endless recursion, or give the handler a sigaltstack of its own",
        ),
        _ => ("fault".to_owned(), "See the registers"),
    };
    let mut text = format!(
        "bhv: the guest died of {}: {what}\n  at pc {pc:#x}{}\n  after {} instructions of thread {}\n",
        name(info.number),
        place(task, pc),
        state.instret,
        task.tid,
    );
    let _ = writeln!(text, "  ra {:#x}{}", state.x[1], place(task, state.x[1]));
    for row in 0..8 {
        let cells = (0..4).map(|column| {
            let n = row + column * 8;
            format!(
                "{:>4} {:016x}",
                frontend::X::new(n).abi_name(),
                state.x[usize::from(n)]
            )
        });
        let _ = writeln!(text, "  {}", cells.collect::<Vec<_>>().join("  "));
    }
    let _ = writeln!(text, "  {remedy}.");
    text
}

fn instruction(task: &Task, pc: u64) -> String {
    let parcel = |at| task.kernel.space.fetch(at).map(u32::from);
    match (parcel(pc), parcel(pc.wrapping_add(2))) {
        (Ok(low), Ok(high)) if low & 3 == 3 => format!("{:#010x}", low | high << 16),
        (Ok(low), _) => format!("{low:#06x}"),
        _ => "that cannot be read".to_owned(),
    }
}

/// The mapping an address lies in, and the symbol if its file tells.
fn place(task: &Task, va: u64) -> String {
    let Some(vma) = task.kernel.space.vma_at(va) else {
        return " (nowhere)".to_owned();
    };
    match &vma.backing {
        Backing::File { file, offset } => {
            let name = String::from_utf8_lossy(&file.path).into_owned();
            let at = va - vma.start + offset;
            match crate::symbols::find(&task.kernel, &file.path, at) {
                Some((symbol, into)) => format!(" <{symbol}+{into:#x}> in {name}"),
                None => format!(" in {name} at offset {at:#x}"),
            }
        }
        Backing::Anonymous => match &vma.name {
            Some(name) => format!(" in {name}"),
            None => " in anonymous memory".to_owned(),
        },
    }
}

fn near(task: &Task, va: u64) -> &'static str {
    let sp = task.state().x[2];
    if va < 0x1_0000 {
        " (a null pointer)"
    } else if va.abs_diff(sp) < 1 << 20 {
        " (near the stack pointer)"
    } else {
        ""
    }
}

fn remedy_for(task: &Task, va: u64) -> &'static str {
    let sp = task.state().x[2];
    if va == task.state().pc {
        "A jump or return went astray: look at ra and at function pointers"
    } else if va < 0x1_0000 {
        "Look for a null pointer at this place"
    } else if va.abs_diff(sp) < 1 << 20 {
        "The stack is used up: look for endless recursion or huge local arrays, or raise ulimit -s"
    } else {
        "Look for a stray or freed pointer at this place"
    }
}
