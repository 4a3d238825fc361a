//! The ports that are listened on, and whose they are.

use std::net::IpAddr;
use std::sync::Arc;

use nuncio_api as api;
use nuncio_api::{Diagnostic, SecurityModel, Spec, StackProtocol};

use crate::ir::host::Host;
use crate::ir::input::Input;
use crate::ir::item::Item;
use crate::ir::tcp::TcpGroup;
use crate::names;

/// A Listener object, read.
pub(super) struct Port<'a> {
    pub(super) item: Option<&'a Item>,
    /// Made for the Hosts that name it as their additional port.
    pub(super) additional: bool,
    pub(super) name: Arc<str>,
    pub(super) address: IpAddr,
    pub(super) port: u16,
    pub(super) stack: Vec<StackProtocol>,
    pub(super) security: SecurityModel,
    pub(super) spec: api::Listener,
}

impl Port<'_> {
    pub(super) fn has(&self, protocol: StackProtocol) -> bool {
        self.stack.contains(&protocol)
    }

    pub(super) fn udp(&self) -> bool {
        self.has(StackProtocol::Udp)
    }

    pub(super) fn identity(&self) -> (bool, IpAddr, u16) {
        (self.udp(), self.address, self.port)
    }

    pub(super) fn stat_prefix(&self) -> String {
        if let Some(prefix) = &self.spec.stats_prefix {
            return prefix.clone();
        }
        let transport = if self.udp() { "udp" } else { "tcp" };
        match (self.has(StackProtocol::Tls), self.has(StackProtocol::Http)) {
            (true, true) => "ingress_https".to_owned(),
            (false, true) => "ingress_http".to_owned(),
            (true, false) => format!("ingress_tls_{}", self.port),
            (false, false) => format!("ingress_{transport}_{}", self.port),
        }
    }
}

/// Adds a cleartext port for each `additionalPort` that no Listener has; a
/// Listener on it takes Hosts by its own binding.
pub(super) fn additional(
    input: &Input<'_>,
    hosts: &[Host],
    ports: &mut Vec<Port<'_>>,
    findings: &mut Vec<Diagnostic>,
) {
    let address = input.settings.bind_address;
    for host in hosts {
        let Some(number) = host.additional_port else { continue };
        let known = ports.iter().find(|port| port.identity() == (false, address, number));
        match known {
            Some(port) if port.item.is_none() && !port.additional => {
                findings.push(host.item.error(
                    "additional-port-taken",
                    "spec.requestPolicy.insecure.additionalPort",
                    format!("port {number} is a TCPMapping's; the Host does not answer on it"),
                    "give another port",
                ));
            }
            Some(_) => {}
            None => ports.push(Port {
                item: None,
                additional: true,
                name: format!("listener-{address}-{number}").into(),
                address,
                port: number,
                stack: vec![StackProtocol::Http, StackProtocol::Tcp],
                // Whatever a client claims in a header, this port is cleartext.
                security: SecurityModel::Insecure,
                spec: api::Listener::default(),
            }),
        }
    }
}

pub(super) fn read<'a>(
    item: &'a Item,
    input: &Input<'_>,
    findings: &mut Vec<Diagnostic>,
) -> Option<Port<'a>> {
    let Spec::Listener(spec) = &item.object.spec else { return None };
    let mut error = |code, field: &str, message: &str, remedy| {
        findings.push(item.error(code, field, message, remedy));
    };
    let Ok(number @ 1..) = u16::try_from(spec.port) else {
        error("invalid-port", "spec.port", "is no port", "give a number from 1 to 65535");
        return None;
    };
    if spec.protocol.is_some() && !spec.protocol_stack.is_empty() {
        error(
            "protocol-and-stack",
            "spec.protocol",
            "protocol and protocolStack are both set; protocolStack is in effect",
            "remove one of them",
        );
    }
    let mut stack = stack(spec);
    if stack.contains(&StackProtocol::Udp) && stack.contains(&StackProtocol::Proxy) {
        error(
            "invalid-protocol-stack",
            "spec.protocolStack",
            "PROXY has no effect over UDP",
            "remove PROXY",
        );
        stack.retain(|protocol| *protocol != StackProtocol::Proxy);
    }
    let last_is_transport = matches!(stack.last(), Some(StackProtocol::Tcp | StackProtocol::Udp));
    let udp_without_http =
        stack.contains(&StackProtocol::Udp) && !stack.contains(&StackProtocol::Http);
    if !last_is_transport || udp_without_http {
        error(
            "invalid-protocol-stack",
            "spec.protocolStack",
            "the Listener is not in effect: its stack must end with TCP or UDP, and UDP needs HTTP",
            "set protocol to HTTP, HTTPS, TCP or TLS",
        );
        return None;
    }
    let (Some(binding), Some(security)) = (&spec.host_binding, spec.security_model) else {
        error(
            "incomplete-listener",
            "spec",
            "securityModel and hostBinding in body is required",
            "set both",
        );
        return None;
    };
    let from = binding.namespace.as_ref().and_then(|namespace| namespace.from);
    let no_labels = binding.selector.as_ref().is_some_and(|it| it.match_labels.is_empty());
    if no_labels || (from.is_none() && binding.selector.is_none()) {
        let (field, message) = if no_labels {
            ("spec.hostBinding.selector", "a selector without matchLabels takes no Host")
        } else {
            ("spec.hostBinding", "needs namespace.from or selector")
        };
        error("incomplete-listener", field, message, "say which Hosts the Listener is for");
        return None;
    }
    if from == Some(api::NamespaceFrom::Selector) {
        error(
            "namespace-selector-not-supported",
            "spec.hostBinding.namespace.from",
            "SELECTOR is not supported; SELF is in effect",
            "use SELF or ALL",
        );
    }
    Some(Port {
        item: Some(item),
        additional: false,
        name: names::dotted(item.name(), item.namespace()).into(),
        address: input.settings.bind_address,
        port: number,
        stack,
        security,
        spec: (**spec).clone(),
    })
}

fn stack(spec: &api::Listener) -> Vec<StackProtocol> {
    use StackProtocol::{Http, Proxy, Tcp, Tls, Udp};
    use api::ListenerProtocol as Protocol;
    if !spec.protocol_stack.is_empty() {
        return spec.protocol_stack.clone();
    }
    match spec.protocol {
        Some(Protocol::Http) => vec![Http, Tcp],
        Some(Protocol::Https) => vec![Tls, Http, Tcp],
        Some(Protocol::HttpProxy) => vec![Proxy, Http, Tcp],
        Some(Protocol::HttpsProxy) => vec![Tls, Proxy, Http, Tcp],
        Some(Protocol::Tcp) => vec![Tcp],
        Some(Protocol::Tls) => vec![Tls, Tcp],
        Some(Protocol::Udp) => vec![Udp],
        None => Vec::new(),
    }
}

pub(super) fn synthetic(group: &TcpGroup) -> Port<'static> {
    let tls = group.host.is_some();
    Port {
        item: None,
        additional: false,
        name: format!("listener-{}-{}", group.address, group.port).into(),
        address: group.address,
        port: group.port,
        stack: if tls {
            vec![StackProtocol::Tls, StackProtocol::Tcp]
        } else {
            vec![StackProtocol::Tcp]
        },
        security: SecurityModel::Secure,
        spec: api::Listener::default(),
    }
}
