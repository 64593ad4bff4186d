//! Saving a running process into a snapshot, and going on from one.

use crate::launch::Running;
use crate::snapshot::{Kind, Meta, Reader, Subject, Writer, space};
use crate::{Engine, EngineOptions, Error, translations};
use linux::{Config, Grant, Process, ProcessImage, Progress};
use memory::UserSpace;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

impl Running {
    /// Writes the process to a file. It must have been launched with
    /// [`Launch::exact`](crate::Launch::exact), and goes on unharmed afterwards.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let image = self.process.save()?;
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let created = since_epoch.map_or(0, |time| time.as_secs());
        let meta = Meta {
            id: RandomState::new().hash_one((created, std::process::id(), image.total)),
            subject: Subject::Process,
            title: self.title.clone(),
            writer: concat!("bhv ", env!("CARGO_PKG_VERSION")).to_owned(),
            created,
            instructions: image.total,
            parent: None,
        };
        let mut writer = Writer::create(path)?;
        writer.state(Kind::Meta, &meta)?;
        writer.state(Kind::Config, self.process.config())?;
        writer.state(Kind::Process, &image)?;
        space::save(&mut writer, self.process.space())?;
        writer.finish()?;
        Ok(())
    }

    /// Runs to where the process is about to exit, and writes it to a file; then lets it exit.
    /// Nothing is written if a signal kills it.
    pub fn run_and_save(&mut self, path: &Path) -> Result<crate::Exit, Error> {
        self.process.hold_exit(true);
        match self.process.run_until(u64::MAX)? {
            Progress::Exited(exit) => return Ok(exit),
            Progress::Reached => self.save(path)?,
        }
        self.process.hold_exit(false);
        self.run()
    }
}

/// A process from a snapshot, on a new engine. It goes on where it was saved: its clock, its
/// random numbers and its threads' turns too.
pub fn resume(path: &Path, engine: EngineOptions) -> Result<Running, Error> {
    let reader = Reader::open(path)?;
    let meta: Meta = reader.needed(Kind::Meta, "a snapshot")?;
    let config: Config = reader.needed(Kind::Config, "a process")?;
    let image: ProcessImage = reader.needed(Kind::Process, "a process")?;
    // What was granted by --dir; the directory that the process was started in is granted by itself.
    let by_itself = |grant: &Grant| Some(&grant.host) == config.cwd.as_ref();
    let granted = config.grants.iter().filter(|grant| !by_itself(grant));
    translations::refuse_grants(granted, engine.translations.as_ref())?;
    let space = Arc::new(UserSpace::reserve()?);
    // A file behind a shared mapping may have changed since: the guest goes on with what it saw.
    space::restore(&reader, &space, &|_, _| None)?;
    let engine = Engine::new(space.clone(), engine)?;
    let process = Process::resume(image, config, space, engine.cpu())?;
    Ok(Running {
        process,
        engine,
        title: meta.title,
    })
}
