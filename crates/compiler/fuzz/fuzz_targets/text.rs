//! Arbitrary bytes as a file of a folder.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/support/entry.rs"]
mod entry;

fuzz_target!(|bytes: &[u8]| {
    entry::compile(bytes);
});
