//! Random configurations, as users write them, and requests that come close to
//! their conditions.

use proptest::prelude::*;
use proptest::sample::select;

/// Names of the backends that answer; Service `empty` has no endpoints.
pub(crate) const BACKENDS: [&str; 3] = ["a", "b", "c"];

/// Ports of the cleartext and the TLS Listener, which only a run knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) http: u16,
    pub(crate) https: u16,
}

impl Ports {
    /// Puts the ports in the places of `HTTP` and `HTTPS`.
    pub(crate) fn fill(self, text: &str) -> String {
        text.replace("$HTTPS", &self.https.to_string()).replace("$HTTP", &self.http.to_string())
    }
}

/// A configuration and requests to it.
#[derive(Debug, Clone)]
pub(crate) struct World {
    /// Objects, with `$HTTP` and `$HTTPS` for the ports.
    pub(crate) objects: Vec<String>,
    pub(crate) asks: Vec<Ask>,
    /// Decides about canary shares, 0 to 99.
    pub(crate) draw: u32,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) tls: bool,
    /// To the Listener that speaks TLS.
    pub(crate) secure_port: bool,
    pub(crate) authority: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
}

/// A Mapping, and a request that meets its conditions on path and host.
#[derive(Debug, Clone)]
struct Mapping {
    spec: String,
    labels: &'static str,
    path: String,
    host: &'static str,
}

/// Returns configurations with about this many requests each; large ones have
/// an index.
pub(crate) fn world(large: bool, requests: usize) -> impl Strategy<Value = World> {
    let mappings = if large {
        prop::collection::vec(mapping(), 150..250).prop_map(spread).boxed()
    } else {
        prop::collection::vec(mapping(), 1..50).boxed()
    };
    let parts = (mappings, hosts(), listeners(), module(), 0..100_u32);
    parts.prop_flat_map(move |(mappings, hosts, listeners, module, draw)| {
        let aims: Vec<_> = mappings.iter().map(|it| (it.path.clone(), it.host)).collect();
        let mut objects: Vec<String> = mappings
            .iter()
            .enumerate()
            .map(|(number, it)| object("Mapping", &format!("m{number}"), it.labels, &it.spec))
            .collect();
        objects.extend(hosts);
        objects.extend(listeners);
        objects.extend(module);
        let asks = prop::collection::vec(ask(aims), requests);
        (Just(objects), asks, Just(draw)).prop_map(|(objects, asks, draw)| World {
            objects,
            asks,
            draw,
        })
    })
}

/// Gives most Mappings of a literal prefix a beginning of their own: where many
/// begin alike, an index is no use.
fn spread(mut mappings: Vec<Mapping>) -> Vec<Mapping> {
    for (number, mapping) in mappings.iter_mut().enumerate() {
        let literal = !mapping.spec.contains("prefix_regex") && mapping.path.starts_with('/');
        if literal && !number.is_multiple_of(8) {
            let own = format!("/n{number}");
            mapping.spec = mapping.spec.replacen("prefix: '", &format!("prefix: '{own}"), 1);
            mapping.path.insert_str(0, &own);
        }
    }
    mappings
}

fn object(kind: &str, name: &str, labels: &str, spec: &str) -> String {
    format!(
        "apiVersion: getambassador.io/v3alpha1\nkind: {kind}\nmetadata: {{name: {name}, namespace: default, labels: {{{labels}}}}}\nspec: {{{spec}}}\n"
    )
}

/// Literal beginnings of paths.
fn literal() -> impl Strategy<Value = String> {
    let piece = select(vec!["/", "/a", "/b", "/ab", "/A", "/x.y", "/a%2Fb", "/1", "/a;v=1"]);
    (prop::collection::vec(piece, 1..4), any::<bool>())
        .prop_map(|(pieces, slash)| pieces.concat() + if slash { "/" } else { "" })
}

