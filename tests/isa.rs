//! Facts about single instructions (`tests/isa/*.ins`), on both engines.

#[path = "common/engines.rs"]
mod engines;
#[path = "common/ins.rs"]
mod ins;

use engines::{Ended, Engine, blocks, compiled, drafted, step};
use frontend::compressed::{self, CompressedOp};
use frontend::{Insn, Op, Rm, decode, disasm};
use hart::{Cause, HartState, Trap};
use ins::{DATA, DATA_LENGTH, Line, READ_ONLY, START};
use memory::{PAGE, Place, Protection, Sharing, UserSpace};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

/// Every file, by extension of the manual.
const FILES: [(&str, &str); 12] = [
    ("i", include_str!("isa/i.ins")),
    ("m", include_str!("isa/m.ins")),
    ("a", include_str!("isa/a.ins")),
    ("f", include_str!("isa/f.ins")),
    ("d", include_str!("isa/d.ins")),
    ("c", include_str!("isa/c.ins")),
    ("zicsr", include_str!("isa/zicsr.ins")),
    ("privileged", include_str!("isa/privileged.ins")),
    ("zifencei", include_str!("isa/zifencei.ins")),
    ("zba", include_str!("isa/zba.ins")),
    ("zbb", include_str!("isa/zbb.ins")),
    ("zbs", include_str!("isa/zbs.ins")),
];

fn lines(file: &str) -> Vec<Line> {
    let (name, text) = FILES
        .iter()
        .find(|(name, _)| *name == file)
        .expect("a file of the list");
    ins::parse(&format!("tests/isa/{name}.ins"), text)
}

/// What the instruction leads to: its successor, and the place that it should jump to.
const C_EBREAK: [u8; 2] = [0x02, 0x90];

