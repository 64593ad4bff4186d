//! How harts on threads of their own reach each other: a post for each.
//!
//! A hart looks at its post between two runs of an engine, and before it executes anything after it has
//! waited. What others ask of it there is done on its own thread: nobody else touches its translation
//! cache or its registers.
//!
//! Code and who writes to it: a page is marked as code before it is read. A hart whose translation cache
//! may have an entry for storing there is asked to give it up, and goes on storing until it looks at its
//! post; then it counts the page as written, since it may have been. Nobody waits for that but fence.i,
//! which has to find all pages that were written before: see [`Crew::written`].

use super::harts::Status;
use devices::Bell;
use hart::SystemMemory;
use memory::{Ram, Writer};
use rustc_hash::FxHashSet;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a hart is asked to do.
#[derive(Clone, Copy, Debug)]
pub enum Request {
    /// To store to a page unnoticed no more.
    GiveUp {
        /// The page of RAM.
        page: u64,
        /// Who may have been.
        writer: Writer,
        /// Whether the hart may have stored there since: it did not stand still.
        stored: bool,
    },
    /// Fences of address translation, of a range, as our firmware is asked for them.
    Fence {
        /// The first address.
        start: u64,
        /// Bytes.
        size: u64,
        /// Of which address space; all of them without.
        asid: Option<u64>,
    },
    /// A fence.i.
    FenceI,
    /// To start at an address in supervisor mode.
    Start {
        /// The address.
        pc: u64,
        /// What is in a1 then.
        opaque: u64,
    },
}

/// A hart's post.
pub struct Post {
    /// Not 0: the hart comes back soon.
    pub poll: AtomicU32,
    /// A supervisor software interrupt was sent by our firmware.
    interrupt: AtomicBool,
    status: AtomicU8,
    /// Requests that somebody may wait for, and how many of them are done.
    posted: AtomicU64,
    done: AtomicU64,
    inner: Mutex<Inner>,
    wake: Condvar,
}

struct Inner {
    rung: bool,
    /// It executes nothing, and looks here before it does.
    parked: bool,
    /// It waits for others alone, not for a time.
    forever: bool,
    requests: Vec<Request>,
    /// Pages that hold other code than it may know.
    written: FxHashSet<u64>,
}

const STATUSES: [Status; 3] = [Status::Running, Status::Waiting, Status::Stopped];

impl Default for Post {
    fn default() -> Post {
        Post {
            poll: AtomicU32::new(0),
            interrupt: AtomicBool::new(false),
            status: AtomicU8::new(Status::Stopped as u8),
            posted: AtomicU64::new(0),
            done: AtomicU64::new(0),
            inner: Mutex::new(Inner {
                rung: false,
                parked: true,
                forever: false,
                requests: Vec::new(),
                written: FxHashSet::default(),
            }),
            wake: Condvar::new(),
        }
    }
}

impl Bell for Post {
    fn ring(&self) {
        self.ring_under(&mut self.inner());
    }
}

impl Post {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring_under(&self, inner: &mut Inner) {
        inner.rung = true;
        self.poll.store(1, Ordering::Release);
        self.wake.notify_all();
    }

    /// Asks for something. What may be waited for, if the hart does not stand still: see
    /// [`Post::has_done`].
    pub fn ask(&self, mut request: Request) -> Option<u64> {
        let mut inner = self.inner();
        let parked = inner.parked;
        if let Request::GiveUp { stored, .. } = &mut request {
            *stored = !parked;
        }
        inner.requests.push(request);
        if !parked {
            self.poll.store(1, Ordering::Release);
            return Some(self.posted.fetch_add(1, Ordering::SeqCst) + 1);
        }
        // It is done before the hart does anything else; only this gives it something to do.
        if let Request::Start { .. } = request {
            self.ring_under(&mut inner);
        }
        None
    }

    /// Whether that has been done.
    pub fn has_done(&self, ticket: u64) -> bool {
        self.done.load(Ordering::SeqCst) >= ticket
    }

