//! Route configurations before their routes: which Hosts stand in which chain,
//! and how each treats what it is sent.

use std::sync::Arc;

use nuncio_api::ObjectKey;

use super::item::ItemId;

/// How the routes of a virtual host treat secure and insecure requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Profile {
    /// Every request is routed.
    Plain,
    /// `x-forwarded-proto: https` is routed, anything else redirected.
    XfpRedirect,
    /// `x-forwarded-proto: https` is routed, anything else not found.
    XfpOnly,
    /// Every request is redirected.
    Redirect,
    /// Nothing is found.
    Nothing,
}

/// Routes of one filter chain.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RouteTable {
    pub(crate) name: Arc<str>,
    pub(crate) virtual_hosts: Vec<VirtualHost>,
    pub(crate) sources: Arc<[ObjectKey]>,
    /// Clients are told of HTTP/3 on this port.
    pub(crate) offers_http3: bool,
}

/// One Host in one chain.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VirtualHost {
    pub(crate) name: String,
    pub(crate) domain: String,
    /// `None` for a virtual host that holds the challenge route alone.
    pub(crate) host: Option<ItemId>,
    pub(crate) profile: Profile,
    /// Challenges are answered here.
    pub(crate) challenges: bool,
}
