//! The compiled code of one address space: what was asked for, what there is.

use crate::background::{Job, Queue};
use crate::code::Descriptor;
use crate::compiler::{Compiler, Shared};
use crate::context::SharedContext;
use crate::explain::Listing;
use crate::host::cpu_time;
use crate::portable::{Installed, Portable};
use crate::request::{Asked, Heat, Request};
use crate::table::Table;
use crate::{Error, JitHart, Options, Stats};
use memory::UserSpace;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

/// The compiler and all that it has compiled for one address space. Shared by the harts.
pub struct Jit {
    inner: Arc<Inner>,
}

/// Says of addresses whether code around them was kept that is not in place yet.
pub type Covered = Arc<dyn Fn(u64) -> bool + Send + Sync>;

/// What the background thread works on.
pub struct Inner {
    pub(crate) options: Options,
    pub(crate) space: Arc<UserSpace>,
    pub(crate) table: Mutex<Table>,
    /// None until the first region is compiled: start-up shall cost nothing.
    compiler: Mutex<Option<Compiler>>,
    pub(crate) queue: Queue,
    stats: Mutex<Stats>,
    /// Rises whenever code is dropped: harts then empty their jump caches.
    epoch: AtomicU64,
    /// Rises whenever code is added.
    published: AtomicU64,
    pub(crate) asked: Mutex<Asked>,
    /// See [`Jit::expect`].
    pub(crate) runs: AtomicU32,
    pub(crate) kept: Mutex<Option<Covered>>,
    /// How many harts there are at most: what forked off counts none of the others.
    pub(crate) harts: AtomicU32,
    /// Nothing is compiled that relies on stacks, see `stacks.rs`.
    stackless: AtomicBool,
    /// How many forks this process is away from the first.
    pub(crate) forks: AtomicU32,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Jit {
    /// A compiler for the code in `space`.
    pub fn new(options: Options, space: Arc<UserSpace>) -> Result<Arc<Jit>, Error> {
        let options = Options {
            own_addresses: space.base().is_null(),
            ..options
        };
        crate::compiler::isa(&options)?;
        Ok(Arc::new(Jit {
            inner: Arc::new(Inner {
                options,
                space,
                table: Mutex::default(),
                compiler: Mutex::default(),
                queue: Queue::default(),
                stats: Mutex::default(),
                epoch: AtomicU64::new(0),
                published: AtomicU64::new(0),
                asked: Mutex::default(),
                runs: AtomicU32::new(0),
                kept: Mutex::default(),
                harts: AtomicU32::new(0),
                stackless: AtomicBool::new(false),
                forks: AtomicU32::new(0),
            }),
        }))
    }

    /// The choices it was made with.
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// A hart that runs this code; one for each thread.
    pub fn hart(self: &Arc<Self>) -> JitHart {
        JitHart::new(
            self.clone(),
            SharedContext::new(self.inner.space.base() as u64),
        )
    }

    /// Asks for code that begins at `pc`: finds the region around it and has it compiled.
    pub fn request(&self, pc: u64) -> Request {
        self.request_hot(
            pc,
            &Heat {
                arrivals: &|_| None,
                ran: &|_| true,
                spent: &|_| 0,
            },
        )
    }

    /// The same, by somebody who can say how often the code around it runs.
    pub fn request_hot(&self, pc: u64, heat: &Heat<'_>) -> Request {
        self.inner.request(pc, heat)
    }

    /// Says that the interpreter came from `lead`, where there is no code, to `into`, where there is:
    /// if that has run for long enough, both become one region. Whether how long it ran is to be
    /// counted anew.
    pub fn lead_in(&self, lead: u64, into: u64, heat: &Heat<'_>) -> bool {
        self.inner.lead_in(lead, into, heat)
    }

    /// Whether compiled code begins at `pc`.
    pub fn contains(&self, pc: u64) -> bool {
        lock(&self.inner.table).entry(pc).is_some()
    }

    /// The number of the region that `pc` is in, compiled or being compiled; it is never used again.
    pub fn region(&self, pc: u64) -> Option<u64> {
        lock(&self.inner.table).owner(pc)
    }

    /// Drops all code that was made from these guest pages (numbers, not addresses). Harts that
    /// are inside it leave it at their next region boundary; `JitHart::run` never enters it again.
    pub fn invalidate(&self, pages: &[u64]) {
        self.inner.invalidate(pages);
    }

    /// What has been done so far.
    pub fn stats(&self) -> Stats {
        *lock(&self.inner.stats)
    }

    /// What the region around `pc` became, if it is compiled and `Options::listings` is set.
    pub fn explain(&self, pc: u64) -> Option<Arc<Listing>> {
        let table = lock(&self.inner.table);
        table.region(table.owner(pc)?)?.listing.clone()
    }

    /// Tells what is known of the program that begins: how many runs of it compiled something and
    /// kept it, and where there is code of theirs. The more runs, the sooner regions are compiled
    /// again to grow.
    pub fn expect(&self, runs: u32, kept: Option<Covered>) {
        *lock(&self.inner.kept) = kept;
        self.inner.runs.store(runs, Ordering::Relaxed);
    }

    /// What tells the hosts and options apart whose code fits this.
    pub fn fits(&self) -> String {
        crate::compiler::fits(&self.inner.options)
    }

    /// Puts code that another process compiled to where its guest code is, if it is there.
    pub fn install(&self, portable: &Portable) -> Installed {
        self.inner.install(portable)
    }

    /// What this process compiled and still has, with `Options::keep`.
    pub fn portables(&self) -> Vec<Arc<Portable>> {
        match self.inner.stackless.load(Ordering::Relaxed) {
            // They are others than they are taken for.
            true => Vec::new(),
            false => lock(&self.inner.table).portables(),
        }
    }

    /// Regions that wait for the background thread.
    pub fn waiting(&self) -> usize {
        self.inner.queue.len()
    }

    /// Forks the process by `fork` while nothing is half done, and makes this the child's own in
    /// the child, where `is_child` holds for what `fork` returned: code compiled by either process
    /// is not seen by the other, and the child compiles on a thread of its own.
    pub fn fork<T>(&self, fork: impl FnOnce() -> T, is_child: impl FnOnce(&T) -> bool) -> T {
        let inner = &*self.inner;
        let queue = inner.queue.pause();
        let compiler = lock(&inner.compiler);
        let mut table = lock(&inner.table);
        let (asked, stats) = (lock(&inner.asked), lock(&inner.stats));
        let result = fork();
        drop((asked, stats, queue));
        if is_child(&result) {
            // The others did not come along.
            inner.harts.store(1, Ordering::Relaxed);
            inner.forks.fetch_add(1, Ordering::Relaxed);
            inner.queue.forget();
            table.inherit();
            let unshared = compiler
                .as_ref()
                .is_none_or(|compiler| compiler.generation().unshare().is_ok());
            if !unshared {
                // Nothing of the old mappings may be entered again.
                table.clear();
                inner.epoch.fetch_add(1, Ordering::Release);
            } else {
                table.drop_unfinished();
            }
            drop((compiler, table));
            if !unshared {
                *lock(&inner.compiler) = None;
            }
        }
        result
    }
}

impl Drop for Jit {
    fn drop(&mut self) {
        self.inner.queue.stop();
    }
}

impl Inner {
    /// Rises whenever code is dropped.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Rises whenever code is added.
    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    /// The code at `pc`, and the generation to keep alive while it runs.
    pub fn entry(&self, pc: u64) -> Option<(Descriptor, Arc<Shared>)> {
        let table = lock(&self.table);
        Some((table.entry(pc)?, table.generation()?))
    }

