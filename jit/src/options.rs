//! What an engine can choose, and what it can ask afterwards.

use frontend::{Insn, Op};
use hart::HartState;
use memory::UserSpace;

/// Executes an instruction that only computes a register from others, or from its own address, which
/// is given. Nothing else changes but that floating point raises its flags.
pub type Compute = fn(&mut HartState, &UserSpace, u64, Insn);

/// How regions are found and compiled.
#[derive(Clone, Debug)]
pub struct Options {
    /// Count retired instructions exactly and obey limits. Without it `instret` does not move and
    /// only the poll flag ends a run.
    pub counting: bool,
    /// The code is a whole machine's: accesses go through the translation cache of
    /// [`hart::SystemMemory`]. Goes with `counting`.
    pub system: bool,
    /// Guest addresses are the host's own, see [`memory::UserSpace::reserve`]; `Jit::new` asks the
    /// address space.
    pub own_addresses: bool,
    /// Who computes registers again that a checkpoint does not hold, see `analysis/recipes.rs`; with
    /// nobody to do so checkpoints hold all.
    pub compute: Option<Compute>,
    /// Rely on what the stack is known to be, see `stacks.rs`: programs only.
    pub stacks: bool,
    /// Compile on a thread of its own; otherwise `request` returns when the code is there.
    pub background: bool,
    /// Cranelift's optimiser; without it code is compiled in about two thirds of the time.
    pub optimize: bool,
    /// Run Cranelift's verifier on each function.
    pub verify: bool,
    /// Keep what [`Jit::explain`](crate::Jit::explain) shows.
    pub listings: bool,
    /// Translate this instruction wrongly, so that tests can see that it is found.
    pub sabotage: Option<Op>,
    /// Most guest instructions in a region. Functions that are larger are cut, and the pieces jump
    /// into each other's middles, so that they are compiled again and again.
    pub region_size: usize,
    /// Computed jumps from region to region that pay for compiling an instruction of them anew, as
    /// one region: see `strays.rs`. They save less than arrivals, which are interpreted.
    pub joining: u32,
    /// Compile single blocks instead of functions and loops: for comparing block by block.
    pub one_block: bool,
    /// Keep what [`Jit::portables`](crate::Jit::portables) and
    /// [`SystemJit::portables`](crate::SystemJit::portables) give.
    pub keep: bool,
    /// Bytes of address space for compiled code; when they are used up, all code is dropped.
    pub code_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            counting: false,
            system: false,
            own_addresses: false,
            compute: None,
            stacks: true,
            background: true,
            optimize: true,
            verify: cfg!(debug_assertions),
            listings: false,
            sabotage: None,
            region_size: 5000,
            joining: 256,
            one_block: false,
            keep: false,
            code_bytes: 256 << 20,
        }
    }
}

impl Options {
    /// Of how many computed jumps from region to region one is noted, about.
    pub(crate) fn stray_interval(&self) -> u32 {
        (4 * self.joining).clamp(1, 1000)
    }
}

/// What the compiler has done so far.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Regions compiled, again after a change or with another entry included.
    pub regions: u64,
    /// Regions put in place that another process compiled.
    pub installed: u64,
    /// Guest instructions in the regions compiled.
    pub guest_instructions: u64,
    /// Bytes of host code.
    pub host_bytes: u64,
    /// Nanoseconds of CPU time spent on compiling.
    pub compile_ns: u64,
    /// Nanoseconds of CPU time spent on putting code in place that another process compiled, in whole
    /// machines.
    pub install_ns: u64,
    /// Regions dropped because their code changed or a larger region took their place.
    pub dropped: u64,
    /// Times that all code was dropped because the space for it was used up.
    pub evictions: u64,
    /// Times that compiled code returned to look for code that was missing.
    pub missing: u64,
}

impl Stats {
    /// The sum of what two compilers have done.
    pub fn plus(self, other: Stats) -> Stats {
        Stats {
            regions: self.regions + other.regions,
            installed: self.installed + other.installed,
            guest_instructions: self.guest_instructions + other.guest_instructions,
            host_bytes: self.host_bytes + other.host_bytes,
            compile_ns: self.compile_ns + other.compile_ns,
            install_ns: self.install_ns + other.install_ns,
            dropped: self.dropped + other.dropped,
            evictions: self.evictions + other.evictions,
            missing: self.missing + other.missing,
        }
    }
}
