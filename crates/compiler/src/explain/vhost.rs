//! Which virtual host, and which of its routes.

use envoy_types::pb::envoy::config::route::v3::{Route, RouteConfiguration, VirtualHost};

use super::condition::{conditions, describe};
use super::{NEAR_MISSES, NearMiss, RouteLabel, Seen, tree};

/// Chooses by domain: exact, then the longest `*…`, then the longest `…*`, then
/// `*`. Returns the domain too.
pub(super) fn choose<'a>(
    configuration: &'a RouteConfiguration,
    authority: &str,
) -> Option<(&'a VirtualHost, String)> {
    let authority = authority.to_ascii_lowercase();
    let all = configuration
        .virtual_hosts
        .iter()
        .flat_map(|host| host.domains.iter().map(move |domain| (host, domain)));
    all.filter_map(|(host, domain)| Some((rank(domain, &authority)?, host, domain)))
        .max_by_key(|(rank, _, _)| *rank)
        .map(|(_, host, domain)| (host, domain.clone()))
}

/// Ranks how well a domain fits; higher is better, `None` is not at all. A
/// wildcard stands for at least one character.
fn rank(domain: &str, authority: &str) -> Option<(u8, usize)> {
    let domain = domain.to_ascii_lowercase();
    if domain == authority {
        return Some((3, 0));
    }
    if domain == "*" {
        return Some((0, 0));
    }
    if let Some(tail) = domain.strip_prefix('*') {
        let fits = authority.len() > tail.len() && authority.ends_with(tail);
        return fits.then_some((2, tail.len()));
    }
    let head = domain.strip_suffix('*')?;
    let fits = authority.len() > head.len() && authority.starts_with(head);
    fits.then_some((1, head.len()))
}

/// What the routes of a virtual host say to a request.
#[derive(Debug, Default)]
pub(super) struct Picked<'a> {
    /// Routes taken, each with its percent of the requests.
    pub(super) outcomes: Vec<(&'a Route, u32)>,
    /// Routes before those that failed one condition.
    pub(super) near_misses: Vec<NearMiss>,
    /// Later routes that match too.
    pub(super) shadowed: Vec<RouteLabel>,
}

/// Walks the routes in order. Envoy draws one number for a request: a route
/// with a fraction takes it when the number lies below, so that fractions of
/// neighbours count from zero each.
pub(super) fn pick<'a>(host: &str, routes: &'a [Route], seen: &Seen) -> Picked<'a> {
    let mut picked = Picked::default();
    let mut taken = 0;
    for route in routes {
        match failure(route, seen) {
            Some(failed) if taken < 100 => {
                picked.near_misses.extend(failed.near.map(|failed| NearMiss {
                    route: label(route),
                    virtual_host: host.to_owned(),
                    failed,
                }));
            }
            Some(_) => {}
            None if taken >= 100 => picked.shadowed.push(label(route)),
            None => {
                let fraction = fraction(route);
                if fraction > taken {
                    picked.outcomes.push((route, fraction - taken));
                    taken = fraction;
                }
            }
        }
    }
    picked.shadowed.truncate(NEAR_MISSES);
    picked
}

/// Returns the routes of another virtual host that would match.
pub(super) fn elsewhere(host: &VirtualHost, seen: &Seen) -> Vec<NearMiss> {
    let failed = format!(
        "needs a host like {}, but the request has {}",
        host.domains.join(" or "),
        seen.authority
    );
    let routes = tree::routes(host, seen);
    let matching = routes.iter().filter(|route| {
        let mut all = route.r#match.iter().flat_map(conditions);
        // The host is what differs; a route repeats it as a condition.
        all.all(|condition| condition.is_host() || condition.holds(seen))
    });
    let miss = |route| NearMiss {
        route: label(route),
        virtual_host: host.name.clone(),
        failed: failed.clone(),
    };
    matching.take(NEAR_MISSES).map(miss).collect()
}

/// Returns name and conditions of a route.
pub(super) fn label(route: &Route) -> RouteLabel {
    let conditions = route.r#match.as_ref().map(describe).unwrap_or_default();
    RouteLabel { name: route.name.clone(), conditions }
}

/// Why a route does not match.
struct Failure {
    /// The one condition that failed, if it is worth telling.
    near: Option<String>,
}

fn failure(route: &Route, seen: &Seen) -> Option<Failure> {
    let Some(matches) = &route.r#match else { return Some(Failure { near: None }) };
    let all = conditions(matches);
    let mut failed = all.iter().filter(|condition| !condition.holds(seen));
    let first = failed.next()?;
    let only = failed.next().is_none();
    let near = only && (!first.is_path() || first.almost_holds(seen));
    Some(Failure { near: near.then(|| first.explain_failure(seen)) })
}

/// Returns the percentage up to which a route takes requests.
fn fraction(route: &Route) -> u32 {
    let matches = route.r#match.as_ref();
    let fraction = matches.and_then(|matches| matches.runtime_fraction.as_ref());
    let percent = fraction.and_then(|fraction| fraction.default_value.as_ref());
    percent.map_or(100, |percent| percent.numerator.min(100))
}
