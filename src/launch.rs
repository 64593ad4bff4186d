//! Starting a program: the one way in for the command line, tests and users of the library.

use crate::symbols::Symbols;
use crate::{Engine, EngineKind, EngineOptions, Error, translations};
use linux::observer::Observer;
use linux::{Config, Exit, Process, Program, Progress, Schedule};
use memory::UserSpace;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A program, what it may see, and the engine it is to run on.
pub struct Launch {
    /// The program and its arguments.
    pub program: Program,
    /// What it may see, and how its threads are scheduled.
    pub config: Config,
    /// The engine.
    pub engine: EngineOptions,
    /// Who is told what happens.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Launch {
    /// The program at `path`, without arguments, isolated, on the compiler.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let argv = vec![path.as_os_str().as_encoded_bytes().to_vec()];
        Launch {
            program: Program {
                path,
                argv,
                envp: Vec::new(),
            },
            config: Config::default(),
            engine: EngineOptions::new(EngineKind::Jit, false),
            observer: None,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl Into<Vec<u8>>) -> Self {
        self.program.argv.push(argument.into());
        self
    }

    /// Chooses the engine.
    pub fn engine(mut self, kind: EngineKind) -> Self {
        self.engine.kind = kind;
        self
    }

    /// Counts every instruction: time is virtual, random numbers come from `seed`, threads take
    /// turns. Two such runs are the same bit for bit, on either engine.
    pub fn exact(mut self, seed: u64) -> Self {
        self.config.schedule = Schedule::exact(seed);
        self.engine.jit.counting = true;
        self
    }

    /// Has `observer` told what happens.
    pub fn observe(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Loads the program. Nothing of it has run yet.
    pub fn start(self) -> Result<Running, Error> {
        let mut config = self.config.resolve()?;
        translations::protect(&mut config, self.engine.translations.as_ref())?;
        let space = Arc::new(UserSpace::reserve()?);
        let engine = Engine::new(space.clone(), self.engine)?;
        let mut process = Process::start(config, &self.program, space, engine.cpu())?;
        if let Some(observer) = self.observer {
            process.observe(observer);
        }
        Ok(Running {
            process,
            engine,
            title: self.program.argv,
        })
    }
}

/// A process with its engine.
pub struct Running {
    pub(crate) process: Process,
    pub(crate) engine: Arc<Engine>,
    /// The program's arguments.
    pub(crate) title: Vec<Vec<u8>>,
}

impl Running {
    /// Runs it to its end. A forked child never returns from here.
    pub fn run(&mut self) -> Result<Exit, Error> {
        Ok(self.process.run()?)
    }

    /// Runs it until all its threads together have retired `total` instructions since its start,
    /// exactly. Needs [`Launch::exact`].
    pub fn run_until(&mut self, total: u64) -> Result<Progress, Error> {
        Ok(self.process.run_until(total)?)
    }

    /// Instructions retired by all threads. Counted exactly only after [`Launch::exact`].
    pub fn total(&self) -> u64 {
        self.process.total()
    }

    /// Whether instructions are counted.
    pub fn is_exact(&self) -> bool {
        matches!(self.process.config().schedule, Schedule::Exact { .. })
    }

    /// Names for the guest's addresses, as far as the host can read the mapped files.
    pub fn symbols(&self) -> Symbols {
        let config = self.process.config();
        let host = |guest: &Path| {
            let inside = config
                .root
                .as_ref()
                .map(|root| root.join(guest.strip_prefix("/").unwrap_or(guest)));
            inside
                .filter(|path| path.exists())
                .unwrap_or_else(|| guest.to_owned())
        };
        Symbols::of_space(self.process.space(), host)
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its engine.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
}
