//! What an object says, checked by itself.
//!
//! An object that fails keeps its last good version in effect: the errors here
//! are those that would make Envoy refuse more than this object, or would make
//! the object mean something else than it says.

use std::collections::{BTreeMap, BTreeSet};

use nuncio_api as api;
use nuncio_api::{Diagnostic, EnvoyText, Severity, Spec};

use super::item::Item;
use super::refusals::Refusals;
use super::{certificate, format, inert, limits, pattern, secret, syntax, upstream};

mod mapping;
mod module;

/// What there is to say of an object.
pub(crate) struct Checked {
    /// Everything wrong with it; with an error among it the object cannot be
    /// used.
    pub(crate) findings: Vec<Diagnostic>,
    /// What it holds of which Envoy alone can judge.
    pub(crate) doubts: BTreeSet<EnvoyText>,
}

/// Checks an object. `refused` is what Envoy is known to refuse.
pub(crate) fn check(item: &Item, refused: &Refusals) -> Checked {
    let mut checker = Checker { item, refused, findings: Vec::new(), doubts: BTreeSet::new() };
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
    Checked { findings: checker.findings, doubts: checker.doubts }
}

/// Returns whether the findings keep an object from being used.
pub(crate) fn is_unusable(findings: &[Diagnostic]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

struct Checker<'a> {
    item: &'a Item,
    refused: &'a Refusals,
    findings: Vec<Diagnostic>,
    doubts: BTreeSet<EnvoyText>,
}

impl Checker<'_> {
    fn error(&mut self, code: &'static str, field: &str, message: impl Into<String>, remedy: &str) {
        self.findings.push(self.item.error(code, field, message, remedy));
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
            self.format("invalid-header-format", &field, value);
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

    /// A Secret that Envoy would refuse keeps its last good version.
    fn secret(&mut self, given: &api::core::Secret) {
        let fault = match secret::key_pair(given) {
            Some((chain, key)) => certificate::pair_fault(chain, key),
            None if given.kind == "kubernetes.io/tls" && !secret::is_authority_alone(given) => {
                Some("tls.crt and tls.key hold no certificate and key in PEM".to_owned())
            }
            None => secret::authorities(given).and_then(certificate::anchors_fault),
        };
        let fault = fault
            .or_else(|| secret::root(given).and_then(certificate::anchors_fault))
            .or_else(|| secret::revocations(given).and_then(certificate::revocations_fault));
        if let Some(fault) = fault {
            let remedy = "store a certificate and its key in PEM";
            self.error("invalid-tls-secret", "data", fault, remedy);
        }
    }

    fn load_balancer(&mut self, field: &str, given: &api::LoadBalancer) {
        if let Err(message) = upstream::load_balancer(given) {
            let remedy = "give a policy and what it needs";
            self.error("invalid-load-balancer", field, message, remedy);
        }
    }

    fn added(&mut self, field: &str, added: Option<&BTreeMap<String, api::AddedHeader>>) {
        for (name, header) in added.into_iter().flatten() {
            let field = format!("{field}[{name:?}]");
            self.editable(&field, name);
            self.text(&field, &header.value);
            self.format("invalid-header-format", &field, &header.value);
        }
    }

    fn format(&mut self, code: &'static str, field: &str, format: &str) {
        self.expressions(format);
        if let Some(fault) = format::fault(format, &self.refused.expressions) {
            self.error(fault.code(code), field, &*fault.message, fault.remedy());
        }
    }

    fn expressions(&mut self, format: &str) {
        self.doubts.extend(format::expressions(format).map(EnvoyText::Expression));
    }

    /// A bad body is left out where the rules are read.
    fn error_responses(&mut self, rules: &[api::ErrorResponseOverride]) {
        for body in rules.iter().filter_map(|rule| rule.body.as_ref()) {
            let pairs = body.json_format.iter().flat_map(BTreeMap::values);
            body.text_format.iter().chain(pairs).for_each(|format| self.expressions(format));
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

    fn regex(&mut self, field: &str, text: &str) {
        if text.is_empty() {
            self.error("invalid-regex", field, "the pattern is empty", "give a pattern");
        } else if let Some(fault) = pattern::fault(text) {
            self.error("invalid-regex", field, format!("`{text}`: {fault}"), "use RE2 syntax");
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
