//! A hart on the interpreter alone, so that processes can be tested without the product's engine.

#![allow(dead_code, reason = "each test uses a part of it")]

pub mod attacks;
pub mod script;

use hart::csr::Clock;
use interp::{Exit, Interp, Options};
use linux::{Cpu, Kick, Stop};
use memory::UserSpace;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The poll word of the interpreter.
struct Poll(AtomicU32);

impl Kick for Poll {
    fn kick(&self) {
        self.0.store(1, Ordering::SeqCst);
    }
}

/// One guest thread on the interpreter.
pub struct InterpCpu {
    state: hart::HartState,
    interp: Interp<UserSpace>,
    space: Arc<UserSpace>,
    poll: Arc<Poll>,
    clock: Clock,
    epoch: u64,
}

impl InterpCpu {
    pub fn boxed(space: Arc<UserSpace>, exact: bool) -> Box<dyn Cpu> {
        let clock = if exact {
            Clock::Virtual
        } else {
            Clock::host(0)
        };
        Box::new(InterpCpu::new(space, clock))
    }

    fn new(space: Arc<UserSpace>, clock: Clock) -> InterpCpu {
        InterpCpu {
            state: hart::HartState::default(),
            interp: Interp::new(Options {
                threshold: 0,
                clock,
            }),
            epoch: space.stale_epoch(),
            space,
            poll: Arc::new(Poll(AtomicU32::new(0))),
            clock,
        }
    }

    fn drop_stale(&mut self) {
        let (epoch, pages) = self.space.stale_since(self.epoch);
        self.epoch = epoch;
        self.interp.invalidate(pages);
    }
}

impl Cpu for InterpCpu {
    fn state(&self) -> &hart::HartState {
        &self.state
    }
    fn state_mut(&mut self) -> &mut hart::HartState {
        &mut self.state
    }
    fn run(&mut self, limit: Option<u64>) -> Stop {
        if self.space.stale_epoch() != self.epoch {
            self.drop_stale();
        }
        loop {
            let limit = limit.unwrap_or(u64::MAX);
            match self
                .interp
                .run(&mut self.state, &self.space, limit, &self.poll.0)
            {
                Exit::Limit => return Stop::Limit,
                Exit::Poll => {
                    self.poll.0.store(0, Ordering::SeqCst);
                    return Stop::Kicked;
                }
                Exit::Hot => {}
                Exit::Attention | Exit::Wait => unreachable!("user mode"),
                Exit::FenceI => self.drop_stale(),
                Exit::Trap(trap) => return Stop::Trap(trap),
            }
        }
    }
    fn kicker(&self) -> Arc<dyn Kick> {
        self.poll.clone()
    }
    fn new_thread(&self) -> Box<dyn Cpu> {
        Box::new(InterpCpu::new(self.space.clone(), self.clock))
    }
    fn code_changed(&mut self) {
        self.drop_stale();
    }
    fn fork(&mut self, fork: &mut dyn FnMut() -> bool) -> bool {
        fork()
    }
}
