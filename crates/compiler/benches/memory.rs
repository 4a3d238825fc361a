//! Resident memory of a process that holds compiled Mappings, the objects
//! included.

use std::process::Command;
use std::sync::Arc;

use nuncio_compiler::{Compiler, Settings};

#[allow(dead_code, reason = "each benchmark uses a part of it")]
#[path = "support/world.rs"]
mod world;

use world::{Shape, World};

const SIZES: [usize; 2] = [10_000, 100_000];
/// Single edits after the first compilation: what a day leaves behind.
const EDITS: usize = 1_000;

#[allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|text| text.parse().ok());
    if let (Some(shape), Some(count)) = (arguments.next(), arguments.next()) {
        return hold(World { count, shape: Shape::ALL[shape] });
    }
    println!("| Mappings | | objects | compiled | after {EDITS} edits |");
    println!("|---|---|---|---|---|");
    // A process each: what one leaves behind would count for the next.
    let own = std::env::current_exe().expect("this program has a path");
    for size in SIZES {
        for shape in 0..Shape::ALL.len() {
            let arguments = [shape, size].map(|number| number.to_string());
            let output = Command::new(&own).args(arguments).output().expect("it starts again");
            print!("{}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

#[allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn hold(world: World) {
    let World { count, shape } = world;
    let changes: Vec<_> = world.objects().map(world::apply).collect();
    let objects = resident();
    let mut compiler = Compiler::new(Settings::default());
    let mut held: std::collections::BTreeMap<_, _> = compiler
        .apply(changes)
        .changed
        .into_iter()
        .map(|resource| (resource.name.clone(), resource))
        .collect();
    let compiled = resident();
    for turn in 0..EDITS {
        let object = world.mapping((turn * 7919) % count, 1000 + turn as u64);
        for resource in compiler.apply(vec![world::apply(object)]).changed {
            held.insert(resource.name.clone(), Arc::clone(&resource));
        }
    }
    println!("| {count} | {shape:?} | {objects} MiB | {compiled} MiB | {} MiB |", resident());
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") / 1024
}
