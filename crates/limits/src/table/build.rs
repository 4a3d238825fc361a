//! Configuration to table, refusing what cannot be meant.

use std::collections::BTreeSet;

use super::{Domain, Glob, Node, Table, Values};
use crate::answer::Answer;
use crate::config::{ConfigError, DescriptorConfig, DomainConfig, Fault, PatternLimit, RateLimit};
use crate::key::rule_id;
use crate::rule::{Level, Limit, Rule, Window, Windowed};
use crate::unit::Unit;

pub(super) fn build(configs: &[DomainConfig], merge: bool) -> Result<Table, ConfigError> {
    let mut table = Table::default();
    let mut seen = BTreeSet::new();
    for config in configs {
        if config.domain.is_empty() {
            return Err(Fault::EmptyDomain.at(&config.source, "domain"));
        }
        if !seen.insert(&config.domain) && !merge {
            return Err(Fault::DuplicateDomain(config.domain.clone()).at(&config.source, "domain"));
        }
        let domain = table.domains.entry(config.domain.as_str().into()).or_default();
        let mut builder = Builder { config, rules: &mut table.rules };
        builder.level(&mut domain.root, &config.descriptors, &Branch::default())?;
        builder.patterns(domain)?;
    }
    Ok(table)
}

struct Builder<'a> {
    config: &'a DomainConfig,
    rules: &'a mut Vec<Rule>,
}

/// The way from the root to a list of descriptors.
#[derive(Debug, Clone, Default)]
struct Branch {
    /// Path of the list's owner in the file, `descriptors[0].`, for messages.
    place: String,
    levels: Vec<Level>,
    /// Keys and values as configured, for the rule's id.
    identity: Vec<(String, String)>,
}

impl Builder<'_> {
    fn level(
        &mut self,
        node: &mut Node,
        descriptors: &[DescriptorConfig],
        branch: &Branch,
    ) -> Result<(), ConfigError> {
        for (index, descriptor) in descriptors.iter().enumerate() {
            let branch =
                Branch { place: format!("{}descriptors[{index}]", branch.place), ..branch.clone() };
            self.descriptor(node, descriptor, branch)?;
        }
        Ok(())
    }

    fn descriptor(
        &mut self,
        parent: &mut Node,
        descriptor: &DescriptorConfig,
        mut branch: Branch,
    ) -> Result<(), ConfigError> {
        let fault = |fault: Fault, field: &str| {
            Err(fault.at(&self.config.source, format!("{}{field}", branch.place)))
        };
        if descriptor.key.is_empty() {
            return fault(Fault::EmptyKey, ".key");
        }
        let glob = Glob::parse(&descriptor.value);
        if descriptor.share_threshold && glob.is_none() {
            return fault(Fault::ShareWithoutPattern, ".share_threshold");
        }
        if let Some(limit) = &descriptor.rate_limit
            && let Some(found) = limit_fault(limit)
        {
            return fault(found, ".rate_limit");
        }
        branch.levels.push(Level::of(descriptor));
        branch.identity.push((descriptor.key.clone(), descriptor.value.clone()));
        let values = parent.keys.entry(descriptor.key.as_str().into()).or_default();
        let Some(mut node) = values.make(&descriptor.value, glob) else {
            let name = format!("{}.{}", self.config.domain, path(&branch.levels));
            return Err(Fault::DuplicateKey(name).at(&self.config.source, branch.place));
        };
        if let Some(limit) = &descriptor.rate_limit {
            let index = self.tree_rule(descriptor, limit, &branch);
            node.rule = Some(index);
        }
        branch.place.push('.');
        self.level(&mut node, &descriptor.descriptors, &branch)?;
        values.put(&descriptor.value, node);
        Ok(())
    }

    fn tree_rule(&mut self, own: &DescriptorConfig, limit: &RateLimit, branch: &Branch) -> usize {
        let index = self.rules.len();
        let windowed = limit.unit.map(|unit| Windowed {
            hits: limit.requests_per_unit.into(),
            window: Window::Fixed { seconds: unit.seconds() },
            requests_per_unit: limit.requests_per_unit,
            unit: Some(unit),
        });
        let mut levels = branch.levels.clone();
        if own.detailed_metric {
            levels.iter_mut().for_each(|level| level.runtime = true);
        }
        let seconds = windowed.map_or(0, |w| w.window.seconds());
        self.rules.push(Rule {
            index,
            domain: self.config.domain.clone(),
            path: path(&levels),
            limit: windowed.filter(|_| !limit.unlimited).map_or(Limit::Unlimited, Limit::Windowed),
            name: limit.name.clone(),
            replaces: limit.replaces.clone(),
            shadow: own.shadow_mode,
            quota: own.quota_mode,
            id: rule_id("tree", &self.config.domain, seconds, &branch.identity),
            levels,
            metadata: own.metadata.clone(),
            answer: None,
        });
        index
    }

    fn patterns(&mut self, domain: &mut Domain) -> Result<(), ConfigError> {
        for (index, limit) in self.config.limits.iter().enumerate() {
            let place = format!("limits[{index}]");
            let windowed = windowed(limit)
                .ok_or_else(|| Fault::OutOfRange.at(&self.config.source, place.as_str()))?;
            let answer = Answer::parse(limit).map_err(|(field, fault)| {
                fault.at(&self.config.source, format!("{place}.{field}"))
            })?;
            for (number, pattern) in limit.patterns.iter().enumerate() {
                if pattern.is_empty() || pattern.iter().any(Vec::is_empty) {
                    let path = format!("{place}.pattern[{number}]");
                    return Err(Fault::EmptyPattern.at(&self.config.source, path));
                }
            }
            let rule = self.rules.len();
            let identity = pattern_identity(limit);
            let seconds = windowed.window.seconds();
            self.rules.push(Rule {
                index: rule,
                domain: self.config.domain.clone(),
                path: limit.name.clone(),
                limit: Limit::Windowed(windowed),
                name: limit.name.clone(),
                replaces: Vec::new(),
                shadow: limit.log_only,
                quota: false,
                levels: vec![Level { label: limit.name.clone(), shared: None, runtime: false }],
                metadata: None,
                answer: Some(Box::new(answer)),
                id: rule_id("prefix", &self.config.domain, seconds, &identity),
            });
            for pattern in &limit.patterns {
                domain.prefixes.insert(pattern, rule);
            }
        }
        Ok(())
    }
}

