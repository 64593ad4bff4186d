//! A region through Cranelift into executable memory. One compiler fills one generation after the
//! other.

use crate::analysis::placement;
use crate::analysis::recipes::Instructions;
use crate::code::{Code, Descriptor, EntryTable, Generation, Slot, Slots};
use crate::explain::Listing;
use crate::fixed::Fixed;
use crate::graph::{Graph, Kind};
use crate::helpers::Helper;
use crate::host::Arena;
use crate::portable::{Names, Portable};
use crate::table::Shape;
use crate::translate::{self, Linker, Settings, Site, TRAP_CODES};
use crate::{Error, Options};
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{FuncRef, Function, GlobalValue, GlobalValueData};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::FunctionBuilderContext;
use cranelift_jit::{BranchProtection, JITBuilder, JITMemoryKind, JITMemoryProvider, JITModule};
use cranelift_module::{DataId, FuncId, Linkage, Module, ModuleReloc, ModuleResult};
use frontend::{Insn, Region};
use hart::csr::{FCSR, FFLAGS, FRM};
use std::collections::{HashMap, HashSet};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// Hands out an arena's memory to Cranelift, packed.
struct Provider(Arc<Arena>);

impl JITMemoryProvider for Provider {
    fn allocate(&mut self, size: usize, align: u64, _: JITMemoryKind) -> io::Result<*mut u8> {
        self.0.allocate(size, align as usize)
    }
    // The arena goes when the generation does.
    unsafe fn free_memory(&mut self) {}
    fn finalize(&mut self, _: BranchProtection) -> ModuleResult<()> {
        self.0.publish();
        Ok(())
    }
}

/// What a region's code needs to stay where it is while code may run: compiled code holds the
/// addresses.
pub struct Links {
    slots: Arc<Slots>,
    /// The jumps out of it.
    jumps: Range<usize>,
    /// Its entries.
    pub descriptors: Box<[Descriptor]>,
}

impl Links {
    /// The jumps out of it.
    pub fn slots(&self) -> &[Slot] {
        self.slots.run(self.jumps.clone())
    }
}

/// A region, compiled.
pub struct Compiled {
    /// Its jumps and entries.
    pub links: Arc<Links>,
    /// The generation that it is part of.
    pub generation: Arc<Shared>,
    /// Bytes of host code.
    pub bytes: usize,
    /// Guest instructions.
    pub instructions: usize,
    /// Whether any is a floating-point one, which may be forbidden.
    pub floats: bool,
    /// If listings are kept.
    pub listing: Option<Listing>,
    /// If code is kept. What it was made from is yet to be filled in.
    pub portable: Option<Portable>,
}

impl Compiled {
    /// Code that has its place already.
    pub fn again(generation: Arc<Shared>, links: Arc<Links>, floats: bool) -> Compiled {
        Compiled {
            links,
            generation,
            bytes: 0,
            instructions: 0,
            floats,
            listing: None,
            portable: None,
        }
    }
}

/// A generation and what its code points to.
pub struct Shared {
    /// Declared first, so that its faults are forgotten before anything goes.
    pub generation: Box<Generation>,
    links: Mutex<Vec<Arc<Links>>>,
    slots: Arc<Slots>,
    /// Whole machines only; else empty.
    entries: EntryTable,
    arena: Arc<Arena>,
}

impl Shared {
    /// See [`Arena::unshare`].
    pub fn unshare(&self) -> io::Result<()> {
        self.arena.unshare()
    }
}

/// The host's instruction set with the settings that the translator counts on.
pub fn isa(options: &Options) -> Result<OwnedTargetIsa, Error> {
    let builder = cranelift_native::builder().map_err(|reason| Error::Host(reason.into()))?;
    builder
        .finish(settings::Flags::new(flags(options)?))
        .map_err(|error| Error::Host(error.to_string()))
}

/// What tells the hosts and options apart for which code comes out differently.
pub fn fits(options: &Options) -> String {
    let (recipes, own) = (options.compute.is_some(), options.own_addresses);
    let kind = (options.counting, options.system, options.stacks);
    let mut text = format!("{kind:?} {recipes} {own}");
    if let Ok(isa) = isa(options) {
        text.push_str(&format!(" {} {}", isa.triple(), isa.flags()));
        for flag in isa.isa_flags() {
            text.push_str(&format!(" {flag}"));
        }
    }
    text
}

