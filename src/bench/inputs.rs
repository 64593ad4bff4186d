//! The files that Debian's programs work on: scripts of ours, and text made by a rule.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Files as they are: name and text.
const FILES: &[(&str, &str)] = &[
    (
        "tables.lua",
        include_str!("../../guests/scripts/tables.lua"),
    ),
    ("heat.lua", include_str!("../../guests/scripts/heat.lua")),
    (
        "objects.py",
        include_str!("../../guests/scripts/objects.py"),
    ),
    (
        "numbers.py",
        include_str!("../../guests/scripts/numbers.py"),
    ),
    ("text.pl", include_str!("../../guests/scripts/text.pl")),
    ("graph.pl", include_str!("../../guests/scripts/graph.pl")),
    ("query.sql", include_str!("../../guests/scripts/query.sql")),
    // openssl is to read nobody's configuration.
    ("openssl.cnf", ""),
    // What the compiler compiles, and the two headers it would find in a real one's folder.
    ("chess.c", include_str!("../../guests/programs/chess.c")),
    ("runtime.h", include_str!("../../guests/runtime/runtime.h")),
    (
        "stddef.h",
        "typedef __SIZE_TYPE__ size_t;\ntypedef __PTRDIFF_TYPE__ ptrdiff_t;\n",
    ),
    ("stdint.h", STDINT),
];

const STDINT: &str = "typedef __INT8_TYPE__ int8_t; typedef __UINT8_TYPE__ uint8_t;
typedef __INT16_TYPE__ int16_t; typedef __UINT16_TYPE__ uint16_t;
typedef __INT32_TYPE__ int32_t; typedef __UINT32_TYPE__ uint32_t;
typedef __INT64_TYPE__ int64_t; typedef __UINT64_TYPE__ uint64_t;
typedef __UINTPTR_TYPE__ uintptr_t; typedef __INTPTR_TYPE__ intptr_t;
";

/// The size of `text.dat`.
const TEXT: usize = 3 << 20;

/// Writes all of them into a folder.
pub fn write(folder: &Path) -> std::io::Result<()> {
    for (name, text) in FILES {
        std::fs::write(folder.join(name), text)?;
    }
    let mut file = BufWriter::new(File::create(folder.join("text.dat"))?);
    write_text(TEXT, &mut file)?;
    file.flush()
}

/// Text that packs about as well as prose: sentences of a small vocabulary, some numbers.
fn write_text(size: usize, out: &mut impl Write) -> std::io::Result<()> {
    const SYLLABLES: [&str; 16] = [
        "ra", "me", "tion", "lo", "in", "de", "ver", "sta", "ku", "pi", "no", "ter", "al", "so",
        "be", "qui",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |bound: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) % bound
    };
    let words: Vec<String> = (0..2000)
        .map(|_| {
            (0..1 + draw(4))
                .map(|_| SYLLABLES[draw(16) as usize])
                .collect()
        })
        .collect();
    let mut left = size;
    while left > 0 {
        // A bound that is itself drawn makes the words at the front the frequent ones.
        let bound = 1 + draw(2000);
        let mut piece = match draw(24) {
            0 => ".\n".to_owned(),
            1 => draw(100_000).to_string(),
            _ => words[draw(bound) as usize].clone(),
        };
        piece.push(' ');
        let part = piece.len().min(left);
        out.write_all(&piece.as_bytes()[..part])?;
        left -= part;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_the_same_each_time_and_has_its_size() {
        let (mut once, mut again) = (Vec::new(), Vec::new());
        write_text(10_000, &mut once).unwrap();
        write_text(10_000, &mut again).unwrap();
        assert_eq!(once.len(), 10_000);
        assert_eq!(once, again);
        assert!(once.iter().all(u8::is_ascii));
    }
}
