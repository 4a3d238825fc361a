//! Objects that are wrong, each in a way that Envoy, were it told of it, would
//! answer with a refusal of far more than the object.

/// One poison.
#[derive(Debug)]
pub(crate) struct Poison {
    /// What is wrong, for people.
    pub(crate) name: &'static str,
    /// Its kind.
    pub(crate) kind: &'static str,
    /// The spec in flow style; for a Secret its data.
    spec: &'static str,
}

impl Poison {
    /// Returns the name of the object that the findings are to be about, given
    /// the name that it would have.
    pub(crate) fn object<'a>(&self, name: &'a str) -> &'a str {
        if self.kind == "Module" { "ambassador" } else { name }
    }

    /// Returns the object under a name, and what it needs to be looked at.
    pub(crate) fn yaml(&self, name: &str) -> String {
        let Self { kind, spec, .. } = self;
        if *kind == "Secret" {
            return format!(
                "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: default}}\ntype: kubernetes.io/tls\nstringData: {{{spec}}}\n---\napiVersion: getambassador.io/v3alpha1\nkind: Host\nmetadata: {{name: user-{name}, namespace: default}}\nspec: {{hostname: {name}.test, tlsSecret: {{name: {name}}}}}\n"
            );
        }
        let name = self.object(name);
        format!(
            "apiVersion: getambassador.io/v3alpha1\nkind: {kind}\nmetadata: {{name: {name}, namespace: default}}\nspec: {{{spec}}}\n"
        )
    }
}

/// Returns Listeners, a Host with a certificate, and a Mapping to a backend that
/// needs no leave: an auth service that is not understood lets nobody else in.
pub(crate) fn good(port: u16) -> String {
    let key = rcgen::generate_simple_self_signed(vec!["good.test".into()]).unwrap();
    let indent = |pem: String| pem.trim().replace('\n', "\n    ");
    let certificate = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: good, namespace: default}}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: |\n    {}\n  tls.key: |\n    {}\n",
        indent(key.cert.pem()),
        indent(key.signing_key.serialize_pem())
    );
    let ours = |kind: &str, name: &str, spec: &str| {
        format!(
            "---\napiVersion: getambassador.io/v3alpha1\nkind: {kind}\nmetadata: {{name: {name}, namespace: default}}\nspec: {{{spec}}}\n"
        )
    };
    [
        certificate,
        ours("Listener", "good", "port: 8080, protocol: HTTP, securityModel: XFP, hostBinding: {namespace: {from: ALL}}"),
        ours("Listener", "secure", "port: 8443, protocol: HTTPS, securityModel: XFP, hostBinding: {namespace: {from: ALL}}"),
        ours("Host", "good", "hostname: good.test, tlsSecret: {name: good}, requestPolicy: {insecure: {action: Route}}"),
        ours("Mapping", "good", "hostname: good.test, prefix: /good/, service: up, bypass_auth: true"),
        format!("---\napiVersion: v1\nkind: Service\nmetadata: {{name: up, namespace: default}}\nspec: {{ports: [{{name: p, port: 80, targetPort: {port}}}]}}\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: up, namespace: default, labels: {{kubernetes.io/service-name: up}}}}\naddressType: IPv4\nports: [{{name: p, port: {port}}}]\nendpoints: [{{addresses: [127.0.0.1]}}]\n"),
    ]
    .concat()
}

const fn poison(name: &'static str, kind: &'static str, spec: &'static str) -> Poison {
    Poison { name, kind, spec }
}

const fn mapping(name: &'static str, spec: &'static str) -> Poison {
    Poison { name, kind: "Mapping", spec }
}

