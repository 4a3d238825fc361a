//! Formats with `%COMMAND%`s, held to what Envoy takes: one that it refuses would
//! make it refuse a whole route configuration, or a whole listener.

use super::syntax;

/// Commands that take no argument.
const BARE: &[&str] = &[
    "ACCESS_LOG_TYPE",
    "BYTES_RECEIVED",
    "BYTES_SENT",
    "CONNECTION_ID",
    "CONNECTION_TERMINATION_DETAILS",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
    "DOWNSTREAM_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_HEADER_BYTES_SENT",
    "DOWNSTREAM_LOCAL_ADDRESS",
    "DOWNSTREAM_LOCAL_DNS_SAN",
    "DOWNSTREAM_LOCAL_PORT",
    "DOWNSTREAM_LOCAL_SUBJECT",
    "DOWNSTREAM_LOCAL_URI_SAN",
    "DOWNSTREAM_PEER_CERT",
    "DOWNSTREAM_PEER_DNS_SAN",
    "DOWNSTREAM_PEER_FINGERPRINT_1",
    "DOWNSTREAM_PEER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_ISSUER",
    "DOWNSTREAM_PEER_SERIAL",
    "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_PEER_URI_SAN",
    "DOWNSTREAM_REMOTE_ADDRESS",
    "DOWNSTREAM_REMOTE_PORT",
    "DOWNSTREAM_TLS_CIPHER",
    "DOWNSTREAM_TLS_SESSION_ID",
    "DOWNSTREAM_TLS_VERSION",
    "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
    "DOWNSTREAM_WIRE_BYTES_RECEIVED",
    "DOWNSTREAM_WIRE_BYTES_SENT",
    "DURATION",
    "FILTER_CHAIN_NAME",
    "GRPC_STATUS",
    "GRPC_STATUS_NUMBER",
    "HOSTNAME",
    "LOCAL_REPLY_BODY",
    "PROTOCOL",
    "REQUESTED_SERVER_NAME",
    "REQUEST_DURATION",
    "REQUEST_HEADERS_BYTES",
    "REQUEST_TX_DURATION",
    "RESPONSE_CODE",
    "RESPONSE_DURATION",
    "RESPONSE_FLAGS",
    "RESPONSE_FLAGS_LONG",
    "RESPONSE_HEADERS_BYTES",
    "RESPONSE_TRAILERS_BYTES",
    "RESPONSE_TX_DURATION",
    "ROUNDTRIP_DURATION",
    "ROUTE_NAME",
    "STREAM_ID",
    "TRACE_ID",
    "UNIQUE_ID",
    "UPSTREAM_CLUSTER",
    "UPSTREAM_CONNECTION_ID",
    "UPSTREAM_HEADER_BYTES_RECEIVED",
    "UPSTREAM_HEADER_BYTES_SENT",
    "UPSTREAM_HOST",
    "UPSTREAM_HOST_NAME",
    "UPSTREAM_LOCAL_ADDRESS",
    "UPSTREAM_PEER_CERT",
    "UPSTREAM_PEER_ISSUER",
    "UPSTREAM_PEER_SUBJECT",
    "UPSTREAM_PROTOCOL",
    "UPSTREAM_REMOTE_ADDRESS",
    "UPSTREAM_REQUEST_ATTEMPT_COUNT",
    "UPSTREAM_TLS_CIPHER",
    "UPSTREAM_TLS_SESSION_ID",
    "UPSTREAM_TLS_VERSION",
    "UPSTREAM_TRANSPORT_FAILURE_REASON",
    "UPSTREAM_WIRE_BYTES_RECEIVED",
    "UPSTREAM_WIRE_BYTES_SENT",
    "VIRTUAL_CLUSTER_NAME",
];

/// Commands that may have an argument.
const FREE: &[&str] = &[
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_PEER_CERT_V_END",
    "DOWNSTREAM_PEER_CERT_V_START",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "RESPONSE_CODE_DETAILS",
    "START_TIME",
    "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
];

/// Commands that need an argument.
const WITH_ARGUMENT: &[&str] = &[
    "CEL",
    "CLUSTER_METADATA",
    "DYNAMIC_METADATA",
    "ENVIRONMENT",
    "FILTER_STATE",
    "METADATA",
    "REQ",
    "RESP",
    "TRAILER",
    "UPSTREAM_METADATA",
];