impl Values {
    /// Returns an empty node for a value, or `None` when the value is taken.
    fn make(&self, value: &str, glob: Option<Glob>) -> Option<Node> {
        let taken = match glob {
            Some(glob) => self.patterns.iter().any(|(known, _)| *known == glob),
            None if value.is_empty() => self.any.is_some(),
            None => self.exact.contains_key(value),
        };
        (!taken).then(Node::default)
    }

    fn put(&mut self, value: &str, node: Node) {
        match Glob::parse(value) {
            Some(glob) => self.patterns.push((glob, node)),
            None if value.is_empty() => self.any = Some(Box::new(node)),
            None => {
                self.exact.insert(value.into(), node);
            }
        }
    }
}

impl Level {
    fn of(descriptor: &DescriptorConfig) -> Self {
        let DescriptorConfig { key, value, .. } = descriptor;
        Self {
            label: if value.is_empty() { key.clone() } else { format!("{key}_{value}") },
            shared: descriptor.share_threshold.then(|| value.clone()),
            runtime: descriptor.value_to_metric,
        }
    }
}

/// Says whose counters these are whatever place the object has: name and
/// patterns, for names need not be unique.
fn pattern_identity(limit: &PatternLimit) -> Vec<(String, String)> {
    let mut identity = vec![(limit.name.clone(), String::new())];
    for (number, pattern) in limit.patterns.iter().enumerate() {
        for (position, labels) in pattern.iter().enumerate() {
            identity.push((number.to_string(), position.to_string()));
            identity.extend(labels.iter().map(|label| (label.key.clone(), label.value.clone())));
        }
    }
    identity
}

fn path(levels: &[Level]) -> String {
    levels.iter().map(|level| level.label.as_str()).collect::<Vec<_>>().join(".")
}

fn limit_fault(limit: &RateLimit) -> Option<Fault> {
    if limit.unlimited && limit.unit.is_some() {
        return Some(Fault::UnitWithUnlimited);
    }
    if !limit.unlimited && limit.unit.is_none() {
        return Some(Fault::BadUnit(String::new()));
    }
    if limit.replaces.iter().any(String::is_empty) {
        return Some(Fault::EmptyReplaces);
    }
    let itself = limit.replaces.contains(&limit.name);
    itself.then_some(Fault::SelfReplaces)
}

/// A burst factor of N allows N times the rate in any N units: what was not
/// used may be spent, and in the long run the rate holds.
fn windowed(limit: &PatternLimit) -> Option<Windowed> {
    /// A century; longer windows could overflow what is computed with them.
    const LONGEST: u64 = 100 * 366 * 86_400;
    let factor = u64::from(limit.burst_factor.max(1));
    let seconds = limit.unit_seconds.checked_mul(factor)?;
    if seconds == 0 || seconds > LONGEST {
        return None;
    }
    let window = match limit.burst_factor {
        0 => Window::Fixed { seconds },
        _ => Window::Sliding { seconds },
    };
    Some(Windowed {
        hits: limit.rate.checked_mul(factor)?,
        window,
        requests_per_unit: u32::try_from(limit.rate).unwrap_or(u32::MAX),
        unit: Unit::from_seconds(limit.unit_seconds),
    })
}
