//! What a Host's status says about its certificate.

use std::time::Duration;

use serde::Serialize;

use crate::time::{UnixTime, go_duration};

/// The status sub-resource of a Host, fields and words as Emissary's schema
/// has them; a field that does not apply is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HostStatus {
    /// Where the Host stands.
    pub state: State,
    /// What has been done; in `Pending` and `Error` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase_completed: Option<Phase>,
    /// What is being done, or cannot be; in `Pending` and `Error` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase_pending: Option<Phase>,
    /// Where the certificate in use comes from.
    pub tls_certificate_source: CertificateSource,
    /// What is wrong; in `Error` only, like the two below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_reason: Option<String>,
    /// When it went wrong, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_timestamp: Option<String>,
    /// How long until the next attempt, as Go writes durations; left out when
    /// there will be none before the Host changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_backoff: Option<String>,
}

/// Where a Host stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum State {
    /// Nothing is known yet.
    Initial,
    /// A certificate is on its way.
    Pending,
    /// A certificate is in use.
    Ready,
    /// A person has to look.
    Error,
}

/// One phase of the way to a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Phase {
    /// None yet.
    #[serde(rename = "NA")]
    Na,
    /// The Host was understood.
    DefaultsFilled,
    /// The account key is stored.
    #[serde(rename = "ACMEUserPrivateKeyCreated")]
    UserPrivateKeyCreated,
    /// The account exists at the CA.
    #[serde(rename = "ACMEUserRegistered")]
    UserRegistered,
    /// The order was placed and its challenges are answered.
    #[serde(rename = "ACMECertificateChallenge")]
    CertificateChallenge,
}

/// Where the certificate in use comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum CertificateSource {
    /// Not known yet.
    Unknown,
    /// There is none.
    None,
    /// Somebody else put it there.
    Other,
    /// Us.
    #[serde(rename = "ACME")]
    Acme,
}

/// How far the way to a certificate has been gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// The Host was seen, and cannot be understood.
    Seen,
    /// The Host was understood.
    Understood,
    /// The account key is stored.
    KeyStored,
    /// The account exists; an order is under way.
    Registered,
}

impl Progress {
    /// Returns what is completed, and what is next.
    pub const fn phases(self) -> (Phase, Phase) {
        match self {
            Self::Seen => (Phase::Na, Phase::DefaultsFilled),
            Self::Understood => (Phase::DefaultsFilled, Phase::UserPrivateKeyCreated),
            Self::KeyStored => (Phase::UserPrivateKeyCreated, Phase::UserRegistered),
            Self::Registered => (Phase::UserRegistered, Phase::CertificateChallenge),
        }
    }
}

impl HostStatus {
    /// A certificate is on its way and none is in use.
    pub fn pending(progress: Progress) -> Self {
        let (completed, pending) = progress.phases();
        Self {
            state: State::Pending,
            phase_completed: Some(completed),
            phase_pending: Some(pending),
            ..Self::bare(State::Pending, CertificateSource::None)
        }
    }

    /// A certificate is in use.
    pub fn ready(source: CertificateSource) -> Self {
        Self::bare(State::Ready, source)
    }

    /// A person has to look: `reason` since `at`; `backoff` is the time from
    /// then to the next attempt.
    pub fn error(
        progress: Progress,
        source: CertificateSource,
        reason: impl Into<String>,
        at: UnixTime,
        backoff: Option<Duration>,
    ) -> Self {
        let (completed, pending) = progress.phases();
        Self {
            phase_completed: Some(completed),
            phase_pending: Some(pending),
            error_reason: Some(reason.into()),
            error_timestamp: Some(at.rfc3339()),
            error_backoff: backoff.map(go_duration),
            ..Self::bare(State::Error, source)
        }
    }

    fn bare(state: State, source: CertificateSource) -> Self {
        Self {
            state,
            phase_completed: None,
            phase_pending: None,
            tls_certificate_source: source,
            error_reason: None,
            error_timestamp: None,
            error_backoff: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_spelled_as_the_schema_has_them() {
        let json = |status: HostStatus| serde_json::to_string(&status).unwrap();
        assert_eq!(
            json(HostStatus::pending(Progress::KeyStored)),
            r#"{"state":"Pending","phaseCompleted":"ACMEUserPrivateKeyCreated","phasePending":"ACMEUserRegistered","tlsCertificateSource":"None"}"#
        );
        assert_eq!(
            json(HostStatus::ready(CertificateSource::Acme)),
            r#"{"state":"Ready","tlsCertificateSource":"ACME"}"#
        );
        let error = HostStatus::error(
            Progress::Registered,
            CertificateSource::None,
            "no route",
            UnixTime(0),
            Some(Duration::from_secs(300)),
        );
        assert_eq!(
            json(error),
            r#"{"state":"Error","phaseCompleted":"ACMEUserRegistered","phasePending":"ACMECertificateChallenge","tlsCertificateSource":"None","errorReason":"no route","errorTimestamp":"1970-01-01T00:00:00Z","errorBackoff":"5m0s"}"#
        );
    }
}
