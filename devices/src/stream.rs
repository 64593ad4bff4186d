//! Bytes that come in and go out: what a serial port or console is connected to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Where a console's input comes from. Whoever makes bytes available rings the machine's bell.
pub trait Input: Send {
    /// The next byte, if there is one by now. Does not wait.
    fn take(&mut self) -> Option<u8>;
}

/// Where a console's output goes.
pub trait Output: Send {
    /// Takes all of it.
    fn put(&mut self, bytes: &[u8]);
}

/// A queue of bytes that a terminal's thread fills and a device empties, or the reverse.
#[derive(Clone, Default)]
pub struct ByteQueue {
    bytes: Arc<Mutex<VecDeque<u8>>>,
}

impl ByteQueue {
    /// Puts bytes at the end.
    pub fn push(&self, bytes: &[u8]) {
        self.with(|queue| queue.extend(bytes));
    }

    /// Takes all there is.
    pub fn drain(&self) -> Vec<u8> {
        self.with(|queue| queue.drain(..).collect())
    }

    fn with<R>(&self, act: impl FnOnce(&mut VecDeque<u8>) -> R) -> R {
        act(&mut self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Input for ByteQueue {
    fn take(&mut self) -> Option<u8> {
        self.with(VecDeque::pop_front)
    }
}

impl Output for ByteQueue {
    fn put(&mut self, bytes: &[u8]) {
        self.push(bytes);
    }
}
