//! What a region became: its guest instructions, the Cranelift IR and the host code of each.

use crate::code::Code;
use frontend::Region;
use std::collections::BTreeMap;
use std::ops::Range;

/// A compiled region, for people to read.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Where it may be entered.
    pub entries: Vec<u64>,
    /// Its guest instructions, by address.
    pub lines: Vec<Line>,
    /// Cranelift IR that belongs to no guest instruction: signatures, entry and exit paths.
    pub preamble: Vec<String>,
    /// The host code.
    pub code: Vec<u8>,
    /// The host address at which it is executed.
    pub address: u64,
}

/// One guest instruction and what it became.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// Where it is.
    pub pc: u64,
    /// Its bytes.
    pub len: u8,
    /// The first address of the block that it is in.
    pub block: u64,
    /// Its Cranelift IR, a line an instruction.
    pub clif: Vec<String>,
    /// Its host code, as ranges of [`Listing::code`].
    pub host: Vec<Range<usize>>,
}

impl Listing {
    pub(crate) fn new(
        region: &Region,
        clif: &str,
        code: &Code,
        bytes: &[u8],
        locations: &[(u32, u32, u32)],
    ) -> Listing {
        let mut lines: BTreeMap<u64, Line> = BTreeMap::new();
        for block in &region.blocks {
            for (pc, decoded) in block.iter() {
                let line = Line {
                    pc,
                    len: decoded.len,
                    block: block.start,
                    ..Line::default()
                };
                lines.insert(pc, line);
            }
        }
        let pc_of = |site: u32| code.sites.get(site as usize).map(|site| site.pc);
        let mut preamble = Vec::new();
        for text in clif.lines() {
            let trimmed = text.trim();
            let located = trimmed
                .strip_prefix('@')
                .and_then(|rest| rest.split_once(' '));
            let site = located.and_then(|(site, _)| u32::from_str_radix(site, 16).ok());
            match (
                site.and_then(pc_of).and_then(|pc| lines.get_mut(&pc)),
                located,
            ) {
                (Some(line), Some((_, text))) => line.clif.push(text.trim().to_owned()),
                _ => preamble.push(text.to_owned()),
            }
        }
        for &(start, end, site) in locations {
            if let Some(line) = pc_of(site).and_then(|pc| lines.get_mut(&pc)) {
                line.host.push(start as usize..end as usize);
            }
        }
        Listing {
            entries: region.entries.clone(),
            lines: lines.into_values().collect(),
            preamble,
            code: bytes.to_vec(),
            address: code.range.start as u64,
        }
    }
}
