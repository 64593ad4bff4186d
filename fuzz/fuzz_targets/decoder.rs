//! Any bytes through decoder, encoder, disassembler, blocks and regions: no panic, and what was
//! decoded is what encodes back.
#![no_main]

use frontend::decode::{decode, length};
use frontend::{Block, Region, compressed, disasm};
use libfuzzer_sys::fuzz_target;

/// Where the bytes are in the guest; jumps lead in front of it and behind it.
const START: u64 = 0x1000;

fuzz_target!(|bytes: &[u8]| {
    let mut at = 0;
    while at + 2 <= bytes.len() {
        let mut window = [0; 4];
        let available = (bytes.len() - at).min(4);
        window[..available].copy_from_slice(&bytes[at..at + available]);
        let parcels = u32::from_le_bytes(window);
        let pc = START + at as u64;
        instruction(parcels, pc);
        at += usize::from(length(parcels as u16));
    }
    code(bytes);
});

fn instruction(parcels: u32, pc: u64) {
    let text = disasm::symbolised(parcels, pc, &|va| {
        (va % 8 == 0).then(|| "symbol".to_owned())
    });
    assert!(
        !text.is_empty() && text.is_ascii() && !text.contains('\n'),
        "{text:?}"
    );
    let decoded = decode(parcels);
    let illegal = [".2byte", ".4byte", "c.unimp"]
        .iter()
        .any(|name| text.starts_with(name));
    assert_eq!(decoded.is_none(), illegal, "{text}");
    let Some(decoded) = decoded else { return };
    assert_eq!(decoded.len, length(parcels as u16));
    if decoded.len == 2 {
        // The upper half belongs to the next instruction.
        assert_eq!(decode(parcels & 0xffff), Some(decoded));
        let short = compressed::decode(parcels as u16).expect("what decodes as 16 bits");
        assert_eq!(u32::from(short.encode()), parcels & 0xffff);
    } else {
        assert_eq!(decoded.insn.encode(), parcels);
    }
    let again = decode(decoded.insn.encode()).expect("an instruction encodes to a valid word");
    assert_eq!((again.insn, again.len), (decoded.insn, 4));
    assert_eq!(decoded.insn.map_registers(|x| x, |f| f), decoded.insn);
    assert!(!decoded.insn.defs().contains_x(frontend::X::ZERO));
    if let Some(target) = decoded.insn.direct_target(pc) {
        assert!(target % 2 == 0 && target.wrapping_sub(pc).wrapping_add(1 << 20) < 1 << 21);
    }
}

/// The bytes as code, with holes around them.
fn code(bytes: &[u8]) {
    let fetch = |va: u64| -> Result<u16, ()> {
        let at = usize::try_from(va.wrapping_sub(START)).map_err(|_| ())?;
        let parcel = bytes.get(at..at.checked_add(2).ok_or(())?).ok_or(())?;
        Ok(u16::from_le_bytes([parcel[0], parcel[1]]))
    };
    let block = Block::decode(START, 64, |_| false, fetch);
    assert!(block.insns.len() <= 64);
    let mut end = START;
    for (pc, decoded) in block.iter() {
        assert_eq!(pc, end);
        end += u64::from(decoded.len);
    }
    assert_eq!(end, block.end);

    let region = Region::discover(&[START], 500, |va| va % 64 == 32, fetch);
    assert!(region.blocks.is_sorted_by_key(|block| block.start));
    for &entry in &region.entries {
        // An entry without code, such as the one asked for, has no block.
        if let Some(block) = region.block(entry) {
            assert_eq!(block.start, entry);
        }
    }
    let instructions: usize = region.blocks.iter().map(|block| block.insns.len()).sum();
    assert_eq!(instructions, region.len());
}
