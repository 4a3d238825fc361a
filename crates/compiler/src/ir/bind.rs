//! Which Host answers on which Listener: filter chains and virtual hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use nuncio_api as api;
use nuncio_api::{Diagnostic, Kind, ObjectKey, SecurityModel, StackProtocol};

use super::glob;
use super::host::{Host, Insecure};
use super::http::HttpSettings;
use super::input::Input;
use super::listener::{Chain, Content, HttpChain, Listener, ListenerFilter, TcpChain, Transport};
use super::route_table::{Profile, RouteTable, VirtualHost};
use super::stage::labels_match;
use super::tcp::TcpGroup;
use super::tls::DownstreamTls;
use crate::names;

mod port;

use port::Port;

/// Listeners with their sources, and the routes of their chains.
#[derive(Debug, Default)]
pub(crate) struct Bound {
    pub(crate) listeners: Vec<(Listener, Vec<ObjectKey>)>,
    pub(crate) tables: Vec<RouteTable>,
}

/// Binds Hosts and TCPMappings to Listeners.
pub(crate) fn listeners(
    input: &Input<'_>,
    hosts: &[Host],
    tcp: &[TcpGroup],
    settings: &Arc<HttpSettings>,
    findings: &mut Vec<Diagnostic>,
) -> Bound {
    let mut ports: Vec<Port<'_>> = Vec::new();
    for item in input.of(Kind::Listener) {
        let Some(port) = port::read(item, input, findings) else { continue };
        if ports.iter().any(|other| other.identity() == port.identity()) {
            findings.push(item.error(
                "listener-port-conflict",
                "spec.port",
                format!("another Listener has port {}", port.port),
                "give each Listener a port of its own",
            ));
            continue;
        }
        ports.push(port);
    }
    // A TCPMapping's port is listened on even without a Listener.
    for group in tcp {
        let identity = (false, group.address, group.port);
        if ports.iter().all(|port| port.identity() != identity) {
            ports.push(port::synthetic(group));
        }
    }
    port::additional(input, hosts, &mut ports, findings);
    let http3: BTreeSet<(IpAddr, u16)> = ports
        .iter()
        .filter(|port| port.udp() && port.has(StackProtocol::Http))
        .map(|port| (port.address, port.port))
        .collect();
    let mut bound = Bound::default();
    for port in &ports {
        let offers_http3 = !port.udp() && http3.contains(&(port.address, port.port));
        let binder = Binder { input, port, settings, offers_http3, findings };
        binder.bind(hosts, tcp, &mut bound);
    }
    bound
}

/// Makes the chains of one Listener.
struct Binder<'a, 'b> {
    input: &'a Input<'a>,
    port: &'a Port<'a>,
    settings: &'a Arc<HttpSettings>,
    offers_http3: bool,
    findings: &'b mut Vec<Diagnostic>,
}

impl Binder<'_, '_> {
    fn bind(mut self, hosts: &[Host], tcp: &[TcpGroup], bound: &mut Bound) {
        let port = self.port;
        let mut sources: Vec<ObjectKey> =
            port.item.iter().map(|item| (*item.id.source).clone()).collect();
        let http = port.has(StackProtocol::Http);
        let considered: Vec<&Host> =
            hosts.iter().filter(|host| http && self.considers(host)).collect();
        sources.extend(considered.iter().map(|host| (*host.id().source).clone()));
        let cleartext = if port.udp() { BTreeMap::new() } else { self.cleartext(&considered) };
        let mut chains = self.tcp_chains(tcp, !cleartext.is_empty(), &mut sources);
        let taken: BTreeSet<String> =
            chains.iter().flat_map(|chain| chain.server_names.clone()).collect();
        if port.has(StackProtocol::Tls) || port.udp() {
            self.tls_chains(&considered, &taken, &mut chains, bound);
        }
        if !cleartext.is_empty() {
            self.cleartext_chain(&cleartext, hosts, &mut chains, bound);
        }
        if chains.is_empty() {
            if let Some(item) = port.item {
                self.findings.push(item.error(
                    "listener-without-hosts",
                    "spec.hostBinding",
                    "no matching Hosts or TCPMappings found; the Listener is not in effect",
                    "see that hostBinding takes a Host",
                ));
            }
            return;
        }
        sources.sort();
        sources.dedup();
        let mut filters = Vec::new();
        for protocol in &port.stack {
            match protocol {
                StackProtocol::Tls if !port.udp() => filters.push(ListenerFilter::TlsInspector),
                StackProtocol::Proxy => filters.push(ListenerFilter::ProxyProtocol),
                _ => {}
            }
        }
        let tls_chain = chains.iter().any(|chain| chain.transport == Transport::Tls);
        if tls_chain && !filters.contains(&ListenerFilter::TlsInspector) {
            filters.push(ListenerFilter::TlsInspector);
        }
        // The PROXY header comes first on the wire, whatever the stack says.
        filters.sort_by_key(|filter| *filter == ListenerFilter::TlsInspector);
        let listener = Listener {
            name: port.name.clone(),
            address: port.address,
            port: port.port,
            udp: port.udp(),
            filters,
            chains,
            buffer_limit_bytes: self.settings.buffer_limit_bytes,
            outbound: self.settings.tracing.is_some(),
        };
        bound.listeners.push((listener, sources));
    }

