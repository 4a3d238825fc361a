//! What is answered: allow with changes, or deny. There is no empty answer:
//! Envoy takes one as "allowed".

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};

/// The answer to one request.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The request may pass.
    Allow(Allow),
    /// The request is answered here.
    Deny(Denial),
}

/// A passed request and how it is changed. Only an evaluation that came to its
/// end makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct Allow {
    changes: Mutations,
    _made_by_an_evaluation: (),
}

impl Allow {
    pub(crate) const fn new(changes: Mutations) -> Self {
        Self { changes, _made_by_an_evaluation: () }
    }

    /// Returns the changes. No header is both set and removed.
    pub const fn changes(&self) -> &Mutations {
        &self.changes
    }
}

/// An answer given instead of the backend's.
#[derive(Debug, Clone, PartialEq)]
pub struct Denial {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers, in order; a name may occur more than once.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Denial {
    /// Makes a denial without headers or body.
    pub const fn new(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(mut self, body: String) -> Self {
        self.headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        self.body = body.into_bytes();
        self
    }
}

/// Changes of a request on its way to the backend, and of the backend's answer
/// on its way back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mutations {
    /// Request headers set, replacing whatever the client sent; a name occurs
    /// once.
    set: Vec<(HeaderName, HeaderValue)>,
    /// Request headers removed; never one that is also set.
    remove: Vec<HeaderName>,
    /// Headers added to the answer.
    response: Vec<(HeaderName, HeaderValue)>,
}

impl Mutations {
    /// Makes an empty set of changes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a request header, replacing the client's.
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.remove.retain(|removed| *removed != name);
        match self.set.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.set.push((name, value)),
        }
    }

    /// Removes a request header.
    pub fn remove(&mut self, name: HeaderName) {
        self.set.retain(|(known, _)| *known != name);
        if !self.remove.contains(&name) {
            self.remove.push(name);
        }
    }

    /// Adds a header to the answer.
    pub fn add_response(&mut self, name: HeaderName, value: HeaderValue) {
        self.response.push((name, value));
    }

    /// Returns the request headers set.
    pub fn headers_set(&self) -> &[(HeaderName, HeaderValue)] {
        &self.set
    }

    /// Returns the request headers removed.
    pub fn headers_removed(&self) -> &[HeaderName] {
        &self.remove
    }

    /// Returns the headers added to the answer.
    pub fn response_headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.response
    }

    /// Tells whether a request header is set.
    pub fn sets(&self, name: &HeaderName) -> bool {
        self.set.iter().any(|(known, _)| known == name)
    }

    /// Adds later changes to these; the later ones win.
    pub fn extend(&mut self, later: Self) {
        for name in later.remove {
            self.remove(name);
        }
        for (name, value) in later.set {
            self.set(name, value);
        }
        self.response.extend(later.response);
    }

    /// Applies the request's part to headers.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name.clone(), value.clone());
        }
    }
}
