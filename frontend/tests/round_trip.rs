//! Every row of both tables decodes what it encodes, and nothing else decodes to it.

use frontend::compressed::{self, Compressed, CompressedOp};
use frontend::decode::{Decoded, decode, length};
use frontend::generate::{self, Bias, Random};
use frontend::{F, Insn, Op, X, csr_names, disasm};

#[test]
fn every_row_decodes_what_it_encodes() {
    let mut random = Random::new(1);
    for &op in Op::ALL {
        for _ in 0..1000 {
            let insn = Bias::default().instruction(op, &mut random);
            assert_eq!(insn.op(), op);
            assert_eq!(
                decode(insn.encode()),
                Some(Decoded { insn, len: 4 }),
                "{insn:?}"
            );
        }
    }
}

/// The bucket search finds what a search through the whole table finds.
#[test]
fn random_words_decode_as_the_table_says() {
    let mut random = Random::new(2);
    for i in 0..400_000 {
        let noise = random.bits() as u32;
        let word = match i % 4 {
            // Uniform; near a row with one fixed bit flipped; a row with random operands.
            0 => noise | 3,
            1 => {
                let row = random.choose(Op::ALL).row();
                (row.bits | noise & !row.mask) ^ 1 << (2 + random.below(30))
            }
            _ => {
                let row = random.choose(Op::ALL).row();
                row.bits | noise & !row.mask
            }
        };
        let row = Op::ALL
            .iter()
            .map(|op| op.row())
            .find(|row| word & row.mask == row.bits);
        let expected = row.and_then(|row| (row.decode)(word));
        let found = decode(word).map(|decoded| decoded.insn);
        assert_eq!(found, expected, "{word:#010x}");
        if let Some(insn) = found {
            assert_eq!(insn.encode(), word, "{insn:?}");
        }
    }
}

#[test]
fn every_parcel_round_trips() {
    let mut seen = vec![0; CompressedOp::ALL.len()];
    for parcel in 0..=u16::MAX {
        if length(parcel) == 4 {
            assert_eq!(compressed::decode(parcel), None, "{parcel:#06x}");
            continue;
        }
        let row = CompressedOp::ALL
            .iter()
            .map(|op| op.row())
            .find(|r| r.pattern.matches(parcel));
        let found: Option<Compressed> = compressed::decode(parcel);
        assert_eq!(
            found.map(|insn| insn.op()),
            row.map(|row| row.op),
            "{parcel:#06x}"
        );
        // The upper half of the word belongs to the next instruction.
        let decoded = decode(u32::from(parcel) | 0xdead_0000);
        assert_eq!(
            decoded.map(|d| (d.insn, d.len)),
            found.map(|c| (c.expand(), 2))
        );
        if let Some(insn) = found {
            assert_eq!(insn.encode(), parcel, "{insn:?}");
            seen[insn.op() as usize] += 1;
            // What it stands for is itself a valid instruction.
            let insn = insn.expand();
            assert_eq!(
                decode(insn.encode()),
                Some(Decoded { insn, len: 4 }),
                "{insn:?}"
            );
        }
    }
    assert!(
        seen.iter().all(|&n| n > 0),
        "a row that no parcel reaches: {seen:?}"
    );
}

#[test]
fn reserved_encodings_do_not_decode() {
    for parcel in [
        0x0000, // all zero: defined to be illegal
        0x0004, // c.addi4spn with immediate 0
        0x2001, // c.addiw to x0
        0x6101, // c.addi16sp with immediate 0
        0x6081, // c.lui with immediate 0
        0x4002, // c.lwsp to x0
        0x6002, // c.ldsp to x0
        0x8002, // c.jr to the address in x0
        0x8000, // quadrant 0, funct3 100
        0x9c41, // the reserved fifth and sixth word operations
        0x9c61,
    ] {
        assert_eq!(decode(parcel), None, "{parcel:#06x}");
    }
    assert_eq!(decode(0xffff_ffff), None);
    assert_eq!(decode(0x0000_007f), None, "a 64-bit encoding");
    assert_eq!(decode(0x0000_5053), None, "fadd.s with rounding mode 5");
    assert_eq!(decode(0x0200_1093 | 1 << 26), None, "slli by 64 or more");
    assert_eq!(decode(0x0200_109b), None, "slliw by 32 or more");
}

