//! What floating-point instructions do, by Berkeley SoftFloat: the reference for the engines'
//! values and flags. Registers, boxing and flag accrual are written anew here too.

#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "each is a call of a SoftFloat function, which touches nothing but its own thread's \
              rounding mode and flags"
)]

use frontend::generate::Random;
use frontend::*;
use hart::HartState;
use softfloat_sys as sf;
use std::num::FpCategory;

/// Every floating-point instruction that computes, with each rounding mode it can have; operands
/// in f1, f2, f3 or x1, result in f4 or x4.
pub fn instructions() -> Vec<Insn> {
    let modes = [Rm::Rne, Rm::Rtz, Rm::Rdn, Rm::Rup, Rm::Rmm, Rm::Dyn];
    let (from, to) = (Op::FmaddS as usize, Op::FcvtDS as usize);
    let words = Op::ALL[from..=to].iter().flat_map(|op| {
        let row = op.row();
        let rounded = row.mask >> 12 & 7 == 0;
        let modes = if rounded { &modes[..] } else { &modes[..1] };
        modes.iter().filter_map(move |&rm| {
            let fields = 4 << 7 | 1 << 15 | 2 << 20 | 3 << 27 | (rm as u32) << 12;
            (row.decode)(row.bits | fields & !row.mask)
        })
    });
    let any = HartState::default();
    words
        .filter(|&insn| expected(insn, &any).is_some())
        .collect()
}

/// Random operands for [`instructions`], often special; random flags and dynamic rounding mode.
pub fn operands(random: &mut Random) -> HartState {
    let mut hart = HartState {
        frm: random.below(5) as u32,
        ..HartState::default()
    };
    if random.one_in(2) {
        hart.fflags = random.below(32) as u32;
    }
    hart.x[1] = random.integer();
    for f in 1..=3 {
        hart.f[f] = random.float();
    }
    // Operands that are close to each other, where sums cancel.
    if random.one_in(4) {
        hart.f[2] = hart.f[1] ^ random.below(4) ^ (random.bits() & 1) << 63;
    }
    hart
}

