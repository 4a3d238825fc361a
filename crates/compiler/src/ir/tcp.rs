//! TCPMappings: connections to weighted clusters.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use nuncio_api as api;
use nuncio_api::{Kind, Spec};

use super::glob;
use super::host::Host;
use super::input::Input;
use super::item::Item;
use super::notes::Notes;
use super::stage::Stage;
use super::tls::DownstreamTls;
use super::tls_context::Contexts;
use crate::names;

mod target;

/// TCPMappings that share a port and a server name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TcpGroup {
    /// `<name>.<namespace>` of the first member.
    pub(crate) name: String,
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    /// Server name; `None` takes the whole port.
    pub(crate) host: Option<String>,
    pub(crate) tls: Option<Arc<DownstreamTls>>,
    pub(crate) clusters: Vec<(Arc<str>, u32)>,
    pub(crate) idle_timeout_ms: Option<u64>,
    pub(crate) stats_name: Option<String>,
    /// The members, in processing order.
    pub(crate) members: Vec<Item>,
}

type Identity = (IpAddr, u16, Option<String>);
type Member<'a> = (&'a Item, &'a api::TcpMapping);

/// What groups are made from.
pub(crate) struct Grouper<'a> {
    pub(crate) input: &'a Input<'a>,
    pub(crate) hosts: &'a [Host],
    pub(crate) contexts: &'a mut Contexts,
    pub(crate) stage: &'a Stage,
    pub(crate) notes: &'a mut Notes,
}

impl Grouper<'_> {
    /// Merges TCPMappings into groups, sorted by port and server name.
    pub(crate) fn groups(mut self) -> Vec<TcpGroup> {
        let mut members: BTreeMap<Identity, Vec<Member<'_>>> = BTreeMap::new();
        for item in self.input.of(Kind::TcpMapping) {
            let Spec::TcpMapping(spec) = &item.object.spec else { continue };
            if let Some(identity) = self.identity(item, spec) {
                members.entry(identity).or_default().push((item, spec));
            }
        }
        members
            .into_iter()
            .filter_map(|(identity, members)| self.group(identity, &members))
            .collect()
    }

    fn identity(&mut self, item: &Item, spec: &api::TcpMapping) -> Option<Identity> {
        let port = u16::try_from(spec.port).ok().filter(|port| *port > 0);
        let address = match &spec.address {
            None => Some(self.input.settings.bind_address),
            Some(text) => text.parse().ok(),
        };
        if port.is_none() {
            self.notes.findings.push(item.error(
                "invalid-port",
                "spec.port",
                "is no port",
                "give a number from 1 to 65535",
            ));
        }
        if address.is_none() {
            self.notes.findings.push(item.error(
                "invalid-address",
                "spec.address",
                format!("`{}` is no IP address", spec.address.as_deref().unwrap_or_default()),
                "give an IP address of this machine",
            ));
        }
        let host = spec.host.as_ref().filter(|host| *host != "*").map(|h| h.to_ascii_lowercase());
        let usable = host.as_deref().is_none_or(glob::is_server_name);
        if !usable {
            self.notes.findings.push(item.error(
                "invalid-hostname",
                "spec.host",
                "only `*.` at the front is possible in a server name",
                "give a name, or `*.` and a name",
            ));
        }
        Some((address?, port?, host)).filter(|_| usable)
    }

    fn group(&mut self, identity: Identity, members: &[Member<'_>]) -> Option<TcpGroup> {
        let (address, port, host) = identity;
        let (first, first_spec) = *members.first()?;
        let tls = match &host {
            None => None,
            Some(name) => Some(self.termination(first, name)?),
        };
        let agreed = self.agreed(members);
        let weights = weights(&agreed.iter().map(|(_, spec)| spec.weight).collect::<Vec<_>>());
        self.weigh(&agreed);
        let mut clusters = Vec::new();
        let mut kept = Vec::new();
        for ((item, spec), weight) in agreed.iter().zip(weights) {
            let Some(target) = target::of(item, spec, self.input, self.stage, self.notes) else {
                continue;
            };
            kept.push((*item).clone());
            let name = self.notes.clusters.add(target, &item.id.source);
            if weight > 0 {
                clusters.push((name, weight));
            }
        }
        if clusters.is_empty() && !kept.is_empty() {
            self.notes.findings.push(first.error(
                "no-weight",
                "spec.weight",
                "no TCPMapping of this port and server name has a share; nothing is served",
                "give at least one of them a weight",
            ));
        }
        if clusters.is_empty() {
            return None;
        }
        let idle = agreed.iter().find_map(|(item, spec)| self.idle_timeout(item, spec));
        Some(TcpGroup {
            name: names::dotted(first.name(), first.namespace()),
            address,
            port,
            host,
            tls,
            clusters,
            idle_timeout_ms: idle,
            stats_name: first_spec.stats_name.clone(),
            members: kept,
        })
    }

    /// The settings of the first Host (by hostname) that has TLS and overlaps,
    /// else those of a TLSContext that lists the name.
    fn termination(&mut self, first: &Item, name: &str) -> Option<Arc<DownstreamTls>> {
        let overlaps = |host: &&Host| glob::overlap(&host.hostname, name);
        let of_host = self.hosts.iter().filter(overlaps).find_map(|host| host.tls.clone());
        if of_host.is_some() {
            return of_host;
        }
        let listed = self.contexts.iter().find(|(_, context)| {
            context.wanted.spec.hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
        });
        let Some((context, wanted)) =
            listed.map(|(name, context)| (name.clone(), context.wanted.clone()))
        else {
            self.notes.findings.push(first.error(
                "tcp-host-without-tls",
                "spec.host",
                format!("no Host with TLS matches `{name}`, and no TLSContext lists it"),
                "add a Host with a tlsSecret, or a TLSContext with it in hosts",
            ));
            return None;
        };
        match self.contexts.terminate(self.input, &wanted) {
            Ok(tls) => Some(tls),
            Err(fault) => {
                self.notes.findings.push(first.error(
                    "tcp-host-without-tls",
                    "spec.host",
                    format!("its TLSContext `{context}` cannot be used: {}", fault.message),
                    "see that the TLSContext names a Secret with certificate and key",
                ));
                None
            }
        }
    }

    /// The members that do not say otherwise than the first. Saying nothing is
    /// no disagreement. Source: Emissary.
    fn agreed<'a>(&mut self, members: &[Member<'a>]) -> Vec<Member<'a>> {
        let Some((first, model)) = members.first() else { return Vec::new() };
        let mut agreed = Vec::new();
        for (item, spec) in members {
            match disagreement(model, spec) {
                None => agreed.push((*item, *spec)),
                Some(field) => self.notes.findings.push(item.error(
                    "group-disagreement",
                    field,
                    format!("differs from {}, which has the same port", first.id.source),
                    "make the fields equal",
                )),
            }
        }
        agreed
    }

    /// Shares are what they are to each other; beyond the hundred they are
    /// hardly what was meant.
    fn weigh(&mut self, members: &[Member<'_>]) {
        let sum: u64 = members.iter().filter_map(|(_, spec)| spec.weight).map(u64::from).sum();
        let last = members.iter().rev().find(|(_, spec)| spec.weight.is_some());
        if let Some((item, _)) = last.filter(|_| members.len() > 1 && sum > 100) {
            self.notes.findings.push(item.error(
                "weights-over-hundred",
                "spec.weight",
                format!("weights of the TCPMappings with the same port add up to {sum}"),
                "lower them to at most 100 in all",
            ));
        }
    }

    fn idle_timeout(&mut self, item: &Item, spec: &api::TcpMapping) -> Option<u64> {
        let text = spec.idle_timeout_ms.as_deref()?;
        let parsed = text.trim().parse().ok();
        if parsed.is_none() {
            self.notes.findings.push(item.error(
                "invalid-idle-timeout",
                "spec.idle_timeout_ms",
                format!("`{text}` is no number"),
                "give milliseconds",
            ));
        }
        parsed
    }
}