/// Condition on the path, and a path that meets it.
fn path() -> impl Strategy<Value = (String, String)> {
    let pattern = select(vec![
        ("/[a-z]+/x", "/abc/x"),
        ("/a.*", "/a/q"),
        ("/(a|b)/c?", "/b/c"),
        ("(?i)/a/.*", "/A/x"),
        (r"/a/\d+", "/a/12"),
        (r"/x\.y", "/x.y"),
        (".*", "/zzz"),
        ("/a/b/?", "/a/b/"),
    ]);
    prop_oneof![
        6 => literal().prop_map(|text| (format!("prefix: '{text}'"), text)),
        1 => literal().prop_map(|text| (format!("prefix: '{text}', prefix_exact: true"), text)),
        1 => literal().prop_map(|text| {
            (format!("prefix: '{text}', case_sensitive: false"), text.to_uppercase())
        }),
        1 => pattern.prop_map(|(pattern, path)| {
            (format!("prefix: '{pattern}', prefix_regex: true"), path.to_owned())
        }),
    ]
}

/// Condition on the host, and a host that meets it.
fn hostname() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop_oneof![
        4 => Just(("hostname: '*'", "any.test")),
        8 => select(vec![
            ("", "a.test"),
            ("hostname: a.test", "a.test"),
            ("hostname: '*.test'", "b.test"),
            ("hostname: 'a.*'", "a.org"),
            ("hostname: x.org", "x.org"),
            ("hostname: 'a.test:$HTTP'", "a.test:$HTTP"),
            ("host: a.test", "a.test"),
            ("host: '[a-b]\\.test', host_regex: true", "b.test"),
            ("headers: {':authority': a.test}", "a.test"),
        ]),
    ]
}

fn conditions() -> impl Strategy<Value = Vec<&'static str>> {
    let method = select(vec!["method: GET", "method: PUT", "method: 'P.*', method_regex: true"]);
    let header = select(vec![
        "headers: {x-a: '1'}",
        "headers: {X-A: '1', x-b: '2'}",
        "headers: {x-forwarded-proto: https}",
        "headers: {x-a: '1,2'}",
        "regex_headers: {x-a: '[0-9]+'}",
        "regex_headers: {x-b: '.*'}",
        "regex_headers: {x-a: '1,.*'}",
    ]);
    let query = select(vec![
        "query_parameters: {q: v}",
        "query_parameters: {q: ''}",
        "query_parameters: {q: v, r: '1'}",
        "query_parameters: {q: 'a b'}",
        "regex_query_parameters: {q: 'v.*'}",
        "regex_query_parameters: {r: '.*'}",
    ]);
    let order = select(vec!["precedence: 1", "precedence: -1"]);
    let rare = prop::option::weighted::<_>;
    (rare(0.1, method), rare(0.2, header), rare(0.15, query), rare(0.15, order))
        .prop_map(|(a, b, c, d)| [a, b, c, d].into_iter().flatten().collect())
}

/// What is done to a request that is taken.
fn action() -> impl Strategy<Value = Vec<&'static str>> {
    let service = select(vec!["a", "b", "c", "http://a", "'a:8080'", "a", "b", "c", "empty"]);
    let service = service.prop_map(|name| match name {
        "a" => "service: a",
        "b" => "service: b",
        "c" => "service: c",
        "http://a" => "service: http://a",
        "empty" => "service: empty",
        _ => "service: 'a:8080'",
    });
    let rewrite = select(vec![
        "rewrite: ''",
        "rewrite: /",
        "rewrite: /r/",
        "rewrite: /r",
        r"rewrite: '/r\1'",
        "rewrite: '/r?z=1'",
        r"regex_rewrite: {pattern: '/([^/]*)(.*)', substitution: '/x\2/\1'}",
        r"regex_rewrite: {pattern: 'a', substitution: 'o'}",
        r"regex_rewrite: {pattern: '^/a$', substitution: '/\0/\\'}",
    ]);
    let weight = select(vec!["weight: 0", "weight: 10", "weight: 50", "weight: 100"]);
    let host = select(vec!["host_rewrite: in.test", "auto_host_rewrite: true"]);
    let request = select(vec![
        "add_request_headers: {x-a: {value: z}}",
        "add_request_headers: {x-a: {value: z, append: false}, x-new: {value: '100%%'}}",
        "add_request_headers: {X-New: {value: '%PROTOCOL%'}}",
        "add_request_headers: {x-a: {value: z}}, remove_request_headers: [x-a]",
        "remove_request_headers: [X-B, x-none]",
    ]);
    let response = select(vec![
        "add_response_headers: {x-up: {value: z}}",
        "add_response_headers: {x-up: {value: z, append: false}, x-more: {value: m}}",
        "remove_response_headers: [x-up]",
        "remove_response_headers: [X-Up], add_response_headers: {x-up: {value: again}}",
    ]);
    let other = select(vec!["add_linkerd_headers: true", "shadow: true", "grpc: false"]);
    let rare = prop::option::weighted::<_>;
    let edits = (rare(0.25, request), rare(0.25, response), rare(0.1, other));
    (service, rare(0.5, rewrite), rare(0.3, weight), rare(0.2, host), edits).prop_map(
        |(service, rewrite, weight, host, (request, response, other))| {
            let rest = [rewrite, weight, host, request, response, other];
            std::iter::once(service).chain(rest.into_iter().flatten()).collect()
        },
    )
}

