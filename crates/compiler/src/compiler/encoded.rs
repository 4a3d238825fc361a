//! Routes of one group, encoded for each profile in use.

use std::borrow::Cow;
use std::sync::Arc;

use crate::envoy;
use crate::envoy::route_index::{PathCondition, RouteEntry};
use crate::ir::group::ACME_PREFIX;
use crate::ir::route::{Action, AuthOverride, NamedMatch, PathMatch, Redirect, Route, TextMatch};
use crate::ir::scene::{Profile, Stage};

const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Routes of one group, encoded for each profile in use.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Encoded {
    by_profile: Vec<(Profile, Vec<Arc<Piece>>)>,
}

/// One encoded route, with what an index must know of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    path: PathMatch,
    case_sensitive: bool,
    encoded: Vec<u8>,
}

// === impl Encoded ===

impl Encoded {
    /// Encodes the routes of a group, in order.
    pub(super) fn of(routes: &[Route], stage: &Stage) -> Self {
        let encode = |profile: &Profile| {
            let variants = variants(routes, *profile, stage);
            (*profile, variants.iter().map(|route| Arc::new(Piece::of(route))).collect())
        };
        Self { by_profile: stage.profiles.iter().map(encode).collect() }
    }

    /// The encoded routes for a profile, in order.
    pub(super) fn get(&self, profile: Profile) -> &[Arc<Piece>] {
        self.by_profile
            .iter()
            .find(|(known, _)| *known == profile)
            .map_or(&[], |(_, pieces)| pieces.as_slice())
    }

    /// Whether an index cannot tell the two apart.
    pub(super) fn same_shape(&self, other: &Self) -> bool {
        let shape = |encoded: &Self| {
            encoded.by_profile.iter().map(|(profile, pieces)| (*profile, pieces.len())).collect()
        };
        let (shape, other_shape): (Vec<_>, Vec<_>) = (shape(self), shape(other));
        shape == other_shape
            && self.pieces().zip(other.pieces()).all(|(piece, other)| piece.same_shape(other))
    }

    fn pieces(&self) -> impl Iterator<Item = &Arc<Piece>> {
        self.by_profile.iter().flat_map(|(_, pieces)| pieces)
    }
}

// === impl Piece ===

impl Piece {
    /// Encodes a route.
    pub(super) fn of(route: &Route) -> Self {
        Self {
            path: route.matches.path.clone(),
            case_sensitive: route.matches.case_sensitive,
            encoded: envoy::route::encode(route),
        }
    }

    /// The encoded route.
    pub(super) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// The route as the index reads it.
    pub(super) fn entry(&self) -> RouteEntry<'_> {
        let path = match &self.path {
            PathMatch::Prefix(text) => PathCondition::Prefix(text),
            PathMatch::Exact(text) => PathCondition::Exact(text),
            PathMatch::Regex(pattern) => PathCondition::Regex(pattern),
        };
        RouteEntry { path, case_sensitive: self.case_sensitive, encoded: &self.encoded }
    }

    fn same_shape(&self, other: &Self) -> bool {
        self.path == other.path && self.case_sensitive == other.case_sensitive
    }
}

/// Returns the routes as a profile wants them.
fn variants<'a>(routes: &'a [Route], profile: Profile, stage: &Stage) -> Cow<'a, [Route]> {
    let Some(first) = routes.first() else { return Cow::Borrowed(&[]) };
    if matches!(&first.matches.path, PathMatch::Prefix(prefix) if prefix == ACME_PREFIX) {
        return Cow::Borrowed(routes);
    }
    match profile {
        Profile::Plain => Cow::Borrowed(routes),
        Profile::XfpOnly => routes.iter().map(secure_variant).collect(),
        Profile::XfpRedirect => {
            let redirect = redirect_variant(first, stage);
            routes.iter().map(secure_variant).chain([redirect]).collect()
        }
        Profile::Redirect => Cow::Owned(vec![redirect_variant(first, stage)]),
        Profile::Nothing => Cow::Borrowed(&[]),
    }
}

fn secure_variant(route: &Route) -> Route {
    let mut variant = route.clone();
    variant.matches.headers.retain(|header| !is_forwarded_proto(header));
    variant.matches.headers.push(NamedMatch {
        name: FORWARDED_PROTO.to_owned(),
        value: TextMatch::Exact("https".to_owned()),
    });
    variant
}

/// The same match, answered by a redirect to https.
fn redirect_variant(route: &Route, stage: &Stage) -> Route {
    let mut matches = route.matches.clone();
    if matches.headers.len() > 1 {
        matches.headers.retain(|header| !is_forwarded_proto(header));
    }
    Route {
        name: route.name.clone(),
        matches,
        share: None,
        action: Action::Redirect(Redirect { https: true, code: 301, ..Default::default() }),
        add_request_headers: Vec::new(),
        add_response_headers: Vec::new(),
        remove_request_headers: Vec::new(),
        remove_response_headers: Vec::new(),
        auth: if stage.auth { AuthOverride::Disabled } else { AuthOverride::Inherit },
        cors: None,
    }
}

fn is_forwarded_proto(header: &NamedMatch) -> bool {
    header.name.eq_ignore_ascii_case(FORWARDED_PROTO)
}