/// The state after an instruction of [`instructions`], but for pc and instret; `None` if it is not
/// one of them.
pub fn expected(insn: Insn, before: &HartState) -> Option<HartState> {
    let mut m = Machine { hart: *before };
    match insn {
        Insn::FmaddS(o) => m.fused_s(o, 0, 0),
        Insn::FmsubS(o) => m.fused_s(o, 0, 1 << 31),
        Insn::FnmsubS(o) => m.fused_s(o, 1 << 31, 0),
        Insn::FnmaddS(o) => m.fused_s(o, 1 << 31, 1 << 31),
        Insn::FaddS(o) => m.binary_s(o, sf::f32_add),
        Insn::FsubS(o) => m.binary_s(o, sf::f32_sub),
        Insn::FmulS(o) => m.binary_s(o, sf::f32_mul),
        Insn::FdivS(o) => m.binary_s(o, sf::f32_div),
        Insn::FsqrtS(o) => {
            let a = m.s(o.rs1);
            let root = m.compute(o.rm, || unsafe { sf::f32_sqrt(a) });
            m.set_s(o.rd, root);
        }
        Insn::FminS(o) => m.extremum_s(o, true),
        Insn::FmaxS(o) => m.extremum_s(o, false),
        Insn::FeqS(o) => m.compare_s(o, sf::f32_eq),
        Insn::FltS(o) => m.compare_s(o, sf::f32_lt),
        Insn::FleS(o) => m.compare_s(o, sf::f32_le),
        Insn::FclassS(o) => {
            let v = f32::from_bits(m.s(o.rs1).v);
            let class = class(
                v.classify(),
                v.is_sign_negative(),
                v.to_bits() >> 22 & 1 == 1,
            );
            m.hart.set(o.rd, class);
        }
        Insn::FcvtWS(o) => m.integer_s(o, |a, rm| unsafe { sf::f32_to_i32(a, rm, true) as u64 }),
        Insn::FcvtWuS(o) => {
            m.integer_s(o, |a, rm| unsafe {
                sf::f32_to_ui32(a, rm, true) as i32 as u64
            });
        }
        Insn::FcvtLS(o) => m.integer_s(o, |a, rm| unsafe { sf::f32_to_i64(a, rm, true) as u64 }),
        Insn::FcvtLuS(o) => m.integer_s(o, |a, rm| unsafe { sf::f32_to_ui64(a, rm, true) }),
        Insn::FcvtSW(o) => m.single(o, |x| unsafe { sf::i32_to_f32(x as i32) }),
        Insn::FcvtSWu(o) => m.single(o, |x| unsafe { sf::ui32_to_f32(x as u32) }),
        Insn::FcvtSL(o) => m.single(o, |x| unsafe { sf::i64_to_f32(x as i64) }),
        Insn::FcvtSLu(o) => m.single(o, |x| unsafe { sf::ui64_to_f32(x) }),
        Insn::FmaddD(o) => m.fused_d(o, 0, 0),
        Insn::FmsubD(o) => m.fused_d(o, 0, 1 << 63),
        Insn::FnmsubD(o) => m.fused_d(o, 1 << 63, 0),
        Insn::FnmaddD(o) => m.fused_d(o, 1 << 63, 1 << 63),
        Insn::FaddD(o) => m.binary_d(o, sf::f64_add),
        Insn::FsubD(o) => m.binary_d(o, sf::f64_sub),
        Insn::FmulD(o) => m.binary_d(o, sf::f64_mul),
        Insn::FdivD(o) => m.binary_d(o, sf::f64_div),
        Insn::FsqrtD(o) => {
            let a = m.d(o.rs1);
            let root = m.compute(o.rm, || unsafe { sf::f64_sqrt(a) });
            m.set_d(o.rd, root);
        }
        Insn::FminD(o) => m.extremum_d(o, true),
        Insn::FmaxD(o) => m.extremum_d(o, false),
        Insn::FeqD(o) => m.compare_d(o, sf::f64_eq),
        Insn::FltD(o) => m.compare_d(o, sf::f64_lt),
        Insn::FleD(o) => m.compare_d(o, sf::f64_le),
        Insn::FclassD(o) => {
            let v = f64::from_bits(m.d(o.rs1).v);
            let class = class(
                v.classify(),
                v.is_sign_negative(),
                v.to_bits() >> 51 & 1 == 1,
            );
            m.hart.set(o.rd, class);
        }
        Insn::FcvtWD(o) => m.integer_d(o, |a, rm| unsafe { sf::f64_to_i32(a, rm, true) as u64 }),
        Insn::FcvtWuD(o) => {
            m.integer_d(o, |a, rm| unsafe {
                sf::f64_to_ui32(a, rm, true) as i32 as u64
            });
        }
        Insn::FcvtLD(o) => m.integer_d(o, |a, rm| unsafe { sf::f64_to_i64(a, rm, true) as u64 }),
        Insn::FcvtLuD(o) => m.integer_d(o, |a, rm| unsafe { sf::f64_to_ui64(a, rm, true) }),
        Insn::FcvtDW(o) => m.double(o, |x| unsafe { sf::i32_to_f64(x as i32) }),
        Insn::FcvtDWu(o) => m.double(o, |x| unsafe { sf::ui32_to_f64(x as u32) }),
        Insn::FcvtDL(o) => m.double(o, |x| unsafe { sf::i64_to_f64(x as i64) }),
        Insn::FcvtDLu(o) => m.double(o, |x| unsafe { sf::ui64_to_f64(x) }),
        Insn::FcvtSD(o) => {
            let a = m.d(o.rs1);
            let single = m.compute(o.rm, || unsafe { sf::f64_to_f32(a) });
            m.set_s(o.rd, single);
        }
        Insn::FcvtDS(o) => {
            let a = m.s(o.rs1);
            let double = m.compute(o.rm, || unsafe { sf::f32_to_f64(a) });
            m.set_d(o.rd, double);
        }
        _ => return None,
    }
    Some(m.hart)
}

