//! What guest memory and snapshots cost: accesses, faults, mapping, watching code, saving and
//! restoring.

use baby_hypervisor::snapshot::{Reader, Writer, space};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use memory::{PAGE, Place, Protection, Sharing, UserSpace};
use std::hint::black_box;

const AT: u64 = 0x1000_0000;

fn mapped(bytes: u64, protection: Protection) -> UserSpace {
    let space = UserSpace::reserve().expect("address space");
    let place = Place::Fixed(AT);
    space
        .map_anonymous(place, bytes, protection, Sharing::Private, None)
        .expect("room");
    space
}

fn accesses(c: &mut Criterion) {
    let mut group = c.benchmark_group("access");
    let space = mapped(4 * PAGE, Protection::from_bits(7));
    group.throughput(Throughput::Elements(512));
    group.bench_function("load", |b| {
        b.iter(|| {
            (0..512)
                .map(|i| space.load::<u64>(AT + i * 8).unwrap_or(1))
                .sum::<u64>()
        });
    });
    group.bench_function("store", |b| {
        b.iter(|| (0..512).all(|i| space.store(AT + i * 8, i).is_ok()));
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("load that faults", |b| {
        b.iter(|| space.load::<u64>(black_box(0)))
    });
    group.bench_function("watch a page and write to it", |b| {
        b.iter(|| {
            space.watch_code(&[AT / PAGE]);
            space.store(AT, 1_u8)
        });
    });
    group.bench_function("map and unmap a page", |b| {
        b.iter(|| {
            let (rw, private) = (Protection::READ_WRITE, Sharing::Private);
            let at = space.map_anonymous(Place::Anywhere, PAGE, rw, private, None);
            at.and_then(|at| space.unmap(at, PAGE))
        });
    });
    group.bench_function("reserve an address space", |b| b.iter(UserSpace::reserve));
    group.finish();
}

fn snapshots(c: &mut Criterion) {
    let bytes = 64 << 20;
    let saved = mapped(bytes, Protection::READ_WRITE);
    (0..bytes / PAGE).for_each(|page| saved.store(AT + page * PAGE, page + 1).expect("mapped"));
    let file = std::env::temp_dir().join(format!("bhv-bench-{}", std::process::id()));
    let save = || {
        let mut writer = Writer::create(&file).expect("a temporary file");
        space::save(&mut writer, &saved).expect("room for it");
        writer.finish().expect("room for it")
    };
    let mut group = c.benchmark_group("snapshot of 64 MiB");
    group.sample_size(10).throughput(Throughput::Bytes(bytes));
    group.bench_function("save", |b| b.iter(save));
    group.bench_function("verify", |b| {
        b.iter(|| Reader::open(&file).and_then(|reader| reader.verify(|_, _| {})));
    });
    group.bench_function("restore", |b| {
        b.iter(|| {
            let reader = Reader::open(&file).expect("just saved");
            let restored = UserSpace::reserve().expect("address space");
            space::restore(&reader, &restored, &|_, _| None).expect("just saved");
            restored
        });
    });
    group.finish();
    let _ = std::fs::remove_file(&file);
}

criterion_group!(benches, accesses, snapshots);
criterion_main!(benches);
