//! Texts that Envoy is strict about, checked before it sees them: one bad text
//! would make it refuse a whole route configuration.

/// Returns whether the text can be a header name.
pub(crate) fn is_header_name(name: &str) -> bool {
    let name = name.strip_prefix(':').unwrap_or(name);
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Returns whether the text can stand in a header or a path that Envoy writes.
pub(crate) fn is_header_value(value: &str) -> bool {
    value.bytes().all(|b| b == b'\t' || (b >= 0x20 && b != 0x7f))
}

/// Returns whether Envoy lets routes add or remove the header.
pub(crate) fn is_editable_header(name: &str) -> bool {
    !name.starts_with(':') && !name.eq_ignore_ascii_case("host")
}
