//! JSON of one object into the typed object, with every fault found.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::core::{
    ConfigMap, EndpointSlice, Endpoints, Ingress, IngressClass, Namespace, Secret, Service,
};
use crate::{
    AmbassadorModule, AuthService, ConsulResolver, DevPortal, Diagnostic, Environment, Filter,
    FilterPolicy, Host, Kind, KubernetesEndpointResolver, KubernetesServiceResolver, Listener,
    LogService, Mapping, Meta, Module, ModuleConfig, Object, ObjectKey, Origin, RateLimit,
    RateLimitService, Reading, Severity, Spec, TcpMapping, TlsContext, TlsModule, TracingService,
    required, versions,
};

use crate::fault::{self, Fault, missing};
use crate::identity::{Identity, Version, identify};
use crate::object::CONFIG_ANNOTATION as CONFIG;

mod read;

use read::{Read, read};

/// What became of one object's text.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded {
    /// The object, and what was strange about it.
    Object {
        /// The object.
        object: Object,
        /// Unknown fields, and in a Module also fields that were left out
        /// because they are wrong.
        findings: Vec<Diagnostic>,
    },
    /// An object that means nothing to the gateway: its kind does not, or it is
    /// not selected.
    Foreign,
    /// An object of ours that cannot be used.
    Broken {
        /// Its identity; `None` when even that cannot be read.
        key: Option<ObjectKey>,
        /// Why; at least one error.
        findings: Vec<Diagnostic>,
    },
}

/// Decodes one object.
///
/// Shape of `value`: a Kubernetes object, `apiVersion`, `kind`, `metadata` and
/// so on; older versions of `getambassador.io` are converted. An object
/// without a namespace is put into the default one of `reading`, variables are
/// replaced, and an object that is not selected is foreign.
///
/// Total: every mistake ends up among the findings, as many of one object as
/// can be told in one go. Texts follow Emissary's, such as `spec.prefix in
/// body is required`.
pub fn decode(value: Value, origin: Origin, reading: &Reading) -> Decoded {
    let Value::Object(mut root) = value else {
        return Decoded::Broken {
            key: None,
            findings: vec![fault::not_an_object("this is not an object").at(None, &origin)],
        };
    };
    let (kind, version) = match identify(&root) {
        Identity::Ours(kind, version) => (kind, version),
        Identity::Foreign => return Decoded::Foreign,
        Identity::Broken(fault) => {
            return Decoded::Broken { key: None, findings: vec![fault.at(None, &origin)] };
        }
    };
    let mut expanding = Vec::new();
    expand(kind, &mut root, &reading.environment, &mut expanding);
    let metadata = root.remove("metadata").unwrap_or(Value::Null);
    let Read { value: meta, mut faults } = read::<Meta>(metadata, "metadata", false);
    faults.append(&mut expanding);
    let mut meta = meta.unwrap_or_default();
    if meta.name.is_empty() {
        faults.push(missing("metadata.name"));
        let findings = faults.iter().map(|fault| fault.at(None, &origin)).collect();
        return Decoded::Broken { key: None, findings };
    }
    if matches!(kind, Kind::Namespace | Kind::IngressClass) {
        meta.namespace.clear();
    } else if meta.namespace.is_empty() {
        reading.default_namespace.clone_into(&mut meta.namespace);
    }
    if origin.carrier.is_none() && !reading.selection.takes(kind, &meta) {
        return Decoded::Foreign;
    }
    let key = ObjectKey {
        kind,
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        carrier: origin.carrier.clone(),
    };
    let spec = read_spec(kind, version, &meta.name, root, &mut faults);
    let findings: Vec<Diagnostic> =
        faults.iter().map(|fault| fault.at(Some(&key), &origin)).collect();
    let broken = findings.iter().any(|finding| finding.severity == Severity::Error);
    match spec {
        // A Module is many settings; the good ones stay in force.
        Some(spec) if !broken || kind == Kind::Module => {
            Decoded::Object { object: Object { meta, origin, spec }, findings }
        }
        _ => Decoded::Broken { key: Some(key), findings },
    }
}

