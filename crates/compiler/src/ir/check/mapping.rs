//! What a Mapping says, checked by itself.

use nuncio_api as api;

use super::Checker;
use crate::ir::mapping::authority;
use crate::ir::upstream;

impl Checker<'_> {
    pub(super) fn mapping(&mut self, spec: &api::Mapping) {
        if spec.prefix.is_empty() {
            self.error("required", "spec.prefix", "in body is required", "set a prefix");
        }
        if spec.service.is_empty() {
            self.error("required", "spec.service", "in body is required", "name a service");
        }
        if spec.prefix_regex == Some(true) {
            self.regex("spec.prefix", &spec.prefix);
        } else {
            self.text("spec.prefix", &spec.prefix);
        }
        self.exact_hosts(spec);
        if spec.method_regex == Some(true) {
            self.regex("spec.method", spec.method.as_deref().unwrap_or_default());
        }
        self.conditions(spec);
        self.rewrites(spec);
        self.edits(spec);
        self.upstream(spec);
        self.error_responses(&spec.error_response_overrides);
    }

    /// A host without `host_regex` is no glob, whatever else is given beside it.
    fn exact_hosts(&mut self, spec: &api::Mapping) {
        let pattern = spec.host_regex == Some(true);
        if let Some(host) = spec.host.as_ref().filter(|_| pattern) {
            self.regex("spec.host", host);
        }
        for (field, host) in [
            ("spec.host", spec.host.as_ref().filter(|_| !pattern)),
            ("spec.headers[\":authority\"]", authority(spec)),
        ] {
            if host.is_some_and(|host| host.contains('*')) {
                self.error(
                    "host-with-wildcard",
                    field,
                    "is exact and cannot hold `*`",
                    "use hostname",
                );
            }
        }
        if spec.hostname.is_some() && (spec.host.is_some() || authority(spec).is_some()) {
            self.findings.push(self.item.warning(
                "hostname-and-host",
                "spec.hostname",
                "hostname is in effect; host and the header :authority are not",
                "keep one of them",
            ));
        }
    }

    fn conditions(&mut self, spec: &api::Mapping) {
        for name in spec.headers.keys() {
            self.header_name(&format!("spec.headers[{name:?}]"), name);
        }
        for (name, pattern) in &spec.regex_headers {
            let field = format!("spec.regex_headers[{name:?}]");
            self.header_name(&field, name);
            self.regex(&field, pattern);
        }
        for (name, pattern) in &spec.regex_query_parameters {
            self.regex(&format!("spec.regex_query_parameters[{name:?}]"), pattern);
        }
        let names = spec.query_parameters.keys().chain(spec.regex_query_parameters.keys());
        if names.into_iter().any(String::is_empty) {
            self.error(
                "invalid-name",
                "spec.query_parameters",
                "a name is empty",
                "give it a name",
            );
        }
    }

    fn rewrites(&mut self, spec: &api::Mapping) {
        for (field, map) in [
            ("spec.regex_rewrite", &spec.regex_rewrite),
            ("spec.regex_redirect", &spec.regex_redirect),
        ] {
            if let Some(map) = map {
                self.regex(&format!("{field}.pattern"), &map.pattern);
                self.substitution(&format!("{field}.substitution"), map);
            }
        }
        let texts = [
            ("spec.rewrite", &spec.rewrite),
            ("spec.host_rewrite", &spec.host_rewrite),
            ("spec.path_redirect", &spec.path_redirect),
            ("spec.prefix_redirect", &spec.prefix_redirect),
        ];
        for (field, text) in texts {
            self.text(field, text.as_deref().unwrap_or_default());
        }
        if spec.regex_rewrite.is_some() && spec.rewrite.as_deref().is_some_and(|r| r != "/") {
            self.findings.push(self.item.notice(
                "rewrite-ignored",
                "spec.rewrite",
                "regex_rewrite is in effect; rewrite is not",
                "remove one of them",
            ));
        }
        if let Some(code) = spec.redirect_response_code
            && !matches!(code, 301 | 302 | 303 | 307 | 308)
        {
            self.findings.push(self.item.warning(
                "redirect-code",
                "spec.redirect_response_code",
                format!("{code} is no redirect; 301 is used"),
                "use 301, 302, 303, 307 or 308",
            ));
        }
        let redirects = [
            spec.path_redirect.is_some(),
            spec.prefix_redirect.is_some(),
            spec.regex_redirect.is_some(),
        ];
        if redirects.into_iter().filter(|set| *set).count() > 1 {
            self.findings.push(self.item.warning(
                "several-redirects",
                "spec.path_redirect",
                "only the first of path_redirect, prefix_redirect and regex_redirect is used",
                "keep one of them",
            ));
        }
    }

    fn edits(&mut self, spec: &api::Mapping) {
        self.added("spec.add_request_headers", spec.add_request_headers.as_ref());
        self.added("spec.add_response_headers", spec.add_response_headers.as_ref());
        self.removed("spec.remove_request_headers", spec.remove_request_headers.as_deref());
        self.removed("spec.remove_response_headers", spec.remove_response_headers.as_deref());
        if spec.allow_upgrade.iter().any(String::is_empty) {
            self.error("invalid-name", "spec.allow_upgrade", "a name is empty", "remove it");
        }
        for name in &spec.allow_upgrade {
            self.text("spec.allow_upgrade", name);
        }
        if let Some(cors) = &spec.cors {
            self.cors(cors);
        }
        let groups = spec.labels.values().flatten();
        for label in groups.flat_map(|group| &group.specifiers) {
            if let api::LabelSpecifier::RequestHeaders(label) = label {
                self.header_name("spec.labels", &label.header_name);
            }
        }
    }

    fn upstream(&mut self, spec: &api::Mapping) {
        if spec.weight.is_some_and(|weight| weight > 100) {
            self.error("weight", "spec.weight", "should be at most 100", "give 0 to 100");
        }
        if let Some(kind) = &spec.dns_type
            && !["strict_dns", "logical_dns"].iter().any(|k| k.eq_ignore_ascii_case(kind))
        {
            self.findings.push(self.item.warning(
                "dns-type",
                "spec.dns_type",
                format!("`{kind}` is unknown; strict_dns is used"),
                "use strict_dns or logical_dns",
            ));
        }
        if let Some(priority) = &spec.priority
            && !["default", "high"].iter().any(|known| known.eq_ignore_ascii_case(priority))
        {
            self.findings.push(self.item.warning(
                "unknown-priority",
                "spec.priority",
                format!("`{priority}` is unknown; DEFAULT is used"),
                "use DEFAULT or HIGH",
            ));
        }
        if let Some(given) = &spec.load_balancer {
            self.load_balancer("spec.load_balancer", given);
        }
        for (index, check) in spec.health_checks.iter().enumerate() {
            self.health_check(&format!("spec.health_checks[{index}]"), check, spec);
        }
        if let Some(retry) = &spec.retry_policy {
            self.retry_policy(retry);
        }
        if let Some(given) = &spec.outlier_detection {
            self.outlier_detection(given);
        }
    }

    fn retry_policy(&mut self, given: &api::RetryPolicy) {
        if given.retry_on.is_none() {
            self.error(
                "invalid-retry-policy",
                "spec.retry_policy.retry_on",
                "in body is required",
                "say what is to be retried",
            );
        }
    }

    fn cors(&mut self, cors: &api::Cors) {
        let lists = [&cors.origins, &cors.methods, &cors.headers, &cors.exposed_headers];
        for text in lists.into_iter().flatten().chain(&cors.max_age) {
            self.text("spec.cors", text);
        }
    }

    fn outlier_detection(&mut self, given: &api::OutlierDetection) {
        let times = [
            ("interval", given.interval),
            ("base_ejection_time", given.base_ejection_time),
            ("max_ejection_time", given.max_ejection_time),
        ];
        for (name, time) in times {
            if time.is_some_and(|time| upstream::millis(time) == 0) {
                self.bad_outliers(name, "should be a millisecond at least");
            }
        }
        let percents = [
            ("max_ejection_percent", given.max_ejection_percent),
            ("enforcing_consecutive_5xx", given.enforcing_consecutive_5xx),
            ("enforcing_consecutive_gateway_failure", given.enforcing_consecutive_gateway_failure),
            ("enforcing_success_rate", given.enforcing_success_rate),
        ];
        for (name, percent) in percents {
            if percent.is_some_and(|percent| percent > 100) {
                self.bad_outliers(name, "should be at most 100");
            }
        }
        if let (Some(base), Some(max)) = (given.base_ejection_time, given.max_ejection_time)
            && max < base
        {
            self.bad_outliers("max_ejection_time", "should not be below base_ejection_time");
        }
    }

    fn bad_outliers(&mut self, name: &str, message: &str) {
        self.error(
            "invalid-outlier-detection",
            &format!("spec.outlier_detection.{name}"),
            message,
            "correct the value, or leave it out",
        );
    }

    fn health_check(&mut self, field: &str, check: &api::HealthCheck, spec: &api::Mapping) {
        let kind_field = format!("{field}.health_check");
        if upstream::health_check(check).is_none() {
            self.error(
                "invalid-health-check",
                &kind_field,
                "needs exactly one of http (with a path) and grpc",
                "say what is to be checked",
            );
        }
        for (name, given) in [("timeout", check.timeout), ("interval", check.interval)] {
            if given.is_some_and(|time| upstream::millis(time) == 0) {
                self.error(
                    "invalid-health-check",
                    &format!("{field}.{name}"),
                    "should be a millisecond at least",
                    "give a longer time, or leave the field out",
                );
            }
        }
        let Some(kind) = &check.health_check else { return };
        if kind.grpc.is_some() && spec.grpc != Some(true) {
            self.error(
                "invalid-health-check",
                &format!("{kind_field}.grpc"),
                "a gRPC health check needs a service that speaks HTTP/2",
                "set grpc: true",
            );
        }
        if let Some(grpc) = &kind.grpc {
            let authority = grpc.authority.as_deref().unwrap_or_default();
            self.text(&format!("{kind_field}.grpc.authority"), authority);
        }
        if let Some(http) = &kind.http {
            self.http_check(&format!("{kind_field}.http"), http);
        }
    }

    fn http_check(&mut self, field: &str, http: &api::HttpHealthCheck) {
        self.text(&format!("{field}.path"), &http.path);
        let hostname = http.hostname.as_deref().unwrap_or_default();
        self.text(&format!("{field}.hostname"), hostname);
        self.added(&format!("{field}.add_request_headers"), Some(&http.add_request_headers));
        let removed = Some(http.remove_request_headers.as_slice());
        self.removed(&format!("{field}.remove_request_headers"), removed);
        for (index, range) in http.expected_statuses.iter().enumerate() {
            if upstream::status_range(range).is_none() {
                self.findings.push(self.item.warning(
                    "status-range",
                    &format!("{field}.expected_statuses[{index}]"),
                    format!(
                        "{} to {} is no range of statuses and is left out",
                        range.min, range.max
                    ),
                    "give min and max from 100 to 599, min not above max",
                ));
            }
        }
    }
}
