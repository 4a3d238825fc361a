//! What the source has told of Hosts, Secrets and Listeners.

use std::collections::{BTreeMap, BTreeSet};

use nuncio_api::core::Secret;
use nuncio_api::{
    Change, Kind, Listener, ListenerProtocol, Object, ObjectKey, Spec, StackProtocol,
};
use nuncio_renewal::bundle::Leaf;
use nuncio_renewal::plan::{Current, HostId, Plan, SecretId, Wish, plan};
use nuncio_renewal::secret::KeyPem;

use crate::keys;
use crate::outbox::{ACCOUNT_KEY, MANAGED_BY};

/// What is known, reduced to what certificates need. Private keys of pairs are
/// looked at once and not kept.
#[derive(Debug, Default)]
pub(crate) struct World {
    id: String,
    wishes: BTreeMap<HostId, Wish>,
    pairs: BTreeMap<SecretId, Current>,
    keys: BTreeMap<SecretId, KeyPem>,
    listeners: BTreeMap<ObjectKey, u16>,
    allowed: BTreeSet<(String, String)>,
}

/// What changes were about.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Touched {
    /// Hosts: the plan may be another one.
    pub(crate) hosts: bool,
    /// Listeners.
    pub(crate) listeners: bool,
    /// Secrets.
    pub(crate) secrets: BTreeSet<SecretId>,
}

impl World {
    /// Makes an empty world of the gateway `id`. `allowed` lists from which
    /// namespace to which other one pairs may be written.
    pub(crate) fn new(id: String, allowed: BTreeSet<(String, String)>) -> Self {
        Self { id, allowed, ..Self::default() }
    }

    /// Takes one change and notes what it was about.
    pub(crate) fn apply(&mut self, change: Change, touched: &mut Touched) {
        match change {
            Change::Apply { object, .. } => self.put(&object, touched),
            Change::Delete(key) => self.remove(&key, touched),
            // What was last understood stays in effect.
            Change::Broken { .. }
            | Change::Input { .. }
            | Change::File { .. }
            | Change::Registered { .. }
            | Change::Refused { .. } => {}
        }
    }

    /// Plans certificates for the Hosts as they are.
    pub(crate) fn plan(&self) -> Plan {
        let wishes: Vec<Wish> = self.wishes.values().cloned().collect();
        plan(&wishes, |from, to| self.allowed.contains(&(from.to_owned(), to.to_owned())))
    }

    /// Returns the pair in a Secret.
    pub(crate) fn pair(&self, id: &SecretId) -> Option<&Current> {
        self.pairs.get(id)
    }

    /// Returns the account key in a Secret.
    pub(crate) fn account_key(&self, id: &SecretId) -> Option<&KeyPem> {
        self.keys.get(id)
    }

    /// Returns the ports of Listeners that take cleartext HTTP.
    pub(crate) fn cleartext_ports(&self) -> BTreeSet<u16> {
        self.listeners.values().copied().collect()
    }

    fn put(&mut self, object: &Object, touched: &mut Touched) {
        match &object.spec {
            Spec::Host(_) => {
                let id = host_id(&object.key());
                touched.hosts = true;
                match Wish::of(object, &self.id) {
                    Some(wish) => self.wishes.insert(id, wish),
                    None => self.wishes.remove(&id),
                };
            }
            Spec::Secret(secret) => self.put_secret(object, secret, touched),
            Spec::Listener(listener) => {
                touched.listeners = true;
                let port = u16::try_from(listener.port).ok();
                let used = object.spec.is_for(&self.id) && takes_cleartext(listener);
                match port.filter(|_| used) {
                    Some(port) => self.listeners.insert(object.key(), port),
                    None => self.listeners.remove(&object.key()),
                };
            }
            _ => {}
        }
    }

    fn put_secret(&mut self, object: &Object, secret: &Secret, touched: &mut Touched) {
        let id = secret_id(&object.key());
        let ours = object.meta.labels.get(MANAGED_BY.0).is_some_and(|value| value == MANAGED_BY.1);
        self.pairs.insert(id.clone(), Current { leaf: leaf(secret), ours });
        match secret.text(ACCOUNT_KEY) {
            Some(pem) => self.keys.insert(id.clone(), KeyPem::new(pem)),
            None => self.keys.remove(&id),
        };
        touched.secrets.insert(id);
    }

    fn remove(&mut self, key: &ObjectKey, touched: &mut Touched) {
        match key.kind {
            Kind::Host => touched.hosts |= self.wishes.remove(&host_id(key)).is_some(),
            Kind::Secret => {
                let id = secret_id(key);
                self.pairs.remove(&id);
                self.keys.remove(&id);
                touched.secrets.insert(id);
            }
            Kind::Listener => touched.listeners |= self.listeners.remove(key).is_some(),
            _ => {}
        }
    }
}

/// Reads the certificate of a pair; a key that is not the certificate's makes
/// the pair useless to Envoy, and so to us.
fn leaf(secret: &Secret) -> Option<Leaf> {
    let leaf = Leaf::parse(secret.text("tls.crt")?).ok()?;
    let key = keys::public_key(secret.text("tls.key")?).ok()?;
    (leaf.public_key == key).then_some(leaf)
}

fn takes_cleartext(listener: &Listener) -> bool {
    match listener.protocol {
        // HTTPS listeners take cleartext too, but only to redirect it.
        Some(protocol) => protocol == ListenerProtocol::Http,
        None => {
            listener.protocol_stack.contains(&StackProtocol::Http)
                && !listener.protocol_stack.contains(&StackProtocol::Tls)
                && !listener.protocol_stack.contains(&StackProtocol::Proxy)
                && !listener.protocol_stack.contains(&StackProtocol::Udp)
        }
    }
}

fn host_id(key: &ObjectKey) -> HostId {
    HostId { namespace: key.namespace.clone(), name: key.name.clone() }
}

fn secret_id(key: &ObjectKey) -> SecretId {
    SecretId { namespace: key.namespace.clone(), name: key.name.clone() }
}