/// Returns a field in which a later member says otherwise than the first.
fn disagreement(first: &api::TcpMapping, later: &api::TcpMapping) -> Option<&'static str> {
    fn differs<T: PartialEq>(first: &Option<T>, later: &Option<T>) -> bool {
        later.is_some() && first != later
    }
    let breakers = !later.circuit_breakers.is_empty();
    let fields = [
        ("spec.circuit_breakers", breakers && first.circuit_breakers != later.circuit_breakers),
        ("spec.enable_ipv4", differs(&first.enable_ipv4, &later.enable_ipv4)),
        ("spec.enable_ipv6", differs(&first.enable_ipv6, &later.enable_ipv6)),
        ("spec.idle_timeout_ms", differs(&first.idle_timeout_ms, &later.idle_timeout_ms)),
        ("spec.tls", differs(&first.tls, &later.tls)),
    ];
    fields.into_iter().find(|(_, differs)| *differs).map(|(field, _)| field)
}

/// True shares: stated weights as they are, the rest of the hundred split over
/// the others.
fn weights(given: &[Option<u32>]) -> Vec<u32> {
    if let [_] = given {
        return vec![100];
    }
    let stated = given.iter().flatten().fold(0_u32, |sum, weight| sum.saturating_add(*weight));
    let open = u32::try_from(given.iter().filter(|w| w.is_none()).count()).unwrap_or(u32::MAX);
    let rest = 100_u32.saturating_sub(stated);
    let mut left = open;
    given
        .iter()
        .map(|weight| {
            weight.unwrap_or_else(|| {
                left -= 1;
                // What division leaves over goes to the last one.
                let each = rest / open;
                if left == 0 { rest - each * (open - 1) } else { each }
            })
        })
        .collect()
}
