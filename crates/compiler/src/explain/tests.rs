use envoy_types::pb::envoy::config::core::v3::{Address, SocketAddress, address, socket_address};
use envoy_types::pb::envoy::config::core::v3::{RuntimeFractionalPercent, TransportSocket};
use envoy_types::pb::envoy::config::listener::v3::{
    Filter, FilterChain, FilterChainMatch, Listener, ListenerFilter, filter,
};
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::redirect_action::SchemeRewriteSpecifier;
use envoy_types::pb::envoy::config::route::v3::route::Action as RouteAction;
use envoy_types::pb::envoy::config::route::v3::route_action::ClusterSpecifier;
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use envoy_types::pb::envoy::config::route::v3::{
    HeaderMatcher, RedirectAction, Route, RouteAction as Forward, RouteConfiguration, RouteMatch,
    VirtualHost,
};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, Rds, http_connection_manager,
};
use envoy_types::pb::envoy::r#type::matcher::v3::StringMatcher;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::v3::FractionalPercent;
use envoy_types::pb::google::protobuf::{Any, BoolValue};
use prost::Message;

use super::*;
use crate::{ResourceName, TypeUrl};

fn resource(type_url: TypeUrl, name: &str, message: &impl Message) -> Arc<Resource> {
    let name = ResourceName::new(type_url, name);
    Arc::new(Resource::new(name, message.encode_to_vec(), [].into()))
}

fn chain(name: &str, server_name: &str, tls: bool) -> FilterChain {
    let manager = HttpConnectionManager {
        normalize_path: Some(BoolValue { value: true }),
        use_remote_address: Some(BoolValue { value: true }),
        route_specifier: Some(http_connection_manager::RouteSpecifier::Rds(Rds {
            route_config_name: "routes".into(),
            ..Rds::default()
        })),
        ..HttpConnectionManager::default()
    };
    let type_url = "type.googleapis.com/x.HttpConnectionManager".into();
    let any = Any { type_url, value: manager.encode_to_vec() };
    FilterChain {
        name: name.into(),
        filter_chain_match: Some(FilterChainMatch {
            server_names: [server_name]
                .into_iter()
                .filter(|it| !it.is_empty())
                .map(Into::into)
                .collect(),
            transport_protocol: if tls { "tls".into() } else { String::new() },
            ..FilterChainMatch::default()
        }),
        filters: vec![Filter {
            config_type: Some(filter::ConfigType::TypedConfig(any)),
            ..Filter::default()
        }],
        transport_socket: tls.then(TransportSocket::default),
        ..FilterChain::default()
    }
}

fn listener(port: u32, chains: Vec<FilterChain>) -> Arc<Resource> {
    let socket = SocketAddress {
        address: "0.0.0.0".into(),
        port_specifier: Some(socket_address::PortSpecifier::PortValue(port)),
        ..SocketAddress::default()
    };
    let listener = Listener {
        name: format!("listener-{port}"),
        address: Some(Address { address: Some(address::Address::SocketAddress(socket)) }),
        filter_chains: chains,
        listener_filters: vec![ListenerFilter {
            name: "envoy.filters.listener.tls_inspector".into(),
            ..ListenerFilter::default()
        }],
        ..Listener::default()
    };
    resource(TypeUrl::Listener, &listener.name.clone(), &listener)
}

fn route(name: &str, path: PathSpecifier) -> Route {
    Route {
        name: name.into(),
        r#match: Some(RouteMatch { path_specifier: Some(path), ..RouteMatch::default() }),
        action: Some(RouteAction::Route(Forward {
            cluster_specifier: Some(ClusterSpecifier::Cluster(format!("to_{name}"))),
            prefix_rewrite: "/".into(),
            ..Forward::default()
        })),
        ..Route::default()
    }
}

fn prefix(name: &str, prefix: &str) -> Route {
    route(name, PathSpecifier::Prefix(prefix.into()))
}

fn with_header(mut route: Route, name: &str, value: &str) -> Route {
    let pattern = Some(MatchPattern::Exact(value.into()));
    let text = StringMatcher { match_pattern: pattern, ..StringMatcher::default() };
    if let Some(matches) = &mut route.r#match {
        matches.headers.push(HeaderMatcher {
            name: name.into(),
            header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(text)),
            ..HeaderMatcher::default()
        });
    }
    route
}

fn shared(mut route: Route, percent: u32) -> Route {
    if let Some(matches) = &mut route.r#match {
        matches.runtime_fraction = Some(RuntimeFractionalPercent {
            default_value: Some(FractionalPercent { numerator: percent, denominator: 0 }),
            ..RuntimeFractionalPercent::default()
        });
    }
    route
}

fn world(hosts: Vec<(&str, Vec<Route>)>) -> Vec<Arc<Resource>> {
    let host = |(domain, routes): (&str, Vec<Route>)| VirtualHost {
        name: format!("host-{domain}"),
        domains: vec![domain.into()],
        routes,
        ..VirtualHost::default()
    };
    let configuration = RouteConfiguration {
        name: "routes".into(),
        virtual_hosts: hosts.into_iter().map(host).collect(),
        ..RouteConfiguration::default()
    };
    let chains = vec![
        chain("tls-a", "a.test", true),
        chain("tls-wild", "*.b.test", true),
        chain("clear", "", false),
    ];
    vec![listener(8080, chains), resource(TypeUrl::RouteConfiguration, "routes", &configuration)]
}

