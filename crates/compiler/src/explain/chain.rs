//! Which listener and filter chain take a connection, and what the connection
//! manager does to a request before routing.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::core::v3::{address, socket_address};
use envoy_types::pb::envoy::config::listener::v3::{FilterChain, Listener, filter};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, http_connection_manager as manager,
};
use prost::Message as _;

use super::table::Tables;
use super::{ListenerChoice, Request, Seen, Stop, path};

/// The parts of the configuration that take a request.
#[derive(Debug)]
pub(super) struct Chosen<'a> {
    listener: &'a Listener,
    address: String,
    port: u16,
    chain: &'a FilterChain,
    manager: HttpConnectionManager,
    pub(super) route_configuration: String,
}

/// Chooses listener, filter chain and connection manager.
pub(super) fn choose<'a>(tables: &'a Tables, request: &Request) -> Result<Chosen<'a>, Stop> {
    let closed = |reason: String| Stop { status: None, reason };
    let (listener, address, port) = listener(tables, request.port).ok_or_else(|| {
        let ports: Vec<_> = tables.listeners.iter().filter_map(|it| Some(place(it)?.1)).collect();
        let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
        let ports = if ports.is_empty() { "there are none".into() } else { ports.join(", ") };
        closed(format!("no listener on port {} (listeners: {ports})", request.port))
    })?;
    let chain = chain(listener, request).ok_or_else(|| {
        let what = if request.tls { "TLS with this server name" } else { "cleartext" };
        closed(format!("listener {} has no filter chain for {what}", listener.name))
    })?;
    match (request.tls, chain.transport_socket.is_some()) {
        (true, false) => {
            return Err(closed(format!(
                "filter chain {} takes the connection and does not speak TLS",
                chain.name
            )));
        }
        (false, true) => {
            return Err(closed(format!("filter chain {} speaks only TLS", chain.name)));
        }
        _ => {}
    }
    let manager = manager(chain).ok_or_else(|| {
        closed(format!("filter chain {} forwards bytes, not HTTP requests", chain.name))
    })?;
    let route_configuration = match &manager.route_specifier {
        Some(manager::RouteSpecifier::Rds(rds)) => rds.route_config_name.clone(),
        _ => return Err(closed(format!("filter chain {} has no route table", chain.name))),
    };
    Ok(Chosen { listener, address, port, chain, manager, route_configuration })
}

fn listener(tables: &Tables, port: u16) -> Option<(&Listener, String, u16)> {
    let stands_for = match port {
        80 => 8080,
        443 => 8443,
        other => other,
    };
    [port, stands_for].into_iter().find_map(|wanted| {
        tables.listeners.iter().find_map(|listener| {
            let (host, port) = place(listener)?;
            (port == wanted).then(|| (listener, format!("{host}:{port}"), port))
        })
    })
}

/// Returns host and port of a TCP listener.
fn place(listener: &Listener) -> Option<(&str, u16)> {
    let Some(address::Address::SocketAddress(socket)) = &listener.address.as_ref()?.address else {
        return None;
    };
    let Some(socket_address::PortSpecifier::PortValue(port)) = socket.port_specifier else {
        return None;
    };
    let is_tcp = socket.protocol == socket_address::Protocol::Tcp as i32;
    is_tcp.then(|| Some((socket.address.as_str(), u16::try_from(port).ok()?)))?
}

/// Chooses as Envoy does: the most specific server name first, then the
/// transport; no way back from a server name whose transport does not fit.
fn chain<'a>(listener: &'a Listener, request: &Request) -> Option<&'a FilterChain> {
    let sees_tls =
        listener.listener_filters.iter().any(|filter| filter.name.contains("tls_inspector"));
    let detected = if request.tls && sees_tls { "tls" } else { "raw_buffer" };
    let mut name = String::new();
    if request.tls && sees_tls {
        // Clients leave the dot of an absolute name out of it.
        path::host(&request.authority).trim_end_matches('.').clone_into(&mut name);
    }
    let names = |chain: &'a FilterChain| {
        chain.filter_chain_match.as_ref().map_or(&[][..], |it| it.server_names.as_slice())
    };
    let transport = |chain: &'a FilterChain| {
        chain.filter_chain_match.as_ref().map_or("", |it| it.transport_protocol.as_str())
    };
    let of_name = |wanted: &str| -> Vec<&'a FilterChain> {
        let all = listener.filter_chains.iter();
        all.filter(|chain| names(chain).iter().any(|name| name.eq_ignore_ascii_case(wanted)))
            .collect()
    };
    let unnamed = || {
        listener.filter_chains.iter().filter(|chain| names(chain).is_empty()).collect::<Vec<_>>()
    };
    let level = server_name_keys(&name)
        .iter()
        .map(|key| of_name(key))
        .find(|found| !found.is_empty())
        .unwrap_or_else(unnamed);
    let fits = |wanted: &str| level.iter().copied().find(|chain| transport(chain) == wanted);
    fits(detected).or_else(|| fits("")).or(listener.default_filter_chain.as_ref())
}

