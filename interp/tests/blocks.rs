//! The block cache: countdowns, limits, polls, stale code, depth of the stack.

use frontend::*;
use hart::{Cause, HartState, Trap};
use interp::{Exit, Interp, Options};
use memory::{Place, Protection, Sharing, UserSpace};
use std::sync::atomic::{AtomicU32, Ordering};

const CODE: u64 = 0x1_0000;
static NEVER: AtomicU32 = AtomicU32::new(0);

struct Machine {
    space: UserSpace,
    interp: Interp<UserSpace>,
    hart: HartState,
}

impl Machine {
    /// Two executable pages that hold these instructions.
    fn new(code: &[Insn], threshold: u64) -> Machine {
        let space = UserSpace::reserve().unwrap();
        let rwx = Protection::READ_WRITE | Protection::EXECUTE;
        space
            .map_anonymous(Place::Fixed(CODE), 0x2000, rwx, Sharing::Private, None)
            .unwrap();
        let interp = Interp::new(Options {
            threshold,
            ..Options::default()
        });
        let hart = HartState {
            pc: CODE,
            ..HartState::default()
        };
        let machine = Machine {
            space,
            interp,
            hart,
        };
        machine.put(CODE, code);
        machine
    }
    fn put(&self, at: u64, code: &[Insn]) {
        for (n, insn) in code.iter().enumerate() {
            self.space.store(at + 4 * n as u64, insn.encode()).unwrap();
        }
    }
    fn run(&mut self, limit: u64) -> Exit {
        self.interp.run(&mut self.hart, &self.space, limit, &NEVER)
    }
}

fn addi(rd: X, rs1: X, imm: i32) -> Insn {
    Insn::Addi(I { rd, rs1, imm })
}
fn jump(rd: X, imm: i32) -> Insn {
    Insn::Jal(J { rd, imm })
}
const EBREAK: Insn = Insn::Ebreak(None0);
const BREAKPOINT: Exit = Exit::Trap(Trap::new(Cause::Breakpoint, 0));

#[test]
fn a_hot_block_is_reported_before_it_runs_until_told_otherwise() {
    // A loop whose block is its first instruction's.
    let mut m = Machine::new(&[addi(X::X10, X::X10, 1), jump(X::ZERO, -4)], 3);
    assert_eq!(m.run(1000), Exit::Hot);
    assert_eq!((m.hart.pc, m.hart.x[10], m.hart.instret), (CODE, 2, 4));
    assert_eq!(m.run(1000), Exit::Hot);
    assert_eq!((m.hart.pc, m.hart.x[10], m.hart.instret), (CODE, 2, 4));
    m.interp.set_countdown(&m.space, CODE, 0);
    assert_eq!(m.run(1000), Exit::Limit);
    assert_eq!((m.hart.x[10], m.hart.instret), (500, 1000));
    // From now on at the second arrival, of which the run's start is one.
    m.interp.set_countdown(&m.space, CODE, 2);
    assert_eq!(m.run(2000), Exit::Hot);
    assert_eq!(m.hart.x[10], 501);
    m.interp.set_countdown(&m.space, CODE, 1);
    assert_eq!(m.run(2000), Exit::Hot);
    assert_eq!(m.hart.x[10], 501);
    m.interp.set_countdown(&m.space, CODE, 0);
    assert_eq!(m.run(2000), Exit::Limit);
}

#[test]
fn a_countdown_outlives_the_code_it_was_set_for() {
    let mut m = Machine::new(&[addi(X::X10, X::X10, 1), jump(X::ZERO, -4)], 0);
    m.interp.set_countdown(&m.space, CODE, 5);
    assert_eq!(m.run(4), Exit::Limit);
    m.interp.invalidate([CODE >> memory::PAGE_BITS]);
    assert_eq!(m.run(1000), Exit::Hot);
    assert_eq!(m.hart.x[10], 4);
}

