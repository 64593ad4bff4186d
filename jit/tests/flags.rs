//! Floating-point flags are raised by what the guest executes, no more and no less, whatever
//! Cranelift thinks of an operation whose result nobody uses or that never changes in a loop.
//!
//! The bytes of the programs come from GNU as.

mod support;

use hart::HartState;
use support::*;

const NV: u32 = 16;
const NX: u32 = 1;

/// A state with fa0 = 1, fa1 = 3, fa2 = infinity, a2 at the data.
fn floats() -> HartState {
    let mut state = start();
    for (register, value) in [(10, 1.0_f64), (11, 3.0), (12, f64::INFINITY)] {
        state.f[register] = value.to_bits();
    }
    state.x[12] = DATA;
    state
}

/// The outcome, which must be the same on the interpreter and in compiled code, counting or not.
fn both(code: &[u8], start: &HartState) -> Outcome {
    check_bytes(code, start, 1 << 20)
}

/// Bytes of instructions, the short ones as two bytes.
fn bytes(parcels: &[u16]) -> Vec<u8> {
    parcels.iter().flat_map(|p| p.to_le_bytes()).collect()
}

const ECALL: [u16; 2] = [0x0073, 0x0000];
/// fdiv.d ft2,fa0,fa1
const DIVIDE: [u16; 2] = [0x7153, 0x1ab5];

#[test]
fn a_division_that_a_loop_skips_raises_nothing() {
    // 1: beqz a1,2f; fdiv.d ft2,fa0,fa1; 2: addi a0,a0,-1; bnez a0,1b; ecall
    let code = bytes(&[&[0xc199], &DIVIDE[..], &[0x157d, 0xfd65], &ECALL[..]].concat());
    let mut state = floats();
    state.x[10] = 10;
    assert_eq!(both(&code, &state).state.fflags, 0);
    state.x[11] = 1;
    assert_eq!(both(&code, &state).state.fflags, NX);
}

#[test]
fn a_division_whose_result_is_overwritten_raises_its_flags() {
    // fdiv.d ft2,fa0,fa1; fmv.d ft2,fa2; ecall
    let code = bytes(&[&DIVIDE[..], &[0x0153, 0x22c6], &ECALL[..]].concat());
    assert_eq!(both(&code, &floats()).state.fflags, NX);
}

#[test]
fn a_conversion_of_a_constant_raises_its_flags() {
    // li a0,1; slli a0,a0,53; addi a0,a0,1; fcvt.d.l fa0,a0; ecall
    let code = bytes(&[&[0x4505, 0x1556, 0x0505, 0x7553, 0xd225], &ECALL[..]].concat());
    let outcome = both(&code, &floats());
    assert_eq!(outcome.state.fflags, NX);
    assert_eq!(outcome.state.f[10], 2_f64.powi(53).to_bits());
}

#[test]
fn a_conversion_of_what_only_simplification_shows_to_be_constant_raises_its_flags() {
    // orn s4,s4,s4; fcvt.s.lu ft11,s4; ecall
    let code = bytes(&[&[0x6a33, 0x414a, 0x7fd3, 0xd03a], &ECALL[..]].concat());
    assert_eq!(both(&code, &floats()).state.fflags, NX);
}

/// A loop that skips `body`, which would raise NX, and then one that does not.
fn skipped(before: &[u16], body: &[u16]) {
    // 1: beqz a1,2f; body; 2: addi a0,a0,-1; bnez a0,1b; ecall
    let length = 2 * body.len() as u16 + 2;
    let back = (-(i32::from(length) + 2)) as u16;
    let bit = |value: u16, from: u32, to: u32| (value >> from & 1) << to;
    let branch = |op: u16, offset: u16| {
        op | bit(offset, 8, 12)
            | (offset >> 3 & 3) << 10
            | (offset >> 6 & 3) << 5
            | (offset >> 1 & 3) << 3
            | bit(offset, 5, 2)
    };
    let start = [before, &[branch(0xc181, length)], body].concat();
    let end = [&[0x157d, branch(0xe101, back)], &ECALL[..]].concat();
    let code = bytes(&[start, end].concat());
    let mut state = floats();
    state.x[10] = 10;
    state.x[14] = (1 << 53) + 1;
    assert_eq!(both(&code, &state).state.fflags, 0);
    state.x[11] = 1;
    assert_eq!(both(&code, &state).state.fflags, NX);
}

