//! Filters and FilterPolicies, for our auth service.

use nuncio_proto::auth::v1 as pb;
use prost::Message;

use crate::ir::policies::Policy;
use crate::names;

/// Encodes a Filter.
pub(crate) fn filter(policy: &Policy) -> Vec<u8> {
    pb::Filter {
        name: policy.name.clone(),
        namespace: policy.namespace.clone(),
        spec_json: policy.spec_json.clone(),
        secrets: policy
            .secrets
            .iter()
            .map(|(namespace, name)| names::dotted(name, namespace))
            .collect(),
        rejected: policy.rejected.clone(),
        generation: policy.generation,
    }
    .encode_to_vec()
}

/// Encodes a FilterPolicy.
pub(crate) fn filter_policy(policy: &Policy) -> Vec<u8> {
    pb::FilterPolicy {
        name: policy.name.clone(),
        namespace: policy.namespace.clone(),
        spec_json: policy.spec_json.clone(),
        rejected: policy.rejected.clone(),
        generation: policy.generation,
    }
    .encode_to_vec()
}
