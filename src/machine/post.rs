//! How harts on threads of their own reach each other: a post for each.
//!
//! A hart looks at its post between two runs of an engine, and before it executes anything after it has
//! waited. What others ask of it there is done on its own thread: nobody else touches its translation
//! cache or its registers.

use super::harts::Status;
use devices::Bell;
use memory::Writer;
use rustc_hash::FxHashSet;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
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
    pub fn asked(&self) -> u64 {
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

    /// A parked hart is about to wait, until somebody else rings it or for a time.
    pub fn settle(&self, forever: bool) {
        self.inner().forever = forever;
    }

    /// A parked hart waits until it is rung, or for so long.
    pub fn wait(&self, most: Option<Duration>) {
        let inner = self.inner();
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

    /// Tells of pages that hold other code than the hart may know.
    pub fn add_written(&self, pages: &[u64]) {
        self.inner().written.extend(pages);
    }

    /// Those pages, once.
    pub fn take_written(&self) -> FxHashSet<u64> {
        std::mem::take(&mut self.inner().written)
    }

    /// Whether the hart waits, and will until somebody else wakes it.
    pub fn is_idle(&self) -> bool {
        let inner = self.inner();
        inner.parked && inner.forever && !inner.rung
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
}
