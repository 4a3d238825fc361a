//! The rule table: immutable, built whole, looked up for each descriptor.

use std::collections::BTreeMap;

use crate::config::{ConfigError, DomainConfig};
use crate::rule::Rule;

mod build;
mod glob;
mod prefix;

use glob::Glob;
use prefix::Prefixes;

/// Every rule of every domain. Made at once from all configuration; a request
/// is held to one table from beginning to end.
#[derive(Debug, Default)]
pub struct Table {
    domains: BTreeMap<Box<str>, Domain>,
    rules: Vec<Rule>,
}

/// A rule that applies to a descriptor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matched<'t> {
    pub(crate) rule: &'t Rule,
    /// Entries that take part in the match, from the first.
    pub(crate) depth: usize,
}

#[derive(Debug, Default)]
struct Domain {
    root: Node,
    prefixes: Prefixes,
}

/// A place in the tree of one domain. Keys and values are looked up apart, so
/// that (`a`, `b_c`) and (`a_b`, `c`) stay two things.
#[derive(Debug, Default)]
struct Node {
    rule: Option<usize>,
    keys: BTreeMap<Box<str>, Values>,
}

#[derive(Debug, Default)]
struct Values {
    exact: BTreeMap<Box<str>, Node>,
    /// In file order; the first that matches is taken.
    patterns: Vec<(Glob, Node)>,
    any: Option<Box<Node>>,
}

impl Table {
    /// Builds a table. Files of one domain are refused unless `merge`.
    ///
    /// # Errors
    /// The first fault found, naming its file and path. Nothing of a faulty
    /// configuration is used.
    pub fn build(configs: &[DomainConfig], merge: bool) -> Result<Self, ConfigError> {
        build::build(configs, merge)
    }

    /// Returns all rules, ordered as configured.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Returns the names of the domains in alphabetical order.
    pub fn domains(&self) -> impl Iterator<Item = &str> {
        self.domains.keys().map(|name| &**name)
    }

    /// Says whether any configuration names this domain.
    pub fn has_domain(&self, domain: &str) -> bool {
        self.domains.contains_key(domain)
    }

    /// Finds the rule for a descriptor.
    ///
    /// Prefix patterns come first, the longest wins. Then the tree, level by
    /// level: the exact value, else the first pattern, else any value. There is
    /// no way back: a chosen branch that has no rule at this depth means that
    /// no rule applies.
    pub(crate) fn lookup(&self, domain: &str, entries: &[(&str, &str)]) -> Option<Matched<'_>> {
        let domain = self.domains.get(domain)?;
        if let Some((rule, depth)) = domain.prefixes.lookup(entries) {
            return Some(Matched { rule: &self.rules[rule], depth });
        }
        let mut node = &domain.root;
        for (key, value) in entries {
            node = node.keys.get(*key)?.child(value)?;
        }
        Some(Matched { rule: &self.rules[node.rule?], depth: entries.len() })
    }
}

impl Values {
    fn child(&self, value: &str) -> Option<&Node> {
        // An empty value in the configuration means any value.
        if !value.is_empty()
            && let Some(node) = self.exact.get(value)
        {
            return Some(node);
        }
        let pattern = self.patterns.iter().find(|(glob, _)| glob.matches(value));
        pattern.map(|(_, node)| node).or(self.any.as_deref())
    }
}

#[cfg(test)]
mod tests;
