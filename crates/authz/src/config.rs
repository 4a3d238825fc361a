//! Filters and policies as one whole, built at once and swapped at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderName;
use nuncio_api::filter as api;
use nuncio_api::filter_policy as policy_api;

use crate::built_filter::{BuildError, BuiltFilter, build_or_reuse, warnings};
use crate::filter::{ConfigError, FilterName};
use crate::glob::Glob;
use crate::policy::{Condition, Link, Rule, RuleTable};
use crate::sources::{Environment, Source, Sources};

/// Filters and policies, ready to decide.
#[derive(Debug, Default)]
pub struct Config {
    filters: BTreeMap<FilterName, Arc<BuiltFilter>>,
    table: RuleTable,
    findings: Vec<Finding>,
    strict_paths: bool,
}

/// What is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `Filter` or `FilterPolicy`.
    pub kind: &'static str,
    /// The object.
    pub name: FilterName,
    /// Field below `spec`.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// Whether requests are refused because of it.
    pub is_error: bool,
}

impl Config {
    /// Builds a configuration. Filters that did not change are taken over from
    /// `previous` with what they remember; one whose new spec cannot be used
    /// keeps its last good one.
    pub fn build(sources: &Sources, environment: &Environment, previous: Option<&Self>) -> Self {
        let mut config = Self { strict_paths: environment.strict_paths, ..Self::default() };
        for (name, source) in &sources.filters {
            let old = previous.and_then(|previous| previous.filters.get(name));
            let filter = config.filter(name, source, sources, environment, old);
            config.filters.insert(name.clone(), filter);
        }
        let mut rules = Vec::new();
        for (name, source) in &sources.policies {
            config.policy(name, source, &mut rules);
        }
        // Stable: equal precedence leaves namespace, name, position.
        rules.sort_by_key(|(precedence, _)| std::cmp::Reverse(*precedence));
        config.table = RuleTable::new(rules.into_iter().map(|(_, rule)| Arc::new(rule)).collect());
        config
    }

    /// Returns the rules.
    pub const fn table(&self) -> &RuleTable {
        &self.table
    }

    /// Returns the filters by name.
    pub const fn filters(&self) -> &BTreeMap<FilterName, Arc<BuiltFilter>> {
        &self.filters
    }

