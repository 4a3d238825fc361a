//! From a request to what must be counted.

use crate::key::{CounterKey, rule_id, text_key};
use crate::request::{Bounds, Descriptor, Malformed, Request};
use crate::rule::{Limit, Now, Rule, Span, Window, Windowed};
use crate::table::Table;

/// How requests are planned and answered; the same for all requests.
#[derive(Debug, Clone)]
pub struct Options {
    /// What a request may be at most.
    pub bounds: Bounds,
    /// Make envoyproxy/ratelimit's counter names, with this prefix.
    pub text_keys: Option<String>,
    /// Treat every rule as a quota.
    pub quota_mode: bool,
    /// Never deny as a whole.
    pub shadow_mode: bool,
    /// A look says over only above the limit, not at it.
    pub probe_compat: bool,
    /// Share of a limit above which hits count as near it, 0 to 1.
    pub near_limit_ratio: f64,
    /// Names of the three informative headers: limit, remaining, reset.
    pub headers: Option<[String; 3]>,
    /// Describe the rules in dynamic metadata.
    pub dynamic_metadata: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bounds: Bounds::default(),
            text_keys: None,
            quota_mode: false,
            shadow_mode: false,
            probe_compat: false,
            near_limit_ratio: 0.8,
            headers: None,
            dynamic_metadata: false,
        }
    }
}

/// What a request asks of the counters, and what is needed to judge the
/// counts: see [`crate::settle`].
#[derive(Debug)]
pub struct Plan<'a> {
    /// Counters to charge, in order; the store answers one count for each.
    pub charges: Vec<Charge>,
    /// No configuration names the request's domain.
    pub domain_unknown: bool,
    pub(crate) request: &'a Request<'a>,
    pub(crate) items: Vec<Item<'a>>,
    pub(crate) now: Now,
}

/// One change of one counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Counter, the same in every window.
    pub key: CounterKey,
    /// envoyproxy/ratelimit's name of counter and window, when asked for.
    pub text: Option<String>,
    /// Rule, to share one counter among strangers when memory is full.
    pub rule: u64,
    /// Hits the window allows.
    pub limit: u64,
    /// What to do.
    pub act: Act,
    /// Kind of window.
    pub window: Window,
    /// The window (of sliding ones, the part) this hit falls in.
    pub span: Span,
}

/// What to do with a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Add so many hits, at least 1. One hit is added only while the count is
    /// below the limit; several are added whatever the count, because what a
    /// stream has used up must count even when it comes in late.
    Add(u64),
    /// Count nothing.
    Look,
    /// Give back so many hits. The count begins at the limit at most and ends
    /// at 0 at least.
    Refund(u64),
}

impl Charge {
    /// Returns the counter's name in a shared store, one for each window; a
    /// sliding counter keeps one name for all its parts.
    pub fn name(&self, prefix: &str) -> String {
        match (&self.text, self.window) {
            (Some(text), _) => text.clone(),
            (None, Window::Fixed { .. }) => self.key.name(prefix, self.span.index),
            (None, Window::Sliding { seconds }) => self.key.name(prefix, seconds),
        }
    }
}

/// What becomes of one descriptor.
#[derive(Debug)]
pub(crate) enum Item<'a> {
    /// No rule, or a rule that another replaces.
    Free,
    Unlimited(&'a Rule),
    Counted(Counted<'a>),
}

#[derive(Debug)]
pub(crate) struct Counted<'a> {
    /// `None` when the request brought its own limit.
    pub(crate) rule: Option<&'a Rule>,
    pub(crate) limit: Windowed,
    /// Place in [`Plan::charges`].
    pub(crate) charge: usize,
}

impl Plan<'_> {
    /// Returns the time the windows were chosen for.
    pub fn now(&self) -> Now {
        self.now
    }
}

