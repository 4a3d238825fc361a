//! What an object says, checked by itself.
//!
//! An object that fails keeps its last good version in effect: the errors here
//! are those that would make Envoy refuse more than this object, or would make
//! the object mean something else than it says.

use std::collections::BTreeMap;

use nuncio_api as api;
use nuncio_api::{Diagnostic, IpRule, Severity, Spec};

use super::item::Item;
use super::{inert, limits, syntax, upstream};

/// Returns everything wrong with an object; with an error among it the object
/// cannot be used.
pub(crate) fn check(item: &Item) -> Vec<Diagnostic> {
    let mut checker = Checker { item, findings: Vec::new() };
    match &item.object.spec {
        Spec::Mapping(spec) => checker.mapping(spec),
        Spec::Module(spec) => {
            if let api::ModuleConfig::Ambassador(config) = &spec.config {
                checker.module(config);
            }
        }
        Spec::Secret(secret) => checker.secret(secret),
        Spec::Host(host) => checker.host(host),
        Spec::AuthService(spec) => checker.auth_service(spec),
        Spec::RateLimit(spec) => checker.findings.extend(limits::faults(item, spec)),
        Spec::DevPortal(_) => checker.findings.push(item.warning(
            "dev-portal-not-supported",
            "",
            "DevPortal has no effect",
            "remove the object",
        )),
        _ => {}
    }
    checker.findings.extend(inert::check(item));
    checker.findings
}

/// Returns whether the findings keep an object from being used.
pub(crate) fn is_unusable(findings: &[Diagnostic]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

struct Checker<'a> {
    item: &'a Item,
    findings: Vec<Diagnostic>,
}

