//! Objects of one kind, namespace and name, and Modules of one name: which of
//! them is in effect.

use std::ops::Bound;
use std::sync::Arc;

use nuncio_api::{Diagnostic, Kind, ObjectKey};

use super::reports::Pass;
use super::{Compiler, Dirty};
use crate::ir::item::Item;

impl Compiler {
    /// Puts the versions of an object and of its namesakes into effect, or out
    /// of it, after one of them has changed.
    ///
    /// Only annotations can hold namesakes: the last in processing order
    /// counts. Of Modules of one name in several namespaces, the first.
    /// Source: Emissary.
    pub(super) fn enact(&mut self, key: &ObjectKey, item: Option<Item>, dirty: &mut Dirty) {
        if self.is_alone(key) {
            self.put_item(key, item, dirty);
            return;
        }
        let rivals = self.namesakes(key);
        let counts = match key.kind {
            Kind::Module => {
                let first = rivals.first().map(|item| item.namespace().to_owned());
                rivals.iter().rposition(|item| Some(item.namespace()) == first.as_deref())
            }
            _ => rivals.len().checked_sub(1),
        };
        let counting = counts.map(|at| rivals[at].id.source.clone());
        if counting.as_deref() != Some(key) {
            self.put_item(key, None, dirty);
            self.not_outdone(key);
        }
        for item in rivals {
            let rival = &item.id.source;
            match &counting {
                Some(winner) if winner != rival => {
                    let finding = outdone(&item, winner);
                    self.put_item(rival, None, dirty);
                    self.reports.set_object(rival, Pass::Namesakes, vec![finding]);
                }
                _ => {
                    self.not_outdone(rival);
                    self.put_item(rival, Some(item.clone()), dirty);
                }
            }
        }
    }

    /// Tells that an object has no namesakes, for the many that have none.
    fn is_alone(&self, key: &ObjectKey) -> bool {
        if key.kind == Kind::Module {
            return false;
        }
        if !self.carried {
            return true;
        }
        if key.carrier.is_some() {
            return false;
        }
        // Namesakes differ in their carrier, and so stand side by side.
        let after = (Bound::Excluded(key), Bound::Unbounded);
        let next = self.entries.range::<ObjectKey, _>(after).next();
        next.is_none_or(|(other, _)| {
            other.kind != key.kind || other.name != key.name || other.namespace != key.namespace
        })
    }

    fn not_outdone(&mut self, key: &ObjectKey) {
        self.reports.set_object(key, Pass::Namesakes, Vec::new());
    }

    /// Returns an object and its namesakes, those that can be used, in
    /// processing order.
    fn namesakes(&self, key: &ObjectKey) -> Vec<Item> {
        let start = match key.kind {
            Kind::Module => ObjectKey::new(Kind::Module, "", ""),
            _ => ObjectKey { carrier: None, ..key.clone() },
        };
        let near = self.entries.range(start..).take_while(|(other, _)| {
            other.kind == key.kind
                && (key.kind == Kind::Module
                    || (other.namespace == key.namespace && other.name == key.name))
        });
        let named = near.filter(|(other, _)| other.name == key.name);
        let mut items: Vec<Item> =
            named.filter_map(|(_, entry)| entry.good.clone()).map(Item::own).collect();
        items.sort_by(|a, b| a.id.cmp(&b.id));
        items
    }
}

/// Says that another object counts instead of this one.
fn outdone(item: &Item, winner: &Arc<ObjectKey>) -> Diagnostic {
    let place = match &winner.carrier {
        Some(carrier) => format!(
            "document {} of the annotation of {} {}/{}",
            carrier.index, carrier.kind, carrier.namespace, carrier.name
        ),
        None => format!("{winner} itself"),
    };
    if item.namespace() != winner.namespace {
        return item.error(
            "duplicate-module",
            "metadata.name",
            format!("only one Module of this name can be in effect: {place}"),
            "keep one of them",
        );
    }
    item.error(
        "duplicate-object",
        "metadata.name",
        format!("another object of this kind, namespace and name counts: {place}"),
        "rename or remove one of the two",
    )
}
