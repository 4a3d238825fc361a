//! Containment of refused resources: who is guilty, what is served instead.

use std::sync::Arc;

use crate::session::Event;
use crate::{Cache, TypeUrl};

/// A resource that an Envoy, or one of our own services, refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its type.
    pub type_url: TypeUrl,
    /// Its name.
    pub name: Arc<str>,
    /// The refused version.
    pub version: u64,
    /// What the client said.
    pub message: String,
    /// Whether the version is withdrawn from every client; otherwise the
    /// trouble is that one client's: others took the same version, or a port
    /// was not free there.
    pub withdrawn: bool,
}

/// What people should hear of a client's answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A resource was refused.
    Refused(Refusal),
    /// A resource that had been refused was taken, in this or another version.
    Recovered {
        /// Its type.
        type_url: TypeUrl,
        /// Its name.
        name: Arc<str>,
        /// The version taken.
        version: u64,
    },
}

/// Brings what clients took and refused into the cache. Returns what is to be
/// told to the people whose objects the resources came from.
pub fn settle(cache: &mut Cache, events: Vec<Event>) -> Vec<News> {
    let mut news = Vec::new();
    for event in events {
        match event {
            Event::Accepted { type_url, payloads, recovered } => {
                for payload in payloads {
                    cache.accept(&type_url, &payload);
                    if recovered.contains(payload.name()) {
                        let (type_url, name) = (type_url.clone(), Arc::clone(payload.name()));
                        let version = payload.version();
                        news.push(News::Recovered { type_url, name, version });
                    }
                }
            }
            Event::Refused { type_url, name, version, message, passing } => {
                let withdrawn = !passing && cache.refuse(&type_url, &name, version, &message);
                let refusal = Refusal { type_url, name, version, message, withdrawn };
                news.push(News::Refused(refusal));
            }
        }
    }
    news
}

/// Finds the resources that an error text blames, among those that were sent.
///
/// Envoy lists clusters and listeners as `name: reason, name: reason` behind an
/// introduction; our own services write `name: reason; name: reason`. Only when
/// nothing is listed like that is a name accepted anywhere in the text. Empty
/// when no sent name occurs.
pub(crate) fn blame<'a>(message: &str, sent: &'a [Arc<str>]) -> Vec<&'a Arc<str>> {
    let listed: Vec<_> = sent.iter().filter(|name| is_listed(message, name)).collect();
    if !listed.is_empty() {
        return listed;
    }
    sent.iter().filter(|name| occurs(message, name)).collect()
}

/// Says whether a refusal has its cause in the machine and not in the resource:
/// it may pass without a change of the resource.
pub(crate) fn is_passing(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["cannot bind", "address already in use", "failed to bind"]
        .iter()
        .any(|cause| message.contains(cause))
}

fn is_listed(message: &str, name: &str) -> bool {
    places(message, name).any(|at| {
        let (before, after) = (&message[..at], &message[at + name.len()..]);
        let starts = before.is_empty() || [", ", "; ", "(s) "].iter().any(|s| before.ends_with(s));
        starts && after.starts_with(':')
    })
}

fn occurs(message: &str, name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/');
    places(message, name).any(|at| {
        let before = message[..at].chars().next_back();
        let mut after = message[at + name.len()..].chars();
        let next = after.next();
        // A full stop continues a name only when more of a name follows.
        let continues = match next {
            Some('.') => after.next().is_some_and(part),
            Some(c) => part(c),
            None => false,
        };
        !before.is_some_and(|c| part(c) || c == '.') && !continues
    })
}

fn places<'a>(message: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    let found = if name.is_empty() { "" } else { message };
    found.match_indices(name).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blamed(message: &str, sent: &[&str]) -> Vec<String> {
        let sent: Vec<Arc<str>> = sent.iter().map(|name| Arc::from(*name)).collect();
        blame(message, &sent).into_iter().map(ToString::to_string).collect()
    }

    #[test]
    fn envoy_lists_the_clusters_it_refuses() {
        let message = "Error adding/updating cluster(s) a: depends on cluster c, b: bad";
        assert_eq!(blamed(message, &["a", "b", "c"]), ["a", "b"]);
    }

    #[test]
    fn names_are_whole_words() {
        let message = "route table 'web-8080' names no cluster";
        assert_eq!(blamed(message, &["web-808", "web-8080", "web", "8080"]), ["web-8080"]);
        assert_eq!(blamed("cert.default is bad", &["cert", "cert.default"]), ["cert.default"]);
        assert_eq!(blamed("bad key in cert.", &["cert"]), ["cert"]);
        assert!(blamed("no argument for repetition operator: *", &["a", "b"]).is_empty());
        assert!(blamed("anything", &[""]).is_empty());
    }

    #[test]
    fn a_port_that_is_taken_may_become_free() {
        assert!(is_passing("listener web: cannot bind '0.0.0.0:8080': Address already in use"));
        assert!(!is_passing("no argument for repetition operator: *"));
    }
}
