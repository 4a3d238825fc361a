//! What clusters are called before their names are shortened.
//!
//! Worked out when somebody asks, from what the compiler knows anyway: no
//! compile costs more for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use nuncio_api::{ObjectKey, Spec};

use super::Compiler;
use crate::ir::cluster::Discovery;
use crate::ir::resolver::Resolver;
use crate::ir::stage::Stage;
use crate::names;

/// What a published cluster is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterName {
    /// Emissary's name, however long. Where one service has clusters of several
    /// options, all but the first have the suffix of their published names.
    pub full: Arc<str>,
    /// Hosts and ports of the services whose endpoints are sent although their
    /// resolver says DNS: what Envoy would ask DNS for if we did not know.
    pub services: Vec<(String, u16)>,
}

impl Compiler {
    /// Returns what the clusters in effect are, by published name.
    pub fn cluster_names(&self) -> BTreeMap<Arc<str>, ClusterName> {
        let Some(scene) = &self.scene else { return BTreeMap::new() };
        let stage = &scene.stage;
        let of_scene = self.clusters.of_scene().iter().map(|(published, target, user)| {
            let services = match &target.cluster.discovery {
                Discovery::Eds { service } if self.resolves_by_dns(user, stage) => {
                    names::services_of(service, &stage.namespace)
                }
                _ => Vec::new(),
            };
            let full = unshortened(&target.name, target.options, published);
            (published.clone(), ClusterName { full, services })
        });
        // These come second, because a Mapping knows its service as it was written.
        let of_mappings = self.clusters.of_mappings().map(|cluster| {
            let user = self.routes.parsed(cluster.first_user);
            let service = user.and_then(|mapping| {
                let port = mapping.service.port_or_default(cluster.originates_tls);
                Some((mapping.dns_name(stage)?.to_owned(), port))
            });
            let full = unshortened(cluster.name, cluster.options, cluster.published);
            let name = ClusterName { full, services: service.into_iter().collect() };
            (cluster.published.clone(), name)
        });
        of_scene.chain(of_mappings).collect()
    }

    /// Whether the user of a plug-in's or TCPMapping's cluster has its service
    /// looked up in DNS.
    fn resolves_by_dns(&self, user: &ObjectKey, stage: &Stage) -> bool {
        let own = match self.in_effect(user).map(|object| &object.spec) {
            Some(Spec::TcpMapping(spec)) => spec.resolver.as_ref(),
            _ => None,
        };
        let name = own.unwrap_or(&stage.defaults.resolver);
        matches!(stage.resolvers.get(name), Some(Resolver::Service))
    }
}

/// Returns the name that was shortened to a published one, if it was.
fn unshortened(name: &Arc<str>, options: u64, published: &str) -> Arc<str> {
    if names::published_cluster(name) == published {
        name.clone()
    } else {
        names::variant_cluster(name, options).into()
    }
}

#[cfg(test)]
mod tests {
    use nuncio_testing::manifests;

    use super::*;
    use crate::Settings;

    const OBJECTS: &str = "
apiVersion: v1
kind: Service
metadata: {name: told, namespace: elsewhere}
spec: {ports: [{name: plain, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: told-1, namespace: elsewhere, labels: {kubernetes.io/service-name: told}}
addressType: IPv4
ports: [{name: plain, port: 8080}]
endpoints: [{addresses: [192.0.2.1]}]
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: a}
spec: {hostname: '*', prefix: /a/, service: told.elsewhere, cluster_tag: a-tag-that-makes-the-name-of-the-cluster-too-long}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: b}
spec: {hostname: '*', prefix: /b/, service: asked}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: c}
spec: {hostname: '*', prefix: /c/, service: asked, connect_timeout_ms: 7}
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: d}
spec: {hostname: '*', prefix: /d/, service: told.elsewhere, resolver: endpoint, cluster_tag: d}
---
apiVersion: getambassador.io/v3alpha1
kind: TCPMapping
metadata: {name: tcp}
spec: {port: 9000, service: told.elsewhere}
";

    type Told = BTreeMap<String, (String, Vec<(String, u16)>)>;

    fn told() -> Told {
        let settings = Settings { resolve_defined_services: true, ..Settings::default() };
        let mut compiler = Compiler::new(settings);
        compiler.apply(manifests::changes(OBJECTS));
        let names = compiler.cluster_names().into_iter();
        names
            .map(|(name, told)| (name.to_string(), (told.full.to_string(), told.services)))
            .collect()
    }

    #[test]
    fn clusters_are_known_by_their_full_names_and_services() {
        let told = told();
        let service = vec![("told.elsewhere".to_owned(), 80)];
        let long =
            "cluster_a_tag_that_makes_the_name_of_the_cluster_too_long_told_elsewhere_default";
        assert_eq!(told[&names::published_cluster(long)], (long.to_owned(), service.clone()));
        // Its resolver finds endpoints: nobody would ask DNS.
        let found = "cluster_d_told_elsewhere_default";
        assert_eq!(told[found], (found.to_owned(), Vec::new()));
        let tcp = "cluster_told_elsewhere_default";
        assert_eq!(told[tcp], (tcp.to_owned(), service));
    }

    #[test]
    fn further_options_of_a_service_keep_their_suffix() {
        let told = told();
        let full = told.values().map(|(full, _)| full.as_str());
        let full: Vec<_> = full.filter(|name| name.starts_with("cluster_asked_")).collect();
        let [plain, suffixed] = full[..] else { panic!("{full:?}") };
        assert_eq!((plain, suffixed.len()), ("cluster_asked_default", plain.len() + 1 + 8));
        assert!(told.contains_key(suffixed), "{told:?}");
    }
}
