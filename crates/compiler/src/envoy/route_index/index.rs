//! An index that follows edits, with its encoding.

use std::collections::BTreeMap;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::stem::Stem;
use super::trie::{NodeId, Settled, Trie};
use super::{LEAST, RouteEntry, wire};
use crate::rope::Writer;
use crate::runs::{RunKey, Runs, Span};

/// One of so many keys ends a run of lists.
const LISTS: u64 = 8;

/// A route as an index keeps it. Its order is the final one; another version of
/// a route equals it.
pub(crate) trait Routed: Ord + Clone {
    /// The route as the index reads it.
    fn entry(&self) -> RouteEntry<'_>;
}

/// The routes of a table that may be large enough for a tree, and the tree if it
/// is.
#[derive(Debug)]
pub(crate) struct Index<R> {
    trie: Trie<R>,
    tree: Option<Tree>,
}

/// The encoded lists of a tree.
#[derive(Debug)]
pub(crate) struct Tree {
    keys: BTreeMap<Arc<str>, NodeId>,
    /// Entries of the map.
    map: Runs<Arc<str>>,
    /// The list of the empty key.
    rest: Vec<u8>,
}

// === impl Index ===

impl<R: Routed> Index<R> {
    /// Makes an index of routes.
    pub(crate) fn new(routes: impl Iterator<Item = R>) -> Self {
        let mut index = Self { trie: Trie::new(LEAST), tree: None };
        routes.for_each(|route| index.insert(route));
        index.settle();
        index
    }

    /// Puts a route in, or another version of it in its place. The condition on
    /// the path must be the former one's.
    pub(crate) fn insert(&mut self, route: R) {
        let stem = stem(&route);
        let (node, reach) = (self.trie.reach(&stem.text), stem.reach);
        self.trie.put(node, reach, route);
    }

    /// Takes a route out.
    pub(crate) fn remove(&mut self, route: &R) {
        self.trie.remove(&stem(route), route);
    }

    /// Brings the tree in line with the routes.
    pub(crate) fn settle(&mut self) {
        let settled = self.trie.settle();
        if !self.trie.is_large() || !self.trie.is_worth_it() {
            self.tree = None;
        } else if let Some(tree) = &mut self.tree {
            tree.edit(&self.trie, settled);
        } else {
            self.tree = Some(Tree::new(&self.trie));
        }
    }

    /// Returns the routes that keep a large table from having a tree, in order:
    /// each can hold for paths of more than half of the routes.
    pub(crate) fn broad(&self) -> Vec<R> {
        if self.tree.is_some() || !self.trie.is_large() { Vec::new() } else { self.trie.broad() }
    }

    /// Returns the tree; without one the routes are a list.
    pub(crate) fn tree(&self) -> Option<&Tree> {
        self.tree.as_ref()
    }
}

fn stem<R: Routed>(route: &R) -> Stem<'_> {
    let entry = route.entry();
    Stem::of(entry.path, entry.case_sensitive)
}

// === impl Tree ===

impl RunKey for Arc<str> {
    fn ends(&self) -> bool {
        xxh3_64(self.as_bytes()).is_multiple_of(LISTS)
    }
}

impl Tree {
    fn new<R: Routed>(trie: &Trie<R>) -> Self {
        let mut keys = trie.keys();
        // The first is the empty key.
        let rest = list(trie, keys.remove(0).1);
        let keys: BTreeMap<Arc<str>, NodeId> =
            keys.into_iter().map(|(text, node)| (text.into(), node)).collect();
        let ends = keys.keys().filter(|key| key.ends()).cloned();
        let map = Runs::new(ends, encode(trie, &keys));
        Self { keys, map, rest }
    }

    fn edit<R: Routed>(&mut self, trie: &Trie<R>, settled: Settled) {
        let mut touched: Vec<Arc<str>> = Vec::new();
        for text in settled.gone {
            self.keys.remove(&*text);
            touched.push(text.into());
        }
        for node in settled.changed {
            if node == 0 {
                self.rest = list(trie, node);
                continue;
            }
            let text: Arc<str> = trie.text(node).into();
            self.keys.insert(text.clone(), node);
            touched.push(text);
        }
        let keys = &self.keys;
        let touched = touched.into_iter().map(|text| {
            let present = keys.contains_key(&text);
            (text, present)
        });
        self.map.edit(touched, encode(trie, keys));
    }

    /// Returns the length of the field `matcher`.
    pub(crate) fn len(&self) -> usize {
        wire::matcher_len(self.map.len(), &self.rest)
    }

    /// Appends the field `matcher` of a virtual host.
    pub(crate) fn append(&self, out: &mut Writer) {
        wire::begin_matcher(self.map.len(), &self.rest, out.buffer());
        self.map.append(out);
        wire::end_matcher(&self.rest, out.buffer());
    }
}

fn encode<R: Routed>(
    trie: &Trie<R>,
    keys: &BTreeMap<Arc<str>, NodeId>,
) -> impl Fn(Span<'_, Arc<str>>, &mut Vec<u8>) {
    move |span, run| {
        for (key, node) in keys.range::<Arc<str>, _>(span) {
            let routes = trie.list(*node);
            wire::append_entry(key, routes.iter().map(|route| route.entry().encoded), run);
        }
    }
}

fn list<R: Routed>(trie: &Trie<R>, node: NodeId) -> Vec<u8> {
    let routes = trie.list(node);
    let mut list = Vec::new();
    wire::append_list(wire::ROUTES, routes.iter().map(|route| route.entry().encoded), &mut list);
    list
}
