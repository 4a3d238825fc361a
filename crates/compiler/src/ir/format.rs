//! Formats with `%COMMAND%`s, held to what Envoy takes: one that it refuses would
//! make it refuse a whole route configuration, or a whole listener.

use std::sync::Arc;

use super::refusals::{Expressions, REFUSED};
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

/// The command whose argument Envoy alone can judge.
const CEL: &str = "CEL";

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

/// Why Envoy would refuse a format.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) message: String,
    /// Envoy has refused it, because of an expression.
    refused: bool,
}

// === impl Fault ===

impl Fault {
    /// Returns the code of this fault; `own` unless Envoy found it.
    pub(crate) fn code(&self, own: &'static str) -> &'static str {
        if self.refused { REFUSED } else { own }
    }

    /// Says what to do.
    pub(crate) fn remedy(&self) -> &'static str {
        if self.refused { "correct the expression" } else { "write a lone % as %%" }
    }
}

/// Returns why Envoy would refuse the format of a header value or a log line;
/// `refused` are expressions that it has refused.
pub(crate) fn fault(format: &str, refused: &Expressions) -> Option<Fault> {
    commands(format).find_map(|command| match command {
        Err(message) => Some(Fault { message, refused: false }),
        Ok((name, argument)) => {
            let reason = refused.get(argument.filter(|_| name == CEL)?)?;
            let message = format!("Envoy refuses `%{CEL}({})%`: {reason}", argument?);
            Some(Fault { message, refused: true })
        }
    })
}

/// Returns the expressions in a format, of which Envoy alone can judge.
pub(crate) fn expressions(format: &str) -> impl Iterator<Item = Arc<str>> {
    let format = if format.contains("%CEL(") { format } else { "" };
    commands(format).filter_map(|command| match command {
        Ok((CEL, argument)) => argument.map(Arc::from),
        _ => None,
    })
}

/// Reads the commands of a format with their arguments, up to the first fault.
fn commands(format: &str) -> impl Iterator<Item = Result<(&str, Option<&str>), String>> {
    let mut rest = format;
    std::iter::from_fn(move || {
        loop {
            rest = &rest[rest.find('%')? + 1..];
            match rest.strip_prefix('%') {
                Some(after) => rest = after,
                None => break,
            }
        }
        match command(rest) {
            Ok((command, after)) => {
                rest = after;
                Some(Ok(command))
            }
            Err(fault) => {
                rest = "";
                Some(Err(fault))
            }
        }
    })
}

/// Reads a command without its first `%`; returns it with its argument, and what
/// comes after it.
fn command(text: &str) -> Result<((&str, Option<&str>), &str), String> {
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
        _ => Ok(((name, argument), after)),
    }
}

fn is_argument(command: &str, argument: &str) -> bool {
    if argument.contains(['\n', '\r']) {
        return false;
    }
    match command {
        // These are formats of a time, in which it means a line break.
        "START_TIME" | "DOWNSTREAM_PEER_CERT_V_START" | "DOWNSTREAM_PEER_CERT_V_END" => {
            !argument.contains("%n")
        }
        // A name and, after a `?`, one to take in its absence.
        "REQ" | "RESP" | "TRAILER" => {
            let names: Vec<&str> = argument.split('?').collect();
            names.len() <= 2 && names.into_iter().all(syntax::is_header_name)
        }
        "FILTER_STATE" => {
            let mut parts = argument.split(':');
            let key = parts.next().unwrap_or_default();
            let kind = match parts.next() {
                None | Some("PLAIN" | "TYPED") => true,
                Some("FIELD") => parts.next().is_some_and(|field| !field.is_empty()),
                Some(_) => false,
            };
            kind && !key.is_empty()
        }
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
            "%CEL(a\nb)%",
            "%START_TIME(%n)%",
            "%FILTER_STATE(a:FIELD)%",
            "%FILTER_STATE(:PLAIN)%",
        ] {
            assert!(fault(bad, &Expressions::new()).is_some(), "{bad}");
        }
        for good in [
            "100%%",
            "%REQ(x-a?y):10%",
            "plain",
            "%START_TIME(%s)%",
            "%START_TIME%",
            "%PROTOCOL()%",
            "%ROUTE_NAME%:%RESPONSE_CODE_DETAILS%",
            "%FILTER_STATE(a:FIELD:b)%",
            "%CEL(request.)%",
        ] {
            assert_eq!(fault(good, &Expressions::new()), None, "{good}");
        }
    }

    #[test]
    fn an_expression_that_envoy_refused_is_a_fault() {
        let format = "%% %CEL(a)% %PROTOCOL% %CEL(b.):9%";
        assert_eq!(expressions(format).collect::<Vec<_>>(), ["a".into(), "b.".into()]);
        let refused = Expressions::from([("b.".into(), "no end".into())]);
        let found = fault(format, &refused).unwrap();
        assert_eq!(found.message, "Envoy refuses `%CEL(b.)%`: no end");
        assert_eq!(found.code("own"), REFUSED);
        assert_eq!(fault("%CEL(a)%", &refused), None);
    }
}