/// Those of them that cannot be cut at a length after it.
const UNCUT: &[&str] = &["CLUSTER_METADATA", "METADATA", "UPSTREAM_METADATA"];

/// Returns why Envoy would refuse the format of a header value or a log line.
pub(crate) fn fault(format: &str) -> Option<String> {
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        rest = &rest[at + 1..];
        rest = match rest.strip_prefix('%') {
            Some(after) => after,
            None => match command(rest) {
                Ok(after) => after,
                Err(fault) => return Some(fault),
            },
        };
    }
    None
}

/// Reads a command without its first `%`; returns what comes after it.
fn command(text: &str) -> Result<&str, String> {
    let other = |c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    let (name, mut rest) = text.split_at(text.find(other).unwrap_or(text.len()));
    let mut argument = None;
    if let Some(inner) = rest.strip_prefix('(') {
        // An argument may hold a `%`, as times do, but no `)`.
        let Some(close) = inner.find(')') else {
            return Err(format!("`%{name}(` is not closed"));
        };
        argument = Some(&inner[..close]).filter(|text| !text.is_empty());
        rest = &inner[close + 1..];
    }
    let mut length = None;
    if let Some(after) = rest.strip_prefix(':') {
        let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        length = Some(&after[..end]);
        rest = &after[end..];
    }
    let Some(after) = rest.strip_prefix('%') else {
        return Err(format!("`%{name}` is not closed by `%`"));
    };
    let takes_argument = WITH_ARGUMENT.contains(&name);
    if !takes_argument && !BARE.contains(&name) && !FREE.contains(&name) {
        return Err(format!("`%{name}` is no command of Envoy's header format"));
    }
    match (argument, length) {
        (None, _) if takes_argument => Err(format!("`%{name}` needs an argument in brackets")),
        (Some(_), _) if BARE.contains(&name) => Err(format!("`%{name}` takes no argument")),
        (_, Some(_)) if !takes_argument || UNCUT.contains(&name) => {
            Err(format!("`%{name}` cannot be cut at a length"))
        }
        (_, Some(length)) if length.parse::<u32>().is_err() => {
            Err(format!("`:{length}` is no length"))
        }
        (Some(argument), _) if !is_argument(name, argument) => {
            Err(format!("`{argument}` is no argument of `%{name}`"))
        }
        _ => Ok(after),
    }
}

fn is_argument(command: &str, argument: &str) -> bool {
    match command {
        // A name and, after a `?`, one to take in its absence.
        "REQ" | "RESP" | "TRAILER" => {
            let names: Vec<&str> = argument.split('?').collect();
            names.len() <= 2 && names.into_iter().all(syntax::is_header_name)
        }
        "FILTER_STATE" => match argument.split(':').nth(1) {
            None => true,
            Some(kind) => matches!(kind, "PLAIN" | "TYPED" | "FIELD"),
        },
        "METADATA" => {
            let kinds =
                ["CLUSTER", "DYNAMIC", "LISTENER", "ROUTE", "UPSTREAM_HOST", "VIRTUAL_HOST"];
            argument.split_once(':').is_some_and(|(kind, _)| kinds.contains(&kind))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_those_of_envoy() {
        for bad in [
            "100%",
            "%NOPE%",
            "%REQ(a",
            "%PROTOCOL",
            "%REQ%",
            "%REQ()%",
            "%PROTOCOL(x)%",
            "%PROTOCOL:10%",
            "%REQ(a?b?c)%",
            "%DYNAMIC_METADATA%",
            "%REQ(a):99999999999%",
            "%REQ(a b)%",
            "%METADATA(NOPE:a)%",
            "%FILTER_STATE(a:NOPE)%",
            "%UPSTREAM_METADATA(a):1%",
        ] {
            assert!(fault(bad).is_some(), "{bad}");
        }
        for good in [
            "100%%",
            "%REQ(x-a?y):10%",
            "plain",
            "%START_TIME(%s)%",
            "%START_TIME%",
            "%PROTOCOL()%",
            "%ROUTE_NAME%:%RESPONSE_CODE_DETAILS%",
        ] {
            assert_eq!(fault(good), None, "{good}");
        }
    }
}
