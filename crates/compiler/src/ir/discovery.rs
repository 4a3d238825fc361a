//! Where the endpoints of a service come from: the rules that Mappings,
//! TCPMappings and plug-in services share.

use nuncio_api::Diagnostic;

use super::cluster::{Discovery, Family};
use super::endpoints::{Defined, Services};
use super::item::Item;
use super::resolver::{Catalogue, Resolver};
use super::service::Service;
use super::stage::Stage;
use crate::names;

/// A service whose endpoints are wanted.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// Who wants them.
    pub(crate) item: &'a Item,
    /// Field that names the service.
    pub(crate) field: &'a str,
    pub(crate) service: &'a Service,
    /// Port of the service.
    pub(crate) port: u16,
    pub(crate) resolver: &'a Resolver,
    pub(crate) family: Family,
    /// By LOGICAL_DNS, where DNS it is.
    pub(crate) logical: bool,
    pub(crate) respect_ttl: bool,
}

/// Where they come from.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) discovery: Discovery,
    /// Service (namespace, name) whose definition decides about it.
    pub(crate) depends_on: Option<(String, String)>,
}

/// Returns the resolver of this name, or the Module's; the error says why the
/// service cannot be resolved by it at all.
pub(crate) fn resolver<'a>(
    item: &Item,
    service: &Service,
    name: Option<&str>,
    stage: &'a Stage,
) -> Result<&'a Resolver, Box<Diagnostic>> {
    let name = name.unwrap_or(&stage.defaults.resolver);
    let resolver = stage.resolvers.get(name).ok_or_else(|| {
        Box::new(item.error(
            "unknown-resolver",
            "spec.resolver",
            format!("resolver `{name}` does not exist or is not usable"),
            "name an existing resolver, or leave the field out",
        ))
    })?;
    let dotted = service.host.contains('.') && !service.is_ip();
    if matches!(resolver, Resolver::Consul(_)) && dotted {
        return Err(Box::new(item.error(
            "consul-name-with-dot",
            "spec.service",
            format!("`{}` is no name of a service in Consul: it holds a dot", service.host),
            "name the service as Consul has it",
        )));
    }
    Ok(resolver)
}

/// Finds the endpoints.
pub(crate) fn discover(
    request: &Request<'_>,
    stage: &Stage,
    services: &Services,
    findings: &mut Vec<Diagnostic>,
) -> Found {
    let host = &request.service.host;
    if request.service.is_ip() || host == "localhost" {
        return request.dns(host).into();
    }
    if let Resolver::Consul(catalogue) = request.resolver {
        return request.consul(catalogue, findings).into();
    }
    let (name, namespace) = split_service(host, request.item.namespace(), stage);
    let eds = || Discovery::Eds {
        service: names::eds_service(namespace, name, &request.port.to_string()).into(),
    };
    let discovery = match request.resolver {
        Resolver::Endpoint if stage.endpoint_routing => {
            if let Some(message) = services.port_fault(namespace, name, request.port) {
                findings.push(request.item.error(
                    "unknown-service-port",
                    request.field,
                    message,
                    "use a port that the Service lists",
                ));
            }
            eds()
        }
        Resolver::Service if stage.resolve_defined_services => {
            match services.defined(namespace, name) {
                Defined::Endpoints => eds(),
                Defined::External(target) => request.dns(target),
                Defined::No => request.dns(host),
            }
        }
        _ => return request.dns(host).into(),
    };
    Found { discovery, depends_on: Some((namespace.to_owned(), name.to_owned())) }
}

/// Splits a host into service and namespace; further parts are ignored.
fn split_service<'a>(host: &'a str, namespace: &'a str, stage: &'a Stage) -> (&'a str, &'a str) {
    let mut parts = host.split('.');
    let name = parts.next().unwrap_or_default();
    let default =
        if stage.defaults.own_namespace_resolution { &stage.namespace } else { namespace };
    (name, parts.next().unwrap_or(default))
}

impl Request<'_> {
    fn dns(&self, host: &str) -> Discovery {
        Discovery::Dns {
            host: host.to_owned(),
            port: self.port,
            logical: self.logical,
            respect_ttl: self.respect_ttl,
            family: self.family,
        }
    }

    fn consul(&self, catalogue: &Catalogue, findings: &mut Vec<Diagnostic>) -> Discovery {
        if self.service.port.is_some() {
            findings.push(self.item.notice(
                "consul-port-ignored",
                self.field,
                "the port has no effect: Consul knows the ports of the instances",
                "leave the port out",
            ));
        }
        if catalogue.address.is_none() {
            findings.push(self.item.error(
                "consul-without-address",
                "spec.resolver",
                "no ConsulResolver says where Consul is; requests are answered 503",
                "add a ConsulResolver with address and datacenter",
            ));
        }
        let service = names::consul_service(&catalogue.name, &self.service.host);
        Discovery::Eds { service: service.into() }
    }
}

impl From<Discovery> for Found {
    fn from(discovery: Discovery) -> Self {
        Self { discovery, depends_on: None }
    }
}
