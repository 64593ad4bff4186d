//! A: load-reserved, store-conditional and read-modify-write.
//!
//! Every access is sequentially consistent, which is as strong as any aq and rl ask for.

use crate::execute::sext;
use frontend::{Amo, Lr};
use hart::{Cause, HartState, Memory, Reservation, Trap};
use memory::AtomicWord;
use std::sync::atomic::{Ordering, fence};

/// A word or doubleword, as registers hold it.
pub(crate) trait Width: AtomicWord {
    const BYTES: u64;
    fn sign_extend(self) -> u64;
}

impl Width for u32 {
    const BYTES: u64 = 4;
    fn sign_extend(self) -> u64 {
        sext(self as i32)
    }
}

impl Width for u64 {
    const BYTES: u64 = 8;
    fn sign_extend(self) -> u64 {
        self
    }
}

pub(crate) fn lr<T: Width, M: Memory>(hart: &mut HartState, mem: &M, o: Lr) -> Result<(), Trap> {
    let address = hart.x(o.rs1);
    if !address.is_multiple_of(T::BYTES) {
        return Err(Trap::new(Cause::LoadAddressMisaligned, address));
    }
    fence(Ordering::SeqCst);
    let value: T = mem.load(address)?;
    fence(Ordering::Acquire);
    hart.reservation = Reservation {
        address,
        value: value.into_u64(),
        width: T::BYTES,
    };
    hart.set(o.rd, value.sign_extend());
    Ok(())
}

/// Succeeds if memory still holds what the load-reserved saw there; `rd` is then 0, else 1.
pub(crate) fn sc<T: Width, M: Memory>(hart: &mut HartState, mem: &M, o: Amo) -> Result<(), Trap> {
    let address = hart.x(o.rs1);
    if !address.is_multiple_of(T::BYTES) {
        return Err(Trap::new(Cause::StoreAddressMisaligned, address));
    }
    let Reservation {
        address: reserved,
        value,
        width,
    } = hart.reservation;
    let mut stored = false;
    if width == T::BYTES && reserved == address {
        let (expected, new) = (T::truncate(value), T::truncate(hart.x(o.rs2)));
        stored = mem.compare_exchange(address, expected, new)? == expected;
    }
    hart.reservation = Reservation::default();
    hart.set(o.rd, u64::from(!stored));
    Ok(())
}

/// Replaces the word at `x[rs1]` by `f` of it and `x[rs2]`; `rd` becomes the old word.
#[inline(always)]
pub(crate) fn amo<T: Width, M: Memory>(
    hart: &mut HartState,
    mem: &M,
    o: Amo,
    f: fn(T, T) -> T,
) -> Result<(), Trap> {
    let address = hart.x(o.rs1);
    if !address.is_multiple_of(T::BYTES) {
        return Err(Trap::new(Cause::StoreAddressMisaligned, address));
    }
    let operand = T::truncate(hart.x(o.rs2));
    // The first guess is arbitrary: not loading the word first makes every fault a store's.
    let mut expected = T::truncate(0);
    loop {
        let old = mem.compare_exchange(address, expected, f(expected, operand))?;
        if old == expected {
            break;
        }
        expected = old;
    }
    hart.set(o.rd, expected.sign_extend());
    Ok(())
}