/// Returns the keys under which a server name may be listed, best first.
fn server_name_keys(name: &str) -> Vec<String> {
    if name.is_empty() {
        return Vec::new();
    }
    let mut keys = vec![name.to_owned()];
    let dots = name.match_indices('.').map(|(at, _)| format!("*{}", &name[at..]));
    keys.extend(dots);
    keys
}

fn manager(chain: &FilterChain) -> Option<HttpConnectionManager> {
    chain.filters.iter().find_map(|filter| match &filter.config_type {
        Some(filter::ConfigType::TypedConfig(any))
            if any.type_url.ends_with(".HttpConnectionManager") =>
        {
            HttpConnectionManager::decode(any.value.as_slice()).ok()
        }
        _ => None,
    })
}

impl Chosen<'_> {
    pub(super) fn describe(&self) -> ListenerChoice {
        ListenerChoice {
            name: self.listener.name.clone(),
            address: self.address.clone(),
            filter_chain: self.chain.name.clone(),
            route_configuration: self.route_configuration.clone(),
        }
    }

    pub(super) fn http_filters(&self) -> impl Iterator<Item = String> + '_ {
        self.manager.http_filters.iter().map(|filter| filter.name.clone())
    }

    /// Returns the scheme that routing sees: that of `x-forwarded-proto`, if it
    /// says one, else that of the connection.
    pub(super) fn scheme(&self, request: &Request) -> &'static str {
        match self.forwarded_proto(request) {
            proto if proto.eq_ignore_ascii_case("https") => "https",
            proto if proto.eq_ignore_ascii_case("http") => "http",
            _ => connection_scheme(request),
        }
    }

    /// Returns `x-forwarded-proto` as routes and backends see it: what was sent,
    /// whatever it says, where senders are trusted.
    fn forwarded_proto(&self, request: &Request) -> String {
        let trusted = !self.uses_remote_address() || self.manager.xff_num_trusted_hops > 0;
        let sent = request
            .headers
            .iter()
            .filter(|(name, _)| trusted && name.eq_ignore_ascii_case("x-forwarded-proto"));
        let sent: Vec<&str> = sent.map(|(_, value)| value.as_str()).collect();
        match sent.as_slice() {
            [] => connection_scheme(request).to_owned(),
            all => all.join(","),
        }
    }

    fn uses_remote_address(&self) -> bool {
        self.manager.use_remote_address.is_some_and(|value| value.value)
    }

    /// Does to a request what the connection manager does before routing.
    pub(super) fn receive(&self, request: &Request) -> Result<Seen, Stop> {
        let manager = &self.manager;
        let (raw, query) = path::split(&request.path);
        let refused = |reason: &str| Stop { status: Some(400), reason: reason.to_owned() };
        if !path::is_readable(&request.path) {
            return Err(refused("the path holds a character that must be escaped"));
        }
        let escaped = manager::PathWithEscapedSlashesAction::RejectRequest as i32;
        if manager.path_with_escaped_slashes_action == escaped && path::has_escaped_slash(raw) {
            return Err(refused("the path has an escaped slash"));
        }
        let mut path = raw.to_owned();
        if manager.normalize_path.is_some_and(|value| value.value) {
            path = path::normalize(&path).ok_or_else(|| refused("the path is malformed"))?;
        }
        if manager.merge_slashes {
            path = path::merge_slashes(&path);
        }
        let any_port =
            matches!(manager.strip_port_mode, Some(manager::StripPortMode::StripAnyHostPort(true)));
        let strip = |port: u16| any_port || (manager.strip_matching_host_port && port == self.port);
        let authority = path::without_port_if(&request.authority, strip);
        let mut headers = BTreeMap::<String, Vec<String>>::new();
        for (name, value) in &request.headers {
            headers.entry(name.to_ascii_lowercase()).or_default().push(value.clone());
        }
        headers.insert("x-forwarded-proto".into(), vec![self.forwarded_proto(request)]);
        headers.insert(":method".into(), vec![request.method.clone()]);
        headers.insert(":authority".into(), vec![authority.clone()]);
        headers.insert(":path".into(), vec![format!("{path}{query}")]);
        Ok(Seen { authority, path, query: query.to_owned(), headers })
    }
}

fn connection_scheme(request: &Request) -> &'static str {
    if request.tls { "https" } else { "http" }
}