/// `fclass`'s bit.
fn class(category: FpCategory, negative: bool, quiet: bool) -> u64 {
    1 << match (category, negative) {
        (FpCategory::Infinite, true) => 0,
        (FpCategory::Normal, true) => 1,
        (FpCategory::Subnormal, true) => 2,
        (FpCategory::Zero, true) => 3,
        (FpCategory::Zero, false) => 4,
        (FpCategory::Subnormal, false) => 5,
        (FpCategory::Normal, false) => 6,
        (FpCategory::Infinite, false) => 7,
        (FpCategory::Nan, _) => {
            if quiet {
                9
            } else {
                8
            }
        }
    }
}

/// A hart's registers as SoftFloat's types.
struct Machine {
    hart: HartState,
}

impl Machine {
    fn s(&self, rs: F) -> sf::float32_t {
        let bits = self.hart.f(rs);
        let boxed = (bits >> 32) as u32 == u32::MAX;
        sf::float32_t {
            v: if boxed { bits as u32 } else { 0x7fc0_0000 },
        }
    }
    fn d(&self, rs: F) -> sf::float64_t {
        sf::float64_t { v: self.hart.f(rs) }
    }
    fn set_s(&mut self, rd: F, value: sf::float32_t) {
        self.hart
            .set_f(rd, u64::from(u32::MAX) << 32 | u64::from(value.v));
    }
    fn set_d(&mut self, rd: F, value: sf::float64_t) {
        self.hart.set_f(rd, value.v);
    }
    /// The number of a rounding mode, which is SoftFloat's too.
    fn mode(&self, rm: Rm) -> u8 {
        if rm == Rm::Dyn {
            self.hart.frm as u8
        } else {
            rm as u8
        }
    }

    /// Calls SoftFloat in a rounding mode and accrues its flags, which are RISC-V's.
    fn compute<T>(&mut self, rm: Rm, operation: impl FnOnce() -> T) -> T {
        // SAFETY: these are variables of this thread.
        unsafe {
            sf::softfloat_detectTininess_write_helper(sf::softfloat_tininess_afterRounding);
            sf::softfloat_roundingMode_write_helper(self.mode(rm));
            sf::softfloat_exceptionFlags_write_helper(0);
        }
        let result = operation();
        // SAFETY: as above.
        self.hart.fflags |= u32::from(unsafe { sf::softfloat_exceptionFlags_read_helper() });
        result
    }

