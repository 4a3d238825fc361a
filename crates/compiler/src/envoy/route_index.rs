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

//!
//! A table is kept as a [trie](trie) of the beginnings that its routes have, in
//! which an edit is worked off where it makes a difference; which texts are keys
//! follows from the routes alone, whatever edits led to them.

mod index;
mod stem;
mod trie;
mod wire;

pub(crate) use index::{Index, Routed};
use stem::Stem;
use trie::Trie;
pub(crate) use wire::{append_list, list_len};

/// Routes with a usable beginning that a table needs to be worth a tree.
pub(crate) const THRESHOLD: usize = 32;

/// Own routes that a key needs at least: a walk over so few costs Envoy next to
/// nothing, while every key costs it memory and load time.
const LEAST: u32 = 4;

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
        let mut trie = Trie::new(LEAST);
        for (position, route) in routes.iter().enumerate() {
            trie.insert(&Stem::of(route.path, route.case_sensitive), position);
        }
        trie.settle();
        if !trie.is_large() {
            return Self::Linear { broad: Vec::new() };
        }
        if !trie.is_worth_it() {
            return Self::Linear { broad: trie.broad() };
        }
        Self::Indexed(RouteIndex::of(&trie))
    }
}

/// One list of a tree.
#[derive(Debug)]
struct Leaf {
    key: String,
    /// Positions of the routes that paths meet that begin with this key and
    /// with no longer one, ascending.
    routes: Vec<usize>,
}

/// A tree over the routes of one virtual host.
#[derive(Debug)]
pub struct RouteIndex {
    /// Sorted by key. The first has the empty key: it holds what paths meet
    /// that begin with no other.
    leaves: Vec<Leaf>,
}

impl RouteIndex {
    fn of(trie: &Trie<usize>) -> Self {
        let leaf = |(key, node)| Leaf { key, routes: trie.list(node) };
        Self { leaves: trie.keys().into_iter().map(leaf).collect() }
    }

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
        let encoded = |leaf: &Leaf| leaf.routes.clone().into_iter().map(|at| routes[at].encoded);
        let Some((first, keyed)) = self.leaves.split_first() else { return };
        let mut map = Vec::new();
        for leaf in keyed {
            wire::append_entry(&leaf.key, encoded(leaf), &mut map);
        }
        let mut rest = Vec::new();
        append_list(wire::ROUTES, encoded(first), &mut rest);
        wire::begin_matcher(map.len(), &rest, out);
        out.extend_from_slice(&map);
        wire::end_matcher(&rest, out);
    }
}

#[cfg(test)]
mod tests;
