//! Platform-level interrupt controller: levels of sources in, one line for each hart and mode out.
//!
//! Context 2h is hart h's machine mode, 2h + 1 its supervisor mode. Sources are level-triggered:
//! a claimed source that is still high at its completion is pending again (PLIC specification,
//! "Interrupt Gateways").

use crate::device::{AccessFault, Device, Place, Width, only};
use crate::layout::{self, PLIC_SOURCES};
use crate::line::{HartLines, Interrupt, Line};
use crate::state::{self, StateError};
use crate::tree::{Node, Value};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const PENDING: u64 = 0x1000;
const ENABLE: u64 = 0x2000;
const ENABLE_STRIDE: u64 = 0x80;
const CONTEXT: u64 = 0x20_0000;
const CONTEXT_STRIDE: u64 = 0x1000;
/// Bits of priorities and thresholds that are implemented.
const PRIORITY_MASK: u32 = 7;
/// Words of a bitmap of all sources, 0 included.
const WORDS: usize = (PLIC_SOURCES as usize + 1).div_ceil(32);
/// Bits of a bitmap's word that are sources: source 0 does not exist.
const FIRST_WORD: u32 = !1;

/// The device. Its registers are shared with the lines of its sources.
pub struct Plic {
    core: Arc<Core>,
}

struct Core {
    /// Taken after the lock of any device that sets a line, never before one.
    state: Mutex<State>,
    harts: Vec<Arc<HartLines>>,
}

/// What is saved of it: a bit a source in four words.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    /// Of each source, 0 included.
    priority: Vec<u32>,
    /// What the sources' lines carry.
    level: [u32; WORDS],
    pending: [u32; WORDS],
    /// Claimed and not yet completed: the gateway passes nothing on.
    claimed: [u32; WORDS],
    contexts: Vec<Context>,
}

#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Context {
    enable: [u32; WORDS],
    threshold: u32,
}

impl State {
    fn new(harts: usize) -> State {
        State {
            priority: vec![0; PLIC_SOURCES as usize + 1],
            level: [0; WORDS],
            pending: [0; WORDS],
            claimed: [0; WORDS],
            contexts: vec![Context::default(); 2 * harts],
        }
    }

    /// The pending and enabled source of the highest priority, the lowest number among equals.
    /// Priority 0 never interrupts.
    fn best(&self, context: &Context) -> Option<(usize, u32)> {
        let mut best: Option<(usize, u32)> = None;
        for word in 0..WORDS {
            let mut candidates = self.pending[word] & context.enable[word];
            while candidates != 0 {
                let source = 32 * word + candidates.trailing_zeros() as usize;
                candidates &= candidates - 1;
                let priority = self.priority[source];
                if priority > best.map_or(0, |(_, highest)| highest) {
                    best = Some((source, priority));
                }
            }
        }
        best
    }

    fn set_level(&mut self, source: usize, level: bool) {
        let (word, bit) = (source / 32, 1 << (source % 32));
        if level {
            self.level[word] |= bit;
            self.pending[word] |= bit & !self.claimed[word];
        } else {
            // What the gateway has passed on stays pending until it is claimed.
            self.level[word] &= !bit;
        }
    }

    fn claim(&mut self, context: usize) -> u32 {
        let Some((source, _)) = self.best(&self.contexts[context]) else {
            return 0;
        };
        let (word, bit) = (source / 32, 1 << (source % 32));
        self.pending[word] &= !bit;
        self.claimed[word] |= bit;
        source as u32
    }

    /// Ignored unless the source is enabled for the context.
    fn complete(&mut self, context: usize, source: u32) {
        let (word, bit) = (source as usize / 32, 1 << (source % 32));
        if word < WORDS && self.contexts[context].enable[word] & bit != 0 {
            self.pending[word] |= bit & self.claimed[word] & self.level[word];
            self.claimed[word] &= !bit;
        }
    }
}

impl Core {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the harts' lines. Called with the lock held, so that two changes can't be swapped.
    fn update(&self, state: &State) {
        for (number, context) in state.contexts.iter().enumerate() {
            let interrupt = if number % 2 == 0 {
                Interrupt::Meip
            } else {
                Interrupt::Seip
            };
            let highest = state.best(context).map_or(0, |(_, priority)| priority);
            self.harts[number / 2].set(interrupt, highest > context.threshold);
        }
    }
}

struct Source {
    core: Arc<Core>,
    number: usize,
}

impl Line for Source {
    fn set(&self, level: bool) {
        let mut state = self.core.lock();
        let before = state.level[self.number / 32] >> (self.number % 32) & 1 != 0;
        if level != before {
            state.set_level(self.number, level);
            self.core.update(&state);
        }
    }
}

/// What an offset selects.
enum Register {
    Priority(usize),
    Pending(usize),
    Enable(usize, usize),
    Threshold(usize),
    Claim(usize),
    /// Reads as 0, writes are ignored.
    Reserved,
}

impl Plic {
    /// Nothing enabled. At most [`layout::MOST_HARTS`] harts fit.
    pub fn new(harts: Vec<Arc<HartLines>>) -> Plic {
        let state = Mutex::new(State::new(harts.len()));
        let core = Arc::new(Core { state, harts });
        Plic { core }
    }