    fn fused_s(&mut self, o: Fr4, negate_product: u32, negate_sum: u32) {
        let (mut a, b, mut c) = (self.s(o.rs1), self.s(o.rs2), self.s(o.rs3));
        a.v ^= negate_product;
        c.v ^= negate_sum;
        let value = self.compute(o.rm, || unsafe { sf::f32_mulAdd(a, b, c) });
        self.set_s(o.rd, value);
    }
    fn fused_d(&mut self, o: Fr4, negate_product: u64, negate_sum: u64) {
        let (mut a, b, mut c) = (self.d(o.rs1), self.d(o.rs2), self.d(o.rs3));
        a.v ^= negate_product;
        c.v ^= negate_sum;
        let value = self.compute(o.rm, || unsafe { sf::f64_mulAdd(a, b, c) });
        self.set_d(o.rd, value);
    }
    fn binary_s(&mut self, o: Fr, f: Binary<sf::float32_t, sf::float32_t>) {
        let (a, b) = (self.s(o.rs1), self.s(o.rs2));
        let value = self.compute(o.rm, || unsafe { f(a, b) });
        self.set_s(o.rd, value);
    }
    fn binary_d(&mut self, o: Fr, f: Binary<sf::float64_t, sf::float64_t>) {
        let (a, b) = (self.d(o.rs1), self.d(o.rs2));
        let value = self.compute(o.rm, || unsafe { f(a, b) });
        self.set_d(o.rd, value);
    }
    fn compare_s(&mut self, o: Fcmp, f: Binary<sf::float32_t, bool>) {
        let (a, b) = (self.s(o.rs1), self.s(o.rs2));
        let value = self.compute(Rm::Rne, || unsafe { f(a, b) });
        self.hart.set(o.rd, u64::from(value));
    }
    fn compare_d(&mut self, o: Fcmp, f: Binary<sf::float64_t, bool>) {
        let (a, b) = (self.d(o.rs1), self.d(o.rs2));
        let value = self.compute(Rm::Rne, || unsafe { f(a, b) });
        self.hart.set(o.rd, u64::from(value));
    }
    /// minimumNumber and maximumNumber, which SoftFloat lacks: the host's, a NaN losing, zeros
    /// told apart by their signs.
    fn extremum_s(&mut self, o: Fr2, least: bool) {
        let (a, b) = (self.s(o.rs1), self.s(o.rs2));
        let (x, y) = (f32::from_bits(a.v), f32::from_bits(b.v));
        let a_first = y.is_nan() || x < y || x == y && x.is_sign_negative();
        let a_last = y.is_nan() || x > y || x == y && x.is_sign_positive();
        let chosen = if if least { a_first } else { a_last } {
            x
        } else {
            y
        };
        self.signal(unsafe { sf::f32_isSignalingNaN(a) || sf::f32_isSignalingNaN(b) });
        self.set_s(
            o.rd,
            sf::float32_t {
                v: if chosen.is_nan() {
                    0x7fc0_0000
                } else {
                    chosen.to_bits()
                },
            },
        );
    }
    fn extremum_d(&mut self, o: Fr2, least: bool) {
        let (a, b) = (self.d(o.rs1), self.d(o.rs2));
        let (x, y) = (f64::from_bits(a.v), f64::from_bits(b.v));
        let a_first = y.is_nan() || x < y || x == y && x.is_sign_negative();
        let a_last = y.is_nan() || x > y || x == y && x.is_sign_positive();
        let chosen = if if least { a_first } else { a_last } {
            x
        } else {
            y
        };
        self.signal(unsafe { sf::f64_isSignalingNaN(a) || sf::f64_isSignalingNaN(b) });
        self.set_d(
            o.rd,
            sf::float64_t {
                v: if chosen.is_nan() {
                    0x7ff8 << 48
                } else {
                    chosen.to_bits()
                },
            },
        );
    }
    fn signal(&mut self, invalid: bool) {
        self.hart.fflags |= u32::from(invalid) << 4;
    }
    fn integer_s(&mut self, o: FtoX, f: impl FnOnce(sf::float32_t, u8) -> u64) {
        let (a, mode) = (self.s(o.rs1), self.mode(o.rm));
        let value = self.compute(o.rm, || f(a, mode));
        self.hart.set(o.rd, value);
    }
    fn integer_d(&mut self, o: FtoX, f: impl FnOnce(sf::float64_t, u8) -> u64) {
        let (a, mode) = (self.d(o.rs1), self.mode(o.rm));
        let value = self.compute(o.rm, || f(a, mode));
        self.hart.set(o.rd, value);
    }
    fn single(&mut self, o: XtoF, f: impl FnOnce(u64) -> sf::float32_t) {
        let x = self.hart.x(o.rs1);
        let value = self.compute(o.rm, || f(x));
        self.set_s(o.rd, value);
    }
    fn double(&mut self, o: XtoF, f: impl FnOnce(u64) -> sf::float64_t) {
        let x = self.hart.x(o.rs1);
        let value = self.compute(o.rm, || f(x));
        self.set_d(o.rd, value);
    }
}

type Binary<T, R> = unsafe extern "C" fn(T, T) -> R;
