//! From Hosts to wanted certificates, and what each of them needs now.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::bundle::Leaf;
use crate::name::{self, Name};
use crate::store::History;
use crate::time::UnixTime;

#[cfg(test)]
mod tests;
mod wish;

pub use wish::{ADOPT, LETS_ENCRYPT, Wish};

/// Namespace and name of a Host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// Namespace and name of a Secret; that of the pair identifies a certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretId {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// A certificate that one or more Hosts want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The Secret it goes to.
    pub secret: SecretId,
    /// The names it is for.
    pub names: BTreeSet<Name>,
    /// Directory URL of the CA.
    pub directory: String,
    /// Contact for the account.
    pub email: Option<String>,
    /// Name of the account Secret a Host asks for; none means the one named
    /// after the account.
    pub account_secret: Option<String>,
    /// Account URL a Host's `registration` names.
    pub account_url: Option<String>,
    /// The Hosts that want it, sorted.
    pub hosts: BTreeSet<HostId>,
    /// A pair somebody else made may be replaced.
    pub adopt: bool,
}

/// What the Hosts amount to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Certificates by the Secret they go to.
    pub wanted: BTreeMap<SecretId, Wanted>,
    /// Hosts that get none, and why.
    pub refused: BTreeMap<HostId, String>,
}

/// The pair that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// Its certificate; `None` when the Secret holds no readable pair, or the
    /// key is not that of the certificate.
    pub leaf: Option<Leaf>,
    /// We made it.
    pub ours: bool,
}

/// What a certificate needs now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Order now.
    Issue,
    /// Nothing until then.
    Rest(UnixTime),
    /// A pair somebody else made is in use; look again then.
    Foreign(UnixTime),
    /// An attempt is due, but not before then.
    Delayed(UnixTime),
    /// Issued too often lately: not before then.
    Held(UnixTime),
    /// The last failure is final until the Host changes.
    Stopped,
    /// A pair somebody else made is in the way.
    Blocked,
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Wanted {
    /// Returns a digest of everything that, when changed, makes a new attempt
    /// worth while whatever came of former ones.
    pub fn digest(&self) -> String {
        let names = self.names.iter().map(Name::as_str).collect::<Vec<_>>().join(",");
        let account = self.account_secret.as_deref().unwrap_or_default();
        let email = self.email.as_deref().unwrap_or_default();
        let url = self.account_url.as_deref().unwrap_or_default();
        let text = format!("{names}\n{}\n{email}\n{account}\n{url}", self.directory);
        Sha256::digest(text.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Returns the Secret of the account key: the one a Host names, or that
    /// named after the account, in the Host's namespace when it is there and
    /// in the manager's otherwise, so that Hosts share one account.
    pub fn account(&self, manager: &str, exists: impl Fn(&SecretId) -> bool) -> SecretId {
        let here = |name: String| SecretId { namespace: self.secret.namespace.clone(), name };
        if let Some(named) = &self.account_secret {
            return here(named.clone());
        }
        let own = here(name::account_secret(&self.directory, self.email.as_deref()));
        if exists(&own) {
            return own;
        }
        SecretId { namespace: manager.to_owned(), name: own.name }
    }

    /// Decides what this certificate needs.
    pub fn decide(&self, current: Option<&Current>, history: &History, now: UnixTime) -> Decision {
        if let Some(current) = current.filter(|current| !current.ours && !self.adopt) {
            return match &current.leaf {
                Some(leaf) if leaf.validity.holds(now) && self.covered_by(leaf) => {
                    Decision::Foreign(leaf.validity.not_after)
                }
                _ => Decision::Blocked,
            };
        }
        let leaf = current.and_then(|current| current.leaf.as_ref());
        if let Some(leaf) = leaf.filter(|leaf| self.is_served_by(leaf, history)) {
            let due = leaf.validity.renew_at(&self.secret.to_string());
            if now < due {
                return Decision::Rest(due);
            }
        }
        if history.wish == self.digest() && history.last.is_some() {
            match history.next {
                None => return Decision::Stopped,
                Some(next) if now < next => return Decision::Delayed(next),
                Some(_) => {}
            }
        }
        let life = leaf.map_or(std::time::Duration::MAX, |leaf| leaf.validity.life());
        history.held_until(life, now).map_or(Decision::Issue, Decision::Held)
    }

    /// Tells whether a certificate is for all names wanted.
    pub fn covered_by(&self, leaf: &Leaf) -> bool {
        self.names.iter().all(|name| leaf.covers(name))
    }

    fn is_served_by(&self, leaf: &Leaf, history: &History) -> bool {
        let wrong_issuer = history.fingerprint == leaf.fingerprint
            && !history.directory.is_empty()
            && history.directory != self.directory;
        self.covered_by(leaf) && !wrong_issuer
    }
}

/// Plans certificates for Hosts: Hosts of one Secret share one certificate
/// with all their names. Where they disagree on the CA or the account, the
/// oldest Host decides and the others are refused.
///
/// `may_write` says whether a Host's namespace may have its pair written to
/// another namespace.
pub fn plan(wishes: &[Wish], may_write: impl Fn(&str, &str) -> bool) -> Plan {
    let mut plan = Plan::default();
    let mut oldest_first: Vec<&Wish> = wishes.iter().collect();
    oldest_first.sort_by_key(|wish| (&wish.created, &wish.host));
    for wish in oldest_first {
        if let Err(reason) = add(&mut plan.wanted, wish, &may_write) {
            plan.refused.insert(wish.host.clone(), reason);
        }
    }
    plan
}

fn add(
    wanted: &mut BTreeMap<SecretId, Wanted>,
    wish: &Wish,
    may_write: impl Fn(&str, &str) -> bool,
) -> Result<(), String> {
    let name = Name::parse(&wish.hostname).map_err(|fault| fault.to_string())?;
    let directory = wish.directory()?;
    let namespace = wish.secret_namespace.clone().unwrap_or_else(|| wish.host.namespace.clone());
    if namespace != wish.host.namespace && !may_write(&wish.host.namespace, &namespace) {
        return Err(format!(
            "tlsSecret is in namespace `{namespace}`, and writing there from `{}` is not allowed",
            wish.host.namespace
        ));
    }
    let secret = SecretId {
        namespace,
        name: wish.secret.clone().unwrap_or_else(|| name::tls_secret(&name)),
    };
    let one = Wanted {
        secret: secret.clone(),
        names: BTreeSet::from([name]),
        directory,
        email: wish.email.clone(),
        account_secret: wish.account_secret.clone(),
        account_url: wish.account_url(),
        hosts: BTreeSet::from([wish.host.clone()]),
        adopt: wish.adopt,
    };
    let Some(there) = wanted.get_mut(&secret) else {
        wanted.insert(secret, one);
        return Ok(());
    };
    if (&there.directory, &there.email, &there.account_secret)
        != (&one.directory, &one.email, &one.account_secret)
    {
        let first = there.hosts.first().map(ToString::to_string).unwrap_or_default();
        return Err(format!(
            "Host {first} has the same tlsSecret `{secret}` with another acmeProvider"
        ));
    }
    there.names.extend(one.names);
    there.hosts.extend(one.hosts);
    there.adopt &= one.adopt;
    there.account_url = there.account_url.take().or(one.account_url);
    Ok(())
}
