//! Lists of addresses, kept whole even where an entry makes no sense.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// Addresses for `ip_allow` or `ip_deny`.
///
/// Entries that make no sense stay in the list as `Invalid`: dropping them
/// would turn a list of mistakes into no list, which lets everybody in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct IpRules(pub Vec<IpRule>);

/// One entry. Shape: a map of one key to an address or CIDR range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IpRule {
    /// The client's address, as trusted proxies tell it.
    Remote(String),
    /// The address at the other end of the connection.
    Peer(String),
    /// Something else; the text as it stood.
    Invalid(String),
}

impl<'de> Deserialize<'de> for IpRules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::Array(items) => Self(items.iter().map(rule).collect()),
            other => Self(vec![IpRule::Invalid(other.to_string())]),
        })
    }
}

fn rule(item: &Value) -> IpRule {
    let Some(entry) = item.as_object().filter(|entry| entry.len() == 1) else {
        return IpRule::Invalid(item.to_string());
    };
    match entry.iter().next() {
        Some((key, Value::String(range))) if key == "remote" => IpRule::Remote(range.clone()),
        Some((key, Value::String(range))) if key == "peer" => IpRule::Peer(range.clone()),
        _ => IpRule::Invalid(item.to_string()),
    }
}