impl Checker<'_> {
    fn error(&mut self, code: &'static str, field: &str, message: impl Into<String>, remedy: &str) {
        self.findings.push(self.item.error(code, field, message, remedy));
    }

    fn not_yet(&mut self, field: &str) {
        self.findings.push(self.item.warning(
            "not-supported-yet",
            field,
            "is not supported yet and has no effect",
            "remove the field",
        ));
    }

    fn mapping(&mut self, spec: &api::Mapping) {
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
        if spec.host_regex == Some(true) {
            if let Some(host) = spec.host.as_ref().or_else(|| spec.headers.get(":authority")) {
                self.regex("spec.host", host);
            }
        } else if spec.hostname.is_none() {
            let host = spec.host.as_ref().or_else(|| spec.headers.get(":authority"));
            if host.is_some_and(|host| host.contains('*')) {
                self.error(
                    "host-with-wildcard",
                    "spec.host",
                    "host is exact and cannot hold `*`",
                    "use hostname",
                );
            }
        }
        if spec.method_regex == Some(true) {
            self.regex("spec.method", spec.method.as_deref().unwrap_or_default());
        }
        self.conditions(spec);
        self.rewrites(spec);
        self.edits(spec);
        self.upstream(spec);
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
        for (index, check) in spec.health_checks.iter().enumerate() {
            if upstream::health_check(check).is_none() {
                self.error(
                    "invalid-health-check",
                    &format!("spec.health_checks[{index}].health_check"),
                    "needs exactly one of http (with a path) and grpc",
                    "say what is to be checked",
                );
            }
            let kind = check.health_check.as_ref();
            if kind.is_some_and(|kind| kind.grpc.is_some()) && spec.grpc != Some(true) {
                self.error(
                    "invalid-health-check",
                    &format!("spec.health_checks[{index}].health_check.grpc"),
                    "a gRPC health check needs a service that speaks HTTP/2",
                    "set grpc: true",
                );
            }
        }
        if spec.retry_policy.as_ref().is_some_and(|retry| retry.retry_on.is_none()) {
            self.error(
                "invalid-retry-policy",
                "spec.retry_policy.retry_on",
                "in body is required",
                "say what is to be retried",
            );
        }
        if !spec.error_response_overrides.is_empty() {
            self.not_yet("spec.error_response_overrides");
        }
        if spec.outlier_detection.is_some() {
            self.not_yet("spec.outlier_detection");
        }
        if spec.envoy_override.is_some() {
            self.not_yet("spec.envoy_override");
        }
        if !spec.modules.is_empty() {
            self.not_yet("spec.modules");
        }
    }

    fn module(&mut self, config: &api::AmbassadorModule) {
        if let Some(given) = &config.load_balancer
            && let Err(message) = upstream::load_balancer(given)
        {
            let remedy = "give a policy and what it needs";
            self.error("invalid-load-balancer", "spec.config.load_balancer", message, remedy);
        }
        if let Some(kind) = &config.envoy_log_type
            && !matches!(kind.as_str(), "text" | "json" | "typed_json")
        {
            self.error(
                "invalid-log-type",
                "spec.config.envoy_log_type",
                format!("`{kind}` is unknown"),
                "use text, json or typed_json",
            );
        }
        self.log_format(config);
        if config.ip_allow.is_some() && config.ip_deny.is_some() {
            self.findings.push(self.item.warning(
                "ip-allow-and-deny",
                "spec.config.ip_deny",
                "ip_allow is in effect; ip_deny is not",
                "keep one of them",
            ));
        }
        if config.proper_case == Some(true) && !config.header_case_overrides.is_empty() {
            self.findings.push(self.item.warning(
                "proper-case-and-overrides",
                "spec.config.header_case_overrides",
                "proper_case is in effect; header_case_overrides are not",
                "keep one of them",
            ));
        }
        for (field, rules) in [("ip_allow", &config.ip_allow), ("ip_deny", &config.ip_deny)] {
            for rule in rules.iter().flat_map(|rules| &rules.0) {
                self.ip_rule(field, rule);
            }
        }
        let defaults = config.defaults.clone().unwrap_or_default();
        let http = defaults.httpmapping.clone().unwrap_or_default();
        for (field, added) in [
            ("spec.config.defaults.add_request_headers", &defaults.add_request_headers),
            ("spec.config.defaults.add_response_headers", &defaults.add_response_headers),
            ("spec.config.defaults.httpmapping.add_request_headers", &http.add_request_headers),
            ("spec.config.defaults.httpmapping.add_response_headers", &http.add_response_headers),
        ] {
            self.added(field, added.as_ref());
        }
        if config.error_response_overrides.is_some() {
            self.not_yet("spec.config.error_response_overrides");
        }
    }

    fn log_format(&mut self, config: &api::AmbassadorModule) {
        let Some(format) = &config.envoy_log_format else { return };
        let json = matches!(config.envoy_log_type.as_deref(), Some("json" | "typed_json"));
        let field = "spec.config.envoy_log_format";
        match format {
            serde_json::Value::String(text) if !json => {
                if let Some(fault) = syntax::format_fault(text) {
                    self.error("invalid-log-format", field, fault, "write a lone % as %%");
                }
            }
            serde_json::Value::Object(map) if json => {
                for text in map.values().filter_map(serde_json::Value::as_str) {
                    if let Some(fault) = syntax::format_fault(text) {
                        self.error("invalid-log-format", field, fault, "write a lone % as %%");
                    }
                }
            }
            _ => self.error(
                "invalid-log-format",
                field,
                if json { "must be of type object" } else { "must be of type string" },
                "match envoy_log_type",
            ),
        }
    }

    /// A bad entry is left out; the list stays in force without it.
    fn ip_rule(&mut self, field: &str, rule: &IpRule) {
        let (text, valid) = match rule {
            IpRule::Remote(text) | IpRule::Peer(text) => {
                (text, super::filters::address_range(text).is_some())
            }
            IpRule::Invalid(text) => (text, false),
        };
        if !valid {
            self.findings.push(self.item.warning(
                "invalid-ip-range",
                &format!("spec.config.{field}"),
                format!("`{text}` is no range of addresses and is left out"),
                "write remote: or peer: and an address or CIDR range",
            ));
        }
    }

    fn host(&mut self, host: &api::Host) {
        let Some(name) = &host.hostname else { return };
        let middle = name.trim_matches('*');
        let strange = name.chars().any(|c| c.is_control() || c.is_whitespace() || c == '/');
        if middle.contains('*') || strange {
            self.error(
                "invalid-hostname",
                "spec.hostname",
                format!("`{name}` is no host name"),
                "give a name, `*.` and a name, or `*`",
            );
        }
    }

    fn auth_service(&mut self, spec: &api::AuthService) {
        if spec.auth_service.is_empty() {
            self.error("required", "spec.auth_service", "in body is required", "name a service");
        }
        for (name, value) in &spec.add_auth_headers {
            let field = format!("spec.add_auth_headers[{name:?}]");
            self.header_name(&field, name);
            self.text(&field, value);
        }
        let code = spec.status_on_error.as_ref().and_then(|status| status.code);
        if code.is_some_and(|code| !(200..600).contains(&code)) {
            self.error(
                "invalid-status",
                "spec.status_on_error.code",
                "is no HTTP status",
                "give a status from 400 to 599",
            );
        }
    }

    /// A TLS Secret that Envoy would refuse keeps its last good version.
    fn secret(&mut self, secret: &api::core::Secret) {
        if secret.kind != "kubernetes.io/tls" {
            return;
        }
        if super::secret::key_pair(secret).is_none() {
            self.error(
                "invalid-tls-secret",
                "data",
                "tls.crt and tls.key hold no certificate and key in PEM",
                "store both in PEM",
            );
        }
    }

    fn added(&mut self, field: &str, added: Option<&BTreeMap<String, api::AddedHeader>>) {
        for (name, header) in added.into_iter().flatten() {
            let field = format!("{field}[{name:?}]");
            self.editable(&field, name);
            self.text(&field, &header.value);
            if let Some(fault) = syntax::format_fault(&header.value) {
                self.error("invalid-header-format", &field, fault, "write a lone % as %%");
            }
        }
    }

    fn removed(&mut self, field: &str, names: Option<&[String]>) {
        for name in names.into_iter().flatten() {
            self.editable(field, name);
        }
    }

    fn editable(&mut self, field: &str, name: &str) {
        self.header_name(field, name);
        if !syntax::is_editable_header(name) {
            self.error(
                "protected-header",
                field,
                format!("`{name}` cannot be added or removed"),
                "use host_rewrite or rewrite",
            );
        }
    }

    fn header_name(&mut self, field: &str, name: &str) {
        if !syntax::is_header_name(name) {
            self.error(
                "invalid-header-name",
                field,
                format!("`{name}` is no header name"),
                "use letters, digits and dashes",
            );
        }
    }

    fn text(&mut self, field: &str, text: &str) {
        if !syntax::is_header_value(text) {
            self.error(
                "control-character",
                field,
                "holds a control character",
                "remove line breaks and the like",
            );
        }
    }

    fn regex(&mut self, field: &str, pattern: &str) {
        if pattern.is_empty() {
            self.error("invalid-regex", field, "the pattern is empty", "give a pattern");
        } else if let Some(fault) = syntax::regex_fault(pattern) {
            self.error("invalid-regex", field, format!("`{pattern}`: {fault}"), "use RE2 syntax");
        }
    }

    /// A substitution may name only groups that the pattern has.
    fn substitution(&mut self, field: &str, map: &api::RegexMap) {
        self.text(field, &map.substitution);
        let groups = regex::Regex::new(&map.pattern).map_or(0, |r| r.captures_len() - 1);
        let mut chars = map.substitution.chars();
        while let Some(c) = chars.next() {
            if c != '\\' {
                continue;
            }
            let fault = match chars.next() {
                Some('\\') => continue,
                Some(digit) => match digit.to_digit(10) {
                    Some(number) if number as usize <= groups => continue,
                    Some(number) => format!("the pattern has no group {number}"),
                    None => format!("`\\{digit}` means nothing"),
                },
                None => "ends with a backslash".to_owned(),
            };
            self.error(
                "invalid-substitution",
                field,
                fault,
                r"use \0 to \9, and \\ for a backslash",
            );
        }
    }
}