    /// Counts a return for lack of code.
    pub fn count_missing(&self, count: u64) {
        lock(&self.stats).missing += count;
    }

    /// The options, but for what turned out to be in vain.
    fn present_options(&self) -> Options {
        Options {
            stacks: !self.is_stackless(),
            ..self.options.clone()
        }
    }

    /// Whether nothing is compiled that relies on stacks.
    pub fn is_stackless(&self) -> bool {
        !self.options.stacks || self.stackless.load(Ordering::Relaxed)
    }

    /// The program's stacks are not what compiled code relies on: all is compiled anew without.
    pub fn do_without_stacks(&self) {
        if self.stackless.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut compiler = lock(&self.compiler);
        lock(&self.table).clear();
        self.epoch.fetch_add(1, Ordering::Release);
        *compiler = None;
    }

    /// Compiles a job and makes its code known. Whether that worked.
    pub fn compile(&self, job: Job) -> bool {
        let mut guard = lock(&self.compiler);
        let started = cpu_time();
        let compiled = match &mut *guard {
            Some(compiler) => compiler.compile(&job.region),
            None => Compiler::new(&self.present_options())
                .and_then(|compiler| guard.insert(compiler).compile(&job.region)),
        };
        let compiled = compiled.map(|mut compiled| {
            let portable = compiled.portable.take();
            compiled.portable = portable.and_then(|portable| {
                let guest = self.guest_code(&job.region)?;
                Some(Portable { guest, ..portable })
            });
            compiled
        });
        let mut table = lock(&self.table);
        let stale = self.is_stale(job.epoch, &job.region.pages());
        let mut stats = lock(&self.stats);
        stats.compile_ns += cpu_time().saturating_sub(started);
        let compiled = match compiled {
            Ok(compiled) if !stale => compiled,
            Ok(_) | Err(_) => {
                table.abandon(job.id);
                return false;
            }
        };
        let generation = table.generation();
        let evicts = generation.is_some_and(|old| !Arc::ptr_eq(&old, &compiled.generation));
        stats.evictions += u64::from(evicts);
        stats.regions += 1;
        stats.guest_instructions += compiled.instructions as u64;
        stats.host_bytes += compiled.bytes as u64;
        stats.dropped += job.replaced.len() as u64;
        drop(stats);
        let published = table.publish(job.id, compiled);
        self.published.fetch_add(1, Ordering::Release);
        table.retire(&job.replaced);
        if evicts || !job.replaced.is_empty() {
            self.epoch.fetch_add(1, Ordering::Release);
        }
        published
    }

