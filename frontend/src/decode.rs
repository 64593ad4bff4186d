//! Bytes to `Insn`: finds a word's row in a few steps, by buckets made from the table when the
//! crate is built.

use crate::compressed;
use crate::table::{Insn, Op, ROWS};

/// A decoded instruction and the bytes that it took.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Decoded {
    /// What it does; for a compressed instruction the one that it stands for.
    pub insn: Insn,
    /// Its length in bytes, 2 or 4: the return address of a call is pc + len.
    pub len: u8,
}

/// The length in bytes of the instruction that begins with `parcel`. Encodings of more than 32
/// bits are all reserved today; they count as 4 and do not decode.
#[inline]
pub const fn length(parcel: u16) -> u8 {
    if parcel & 3 == 3 { 4 } else { 2 }
}

/// The instruction in the low bits of `parcels`: the low 16 alone for a compressed one. `None` for
/// a reserved or unknown encoding, which is an illegal instruction.
#[inline]
pub fn decode(parcels: u32) -> Option<Decoded> {
    if length(parcels as u16) == 2 {
        let insn = compressed::decode(parcels as u16)?.expand();
        return Some(Decoded { insn, len: 2 });
    }
    let key = bucket(parcels);
    let candidates = &ORDER[BUCKETS[key] as usize..BUCKETS[key + 1] as usize];
    let row = candidates
        .iter()
        .map(|&row| &ROWS[row as usize])
        .find(|row| parcels & row.mask == row.bits)?;
    Some(Decoded {
        insn: (row.decode)(parcels)?,
        len: 4,
    })
}

/// The major opcode (bits 6:2) of floating-point computations.
const OP_FP: u32 = 0b10100;
/// One bucket for each major opcode and funct3, then one for each funct7 of OP-FP, whose funct3 is
/// often a rounding mode.
const KEYS: usize = 32 * 8 + 128;

/// Which bucket a 32-bit instruction is in.
const fn bucket(word: u32) -> usize {
    let major = word >> 2 & 31;
    (if major == OP_FP {
        256 + (word >> 25)
    } else {
        major << 3 | word >> 12 & 7
    }) as usize
}

/// The bits that `bucket` looks at.
const fn key_bits(major: u32) -> u32 {
    if major == OP_FP { 0xfe00_007f } else { 0x707f }
}

/// A word that is in bucket `key`, other bits 0.
const fn word_of(key: usize) -> u32 {
    let key = key as u32;
    if key >= 256 {
        (key - 256) << 25 | OP_FP << 2 | 3
    } else {
        (key & 7) << 12 | (key >> 3) << 2 | 3
    }
}

/// Whether bucket `key` can hold words of row `op`.
const fn belongs(op: Op, key: usize) -> bool {
    let (row, word) = (op.row(), word_of(key));
    let major = word >> 2 & 31;
    (key >= 256 || major != OP_FP) && (row.bits ^ word) & row.mask & key_bits(major) == 0
}

/// How many rows all buckets list together.
const LISTED: usize = {
    let (mut key, mut listed) = (0, 0);
    while key < KEYS {
        let mut row = 0;
        while row < Op::ALL.len() {
            listed += belongs(Op::ALL[row], key) as usize;
            row += 1;
        }
        key += 1;
    }
    listed
};

const BUILT: ([u16; KEYS + 1], [u8; LISTED]) = {
    let (mut buckets, mut order) = ([0; KEYS + 1], [0; LISTED]);
    let (mut key, mut len) = (0, 0);
    while key < KEYS {
        let mut row = 0;
        while row < Op::ALL.len() {
            if belongs(Op::ALL[row], key) {
                order[len] = row as u8;
                len += 1;
            }
            row += 1;
        }
        key += 1;
        buckets[key] = len as u16;
    }
    (buckets, order)
};

/// Bucket `key` lists `ORDER[BUCKETS[key]..BUCKETS[key + 1]]`.
static BUCKETS: [u16; KEYS + 1] = BUILT.0;
/// Rows by bucket.
static ORDER: [u8; LISTED] = BUILT.1;
