//! FilterPolicy: which requests run which Filters.
//!
//! One type reads `getambassador.io` v2 and v3alpha1 and
//! `gateway.getambassador.io/v1alpha1`. Source: Ambassador Edge Stack 3.12
//! CRDs.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::filter::{AmbassadorSelector, nullable, one_or_many};

/// Spec of a FilterPolicy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FilterPolicy {
    /// Instances of Nuncio that heed this object; a single string counts as a
    /// list of one. Default: empty, read as `["default"]`.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub ambassador_id: Vec<String>,
    /// The same in `gateway.getambassador.io`.
    #[serde(rename = "ambassadorSelector", skip_serializing_if = "Option::is_none")]
    pub ambassador_selector: Option<AmbassadorSelector>,
    /// The rules. Order: `precedence` descending, then namespace, name and
    /// position; the first that matches is the only one that counts.
    #[serde(deserialize_with = "nullable")]
    pub rules: Vec<Rule>,
}

impl FilterPolicy {
    /// Returns the instances that heed this object; empty means the default.
    pub fn ambassador_ids(&self) -> &[String] {
        match &self.ambassador_selector {
            Some(selector) if self.ambassador_id.is_empty() => &selector.ambassador_ids,
            _ => &self.ambassador_id,
        }
    }
}

/// Requests and the filters they pass.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// Glob over the host, port and letter case aside. Default: empty, read as
    /// `*`.
    #[serde(deserialize_with = "nullable")]
    pub host: String,
    /// Glob over the path without query; `*` also spans `/`. Default: empty,
    /// read as `*`.
    #[serde(deserialize_with = "nullable")]
    pub path: String,
    /// Higher is looked at first. Default: 0.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_zero")]
    pub precedence: i64,
    /// Filters in order; empty lets every request through.
    #[serde(alias = "filterRefs", deserialize_with = "nullable")]
    pub filters: Vec<FilterRef>,
}

/// One Filter of a chain.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FilterRef {
    /// Name of the Filter.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// Namespace of the Filter. Default: empty, read as the policy's own.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// What a denial does: `break` answers it, `continue` forgets it and goes
    /// on, past the last filter to the backend. Default: `break`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_deny: Option<ChainAction>,
    /// What a pass does: `continue` goes on, `break` lets the request through
    /// at once. Default: `continue`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_allow: Option<ChainAction>,
    /// Skip this filter unless the request, as earlier filters left it, fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_request_header: Option<HeaderCondition>,
    /// Arguments; their shape depends on the filter's type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Value>,
}

/// What happens after a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChainAction {
    /// Stop here.
    Break,
    /// Go on with the next filter.
    Continue,
    /// Stored zero value, read as the default.
    #[serde(rename = "")]
    Unset,
}

/// A condition on one request header.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HeaderCondition {
    /// `Exact` or `RegularExpression`, in `gateway.getambassador.io`: how
    /// `value` is read. Default: empty, exact.
    #[serde(
        rename = "type",
        deserialize_with = "nullable",
        skip_serializing_if = "String::is_empty"
    )]
    pub match_type: String,
    /// Header, any case; pseudo-headers such as `:method` too.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// Exact value. Neither this nor `valueRegex`: any non-empty value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// RE2 expression found anywhere in the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_regex: Option<String>,
    /// Turn the condition round. Default: false.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "std::ops::Not::not")]
    pub negate: bool,
}

impl FilterRef {
    /// Returns the scopes of its arguments: `scope` or the deprecated
    /// `scopes`, a list or one string of words; for
    /// `gateway.getambassador.io` those of `jwt` or `oauth2` below.
    pub fn scopes(&self) -> Vec<String> {
        let Some(arguments) = &self.arguments else { return Vec::new() };
        let places = [Some(arguments), arguments.get("jwt"), arguments.get("oauth2")];
        let found = places
            .into_iter()
            .flatten()
            .flat_map(|place| [place.get("scope"), place.get("scopes")])
            .flatten();
        let mut scopes = Vec::new();
        for value in found {
            match value {
                Value::String(text) => scopes.extend(text.split_whitespace().map(str::to_owned)),
                Value::Array(list) => {
                    scopes.extend(list.iter().filter_map(Value::as_str).map(str::to_owned));
                }
                _ => {}
            }
        }
        scopes
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_zero(value: &i64) -> bool {
    *value == 0
}
