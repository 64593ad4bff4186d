//! Compiled code without the addresses of the process that it was compiled in: what can be kept,
//! and put in place again by another process that finds the same guest code.

use crate::analysis::recipes::Instructions;
use crate::code::Slot;
use crate::fixed::Fixed;
use crate::helpers::Helper;
use crate::jit::Inner;
use crate::table::Shape;
use crate::translate::Site;
use cranelift_codegen::binemit::Reloc;
use cranelift_module::{DataId, FuncId, ModuleReloc, ModuleRelocTarget};
use frontend::{Block, Region};
use serde::{Deserialize, Serialize};
use std::mem::size_of;

/// A compiled region, and the guest code that it was made from. It fits any process of the same
/// build on the same kind of host with the same options.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Portable {
    /// Where it may be entered.
    pub entries: Vec<u64>,
    /// First and behind last address of its blocks.
    pub blocks: Vec<(u64, u64)>,
    /// Guest instructions.
    pub(crate) size: usize,
    /// Whether any is a floating-point one.
    pub(crate) floats: bool,
    /// The blocks' bytes, one after the other, as parcels.
    #[serde(skip)]
    pub guest: Vec<u8>,
    /// Host code, with holes for addresses.
    #[serde(skip)]
    pub code: Vec<u8>,
    /// Where its computed jumps are known to lead, and what its calls by a register call.
    pub(crate) targets: Vec<u64>,
    pub(crate) callees: Vec<(u64, Vec<u64>)>,
    pub(crate) alignment: u64,
    pub(crate) holes: Vec<Hole>,
    /// Where its jumps lead.
    pub(crate) jumps: Vec<u64>,
    pub(crate) sites: Vec<Site>,
    pub(crate) recipes: Vec<Instructions>,
    pub(crate) accesses: Vec<(u32, u32)>,
}

/// A place in host code that depends on where things are.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Hole {
    offset: u32,
    kind: Kind,
    target: Target,
    addend: i64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Kind {
    Absolute,
    X86Relative,
    X86Call,
    Arm64Call,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
enum Target {
    Own,
    Helper(u8),
    Slots,
    /// See [`Fixed::dispatch`].
    Dispatch,
    Entries,
}

/// What the names in a module stand for.
pub(crate) struct Names<'a> {
    pub fixed: &'a Fixed,
    pub own: FuncId,
    pub slots: DataId,
    /// The number of the region's first slot.
    pub first: usize,
    pub entries: DataId,
    /// The number of its first entry.
    pub first_entry: usize,
}

const KINDS: [(Kind, Reloc); 4] = [
    (Kind::Absolute, Reloc::Abs8),
    (Kind::X86Relative, Reloc::X86PCRel4),
    (Kind::X86Call, Reloc::X86CallPCRel4),
    (Kind::Arm64Call, Reloc::Arm64Call),
];

/// A name's number in its module, if it is none of Cranelift's own.
fn number(name: &ModuleRelocTarget) -> Option<(u32, u32)> {
    match *name {
        ModuleRelocTarget::User { namespace, index } => Some((namespace, index)),
        _ => None,
    }
}

