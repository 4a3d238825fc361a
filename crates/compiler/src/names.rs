//! Names of Envoy resources and how each is formed.
//!
//! Names depend on identities only, never on content or position, so that a
//! change of one object renames nothing else. Cluster names are Emissary's,
//! because dashboards and `cluster_info` are keyed by them.

use std::fmt::Write as _;

use sha1::{Digest, Sha1};

/// Longest cluster name that is used as it is.
const CLUSTER_NAME_MAX: usize = 60;
/// Between the parts of a joined EDS service name.
const EDS_JOINT: &str = "+";

/// Returns the SHA-1 of `text` in lower-case hex, 40 characters.
pub(crate) fn sha1_hex(text: &str) -> String {
    let digest = Sha1::digest(text.as_bytes());
    let mut hex = String::with_capacity(40);
    for byte in digest {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// Replaces every character outside `[0-9A-Za-z_]` by `_`.
pub(crate) fn sanitise(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    clean.extend(text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }));
    clean
}

/// Returns the name under which a cluster is published.
///
/// Shape: `full` up to 60 characters; longer ones are the first 40, `-`, 16
/// upper-case hex digits of the SHA-1 of `full`, `-0`. Source: Emissary.
pub(crate) fn published_cluster(full: &str) -> String {
    if full.len() <= CLUSTER_NAME_MAX {
        return full.to_owned();
    }
    let digits = sha1_hex(full)[..16].to_ascii_uppercase();
    // `full` is sanitised, hence ASCII: the cut cannot split a character.
    format!("{}-{digits}-0", &full[..40])
}

/// Returns the full name of a cluster whose plain name belongs to another set
/// of options.
///
/// Shape: `<full>_<8 hex digits of the options' hash>`.
pub(crate) fn variant_cluster(full: &str, options: u64) -> String {
    format!("{full}_{:08x}", options & 0xffff_ffff)
}

/// Returns the EDS service name of one port of a Kubernetes Service.
///
/// Shape: `k8s/<namespace>/<service>/<port>`. Source: Emissary.
pub(crate) fn eds_service(namespace: &str, service: &str, port: &str) -> String {
    format!("k8s/{namespace}/{service}/{port}")
}

/// Beginning of the EDS service names of Consul.
pub(crate) const CONSUL: &str = "consul/";

/// Returns the EDS service name of a service in Consul.
///
/// Shape: `consul/<datacenter>/<service>`. Source: Emissary.
pub(crate) fn consul_service(catalogue: &str, service: &str) -> String {
    format!("{CONSUL}{catalogue}/{service}")
}

/// Joins EDS service names into one for the endpoints of all.
///
/// Shape: `<name>+<name>…`; no part can hold a plus.
pub(crate) fn join_eds(names: &[&str]) -> String {
    names.join(EDS_JOINT)
}

/// Takes an EDS service name apart.
pub(crate) fn eds_parts(service: &str) -> impl Iterator<Item = &str> {
    service.split(EDS_JOINT)
}

/// Returns host and port of the Services whose endpoints an EDS service name
/// stands for; the namespace stands in the host unless it is the gateway's own.
pub(crate) fn services_of(service: &str, own_namespace: &str) -> Vec<(String, u16)> {
    let services = eds_parts(service).filter_map(|part| {
        let mut parts = part.strip_prefix("k8s/")?.split('/');
        let (namespace, name, port) = (parts.next()?, parts.next()?, parts.next()?);
        let host =
            if namespace == own_namespace { name.to_owned() } else { dotted(name, namespace) };
        Some((host, port.parse().ok()?))
    });
    services.collect()
}

/// Returns the resource name of a namespaced object.
///
/// Shape: `<name>.<namespace>`.
pub(crate) fn dotted(name: &str, namespace: &str) -> String {
    format!("{name}.{namespace}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_over_sixty_characters_are_shortened() {
        let full = format!("cluster_{}", "x".repeat(60));
        let name = published_cluster(&full);
        assert_eq!(name.len(), 40 + 1 + 16 + 2);
        assert!(name.starts_with(&full[..40]));
        assert!(name.ends_with("-0"));
        assert_eq!(published_cluster(&full[..60]), full[..60]);
    }

    #[test]
    fn endpoint_sets_tell_their_services() {
        let joined = join_eds(&["k8s/default/auth/80", "k8s/other/auth/8080", "consul/dc1/auth"]);
        let services = [("auth".to_owned(), 80), ("auth.other".to_owned(), 8080)];
        assert_eq!(services_of(&joined, "default"), services);
    }

    #[test]
    fn sanitising_keeps_word_characters_only() {
        assert_eq!(sanitise("https://s1.foo:8080"), "https___s1_foo_8080");
    }
}
