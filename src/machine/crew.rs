//! All harts of a machine whose harts have threads of their own, and the code that they share.
//!
//! Code and who writes to it: a page is marked as code before it is read. A hart whose translation cache
//! may have an entry for storing there is asked to give it up, and goes on storing until it looks at its
//! post; then it counts the page as written, since it may have been. Nobody waits for that but fence.i,
//! which has to find all pages that were written before: see [`Crew::written`].

use super::post::{Post, Request};
use devices::Bell;
use hart::SystemMemory;
use memory::{Ram, Writer};
use rustc_hash::FxHashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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

    /// Whether all harts wait, and none will wake by itself. Of harts that come to wait at the same time, at
    /// least one finds that so.
    pub fn is_idle(&self) -> bool {
        self.posts.iter().all(|post| post.is_idle())
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
                post.add_written(&pages);
            }
        }
        self.posts[hart].take_written()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let mut obeyed = 0;
        crew.posts[2].attend(|_| obeyed += 1);
        assert_eq!(obeyed, 2);
        assert_eq!(crew.unfinished(0), [(1, 1)]);
    }
}
