//! Patterns of RateLimit objects: a descriptor must begin with one.

use std::collections::BTreeMap;

use crate::config::{Label, Pattern};

/// All patterns of one domain as a tree over their positions.
///
/// An edge is a whole position, so its alternatives are not multiplied out. A
/// lookup follows every edge that an entry satisfies; the number of places it
/// can be in at once is bounded by the configuration, not by the request.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    places: Vec<Place>,
}

#[derive(Debug, Default)]
struct Place {
    /// First rule in order of configuration that ends here.
    rule: Option<usize>,
    /// The position each next place was made for.
    edges: Vec<(Vec<Label>, usize)>,
    exact: BTreeMap<Box<str>, BTreeMap<Box<str>, Vec<usize>>>,
    any: BTreeMap<Box<str>, Vec<usize>>,
}

/// Where a lookup stands: place and count of exact values so far.
type Standing = (usize, usize);

impl Prefixes {
    /// Adds a pattern, all of whose positions have at least one label. Of two
    /// equal patterns the first added stays.
    pub(super) fn insert(&mut self, pattern: &Pattern, rule: usize) {
        if self.places.is_empty() {
            self.places.push(Place::default());
        }
        let mut at = 0;
        for position in pattern {
            let mut labels = position.clone();
            for label in &mut labels {
                if label.value == "*" {
                    label.value.clear();
                }
            }
            labels.sort();
            labels.dedup();
            at = self.child(at, labels);
        }
        self.places[at].rule.get_or_insert(rule);
    }

    fn child(&mut self, at: usize, labels: Vec<Label>) -> usize {
        if let Some((_, next)) = self.places[at].edges.iter().find(|(known, _)| *known == labels) {
            return *next;
        }
        let next = self.places.len();
        self.places.push(Place::default());
        let place = &mut self.places[at];
        for label in &labels {
            let targets = if label.value.is_empty() {
                place.any.entry(label.key.as_str().into()).or_default()
            } else {
                let values = place.exact.entry(label.key.as_str().into()).or_default();
                values.entry(label.value.as_str().into()).or_default()
            };
            targets.push(next);
        }
        place.edges.push((labels, next));
        next
    }

    /// Returns rule and length of the best pattern that `entries` begin with:
    /// the longest, then the one with most exact values, then the first.
    pub(super) fn lookup(&self, entries: &[(&str, &str)]) -> Option<(usize, usize)> {
        if self.places.is_empty() {
            return None;
        }
        let mut standing: Vec<Standing> = vec![(0, 0)];
        let mut best = None;
        for (index, entry) in entries.iter().enumerate() {
            standing = self.step(&standing, *entry);
            if standing.is_empty() {
                break;
            }
            let ending = standing
                .iter()
                .filter_map(|(place, exact)| self.places[*place].rule.map(|rule| (*exact, rule)));
            // Longer wins, so an ending here beats all before.
            if let Some((_, rule)) = ending.max_by_key(|(e, rule)| (*e, std::cmp::Reverse(*rule))) {
                best = Some((rule, index + 1));
            }
        }
        best
    }

    fn step(&self, standing: &[Standing], (key, value): (&str, &str)) -> Vec<Standing> {
        let mut next: Vec<Standing> = Vec::new();
        for (place, exact) in standing {
            let place = &self.places[*place];
            if !value.is_empty()
                && let Some(targets) = place.exact.get(key).and_then(|values| values.get(value))
            {
                next.extend(targets.iter().map(|target| (*target, exact + 1)));
            }
            for target in place.any.get(key).into_iter().flatten() {
                // One position may hold both `{k: v}` and `{k: "*"}`.
                if !next.iter().any(|(known, _)| known == target) {
                    next.push((*target, *exact));
                }
            }
        }
        next
    }
}