    /// What has been asked for so far.
    fn asked(&self) -> u64 {
        self.posted.load(Ordering::SeqCst)
    }

    /// Sends a supervisor software interrupt.
    pub fn interrupt(&self) {
        self.interrupt.store(true, Ordering::Release);
        self.ring();
    }

    /// Whether one was sent since the last call.
    pub fn take_interrupt(&self) -> bool {
        self.interrupt.swap(false, Ordering::AcqRel)
    }

    /// What the hart does.
    pub fn status(&self) -> Status {
        STATUSES[usize::from(self.status.load(Ordering::SeqCst)) % STATUSES.len()]
    }

    /// Says what the hart does.
    pub fn set_status(&self, status: Status) {
        self.status.store(status as u8, Ordering::SeqCst);
    }

    /// Has a stopped hart start; whether it was stopped.
    pub fn start(&self, pc: u64, opaque: u64) -> bool {
        let (stopped, running) = (Status::Stopped as u8, Status::Running as u8);
        let status =
            self.status
                .compare_exchange(stopped, running, Ordering::SeqCst, Ordering::SeqCst);
        if status.is_ok() {
            self.ask(Request::Start { pc, opaque });
        }
        status.is_ok()
    }

    /// The hart does what was asked for, in order. By its own thread, or while it has none.
    pub fn attend(&self, mut obey: impl FnMut(Request)) {
        let (requests, posted) = {
            let mut inner = self.inner();
            (std::mem::take(&mut inner.requests), self.asked())
        };
        requests.into_iter().for_each(&mut obey);
        self.done.store(posted, Ordering::SeqCst);
    }

    /// The hart is about to execute something. It comes back at once if anything was asked meanwhile.
    pub fn unpark(&self) {
        let mut inner = self.inner();
        inner.parked = false;
        if !inner.requests.is_empty() {
            self.poll.store(1, Ordering::Release);
        }
    }

    /// The hart executes nothing any more, and has done what it was asked.
    pub fn park(&self, mut obey: impl FnMut(Request)) {
        loop {
            self.attend(&mut obey);
            let mut inner = self.inner();
            if inner.requests.is_empty() {
                inner.parked = true;
                return;
            }
        }
    }

    /// A parked hart waits until it is rung, or for so long.
    pub fn wait(&self, most: Option<Duration>) {
        let mut inner = self.inner();
        inner.forever = most.is_none();
        let quiet = |inner: &mut Inner| !inner.rung;
        let mut inner = match most {
            Some(most) => {
                let waited = self.wake.wait_timeout_while(inner, most, quiet);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self
                .wake
                .wait_while(inner, quiet)
                .unwrap_or_else(PoisonError::into_inner),
        };
        inner.rung = false;
        inner.forever = false;
    }

    /// Whether the hart waits, and will until somebody else wakes it.
    pub fn is_idle(&self) -> bool {
        let inner = self.inner();
        inner.parked && inner.forever && !inner.rung
    }
}

/// All harts of a machine whose harts have threads of their own.
pub struct Crew {
    /// By number.
    pub posts: Vec<Arc<Post>>,
    /// They leave their threads as soon as they can.
    stop: AtomicBool,
    /// Held while written pages are handed out.
    written: Mutex<()>,
}

impl Crew {
    /// Of so many harts.
    pub fn new(harts: usize) -> Crew {
        Crew {
            posts: (0..harts).map(|_| Arc::default()).collect(),
            stop: AtomicBool::new(false),
            written: Mutex::default(),
        }
    }

    /// All harts leave their threads.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.posts.iter().for_each(|post| post.ring());
    }

    /// Whether they shall.
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// They may have threads again.
    pub fn begin(&self) {
        self.stop.store(false, Ordering::SeqCst);
    }

    /// A hart makes code from a page where `writer` may have been storing: tells whoever that is.
    pub fn watched(&self, hart: usize, page: u64, writer: Writer) {
        let stored = false;
        let request = Request::GiveUp {
            page,
            writer,
            stored,
        };
        let others = self.posts.iter().enumerate().filter(|(n, _)| *n != hart);
        match writer {
            Writer::None => {}
            Writer::Entry(entry) => {
                let owner = SystemMemory::owner(entry);
                for (_, post) in others.filter(|(n, _)| *n == owner) {
                    post.ask(request);
                }
            }
            Writer::Many => {
                for (_, post) in others {
                    post.ask(request);
                }
            }
        }
    }

