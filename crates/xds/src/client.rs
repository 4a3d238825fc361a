//! A subscriber's side of one stream: what to ask, what was held, what to
//! acknowledge.
//!
//! Resources are judged one by one: good ones of a response take effect even
//! when others of it are refused, and a refused one is never recorded as held,
//! so that a reconnect asks for it again. The state outlives connections: after
//! a reconnect only differences travel.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use envoy_types::pb::google::rpc::Status;
use prost::Message;

use crate::TypeUrl;

/// Which resources of one type a subscriber wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interest {
    /// Every resource of the type.
    All,
    /// These; none means nothing is asked yet.
    Names(BTreeSet<String>),
}

/// Resources of one response, not yet judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The type of all of them.
    pub type_url: TypeUrl,
    /// Name and encoded message of new or changed resources.
    pub changed: Vec<(String, Bytes)>,
    /// Names that no longer exist, or never did.
    pub removed: Vec<String>,
    /// Whether one refused resource refuses the whole response, as in the
    /// state-of-the-world protocol, where a response cannot be taken in part.
    pub all_or_nothing: bool,
    nonce: String,
    versions: Vec<String>,
}

/// What a subscriber knows and wants, across connections; delta protocol.
#[derive(Debug)]
pub struct DeltaClient {
    node: Node,
    types: BTreeMap<TypeUrl, DeltaType>,
}

#[derive(Debug)]
struct DeltaType {
    interest: Interest,
    /// Name to version of what is held.
    held: BTreeMap<String, String>,
    answered: bool,
}

/// What a subscriber knows and wants, across connections; state-of-the-world
/// protocol, for servers that speak nothing else.
#[derive(Debug)]
pub struct SotwClient {
    node: Node,
    types: BTreeMap<TypeUrl, SotwType>,
}

#[derive(Debug)]
struct SotwType {
    interest: Interest,
    held: BTreeSet<String>,
    version: String,
    nonce: String,
    answered: bool,
}

// === impl DeltaClient ===

impl DeltaClient {
    /// Makes a subscriber that holds nothing yet.
    pub fn new(node: Node, interests: impl IntoIterator<Item = (TypeUrl, Interest)>) -> Self {
        let types = interests
            .into_iter()
            .map(|(type_url, interest)| {
                (type_url, DeltaType { interest, held: BTreeMap::new(), answered: false })
            })
            .collect();
        Self { node, types }
    }

    /// Returns the first requests of a new connection, with the versions held
    /// from earlier ones.
    pub fn open(&self) -> Vec<DeltaDiscoveryRequest> {
        let mut node = Some(self.node.clone());
        self.types
            .iter()
            .filter_map(|(type_url, state)| {
                let subscribe = match &state.interest {
                    Interest::All => vec!["*".to_owned()],
                    Interest::Names(names) if names.is_empty() => return None,
                    Interest::Names(names) => names.iter().cloned().collect(),
                };
                Some(DeltaDiscoveryRequest {
                    // The first request of a stream introduces all of it.
                    node: node.take(),
                    type_url: type_url.to_string(),
                    resource_names_subscribe: subscribe,
                    initial_resource_versions: state.held.clone().into_iter().collect(),
                    ..DeltaDiscoveryRequest::default()
                })
            })
            .collect()
    }

    /// Changes what is wanted of a type. Returns the names that are no longer
    /// wanted but were held, and the request to send when connected.
    pub fn want(
        &mut self,
        type_url: &TypeUrl,
        wanted: BTreeSet<String>,
    ) -> (Vec<String>, Option<DeltaDiscoveryRequest>) {
        let Some(state) = self.types.get_mut(type_url) else { return (Vec::new(), None) };
        let Interest::Names(names) = &mut state.interest else { return (Vec::new(), None) };
        let subscribe: Vec<_> = wanted.difference(names).cloned().collect();
        let unsubscribe: Vec<_> = names.difference(&wanted).cloned().collect();
        *names = wanted;
        let dropped: Vec<_> =
            unsubscribe.iter().filter(|name| state.held.remove(*name).is_some()).cloned().collect();
        if subscribe.is_empty() && unsubscribe.is_empty() {
            return (dropped, None);
        }
        let request = DeltaDiscoveryRequest {
            node: Some(self.node.clone()),
            type_url: type_url.to_string(),
            resource_names_subscribe: subscribe,
            resource_names_unsubscribe: unsubscribe,
            ..DeltaDiscoveryRequest::default()
        };
        (dropped, Some(request))
    }