/// fdiv.d ft2,fa3,fa1
const DIVIDE_A3: [u16; 2] = [0xf153, 0x1ab6];

#[test]
fn a_skipped_division_of_what_was_stored_before_the_loop_raises_nothing() {
    // fsd fa0,0(a2); in the loop: fld fa3,0(a2); fdiv.d
    skipped(&[0xa208], &[&[0x2214], &DIVIDE_A3[..]].concat());
}

#[test]
fn a_skipped_division_of_what_was_stored_in_the_loop_raises_nothing() {
    // fsd fa0,0(a2); fld fa3,0(a2); fdiv.d
    skipped(&[], &[&[0xa208, 0x2214], &DIVIDE_A3[..]].concat());
}

#[test]
fn a_skipped_division_of_what_was_loaded_before_the_loop_raises_nothing() {
    // fsd fa0,0(a2); fence; fld fa3,0(a2); in the loop: fld fa3,0(a2); fdiv.d
    let before = [0xa208, 0x000f, 0x0ff0, 0x2214];
    skipped(&before, &[&[0x2214], &DIVIDE_A3[..]].concat());
}

#[test]
fn a_skipped_division_of_bits_that_do_not_change_raises_nothing() {
    // fmv.x.d a4,fa0; in the loop: sub a3,a0,a0; add a3,a3,a4; fmv.d.x fa3,a3; fdiv.d
    let bits = [0x06b3, 0x40a5, 0x96ba, 0x86d3, 0xf206];
    skipped(&[0x0753, 0xe205], &[&bits, &DIVIDE_A3[..]].concat());
}

#[test]
fn a_skipped_division_of_a_number_whose_sign_is_changed_back_raises_nothing() {
    // fcvt.d.w fa5,a0; fsgnjx.d fa3,fa0,fa5; fsgnjx.d fa3,fa3,fa5; fdiv.d
    let back = [0x07d3, 0xd205, 0x26d3, 0x22f5, 0xa6d3, 0x22f6];
    skipped(&[], &[&back, &DIVIDE_A3[..]].concat());
}

#[test]
fn a_skipped_conversion_of_an_integer_that_does_not_change_raises_nothing() {
    // sub a3,a0,a0; add a3,a3,a4; fcvt.d.l fa3,a3
    skipped(&[], &[0x06b3, 0x40a5, 0x96ba, 0xf6d3, 0xd226]);
}

#[test]
fn flags_cleared_between_two_equal_divisions_are_raised_again() {
    // fdiv.d ft2,fa0,fa1; fsflags zero; fdiv.d ft3,fa0,fa1; frflags a0; ecall
    let second = [0x1073, 0x0010, 0x71d3, 0x1ab5, 0x2573, 0x0010];
    let code = bytes(&[&DIVIDE[..], &second, &ECALL[..]].concat());
    let outcome = both(&code, &floats());
    assert_eq!(outcome.state.x[10], u64::from(NX));
}

#[test]
fn a_nan_is_canonical_wherever_it_is_looked_at() {
    // fsub.d ft2,fa2,fa2; fsgnjx.d ft3,ft2,ft2; fmv.x.d a0,ft2; fsd ft2,0(a2); ecall
    let look = [0x21d3, 0x2221, 0x0553, 0xe201, 0x3027, 0x0026];
    let code = bytes(&[&[0x7153, 0x0ac6], &look[..], &ECALL[..]].concat());
    let outcome = both(&code, &floats());
    assert_eq!(outcome.state.fflags, NV);
    let canonical = 0x7ff8_0000_0000_0000_u64;
    assert_eq!([outcome.state.f[2], outcome.state.f[3]], [canonical; 2]);
    assert_eq!(outcome.state.x[10], canonical);
    assert_eq!(outcome.data[..8], canonical.to_le_bytes());
}

