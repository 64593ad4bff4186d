//! The table of host instructions that may fault on guest memory, and where each goes on then.
//!
//! Each guarded access emits one entry into a linker section, so accesses that succeed pay
//! nothing for it. The section is marked to be retained ("R"): linkers drop it as unreferenced
//! otherwise.

use std::sync::OnceLock;

/// On ELF an entry holds two 32-bit distances from itself, which needs no relocation at load time.
#[cfg(not(target_vendor = "apple"))]
#[repr(C)]
struct Entry {
    instruction: i32,
    resume: i32,
}

/// On Mach-O an entry holds two addresses.
#[cfg(target_vendor = "apple")]
#[repr(C)]
struct Entry {
    instruction: usize,
    resume: usize,
}

impl Entry {
    #[cfg(not(target_vendor = "apple"))]
    fn addresses(&self) -> (usize, usize) {
        let at = |field: &i32| (&raw const *field as usize).wrapping_add_signed(*field as isize);
        (at(&self.instruction), at(&self.resume))
    }
    #[cfg(target_vendor = "apple")]
    fn addresses(&self) -> (usize, usize) {
        (self.instruction, self.resume)
    }
}

// SAFETY: the linker defines both at the ends of the section into which the entries go.
unsafe extern "C" {
    #[cfg_attr(not(target_vendor = "apple"), link_name = "__start___bhv_recovery")]
    #[cfg_attr(
        target_vendor = "apple",
        link_name = "\u{1}section$start$__DATA$__bhv_recovery"
    )]
    static FIRST: Entry;
    #[cfg_attr(not(target_vendor = "apple"), link_name = "__stop___bhv_recovery")]
    #[cfg_attr(
        target_vendor = "apple",
        link_name = "\u{1}section$end$__DATA$__bhv_recovery"
    )]
    static END: Entry;
}

static SORTED: OnceLock<Vec<(usize, usize)>> = OnceLock::new();

/// Sorts the table. Must have run before the first fault; not async-signal-safe.
pub(crate) fn prepare() {
    SORTED.get_or_init(|| {
        let first = &raw const FIRST;
        let count = ((&raw const END as usize) - (first as usize)) / size_of::<Entry>();
        // SAFETY: the section holds nothing but entries.
        let entries = unsafe { std::slice::from_raw_parts(first, count) };
        let mut sorted: Vec<_> = entries.iter().map(Entry::addresses).collect();
        sorted.sort_unstable();
        sorted
    });
}

/// Where to go on after a fault of the instruction at `pc`, if it is a guarded one.
/// Async-signal-safe.
pub(crate) fn resume_at(pc: usize) -> Option<usize> {
    let sorted = SORTED.get()?;
    let index = sorted
        .binary_search_by_key(&pc, |&(instruction, _)| instruction)
        .ok()?;
    Some(sorted[index].1)
}

/// Assembly: out of the way of the straight path, local label 4 does `$fix` (which must not touch
/// memory) and goes on at local label 3 by the host's jump instruction `$jump`.
#[cfg(not(target_vendor = "apple"))]
macro_rules! fix {
    ($fix:literal, $jump:literal) => {
        concat!(
            ".pushsection .text.bhv_recovery,\"ax\",@progbits\n4: ",
            $fix,
            "\n",
            $jump,
            " 3b\n.popsection"
        )
    };
}
#[cfg(target_vendor = "apple")]
macro_rules! fix {
    ($fix:literal, $jump:literal) => {
        concat!(
            ".pushsection __TEXT,__bhv_recovery,regular,pure_instructions\n4: ",
            $fix,
            "\n",
            $jump,
            " 3b\n.popsection"
        )
    };
}
pub(crate) use fix;

/// Assembly: if the instruction at local label `$at` faults, go on at local label `$to`.
#[cfg(not(target_vendor = "apple"))]
macro_rules! recover {
    ($at:literal, $to:literal) => {
        concat!(
            ".pushsection __bhv_recovery,\"aR\",@progbits\n.balign 4\n.long ",
            $at,
            " - .\n.long ",
            $to,
            " - .\n.popsection"
        )
    };
}
#[cfg(target_vendor = "apple")]
macro_rules! recover {
    ($at:literal, $to:literal) => {
        concat!(
            ".pushsection __DATA,__bhv_recovery,regular,no_dead_strip\n.p2align 3\n.quad ",
            $at,
            "\n.quad ",
            $to,
            "\n.popsection"
        )
    };
}
pub(crate) use recover;
