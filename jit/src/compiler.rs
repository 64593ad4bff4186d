//! A region through Cranelift into executable memory. One compiler fills one generation after the
//! other.

use crate::analysis::placement;
use crate::code::{Code, Descriptor, Generation, Slot};
use crate::context::{Context, code, offset};
use crate::explain::Listing;
use crate::graph::Graph;
use crate::host::{self, Arena};
use crate::translate::{self, Linker, Settings, TRAP_CODES};
use crate::{Error, Options, helpers};
use cranelift_codegen::ir::{
    AbiParam, FuncRef, Function, InstBuilder, MemFlagsData, Signature, types,
};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_jit::{BranchProtection, JITBuilder, JITMemoryKind, JITMemoryProvider, JITModule};
use cranelift_module::{FuncId, Linkage, Module, ModuleResult};
use frontend::Region;
use std::collections::HashSet;
use std::io;
use std::mem::offset_of;
use std::sync::{Arc, Mutex};

/// The helpers that compiled code calls, by thunks in this order.
const HELPERS: [(&str, extern "C" fn(*mut Context)); 3] = [
    ("float", helpers::float),
    ("translate", helpers::translate),
    ("csr", helpers::csr),
];

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
/// addresses of both.
pub struct Links {
    /// The jumps out of it.
    #[expect(clippy::vec_box, reason = "compiled code holds the slots' addresses")]
    pub slots: Vec<Box<Slot>>,
    /// Its entries.
    pub descriptors: Box<[Descriptor]>,
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
    thunks: [FuncId; HELPERS.len()],
    shared: Arc<Shared>,
    context: cranelift_codegen::Context,
    builder: FunctionBuilderContext,
}

struct Slots<'a> {
    module: &'a mut JITModule,
    thunks: [FuncId; HELPERS.len()],
    imported: [Option<FuncRef>; HELPERS.len()],
    own: FuncId,
    own_ref: Option<FuncRef>,
    missing: u64,
    #[expect(clippy::vec_box, reason = "compiled code holds the slots' addresses")]
    slots: Vec<Box<Slot>>,
}

impl Linker for Slots<'_> {
    fn slot(&mut self, pc: u64) -> u64 {
        let slot = Slot::new(pc, self.missing);
        let address = &raw const *slot as u64;
        self.slots.push(slot);
        address
    }

    fn own(&mut self, func: &mut Function) -> FuncRef {
        *self
            .own_ref
            .get_or_insert_with(|| self.module.declare_func_in_func(self.own, func))
    }

    fn float_thunk(&mut self, func: &mut Function) -> FuncRef {
        self.thunk(0, func)
    }

    fn translate_thunk(&mut self, func: &mut Function) -> FuncRef {
        self.thunk(1, func)
    }

    fn csr_thunk(&mut self, func: &mut Function) -> FuncRef {
        self.thunk(2, func)
    }
}

