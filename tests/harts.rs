//! Harts that run at the same time: a program of ours that counts what must not get lost. It switches off
//! with the number of things that are not as they should be.

mod common;

use baby_hypervisor::EngineKind;
use baby_hypervisor::machine::{
    ClockKind, End, Image, Machine, MachineOptions, Resume, Schedule, Wires,
};
use common::Scratch;
use devices::Power;
use frontend::generate::Random;
use std::path::Path;
use std::sync::Arc;

/// The program.
const NAME: &str = "machine_harts";

/// It as firmware of a machine whose harts have threads of their own.
fn on_threads(harts: usize, threshold: Option<u64>) -> MachineOptions {
    let mut options = MachineOptions {
        memory: 64 << 20,
        harts,
        clock: ClockKind::Host,
        schedule: Schedule::Threads,
        firmware: Some(Image::File(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("guests/bin")
                .join(NAME),
        )),
        engine: EngineKind::Interp,
        ..MachineOptions::default()
    };
    if let Some(threshold) = threshold {
        options.engine = EngineKind::Jit;
        options.tiers.threshold = threshold;
    }
    options
}

#[test]
fn harts_share_memory_and_code_when_they_run_at_the_same_time() {
    for (harts, threshold) in [
        (2, None),
        (2, Some(2)),
        (2, Some(300)),
        (3, None),
        (3, Some(50)),
    ] {
        let options = on_threads(harts, threshold);
        let mut machine = Machine::new(options, Arc::default(), Wires::none()).unwrap();
        let end = machine.run(u64::MAX, || false).unwrap();
        let what = format!("{harts} harts, {threshold:?}:\n{}", machine.describe());
        assert_eq!(end, End::Power(Power::Off), "{what}");
    }
}

/// They are stopped at any moment, by others than themselves; then something is done to the machine that
/// must not show, and they go on.
#[test]
fn harts_on_threads_stand_still_when_they_are_to() {
    let scratch = Scratch::new("machine-stops");
    let mut random = Random::new(13);
    for (harts, threshold) in [(2, None), (2, Some(20)), (3, Some(2))] {
        let options = on_threads(harts, threshold);
        let tiers = options.tiers.clone();
        let mut machine = Machine::new(options, Arc::default(), Wires::none()).unwrap();
        let end = loop {
            let scale = random.choose(&[10_000, 1_000_000, 30_000_000]);
            let limit = machine.stats().retired + 1 + random.below(scale);
            let end = machine.run(limit, || false).unwrap();
            if end != End::Limit {
                break end;
            }
            match random.below(5) {
                0 => machine.forget(),
                1 => machine
                    .set_tiers(random.one_in(2).then(|| tiers.clone()))
                    .unwrap(),
                2 => machine.take_turns(random.one_in(2)),
                3 => {
                    let file = scratch.path().join("snapshot");
                    machine.save(&file).unwrap();
                    let resume = Resume {
                        engine: random.choose(&[EngineKind::Interp, EngineKind::Jit]),
                        schedule: random.choose(&[Schedule::Turns, Schedule::Threads]),
                        trust: false,
                        disks: Vec::new(),
                        changed_disks: false,
                        net: None,
                        shares: Vec::new(),
                    };
                    let again = Machine::resume(&file, &resume, Arc::default(), Wires::none());
                    machine = again.unwrap();
                }
                _ => {}
            }
        };
        let what = format!("{harts} harts, {threshold:?}:\n{}", machine.describe());
        assert_eq!(end, End::Power(Power::Off), "{what}");
    }
}