fn get(authority: &str, path: &str) -> Request {
    Request {
        method: "GET".into(),
        tls: false,
        authority: authority.into(),
        port: 8080,
        path: path.into(),
        headers: Vec::new(),
    }
}

/// Returns cluster and path of the only outcome.
fn forwarded(resources: &[Arc<Resource>], request: &Request) -> (String, String) {
    let explanation = explain(resources, request);
    let [outcome] = explanation.outcomes.as_slice() else { panic!("{explanation:?}") };
    match &outcome.action {
        Action::Forward { cluster, path, .. } => (cluster.clone(), path.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_route_whose_conditions_hold_takes_the_request() {
    let routes = vec![
        with_header(prefix("beta", "/a/"), "x-beta", "1"),
        prefix("plain", "/a/"),
        prefix("late", "/"),
    ];
    let world = world(vec![("*", routes)]);
    let request = get("any", "/a/b?c=d");
    assert_eq!(forwarded(&world, &request), ("to_plain".into(), "/b?c=d".into()));
    let explanation = explain(&world, &request);
    let [miss] = explanation.near_misses.as_slice() else { panic!("{explanation:?}") };
    assert_eq!(miss.route.name, "beta");
    assert_eq!(miss.failed, "needs header x-beta is 1, but the request has none");
    assert_eq!(explanation.shadowed[0].name, "late");
    let headers = vec![("X-Beta".into(), "1".into())];
    assert_eq!(forwarded(&world, &Request { headers, ..request }).0, "to_beta");
}

#[test]
fn virtual_hosts_are_chosen_by_the_best_domain() {
    let world = world(vec![
        ("*", vec![prefix("any", "/")]),
        ("*.test", vec![prefix("wild", "/")]),
        ("a.test", vec![prefix("exact", "/")]),
        ("a.*", vec![prefix("tail", "/")]),
    ]);
    for (authority, cluster) in
        [("A.test", "to_exact"), ("b.test", "to_wild"), ("a.b", "to_tail"), ("c", "to_any")]
    {
        assert_eq!(forwarded(&world, &get(authority, "/")).0, cluster, "{authority}");
    }
}

#[test]
fn a_route_of_another_host_is_a_near_miss() {
    let world = world(vec![("a.test", vec![prefix("a", "/x/")]), ("*", vec![])]);
    let explanation = explain(&world, &get("b.test", "/x/"));
    assert_eq!(explanation.stopped.as_ref().and_then(|stop| stop.status), Some(404));
    assert!(explanation.near_misses[0].failed.contains("a host like a.test"), "{explanation:?}");
}

#[test]
fn shares_of_neighbours_count_from_zero_each() {
    let routes = vec![shared(prefix("b", "/"), 10), shared(prefix("c", "/"), 30), prefix("a", "/")];
    let explanation = explain(&world(vec![("*", routes)]), &get("x", "/"));
    let shares: Vec<_> =
        explanation.outcomes.iter().map(|it| (it.route.name.as_str(), it.share)).collect();
    assert_eq!(shares, [("b", 10), ("c", 20), ("a", 70)]);
}

#[test]
fn tls_goes_to_the_chain_of_its_server_name_or_nowhere() {
    let world = world(vec![("*", vec![prefix("a", "/")])]);
    let tls = |authority: &str| Request { tls: true, ..get(authority, "/") };
    let chain = |authority: &str| {
        let explanation = explain(&world, &tls(authority));
        explanation.listener.map(|listener| listener.filter_chain)
    };
    assert_eq!(chain("a.test").as_deref(), Some("tls-a"));
    assert_eq!(chain("c.b.test:8080").as_deref(), Some("tls-wild"));
    let stopped = explain(&world, &tls("c.test")).stopped.unwrap();
    assert_eq!(stopped.status, None);
    assert!(stopped.reason.contains("does not speak TLS"), "{stopped:?}");
}

#[test]
fn redirects_tell_the_location() {
    let mut moved = prefix("moved", "/");
    moved.action = Some(RouteAction::Redirect(RedirectAction {
        scheme_rewrite_specifier: Some(SchemeRewriteSpecifier::HttpsRedirect(true)),
        ..RedirectAction::default()
    }));
    let explanation = explain(&world(vec![("*", vec![moved])]), &get("a.test:80", "/x?y"));
    let location = "https://a.test/x?y".into();
    assert_eq!(explanation.outcomes[0].action, Action::Redirect { status: 301, location });
}

#[test]
fn paths_in_disguise_are_tidied_before_they_are_matched() {
    let world = world(vec![("*", vec![prefix("a", "/a/")])]);
    for path in ["/b/../a/", "/%61/", "/./a/"] {
        assert_eq!(forwarded(&world, &get("x", path)).0, "to_a", "{path}");
    }
}

#[test]
fn a_port_without_listener_stops_the_request() {
    let world = world(vec![("*", vec![prefix("a", "/")])]);
    let stopped = explain(&world, &Request { port: 9, ..get("x", "/") }).stopped.unwrap();
    assert!(stopped.reason.contains("8080"), "{stopped:?}");
    // Port 80 of a Service usually leads to 8080.
    assert_eq!(forwarded(&world, &Request { port: 80, ..get("x", "/") }).0, "to_a");
}
