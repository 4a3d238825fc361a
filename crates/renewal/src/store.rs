//! What is persisted besides Secrets, and in which form.
//!
//! Every record is one JSON document `{"version":1,"record":{…}}`. A document
//! that cannot be read is an error of its own, never a panic and never
//! silently an empty record: forgetting an account key or an order is what the
//! records exist to prevent.

use std::collections::VecDeque;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::backoff::{self, Again, Attempt};
use crate::problem::Failure;
use crate::schedule::Validity;
use crate::secret::KeyPem;
use crate::time::UnixTime;

/// An account at a CA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Directory URL of the CA.
    pub directory: String,
    /// Private key, PKCS#8 PEM. Saved before anything is sent.
    pub key: KeyPem,
    /// Account URL; `None` until the CA has named it.
    pub url: Option<String>,
    /// Contact the CA knows of.
    pub email: Option<String>,
}

/// What happened to a certificate so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// Digest of what was wanted when this was written; another wish makes the
    /// rest of the record void.
    pub wish: String,
    /// Failed attempts in a row.
    pub failures: u32,
    /// The last failure, if the last attempt failed.
    pub last: Option<Past>,
    /// Not to be tried before; `None` with a failure means never.
    pub next: Option<UnixTime>,
    /// Directory that issued the pair last stored.
    pub directory: String,
    /// Fingerprint of the leaf last stored.
    pub fingerprint: String,
    /// When pairs were issued, oldest first, at most [`MAX_ISSUES`].
    pub issued: VecDeque<UnixTime>,
}

/// A failure that has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// What people read.
    pub reason: String,
    /// A word for its class.
    pub class: String,
    /// When.
    pub at: UnixTime,
}

impl History {
    /// Returns when the next issue is allowed, if it is not yet.
    ///
    /// Three issues of one certificate in a day, or in its life if that is
    /// shorter, mean that something removes or spoils what is issued; a CA's
    /// weekly limit must not be burnt by that.
    pub fn held_until(&self, life: Duration, now: UnixTime) -> Option<UnixTime> {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let window = life.min(DAY);
        let third_last = self.issued.iter().rev().nth(MAX_ISSUES - 1)?;
        let free = third_last.plus(window);
        (now < free).then_some(free)
    }

    fn issued_at(&mut self, now: UnixTime) {
        self.issued.push_back(now);
        while self.issued.len() > MAX_ISSUES {
            self.issued.pop_front();
        }
    }

    /// Notes a failed attempt for the certificate `id` and decides when the
    /// next one is; `current` is the certificate in use. Only failures of one
    /// class in a row count together: a night of a CA out of reach does not
    /// make the first wrong DNS record wait a day.
    pub fn failed(
        &mut self,
        failure: &Failure,
        id: &str,
        now: UnixTime,
        current: Option<Validity>,
    ) {
        let class = failure.class.as_str();
        let again = self.last.as_ref().is_some_and(|last| last.class == class);
        self.failures = if again { self.failures.saturating_add(1) } else { 1 };
        let attempt = Attempt { id, failures: self.failures, now, current };
        self.next = match backoff::again(failure, attempt) {
            Again::At(at) => Some(at),
            Again::Never => None,
        };
        self.last = Some(Past { reason: failure.reason.clone(), class: class.to_owned(), at: now });
    }

    /// Notes a pair that was issued and stored.
    pub fn succeeded(&mut self, directory: &str, fingerprint: &str, now: UnixTime) {
        self.issued_at(now);
        (self.failures, self.last, self.next) = (0, None, None);
        directory.clone_into(&mut self.directory);
        fingerprint.clone_into(&mut self.fingerprint);
    }

    /// Makes the failures of a former wish void.
    pub fn wished(&mut self, digest: &str) {
        if self.wish != digest {
            digest.clone_into(&mut self.wish);
            (self.failures, self.last, self.next) = (0, None, None);
        }
    }
}

/// A record that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordFault {
    /// Not JSON, or not of this form.
    #[error("the record is not readable")]
    Malformed(#[source] serde_json::Error),
    /// Written by a later version of the program.
    #[error("the record is of version {0}, and this program reads version {VERSION}")]
    Newer(u32),
}

/// Returns the document for a record.
pub fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    serde_json::to_vec(&Envelope { version: VERSION, record })
        .expect("records have string keys and no failing serializer")
}

/// Reads a document.
///
/// # Errors
/// When it is not a record of this form and version.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordFault> {
    let Version { version } = serde_json::from_slice(bytes).map_err(RecordFault::Malformed)?;
    if version != VERSION {
        return Err(RecordFault::Newer(version));
    }
    let envelope: Envelope<T> = serde_json::from_slice(bytes).map_err(RecordFault::Malformed)?;
    Ok(envelope.record)
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    version: u32,
    record: T,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

const VERSION: u32 = 1;

/// Issues remembered, and allowed in a day.
pub const MAX_ISSUES: usize = 3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::order::Inflight;
    use crate::problem::Class;

    #[test]
    fn a_record_of_a_later_version_is_named_as_such() {
        let fault = decode::<Account>(br#"{"version":7,"record":{}}"#).unwrap_err();
        assert!(matches!(fault, RecordFault::Newer(7)));
    }

    #[test]
    fn a_fourth_issue_waits_until_a_day_after_the_first() {
        let mut history = History::default();
        let day = Duration::from_secs(24 * 3600);
        for at in [0, 100, 200] {
            assert_eq!(history.held_until(day * 90, UnixTime(at)), None);
            history.succeeded("https://ca/dir", "f", UnixTime(at));
        }
        assert_eq!(history.held_until(day * 90, UnixTime(300)), Some(UnixTime(24 * 3600)));
        assert_eq!(history.held_until(day * 90, UnixTime(24 * 3600)), None);
    }

    #[test]
    fn short_lived_certificates_are_not_held_back() {
        let mut history = History::default();
        for at in [0, 300, 600, 900] {
            assert_eq!(history.held_until(Duration::from_secs(600), UnixTime(at)), None);
            history.issued_at(UnixTime(at));
        }
    }

    #[test]
    fn only_failures_of_one_class_climb_the_ladder_together() {
        let mut history = History::default();
        for _ in 0..20 {
            history.failed(&Failure::new(Class::Transport, "refused"), "id", UnixTime(0), None);
        }
        assert_eq!((history.failures, history.next), (20, Some(UnixTime(600))));
        history.failed(&Failure::new(Class::Validation, "404"), "id", UnixTime(0), None);
        assert_eq!(history.failures, 1);
        assert!(history.next.unwrap() < UnixTime(80));
    }

    proptest! {
        #[test]
        fn no_stored_text_is_a_panic(bytes: Vec<u8>, text in "\\PC{0,200}") {
            let _ = decode::<Account>(&bytes);
            let _ = decode::<Inflight>(text.as_bytes());
            let wrapped = format!(r#"{{"version":1,"record":{text}}}"#);
            let _ = decode::<History>(wrapped.as_bytes());
        }

        #[test]
        fn what_was_encoded_is_read_back(
            failures: u32, next: Option<i64>, reason in "\\PC{0,40}", issued: Vec<i64>,
        ) {
            let mut history = History { failures, next: next.map(UnixTime), ..History::default() };
            for at in issued {
                history.issued_at(UnixTime(at));
            }
            history.failed(&Failure::new(Class::Caa, reason), "id", UnixTime(5), None);
            prop_assert_eq!(decode::<History>(&encode(&history)).unwrap(), history);
        }
    }
}
