//! What the parts cost: decoding, interpreting, compiling.
//!
//! `bhv bench` measures whole programs; these find out which part a change made slower.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use frontend::{Block, X, decode};
use hart::HartState;
use interp::Interp;
use jit::Jit;
use memory::{Place, Protection, Sharing, UserSpace};
use object::{Object, ObjectSegment, ObjectSymbol};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

const STACK: u64 = 0x30_0000_0000;

/// A guest program in an address space of its own, with an empty stack: argc is 0.
struct Guest {
    space: Arc<UserSpace>,
    file: object::File<'static>,
}

impl Guest {
    fn load(name: &str) -> Guest {
        let program = baby_hypervisor::bench::programs::find(name).expect("a program of ours");
        let file = object::File::parse(program.elf).expect("an ELF file");
        let space = Arc::new(UserSpace::reserve().expect("address space"));
        map(&space, STACK, 0x10000);
        for segment in file.segments() {
            let (start, size) = (segment.address() & !0xfff, segment.address() & 0xfff);
            map(
                &space,
                start,
                (size + segment.size()).next_multiple_of(0x1000),
            );
            let bytes = segment.data().expect("a segment's bytes");
            space
                .write_bytes(segment.address(), bytes)
                .expect("just mapped");
        }
        Guest { space, file }
    }

    fn start(&self) -> HartState {
        let mut hart = HartState {
            pc: self.file.entry(),
            ..HartState::default()
        };
        hart.set(X::SP, STACK + 0x8000);
        hart
    }

    fn symbol(&self, name: &str) -> u64 {
        let found = self.file.symbols().find(|s| s.name() == Ok(name));
        found.expect("a function of the program").address()
    }

    /// The parcels of the code, as the decoder takes them: two at a time.
    fn parcels(&self) -> Vec<u32> {
        let code = self
            .file
            .segments()
            .find(|s| {
                s.address() <= self.file.entry() && self.file.entry() < s.address() + s.size()
            })
            .expect("a segment with the entry");
        let bytes = code.data().expect("its bytes");
        let at = |i: usize| u16::from_le_bytes([bytes[i], bytes[i + 1]]);
        let mut parcels = Vec::new();
        let mut i = 0;
        while i + 4 <= bytes.len() {
            let both = u32::from(at(i)) | u32::from(at(i + 2)) << 16;
            parcels.push(both);
            i += decode::decode(both).map_or(2, |d| usize::from(d.len));
        }
        parcels
    }
}

fn map(space: &UserSpace, start: u64, size: u64) {
    let all = Protection::READ | Protection::WRITE | Protection::EXECUTE;
    space
        .map_anonymous(Place::Fixed(start), size, all, Sharing::Private, None)
        .expect("room");
}

fn decoding(c: &mut Criterion) {
    let guest = Guest::load("mixed");
    let parcels = guest.parcels();
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(parcels.len() as u64));
    group.bench_function("instructions", |b| {
        b.iter(|| {
            parcels
                .iter()
                .filter_map(|&p| decode::decode(black_box(p)))
                .count()
        });
    });
    group.finish();
    let main = guest.symbol("main");
    c.bench_function("block", |b| {
        b.iter(|| Block::decode(black_box(main), 64, |_| false, |va| guest.space.fetch(va)));
    });
}

/// From the first instruction to the first system call, which prints the result.
fn interpreting(c: &mut Criterion) {
    let guest = Guest::load("mixed");
    let poll = AtomicU32::new(0);
    let run = |interp: &mut Interp<UserSpace>| {
        let mut hart = guest.start();
        interp.run(&mut hart, &guest.space, u64::MAX, &poll);
        hart.instret
    };
    let mut interp = Interp::new(interp::Options::default());
    let mut group = c.benchmark_group("interpret");
    group.sample_size(10);
    group.throughput(Throughput::Elements(run(&mut interp)));
    group.bench_function("mixed", |b| b.iter(|| run(&mut interp)));
    group.finish();
}

fn compiling(c: &mut Criterion) {
    let guest = Guest::load("mixed");
    let main = guest.symbol("main");
    let options = |optimize| jit::Options {
        background: false,
        optimize,
        ..Default::default()
    };
    let fresh = |optimize| Jit::new(options(optimize), guest.space.clone()).expect("a compiler");
    let once = fresh(true);
    once.request(main);
    let mut group = c.benchmark_group("compile");
    group.sample_size(10);
    group.throughput(Throughput::Elements(once.stats().guest_instructions));
    for (name, optimize) in [("optimized", true), ("plain", false)] {
        group.bench_function(name, |b| {
            b.iter_batched(
                || fresh(optimize),
                |jit| jit.request(main),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(parts, decoding, interpreting, compiling);
criterion_main!(parts);
