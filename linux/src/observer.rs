//! What a process tells those who watch it: `--trace`, and `bhv diff`, which feeds a second
//! process with everything that the kernel did to the first.

use crate::cpu::Stop;
use hart::HartState;
use std::sync::Arc;

/// A change that the kernel made to the guest's memory. Applied in order to a process in the same
/// state they give the same memory.
#[derive(Clone, Debug)]
pub enum Change {
    /// Bytes were written.
    Write {
        /// First address.
        va: u64,
        /// What is there now.
        bytes: Vec<u8>,
    },
    /// Pages were mapped, with zeros or (if private and from a file) with the file's bytes in
    /// `content`.
    Map {
        /// First address.
        va: u64,
        /// Length in bytes.
        len: u64,
        /// What the guest may do there.
        prot: memory::Protection,
        /// The mapped file, if any.
        file: Option<MappedFile>,
    },
    /// Pages were unmapped.
    Unmap {
        /// First address.
        va: u64,
        /// Length in bytes.
        len: u64,
    },
    /// Permissions changed.
    Protect {
        /// First address.
        va: u64,
        /// Length in bytes.
        len: u64,
        /// What the guest may do there now.
        prot: memory::Protection,
    },
    /// Pages moved (mremap). The old range is unmapped.
    Move {
        /// Old first address.
        from: u64,
        /// Old length in bytes.
        old_len: u64,
        /// New first address.
        to: u64,
        /// New length in bytes.
        new_len: u64,
    },
    /// Pages read as zero again (`MADV_DONTNEED` on private memory).
    Discard {
        /// First address.
        va: u64,
        /// Length in bytes.
        len: u64,
    },
    /// Code that was written to is to be translated anew.
    CodeChanged,
}

/// A file behind a mapping, held open.
#[derive(Clone, Debug)]
pub struct MappedFile {
    /// The file.
    pub file: Arc<std::fs::File>,
    /// Offset of the mapping's first byte.
    pub offset: u64,
    /// Whether stores reach the file.
    pub shared: bool,
}

/// What happened, in the order in which it happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A thread ran. `state` is as the engine left it.
    Ran {
        /// The thread.
        tid: i32,
        /// Its state before.
        before: &'a HartState,
        /// Its state after.
        state: &'a HartState,
        /// Why it stopped.
        stop: Stop,
    },
    /// The kernel acted on a thread: completed a system call, delivered a signal, or changed
    /// memory on its way to blocking. The thread goes on from `state`.
    Kernel {
        /// The thread.
        tid: i32,
        /// Its registers now.
        state: &'a HartState,
        /// What changed in memory, in order.
        changes: &'a [Change],
    },
    /// A thread began.
    Started {
        /// The new thread.
        tid: i32,
        /// Its registers.
        state: &'a HartState,
    },
    /// A thread ended.
    Ended {
        /// The thread.
        tid: i32,
    },
    /// A line of trace: a system call with decoded arguments and result, or a signal.
    Trace {
        /// The thread.
        tid: i32,
        /// The line, without a newline.
        line: &'a str,
    },
}

/// Somebody who watches a process. Called on the thread on which the event happened.
pub trait Observer: Send + Sync {
    /// Takes note of an event.
    fn event(&self, event: &Event<'_>);

    /// Whether `Event::Trace` lines are wanted (they cost time to make).
    fn wants_trace(&self) -> bool;

    /// Whether memory changes and register states are wanted: all events but `Event::Trace`.
    fn wants_changes(&self) -> bool;
}
