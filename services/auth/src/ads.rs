//! Filters, policies and their Secrets from the control plane.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::DataSource;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::Secret;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::secret::Type;
use nuncio_api::filter::Filter;
use nuncio_api::filter_policy::{FilterPolicy, Rule};
use nuncio_authz::{FilterName, Source, Sources};
use nuncio_process::Context;
use nuncio_process::xds_client::{self, Options, Resources, TypeUrl, Want};
use nuncio_proto::auth::v1 as wire;
use prost::Message as _;
use serde_json::Value;
use tokio::sync::watch;

use crate::policies::Policies;

const FILTER: &str = "type.googleapis.com/nuncio.auth.v1.Filter";
const POLICY: &str = "type.googleapis.com/nuncio.auth.v1.FilterPolicy";
const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

/// How long a change of filters waits for Secrets it names anew. Without them
/// it goes into effect all the same, and what needs them is refused.
const SECRETS_WITHIN: Duration = Duration::from_secs(2);

/// One resource as far as it could be read.
pub(crate) enum Held {
    Filter(FilterName, Box<Source<Filter>>, Vec<String>),
    Policy(FilterName, Source<FilterPolicy>),
    Secret(BTreeMap<String, Vec<u8>>),
}

/// Subscribes and applies what comes, as owned tasks.
pub(crate) fn follow(
    context: &Context,
    server: &str,
    node_id: &str,
    policies: Arc<Policies>,
) -> anyhow::Result<()> {
    let (names, wanted) = watch::channel(BTreeSet::new());
    let mut wants = vec![(type_url(FILTER), Want::All), (type_url(POLICY), Want::All)];
    wants.push((type_url(SECRET), Want::Names(wanted)));
    let options = Options::new(server, node_id, "nuncio-auth");
    let resources = xds_client::subscribe(context, options, wants, decode)?;
    let guard = context.ready.guard("filters and policies");
    let drain = context.drain.clone();
    context.tasks.spawn("policies", async move {
        tokio::select! {
            () = apply_all(resources, names, policies, guard) => {}
            () = drain.stopping() => {}
        }
        Ok(())
    });
    Ok(())
}

fn type_url(text: &'static str) -> TypeUrl {
    TypeUrl::from(text)
}

async fn apply_all(
    mut resources: watch::Receiver<Arc<Resources<Held>>>,
    names: watch::Sender<BTreeSet<String>>,
    policies: Arc<Policies>,
    guard: nuncio_process::ReadyGuard,
) {
    let mut guard = Some(guard);
    loop {
        let mut seen = Arc::clone(&resources.borrow_and_update());
        if seen.answered {
            let wanted = secret_names(&seen);
            names.send_if_modified(|names| {
                let changed = *names != wanted;
                names.clone_from(&wanted);
                changed
            });
            let complete = |held: &Resources<Held>| {
                let secrets = held.by_type.get(&type_url(SECRET));
                wanted.iter().all(|name| secrets.is_some_and(|held| held.contains_key(name)))
            };
            if !complete(&seen) {
                // Late Secrets are applied when they come.
                let arrival = resources.wait_for(|held| complete(held));
                drop(tokio::time::timeout(SECRETS_WITHIN, arrival).await);
                seen = Arc::clone(&resources.borrow_and_update());
            }
            let sources = sources(&seen);
            let policies = Arc::clone(&policies);
            // Thousands of templates and expressions take their time.
            if tokio::task::spawn_blocking(move || policies.apply(&sources)).await.is_err() {
                tracing::error!("a configuration could not be built, the last one stays");
            }
            guard.take();
        }
        if resources.changed().await.is_err() {
            return;
        }
    }
}

fn secret_names(resources: &Resources<Held>) -> BTreeSet<String> {
    resources
        .of(&type_url(FILTER))
        .filter_map(|(_, held)| match &**held {
            Held::Filter(name, source, listed) => Some((name, source, listed)),
            _ => None,
        })
        .flat_map(|(name, source, listed)| {
            let named = source.spec.iter().flat_map(|spec| spec.secrets(&name.namespace));
            listed
                .iter()
                .cloned()
                .chain(named.map(|(namespace, name)| format!("{name}.{namespace}")))
        })
        .collect()
}

