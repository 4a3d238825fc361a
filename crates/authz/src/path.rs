//! The spellings of a path that a backend may take for one another.

use std::borrow::Cow;

/// A path cut at its query, as sent and as a careful backend reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathForms<'a> {
    /// As sent.
    pub raw: &'a str,
    /// Unreserved characters decoded once, dots resolved, slashes merged.
    pub canonical: Cow<'a, str>,
    /// `canonical` with `%2F`, `%5C` and `\` taken as `/` and everything from
    /// `;` to the next `/` dropped; `None` when it has none of these. A path
    /// that has is ambiguous: backends disagree about it.
    pub lenient: Option<String>,
}

/// A path that no policy can be chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    /// NUL or a control character, plain or encoded.
    #[error("the path holds a control character")]
    Control,
    /// `%` without two hexadecimal digits.
    #[error("the path holds a broken escape")]
    Escape,
    /// Not starting with `/`.
    #[error("the path does not start with a slash")]
    Relative,
}

/// Reads a request path; query and fragment are cut off.
///
/// # Errors
/// When the path is one that no backend should see.
pub(crate) fn read(path: &str) -> Result<PathForms<'_>, PathError> {
    let end = path.find(['?', '#']).unwrap_or(path.len());
    let raw = &path[..end];
    if !raw.starts_with('/') && raw != "*" && !raw.is_empty() {
        return Err(PathError::Relative);
    }
    // The common path needs no work: nothing escaped, no dot segment.
    let plain = raw.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'%' | b';' | b'\\'));
    if plain && !raw.contains("//") && !raw.contains("/.") {
        return Ok(PathForms { raw, canonical: Cow::Borrowed(raw), lenient: None });
    }
    let (decoded, ambiguous) = decode(raw)?;
    let canonical = resolve(&decoded);
    let lenient = ambiguous.then(|| resolve(&without_doubt(&decoded)));
    Ok(PathForms { raw, canonical: Cow::Owned(canonical), lenient })
}

/// Decodes escapes of unreserved characters once; says whether the rest holds
/// something that backends read in different ways.
fn decode(raw: &str) -> Result<(String, bool), PathError> {
    let bytes = raw.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut ambiguous = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        if byte.is_ascii_control() {
            return Err(PathError::Control);
        }
        if byte != b'%' {
            ambiguous |= matches!(byte, b';' | b'\\');
            out.push(byte);
            continue;
        }
        let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
        let (Some(high), Some(low)) = (digit(at), digit(at + 1)) else {
            return Err(PathError::Escape);
        };
        let value = u8::try_from(high * 16 + low).map_err(|_| PathError::Escape)?;
        if value.is_ascii_control() {
            return Err(PathError::Control);
        }
        if value.is_ascii_alphanumeric() || matches!(value, b'-' | b'.' | b'_' | b'~') {
            out.push(value);
        } else {
            // An escaped `%` may be decoded a second time further on.
            ambiguous |= matches!(value, b'/' | b'\\' | b';' | b'%');
            out.push(b'%');
            out.extend(bytes[at..at + 2].iter().map(u8::to_ascii_uppercase));
        }
        at += 2;
    }
    // Only whole characters were copied and ASCII added.
    let text = String::from_utf8(out).map_err(|_| PathError::Escape)?;
    Ok((text, ambiguous))
}

/// Takes every doubtful spelling in the way that reaches furthest.
fn without_doubt(decoded: &str) -> String {
    let mut text = decoded.to_owned();
    // Twice, for a backend that decodes `%252F` to `%2F` to `/`.
    for _ in 0..2 {
        text = text.replace("%25", "%");
        for (escape, plain) in [
            ("%2F", "/"),
            ("%2f", "/"),
            ("%5C", "/"),
            ("%5c", "/"),
            ("%3B", ";"),
            ("%3b", ";"),
            ("%2E", "."),
            ("%2e", "."),
            ("\\", "/"),
        ] {
            text = text.replace(escape, plain);
        }
    }
    let segments: Vec<_> =
        text.split('/').map(|segment| segment.split(';').next().unwrap_or("")).collect();
    segments.join("/")
}

/// Resolves dot segments and merges slashes.
fn resolve(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    let mut trailing = false;
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "" | "." => trailing = last,
            ".." => {
                kept.pop();
                trailing = last;
            }
            other => {
                kept.push(other);
                trailing = false;
            }
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in &kept {
        out.push('/');
        out.push_str(segment);
    }
    if trailing || kept.is_empty() {
        out.push('/');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_path_have_one_canonical_form() {
        for (sent, canonical) in [
            ("/a/b", "/a/b"),
            ("/a/b?x=/../c", "/a/b"),
            ("/a/b#f", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/./b/", "/a/b/"),
            ("//a///b", "/a/b"),
            ("/%61%2Db", "/a-b"),
            ("/a/%2e%2e/b", "/b"),
            ("/a/..", "/"),
            ("/../..", "/"),
            ("/a%20b%c3%a9", "/a%20b%C3%A9"),
            ("/..a/.b", "/..a/.b"),
            ("/", "/"),
        ] {
            assert_eq!(read(sent).unwrap().canonical, canonical, "{sent}");
        }
    }

    #[test]
    fn doubtful_spellings_show_what_they_may_mean() {
        for (sent, lenient) in [
            ("/a%2Fb", "/a/b"),
            ("/x/..%2fadmin", "/admin"),
            ("/a%5cb", "/a/b"),
            ("/a\\b", "/a/b"),
            ("/admin;x=1/y", "/admin/y"),
            ("/x/..;/admin", "/admin"),
            ("/a%252fb", "/a/b"),
            ("/x/%252e%252e/admin", "/admin"),
        ] {
            assert_eq!(read(sent).unwrap().lenient.as_deref(), Some(lenient), "{sent}");
        }
        assert_eq!(read("/a/b").unwrap().lenient, None);
    }

    #[test]
    fn control_characters_and_broken_escapes_are_refused() {
        assert_eq!(read("/a%00"), Err(PathError::Control));
        assert_eq!(read("/a\u{1}"), Err(PathError::Control));
        assert_eq!(read("/a%7f"), Err(PathError::Control));
        assert_eq!(read("/a%g0"), Err(PathError::Escape));
        assert_eq!(read("/a%2"), Err(PathError::Escape));
        assert_eq!(read("a"), Err(PathError::Relative));
    }
}
