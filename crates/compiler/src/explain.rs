//! What Envoy does with one request, worked out from the resources alone.
//!
//! The same choices in the same order as Envoy makes them: listener by port,
//! filter chain by server name and transport, virtual host by authority, the
//! first route whose conditions all hold, then its action. Because this reads
//! the encoded resources and not the objects, it explains what was compiled,
//! not what was meant.
//!
//! Not modelled: what filters decide (authentication, limits, Lua), header
//! edits that a filter makes before routing is done again, headers that Envoy
//! adds of its own accord, TCP routes, and health of endpoints.

mod action;
mod chain;
mod condition;
mod path;
mod table;
mod tree;
mod vhost;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::Resource;

pub use table::Tables;

/// A request as a client sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Method, upper-case.
    pub method: String,
    /// Whether it comes over TLS; its server name is the host of `authority`.
    pub tls: bool,
    /// Host and, if the client sends one, port.
    pub authority: String,
    /// Port the client connects to.
    pub port: u16,
    /// Path with query, as sent.
    pub path: String,
    /// Other headers, names in any case.
    pub headers: Vec<(String, String)>,
}

/// What happens to a request, and why.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Explanation {
    /// The listener that accepts the connection.
    pub listener: Option<ListenerChoice>,
    /// Path without query as routes and filters see it.
    pub path: Option<String>,
    /// The virtual host whose routes are tried.
    pub virtual_host: Option<VirtualHostChoice>,
    /// Why nothing further happened, when the request did not reach a route.
    pub stopped: Option<Stop>,
    /// What may happen, in the order tried; one entry unless weights share the
    /// request out. Shares that do not reach 100 leave the rest to a 404.
    pub outcomes: Vec<Outcome>,
    /// HTTP filters that the request passes before its route acts, in order.
    pub filters: Vec<FilterUse>,
    /// Routes that almost matched, in table order.
    pub near_misses: Vec<NearMiss>,
    /// Later routes that match too and never get to.
    pub shadowed: Vec<RouteLabel>,
}

/// A listener and the part of it that takes the connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListenerChoice {
    /// Name of the listener.
    pub name: String,
    /// Its address, `host:port`.
    pub address: String,
    /// Name of the filter chain.
    pub filter_chain: String,
    /// Name of the route configuration.
    pub route_configuration: String,
}

/// A virtual host and the domain by which it was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VirtualHostChoice {
    /// Name of the virtual host.
    pub name: String,
    /// The domain that fits.
    pub domain: String,
}

/// Why a request gets no further.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stop {
    /// Status that the client gets; `None` when the connection is closed.
    pub status: Option<u16>,
    /// The reason, for people: lower-case, no full stop.
    pub reason: String,
}

/// What names a route to people.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RouteLabel {
    /// Name of the route: the object it was made of.
    pub name: String,
    /// Its conditions, in words.
    pub conditions: String,
}

/// One thing that may happen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// The route that makes it happen.
    pub route: RouteLabel,
    /// Percent of such requests.
    pub share: u32,
    /// What the route does.
    pub action: Action,
    /// Filters that this route turns off, by name.
    pub disabled_filters: Vec<String>,
    /// Descriptors sent to the rate-limit service, each as `key=value` pairs.
    pub descriptors: Vec<Vec<(String, String)>>,
    /// What is done to the headers that the backend sees, in order. Empty when
    /// there is none.
    pub request_headers: Vec<HeaderEdit>,
    /// What is done to the headers of the answer, in order.
    pub response_headers: Vec<HeaderEdit>,
}

/// A change of a header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HeaderEdit {
    /// Every value is taken away.
    Remove {
        /// Name of the header.
        name: String,
    },
    /// The value takes the place of those there are.
    Set {
        /// Name of the header.
        name: String,
        /// Value; may hold Envoy's `%…%` commands.
        value: String,
    },
    /// The value joins those there are.
    Append {
        /// Name of the header.
        name: String,
        /// Value; may hold Envoy's `%…%` commands.
        value: String,
    },
}

