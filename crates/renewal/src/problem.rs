//! What went wrong with a CA, and of which class it is.

use std::time::Duration;

/// One failed step of an issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What follows from it.
    pub class: Class,
    /// What people read: lower-case, no key material, bounded in length.
    pub reason: String,
    /// How long the CA asked to wait, if it did.
    pub retry_after: Option<Duration>,
}

/// The classes of failure, by what follows from each.
///
/// Source: RFC 8555 §6.7 and what authorities in use are seen to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The nonce was used up; the request was not looked at.
    BadNonce,
    /// Too many requests or orders of this account or address.
    RateLimited,
    /// The CA is overloaded or broken at the moment.
    Unavailable,
    /// The CA could not be reached, or its answer did not arrive whole.
    Transport,
    /// The CA could not verify control of a name.
    Validation,
    /// A CAA record forbids this CA.
    Caa,
    /// The order or authorization no longer exists, or is in a state no order
    /// can be in.
    OrderGone,
    /// The order was not in the state we believed it in.
    OrderNotReady,
    /// The account does not exist under this key.
    AccountGone,
    /// A person has to act, most often to accept new terms.
    UserAction,
    /// The CA does not like the key or the CSR.
    BadKey,
    /// The CA will never issue this as it is asked for.
    Rejected,
    /// The CA answered something that is not ACME.
    Protocol,
    /// The CA issued something that must not be used.
    Quarantine,
    /// Our own store failed.
    Store,
}

impl Class {
    /// Returns a stable word for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadNonce => "bad_nonce",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Transport => "transport",
            Self::Validation => "validation",
            Self::Caa => "caa",
            Self::OrderGone => "order_gone",
            Self::OrderNotReady => "order_not_ready",
            Self::AccountGone => "account_gone",
            Self::UserAction => "user_action",
            Self::BadKey => "bad_key",
            Self::Rejected => "rejected",
            Self::Protocol => "protocol",
            Self::Quarantine => "quarantine",
            Self::Store => "store",
        }
    }

    /// Tells whether the order survives a failure of this class, so that the
    /// next attempt goes on with it instead of placing another one.
    pub const fn keeps_order(self) -> bool {
        matches!(
            self,
            Self::BadNonce
                | Self::RateLimited
                | Self::Unavailable
                | Self::Transport
                | Self::UserAction
                | Self::Protocol
                | Self::OrderNotReady
                | Self::Store
        )
    }

    /// Tells whether the failure says something about the CA as a whole, not
    /// about one certificate.
    pub const fn blames_issuer(self) -> bool {
        matches!(self, Self::Unavailable | Self::Transport | Self::UserAction)
    }
}

impl Failure {
    /// Makes a failure without a wish of the CA when to come back.
    pub fn new(class: Class, reason: impl Into<String>) -> Self {
        Self { class, reason: bounded(reason.into()), retry_after: None }
    }

    /// Classifies an answer of a CA that was not a success.
    ///
    /// `status` is the HTTP status, `problem` the `type` of the problem
    /// document when the body held one, `detail` its text. A body that is not a
    /// problem document (a proxy's HTML page, say) is judged by its status.
    pub fn of_answer(
        status: u16,
        problem: Option<&str>,
        detail: &str,
        retry_after: Option<Duration>,
    ) -> Self {
        let word = problem.map(|text| text.strip_prefix(ERROR_NAMESPACE).unwrap_or(text));
        let class = word.and_then(class_of_word).unwrap_or_else(|| class_of_status(status));
        // A 503 carries this for overload whatever the document says.
        let class = if status == 503 { Class::Unavailable } else { class };
        let reason = match (word, detail) {
            (Some(word), "") => format!("the CA answered {status} {word}"),
            (Some(word), detail) => format!("the CA answered {status} {word}: {detail}"),
            (None, _) => format!("the CA answered {status} without an ACME problem document"),
        };
        Self { class, reason: bounded(reason), retry_after }
    }
}

