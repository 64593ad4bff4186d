//! Saving a running process into a snapshot, and going on from one.

use crate::launch::Running;
use crate::snapshot::{Kind, Meta, Reader, Subject, Writer, space};
use crate::{Engine, EngineOptions, Error, translations};
use linux::{Config, FirstConfig, Process, ProcessImage, Progress};
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

/// What the process was started with.
fn config(reader: &Reader) -> Result<Config, Error> {
    match reader.section(Kind::Config, 0) {
        Some(section) if section.version == 1 => Ok(reader.decode::<FirstConfig>(section)?.into()),
        _ => Ok(reader.needed(Kind::Config, "a process")?),
    }
}

/// A process from a snapshot, on a new engine. It goes on where it was saved: its clock, its
/// random numbers and its threads' turns too.
pub fn resume(path: &Path, engine: EngineOptions) -> Result<Running, Error> {
    let reader = Reader::open(path)?;
    let meta: Meta = reader.needed(Kind::Meta, "a snapshot")?;
    let mut config = config(&reader)?;
    let image: ProcessImage = reader.needed(Kind::Process, "a process")?;
    translations::protect(&mut config, engine.translations.as_ref())?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::codec;
    use linux::Schedule;
    use std::path::PathBuf;

    #[test]
    fn what_the_first_snapshots_say_is_granted_is_still_read() {
        let grant = |host: &str, writable: bool| {
            let host = PathBuf::from(host);
            (host.clone(), host, writable)
        };
        let grants = vec![grant("/home/me", true), grant("/data", true)];
        let cwd = Some(PathBuf::from("/home/me"));
        let root = Some(PathBuf::from("/root"));
        let schedule = Schedule::exact(7);
        let first = (root, grants, false, cwd, false, true, schedule, true);
        let bytes = codec::encode(&first).unwrap();
        let config = Config::from(codec::decode::<FirstConfig>(&bytes).unwrap());
        let found: Vec<_> = config
            .grants
            .iter()
            .map(|g| (&*g.host, g.implicit))
            .collect();
        assert_eq!(
            found,
            [(Path::new("/home/me"), true), (Path::new("/data"), false)]
        );
        assert!(config.network && config.quiet && config.schedule == schedule);
        assert_eq!(config.cwd.as_deref(), Some(Path::new("/home/me")));
    }
}
