//! When each certificate is to be looked at again.

use std::collections::{BTreeMap, BTreeSet};

use nuncio_renewal::plan::SecretId;
use nuncio_renewal::time::UnixTime;

/// One time for each certificate, the earliest at hand.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    by_time: BTreeSet<(UnixTime, SecretId)>,
    by_id: BTreeMap<SecretId, UnixTime>,
}

impl Agenda {
    /// Sets, moves or clears the time of a certificate.
    pub(super) fn set(&mut self, id: &SecretId, time: Option<UnixTime>) {
        if let Some(former) = self.by_id.remove(id) {
            self.by_time.remove(&(former, id.clone()));
        }
        if let Some(time) = time {
            self.by_id.insert(id.clone(), time);
            self.by_time.insert((time, id.clone()));
        }
    }

    /// Returns the earliest time.
    pub(super) fn next(&self) -> Option<UnixTime> {
        self.by_time.first().map(|(time, _)| *time)
    }

    /// Removes and returns what is due.
    pub(super) fn take(&mut self, now: UnixTime) -> Vec<SecretId> {
        let mut due = Vec::new();
        while let Some((time, id)) = self.by_time.pop_first() {
            if time > now {
                self.by_time.insert((time, id));
                break;
            }
            self.by_id.remove(&id);
            due.push(id);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_certificate_has_one_time_and_is_due_once() {
        let id = |name: &str| SecretId { namespace: "default".into(), name: name.into() };
        let mut agenda = Agenda::default();
        agenda.set(&id("a"), Some(UnixTime(5)));
        agenda.set(&id("a"), Some(UnixTime(9)));
        agenda.set(&id("b"), Some(UnixTime(7)));
        agenda.set(&id("c"), Some(UnixTime(1)));
        agenda.set(&id("c"), None);
        assert_eq!(agenda.next(), Some(UnixTime(7)));
        assert_eq!(agenda.take(UnixTime(6)), []);
        assert_eq!(agenda.take(UnixTime(9)), [id("b"), id("a")]);
        assert_eq!((agenda.next(), agenda.take(UnixTime(100)).len()), (None, 0));
    }
}