/// Replaces variables in an object, but not in what a Secret or a ConfigMap
/// holds, and not in the text of other objects that it carries: those are
/// expanded when they are decoded.
fn expand(
    kind: Kind,
    root: &mut Map<String, Value>,
    environment: &Environment,
    faults: &mut Vec<Fault>,
) {
    let config = root
        .get_mut("metadata")
        .and_then(|metadata| metadata.get_mut("annotations")?.as_object_mut()?.remove(CONFIG));
    for (key, value) in root.iter_mut() {
        if key == "metadata" || !matches!(kind, Kind::Secret | Kind::ConfigMap) {
            if kind == Kind::ConsulResolver
                && let Some(Value::String(address)) = value.get_mut("address")
            {
                environment.expand_all("spec.address", address, faults);
            }
            environment.expand(key, value, faults);
        }
    }
    if let Some(config) = config
        && let Some(annotations) = root
            .get_mut("metadata")
            .and_then(|metadata| metadata.get_mut("annotations")?.as_object_mut())
    {
        annotations.insert(CONFIG.to_owned(), config);
    }
}

fn read_spec(
    kind: Kind,
    version: Version,
    name: &str,
    mut root: Map<String, Value>,
    faults: &mut Vec<Fault>,
) -> Option<Spec> {
    if !kind.has_spec() {
        return read_whole(kind, root, faults);
    }
    let mut body = match root.remove("spec") {
        None | Some(Value::Null) => Value::Object(Map::new()),
        Some(body) => body,
    };
    if kind.is_emissary() {
        faults.extend(
            root.keys()
                .filter(|key| !matches!(key.as_str(), "apiVersion" | "kind" | "status"))
                .map(|key| fault::unknown_field(key)),
        );
    }
    versions::convert(kind, version, &mut body, faults);
    let before = faults.len();
    let port_given = body.get("port").is_some();
    let spec = read_body(kind, name, body, faults)?;
    // A field of the wrong type is reported as that, not as missing too.
    let wrong: Vec<String> = faults[before..].iter().map(|fault| fault.field.clone()).collect();
    faults.extend(
        required::check(&spec, port_given)
            .into_iter()
            .filter(|fault| !wrong.contains(&fault.field)),
    );
    Some(spec)
}

/// Reads a kind that keeps its fields beside `metadata`.
fn read_whole(kind: Kind, root: Map<String, Value>, faults: &mut Vec<Fault>) -> Option<Spec> {
    match kind {
        Kind::ConfigMap => whole::<ConfigMap>(root, faults).map(Spec::ConfigMap),
        Kind::EndpointSlice => whole::<EndpointSlice>(root, faults).map(Spec::EndpointSlice),
        Kind::Endpoints => whole::<Endpoints>(root, faults).map(Spec::Endpoints),
        Kind::Namespace => whole::<Namespace>(root, faults).map(Spec::Namespace),
        Kind::Secret => whole::<Secret>(root, faults).map(Spec::Secret),
        _ => whole::<Service>(root, faults).map(Spec::Service),
    }
}

