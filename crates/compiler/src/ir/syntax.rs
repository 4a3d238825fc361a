//! Texts that Envoy is strict about, checked before it sees them: one bad text
//! would make it refuse a whole route configuration.

/// Commands of Envoy's header format, without arguments.
const COMMANDS: &[&str] = &[
    "ACCESS_LOG_TYPE",
    "BYTES_RECEIVED",
    "BYTES_SENT",
    "CEL",
    "CLUSTER_METADATA",
    "CONNECTION_ID",
    "CONNECTION_TERMINATION_DETAILS",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_HEADER_BYTES_SENT",
    "DOWNSTREAM_LOCAL_ADDRESS",
    "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_LOCAL_DNS_SAN",
    "DOWNSTREAM_LOCAL_PORT",
    "DOWNSTREAM_LOCAL_SUBJECT",
    "DOWNSTREAM_LOCAL_URI_SAN",
    "DOWNSTREAM_PEER_CERT",
    "DOWNSTREAM_PEER_CERT_V_END",
    "DOWNSTREAM_PEER_CERT_V_START",
    "DOWNSTREAM_PEER_DNS_SAN",
    "DOWNSTREAM_PEER_FINGERPRINT_1",
    "DOWNSTREAM_PEER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_ISSUER",
    "DOWNSTREAM_PEER_SERIAL",
    "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_PEER_URI_SAN",
    "DOWNSTREAM_REMOTE_ADDRESS",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_REMOTE_PORT",
    "DOWNSTREAM_TLS_CIPHER",
    "DOWNSTREAM_TLS_SESSION_ID",
    "DOWNSTREAM_TLS_VERSION",
    "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
    "DOWNSTREAM_WIRE_BYTES_RECEIVED",
    "DOWNSTREAM_WIRE_BYTES_SENT",
    "DURATION",
    "DYNAMIC_METADATA",
    "ENVIRONMENT",
    "FILTER_CHAIN_NAME",
    "FILTER_STATE",
    "GRPC_STATUS",
    "GRPC_STATUS_NUMBER",
    "HOSTNAME",
    "LOCAL_REPLY_BODY",
    "METADATA",
    "PROTOCOL",
    "REQ",
    "REQUESTED_SERVER_NAME",
    "REQUEST_DURATION",
    "REQUEST_HEADERS_BYTES",
    "REQUEST_TX_DURATION",
    "RESP",
    "RESPONSE_CODE",
    "RESPONSE_CODE_DETAILS",
    "RESPONSE_DURATION",
    "RESPONSE_FLAGS",
    "RESPONSE_FLAGS_LONG",
    "RESPONSE_HEADERS_BYTES",
    "RESPONSE_TRAILERS_BYTES",
    "RESPONSE_TX_DURATION",
    "ROUNDTRIP_DURATION",
    "ROUTE_NAME",
    "START_TIME",
    "STREAM_ID",
    "TRACE_ID",
    "TRAILER",
    "UNIQUE_ID",
    "UPSTREAM_CLUSTER",
    "UPSTREAM_CONNECTION_ID",
    "UPSTREAM_HEADER_BYTES_RECEIVED",
    "UPSTREAM_HEADER_BYTES_SENT",
    "UPSTREAM_HOST",
    "UPSTREAM_HOST_NAME",
    "UPSTREAM_LOCAL_ADDRESS",
    "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "UPSTREAM_METADATA",
    "UPSTREAM_PEER_CERT",
    "UPSTREAM_PEER_ISSUER",
    "UPSTREAM_PEER_SUBJECT",
    "UPSTREAM_PROTOCOL",
    "UPSTREAM_REMOTE_ADDRESS",
    "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "UPSTREAM_REQUEST_ATTEMPT_COUNT",
    "UPSTREAM_TLS_CIPHER",
    "UPSTREAM_TLS_SESSION_ID",
    "UPSTREAM_TLS_VERSION",
    "UPSTREAM_TRANSPORT_FAILURE_REASON",
    "UPSTREAM_WIRE_BYTES_RECEIVED",
    "UPSTREAM_WIRE_BYTES_SENT",
    "VIRTUAL_CLUSTER_NAME",
];

/// Largest repetition that RE2 takes.
const RE2_REPEAT_MAX: u32 = 1000;

/// Returns why RE2 would refuse the pattern.
///
/// The `regex` crate is RE2's sibling and refuses the same constructs
/// (look-around, back-references); what it takes beyond RE2 is refused here.
pub(crate) fn regex_fault(pattern: &str) -> Option<String> {
    if let Err(error) = regex::Regex::new(pattern) {
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default();
        return Some(last.trim_start_matches("error: ").to_owned());
    }
    let mut rest = pattern;
    while let Some(at) = rest.find("(?") {
        rest = &rest[at + 2..];
        let flags: &str = rest.split([')', ':', '<', 'P', '=', '!']).next().unwrap_or_default();
        if flags.contains(['x', 'R', 'u']) {
            return Some(format!("flags `{flags}` are unknown to RE2"));
        }
    }
    let mut rest = pattern;
    while let Some(at) = rest.find('{') {
        rest = &rest[at + 1..];
        let body = rest.split('}').next().unwrap_or_default();
        let high = body.split(',').filter_map(|n| n.trim().parse::<u32>().ok()).max();
        if high.is_some_and(|high| high > RE2_REPEAT_MAX) {
            return Some(format!("repetition `{{{body}}}` exceeds {RE2_REPEAT_MAX}"));
        }
    }
    None
}

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

/// Returns why Envoy would refuse the format of a header value.
pub(crate) fn format_fault(value: &str) -> Option<String> {
    let mut rest = value;
    while let Some(at) = rest.find('%') {
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            rest = after;
            continue;
        }
        let name_end = rest
            .find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
            .unwrap_or(rest.len());
        let name = &rest[..name_end];
        if !COMMANDS.contains(&name) {
            return Some(format!("`%{name}` is no command of Envoy's header format"));
        }
        rest = &rest[name_end..];
        if rest.starts_with('(') {
            let Some(close) = rest.find(')') else {
                return Some(format!("`%{name}(` is not closed"));
            };
            rest = &rest[close + 1..];
        }
        if let Some(length) = rest.strip_prefix(':') {
            let end = length.find(|c: char| !c.is_ascii_digit()).unwrap_or(length.len());
            rest = &length[end..];
        }
        let Some(after) = rest.strip_prefix('%') else {
            return Some(format!("`%{name}` is not closed by `%`"));
        };
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_re2_refuses_are_refused() {
        for bad in ["(", "(?=a)", r"(a)\1", "(?x)a", "a{1001}", "[", "*a"] {
            assert!(regex_fault(bad).is_some(), "{bad}");
        }
        for good in ["/a/.*", "^(?i)abc$", "[a-z]{2,5}", "(?P<id>[0-9]+)", r"\d+\.png"] {
            assert_eq!(regex_fault(good), None, "{good}");
        }
    }

    #[test]
    fn header_formats_are_those_of_envoy() {
        for bad in ["100%", "%NOPE%", "%REQ(a", "%PROTOCOL"] {
            assert!(format_fault(bad).is_some(), "{bad}");
        }
        for good in ["100%%", "%REQ(x-a?y):10%", "plain", "%START_TIME(%s)%"] {
            assert_eq!(format_fault(good), None, "{good}");
        }
    }
}
