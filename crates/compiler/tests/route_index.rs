//! The index over routes against a real Envoy: a virtual host with the list and
//! one with the tree answer every request alike.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;
use envoy_types::pb::google::protobuf::BoolValue;
use gateway::{answer, gateway};
use nuncio_compiler::route_index::{PathCondition, RouteEntry, RouteTable};
use nuncio_testing::envoy::Envoy;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use prost::Message as _;
use tables::{Condition, table};

#[path = "support/gateway.rs"]
mod gateway;
#[path = "../src/envoy/route_index/tests/tables.rs"]
mod tables;

/// Tables of which most get a tree; each is asked for 80 paths, twice.
const TABLES: usize = 90;
/// Header that every fifth route wants.
const FLAG: &str = "x-flag";

#[test]
fn envoy_answers_alike_by_list_and_by_tree() {
    let mut runner = TestRunner::deterministic();
    let strategy = table(60..200);
    let mut tables = Vec::new();
    let mut hosts = Vec::new();
    for _ in 0..TABLES {
        let (mut routes, paths) = strategy.new_tree(&mut runner).unwrap().current();
        routes.iter_mut().for_each(acceptable);
        let number = tables.len();
        if let Some([list, tree]) = virtual_hosts(number, &routes) {
            hosts.extend([list, tree]);
            tables.push((routes, paths));
        }
    }
    assert!(tables.len() > TABLES * 2 / 3, "only {} tables have a tree", tables.len());

    let envoy = Envoy::start(gateway(&hosts)).unwrap();
    let mut client = Client::new(envoy.listener("gateway").unwrap());
    let (mut asked, mut found) = (0, 0);
    for (number, (routes, paths)) in tables.iter().enumerate() {
        let models: Vec<_> = routes.iter().map(Condition::model).collect();
        for path in paths {
            for flag in [false, true] {
                let list = client.ask(&format!("list-{number}"), path, flag);
                let tree = client.ask(&format!("tree-{number}"), path, flag);
                assert_eq!(list, tree, "{path} in {routes:#?}");
                asked += 1;
                if list.starts_with("400") {
                    continue;
                }
                let holds =
                    |route: &usize| models[*route](path) && (flag || !route.is_multiple_of(5));
                let expected = (0..routes.len()).find(holds);
                found += usize::from(expected.is_some());
                let expected =
                    expected.map_or_else(|| "404 ".to_owned(), |route| format!("200 {route}"));
                assert_eq!(list, expected, "{path} in {routes:#?}");
            }
        }
    }
    assert!(asked >= 10_000 && found * 4 > asked, "{found} of {asked} requests found a route");
}

/// Makes a condition one that Envoy loads.
fn acceptable(condition: &mut Condition) {
    let text = &condition.text;
    match condition.path() {
        PathCondition::SeparatedPrefix(_)
            if text.len() < 2 || text.contains(['?', '#']) || text.ends_with('/') =>
        {
            condition.kind = 0;
        }
        PathCondition::Regex("") => condition.text = ".*".into(),
        _ => {}
    }
}

/// Returns the encoded virtual hosts `list-<number>` and `tree-<number>`, or
/// nothing for a table that gets no tree.
fn virtual_hosts(number: usize, routes: &[Condition]) -> Option<[Vec<u8>; 2]> {
    let messages: Vec<pb::Route> = routes.iter().enumerate().map(route).collect();
    let encoded: Vec<Vec<u8>> = messages.iter().map(pb::Route::encode_to_vec).collect();
    let entries: Vec<RouteEntry<'_>> = routes
        .iter()
        .zip(&encoded)
        .map(|(route, encoded)| RouteEntry { encoded, ..route.entry() })
        .collect();
    let RouteTable::Indexed(index) = RouteTable::plan(&entries) else { return None };
    let host = |kind: &str| pb::VirtualHost {
        name: format!("{kind}-{number}"),
        domains: vec![format!("{kind}-{number}")],
        ..Default::default()
    };
    let list = pb::VirtualHost { routes: messages, ..host("list") }.encode_to_vec();
    let mut tree = host("tree").encode_to_vec();
    index.append_matcher(&entries, &mut tree);
    Some([list, tree])
}

fn route((number, condition): (usize, &Condition)) -> pb::Route {
    use pb::route_match::PathSpecifier;
    let regex = |text: &str| {
        PathSpecifier::SafeRegex(matcher::RegexMatcher { regex: text.into(), ..Default::default() })
    };
    let flag = pb::HeaderMatcher {
        name: FLAG.into(),
        header_match_specifier: Some(pb::header_matcher::HeaderMatchSpecifier::PresentMatch(true)),
        ..Default::default()
    };
    pb::Route {
        r#match: Some(pb::RouteMatch {
            path_specifier: Some(match condition.path() {
                PathCondition::Prefix(text) => PathSpecifier::Prefix(text.into()),
                PathCondition::Exact(text) => PathSpecifier::Path(text.into()),
                PathCondition::SeparatedPrefix(text) => {
                    PathSpecifier::PathSeparatedPrefix(text.into())
                }
                PathCondition::Regex(text) => regex(text),
                PathCondition::Other => regex(".*"),
            }),
            case_sensitive: Some(BoolValue { value: condition.case_sensitive }),
            headers: if number.is_multiple_of(5) { vec![flag] } else { Vec::new() },
            ..Default::default()
        }),
        action: Some(answer(&number.to_string())),
        ..Default::default()
    }
}

/// A client that sends any bytes as a path, on one connection while it lasts.
struct Client {
    address: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    fn new(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    /// Returns `<status> <body>`.
    fn ask(&mut self, host: &str, path: &str, flag: bool) -> String {
        let address = self.address;
        let connection = self.connection.get_or_insert_with(|| {
            let stream = TcpStream::connect(address).unwrap();
            stream.set_nodelay(true).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            BufReader::new(stream)
        });
        let flag = if flag { "x-flag: 1\r\n" } else { "" };
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{flag}\r\n");
        connection.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut status, mut length, mut close) = (String::new(), 0, false);
        loop {
            let mut line = String::new();
            assert_ne!(connection.read_line(&mut line).unwrap(), 0, "closed on GET {path}");
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest.split(' ').next().unwrap().to_owned();
            } else if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            } else if line == "connection: close" {
                close = true;
            } else if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        connection.read_exact(&mut body).unwrap();
        if close {
            self.connection = None;
        }
        format!("{status} {}", String::from_utf8(body).unwrap())
    }
}