/// Cranelift's settings, for any host.
pub fn flags(options: &Options) -> Result<settings::Builder, Error> {
    let mut flags = settings::builder();
    let chosen = [
        ("opt_level", if options.optimize { "speed" } else { "none" }),
        (
            "enable_verifier",
            if options.verify { "true" } else { "false" },
        ),
        ("preserve_frame_pointers", "true"),
        ("is_pic", "false"),
        ("use_colocated_libcalls", "false"),
        ("enable_probestack", "false"),
        ("unwind_info", "false"),
        ("enable_heap_access_spectre_mitigation", "false"),
        ("enable_table_access_spectre_mitigation", "false"),
    ];
    for (name, value) in chosen {
        flags
            .set(name, value)
            .map_err(|error| Error::Host(format!("{name}: {error}")))?;
    }
    Ok(flags)
}

/// The settings that depend on the host's instruction set.
pub fn translation(options: &Options, isa: &dyn cranelift_codegen::isa::TargetIsa) -> Settings {
    let has = |name: &str| {
        isa.isa_flags()
            .iter()
            .any(|flag| flag.name == name && flag.as_bool() == Some(true))
    };
    let x86 = isa.triple().architecture == target_lexicon::Architecture::X86_64;
    Settings {
        counting: options.counting,
        system: options.system,
        own_addresses: options.own_addresses && !options.system,
        recipes: options.compute.is_some() && !options.system,
        stacks: options.stacks && !options.system,
        sabotage: options.sabotage,
        host_flags: x86,
        fma: !x86 || has("has_fma"),
    }
}

/// What the table of slots is called in the module.
const SLOTS: &str = "slots";
/// What the table of entries' addresses is called there.
const ENTRIES: &str = "entries";

/// What a region became, apart from the Cranelift IR itself.
struct Translated {
    sites: Vec<Site>,
    recipes: Vec<Instructions>,
    /// Where its jumps lead.
    jumps: Vec<u64>,
}

/// Host code that is not in its place yet.
struct Piece<'a> {
    own: FuncId,
    code: &'a [u8],
    alignment: u64,
    relocs: &'a [ModuleReloc],
    entries: Vec<u64>,
    /// Guest instructions.
    size: usize,
    floats: bool,
    accesses: Vec<(u32, u32)>,
    translated: Translated,
}

/// Makes code.
pub struct Compiler {
    options: Options,
    settings: Settings,
    module: JITModule,
    fixed: Fixed,
    /// What slots are called in the module.
    slots: DataId,
    /// What the entries' addresses are called there.
    entries: DataId,
    shared: Arc<Shared>,
    context: cranelift_codegen::Context,
    builder: FunctionBuilderContext,
}

struct References<'a> {
    module: &'a mut JITModule,
    fixed: &'a Fixed,
    imported: HashMap<FuncId, FuncRef>,
    own: FuncId,
    slots: DataId,
    /// The number of the first slot to be used.
    first: usize,
    jumps: Vec<u64>,
    entries: DataId,
    /// The number of the region's first entry in their table.
    first_entry: usize,
}

impl Linker for References<'_> {
    fn slot(&mut self, pc: u64, func: &mut Function) -> GlobalValue {
        let number = self.first + self.jumps.len();
        self.jumps.push(pc);
        let slot = self.module.declare_data_in_func(self.slots, func);
        if let GlobalValueData::Symbol { offset, .. } = &mut func.global_values[slot] {
            *offset = ((number * size_of::<Slot>()) as i64).into();
        }
        slot
    }

    fn entries(&mut self, func: &mut Function) -> GlobalValue {
        let table = self.module.declare_data_in_func(self.entries, func);
        if let GlobalValueData::Symbol { offset, .. } = &mut func.global_values[table] {
            *offset = ((self.first_entry * size_of::<u64>()) as i64).into();
        }
        table
    }

    fn own(&mut self, func: &mut Function) -> FuncRef {
        self.import(self.own, func)
    }

    fn thunk(&mut self, helper: Helper, func: &mut Function) -> FuncRef {
        self.import(self.fixed.thunks[helper as usize], func)
    }

    fn dispatch(&mut self, func: &mut Function) -> FuncRef {
        self.import(self.fixed.dispatch, func)
    }
}

impl References<'_> {
    fn import(&mut self, id: FuncId, func: &mut Function) -> FuncRef {
        let import = || self.module.declare_func_in_func(id, func);
        *self.imported.entry(id).or_insert_with(import)
    }
}