    /// Returns what is wrong with the objects.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    pub(crate) const fn strict_paths(&self) -> bool {
        self.strict_paths
    }

    fn find_fault(
        &mut self,
        kind: &'static str,
        name: &FilterName,
        error: &ConfigError,
        is_error: bool,
    ) {
        let ConfigError { field, message } = error.clone();
        self.findings.push(Finding { kind, name: name.clone(), field, message, is_error });
    }

    fn filter(
        &mut self,
        name: &FilterName,
        source: &Source<api::Filter>,
        sources: &Sources,
        environment: &Environment,
        old: Option<&Arc<BuiltFilter>>,
    ) -> Arc<BuiltFilter> {
        let reject = |config: &mut Self, error: &ConfigError| {
            config.find_fault("Filter", name, error, true);
            BuiltFilter::refusing(name.clone(), error.to_string())
        };
        let spec = match (&source.spec, &source.rejected) {
            (Some(spec), None) => spec,
            (_, reason) => {
                let reason = reason.as_deref().unwrap_or("the object cannot be read");
                return reject(self, &ConfigError::new("", reason));
            }
        };
        match build_or_reuse(name, spec, sources, environment, old) {
            Ok(filter) => {
                for error in warnings(spec) {
                    self.find_fault("Filter", name, &error, false);
                }
                filter
            }
            Err(BuildError::Final(error)) => reject(self, &error),
            Err(BuildError::Spec(error)) => {
                let kept = old
                    .and_then(|old| old.spec())
                    .and_then(|spec| build_or_reuse(name, spec, sources, environment, old).ok());
                match kept {
                    Some(filter) => {
                        self.find_fault("Filter", name, &error, true);
                        filter
                    }
                    None => reject(self, &error),
                }
            }
        }
    }

    fn policy(
        &mut self,
        name: &FilterName,
        source: &Source<policy_api::FilterPolicy>,
        rules: &mut Vec<(i64, Rule)>,
    ) {
        if let Some(reason) = &source.rejected {
            self.find_fault("FilterPolicy", name, &ConfigError::new("", reason.as_str()), true);
        }
        let parsed = source.spec.as_ref().map(|spec| spec.rules.as_slice()).unwrap_or_default();
        if parsed.is_empty() && (source.rejected.is_some() || source.spec.is_none()) {
            // Nothing says what it was meant to guard, so it may be anything.
            let reason = source.rejected.as_deref().unwrap_or("the policy cannot be read");
            let link = Link::refusing(name, reason);
            rules.push((i64::MAX, self.rule(name, 0, "*", "*", vec![link])));
        }
        for (at, rule) in parsed.iter().enumerate() {
            let links: Vec<_> = match &source.rejected {
                Some(reason) => vec![Link::refusing(name, reason)],
                None => (0..rule.filters.len()).map(|i| self.link(name, at, rule, i)).collect(),
            };
            rules.push((rule.precedence, self.rule(name, at, &rule.host, &rule.path, links)));
        }
    }

    fn rule(&self, name: &FilterName, at: usize, host: &str, path: &str, chain: Vec<Link>) -> Rule {
        let or_star =
            |pattern: &str| if pattern.is_empty() { "*".into() } else { pattern.to_owned() };
        let mut injectable: Vec<HeaderName> =
            chain.iter().flat_map(|link| link.filter.injectable().iter().cloned()).collect();
        injectable.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        injectable.dedup();
        Rule {
            name: format!("{name}#{at}"),
            host: Glob::new(or_star(host).to_ascii_lowercase().trim_end_matches('.')),
            path: Glob::new(&or_star(path)),
            chain,
            injectable,
        }
    }

    fn link(
        &mut self,
        policy: &FilterName,
        at: usize,
        rule: &policy_api::Rule,
        position: usize,
    ) -> Link {
        let reference = &rule.filters[position];
        let own = reference.namespace.is_empty();
        let name = FilterName {
            namespace: if own { policy.namespace.clone() } else { reference.namespace.clone() },
            name: reference.name.clone(),
        };
        let field = |rest: &str| format!("rules[{at}].filters[{position}]{rest}");
        let filter = self.filters.get(&name).cloned().unwrap_or_else(|| {
            let message = format!("the Filter {name} does not exist");
            let error = ConfigError::new(field(".name"), message.as_str());
            self.find_fault("FilterPolicy", policy, &error, true);
            BuiltFilter::refusing(name.clone(), message)
        });
        let condition = reference.if_request_header.as_ref().map(Condition::new).transpose();
        let (filter, condition) = match condition {
            Ok(condition) => (filter, condition),
            Err(error) => {
                let error = ConfigError::new(field(&format!(".{}", error.field)), error.message);
                self.find_fault("FilterPolicy", policy, &error, true);
                (BuiltFilter::refusing(name, error.to_string()), None)
            }
        };
        let (break_on_deny, break_on_allow) = Link::breaks(reference.on_deny, reference.on_allow);
        if !break_on_deny && position + 1 == rule.filters.len() {
            let message = "`continue` on the last filter lets denied requests through";
            self.find_fault(
                "FilterPolicy",
                policy,
                &ConfigError::new(field(".onDeny"), message),
                false,
            );
        }
        Link {
            filter,
            break_on_deny,
            break_on_allow,
            condition,
            scopes: reference.scopes(),
            arguments: reference.arguments.clone().unwrap_or_default(),
        }
    }
}

impl Link {
    fn refusing(name: &FilterName, reason: &str) -> Self {
        Self {
            filter: BuiltFilter::refusing(name.clone(), reason.to_owned()),
            break_on_deny: true,
            break_on_allow: false,
            condition: None,
            scopes: Vec::new(),
            arguments: serde_json::Value::Null,
        }
    }
}

/// Checks a FilterPolicy apart from the Filters it names.
pub fn check_policy(spec: &policy_api::FilterPolicy) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    for (at, rule) in spec.rules.iter().enumerate() {
        for (position, reference) in rule.filters.iter().enumerate() {
            let condition = reference.if_request_header.as_ref().map(Condition::new);
            if let Some(Err(error)) = condition {
                let field = format!("rules[{at}].filters[{position}].{}", error.field);
                errors.push(ConfigError::new(field, error.message));
            }
        }
    }
    errors
}
