//! The overview under Emissary's keys, as far as they mean something here.

use std::collections::BTreeMap;
use std::sync::Arc;

use nuncio_api::{Mapping, Object, Severity, Spec};
use nuncio_compiler::Subject;
use serde_json::{Value, json};

use super::{Pages, clusters};

/// Returns the overview.
///
/// Keys, as Emissary names them: `system`, `envoy_status`, `errors`, `notices`,
/// `route_info`, `cluster_info`, `ambassador_services`, `ambassador_resolvers`,
/// `source_map`; and of our own: `clients`, `findings`.
pub(super) async fn overview(pages: &Pages) -> Value {
    let objects = pages.objects.all();
    let (errors, notices, findings) = findings(pages);
    let names = pages.questions.cluster_names().await;
    let clusters = clusters::info(&pages.fleet.cache(), &names);
    json!({
        "system": system(pages),
        "envoy_status": envoy_status(pages).await,
        "errors": errors,
        "notices": notices,
        "findings": findings,
        "route_info": route_info(&objects),
        "cluster_info": clusters,
        "ambassador_services": services(&objects),
        "ambassador_resolvers": resolvers(&objects),
        "source_map": source_map(&objects),
        "clients": clients(pages),
    })
}

fn system(pages: &Pages) -> Value {
    let uptime = pages.health.snapshot.started().elapsed().as_secs();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "hostname": std::env::var("HOSTNAME").unwrap_or_default(),
        "ambassador_id": pages.ambassador_id,
        "ambassador_namespace": pages.namespace,
        "single_namespace": pages.single_namespace,
        "endpoints_enabled": pages.endpoints_enabled,
        "hr_uptime": format!("{}:{:02}:{:02}", uptime / 3600, uptime / 60 % 60, uptime % 60),
        "env_good": true,
        "env_failures": [],
        "debug_mode": false,
    })
}

async fn envoy_status(pages: &Pages) -> Value {
    let state = pages.health.envoy().await;
    let since = pages.health.snapshot.processed_at().map(|at| at.elapsed().as_secs());
    json!({"alive": state.alive, "ready": state.ready, "since_update": since})
}

/// Errors as pairs of resource key and text, the rest as notices, and all with
/// every detail.
fn findings(pages: &Pages) -> (Vec<Value>, Vec<Value>, Vec<Value>) {
    let (mut errors, mut notices, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for (subject, diagnostics) in pages.report.all() {
        let key = match &subject {
            Subject::Object(object) => object.resource_key(),
            Subject::Input(name) => name.to_string(),
        };
        for diagnostic in diagnostics {
            match diagnostic.severity {
                Severity::Error => errors.push(json!([key, diagnostic.message])),
                Severity::Warning | Severity::Notice => notices.push(json!({
                    "level": diagnostic.severity.as_str().to_uppercase(),
                    "message": format!("{key}: {}", diagnostic.message),
                })),
            }
            all.push(serde_json::to_value(&diagnostic).unwrap_or_default());
        }
    }
    (errors, notices, all)
}

fn route_info(objects: &[Arc<Object>]) -> Vec<Value> {
    let mut routes = Vec::new();
    for object in objects {
        let Spec::Mapping(mapping) = &object.spec else { continue };
        routes.push(route(object, mapping));
    }
    routes
}

fn route(object: &Object, mapping: &Mapping) -> Value {
    let key = object.key().resource_key();
    let host = mapping.hostname.as_ref().or(mapping.host.as_ref());
    let headers: Vec<Value> =
        mapping.headers.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let kind = if mapping.host_redirect == Some(true) { "redirect" } else { "http" };
    json!({
        "_source": key,
        "key": key,
        "prefix": mapping.prefix,
        "rewrite": mapping.rewrite.as_deref().unwrap_or("/"),
        "method": mapping.method.as_deref().unwrap_or("*"),
        "headers": headers,
        "host": host.map_or("*", String::as_str),
        "precedence": mapping.precedence.unwrap_or(0),
        "diag_class": kind,
        "clusters": [{"service": mapping.service, "weight": mapping.weight}],
    })
}

fn services(objects: &[Arc<Object>]) -> Vec<Value> {
    let mut services = Vec::new();
    for object in objects {
        let service = match &object.spec {
            Spec::AuthService(auth) => &auth.auth_service,
            Spec::RateLimitService(limit) => &limit.service,
            Spec::TracingService(tracing) => &tracing.service,
            Spec::LogService(log) => &log.service,
            _ => continue,
        };
        services.push(json!({
            "type": object.spec.kind().as_str(),
            "_source": object.key().resource_key(),
            "name": service,
        }));
    }
    services
}

fn resolvers(objects: &[Arc<Object>]) -> Vec<Value> {
    let mut resolvers = Vec::new();
    for object in objects {
        let kind = match &object.spec {
            Spec::KubernetesServiceResolver(_)
            | Spec::KubernetesEndpointResolver(_)
            | Spec::ConsulResolver(_) => object.spec.kind(),
            _ => continue,
        };
        resolvers.push(json!({
            "kind": kind.as_str(),
            "_source": object.key().resource_key(),
            "name": object.meta.name,
        }));
    }
    resolvers
}

/// Resource keys to what they are and where they stand.
fn source_map(objects: &[Arc<Object>]) -> BTreeMap<String, Value> {
    let mut map: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for object in objects {
        // Neither is configuration of a gateway's behaviour; there are many.
        if matches!(&object.spec, Spec::EndpointSlice(_) | Spec::Endpoints(_)) {
            continue;
        }
        let entry = json!({"kind": object.spec.kind().as_str(), "origin": object.origin});
        map.entry(object.key().resource_key()).or_default().push(entry);
    }
    map.into_iter().map(|(key, entries)| (key, Value::Array(entries))).collect()
}

fn clients(pages: &Pages) -> Vec<Value> {
    let clients = pages.fleet.clients().into_iter();
    clients
        .map(|client| {
            json!({
                "node": client.node_id,
                "cluster": client.cluster,
                "agent": client.agent,
                "protocol": client.protocol,
                "seconds": client.since.elapsed().unwrap_or_default().as_secs(),
                "envoy": client.is_envoy,
                "settled": client.settled,
            })
        })
        .collect()
}