impl Compiler {
    /// A compiler with an empty generation.
    pub fn new(options: &Options) -> Result<Compiler, Error> {
        Compiler::for_isa(options, isa(options)?)
    }

    /// A compiler for some host. What it makes for another one than this is to be read, never run.
    pub fn for_isa(options: &Options, isa: OwnedTargetIsa) -> Result<Compiler, Error> {
        let settings = translation(options, &*isa);
        let arena = Arena::new(options.code_bytes).map_err(|source| Error::Reserve {
            bytes: options.code_bytes,
            source,
        })?;
        let arena = Arc::new(arena);
        let names = cranelift_module::default_libcall_names();
        let mut jit = JITBuilder::with_isa(isa, names);
        jit.memory_provider(Box::new(Provider(arena.clone())));
        for helper in Helper::ALL {
            jit.symbol(helper.name(), helper.function() as *const u8);
        }
        let most = match options.system {
            true => 0,
            // No jump out of a region takes less code than this.
            false => options.code_bytes / 32,
        };
        let table = Arc::new(Slots::new(most));
        jit.symbol(SLOTS, table.base() as *const u8);
        let most = match options.system {
            // As above.
            true => options.code_bytes / 32,
            false => 0,
        };
        let entry_table = EntryTable::new(most);
        jit.symbol(ENTRIES, entry_table.base() as *const u8);
        let mut module = JITModule::new(jit);
        let slots = module
            .declare_data(SLOTS, Linkage::Import, true, false)
            .map_err(|error| Error::Host(error.to_string()))?;
        let entries = module
            .declare_data(ENTRIES, Linkage::Import, false, false)
            .map_err(|error| Error::Host(error.to_string()))?;
        let mut context = module.make_context();
        let mut builder = FunctionBuilderContext::new();
        let fixed = Fixed::define(&mut module, &mut context, &mut builder, options.system)
            .map_err(|error| Error::Host(error.to_string()))?;
        let at = |id: FuncId| arena.executed_at(module.get_finalized_function(id));
        let generation = Generation::new(
            arena.clone(),
            at(fixed.trampoline),
            at(fixed.missing) as u64,
            options.counting,
        );
        if !generation.is_registered() {
            return Err(Error::Host("too many code ranges are registered".into()));
        }
        let shared = Arc::new(Shared {
            generation,
            links: Mutex::default(),
            slots: table,
            entries: entry_table,
            arena,
        });
        Ok(Compiler {
            options: options.clone(),
            settings,
            module,
            fixed,
            slots,
            entries,
            shared,
            context,
            builder,
        })
    }