/// The manual calls them hints: they execute and change nothing.
#[test]
fn hints_decode() {
    for (parcel, insn) in [
        (0x0005, "addi\tzero,zero,1"),
        (0x0081, "addi\tra,ra,0"),
        (0x4005, "addi\tzero,zero,1"),
        (0x6005, "lui\tzero,0x1"),
        (0x8006, "add\tzero,zero,ra"),
        (0x9006, "add\tzero,zero,ra"),
        (0x0002, "slli\tzero,zero,0x0"),
        (0x0082, "slli\tra,ra,0x0"),
        (0x8001, "srli\ts0,s0,0x0"),
    ] {
        let decoded = decode(parcel).unwrap_or_else(|| panic!("{parcel:#06x} does not decode"));
        assert_eq!(disasm::instruction(decoded.insn, 0, &|_| None), insn);
    }
}

#[test]
fn registers_follow_from_the_operand_formats() {
    let check = |word: u32, defs: &[&str], uses: &[&str]| {
        let insn = decode(word).unwrap().insn;
        let names = |set: frontend::RegisterSet| -> Vec<String> {
            let xs = set.xs().map(|x| x.to_string());
            xs.chain(set.fs().map(|f| f.to_string())).collect()
        };
        assert_eq!(names(insn.defs()), defs, "{insn:?}");
        assert_eq!(names(insn.uses()), uses, "{insn:?}");
    };
    check(0x00c5_8533, &["a0"], &["a1", "a2"]); // add a0,a1,a2
    check(0x00a5_8033, &[], &["a0", "a1"]); // add zero,a1,a0
    check(0x0000_0513, &["a0"], &[]); // li a0,0
    check(0x00c5_8c63, &[], &["a1", "a2"]); // beq a1,a2
    check(0x00c5_a527, &[], &["a1", "fa2"]); // fsw fa2,10(a1)
    check(0x00c5_f543, &["fa0"], &["ft0", "fa1", "fa2"]); // fmadd.s fa0,fa1,fa2,ft0
    check(0xc005_1553, &["a0"], &["fa0"]); // fcvt.w.s a0,fa0,rtz
    check(0x3415_5573, &["a0"], &[]); // csrrwi a0,mepc,10
    check(0x0ff5_058f, &[], &[]); // fence, whose rd and rs1 are ignored
    check(0x9532, &["a0"], &["a0", "a2"]); // c.add a0,a2

    let mut random = Random::new(3);
    for &op in Op::ALL {
        let insn = Bias::default().instruction(op, &mut random);
        let moved = insn.map_registers(|_| X::new(7), |_| F::new(9));
        assert_eq!(moved.op(), op);
        assert_eq!(
            moved.defs().bits() & !(1 << 7 | 1 << (32 + 9)),
            0,
            "{moved:?}"
        );
        assert_eq!(
            moved.uses().bits() & !(1 << 7 | 1 << (32 + 9)),
            0,
            "{moved:?}"
        );
    }
}

#[test]
fn jumps_know_their_targets() {
    let target = |word| decode(word).unwrap().insn.direct_target(0x1000);
    assert_eq!(target(0xffdf_f06f), Some(0xffc)); // j .-4
    assert_eq!(target(0xfe00_0ee3), Some(0xffc)); // beqz zero, .-4
    assert_eq!(target(0xbff5), Some(0xffc)); // c.j .-4
    assert_eq!(target(0xdd75), Some(0xffc)); // c.beqz a0, .-4
    assert_eq!(target(0x0000_80e7), None); // jalr
    assert_eq!(target(0x9532), None);
}

#[test]
fn generation_is_deterministic_and_respects_its_bias() {
    let bias = Bias {
        x: vec![X::A0, X::SP],
        f: vec![F::new(3)],
        dynamic_rounding: false,
    };
    let words = |seed| -> Vec<u32> {
        let mut random = Random::new(seed);
        (0..2000).map(|_| bias.any(&mut random).encode()).collect()
    };
    assert_eq!(words(7), words(7));
    assert_ne!(words(7), words(8));
    let pool = 1 << 10 | 1 << 2 | 1 << (32 + 3);
    for word in words(7) {
        let insn: Insn = decode(word).unwrap().insn;
        assert_eq!(insn.defs().union(insn.uses()).bits() & !pool, 0, "{insn:?}");
        assert_ne!(insn.rm(), Some(frontend::Rm::Dyn));
    }
    let mut random = Random::new(9);
    for &op in CompressedOp::ALL {
        assert_eq!(generate::compressed(op, &mut random).op(), op);
    }
}

#[test]
fn control_and_status_registers_have_one_name() {
    for csr in 0..4096 {
        if let Some(name) = csr_names::name(csr) {
            assert_eq!(csr_names::number(&name), Some(csr));
        }
    }
    assert_eq!(csr_names::name(0xc00).as_deref(), Some("cycle"));
    assert_eq!(csr_names::name(0x3c0).as_deref(), Some("pmpaddr16"));
    assert_eq!(csr_names::name(0x800), None);
}
