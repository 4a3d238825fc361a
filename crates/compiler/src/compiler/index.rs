//! What the compiler's stores are built of.
//!
//! Most of what is looked up has a number, which stands for it in every other
//! store: comparing names, of which many begin alike, would take most of the
//! time of a cold start.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};

/// A map for look-ups alone. Its order, although the same in every process, must
/// not reach the output.
pub(super) type Lookup<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// Position in a [`Slab`].
pub(super) type Number = u32;

/// Values by number; numbers are used again.
#[derive(Debug)]
pub(super) struct Slab<T> {
    values: Vec<Option<T>>,
    free: Vec<Number>,
}

/// A set that has one member more often than not: a tree would reserve room for
/// eleven.
#[derive(Debug, Default)]
pub(super) enum Few<T> {
    #[default]
    None,
    One(T),
    Many(BTreeSet<T>),
}

// === impl Slab ===

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { values: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub(super) fn insert(&mut self, value: T) -> Number {
        if let Some(number) = self.free.pop() {
            self.values[number as usize] = Some(value);
            return number;
        }
        self.values.push(Some(value));
        Number::try_from(self.values.len() - 1).expect("fewer values than bytes of memory")
    }

    pub(super) fn get(&self, number: Number) -> Option<&T> {
        self.values.get(number as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: Number) -> Option<&mut T> {
        self.values.get_mut(number as usize)?.as_mut()
    }

    pub(super) fn remove(&mut self, number: Number) -> Option<T> {
        let value = self.values.get_mut(number as usize)?.take()?;
        self.free.push(number);
        Some(value)
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = Number> {
        (0..).zip(&self.values).filter(|(_, value)| value.is_some()).map(|(number, _)| number)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.values.iter().flatten()
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.values.iter_mut().flatten()
    }
}

// === impl Few ===

impl<T: Ord> Few<T> {
    pub(super) fn insert(&mut self, member: T) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(member),
            Self::One(known) if known == member => Self::One(member),
            Self::One(known) => Self::Many(BTreeSet::from([known, member])),
            Self::Many(mut members) => {
                members.insert(member);
                Self::Many(members)
            }
        };
    }

    pub(super) fn remove(&mut self, member: &T) {
        *self = match std::mem::take(self) {
            Self::One(known) if known == *member => Self::None,
            Self::Many(mut members) => {
                members.remove(member);
                if members.is_empty() { Self::None } else { Self::Many(members) }
            }
            other => other,
        };
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Returns the members in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        let (one, many) = match self {
            Self::None => (None, None),
            Self::One(member) => (Some(member), None),
            Self::Many(members) => (None, Some(members)),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_few_is_a_set() {
        let mut few = Few::default();
        for member in [3, 1, 3, 2] {
            few.insert(member);
        }
        assert_eq!(few.iter().collect::<Vec<_>>(), [&1, &2, &3]);
        for member in [3, 5, 1] {
            few.remove(&member);
        }
        assert_eq!(few.iter().collect::<Vec<_>>(), [&2]);
        few.remove(&2);
        assert!(few.is_empty());
    }

    #[test]
    fn numbers_are_used_again() {
        let mut slab = Slab::default();
        let (a, b) = (slab.insert('a'), slab.insert('b'));
        assert_eq!(slab.remove(a), Some('a'));
        assert_eq!((slab.get(a), slab.get(b)), (None, Some(&'b')));
        assert_eq!(slab.insert('c'), a);
        assert_eq!(slab.numbers().collect::<Vec<_>>(), [a, b]);
    }
}
