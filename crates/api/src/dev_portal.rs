//! `DevPortal`: accepted for compatibility, without effect.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::common::{AmbassadorId, non_empty};

/// A developer portal. Accepted, and nothing is done. Source: Emissary
/// `DevPortal`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DevPortal {
    /// Gateways that use this object. Default: `["default"]`.
    #[serde(alias = "ambassadorId", skip_serializing_if = "AmbassadorId::is_default")]
    pub ambassador_id: AmbassadorId,
    /// Whether this is the default portal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<bool>,
    /// Where its pages come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<DevPortalContent>,
    /// Documents to show.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub docs: Vec<DevPortalDocs>,
    /// Mappings to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<DevPortalSelector>,
    /// `namespace.name` or `name.prefix`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub naming_scheme: Option<String>,
    /// Search settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<DevPortalSearch>,
    /// Keep the `servers` of API documents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preserve_servers: Option<bool>,
}

/// Where a portal's pages come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DevPortalContent {
    /// URL of the repository.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Branch.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Folder.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub dir: Option<String>,
}

/// One document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DevPortalDocs {
    /// Service it belongs to.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// URL of the document.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Limit on fetching, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// Mappings to show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DevPortalSelector {
    /// By namespace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_namespaces: Vec<String>,
    /// By label.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
}

/// Search settings of a portal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DevPortalSearch {
    /// Whether there is a search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// `title-only` or `all-content`.
    #[serde(
        rename = "type",
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub kind: Option<String>,
}
