//! Runs a program on an engine, whichever it is, and takes down what can be seen of it.

use crate::program::{CODE, DATA, DATA_LENGTH, Program};
use frontend::{Insn, None0};
use hart::{Cause, HartState, Trap};
use memory::{Place, Protection, Sharing, UserSpace};
use std::sync::Arc;

/// An engine under test. Stale code after a fence.i is its own business.
pub trait Engine {
    /// Runs until `instret` is `limit`, exactly, or an instruction traps.
    fn run(&mut self, hart: &mut HartState, limit: u64) -> Option<Trap>;
}

/// No program of ours gets near this many instructions unless its shrinking made it run away.
pub const LIMIT: u64 = 1 << 20;

/// More traps than this end a program.
const MOST_TRAPS: usize = 64;

/// What can be seen of a program's run.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// The registers at the end.
    pub hart: HartState,
    /// The traps, with the state's pc and instret at each.
    pub traps: Vec<(u64, u64, Trap)>,
    /// The data at the end.
    pub data: Vec<u8>,
}

/// An address space that holds a program, not yet run.
pub fn load(program: &Program) -> Arc<UserSpace> {
    load_with_exit(program, None)
}

/// The same; where the program ends it jumps to an ebreak at `exit`.
pub fn load_with_exit(program: &Program, exit: Option<u64>) -> Arc<UserSpace> {
    let space = UserSpace::reserve().expect("a window of address space");
    let code = program.code(CODE, exit);
    let rwx = Protection::READ_WRITE | Protection::EXECUTE;
    let map = |start, length, protection| {
        space
            .map_anonymous(
                Place::Fixed(start),
                length,
                protection,
                Sharing::Private,
                None,
            )
            .expect("room for the program");
    };
    map(CODE, code.len() as u64, rwx);
    map(DATA, DATA_LENGTH, Protection::READ_WRITE);
    space.write_bytes(CODE, &code).expect("the code is mapped");
    if let Some(exit) = exit {
        map(exit, 4, rwx);
        let ebreak = Insn::Ebreak(None0).encode();
        space.store(exit, ebreak).expect("the exit is mapped");
    }
    space
        .write_bytes(DATA, &program.data)
        .expect("the data is mapped");
    Arc::new(space)
}

/// Runs a program that [`load`] has put into `space`. An instruction that traps is skipped, as a
/// signal handler may do, except for the last ebreak.
pub fn run(engine: &mut dyn Engine, space: &UserSpace, program: &Program) -> Outcome {
    let mut hart = program.start;
    let mut traps = Vec::new();
    while let Some(trap) = engine.run(&mut hart, LIMIT) {
        traps.push((hart.pc, hart.instret, trap));
        let end = trap.cause == Cause::Breakpoint || traps.len() == MOST_TRAPS;
        // What can't be fetched can't be skipped.
        let (Ok(parcel), false) = (space.fetch(hart.pc), end) else {
            break;
        };
        hart.pc += u64::from(frontend::decode::length(parcel));
    }
    let mut data = vec![0; DATA_LENGTH as usize];
    // The program's pages may have lost their permissions on the way.
    space
        .protect(DATA, DATA_LENGTH, Protection::READ_WRITE)
        .expect("the data is mapped");
    space
        .read_bytes(DATA, &mut data)
        .expect("the data is mapped");
    Outcome { hart, traps, data }
}

impl Outcome {
    /// What differs from another engine's outcome, as text; `None` if nothing does.
    pub fn difference(&self, other: &Outcome) -> Option<String> {
        let mut lines = Vec::new();
        let mut line = |what: String, a: u64, b: u64| {
            if a != b {
                lines.push(format!("{what}: {a:#x} and {b:#x}"));
            }
        };
        let (a, b) = (&self.hart, &other.hart);
        line("pc".into(), a.pc, b.pc);
        line("instret".into(), a.instret, b.instret);
        line("fflags".into(), a.fflags.into(), b.fflags.into());
        line("frm".into(), a.frm.into(), b.frm.into());
        for n in 0..32 {
            line(format!("x{n}"), a.x[n], b.x[n]);
            line(format!("f{n}"), a.f[n], b.f[n]);
        }
        line(
            "reserved address".into(),
            a.reservation.address,
            b.reservation.address,
        );
        line(
            "reserved value".into(),
            a.reservation.value,
            b.reservation.value,
        );
        line(
            "reserved width".into(),
            a.reservation.width,
            b.reservation.width,
        );
        for (n, (a, b)) in self.data.iter().zip(&other.data).enumerate() {
            line(
                format!("byte at {:#x}", DATA + n as u64),
                (*a).into(),
                (*b).into(),
            );
        }
        if self.traps != other.traps {
            let differs = |(a, b): &(_, _)| a != b;
            let at = self
                .traps
                .iter()
                .zip(&other.traps)
                .position(|pair| differs(&pair));
            let at = at.unwrap_or(self.traps.len().min(other.traps.len()));
            let (a, b) = (self.traps.get(at), other.traps.get(at));
            lines.push(format!("trap {at} (pc, instret, cause): {a:x?} and {b:x?}"));
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}