impl Names<'_> {
    fn name(&self, target: Target) -> Option<ModuleRelocTarget> {
        let function = match target {
            Target::Own => self.own,
            Target::Helper(number) => *self.fixed.thunks.get(usize::from(number))?,
            Target::Dispatch => self.fixed.dispatch,
            Target::Slots => return Some(self.slots.into()),
            Target::Entries => return Some(self.entries.into()),
        };
        Some(function.into())
    }

    fn target(&self, name: &ModuleRelocTarget) -> Option<Target> {
        let helpers = (0..Helper::ALL.len() as u8).map(Target::Helper);
        [
            Target::Own,
            Target::Slots,
            Target::Dispatch,
            Target::Entries,
        ]
        .into_iter()
        .chain(helpers)
        .find(|&target| {
            let known = self.name(target).as_ref().and_then(number);
            known.is_some() && known == number(name)
        })
    }

    fn shift(&self, target: Target) -> i64 {
        match target {
            Target::Slots => (self.first * size_of::<Slot>()) as i64,
            Target::Entries => (self.first_entry * size_of::<u64>()) as i64,
            Target::Own | Target::Helper(_) | Target::Dispatch => 0,
        }
    }

    /// The hole of a relocation, if it is of a kind that can be kept.
    pub fn hole(&self, reloc: &ModuleReloc) -> Option<Hole> {
        let &(kind, _) = KINDS.iter().find(|(_, known)| *known == reloc.kind)?;
        let target = self.target(&reloc.name)?;
        Some(Hole {
            offset: reloc.offset,
            kind,
            target,
            addend: reloc.addend - self.shift(target),
        })
    }

    /// The relocation of a hole; `None` if there is no such helper.
    pub fn reloc(&self, hole: &Hole) -> Option<ModuleReloc> {
        let kind = match hole.kind {
            Kind::Absolute => Reloc::Abs8,
            Kind::X86Relative => Reloc::X86PCRel4,
            Kind::X86Call => Reloc::X86CallPCRel4,
            Kind::Arm64Call => Reloc::Arm64Call,
        };
        Some(ModuleReloc {
            offset: hole.offset,
            kind,
            name: self.name(hole.target)?,
            addend: hole.addend + self.shift(hole.target),
        })
    }
}

impl Portable {
    pub(crate) fn shape(&self) -> Shape {
        let mut pages: Vec<u64> = self
            .blocks
            .iter()
            .flat_map(|&(start, end)| frontend::region::pages(start, end))
            .collect();
        pages.sort_unstable();
        pages.dedup();
        Shape {
            entries: self.entries.clone(),
            size: self.size,
            blocks: self.blocks.clone(),
            pages,
            targets: self.targets.clone(),
            callees: self.callees.clone(),
        }
    }

    /// Whether it makes sense at all; what it does is for whoever keeps it to vouch for.
    pub(crate) fn is_sound(&self) -> bool {
        let parcels: u64 = self
            .blocks
            .iter()
            .map(|&(start, end)| end.wrapping_sub(start))
            .fold(0, u64::saturating_add);
        !self.entries.is_empty()
            && self.alignment.is_power_of_two()
            && parcels == self.guest.len() as u64
            && self.holes.iter().all(|hole| {
                let width = match hole.kind {
                    Kind::Absolute => 8,
                    Kind::X86Relative | Kind::X86Call | Kind::Arm64Call => 4,
                };
                hole.offset as usize + width <= self.code.len()
            })
    }
}

/// What became of code that was to be put in place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Installed {
    /// It is there.
    Ready,
    /// The compiler is at work: ask again soon.
    Busy,
    /// The guest code is another one, or its place is taken.
    Refused,
}

impl Inner {
    /// The guest code of a region as it is now, if it is what the region was made from.
    pub(crate) fn guest_code(&self, region: &Region) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(4 * region.len());
        for block in &region.blocks {
            let again = Block::decode(
                block.start,
                block.insns.len().max(1),
                |_| false,
                |va| self.space.fetch(va),
            );
            if again.insns != block.insns {
                return None;
            }
            self.parcels(block.start, block.end, |parcel| {
                bytes.extend(parcel.to_le_bytes());
                true
            })
            .then_some(())?;
        }
        Some(bytes)
    }

    /// Whether the guest code that `portable` was made from is there.
    pub(crate) fn matches(&self, portable: &Portable) -> bool {
        let mut expected = portable.guest.chunks_exact(2);
        portable.blocks.iter().all(|&(start, end)| {
            self.parcels(start, end, |parcel| {
                expected.next() == Some(&parcel.to_le_bytes()[..])
            })
        })
    }

    /// Calls `each` with the parcels of a range until one cannot be fetched or `each` says no.
    /// Whether neither happened.
    fn parcels(&self, start: u64, end: u64, mut each: impl FnMut(u16) -> bool) -> bool {
        (start..end)
            .step_by(2)
            .all(|va| self.space.fetch(va).is_ok_and(&mut each))
    }
}
