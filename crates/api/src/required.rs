//! Fields that must be there, and numbers that must be within bounds.

use crate::fault::{Fault, bad_value, missing};
use crate::path::child;
use crate::{
    AuthService, ErrorResponseOverride, FixedKey, HealthCheck, LabelGroup, LabelSpecifier,
    Listener, LoadBalancer, Mapping, ModuleConfig, RateLimit, Spec, TcpMapping, TracingService,
};

/// Returns what is missing. `port_given` tells an absent port from port 0.
pub(crate) fn check(spec: &Spec, port_given: bool) -> Vec<Fault> {
    let mut found = Found(Vec::new());
    match spec {
        Spec::Mapping(spec) => mapping(&mut found, spec),
        Spec::TcpMapping(spec) => tcp_mapping(&mut found, spec, port_given),
        Spec::Listener(spec) => listener(&mut found, spec, port_given),
        Spec::AuthService(spec) => auth_service(&mut found, spec),
        Spec::RateLimitService(spec) => found.text("spec.service", &spec.service),
        Spec::LogService(spec) => {
            found.text("spec.service", &spec.service);
            found.some("spec.driver", spec.driver.is_some());
        }
        Spec::TracingService(spec) => tracing_service(&mut found, spec),
        Spec::ConsulResolver(spec) => {
            found.some("spec.address", spec.address.is_some());
            found.some("spec.datacenter", spec.datacenter.is_some());
        }
        Spec::RateLimit(spec) => rate_limit(&mut found, spec),
        Spec::Module(spec) => {
            if let ModuleConfig::Ambassador(config) = &spec.config {
                let path = "spec.config.error_response_overrides";
                error_responses(&mut found, path, &config.error_response_overrides);
            }
        }
        _ => {}
    }
    found.0
}

struct Found(Vec<Fault>);

impl Found {
    fn some(&mut self, field: &str, present: bool) {
        if !present {
            self.0.push(missing(field));
        }
    }

    fn text(&mut self, field: &str, text: &str) {
        self.some(field, !text.is_empty());
    }

    fn port(&mut self, port: u32, given: bool) {
        match port {
            0 if !given => self.0.push(missing("spec.port")),
            0 => self.0.push(bad_value(
                "spec.port",
                "should be greater than or equal to 1",
                "write a port from 1 to 65535",
            )),
            1..=65535 => {}
            _ => self.0.push(bad_value(
                "spec.port",
                "should be less than or equal to 65535",
                "write a port from 1 to 65535",
            )),
        }
    }
}

fn mapping(found: &mut Found, spec: &Mapping) {
    found.text("spec.prefix", &spec.prefix);
    found.text("spec.service", &spec.service);
    if let Some(balancer) = &spec.load_balancer {
        load_balancer(found, "spec.load_balancer", balancer);
    }
    error_responses(found, "spec.error_response_overrides", &spec.error_response_overrides);
    if let Some(retry) = &spec.retry_policy {
        found.some("spec.retry_policy.retry_on", retry.retry_on.is_some());
    }
    for (index, check) in spec.health_checks.iter().enumerate() {
        health_check(found, &format!("spec.health_checks[{index}]"), check);
    }
    for (domain, groups) in &spec.labels {
        for (index, group) in groups.iter().enumerate() {
            label_group(found, &format!("{}[{index}]", child("spec.labels", domain)), group);
        }
    }
}

fn error_responses(found: &mut Found, path: &str, rules: &[ErrorResponseOverride]) {
    for (index, rule) in rules.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let status = child(&path, "on_status_code");
        match rule.on_status_code {
            None => found.some(&status, false),
            Some(400..=599) => {}
            Some(_) => found.0.push(bad_value(
                &status,
                "should be from 400 to 599",
                "give a status of an error",
            )),
        }
        found.some(&child(&path, "body"), rule.body.is_some());
    }
}

fn load_balancer(found: &mut Found, path: &str, balancer: &LoadBalancer) {
    found.some(&child(path, "policy"), balancer.policy.is_some());
    if let Some(cookie) = &balancer.cookie {
        found.text(&format!("{path}.cookie.name"), &cookie.name);
    }
}