fn redirect() -> impl Strategy<Value = Vec<&'static str>> {
    let service = select(vec![
        "service: there.test",
        "service: 'there.test:81'",
        "service: 'https://there.test'",
        "service: 'http://there.test:80'",
    ]);
    let path = select(vec![
        "path_redirect: /p",
        "path_redirect: '/p?k=v'",
        "prefix_redirect: /n/",
        "prefix_redirect: /n",
        r"regex_redirect: {pattern: '/([^/]*)(.*)', substitution: '/x\2/\1'}",
    ]);
    let code = select(vec![
        "redirect_response_code: 302",
        "redirect_response_code: 303",
        "redirect_response_code: 307",
        "redirect_response_code: 308",
    ]);
    let headers = select(vec!["add_response_headers: {x-more: {value: m}}"]);
    let rare = prop::option::weighted::<_>;
    (service, rare(0.7, path), rare(0.5, code), rare(0.3, headers)).prop_map(
        |(service, path, code, headers)| {
            let rest = [path, code, headers].into_iter().flatten();
            ["host_redirect: true", service].into_iter().chain(rest).collect()
        },
    )
}

fn mapping() -> impl Strategy<Value = Mapping> {
    let action = prop_oneof![8 => action().boxed(), 1 => redirect().boxed()];
    let labels = select(vec!["", "", "l: x", "l: y"]);
    (path(), hostname(), conditions(), action, labels).prop_map(
        |((condition, path), (hostname, host), conditions, action, labels)| {
            let mut parts = vec![condition.as_str(), hostname];
            parts.extend(conditions.iter().filter(|it| {
                // A field can stand once only.
                !(it.starts_with("headers:") && hostname.starts_with("headers:"))
            }));
            parts.extend(action);
            parts.retain(|part| !part.is_empty());
            let host = if host == "any.test" { "" } else { host };
            Mapping { spec: parts.join(", "), labels, path, host }
        },
    )
}

/// Hosts of different names, or none at all.
fn hosts() -> impl Strategy<Value = Vec<String>> {
    // Without a Host for the rest, most requests find none.
    let rest =
        object("Host", "rest", "", "hostname: '*', requestPolicy: {insecure: {action: Route}}");
    let rest = prop::option::weighted(0.7, Just(rest));
    let names = vec!["'*'", "a.test", "'*.test'", "x.org", "'a.*'", "'a.test:$HTTP'", "A.org"];
    let names = prop::sample::subsequence(names, 0..5);
    let selector = select(vec!["", "", "", ", mappingSelector: {matchLabels: {l: x}}"]);
    let action = select(vec!["", "Redirect", "Route", "Route", "Route", "Reject"]);
    let secret = any::<bool>();
    let traits = prop::collection::vec((selector, action, secret), 7);
    (rest, names, traits).prop_map(|(rest, names, traits)| {
        let each = names.iter().zip(traits).enumerate();
        each.map(|(number, (name, (selector, action, secret)))| {
            let policy = match action {
                "" => String::new(),
                action => format!(", requestPolicy: {{insecure: {{action: {action}}}}}"),
            };
            // Only these can stand in a certificate's place of a filter chain.
            let secret =
                if secret && !name.contains("a.*") { ", tlsSecret: {name: s}" } else { "" };
            let spec = format!("hostname: {name}{selector}{policy}{secret}");
            object("Host", &format!("h{number}"), "", &spec)
        })
        .chain(rest)
        .collect()
    })
}

