//! The lines of `tests/isa/*.ins`: one instruction, the state before it, the state after it.
//!
//! ```text
//! [bytes] "text"   before  =>  after
//! [83 35 85 00] "ld a1, 8(a0)"   a0 = 0x20000, mem[0x20008] = [ff 00]  =>  a1 = 0xff
//! [63 88 c5 00] "beq a1, a2, .+16"   a1 = 3, a2 = 3  =>  pc = .+16
//! [03 25 00 00] "lw a0, 0(zero)"  =>  trap LoadPageFault 0
//! ```
//!
//! The instruction is at [`START`]. Registers that are not named hold
//! rubbish before; whatever is not named behind the arrow is as before, except that pc and instret
//! have moved on. Numbers are decimal or hexadecimal, `.+4` is an address relative to the
//! instruction, `box(0x…)` a single in a floating-point register, `NV|NX` are flags, and
//! `reservation` is ADDRESS:WIDTH:VALUE or `none`.

use hart::{Cause, HartState, Reservation, Trap};

/// Address of the instruction.
pub const START: u64 = 0x1_0000;
/// Two pages that can be read and written, all zero but for what a line puts there.
pub const DATA: u64 = 0x2_0000;
/// Bytes of [`DATA`].
pub const DATA_LENGTH: u64 = 0x2000;
/// A page of zeroes that can only be read. Nothing else is mapped.
pub const READ_ONLY: u64 = 0x3_0000;

/// One line of a file.
#[derive(Clone, Debug)]
pub struct Line {
    /// File name and line number, for messages.
    pub place: String,
    /// The instruction's bytes.
    pub bytes: Vec<u8>,
    /// The instruction as GNU as reads it.
    pub text: String,
    /// The hart before it.
    pub before: HartState,
    /// The bytes of [`DATA`] before it.
    pub data_before: Vec<u8>,
    /// The hart after it; as before it if it traps.
    pub after: HartState,
    /// The bytes of [`DATA`] after it.
    pub data_after: Vec<u8>,
    /// The trap that it takes.
    pub trap: Option<Trap>,
}

/// All lines of a file.
pub fn parse(name: &str, text: &str) -> Vec<Line> {
    let numbered = text.lines().enumerate();
    let lines = numbered.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| {
            let place = format!("{name}:{}", number + 1);
            parse_line(&place, line).unwrap_or_else(|| panic!("{place}: cannot read: {line}"))
        })
        .collect()
}

fn parse_line(place: &str, line: &str) -> Option<Line> {
    let (bytes, rest) = line.strip_prefix('[')?.split_once(']')?;
    let (text, rest) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
    let (given, expected) = rest.split_once("=>")?;
    let bytes = parse_bytes(bytes)?;

    let (mut before, mut data_before) = (rubbish(), vec![0; DATA_LENGTH as usize]);
    for item in items(given) {
        apply(item, &mut before, &mut data_before)?;
    }
    let (mut after, mut data_after, mut trap) = (before, data_before.clone(), None);
    if let Some(words) = expected.trim().strip_prefix("trap ") {
        let (cause, tval) = words.trim().split_once(' ')?;
        trap = Some(Trap::new(parse_cause(cause)?, number(tval)?));
    } else {
        after.pc += bytes.len() as u64;
        after.instret = after.instret.wrapping_add(1);
        for item in items(expected) {
            apply(item, &mut after, &mut data_after)?;
        }
    }
    let (place, text) = (place.to_owned(), text.to_owned());
    Some(Line {
        place,
        bytes,
        text,
        before,
        data_before,
        after,
        data_after,
        trap,
    })
}

/// A state in which every register holds something that no instruction makes by chance.
fn rubbish() -> HartState {
    let mut state = HartState {
        pc: START,
        instret: 1000,
        ..HartState::default()
    };
    for n in 1..32u8 {
        // Stack, global and thread pointer are addresses, as in any program.
        let upper = if (2..5).contains(&n) {
            0x2a_0000_0000
        } else {
            0x5a5a_5a5a_0000_0000
        };
        state.x[usize::from(n)] = upper + u64::from(n) * 0x0101_0101;
    }
    for n in 0..32u8 {
        state.f[usize::from(n)] = 0x4242_4242_0000_0000 + u64::from(n) * 0x0101_0101;
    }
    state
}

fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

/// Puts `name = value` into a state.
fn apply(item: &str, state: &mut HartState, data: &mut [u8]) -> Option<()> {
    let (name, value) = item.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    if let Some(va) = name.strip_prefix("mem[") {
        let at = number(va.strip_suffix(']')?)?.checked_sub(DATA)? as usize;
        let bytes = parse_bytes(value.strip_prefix('[')?.strip_suffix(']')?)?;
        data.get_mut(at..at + bytes.len())?.copy_from_slice(&bytes);
        return Some(());
    }
    match name {
        "pc" => state.pc = number(value)?,
        "instret" => state.instret = number(value)?,
        "frm" => state.frm = number(value)? as u32,
        "fflags" => state.fflags = flags(value)?,
        "reservation" => state.reservation = reservation(value)?,
        _ => {
            if let Some(x) = (1..32).map(frontend::X::new).find(|x| x.abi_name() == name) {
                state.x[x.index()] = number(value)?;
            } else {
                let f = (0..32)
                    .map(frontend::F::new)
                    .find(|f| f.abi_name() == name)?;
                state.f[f.index()] = number(value)?;
            }
        }
    }
    Some(())
}

fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Some(single) = text.strip_prefix("box(") {
        return Some(0xffff_ffff_0000_0000 | number(single.strip_suffix(')')?)?);
    }
    if let Some(relative) = text.strip_prefix('.') {
        return Some(START.wrapping_add_signed(relative.parse().ok()?));
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok();
    }
    text.parse::<i64>().ok().map(|value| value as u64)
}

fn flags(text: &str) -> Option<u32> {
    if text == "0" {
        return Some(0);
    }
    const NAMES: [&str; 5] = ["NX", "UF", "OF", "DZ", "NV"];
    text.split('|').try_fold(0, |flags, name| {
        Some(flags | 1 << NAMES.iter().position(|&flag| flag == name)?)
    })
}

fn reservation(text: &str) -> Option<Reservation> {
    if text == "none" {
        return Some(Reservation::default());
    }
    let mut fields = text.split(':').map(number);
    let (address, width, value) = (fields.next()??, fields.next()??, fields.next()??);
    Some(Reservation {
        address,
        value,
        width,
    })
}

fn parse_bytes(text: &str) -> Option<Vec<u8>> {
    text.split_whitespace()
        .map(|byte| u8::from_str_radix(byte, 16).ok())
        .collect()
}

fn parse_cause(name: &str) -> Option<Cause> {
    const CAUSES: [Cause; 10] = [
        Cause::IllegalInstruction,
        Cause::Breakpoint,
        Cause::LoadAddressMisaligned,
        Cause::LoadAccessFault,
        Cause::StoreAddressMisaligned,
        Cause::StoreAccessFault,
        Cause::EcallFromU,
        Cause::InstructionPageFault,
        Cause::LoadPageFault,
        Cause::StorePageFault,
    ];
    CAUSES
        .into_iter()
        .find(|cause| format!("{cause:?}") == name)
}
