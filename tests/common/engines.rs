//! The three ways to execute a single instruction: stepped, from decoded blocks, compiled.

use frontend::{Insn, decode};
use hart::{HartState, Trap};
use memory::UserSpace;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// Where the program stood when an engine gave up.
pub enum Ended {
    /// The limit was reached.
    Limit,
    /// The instruction at pc trapped.
    Trap(Trap),
}

/// Runs code until it traps or `limit` instructions have retired in all.
pub type Engine = fn(&mut HartState, &Arc<UserSpace>, u64) -> Ended;

/// One instruction at a time, not from the cache of blocks.
pub fn step(state: &mut HartState, space: &Arc<UserSpace>, limit: u64) -> Ended {
    let mut interp = interp::Interp::new(interp::Options::default());
    while state.instret != limit {
        match interp.step(state, &**space) {
            interp::Exit::Limit | interp::Exit::FenceI => {}
            interp::Exit::Trap(trap) => return Ended::Trap(trap),
            exit => panic!("a single step ended with {exit:?}"),
        }
    }
    Ended::Limit
}

/// Pre-decoded blocks.
pub fn blocks(state: &mut HartState, space: &Arc<UserSpace>, limit: u64) -> Ended {
    let mut interp = interp::Interp::new(interp::Options::default());
    let poll = AtomicU32::new(0);
    loop {
        match interp.run(state, &**space, limit, &poll) {
            interp::Exit::Limit => return Ended::Limit,
            interp::Exit::FenceI => {}
            interp::Exit::Trap(trap) => return Ended::Trap(trap),
            exit => panic!("a run without poll and countdown ended with {exit:?}"),
        }
    }
}

/// Compiled code; the interpreter does what the compiler leaves to it by contract.
pub fn compiled(state: &mut HartState, space: &Arc<UserSpace>, limit: u64) -> Ended {
    let options = jit::Options {
        compute: Some(interp::compute),
        // Facts put sp where they like.
        stacks: false,
        counting: true,
        background: false,
        verify: true,
        code_bytes: 1 << 20,
        ..jit::Options::default()
    };
    let jit = jit::Jit::new(options, space.clone()).expect("a compiler for this host");
    let mut hart = jit.hart();
    *hart.state_mut() = *state;
    let insn = |pc: u64| {
        let parcels = [pc, pc + 2].map(|pc| space.fetch(pc).map_or(0, u32::from));
        decode::decode(parcels[1] << 16 | parcels[0]).map(|decoded| decoded.insn)
    };
    let first = state.pc;
    assert_eq!(
        jit.request(first) == jit::Request::Ready,
        insn(first).is_some(),
        "{first:#x}"
    );
    let ended = loop {
        let exit = hart.run(limit);
        match exit {
            jit::Exit::Limit => break Ended::Limit,
            jit::Exit::FenceI => continue,
            jit::Exit::Trap(trap) => break Ended::Trap(trap),
            // A fault, or no code, which is as it should be only behind the instruction.
            jit::Exit::Replay | jit::Exit::Interpret | jit::Exit::Rounding | jit::Exit::Missing => {
            }
            jit::Exit::Poll | jit::Exit::Hot => {
                panic!("a run without poll and drafts ended with {exit:?}")
            }
        }
        let excused = exit == jit::Exit::Rounding
            || hart.state().instret != state.instret
            || !has_usual_pointers(state)
            || insn(first).is_none_or(|insn| is_left_to_interpreter(insn, state));
        let limit = hart.state().instret + 1;
        match step(hart.state_mut(), space, limit) {
            Ended::Trap(trap) => break Ended::Trap(trap),
            Ended::Limit => assert!(excused, "{:?} is not compiled", insn(first)),
        }
    };
    let before = state.instret;
    *state = *hart.state();
    match ended {
        // What is left is less than a region.
        Ended::Limit => {
            assert!(
                state.instret > before,
                "a limit of {limit} is called too near"
            );
            step(state, space, limit)
        }
        ended => ended,
    }
}

/// A draft, up to the first trap or until it comes to the first instruction again; the interpreter does
/// what it leaves. It does not count: one instruction has retired where the trap is another one's.
pub fn drafted(state: &mut HartState, space: &Arc<UserSpace>, limit: u64) -> Ended {
    let options = jit::Options {
        background: false,
        stacks: false,
        ..jit::Options::default()
    };
    let jit = jit::Jit::new(options, space.clone()).expect("a compiler for this host");
    let mut hart = jit.hart();
    hart.use_drafts(2, None);
    *hart.state_mut() = *state;
    let ended = loop {
        match hart.run(limit) {
            jit::Exit::FenceI => continue,
            jit::Exit::Hot => break Ended::Limit,
            jit::Exit::Trap(trap) => break Ended::Trap(trap),
            jit::Exit::Interpret | jit::Exit::Rounding | jit::Exit::Missing => {}
            exit => panic!("a run of drafts ended with {exit:?}"),
        }
        let limit = hart.state().instret + 1;
        if let Ended::Trap(trap) = step(hart.state_mut(), space, limit) {
            break Ended::Trap(trap);
        }
    };
    let instret = match ended {
        Ended::Limit => limit,
        Ended::Trap(_) => state.instret + u64::from(hart.state().pc != state.pc),
    };
    *state = *hart.state();
    state.instret = instret;
    ended
}

/// What compiled code hands back, to be interpreted once: system instructions, and singles in
/// registers whose upper half says that they are none.
fn is_left_to_interpreter(insn: Insn, state: &HartState) -> bool {
    const SYSTEM: u32 = 0b111_0011;
    let row = insn.op().row();
    let single = matches!(insn, Insn::Fsw(_) | Insn::FmvXW(_)) || row.mnemonic.ends_with(".s");
    let boxed = insn
        .uses()
        .fs()
        .all(|f| state.f[f.index()] >> 32 == 0xffff_ffff);
    row.bits & 0x7f == SYSTEM || insn.op().is_privileged() || single && !boxed
}

/// Compiled code is entered only while sp, gp and tp are addresses.
fn has_usual_pointers(state: &HartState) -> bool {
    (2..5).all(|n| state.x[n] < memory::LIMIT)
}
