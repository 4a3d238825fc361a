//! Objects of every kind, some of their values awkward.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mutate::{Choices, Corpus};

#[path = "../../tests/support/entry.rs"]
mod entry;
#[allow(dead_code, reason = "the other half is for the bounded run")]
#[path = "../../tests/support/mutate.rs"]
mod mutate;

static CORPUS: LazyLock<Corpus> = LazyLock::new(|| {
    Corpus::golden(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden"))
});

fuzz_target!(|bytes: &[u8]| {
    let world = CORPUS.world(&mut Choices::new(bytes));
    entry::compile(world.join("---\n").as_bytes());
});