    /// Takes a response apart. `None` for a type that was never asked for.
    ///
    /// Resources that are no longer wanted are left out.
    pub fn receive(&mut self, response: DeltaDiscoveryResponse) -> Option<Batch> {
        let type_url = TypeUrl::from(response.type_url);
        let state = self.types.get(&type_url)?;
        let wanted = |name: &String| match &state.interest {
            Interest::All => true,
            Interest::Names(names) => names.contains(name),
        };
        let mut changed = Vec::with_capacity(response.resources.len());
        let mut versions = Vec::with_capacity(response.resources.len());
        for resource in response.resources {
            if !wanted(&resource.name) {
                continue;
            }
            let bytes = resource.resource.map(|any| any.value).unwrap_or_default();
            changed.push((resource.name, Bytes::from(bytes)));
            versions.push(resource.version);
        }
        let removed = response.removed_resources.into_iter().filter(wanted).collect();
        let nonce = response.nonce;
        Some(Batch { type_url, changed, removed, all_or_nothing: false, nonce, versions })
    }

    /// Records the judgement of a batch: `refused` maps names to reasons.
    /// Returns the acknowledgement, a NACK when anything was refused.
    pub fn settle(
        &mut self,
        batch: Batch,
        refused: &BTreeMap<String, String>,
    ) -> DeltaDiscoveryRequest {
        if let Some(state) = self.types.get_mut(&batch.type_url) {
            state.answered = true;
            for ((name, _), version) in batch.changed.into_iter().zip(batch.versions) {
                if !refused.contains_key(&name) {
                    state.held.insert(name, version);
                }
            }
            for name in &batch.removed {
                state.held.remove(name);
            }
        }
        DeltaDiscoveryRequest {
            type_url: batch.type_url.to_string(),
            response_nonce: batch.nonce,
            error_detail: error_detail(refused),
            ..DeltaDiscoveryRequest::default()
        }
    }

    /// Says whether the server has answered for every type once. A type of
    /// which nothing is wanted counts as answered.
    pub fn all_answered(&self) -> bool {
        self.types.values().all(|state| {
            state.answered || matches!(&state.interest, Interest::Names(names) if names.is_empty())
        })
    }
}

// === impl SotwClient ===

impl SotwClient {
    /// Makes a subscriber that holds nothing yet.
    pub fn new(node: Node, interests: impl IntoIterator<Item = (TypeUrl, Interest)>) -> Self {
        let types = interests
            .into_iter()
            .map(|(type_url, interest)| {
                let state = SotwType {
                    interest,
                    held: BTreeSet::new(),
                    version: String::new(),
                    nonce: String::new(),
                    answered: false,
                };
                (type_url, state)
            })
            .collect();
        Self { node, types }
    }

    /// Returns the first requests of a new connection.
    pub fn open(&mut self) -> Vec<DiscoveryRequest> {
        let types: Vec<_> = self.types.keys().cloned().collect();
        types
            .into_iter()
            .filter_map(|type_url| {
                // Nonces belong to one stream.
                self.types.get_mut(&type_url)?.nonce.clear();
                let wants_nothing = matches!(
                    &self.types[&type_url].interest, Interest::Names(names) if names.is_empty()
                );
                if wants_nothing { None } else { self.request(&type_url, None) }
            })
            .collect()
    }

