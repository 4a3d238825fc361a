//! A change reaches exactly what depends on it: each edit of one object gives
//! a delta of known size.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use nuncio_api::{Change, Kind, ObjectKey};
use nuncio_compiler::{Address, Compiler, Delta, ResourceName, Settings};
use nuncio_testing::manifests;

/// Two Hosts with a certificate each, on a Listener of either protocol; each
/// has Mappings of its own, and they share nothing.
static WORLD: LazyLock<String> = LazyLock::new(|| {
    let mut text = String::from(
        r#"
apiVersion: getambassador.io/v3alpha1
kind: Listener
metadata: {name: https, namespace: default}
spec: {port: 8443, protocol: HTTPS, securityModel: XFP, hostBinding: {namespace: {from: ALL}}}
---
apiVersion: getambassador.io/v3alpha1
kind: TLSContext
metadata: {name: upstream, namespace: default}
spec: {secret: client}
---
apiVersion: getambassador.io/v3alpha1
kind: RateLimit
metadata: {name: limits, namespace: default}
spec: {domain: shop, limits: [{pattern: [{generic_key: a}], rate: 5, unit: minute}]}
---
apiVersion: getambassador.io/v3alpha1
kind: Filter
metadata: {name: keys, namespace: default}
spec: {APIKey: {keys: [{secretName: api-keys}]}}
---
apiVersion: getambassador.io/v3alpha1
kind: FilterPolicy
metadata: {name: guard, namespace: default}
spec: {rules: [{host: one.test, path: /guarded/, filters: [{name: keys}]}]}
---
apiVersion: v1
kind: Secret
metadata: {name: api-keys, namespace: default}
stringData: {k: one}
---
"#,
    );
    for secret in ["one", "two", "client"] {
        text.push_str(&certificate(secret));
    }
    for site in ["one", "two"] {
        for service in ["a", "b"] {
            text.push_str(&mapping(site, service, ""));
            text.push_str(&slice(site, service, "10.0.0.1"));
        }
        let _ = write!(
            text,
            "apiVersion: getambassador.io/v3alpha1\nkind: Host\nmetadata: {{name: {site}, namespace: default}}\nspec: {{hostname: {site}.test, tlsSecret: {{name: {site}}}}}\n---\n"
        );
    }
    text
});

/// A Secret with a certificate made for this call.
fn certificate(name: &str) -> String {
    let key = rcgen::generate_simple_self_signed(vec![format!("{name}.test")]).expect("a key");
    let indent = |pem: String| pem.trim().replace('\n', "\n    ");
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: default}}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: |\n    {}\n  tls.key: |\n    {}\n---\n",
        indent(key.cert.pem()),
        indent(key.signing_key.serialize_pem())
    )
}

fn mapping(site: &str, service: &str, more: &str) -> String {
    format!(
        "apiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata: {{name: {site}-{service}, namespace: default}}\nspec: {{hostname: {site}.test, prefix: /{service}/, service: {site}-{service}{more}}}\n---\n"
    )
}

fn slice(site: &str, service: &str, address: &str) -> String {
    let name = format!("{site}-{service}");
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: default}}\nspec: {{ports: [{{name: p, port: 80, targetPort: 9000}}]}}\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {name}, namespace: default, labels: {{kubernetes.io/service-name: {name}}}}}\naddressType: IPv4\nports: [{{name: p, port: 9000}}]\nendpoints: [{{addresses: [{address}]}}]\n---\n"
    )
}

fn world() -> Compiler {
    let own = |port| Some(Address::new("127.0.0.1", port));
    let mut compiler = Compiler::new(Settings {
        resolve_defined_services: true,
        auth: own(8500),
        rate_limit: own(8081),
        admin: own(8877),
        ..Settings::default()
    });
    let delta = compiler.apply(manifests::changes(&WORLD));
    let findings: Vec<_> = delta.report.iter().flat_map(|(_, list)| list).collect();
    assert!(findings.is_empty(), "the world is in order: {findings:#?}");
    compiler
}

