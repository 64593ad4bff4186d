//! C's fast integer types as glibc defines them on x86-64, the only host that softfloat-sys builds
//! on. The crate that softfloat-sys names asks CMake for them, which a fresh machine lacks.

#![no_std]
#![expect(non_camel_case_types, reason = "C's names")]
#![expect(missing_docs, reason = "C's names")]

pub type int_fast32_t = i64;
pub type uint_fast32_t = u64;
pub type int_fast64_t = i64;
pub type uint_fast64_t = u64;
pub type uint_fast8_t = u8;