impl Slots<'_> {
    fn thunk(&mut self, helper: usize, func: &mut Function) -> FuncRef {
        let thunk = self.thunks[helper];
        *self.imported[helper].get_or_insert_with(|| self.module.declare_func_in_func(thunk, func))
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
        for (name, helper) in HELPERS {
            jit.symbol(name, helper as *const u8);
        }
        let mut module = JITModule::new(jit);
        let mut context = module.make_context();
        let mut builder = FunctionBuilderContext::new();
        let fixed = fixed_functions(&mut module, &mut context, &mut builder)
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
            thunks: fixed.thunks,
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
    #[expect(clippy::vec_box, reason = "compiled code holds the slots' addresses")]
    fn translate(
        &mut self,
        graph: &Graph,
        own: FuncId,
    ) -> Result<(Vec<translate::Site>, Vec<Box<Slot>>), String> {
        let mut pinned = HashSet::new();
        loop {
            self.module.clear_context(&mut self.context);
            self.context.func.signature = translate::signature(CallConv::Tail);
            let config = self.module.target_config();
            let mut slots = Slots {
                module: &mut self.module,
                thunks: self.thunks,
                imported: [None; HELPERS.len()],
                own,
                own_ref: None,
                missing: self.shared.generation.missing,
                slots: Vec::new(),
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
            let slots = slots.slots;
            let translation = translated.inspect_err(|_| {
                // The builder may hold half a function.
                self.builder = FunctionBuilderContext::new();
            })?;
            let misplaced = placement::misplaced(&self.context.func, &translation.raising);
            if misplaced.is_empty() {
                return Ok((translation.sites, slots));
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
        let (sites, slots) = self.translate(&graph, id).map_err(failed)?;
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
        let links = Arc::new(Links {
            slots,
            descriptors: descriptors.collect(),
        });
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

struct Fixed {
    trampoline: FuncId,
    missing: FuncId,
    thunks: [FuncId; HELPERS.len()],
}

/// The functions that every generation begins with.
#[expect(clippy::result_large_err, reason = "the error is Cranelift's")]
fn fixed_functions(
    module: &mut JITModule,
    context: &mut cranelift_codegen::Context,
    builder: &mut FunctionBuilderContext,
) -> ModuleResult<Fixed> {
    let trusted = MemFlagsData::trusted();
    let c = CallConv::triple_default(module.isa().triple());
    let region = translate::signature(CallConv::Tail);
    let integer = AbiParam::new(types::I64);

    // From `host::enter`: context, function, entry, sp, a0.
    let mut signature = Signature::new(c);
    signature.params = vec![integer; 5];
    signature.returns = vec![integer];
    let trampoline = define(module, context, builder, &signature, |b, params, _| {
        let region = b.import_signature(region.clone());
        let arguments = [params[0], params[2], params[3], params[4]];
        let call = b.ins().call_indirect(region, params[1], &arguments);
        let result = b.inst_results(call)[0];
        b.ins().return_(&[result]);
    })?;

    // Where unlinked slots lead; the entry is the address of the stub descriptor.
    let missing = define(module, context, builder, &region, |b, params, _| {
        let pc = b.ins().load(
            types::I64,
            trusted,
            params[1],
            offset_of!(Descriptor, pc) as i32,
        );
        b.ins().store(trusted, pc, params[0], offset::PC);
        let result = b.ins().iconst(types::I64, code::MISSING as i64);
        b.ins().return_(&[result]);
    })?;

    // What cold paths call; preserves all registers.
    let mut thunks = [trampoline; HELPERS.len()];
    for (thunk, (name, _)) in thunks.iter_mut().zip(HELPERS) {
        let mut helper = Signature::new(c);
        helper.params = vec![integer];
        let helper = module.declare_function(name, Linkage::Import, &helper)?;
        let signature = Signature::new(CallConv::PreserveAll);
        *thunk = define(module, context, builder, &signature, |b, _, module| {
            let helper = module.declare_func_in_func(helper, b.func);
            // Nothing is passed in registers: the way to the context is by the frames, see `host`.
            let mut frame = b.ins().get_frame_pointer(types::I64);
            for _ in 0..host::FRAMES {
                frame = b.ins().load(types::I64, trusted, frame, 0);
            }
            let context = b
                .ins()
                .load(types::I64, trusted, frame, host::CONTEXT_IN_FRAME);
            b.ins().call(helper, &[context]);
            b.ins().return_(&[]);
        })?;
    }
    module.finalize_definitions()?;
    Ok(Fixed {
        trampoline,
        missing,
        thunks,
    })
}

#[expect(clippy::result_large_err, reason = "the error is Cranelift's")]
fn define(
    module: &mut JITModule,
    context: &mut cranelift_codegen::Context,
    builder: &mut FunctionBuilderContext,
    signature: &Signature,
    body: impl FnOnce(&mut FunctionBuilder<'_>, &[cranelift_codegen::ir::Value], &mut JITModule),
) -> ModuleResult<FuncId> {
    module.clear_context(context);
    context.func.signature = signature.clone();
    // Local: calls between functions of the module are relative, as the executable view needs.
    let id = module.declare_anonymous_function(signature)?;
    let mut b = FunctionBuilder::new(&mut context.func, builder);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    b.seal_block(entry);
    let params = b.block_params(entry).to_vec();
    body(&mut b, &params, module);
    b.finalize(module.target_config());
    module.define_function(id, context)?;
    Ok(id)
}
