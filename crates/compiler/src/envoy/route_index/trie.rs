//! Which texts become keys, and which routes stand below each.

use std::ops::Range;

use super::stem::{Reach, Stem};

/// Positions of the routes below one key, in final order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) key: String,
    pub(super) routes: Vec<usize>,
    /// How many of `routes` stand in no leaf of a shorter or longer key on
    /// account of their stem: the leaf's share of the table.
    pub(super) own: usize,
}

/// A text that stems begin with: one that is a stem, or where stems part.
#[derive(Debug)]
struct Node {
    parent: usize,
    /// Range in the sorted stems that begin with the text; those equal to it
    /// come first.
    start: usize,
    own_end: usize,
    end: usize,
    /// Length of the text, in bytes.
    length: usize,
    /// How many own routes reach below: all, and those that need a slash.
    everywhere: usize,
    segments: usize,
    /// Routes of shorter texts whose condition can hold below this one.
    inherited: usize,
    /// Own routes of this node and of those below it that have no key.
    pending: usize,
    is_key: bool,
    /// Nearest node at or above that has a key, or the root.
    owner: usize,
}

/// Every text that matters, over the stems of the routes of a table.
#[derive(Debug)]
pub(super) struct Trie<'a> {
    stems: &'a [Stem<'a>],
    /// Positions of the routes, by stem, then by order.
    sorted: Vec<usize>,
    nodes: Vec<Node>,
}

impl<'a> Trie<'a> {
    pub(super) fn new(stems: &'a [Stem<'a>]) -> Self {
        let mut sorted: Vec<usize> = (0..stems.len()).collect();
        sorted.sort_unstable_by(|a, b| stems[*a].text.cmp(&stems[*b].text).then(a.cmp(b)));
        let nodes = build(stems, &sorted);
        Self { stems, sorted, nodes }
    }

    /// Returns the leaves, sorted by key; the first has the empty key and holds
    /// what stands below no other.
    ///
    /// A text becomes a key when it has at least `least` routes of its own and
    /// at least as many as it inherits. So all leaves together hold each route
    /// at most twice on average, whatever the table looks like; what has no key
    /// of its own stays with the next shorter key.
    pub(super) fn leaves(mut self, least: usize) -> Vec<Leaf> {
        choose_keys(&mut self.nodes, least);
        let mut leaf_of = vec![0; self.nodes.len()];
        let mut leaves = Vec::new();
        for (position, node) in self.nodes.iter().enumerate() {
            if node.is_key {
                leaf_of[position] = leaves.len();
                let key = self.stems[self.sorted[node.start]].text[..node.length].to_owned();
                leaves.push(Leaf { key, routes: Vec::new(), own: 0 });
            }
            leaves[leaf_of[node.owner]].routes.extend_from_slice(self.own(node));
        }
        for (position, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.is_key) {
            let leaf = &mut leaves[leaf_of[position]];
            leaf.own = leaf.routes.len();
            leaf.routes.reserve_exact(node.inherited);
            self.inherit(position, &mut leaf.routes);
            leaf.routes.sort_unstable();
        }
        leaves.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        leaves
    }

    /// Returns the routes that can hold for paths of more than half of the
    /// routes, ascending.
    pub(super) fn broad(&self) -> Vec<usize> {
        let mut broad = Vec::new();
        for node in &self.nodes {
            let below = |route: &usize| match self.stems[*route].reach {
                Reach::Nowhere => node.own_end - node.start,
                Reach::Segments | Reach::Everywhere => node.end - node.start,
            };
            let half = self.stems.len() / 2;
            broad.extend(self.own(node).iter().filter(|route| below(route) > half));
        }
        broad.sort_unstable();
        broad
    }

    fn own(&self, node: &Node) -> &[usize] {
        &self.sorted[node.start..node.own_end]
    }

    /// Adds the routes of shorter texts whose condition can hold below a node.
    fn inherit(&self, position: usize, routes: &mut Vec<usize>) {
        let key = self.stems[self.sorted[self.nodes[position].start]].text.as_bytes();
        let mut at = position;
        while at != 0 {
            at = self.nodes[at].parent;
            let node = &self.nodes[at];
            if node.everywhere + node.segments == 0 {
                continue;
            }
            let slash = key[node.length] == b'/';
            let holds = |route: &&usize| match self.stems[**route].reach {
                Reach::Everywhere => true,
                Reach::Segments => slash,
                Reach::Nowhere => false,
            };
            routes.extend(self.own(node).iter().filter(holds));
        }
    }
}

/// Builds the nodes, every parent before its children; the root is first.
fn build(stems: &[Stem<'_>], sorted: &[usize]) -> Vec<Node> {
    let text = |position: usize| stems[sorted[position]].text.as_bytes();
    let mut nodes = vec![Node::new(0, 0..sorted.len(), 0)];
    let roots = sorted.partition_point(|route| stems[*route].text.is_empty());
    finish(&mut nodes[0], roots, stems, sorted);
    let mut work = vec![(0, roots..sorted.len())];
    while let Some((parent, rest)) = work.pop() {
        let depth = nodes[parent].length;
        let mut start = rest.start;
        while start < rest.end {
            let byte = text(start)[depth];
            let end = start
                + sorted[start..rest.end]
                    .partition_point(|route| stems[*route].text.as_bytes()[depth] == byte);
            let length = depth + common(&text(start)[depth..], &text(end - 1)[depth..]);
            let own =
                sorted[start..end].partition_point(|route| stems[*route].text.len() == length);
            let mut node = Node::new(parent, start..end, length);
            node.inherited = nodes[parent].inherited + nodes[parent].everywhere;
            if byte == b'/' {
                node.inherited += nodes[parent].segments;
            }
            finish(&mut node, start + own, stems, sorted);
            work.push((nodes.len(), start + own..end));
            nodes.push(node);
            start = end;
        }
    }
    nodes
}

impl Node {
    fn new(parent: usize, range: Range<usize>, length: usize) -> Self {
        Self {
            parent,
            start: range.start,
            own_end: range.start,
            end: range.end,
            length,
            everywhere: 0,
            segments: 0,
            inherited: 0,
            pending: 0,
            is_key: false,
            owner: 0,
        }
    }
}

fn finish(node: &mut Node, own_end: usize, stems: &[Stem<'_>], sorted: &[usize]) {
    node.own_end = own_end;
    node.pending = own_end - node.start;
    for route in &sorted[node.start..own_end] {
        match stems[*route].reach {
            Reach::Everywhere => node.everywhere += 1,
            Reach::Segments => node.segments += 1,
            Reach::Nowhere => {}
        }
    }
}

fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn choose_keys(nodes: &mut [Node], least: usize) {
    for position in (1..nodes.len()).rev() {
        let Node { parent, pending, inherited, .. } = nodes[position];
        if pending >= inherited.max(least) {
            nodes[position].is_key = true;
        } else {
            nodes[parent].pending += pending;
        }
    }
    nodes[0].is_key = true;
    for position in 1..nodes.len() {
        nodes[position].owner =
            if nodes[position].is_key { position } else { nodes[nodes[position].parent].owner };
    }
}
