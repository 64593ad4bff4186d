//! The registers that instructions name, and sets of them.

use std::fmt;

macro_rules! register {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, [$($variant:ident)*], $abi:expr) => {
        $(#[$doc])*
        ///
        /// An enumeration, so that the compiler knows that a register number is below 32 and an
        /// engine's accesses to its register file need no check.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "numbers")]
        pub enum $name {
            $($variant,)*
        }

        impl $name {
            const ALL: [$name; 32] = [$($name::$variant),*];

            /// Register number `n`; only its low five bits count, so every value is valid.
            #[inline(always)]
            pub const fn new(n: u8) -> Self {
                Self::ALL[(n & 31) as usize]
            }
            /// The register's number, 0 to 31, as an index.
            #[inline(always)]
            pub const fn index(self) -> usize {
                self as usize
            }
            /// The register's number, 0 to 31.
            #[inline(always)]
            pub const fn number(self) -> u8 {
                self as u8
            }
            /// The register's name in the calling convention.
            pub const fn abi_name(self) -> &'static str {
                const NAMES: [&str; 32] = $abi;
                NAMES[self.index()]
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.number())
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.abi_name())
            }
        }
    };
}

register!(
    /// An integer register, `x0` to `x31`.
    X,
    "x",
    [X0 X1 X2 X3 X4 X5 X6 X7 X8 X9 X10 X11 X12 X13 X14 X15 X16 X17 X18 X19 X20 X21 X22 X23 X24 X25 X26 X27 X28 X29 X30 X31],
    [
        "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4",
        "a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4",
        "t5", "t6",
    ]
);
register!(
    /// A floating-point register, `f0` to `f31`.
    F,
    "f",
    [F0 F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 F11 F12 F13 F14 F15 F16 F17 F18 F19 F20 F21 F22 F23 F24 F25 F26 F27 F28 F29 F30 F31],
    [
        "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2",
        "fa3", "fa4", "fa5", "fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9",
        "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
    ]
);

impl X {
    /// The hard-wired zero.
    pub const ZERO: X = X::X0;
    /// Return address.
    pub const RA: X = X::X1;
    /// Stack pointer.
    pub const SP: X = X::X2;
    /// Thread pointer.
    pub const TP: X = X::X4;
    /// First argument and return value; `A0 + n` is argument n.
    pub const A0: X = X::X10;
    /// System call number.
    pub const A7: X = X::X17;
}

/// A set of integer and floating-point registers, without `x0`, which holds nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RegisterSet(u64);

impl RegisterSet {
    /// No register.
    pub const EMPTY: RegisterSet = RegisterSet(0);

    /// The set as bits: x1 to x31 are bits 1 to 31, f0 to f31 bits 32 to 63.
    pub const fn bits(self) -> u64 {
        self.0
    }
    /// Only the integer registers' bits, `x[n]` at bit n.
    pub const fn x_bits(self) -> u32 {
        self.0 as u32
    }
    /// Only the floating-point registers' bits, `f[n]` at bit n.
    pub const fn f_bits(self) -> u32 {
        (self.0 >> 32) as u32
    }
    /// Whether no register is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// The registers of either set.
    #[must_use]
    pub const fn union(self, other: RegisterSet) -> RegisterSet {
        RegisterSet(self.0 | other.0)
    }
    /// The registers of both sets.
    #[must_use]
    pub const fn intersection(self, other: RegisterSet) -> RegisterSet {
        RegisterSet(self.0 & other.0)
    }
    /// The registers of this set that are not in the other.
    #[must_use]
    pub const fn difference(self, other: RegisterSet) -> RegisterSet {
        RegisterSet(self.0 & !other.0)
    }
    /// Whether an integer register is in the set; `x0` never is.
    pub const fn contains_x(self, x: X) -> bool {
        self.0 >> x.index() & 1 == 1
    }
    /// Whether a floating-point register is in the set.
    pub const fn contains_f(self, f: F) -> bool {
        self.0 >> (32 + f.index()) & 1 == 1
    }
    /// The integer registers, in ascending order.
    pub fn xs(self) -> impl Iterator<Item = X> {
        (0..32).map(X::new).filter(move |&x| self.contains_x(x))
    }
    /// The floating-point registers, in ascending order.
    pub fn fs(self) -> impl Iterator<Item = F> {
        (0..32).map(F::new).filter(move |&f| self.contains_f(f))
    }
}

impl From<X> for RegisterSet {
    fn from(x: X) -> Self {
        RegisterSet(1 << x.index() & !1)
    }
}
impl From<F> for RegisterSet {
    fn from(f: F) -> Self {
        RegisterSet(1 << (32 + f.index()))
    }
}
impl fmt::Debug for RegisterSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.xs()).entries(self.fs()).finish()
    }
}
