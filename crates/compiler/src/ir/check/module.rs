//! What the `ambassador` Module says, checked by itself.

use nuncio_api as api;
use nuncio_api::{EnvoyText, IpRule};

use super::Checker;
use crate::ir::filters;
use crate::ir::refusals::REFUSED;

impl Checker<'_> {
    pub(super) fn module(&mut self, config: &api::AmbassadorModule) {
        if let Some(given) = &config.load_balancer {
            self.load_balancer("spec.config.load_balancer", given);
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
        self.text("spec.config.server_name", config.server_name.as_deref().unwrap_or_default());
        self.log_format(config);
        self.judged_by_envoy(config);
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
        for (field, removed) in [
            ("spec.config.defaults.remove_request_headers", &defaults.remove_request_headers),
            ("spec.config.defaults.remove_response_headers", &defaults.remove_response_headers),
            (
                "spec.config.defaults.httpmapping.remove_request_headers",
                &http.remove_request_headers,
            ),
            (
                "spec.config.defaults.httpmapping.remove_response_headers",
                &http.remove_response_headers,
            ),
        ] {
            self.removed(field, Some(removed));
        }
        if let Some(name) = &config.server_name {
            self.text("spec.config.server_name", name);
        }
        self.grpc_stats(config);
    }

    /// Envoy refuses a service without a name or without methods.
    fn grpc_stats(&mut self, config: &api::AmbassadorModule) {
        let mut services = config.grpc_stats.iter().flat_map(|stats| &stats.services);
        if services.any(|service| service.name.is_empty() || service.method_names.is_empty()) {
            self.error(
                "bad-value",
                "spec.config.grpc_stats",
                "a service has no name or no methods; nothing is counted",
                "name both, or use all_methods",
            );
        }
    }

    /// Whether a script can be loaded and a file can be opened, Envoy alone can
    /// tell.
    fn judged_by_envoy(&mut self, config: &api::AmbassadorModule) {
        self.error_responses(&config.error_response_overrides);
        if let Some(script) = config.lua_scripts.as_deref().filter(|code| !code.trim().is_empty()) {
            self.doubts.insert(EnvoyText::Script(script.into()));
            if let Some(reason) = self.refused.script(script) {
                let message = format!("Envoy refuses the script: {reason}");
                self.error(REFUSED, "spec.config.lua_scripts", message, "correct the script");
            }
        }
        if let Some(path) = config.envoy_log_path.as_deref() {
            self.doubts.insert(EnvoyText::LogPath(path.into()));
            if let Some(reason) = self.refused.log_path(path) {
                let message = format!("Envoy cannot open `{path}`: {reason}");
                let remedy = "name a file that Envoy can open; where it can by now, remove the field and write it again";
                self.error(REFUSED, "spec.config.envoy_log_path", message, remedy);
            }
        }
    }

    fn log_format(&mut self, config: &api::AmbassadorModule) {
        let Some(format) = &config.envoy_log_format else { return };
        let json = matches!(config.envoy_log_type.as_deref(), Some("json" | "typed_json"));
        let field = "spec.config.envoy_log_format";
        match format {
            serde_json::Value::String(text) if !json => {
                self.format("invalid-log-format", field, text);
            }
            serde_json::Value::Object(map) if json => {
                for text in map.values().filter_map(serde_json::Value::as_str) {
                    self.format("invalid-log-format", field, text);
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
                (text, filters::address_range(text).is_some())
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
}
