//! Virtual hosts and route configurations.

use envoy_types::pb::envoy::config::route::v3 as pb;
use prost::Message;
use prost::encoding::WireType;

use super::header::header_edits;
use super::route_index::{append_list, list_len};
use crate::ir::route::HeaderEdit;

/// Where HTTP/3 is: always the public port. Source: Emissary.
const ALT_SVC: &str = "h3=\":443\"; ma=86400, h3-29=\":443\"; ma=86400";
/// `VirtualHost.routes`.
const ROUTES: u32 = 3;
/// `RouteConfiguration.virtual_hosts`.
const VIRTUAL_HOSTS: u32 = 2;

/// Appends routes of a virtual host that has them as a list.
pub(crate) fn append_routes<'a>(routes: impl Iterator<Item = &'a [u8]> + Clone, out: &mut Vec<u8>) {
    append_list(ROUTES, routes, out);
}

/// Returns the length of what [`append_routes`] appends.
pub(crate) fn routes_len<'a>(routes: impl Iterator<Item = &'a [u8]>) -> usize {
    list_len(ROUTES, routes)
}

/// Begins a virtual host of a configuration: what follows are the fields of its
/// routes, in this length.
pub(crate) fn begin_virtual_host(name: &str, domain: &str, routes: usize, out: &mut Vec<u8>) {
    let head = pb::VirtualHost {
        name: name.to_owned(),
        domains: vec![domain.to_owned()],
        ..Default::default()
    };
    let length = head.encoded_len() + routes;
    prost::encoding::encode_key(VIRTUAL_HOSTS, WireType::LengthDelimited, out);
    prost::encoding::encode_varint(length as u64, out);
    head.encode(out).expect("a Vec grows as needed");
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
