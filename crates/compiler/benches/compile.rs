//! Cost of compiling Mappings: parsed already, and from YAML text.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;

use divan::Bencher;
use nuncio_api::Change;
use nuncio_compiler::{Compiler, Settings};
use nuncio_testing::manifests;

#[path = "support/world.rs"]
mod world;

use world::{Shape, World};

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];

fn main() {
    divan::main();
}

/// As the control plane sets it.
fn settings() -> Settings {
    let threads = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    Settings { threads, ..Settings::default() }
}

/// Applies everything at once to a compiler without objects.
fn cold(bencher: Bencher<'_, '_>, world: World) {
    let changes: Vec<Change> = world.objects().map(world::apply).collect();
    bencher.with_inputs(|| (Compiler::new(settings()), changes.clone())).bench_values(
        |(mut compiler, changes)| {
            let delta = compiler.apply(changes);
            (compiler, delta)
        },
    );
}

/// As at a start.
#[divan::bench(args = SIZES, consts = [0, 1, 2], sample_count = 10, sample_size = 1)]
fn cold_start<const SHAPE: usize>(bencher: Bencher<'_, '_>, count: usize) {
    cold(bencher, World { count, shape: Shape::ALL[SHAPE] });
}

/// The same, from one file of YAML.
#[divan::bench(args = [1_000, 10_000], sample_count = 10, sample_size = 1)]
fn cold_from_yaml(bencher: Bencher<'_, '_>, count: usize) {
    let file = world::text(count);
    bencher.with_inputs(|| Compiler::new(settings())).bench_values(|mut compiler| {
        let changes = manifests::changes(&file);
        assert_eq!(changes.len(), count + 1);
        let delta = compiler.apply(changes);
        (compiler, delta)
    });
}

/// Applies changes in turn to a compiler that holds a world.
fn changing(bencher: Bencher<'_, '_>, world: World, change: impl Fn(usize) -> Change) {
    let mut compiler = Compiler::new(settings());
    compiler.apply(world.objects().map(world::apply).collect());
    let mut turn = 1;
    bencher
        .with_inputs(|| {
            turn += 1;
            change(turn)
        })
        .bench_local_values(|change| {
            let delta = compiler.apply(vec![change]);
            assert!(!delta.changed.is_empty(), "a change without effect");
            delta
        });
}

/// One Mapping among many gets another timeout.
#[divan::bench(args = SIZES, sample_count = 200, sample_size = 1)]
fn one_edit(bencher: Bencher<'_, '_>, count: usize) {
    let world = World { count, shape: Shape::OneHost };
    changing(bencher, world, |turn| {
        world::apply(world.mapping((turn * 7919) % count, 1000 + turn as u64))
    });
}

/// One Mapping comes, and goes the next time.
#[divan::bench(args = SIZES, sample_count = 200, sample_size = 1)]
fn one_come_or_gone(bencher: Bencher<'_, '_>, count: usize) {
    let world = World { count, shape: Shape::OneHost };
    changing(bencher, world, |turn| {
        let object: Arc<_> = world.mapping(count + turn / 2, 1000);
        if turn.is_multiple_of(2) { world::apply(object) } else { Change::Delete(object.key()) }
    });
}

/// One Mapping of one of many Hosts gets another timeout.
#[divan::bench(args = SIZES, sample_count = 200, sample_size = 1)]
fn one_edit_many_hosts(bencher: Bencher<'_, '_>, count: usize) {
    let world = World { count, shape: Shape::ManyHosts };
    changing(bencher, world, |turn| {
        world::apply(world.mapping((turn * 7919) % count, 1000 + turn as u64))
    });
}