/// Reads a kind that keeps its fields in `spec`.
fn read_body(kind: Kind, name: &str, body: Value, faults: &mut Vec<Fault>) -> Option<Spec> {
    match kind {
        Kind::AuthService => part::<AuthService>(body, faults).map(Spec::AuthService),
        Kind::ConsulResolver => part::<ConsulResolver>(body, faults).map(Spec::ConsulResolver),
        Kind::DevPortal => part::<DevPortal>(body, faults).map(Spec::DevPortal),
        Kind::Filter => part::<Filter>(body, faults).map(Spec::Filter),
        Kind::FilterPolicy => part::<FilterPolicy>(body, faults).map(Spec::FilterPolicy),
        Kind::Host => part::<Host>(body, faults).map(Spec::Host),
        Kind::Ingress => lean::<Ingress>(body, faults).map(Spec::Ingress),
        Kind::IngressClass => lean::<IngressClass>(body, faults).map(Spec::IngressClass),
        Kind::KubernetesEndpointResolver => {
            part::<KubernetesEndpointResolver>(body, faults).map(Spec::KubernetesEndpointResolver)
        }
        Kind::KubernetesServiceResolver => {
            part::<KubernetesServiceResolver>(body, faults).map(Spec::KubernetesServiceResolver)
        }
        Kind::Listener => part::<Listener>(body, faults).map(Spec::Listener),
        Kind::LogService => part::<LogService>(body, faults).map(Spec::LogService),
        Kind::Mapping => part::<Mapping>(body, faults).map(Spec::Mapping),
        Kind::Module => read_module(name, body, faults).map(|m| Spec::Module(Box::new(m))),
        Kind::RateLimit => part::<RateLimit>(body, faults).map(Spec::RateLimit),
        Kind::RateLimitService => {
            part::<RateLimitService>(body, faults).map(Spec::RateLimitService)
        }
        Kind::TcpMapping => part::<TcpMapping>(body, faults).map(Spec::TcpMapping),
        Kind::TlsContext => part::<TlsContext>(body, faults).map(Spec::TlsContext),
        Kind::TracingService => part::<TracingService>(body, faults).map(Spec::TracingService),
        Kind::ConfigMap
        | Kind::EndpointSlice
        | Kind::Endpoints
        | Kind::Namespace
        | Kind::Secret
        | Kind::Service => None,
    }
}

/// Reads `spec`; unknown fields are reported.
fn part<T: DeserializeOwned>(body: Value, faults: &mut Vec<Fault>) -> Option<Box<T>> {
    let read = read::<T>(body, "spec", true);
    faults.extend(read.faults);
    read.value.map(Box::new)
}

/// Reads `spec` of one of Kubernetes' own kinds, which has many fields that do
/// not matter here.
fn lean<T: DeserializeOwned>(body: Value, faults: &mut Vec<Fault>) -> Option<Box<T>> {
    let read = read::<T>(body, "spec", false);
    faults.extend(read.faults);
    read.value.map(Box::new)
}

/// Reads a kind of Kubernetes' own that keeps its fields beside `metadata`.
fn whole<T: DeserializeOwned>(root: Map<String, Value>, faults: &mut Vec<Fault>) -> Option<Box<T>> {
    let read = read::<T>(Value::Object(root), "", false);
    faults.extend(read.faults);
    read.value.map(Box::new)
}

fn read_module(name: &str, body: Value, faults: &mut Vec<Fault>) -> Option<Module> {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Fields {
        #[serde(alias = "ambassadorId")]
        ambassador_id: crate::AmbassadorId,
        config: Map<String, Value>,
    }

    let fields = read::<Fields>(body, "spec", true);
    faults.extend(fields.faults);
    let Fields { ambassador_id, config } = fields.value?;
    let config = Value::Object(config);
    let config = match name {
        "ambassador" => config_of::<AmbassadorModule>(config, faults)
            .map(|config| ModuleConfig::Ambassador(Box::new(config))),
        "tls" => config_of::<TlsModule>(config, faults).map(ModuleConfig::Tls),
        "authentication" => config_of::<AuthService>(config, faults)
            .map(|config| ModuleConfig::Authentication(Box::new(config))),
        _ => Some(ModuleConfig::Other(config)),
    }?;
    Some(Module { ambassador_id, config })
}

fn config_of<T: DeserializeOwned>(config: Value, faults: &mut Vec<Fault>) -> Option<T> {
    let read = read::<T>(config, "spec.config", true);
    faults.extend(read.faults);
    read.value
}

#[cfg(test)]
mod tests;
