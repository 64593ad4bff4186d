//! What gets a running machine's attention: devices' own threads, and the terminal.

use devices::{Bell, syscon};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What the user asks for by the escape key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// End at once, as by pulling the plug.
    Quit,
    /// Start again.
    Reset,
    /// Say where the harts are.
    Info,
    /// Save the machine.
    Save,
}

/// Flags that others set and the machine looks at between instructions.
#[derive(Default)]
pub struct Signal {
    /// Not 0: running harts come back soon.
    pub poll: AtomicU32,
    /// The bell was rung.
    rung: AtomicBool,
    /// The power switch was used.
    powered: AtomicBool,
    inner: Mutex<Inner>,
    wake: Condvar,
}

#[derive(Default)]
struct Inner {
    rung: bool,
    command: Option<Command>,
    power: Option<syscon::Power>,
}

impl Signal {
    /// Asks for something.
    pub fn command(&self, command: Command) {
        self.inner().command = Some(command);
        self.ring();
    }

    /// What was asked for since the last call.
    pub fn take_command(&self) -> Option<Command> {
        self.inner().command.take()
    }

    /// Whether the guest has asked something of its power switch.
    pub fn has_power(&self) -> bool {
        self.powered.load(Ordering::Acquire)
    }

    /// What the guest asked of its power switch since the last call.
    pub fn take_power(&self) -> Option<syscon::Power> {
        self.powered.store(false, Ordering::Relaxed);
        self.inner().power.take()
    }

    /// Whether the bell was rung since the last call.
    pub fn take_rung(&self) -> bool {
        if !self.rung.load(Ordering::Relaxed) {
            return false;
        }
        self.poll.store(0, Ordering::Release);
        self.inner().rung = false;
        self.rung.swap(false, Ordering::AcqRel)
    }

    /// Waits until the bell is rung, or that long.
    pub fn wait(&self, most: Option<Duration>) {
        let inner = self.inner();
        let quiet = |inner: &mut Inner| !inner.rung;
        // Whoever poisoned it has changed nothing that matters here.
        match most {
            Some(most) => drop(self.wake.wait_timeout_while(inner, most, quiet)),
            None => drop(self.wake.wait_while(inner, quiet)),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bell for Signal {
    fn ring(&self) {
        self.inner().rung = true;
        self.rung.store(true, Ordering::Release);
        self.poll.store(1, Ordering::Release);
        self.wake.notify_all();
    }
}

impl syscon::PowerSwitch for Signal {
    fn request(&self, power: syscon::Power) {
        self.inner().power = Some(power);
        self.powered.store(true, Ordering::Release);
    }
}