    /// The line of a source, 1 to [`PLIC_SOURCES`]; none for other numbers.
    pub fn line(&self, source: u32) -> Option<Arc<dyn Line>> {
        if !(1..=PLIC_SOURCES).contains(&source) {
            return None;
        }
        let core = self.core.clone();
        Some(Arc::new(Source {
            core,
            number: source as usize,
        }))
    }

    fn register(&self, offset: u64) -> Register {
        let contexts = 2 * self.core.harts.len() as u64;
        let split = |offset: u64, stride: u64| {
            let context = offset / stride;
            (context < contexts).then_some((context as usize, offset % stride))
        };
        let word = |offset: u64| Some(offset as usize / 4).filter(|word| *word < WORDS);
        let register = match offset {
            0..PENDING => {
                let source = offset / 4;
                let exists = (1..=u64::from(PLIC_SOURCES)).contains(&source);
                exists.then_some(Register::Priority(source as usize))
            }
            PENDING..ENABLE => word(offset - PENDING).map(Register::Pending),
            ENABLE..CONTEXT => split(offset - ENABLE, ENABLE_STRIDE)
                .and_then(|(context, rest)| Some(Register::Enable(context, word(rest)?))),
            CONTEXT.. => match split(offset - CONTEXT, CONTEXT_STRIDE) {
                Some((context, 0)) => Some(Register::Threshold(context)),
                Some((context, 4)) => Some(Register::Claim(context)),
                _ => None,
            },
        };
        register.unwrap_or(Register::Reserved)
    }
}

impl Device for Plic {
    fn read(&mut self, offset: u64, width: Width) -> Result<u64, AccessFault> {
        only(Width::Word, width)?;
        let mut state = self.core.lock();
        let value = match self.register(offset) {
            Register::Priority(source) => state.priority[source],
            Register::Pending(word) => state.pending[word],
            Register::Enable(context, word) => state.contexts[context].enable[word],
            Register::Threshold(context) => state.contexts[context].threshold,
            Register::Claim(context) => {
                let source = state.claim(context);
                self.core.update(&state);
                source
            }
            Register::Reserved => 0,
        };
        Ok(u64::from(value))
    }

    fn write(&mut self, offset: u64, width: Width, value: u64) -> Result<(), AccessFault> {
        only(Width::Word, width)?;
        let value = value as u32;
        let mut state = self.core.lock();
        match self.register(offset) {
            Register::Priority(source) => state.priority[source] = value & PRIORITY_MASK,
            Register::Enable(context, word) => {
                let exist = if word == 0 { FIRST_WORD } else { !0 };
                state.contexts[context].enable[word] = value & exist;
            }
            Register::Threshold(context) => {
                state.contexts[context].threshold = value & PRIORITY_MASK;
            }
            Register::Claim(context) => state.complete(context, value),
            Register::Pending(_) | Register::Reserved => {}
        }
        self.core.update(&state);
        Ok(())
    }

    fn deadline(&self) -> Option<u64> {
        None
    }

    fn service(&mut self, _now: u64) {
        self.core.update(&self.core.lock());
    }

    /// The sources' lines keep their levels: they belong to the devices.
    fn reset(&mut self) {
        let mut state = self.core.lock();
        let level = state.level;
        *state = State::new(self.core.harts.len());
        state.level = level;
        state.pending = level;
        self.core.update(&state);
    }

    fn save(&mut self) -> state::State {
        state::State::Plic(self.core.lock().clone())
    }

    fn restore(&mut self, state: state::State) -> Result<(), StateError> {
        let state::State::Plic(saved) = state else {
            return Err(state.is_not("PLIC"));
        };
        let contexts = 2 * self.core.harts.len();
        let priorities = saved.priority.iter().all(|p| *p <= PRIORITY_MASK);
        let bitmaps = [&saved.level, &saved.pending, &saved.claimed];
        let mut enables = saved.contexts.iter().map(|context| &context.enable);
        let valid = saved.priority.len() == PLIC_SOURCES as usize + 1
            && saved.contexts.len() == contexts
            && priorities
            && saved.contexts.iter().all(|c| c.threshold <= PRIORITY_MASK)
            && bitmaps.iter().all(|map| map[0] & !FIRST_WORD == 0)
            && enables.all(|map| map[0] & !FIRST_WORD == 0);
        if !valid {
            return Err(StateError::Invalid {
                device: "PLIC",
                why: format!("it does not fit {contexts} contexts of {PLIC_SOURCES} sources"),
            });
        }
        let mut state = self.core.lock();
        *state = saved;
        self.core.update(&state);
        Ok(())
    }

    fn node(&self, place: &Place) -> Node {
        let wires = (0..self.core.harts.len()).flat_map(|hart| {
            let intc = layout::hart_intc_phandle(hart);
            [intc, Interrupt::Meip as u32, intc, Interrupt::Seip as u32]
        });
        let compatible = vec!["sifive,plic-1.0.0", "riscv,plic0"];
        Node::device("interrupt-controller", compatible, place)
            .cell("phandle", layout::PLIC_PHANDLE)
            .cell("#address-cells", 0)
            .cell("#interrupt-cells", 1)
            .with("interrupt-controller", Value::Empty)
            .cell("riscv,ndev", PLIC_SOURCES)
            .with("interrupts-extended", Value::Cells(wires.collect()))
    }
}