    /// The generation that is being filled.
    pub fn generation(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Makes Cranelift IR of a region, for the function `own`.
    fn translate(&mut self, graph: &Graph, own: FuncId) -> Result<Translated, String> {
        let mut pinned = HashSet::new();
        loop {
            self.module.clear_context(&mut self.context);
            self.context.func.signature = translate::signature(CallConv::Tail);
            let config = self.module.target_config();
            let mut references = References {
                module: &mut self.module,
                fixed: &self.fixed,
                imported: HashMap::new(),
                own,
                slots: self.slots,
                first: self.shared.slots.used(),
                jumps: Vec::new(),
                entries: self.entries,
                first_entry: self.shared.entries.used(),
            };
            let translated = translate::translate(
                &mut self.context.func,
                &mut self.builder,
                graph,
                &self.settings,
                &pinned,
                &mut references,
                config,
            );
            let jumps = references.jumps;
            let translation = translated.inspect_err(|_| {
                // The builder may hold half a function.
                self.builder = FunctionBuilderContext::new();
            })?;
            let misplaced = placement::misplaced(
                &self.context.func,
                &translation.raising,
                &translation.barriers,
            );
            if misplaced.is_empty() {
                return Ok(Translated {
                    sites: translation.sites,
                    recipes: translation.recipes,
                    jumps,
                });
            }
            let known = pinned.len();
            pinned.extend(misplaced);
            if pinned.len() == known {
                return Err("floating point would be done where the guest does not".into());
            }
        }
    }

    /// Begins a new generation if there is no room for a region of so many guest instructions.
    fn make_room(&mut self, instructions: usize) -> Result<(), Error> {
        // More than any instruction takes.
        let room = 1024 * instructions + (64 << 10);
        if self.shared.arena.left() < room && self.shared.arena.used() > room {
            *self = Compiler::new(&self.options)?;
        }
        Ok(())
    }

    fn declare(&mut self) -> Result<FuncId, String> {
        self.module
            .declare_anonymous_function(&translate::signature(CallConv::Tail))
            .map_err(|error| error.to_string())
    }

    /// Compiles a region; into a new generation, if the current one is nearly full.
    pub fn compile(&mut self, region: &Region) -> Result<Compiled, Error> {
        self.make_room(region.len())?;
        self.compile_here(region).map_err(|reason| {
            let pc = region.entries.first().copied().unwrap_or(0);
            Error::Compile { pc, reason }
        })
    }

    fn compile_here(&mut self, region: &Region) -> Result<Compiled, String> {
        let graph = Graph::new(
            region,
            Kind {
                program: !self.settings.system,
                stacks: self.settings.stacks,
            },
        );
        let own = self.declare()?;
        let translated = self.translate(&graph, own)?;
        let clif = self
            .options
            .listings
            .then(|| self.context.func.display().to_string());
        self.context
            .compile(self.module.isa(), &mut ControlPlane::default())
            .map_err(|error| format!("{:?}", error.inner))?;
        let compiled = self.context.take_compiled_code().ok_or("no code")?;
        let relocs: Vec<ModuleReloc> = compiled
            .buffer
            .relocs()
            .iter()
            .map(|reloc| ModuleReloc::from_mach_reloc(reloc, &self.context.func, own))
            .collect();
        let piece = Piece {
            own,
            code: compiled.code_buffer(),
            alignment: compiled.buffer.alignment.into(),
            relocs: &relocs,
            entries: graph.entries.iter().map(|&(pc, _)| pc).collect(),
            size: region.len(),
            floats: is_floating(region),
            accesses: accesses(&compiled.buffer),
            translated,
        };
        let portable = match self.options.keep {
            true => self.portable(region, &piece),
            false => None,
        };
        let placed = self.place(piece, |code| {
            let locations: Vec<(u32, u32, u32)> = compiled
                .buffer
                .get_srclocs_sorted()
                .iter()
                .map(|location| (location.start, location.end, location.loc.bits()))
                .collect();
            let bytes = compiled.code_buffer();
            clif.map(|clif| Listing::new(region, &clif, code, bytes, &locations))
        })?;
        Ok(Compiled { portable, ..placed })
    }

    /// What `piece` is without the addresses of this process; `None` if it cannot do without.
    fn portable(&self, region: &Region, piece: &Piece<'_>) -> Option<Portable> {
        let Shape { blocks, .. } = Shape::of(region);
        let names = self.names(piece.own);
        let holes: Option<_> = piece.relocs.iter().map(|reloc| names.hole(reloc)).collect();
        // A machine's accesses don't fault, so nobody asks which guest instruction did.
        let faults = !self.options.system;
        let translated = &piece.translated;
        let sites = faults.then(|| (translated.sites.clone(), piece.accesses.clone()));
        let (sites, accesses) = sites.unwrap_or_default();
        Some(Portable {
            entries: piece.entries.clone(),
            blocks,
            size: piece.size,
            floats: piece.floats,
            guest: Vec::new(),
            code: piece.code.to_vec(),
            targets: region.targets.clone(),
            callees: region.callees.clone(),
            alignment: piece.alignment,
            holes: holes?,
            jumps: piece.translated.jumps.clone(),
            sites,
            recipes: translated.recipes.clone(),
            accesses,
        })
    }

    fn names(&self, own: FuncId) -> Names<'_> {
        Names {
            fixed: &self.fixed,
            own,
            slots: self.slots,
            first: self.shared.slots.used(),
            entries: self.entries,
            first_entry: self.shared.entries.used(),
        }
    }

    /// Puts code that was compiled elsewhere into its place; into a new generation, if the current
    /// one is nearly full.
    pub fn install(&mut self, portable: &Portable) -> Result<Compiled, Error> {
        self.make_room(portable.size)?;
        self.install_here(portable).map_err(|reason| {
            let pc = portable.entries.first().copied().unwrap_or(0);
            Error::Compile { pc, reason }
        })
    }

    fn install_here(&mut self, portable: &Portable) -> Result<Compiled, String> {
        let own = self.declare()?;
        let names = self.names(own);
        let relocs: Option<Vec<ModuleReloc>> = portable
            .holes
            .iter()
            .map(|hole| names.reloc(hole))
            .collect();
        let piece = Piece {
            own,
            code: &portable.code,
            alignment: portable.alignment,
            relocs: &relocs.ok_or("it calls an unknown helper")?,
            entries: portable.entries.clone(),
            size: portable.size,
            floats: portable.floats,
            accesses: portable.accesses.clone(),
            translated: Translated {
                sites: portable.sites.clone(),
                recipes: portable.recipes.clone(),
                jumps: portable.jumps.clone(),
            },
        };
        self.place(piece, |_| None)
    }

