//! Which texts become keys, and which routes their lists hold.

use std::collections::BTreeSet;

use super::{Mark, NodeId, Reach, Trie};

/// What edits came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Settled {
    /// Texts that are keys no more, unless they are among `changed` again.
    pub(in super::super) gone: Vec<String>,
    /// Keys that are new, or whose list holds other routes.
    pub(in super::super) changed: BTreeSet<NodeId>,
}

impl<R: Ord + Clone> Trie<R> {
    /// Decides anew where edits can have made a difference.
    ///
    /// A text becomes a key when it has at least `least` routes of its own and
    /// at least as many as it inherits. So all lists together hold each route
    /// at most twice on average, whatever the table looks like; what has no key
    /// of its own stays with the next shorter key. The root is a key always.
    pub(in super::super) fn settle(&mut self) -> Settled {
        let visited = self.descend();
        for id in visited.iter().rev() {
            self.decide(*id);
        }
        let mut settled =
            Settled { gone: std::mem::take(&mut self.gone), changed: BTreeSet::new() };
        for id in &visited {
            self.tell(*id, &mut settled);
        }
        for id in visited {
            self.node_mut(id).mark = Mark::default();
        }
        settled
    }

    /// Returns what has to be looked at, parents before children, and hands
    /// down what is inherited.
    fn descend(&mut self) -> Vec<NodeId> {
        let mut visited = Vec::new();
        let mut work = Vec::new();
        if self.node(0).mark.visit {
            self.walked -= self.node(0).walked();
            work.push(0);
        }
        while let Some(id) = work.pop() {
            visited.push(id);
            let Mark { below, above, .. } = self.node(id).mark;
            for slot in 0..self.node(id).children.len() {
                let child = self.node(id).children[slot];
                if !(below || above || self.node(child).mark.visit) {
                    continue;
                }
                let (node, heir) = (self.node(id), self.node(child));
                let inherited = node.inherited + node.bequeathed(heir);
                self.walked -= heir.walked();
                let heir = self.node_mut(child);
                heir.inherited = inherited;
                heir.mark.above |= below || above;
                work.push(child);
            }
        }
        visited
    }

    fn decide(&mut self, id: NodeId) {
        let node = self.node(id);
        let left = node.children.iter().map(|child| self.node(*child));
        let left: u32 = left.filter(|child| !child.is_key).map(|child| child.pending).sum();
        let least = self.least;
        let node = self.node_mut(id);
        node.pending = u32::try_from(node.own.len()).unwrap_or(u32::MAX).saturating_add(left);
        let is_key = id == 0 || node.pending >= node.inherited.max(least);
        node.mark.flipped = is_key != node.is_key;
        node.is_key = is_key;
        self.walked += self.node(id).walked();
    }

    fn tell(&self, id: NodeId, settled: &mut Settled) {
        let node = self.node(id);
        if node.mark.own || node.mark.flipped {
            settled.changed.insert(self.owner(id));
        }
        if node.mark.flipped {
            settled.changed.insert(self.owner(node.parent));
        }
        if node.mark.flipped && !node.is_key {
            settled.gone.push(self.text(id));
        }
        if node.mark.above && node.is_key {
            settled.changed.insert(id);
        }
    }

    /// Returns the nearest node at or above that has a key.
    fn owner(&self, mut id: NodeId) -> NodeId {
        while !self.node(id).is_key {
            id = self.node(id).parent;
        }
        id
    }

    /// Returns the routes of the list of a key, in order.
    pub(in super::super) fn list(&self, key: NodeId) -> Vec<R> {
        let node = self.node(key);
        let mut list = Vec::with_capacity((node.pending + node.inherited) as usize);
        let mut work = vec![key];
        while let Some(id) = work.pop() {
            let node = self.node(id);
            list.extend(node.own.iter().map(|(route, _)| route.clone()));
            work.extend(node.children.iter().filter(|child| !self.node(**child).is_key));
        }
        let mut at = key;
        while at != 0 {
            let slash = self.node(at).label.starts_with('/');
            at = self.node(at).parent;
            let node = self.node(at);
            if node.everywhere + node.segments == 0 {
                continue;
            }
            let holds = |reach: Reach| match reach {
                Reach::Everywhere => true,
                Reach::Segments => slash,
                Reach::Nowhere => false,
            };
            let heirlooms = node.own.iter().filter(|(_, reach)| holds(*reach));
            list.extend(heirlooms.map(|(route, _)| route.clone()));
        }
        list.sort_unstable();
        list
    }

    /// Returns every key with its text, in order of the texts; the first is
    /// empty.
    pub(in super::super) fn keys(&self) -> Vec<(String, NodeId)> {
        let mut keys = Vec::new();
        let mut work = vec![(String::new(), 0)];
        while let Some((text, id)) = work.pop() {
            for child in self.node(id).children.iter().rev() {
                work.push((format!("{text}{}", self.node(*child).label), *child));
            }
            if self.node(id).is_key {
                keys.push((text, id));
            }
        }
        keys
    }

    /// Whether following a tree spares Envoy at least half of the routes that
    /// it would try by a list.
    pub(in super::super) fn is_worth_it(&self) -> bool {
        let routes = self.routes as u128;
        u128::from(self.walked) * 2 <= routes * routes
    }

    /// Returns the routes that can hold for paths of more than half of the
    /// routes, in order.
    pub(in super::super) fn broad(&self) -> Vec<R> {
        let mut order = vec![0];
        let mut next = 0;
        while let Some(id) = order.get(next) {
            order.extend(self.node(*id).children.iter().copied());
            next += 1;
        }
        let mut below = vec![0; self.nodes.len()];
        let mut broad = Vec::new();
        for id in order.into_iter().rev() {
            let node = self.node(id);
            below[id as usize] += node.own.len();
            let all = below[id as usize];
            if id != 0 {
                below[node.parent as usize] += all;
            }
            let reached = |reach: Reach| if reach == Reach::Nowhere { node.own.len() } else { all };
            let far = node.own.iter().filter(|(_, reach)| reached(*reach) > self.routes / 2);
            broad.extend(far.map(|(route, _)| route.clone()));
        }
        broad.sort_unstable();
        broad
    }
}