    /// What has been asked of other harts than this one that they have not done yet.
    pub fn unfinished(&self, hart: usize) -> Vec<(usize, u64)> {
        let others = self.posts.iter().enumerate().filter(|(n, _)| *n != hart);
        let asked = others.map(|(n, post)| (n, post.asked()));
        asked
            .filter(|(n, ticket)| !self.posts[*n].has_done(*ticket))
            .collect()
    }

    /// The pages that hold other code than a hart may know, written to before this call by any hart
    /// which has done what it was asked for by then.
    pub fn written(&self, hart: usize, ram: &Ram) -> FxHashSet<u64> {
        // Whoever takes a page out of the list has given it to everybody before another looks.
        let _order = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let pages = ram.take_stale();
        if !pages.is_empty() {
            for post in &self.posts {
                post.inner().written.extend(&pages);
            }
        }
        std::mem::take(&mut self.posts[hart].inner().written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn give_up(post: &Post) -> Option<u64> {
        post.ask(Request::GiveUp {
            page: 1,
            writer: Writer::Many,
            stored: true,
        })
    }

    /// Of each request whether the hart may have stored to the page.
    fn obeyed(post: &Post) -> Vec<bool> {
        let mut all = Vec::new();
        post.attend(|request| {
            all.push(matches!(request, Request::GiveUp { stored: true, .. }));
        });
        all
    }

    #[test]
    fn nobody_waits_for_a_hart_that_stands_still() {
        let post = Post::default();
        assert_eq!(give_up(&post), None);
        assert_eq!(post.poll.load(Ordering::SeqCst), 0, "and it sleeps on");
        assert_eq!(obeyed(&post), [false]);
        give_up(&post);
        post.unpark();
        assert_eq!(post.poll.load(Ordering::SeqCst), 1, "asked before it ran");
        let ticket = give_up(&post).unwrap();
        assert!(!post.has_done(ticket));
        assert_eq!(obeyed(&post), [false, true]);
        assert!(post.has_done(ticket));
    }

    #[test]
    fn a_hart_starts_once() {
        let post = Post::default();
        assert!(post.start(8, 9));
        assert!(!post.start(8, 9), "it has started");
        post.wait(None);
        let mut started = 0;
        post.park(|request| started += i32::from(matches!(request, Request::Start { pc: 8, .. })));
        assert_eq!((started, post.status()), (1, Status::Running));
    }

    #[test]
    fn each_hart_gets_every_written_page_once() {
        let ram = Ram::new(0x8000_0000, 1 << 20).unwrap();
        let crew = Crew::new(2);
        for page in [3, 5] {
            ram.watch(page);
            ram.note_write(page);
            assert!(crew.written(0, &ram).contains(&page));
        }
        assert!(crew.written(0, &ram).is_empty());
        assert_eq!(crew.written(1, &ram).len(), 2);
        assert!(crew.written(1, &ram).is_empty());
    }

    #[test]
    fn only_who_may_have_stored_there_is_asked() {
        let crew = Crew::new(3);
        crew.posts.iter().for_each(|post| post.unpark());
        let entries = (hart::system::tlb::ARRAYS * hart::system::tlb::ENTRIES) as u32;
        crew.watched(0, 7, Writer::Entry(2 * entries + 1));
        assert_eq!(crew.unfinished(0), [(2, 1)]);
        assert_eq!(crew.unfinished(2), []);
        crew.watched(0, 8, Writer::Many);
        crew.watched(0, 9, Writer::Entry(5));
        assert_eq!(crew.unfinished(0), [(1, 1), (2, 2)]);
        assert_eq!(obeyed(&crew.posts[2]).len(), 2);
        assert_eq!(crew.unfinished(0), [(1, 1)]);
    }
}