#[test]
fn a_nan_is_canonical_too_if_what_is_made_of_it_is_checked_at_once() {
    // fsqrt.d ft2,fa3; fmul.d fa4,ft3,ft2; fsgnj.s ft3,ft4,fa4; ecall: fa4 is used as a double and
    // as a single.
    let roots = [0xf153, 0x5a06, 0xf753, 0x1221, 0x01d3, 0x20e2];
    let code = bytes(&[&roots[..], &ECALL[..]].concat());
    let mut state = floats();
    state.f[13] = 0xffff_ffff_3f80_0001;
    let outcome = both(&code, &state);
    assert_eq!(outcome.state.f[2], 0x7ff8_0000_0000_0000);
}

#[test]
fn every_rounding_mode_rounds_as_frm_says() {
    // fdiv.d ft2,fa0,fa1; ecall
    let code = bytes(&[&DIVIDE[..], &ECALL[..]].concat());
    let mut results = Vec::new();
    for frm in 0..8 {
        let state = HartState { frm, ..floats() };
        let outcome = both(&code, &state);
        results.push(outcome.state.f[2]);
    }
    let third = (1.0_f64 / 3.0).to_bits();
    assert_eq!(results, [third, third, third, third + 1, third, 0, 0, 0]);
}

/// Bytes of instructions that are all of four bytes.
fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

const END: u32 = 0x0000_0073;

#[test]
fn a_nan_beside_it_does_not_keep_an_unused_result_from_raising_its_flags() {
    // fdiv.d ft2,fa4,fa4; fdiv.d ft4,fa0,fa0; fdiv.d ft3,fa0,fa1; fmv.d ft3,fa2; ecall
    let code = words(&[0x1ae7_7153, 0x1aa5_7253, 0x1ab5_71d3, 0x22c6_01d3, END]);
    assert_eq!(both(&code, &floats()).state.fflags, NV | NX);
}

#[test]
fn equal_divisions_raise_their_flags_on_either_side_of_each_access() {
    // fdiv.d ft2,fa0,fa1; frflags a0; fsflags zero; fdiv.d ft3,fa0,fa1; frflags a1; fsflagsi 6;
    // fdiv.d ft4,fa0,fa1; fsflags a2,a0; frcsr a3; ecall
    let code = words(&[
        0x1ab5_7153,
        0x0010_2573,
        0x0010_1073,
        0x1ab5_71d3,
        0x0010_25f3,
        0x0013_5073,
        0x1ab5_7253,
        0x0015_1673,
        0x0030_26f3,
        END,
    ]);
    let x = both(&code, &floats()).state.x;
    assert_eq!([x[10], x[11], x[12], x[13]], [1, 1, 7, 1]);
}

#[test]
fn a_division_that_a_loop_repeats_raises_its_flags_after_each_clearing() {
    // 1: fdiv.d ft2,fa0,fa1; frflags a1; or a2,a2,a1; fsflags zero; addi a0,a0,-1; bnez a0,1b;
    // frflags a3; ecall
    let code = words(&[
        0x1ab5_7153,
        0x0010_25f3,
        0x00b6_6633,
        0x0010_1073,
        0xfff5_0513,
        0xfe05_16e3,
        0x0010_26f3,
        END,
    ]);
    let mut state = floats();
    state.x[10] = 10;
    let x = both(&code, &state).state.x;
    assert_eq!((x[11], x[13]), (u64::from(NX), 0));
}

#[test]
fn a_division_is_not_done_before_an_access_on_one_of_two_ways_to_it() {
    // fdiv.d ft2,fa0,fa1; fsflags zero; beqz a1,1f; fdiv.d ft3,fa0,fa1; 1: frflags a0; ecall
    let code = words(&[
        0x1ab5_7153,
        0x0010_1073,
        0x0005_8463,
        0x1ab5_71d3,
        0x0010_2573,
        END,
    ]);
    for taken in [0, 1] {
        let mut state = floats();
        state.x[11] = taken;
        assert_eq!(both(&code, &state).state.x[10], taken * u64::from(NX));
    }
}

