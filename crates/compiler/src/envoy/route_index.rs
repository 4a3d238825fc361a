//! An index over the routes of one virtual host.
//!
//! Envoy tries a list of routes one after the other, about 40 ns each. Above a
//! threshold the compiler puts `VirtualHost.matcher` in the place of the list:
//! a tree from the beginnings of paths to short lists of routes.
//!
//! Decision: the tree is an index and never the semantics. Envoy follows the
//! longest key that `:path` begins with, and a list in which nothing matches is
//! final. So the list of a key holds, in final order and with its complete
//! `RouteMatch`, every route whose path condition can hold for a path that
//! begins with this key and with no longer one. Routes of shorter keys, regexes
//! and conditions without regard to case are repeated where they can hold.
//! Price: a route can stand in several lists, so one that many inherit is
//! re-sent in all of them. Keys are chosen such that all lists together hold at
//! most twice as many routes as the table; broad conditions make lists longer
//! rather than more, and a table of which Envoy would still walk the half stays
//! a list.
//!
//! What begins a path: `:path` has the query in it, while conditions see the
//! path before `?` and `#`. Keys therefore never contain these.

mod stem;
mod trie;
mod wire;

use stem::Stem;
use trie::{Leaf, Trie};
pub(crate) use wire::encoded_list;

/// Routes with a usable beginning that a table needs to be worth a tree.
const THRESHOLD: usize = 32;

/// Own routes that a key needs at least: a walk over so few costs Envoy next to
/// nothing, while every key costs it memory and load time.
const LEAST: usize = 4;

/// Condition of a route on the path, as `RouteMatch.path_specifier` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathCondition<'a> {
    /// `prefix`: the path begins with the text.
    Prefix(&'a str),
    /// `path`: the path equals the text.
    Exact(&'a str),
    /// `path_separated_prefix`: the path equals the text, or begins with the
    /// text and a slash.
    SeparatedPrefix(&'a str),
    /// `safe_regex`: the whole path matches the RE2 pattern.
    Regex(&'a str),
    /// Any other condition, about which the index assumes nothing.
    Other,
}

/// One route of a virtual host.
#[derive(Debug, Clone, Copy)]
pub struct RouteEntry<'a> {
    /// Condition on the path.
    pub path: PathCondition<'a>,
    /// Whether the condition distinguishes upper from lower case.
    pub case_sensitive: bool,
    /// The encoded `envoy.config.route.v3.Route`, without field tag and length.
    pub encoded: &'a [u8],
}

/// The better form for the routes of one virtual host.
#[derive(Debug)]
pub enum RouteTable {
    /// `VirtualHost.routes`.
    Linear {
        /// Positions of the routes that keep a large table from having a tree,
        /// ascending: each can hold for paths of more than half of the routes.
        /// Empty for a small table.
        broad: Vec<usize>,
    },
    /// `VirtualHost.matcher`.
    Indexed(RouteIndex),
}

impl RouteTable {
    /// Chooses the form for routes in final order.
    ///
    /// Depends on nothing but the conditions and their order.
    /// Cost: O(n log n) comparisons of texts.
    pub fn plan(routes: &[RouteEntry<'_>]) -> Self {
        let stems: Vec<Stem<'_>> =
            routes.iter().map(|route| Stem::of(route.path, route.case_sensitive)).collect();
        if stems.iter().filter(|stem| !stem.text.is_empty()).count() < THRESHOLD {
            return Self::Linear { broad: Vec::new() };
        }
        let trie = Trie::new(&stems);
        let broad = trie.broad();
        let leaves = trie.leaves(LEAST);
        let walked: usize = leaves.iter().map(|leaf| leaf.own * leaf.routes.len()).sum();
        if walked * 2 > routes.len() * routes.len() {
            return Self::Linear { broad };
        }
        Self::Indexed(RouteIndex { leaves })
    }
}

/// A tree over the routes of one virtual host.
#[derive(Debug)]
pub struct RouteIndex {
    /// Sorted by key. The first has the empty key: it holds what paths meet
    /// that begin with no other.
    leaves: Vec<Leaf>,
}

impl RouteIndex {
    /// Returns the positions of the routes that Envoy tries for this `:path`,
    /// in order.
    pub fn candidates(&self, path: &str) -> &[usize] {
        let key = |length: usize| {
            let key = &path.as_bytes()[..length];
            self.leaves.binary_search_by(|leaf| leaf.key.as_bytes().cmp(key)).ok()
        };
        (0..=path.len()).rev().find_map(key).map_or(&[], |leaf| &self.leaves[leaf].routes)
    }

    /// Returns how many lists there are, and how many routes in all of them.
    pub fn size(&self) -> (usize, usize) {
        (self.leaves.len(), self.leaves.iter().map(|leaf| leaf.routes.len()).sum())
    }

    /// Appends the field `matcher` of `envoy.config.route.v3.VirtualHost`.
    ///
    /// `routes` are those that the index was planned for; only their encodings
    /// may differ. The bytes are the same for the same input.
    ///
    /// # Panics
    /// When there are fewer routes than the index was planned for.
    pub fn append_matcher(&self, routes: &[RouteEntry<'_>], out: &mut Vec<u8>) {
        self.append_lists(&self.encode_lists(&|route| routes[route].encoded), out);
    }

    /// Returns the encoded list of each key; `encoded` gives each route's bytes.
    pub(crate) fn encode_lists<'a>(&self, encoded: &impl Fn(usize) -> &'a [u8]) -> Vec<Vec<u8>> {
        self.leaves.iter().map(|leaf| wire::route_list(leaf, encoded)).collect()
    }

    /// Encodes those lists again that hold one of the positions, which ascend.
    pub(crate) fn encode_lists_with<'a>(
        &self,
        positions: &[usize],
        encoded: &impl Fn(usize) -> &'a [u8],
        lists: &mut [Vec<u8>],
    ) {
        for (leaf, list) in self.leaves.iter().zip(lists) {
            if meet(positions, &leaf.routes) {
                *list = wire::route_list(leaf, encoded);
            }
        }
    }

    /// Returns the length of what [`append_lists`](Self::append_lists) appends.
    pub(crate) fn matcher_len(&self, lists: &[Vec<u8>]) -> usize {
        wire::matcher_len(&self.leaves, lists)
    }

    /// Appends the field `matcher` around the list of each key.
    pub(crate) fn append_lists(&self, lists: &[Vec<u8>], out: &mut Vec<u8>) {
        wire::append_matcher(&self.leaves, lists, out);
    }
}

/// Whether two ascending lists have a member in common.
fn meet(a: &[usize], b: &[usize]) -> bool {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    short.iter().any(|member| long.binary_search(member).is_ok())
}

#[cfg(test)]
mod tests;
