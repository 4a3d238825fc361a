//! The one end-to-end test binary: a module for each capability.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access_logs;
mod auth;
mod bad_input;
mod canary;
mod certificates;
mod circuit_breakers;
mod client_certificates;
mod clusters;
mod command;
mod compression;
mod consul;
mod cors;
mod demo;
mod diagnostics;
mod error_responses;
mod explain;
mod external_auth;
mod filters;
mod grpc;
mod host_binding;
mod hosts;
mod http3;
mod http_limits;
mod ingress;
mod inventory;
mod load_balancing;
mod objects;
mod paths;
mod poison;
mod probes;
mod protocols;
mod rate_limit_labels;
mod rate_limits;
mod redirects;
mod reload;
mod requests;
mod routing;
mod services;
mod statistics;
mod tcp;
mod tcp_connections;
mod tls;
mod tracing;
mod upstreams;