fn health_check(found: &mut Found, path: &str, check: &HealthCheck) {
    let path = child(path, "health_check");
    let Some(kind) = &check.health_check else {
        found.some(&path, false);
        return;
    };
    if kind.http.is_some() == kind.grpc.is_some() {
        found.0.push(bad_value(
            &path,
            "should have exactly one of http, grpc",
            "keep one of the two",
        ));
    }
    if let Some(http) = &kind.http {
        found.text(&format!("{path}.http.path"), &http.path);
    }
    if let Some(grpc) = &kind.grpc {
        found.text(&format!("{path}.grpc.upstream_name"), &grpc.upstream_name);
    }
}

fn label_group(found: &mut Found, path: &str, group: &LabelGroup) {
    let path = child(path, &group.name);
    for (index, specifier) in group.specifiers.iter().enumerate() {
        match specifier {
            LabelSpecifier::GenericKey(label) => {
                found.text(&format!("{path}[{index}].generic_key.value"), &label.value);
            }
            LabelSpecifier::RequestHeaders(label) => {
                found.text(&format!("{path}[{index}].request_headers.key"), &label.key);
                found.text(
                    &format!("{path}[{index}].request_headers.header_name"),
                    &label.header_name,
                );
            }
            LabelSpecifier::SourceCluster(fixed) => {
                fixed_key(found, &format!("{path}[{index}].source_cluster"), fixed);
            }
            LabelSpecifier::DestinationCluster(fixed) => {
                fixed_key(found, &format!("{path}[{index}].destination_cluster"), fixed);
            }
            LabelSpecifier::RemoteAddress(fixed) => {
                fixed_key(found, &format!("{path}[{index}].remote_address"), fixed);
            }
        }
    }
}

/// The key of these labels is their name, which ends their path.
fn fixed_key(found: &mut Found, path: &str, fixed: &FixedKey) {
    let name = path.rsplit('.').next().unwrap_or_default();
    if fixed.key.as_deref().is_some_and(|key| key != name) {
        found.0.push(bad_value(
            &child(path, "key"),
            &format!("should be one of [{name}]"),
            "leave the key out",
        ));
    }
}

fn tcp_mapping(found: &mut Found, spec: &TcpMapping, port_given: bool) {
    found.port(spec.port, port_given);
    found.text("spec.service", &spec.service);
}

fn listener(found: &mut Found, spec: &Listener, port_given: bool) {
    found.port(spec.port, port_given);
    found.some("spec.securityModel", spec.security_model.is_some());
    found.some("spec.hostBinding", spec.host_binding.is_some());
}

fn auth_service(found: &mut Found, spec: &AuthService) {
    found.text("spec.auth_service", &spec.auth_service);
    if let Some(body) = &spec.include_body {
        found.some("spec.include_body.max_bytes", body.max_bytes > 0);
        found.some("spec.include_body.allow_partial", body.allow_partial.is_some());
    }
}

fn tracing_service(found: &mut Found, spec: &TracingService) {
    found.some("spec.driver", spec.driver.is_some());
    found.text("spec.service", &spec.service);
    for (index, tag) in spec.custom_tags.iter().enumerate() {
        found.text(&format!("spec.custom_tags[{index}].tag"), &tag.tag);
    }
}

fn rate_limit(found: &mut Found, spec: &RateLimit) {
    for (index, limit) in spec.limits.iter().enumerate() {
        found.some(&format!("spec.limits[{index}].rate"), limit.rate.is_some());
        found.some(&format!("spec.limits[{index}].unit"), limit.unit.is_some());
        let added = [
            ("injectRequestHeaders", &limit.inject_request_headers),
            ("injectResponseHeaders", &limit.inject_response_headers),
        ];
        for (name, headers) in added {
            for (position, header) in headers.iter().enumerate() {
                found.text(&format!("spec.limits[{index}].{name}[{position}].name"), &header.name);
            }
        }
    }
}
