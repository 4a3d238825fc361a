//! Every text that matters to a tree, with the routes of which it is the stem.
//!
//! Kept while routes come and go. What an edit touches is marked, and
//! [`settle`](Trie::settle) works off nothing but the marks.

mod settle;

use super::THRESHOLD;
use super::stem::{Reach, Stem};

pub(super) use settle::Settled;

/// Position of a node; the root's is 0.
pub(super) type NodeId = u32;

/// A text that stems begin with: one that is a stem, or where stems part.
#[derive(Debug)]
struct Node<R> {
    parent: NodeId,
    /// What the text adds to that of the parent; empty for the root alone.
    label: Box<str>,
    /// By the first byte of their labels, which differs.
    children: Vec<NodeId>,
    /// Routes of which this text is the stem, in order.
    own: Vec<(R, Reach)>,
    /// How many own routes reach below: all, and those that need a slash.
    everywhere: u32,
    segments: u32,
    /// Routes of shorter texts whose condition can hold below this one.
    inherited: u32,
    /// Own routes of this node and of those below it that have no key.
    pending: u32,
    is_key: bool,
    mark: Mark,
}

/// What has to be looked at.
#[derive(Debug, Default, Clone, Copy)]
struct Mark {
    /// This node or one below it. Holds for every parent of a marked node.
    visit: bool,
    /// Own routes changed.
    own: bool,
    /// Routes changed that reach below this node.
    below: bool,
    /// Routes changed that reach this node from above.
    above: bool,
    /// Became a key, or is none any more.
    flipped: bool,
}

/// The texts of a table. `R` stands for a route; its order is the final one.
#[derive(Debug)]
pub(super) struct Trie<R> {
    nodes: Vec<Node<R>>,
    free: Vec<NodeId>,
    /// Own routes that a key needs at least.
    least: u32,
    routes: usize,
    /// Keys whose node is no more.
    gone: Vec<String>,
    /// Sum over all keys of own routes times routes of their list.
    walked: u64,
}

// === impl Trie ===

impl<R: Ord + Clone> Trie<R> {
    pub(super) fn new(least: u32) -> Self {
        let root = Node { is_key: true, ..Node::new(0, "") };
        Self { nodes: vec![root], free: Vec::new(), least, routes: 0, gone: Vec::new(), walked: 0 }
    }

    /// Puts a route in, or another version of it in its place.
    pub(super) fn insert(&mut self, stem: &Stem<'_>, route: R) {
        let id = self.reach(&stem.text);
        self.put(id, stem.reach, route);
    }

    /// Puts a route in at the node of its stem.
    pub(super) fn put(&mut self, id: NodeId, reach: Reach, route: R) {
        let node = self.node_mut(id);
        match node.own.binary_search_by(|(known, _)| known.cmp(&route)) {
            Ok(at) => node.own[at] = (route, reach),
            Err(at) => {
                node.own.insert(at, (route, reach));
                node.count(reach, 1);
                self.routes += 1;
            }
        }
        self.mark_own(id, reach);
    }

    /// Takes a route out that was put in under this stem.
    pub(super) fn remove(&mut self, stem: &Stem<'_>, route: &R) {
        let Some(id) = self.find(&stem.text) else { return };
        let node = self.node_mut(id);
        let Ok(at) = node.own.binary_search_by(|(known, _)| known.cmp(route)) else { return };
        node.own.remove(at);
        node.count(stem.reach, -1);
        self.routes -= 1;
        self.mark_own(id, stem.reach);
        self.prune(id);
    }

    /// Whether there are enough routes with a stem for a tree.
    pub(super) fn is_large(&self) -> bool {
        self.routes - self.nodes[0].own.len() >= THRESHOLD
    }

    /// Returns the text of a node.
    pub(super) fn text(&self, mut id: NodeId) -> String {
        let mut labels = Vec::new();
        while id != 0 {
            let node = self.node(id);
            labels.push(&*node.label);
            id = node.parent;
        }
        labels.into_iter().rev().collect()
    }

