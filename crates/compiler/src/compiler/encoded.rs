//! Routes of one group, encoded for each profile in use.

use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

use crate::envoy;
use crate::envoy::route_index::{PathCondition, RouteEntry, Routed};
use crate::ir::error_response::ErrorOverride;
use crate::ir::group::ACME_PREFIX;
use crate::ir::group_id::GroupId;
use crate::ir::mapping::Rank;
use crate::ir::route::{Action, AuthOverride, NamedMatch, PathMatch, Redirect, Route, TextMatch};
use crate::ir::route_table::Profile;
use crate::ir::service::Scheme;
use crate::ir::stage::Stage;
use crate::runs::RunKey;

/// Room for the encoding of most routes, in bytes.
const MOST_ROUTES: usize = 256;
const FORWARDED_PROTO: &str = "x-forwarded-proto";
/// One of so many groups ends a run of a list.
const LISTED: u8 = 64;

/// Where routes stand among those of a Host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Before all others: what leads to the answers of challenges.
    Challenge,
    /// Those of a group.
    Group(Reverse<Arc<Spot>>),
}

/// Place of a group among the groups of any Host; greater goes first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub(super) rank: Arc<Rank>,
    pub(super) group: GroupId,
}

/// Routes of one group, encoded for each profile in use.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Encoded {
    by_profile: Vec<(Profile, Vec<Arc<Piece>>)>,
}

/// One encoded route, with what an index must know of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    place: Place,
    /// Position among the routes of the same place.
    position: u32,
    path: PathMatch,
    case_sensitive: bool,
    encoded: Box<[u8]>,
}

/// A piece as an index keeps it: by its place.
#[derive(Debug, Clone)]
pub(super) struct Slot(Arc<Piece>);

// === impl Place ===

impl Place {
    pub(super) fn of(rank: Arc<Rank>, group: GroupId) -> Self {
        Self::Group(Reverse(Arc::new(Spot { rank, group })))
    }

    /// The group whose place it is.
    pub(super) fn group(&self) -> Option<GroupId> {
        match self {
            Self::Challenge => None,
            Self::Group(Reverse(spot)) => Some(spot.group),
        }
    }
}

impl RunKey for Place {
    fn ends(&self) -> bool {
        // The identity of a group is a hash.
        self.group().is_some_and(|GroupId(hash)| hash[0].is_multiple_of(LISTED))
    }
}

// === impl Encoded ===

impl Encoded {
    /// Encodes the routes of a group, in order.
    pub(super) fn of(routes: &[Route], place: &Place, stage: &Stage) -> Self {
        let encode = |profile: &Profile| {
            let variants = variants(routes, *profile, stage);
            let pieces = (0..).zip(variants.iter());
            let pieces = pieces.map(|(n, route)| Arc::new(Piece::of(route, place.clone(), n)));
            (*profile, pieces.collect())
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
}

// === impl Piece ===

impl Piece {
    /// Encodes a route.
    pub(super) fn of(route: &Route, place: Place, position: u32) -> Self {
        let mut encoded = Vec::with_capacity(MOST_ROUTES);
        envoy::route::encode(route, &mut encoded);
        Self {
            place,
            position,
            path: route.matches.path.clone(),
            case_sensitive: route.matches.case_sensitive,
            encoded: encoded.into(),
        }
    }

    /// The encoded route.
    pub(super) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// Whether an index cannot tell the two apart but by their encoding.
    pub(super) fn takes_place_of(&self, other: &Self) -> bool {
        self.position == other.position
            && self.path == other.path
            && self.case_sensitive == other.case_sensitive
            && self.place == other.place
    }
}

// === impl Slot ===

impl Slot {
    /// The group whose route it is.
    pub(super) fn group(&self) -> Option<GroupId> {
        self.0.place.group()
    }
}

impl From<&Arc<Piece>> for Slot {
    fn from(piece: &Arc<Piece>) -> Self {
        Self(piece.clone())
    }
}

impl Ord for Slot {
    fn cmp(&self, other: &Self) -> Ordering {
        let position = || self.0.position.cmp(&other.0.position);
        self.0.place.cmp(&other.0.place).then_with(position)
    }
}

impl PartialOrd for Slot {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Slot {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Slot {}

impl Routed for Slot {
    fn entry(&self) -> RouteEntry<'_> {
        let path = match &self.0.path {
            PathMatch::Prefix(text) => PathCondition::Prefix(text),
            PathMatch::Exact(text) => PathCondition::Exact(text),
            PathMatch::Regex(pattern) => PathCondition::Regex(pattern),
        };
        RouteEntry { path, case_sensitive: self.0.case_sensitive, encoded: &self.0.encoded }
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
        action: Action::Redirect(Redirect {
            scheme: Some(Scheme::Https),
            code: 301,
            ..Default::default()
        }),
        add_request_headers: Vec::new(),
        add_response_headers: Vec::new(),
        remove_request_headers: Vec::new(),
        remove_response_headers: Vec::new(),
        auth: if stage.auth { AuthOverride::Disabled } else { AuthOverride::Inherit },
        errors: ErrorOverride::Inherit,
        cors: None,
    }
}

fn is_forwarded_proto(header: &NamedMatch) -> bool {
    header.name.eq_ignore_ascii_case(FORWARDED_PROTO)
}
