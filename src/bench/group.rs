//! The groups that workloads are compared in: what a workload mostly does.

/// What a workload mostly does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Group {
    /// Integer arithmetic, tables, branches.
    Integer,
    /// Single and double precision arithmetic.
    Floating,
    /// Loads and stores that dominate.
    Memory,
    /// Indirect jumps, calls and returns.
    Indirect,
    /// Scripts run by Debian's interpreters.
    Scripts,
    /// Debian's compressors, ciphers and compiler.
    Tools,
    /// Work of some 50 ms, where compiling has to be worth it at once.
    Short,
    /// Starting and ending a process.
    StartUp,
}

impl Group {
    /// Every group, in the order reports show them.
    pub const ALL: [Group; 8] = [
        Group::Integer,
        Group::Floating,
        Group::Memory,
        Group::Indirect,
        Group::Scripts,
        Group::Tools,
        Group::Short,
        Group::StartUp,
    ];

    /// The group's name in tables, in JSON, and for `--only`.
    pub const fn name(self) -> &'static str {
        match self {
            Group::Integer => "integer",
            Group::Floating => "floating point",
            Group::Memory => "memory",
            Group::Indirect => "indirect",
            Group::Scripts => "scripts",
            Group::Tools => "tools",
            Group::Short => "short",
            Group::StartUp => "start-up",
        }
    }

    /// What its workloads have in common, for those who see the report first.
    pub const fn about(self) -> &'static str {
        match self {
            Group::Integer => "integer arithmetic, tables, branches",
            Group::Floating => "single and double precision arithmetic",
            Group::Memory => "loads and stores that dominate",
            Group::Indirect => "indirect jumps, virtual calls, returns",
            Group::Scripts => "Debian's lua, python3, perl and sqlite3",
            Group::Tools => "Debian's compressors, openssl and C compiler",
            Group::Short => "some 50 ms of native work: compiling has to pay at once",
            Group::StartUp => "starting and ending a process",
        }
    }

    /// Whether its workloads are programs from Debian packages.
    pub const fn is_debian(self) -> bool {
        matches!(self, Group::Scripts | Group::Tools)
    }

    /// Whether its workloads are programs of ours that run for a while.
    pub const fn is_own(self) -> bool {
        matches!(
            self,
            Group::Integer | Group::Floating | Group::Memory | Group::Indirect
        )
    }
}
