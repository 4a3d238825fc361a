//! What `.ci/bench` measures of a whole gateway: how soon an edit is in effect,
//! what requests notice of changes, and the memory of each process.
//!
//! Prints a table for each part that is named: `edits`, `load`, `memory`. Run it
//! with `--release`: it builds and measures the programs of the same profile.

use std::process::ExitCode;

mod changes;
mod edits;
mod load;
mod memory;
mod world;

#[tokio::main]
async fn main() -> ExitCode {
    let parts: Vec<String> = std::env::args().skip(1).collect();
    for part in &parts {
        let passed = match part.as_str() {
            "edits" => edits::run().await,
            "load" => load::run().await,
            "memory" => memory::run().await,
            other => {
                say(&format!("there is no part `{other}`"));
                return ExitCode::from(64);
            }
        };
        if !passed {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

#[allow(clippy::print_stdout, reason = "the figures are this program's output")]
fn say(line: &str) {
    println!("{line}");
}

/// A number with a comma behind the thousands.
fn grouped(number: usize) -> String {
    if number < 1000 {
        return number.to_string();
    }
    format!("{},{:03}", grouped(number / 1000), number % 1000)
}