    /// Changes what is wanted of a type. Returns the names that are no longer
    /// wanted but were held, and the request to send when connected.
    pub fn want(
        &mut self,
        type_url: &TypeUrl,
        wanted: BTreeSet<String>,
    ) -> (Vec<String>, Option<DiscoveryRequest>) {
        let Some(state) = self.types.get_mut(type_url) else { return (Vec::new(), None) };
        let Interest::Names(names) = &mut state.interest else { return (Vec::new(), None) };
        if *names == wanted {
            return (Vec::new(), None);
        }
        *names = wanted;
        let dropped: Vec<_> = state.held.difference(names).cloned().collect();
        for name in &dropped {
            state.held.remove(name);
        }
        // No names at all would mean every resource: the last interest stays
        // asked for, and what comes of it is left out.
        let silent = names.is_empty();
        (dropped, if silent { None } else { self.request(type_url, None) })
    }

    /// Takes a response apart. `None` for a type that was never asked for.
    ///
    /// The response is the full set: what was held and is not in it is removed.
    pub fn receive(&mut self, response: DiscoveryResponse) -> Option<Batch> {
        let type_url = TypeUrl::from(response.type_url);
        let state = self.types.get(&type_url)?;
        let mut changed: Vec<(String, Bytes)> = Vec::with_capacity(response.resources.len());
        for any in response.resources {
            let bytes = Bytes::from(any.value);
            changed.push((name_of(&bytes), bytes));
        }
        if let Interest::Names(names) = &state.interest {
            changed.retain(|(name, _)| names.contains(name));
        }
        let present: BTreeSet<&String> = changed.iter().map(|(name, _)| name).collect();
        let removed = state.held.iter().filter(|name| !present.contains(name)).cloned().collect();
        let (nonce, versions) = (response.nonce, vec![response.version_info]);
        Some(Batch { type_url, changed, removed, all_or_nothing: true, nonce, versions })
    }

    /// Records the judgement of a batch: `refused` maps names to reasons.
    /// Returns the acknowledgement, a NACK with the old version when anything
    /// was refused.
    pub fn settle(
        &mut self,
        mut batch: Batch,
        refused: &BTreeMap<String, String>,
    ) -> Option<DiscoveryRequest> {
        let state = self.types.get_mut(&batch.type_url)?;
        state.answered = true;
        state.nonce = batch.nonce;
        if refused.is_empty() {
            state.version = batch.versions.pop().unwrap_or_default();
            state.held = batch.changed.into_iter().map(|(name, _)| name).collect();
        }
        self.request(&batch.type_url, error_detail(refused))
    }

    /// Says whether the server has answered for every type once.
    pub fn all_answered(&self) -> bool {
        self.types.values().all(|state| {
            state.answered || matches!(&state.interest, Interest::Names(names) if names.is_empty())
        })
    }

    fn request(&self, type_url: &TypeUrl, error: Option<Status>) -> Option<DiscoveryRequest> {
        let state = self.types.get(type_url)?;
        Some(DiscoveryRequest {
            version_info: state.version.clone(),
            node: Some(self.node.clone()),
            resource_names: match &state.interest {
                Interest::All => Vec::new(),
                Interest::Names(names) => names.iter().cloned().collect(),
            },
            type_url: type_url.to_string(),
            response_nonce: state.nonce.clone(),
            error_detail: error,
            ..DiscoveryRequest::default()
        })
    }
}

/// Most text of refusals that goes back to the server.
const ERROR_TEXT_LIMIT: usize = 4096;

fn error_detail(refused: &BTreeMap<String, String>) -> Option<Status> {
    const INVALID_ARGUMENT: i32 = 3;
    if refused.is_empty() {
        return None;
    }
    let mut message = String::new();
    for (name, reason) in refused {
        if message.len() + name.len() + reason.len() > ERROR_TEXT_LIMIT {
            message.push('…');
            break;
        }
        if !message.is_empty() {
            message.push_str("; ");
        }
        message.push_str(name);
        message.push_str(": ");
        message.push_str(reason);
    }
    Some(Status { code: INVALID_ARGUMENT, message, details: Vec::new() })
}

/// The part that all named resource types have in common: their name is field
/// 1. State-of-the-world responses carry the name nowhere else.
#[derive(Clone, PartialEq, prost::Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}

/// Reads a resource's name from its encoded message; empty when it has none or
/// cannot be read, which its decoder will then refuse.
fn name_of(bytes: &Bytes) -> String {
    Named::decode(bytes.clone()).map(|named| named.name).unwrap_or_default()
}
