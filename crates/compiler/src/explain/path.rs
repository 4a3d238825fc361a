//! Paths and authorities as Envoy tidies them.

/// Splits a target into path and query, the query with its `?`.
pub(super) fn split(target: &str) -> (&str, &str) {
    match target.find('?') {
        Some(at) => target.split_at(at),
        None => (target, ""),
    }
}

/// Tells whether a path hides a slash or backslash behind an escape.
pub(super) fn has_escaped_slash(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    lower.contains("%2f") || lower.contains("%5c")
}

/// Tells whether a target holds only what Envoy reads: printable ASCII without
/// spaces, and no fragment.
pub(super) fn is_readable(target: &str) -> bool {
    target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

/// Does what `normalize_path` does: unescapes unreserved characters, escapes
/// those that no path has, turns backslashes, resolves `.` and `..`. `None`
/// when the path begins with no slash or hides a NUL.
/// Source: RFC 3986 section 6, and what Envoy's URL library makes of the rest.
pub(super) fn normalize(path: &str) -> Option<String> {
    if path.contains("%00") {
        return None;
    }
    let unescaped = escape_unusual(&unescape_unreserved(path)).replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    let mut rest = unescaped.strip_prefix('/')?.split('/').peekable();
    while let Some(segment) = rest.next() {
        let last = rest.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    segments.pop();
                }
                // A dot segment at the end leaves its slash behind.
                if last {
                    segments.push("");
                }
            }
            other => segments.push(other),
        }
    }
    Some(format!("/{}", segments.join("/")))
}

fn unescape_unreserved(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut out = String::with_capacity(path.len());
    let mut at = 0;
    while at < path.len() {
        let escape = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let decoded = escape
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            .filter(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(byte));
        if let Some(byte) = decoded {
            out.push(char::from(byte));
            at += 3;
            continue;
        }
        let next = path[at..].chars().next().expect("`at` lies on a character boundary");
        out.push(next);
        at += next.len_utf8();
    }
    out
}

fn escape_unusual(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for character in path.chars() {
        match character {
            '"' | '<' | '>' | '^' | '`' | '{' | '|' | '}' => {
                out.push_str(&format!("%{:02X}", u32::from(character)));
            }
            usual => out.push(usual),
        }
    }
    out
}

/// Makes one slash of several; as in Envoy, a path of nothing but several
/// slashes keeps two.
pub(super) fn merge_slashes(path: &str) -> String {
    if !path.contains("//") {
        return path.to_owned();
    }
    let begin = if path.starts_with('/') { "/" } else { "" };
    let end = if path.ends_with('/') { "/" } else { "" };
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    format!("{begin}{}{end}", segments.join("/"))
}

/// Returns the host of an authority: no port, lower-case, no brackets.
pub(super) fn host(authority: &str) -> String {
    let bare = without_port_if(authority, |_| true);
    bare.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase()
}

/// Removes the port of an authority if `strip` says so of it.
pub(super) fn without_port_if(authority: &str, strip: impl FnOnce(u16) -> bool) -> String {
    let split = authority.rsplit_once(':').filter(|(_, port)| !port.contains(']'));
    match split.and_then(|(host, port)| Some((host, port.parse().ok()?))) {
        Some((host, port)) if strip(port) => host.to_owned(),
        _ => authority.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_tidied_as_envoy_does() {
        for (raw, tidy) in [
            ("/a/b", "/a/b"),
            ("/a/./b/../c", "/a/c"),
            ("/a/..", "/"),
            ("/../a", "/a"),
            ("/a/b/.", "/a/b/"),
            ("/%61%2f%2E%2e/", "/a%2f../"),
            ("/a//b", "/a//b"),
            ("/a\\b", "/a/b"),
            ("//..", "/"),
            ("/%/%zz/%2", "/%/%zz/%2"),
            ("/{a}|\"^`<>", "/%7Ba%7D%7C%22%5E%60%3C%3E"),
            ("/", "/"),
        ] {
            assert_eq!(normalize(raw).as_deref(), Some(tidy), "{raw}");
        }
        assert_eq!(normalize("*"), None);
        assert_eq!(normalize("/a%00"), None);
        for (raw, merged) in [("//a///b/", "/a/b/"), ("/", "/"), ("//", "//"), ("///", "//")] {
            assert_eq!(merge_slashes(raw), merged, "{raw}");
        }
    }

    #[test]
    fn ports_are_told_from_addresses() {
        assert_eq!(host("A.test:80"), "a.test");
        assert_eq!(host("[::1]:80"), "::1");
        assert_eq!(host("[::1]"), "::1");
        assert_eq!(without_port_if("a:80", |port| port == 81), "a:80");
    }
}