    /// Whether a Host is this Listener's by namespace and labels, or names the
    /// port itself.
    fn considers(&self, host: &Host) -> bool {
        if self.port.additional {
            return host.additional_port == Some(self.port.port);
        }
        let Some(binding) = &self.port.spec.host_binding else { return false };
        let Some(item) = self.port.item else { return false };
        let all = binding.namespace.as_ref().and_then(|namespace| namespace.from)
            == Some(api::NamespaceFrom::All);
        if !all && !host.is_made_up() && host.item.namespace() != item.namespace() {
            return false;
        }
        let Some(selector) = &binding.selector else { return true };
        let labels = &host.item.meta().labels;
        labels_match(self.input.settings.strict_label_selectors, &selector.match_labels, labels)
    }

    /// `cleartext`: Hosts answer cleartext here, so nobody can have all of it.
    fn tcp_chains(
        &mut self,
        tcp: &[TcpGroup],
        cleartext: bool,
        sources: &mut Vec<ObjectKey>,
    ) -> Vec<Chain> {
        let here = |group: &&TcpGroup| {
            !self.port.udp() && group.address == self.port.address && group.port == self.port.port
        };
        let mut chains = Vec::new();
        for group in tcp.iter().filter(here) {
            if cleartext && group.host.is_none() {
                self.findings.extend(group.members.iter().map(|item| {
                    item.error(
                        "tcp-port-taken",
                        "spec.port",
                        format!("Hosts answer cleartext on {}; nothing is served", self.port.name),
                        "give another port, or a host to choose by its server name",
                    )
                }));
                continue;
            }
            sources.extend(group.members.iter().map(|item| (*item.id.source).clone()));
            chains.push(Chain {
                name: format!("tcphost-{}", group.name),
                transport: if group.host.is_some() { Transport::Tls } else { Transport::Any },
                server_names: group.host.iter().cloned().collect(),
                tls: group.tls.clone(),
                content: Content::Tcp(TcpChain {
                    stat_prefix: group
                        .stats_name
                        .clone()
                        .unwrap_or_else(|| self.port.stat_prefix()),
                    clusters: group.clusters.clone(),
                    idle_timeout_ms: group.idle_timeout_ms,
                    settings: self.settings.clone(),
                }),
            });
        }
        chains
    }

    /// One chain per server name; Hosts that differ only in their port share it.
    fn tls_chains(
        &mut self,
        hosts: &[&Host],
        taken: &BTreeSet<String>,
        chains: &mut Vec<Chain>,
        bound: &mut Bound,
    ) {
        let mut by_sni: BTreeMap<String, (Arc<DownstreamTls>, Vec<&Host>)> = BTreeMap::new();
        for host in hosts {
            let Some(tls) = &host.tls else { continue };
            let sni = host.sni();
            if let Some(fault) = sni_fault(&sni, taken) {
                self.refuse(host, "unusable-server-name", fault);
                continue;
            }
            let (shared, members) = by_sni.entry(sni).or_insert_with(|| (tls.clone(), Vec::new()));
            let twin = |other: &&Host| other.hostname.eq_ignore_ascii_case(&host.hostname);
            if members.iter().any(twin) {
                self.refuse(host, "duplicate-hostname", "another Host has this hostname");
            } else if shared != tls {
                self.refuse(
                    host,
                    "tls-conflict",
                    "another Host with this server name has other TLS settings",
                );
            } else {
                members.push(host);
            }
        }
        for (sni, (tls, members)) in by_sni {
            let kind = if self.port.udp() { "quic" } else { "https" };
            let routes: Arc<str> = format!("{}-{kind}-{sni}", self.port.name).into();
            chains.push(Chain {
                name: format!(
                    "httpshost-{}",
                    names::dotted(members[0].item.name(), members[0].item.namespace())
                ),
                transport: if self.port.udp() { Transport::Quic } else { Transport::Tls },
                server_names: if sni == "*" { Vec::new() } else { vec![sni] },
                tls: Some(tls),
                content: Content::Http(self.http_chain(&routes)),
            });
            let virtual_hosts = members
                .iter()
                .map(|host| self.virtual_host(host, self.profile(host, true)))
                .collect();
            self.table(routes, virtual_hosts, &members, bound);
        }
    }

