//! The decoder and the disassembler against GNU objdump: what is valid, and how it reads.

use frontend::decode::{decode, length};
use frontend::disasm;
use frontend::generate::{Bias, Random};
use frontend::{Insn, Op};
use std::path::PathBuf;
use std::process::Command;

/// What the table holds, as GNU as names it; Zicntr is part of I there.
const MARCH: &str = "-march=rv64imafdc_zicsr_zifencei_zicbom_zicboz_zba_zbb_zbs";

/// What a tool of binutils prints. `None` if it is not installed, which is an error in CI.
fn run(test: &str, tool: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(tool).args(arguments).output() {
        Ok(output) if output.status.success() => {
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(output) => panic!("{tool}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            let missing = format!("{tool}, of binutils-riscv64-linux-gnu: {error}");
            assert!(std::env::var_os("CI").is_none(), "{missing}");
            eprintln!("skipped {test}: {missing}");
            None
        }
    }
}

/// An instruction as objdump prints it.
struct Printed {
    pc: u64,
    word: u32,
    text: String,
}

/// Everything that objdump disassembles in a file.
fn disassembly(test: &str, file: &str) -> Option<Vec<Printed>> {
    let flags = ["-d", "-z", "-M", "no-aliases", file];
    let output = run(test, "riscv64-linux-gnu-objdump", &flags)?;
    // "   4:\t4501                \tc.li\ta0,0", perhaps with " <main+0x10>" or " # 123 <main>".
    let printed = output.lines().filter_map(|line| {
        let mut columns = line.splitn(3, '\t');
        let (pc, word, text) = (columns.next()?, columns.next()?, columns.next()?);
        let end = text.find([' ', '#']).unwrap_or(text.len());
        Some(Printed {
            pc: u64::from_str_radix(pc.trim().strip_suffix(':')?, 16).ok()?,
            word: u32::from_str_radix(word.trim(), 16).ok()?,
            text: text[..end].to_owned(),
        })
    });
    Some(printed.collect())
}

/// Objdump's text for each of these instructions (compressed if the low bits say so), one after
/// the other from address 0.
fn objdump(test: &str, words: &[u32]) -> Option<Vec<Printed>> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let file = |extension| {
        folder
            .join(format!("{test}.{extension}"))
            .display()
            .to_string()
    };
    let (source, object) = (file("s"), file("o"));
    let lines = words.iter().map(|&word| match length(word as u16) {
        2 => format!(".insn 2, {:#x}\n", word as u16),
        _ => format!(".insn 4, {word:#x}\n"),
    });
    std::fs::write(&source, lines.collect::<String>()).unwrap();
    run(
        test,
        "riscv64-linux-gnu-as",
        &[MARCH, &source, "-o", &object],
    )?;
    let printed = disassembly(test, &object)?;
    assert!(
        printed
            .iter()
            .map(|line| line.word)
            .eq(words.iter().copied()),
        "a line each"
    );
    Some(printed)
}

/// What we print where objdump prints `theirs`: the deliberate differences.
fn expected(word: u32, pc: u64, theirs: &str) -> String {
    let insn = decode(word).map(|decoded| decoded.insn);
    let (mnemonic, operands) = theirs.split_once('\t').unwrap_or((theirs, ""));
    let illegal = || {
        let (directive, word) = match length(word as u16) {
            2 => (".2byte", word & 0xffff),
            _ => (".4byte", word),
        };
        format!("{directive}\t{word:#x}")
    };
    match (mnemonic, operands) {
        // The manual's name for x0 += imm is c.nop.
        ("c.addi", "zero,0") => "c.nop".to_owned(),
        ("c.addi", _) if operands.starts_with("zero,") => operands.replace("zero,", "c.nop\t"),
        // Names of RV128, where a shift by 0 means a shift by 64. Here it is a hint.
        ("c.slli64" | "c.srli64" | "c.srai64", _) => {
            format!("{}\t{operands},0x0", mnemonic.trim_end_matches("64"))
        }
        // Reserved: nzimm is 0, or the rounding mode is 5 or 6.
        ("c.addi16sp", "sp,0") => illegal(),
        (_, _) if operands.ends_with(",unknown") && mnemonic != "fence" => illegal(),
        // Returns from traps in debug mode and in privileged modes that are no more.
        ("uret" | "hret" | "dret" | "sfence.vm", _) => illegal(),
        // Fields to be ignored, and a rounding mode where nothing is rounded: objdump knows no
        // instruction, the manual does.
        (".4byte", _) => match insn {
            Some(Insn::Fence(fence)) => {
                let plain = fence.order & 0xff;
                assert!(
                    fence.rd != 0 || fence.rs1 != 0 || fence.order != plain,
                    "{word:#010x}"
                );
                if fence.order == 0x833 {
                    "fence.tso".to_owned()
                } else {
                    disasm::text(0x0000_000f | u32::from(plain) << 20, pc)
                }
            }
            Some(Insn::FenceI(fence)) => {
                assert!(
                    fence.rd != 0 || fence.rs1 != 0 || fence.order != 0,
                    "{word:#010x}"
                );
                "fence.i".to_owned()
            }
            Some(Insn::FcvtDW(_) | Insn::FcvtDWu(_) | Insn::FcvtDS(_)) if word >> 12 & 7 != 0 => {
                let modes = ["", "rtz", "rdn", "rup", "rmm", "", "", "dyn"];
                let rne = disasm::text(word & !(7 << 12), pc);
                format!("{rne},{}", modes[(word >> 12 & 7) as usize])
            }
            _ => theirs.to_owned(),
        },
        _ => theirs.to_owned(),
    }
}

