//! A whole machine's memory as one of its harts sees it: translation, protection, devices, and the
//! privileged state that decides about them.

mod access;
mod compiled;
mod fetched;
mod instructions;

pub mod tlb;

use crate::privileged::{Mode, Privileged, status};
use memory::{Access, Breakpoints, Ram, Writer};
use std::cell::{Cell, Ref, RefCell};
use std::sync::Arc;
use tlb::{Tlb, View};

pub use instructions::CACHE_BLOCK;

/// What lies outside RAM, other harts included.
pub trait Io: Send + Sync {
    /// A load of 1, 2, 4 or 8 bytes by a hart that has retired so many instructions; `None` if
    /// nothing answers there.
    fn load(&self, pa: u64, bytes: u64, instret: u64) -> Option<u64>;
    /// A store, likewise: whether something answers.
    fn store(&self, pa: u64, bytes: u64, value: u64, instret: u64) -> bool;
    /// The time in ticks, of the hart that has retired so many instructions.
    fn time(&self, instret: u64) -> u64;
    /// Code is made from a page of RAM from now on, and `writer` may have been storing there unnoticed.
    /// If harts run at the same time, whoever of them it is gets word, to call
    /// [`SystemMemory::give_up`], and this returns true. If they take turns it returns false: whoever
    /// runs them asks for [`SystemMemory::take_protected`].
    fn watched(&self, page: u64, writer: Writer) -> bool;
}

/// A hart's view of the machine. Not for several threads: each hart has its own.
pub struct SystemMemory {
    ram: Arc<Ram>,
    io: Arc<dyn Io>,
    tlb: Tlb,
    privileged: RefCell<Privileged>,
    /// The array for loads and stores.
    data: Cell<usize>,
    /// The array for fetches.
    code: Cell<usize>,
    may_float: Cell<bool>,
    attention: Cell<bool>,
    /// Instructions retired before the one that makes accesses.
    instret: Cell<u64>,
    /// Pages that other harts must not store to unnoticed any more.
    protected: RefCell<Vec<(u64, Writer)>>,
    /// What of [`Privileged`] the arrays were chosen for.
    chosen: Cell<(u64, u64, Mode)>,
    /// Numbers of this hart's entries begin here.
    first_entry: u32,
    breakpoints: Breakpoints,
}

impl SystemMemory {
    /// The view of hart number `privileged.mhartid`.
    pub fn new(ram: Arc<Ram>, io: Arc<dyn Io>, privileged: Privileged) -> Self {
        let entries = (tlb::ARRAYS * tlb::ENTRIES) as u32;
        let memory = SystemMemory {
            ram,
            io,
            tlb: Tlb::default(),
            first_entry: (privileged.mhartid as u32).wrapping_mul(entries),
            privileged: RefCell::new(privileged),
            data: Cell::new(tlb::EMPTY),
            code: Cell::new(tlb::EMPTY),
            may_float: Cell::new(false),
            attention: Cell::new(false),
            instret: Cell::new(0),
            protected: RefCell::default(),
            chosen: Cell::new((0, 0, Mode::Machine)),
            breakpoints: Breakpoints::default(),
        };
        memory.choose(true);
        memory
    }

    /// The privileged state.
    pub fn privileged(&self) -> Ref<'_, Privileged> {
        self.privileged.borrow()
    }

    /// Changes the privileged state, from outside any instruction.
    pub fn change<R>(&self, change: impl FnOnce(&mut Privileged) -> R) -> R {
        let result = change(&mut self.privileged.borrow_mut());
        self.choose(false);
        result
    }

    /// The RAM of all harts.
    pub fn ram(&self) -> &Arc<Ram> {
        &self.ram
    }

    /// Where a debugger wants this hart to stop, by virtual address. Whoever changes them drops
    /// what was decoded.
    pub fn breakpoints(&self) -> &Breakpoints {
        &self.breakpoints
    }

    /// The physical address behind a virtual one, for a debugger: as the hart would access it now,
    /// or else as another mode would. Protection counts for nothing.
    pub fn look_up(&self, va: u64) -> Option<u64> {
        let p = self.privileged.borrow();
        let modes = [p.mode(), Mode::Supervisor, Mode::User];
        let ways = modes
            .iter()
            .flat_map(|mode| [Access::Load, Access::Fetch].map(|a| (*mode, a)));
        let mut found = ways.filter_map(|(mode, access)| p.walk(&self.ram, mode, va, access).ok());
        found
            .find(|mapping| self.ram.contains(mapping.pa, 1))
            .map(|mapping| mapping.pa)
    }

    /// Drops all that is cached, after the privileged state was replaced as a whole.
    pub fn forget(&self) {
        self.tlb.clear();
        self.choose(true);
    }

    /// As sfence.vma, for another hart's sake: all addresses or one page, all address spaces or
    /// one.
    pub fn fence(&self, va: Option<u64>, asid: Option<u64>) {
        match va {
            Some(va) => self.tlb.clear_page(va, asid),
            None => self.tlb.clear_spaces(asid),
        }
        // The arrays in use may have been those dropped: they stay theirs.
    }

    /// Keeps this hart from storing unnoticed to a page of RAM that another hart makes code from.
    pub fn protect(&self, page: u64, writer: Writer) {
        let host = self.ram.host() + (page << memory::PAGE_BITS);
        let entries = (tlb::ARRAYS * tlb::ENTRIES) as u32;
        match writer {
            Writer::None => {}
            Writer::Entry(entry) => {
                let own = entry.wrapping_sub(self.first_entry);
                if own < entries {
                    self.tlb.protect(own, host);
                }
            }
            Writer::Many => self.tlb.protect_everywhere(host),
        }
    }

    /// As [`SystemMemory::protect`], when the other hart has been making code from the page for a while:
    /// this one may have stored there since, so that the page counts as written.
    pub fn give_up(&self, page: u64, writer: Writer) {
        self.protect(page, writer);
        self.ram.note_write(page);
    }

    /// Whose entry a [`Writer::Entry`] is: the number of the hart.
    pub fn owner(entry: u32) -> usize {
        entry as usize / (tlb::ARRAYS * tlb::ENTRIES)
    }

    /// The pages that this hart has made code from since the last call, and who of all harts may
    /// have been storing there: the others are told by [`SystemMemory::protect`].
    pub fn take_protected(&self) -> Vec<(u64, Writer)> {
        std::mem::take(&mut self.protected.borrow_mut())
    }

    /// Chooses the arrays that the privileged state asks for.
    fn choose(&self, always: bool) {
        let p = self.privileged.borrow();
        self.may_float.set(p.may_float());
        let bits = p.mstatus & (status::SUM | status::MXR | status::MPRV | status::MPP);
        let wanted = (p.satp(), bits, p.mode());
        if !always && self.chosen.get() == wanted {
            return;
        }
        self.chosen.set(wanted);
        let code = match p.mode() {
            Mode::Machine => tlb::MACHINE,
            Mode::Supervisor => self.tlb.array(p.satp(), View::Supervisor),
            Mode::User => self.tlb.array(p.satp(), View::User),
        };
        self.code.set(code);
        let data = match p.data_mode() {
            Mode::Machine => tlb::MACHINE,
            _ if p.mstatus & status::MXR != 0 => tlb::EMPTY,
            Mode::Supervisor if p.mstatus & status::SUM != 0 => {
                self.tlb.array(p.satp(), View::Both)
            }
            Mode::Supervisor => self.tlb.array(p.satp(), View::Supervisor),
            Mode::User => self.tlb.array(p.satp(), View::User),
        };
        self.data.set(data);
    }
}
