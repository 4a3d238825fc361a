//! The intermediate form, between objects and Envoy.
//!
//! Order of passes: [`expand`] turns objects into items (an Ingress becomes
//! Mappings and Hosts); [`scene`] reads everything but Mappings and settles
//! what they depend on; [`mapping`] parses one Mapping; [`group`] merges those
//! with the same match and yields final routes; [`endpoints`] resolves service
//! ports. Nothing here names an Envoy type.

pub(crate) mod bind;
pub(crate) mod certificate;
pub(crate) mod check;
pub(crate) mod cluster;
pub(crate) mod defaults;
pub(crate) mod discovery;
pub(crate) mod endpoints;
pub(crate) mod error_response;
pub(crate) mod expand;
pub(crate) mod filters;
pub(crate) mod format;
pub(crate) mod glob;
pub(crate) mod group;
pub(crate) mod group_id;
pub(crate) mod host;
pub(crate) mod http;
pub(crate) mod inert;
pub(crate) mod input;
pub(crate) mod item;
pub(crate) mod limits;
pub(crate) mod listener;
pub(crate) mod mapping;
pub(crate) mod notes;
pub(crate) mod pattern;
pub(crate) mod policies;
pub(crate) mod refusals;
pub(crate) mod repair;
pub(crate) mod resolver;
pub(crate) mod route;
pub(crate) mod route_table;
pub(crate) mod scene;
pub(crate) mod secret;
pub(crate) mod service;
pub(crate) mod stage;
pub(crate) mod syntax;
pub(crate) mod tcp;
pub(crate) mod tls;
pub(crate) mod tls_context;
pub(crate) mod upstream;