    fn node(&self, id: NodeId) -> &Node<R> {
        &self.nodes[id as usize]
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node<R> {
        &mut self.nodes[id as usize]
    }

    /// Finds the child whose label begins with a byte, or where it would stand.
    fn child(&self, id: NodeId, byte: u8) -> Result<usize, usize> {
        let first = |child: &NodeId| self.node(*child).label.as_bytes()[0];
        self.node(id).children.binary_search_by_key(&byte, first)
    }

    fn find(&self, text: &str) -> Option<NodeId> {
        let (mut at, mut rest) = (0, text);
        while let Some(byte) = rest.bytes().next() {
            at = self.node(at).children[self.child(at, byte).ok()?];
            rest = rest.strip_prefix(&*self.node(at).label)?;
        }
        Some(at)
    }

    /// Returns the node of a text, made if it is not there; it is to be given a
    /// route then.
    pub(super) fn reach(&mut self, text: &str) -> NodeId {
        let (mut at, mut rest) = (0, text);
        while let Some(byte) = rest.bytes().next() {
            let slot = match self.child(at, byte) {
                Ok(slot) => slot,
                Err(slot) => {
                    let leaf = self.add(Node::new(at, rest));
                    self.node_mut(at).children.insert(slot, leaf);
                    return leaf;
                }
            };
            let child = self.node(at).children[slot];
            let label = &self.node(child).label;
            let shared = common(label.as_bytes(), rest.as_bytes());
            if shared < label.len() {
                self.split(child, slot, shared);
            }
            at = self.node(at).children[slot];
            rest = &rest[shared..];
        }
        at
    }

    fn add(&mut self, node: Node<R>) -> NodeId {
        match self.free.pop() {
            Some(id) => {
                *self.node_mut(id) = node;
                id
            }
            None => {
                self.nodes.push(node);
                NodeId::try_from(self.nodes.len() - 1).expect("fewer nodes than bytes of memory")
            }
        }
    }

    /// Puts a node between a node, which stands in a slot of its parent, and
    /// that parent. Stems are ASCII, so any cut leaves two texts.
    fn split(&mut self, id: NodeId, slot: usize, length: usize) {
        let (parent, mark) = (self.node(id).parent, self.node(id).mark);
        let (head, tail) = self.node(id).label.split_at(length);
        let (mut middle, tail) = (Node::new(parent, head), tail.into());
        middle.children.push(id);
        middle.mark.visit = mark.visit;
        middle.inherited = self.node(id).inherited;
        let middle = self.add(middle);
        self.node_mut(parent).children[slot] = middle;
        let node = self.node_mut(id);
        node.label = tail;
        node.parent = middle;
    }

    /// Removes a node without own routes at which no texts part, and then its
    /// parent likewise.
    fn prune(&mut self, mut id: NodeId) {
        while id != 0 && self.node(id).own.is_empty() && self.node(id).children.len() < 2 {
            let node = self.detach(id);
            if let Some(child) = node.children.first().copied() {
                let below = self.node_mut(child);
                below.parent = node.parent;
                below.label = [&*node.label, &*below.label].concat().into();
                below.mark.above |= node.mark.below || node.mark.above;
                self.mark(child);
            }
            // What had its key here has it further up now.
            self.node_mut(node.parent).mark.own = true;
            self.mark(node.parent);
            id = node.parent;
        }
    }

    /// Takes a node out of its parent, which its only child may then be in.
    fn detach(&mut self, id: NodeId) -> Node<R> {
        if self.node(id).is_key {
            let text = self.text(id);
            self.gone.push(text);
            self.walked -= self.node(id).walked();
        }
        let parent = self.node(id).parent;
        let byte = self.node(id).label.as_bytes()[0];
        if let Ok(slot) = self.child(parent, byte) {
            match self.node(id).children.first().copied() {
                Some(child) => self.node_mut(parent).children[slot] = child,
                None => {
                    self.node_mut(parent).children.remove(slot);
                }
            }
        }
        self.free.push(id);
        std::mem::replace(self.node_mut(id), Node::new(0, ""))
    }

    fn mark_own(&mut self, id: NodeId, reach: Reach) {
        let mark = &mut self.node_mut(id).mark;
        mark.own = true;
        mark.below |= reach != Reach::Nowhere;
        self.mark(id);
    }

    fn mark(&mut self, mut id: NodeId) {
        while !self.node(id).mark.visit {
            self.node_mut(id).mark.visit = true;
            id = self.node(id).parent;
        }
    }
}

// === impl Node ===

impl<R> Node<R> {
    fn new(parent: NodeId, label: &str) -> Self {
        Self {
            parent,
            label: label.into(),
            children: Vec::new(),
            own: Vec::new(),
            everywhere: 0,
            segments: 0,
            inherited: 0,
            pending: 0,
            is_key: false,
            mark: Mark::default(),
        }
    }

    fn count(&mut self, reach: Reach, by: i32) {
        match reach {
            Reach::Everywhere => self.everywhere = self.everywhere.saturating_add_signed(by),
            Reach::Segments => self.segments = self.segments.saturating_add_signed(by),
            Reach::Nowhere => {}
        }
    }

    /// What paths that begin with this key and no longer one cost Envoy: the
    /// routes of the list, as often as there are own ones.
    fn walked(&self) -> u64 {
        if !self.is_key {
            return 0;
        }
        u64::from(self.pending) * (u64::from(self.pending) + u64::from(self.inherited))
    }

    /// How many routes of this node reach a child.
    fn bequeathed(&self, child: &Self) -> u32 {
        let slash = child.label.starts_with('/');
        self.everywhere + if slash { self.segments } else { 0 }
    }
}

fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