    /// Puts code into executable memory.
    fn place(
        &mut self,
        piece: Piece<'_>,
        listing: impl FnOnce(&Code) -> Option<Listing>,
    ) -> Result<Compiled, String> {
        let Translated {
            sites,
            recipes,
            jumps,
        } = piece.translated;
        let slots = self.shared.slots.clone();
        let Some(jumps) = slots.take(&jumps, self.shared.generation.missing) else {
            // As if the arena were full: the next call begins a new one.
            *self = Compiler::new(&self.options).map_err(|error| error.to_string())?;
            return Err("too many jumps in this generation".into());
        };
        if self.options.system && !self.shared.entries.add(&piece.entries) {
            *self = Compiler::new(&self.options).map_err(|error| error.to_string())?;
            return Err("too many entries in this generation".into());
        }
        self.module
            .define_function_bytes(piece.own, piece.alignment, piece.code, piece.relocs)
            .map_err(|error| format!("{error:?}"))?;
        self.module
            .finalize_definitions()
            .map_err(|error| format!("{error:?}"))?;
        let start = self
            .shared
            .arena
            .executed_at(self.module.get_finalized_function(piece.own));
        let descriptor = |(entry, &pc): (usize, &u64)| Descriptor {
            function: start as u64,
            entry: entry as u64,
            pc,
        };
        let links = Arc::new(Links {
            slots,
            jumps,
            descriptors: piece.entries.iter().enumerate().map(descriptor).collect(),
        });
        self.shared
            .links
            .lock()
            .unwrap_or_else(|p| p.into_inner())
            .push(links.clone());
        let code = Code {
            range: start..start + piece.code.len(),
            sites,
            recipes,
            accesses: piece.accesses,
        };
        let listing = listing(&code);
        let generation = self.shared.clone();
        if !generation.generation.add(code) {
            // As if the arena were full: the next call begins a new one.
            *self = Compiler::new(&self.options).map_err(|error| error.to_string())?;
            return Err("too many regions in this generation".into());
        }
        Ok(Compiled {
            links,
            generation,
            bytes: piece.code.len(),
            instructions: piece.size,
            floats: piece.floats,
            listing,
            portable: None,
        })
    }
}

/// Whether a region holds instructions that trap while floating point is switched off.
fn is_floating(region: &Region) -> bool {
    let mut insns = region.blocks.iter().flat_map(|block| &block.insns);
    insns.any(|decoded| is_float(decoded.insn))
}

fn is_float(insn: Insn) -> bool {
    let csr = match insn {
        Insn::Csrrw(o) | Insn::Csrrs(o) | Insn::Csrrc(o) => Some(o.csr),
        Insn::Csrrwi(o) | Insn::Csrrsi(o) | Insn::Csrrci(o) => Some(o.csr),
        _ => None,
    };
    let registers = insn.uses().f_bits() | insn.defs().f_bits();
    registers != 0 || matches!(csr, Some(FCSR | FFLAGS | FRM))
}

/// Which site each host instruction that accesses guest memory belongs to.
///
/// Cranelift may have a later instruction do a load, under that one's location. The access's own
/// number modulo `TRAP_CODES` came along as its trap code, and the load lies less than that before.
fn accesses(
    buffer: &cranelift_codegen::MachBufferFinalized<cranelift_codegen::Final>,
) -> Vec<(u32, u32)> {
    let locations = buffer.get_srclocs_sorted();
    let mut accesses = Vec::new();
    for trap in buffer.traps() {
        let number = usize::from(trap.code.as_raw().get());
        if number == 0 || number > TRAP_CODES {
            continue;
        }
        let index = locations.partition_point(|location| location.end <= trap.offset);
        let Some(location) = locations.get(index) else {
            continue;
        };
        if location.start > trap.offset || location.loc.is_default() {
            continue;
        }
        let at = location.loc.bits() as usize;
        let back = (at + TRAP_CODES - (number - 1)) % TRAP_CODES;
        if let Some(site) = at.checked_sub(back) {
            accesses.push((trap.offset, site as u32));
        }
    }
    accesses.sort_unstable();
    accesses
}
