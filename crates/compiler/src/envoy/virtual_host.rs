//! Virtual hosts and route configurations.

use envoy_types::pb::envoy::config::route::v3 as pb;
use prost::Message;
use prost::encoding::WireType;

use super::route::header_edits;
use super::route_index::{RouteEntry, RouteTable, encoded_list};
use crate::ir::route::HeaderEdit;

/// Where HTTP/3 is: always the public port. Source: Emissary.
const ALT_SVC: &str = "h3=\":443\"; ma=86400, h3-29=\":443\"; ma=86400";
/// `VirtualHost.routes`.
const ROUTES: u32 = 3;
/// `RouteConfiguration.virtual_hosts`.
const VIRTUAL_HOSTS: u32 = 2;
/// Routes of a linear table that are encoded together.
const RUN: usize = 64;

/// The routes of a virtual host as its fields: a list, or above a number of
/// routes a tree that leads to short lists.
///
/// Encoded in parts, such that a route can be replaced without a look at the
/// others; the bytes are those of a body made anew.
#[derive(Debug)]
pub(crate) struct Body {
    table: RouteTable,
    /// One for each list of the tree, or for each run of routes.
    parts: Vec<Vec<u8>>,
}

// === impl Body ===

impl Body {
    /// Encodes routes in final order.
    pub(crate) fn new(routes: &[RouteEntry<'_>]) -> Self {
        let table = RouteTable::plan(routes);
        let encoded = |route: usize| routes[route].encoded;
        let parts = match &table {
            RouteTable::Indexed(index) => index.encode_lists(&encoded),
            RouteTable::Linear { .. } => (0..routes.len())
                .step_by(RUN)
                .map(|start| encoded_list(ROUTES, run(start / RUN, routes.len()), &encoded))
                .collect(),
        };
        Self { table, parts }
    }

    /// Encodes the routes at these positions again. `encoded` gives the present
    /// encoding of each of the `count` routes; only those at these positions
    /// may differ from what this was made of, and their conditions on the path
    /// may not.
    pub(crate) fn replace<'a>(
        &mut self,
        positions: &[usize],
        count: usize,
        encoded: impl Fn(usize) -> &'a [u8],
    ) {
        match &self.table {
            RouteTable::Indexed(index) => {
                index.encode_lists_with(positions, &encoded, &mut self.parts);
            }
            RouteTable::Linear { .. } => {
                let mut runs: Vec<usize> = positions.iter().map(|route| route / RUN).collect();
                runs.dedup();
                for number in runs {
                    self.parts[number] = encoded_list(ROUTES, run(number, count), &encoded);
                }
            }
        }
    }

    fn encoded_len(&self) -> usize {
        match &self.table {
            RouteTable::Indexed(index) => index.matcher_len(&self.parts),
            RouteTable::Linear { .. } => self.parts.iter().map(Vec::len).sum(),
        }
    }

    fn append(&self, out: &mut Vec<u8>) {
        match &self.table {
            RouteTable::Indexed(index) => index.append_lists(&self.parts, out),
            RouteTable::Linear { .. } => {
                for part in &self.parts {
                    out.extend_from_slice(part);
                }
            }
        }
    }
}

/// Returns the positions in a run of a linear table.
fn run(number: usize, count: usize) -> std::ops::Range<usize> {
    number * RUN..count.min((number + 1) * RUN)
}

/// Appends one virtual host to a configuration.
pub(crate) fn append_virtual_host(name: &str, domain: &str, body: &Body, out: &mut Vec<u8>) {
    let head = pb::VirtualHost {
        name: name.to_owned(),
        domains: vec![domain.to_owned()],
        ..Default::default()
    };
    let length = head.encoded_len() + body.encoded_len();
    prost::encoding::encode_key(VIRTUAL_HOSTS, WireType::LengthDelimited, out);
    prost::encoding::encode_varint(length as u64, out);
    out.reserve(length);
    head.encode(out).expect("a Vec grows as needed");
    body.append(out);
}

/// Begins the encoding of a route configuration.
pub(crate) fn begin_configuration(name: &str, offers_http3: bool) -> Vec<u8> {
    let alt_svc =
        HeaderEdit { name: "alt-svc".to_owned(), value: ALT_SVC.to_owned(), append: true };
    pb::RouteConfiguration {
        name: name.to_owned(),
        response_headers_to_add: header_edits(if offers_http3 {
            std::slice::from_ref(&alt_svc)
        } else {
            &[]
        }),
        ..Default::default()
    }
    .encode_to_vec()
}