/// Returns how many resources of each type a delta holds, as `Cluster 1,
/// Secret 2`; those removed after `removed:`.
fn sizes(delta: &Delta) -> String {
    fn count<'a>(names: impl Iterator<Item = &'a ResourceName>) -> String {
        let mut counts = BTreeMap::<String, usize>::new();
        for name in names {
            let text = name.to_string();
            let kind = text.split(' ').next().unwrap_or_default().to_owned();
            *counts.entry(kind).or_default() += 1;
        }
        let each = counts.iter().map(|(kind, count)| format!("{kind} {count}"));
        each.collect::<Vec<_>>().join(", ")
    }
    let changed = count(delta.changed.iter().map(|resource| &resource.name));
    match delta.removed.as_slice() {
        [] => changed,
        removed => format!("{changed}, removed: {}", count(removed.iter())),
    }
}

/// The delta of an edit of the world.
fn after(text: &str) -> (Delta, String) {
    let delta = world().apply(manifests::changes(text));
    let sizes = sizes(&delta);
    (delta, sizes)
}

fn names(delta: &Delta) -> Vec<String> {
    delta.changed.iter().map(|resource| resource.name.to_string()).collect()
}

#[test]
fn an_endpoint_change_is_one_endpoint_set() {
    let (delta, sizes) = after(&slice("one", "a", "10.0.0.2"));
    assert_eq!(sizes, "ClusterLoadAssignment 1");
    assert_eq!(names(&delta), ["ClusterLoadAssignment k8s/default/one-a/80"]);
}

#[test]
fn a_rotated_certificate_is_one_secret() {
    let (delta, _) = after(&certificate("one"));
    assert_eq!(names(&delta), ["Secret certificate/one.default"]);
    let (delta, _) = after(&certificate("client"));
    assert_eq!(names(&delta), ["Secret certificate/client.default"]);
    let keys = "apiVersion: v1\nkind: Secret\nmetadata: {name: api-keys, namespace: default}\nstringData: {k: two}\n";
    let (delta, _) = after(keys);
    assert_eq!(names(&delta), ["Secret api-keys.default"]);
    let other = certificate("stranger");
    assert_eq!(after(&other).1, "", "a Secret that nobody names");
}

#[test]
fn an_edited_mapping_touches_its_own_host_only() {
    for (more, expected) in [
        // The table of the Host's TLS chain; the cleartext one redirects, which
        // takes no time.
        (", timeout_ms: 1234", "RouteConfiguration 1"),
        (", headers: {x-a: b}", "RouteConfiguration 2"),
        (", weight: 50", ""),
        // Options of a cluster stand in the cluster alone.
        (", connect_timeout_ms: 1234", "Cluster 1"),
    ] {
        let (delta, sizes) = after(&mapping("one", "a", more));
        assert_eq!(sizes, expected, "{more}: {:?}", names(&delta));
        let other = names(&delta).into_iter().find(|name| name.contains("two"));
        assert_eq!(other, None, "{more}");
    }
}

#[test]
fn a_weight_touches_the_routes_of_its_group_only() {
    let mut compiler = world();
    let canary = mapping("one", "a", "").replace("name: one-a", "name: canary");
    let canary = canary.replace("service: one-a", "service: two-b");
    let first = compiler.apply(manifests::changes(&canary.replace("}\n---", ", weight: 10}\n---")));
    assert_eq!(sizes(&first), "RouteConfiguration 2");
    let second =
        compiler.apply(manifests::changes(&canary.replace("}\n---", ", weight: 20}\n---")));
    assert_eq!(sizes(&second), "RouteConfiguration 1", "redirects are not shared out");
}

