//! The log of pages whose translated code may be out of date.

use crate::host::Sparse;
use crate::space::{LIMIT, PAGE_BITS};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Entries kept. A consumer that is further behind gets every page that ever held code instead.
const ENTRIES: u64 = 1 << 14;
/// Guest pages in a stretch: 16 MiB.
const STRETCH_BITS: u32 = 12;

/// Pages in the order in which they became stale. Written only under the space's page lock, by a
/// signal handler too, so it never allocates.
pub(crate) struct StaleLog {
    ring: Sparse<AtomicU64>,
    written: AtomicU64,
    /// One byte a stretch: whether it ever held code. Lets huge ranges be passed over quickly.
    stretches: Sparse<AtomicU8>,
}

impl StaleLog {
    pub(crate) fn new() -> std::io::Result<StaleLog> {
        Ok(StaleLog {
            ring: Sparse::new(ENTRIES as usize)?,
            written: AtomicU64::new(0),
            stretches: Sparse::new((LIMIT >> PAGE_BITS >> STRETCH_BITS) as usize)?,
        })
    }

    /// How many entries were ever written.
    #[inline(always)]
    pub(crate) fn epoch(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    pub(crate) fn push(&self, page: u64) {
        let written = self.written.load(Ordering::Relaxed);
        self.ring[(written % ENTRIES) as usize].store(page, Ordering::Relaxed);
        self.written.store(written + 1, Ordering::Release);
    }

    /// The pages after `epoch`, oldest first; None if some of them were overwritten.
    pub(crate) fn since(&self, epoch: u64) -> Option<Vec<u64>> {
        let written = self.epoch();
        if written.wrapping_sub(epoch) > ENTRIES {
            return None;
        }
        let page = |i: u64| self.ring[(i % ENTRIES) as usize].load(Ordering::Relaxed);
        Some((epoch..written).map(page).collect())
    }

    /// Notes that `page` holds code.
    pub(crate) fn note_code(&self, page: u64) {
        self.stretches[(page >> STRETCH_BITS) as usize].store(1, Ordering::Relaxed);
    }

    /// The parts of `pages` that may ever have held code.
    pub(crate) fn code_parts(
        &self,
        pages: std::ops::Range<u64>,
    ) -> impl Iterator<Item = std::ops::Range<u64>> + '_ {
        let stretches = if pages.is_empty() {
            0..0
        } else {
            pages.start >> STRETCH_BITS..((pages.end - 1) >> STRETCH_BITS) + 1
        };
        stretches
            .filter(|&s| self.stretches[s as usize].load(Ordering::Relaxed) != 0)
            .map(move |s| {
                pages.start.max(s << STRETCH_BITS)..pages.end.min((s + 1) << STRETCH_BITS)
            })
    }
}
