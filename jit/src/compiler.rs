//! A region through Cranelift into executable memory. One compiler fills one generation after the
//! other.

use crate::analysis::placement;
use crate::code::{Code, Descriptor, Generation, Slot};
use crate::explain::Listing;
use crate::fixed::Fixed;
use crate::graph::Graph;
use crate::helpers::{AccessSite, Helper};
use crate::host::Arena;
use crate::translate::{self, Linker, Settings, TRAP_CODES};
use crate::{Error, Options};
use cranelift_codegen::ir::{FuncRef, Function};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::FunctionBuilderContext;
use cranelift_jit::{BranchProtection, JITBuilder, JITMemoryKind, JITMemoryProvider, JITModule};
use cranelift_module::{FuncId, Module, ModuleResult};
use frontend::Region;
use std::collections::{HashMap, HashSet};
use std::io;
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
#[derive(Default)]
#[expect(clippy::vec_box, reason = "compiled code holds the addresses")]
pub struct Links {
    /// The jumps out of it.
    pub slots: Vec<Box<Slot>>,
    /// Its entries.
    pub descriptors: Box<[Descriptor]>,
    /// Whole machines: its accesses to memory.
    accesses: Vec<Box<AccessSite>>,
    /// Whole machines: the addresses of its entries.
    entries: Box<[u64]>,
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
    /// If listings are kept.
    pub listing: Option<Listing>,
}

/// A generation and what its code points to.
pub struct Shared {
    /// Declared first, so that its faults are forgotten before anything goes.
    pub generation: Box<Generation>,
    links: Mutex<Vec<Arc<Links>>>,
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
        sabotage: options.sabotage,
        host_flags: x86,
        fma: !x86 || has("has_fma"),
    }
}

/// Makes code.
pub struct Compiler {
    options: Options,
    settings: Settings,
    module: JITModule,
    fixed: Fixed,
    shared: Arc<Shared>,
    context: cranelift_codegen::Context,
    builder: FunctionBuilderContext,
}

struct Slots<'a> {
    module: &'a mut JITModule,
    fixed: &'a Fixed,
    imported: HashMap<FuncId, FuncRef>,
    own: FuncId,
    missing: u64,
    links: Links,
}

impl Linker for Slots<'_> {
    fn slot(&mut self, pc: u64) -> u64 {
        let slot = Slot::new(pc, self.missing);
        let address = &raw const *slot as u64;
        self.links.slots.push(slot);
        address
    }

    fn access(&mut self, site: AccessSite) -> u64 {
        let site = Box::new(site);
        let address = &raw const *site as u64;
        self.links.accesses.push(site);
        address
    }

    fn entries(&mut self, pcs: Box<[u64]>) -> u64 {
        self.links.entries = pcs;
        self.links.entries.as_ptr() as u64
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

impl Slots<'_> {
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
        let mut module = JITModule::new(jit);
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
            arena,
        });
        Ok(Compiler {
            options: options.clone(),
            settings,
            module,
            fixed,
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
    fn translate(
        &mut self,
        graph: &Graph,
        own: FuncId,
    ) -> Result<(Vec<translate::Site>, Links), String> {
        let mut pinned = HashSet::new();
        loop {
            self.module.clear_context(&mut self.context);
            self.context.func.signature = translate::signature(CallConv::Tail);
            let config = self.module.target_config();
            let mut slots = Slots {
                module: &mut self.module,
                fixed: &self.fixed,
                imported: HashMap::new(),
                own,
                missing: self.shared.generation.missing,
                links: Links::default(),
            };
            let translated = translate::translate(
                &mut self.context.func,
                &mut self.builder,
                graph,
                &self.settings,
                &pinned,
                &mut slots,
                config,
            );
            let links = slots.links;
            let translation = translated.inspect_err(|_| {
                // The builder may hold half a function.
                self.builder = FunctionBuilderContext::new();
            })?;
            let misplaced = placement::misplaced(&self.context.func, &translation.raising);
            if misplaced.is_empty() {
                return Ok((translation.sites, links));
            }
            let known = pinned.len();
            pinned.extend(misplaced);
            if pinned.len() == known {
                return Err("floating point would be done where the guest does not".into());
            }
        }
    }

    /// Compiles a region; into a new generation, if the current one is nearly full.
    pub fn compile(&mut self, region: &Region) -> Result<Compiled, Error> {
        // More than any instruction takes.
        let room = 1024 * region.len() + (64 << 10);
        if self.shared.arena.left() < room && self.shared.arena.used() > room {
            *self = Compiler::new(&self.options)?;
        }
        let failed = |reason: String| {
            let pc = region.entries.first().copied().unwrap_or(0);
            Error::Compile { pc, reason }
        };
        let graph = Graph::new(region);
        let id = self
            .module
            .declare_anonymous_function(&translate::signature(CallConv::Tail))
            .map_err(|error| failed(error.to_string()))?;
        let (sites, mut links) = self.translate(&graph, id).map_err(failed)?;
        let clif = self
            .options
            .listings
            .then(|| self.context.func.display().to_string());
        self.module
            .define_function(id, &mut self.context)
            .map_err(|error| failed(format!("{error:?}")))?;
        self.module
            .finalize_definitions()
            .map_err(|error| failed(format!("{error:?}")))?;
        let compiled = self
            .context
            .compiled_code()
            .ok_or_else(|| failed("no code".into()))?;
        let start = self
            .shared
            .arena
            .executed_at(self.module.get_finalized_function(id));
        let bytes = compiled.code_buffer().len();
        let accesses = accesses(&compiled.buffer);
        let descriptors = graph
            .entries
            .iter()
            .enumerate()
            .map(|(entry, &(pc, _))| Descriptor {
                function: start as u64,
                entry: entry as u64,
                pc,
            });
        links.descriptors = descriptors.collect();
        let links = Arc::new(links);
        self.shared
            .links
            .lock()
            .unwrap_or_else(|p| p.into_inner())
            .push(links.clone());
        let code = Code {
            range: start..start + bytes,
            sites,
            accesses,
        };
        let listing = clif.map(|clif| {
            let locations: Vec<(u32, u32, u32)> = compiled
                .buffer
                .get_srclocs_sorted()
                .iter()
                .map(|location| (location.start, location.end, location.loc.bits()))
                .collect();
            Listing::new(region, &clif, &code, compiled.code_buffer(), &locations)
        });
        if !self.shared.generation.add(code) {
            // As if the arena were full: the next call begins a new one.
            *self = Compiler::new(&self.options)?;
            return Err(failed("too many regions in this generation".into()));
        }
        Ok(Compiled {
            links,
            generation: self.shared.clone(),
            bytes,
            instructions: region.len(),
            listing,
        })
    }
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