fn check(printed: &[Printed]) {
    for &Printed { pc, word, ref text } in printed {
        let ours = disasm::text(word, pc);
        assert_eq!(
            ours,
            expected(word, pc, text),
            "{pc:x}: {word:#010x}; objdump prints {text}"
        );
        let unknown = ours.starts_with(".4byte") || ours.starts_with(".2byte");
        assert_eq!(unknown, word != 0 && decode(word).is_none(), "{word:#010x}");
    }
}

fn check_words(test: &str, words: &[u32]) {
    if let Some(printed) = objdump(test, words) {
        check(&printed);
    }
}

#[test]
fn every_parcel() {
    let parcels: Vec<u32> = (0..=0xffff).filter(|&p| length(p as u16) == 2).collect();
    check_words("every_parcel", &parcels);
}

#[test]
fn random_words_of_every_row() {
    let mut random = Random::new(4);
    let bias = Bias::default();
    let words = Op::ALL.iter().flat_map(|&op| std::iter::repeat_n(op, 300));
    let words: Vec<u32> = words
        .map(|op| bias.instruction(op, &mut random).encode())
        .collect();
    check_words("random_words_of_every_row", &words);
}

#[test]
fn random_words_near_rows() {
    let mut random = Random::new(5);
    let words = (0..60_000).map(|i| {
        let (noise, row) = (random.bits() as u32, random.choose(Op::ALL).row());
        match i % 3 {
            0 => noise | 3,
            // One fixed bit flipped, not of those that tell the length.
            1 => (row.bits | noise & !row.mask) ^ 1 << (5 + random.below(27)),
            _ => row.bits | noise & !row.mask,
        }
    });
    let words: Vec<u32> = words.filter(|&word| word & 0x1f != 0x1f).collect();
    check_words("random_words_near_rows", &words);
}

#[test]
fn every_control_and_status_register() {
    let words: Vec<u32> = (0..4096).map(|csr| csr << 20 | 0x51073).collect();
    check_words("every_control_and_status_register", &words);
}

/// The code that compilers make, at its addresses.
#[test]
fn guest_programs() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../guests/bin");
    let mut instructions = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if !std::fs::read(&path).unwrap().starts_with(b"\x7fELF") {
            continue;
        }
        let Some(printed) = disassembly("guest_programs", path.to_str().unwrap()) else {
            return;
        };
        // What the assembler marked as data is not disassembled. Parcels that are no instruction
        // on purpose look the same; `every_parcel` has those.
        let data = |line: &Printed| {
            [".word", ".short", ".2byte"]
                .iter()
                .any(|d| line.text.starts_with(d))
        };
        let code: Vec<Printed> = printed.into_iter().filter(|line| !data(line)).collect();
        check(&code);
        instructions += code.len();
    }
    assert!(
        instructions > 10_000,
        "{instructions} instructions in {folder}"
    );
}

#[test]
fn targets_take_their_names_from_the_caller() {
    let names = |va: u64| (va >= 0x1000).then(|| format!("main+{:#x}", va - 0x1000));
    assert_eq!(
        disasm::symbolised(0x0080_00ef, 0x1008, &names),
        "jal\tra,1010 <main+0x10>"
    );
    assert_eq!(
        disasm::symbolised(0x0080_00ef, 0xff0, &names),
        "jal\tra,ff8"
    );
    assert_eq!(
        disasm::symbolised(0xc001, 0x1000, &names),
        "c.beqz\ts0,1000 <main+0x0>"
    );
}
