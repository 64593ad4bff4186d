//! Sv39 and Sv48: the page walk. Privileged 10.3 to 10.5.
//!
//! ```text
//!  Sv48 va:       47:39   38:30   29:21   20:12   11:0
//!                 VPN[3]  VPN[2]  VPN[1]  VPN[0]  offset      (Sv39 without VPN[3])
//!  PTE:  63 N  62:61 PBMT  60:54 reserved  53:10 PPN  9:8 RSW  7 D  6 A  5 G  4 U  3 X  2 W  1 R  0 V
//! ```

use super::{Mode, Privileged, status};
use crate::trap::{Cause, Trap};
use memory::{Access, PAGE_BITS, Ram};
use std::sync::atomic::{Ordering, fence};

/// satp.MODE of no translation.
const BARE: u64 = 0;
const SV39: u64 = 8;
const SV48: u64 = 9;

const V: u64 = 1;
const R: u64 = 1 << 1;
const W: u64 = 1 << 2;
const X: u64 = 1 << 3;
const U: u64 = 1 << 4;
const A: u64 = 1 << 6;
const D: u64 = 1 << 7;
/// N, PBMT and the reserved bits: extensions that we have not.
const RESERVED: u64 = 0xffc0_0000_0000_0000;

/// What a virtual page is mapped to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// The physical address of the byte asked for.
    pub pa: u64,
    /// 0 for a page of 4 KiB, 1 for 2 MiB, and so on.
    pub level: u32,
    /// Whether loads, stores and fetches may be made without a walk from now on.
    pub load: bool,
    /// Likewise.
    pub store: bool,
    /// Likewise.
    pub fetch: bool,
}

impl Privileged {
    /// Writes satp. An unsupported MODE changes nothing at all (10.1.11).
    pub(crate) fn set_satp(&mut self, value: u64) {
        if matches!(value >> 60, BARE | SV39 | SV48) {
            self.satp = value;
        }
    }

    /// Where an access of `mode` at `va` goes, and what else may be done there. Physical memory
    /// protection is checked for the tables, not for the page itself.
    pub fn walk(&self, ram: &Ram, mode: Mode, va: u64, access: Access) -> Result<Mapping, Trap> {
        let levels = match (mode, self.satp >> 60) {
            (Mode::Machine, _) | (_, BARE) => {
                return Ok(Mapping {
                    pa: va,
                    level: 0,
                    load: true,
                    store: true,
                    fetch: true,
                });
            }
            (_, SV39) => 3,
            (_, _) => 4,
        };
        // All bits above the translated ones equal the highest of those.
        let unused = 64 - (PAGE_BITS + 9 * levels);
        if (va << unused) as i64 >> unused != va as i64 {
            return Err(page_fault(access, va));
        }
        let mut table = (self.satp & ((1 << 44) - 1)) << PAGE_BITS;
        for level in (0..levels).rev() {
            let index = va >> (PAGE_BITS + 9 * level) & 0x1ff;
            let at = table + 8 * index;
            let pte = self.table_entry(ram, at, Access::Load, access, va)?;
            if pte & V == 0 || pte & (R | W) == W || pte & RESERVED != 0 {
                return Err(page_fault(access, va));
            }
            let next = (pte >> 10 & ((1 << 44) - 1)) << PAGE_BITS;
            if pte & (R | X) != 0 {
                let span = (1u64 << (PAGE_BITS + 9 * level)) - 1;
                if next & span != 0 {
                    return Err(page_fault(access, va));
                }
                let pte = self.leaf(ram, mode, at, pte, va, access)?;
                let pa = next | va & span;
                return Ok(self.mapping(mode, pte, pa, level));
            }
            // A pointer: D, A and U are reserved here.
            if pte & (D | A | U) != 0 {
                return Err(page_fault(access, va));
            }
            table = next;
        }
        Err(page_fault(access, va))
    }

    /// Checks a leaf's permissions, then its A and D; updates those if that is ours to do.
    fn leaf(
        &self,
        ram: &Ram,
        mode: Mode,
        at: u64,
        mut pte: u64,
        va: u64,
        access: Access,
    ) -> Result<u64, Trap> {
        loop {
            let allowed = self.allows(mode, pte, access);
            let wanted = A | if access == Access::Store { D } else { 0 };
            if allowed && pte & wanted == wanted {
                return Ok(pte);
            }
            if !allowed || !self.updates_accessed() {
                return Err(page_fault(access, va));
            }
            // Svadu: atomically, against other harts that walk or change the table.
            self.table_entry(ram, at, Access::Store, access, va)?;
            let seen = ram.compare_exchange(ram.host_of(at), pte, pte | wanted);
            match seen.ok_or(Trap::new(access_fault(access), va))? {
                old if old == pte => {
                    // Another hart that makes code from a page table either reads this, or has its mark
                    // seen.
                    fence(Ordering::SeqCst);
                    ram.note_write(ram.page_of(ram.host_of(at)));
                    return Ok(pte | wanted);
                }
                old if old & V != 0 && (old ^ pte) & !(A | D) == 0 => pte = old,
                // The mapping itself has changed.
                _ => return Err(page_fault(access, va)),
            }
        }
    }

    /// Whether R, W, X and U let `mode` make the access.
    fn allows(&self, mode: Mode, pte: u64, access: Access) -> bool {
        let executable = self.mstatus & status::MXR != 0 && access == Access::Load;
        self.owns(mode, pte, access)
            && match access {
                Access::Load if executable => pte & (R | X) != 0,
                Access::Load => pte & R != 0,
                Access::Store => pte & W != 0,
                Access::Fetch => pte & X != 0,
            }
    }

    /// Whether U lets `mode` make the access.
    fn owns(&self, mode: Mode, pte: u64, access: Access) -> bool {
        let user = pte & U != 0;
        match (mode, access) {
            (Mode::User, _) => user,
            (_, Access::Fetch) => !user,
            (_, _) => !user || self.mstatus & status::SUM != 0,
        }
    }

    fn mapping(&self, mode: Mode, pte: u64, pa: u64, level: u32) -> Mapping {
        Mapping {
            pa,
            level,
            // What only MXR permits is not cached.
            load: pte & R != 0 && self.owns(mode, pte, Access::Load),
            store: pte & D != 0 && self.allows(mode, pte, Access::Store),
            fetch: self.allows(mode, pte, Access::Fetch),
        }
    }

    /// Reads an entry of a page table if S may access it in the way of `how`.
    fn table_entry(
        &self,
        ram: &Ram,
        at: u64,
        how: Access,
        access: Access,
        va: u64,
    ) -> Result<u64, Trap> {
        let permitted = self
            .pmp(Mode::Supervisor, at, 8)
            .is_some_and(|p| p.allows(how));
        let entry = if permitted {
            ram.load(ram.host_of(at))
        } else {
            None
        };
        entry.ok_or(Trap::new(access_fault(access), va))
    }
}

/// The page fault of an access.
pub fn page_fault(access: Access, va: u64) -> Trap {
    let cause = match access {
        Access::Load => Cause::LoadPageFault,
        Access::Store => Cause::StorePageFault,
        Access::Fetch => Cause::InstructionPageFault,
    };
    Trap::new(cause, va)
}

/// The cause of an access that nothing answers to, or that may not be made.
pub fn access_fault(access: Access) -> Cause {
    match access {
        Access::Load => Cause::LoadAccessFault,
        Access::Store => Cause::StoreAccessFault,
        Access::Fetch => Cause::InstructionAccessFault,
    }
}