#[test]
fn every_limit_is_met_exactly() {
    let mut code = vec![addi(X::X10, X::X10, 1); 100];
    code.push(jump(X::ZERO, -400));
    for first in 0..250 {
        let mut m = Machine::new(&code, 0);
        assert_eq!(m.run(first), Exit::Limit);
        assert_eq!((m.hart.instret, m.hart.x[10]), (first, first - first / 101));
        assert_eq!(m.run(555), Exit::Limit);
        assert_eq!((m.hart.instret, m.hart.x[10]), (555, 550));
        // A limit that has passed already.
        assert_eq!(m.run(3), Exit::Limit);
        assert_eq!(m.hart.instret, 555);
    }
}

#[test]
fn a_poll_stops_a_loop_that_never_ends() {
    let mut m = Machine::new(&[jump(X::ZERO, 0)], 0);
    let poll = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            poll.store(1, Ordering::Relaxed);
        });
        let exit = m.interp.run(&mut m.hart, &m.space, u64::MAX, &poll);
        assert_eq!((exit, m.hart.pc), (Exit::Poll, CODE));
    });
    assert!(m.hart.instret > 1000);
}

#[test]
fn old_code_is_run_until_it_is_invalidated() {
    // f returns 1; it is called twice.
    let ret = Insn::Jalr(I {
        rd: X::ZERO,
        rs1: X::RA,
        imm: 0,
    });
    let mut m = Machine::new(&[jump(X::RA, 0x1000), jump(X::ZERO, -4)], 0);
    let f = CODE + 0x1000;
    m.put(f, &[addi(X::X10, X::ZERO, 1), ret]);
    assert_eq!(m.run(20), Exit::Limit);
    assert_eq!(m.hart.x[10], 1);

    let epoch = m.space.stale_epoch();
    m.put(f, &[addi(X::X10, X::ZERO, 2)]);
    assert_eq!(m.run(40), Exit::Limit);
    assert_eq!(m.hart.x[10], 1, "without a fence.i the old code may go on");

    let (_, stale) = m.space.stale_since(epoch);
    assert_eq!(stale, [f >> memory::PAGE_BITS], "the page is watched");
    m.interp.invalidate(stale);
    assert_eq!(m.run(60), Exit::Limit);
    assert_eq!(m.hart.x[10], 2);
}

#[test]
fn an_instruction_across_two_pages_is_stale_if_either_is() {
    let start = CODE + 0xffc;
    for written in [CODE + 0xffe, CODE + 0x1000] {
        let mut m = Machine::new(&[], 0);
        // c.nop, then an addi across the boundary, then a jump back.
        m.space.store(start, 1_u16).unwrap();
        m.put(start + 2, &[addi(X::X10, X::ZERO, 1), jump(X::ZERO, -6)]);
        m.hart.pc = start;
        assert_eq!(m.run(9), Exit::Limit);
        let epoch = m.space.stale_epoch();
        m.space
            .store(start + 2, addi(X::X10, X::ZERO, 2).encode() as u16)
            .unwrap();
        m.space
            .store(start + 4, (addi(X::X10, X::ZERO, 2).encode() >> 16) as u16)
            .unwrap();
        let (_, stale) = m.space.stale_since(epoch);
        let page = written >> memory::PAGE_BITS;
        assert!(stale.contains(&page), "{stale:x?}");
        m.interp.invalidate([page]);
        m.hart.pc = start;
        assert_eq!(m.run(12), Exit::Limit);
        assert_eq!(m.hart.x[10], 2);
    }
}

