//! Random objects of every kind, over few names, so that they meet.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::select;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, SerialNumber,
};

const HEAD: &str = "apiVersion: getambassador.io/v3alpha1\n";

/// Returns one object as YAML.
pub(crate) fn any_object() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => mapping(),
        3 => host(),
        2 => listener(),
        2 => service(),
        2 => slice(),
        2 => secret(),
        1 => endpoints(),
        1 => ingress(),
        1 => ingress_class(),
        1 => tcp_mapping(),
        1 => tls_context(),
        1 => module(),
        1 => plug_in(),
        1 => policy(),
        1 => inert(),
    ]
}

fn name() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "b", "c", "d"])
}

fn namespace() -> impl Strategy<Value = &'static str> {
    select(vec!["default", "other"])
}

fn object(kind: &str, name: &str, namespace: &str, labels: &str, spec: &str) -> String {
    format!(
        "{HEAD}kind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}, labels: {{{labels}}}}}\nspec: {{{spec}}}\n"
    )
}

fn mapping() -> impl Strategy<Value = String> {
    let host = select(vec![
        "",
        "hostname: '*', ",
        "hostname: a.com, ",
        "hostname: '*.com', ",
        "host: 'a.*', host_regex: true, ",
    ]);
    let prefix = select(vec!["/", "/a/", "/a/b/", "/.well-known/acme-challenge/"]);
    let service = select(vec!["a", "b:8080", "https://c", "a.other", "10.0.0.1", "bad:port"]);
    let extra = select(vec![
        "",
        ", weight: 10",
        ", weight: 50",
        ", shadow: true",
        ", host_redirect: true",
        ", precedence: 1",
        ", headers: {x-a: b}",
        ", regex_headers: {x-a: 'b.*'}",
        ", connect_timeout_ms: 1000",
        ", resolver: endpoint",
        ", resolver: nobody",
        ", tls: a",
        ", bypass_auth: true",
        ", prefix_exact: true",
        ", grpc: true",
        ", resolver: endpoint, load_balancer: {policy: ring_hash, header: x-h}",
        ", labels: {ambassador: [{g: [{generic_key: {value: v}}]}]}",
        ", method: GET, query_parameters: {q: v}",
        ", regex_query_parameters: {q: 'v.*'}, case_sensitive: false",
        ", add_request_headers: {x-a: {value: b, append: false}}, remove_response_headers: [x-b]",
        ", cors: {origins: ['*']}, retry_policy: {retry_on: 5xx, num_retries: 2}",
        ", circuit_breakers: [{max_requests: 5}]",
        ", regex_rewrite: {pattern: '/(.*)', substitution: '/x/\\1'}",
        ", timeout_ms: 0, idle_timeout_ms: 100, use_websocket: true",
        ", resolver: c",
        ", tls: b",
        ", regex_headers: {x-a: '('}",
        ", stats_name: s",
        ", outlier_detection: 'true'",
        ", bypass_error_response_overrides: true",
        ", error_response_overrides: [{on_status_code: 404, body: {text_format: gone}}]",
        ", error_response_overrides: [{on_status_code: 404, body: {text_format: '%'}}]",
        ", error_response_overrides: [{on_status_code: 404, body: {text_format: '%CEL(a)%'}}]",
        ", add_request_headers: {x-a: {value: '%CEL(a)%'}}",
        ", add_response_headers: {x-a: {value: '%CEL(b)%'}}, regex_headers: {x-a: '('}",
        ", add_response_headers: {x-a: {value: '%CEL(b)%'}}",
    ]);
    let labels = select(vec!["", "l: x"]);
    (name(), namespace(), host, prefix, service, extra, labels).prop_map(
        |(name, namespace, host, prefix, service, extra, labels)| {
            let spec = format!("{host}prefix: {prefix}, service: '{service}'{extra}");
            object("Mapping", name, namespace, labels, &spec)
        },
    )
}

fn host() -> impl Strategy<Value = String> {
    let hostname = select(vec!["'*'", "a.com", "'*.com'", "'a.com:8443'", "b.org"]);
    let extra = select(vec![
        "",
        ", mappingSelector: {matchLabels: {l: x}}",
        ", tlsSecret: {name: s}",
        ", requestPolicy: {insecure: {action: Route}}",
        ", requestPolicy: {insecure: {action: Reject}}",
        ", requestPolicy: {insecure: {additionalPort: 8080}}",
        ", requestPolicy: {insecure: {action: Route, additionalPort: 8088}}",
        ", tlsSecret: {name: s}, tlsContext: {name: c}",
        ", acmeProvider: {email: a@b.c}",
    ]);
    (name(), namespace(), hostname, extra).prop_map(|(name, namespace, hostname, extra)| {
        object("Host", name, namespace, "", &format!("hostname: {hostname}{extra}"))
    })
}