/// Finds the rules of a request and the counters they charge.
///
/// # Errors
/// When the request is malformed or out of bounds.
pub fn plan<'a>(
    table: &'a Table,
    request: &'a Request<'a>,
    now: Now,
    options: &Options,
) -> Result<Plan<'a>, Malformed> {
    request.check(&options.bounds)?;
    let found: Vec<Found<'a>> =
        request.descriptors.iter().map(|d| find(table, request.domain, d)).collect();
    let replaced = |rule: &Rule| {
        !rule.name.is_empty()
            && found
                .iter()
                .any(|f| matches!(f, Found::Rule(by, _) if by.replaces.contains(&rule.name)))
    };
    let mut charges = Vec::with_capacity(found.len());
    let mut items = Vec::with_capacity(found.len());
    for (descriptor, found) in request.descriptors.iter().zip(&found) {
        let item = match *found {
            Found::Nothing => Item::Free,
            Found::Rule(rule, _) if rule.limit == Limit::Unlimited => Item::Unlimited(rule),
            Found::Rule(rule, _) if replaced(rule) => Item::Free,
            Found::Rule(rule, depth) => match rule.limit {
                Limit::Unlimited => Item::Unlimited(rule),
                Limit::Windowed(limit) => {
                    let (id, key) = rule_key(rule, &descriptor.entries[..depth]);
                    let draft = Draft { request, descriptor, limit, id, key, rule: Some(rule) };
                    draft.item(now, options, &mut charges)
                }
            },
            Found::Override(limit) => {
                let (id, key) = override_key(request.domain, limit, &descriptor.entries);
                let draft = Draft { request, descriptor, limit, id, key, rule: None };
                draft.item(now, options, &mut charges)
            }
        };
        items.push(item);
    }
    let domain_unknown = !table.has_domain(request.domain);
    Ok(Plan { charges, domain_unknown, request, items, now })
}

enum Found<'a> {
    Nothing,
    /// A rule and how many entries matched.
    Rule(&'a Rule, usize),
    Override(Windowed),
}

fn find<'a>(table: &'a Table, domain: &str, descriptor: &Descriptor<'_>) -> Found<'a> {
    // A domain that nothing is configured for limits nothing, not even what
    // the request asks for itself.
    if !table.has_domain(domain) {
        return Found::Nothing;
    }
    if let Some(own) = descriptor.limit
        && let Some(unit) = own.unit
    {
        return Found::Override(Windowed {
            hits: own.requests_per_unit.into(),
            window: Window::Fixed { seconds: unit.seconds() },
            requests_per_unit: own.requests_per_unit,
            unit: Some(unit),
        });
    }
    table
        .lookup(domain, &descriptor.entries)
        .map_or(Found::Nothing, |matched| Found::Rule(matched.rule, matched.depth))
}

/// A charge in the making.
struct Draft<'a, 'r> {
    request: &'r Request<'r>,
    descriptor: &'r Descriptor<'r>,
    limit: Windowed,
    id: u64,
    key: CounterKey,
    rule: Option<&'a Rule>,
}

impl<'a> Draft<'a, '_> {
    fn item(self, now: Now, options: &Options, charges: &mut Vec<Charge>) -> Item<'a> {
        let hits = self.request.hits_of(self.descriptor);
        let act = match hits {
            0 => Act::Look,
            _ if self.descriptor.refund => Act::Refund(hits),
            _ => Act::Add(hits),
        };
        let span = self.limit.window.at(now);
        let charge = charges.len();
        charges.push(Charge {
            key: self.key,
            text: options.text_keys.as_deref().map(|prefix| self.text(prefix, span)),
            rule: self.id,
            limit: self.limit.hits,
            act,
            window: self.limit.window,
            span,
        });
        Item::Counted(Counted { rule: self.rule, limit: self.limit, charge })
    }

    fn text(&self, prefix: &str, span: Span) -> String {
        let levels = self.rule.map_or(&[][..], |rule| &rule.levels);
        let entries = self.descriptor.entries.iter().enumerate().map(|(index, (key, value))| {
            let shared = levels.get(index).and_then(|level| level.shared.as_deref());
            (*key, shared.unwrap_or(value))
        });
        // A sliding counter is one for all its parts.
        let start = match self.limit.window {
            Window::Fixed { .. } => span.start / 1_000,
            Window::Sliding { .. } => 0,
        };
        text_key(prefix, self.request.domain, entries, start)
    }
}

/// Keys of a rule hold the values that are counted apart: those of every level
/// but the shared ones, and for prefix patterns the keys too, because several
/// keys may stand at one position.
fn rule_key(rule: &Rule, entries: &[(&str, &str)]) -> (u64, CounterKey) {
    if rule.answer.is_some() {
        let parts = entries.iter().flat_map(|(key, value)| [*key, *value]);
        return (rule.id, CounterKey::new(rule.id, parts));
    }
    let values = rule.levels.iter().zip(entries).filter(|(level, _)| level.shared.is_none());
    (rule.id, CounterKey::new(rule.id, values.map(|(_, (_, value))| *value)))
}

fn override_key(domain: &str, limit: Windowed, entries: &[(&str, &str)]) -> (u64, CounterKey) {
    let id = rule_id("override", domain, limit.window.seconds(), &[]);
    (id, CounterKey::new(id, entries.iter().flat_map(|(key, value)| [*key, *value])))
}
