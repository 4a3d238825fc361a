//! Whether what happened is what was explained.

use std::collections::BTreeMap;

use nuncio_compiler::explain::{Action, Explanation, HeaderEdit, Request};
use nuncio_testing::wire::{Echo, Message};

use crate::site::Site;

/// Headers that the test sends, edits or has its backends send.
const WATCHED: [&str; 6] = ["x-a", "x-b", "x-new", "x-up", "x-more", "l5d-dst-override"];

/// Says in what explanation and answer disagree.
pub(crate) fn compare(
    request: &Request,
    explained: &Explanation,
    site: &Site,
    answer: Option<&Message>,
) -> Result<(), String> {
    if let Some(stopped) = &explained.stopped {
        return same("status", stopped.status, answer.and_then(Message::status));
    }
    let answer = answer.ok_or("an answer is explained and none came")?;
    let mut shares = explained.outcomes.iter().scan(0, |sum, outcome| {
        *sum += outcome.share;
        Some((*sum, outcome))
    });
    let Some((_, outcome)) = shares.find(|(sum, _)| *sum > site.draw) else {
        return same("status", Some(404), answer.status());
    };
    let backend = match &outcome.action {
        Action::Redirect { status, location } => {
            same("status", Some(*status), answer.status())?;
            same("location", vec![location.as_str()], answer.values("location"))?;
            false
        }
        Action::Respond { status } => {
            same("status", Some(*status), answer.status())?;
            false
        }
        Action::Forward { cluster, authority, path } => {
            let Some(backend) = site.backends.get(cluster).copied().flatten() else {
                return same("status", Some(503), answer.status());
            };
            same("status", Some(200), answer.status())?;
            same("backend", vec![backend], answer.values("x-backend"))?;
            let received = Echo::received(answer).map_err(|error| error.to_string())?;
            same(
                "request line",
                format!("{} {path} HTTP/1.1", request.method),
                received.start.clone(),
            )?;
            if let Some(authority) = authority {
                same("authority", vec![authority.as_str()], received.values("host"))?;
            }
            let sent = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            headers("request", sent, &outcome.request_headers, &received)?;
            true
        }
    };
    let own = backend.then_some(("x-up", "up"));
    headers("answer", own.into_iter(), &outcome.response_headers, answer)
}

/// Compares the watched headers of a message with those that edits make.
fn headers<'a>(
    of: &str,
    sent: impl Iterator<Item = (&'a str, &'a str)>,
    edits: &[HeaderEdit],
    got: &Message,
) -> Result<(), String> {
    let mut expected = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in sent {
        expected.entry(name.to_ascii_lowercase()).or_default().push(value.to_owned());
    }
    for edit in edits {
        match edit {
            HeaderEdit::Remove { name } => {
                expected.remove(&name.to_ascii_lowercase());
            }
            HeaderEdit::Set { name, value } => {
                expected.insert(name.to_ascii_lowercase(), vec![formatted(value)]);
            }
            HeaderEdit::Append { name, value } => {
                expected.entry(name.to_ascii_lowercase()).or_default().push(formatted(value));
            }
        }
    }
    for name in WATCHED {
        let expected = expected.get(name).cloned().unwrap_or_default();
        same(&format!("{of} header {name}"), expected.join(","), got.values(name).join(","))?;
    }
    Ok(())
}

/// What Envoy makes of the few formats that the test uses.
fn formatted(value: &str) -> String {
    value.replace("%PROTOCOL%", "HTTP/1.1").replace("%%", "%")
}

#[allow(clippy::needless_pass_by_value, reason = "what is compared is made for it")]
fn same<T: PartialEq + std::fmt::Debug>(what: &str, explained: T, got: T) -> Result<(), String> {
    if explained == got {
        Ok(())
    } else {
        Err(format!("{what}: {explained:?} is explained, got {got:?}"))
    }
}