/// Runs a line's instruction in a space that is used for nothing else meanwhile, and describes
/// what differs from what the line says.
fn check(line: &Line, engine: Engine, space: &Arc<UserSpace>) -> Result<(), String> {
    let map = |va, length, protection| {
        space.map_anonymous(Place::Fixed(va), length, protection, Sharing::Private, None)
    };
    let mut code = vec![0; PAGE as usize];
    for at in [START + line.bytes.len() as u64, line.after.pc].map(|pc| pc.wrapping_sub(START)) {
        if at < PAGE {
            code[at as usize..][..2].copy_from_slice(&C_EBREAK);
        }
    }
    code[..line.bytes.len()].copy_from_slice(&line.bytes);
    let prepare = || -> Result<(), memory::Error> {
        map(START, PAGE, Protection::READ_WRITE)?;
        map(DATA, DATA_LENGTH, Protection::READ_WRITE)?;
        map(READ_ONLY, PAGE, Protection::READ)?;
        Ok(())
    };
    prepare().map_err(|error| error.to_string())?;
    space
        .write_bytes(START, &code)
        .map_err(|fault| format!("{fault:?}"))?;
    space
        .write_bytes(DATA, &line.data_before)
        .map_err(|fault| format!("{fault:?}"))?;
    space
        .protect(START, PAGE, Protection::READ_EXECUTE)
        .map_err(|error| error.to_string())?;

    // The c.ebreak that the instruction leads to ends the run, or the hole, if it jumps out of
    // the page. One that jumps to itself runs to the limit.
    let mut state = line.before;
    let limit = line.before.instret + 100;
    let ended = engine(&mut state, space, limit);
    let mut wrong = String::new();
    let mut differ = |what: &str, expected: String, found: String| {
        if expected != found {
            let _ = write!(wrong, "\n    {what}: expected {expected}, found {found}");
        }
    };
    let trap_text = |trap: Trap| format!("trap {:?} {:#x}", trap.cause, trap.tval);
    let mut expected = line.after;
    let (expected_end, end) = match (line.trap, ended) {
        (Some(expected), Ended::Trap(trap)) => (trap_text(expected), trap_text(trap)),
        (Some(expected), Ended::Limit) => (trap_text(expected), "no trap".to_owned()),
        (None, Ended::Trap(trap)) if state.instret == line.before.instret => {
            ("no trap".to_owned(), trap_text(trap))
        }
        (None, Ended::Trap(trap)) => {
            let stop = match line.after.pc.wrapping_sub(START) < PAGE {
                true => Trap::new(Cause::Breakpoint, 0),
                false => Trap::new(Cause::InstructionPageFault, line.after.pc),
            };
            (
                format!("then {}", trap_text(stop)),
                format!("then {}", trap_text(trap)),
            )
        }
        (None, Ended::Limit) => {
            expected.instret = limit;
            ("an end, unless at its own address".to_owned(), {
                let stays = line.after.pc == START;
                if stays {
                    "an end, unless at its own address"
                } else {
                    "no end"
                }
                .to_owned()
            })
        }
    };
    differ("end", expected_end, end);
    differ(
        "pc",
        format!("{:#x}", expected.pc),
        format!("{:#x}", state.pc),
    );
    differ(
        "instret",
        expected.instret.to_string(),
        state.instret.to_string(),
    );
    for n in 0..32 {
        let (x, f) = (frontend::X::new(n as u8), frontend::F::new(n as u8));
        differ(
            x.abi_name(),
            format!("{:#x}", expected.x[n]),
            format!("{:#x}", state.x[n]),
        );
        differ(
            f.abi_name(),
            format!("{:#018x}", expected.f[n]),
            format!("{:#018x}", state.f[n]),
        );
    }
    differ(
        "fflags",
        format!("{:#07b}", expected.fflags),
        format!("{:#07b}", state.fflags),
    );
    differ("frm", expected.frm.to_string(), state.frm.to_string());
    let reservation = |state: &HartState| format!("{:x?}", state.reservation);
    differ("reservation", reservation(&expected), reservation(&state));
    let mut data = vec![0; DATA_LENGTH as usize];
    space
        .read_bytes(DATA, &mut data)
        .map_err(|fault| format!("{fault:?}"))?;
    let bytes = line.data_after.iter().zip(&data).enumerate();
    for (at, (expected, found)) in bytes.filter(|(_, (expected, found))| expected != found) {
        let va = DATA + at as u64;
        differ(
            &format!("mem[{va:#x}]"),
            format!("{expected:#04x}"),
            format!("{found:#04x}"),
        );
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// Checks all lines of a file; a failure shows the first few.
fn check_file(file: &str, engine: Engine) {
    let lines = lines(file);
    let space = Arc::new(UserSpace::reserve().expect("address space"));
    let (mut failures, mut shown) = (0, String::new());
    for line in &lines {
        if let Err(wrong) = check(line, engine, &space) {
            failures += 1;
            if failures <= 20 {
                let _ = write!(shown, "\n{}: {}{wrong}", line.place, line.text);
            }
        }
    }
    assert!(
        failures == 0,
        "{failures} of {} lines of {file}.ins fail:{shown}",
        lines.len()
    );
}

macro_rules! files {
    ($($file:literal $step:ident $interp:ident $draft:ident $jit:ident;)*) => {$(
        #[test]
        fn $step() {
            check_file($file, step);
        }
        #[test]
        fn $interp() {
            check_file($file, blocks);
        }
        #[test]
        fn $draft() {
            check_file($file, drafted);
        }
        #[test]
        fn $jit() {
            check_file($file, compiled);
        }
    )*};
}

files! {
    "i" interp_step_i interp_i draft_i jit_i;
    "m" interp_step_m interp_m draft_m jit_m;
    "a" interp_step_a interp_a draft_a jit_a;
    "f" interp_step_f interp_f draft_f jit_f;
    "d" interp_step_d interp_d draft_d jit_d;
    "c" interp_step_c interp_c draft_c jit_c;
    "zicsr" interp_step_zicsr interp_zicsr draft_zicsr jit_zicsr;
    "privileged" interp_step_privileged interp_privileged draft_privileged jit_privileged;
    "zifencei" interp_step_zifencei interp_zifencei draft_zifencei jit_zifencei;
    "zba" interp_step_zba interp_zba draft_zba jit_zba;
    "zbb" interp_step_zbb interp_zbb draft_zbb jit_zbb;
    "zbs" interp_step_zbs interp_zbs draft_zbs jit_zbs;
}

fn all_lines() -> impl Iterator<Item = Line> {
    FILES.iter().flat_map(|(file, _)| lines(file))
}

/// The instruction's bytes as decode wants them.
fn parcels(line: &Line) -> u32 {
    line.bytes
        .iter()
        .rev()
        .fold(0, |word, &byte| word << 8 | u32::from(byte))
}

#[test]
fn every_row_of_both_tables_has_lines() {
    let (mut lines, mut compressed_lines) = (BTreeMap::new(), BTreeMap::new());
    for line in all_lines() {
        let word = parcels(&line);
        if let Some(insn) = compressed::decode(word as u16).filter(|_| line.bytes.len() == 2) {
            *compressed_lines.entry(insn.op()).or_insert(0) += 1;
        } else if let Some(decoded) = decode::decode(word) {
            *lines.entry(decoded.insn.op()).or_insert(0) += 1;
        }
    }
    let few = |op: &str, n: Option<&i32>, least: i32| {
        let n = n.copied().unwrap_or(0);
        (n < least).then(|| format!("{op}: {n} lines, at least {least} expected"))
    };
    let mut wrong = Vec::new();
    for op in Op::ALL {
        // Only so much can be said about those without operands.
        let least = if matches!(
            op,
            Op::Ecall | Op::Ebreak | Op::FenceI | Op::Sret | Op::Mret | Op::Wfi
        ) {
            1
        } else {
            5
        };
        wrong.extend(few(op.row().mnemonic, lines.get(op), least));
    }
    for op in CompressedOp::ALL {
        let least = match op {
            CompressedOp::CEbreak => 1,
            CompressedOp::CNop => 2,
            _ => 4,
        };
        wrong.extend(few(op.row().mnemonic, compressed_lines.get(op), least));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rounding_mode_has_lines() {
    let mut seen: BTreeMap<Op, BTreeSet<(u8, u32)>> = BTreeMap::new();
    for line in all_lines() {
        let Some(insn): Option<Insn> = decode::decode(parcels(&line)).map(|d| d.insn) else {
            continue;
        };
        if let Some(rm) = insn.rm() {
            // The mode in frm matters only if the instruction says so.
            let frm = if rm == Rm::Dyn { line.before.frm } else { 0 };
            seen.entry(insn.op()).or_default().insert((rm as u8, frm));
        }
    }
    for &op in Op::ALL {
        let row = op.row();
        // A field of three free bits in the place of rm, and the row decodes only with some.
        let has_rm = (row.decode)(row.bits).is_some_and(|insn| insn.rm().is_some());
        if !has_rm {
            continue;
        }
        let seen = seen.remove(&op).unwrap_or_default();
        for rm in 0..5 {
            assert!(
                seen.contains(&(rm, 0)),
                "{} has no line that rounds by {rm}",
                row.mnemonic
            );
        }
        // Conversions that never round need only one dynamic line.
        let exact = matches!(op, Op::FcvtDW | Op::FcvtDWu | Op::FcvtDS);
        for frm in (0..8).filter(|frm| !exact || *frm == 4) {
            assert!(
                seen.contains(&(7, frm)),
                "{} has no line with frm = {frm}",
                row.mnemonic
            );
        }
    }
}

/// The text beside the bytes is what they disassemble to. (`cargo xtask isa` asks GNU as.)
#[test]
fn the_text_is_that_of_the_bytes() {
    for line in all_lines() {
        if line.text.starts_with('.') {
            continue; // given as a number
        }
        let found = disasm::text(parcels(&line), START);
        let mnemonic = line.text.split(' ').next().unwrap_or_default();
        // csrrw zero,cycle,zero has a name of its own.
        let found = found
            .split('\t')
            .next()
            .unwrap_or_default()
            .replace("unimp", "csrrw");
        assert_eq!(found, mnemonic, "{}", line.place);
    }
}