    /// Whether what was read of these pages at `epoch` may have changed.
    fn is_stale(&self, epoch: u64, pages: &[u64]) -> bool {
        let stale = self.space.stale_since(epoch).1;
        stale.iter().any(|page| pages.binary_search(page).is_ok())
    }

    /// See [`Jit::install`].
    fn install(&self, portable: &Portable) -> Installed {
        // Who compiles holds this for milliseconds.
        let mut guard = match self.compiler.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Installed::Busy,
        };
        let mut table = lock(&self.table);
        let epoch = self.space.stale_epoch();
        let shape = portable.shape();
        // What others compiled relies on stacks.
        if self.stackless.load(Ordering::Relaxed)
            || !portable.is_sound()
            || table.overlaps(&shape.blocks)
        {
            return Installed::Refused;
        }
        self.space.watch_code(&shape.pages);
        if !self.matches(portable) {
            return Installed::Refused;
        }
        let installed = match &mut *guard {
            Some(compiler) => compiler.install(portable),
            None => Compiler::new(&self.options)
                .and_then(|compiler| guard.insert(compiler).install(portable)),
        };
        let Ok(installed) = installed else {
            return Installed::Refused;
        };
        if self.is_stale(epoch, &shape.pages) {
            return Installed::Refused;
        }
        let generation = table.generation();
        let evicts = generation.is_some_and(|old| !Arc::ptr_eq(&old, &installed.generation));
        let mut stats = lock(&self.stats);
        stats.evictions += u64::from(evicts);
        stats.installed += 1;
        drop(stats);
        let id = table.begin(shape, &[], true);
        table.publish(id, installed);
        self.published.fetch_add(1, Ordering::Release);
        if evicts {
            self.epoch.fetch_add(1, Ordering::Release);
        }
        Installed::Ready
    }

    fn invalidate(&self, pages: &[u64]) {
        let dropped = lock(&self.table).invalidate(pages);
        if dropped > 0 {
            self.epoch.fetch_add(1, Ordering::Release);
            lock(&self.stats).dropped += dropped as u64;
        }
    }
}

impl Jit {
    /// What the harts use.
    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }
}
