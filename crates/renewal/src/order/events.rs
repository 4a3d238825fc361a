//! What an order's state machine is told.

use std::time::Duration;

use crate::problem::Failure;

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The record is durable.
    Saved,
    /// The CA showed the order: newly placed, read, or finalized.
    Order(OrderView),
    /// The CA showed every authorization of the order.
    Authorizations(Vec<AuthorizationView>),
    /// The offered tokens are answered.
    Published,
    /// The CA knows that the challenge is ready.
    Accepted,
    /// The time is over.
    Waited,
    /// The certificate chain, as the CA sent it.
    Chain(String),
    /// The pair is stored.
    Stored,
    /// The step failed.
    Failed(Failure),
}

/// An order as the CA shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderView {
    /// URL of the order.
    pub url: String,
    /// Its status.
    pub status: OrderStatus,
    /// Why it is invalid, if the CA says so.
    pub error: Option<Failure>,
    /// When the CA wants to be asked again.
    pub retry_after: Option<Duration>,
}

/// Status of an order. Source: RFC 8555 §7.1.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderStatus {
    /// Authorizations are missing.
    Pending,
    /// It can be finalized.
    Ready,
    /// The certificate is being made.
    Processing,
    /// The certificate can be fetched.
    Valid,
    /// Nothing will come of it.
    Invalid,
}

impl OrderStatus {
    /// Returns the protocol's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Processing => "processing",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
        }
    }
}

/// One authorization of an order as the CA shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationView {
    /// The name to be proved.
    pub name: String,
    /// Proved already, now or by an earlier order.
    pub valid: bool,
    /// Token of its HTTP-01 challenge, if it has one.
    pub http01: Option<String>,
    /// The challenge waits for us to say that it is ready.
    pub untouched: bool,
    /// Why nothing will come of it, if so.
    pub failure: Option<Failure>,
}

/// A token that must be answered under a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offer {
    /// The name.
    pub name: String,
    /// The token.
    pub token: String,
}