    /// Hosts that answer cleartext, by domain.
    fn cleartext<'h>(&self, hosts: &[&'h Host]) -> BTreeMap<String, &'h Host> {
        let mut by_domain = BTreeMap::new();
        for &host in hosts {
            let rejected =
                self.port.security == SecurityModel::Insecure && host.insecure == Insecure::Reject;
            if !rejected || host.acme {
                // Equal names: the last one wins. Source: Emissary.
                by_domain.insert(host.hostname.to_ascii_lowercase(), host);
            }
        }
        by_domain
    }

    /// One chain for everything that is not TLS.
    fn cleartext_chain(
        &self,
        by_domain: &BTreeMap<String, &Host>,
        all: &[Host],
        chains: &mut Vec<Chain>,
        bound: &mut Bound,
    ) {
        let routes: Arc<str> = format!("{}-http", self.port.name).into();
        let tls = self.port.has(StackProtocol::Tls);
        chains.push(Chain {
            name: "httphost-shared".to_owned(),
            transport: if tls { Transport::Cleartext } else { Transport::Any },
            server_names: Vec::new(),
            tls: None,
            content: Content::Http(self.http_chain(&routes)),
        });
        let members: Vec<&Host> = by_domain.values().copied().collect();
        let mut virtual_hosts: Vec<VirtualHost> =
            members.iter().map(|host| self.virtual_host(host, self.profile(host, false))).collect();
        // A challenge may come for a name whose Host is bound elsewhere.
        let challenges =
            self.input.settings.challenges.is_some() && all.iter().any(|host| host.acme);
        if challenges && !by_domain.contains_key("*") {
            virtual_hosts.push(VirtualHost {
                name: format!("{}-challenges", self.port.name),
                domain: "*".to_owned(),
                host: None,
                profile: Profile::Nothing,
                challenges: true,
            });
        }
        for host in &mut virtual_hosts {
            host.challenges |= challenges;
        }
        self.table(routes, virtual_hosts, &members, bound);
    }

    fn table(
        &self,
        name: Arc<str>,
        virtual_hosts: Vec<VirtualHost>,
        members: &[&Host],
        bound: &mut Bound,
    ) {
        let mut sources: Vec<ObjectKey> = members
            .iter()
            .map(|host| (*host.id().source).clone())
            .chain(self.port.item.map(|item| (*item.id.source).clone()))
            .collect();
        sources.sort();
        sources.dedup();
        let offers_http3 = self.offers_http3;
        let sources = sources.into();
        bound.tables.push(RouteTable { name, virtual_hosts, sources, offers_http3 });
    }

    fn virtual_host(&self, host: &Host, profile: Profile) -> VirtualHost {
        VirtualHost {
            name: format!("{}-{}", self.port.name, host.hostname),
            domain: host.hostname.clone(),
            host: Some(host.id().clone()),
            profile,
            challenges: host.acme && self.input.settings.challenges.is_some(),
        }
    }

    fn http_chain(&self, routes: &Arc<str>) -> HttpChain {
        HttpChain {
            stat_prefix: self.port.stat_prefix(),
            routes: routes.clone(),
            trusted_hops: self.port.spec.l7_depth.unwrap_or(0),
            http2_max_concurrent_streams: self.port.spec.http2_max_concurrent_streams,
            settings: self.settings.clone(),
            http3: self.port.udp(),
            offers_http3: self.offers_http3,
        }
    }

    fn profile(&self, host: &Host, tls: bool) -> Profile {
        // Who speaks PROXY may speak for another connection than this one.
        let believed = self.settings.use_remote_address
            && self.port.spec.l7_depth.unwrap_or(0) == 0
            && !self.port.has(StackProtocol::Proxy);
        let security = match self.port.security {
            // Envoy then overwrites the header by what the connection is, so
            // each chain needs one half of the routes only.
            SecurityModel::Xfp if believed && tls => SecurityModel::Secure,
            SecurityModel::Xfp if believed => SecurityModel::Insecure,
            other => other,
        };
        match (security, host.insecure) {
            (SecurityModel::Secure, _) | (_, Insecure::Route) => Profile::Plain,
            (SecurityModel::Xfp, Insecure::Redirect) => Profile::XfpRedirect,
            (SecurityModel::Xfp, Insecure::Reject) => Profile::XfpOnly,
            (SecurityModel::Insecure, Insecure::Redirect) => Profile::Redirect,
            (SecurityModel::Insecure, Insecure::Reject) => Profile::Nothing,
        }
    }

    fn refuse(&mut self, host: &Host, code: &'static str, message: &str) {
        self.findings.push(host.item.error(
            code,
            "spec.hostname",
            format!("{message}; the Host has no TLS on {}", self.port.name),
            "give the Host a server name of its own",
        ));
    }
}

fn sni_fault(sni: &str, taken: &BTreeSet<String>) -> Option<&'static str> {
    if sni != "*" && !glob::is_server_name(sni) {
        return Some("only `*` and `*.` at the front are possible with TLS");
    }
    taken.contains(sni).then_some("a TCPMapping has this server name")
}