/// What a route does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Sends the request on.
    Forward {
        /// Published name of the cluster.
        cluster: String,
        /// Authority that the backend sees; `None` when it is that of the
        /// chosen endpoint.
        authority: Option<String>,
        /// Path with query that the backend sees.
        path: String,
    },
    /// Answers with a redirect.
    Redirect {
        /// Status.
        status: u16,
        /// Value of `location`.
        location: String,
    },
    /// Answers by itself.
    Respond {
        /// Status.
        status: u16,
    },
}

/// An HTTP filter on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FilterUse {
    /// Name of the filter.
    pub name: String,
    /// Off for every outcome.
    pub disabled: bool,
}

/// A route that would have been taken but for a condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NearMiss {
    /// The route.
    pub route: RouteLabel,
    /// The virtual host it stands in.
    pub virtual_host: String,
    /// What did not hold, in words.
    pub failed: String,
}

/// Works out what Envoy does with a request, given every resource it has.
pub fn explain(resources: &[Arc<Resource>], request: &Request) -> Explanation {
    Tables::of(resources).explain(request)
}

impl Tables {
    /// Works out what Envoy does with a request.
    ///
    /// Without a listener on the request's port, ports 80 and 443 stand for
    /// 8080 and 8443, as the usual Service in front of a gateway maps them.
    pub fn explain(&self, request: &Request) -> Explanation {
        let mut explanation = Explanation::default();
        if let Err(stop) = walk(self, request, &mut explanation) {
            explanation.stopped = Some(stop);
        }
        explanation
    }
}

fn walk(tables: &Tables, request: &Request, explanation: &mut Explanation) -> Result<(), Stop> {
    let chosen = chain::choose(tables, request)?;
    explanation.listener = Some(chosen.describe());
    let mut seen = chosen.receive(request)?;
    explanation.path = Some(seen.path.clone());
    let configuration = tables.routes(&chosen.route_configuration).ok_or_else(|| {
        let reason = format!("route configuration {} does not exist", chosen.route_configuration);
        Stop { status: Some(404), reason }
    })?;
    let (host, domain) = vhost::choose(configuration, &seen.authority).ok_or_else(|| {
        let reason = format!("no virtual host takes the authority {}", seen.authority);
        Stop { status: Some(404), reason }
    })?;
    explanation.virtual_host = Some(VirtualHostChoice { name: host.name.clone(), domain });
    seen.headers.insert(":scheme".into(), vec![chosen.scheme(request).into()]);
    let routes = tree::routes(host, &seen);
    let picked = vhost::pick(&host.name, &routes, &seen);
    explanation.near_misses = picked.near_misses;
    for other in configuration.virtual_hosts.iter().filter(|other| other.name != host.name) {
        if picked.outcomes.is_empty() {
            explanation.near_misses.extend(vhost::elsewhere(other, &seen));
        }
    }
    explanation.near_misses.truncate(NEAR_MISSES);
    explanation.shadowed = picked.shadowed;
    explanation.outcomes = picked
        .outcomes
        .iter()
        .map(|(route, share)| action::outcome(configuration, route, *share, &seen))
        .collect();
    let off = |name: &String| {
        let mut outcomes = explanation.outcomes.iter().peekable();
        outcomes.peek().is_some() && outcomes.all(|outcome| outcome.disabled_filters.contains(name))
    };
    explanation.filters =
        chosen.http_filters().map(|name| FilterUse { disabled: off(&name), name }).collect();
    if explanation.outcomes.is_empty() {
        let reason = format!("no route of virtual host {} matches", host.name);
        return Err(Stop { status: Some(404), reason });
    }
    Ok(())
}

/// Most near misses and shadowed routes that are told.
const NEAR_MISSES: usize = 20;

/// A request as the router sees it: path tidied, headers by lower-case name,
/// pseudo-headers among them. A matcher holds when it holds for one of several
/// values of a name.
#[derive(Debug, Clone)]
struct Seen {
    authority: String,
    /// Path without query.
    path: String,
    /// With its `?`; empty when there is none.
    query: String,
    headers: BTreeMap<String, Vec<String>>,
}

impl Seen {
    /// Returns the values of a header, joined as Envoy joins them.
    fn header(&self, name: &str) -> Option<String> {
        self.headers.get(&name.to_ascii_lowercase()).map(|values| values.join(","))
    }
}

#[cfg(test)]
mod tests;
