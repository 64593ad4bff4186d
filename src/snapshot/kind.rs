//! What a section can hold.

/// What a section holds. The numbers are part of the format: never reuse one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Kind {
    /// [`super::Meta`].
    Meta,
    /// [`super::PageMap`].
    PageMap,
    /// Raw pages.
    Pages,
    /// The list of mappings of a process.
    Mappings,
    /// What a process was started with and may see: `linux::Config`.
    Config,
    /// Threads, descriptors, signals and the rest of a process: `linux::ProcessImage`.
    Process,
    /// What a machine is made of: [`crate::machine::Description`].
    Machine,
    /// The harts of a machine, and its clock: [`crate::machine::HartsImage`].
    Harts,
    /// Its devices, by address: a list of `devices::bus::Saved`.
    Devices,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 9] = [
        Kind::Meta,
        Kind::PageMap,
        Kind::Pages,
        Kind::Mappings,
        Kind::Config,
        Kind::Process,
        Kind::Machine,
        Kind::Harts,
        Kind::Devices,
    ];

    /// Number in the file, newest version, name.
    fn row(self) -> (u32, u32, &'static str) {
        match self {
            Kind::Meta => (1, 1, "meta"),
            Kind::PageMap => (2, 1, "page map"),
            Kind::Pages => (3, 1, "pages"),
            Kind::Mappings => (4, 1, "mappings"),
            Kind::Config => (5, 2, "config"),
            Kind::Process => (6, 1, "process"),
            Kind::Machine => (7, 1, "machine"),
            Kind::Harts => (8, 1, "harts"),
            Kind::Devices => (9, 1, "devices"),
        }
    }

    /// Its number in the file.
    pub fn number(self) -> u32 {
        self.row().0
    }

    /// The newest version of what it holds, the one that is written. It goes up with every change
    /// of the type; reading an older one is up to the reader of that kind.
    pub fn version(self) -> u32 {
        self.row().1
    }

    /// What messages call it.
    pub fn name(self) -> &'static str {
        self.row().2
    }

    /// Whether a bhv that does not know the kind may resume without it.
    pub fn may_ignore(self) -> bool {
        false
    }

    /// The kind of this number.
    pub fn of_number(number: u32) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.number() == number)
    }
}
