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
        let mut inner = self.inner();
        self.poll.store(0, Ordering::Release);
        self.rung.store(false, Ordering::Release);
        std::mem::take(&mut inner.rung)
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
        // All at once: a flag that is set behind the back of who takes the others would keep harts from
        // executing anything, until somebody rings again.
        let mut inner = self.inner();
        inner.rung = true;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_bell_that_is_rung_while_it_is_listened_to_does_not_stop_harts_for_good() {
        const ROUNDS: u32 = 20_000;
        let signal = Arc::new(Signal::default());
        let turn = Arc::new(AtomicU32::new(0));
        let (theirs, round) = (signal.clone(), turn.clone());
        let ringing = std::thread::spawn(move || {
            for n in 0..ROUNDS {
                while round.load(Ordering::Acquire) != 2 * n + 1 {
                    std::hint::spin_loop();
                }
                (0..8).for_each(|_| theirs.ring());
                round.store(2 * n + 2, Ordering::Release);
            }
        });
        for n in 0..ROUNDS {
            turn.store(2 * n + 1, Ordering::Release);
            while turn.load(Ordering::Acquire) != 2 * n + 2 {
                signal.take_rung();
            }
            signal.take_rung();
            assert_eq!(signal.poll.load(Ordering::Acquire), 0, "round {n}");
        }
        ringing.join().unwrap();
    }

    #[test]
    fn whoever_waits_is_woken_once_for_each_time_that_it_listened() {
        let signal = Signal::default();
        signal.ring();
        signal.ring();
        signal.wait(None);
        assert!(signal.take_rung());
        assert!(!signal.take_rung());
        let before = std::time::Instant::now();
        signal.wait(Some(Duration::from_millis(20)));
        assert!(before.elapsed() >= Duration::from_millis(20));
    }
}