fn listener() -> impl Strategy<Value = String> {
    let port = select(vec![8080, 8443]);
    let protocol = select(vec!["HTTP", "HTTPS", "TCP", "HTTPSPROXY"]);
    let model = select(vec!["XFP", "SECURE", "INSECURE"]);
    let from = select(vec!["SELF", "ALL"]);
    let extra = select(vec!["", ", l7Depth: 1"]);
    (name(), namespace(), port, protocol, model, from, extra).prop_map(
        |(name, namespace, port, protocol, model, from, extra)| {
            let spec = format!(
                "port: {port}, protocol: {protocol}, securityModel: {model}, hostBinding: {{namespace: {{from: {from}}}}}{extra}"
            );
            object("Listener", name, namespace, "", &spec)
        },
    )
}

fn service() -> impl Strategy<Value = String> {
    let port = select(vec!["80", "8080", "443"]);
    (name(), namespace(), port).prop_map(|(name, namespace, port)| {
        format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{ports: [{{name: http, port: {port}, targetPort: 9000}}]}}\n")
    })
}

fn slice() -> impl Strategy<Value = String> {
    let address = select(vec!["10.1.0.1", "10.1.0.2"]);
    (name(), name(), namespace(), address, any::<bool>()).prop_map(
        |(name, of, namespace, address, ready)| {
            format!("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {name}, namespace: {namespace}, labels: {{kubernetes.io/service-name: {of}}}}}\naddressType: IPv4\nendpoints: [{{addresses: [{address}], conditions: {{ready: {ready}}}}}]\nports: [{{name: http, port: 9000}}]\n")
        },
    )
}

/// Kinds that only selectors and people look at.
fn inert() -> impl Strategy<Value = String> {
    let config_map = (name(), namespace()).prop_map(|(name, namespace)| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {namespace}}}\ndata: {{a: b}}\n")
    });
    let namespace = namespace()
        .prop_map(|name| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n"));
    prop_oneof![config_map, namespace]
}

fn endpoints() -> impl Strategy<Value = String> {
    let address = select(vec!["10.2.0.1", "10.2.0.2"]);
    (name(), namespace(), address).prop_map(|(name, namespace, address)| {
        format!("apiVersion: v1\nkind: Endpoints\nmetadata: {{name: {name}, namespace: {namespace}}}\nsubsets: [{{addresses: [{{ip: {address}}}], ports: [{{name: http, port: 9000}}]}}]\n")
    })
}

/// Certificates and their keys, as they stand between quotes in YAML.
static PAIRS: LazyLock<[(String, String); 2]> = LazyLock::new(|| {
    ["a.com", "b.org"].map(|name| {
        let pair = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a key");
        (quoted(&pair.cert.pem()), quoted(&pair.signing_key.serialize_pem()))
    })
});

/// A list of revoked certificates, none of which is.
static REVOKED: LazyLock<String> = LazyLock::new(|| {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let issuer = Issuer::new(params, KeyPair::generate().expect("a key"));
    let list = CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2020, 1, 1),
        next_update: rcgen::date_time_ymd(2040, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    quoted(&list.signed_by(&issuer).expect("a list").pem().expect("PEM"))
});

fn quoted(pem: &str) -> String {
    pem.replace('\n', "\\n")
}

/// Secrets of the names that Hosts, TLSContexts and Filters ask for; some can
/// be used, some lack a part, and one keeps its last good version.
fn secret() -> impl Strategy<Value = String> {
    let [first, second] = &*PAIRS;
    let (chain, key) = first;
    let (_, other) = second;
    let revoked = &*REVOKED;
    let name = select(vec!["s", "ca", "crl", "fallback-self-signed-cert"]);
    let content = select(vec![
        ("kubernetes.io/tls", format!("tls.crt: \"{chain}\", tls.key: \"{key}\"")),
        ("kubernetes.io/tls", format!("tls.crt: \"{}\", tls.key: \"{other}\"", second.0)),
        ("kubernetes.io/tls", format!("tls.crt: \"{chain}\", tls.key: \"{other}\"")),
        ("kubernetes.io/tls", format!("tls.crt: \"{chain}\"")),
        ("Opaque", format!("tls.crt: \"{chain}\"")),
        ("Opaque", format!("crl.pem: \"{revoked}\"")),
        ("Opaque", "key: value".to_owned()),
    ]);
    (name, namespace(), content).prop_map(|(name, namespace, (kind, data))| {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\ntype: {kind}\nstringData: {{{data}}}\n")
    })
}

fn ingress_class() -> impl Strategy<Value = String> {
    let controller = select(vec!["getambassador.io/ingress-controller", "example.com/other"]);
    (name(), controller).prop_map(|(name, controller)| {
        format!("apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {{name: {name}}}\nspec: {{controller: {controller}}}\n")
    })
}