#[test]
fn a_quiet_comparison_made_of_a_loud_one_leaves_the_flags_alone() {
    // frflags a5; flt.d a4,fa0,fa6; fsflags a5; frflags a3; ecall
    let code = words(&[0x0010_27f3, 0xa305_1753, 0x0017_9073, 0x0010_26f3, END]);
    let mut state = floats();
    for (number, flags) in [(2.0, 0), (f64::NAN, NX), (f64::INFINITY, NV)] {
        state.f[16] = f64::to_bits(number);
        state.fflags = flags;
        let outcome = both(&code, &state);
        assert_eq!(outcome.state.x[13], u64::from(flags));
        assert_eq!(outcome.state.x[14], u64::from(1.0 < number));
    }
}

#[test]
fn a_signaling_nan_compared_before_the_flags_are_cleared_raises_nothing_behind() {
    // feq.d a4,fa0,fa6; fsflags zero; feq.d a5,fa0,fa6 if a1; frflags a0; ecall
    let code = words(&[
        0xa305_2753,
        0x0010_1073,
        0x0005_8463,
        0xa305_27d3,
        0x0010_2573,
        END,
    ]);
    let mut state = floats();
    state.f[16] = 0x7ff0_0000_0000_0001;
    for taken in [0, 1] {
        state.x[11] = taken;
        assert_eq!(both(&code, &state).state.x[10], taken * u64::from(NV));
    }
}

#[test]
fn divisions_round_as_frm_says_on_either_side_of_a_change() {
    // frrm a0; fsrm a1,a2; fdiv.d ft2,fa0,fa1; fsrm a3,a1; fdiv.d ft3,fa0,fa1; frcsr a4; ecall
    let code = words(&[
        0x0020_2573,
        0x0026_15f3,
        0x1ab5_7153,
        0x0025_96f3,
        0x1ab5_71d3,
        0x0030_2773,
        END,
    ]);
    let third = (1.0_f64 / 3.0).to_bits();
    for mode in 0..5 {
        let mut state = floats();
        state.x[12] = mode;
        let outcome = both(&code, &state);
        let up = u64::from(mode == 3);
        assert_eq!(outcome.state.f[2..4], [third + up, third]);
        assert_eq!(outcome.state.x[14], u64::from(NX));
    }
}

#[test]
fn a_write_of_fcsr_clears_flags_and_changes_the_mode() {
    // fdiv.d ft2,fa0,fa1; fscsr a1,a2; fdiv.d ft3,fa0,fa1; frcsr a4; ecall
    let code = words(&[0x1ab5_7153, 0x0036_15f3, 0x1ab5_71d3, 0x0030_2773, END]);
    for written in [0, 0x10, 0x60, 0xffff_0008] {
        let mut state = floats();
        state.x[12] = written;
        let x = both(&code, &state).state.x;
        assert_eq!((x[11], x[14]), (1, written & 0xff | 1));
    }
}

#[test]
fn flags_read_before_a_fault_are_those_of_then() {
    // fdiv.d ft2,fa0,fa1; fsflags a5,zero; ld a6,0(a2); frflags a4; fdiv.d ft3,fa0,fa1;
    // ld a7,0(a3); ecall
    let code = words(&[
        0x1ab5_7153,
        0x0010_17f3,
        0x0006_3803,
        0x0010_2773,
        0x1ab5_71d3,
        0x0006_b883,
        END,
    ]);
    let mut state = floats();
    for fault in [false, true] {
        state.x[13] = if fault { 8 } else { DATA };
        let outcome = both(&code, &state);
        assert_eq!(outcome.state.x[14..16], [0, u64::from(NX)]);
        assert_eq!(outcome.state.fflags, NX);
    }
}