/// Puts everything held together. A policy that was refused and never good may
/// guard anything.
fn sources(resources: &Resources<Held>) -> Sources {
    let mut sources = Sources::default();
    for named in resources.by_type.values() {
        for (resource, held) in named {
            match &**held {
                Held::Filter(name, source, _) => {
                    sources.filters.insert(name.clone(), (**source).clone());
                }
                Held::Policy(name, source) => {
                    sources.policies.insert(name.clone(), source.clone());
                }
                Held::Secret(entries) => {
                    sources.secrets.insert(name_of(resource), entries.clone());
                }
            }
        }
    }
    for ((kind, resource), reason) in &resources.refused {
        let rejected = Some(reason.clone());
        let name = name_of(resource);
        if *kind == type_url(POLICY) {
            sources.policies.entry(name).or_insert(Source { spec: None, rejected });
        } else if *kind == type_url(FILTER) {
            sources.filters.entry(name).or_insert(Source { spec: None, rejected });
        }
    }
    sources
}

/// Shape: `<name>.<namespace>`; names may hold dots, namespaces may not.
fn name_of(resource: &str) -> FilterName {
    let (name, namespace) = resource.rsplit_once('.').unwrap_or((resource, ""));
    FilterName { namespace: namespace.to_owned(), name: name.to_owned() }
}

fn decode(kind: &TypeUrl, _name: &str, bytes: &Bytes) -> Result<Held, String> {
    let broken = |error: prost::DecodeError| error.to_string();
    if *kind == type_url(FILTER) {
        let filter = wire::Filter::decode(bytes.as_ref()).map_err(broken)?;
        let name = FilterName { namespace: filter.namespace, name: filter.name };
        let (spec, error) = match serde_json::from_str(&filter.spec_json) {
            Ok(spec) => (Some(spec), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let rejected = Some(filter.rejected).filter(|reason| !reason.is_empty()).or(error);
        Ok(Held::Filter(name, Box::new(Source { spec, rejected }), filter.secrets))
    } else if *kind == type_url(POLICY) {
        let policy = wire::FilterPolicy::decode(bytes.as_ref()).map_err(broken)?;
        let name = FilterName { namespace: policy.namespace, name: policy.name };
        let (spec, error) = read_policy(&policy.spec_json);
        let rejected = Some(policy.rejected).filter(|reason| !reason.is_empty()).or(error);
        Ok(Held::Policy(name, Source { spec, rejected }))
    } else {
        let secret = Secret::decode(bytes.as_ref()).map_err(broken)?;
        Ok(Held::Secret(entries(secret)))
    }
}

/// Reads a policy; of one that is wrong, the hosts and paths it guards.
fn read_policy(text: &str) -> (Option<FilterPolicy>, Option<String>) {
    let error = match serde_json::from_str(text) {
        Ok(policy) => return (Some(policy), None),
        Err(error) => error.to_string(),
    };
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    (guarded(&value), Some(error))
}

/// Returns rules with the hosts and paths that a wrong spec names; `None` when
/// they cannot be told.
pub(crate) fn guarded(spec: &Value) -> Option<FilterPolicy> {
    let rules = spec.get("rules")?.as_array()?;
    let text = |rule: &Value, name: &str| {
        rule.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let rules = rules.iter().map(|rule| Rule {
        host: text(rule, "host"),
        path: text(rule, "path"),
        precedence: rule.get("precedence").and_then(Value::as_i64).unwrap_or_default(),
        filters: Vec::new(),
    });
    Some(FilterPolicy { rules: rules.collect(), ..FilterPolicy::default() })
}

fn entries(secret: Secret) -> BTreeMap<String, Vec<u8>> {
    let mut entries = BTreeMap::new();
    let mut put = |name: &str, source: Option<DataSource>| {
        let bytes = match source.and_then(|source| source.specifier) {
            Some(Specifier::InlineBytes(bytes)) => bytes,
            Some(Specifier::InlineString(text)) => text.into_bytes(),
            _ => return,
        };
        entries.insert(name.to_owned(), bytes);
    };
    match secret.r#type {
        Some(Type::GenericSecret(generic)) => {
            put("secret", generic.secret);
            for (name, source) in generic.secrets {
                put(&name, Some(source));
            }
        }
        Some(Type::TlsCertificate(pair)) => {
            put("tls.crt", pair.certificate_chain);
            put("tls.key", pair.private_key);
        }
        Some(Type::ValidationContext(context)) => put("ca.crt", context.trusted_ca),
        _ => {}
    }
    entries
}