fn ingress() -> impl Strategy<Value = String> {
    let host = select(vec!["", "host: a.com, ", "host: '*.com', "]);
    let port = select(vec!["number: 80", "name: http"]);
    let tls = select(vec!["", "tls: [{hosts: [a.com], secretName: s}]"]);
    let class = select(vec![
        ("{kubernetes.io/ingress.class: ambassador}", ""),
        ("{}", "ingressClassName: a"),
        ("{}", ""),
    ]);
    (name(), namespace(), host, port, tls, class).prop_map(|(name, namespace, host, port, tls, (annotations, class))| {
        format!("apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}, namespace: {namespace}, annotations: {annotations}}}\nspec:\n  {class}\n  {tls}\n  rules: [{{{host}http: {{paths: [{{path: /i/, pathType: Prefix, backend: {{service: {{name: a, port: {{{port}}}}}}}}}]}}}}]\n")
    })
}

fn tcp_mapping() -> impl Strategy<Value = String> {
    let extra = select(vec!["", ", weight: 20", ", host: a.com", ", tls: a"]);
    (name(), namespace(), extra).prop_map(|(name, namespace, extra)| {
        object("TCPMapping", name, namespace, "", &format!("port: 9001, service: 'a:80'{extra}"))
    })
}

fn tls_context() -> impl Strategy<Value = String> {
    let spec = select(vec![
        "sni: up.com",
        "secret: s",
        "hosts: [a.com]",
        "secret: s.other",
        "hosts: [a.com], secret: s, ca_secret: ca, cert_required: true",
        "ca_secret: ca, crl_secret: crl",
        "secret: s, min_tls_version: v9",
    ]);
    (name(), namespace(), spec)
        .prop_map(|(name, namespace, spec)| object("TLSContext", name, namespace, "", spec))
}

fn module() -> impl Strategy<Value = String> {
    let config = select(vec![
        "",
        "cluster_request_timeout_ms: 1000",
        "add_linkerd_headers: true",
        "use_remote_address: false",
        "diagnostics: {enabled: true}",
        "ip_allow: [{peer: nonsense}]",
        "retry_policy: {retry_on: 5xx}",
        "readiness_probe: {enabled: false}",
        "resolver: endpoint",
        "load_balancer: {policy: least_request}",
        "circuit_breakers: [{max_connections: 5}]",
        "defaults: {httpmapping: {add_request_headers: {x-m: m}}}",
        "cors: {origins: ['http://o.com']}",
        "strip_matching_host_port: true, lua_scripts: 'function envoy_on_request(h) end'",
        "lua_scripts: 'function envoy_on_response(h) end', envoy_log_path: /tmp/a",
        "envoy_log_path: /tmp/b, envoy_log_format: '%CEL(a)%'",
        "envoy_log_type: json, envoy_log_format: {a: '%CEL(b)%'}, lua_scripts: x",
        "defaults: {httpmapping: {add_request_headers: {x-m: '%CEL(b)%'}}}",
        "error_response_overrides: [{on_status_code: 503, body: {json_format: {a: '%CEL(a)%'}}}]",
        "default_label_domain: other",
        "defaults: {httpmapping: {add_request_headers: {'bad name': x}}}",
        "default_labels: {ambassador: {defaults: [{remote_address: {key: remote_address}}]}}",
        "error_response_overrides: [{on_status_code: 503, body: {json_format: {a: b}}}]",
    ]);
    (namespace(), config).prop_map(|(namespace, config)| {
        object("Module", "ambassador", namespace, "", &format!("config: {{{config}}}"))
    })
}

fn plug_in() -> impl Strategy<Value = String> {
    let kind = select(vec![
        ("AuthService", "auth_service: 'a:3000', proto: grpc, protocol_version: v3"),
        ("AuthService", "auth_service: 'a:3000', proto: grpc"),
        ("AuthService", "auth_service: b, timeout_ms: 100"),
        ("RateLimitService", "service: 'a:5000', protocol_version: v3"),
        ("RateLimitService", "service: 'a:5000', protocol_version: v2"),
        ("LogService", "service: 'a:5001', driver: tcp, protocol_version: v3, driver_config: {}"),
        ("TracingService", "service: 'a:9411', driver: zipkin"),
        ("KubernetesEndpointResolver", ""),
        ("KubernetesServiceResolver", ""),
        ("DevPortal", "default: true"),
        ("ConsulResolver", "address: 'c:8500', datacenter: dc1"),
    ]);
    (name(), namespace(), kind)
        .prop_map(|(name, namespace, (kind, spec))| object(kind, name, namespace, "", spec))
}

fn policy() -> impl Strategy<Value = String> {
    let kind = select(vec![
        ("Filter", "APIKey: {keys: [{secretName: s}]}"),
        ("FilterPolicy", "rules: [{host: '*', path: '*', filters: [{name: a}]}]"),
        (
            "RateLimit",
            "domain: ambassador, limits: [{pattern: [{generic_key: v}], rate: 5, unit: minute}]",
        ),
        ("RateLimit", "limits: [{pattern: [{generic_key: v}], rate: 5, unit: fortnight}]"),
    ]);
    (name(), namespace(), kind)
        .prop_map(|(name, namespace, (kind, spec))| object(kind, name, namespace, "", spec))
}