/// Classifies the `type` of a problem document, without its namespace.
pub fn class_of_word(word: &str) -> Option<Class> {
    Some(match word {
        "badNonce" => Class::BadNonce,
        "rateLimited" => Class::RateLimited,
        "serverInternal" => Class::Unavailable,
        "connection" | "dns" | "tls" | "unauthorized" | "incorrectResponse" => Class::Validation,
        "caa" => Class::Caa,
        "orderNotReady" => Class::OrderNotReady,
        "accountDoesNotExist" => Class::AccountGone,
        "userActionRequired" | "externalAccountRequired" => Class::UserAction,
        "badPublicKey" | "badCSR" | "badSignatureAlgorithm" => Class::BadKey,
        "rejectedIdentifier"
        | "unsupportedIdentifier"
        | "malformed"
        | "unsupportedContact"
        | "invalidContact"
        | "invalidProfile" => Class::Rejected,
        _ => return None,
    })
}

/// Reads a `Retry-After` header: seconds, or a date that `date` can read.
/// Clamped to a day, so that no answer of a CA parks a certificate for good.
pub fn retry_after(value: &str, date: impl FnOnce(&str) -> Option<Duration>) -> Option<Duration> {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let value = value.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => date(value)?,
    };
    Some(wait.min(DAY))
}

fn class_of_status(status: u16) -> Class {
    match status {
        429 => Class::RateLimited,
        404 | 410 => Class::OrderGone,
        500..=599 => Class::Unavailable,
        401 | 403 => Class::Validation,
        _ => Class::Protocol,
    }
}

fn bounded(mut text: String) -> String {
    text.retain(|c| !c.is_control());
    if let Some((end, _)) = text.char_indices().nth(MAX_REASON) {
        text.truncate(end);
        text.push('…');
    }
    text
}

const ERROR_NAMESPACE: &str = "urn:ietf:params:acme:error:";

/// A CA's words reach statuses and logs. Unit: characters.
const MAX_REASON: usize = 500;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn problems_fall_into_their_class() {
        let class = |status, word: &str| {
            Failure::of_answer(status, Some(&format!("{ERROR_NAMESPACE}{word}")), "x", None).class
        };
        assert_eq!(class(400, "badNonce"), Class::BadNonce);
        assert_eq!(class(429, "rateLimited"), Class::RateLimited);
        assert_eq!(class(503, "rateLimited"), Class::Unavailable);
        assert_eq!(class(403, "unauthorized"), Class::Validation);
        assert_eq!(class(403, "caa"), Class::Caa);
        assert_eq!(class(400, "accountDoesNotExist"), Class::AccountGone);
        assert_eq!(class(400, "rejectedIdentifier"), Class::Rejected);
        assert_eq!(class(418, "newKindOfProblem"), Class::Protocol);
    }

    #[test]
    fn pages_of_proxies_are_judged_by_their_status() {
        let class = |status| Failure::of_answer(status, None, "<html>", None).class;
        assert_eq!(class(502), Class::Unavailable);
        assert_eq!(class(429), Class::RateLimited);
        assert_eq!(class(404), Class::OrderGone);
        assert_eq!(class(200), Class::Protocol);
    }

    #[test]
    fn the_wish_when_to_come_back_is_read_and_clamped() {
        assert_eq!(retry_after(" 120 ", |_| None), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("99999999999", |_| None), Some(Duration::from_secs(86_400)));
        assert_eq!(retry_after("soon", |_| None), None);
        let date = |_: &str| Some(Duration::from_secs(7));
        assert_eq!(retry_after("Fri, 31 Dec 1999 23:59:59 GMT", date), Some(date("").unwrap()));
    }

    proptest! {
        #[test]
        fn reasons_are_one_bounded_line(detail in "\\PC*|(.|\n){0,2000}", status in 100u16..600) {
            let failure = Failure::of_answer(status, Some("x"), &detail, None);
            prop_assert!(failure.reason.chars().count() <= MAX_REASON + 1);
            prop_assert!(!failure.reason.contains('\n'));
        }
    }
}