fn listeners() -> impl Strategy<Value = Vec<String>> {
    let model = || select(vec!["XFP", "XFP", "XFP", "SECURE", "INSECURE"]);
    let depth = || select(vec!["", ", l7Depth: 1", ", l7Depth: 2"]);
    let one = |name: &str, port: &str, protocol: &str, model: &str, depth: &str| {
        let spec = format!(
            "port: {port}, protocol: {protocol}, securityModel: {model}, hostBinding: {{namespace: {{from: ALL}}}}{depth}"
        );
        object("Listener", name, "", &spec)
    };
    (model(), depth(), model(), depth()).prop_map(
        move |(model, depth, secure_model, secure_depth)| {
            vec![
                one("http", "$HTTP", "HTTP", model, depth),
                one("https", "$HTTPS", "HTTPS", secure_model, secure_depth),
            ]
        },
    )
}

fn module() -> impl Strategy<Value = Option<String>> {
    let config = prop::sample::subsequence(
        vec![
            "merge_slashes: true",
            "reject_requests_with_escaped_slashes: true",
            "strip_matching_host_port: true",
            "use_remote_address: false",
            "add_linkerd_headers: true",
            "defaults: {httpmapping: {add_request_headers: {x-new: {value: d}}, remove_response_headers: [x-more]}}",
        ],
        0..4,
    );
    prop::option::of(config.prop_map(|config| {
        object("Module", "ambassador", "", &format!("config: {{{}}}", config.join(", ")))
    }))
}

fn ask(aims: Vec<(String, &'static str)>) -> impl Strategy<Value = Ask> {
    let method = select(vec!["GET", "GET", "GET", "PUT", "POST", "DELETE", "PATCH"]);
    let end = prop::collection::vec(
        select(vec![
            "/", "/", "/a", "/b", "/A", "//", "/.", "/..", "/../", "/./x", "/%2F", "/%2f", "/%5c",
            "/%61", "/%2e%2e/", "/%", "/%zz", "/%00", "/~", "/;p", "/+", "/%20", "/a=b&c", "\\",
            "/'x'", "/\"", "/<", "/|", "/{}", "/^", "/`", "/%7E", "/%41", "/a:b@c", "/[",
            "/!$(),*",
        ]),
        0..3,
    );
    let whole = select(vec![
        "/",
        "*",
        "a",
        "//",
        "///a",
        "/..",
        "/a/../..",
        "/.well-known/acme-challenge/t",
        "/?",
        "/#",
        "/a?#",
        "/ambassador/v0/check_ready",
        "//a.test/a",
    ]);
    let long = (1..40_usize).prop_map(|times| "/abcdefghi".repeat(times * 4));
    let query = select(vec![
        "",
        "",
        "",
        "?",
        "?q=v",
        "?q=V",
        "?q=v&q=w",
        "?r=1&q=v",
        "?q",
        "?q=",
        "?q=v%20",
        "?q=a%20b",
        "?q=a+b",
        "??q=v",
        "?q=v?",
        "?&q=v",
        "?q=v=w",
        "?%71=v",
        "?r=/../a//b",
        "?q=vx&r=1",
    ]);
    let host = select(vec![
        "a.test",
        "b.test",
        "A.test",
        "x.a.test",
        "x.org",
        "X.ORG",
        "a.org",
        "other",
        "a.test:$HTTP",
        "a.test:$HTTPS",
        "a.test:1",
        "x.org:$HTTP",
        "a.test.",
        "a.org:443",
        "a.org:80",
    ]);
    let header = select(vec![
        ("x-a", "1"),
        ("x-a", "2"),
        ("X-A", "1"),
        ("x-a", "1,2"),
        ("x-b", "2"),
        ("x-b", "b"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-proto", "ftp"),
        ("x-forwarded-proto", "HTTPS"),
        ("x-forwarded-for", "1.2.3.4"),
    ]);
    let headers = prop::collection::vec(header, 0..4);
    let path = (
        select(aims),
        end,
        prop::option::weighted(0.05, whole),
        prop::option::weighted(0.02, long),
    );
    let listener = (prop::bool::weighted(0.4), prop::bool::weighted(0.9));
    (method, path, query, (prop::bool::weighted(0.7), host), headers, listener).prop_map(
        |(method, ((begin, meant), end, whole, long), query, (aimed, host), headers, listener)| {
            let path = whole.map_or_else(|| begin + &end.concat(), ToOwned::to_owned);
            let authority = if aimed && !meant.is_empty() { meant } else { host };
            let (secure_port, fits) = listener;
            Ask {
                method,
                tls: secure_port == fits,
                secure_port,
                authority: authority.to_owned(),
                path: path + &long.unwrap_or_default() + query,
                headers,
            }
        },
    )
}
