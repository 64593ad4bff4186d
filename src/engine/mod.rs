//! The tiers: an interpreter that runs everything, and a compiler for what runs often.
//!
//! [`Engine`] is what the harts of one address space share; [`EngineCpu`] is one hart, and
//! what `linux` runs a thread on.

mod cpu;

pub use cpu::EngineCpu;

use crate::Error;
use crate::translations::{self, Folder, Kept};
use hart::csr::Clock;
use jit::Jit;
use memory::UserSpace;
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Which tiers there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, clap::ValueEnum)]
pub enum EngineKind {
    /// The interpreter first; code that runs often is compiled.
    Jit,
    /// The interpreter alone.
    Interp,
}

/// How an engine runs.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Which tiers there are.
    pub kind: EngineKind,
    /// Executions of a block before the region around it is compiled.
    pub threshold: u64,
    /// Compile what is reached at once, however rarely it runs: for comparing engines.
    pub eager: bool,
    /// Return after each block, as if kicked: for comparing engines block by block.
    pub by_block: bool,
    /// Run what is not compiled as drafts, where the host has them, instead of interpreting it. Not
    /// while counting, or comparing by block.
    pub drafts: bool,
    /// Where compiled code is kept between runs.
    pub translations: Option<Folder>,
    /// The compiler's options; `counting` and `background` are among them.
    pub jit: jit::Options,
}

impl EngineOptions {
    /// Arrivals at a block that is interpreted after which compiling it pays: measured on python3,
    /// whose code is large; see ARCHITECTURE.md, "Costs, measured".
    pub const THRESHOLD: u64 = 4000;

    /// The same of a block that runs as a draft, which is nearly as fast as what is compiled.
    pub const DRAFT_THRESHOLD: u64 = 100_000;

    /// The default options of an engine. `exact` counts every instruction, so that a run can be
    /// stopped at a count and repeated bit for bit.
    pub fn new(kind: EngineKind, exact: bool) -> Self {
        let jit = jit::Options {
            counting: exact,
            compute: Some(interp::compute),
            ..jit::Options::default()
        };
        EngineOptions {
            kind,
            threshold: match exact || !jit::Drafts::EXIST {
                true => Self::THRESHOLD,
                false => Self::DRAFT_THRESHOLD,
            },
            eager: false,
            by_block: false,
            drafts: true,
            translations: None,
            jit,
        }
    }
}

/// What the harts of one address space share.
pub struct Engine {
    space: Arc<UserSpace>,
    options: EngineOptions,
    jit: Option<Arc<Jit>>,
    /// Where the `time` register comes from; the same for all harts.
    clock: Clock,
    /// What was kept of the program that runs.
    kept: Mutex<Option<Arc<Kept>>>,
    /// Instructions that interpreters retired, for [`Engine::stats`].
    interpreted: AtomicU64,
    /// Instructions that drafts were made of, likewise.
    drafted: AtomicU64,
}

/// What an engine has done so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// Instructions retired by the interpreter.
    pub interpreted: u64,
    /// Instructions that drafts were made of.
    pub drafted: u64,
    /// What the compiler did.
    pub jit: jit::Stats,
}

impl Engine {
    /// An engine for the code in `space`.
    pub fn new(space: Arc<UserSpace>, mut options: EngineOptions) -> Result<Arc<Engine>, Error> {
        options.jit.keep = options.translations.is_some() && options.jit.sabotage.is_none();
        let jit = match options.kind {
            EngineKind::Jit => Some(Jit::new(options.jit.clone(), space.clone())?),
            EngineKind::Interp => None,
        };
        let clock = match options.jit.counting {
            true => Clock::Virtual,
            false => Clock::Host {
                start: Instant::now(),
                base: 0,
            },
        };
        Ok(Arc::new(Engine {
            space,
            options,
            jit,
            clock,
            kept: Mutex::default(),
            interpreted: AtomicU64::new(0),
            drafted: AtomicU64::new(0),
        }))
    }

    /// A hart with an all-zero state.
    pub fn cpu(self: &Arc<Self>) -> Box<EngineCpu> {
        Box::new(EngineCpu::new(self.clone()))
    }

    /// What was kept of the program that runs, if anything is.
    fn kept(&self) -> Option<Arc<Kept>> {
        self.lock_kept().clone()
    }

    fn lock_kept(&self) -> MutexGuard<'_, Option<Arc<Kept>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for what was kept of a program that is about to run in place of what ran before.
    fn look_up(&self, program: &File) {
        let Some((jit, folder)) = self.jit.as_ref().zip(self.options.translations.as_ref()) else {
            return;
        };
        let how = format!("{} {}", translations::build(), jit.fits());
        let kept = jit.options().keep.then_some(how);
        let kept = kept
            .and_then(|how| Kept::of(folder, program, &how))
            .map(Arc::new);
        let runs = kept.as_ref().map_or(0, |kept| kept.runs());
        let covered = kept.clone();
        let covered = covered.map(|kept| Arc::new(move |pc| kept.covers(pc)) as _);
        jit.expect(runs, covered);
        *self.lock_kept() = kept;
    }

    /// Keeps what was compiled for the program, which has run.
    fn keep(&self) {
        if let Some((jit, kept)) = self.jit.as_ref().zip(self.kept()) {
            kept.add(&jit.portables());
        }
    }

    /// The guest's memory.
    pub fn space(&self) -> &Arc<UserSpace> {
        &self.space
    }

    /// The compiler, if this engine has one.
    pub fn jit(&self) -> Option<&Arc<Jit>> {
        self.jit.as_ref()
    }

    /// What has been done so far, by all harts.
    pub fn stats(&self) -> Stats {
        Stats {
            interpreted: self.interpreted.load(Ordering::Relaxed),
            drafted: self.drafted.load(Ordering::Relaxed),
            jit: self.jit.as_ref().map(|jit| jit.stats()).unwrap_or_default(),
        }
    }
}
