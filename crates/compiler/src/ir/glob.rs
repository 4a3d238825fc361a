//! Overlap of host globs: which Hosts take which Mappings.

/// A host glob, split once so that many comparisons are cheap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form<'a> {
    Any,
    Literal(&'a str),
    /// `*<tail>`.
    Leading(&'a str),
    /// `<head>*`.
    Trailing(&'a str),
    /// `*` at both ends: overlaps only its own spelling.
    Both,
}

fn form(glob: &str) -> Form<'_> {
    if glob == "*" {
        return Form::Any;
    }
    match (glob.strip_prefix('*'), glob.strip_suffix('*')) {
        (Some(_), Some(_)) => Form::Both,
        (Some(tail), None) => Form::Leading(tail),
        (None, Some(head)) => Form::Trailing(head),
        (None, None) => Form::Literal(glob),
    }
}

/// Returns whether the glob holds a wildcard at either end.
pub(crate) fn is_glob(glob: &str) -> bool {
    glob.starts_with('*') || glob.ends_with('*')
}

/// Returns whether TLS can choose by the glob: a whole name, or `*.` and a
/// name. Source: Envoy `FilterChainMatch.server_names`.
pub(crate) fn is_server_name(glob: &str) -> bool {
    let tail = glob.strip_prefix("*.").unwrap_or(glob);
    !tail.is_empty() && !tail.contains('*')
}

/// Returns whether some host name could match both globs.
///
/// Symmetric and case-sensitive; ports are ordinary text; `*` eats one or more
/// characters, dots included. Source: Emissary's `hostglob_matches`.
pub(crate) fn overlap(a: &str, b: &str) -> bool {
    if a == b || a == "*" || b == "*" {
        return true;
    }
    if a.starts_with('.') || b.starts_with('.') {
        return false;
    }
    match (form(a), form(b)) {
        (Form::Leading(x), Form::Leading(y)) => x.ends_with(y) || y.ends_with(x),
        (Form::Trailing(x), Form::Trailing(y)) => x.starts_with(y) || y.starts_with(x),
        (Form::Leading(_), Form::Trailing(_)) | (Form::Trailing(_), Form::Leading(_)) => true,
        (Form::Leading(tail), Form::Literal(text)) | (Form::Literal(text), Form::Leading(tail)) => {
            text.len() > tail.len() && text.ends_with(tail)
        }
        (Form::Trailing(head), Form::Literal(text))
        | (Form::Literal(text), Form::Trailing(head)) => {
            text.len() > head.len() && text.starts_with(head)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::overlap;

    #[test]
    fn overlap_follows_the_table_in_both_directions() {
        let cases = [
            ("a.com", "a.com", true),
            ("a.com", "b.com", false),
            ("*", "b.com", true),
            ("*", "*.com", true),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "*.com", true),
            ("*.example.com", "*.org", false),
            ("example.*", "example.com", true),
            ("example.*", "*.com", true),
            ("example.*", "exam*", true),
            ("example.*", "other.*", false),
            (".example.com", "*.example.com", false),
            ("*a*", "*a*", true),
            ("*a*", "bab", false),
            ("a.com:8443", "a.com", false),
            ("*ple.com", "example.com", true),
        ];
        for (a, b, expected) in cases {
            assert_eq!(overlap(a, b), expected, "{a} {b}");
            assert_eq!(overlap(b, a), expected, "{b} {a}");
        }
    }
}
