//! Standard output of a command line tool.

use std::io::{self, Write as _};

/// Writes one line and sends it at once. A reader that went away, as in
/// `nuncio render | head`, is not an error.
pub(crate) fn line(text: impl std::fmt::Display) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}
