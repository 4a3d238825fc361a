//! How responses are compressed.

use nuncio_api as api;

use crate::ir::http::{Compressor, Encoding};

const GZIP_STRATEGIES: [(&str, i32); 3] = [("FILTERED", 1), ("HUFFMAN", 2), ("RLE", 3)];
const BROTLI_MODES: [(&str, i32); 3] = [("GENERIC", 1), ("TEXT", 2), ("FONT", 3)];
const ZSTD_STRATEGIES: [(&str, i32); 9] = [
    ("FAST", 1),
    ("DFAST", 2),
    ("GREEDY", 3),
    ("LAZY", 4),
    ("LAZY2", 5),
    ("BTLAZY2", 6),
    ("BTOPT", 7),
    ("BTULTRA", 8),
    ("BTULTRA2", 9),
];

/// Returns a compressor for each encoding that is set. One at most is preferred:
/// of several, Envoy would take the one that the client names last.
pub(super) fn compressors(module: &api::AmbassadorModule) -> impl Iterator<Item = Compressor> {
    let gzip = module.gzip.as_ref().map(gzip);
    let zstd = module.zstd.as_ref().map(|given| zstd(given, module.brotli.is_none()));
    let brotli = module.brotli.as_ref().map(brotli);
    gzip.into_iter().chain(zstd).chain(brotli)
}

/// Returns the words that are none of a field's, as the fields of them, and
/// which ones are.
pub(crate) fn unknown_words(
    module: &api::AmbassadorModule,
) -> impl Iterator<Item = (&'static str, bool, &'static str)> {
    let gzip = module.gzip.clone().unwrap_or_default();
    let strange = |word: &Option<String>, table: &[(&str, i32)]| {
        let default = |word: &&String| !word.eq_ignore_ascii_case("DEFAULT");
        word.as_ref().filter(default).is_some_and(|word| number(Some(word), table) == 0)
    };
    let level = gzip.compression_level.as_deref();
    let level = level.is_some_and(|text| !text.starts_with("DEFAULT") && gzip_level(level) == 0);
    let brotli = module.brotli.clone().unwrap_or_default();
    let zstd = module.zstd.clone().unwrap_or_default();
    [
        ("gzip.compression_level", level, "use BEST, SPEED or DEFAULT"),
        (
            "gzip.compression_strategy",
            strange(&gzip.compression_strategy, &GZIP_STRATEGIES),
            "use FILTERED, HUFFMAN, RLE or DEFAULT",
        ),
        (
            "brotli.encoder_mode",
            strange(&brotli.encoder_mode, &BROTLI_MODES),
            "use GENERIC, TEXT, FONT or DEFAULT",
        ),
        (
            "zstd.strategy",
            strange(&zstd.strategy, &ZSTD_STRATEGIES),
            "use FAST, DFAST, GREEDY, LAZY, LAZY2, BTLAZY2, BTOPT, BTULTRA, BTULTRA2 or DEFAULT",
        ),
    ]
    .into_iter()
}

fn gzip(given: &api::Gzip) -> Compressor {
    Compressor {
        encoding: Encoding::Gzip {
            memory_level: given.memory_level.map(|level| level.clamp(1, 9)),
            level: gzip_level(given.compression_level.as_deref()),
            strategy: number(given.compression_strategy.as_deref(), &GZIP_STRATEGIES),
            window_bits: given.window_bits.map(|bits| bits.clamp(9, 15)),
        },
        preferred: false,
        min_content_length: given.min_content_length,
        content_types: given.content_type.clone(),
        disable_on_etag_header: given.disable_on_etag_header.unwrap_or(false),
        remove_accept_encoding_header: given.remove_accept_encoding_header.unwrap_or(false),
    }
}

fn brotli(given: &api::Brotli) -> Compressor {
    Compressor {
        encoding: Encoding::Brotli {
            quality: given.quality.map(|quality| quality.min(11)),
            mode: number(given.encoder_mode.as_deref(), &BROTLI_MODES),
            window_bits: given.window_bits.map(|bits| bits.clamp(10, 24)),
        },
        preferred: true,
        min_content_length: given.min_content_length,
        content_types: given.content_type.clone(),
        disable_on_etag_header: given.disable_on_etag_header.unwrap_or(false),
        remove_accept_encoding_header: given.remove_accept_encoding_header.unwrap_or(false),
    }
}

fn zstd(given: &api::Zstd, preferred: bool) -> Compressor {
    Compressor {
        encoding: Encoding::Zstd {
            level: given.compression_level.map(|level| level.clamp(1, 22)),
            strategy: number(given.strategy.as_deref(), &ZSTD_STRATEGIES),
            checksum: given.enable_checksum.unwrap_or(false),
        },
        preferred,
        min_content_length: given.min_content_length,
        content_types: given.content_type.clone(),
        disable_on_etag_header: given.disable_on_etag_header.unwrap_or(false),
        remove_accept_encoding_header: given.remove_accept_encoding_header.unwrap_or(false),
    }
}

/// The number of a word in any case; 0, the default, of any other.
fn number(word: Option<&str>, table: &[(&str, i32)]) -> i32 {
    let known = |(name, _): &&(&str, i32)| word.is_some_and(|word| word.eq_ignore_ascii_case(name));
    table.iter().find(known).map_or(0, |(_, number)| *number)
}

/// `BEST` is the strongest, `SPEED` the quickest; a number is itself.
fn gzip_level(text: Option<&str>) -> i32 {
    match text.map(str::to_ascii_uppercase).as_deref() {
        Some("BEST" | "BEST_COMPRESSION") => 9,
        Some("SPEED" | "BEST_SPEED") => 1,
        Some(text) => {
            let digits = text.trim_start_matches("COMPRESSION_LEVEL_");
            digits.parse().ok().filter(|level| (1..=9).contains(level)).unwrap_or(0)
        }
        None => 0,
    }
}
