//! Which rule a request falls under.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderName;
use nuncio_api::filter_policy::{ChainAction, HeaderCondition};
use regex::Regex;
use serde_json::Value;

use crate::Request;
use crate::built_filter::BuiltFilter;
use crate::filter::ConfigError;
use crate::glob::Glob;
use crate::host::Host;
use crate::path::PathForms;

/// One rule of a FilterPolicy, resolved.
#[derive(Debug)]
pub struct Rule {
    /// Shape: `name.namespace#index`, for logs and `explain`.
    pub name: String,
    pub(crate) host: Glob,
    pub(crate) path: Glob,
    /// Filters in order.
    pub chain: Vec<Link>,
    /// Headers that any filter of the chain may set, sorted.
    pub(crate) injectable: Vec<HeaderName>,
}

/// One filter of a chain.
#[derive(Debug)]
pub struct Link {
    /// The filter; one that is missing or unusable fails every request.
    pub filter: Arc<BuiltFilter>,
    pub(crate) break_on_deny: bool,
    pub(crate) break_on_allow: bool,
    pub(crate) condition: Option<Condition>,
    pub(crate) scopes: Vec<String>,
    pub(crate) arguments: Value,
}

impl Link {
    /// Reads the two actions; absent and empty mean the default.
    pub(crate) fn breaks(deny: Option<ChainAction>, allow: Option<ChainAction>) -> (bool, bool) {
        (deny != Some(ChainAction::Continue), allow == Some(ChainAction::Break))
    }
}

/// `ifRequestHeader`.
#[derive(Debug)]
pub(crate) struct Condition {
    name: String,
    test: Test,
    negate: bool,
}

#[derive(Debug)]
enum Test {
    NotEmpty,
    Exact(String),
    Regex(Regex),
}

impl Condition {
    pub(crate) fn new(source: &HeaderCondition) -> Result<Self, ConfigError> {
        let refuse = |field: &str, message: String| {
            Err(ConfigError::new(format!("ifRequestHeader.{field}"), message))
        };
        let name = source.name.to_ascii_lowercase();
        let is_name = name.strip_prefix(':').unwrap_or(&name).parse::<HeaderName>().is_ok();
        if !is_name {
            return refuse("name", format!("`{}` is not a header name", source.name));
        }
        let (exact, pattern) = match source.match_type.as_str() {
            "" | "Exact" => (source.value.as_ref(), source.value_regex.as_ref()),
            "RegularExpression" => (None, source.value_regex.as_ref().or(source.value.as_ref())),
            other => return refuse("type", format!("`{other}` is not a type of match")),
        };
        let test = match (exact.filter(|v| !v.is_empty()), pattern.filter(|v| !v.is_empty())) {
            (Some(_), Some(_)) => {
                return refuse("valueRegex", "value and valueRegex are both set".to_owned());
            }
            (Some(value), None) => Test::Exact(value.clone()),
            (None, Some(pattern)) => match Regex::new(pattern) {
                Ok(regex) => Test::Regex(regex),
                Err(error) => return refuse("valueRegex", format!("not an expression: {error}")),
            },
            (None, None) => Test::NotEmpty,
        };
        Ok(Self { name, test, negate: source.negate })
    }

    /// Tells whether a request fits. `own` are headers that only earlier
    /// filters may set: the client's value of one of them does not count.
    pub(crate) fn holds(&self, request: &Request, is_spoofed: impl Fn(&str) -> bool) -> bool {
        let value = request.value(&self.name).filter(|_| !is_spoofed(&self.name));
        let fits = value.is_some_and(|value| match &self.test {
            Test::NotEmpty => !value.is_empty(),
            Test::Exact(wanted) => value == *wanted,
            Test::Regex(regex) => regex.is_match(&value),
        });
        fits != self.negate
    }
}

/// All rules in order, indexed by host and by the literal start of the path.
#[derive(Debug, Default)]
pub struct RuleTable {
    rules: Vec<Arc<Rule>>,
    /// Hosts without star.
    exact: HashMap<String, PathIndex>,
    /// Hosts with a star, by what follows the last one; longest first is not
    /// needed since the order of rules decides.
    starred: HashMap<String, Vec<(Glob, PathIndex)>>,
    /// Distinct lengths of the keys of `starred`.
    suffix_lengths: Vec<usize>,
}