#[test]
fn a_context_touches_the_clusters_that_originate_tls_with_it() {
    let mut compiler = world();
    let uses = mapping("one", "a", ", tls: upstream");
    compiler.apply(manifests::changes(&uses));
    let context = "apiVersion: getambassador.io/v3alpha1\nkind: TLSContext\nmetadata: {name: upstream, namespace: default}\nspec: {secret: client, sni: up.test}\n";
    let delta = compiler.apply(manifests::changes(context));
    assert_eq!(sizes(&delta), "Cluster 1", "{:?}", names(&delta));
    let rotated = compiler.apply(manifests::changes(&certificate("client")));
    assert_eq!(names(&rotated), ["Secret certificate/client.default"]);
}

#[test]
fn services_touch_the_mappings_that_name_them() {
    // A Service that comes to be where a name was left to DNS.
    let mut compiler = world();
    compiler.apply(manifests::changes(&mapping("one", "new", "")));
    let delta = compiler.apply(manifests::changes(&slice("one", "new", "10.0.0.9")));
    assert_eq!(sizes(&delta), "Cluster 1, ClusterLoadAssignment 1", "{:?}", names(&delta));
    let unrelated = compiler.apply(manifests::changes(&slice("nobody", "x", "10.0.0.9")));
    assert_eq!(sizes(&unrelated), "");
    let key = ObjectKey::new(Kind::Service, "default", "one-new");
    let gone = compiler.apply(vec![Change::Delete(key)]);
    assert_eq!(sizes(&gone), "Cluster 1, removed: ClusterLoadAssignment 1", "{:?}", names(&gone));
}

#[test]
fn module_settings_touch_what_they_are_about() {
    let module = |config: &str| {
        format!(
            "apiVersion: getambassador.io/v3alpha1\nkind: Module\nmetadata: {{name: ambassador, namespace: default}}\nspec: {{config: {{{config}}}}}\n"
        )
    };
    // Tables of two TLS chains; the shared cleartext one only redirects. Five
    // clusters: four services and the probes.
    for (config, expected) in [
        ("", ""),
        ("cluster_idle_timeout_ms: 9000", "Cluster 5"),
        ("cluster_request_timeout_ms: 9000", "RouteConfiguration 2"),
        ("merge_slashes: true", "Listener 1"),
    ] {
        let (delta, sizes) = after(&module(config));
        assert_eq!(sizes, expected, "{config}: {:?}", names(&delta));
    }
}

#[test]
fn policies_and_limits_touch_neither_routes_nor_clusters() {
    let limit = "apiVersion: getambassador.io/v3alpha1\nkind: RateLimit\nmetadata: {name: limits, namespace: default}\nspec: {domain: shop, limits: [{pattern: [{generic_key: a}], rate: 6, unit: minute}]}\n";
    assert_eq!(after(limit).1, "RateLimitConfig 1");
    let policy = "apiVersion: getambassador.io/v3alpha1\nkind: FilterPolicy\nmetadata: {name: guard, namespace: default}\nspec: {rules: [{host: one.test, path: /other/, filters: [{name: keys}]}]}\n";
    assert_eq!(after(policy).1, "FilterPolicy 1");
    let filter = "apiVersion: getambassador.io/v3alpha1\nkind: Filter\nmetadata: {name: keys, namespace: default}\nspec: {APIKey: {httpHeader: x-key, keys: [{secretName: api-keys}]}}\n";
    assert_eq!(after(filter).1, "Filter 1");
}

#[test]
fn a_hosts_policy_touches_its_tables_only() {
    let host = "apiVersion: getambassador.io/v3alpha1\nkind: Host\nmetadata: {name: one, namespace: default}\nspec: {hostname: one.test, tlsSecret: {name: one}, requestPolicy: {insecure: {action: Route}}}\n";
    let (delta, sizes) = after(host);
    let other = names(&delta).into_iter().find(|name| name.contains("two"));
    assert_eq!(other, None);
    assert!(sizes.starts_with("RouteConfiguration"), "{sizes}: {:?}", names(&delta));
}

#[test]
fn objects_that_say_the_same_touch_nothing() {
    assert_eq!(after(&WORLD).1, "");
}