/// Every poison.
pub(crate) const POISONS: &[Poison] = &[
    mapping(
        "regex that is none",
        "hostname: good.test, prefix: '(', prefix_regex: true, service: up",
    ),
    mapping(
        "regex with look-ahead",
        "hostname: good.test, prefix: '/(?=a)', prefix_regex: true, service: up",
    ),
    mapping(
        "regex that RE2 finds too large",
        "hostname: good.test, prefix: '/(\\w{1,200}){1,50}', prefix_regex: true, service: up",
    ),
    mapping(
        "regex of too many instructions",
        "hostname: good.test, prefix: '/[a-z]{1,900}x{1,900}', prefix_regex: true, service: up",
    ),
    mapping(
        "regex with a class of sets",
        "hostname: good.test, prefix: '/[a-z&&[^b]]', prefix_regex: true, service: up",
    ),
    mapping(
        "regex with a word-start",
        "hostname: good.test, prefix: '/\\b{start}a', prefix_regex: true, service: up",
    ),
    mapping(
        "regex with a Unicode class by name",
        "hostname: good.test, prefix: '/\\p{Alphabetic}', prefix_regex: true, service: up",
    ),
    mapping(
        "regex with an escape of a letter",
        "hostname: good.test, prefix: '/\\u{61}', prefix_regex: true, service: up",
    ),
    mapping("host regex that is none", "host: 'a(', host_regex: true, prefix: /a/, service: up"),
    mapping(
        "header regex that is none",
        "hostname: good.test, prefix: /a/, service: up, regex_headers: {x-a: '('}",
    ),
    mapping(
        "query regex that is none",
        "hostname: good.test, prefix: /a/, service: up, regex_query_parameters: {q: '('}",
    ),
    mapping("empty header name", "hostname: good.test, prefix: /a/, service: up, headers: {'': x}"),
    mapping(
        "header name with a space",
        "hostname: good.test, prefix: /a/, service: up, headers: {'x y': x}",
    ),
    mapping("prefix with a line break", "hostname: good.test, prefix: \"/a\\nb\", service: up"),
    mapping(
        "rewrite with a line break",
        "hostname: good.test, prefix: /a/, service: up, rewrite: \"/\\r\\n\"",
    ),
    mapping(
        "rewrite by a group that is not there",
        "hostname: good.test, prefix: /a/, service: up, regex_rewrite: {pattern: a, substitution: '\\3'}",
    ),
    mapping(
        "unknown format command",
        "hostname: good.test, prefix: /a/, service: up, add_request_headers: {x-a: {value: '%NOPE%'}}",
    ),
    mapping(
        "lone percent sign",
        "hostname: good.test, prefix: /a/, service: up, add_response_headers: {x-a: {value: '100%'}}",
    ),
    mapping(
        "command without its argument",
        "hostname: good.test, prefix: /a/, service: up, add_request_headers: {x-a: {value: '%REQ%'}}",
    ),
    mapping(
        "command with an argument too many",
        "hostname: good.test, prefix: /a/, service: up, add_request_headers: {x-a: {value: '%PROTOCOL(x)%'}}",
    ),
    mapping(
        "command with a bad argument",
        "hostname: good.test, prefix: /a/, service: up, add_request_headers: {x-a: {value: '%DYNAMIC_METADATA%'}}",
    ),
    mapping(
        "command with no bytes",
        "hostname: good.test, prefix: /a/, service: up, add_request_headers: {x-a: {value: '%REQ()%'}}",
    ),
    mapping(
        "added pseudo-header",
        "hostname: good.test, prefix: /a/, service: up, add_request_headers: {':path': {value: x}}",
    ),
    mapping(
        "removed host header",
        "hostname: good.test, prefix: /a/, service: up, remove_request_headers: [host]",
    ),
    mapping(
        "removed header without a name",
        "hostname: good.test, prefix: /a/, service: up, remove_response_headers: ['']",
    ),
    mapping(
        "host rewrite with a line break",
        "hostname: good.test, prefix: /a/, service: up, host_rewrite: \"a\\nb\"",
    ),
    mapping(
        "redirect to a host with a line break",
        "hostname: good.test, prefix: /a/, service: \"a\\nb\", host_redirect: true",
    ),
    mapping("weight over a hundred", "hostname: good.test, prefix: /a/, service: up, weight: 300"),
    mapping("negative timeout", "hostname: good.test, prefix: /a/, service: up, timeout_ms: -1"),
    mapping(
        "retries of nothing",
        "hostname: good.test, prefix: /a/, service: up, retry_policy: {num_retries: 3}",
    ),
    mapping(
        "retries for an unknown reason",
        "hostname: good.test, prefix: /a/, service: up, retry_policy: {retry_on: never}",
    ),
    mapping(
        "retry timeout of no unit",
        "hostname: good.test, prefix: /a/, service: up, retry_policy: {retry_on: 5xx, per_try_timeout: soon}",
    ),
    mapping(
        "upgrade without a name",
        "hostname: good.test, prefix: /a/, service: up, allow_upgrade: ['']",
    ),
    mapping(
        "breaker of an unknown priority",
        "hostname: good.test, prefix: /a/, service: up, circuit_breakers: [{priority: urgent}]",
    ),
    mapping(
        "hash of a header without a name",
        "hostname: good.test, prefix: /a/, service: up, resolver: endpoint, load_balancer: {policy: ring_hash, header: ''}",
    ),
    mapping(
        "hash of a header with a space",
        "hostname: good.test, prefix: /a/, service: up, resolver: endpoint, load_balancer: {policy: ring_hash, header: 'x y'}",
    ),
    mapping(
        "hash of a cookie without a name",
        "hostname: good.test, prefix: /a/, service: up, resolver: endpoint, load_balancer: {policy: ring_hash, cookie: {name: ''}}",
    ),
    mapping(
        "health check without a path",
        "hostname: good.test, prefix: /a/, service: up, resolver: endpoint, health_checks: [{health_check: {http: {path: ''}}}]",
    ),
    mapping(
        "health check with a bad header",
        "hostname: good.test, prefix: /a/, service: up, resolver: endpoint, health_checks: [{health_check: {http: {path: /, add_request_headers: {'x y': {value: z}}}}}]",
    ),
    mapping(
        "health check with a bad format",
        "hostname: good.test, prefix: /a/, service: up, resolver: endpoint, health_checks: [{health_check: {http: {path: /, add_request_headers: {x-a: {value: '%NOPE%'}}}}}]",
    ),
    mapping(
        "label without a key",
        "hostname: good.test, prefix: /a/, service: up, labels: {ambassador: [{g: [{generic_key: {value: ''}}]}]}",
    ),
    mapping(
        "TLS context that is not there",
        "hostname: good.test, prefix: /a/, service: up, tls: nobody",
    ),
    mapping(
        "resolver that is not there",
        "hostname: good.test, prefix: /a/, service: up, resolver: nobody",
    ),
    mapping("service with a bad port", "hostname: good.test, prefix: /a/, service: 'up:99999'"),
    mapping("service without a host", "hostname: good.test, prefix: /a/, service: 'http://'"),
    poison("host name with two stars", "Host", "hostname: '*.*.test'"),
    poison("host name with a slash", "Host", "hostname: 'a/b'"),
    poison(
        "certificate that is not there",
        "Host",
        "hostname: poison.test, tlsSecret: {name: nobody}",
    ),
    poison(
        "TLS of an unknown version",
        "Host",
        "hostname: poison.test, tlsSecret: {name: good}, tls: {min_tls_version: v9}",
    ),
    poison(
        "TLS from new to old",
        "Host",
        "hostname: poison.test, tlsSecret: {name: good}, tls: {min_tls_version: v1.3, max_tls_version: v1.2}",
    ),
    poison(
        "ciphers that nobody knows",
        "Host",
        "hostname: poison.test, tlsSecret: {name: good}, tls: {cipher_suites: [ROT13]}",
    ),
    poison(
        "curves that nobody knows",
        "Host",
        "hostname: poison.test, tlsSecret: {name: good}, tls: {ecdh_curves: [flat]}",
    ),
    poison("SNI that no chain can match", "Host", "hostname: 'poison*', tlsSecret: {name: good}"),
    poison(
        "port that a Listener has",
        "Listener",
        "port: 8080, protocol: HTTP, securityModel: XFP, hostBinding: {namespace: {from: ALL}}",
    ),
    poison(
        "port out of range",
        "Listener",
        "port: 99999, protocol: HTTP, securityModel: XFP, hostBinding: {namespace: {from: ALL}}",
    ),
    poison(
        "stack without an end",
        "Listener",
        "port: 9000, protocolStack: [TLS], securityModel: XFP, hostBinding: {namespace: {from: ALL}}",
    ),
    poison(
        "TCP by a host without TLS",
        "TCPMapping",
        "port: 9001, host: nobody.test, service: 'up:80'",
    ),
    poison("TCP to a bad address", "TCPMapping", "port: 9001, address: nowhere, service: 'up:80'"),
    poison(
        "ciphers that nobody knows",
        "TLSContext",
        "hosts: [good.test], secret: good, cipher_suites: [ROT13]",
    ),
    poison("secret that is not there", "TLSContext", "hosts: [other.test], secret: nobody"),
    poison(
        "certificate that is none",
        "Secret",
        "tls.crt: \"-----BEGIN CERTIFICATE-----\\nQUJD\\n-----END CERTIFICATE-----\\n\", tls.key: \"-----BEGIN PRIVATE KEY-----\\nQUJD\\n-----END PRIVATE KEY-----\\n\"",
    ),
    poison("certificate without PEM", "Secret", "tls.crt: abc, tls.key: def"),
    poison(
        "default format that is none",
        "Module",
        "config: {defaults: {httpmapping: {add_request_headers: {x: '%NOPE%'}}}}",
    ),
    poison("log format that is none", "Module", "config: {envoy_log_format: '%NOPE%'}"),
    poison(
        "log format with a command that Envoy lacks",
        "Module",
        "config: {envoy_log_format: '%REQ%'}",
    ),
    poison("log of an unknown type", "Module", "config: {envoy_log_type: xml}"),
    poison("server name with a line break", "Module", "config: {server_name: \"a\\nb\"}"),
    poison(
        "address that is none",
        "Module",
        "config: {ip_allow: [{remote: nowhere}, {remote: 127.0.0.0/8}]}",
    ),
    poison("balancer that nobody knows", "Module", "config: {load_balancer: {policy: best}}"),
    poison(
        "breakers out of range",
        "Module",
        "config: {circuit_breakers: [{max_connections: -5}]}",
    ),
    poison(
        "service without a host",
        "AuthService",
        "auth_service: 'http://:80', proto: grpc, protocol_version: v3",
    ),
    poison("status out of range", "AuthService", "auth_service: up, status_on_error: {code: 42}"),
    poison("header that is none", "AuthService", "auth_service: up, add_auth_headers: {'x y': z}"),
    poison("unknown protocol", "AuthService", "auth_service: up, proto: carrier-pigeon"),
    poison("unknown protocol version", "RateLimitService", "service: up, protocol_version: v9"),
    poison(
        "unknown driver",
        "LogService",
        "service: up, driver: udp, protocol_version: v3, driver_config: {}",
    ),
    poison("unknown driver", "TracingService", "service: up, driver: smoke"),
    poison(
        "tag without a name",
        "TracingService",
        "service: up, driver: zipkin, custom_tags: [{tag: '', literal: {value: x}}]",
    ),
    poison("address of nothing", "ConsulResolver", "address: '', datacenter: ''"),
    poison("filter of no kind", "Filter", "Magic: {}"),
    poison(
        "limit by no unit",
        "RateLimit",
        "domain: shop, limits: [{pattern: [{generic_key: a}], rate: 5, unit: fortnight}]",
    ),
];
