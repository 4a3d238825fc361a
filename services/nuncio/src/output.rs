//! Standard output and standard error of a command line tool.

use std::io::{self, Write as _};

/// Writes one line and sends it at once. A reader that went away, as in
/// `nuncio render | head`, is not an error.
pub(crate) fn line(text: impl std::fmt::Display) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}

/// Writes text that ends its own lines.
pub(crate) fn text(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Writes one line to standard error.
pub(crate) fn complaint(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