/// Rules of one host pattern, by the literal start of their path.
#[derive(Debug, Default)]
struct PathIndex {
    by_prefix: HashMap<String, Vec<usize>>,
    prefix_lengths: Vec<usize>,
}

impl RuleTable {
    /// Indexes rules given in order of precedence.
    pub(crate) fn new(rules: Vec<Arc<Rule>>) -> Self {
        let mut table = Self::default();
        for (at, rule) in rules.iter().enumerate() {
            let index = if rule.host.is_literal() {
                table.exact.entry(rule.host.prefix().to_owned()).or_default()
            } else {
                let suffix = rule.host.suffix().to_owned();
                if !table.suffix_lengths.contains(&suffix.len()) {
                    table.suffix_lengths.push(suffix.len());
                }
                let list = table.starred.entry(suffix).or_default();
                let known = list.iter().position(|(glob, _)| *glob == rule.host);
                let known = known.unwrap_or_else(|| {
                    list.push((rule.host.clone(), PathIndex::default()));
                    list.len() - 1
                });
                &mut list[known].1
            };
            index.add(at, &rule.path);
        }
        table.rules = rules;
        table
    }

    /// Returns the rules in order of precedence.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// Returns the first rule for a host and path.
    pub fn find(&self, host: &Host, path: &str) -> Option<&Arc<Rule>> {
        let name = host.name();
        let authority = host.authority();
        let both = std::iter::once(name).chain((authority != name).then_some(authority));
        let mut best = usize::MAX;
        for text in both {
            if let Some(index) = self.exact.get(text) {
                index.improve(&self.rules, path, &mut best);
            }
            for length in &self.suffix_lengths {
                let Some(start) = text.len().checked_sub(*length) else { continue };
                let Some(list) = text.get(start..).and_then(|end| self.starred.get(end)) else {
                    continue;
                };
                for (glob, index) in list {
                    if glob.matches(text) {
                        index.improve(&self.rules, path, &mut best);
                    }
                }
            }
        }
        self.rules.get(best)
    }

    /// Chooses the rule of a request.
    ///
    /// # Errors
    /// When readings of the path fall under different rules, or a guarded path
    /// holds characters that backends read in different ways and `strict`.
    pub(crate) fn choose(
        &self,
        host: &Host,
        path: &PathForms<'_>,
        strict: bool,
    ) -> Result<Option<&Arc<Rule>>, Ambiguous> {
        let chosen = self.find(host, &path.canonical);
        let same = |other: &str| match (chosen, self.find(host, other)) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        let lenient = path.lenient.as_deref();
        let raw_differs = path.raw != path.canonical && !same(path.raw);
        if raw_differs || lenient.is_some_and(|lenient| !same(lenient)) {
            return Err(Ambiguous);
        }
        let guarded = chosen.is_some_and(|rule| !rule.chain.is_empty());
        if guarded && strict && lenient.is_some() {
            return Err(Ambiguous);
        }
        Ok(chosen)
    }
}

/// Readings of a path fall under different rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ambiguous;

impl PathIndex {
    fn add(&mut self, at: usize, path: &Glob) {
        let prefix = path.prefix().to_owned();
        if !self.prefix_lengths.contains(&prefix.len()) {
            self.prefix_lengths.push(prefix.len());
        }
        self.by_prefix.entry(prefix).or_default().push(at);
    }

    /// Lowers `best` to the first rule that matches, if that is earlier.
    fn improve(&self, rules: &[Arc<Rule>], path: &str, best: &mut usize) {
        for length in &self.prefix_lengths {
            let Some(list) = path.get(..*length).and_then(|start| self.by_prefix.get(start)) else {
                continue;
            };
            for at in list {
                if *at >= *best {
                    break;
                }
                if rules[*at].path.matches(path) {
                    *best = *at;
                    break;
                }
            }
        }
    }
}