#[test]
fn the_stack_does_not_grow() {
    let code = [
        addi(X::X10, X::X10, 1),
        addi(X::X11, X::X11, 1),
        jump(X::ZERO, -8),
    ];
    let mut m = Machine::new(&code, 0);
    let run = move || {
        assert_eq!(m.run(30_000_000), Exit::Limit);
        assert_eq!(m.hart.x[10], 10_000_000);
    };
    std::thread::Builder::new()
        .stack_size(64 << 10)
        .spawn(run)
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn the_stack_does_not_grow_whatever_the_instruction() {
    const DATA: u64 = 0x4_0000;
    for &op in Op::ALL {
        // x12 or f12 from x10 and x11 or f10 to f12; CSR 1 is fflags.
        let csr = op >= Op::Csrrw && op <= Op::Csrrci;
        let others = if csr { 1 << 20 } else { 11 << 20 | 12 << 27 };
        let fields = 12 << 7 | 10 << 15 | others;
        let row = op.row();
        let Some(insn) = (row.decode)(row.bits | fields & !row.mask) else {
            continue;
        };
        let jumps = insn.direct_target(0).is_some() || op == Op::Jalr;
        if jumps || op.is_system() {
            continue;
        }
        let mut code = vec![insn; 20];
        code.push(jump(X::ZERO, -80));
        let mut m = Machine::new(&code, 0);
        let rw = Protection::READ_WRITE;
        m.space
            .map_anonymous(Place::Fixed(DATA), 0x2000, rw, Sharing::Private, None)
            .unwrap();
        m.hart.x[10] = DATA + 0x1000;
        m.hart.x[11] = DATA + 0x1000;
        let run = move || assert_eq!(m.run(300_000), Exit::Limit, "{op:?}");
        std::thread::Builder::new()
            .stack_size(64 << 10)
            .spawn(run)
            .unwrap()
            .join()
            .unwrap();
    }
}

#[test]
fn a_trap_within_a_block_leaves_pc_and_count_at_its_instruction() {
    let load = Insn::Ld(I {
        rd: X::X12,
        rs1: X::X10,
        imm: 0,
    });
    let code = [
        addi(X::X10, X::ZERO, 8),
        addi(X::X11, X::ZERO, 7),
        load,
        EBREAK,
    ];
    let mut m = Machine::new(&code, 0);
    let trap = Trap::new(Cause::LoadPageFault, 8);
    assert_eq!(m.run(100), Exit::Trap(trap));
    assert_eq!((m.hart.pc, m.hart.instret, m.hart.x[11]), (CODE + 8, 2, 7));
    assert_eq!(
        m.run(100),
        Exit::Trap(trap),
        "again, as long as nobody does anything about it"
    );
    m.hart.x[10] = CODE;
    assert_eq!(m.run(100), BREAKPOINT);
    assert_eq!((m.hart.pc, m.hart.instret), (CODE + 12, 3));
    assert_eq!(m.hart.x[12] as u32, code[0].encode());
}

#[test]
fn what_cannot_be_fetched_or_decoded_traps_where_it_lies() {
    let mut m = Machine::new(&[addi(X::X10, X::ZERO, 8)], 0);
    m.space.store(CODE + 4, 0xffff_ffff_u32).unwrap();
    let illegal = Trap::new(Cause::IllegalInstruction, 0xffff_ffff);
    assert_eq!(m.run(100), Exit::Trap(illegal));
    assert_eq!((m.hart.pc, m.hart.instret), (CODE + 4, 1));
    m.space.store(CODE + 4, 0_u32).unwrap();
    m.interp.clear();
    assert_eq!(
        m.run(100),
        Exit::Trap(Trap::new(Cause::IllegalInstruction, 0))
    );

    // The second half of an instruction lies behind the last page.
    m.space.store(CODE + 0x1ffe, 3_u16).unwrap();
    m.hart.pc = CODE + 0x1ffe;
    let fault = Trap::new(Cause::InstructionPageFault, CODE + 0x2000);
    assert_eq!(m.run(100), Exit::Trap(fault));
    assert_eq!(m.hart.pc, CODE + 0x1ffe);
}

#[test]
fn counters_count_what_came_before() {
    let read = |rd, csr| {
        Insn::Csrrs(Csr {
            rd,
            rs1: X::ZERO,
            csr,
        })
    };
    let nop = addi(X::ZERO, X::ZERO, 0);
    let code = [
        nop,
        nop,
        read(X::X10, 0xc02),
        nop,
        read(X::X11, 0xc00),
        read(X::X12, 0xc01),
        EBREAK,
    ];
    let mut m = Machine::new(&code, 0);
    m.hart.instret = 1000;
    assert_eq!(m.run(u64::MAX), BREAKPOINT);
    assert_eq!(m.hart.x[10..13], [1002, 1004, 10]);
    assert_eq!(m.hart.instret, 1006);
}
