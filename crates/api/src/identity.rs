//! Which kind an object is of, and in which version it is written.

use serde_json::{Map, Value};

use crate::Kind;
use crate::fault::{self, Fault};

/// A version of an API group, as far as it changes how an object is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// The one that the types are written for.
    Current,
    /// `getambassador.io` v2 or v1, and `ambassador/…` back to v0.
    Older,
    /// Ingress before `networking.k8s.io/v1`.
    IngressBeta,
}

/// What an object is by its `apiVersion` and `kind`.
pub(crate) enum Identity {
    Ours(Kind, Version),
    Foreign,
    Broken(Fault),
}

/// Tells what an object is.
pub(crate) fn identify(root: &Map<String, Value>) -> Identity {
    let text = |key: &str| root.get(key).and_then(Value::as_str).unwrap_or_default();
    let (api_version, name) = (text("apiVersion"), text("kind"));
    if name.is_empty() {
        return Identity::Broken(fault::not_an_object("kind in body is required"));
    }
    let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == name);
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    match group {
        "getambassador.io" | "ambassador" | "gateway.getambassador.io" => {
            let Some(kind) = kind.filter(|kind| kind.is_emissary()) else {
                return Identity::Broken(fault::unknown_kind(name, api_version));
            };
            match (group, version, kind) {
                ("gateway.getambassador.io", "v1alpha1", Kind::Filter | Kind::FilterPolicy)
                | ("getambassador.io" | "ambassador", "v3alpha1", _) => {
                    Identity::Ours(kind, Version::Current)
                }
                // Version 1 knows no Host, and none before v3alpha1 a Listener.
                ("ambassador", "v0", kind) | (_, "v1", kind)
                    if !matches!(kind, Kind::Host | Kind::Listener)
                        && !group.contains("gateway") =>
                {
                    Identity::Ours(kind, Version::Older)
                }
                (_, "v2", kind) if kind != Kind::Listener && !group.contains("gateway") => {
                    Identity::Ours(kind, Version::Older)
                }
                _ => Identity::Broken(fault::unsupported_version(api_version, name)),
            }
        }
        "" if api_version.is_empty() => match kind {
            Some(_) => Identity::Broken(fault::unsupported_version("", name)),
            None => Identity::Foreign,
        },
        _ => match (group, version, kind) {
            (
                "",
                "v1",
                Some(
                    kind @ (Kind::ConfigMap
                    | Kind::Endpoints
                    | Kind::Namespace
                    | Kind::Secret
                    | Kind::Service),
                ),
            )
            | ("discovery.k8s.io", _, Some(kind @ Kind::EndpointSlice))
            | ("networking.k8s.io", _, Some(kind @ Kind::IngressClass))
            | ("networking.k8s.io", "v1", Some(kind @ Kind::Ingress)) => {
                Identity::Ours(kind, Version::Current)
            }
            ("networking.k8s.io" | "extensions", _, Some(Kind::Ingress)) => {
                Identity::Ours(Kind::Ingress, Version::IngressBeta)
            }
            _ => Identity::Foreign,
        },
    }
}
